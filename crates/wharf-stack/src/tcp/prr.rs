//! How much leaves while the window falls: proportional rate reduction (RFC 9937), for losses and for ECN alike.
//!
//! While more is on its way than the window that is aimed at, what leaves is to what arrives as the new window is to the
//! old one. Below it, the conservative bound: no more than has arrived, and one segment more only when the acknowledgment
//! was a safe one, which moved `snd_una` and told of no further loss.

/// The state of one reduction, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prr {
    /// Delivered and sent since it began.
    delivered: u32,
    out: u32,
    /// RecoverFS: what was on its way, and known not to have arrived, when it began.
    flight: u32,
}

/// Whether an acknowledgment allows a segment more than it stands for (SafeACK, RFC 9937, section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    Safe,
    Unsafe,
}

impl Prr {
    /// A reduction begins while `flight` bytes are on their way (RFC 9937, section 6.1).
    pub(super) fn begin(flight: u32) -> Prr {
        Prr { delivered: 0, out: 0, flight: flight.max(1) }
    }

    /// `len` bytes leave (section 6.3).
    pub(super) fn on_sent(&mut self, len: u32) {
        self.out = self.out.saturating_add(len);
    }

    /// An acknowledgment has brought `delivered` bytes; the window that follows, with `pipe` bytes on their way
    /// (section 6.2).
    pub(super) fn on_ack(&mut self, delivered: u32, ack: Ack, pipe: u32, ssthresh: u32, mss: u32) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered);
        let allowed = if pipe > ssthresh {
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let share = share.div_ceil(u64::from(self.flight));
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            let more = if ack == Ack::Safe { mss } else { 0 };
            let allowed = self.delivered.saturating_sub(self.out).max(delivered).saturating_add(more);
            allowed.min(ssthresh - pipe)
        };
        let forced = if self.out == 0 { mss } else { 0 };
        pipe.saturating_add(allowed.max(forced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// The example of RFC 6937, section 4: a flight of 20 segments, one of them lost, and a window of 10 after: what leaves
    /// is one segment for every two that arrive, and the flight ends at the window.
    #[test]
    fn half_the_window_lets_every_second_segment_go() {
        let (mut prr, mut pipe, mut sent) = (Prr::begin(20 * MSS), 18 * MSS, 0);
        for _ in 0..18 {
            let window = prr.on_ack(MSS, Ack::Unsafe, pipe, 10 * MSS, MSS);
            let allowed = (window - pipe) / MSS * MSS;
            prr.on_sent(allowed);
            sent += allowed;
            pipe = (pipe + allowed).saturating_sub(MSS);
        }
        assert!((9 * MSS..=10 * MSS).contains(&sent), "{sent}");
        assert!((9 * MSS..=11 * MSS).contains(&pipe), "{pipe}");
    }

    #[test]
    fn the_first_retransmission_leaves_whatever_the_window() {
        let mut prr = Prr::begin(100 * MSS);
        assert_eq!(prr.on_ack(0, Ack::Unsafe, 90 * MSS, 50 * MSS, MSS), 91 * MSS);
        prr.on_sent(MSS);
        assert_eq!(prr.on_ack(0, Ack::Unsafe, 91 * MSS, 50 * MSS, MSS), 91 * MSS);
    }

    /// RFC 9937, section 6.2: below the window that is aimed at, no more than arrives, and a segment more when it is safe.
    #[test]
    fn after_many_losses_only_a_safe_acknowledgment_lets_the_flight_grow() {
        let mut prr = Prr::begin(20 * MSS);
        prr.on_sent(MSS);
        assert_eq!(prr.on_ack(MSS, Ack::Unsafe, 3 * MSS, 10 * MSS, MSS), 4 * MSS);
        prr.on_sent(MSS);
        assert_eq!(prr.on_ack(MSS, Ack::Safe, 3 * MSS, 10 * MSS, MSS), 5 * MSS);
        prr.on_sent(2 * MSS);
        assert_eq!(prr.on_ack(9 * MSS, Ack::Safe, 8 * MSS, 10 * MSS, MSS), 10 * MSS, "never beyond the aim");
    }
}

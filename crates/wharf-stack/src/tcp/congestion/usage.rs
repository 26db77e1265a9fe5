//! Whether the congestion window is what holds a sender back: only then may it grow (RFC 5681, section 3.1; RFC 7661, section
//! 4.4.1), and what is not used for long is given up (RFC 2861, section 3.2). As Linux decides it.

use wharf_table::Instant;

use crate::tcp::seq::SeqNum;

/// How much of the window was used lately.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Usage {
    /// The window held data back within the last flight.
    limited: bool,
    /// Something new has left since this was asked last.
    sent: bool,
    /// The most on its way within the last flight, in bytes.
    most: u32,
    /// Where the flight ends that `limited` and `most` are about.
    until: SeqNum,
    /// The most on its way since the window was full.
    used: u32,
    /// When the window was full last or given up in part.
    full_at: Instant,
}

/// What is on its way, and what of the window it takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Flight {
    pub(in crate::tcp) snd_una: SeqNum,
    pub(in crate::tcp) snd_nxt: SeqNum,
    pub(in crate::tcp) cwnd: u32,
    pub(in crate::tcp) ssthresh: u32,
    /// The window holds more back.
    pub(in crate::tcp) is_full: bool,
}

impl Usage {
    pub(in crate::tcp) const fn new(iss: SeqNum, now: Instant) -> Usage {
        Usage { limited: false, sent: false, most: 0, until: iss, used: 0, full_at: now }
    }

    /// New data leaves.
    pub(in crate::tcp) fn on_sent(&mut self) {
        self.sent = true;
    }

    /// Everything has left that may: notes how much of the window that took. Gives the most that was used when that was less
    /// than all of it for `rto` microseconds.
    pub(in crate::tcp) fn on_settled(&mut self, flight: Flight, now: Instant, rto: u64) -> Option<u32> {
        if !core::mem::take(&mut self.sent) && !flight.is_full {
            return None;
        }
        let out = flight.snd_nxt.since(flight.snd_una);
        let over = !flight.snd_una.before(self.until);
        if over || flight.is_full || !self.limited && out > self.most {
            (self.limited, self.most, self.until) = (flight.is_full, out, flight.snd_nxt);
        }
        if self.is_limited(flight.cwnd, flight.ssthresh) {
            (self.used, self.full_at) = (0, now);
            return None;
        }
        self.used = self.used.max(out);
        if now.micros_since(self.full_at) < rto {
            return None;
        }
        self.full_at = now;
        Some(core::mem::take(&mut self.used))
    }

    /// Whether the window held data back within the last flight.
    pub(in crate::tcp) const fn was_full(&self) -> bool {
        self.limited
    }

    /// Whether acknowledgments let the window grow: it was full, or in slow start half full.
    pub(in crate::tcp) fn is_limited(&self, cwnd: u32, ssthresh: u32) -> bool {
        self.limited || cwnd < ssthresh && cwnd / 2 < self.most
    }
}

crate::tcp::park::packed!(struct Usage { limited, sent, most, until, used, full_at });

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: u64 = 200_000;

    fn settle(usage: &mut Usage, una: u32, nxt: u32, full: bool, ssthresh: u32, millis: u64) -> Option<u32> {
        let (snd_una, snd_nxt) = (SeqNum::new(una), SeqNum::new(nxt));
        let flight = Flight { snd_una, snd_nxt, cwnd: 10_000, ssthresh, is_full: full };
        usage.on_sent();
        usage.on_settled(flight, Instant::from_millis(millis), RTO)
    }

    #[test]
    fn in_slow_start_half_a_window_is_enough_to_grow() {
        for (out, grows) in [(4_000, false), (5_000, false), (5_001, true), (10_000, true)] {
            let mut usage = Usage::new(SeqNum::new(0), Instant::ZERO);
            assert_eq!(settle(&mut usage, 0, out, false, u32::MAX, 0), None);
            assert_eq!(usage.is_limited(10_000, u32::MAX), grows, "{out}");
            assert!(!usage.is_limited(10_000, 10_000), "congestion avoidance wants it full");
        }
    }

    #[test]
    fn a_window_that_was_full_counts_for_its_flight_and_no_longer() {
        let mut usage = Usage::new(SeqNum::new(0), Instant::ZERO);
        settle(&mut usage, 0, 10_000, true, 5_000, 0);
        assert!(usage.is_limited(10_000, 5_000));
        settle(&mut usage, 9_000, 11_000, false, 5_000, 10);
        assert!(usage.is_limited(10_000, 5_000), "the flight is not over");
        settle(&mut usage, 10_000, 12_000, false, 5_000, 20);
        assert!(!usage.is_limited(10_000, 5_000));
    }

    #[test]
    fn what_is_not_used_for_a_timeout_is_told_with_the_most_that_was() {
        let mut usage = Usage::new(SeqNum::new(0), Instant::ZERO);
        assert_eq!(settle(&mut usage, 0, 2_000, false, 5_000, 0), None);
        assert_eq!(settle(&mut usage, 2_000, 5_000, false, 5_000, 100), None);
        assert_eq!(settle(&mut usage, 5_000, 6_000, false, 5_000, 199), None);
        assert_eq!(settle(&mut usage, 6_000, 7_000, false, 5_000, 200), Some(3_000));
        assert_eq!(settle(&mut usage, 7_000, 8_000, false, 5_000, 399), None);
        assert_eq!(settle(&mut usage, 8_000, 9_000, false, 5_000, 400), Some(1_000));
    }
}

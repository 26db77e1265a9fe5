//! The retransmission time-out (RFC 6298).

use core::time::Duration;

use wharf_table::Instant;

use super::seq::SeqNum;

/// What the time-out is before anything was measured (RFC 6298, rule 2.1).
const INITIAL: u32 = 1_000_000;
/// The same when the SYN had to be repeated (rule 5.7).
const AFTER_LOST_SYN: u32 = 3_000_000;
/// The least variation allowed for, as in Linux: RFC 6298 says 1 s for the whole time-out (rule 2.4), which nobody does.
const MIN_VARIATION: u32 = 200_000;
/// The most (rule 2.5 wants at least 60 s; this is Linux').
const MAX: u32 = 120_000_000;

/// Estimates the round trip and how long to wait for an acknowledgment. In microseconds.
#[derive(Clone, Debug)]
pub(super) struct RttEstimator {
    srtt: u32,
    rttvar: u32,
    rto: u32,
    /// Where the segment ends that is timed, and when it left, in microseconds that wrap after an hour.
    timed_end: SeqNum,
    timed_at: u32,
    is_timing: bool,
    backoff: u8,
}

impl RttEstimator {
    pub(super) const fn new() -> RttEstimator {
        RttEstimator {
            srtt: 0,
            rttvar: 0,
            rto: INITIAL,
            timed_end: SeqNum::new(0),
            timed_at: 0,
            is_timing: false,
            backoff: 0,
        }
    }

    /// A segment that ends at `end` leaves for the first time: it is timed, unless another one is.
    pub(super) fn on_sent(&mut self, end: SeqNum, now: Instant) {
        if !self.is_timing {
            (self.timed_end, self.timed_at, self.is_timing) = (end, now.micros() as u32, true);
        }
    }

    /// Where the segment ends that is timed.
    pub(super) fn timed_end(&self) -> Option<SeqNum> {
        self.is_timing.then_some(self.timed_end)
    }

    /// Something is sent again: what is timed could be it (Karn's algorithm, section 3).
    pub(super) fn on_resent(&mut self) {
        self.is_timing = false;
    }

    /// Everything before `ack` is acknowledged: the round trip of the timed segment is known if it was among it. Without
    /// one, `echoed` says how long ago the peer's echo left, which is right also after a retransmission (RFC 7323,
    /// section 4.1). What was measured is given back.
    pub(super) fn on_ack(&mut self, ack: SeqNum, now: Instant, echoed: Option<Duration>) -> Option<Duration> {
        let measured = if !self.is_timing {
            echoed
        } else if !ack.before(self.timed_end) {
            self.is_timing = false;
            let rtt = (now.micros() as u32).wrapping_sub(self.timed_at);
            Some(Duration::from_micros(u64::from(rtt)))
        } else {
            None
        };
        measured.inspect(|&rtt| self.on_sample(rtt))
    }

    /// A round trip was measured.
    fn on_sample(&mut self, rtt: Duration) {
        let rtt = u32::try_from(rtt.as_micros()).unwrap_or(MAX).clamp(1, MAX);
        if self.srtt == 0 {
            self.srtt = rtt;
            self.rttvar = rtt / 2;
        } else {
            self.rttvar = self.rttvar - self.rttvar / 4 + self.srtt.abs_diff(rtt) / 4;
            self.srtt = (self.srtt - self.srtt / 8 + rtt / 8).max(1);
        }
        self.rto = self.srtt.saturating_add((4 * self.rttvar).max(MIN_VARIATION)).min(MAX);
        self.backoff = 0;
    }

    /// The SYN had to be repeated (rule 5.7).
    pub(super) fn on_lost_syn(&mut self) {
        if self.srtt == 0 {
            self.rto = AFTER_LOST_SYN;
        }
    }

    /// The time-out ran out: twice as long the next time (rule 5.5).
    pub(super) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1).min(31);
    }

    /// New data was acknowledged: no longer backed off.
    pub(super) fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    /// How long to wait for an acknowledgment, or between probes.
    pub(super) fn rto(&self) -> Duration {
        let rto = u64::from(self.rto) << self.backoff;
        Duration::from_micros(rto.min(u64::from(MAX)))
    }

    /// How often the time-out has doubled.
    pub(super) const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// The variation of round trips, in microseconds.
    pub(super) const fn rttvar(&self) -> u32 {
        self.rttvar
    }

    /// The smoothed round trip; `None` before the first measurement.
    pub(super) fn srtt(&self) -> Option<Duration> {
        (self.srtt > 0).then(|| Duration::from_micros(u64::from(self.srtt)))
    }
}

super::park::packed!(struct RttEstimator { srtt, rttvar, rto, timed_end, timed_at, is_timing, backoff });

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_sample_and_the_next_follow_the_rules() {
        let mut rtt = RttEstimator::new();
        assert_eq!((rtt.rto(), rtt.srtt()), (ms(1_000), None));
        rtt.on_sample(ms(400)); // rule 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(400)), ms(400 + 4 * 200)));
        rtt.on_sample(ms(480)); // rule 2.3: RTTVAR = 3/4 200 + 1/4 80 = 170, SRTT = 7/8 400 + 1/8 480 = 410
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(410)), ms(410 + 4 * 170)));
    }

    #[test]
    fn a_steady_short_round_trip_keeps_200_ms() {
        let mut rtt = RttEstimator::new();
        (0..100).for_each(|_| rtt.on_sample(ms(1)));
        assert_eq!(rtt.rto(), ms(201));
    }

    #[test]
    fn back_off_doubles_up_to_two_minutes_and_a_sample_ends_it() {
        let mut rtt = RttEstimator::new();
        for wanted in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            assert_eq!(rtt.rto(), Duration::from_secs(wanted));
            rtt.back_off();
        }
        rtt.on_sample(ms(100));
        assert_eq!(rtt.rto(), ms(100 + 200));
    }
}

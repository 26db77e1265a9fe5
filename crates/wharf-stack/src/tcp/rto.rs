//! The round trip and the retransmission time-out (RFC 6298), estimated as Linux does.
//!
//! Linux measures nearly every acknowledgment. So that many samples of one flight don't make the variation forget what it
//! was (RFC 7323, appendix G), the variation that counts is the largest of a round trip: it rises at once and falls once a
//! round trip. The least variation is 200 ms; RFC 6298 says 1 s for the whole time-out (rule 2.4), which nobody does.

use core::time::Duration;

use super::seq::SeqNum;

/// What the time-out is before anything was measured (RFC 6298, rule 2.1).
const INITIAL: u32 = 1_000_000;
/// The same when the SYN had to be repeated (rule 5.7).
const AFTER_LOST_SYN: u32 = 3_000_000;
/// The least variation allowed for, as in Linux.
pub(super) const MIN_VARIATION: u32 = 200_000;
/// The most (rule 2.5 wants at least 60 s; this is Linux').
const MAX: u32 = 120_000_000;
/// Estimates the round trip and how long to wait for an acknowledgment. In microseconds.
#[derive(Clone, Debug)]
pub(super) struct RttEstimator {
    /// SRTT times eight.
    srtt8: u32,
    /// The smoothed deviation times four, and its largest value of this round trip.
    deviation4: u32,
    deviation_max: u32,
    /// Four times RTTVAR: what is added to SRTT.
    variation: u32,
    /// When this is acknowledged the next round trip begins.
    round: SeqNum,
    backoff: u8,
}

impl RttEstimator {
    pub(super) const fn new() -> RttEstimator {
        RttEstimator {
            srtt8: 0,
            deviation4: 0,
            deviation_max: 0,
            variation: INITIAL,
            round: SeqNum::new(0),
            backoff: 0,
        }
    }

    /// A round trip of so many microseconds was measured when everything before `snd_una` was acknowledged.
    pub(super) fn on_sample(&mut self, micros: u64, snd_una: SeqNum, snd_nxt: SeqNum) {
        let rtt = micros.min(u64::from(MAX)) as u32;
        self.backoff = 0;
        if self.srtt8 == 0 {
            // Rule 2.2.
            self.srtt8 = (rtt * 8).max(1);
            self.deviation4 = rtt * 2;
            self.variation = self.deviation4.max(MIN_VARIATION);
            (self.deviation_max, self.round) = (self.variation, snd_nxt);
            return;
        }
        let error = i64::from(rtt) - i64::from(self.srtt8 / 8);
        self.srtt8 = (i64::from(self.srtt8) + error).clamp(1, i64::from(u32::MAX)) as u32;
        let mut change = error.abs() - i64::from(self.deviation4 / 4);
        if error < 0 && change > 0 {
            // A round trip that is suddenly short says little of how long the next may be.
            change /= 8;
        }
        self.deviation4 = (i64::from(self.deviation4) + change).clamp(0, i64::from(MAX)) as u32;
        if self.deviation4 > self.deviation_max {
            self.deviation_max = self.deviation4;
            self.variation = self.variation.max(self.deviation_max);
        }
        if snd_una.after(self.round) {
            self.variation -= self.variation.saturating_sub(self.deviation_max) / 4;
            (self.round, self.deviation_max) = (snd_nxt, MIN_VARIATION);
        }
    }

    /// The SYN had to be repeated (rule 5.7).
    pub(super) fn on_lost_syn(&mut self) {
        self.backoff = 0;
        if self.srtt8 == 0 {
            self.variation = AFTER_LOST_SYN;
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
        Duration::from_micros(self.rto_micros())
    }

    /// The same in microseconds.
    #[inline]
    pub(super) fn rto_micros(&self) -> u64 {
        let rto = u64::from((self.srtt8 / 8).saturating_add(self.variation)) << self.backoff;
        rto.min(u64::from(MAX))
    }

    /// The smoothed round trip in microseconds; `None` before the first measurement.
    #[inline]
    pub(super) fn srtt_micros(&self) -> Option<u64> {
        (self.srtt8 > 0).then_some(u64::from(self.srtt8 / 8))
    }

    /// The smoothed round trip; `None` before the first measurement.
    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt_micros().map(Duration::from_micros)
    }

    /// How often the time-out has doubled.
    pub(super) const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// The variation of round trips, in microseconds.
    pub(super) const fn rttvar(&self) -> u32 {
        self.deviation4 / 4
    }
}

super::park::packed!(struct RttEstimator { srtt8, deviation4, deviation_max, variation, round, backoff });

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Samples, each in a round trip of its own.
    fn measured(samples: &[u64]) -> RttEstimator {
        let mut rtt = RttEstimator::new();
        for (at, &sample) in (1..).zip(samples) {
            rtt.on_sample(1_000 * sample, SeqNum::new(at * 10), SeqNum::new(at * 10 + 5));
        }
        rtt
    }

    #[test]
    fn the_first_sample_and_the_next_follow_the_rules() {
        let rtt = RttEstimator::new();
        assert_eq!((rtt.rto(), rtt.srtt()), (ms(1_000), None));
        // Rule 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR.
        let rtt = measured(&[400]);
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(400)), ms(400 + 4 * 200)));
        // Rule 2.3: SRTT = 7/8 400 + 1/8 480 = 410; RTTVAR falls towards 3/4 200 + 1/4 80 = 170 by a quarter, as in Linux.
        let rtt = measured(&[400, 480]);
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(410)), ms(410 + 800)));
    }

    #[test]
    fn a_steady_short_round_trip_keeps_200_ms() {
        assert_eq!(measured(&[1; 100]).rto(), ms(201));
    }

    #[test]
    fn many_samples_of_one_flight_don_t_hide_the_longest() {
        let mut rtt = measured(&[100; 20]);
        let before = rtt.rto();
        let (una, nxt) = (SeqNum::new(1_000), SeqNum::new(2_000));
        rtt.on_sample(100_000, una, nxt);
        rtt.on_sample(1_000_000, una, nxt);
        let after = rtt.rto();
        (0..30).for_each(|_| rtt.on_sample(150_000, una, nxt));
        assert!(
            after > before + ms(100) && rtt.rto() + ms(120) > after,
            "{before:?} {after:?} {:?}",
            rtt.rto()
        );
    }

    #[test]
    fn back_off_doubles_up_to_two_minutes_and_a_sample_ends_it() {
        let mut rtt = RttEstimator::new();
        for wanted in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            assert_eq!(rtt.rto(), Duration::from_secs(wanted));
            rtt.back_off();
        }
        rtt.on_sample(100_000, SeqNum::new(1), SeqNum::new(1));
        assert_eq!(rtt.rto(), ms(100 + 200));
    }

    /// RFC 6298, rule 5.7.
    #[test]
    fn a_repeated_syn_leaves_3_s_for_data() {
        let mut rtt = RttEstimator::new();
        rtt.back_off();
        rtt.on_lost_syn();
        assert_eq!(rtt.rto(), Duration::from_secs(3));
        rtt.on_sample(50_000, SeqNum::new(1), SeqNum::new(1));
        assert_eq!(rtt.rto(), ms(250));
    }
}

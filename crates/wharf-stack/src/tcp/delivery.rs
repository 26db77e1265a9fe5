//! How fast data is delivered, measured with each acknowledgment (draft-cheng-iccrg-delivery-rate-estimation, section 3):
//! what was delivered from when a segment left to when it was acknowledged, over the longer of the times that sending and
//! acknowledging took.
//!
//! What the draft keeps with each packet is kept here once for each moment at which something left: the
//! [scoreboard](super::sack) knows when each piece left, and that is the key.
//!
//! Invariant: departures stand in the order of their times, and only those since the oldest unacknowledged one are kept.
//!
//! Deliberately not here: samples from what left more than once, which may be of either departure.

use alloc::collections::VecDeque;
use core::time::Duration;

use wharf_table::Instant;

use super::park::{Packed, Packer, Unpacker};

/// Moments that are kept apart; beyond, what leaves counts as having left with what left before.
const DEPARTURES_MAX: usize = 1_024;

/// The state when something left.
#[derive(Clone, Copy, Debug)]
struct Departure {
    at: Instant,
    /// P.delivered and P.delivered_time.
    delivered: u64,
    delivered_at: Instant,
    /// P.first_sent_time.
    first_sent: Instant,
    /// On its way then, this included.
    in_flight: u32,
    /// Lost until then.
    lost: u64,
    is_app_limited: bool,
}

/// The connection's state (C) and that of what is on its way (P).
#[derive(Clone, Debug)]
pub(super) struct Deliveries {
    departures: VecDeque<Departure>,
    delivered_at: Instant,
    first_sent: Instant,
    lost: u64,
    /// What leaves until so much is delivered is limited by the application; 0 for none.
    app_limited_until: u64,
}

/// What an acknowledgment tells of the path (rs).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// Bytes delivered over `interval`.
    pub(super) delivered: u64,
    /// Bytes a second; 0 when there is no sample.
    pub(super) rate: u64,
    /// What was delivered when the segment left that is measured.
    pub(super) prior_delivered: u64,
    /// What was on its way then, and what was lost since.
    pub(super) in_flight: u32,
    pub(super) lost: u32,
    pub(super) is_app_limited: bool,
    /// There is one.
    pub(super) is_some: bool,
}

impl Deliveries {
    pub(super) const fn new(now: Instant) -> Deliveries {
        Deliveries {
            departures: VecDeque::new(),
            delivered_at: now,
            first_sent: now,
            lost: 0,
            app_limited_until: 0,
        }
    }

    /// Something leaves (section 3.2), `before` bytes being on their way already and `in_flight` with it.
    pub(super) fn on_sent(&mut self, now: Instant, before: u32, in_flight: u32, delivered: u64) {
        if before == 0 {
            self.departures.clear();
            (self.first_sent, self.delivered_at) = (now, now);
        }
        if let Some(last) = self.departures.back_mut().filter(|last| last.at == now) {
            last.in_flight = last.in_flight.max(in_flight);
            return;
        }
        if self.departures.len() < DEPARTURES_MAX {
            self.departures.push_back(Departure {
                at: now,
                delivered,
                delivered_at: self.delivered_at,
                first_sent: self.first_sent,
                in_flight,
                lost: self.lost,
                is_app_limited: self.app_limited_until > 0,
            });
        }
    }

    /// The application has no more to send, though `in_flight` would let it.
    pub(super) fn on_app_limited(&mut self, delivered: u64, in_flight: u32) {
        self.app_limited_until = (delivered + u64::from(in_flight)).max(1);
    }

    /// So many bytes were lost.
    pub(super) fn on_lost(&mut self, bytes: u32) {
        self.lost += u64::from(bytes);
    }

    /// Something was delivered, of which what left last left at `at`; `delivered` counts it (section 3.3). What is not
    /// acknowledged left at `oldest` or later. A sample over less than `min_rtt` is none.
    pub(super) fn on_delivered(
        &mut self,
        now: Instant,
        at: Option<Instant>,
        oldest: Instant,
        delivered: u64,
        min_rtt: Duration,
    ) -> Sample {
        if self.app_limited_until > 0 && delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        self.delivered_at = now;
        let left = at.and_then(|at| {
            let behind = self.departures.partition_point(|departure| departure.at <= at);
            behind.checked_sub(1).map(|index| self.departures[index])
        });
        let sample = left.map_or_else(Sample::default, |left| {
            self.first_sent = left.at;
            let interval = left.at.since(left.first_sent).max(now.since(left.delivered_at));
            let bytes = delivered.saturating_sub(left.delivered);
            let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1);
            let valid = interval >= min_rtt;
            Sample {
                delivered: bytes,
                rate: if valid { bytes.saturating_mul(1_000_000) / micros } else { 0 },
                prior_delivered: left.delivered,
                in_flight: left.in_flight,
                lost: u32::try_from(self.lost - left.lost).unwrap_or(u32::MAX),
                is_app_limited: left.is_app_limited,
                is_some: true,
            }
        });
        while self.departures.get(1).is_some_and(|second| second.at <= oldest) {
            self.departures.pop_front();
        }
        sample
    }
}

impl Packed for Deliveries {
    fn pack(&self, to: &mut Packer) {
        let Deliveries { departures: _, delivered_at, first_sent, lost, app_limited_until } = self;
        delivered_at.pack(to);
        first_sent.pack(to);
        lost.pack(to);
        app_limited_until.pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let (delivered_at, first_sent) = (Packed::unpack(from), Packed::unpack(from));
        let (lost, app_limited_until) = (Packed::unpack(from), Packed::unpack(from));
        Deliveries { departures: VecDeque::new(), delivered_at, first_sent, lost, app_limited_until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn deliver(deliveries: &mut Deliveries, now: u64, left: u64, delivered: u64) -> Sample {
        deliveries.on_delivered(at(now), Some(at(left)), at(left), delivered, Duration::from_millis(1))
    }

    /// A flight of 10 segments of 1,000 bytes, one a millisecond, over 100 ms: 1 MB/s whichever of them is looked at.
    #[test]
    fn a_steady_flight_has_the_rate_at_which_it_left() {
        let mut deliveries = Deliveries::new(at(0));
        for index in 0..400_u64 {
            deliveries.on_sent(
                at(index),
                index.min(100) as u32 * 1_000,
                index.min(100) as u32 * 1_000 + 1_000,
                index.saturating_sub(100) * 1_000,
            );
            if index >= 100 {
                let sample = deliver(&mut deliveries, index, index - 100, (index - 99) * 1_000);
                if index > 210 {
                    assert!((980_000..=1_020_000).contains(&sample.rate), "{index}: {sample:?}");
                }
            }
        }
        assert!(deliveries.departures.len() <= 101);
    }

    /// Acknowledgments that come all at once do not make the path fast: the time that sending took counts.
    #[test]
    fn compressed_acknowledgments_do_not_raise_the_rate() {
        let mut deliveries = Deliveries::new(at(0));
        for index in 0..10_u64 {
            deliveries.on_sent(at(index * 10), index as u32 * 1_000, index as u32 * 1_000 + 1_000, 0);
        }
        deliver(&mut deliveries, 190, 0, 1_000);
        let sample = deliver(&mut deliveries, 191, 90, 10_000);
        assert_eq!(sample.rate, 10_000 * 1_000 / 191);
    }

    #[test]
    fn what_is_too_short_for_a_round_trip_is_no_sample() {
        let mut deliveries = Deliveries::new(at(0));
        deliveries.on_sent(at(10), 0, 1_000, 0);
        let sample = deliveries.on_delivered(at(11), Some(at(10)), at(10), 1_000, Duration::from_millis(2));
        assert_eq!((sample.rate, sample.is_some), (0, true));
    }

    #[test]
    fn what_leaves_while_the_application_pauses_says_so_until_that_is_delivered() {
        let mut deliveries = Deliveries::new(at(0));
        deliveries.on_sent(at(0), 0, 1_000, 0);
        deliveries.on_app_limited(0, 1_000);
        deliveries.on_sent(at(10), 1_000, 2_000, 0);
        assert!(!deliver(&mut deliveries, 100, 0, 1_000).is_app_limited);
        assert!(deliver(&mut deliveries, 110, 10, 2_000).is_app_limited);
        deliveries.on_sent(at(120), 1_000, 2_000, 2_000);
        assert!(!deliver(&mut deliveries, 220, 120, 3_000).is_app_limited);
    }
}

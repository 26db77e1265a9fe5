//! The model of the path: round trips counted in deliveries, the rate of the bottleneck, what losses allow, bursts of
//! acknowledgments, the least round trip (draft-ietf-ccwg-bbr, section 4.5).

use core::time::Duration;

use wharf_table::Instant;

use super::{Bbr, Path, Phase, UNBOUND};
use crate::tcp::delivery::Sample;

/// BBRBeta = 0.7, BBRLossThresh = 2 %.
const BETA: u64 = 70;
pub(super) const LOSS_THRESH: u64 = 2;
/// For how long the least round trip is believed (BBRMinRTTFilterLen), and how often it is probed (BBRProbeRTTInterval).
const MIN_RTT_FILTER: Duration = Duration::from_secs(10);
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// Half of the rounds for which bursts of acknowledgments are remembered (BBRExtraAckedFilterLen = 10).
const EXTRA_ACKED_ROUNDS: u32 = 5;

/// `percent` hundredths.
pub(super) fn percent(value: u64, percent: u64) -> u64 {
    (u128::from(value) * u128::from(percent) / 100) as u64
}

/// Round trips, each over when what was delivered at its beginning is.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    pub(super) count: u32,
    next_delivered: u64,
    /// The last acknowledgment began one.
    pub(super) started: bool,
}

impl Rounds {
    pub(super) fn start(&mut self, delivered: u64) {
        self.next_delivered = delivered;
    }

    fn update(&mut self, sample: &Sample, delivered: u64) {
        self.started = sample.is_some && sample.prior_delivered >= self.next_delivered;
        if self.started {
            self.start(delivered);
            self.count = self.count.wrapping_add(1);
        }
    }
}

/// The rate of the bottleneck: the highest of the last two probes, and what losses leave of it for now.
#[derive(Clone, Debug)]
pub(super) struct Bandwidth {
    hi: [u64; 2],
    pub(super) lo: u64,
    latest: u64,
}

impl Default for Bandwidth {
    fn default() -> Bandwidth {
        Bandwidth { hi: [0; 2], lo: u64::MAX, latest: 0 }
    }
}

impl Bandwidth {
    pub(super) fn max(&self) -> u64 {
        let [now, before] = self.hi;
        now.max(before)
    }

    /// A probe is over (BBRAdvanceMaxBwFilter).
    pub(super) fn advance(&mut self) {
        if self.hi[0] > 0 {
            self.hi = [0, self.hi[0]];
        }
    }
}

/// What losses allow to be on its way.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) inflight_hi: u32,
    pub(super) inflight_lo: u32,
    pub(super) inflight_latest: u64,
    pub(super) loss_in_round: bool,
    pub(super) loss_events: u8,
    loss_round_delivered: u64,
    pub(super) loss_round_started: bool,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            inflight_hi: UNBOUND,
            inflight_lo: UNBOUND,
            inflight_latest: 0,
            loss_in_round: false,
            loss_events: 0,
            loss_round_delivered: 0,
            loss_round_started: false,
        }
    }
}

/// How much more than the model says comes acknowledged at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Aggregation {
    since: Instant,
    delivered: u64,
    /// The most of these rounds and of those before.
    extra: [u32; 2],
    rotated: u32,
}

impl Aggregation {
    pub(super) fn most(&self) -> u32 {
        let [now, before] = self.extra;
        now.max(before)
    }

    /// Idle time is none in which acknowledgments were missing.
    pub(super) fn restart(&mut self, idle: Duration) {
        self.since += idle;
    }
}

/// The least round trips of 10 s and of 5 s.
#[derive(Clone, Debug)]
pub(super) struct MinRtt {
    micros: u32,
    at: Instant,
    probed_micros: u32,
    pub(super) probed_at: Instant,
    pub(super) probe_is_due: bool,
}

impl Default for MinRtt {
    fn default() -> MinRtt {
        MinRtt {
            micros: UNBOUND,
            at: Instant::ZERO,
            probed_micros: UNBOUND,
            probed_at: Instant::ZERO,
            probe_is_due: false,
        }
    }
}

impl MinRtt {
    pub(super) fn get(&self) -> Option<Duration> {
        (self.micros != UNBOUND).then(|| Duration::from_micros(self.micros.into()))
    }

    /// BBRUpdateMinRTT.
    pub(super) fn update(&mut self, rtt: Option<Duration>, now: Instant) {
        let known = self.probed_micros != UNBOUND;
        self.probe_is_due = known && now.since(self.probed_at) > PROBE_RTT_INTERVAL;
        if let Some(rtt) = rtt {
            let micros = u32::try_from(rtt.as_micros()).unwrap_or(UNBOUND - 1).max(1);
            if micros <= self.probed_micros || self.probe_is_due {
                (self.probed_micros, self.probed_at) = (micros, now);
            }
        }
        if self.probed_micros <= self.micros || now.since(self.at) > MIN_RTT_FILTER {
            (self.micros, self.at) = (self.probed_micros, self.probed_at);
        }
    }
}

impl Bbr {
    pub(super) fn update_model(&mut self, cwnd: u32, sample: &Sample, path: &Path) {
        self.update_latest(sample, path);
        self.rounds.update(sample, path.delivered);
        if self.rounds.started {
            self.probe.rounds = self.probe.rounds.saturating_add(1);
        }
        if sample.rate > 0 && (sample.rate >= self.bandwidth.max() || !sample.is_app_limited) {
            self.bandwidth.hi[0] = self.bandwidth.hi[0].max(sample.rate);
        }
        if path.newly_lost > 0 {
            self.bounds.loss_in_round = true;
            self.bounds.loss_events = self.bounds.loss_events.saturating_add(1);
        }
        if self.bounds.loss_round_started && self.bounds.loss_in_round && !self.phase.is_probing() {
            self.lower_bounds(cwnd);
        }
        self.update_aggregation(cwnd, path);
    }

    /// BBRUpdateLatestDeliverySignals.
    fn update_latest(&mut self, sample: &Sample, path: &Path) {
        let bounds = &mut self.bounds;
        self.bandwidth.latest = self.bandwidth.latest.max(sample.rate);
        bounds.inflight_latest = bounds.inflight_latest.max(sample.delivered);
        bounds.loss_round_started = sample.is_some && sample.prior_delivered >= bounds.loss_round_delivered;
        if bounds.loss_round_started {
            bounds.loss_round_delivered = path.delivered;
        }
    }

    /// A round with losses: the short-term bounds begin at what is and fall (BBRLossLowerBounds).
    fn lower_bounds(&mut self, cwnd: u32) {
        let bandwidth = &mut self.bandwidth;
        let lo = if bandwidth.lo == u64::MAX { bandwidth.max() } else { bandwidth.lo };
        bandwidth.lo = bandwidth.latest.max(percent(lo, BETA)).max(1);
        let lo = if self.bounds.inflight_lo == UNBOUND { cwnd } else { self.bounds.inflight_lo };
        let lo = self.bounds.inflight_latest.max(percent(lo.into(), BETA));
        self.bounds.inflight_lo = u32::try_from(lo).unwrap_or(UNBOUND - 1);
    }

    pub(super) fn reset_lower_bounds(&mut self) {
        (self.bandwidth.lo, self.bounds.inflight_lo) = (u64::MAX, UNBOUND);
    }

    /// BBRResetCongestionSignals.
    pub(super) fn reset_signals(&mut self) {
        (self.bounds.loss_in_round, self.bounds.loss_events) = (false, 0);
        (self.bandwidth.latest, self.bounds.inflight_latest) = (0, 0);
    }

    /// BBRAdvanceLatestDeliverySignals; the round's losses are told.
    pub(super) fn advance_signals(&mut self, sample: &Sample) {
        if self.bounds.loss_round_started {
            (self.bandwidth.latest, self.bounds.inflight_latest) = (sample.rate, sample.delivered);
            (self.bounds.loss_in_round, self.bounds.loss_events) = (false, 0);
        }
    }

    /// BBRUpdateACKAggregation.
    fn update_aggregation(&mut self, cwnd: u32, path: &Path) {
        let bw = self.bw();
        let aggregation = &mut self.aggregation;
        let elapsed = path.now.since(aggregation.since).as_micros();
        let mut expected = u64::try_from(u128::from(bw) * elapsed / 1_000_000).unwrap_or(u64::MAX);
        if aggregation.delivered <= expected {
            (aggregation.delivered, aggregation.since, expected) = (0, path.now, 0);
        }
        aggregation.delivered += u64::from(path.newly_delivered);
        let extra = u32::try_from(aggregation.delivered - expected).unwrap_or(UNBOUND).min(cwnd);
        let rounds = if self.probe.full_bw_reached { EXTRA_ACKED_ROUNDS } else { 1 };
        if self.rounds.count.wrapping_sub(aggregation.rotated) >= rounds {
            (aggregation.extra, aggregation.rotated) = ([0, aggregation.extra[0]], self.rounds.count);
        }
        aggregation.extra[0] = aggregation.extra[0].max(extra);
    }

    /// More was lost of what was on its way than the path may lose (IsInflightTooHigh).
    pub(super) fn is_inflight_too_high(&self, sample: &Sample) -> bool {
        sample.is_some && u64::from(sample.lost) > percent(sample.in_flight.into(), LOSS_THRESH)
    }

    /// How much was on its way when the losses crossed the threshold (BBRInflightHiFromLostPacket).
    pub(super) fn inflight_at_loss(&self, sample: &Sample, size: u32) -> u32 {
        let before = u64::from(sample.in_flight.saturating_sub(size));
        let lost = u64::from(sample.lost.saturating_sub(size));
        let prefix = percent(before, LOSS_THRESH).saturating_sub(lost) * 100 / (100 - LOSS_THRESH);
        u32::try_from(before + prefix).unwrap_or(UNBOUND - 1)
    }

    /// BBRBeta of what the pipe holds.
    pub(super) fn beta_of_target(&self, cwnd: u32) -> u32 {
        percent(self.target_inflight(cwnd).into(), BETA) as u32
    }

    pub(super) const fn is_in(&self, phase: Phase) -> bool {
        self.phase as u8 == phase as u8
    }
}

crate::tcp::park::packed!(struct Rounds { count, next_delivered, started });
crate::tcp::park::packed!(struct Bandwidth { hi, lo, latest });
crate::tcp::park::packed!(struct Bounds {
    inflight_hi, inflight_lo, inflight_latest, loss_in_round, loss_events, loss_round_delivered, loss_round_started,
});
crate::tcp::park::packed!(struct Aggregation { since, delivered, extra, rotated });
crate::tcp::park::packed!(struct MinRtt { micros, at, probed_micros, probed_at, probe_is_due });

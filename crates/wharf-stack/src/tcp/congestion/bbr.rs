//! BBRv3 (draft-ietf-ccwg-bbr): a model of the path (the rate of its bottleneck and the least round trip) says how fast
//! data leaves and how much may be on its way.
//!
//! The names are the draft's. On an acknowledgment's way: [`Bbr::on_sample`] updates the model ([`model`]), then the phase
//! ([`phases`]), then the rate and the window. Losses bound the model from above for good (`inflight_hi`) and for a while
//! (`bw_lo`, `inflight_lo`). A mark of RFC 3168 counts as a loss in its round, since the draft says nothing else of it.
//!
//! Invariants: the window is never below four segments but right after a time-out; the rate is never 0.
//!
//! Deliberately not here: a response to L4S marks, and undoing a spurious loss (the next probe forgets it).

mod model;
mod phases;

use core::time::Duration;

use wharf_table::Instant;

use super::{Ack, CongestionControl, Window, initial_window};
use crate::tcp::delivery::Sample;
use phases::{AckPhase, Phase};

/// The least window, in segments (BBRMinPipeCwnd).
const MIN_PIPE_SEGMENTS: u32 = 4;
/// Gains are in hundredths. Startup: 4 ln 2 and 2.
const STARTUP_PACING_GAIN: u32 = 277;
const CWND_GAIN: u32 = 200;
/// The rate stays a hundredth below the model's (BBRPacingMarginPercent).
const PACING_MARGIN: u64 = 99;
/// No bound.
const UNBOUND: u32 = u32::MAX;

/// The path as the connection sees it with an acknowledgment.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Path {
    pub(in crate::tcp) now: Instant,
    /// Bytes delivered since the connection began.
    pub(in crate::tcp) delivered: u64,
    /// Bytes newly delivered, and newly lost.
    pub(in crate::tcp) newly_delivered: u32,
    pub(in crate::tcp) newly_lost: u32,
    /// Bytes on their way now.
    pub(in crate::tcp) in_flight: u32,
    /// The round trip, when this acknowledgment measured one.
    pub(in crate::tcp) rtt: Option<Duration>,
    pub(in crate::tcp) mss: u32,
    /// The window held data back in the last flight.
    pub(in crate::tcp) is_cwnd_limited: bool,
}

/// The model and the phase.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Bbr {
    phase: Phase,
    ack_phase: AckPhase,
    pacing_rate: u64,
    /// In hundredths.
    pacing_gain: u32,
    cwnd_gain: u32,
    prior_cwnd: u32,
    mss: u32,
    seed: u32,
    rounds: model::Rounds,
    bandwidth: model::Bandwidth,
    bounds: model::Bounds,
    aggregation: model::Aggregation,
    min_rtt: model::MinRtt,
    probe: phases::Probe,
}

impl Bbr {
    pub(super) fn new() -> Bbr {
        Bbr {
            phase: Phase::Startup,
            ack_phase: AckPhase::Init,
            pacing_rate: 0,
            pacing_gain: STARTUP_PACING_GAIN,
            cwnd_gain: CWND_GAIN,
            prior_cwnd: 0,
            mss: 0,
            seed: 0,
            rounds: model::Rounds::default(),
            bandwidth: model::Bandwidth::default(),
            bounds: model::Bounds::default(),
            aggregation: model::Aggregation::default(),
            min_rtt: model::MinRtt::default(),
            probe: phases::Probe::default(),
        }
    }

    /// In bytes a second; before the first sample, that of the initial window over the first round trip.
    pub(in crate::tcp) fn pacing_rate(&self, cwnd: u32, srtt: Option<Duration>) -> u64 {
        if self.pacing_rate > 0 {
            return self.pacing_rate;
        }
        let micros = srtt.map_or(1_000, |srtt| u64::try_from(srtt.as_micros()).unwrap_or(u64::MAX)).max(1);
        u64::from(cwnd) * u64::from(STARTUP_PACING_GAIN) * 10_000 / micros
    }

    /// The shortest round trip of late; none before the first.
    pub(in crate::tcp) fn min_rtt(&self) -> Duration {
        self.min_rtt.get().unwrap_or_default()
    }

    /// An acknowledgment has come (BBRUpdateOnACK).
    pub(super) fn on_sample(&mut self, window: &mut Window, sample: &Sample, path: &Path) {
        self.mss = path.mss;
        self.update_model(window.cwnd, sample, path);
        self.update_phase(window, sample, path);
        self.advance_signals(sample);
        self.set_pacing_rate(self.pacing_gain);
        self.set_window(window, path);
    }

    /// The rate follows the model; it does not fall before the pipe was full once (BBRSetPacingRateWithGain).
    fn set_pacing_rate(&mut self, gain: u32) {
        let bw = self.bw();
        if bw == 0 {
            return;
        }
        let rate = (u128::from(bw) * u128::from(gain) * u128::from(PACING_MARGIN) / 10_000) as u64;
        if self.probe.full_bw_reached || rate > self.pacing_rate {
            self.pacing_rate = rate.max(1);
        }
    }

    fn min_pipe(&self) -> u32 {
        MIN_PIPE_SEGMENTS * self.mss
    }

    /// The rate that the model allows now.
    fn bw(&self) -> u64 {
        self.bandwidth.max().min(self.bandwidth.lo)
    }

    /// What `gain` (in hundredths) pipes hold (BBRBDPMultiple).
    fn bdp(&self, bw: u64, gain: u32) -> u32 {
        let Some(rtt) = self.min_rtt.get() else { return initial_window(self.mss) };
        let bytes = u128::from(bw) * rtt.as_micros() * u128::from(gain) / 100_000_000;
        u32::try_from(bytes).unwrap_or(UNBOUND)
    }

    /// The same, and no less than what bursts need (BBRQuantizationBudget).
    fn quantized(&self, inflight: u32) -> u32 {
        let quantum = (self.pacing_rate / 1_000).min(64 * 1024) as u32;
        let inflight = inflight.max(3 * quantum.max(self.mss)).max(self.min_pipe());
        if self.phase == Phase::Up { inflight.saturating_add(2 * self.mss) } else { inflight }
    }

    fn inflight(&self, gain: u32) -> u32 {
        self.quantized(self.bdp(self.bw(), gain))
    }

    /// BBRTargetInflight.
    fn target_inflight(&self, cwnd: u32) -> u32 {
        self.bdp(self.bw(), 100).min(cwnd)
    }

    fn probe_rtt_cwnd(&self) -> u32 {
        self.bdp(self.bw(), 50).max(self.min_pipe())
    }

    /// BBRSetCwnd.
    fn set_window(&mut self, window: &mut Window, path: &Path) {
        let most =
            self.quantized(self.bdp(self.bw(), self.cwnd_gain).saturating_add(self.aggregation.most()));
        let mut cwnd = window.cwnd;
        if path.newly_lost > 0 {
            cwnd = cwnd.saturating_sub(path.newly_lost).max(self.mss);
        }
        let grown = cwnd.saturating_add(path.newly_delivered);
        if self.probe.full_bw_reached {
            cwnd = grown.min(most);
        } else if cwnd < most || path.delivered < u64::from(initial_window(self.mss)) {
            cwnd = grown;
        }
        cwnd = cwnd.max(self.min_pipe());
        if self.phase == Phase::ProbeRtt {
            cwnd = cwnd.min(self.probe_rtt_cwnd());
        }
        let bound = match self.phase {
            Phase::Down | Phase::Refill | Phase::Up => self.bounds.inflight_hi,
            Phase::Cruise | Phase::ProbeRtt => self.inflight_with_headroom(),
            Phase::Startup | Phase::Drain => UNBOUND,
        };
        window.cwnd = cwnd.min(bound.min(self.bounds.inflight_lo).max(self.min_pipe()));
    }

    fn inflight_with_headroom(&self) -> u32 {
        match self.bounds.inflight_hi {
            UNBOUND => UNBOUND,
            // BBRHeadroom = 0.15
            hi => (hi - (hi / 100 * 15).max(self.mss).min(hi)).max(self.min_pipe()),
        }
    }

    fn save_window(&mut self, cwnd: u32) {
        self.prior_cwnd = if self.phase == Phase::ProbeRtt { self.prior_cwnd.max(cwnd) } else { cwnd };
    }
}

impl CongestionControl for Bbr {
    /// It grows by the model.
    fn on_ack(&mut self, _: &mut Window, _: &Ack) {}

    /// The window stays; the model hears of it. Slow start never ends by a threshold.
    fn on_loss(&mut self, _cwnd: u32, _flight: u32) -> u32 {
        self.bounds.loss_in_round = true;
        u32::MAX
    }

    fn on_idle(&mut self, idle: Duration) {
        self.probe.idle_restart = true;
        self.aggregation.restart(idle);
        if self.phase.is_probe_bw() {
            self.set_pacing_rate(100);
        }
    }
}

crate::tcp::park::packed!(struct Bbr {
    phase, ack_phase, pacing_rate, pacing_gain, cwnd_gain, prior_cwnd, mss, seed, rounds, bandwidth, bounds,
    aggregation, min_rtt, probe,
});

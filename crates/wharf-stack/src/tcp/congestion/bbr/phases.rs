//! The phases: Startup finds the rate, Drain empties the queue that this made, then the rate is probed up and down in turn,
//! and now and then the window is cut so that the least round trip shows (draft-ietf-ccwg-bbr, section 4.3).

use core::time::Duration;

use wharf_table::Instant;

use super::model::percent;
use super::{Bbr, CWND_GAIN, Path, STARTUP_PACING_GAIN, UNBOUND, Window};
use crate::tcp::delivery::Sample;

/// Gains in hundredths: Drain, ProbeBW_DOWN, and ProbeBW_UP with its window.
const DRAIN_PACING_GAIN: u32 = 50;
const DOWN_PACING_GAIN: u32 = 90;
const UP_PACING_GAIN: u32 = 125;
const UP_CWND_GAIN: u32 = 225;
const PROBE_RTT_CWND_GAIN: u32 = 50;
/// The pipe is full when the rate has not grown by a quarter in three rounds.
const FULL_BW_GROWTH: u64 = 125;
const FULL_BW_ROUNDS: u8 = 3;
/// Or when so many acknowledgments of a round told of losses (BBRStartupFullLossCnt).
const FULL_LOSS_EVENTS: u8 = 6;
/// The rate is probed after 2 to 3 s, or after as many rounds as Reno would take to fill the pipe, 63 at most.
const PROBE_WAIT: Duration = Duration::from_secs(2);
const PROBE_WAIT_SPREAD_MS: u32 = 1_000;
const RENO_ROUNDS_MAX: u32 = 63;
/// BBRProbeRTTDuration.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Startup,
    Drain,
    Down,
    Cruise,
    Refill,
    Up,
    ProbeRtt,
}

impl Phase {
    pub(super) const fn is_probe_bw(self) -> bool {
        matches!(self, Phase::Down | Phase::Cruise | Phase::Refill | Phase::Up)
    }

    /// Losses are the price of finding out (IsProbingBW).
    pub(super) const fn is_probing(self) -> bool {
        matches!(self, Phase::Startup | Phase::Refill | Phase::Up)
    }
}

/// What acknowledgments tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    Starting,
    Feedback,
    Stopping,
}

/// Where a probe stands.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    full_bw: u64,
    full_bw_count: u8,
    full_bw_now: bool,
    pub(super) full_bw_reached: bool,
    pub(super) rounds: u32,
    wait: Duration,
    since: Instant,
    up_rounds: u8,
    /// Bytes acknowledged towards the next growth of `inflight_hi`, times the growth of a window.
    up_acked: u64,
    /// Losses are those of a probe.
    samples: bool,
    pub(super) idle_restart: bool,
    rtt_done: Option<Instant>,
    rtt_round_done: bool,
}

impl Default for Probe {
    fn default() -> Probe {
        Probe {
            full_bw: 0,
            full_bw_count: 0,
            full_bw_now: false,
            full_bw_reached: false,
            rounds: 0,
            wait: Duration::ZERO,
            since: Instant::ZERO,
            up_rounds: 0,
            up_acked: 0,
            samples: false,
            idle_restart: false,
            rtt_done: None,
            rtt_round_done: false,
        }
    }
}

impl Probe {
    fn reset_full_bw(&mut self, full_bw: u64) {
        (self.full_bw, self.full_bw_count, self.full_bw_now) = (full_bw, 0, false);
    }
}

impl Bbr {
    pub(super) fn update_phase(&mut self, window: &mut Window, sample: &Sample, path: &Path) {
        self.check_full_bw(sample);
        self.check_startup(sample);
        if self.is_in(Phase::Drain) && path.in_flight <= self.inflight(100) {
            self.start_down(path);
        }
        self.update_probe_bw(window.cwnd, sample, path);
        self.min_rtt.update(path.rtt, path.now);
        self.check_probe_rtt(window, path);
        if sample.delivered > 0 {
            self.probe.idle_restart = false;
        }
    }

    fn enter(&mut self, phase: Phase, pacing_gain: u32, cwnd_gain: u32) {
        (self.phase, self.pacing_gain, self.cwnd_gain) = (phase, pacing_gain, cwnd_gain);
    }

    /// BBRCheckFullBWReached.
    fn check_full_bw(&mut self, sample: &Sample) {
        if self.probe.full_bw_now || !self.rounds.started || sample.is_app_limited || sample.rate == 0 {
            return;
        }
        if sample.rate >= percent(self.probe.full_bw, FULL_BW_GROWTH) {
            return self.probe.reset_full_bw(sample.rate);
        }
        self.probe.full_bw_count += 1;
        self.probe.full_bw_now = self.probe.full_bw_count >= FULL_BW_ROUNDS;
        self.probe.full_bw_reached |= self.probe.full_bw_now;
    }

    /// BBRCheckStartupDone with BBRCheckStartupHighLoss.
    fn check_startup(&mut self, sample: &Sample) {
        if !self.is_in(Phase::Startup) {
            return;
        }
        let many = self.bounds.loss_round_started && self.bounds.loss_events >= FULL_LOSS_EVENTS;
        if many && self.is_inflight_too_high(sample) {
            self.probe.full_bw_reached = true;
            let latest = u32::try_from(self.bounds.inflight_latest).unwrap_or(UNBOUND - 1);
            self.bounds.inflight_hi = latest.max(self.bdp(self.bw(), 100));
        }
        if self.probe.full_bw_reached {
            self.enter(Phase::Drain, DRAIN_PACING_GAIN, CWND_GAIN);
        }
    }

    fn update_probe_bw(&mut self, cwnd: u32, sample: &Sample, path: &Path) {
        if !self.probe.full_bw_reached {
            return;
        }
        self.adapt_upper_bounds(cwnd, sample, path);
        match self.phase {
            Phase::Down if self.is_time_to_probe(cwnd, path.now) => self.start_refill(path),
            Phase::Down if self.is_time_to_cruise(path) => self.start_cruise(),
            Phase::Cruise if self.is_time_to_probe(cwnd, path.now) => self.start_refill(path),
            Phase::Refill if self.rounds.started => {
                self.probe.samples = true;
                self.start_up(sample, path);
            }
            Phase::Up => self.go_down_if_full(cwnd, sample, path),
            _ => {}
        }
    }

    /// BBRAdaptUpperBounds.
    fn adapt_upper_bounds(&mut self, cwnd: u32, sample: &Sample, path: &Path) {
        if self.rounds.started && self.ack_phase == AckPhase::Starting {
            self.ack_phase = AckPhase::Feedback;
        }
        if self.rounds.started && self.ack_phase == AckPhase::Stopping {
            self.ack_phase = AckPhase::Init;
            if self.phase.is_probe_bw() && !sample.is_app_limited {
                self.bandwidth.advance();
            }
        }
        if self.is_inflight_too_high(sample) {
            if self.probe.samples {
                self.on_inflight_too_high(cwnd, sample, path);
            }
        } else if self.bounds.inflight_hi != UNBOUND && sample.is_some {
            self.bounds.inflight_hi = self.bounds.inflight_hi.max(sample.in_flight);
            if self.is_in(Phase::Up) {
                self.raise_inflight_hi(cwnd, path);
            }
        }
    }

    /// BBRHandleInflightTooHigh.
    fn on_inflight_too_high(&mut self, cwnd: u32, sample: &Sample, path: &Path) {
        self.probe.samples = false;
        if !sample.is_app_limited {
            let inflight = self.inflight_at_loss(sample, path.newly_lost);
            self.bounds.inflight_hi = inflight.max(self.beta_of_target(cwnd));
        }
        if self.is_in(Phase::Up) {
            self.start_down(path);
        }
    }

    /// The bound grows by a segment in the first round, by two in the second, by four ... (BBRProbeInflightHiUpward).
    fn raise_inflight_hi(&mut self, cwnd: u32, path: &Path) {
        if self.rounds.started {
            self.probe.up_rounds = (self.probe.up_rounds + 1).min(30);
        }
        if !path.is_cwnd_limited || cwnd < self.bounds.inflight_hi {
            return;
        }
        let growth = u64::from(path.mss) << self.probe.up_rounds;
        self.probe.up_acked += u64::from(path.newly_delivered) * growth.min(cwnd.into());
        let grown = self.probe.up_acked / u64::from(cwnd.max(1));
        self.probe.up_acked %= u64::from(cwnd.max(1));
        let hi = u64::from(self.bounds.inflight_hi) + grown;
        self.bounds.inflight_hi = u32::try_from(hi).unwrap_or(UNBOUND - 1);
    }

    fn is_time_to_probe(&self, cwnd: u32, now: Instant) -> bool {
        let reno = (self.target_inflight(cwnd) / self.mss.max(1)).min(RENO_ROUNDS_MAX);
        now.since(self.probe.since) > self.probe.wait || self.probe.rounds >= reno
    }

    fn is_time_to_cruise(&self, path: &Path) -> bool {
        let pipe = self.quantized(self.bdp(self.bandwidth.max(), 100));
        path.in_flight <= self.inflight_with_headroom() && path.in_flight <= pipe
    }

    /// The rate grows no more though more is sent (BBRIsTimeToGoDown).
    fn go_down_if_full(&mut self, cwnd: u32, sample: &Sample, path: &Path) {
        if path.is_cwnd_limited && cwnd >= self.bounds.inflight_hi {
            // What holds it back is the bound, which grows.
            self.probe.reset_full_bw(sample.rate);
        } else if self.probe.full_bw_now {
            self.start_down(path);
        }
    }

    fn start_down(&mut self, path: &Path) {
        self.reset_signals();
        self.pick_wait(path);
        self.probe.since = path.now;
        self.ack_phase = AckPhase::Stopping;
        self.rounds.start(path.delivered);
        self.enter(Phase::Down, DOWN_PACING_GAIN, CWND_GAIN);
    }

    /// Chance keeps flows from probing at the same time (BBRPickProbeWait). Nobody gains by guessing it.
    fn pick_wait(&mut self, path: &Path) {
        let mixed = self.seed ^ path.now.micros() as u32 ^ (path.delivered as u32).rotate_left(16);
        self.seed = mixed.wrapping_mul(0x9e37_79b1).rotate_left(13).wrapping_mul(0x85eb_ca6b);
        self.probe.rounds = self.seed >> 31;
        let spread = Duration::from_millis((self.seed % PROBE_WAIT_SPREAD_MS).into());
        self.probe.wait = PROBE_WAIT + spread;
    }

    fn start_cruise(&mut self) {
        self.enter(Phase::Cruise, 100, CWND_GAIN);
    }

    fn start_refill(&mut self, path: &Path) {
        self.reset_lower_bounds();
        (self.probe.up_rounds, self.probe.up_acked) = (0, 0);
        self.ack_phase = AckPhase::Refilling;
        self.rounds.start(path.delivered);
        self.enter(Phase::Refill, 100, CWND_GAIN);
    }

    fn start_up(&mut self, sample: &Sample, path: &Path) {
        self.ack_phase = AckPhase::Starting;
        self.rounds.start(path.delivered);
        self.probe.reset_full_bw(sample.rate);
        self.probe.since = path.now;
        self.enter(Phase::Up, UP_PACING_GAIN, UP_CWND_GAIN);
    }

    /// BBRCheckProbeRTT.
    fn check_probe_rtt(&mut self, window: &mut Window, path: &Path) {
        if !self.is_in(Phase::ProbeRtt) && self.min_rtt.probe_is_due && !self.probe.idle_restart {
            self.save_window(window.cwnd);
            self.enter(Phase::ProbeRtt, 100, PROBE_RTT_CWND_GAIN);
            self.probe.rtt_done = None;
            self.ack_phase = AckPhase::Stopping;
            self.rounds.start(path.delivered);
        }
        if self.is_in(Phase::ProbeRtt) {
            self.on_probe_rtt(window, path);
        }
    }

    fn on_probe_rtt(&mut self, window: &mut Window, path: &Path) {
        match self.probe.rtt_done {
            None if path.in_flight <= self.probe_rtt_cwnd() => {
                self.probe.rtt_done = Some(path.now + PROBE_RTT_DURATION);
                self.probe.rtt_round_done = false;
                self.rounds.start(path.delivered);
            }
            Some(done) => {
                self.probe.rtt_round_done |= self.rounds.started;
                if self.probe.rtt_round_done && path.now > done {
                    self.min_rtt.probed_at = path.now;
                    window.cwnd = window.cwnd.max(self.prior_cwnd);
                    self.leave_probe_rtt(path);
                }
            }
            None => {}
        }
    }

    fn leave_probe_rtt(&mut self, path: &Path) {
        self.reset_lower_bounds();
        if self.probe.full_bw_reached {
            self.start_down(path);
            self.start_cruise();
        } else {
            self.enter(Phase::Startup, STARTUP_PACING_GAIN, CWND_GAIN);
        }
    }
}

crate::tcp::park::packed!(enum Phase {
    0 = Startup, 1 = Drain, 2 = Down, 3 = Cruise, 4 = Refill, 5 = Up, 6 = ProbeRtt,
});
crate::tcp::park::packed!(enum AckPhase { 0 = Init, 1 = Refilling, 2 = Starting, 3 = Feedback, 4 = Stopping });
crate::tcp::park::packed!(struct Probe {
    full_bw, full_bw_count, full_bw_now, full_bw_reached, rounds, wait, since, up_rounds, up_acked, samples,
    idle_restart, rtt_done, rtt_round_done,
});

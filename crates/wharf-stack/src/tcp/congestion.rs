//! The congestion window: slow start and the way down, the same for all who go by losses (RFC 5681); the algorithms differ
//! in how the window grows and how far it falls. [`bbr`] goes by a model of the path instead.
//!
//! Which data is lost, and when a loss is one event, is [`recovery`](super::recovery)'s question; whether a window is used at
//! all, [`usage`]'s. Windows are in bytes.
//!
//! Deliberately not here: a registry of algorithms, and the less-than-best-effort ones.

mod bbr;
mod cubic;
mod hystart;
mod newreno;
mod usage;

use alloc::boxed::Box;
use core::time::Duration;

use wharf_table::Instant;

use super::delivery::Sample;
use super::seq::SeqNum;
use bbr::Bbr;
use cubic::Cubic;
use newreno::NewReno;

pub(super) use bbr::Path;
pub(super) use usage::{Flight, Usage};

/// Segments of the initial window (RFC 6928, section 2).
const INITIAL_SEGMENTS: u32 = 10;
/// And its most in bytes, but two segments in any case.
const INITIAL_BYTES: u32 = 14_600;
/// No window grows beyond.
const WINDOW_MAX: u32 = 1 << 30;

/// Which algorithm decides how much may be on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionKind {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406), as in Linux.
    #[default]
    Cubic,
    /// NewReno (RFC 5681).
    NewReno,
    /// BBRv3 (draft-ietf-ccwg-bbr), which paces.
    Bbr,
}

impl CongestionKind {
    /// All of them, the default first.
    pub const ALL: [CongestionKind; 3] =
        [CongestionKind::Cubic, CongestionKind::NewReno, CongestionKind::Bbr];

    /// The name that Linux' TCP_CONGESTION has for it.
    pub const fn name(self) -> &'static str {
        match self {
            CongestionKind::Cubic => "cubic",
            CongestionKind::NewReno => "reno",
            CongestionKind::Bbr => "bbr",
        }
    }

    /// The algorithm of this name.
    pub fn from_name(name: &str) -> Option<CongestionKind> {
        CongestionKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The window and where slow start ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    cwnd: u32,
    ssthresh: u32,
}

impl Window {
    /// Slow start: a byte for each byte acknowledged (RFC 5681, section 3.1). What of `acked` was not needed to reach
    /// `ssthresh`.
    fn slow_start(&mut self, acked: u32) -> u32 {
        let grown = self.cwnd.saturating_add(acked).min(self.ssthresh).min(WINDOW_MAX);
        let used = grown.saturating_sub(self.cwnd);
        self.cwnd += used;
        acked - used
    }
}

/// An acknowledgment of data that filled the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    /// Bytes that it acknowledges.
    pub(super) acked: u32,
    /// A full segment.
    pub(super) mss: u32,
    /// The most that leaves at once.
    pub(super) burst: u32,
    pub(super) now: Instant,
    /// The smoothed round trip.
    pub(super) srtt: Duration,
    pub(super) snd_una: SeqNum,
    pub(super) snd_nxt: SeqNum,
}

/// The part in which the algorithms differ.
trait CongestionControl {
    /// The window grows.
    fn on_ack(&mut self, window: &mut Window, ack: &Ack);

    /// `ssthresh` after a loss, not less than two segments yet. `flight` bytes were in use.
    fn on_loss(&mut self, cwnd: u32, flight: u32) -> u32;

    /// The retransmission timer ran out; `ssthresh` has fallen before.
    fn on_timeout(&mut self) {}

    /// Nothing was sent for `idle`.
    fn on_idle(&mut self, _idle: Duration) {}

    /// Data was acknowledged that did not fill the window.
    fn on_unused(&mut self, _now: Instant) {}
}

/// Whose state a connection keeps.
#[derive(Clone, Debug)]
enum Algorithm {
    Cubic(Cubic),
    NewReno(NewReno),
    /// Its model is large, and few ask for it.
    Bbr(Box<Bbr>),
}

impl Algorithm {
    fn new(kind: CongestionKind) -> Algorithm {
        match kind {
            CongestionKind::Cubic => Algorithm::Cubic(Cubic::new()),
            CongestionKind::NewReno => Algorithm::NewReno(NewReno::new()),
            CongestionKind::Bbr => Algorithm::Bbr(Box::new(Bbr::new())),
        }
    }

    fn control(&mut self) -> &mut dyn CongestionControl {
        match self {
            Algorithm::Cubic(cubic) => cubic,
            Algorithm::NewReno(reno) => reno,
            Algorithm::Bbr(bbr) => bbr.as_mut(),
        }
    }
}

/// The congestion window of a connection. In bytes.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    window: Window,
    algorithm: Algorithm,
}

/// What the window was before a loss that may turn out to be none.
#[derive(Clone, Debug)]
pub(super) struct Before {
    window: Window,
    algorithm: Option<Algorithm>,
}

impl Congestion {
    pub(super) fn new(kind: CongestionKind, mss: u32) -> Congestion {
        let window = Window { cwnd: initial_window(mss), ssthresh: u32::MAX };
        Congestion { window, algorithm: Algorithm::new(kind) }
    }

    pub(super) const fn window(&self) -> u32 {
        self.window.cwnd
    }

    pub(super) const fn ssthresh(&self) -> u32 {
        self.window.ssthresh
    }

    pub(super) const fn kind(&self) -> CongestionKind {
        match self.algorithm {
            Algorithm::Cubic(_) => CongestionKind::Cubic,
            Algorithm::NewReno(_) => CongestionKind::NewReno,
            Algorithm::Bbr(_) => CongestionKind::Bbr,
        }
    }

    /// Another algorithm takes the window over.
    pub(super) fn set_kind(&mut self, kind: CongestionKind) {
        if kind != self.kind() {
            self.algorithm = Algorithm::new(kind);
        }
    }

    /// The model of the path, for who goes by one.
    pub(super) fn model(&self) -> Option<&Bbr> {
        match &self.algorithm {
            Algorithm::Bbr(bbr) => Some(bbr),
            _ => None,
        }
    }

    const fn has_model(&self) -> bool {
        matches!(self.algorithm, Algorithm::Bbr(_))
    }

    /// The model hears of an acknowledgment.
    pub(super) fn on_sample(&mut self, sample: &Sample, path: &Path) {
        if let Algorithm::Bbr(bbr) = &mut self.algorithm {
            bbr.on_sample(&mut self.window, sample, path);
            self.window.cwnd = self.window.cwnd.min(WINDOW_MAX);
        }
    }

    const fn in_slow_start(&self) -> bool {
        self.window.cwnd < self.window.ssthresh
    }

    /// The size of a segment is known: the initial window follows, one segment when the SYN was lost (RFC 5681, section 3.1).
    pub(super) fn on_connected(&mut self, mss: u32, syn_lost: bool) {
        self.window.cwnd = if syn_lost { mss } else { initial_window(mss) };
    }

    /// Bytes that filled the window were acknowledged, outside of recovery or while it starts anew after a time-out.
    pub(super) fn on_ack(&mut self, ack: &Ack) {
        self.algorithm.control().on_ack(&mut self.window, ack);
        self.window.cwnd = self.window.cwnd.min(WINDOW_MAX);
    }

    /// Bytes were acknowledged, and the window was not full: it is not known to be good for more (RFC 7661, section 4.4.1),
    /// and the time does not count for growth (RFC 9438, section 5.8).
    pub(super) fn on_unused(&mut self, now: Instant) {
        self.algorithm.control().on_unused(now);
    }

    /// A round trip of so many microseconds was measured.
    pub(super) fn on_round_trip(&mut self, micros: u64) {
        if self.in_slow_start() {
            match &mut self.algorithm {
                Algorithm::Cubic(cubic) => cubic.on_round_trip(micros),
                Algorithm::NewReno(_) | Algorithm::Bbr(_) => {}
            }
        }
    }

    /// Something was lost while `flight` bytes were on their way: `ssthresh` falls. The window follows it over the round
    /// trip of the recovery.
    pub(super) fn on_loss(&mut self, flight: u32, mss: u32) -> Before {
        let algorithm = match &self.algorithm {
            // A model is not undone: what it has learnt stays true.
            Algorithm::Bbr(_) => None,
            other => Some(other.clone()),
        };
        let before = Before { window: self.window, algorithm };
        let reduced = self.algorithm.control().on_loss(self.window.cwnd, flight);
        self.window.ssthresh = reduced.max(2 * mss);
        before
    }

    /// The retransmission timer ran out: one segment, and slow start (RFC 5681, section 3.1). A second time-out of the same
    /// data leaves `ssthresh` alone.
    pub(super) fn on_timeout(&mut self, mss: u32) {
        self.algorithm.control().on_timeout();
        self.window.cwnd = mss;
    }

    /// The window of this moment of a recovery.
    pub(super) fn set_window(&mut self, cwnd: u32) {
        if !self.has_model() {
            self.window.cwnd = cwnd.min(WINDOW_MAX);
        }
    }

    /// A recovery is over.
    pub(super) fn on_recovered(&mut self) {
        if self.has_model() {
            return;
        }
        self.window.cwnd = self.window.ssthresh.min(WINDOW_MAX);
    }

    /// The loss was none: what was taken for lost had only been late (RFC 4015, section 3.2; RFC 9438, section 4.9).
    pub(super) fn undo(&mut self, before: Before) {
        let cwnd = before.window.cwnd.max(self.window.cwnd);
        self.window = Window { cwnd, ..before.window };
        if let Some(algorithm) = before.algorithm {
            self.algorithm = algorithm;
        }
    }

    /// Nothing is on its way, and nothing was sent for `idle` microseconds. The time does not count for growth (RFC 9438,
    /// section 5.8); the window loses half for each retransmission time-out in it, down to the initial window (RFC 2861, section 3; RFC 5681,
    /// section 4.1, wants the initial window at once).
    pub(super) fn on_idle(&mut self, idle: u64, rto: u64, mss: u32) {
        self.algorithm.control().on_idle(Duration::from_micros(idle));
        if idle >= rto && !self.has_model() {
            let halvings = idle / rto.max(1);
            let restart = initial_window(mss).min(self.window.cwnd);
            self.window.ssthresh = self.kept_threshold();
            let cwnd = self.window.cwnd.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0);
            self.window.cwnd = cwnd.max(restart);
        }
    }

    /// For a time-out the window was not full: it falls half the way to the `used` bytes of it (RFC 2861, section 3.2).
    pub(super) fn on_little_used(&mut self, used: u32, mss: u32) {
        let used = used.max(initial_window(mss));
        if used < self.window.cwnd && !self.has_model() {
            self.window.ssthresh = self.kept_threshold();
            self.window.cwnd = self.window.cwnd / 2 + used / 2;
        }
    }

    /// Slow start leads back to three quarters of the window at least.
    fn kept_threshold(&self) -> u32 {
        let Window { cwnd, ssthresh } = self.window;
        ssthresh.max(cwnd / 2 + cwnd / 4)
    }
}

/// IW10 (RFC 6928, section 2).
fn initial_window(mss: u32) -> u32 {
    (INITIAL_SEGMENTS * mss).min((2 * mss).max(INITIAL_BYTES))
}

super::park::packed!(struct Congestion { window, algorithm });
super::park::packed!(struct Window { cwnd, ssthresh });
super::park::packed!(enum Algorithm { 0 = Cubic(cubic), 1 = NewReno(reno), 2 = Bbr(bbr) });

#[cfg(test)]
mod tests;

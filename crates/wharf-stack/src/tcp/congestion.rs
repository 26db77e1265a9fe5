//! How much may be on its way (RFC 5681), by CUBIC (RFC 9438) or NewReno.
//!
//! Slow start, the initial window and the restart after idleness are the same for both; the algorithms differ in how the
//! window grows beyond `ssthresh` and how far it falls. Who is lost, and when a loss is one event, is
//! [`recovery`](super::recovery)'s question.

mod cubic;
mod newreno;

use core::time::Duration;

use wharf_table::Instant;

use cubic::Cubic;
use newreno::NewReno;

/// Segments of the initial window (RFC 6928, section 2).
const INITIAL_SEGMENTS: u32 = 10;
/// And its most in bytes, but two segments in any case.
const INITIAL_BYTES: u32 = 14_600;
/// No window grows beyond.
const WINDOW_MAX: u32 = 1 << 30;

/// Which algorithm decides how much may be on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionKind {
    /// CUBIC (RFC 9438), as in Linux.
    #[default]
    Cubic,
    /// NewReno (RFC 5681).
    NewReno,
}

/// The part in which the algorithms differ.
#[derive(Clone, Debug)]
enum Algorithm {
    Cubic(Cubic),
    NewReno(NewReno),
}

/// The congestion window of a connection. In bytes.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    cwnd: u32,
    ssthresh: u32,
    algorithm: Algorithm,
}

/// What the window was before a loss that may turn out to be none.
#[derive(Clone, Debug)]
pub(super) struct Before(Congestion);

impl Congestion {
    pub(super) fn new(kind: CongestionKind, mss: u32) -> Congestion {
        let algorithm = match kind {
            CongestionKind::Cubic => Algorithm::Cubic(Cubic::new()),
            CongestionKind::NewReno => Algorithm::NewReno(NewReno::new()),
        };
        Congestion { cwnd: initial_window(mss), ssthresh: u32::MAX, algorithm }
    }

    pub(super) const fn window(&self) -> u32 {
        self.cwnd
    }

    pub(super) const fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    /// The size of a segment is known: the initial window follows, one segment when the SYN was lost (RFC 5681, section 3.1).
    pub(super) fn on_connected(&mut self, mss: u32, syn_lost: bool) {
        self.cwnd = if syn_lost { mss } else { initial_window(mss) };
    }

    /// `acked` bytes that filled the window were acknowledged, outside of recovery or while it starts anew after a
    /// time-out.
    pub(super) fn on_ack(&mut self, acked: u32, mss: u32, now: Instant, srtt: Duration) {
        let mut rest = acked;
        if self.cwnd < self.ssthresh {
            let grown = self.cwnd.saturating_add(acked).min(self.ssthresh).min(WINDOW_MAX);
            rest -= grown - self.cwnd;
            self.cwnd = grown;
        }
        if rest > 0 {
            let cwnd = match &mut self.algorithm {
                Algorithm::Cubic(cubic) => cubic.on_ack(self.cwnd, rest, mss, now, srtt),
                Algorithm::NewReno(reno) => reno.on_ack(self.cwnd, rest, mss),
            };
            self.cwnd = cwnd.min(WINDOW_MAX);
        }
    }

    /// Something was lost while `flight` bytes were on their way: `ssthresh` falls. The window follows it over the round
    /// trip of the recovery.
    pub(super) fn on_loss(&mut self, flight: u32, mss: u32) -> Before {
        let before = Before(self.clone());
        let reduced = match &mut self.algorithm {
            Algorithm::Cubic(cubic) => cubic.on_loss(self.cwnd, flight, mss),
            Algorithm::NewReno(_) => flight / 2,
        };
        self.ssthresh = reduced.max(2 * mss);
        before
    }

    /// The retransmission timer ran out: one segment, and slow start (RFC 5681, section 3.1). A second time-out of the same
    /// data leaves `ssthresh` alone.
    pub(super) fn on_timeout(&mut self, mss: u32) {
        self.cwnd = mss;
    }

    /// The window of this moment of a recovery.
    pub(super) fn set_window(&mut self, cwnd: u32) {
        self.cwnd = cwnd.min(WINDOW_MAX);
    }

    /// A recovery is over.
    pub(super) fn on_recovered(&mut self) {
        self.cwnd = self.ssthresh.min(WINDOW_MAX);
    }

    /// The loss was none: what was taken for lost had only been late (RFC 4015, section 3.2).
    pub(super) fn undo(&mut self, before: Before) {
        let cwnd = before.0.cwnd.max(self.cwnd);
        *self = before.0;
        self.cwnd = cwnd;
    }

    /// Nothing was sent for `idle`, longer than a retransmission time-out: the window is no longer known to be good
    /// (RFC 5681, section 4.1), and the time does not count for growth (RFC 9438, section 5.8).
    pub(super) fn on_idle(&mut self, idle: Duration, mss: u32) {
        self.cwnd = self.cwnd.min(initial_window(mss));
        if let Algorithm::Cubic(cubic) = &mut self.algorithm {
            cubic.on_idle(idle);
        }
    }
}

/// IW10 (RFC 6928, section 2).
fn initial_window(mss: u32) -> u32 {
    (INITIAL_SEGMENTS * mss).min((2 * mss).max(INITIAL_BYTES))
}

super::park::packed!(struct Congestion { cwnd, ssthresh, algorithm });
super::park::packed!(enum Algorithm { 0 = Cubic(cubic), 1 = NewReno(reno) });

#[cfg(test)]
mod tests;

//! Pacing: segments leave at a rate rather than in bursts, when the owner or the congestion control asks for it.
//!
//! [`segment_out`](super::segment_out) asks before data leaves, and the time of the next departure is one of the
//! connection's time-outs. Because timers have a resolution of a millisecond, what leaves at once is a millisecond's worth
//! (a quantum of draft-ietf-ccwg-bbr, section 4.6.3), and a departure that was late does not delay those behind it.
//!
//! Invariant: acknowledgments, SYN, RST and probes are never held back.

use alloc::boxed::Box;
use core::time::Duration;

use wharf_table::Instant;

use super::Connection;

/// How late a departure may be without the next ones being late as well: a tick of the timers, and the time that a batch of
/// input takes.
const CREDIT: Duration = Duration::from_millis(2);
/// Of how long a time the bytes may leave at once.
const QUANTUM: u64 = 1_000;
/// The most that leaves at once (draft-ietf-ccwg-bbr, section 4.6.3).
const QUANTUM_MAX: u64 = 64 * 1024;
const MICROS_A_SECOND: u64 = 1_000_000;

/// No limit.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// When segments may leave.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    /// The owner's limit, in bytes a second.
    max_rate: u64,
    /// The rate kept to, in bytes a second.
    rate: u64,
    /// The next segment may leave then.
    next: Instant,
    /// Something waits for that.
    holds: bool,
}

impl Pacer {
    fn new(max_rate: u64, now: Instant) -> Pacer {
        Pacer { max_rate, rate: max_rate, next: now, holds: false }
    }

    /// Whether a segment may leave now; what waits is told of by [`Pacer::due`].
    fn lets_go(&mut self, now: Instant) -> bool {
        self.holds = self.next > now;
        !self.holds
    }

    fn on_sent(&mut self, len: u32, now: Instant) {
        let micros = (u64::from(len) * MICROS_A_SECOND).div_ceil(self.rate.max(1));
        self.next = self.next.max(now - CREDIT) + Duration::from_micros(micros);
    }

    fn due(&self) -> Option<Instant> {
        self.holds.then_some(self.next)
    }

    /// The most bytes that leave at once.
    fn quantum(&self) -> u32 {
        (self.rate.saturating_mul(QUANTUM) / MICROS_A_SECOND).min(QUANTUM_MAX) as u32
    }
}

super::park::packed!(struct Pacer { max_rate, rate, next, holds });

impl Connection {
    /// Limits the rate at which data leaves, in bytes a second.
    pub(super) fn set_max_pacing_rate(&mut self, now: Instant, rate: u64) {
        match &mut self.pacer {
            Some(pacer) => pacer.max_rate = rate,
            None if rate == UNLIMITED => return,
            None => self.pacer = Some(Box::new(Pacer::new(rate, now))),
        }
        self.dirty = true;
        self.update_pacing();
    }

    /// The pacer of a connection with these settings, if it needs one.
    pub(super) fn pacer_of(max_rate: u64, now: Instant) -> Option<Box<Pacer>> {
        (max_rate != UNLIMITED).then(|| Box::new(Pacer::new(max_rate, now)))
    }

    /// The owner's limit, in bytes a second.
    pub(super) fn max_pacing_rate(&self) -> u64 {
        self.pacer.as_ref().map_or(UNLIMITED, |pacer| pacer.max_rate)
    }

    /// The rate of segments, in bytes a second. Who goes by losses would leave twice a window a round trip in the first half
    /// of slow start and 1.2 later, as in Linux.
    pub(super) fn pacing_rate(&self) -> u64 {
        let wanted = self.rtt.srtt().map_or(UNLIMITED, |srtt| {
            let (window, ssthresh) = (self.congestion.window(), self.congestion.ssthresh());
            let percent = if window < ssthresh / 2 { 200 } else { 120 };
            let window = u64::from(window.max(self.snd.flight()));
            let micros = u64::try_from(srtt.as_micros()).unwrap_or(u64::MAX).max(1);
            window * percent * (MICROS_A_SECOND / 100) / micros
        });
        wanted.min(self.max_pacing_rate())
    }

    /// The rate may have changed.
    pub(super) fn update_pacing(&mut self) {
        if self.pacer.is_none() {
            return;
        }
        let rate = self.pacing_rate().max(1);
        if let Some(pacer) = &mut self.pacer {
            pacer.rate = rate;
        }
    }

    /// Whether data may leave now.
    pub(super) fn is_let_go(&mut self, now: Instant) -> bool {
        self.pacer.as_mut().is_none_or(|pacer| pacer.lets_go(now))
    }

    /// Data leaves.
    pub(super) fn pace(&mut self, len: u32, now: Instant) {
        if let Some(pacer) = &mut self.pacer {
            pacer.on_sent(len, now);
        }
    }

    /// When data that is held back may leave.
    pub(super) fn pacing_due(&self) -> Option<Instant> {
        self.pacer.as_ref().and_then(|pacer| pacer.due())
    }

    /// The most bytes that leave at once.
    pub(super) fn quantum(&self) -> u32 {
        self.pacer.as_ref().map_or(u32::MAX, |pacer| pacer.quantum())
    }

    /// Time has come to this; whether something was held back until now.
    pub(super) fn release_paced(&mut self, now: Instant) -> bool {
        let due = self.pacing_due().is_some_and(|at| at <= now);
        if due && let Some(pacer) = &mut self.pacer {
            pacer.holds = false;
        }
        due
    }
}

//! The timers of a connection: three points in time, of which the earliest is the connection's next time-out.

use wharf_table::Instant;

/// Which timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// While something is on its way: it was not acknowledged (RFC 6298, section 5). While nothing is: data waits and the
    /// window does not let it go, which asks for a zero-window probe (RFC 9293, section 3.8.6.1) or the override of
    /// silly-window avoidance (section 3.8.6.2.1). It is never both.
    Retransmit,
    /// Received data was not acknowledged yet (RFC 9293, section 3.8.6.3).
    DelayedAck,
    /// Nothing happens any more: keepalive, the end of TIME-WAIT, or of FIN-WAIT-2 when nobody reads.
    Idle,
}

impl Timer {
    pub(super) const ALL: [Timer; 3] = [Timer::Retransmit, Timer::DelayedAck, Timer::Idle];
}

/// What [`Timer::Retransmit`] runs for while something is on its way (RFC 8985, section 8: one timer for all).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// The retransmission time-out.
    Acknowledgment,
    /// A probe for the loss of the last segments.
    Probe,
    /// What others have overtaken.
    Reordering,
}

/// When each timer runs out.
#[derive(Clone, Debug)]
pub(super) struct Timers([Instant; 3]);

impl Timers {
    pub(super) const fn new() -> Timers {
        Timers([Instant::NEVER; 3])
    }

    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    /// When it runs out; never when it does not run.
    pub(super) const fn at(&self, timer: Timer) -> Instant {
        self.0[timer as usize]
    }

    pub(super) const fn stop(&mut self, timer: Timer) {
        self.set(timer, Instant::NEVER);
    }

    /// The timer runs out at `at` if it would have run later.
    pub(super) fn advance(&mut self, timer: Timer, at: Instant) {
        let set = &mut self.0[timer as usize];
        *set = (*set).min(at);
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize] != Instant::NEVER
    }

    /// Whether the timer has run out; it is stopped then.
    pub(super) fn take_expired(&mut self, timer: Timer, now: Instant) -> bool {
        let expired = self.is_set(timer) && self.0[timer as usize] <= now;
        if expired {
            self.stop(timer);
        }
        expired
    }

    /// The earliest; never where none runs.
    pub(super) fn next(&self) -> Instant {
        let [a, b, c] = self.0;
        a.min(b).min(c)
    }
}

super::park::packed!(struct Timers (1));

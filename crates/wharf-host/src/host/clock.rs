//! The host's time: the machine's, or one that moves only when it is told to.

use wharf_table::Instant;

use crate::run::clock::Clock as Real;

/// Which clock a host goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockKind {
    /// The machine's.
    #[default]
    Real,
    /// One that stands still but for `advance`.
    Virtual,
}

/// The clock, from 0 at the start of the host.
pub(super) enum Clock {
    /// The machine's.
    Real(Real),
    /// What it shows.
    Virtual(Instant),
}

impl Clock {
    pub(super) fn start(kind: ClockKind) -> Clock {
        match kind {
            ClockKind::Real => Clock::Real(Real::start()),
            ClockKind::Virtual => Clock::Virtual(Instant::ZERO),
        }
    }

    pub(super) fn now(&self) -> Instant {
        match self {
            Clock::Real(clock) => clock.now(),
            Clock::Virtual(now) => *now,
        }
    }

    pub(super) const fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual(_))
    }

    /// Sets a virtual clock forward; it never goes back.
    pub(super) fn set(&mut self, to: Instant) {
        if let Clock::Virtual(now) = self {
            *now = (*now).max(to);
        }
    }
}

//! The one clock of a run.

use std::time;

use wharf_table::Instant;

/// Time since the start of the run, on the monotonic clock.
#[derive(Clone, Copy)]
pub(crate) struct Clock(time::Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(time::Instant::now())
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }
}

//! From the kernel's monotonic clock to the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// How the two clocks stood to each other when this was made. A step of the time of day after that is not followed, so that
/// spans stay true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the machine started.
    start: SystemTime,
}

impl Clock {
    pub(super) fn now() -> Clock {
        let monotonic = clock_gettime(ClockId::Monotonic);
        let since = Duration::new(
            u64::try_from(monotonic.tv_sec).unwrap_or_default(),
            u32::try_from(monotonic.tv_nsec).unwrap_or_default(),
        );
        Clock { start: SystemTime::now().checked_sub(since).unwrap_or(UNIX_EPOCH) }
    }

    /// The time of day at a moment of the monotonic clock.
    pub(super) fn time(self, monotonic: Duration) -> SystemTime {
        self.start + monotonic
    }
}

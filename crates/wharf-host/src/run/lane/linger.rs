//! How a loop waits for its next event.
//!
//! Who asks and answers in turns has the next word within microseconds, and waking up costs about as much on an idle processor.
//! So after an event the loop looks again for a moment before it sleeps, and leaves the processor to others meanwhile.
//!
//! Where others do want the processor, that is the wrong thing: who yields goes behind all of them, while who sleeps is let in
//! as soon as its event comes. A yield that took long says so, and for a while the loop sleeps at once.

use std::io;
use std::time::Duration;

use wharf_sys::epoll::{Poller, Ready};
use wharf_table::Instant;

use super::super::clock::Clock;
use super::super::start;

/// How long the loop looks again before it sleeps, once something has happened.
const LINGER: Duration = Duration::from_micros(50);
/// After a yield that took so long, somebody else had the processor for more than a word and its answer.
const CROWDED: Duration = Duration::from_micros(25);
/// How long the processor counts as wanted by others then.
const CROWD_LASTS: Duration = Duration::from_millis(5);

/// Whether and how long a loop looks again before it sleeps.
#[derive(Clone, Copy)]
pub(in crate::run) struct Linger {
    span: Duration,
    /// Whether the last wait brought an event.
    is_due: bool,
    /// Until when others are taken to want the processor.
    crowded_until: Instant,
}

impl Linger {
    /// For each of so many loops: not at all when they could keep the program from running.
    pub(in crate::run) fn of(lanes: usize) -> Linger {
        let span = if lanes == 1 || lanes <= start::processors() / 2 { LINGER } else { Duration::ZERO };
        Linger { span, is_due: false, crowded_until: Instant::ZERO }
    }

    /// Waits for the next event or time-out.
    ///
    /// # Errors
    /// A failed system call of the loop itself.
    pub(super) fn wait(
        &mut self,
        clock: Clock,
        poller: &mut Poller,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if self.is_due && timeout != Some(Duration::ZERO) {
            self.look_again(clock, poller, ready)?;
        }
        if ready.is_empty() {
            ready.extend(poller.wait(timeout)?);
        }
        self.is_due = !ready.is_empty();
        Ok(())
    }

    fn look_again(&mut self, clock: Clock, poller: &mut Poller, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.extend(poller.wait(Some(Duration::ZERO))?);
        let mut now = clock.now();
        let end = now + self.span;
        while ready.is_empty() && now < end && now >= self.crowded_until {
            let before = now;
            rustix::thread::sched_yield();
            ready.extend(poller.wait(Some(Duration::ZERO))?);
            now = clock.now();
            if now.since(before) > CROWDED {
                self.crowded_until = now + CROWD_LASTS;
            }
        }
        Ok(())
    }
}

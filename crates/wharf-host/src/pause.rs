//! Waiting between two looks, for verbs that go on until they are asked to end.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use wharf_sys::signal::Signals;

/// Waits for time to pass, for a signal that asks to end, or for the reader of standard output to go away.
#[derive(Debug)]
pub struct Pause {
    signals: Signals,
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The time has passed.
    Elapsed,
    /// The terminal has another size.
    Resized,
    /// Something was typed.
    Typed,
    /// It is time to end: Ctrl-C, SIGTERM, SIGHUP, or nobody reads any more.
    Ended,
}

impl Pause {
    /// Takes the signals, which interrupt nothing from now on.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn open() -> io::Result<Pause> {
        let numbers =
            [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::WINCH].map(Signal::as_raw);
        Ok(Pause { signals: Signals::take(&numbers)? })
    }

    /// Waits.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn wait(&self, span: Duration) -> io::Result<Woken> {
        self.wait_with(span, None)
    }

    /// Waits, for something on standard input as well: the terminal. One that is gone ends the wait for good, so that nobody reads
    /// from it again.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn wait_for_keys(&self, span: Duration) -> io::Result<Woken> {
        let keys = io::stdin();
        self.wait_with(span, Some(keys.as_fd()))
    }

    fn wait_with(&self, span: Duration, keys: Option<BorrowedFd<'_>>) -> io::Result<Woken> {
        let end = Instant::now() + span;
        loop {
            if let Some(received) = self.signals.read()? {
                let is_resize = received.number == Signal::WINCH.as_raw();
                return Ok(if is_resize { Woken::Resized } else { Woken::Ended });
            }
            let left = end.saturating_duration_since(Instant::now());
            let out = io::stdout();
            // Nothing is asked of standard output but whether its reader is gone, which is always told.
            let mut wanted = vec![
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()),
            ];
            wanted.extend(keys.map(|keys| PollFd::from_borrowed_fd(keys, PollFlags::IN)));
            let until = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut wanted, Some(&until)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let told = |at: usize| wanted.get(at).map_or(PollFlags::empty(), PollFd::revents);
            if (told(1) | told(2)).intersects(PollFlags::ERR | PollFlags::HUP) {
                return Ok(Woken::Ended);
            }
            if told(2).contains(PollFlags::IN) {
                return Ok(Woken::Typed);
            }
            if left.is_zero() {
                return Ok(Woken::Elapsed);
            }
        }
    }
}

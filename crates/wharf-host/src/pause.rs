//! Waiting between two looks, for verbs that go on until they are asked to end.

use std::io;
use std::os::fd::AsFd as _;
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
        let end = Instant::now() + span;
        loop {
            if let Some(received) = self.signals.read()? {
                let is_resize = received.number == Signal::WINCH.as_raw();
                return Ok(if is_resize { Woken::Resized } else { Woken::Ended });
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Woken::Elapsed);
            }
            let out = io::stdout();
            // Nothing is asked of standard output but whether its reader is gone, which is always told.
            let mut wanted = [
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()),
            ];
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut wanted, Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if wanted[1].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                return Ok(Woken::Ended);
            }
        }
    }
}

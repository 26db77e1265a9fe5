//! Waiting for many descriptors at once, edge-triggered.
//!
//! Thin on purpose: a token of the caller's goes in with the descriptor and comes out with what happened to it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Input.
    Read,
    /// Room for output.
    Write,
    /// Both.
    ReadWrite,
    /// Nothing but errors and hang-up.
    Nothing,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        use epoll::EventFlags as F;
        F::ET
            | match self {
                Interest::Read => F::IN | F::RDHUP | F::PRI,
                Interest::Write => F::OUT,
                Interest::ReadWrite => F::IN | F::RDHUP | F::PRI | F::OUT,
                Interest::Nothing => F::empty(),
            }
    }
}

/// What happened to the descriptor with this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: u64,
    /// There is input, the end of input, or an error to be read.
    pub readable: bool,
    /// There is room for output, or an error to be met.
    pub writable: bool,
    /// The other end has finished: the end of input follows what is there to read. Or there is urgent data, before which one
    /// read stops: either way a short read has not emptied the socket.
    pub ended: bool,
    /// Both directions are shut down, or the other end is gone.
    pub hang_up: bool,
    /// An error waits: for a socket in `SO_ERROR` or its error queue.
    pub error: bool,
}

impl From<epoll::Event> for Ready {
    fn from(event: epoll::Event) -> Ready {
        use epoll::EventFlags as F;
        let flags = event.flags;
        let (error, hang_up) = (flags.contains(F::ERR), flags.contains(F::HUP));
        Ready {
            token: event.data.u64(),
            readable: flags.intersects(F::IN | F::RDHUP | F::PRI) || error || hang_up,
            writable: flags.contains(F::OUT) || error || hang_up,
            ended: flags.intersects(F::RDHUP | F::PRI) || error || hang_up,
            hang_up,
            error,
        }
    }
}

/// A set of descriptors to wait for.
pub struct Poller {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

// SAFETY: what keeps this from being `Send` by itself is that an event's data may be a pointer. Here it is always the
// number of a token, which was given by value and is read by value.
unsafe impl Send for Poller {}

impl Poller {
    /// An empty set; one wait brings up to `batch` events.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new(batch: usize) -> io::Result<Poller> {
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poller { fd, events: Vec::with_capacity(batch.max(1)) })
    }

    /// Another handle to the same set, for one who adds and takes out while another waits.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn try_clone(&self) -> io::Result<Poller> {
        Ok(Poller { fd: self.fd.try_clone()?, events: Vec::with_capacity(1) })
    }

    /// Adds a descriptor. What is ready already counts as an edge.
    ///
    /// # Errors
    /// It is in the set, it can't be waited for (a regular file), or the kernel's limit on watches is reached.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.fd, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Changes what is waited for. What is ready already counts as an edge.
    ///
    /// # Errors
    /// It is not in the set.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.fd, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Takes a descriptor out. Closing its last copy does the same.
    ///
    /// # Errors
    /// It is not in the set.
    pub fn delete(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, fd)?)
    }

    /// Waits until something happens or the time is over (`None`: without end), and returns what happened. A signal
    /// that interrupts the wait ends it with nothing.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl ExactSizeIterator<Item = Ready> + '_> {
        let timeout = timeout.map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        });
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.fd, room, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|&event| Ready::from(event)))
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn ready(poller: &mut Poller) -> Vec<Ready> {
        poller.wait(NOW).unwrap().collect()
    }

    #[test]
    fn an_edge_is_told_once() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let mut poller = Poller::new(4).unwrap();
        poller.add(&reader, 7, Interest::Read).unwrap();
        assert_eq!(ready(&mut poller), []);
        writer.write_all(b"one").unwrap();
        let told = ready(&mut poller);
        assert_eq!((told[0].token, told[0].readable, told[0].hang_up), (7, true, false));
        assert_eq!(ready(&mut poller), []);
        writer.write_all(b"two").unwrap();
        assert_eq!(ready(&mut poller).len(), 1);
        reader.read_exact(&mut [0; 6]).unwrap();
        drop(writer);
        assert!(ready(&mut poller)[0].hang_up);
    }

    #[test]
    fn interest_can_change_and_end() {
        let (_reader, writer) = io::pipe().unwrap();
        let mut poller = Poller::new(4).unwrap();
        poller.add(&writer, 1, Interest::Nothing).unwrap();
        assert_eq!(ready(&mut poller), []);
        poller.modify(&writer, 2, Interest::Write).unwrap();
        let told = ready(&mut poller);
        assert_eq!((told[0].token, told[0].writable), (2, true));
        poller.delete(&writer).unwrap();
        assert_eq!(ready(&mut poller), []);
        assert!(poller.delete(&writer).is_err());
    }
}

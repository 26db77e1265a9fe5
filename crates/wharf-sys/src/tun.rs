//! A TUN device as a program uses it that has nothing else to wait for: bare IP packets, one a read or write.
//!
//! First and last step of a packet's way where the link has no frames. Never blocks but in [`Tun::wait`].
//!
//! Deliberately not here: addresses and routes, which are the namespace's ([`netlink`](crate::netlink)); offloads.

use std::ffi::CString;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::epoll::{Interest, Poller};
use crate::tap;

/// An open TUN device.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    poller: Poller,
}

impl Tun {
    /// Opens the device `name` in the network namespace of this process; one that is not there is made, and goes when
    /// this is dropped. It may be moved to another namespace and stays usable.
    ///
    /// # Errors
    /// As [`tap::open`]; [`io::ErrorKind::InvalidInput`] for a name with a zero byte.
    pub fn open(name: &str) -> io::Result<Tun> {
        let fd = tap::open_tun(&CString::new(name)?, 0)?;
        let poller = Poller::new(1)?;
        poller.add(&fd, 0, Interest::Read)?;
        Ok(Tun { fd, poller })
    }

    /// Reads the next packet that waits, and says how long it is; `None` when none does. What is longer than `buffer` is cut.
    ///
    /// # Errors
    /// The device is gone.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(length) => return Ok(Some(length)),
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes one packet, given in parts.
    ///
    /// # Errors
    /// `EIO` while the interface is down, `EINVAL` for what is no IP packet. The packet is lost in each case.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        rustix::io::writev(&self.fd, parts)?;
        Ok(())
    }

    /// Waits until packets came that the last [`Tun::read`] did not see, or the time is over (`None`: without end).
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.poller.wait(timeout).map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

//! Processes held by a descriptor: no signal can hit another that got the same number later.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use crate::call::{check_long, error};

/// A process.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

impl Pidfd {
    /// Takes a descriptor that stands for a process.
    pub fn new(fd: OwnedFd) -> Pidfd {
        Pidfd(fd)
    }

    /// The process with this number.
    ///
    /// # Errors
    /// There is none.
    pub fn open(pid: u32) -> io::Result<Pidfd> {
        let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        let number = number.ok_or_else(|| error(libc::ESRCH))?;
        Ok(Pidfd(rustix::process::pidfd_open(number, PidfdFlags::empty())?))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` when it has ended, `EPERM` when it is not ours to signal, `EINVAL` for a number that is no signal.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the call takes integers and a null pointer, which means the default signal information.
        check_long(unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), number, none, 0)
        })?;
        Ok(())
    }

    /// Waits until the child has ended and takes its status. `None` when it was no child or was taken before.
    ///
    /// # Errors
    /// None that a caller can do anything about.
    pub fn reap(&self) -> io::Result<Option<WaitIdStatus>> {
        loop {
            match waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED) {
                Ok(status) => return Ok(status),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CHILD) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Its number in the process namespace of this process; `None` when it has ended.
    pub fn pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        line.trim().parse().ok().filter(|&pid| pid > 0)
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

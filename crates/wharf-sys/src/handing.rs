//! Handing sockets to a program as systemd does (sd_listen_fds(3)): from descriptor 3 on, in order, open across exec.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libc::c_int;

use crate::call::check;

/// The first descriptor of a program that is handed some (`SD_LISTEN_FDS_START`).
pub const FIRST: i32 = 3;

/// Puts these descriptors at 3 and on, blocking and open across exec, over what is there. They stay open; whoever calls this is
/// about to become another program.
///
/// # Errors
/// The limit of open files is too small.
pub fn place(descriptors: Vec<OwnedFd>) -> io::Result<()> {
    let past = FIRST + c_int::try_from(descriptors.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // First out of the way of each other.
    let mut aside = Vec::with_capacity(descriptors.len());
    for descriptor in &descriptors {
        aside.push(rustix::io::fcntl_dupfd_cloexec(descriptor, past)?);
    }
    for descriptor in descriptors {
        if descriptor.as_raw_fd() >= past {
            drop(descriptor);
        } else {
            // Its number is about to be another's: closed by what takes its place, or by exec.
            let _ = std::os::fd::IntoRawFd::into_raw_fd(descriptor);
        }
    }
    for (target, descriptor) in (FIRST..).zip(&aside) {
        let flags = rustix::fs::fcntl_getfl(descriptor)?;
        rustix::fs::fcntl_setfl(descriptor, flags - rustix::fs::OFlags::NONBLOCK)?;
        // SAFETY: the call takes numbers only. What is open at the target is one of those that were given up above, or was
        // inherited by this process and is owned by nothing in it.
        check(unsafe { libc::dup2(descriptor.as_fd().as_raw_fd(), target) })?;
    }
    Ok(())
}

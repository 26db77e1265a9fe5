//! Namespaces: making them, and setting what belongs to one.

use std::fs::File;
use std::io;
use std::ops::BitOr;
use std::os::fd::AsFd;
use std::path::Path;

use libc::c_int;
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::LinkNameSpaceType;

use crate::call::check;

/// A set of namespaces to be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces(c_int);

impl Namespaces {
    /// None.
    pub const NONE: Namespaces = Namespaces(0);
    /// User and group ids, and rights.
    pub const USER: Namespaces = Namespaces(libc::CLONE_NEWUSER);
    /// Interfaces, addresses, routes, ports.
    pub const NETWORK: Namespaces = Namespaces(libc::CLONE_NEWNET);
    /// What is mounted where.
    pub const MOUNT: Namespaces = Namespaces(libc::CLONE_NEWNS);
    /// Process ids; takes effect with the next fork.
    pub const PID: Namespaces = Namespaces(libc::CLONE_NEWPID);

    pub(crate) const fn flags(self) -> c_int {
        self.0
    }
}

impl BitOr for Namespaces {
    type Output = Namespaces;
    fn bitor(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 | other.0)
    }
}

/// Moves this process into new namespaces.
///
/// # Errors
/// `EPERM` without the rights, `ENOSPC` when a limit on namespaces is reached.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: none of the flags that a `Namespaces` can hold unshares memory or descriptors.
    check(unsafe { libc::unshare(namespaces.flags()) })?;
    Ok(())
}

/// Moves this process into an existing network namespace, `/run/netns/NAME` or `/proc/PID/ns/net` say.
///
/// # Errors
/// There is no such file, it is no network namespace (`EINVAL`), or the rights are missing (`EPERM`).
pub fn enter_network(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let kind = LinkNameSpaceType::Network;
    Ok(rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind))?)
}

/// Does `work` in another network namespace, on a thread that is gone afterwards: this thread stays where it is. What was opened
/// there can be used from anywhere.
///
/// # Errors
/// As [`enter_network`].
pub fn in_network<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let inside = || enter_network(path).map(|()| work());
    std::thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Moves this process into the user namespace that `path` is (`/proc/PID/ns/user`): it is root of it afterwards, and has lost what
/// rights it had outside. Only for a process with one thread.
///
/// # Errors
/// As [`enter_network`]; `EINVAL` with other threads.
pub fn enter_user(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    Ok(rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::User))?)
}

/// The number of the interface `name` of this network namespace.
///
/// # Errors
/// There is none (`ENODEV`).
pub fn interface_index(name: &str) -> io::Result<u32> {
    let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(rustix::net::netdevice::name_to_index(any, name)?)
}

/// Writes a value below `/proc/sys`, say `net/ipv4/ip_forward`, of the namespaces of this process.
///
/// # Errors
/// The kernel has no such setting, or it may not be written.
pub fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/{name}"), value)
}

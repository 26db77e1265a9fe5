//! UNIX sockets with an abstract name (unix(7)): they belong to the network namespace in which they were made, need no file, and
//! are gone with their last descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::call;

/// The most bytes of an abstract name.
pub const NAME_MAX: usize = 107;

/// Who is at the other end of a UNIX socket, as the kernel saw it when the socket connected or began to listen. The numbers are
/// those of this process's namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; `None` where it is in none of the namespaces that this process sees.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: u32,
}

/// A stream socket that listens under an abstract name, and never blocks.
///
/// # Errors
/// `EADDRINUSE`: somebody has the name; `ENAMETOOLONG`; no descriptor is left.
pub fn listen(name: &[u8], backlog: i32) -> io::Result<OwnedFd> {
    let socket = stream(SocketFlags::NONBLOCK)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}

/// A stream socket that is connected to an abstract name, and blocks; one whose queue is full is not waited for.
///
/// # Errors
/// `ECONNREFUSED`: nobody has the name in this network namespace; `EAGAIN`: its queue is full.
pub fn connect(name: &[u8]) -> io::Result<OwnedFd> {
    let socket = stream(SocketFlags::NONBLOCK)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok(socket)
}

fn stream(flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// The next that waits at a listener; `None` when none does. It never blocks.
///
/// # Errors
/// No descriptor is left.
pub fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(socket) => Ok(Some(socket)),
        Err(rustix::io::Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Who is at the other end.
///
/// # Errors
/// It is no connected UNIX socket.
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let peer = call::option::<libc::ucred>(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok(Peer { pid: u32::try_from(peer.pid).ok().filter(|&pid| pid > 0), uid: peer.uid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_and_who_connects_know_each_other() {
        let name = format!("wharf-unix-test/{}", std::process::id());
        assert!(connect(name.as_bytes()).is_err());
        let listener = listen(name.as_bytes(), 4).unwrap();
        assert!(accept(&listener).unwrap().is_none());
        let near = connect(name.as_bytes()).unwrap();
        let far = accept(&listener).unwrap().unwrap();
        let me = Peer { pid: Some(std::process::id()), uid: rustix::process::geteuid().as_raw() };
        assert_eq!(peer(&near).unwrap(), me);
        assert_eq!(peer(&far).unwrap(), me);
        assert!(listen(name.as_bytes(), 4).is_err(), "the name is taken");
        drop(listener);
        assert!(connect(name.as_bytes()).is_err(), "and gone with its socket");
    }

    #[test]
    fn a_name_has_its_bounds() {
        assert!(listen(&[b'x'; NAME_MAX + 1], 1).is_err());
        assert!(listen(&[b'x'; NAME_MAX], 1).is_ok());
    }
}

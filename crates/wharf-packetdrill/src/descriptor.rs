//! Which descriptor is which socket. The numbers are real descriptors, open on /dev/null: the script's tool closes and
//! compares them as it pleases.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::c_int;
use wharf_stack::socket::{Domain, Host, Kind, SocketId};

use crate::errno::{Errno, Result};
use crate::readiness::Epoll;

/// What is open.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    open: BTreeMap<c_int, Entry>,
    by_socket: BTreeMap<SocketId, c_int>,
}

#[derive(Debug)]
struct Entry {
    file: Opened,
    /// Keeps the number taken.
    _held: OwnedFd,
}

#[derive(Debug)]
enum Opened {
    Socket(Socket),
    Epoll(Epoll),
}

/// A socket as its descriptor knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    pub(crate) id: SocketId,
    pub(crate) domain: Domain,
    pub(crate) kind: Kind,
    /// O_NONBLOCK is not set.
    pub(crate) blocks: bool,
    /// Each receive says how much is left (TCP_INQ).
    pub(crate) tells_unread: bool,
    /// SO_RCVBUF was set.
    pub(crate) is_sized: bool,
    /// Counts the times at which its readiness may have changed.
    pub(crate) changes: u64,
}

impl Descriptors {
    fn insert(&mut self, file: Opened) -> Result<c_int> {
        let held = OwnedFd::from(
            File::open("/dev/null").map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EMFILE)))?,
        );
        let fd = held.as_raw_fd();
        self.open.insert(fd, Entry { file, _held: held });
        Ok(fd)
    }

    pub(crate) fn add_socket(
        &mut self,
        id: SocketId,
        domain: Domain,
        kind: Kind,
        blocks: bool,
    ) -> Result<c_int> {
        let socket = Socket { id, domain, kind, blocks, tells_unread: false, is_sized: false, changes: 1 };
        let fd = self.insert(Opened::Socket(socket))?;
        self.by_socket.insert(id, fd);
        Ok(fd)
    }

    pub(crate) fn add_epoll(&mut self) -> Result<c_int> {
        self.insert(Opened::Epoll(Epoll::default()))
    }

    /// The socket of a descriptor. `None` when the descriptor is none of ours.
    pub(crate) fn known_socket(&self, fd: c_int) -> Option<Socket> {
        match &self.open.get(&fd)?.file {
            Opened::Socket(socket) => Some(*socket),
            Opened::Epoll(_) => None,
        }
    }

    pub(crate) fn socket(&self, fd: c_int) -> Result<Socket> {
        match self.open.get(&fd).map(|entry| &entry.file) {
            Some(Opened::Socket(socket)) => Ok(*socket),
            Some(Opened::Epoll(_)) => Err(Errno::NOT_A_SOCKET),
            None => Err(Errno::BAD_DESCRIPTOR),
        }
    }

    pub(crate) fn socket_mut(&mut self, fd: c_int) -> Result<&mut Socket> {
        match self.open.get_mut(&fd).map(|entry| &mut entry.file) {
            Some(Opened::Socket(socket)) => Ok(socket),
            Some(Opened::Epoll(_)) => Err(Errno::NOT_A_SOCKET),
            None => Err(Errno::BAD_DESCRIPTOR),
        }
    }

    pub(crate) fn epoll_mut(&mut self, fd: c_int) -> Result<&mut Epoll> {
        match self.open.get_mut(&fd).map(|entry| &mut entry.file) {
            Some(Opened::Epoll(epoll)) => Ok(epoll),
            Some(Opened::Socket(_)) => Err(Errno::INVALID),
            None => Err(Errno::BAD_DESCRIPTOR),
        }
    }

    /// Takes a descriptor away from every list; its socket, if it is one, is to be closed.
    pub(crate) fn remove(&mut self, fd: c_int) -> Result<Option<SocketId>> {
        let entry = self.open.remove(&fd).ok_or(Errno::BAD_DESCRIPTOR)?;
        for other in self.open.values_mut() {
            if let Opened::Epoll(epoll) = &mut other.file {
                epoll.forget(fd);
            }
        }
        Ok(match entry.file {
            Opened::Socket(socket) => {
                self.by_socket.remove(&socket.id);
                Some(socket.id)
            }
            Opened::Epoll(_) => None,
        })
    }

    /// Counts what may have changed since this was asked last.
    pub(crate) fn note_changes(&mut self, host: &mut Host) {
        while let Some(id) = host.poll_ready() {
            let fd = self.by_socket.get(&id).copied();
            if let Some(socket) = fd.and_then(|fd| self.socket_mut(fd).ok()) {
                socket.changes += 1;
            }
        }
    }
}

//! The sockets of a network namespace, as the kernel lists them (sock_diag(7), `linux/inet_diag.h`).
//!
//! A [`Diag`] belongs to the namespace in which it was opened, and can be used from any other. What it hands out are views of
//! the bytes that the kernel wrote: nothing is allocated for a socket.

mod filter;
mod request;
mod socket;

use std::io;
use std::os::fd::OwnedFd;

use wharf_table::rows::End;

use super::receive::Room;
use super::{Listing, Netlink};

pub use socket::{Extras, Socket, TcpInfo, state_bits, tcp_state};

/// The number of a socket about which nothing else is known than its ends (`INET_DIAG_NOCOOKIE`, twice).
pub const ANY_COOKIE: u64 = u64::MAX;

/// The protocols whose sockets can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Tcp,
    /// Multipath TCP.
    Mptcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
    /// SCTP.
    Sctp,
    /// DCCP.
    Dccp,
    /// Raw sockets.
    Raw,
}

/// What is to be told beside ends, state, queues and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing that costs.
    None,
    /// `tcp_info` and the name of the congestion control.
    Tcp,
}

/// Which sockets are listed.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Of which protocol.
    pub kind: Kind,
    /// In which states, a bit for each ([`state_bits`]).
    pub states: u32,
    /// With what.
    pub extra: Extra,
    /// With which local ports, ranges of them with both ends. The kernel may list others when there are many ranges.
    pub local_ports: &'a [(u16, u16)],
}

/// One socket by its ends.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Its protocol.
    pub kind: Kind,
    /// Its local end; the zone is the interface that it is tied to.
    pub local: End,
    /// Its remote end; without one it is a listener, or whoever receives from anybody.
    pub remote: Option<End>,
    /// Its cookie, or [`ANY_COOKIE`].
    pub cookie: u64,
}

/// Lists the sockets of one network namespace.
#[derive(Debug)]
pub struct Diag {
    netlink: Netlink,
    room: Room,
}

impl Diag {
    /// Opens it in the network namespace of this thread.
    ///
    /// # Errors
    /// A sandbox forbids it, or no descriptor is left.
    pub fn open() -> io::Result<Diag> {
        Ok(Diag { netlink: Netlink::open_family(libc::NETLINK_SOCK_DIAG)?, room: Room::new() })
    }

    /// The socket alone, for what else can be had of it.
    pub fn into_socket(self) -> OwnedFd {
        self.netlink.0
    }

    /// Takes a socket of this kind that was opened elsewhere.
    pub(crate) fn from_socket(socket: OwnedFd) -> Diag {
        Diag { netlink: Netlink::from_socket(socket), room: Room::new() }
    }

    /// Hands every socket that is asked for, of both families, to `each`.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn list(&mut self, query: &Query<'_>, mut each: impl FnMut(Socket<'_>)) -> io::Result<Listing> {
        let mut listing = Listing::Absent;
        if query.local_ports.is_empty() || query.states == 0 {
            return Ok(Listing::Whole);
        }
        for &family in request::families(query.kind) {
            let request = request::list(query, family);
            let end = self.netlink.list(&request, &mut self.room, |message| {
                Socket::parse(message.body).into_iter().for_each(&mut each);
            });
            match (end, listing) {
                (Ok(Listing::Changed), _) => listing = Listing::Changed,
                (Ok(_), Listing::Absent) => listing = Listing::Whole,
                (Ok(_), _) => {}
                // Of a kernel without IPv6 only that half is missing.
                (Err(error), _) if is_absent(&error) => {}
                (Err(error), _) => return Err(error),
            }
        }
        Ok(listing)
    }

    /// Looks one socket up: the connection between these ends, or without a remote end the listener that would take one. Hands
    /// it to `read`; `None` where there is none. Not for [`Kind::Mptcp`].
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn find<T>(
        &mut self,
        wanted: &Wanted,
        extra: Extra,
        read: impl FnOnce(Socket<'_>) -> T,
    ) -> io::Result<Option<T>> {
        let request = request::find(wanted, extra);
        self.netlink.one(&request, &mut self.room, |message| Socket::parse(message.body).map(read))
    }

    /// Ends a socket as if its network had failed: its program gets `ECONNABORTED`, the peer of a TCP connection a reset. Says
    /// whether there was such a socket.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_ADMIN in the network, `EOPNOTSUPP` where the kernel can't (`CONFIG_INET_DIAG_DESTROY`).
    pub fn destroy(&mut self, wanted: &Wanted) -> io::Result<Destroyed> {
        let request = request::destroy(wanted);
        let found = self.netlink.one(&request, &mut self.room, |_| Some(()));
        match found {
            Ok(Some(())) => Ok(Destroyed::Ended),
            Ok(None) => Ok(Destroyed::NotThere),
            Err(error) => Err(error),
        }
    }
}

/// What became of a socket that was to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destroyed {
    /// It is ended.
    Ended,
    /// There was none, or another with the same ends.
    NotThere,
}

/// Whether the kernel says that it has no such protocol, or can't list it.
fn is_absent(error: &io::Error) -> bool {
    let absent = [libc::ENOENT, libc::EOPNOTSUPP, libc::EPROTONOSUPPORT, libc::EAFNOSUPPORT];
    error.raw_os_error().is_some_and(|number| absent.contains(&number))
}

#[cfg(test)]
mod tests;

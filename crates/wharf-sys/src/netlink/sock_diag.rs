//! The sockets of a network namespace, as the kernel lists them (sock_diag(7), `linux/inet_diag.h`).
//!
//! A [`Diag`] belongs to the namespace in which it was opened, and can be used from any other. What it hands out are views of
//! the bytes that the kernel wrote: nothing is allocated for a socket.

mod socket;

use std::io;

use super::receive::{DUMP, Room};
use super::{Batch, Listing, Netlink};

pub use socket::{Extras, Socket, TcpInfo, tcp_state};
use socket::{INET_DIAG_CONG, INET_DIAG_INFO};

/// Asks for sockets of both families at once, and only TCP ones: the older request of the two.
const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The protocol by a number that does not fit the request (`INET_DIAG_REQ_PROTOCOL`).
const REQ_PROTOCOL: u16 = 3;
const IPPROTO_MPTCP: u32 = 262;
/// Stands in the request where the attribute has the number: a kernel that does not know the attribute has no sockets of it.
const NO_PROTOCOL: u8 = 0xfe;

/// What a list is to tell beside ends, state and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing that costs.
    None,
    /// `tcp_info` and the name of the congestion control.
    Tcp,
}

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

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Kind::Tcp => 6,
            Kind::Mptcp => NO_PROTOCOL,
            Kind::Udp => 17,
            Kind::UdpLite => 136,
            Kind::Sctp => 132,
            Kind::Dccp => 33,
            Kind::Raw => 255,
        }
    }
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

    /// Hands every socket of this protocol, of both families, to `each`. A protocol that the kernel does not have, or does not
    /// list, has none.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn list(
        &mut self,
        kind: Kind,
        states: u32,
        extra: Extra,
        mut each: impl FnMut(Socket<'_>),
    ) -> io::Result<Listing> {
        let mut listing = Listing::Whole;
        let families: &[i32] = if kind == Kind::Tcp { &[0] } else { &[libc::AF_INET, libc::AF_INET6] };
        for &family in families {
            let mut batch = Batch::new();
            let asked = request(kind, family, states, extra);
            let message = if kind == Kind::Tcp { TCPDIAG_GETSOCK } else { SOCK_DIAG_BY_FAMILY };
            batch.request(message, DUMP, &asked, |put| {
                if kind == Kind::Mptcp {
                    put.put(REQ_PROTOCOL, &IPPROTO_MPTCP.to_ne_bytes());
                }
            });
            let end = self.netlink.list(&batch, &mut self.room, |message| {
                Socket::parse(message.body).into_iter().for_each(&mut each);
            });
            match end {
                Ok(Listing::Whole) => {}
                Ok(Listing::Changed) => listing = Listing::Changed,
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }
}

/// Whether the kernel says that it has no such protocol, or can't list it.
fn is_absent(error: &io::Error) -> bool {
    let absent = [libc::ENOENT, libc::EOPNOTSUPP, libc::EPROTONOSUPPORT, libc::EAFNOSUPPORT];
    error.raw_os_error().is_some_and(|number| absent.contains(&number))
}

/// `inet_diag_req_v2`, or for TCP `inet_diag_req`: they differ in their first bytes and in where the states stand.
fn request(kind: Kind, family: i32, states: u32, extra: Extra) -> Vec<u8> {
    let extensions: u8 = match extra {
        Extra::None => 0,
        Extra::Tcp => 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1),
    };
    let id = [0; 48];
    if kind == Kind::Tcp {
        return [&[0, 0, 0, extensions][..], &id, &states.to_ne_bytes(), &[0; 4]].concat();
    }
    [&[family as u8, kind.number(), extensions, 0][..], &states.to_ne_bytes(), &id].concat()
}

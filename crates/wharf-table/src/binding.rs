//! The binding: a claim of a port that was granted, (protocol, address or any, port) -> application.

use core::fmt;

use crate::claim::{Sharing, User};
use crate::endpoint::{Addr, Endpoint};
use crate::port::Port;
use crate::table::{Class, Kind, Owner};
use crate::tuple::Protocol;

/// The number of a binding in its [`Table`](crate::table::Table); used again after the binding is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub(crate) u32);

impl BindingId {
    /// The number, dense from 0, for an array beside the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The number that [`BindingId::index`] gave: where a report goes on after a page.
    pub const fn from_index(index: u32) -> BindingId {
        BindingId(index)
    }
}

/// What the socket of a binding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingState {
    /// It holds the port. A UDP socket receives on it; a TCP socket does not.
    Bound,
    /// A TCP socket takes connections.
    Listening,
    /// It is connected ([`Origin::Bound`](crate::flow::Origin::Bound)) and receives nothing but its flow.
    Connected,
}

/// A port that is claimed.
///
/// The address tells what is claimed: `None` is any address of both families (a dual-stack socket on `[::]`),
/// [`Addr::ANY_V4`] any IPv4 address, [`Addr::ANY_V6`] any IPv6 address only, everything else that one address.
#[derive(Clone, Debug)]
pub struct Binding {
    pub(crate) protocol: Protocol,
    pub(crate) address: Option<Addr>,
    pub(crate) port: Port,
    pub(crate) app: u32,
    pub(crate) user: User,
    pub(crate) sharing: Sharing,
    pub(crate) state: BindingState,
    /// The local address of the flow, while it is connected.
    pub(crate) connected: Addr,
    /// Its place in the order in which Linux asks the sockets of a UDP port: the highest first.
    pub(crate) order: i64,
    /// Neighbours in the list of those that receive on the same addresses.
    pub(crate) previous: Option<BindingId>,
    pub(crate) next: Option<BindingId>,
    /// Its place in the group that shares a port by SO_REUSEPORT.
    pub(crate) place: u32,
}

impl Binding {
    /// The protocol.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The address that was claimed; `None` is any of both families.
    pub const fn address(&self) -> Option<Addr> {
        self.address
    }

    /// The port.
    pub const fn port(&self) -> Port {
        self.port
    }

    /// The token of the application's socket, as it was given to [`Table::bind`](crate::table::Table::bind).
    pub const fn app(&self) -> u32 {
        self.app
    }

    /// Whose it is.
    pub const fn user(&self) -> User {
        self.user
    }

    /// The socket options, as they are now.
    pub const fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// What its socket does.
    pub const fn state(&self) -> BindingState {
        self.state
    }

    /// The kind of its addresses at this moment.
    pub(crate) fn kind(&self) -> Kind {
        match self.state {
            BindingState::Connected => Kind::of_one(self.connected, self.is_v6_open()),
            _ => Kind::of_claim(self.address),
        }
    }

    /// Whether its socket would be found over IPv4 as well if it were on any address.
    pub(crate) const fn is_v6_open(&self) -> bool {
        self.address.is_none()
    }

    pub(crate) fn at(&self) -> Endpoint {
        let addr = match self.state {
            BindingState::Connected => self.connected,
            _ => self.address.unwrap_or(Addr::ANY_V6),
        };
        Endpoint { addr, port: self.port.number() }
    }

    pub(crate) fn class(&self) -> Class {
        let class = Class::new(self.sharing);
        if self.state == BindingState::Listening { class.listening() } else { class }
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner {
            protocol: self.protocol,
            at: self.at(),
            kind: self.kind(),
            class: self.class(),
            user: self.user,
        }
    }

    /// Whether packets that belong to no flow come here.
    pub(crate) fn receives(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => self.state == BindingState::Listening,
            Protocol::Udp | Protocol::Icmp => self.state == BindingState::Bound,
        }
    }
}

impl fmt::Display for Binding {
    /// `tcp *:80`, `udp 127.0.0.1:53`, `tcp [::]:443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, "{} *:{}", self.protocol, self.port),
            Some(addr) if addr.is_v4() => write!(f, "{} {addr}:{}", self.protocol, self.port),
            Some(addr) => write!(f, "{} [{addr}]:{}", self.protocol, self.port),
        }
    }
}

/// Why a port could not be claimed, or not listened on. Each variant is one error number of the interface of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// EADDRINUSE: somebody holds the port on an address that the claim covers.
    InUse {
        /// A binding that receives there, where it is one that keeps the claim out. It may also be a connection, or what
        /// is left of one, or a socket that is bound and nothing else.
        by: Option<BindingId>,
    },
    /// EADDRINUSE as well: no port was asked for, and none of the ephemeral range is free on this address.
    NoPortLeft,
    /// EACCES: the port is below [`Table::set_privileged_below`](crate::table::Table::set_privileged_below), and the
    /// one who asks may not bind those.
    Privileged,
    /// EADDRNOTAVAIL: the address is none of the host's.
    NotLocal,
    /// EINVAL: a TCP socket can't be bound to a multicast address of IPv6, and only a TCP socket that is bound listens.
    Invalid,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BindError::InUse { .. } => "the port is in use",
            BindError::NoPortLeft => "no port of the ephemeral range is free on this address",
            BindError::Privileged => "the port is privileged",
            BindError::NotLocal => "the address is none of this host's",
            BindError::Invalid => "the socket is not one that can do this",
        })
    }
}

impl core::error::Error for BindError {}

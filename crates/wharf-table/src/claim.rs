//! The claim: what a socket asks of the table when it binds, and what its socket options allow others.

use crate::endpoint::Addr;
use crate::port::Port;
use crate::tuple::Protocol;

/// The number of a user, as the host counts them. The table compares users and knows nothing else of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(pub u32);

impl User {
    /// User 0.
    pub const ROOT: User = User(0);
}

/// What a socket lets others do with its port. Both can be changed after the bind ([`Table::set_sharing`]).
///
/// [`Table::set_sharing`]: crate::table::Table::set_sharing
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
}

/// What a socket asks for when it binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The protocol.
    pub protocol: Protocol,
    /// The addresses: `None` is any address of both families (`[::]` without IPV6_V6ONLY), [`Addr::ANY_V4`] any IPv4
    /// address, [`Addr::ANY_V6`] any IPv6 address only, everything else that one address. A mapped address is IPv4.
    pub address: Option<Addr>,
    /// The port; `None` lets the table choose one (port 0 in the interface of sockets).
    pub port: Option<Port>,
    /// Who asks.
    pub user: User,
    /// Whether the one who asks may bind ports below [`Table::set_privileged_below`], as CAP_NET_BIND_SERVICE does.
    ///
    /// [`Table::set_privileged_below`]: crate::table::Table::set_privileged_below
    pub privileged: bool,
    /// The socket options at this moment.
    pub sharing: Sharing,
    /// Whether the socket is an IPv6 one and the address a mapped one. It is treated as IPv4, but for its place among those
    /// that share a port by SO_REUSEPORT.
    pub mapped: bool,
    /// The token of the application's socket, which the table keeps and never reads.
    pub app: u32,
}

impl Claim {
    /// A claim of user 0 with every right and no options set.
    pub const fn new(protocol: Protocol, address: Option<Addr>, port: Option<Port>, app: u32) -> Claim {
        let sharing = Sharing { reuse_address: false, reuse_port: false };
        Claim { protocol, address, port, user: User::ROOT, privileged: true, sharing, mapped: false, app }
    }

    /// The same claim of another user, who may or may not bind privileged ports.
    pub const fn of(self, user: User, privileged: bool) -> Claim {
        Claim { user, privileged, ..self }
    }

    /// The same claim with these socket options.
    pub const fn sharing(self, sharing: Sharing) -> Claim {
        Claim { sharing, ..self }
    }
}

//! The tuple: what tells one conversation from another (RFC 9293, section 3.3.1; RFC 768).

use core::fmt;

use crate::endpoint::Endpoint;

/// A transport protocol whose packets carry something that tells conversations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
    /// ICMP or ICMPv6 echo; the identifier takes the place of a port (RFC 5508, section 3).
    Icmp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
        })
    }
}

/// Protocol, local endpoint, remote endpoint, as seen by the one who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// The protocol.
    pub protocol: Protocol,
    /// The end that is ours.
    pub local: Endpoint,
    /// The end that is theirs.
    pub remote: Endpoint,
}

impl Tuple {
    /// The same conversation as the other end sees it.
    pub const fn reversed(self) -> Tuple {
        Tuple { protocol: self.protocol, local: self.remote, remote: self.local }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.protocol, self.local, self.remote)
    }
}

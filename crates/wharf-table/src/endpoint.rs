//! Addresses and endpoints. One representation for both families: an IPv4 address lives inside as an
//! IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2); [`IpAddr`] stands at the interface.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IP address of either family in 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr([u8; 16]);

impl Addr {
    /// `0.0.0.0`.
    pub const ANY_V4: Addr = Addr::v4([0, 0, 0, 0]);
    /// `::`.
    pub const ANY_V6: Addr = Addr([0; 16]);

    /// The IPv4 address with these four octets.
    pub const fn v4(octets: [u8; 4]) -> Addr {
        let [a, b, c, d] = octets;
        Addr([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// The IPv6 address with these sixteen octets. A mapped address is the IPv4 address.
    pub const fn v6(octets: [u8; 16]) -> Addr {
        Addr(octets)
    }

    /// The sixteen octets, IPv4 mapped.
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }

    /// Whether this is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        // As one number: byte by byte this took a tenth of a segment's time, so often is it asked.
        u128::from_be_bytes(self.0) >> 32 == 0xffff
    }

    /// The four octets of an IPv4 address; `None` for IPv6.
    pub const fn v4_octets(self) -> Option<[u8; 4]> {
        let [.., a, b, c, d] = self.0;
        if self.is_v4() { Some([a, b, c, d]) } else { None }
    }

    /// The address as the standard library writes it: `V4` for mapped addresses.
    pub const fn ip(self) -> IpAddr {
        match self.v4_octets() {
            Some([a, b, c, d]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            None => IpAddr::V6(Ipv6Addr::from_octets(self.0)),
        }
    }

    /// `0.0.0.0` or `::`.
    pub fn is_unspecified(self) -> bool {
        self == Addr::ANY_V4 || self == Addr::ANY_V6
    }

    /// 127.0.0.0/8 or `::1`.
    pub const fn is_loopback(self) -> bool {
        if self.is_v4() { self.0[12] == 127 } else { u128::from_be_bytes(self.0) == 1 }
    }

    /// 224.0.0.0/4 or ff00::/8.
    pub const fn is_multicast(self) -> bool {
        if self.is_v4() { self.0[12] >> 4 == 0xe } else { self.0[0] == 0xff }
    }

    /// 255.255.255.255.
    pub fn is_limited_broadcast(self) -> bool {
        self == Addr::v4([255; 4])
    }

    /// 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291, section 2.5.6).
    pub const fn is_link_local(self) -> bool {
        match self.ip() {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Addr {
        match ip {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => ip.into(),
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Addr {
        Addr::v4(ip.octets())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(ip: Ipv6Addr) -> Addr {
        Addr(ip.octets())
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> IpAddr {
        addr.ip()
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

/// One end of a conversation: an address and a port. Port 0 stands here only where the wire carries it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub addr: Addr,
    /// The port number in host order; the identifier for ICMP echo.
    pub port: u16,
}

impl Endpoint {
    /// The endpoint at `addr`, `port`.
    pub fn new(addr: impl Into<Addr>, port: u16) -> Endpoint {
        Endpoint { addr: addr.into(), port }
    }

    /// The endpoint as the standard library writes it.
    pub const fn socket_addr(self) -> SocketAddr {
        SocketAddr::new(self.addr.ip(), self.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(at: SocketAddr) -> Endpoint {
        Endpoint::new(at.ip(), at.port())
    }
}

impl fmt::Display for Endpoint {
    /// `192.0.2.1:443` or `[2001:db8::1]:443` (RFC 5952, section 6).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

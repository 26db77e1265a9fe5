//! An address together with its network (RFC 4632, section 3.1; RFC 4291, section 2.3).

use alloc::string::{String, ToString};
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::endpoint::Addr;
use crate::notation::port::parse_number;

/// An address and the length of its network's prefix: `10.0.2.100/24`. The host part is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    addr: Addr,
    prefix_len: u8,
}

impl Cidr {
    /// `addr` in a network of `prefix_len` bits; `None` beyond 32 bits for IPv4, 128 for IPv6.
    pub const fn new(addr: Addr, prefix_len: u8) -> Option<Cidr> {
        if prefix_len > bits_of(addr) { None } else { Some(Cidr { addr, prefix_len }) }
    }

    /// The address, host part included.
    pub const fn addr(self) -> Addr {
        self.addr
    }

    /// The length of the prefix, in bits of the address's family.
    pub const fn prefix_len(self) -> u8 {
        self.prefix_len
    }

    /// Whether it is one address and no more.
    pub const fn is_single(self) -> bool {
        self.host_bits() == 0
    }

    /// Whether `addr` is of the same family and in the same network.
    pub fn contains(self, addr: Addr) -> bool {
        addr.is_v4() == self.addr.is_v4() && (value(addr) ^ value(self.addr)) & !self.host_mask() == 0
    }

    /// The network's first address: the host part is zero.
    pub fn network(self) -> Addr {
        Addr::v6((value(self.addr) & !self.host_mask()).to_be_bytes())
    }

    /// The directed broadcast address of an IPv4 network; `None` for IPv6 and where the network has no room for one
    /// (RFC 3021).
    pub fn broadcast(self) -> Option<Addr> {
        let has_one = self.addr.is_v4() && self.host_bits() > 1;
        has_one.then(|| Addr::v6((value(self.addr) | self.host_mask()).to_be_bytes()))
    }

    /// The network mask of an IPv4 network, `255.255.255.0` say; `None` for IPv6.
    pub fn mask(self) -> Option<Addr> {
        let mask = u32::MAX.checked_shl(u32::from(self.host_bits())).unwrap_or(0);
        self.addr.is_v4().then(|| Addr::v4(mask.to_be_bytes()))
    }

    /// The address `n` behind [`Cidr::network`]; `None` when no host can have it: it lies outside, is the broadcast
    /// address, or is the network itself (the subnet routers' anycast address of IPv6, RFC 4291, section 2.6.1). A
    /// network of one or two addresses gives all of them to hosts.
    pub fn nth_host(self, n: u64) -> Option<Addr> {
        let n = u128::from(n);
        if n > self.host_mask() || n == 0 && self.host_bits() > 1 {
            return None;
        }
        let addr = Addr::v6((value(self.network()) | n).to_be_bytes());
        (self.broadcast() != Some(addr)).then_some(addr)
    }

    const fn host_bits(self) -> u8 {
        bits_of(self.addr) - self.prefix_len
    }

    /// The bits of the host part, as they stand in the sixteen octets.
    fn host_mask(self) -> u128 {
        let above = 128 - u32::from(self.host_bits());
        u128::MAX.checked_shr(above).unwrap_or(0)
    }
}

const fn bits_of(addr: Addr) -> u8 {
    if addr.is_v4() { 32 } else { 128 }
}

const fn value(addr: Addr) -> u128 {
    u128::from_be_bytes(addr.octets())
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_len)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is wrong with an address and prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// No prefix length follows the address.
    PrefixMissing {
        /// The whole text.
        text: String,
    },
    /// What stands before the slash is no address.
    NotAnAddress {
        /// The offending part.
        part: String,
    },
    /// The prefix length is no number, or too long for the family.
    Prefix {
        /// The offending part.
        part: String,
        /// The longest of this family.
        longest: u8,
    },
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CidrError::PrefixMissing { text } => {
                write!(f, "{text:?}: a prefix length is missing (write 10.0.2.100/24 or fd00::1/64)")
            }
            CidrError::NotAnAddress { part } => {
                write!(f, "{part:?}: not an address (write 10.0.2.100/24 or fd00::1/64)")
            }
            CidrError::Prefix { part, longest } => {
                write!(f, "{part:?}: not a prefix length (write /0 to /{longest})")
            }
        }
    }
}

impl core::error::Error for CidrError {}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.2.100/24` or `fd00::1/64`.
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let Some((addr, prefix)) = text.split_once('/') else {
            return Err(CidrError::PrefixMissing { text: text.to_string() });
        };
        let addr = match addr.parse::<IpAddr>() {
            Ok(addr) => Addr::from(addr),
            Err(_) => return Err(CidrError::NotAnAddress { part: addr.to_string() }),
        };
        let number = parse_number(prefix).ok().and_then(|number| u8::try_from(number).ok());
        number
            .and_then(|number| Cidr::new(addr, number))
            .ok_or_else(|| CidrError::Prefix { part: alloc::format!("/{prefix}"), longest: bits_of(addr) })
    }
}

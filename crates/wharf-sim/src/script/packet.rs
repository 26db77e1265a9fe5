//! Packets as scripts speak of them: everything that a line can say and a stack can send, options in their order.
//!
//! This is deliberately not `wharf-wire`, and knows nothing of it: what a stack sent is read here by other code than what
//! wrote it, and what comes in may be as wrong as a script likes.

mod emit;
mod read;
mod render;

use std::net::{IpAddr, Ipv4Addr};

pub use emit::emit;
pub use read::read;

/// TCP flags; the ninth bit is AE, once NS (RFC 9768, section 3.1).
pub mod flag {
    /// No more data.
    pub const FIN: u16 = 0x001;
    /// Synchronize.
    pub const SYN: u16 = 0x002;
    /// Reset.
    pub const RST: u16 = 0x004;
    /// Push.
    pub const PSH: u16 = 0x008;
    /// The acknowledgment counts.
    pub const ACK: u16 = 0x010;
    /// The urgent pointer counts.
    pub const URG: u16 = 0x020;
    /// ECN echo.
    pub const ECE: u16 = 0x040;
    /// Congestion window reduced.
    pub const CWR: u16 = 0x080;
    /// Accurate ECN.
    pub const AE: u16 = 0x100;
    /// Each with its letter, in the order of writing.
    pub const LETTERS: [(char, u16); 9] = [
        ('F', FIN),
        ('S', SYN),
        ('R', RST),
        ('P', PSH),
        ('U', URG),
        ('E', ECE),
        ('W', CWR),
        ('A', AE),
        ('.', ACK),
    ];
}

/// IP protocol numbers.
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMPV6: u8 = 58;
}

/// An IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// The TOS byte or traffic class.
    pub tos: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Of IPv6 only.
    pub flow_label: u32,
    /// Of IPv4 only.
    pub dont_fragment: bool,
    /// What it carries.
    pub body: Body,
}

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram.
    Udp(Datagram),
    /// A message of ICMP, or of ICMPv6 in a packet of IPv6.
    Icmp(Icmp),
    /// Anything else, a fragment say.
    Other {
        /// The protocol's number.
        protocol: u8,
        /// Its bytes.
        payload: Vec<u8>,
    },
}

/// A TCP segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgment, 0 where it does not count.
    pub ack: u32,
    /// Of [`flag`].
    pub flags: u16,
    /// As it stands on the wire.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// The data offset in words of 32 bits, where a script gives a wrong one.
    pub data_offset: Option<u8>,
    /// In their order.
    pub options: Vec<TcpOption>,
    /// What follows the header.
    pub payload: Payload,
}

/// A UDP datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datagram {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// What follows the header.
    pub payload: Payload,
}

/// The bytes of a segment or datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The bytes; zeros where a script gives a length only.
    pub bytes: Vec<u8>,
    /// Whether the script said which bytes.
    pub said: bool,
}

impl Payload {
    /// `length` zeros of which the script said no more.
    pub fn unsaid(length: usize) -> Payload {
        Payload { bytes: vec![0; length], said: false }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A message of ICMP or ICMPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Icmp {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The word behind the checksum: an MTU, or identifier and sequence number.
    pub word: u32,
    /// What follows, in errors the packet that caused it.
    pub payload: Vec<u8>,
}

/// An option of a TCP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// End of options.
    End,
    /// Padding.
    Nop,
    /// The largest segment.
    Mss(u16),
    /// How many bits windows are shifted.
    WindowScale(u8),
    /// SACK is understood.
    SackPermitted,
    /// Blocks held.
    Sack(Vec<(u32, u32)>),
    /// The sender's clock and the one it heard.
    Timestamps(u32, u32),
    /// Fast Open (RFC 7413, section 4.1.1), the cookie or none.
    FastOpen(Vec<u8>),
    /// Fast Open under the experimental number.
    FastOpenExperimental(Vec<u8>),
    /// Any other: kind and value.
    Other(u8, Vec<u8>),
    /// Bytes that need not be an option at all.
    Raw(Vec<u8>),
}

impl Packet {
    /// A packet between addresses not yet known.
    pub fn between_unknown(body: Body) -> Packet {
        Packet {
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            tos: 0,
            ttl: DEFAULT_TTL,
            flow_label: 0,
            dont_fragment: false,
            body,
        }
    }

    /// The TCP segment in it.
    pub fn segment(&self) -> Option<&Segment> {
        match &self.body {
            Body::Tcp(segment) => Some(segment),
            _ => None,
        }
    }

    /// Source and destination port of what has ports.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match &self.body {
            Body::Tcp(segment) => Some((segment.source_port, segment.destination_port)),
            Body::Udp(datagram) => Some((datagram.source_port, datagram.destination_port)),
            _ => None,
        }
    }
}

/// What packets that come in have where the script does not say.
pub const DEFAULT_TTL: u8 = 255;

impl Segment {
    /// Whether all of these flags are set.
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// The timestamps.
    pub fn timestamps(&self) -> Option<(u32, u32)> {
        self.options.iter().find_map(|option| match option {
            TcpOption::Timestamps(value, echo) => Some((*value, *echo)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;

//! What was wrong with bytes that could not be parsed. One word for all formats, because who reads it counts it,
//! prints it, or turns it into an ICMP message, and does so in one place.

use core::fmt;

use wharf_table::Addr;

/// The first thing that was wrong. Bytes from the network are never an error of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Fewer bytes than the smallest form of the format has.
    TooShort,
    /// The version nibble of an IP header, or another version, is not that of the format.
    Version,
    /// The header length field points before the end of the fixed part or beyond the bytes.
    HeaderLength,
    /// The length of the whole is less than its header, or more than the bytes that came.
    Length,
    /// The IPv4 header checksum is wrong (RFC 1122, section 3.2.1.2).
    HeaderChecksum,
    /// The checksum of a transport header or an ICMP message is wrong.
    Checksum,
    /// A UDP datagram over IPv6 carries no checksum (RFC 8200, section 8.1).
    ChecksumMissing,
    /// An ARP message for another kind of hardware, protocol or address length.
    AddressKind,
    /// A code or operation that the format does not have.
    Operation,
    /// An option or its length does not fit the format.
    Option,
    /// An IPv6 extension header has a length beyond the packet, at this offset from the IPv6 header.
    ExtensionLength(u16),
    /// More IPv6 extension headers or options than anyone needs.
    ExtensionCount,
    /// A Hop-by-Hop header stands behind another header; the offset is that of the Next Header field that announced
    /// it (RFC 8200, section 4.1).
    ExtensionOrder(u16),
    /// A Routing header of unknown type that still has segments left; the offset is that of its type (RFC 8200,
    /// section 4.4).
    RoutingType(u16),
    /// An IPv6 option that we don't know and must not skip (RFC 8200, section 4.2).
    UnknownOption {
        /// Its offset from the IPv6 header, in bytes.
        at: u16,
        /// What its two highest bits ask of us.
        report: OptionReport,
    },
    /// A first fragment that does not hold all headers up to the transport's (RFC 7112, section 5).
    HeaderChainSplit,
    /// A DNS name that is too long, has a label of unknown type, or points where it must not (RFC 1035, section 4.1.4).
    Name,
    /// The magic cookie or the message type of a DHCP message is missing (RFC 2131, section 3; RFC 2132, section 9.6).
    NotDhcp,
    /// More than is held of what a client shows first.
    TooLong,
    /// Two names where one is due, or the same said in two ways: which of them counts is up to who reads it.
    TwoNames,
    /// A line of the head of an HTTP request that is none, or that some servers read as another (RFC 9112, section 2.2).
    Line,
    /// A packet that is sealed with none of the keys that it may have (RFC 9001, section 5.2), or with two of them.
    Sealed,
    /// Two versions of the bytes at one place of a stream (RFC 9000, section 2.2).
    Overlap,
    /// A frame that an Initial packet must not hold (RFC 9000, section 12.4).
    Frame,
    /// Packets of two connections in one datagram (RFC 9000, section 12.2), or more that begin at once in a flow than anyone needs.
    Crowded,
}

/// What the sender of an unknown IPv6 option wants to hear of it (RFC 8200, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptionReport {
    /// Nothing: discard the packet.
    Never,
    /// A Parameter Problem, code 2, in any case.
    Always,
    /// A Parameter Problem, code 2, unless the destination was a multicast address.
    UnlessMulticast,
}

impl Malformed {
    /// The code and pointer of the ICMPv6 Parameter Problem that this fault of a packet to `destination` deserves
    /// (RFC 4443, section 3.4; RFC 7112, section 5); `None` when it is to be dropped in silence.
    pub fn parameter_problem(self, destination: Addr) -> Option<(u8, u32)> {
        match self {
            Malformed::ExtensionLength(at) | Malformed::RoutingType(at) => Some((0, u32::from(at))),
            Malformed::ExtensionOrder(at) => Some((1, u32::from(at))),
            Malformed::UnknownOption { report: OptionReport::Never, .. } => None,
            Malformed::UnknownOption { report: OptionReport::UnlessMulticast, .. }
                if destination.is_multicast() =>
            {
                None
            }
            Malformed::UnknownOption { at, .. } => Some((2, u32::from(at))),
            Malformed::HeaderChainSplit => Some((3, 0)),
            _ => None,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Malformed::TooShort => "too short",
            Malformed::Version => "wrong version",
            Malformed::HeaderLength => "wrong header length",
            Malformed::Length => "wrong length",
            Malformed::HeaderChecksum => "wrong header checksum",
            Malformed::Checksum => "wrong checksum",
            Malformed::ChecksumMissing => "no checksum over IPv6",
            Malformed::AddressKind => "unknown kind of address",
            Malformed::Operation => "unknown operation",
            Malformed::Option => "malformed option",
            Malformed::ExtensionLength(_) => "extension header beyond the packet",
            Malformed::ExtensionCount => "too many extension headers",
            Malformed::ExtensionOrder(_) => "hop-by-hop options out of place",
            Malformed::RoutingType(_) => "unknown routing header",
            Malformed::UnknownOption { .. } => "unknown extension option",
            Malformed::HeaderChainSplit => "headers continue behind the first fragment",
            Malformed::Name => "malformed name",
            Malformed::NotDhcp => "not a DHCP message",
            Malformed::TooLong => "too long",
            Malformed::TwoNames => "two names",
            Malformed::Line => "malformed line",
            Malformed::Sealed => "wrong keys",
            Malformed::Overlap => "different bytes for one place",
            Malformed::Frame => "frame out of place",
            Malformed::Crowded => "too many connections",
        })
    }
}

impl core::error::Error for Malformed {}

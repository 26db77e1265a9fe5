//! The packet: what IPv4 and IPv6 have in common, once a frame is opened and, where it was cut, put together again.

use wharf_table::Addr;

use crate::tcp::Ecn;

/// IP protocol numbers that the stack takes.
pub(crate) mod protocol {
    /// ICMP (RFC 792).
    pub(crate) const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub(crate) const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub(crate) const UDP: u8 = 17;
    /// ICMPv6 (RFC 4443).
    pub(crate) const ICMPV6: u8 = 58;
}

/// Whom the destination of a packet means, as the stack sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// The stack.
    Own,
    /// More than one station.
    Group,
    /// Somebody else.
    Other,
}

/// A whole packet of either family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    pub(crate) meant: Meant,
    /// The protocol of the payload, behind all extension headers.
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    pub(crate) ecn: Ecn,
    /// Type of service or traffic class, those bits included.
    pub(crate) traffic_class: u8,
    pub(crate) dont_fragment: bool,
    /// Whether it came in fragments.
    pub(crate) in_fragments: bool,
    /// Where the field stands that named `protocol`, in bytes from the IPv6 header.
    pub(crate) next_header_at: u16,
    /// The packet from its IP header on, as far as it is at hand: what an ICMP error quotes.
    pub(crate) quote: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// Whether the transport checksum needs no look.
    pub(crate) trusted: bool,
    /// Payload bytes of each datagram or segment that this packet stands for; 0 when it is one.
    pub(crate) gso_size: u16,
}

//! ICMP errors into the link: those of the stack itself, and those that its owner relays from outside.

use alloc::vec::Vec;

use wharf_table::{Addr, DropReason, Instant, Protocol, Tuple};
use wharf_wire::ipv6::{self, Ipv6Repr};
use wharf_wire::tcp::TcpRepr;

use super::{DatagramFields, Stack};
use crate::egress;
use crate::ip::{Packet, protocol};
use crate::tcp::{self, Ecn, SegmentOut, Unreachable};

/// An ICMP error is at most this long with its IP header, so that it always arrives (RFC 1812, section 4.3.2.3; RFC 4443,
/// section 2.4 (c) allows 1280).
const QUOTE_MAX_V4: usize = 576 - 20 - 8;
const QUOTE_MAX_V6: usize = 1280 - 40 - 8;

/// An ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// The destination can't be reached.
    Unreachable(Unreachable),
    /// The hop limit ran out on the way.
    HopLimitExceeded,
    /// A fragment's datagram never became whole.
    ReassemblyTimeout,
    /// A field of the IPv6 header chain is wrong: the code, and the octet at which.
    ParameterProblem {
        /// As RFC 4443, section 3.4, numbers them.
        code: u8,
        /// Octets from the start of the packet.
        pointer: u32,
    },
    /// The packet is larger than this MTU, in bytes, further on.
    TooBig(u32),
    /// The source address means nothing where the destination is (RFC 4443, section 3.1; RFC 3927, section 7).
    BeyondScope,
}

impl IcmpError {
    /// Type, code and the second word of the message.
    fn fields(self, v4: bool) -> (u8, u8, u32) {
        match (self, v4) {
            (IcmpError::Unreachable(Unreachable::HopLimit) | IcmpError::HopLimitExceeded, true) => (11, 0, 0),
            (IcmpError::Unreachable(Unreachable::HopLimit) | IcmpError::HopLimitExceeded, false) => (3, 0, 0),
            (IcmpError::Unreachable(Unreachable::Protocol), false) => (4, 1, 6),
            (IcmpError::Unreachable(why), true) => (3, code_v4(why), 0),
            (IcmpError::Unreachable(why), false) => (1, code_v6(why), 0),
            (IcmpError::ReassemblyTimeout, true) => (11, 1, 0),
            (IcmpError::ReassemblyTimeout, false) => (3, 1, 0),
            (IcmpError::ParameterProblem { pointer, .. }, true) => (12, 0, pointer << 24),
            (IcmpError::ParameterProblem { code, pointer }, false) => (4, code, pointer),
            (IcmpError::TooBig(mtu), true) => (3, 4, mtu.min(0xffff)),
            (IcmpError::TooBig(mtu), false) => (2, 0, mtu),
            (IcmpError::BeyondScope, true) => (3, 13, 0),
            (IcmpError::BeyondScope, false) => (1, 2, 0),
        }
    }
}

/// The code of an IPv4 destination unreachable (RFC 792; RFC 1812, section 5.2.7.1).
const fn code_v4(why: Unreachable) -> u8 {
    match why {
        Unreachable::Network => 0,
        Unreachable::Host | Unreachable::HopLimit => 1,
        Unreachable::Protocol => 2,
        Unreachable::Port => 3,
        Unreachable::Prohibited => 13,
    }
}

/// The code of an IPv6 destination unreachable (RFC 4443, section 3.1).
const fn code_v6(why: Unreachable) -> u8 {
    match why {
        Unreachable::Network => 0,
        Unreachable::Prohibited => 1,
        Unreachable::Host | Unreachable::HopLimit | Unreachable::Protocol => 3,
        Unreachable::Port => 4,
    }
}

impl Stack {
    /// Answers a packet with an error of the stack's own, within the rate.
    pub(super) fn reply_icmp(&mut self, now: Instant, packet: &Packet<'_>, error: IcmpError) {
        self.reply_icmp_quoting(now, packet.src, packet.dst, error, packet.quote);
    }

    /// The same, to the sender of a packet of which only the quote is left. An error about a datagram to an address of our
    /// own comes from that address, others from the gateway. Errors are not answered, nor is who can't be one sender
    /// (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e)).
    pub(super) fn reply_icmp_quoting(
        &mut self,
        now: Instant,
        src: Addr,
        dst: Addr,
        error: IcmpError,
        quote: &[u8],
    ) {
        if src.is_unspecified() || src.is_multicast() || is_icmp_error(quote) {
            return;
        }
        if !self.limiter.allows(now, src) {
            self.drops.count(DropReason::RateLimited);
            return;
        }
        let source = if self.is_own(dst) || self.is_looped(dst) {
            Some(dst)
        } else {
            self.config.role.source_for(src)
        };
        if let Some(source) = source {
            self.push_icmp(source, src, error, quote);
        }
    }

    /// Answers an IPv6 packet whose header chain can't be walked (RFC 8200, section 4.2; RFC 4443, section 3.4).
    pub(super) fn reply_parameter_problem(
        &mut self,
        now: Instant,
        src: Addr,
        code: u8,
        pointer: u32,
        quote: &[u8],
    ) {
        self.reply_icmp_quoting(now, src, Addr::ANY_V6, IcmpError::ParameterProblem { code, pointer }, quote);
    }

    /// Relays an error from outside to the program that sent a datagram: `offender` is who reported it (the gateway when
    /// unknown), `tuple` is the program's (local is the program), `payload` as much of the datagram as is known, from behind
    /// the UDP header, or from the ICMP header on for an echo.
    pub fn relay_icmp(&mut self, offender: Option<Addr>, error: IcmpError, tuple: Tuple, payload: &[u8]) {
        let family = tuple.local.addr.is_v4();
        let offender = offender.filter(|addr| {
            addr.is_v4() == family && !addr.is_unspecified() && !addr.is_loopback() && !addr.is_multicast()
        });
        let Some(source) = offender.or_else(|| self.config.role.source_for(tuple.local.addr)) else { return };
        let (src, dst) = (tuple.local.addr, tuple.remote.addr);
        let mut transport = Vec::new();
        let number = match tuple.protocol {
            Protocol::Udp => {
                let len = (8 + payload.len()).min(0xffff) as u16;
                for word in [tuple.local.port, tuple.remote.port, len, 0] {
                    transport.extend_from_slice(&word.to_be_bytes());
                }
                protocol::UDP
            }
            Protocol::Icmp if family => protocol::ICMP,
            Protocol::Icmp => protocol::ICMPV6,
            Protocol::Tcp => protocol::TCP,
        };
        let room = if family { QUOTE_MAX_V4 } else { QUOTE_MAX_V6 };
        transport.extend_from_slice(&payload[..payload.len().min(room)]);
        let quote = self.egress.quoted_packet(src, dst, number, &transport);
        self.push_icmp(source, src, error, &quote);
    }

    /// Answers the SYN of an incoming connection with an error.
    pub(super) fn reply_icmp_to_syn(&mut self, now: Instant, tuple: Tuple, syn: &TcpRepr, error: IcmpError) {
        if !self.limiter.allows(now, tuple.remote.addr) {
            self.drops.count(DropReason::RateLimited);
            return;
        }
        let mut header = [0; 20];
        syn.emit(&mut header);
        self.relay_icmp(None, error, tuple.reversed(), &header);
    }

    /// Answers a segment with a RST, where RFC 9293, section 3.10.7.1 has one for it.
    pub(super) fn reply_reset(&mut self, tuple: Tuple, segment: &TcpRepr, payload_len: usize) {
        let Some(header) = tcp::reset_for(segment, payload_len) else { return };
        let next_hop = self.link_address(tuple.remote.addr);
        let Some(to) = next_hop else { return };
        let segment = SegmentOut { header, payload: (0, 0), gso_size: None, ecn: Ecn::NotCapable };
        let frame = self.egress.whole_segment(to, &tuple, &segment, egress::Fields::default(), &[]);
        self.reply_to(to, frame);
    }

    fn push_icmp(&mut self, source: Addr, destination: Addr, error: IcmpError, quote: &[u8]) {
        let v4 = destination.is_v4();
        let (kind, code, word) = error.fields(v4);
        let quote = &quote[..quote.len().min(if v4 { QUOTE_MAX_V4 } else { QUOTE_MAX_V6 })];
        let mut message = Vec::with_capacity(8 + quote.len());
        message.extend_from_slice(&[kind, code, 0, 0]);
        message.extend_from_slice(&word.to_be_bytes());
        message.extend_from_slice(quote);
        egress::fill_icmp_checksum(source, destination, &mut message);
        let next_hop = self.link_address(destination);
        let Some(to) = next_hop else { return };
        let number = if v4 { protocol::ICMP } else { protocol::ICMPV6 };
        match self.egress.ip_frames(to, (source, destination), number, DatagramFields::default(), &message) {
            Ok(frames) => frames.into_iter().for_each(|frame| self.reply_to(to, frame)),
            Err(reason) => self.drops.count(reason),
        }
    }
}

/// Whether a packet, whole or cut short, is an ICMP error or a redirect, or one of which that can't be told.
fn is_icmp_error(packet: &[u8]) -> bool {
    let Some(&[first, .., number]) = packet.first_chunk::<10>() else { return true };
    if first >> 4 == 4 {
        let kind = packet.get(usize::from(first & 0x0f) * 4);
        // Whatever is no query counts as an error, as in Linux.
        return number == protocol::ICMP && !matches!(kind, Some(0 | 8..=10 | 13..=18));
    }
    let Some((header, rest)) = packet.split_first_chunk::<{ ipv6::HEADER_LEN }>() else { return true };
    match transport_v6(header[6], rest) {
        Some((protocol::ICMPV6, payload)) => !matches!(payload.first(), Some(128..=136 | 138..=255)),
        _ => false,
    }
}

/// The transport behind an IPv6 header's extensions; of a first fragment that of its datagram.
fn transport_v6(next_header: u8, rest: &[u8]) -> Option<(u8, &[u8])> {
    let header = Ipv6Repr {
        src: Addr::ANY_V6,
        dst: Addr::ANY_V6,
        next_header,
        hop_limit: 0,
        traffic_class: 0,
        flow_label: 0,
        payload_len: rest.len(),
    };
    let mut upper = ipv6::walk(&header, rest).ok()?;
    if let Some(fragment) = upper.fragment {
        upper = ipv6::walk_reassembled(fragment.next_header, upper.payload).ok()?;
    }
    Some((upper.protocol, upper.payload))
}

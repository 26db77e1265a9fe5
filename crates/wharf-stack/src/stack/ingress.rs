//! The way in: from a frame to the one who takes its packet.
//!
//! One function a layer, each of which returns a [`DropReason`] for what goes nowhere: frame, ARP or IP, addresses,
//! fragment, transport.
//!
//! Invariant: a packet whose source is no station's address, or one of our own, is dropped before anything is kept or
//! answered.

use alloc::vec;
use alloc::vec::Vec;

use wharf_table::{Addr, DropReason, Instant};
use wharf_wire::ethernet::{EtherType, EthernetRepr};
use wharf_wire::ipv4::{self, Ipv4Repr};
use wharf_wire::ipv6::Ipv6Repr;
use wharf_wire::ipv6::extension::{self, UpperLayer};
use wharf_wire::malformed::Malformed;
use wharf_wire::protocol::NO_NEXT_HEADER;
use wharf_wire::{icmpv4, icmpv6, tcp, udp};

use super::usual::NEXT_HEADER_V4;
use super::{DatagramSink, IcmpError, Medium, Role, Stack, Unreachable};
use crate::interface::{ChecksumIn, FrameIn};
use crate::ip::{Meant, Packet, protocol};
use crate::tcp::Ecn;

/// Codes of a Parameter Problem (RFC 4443, section 3.4).
const UNKNOWN_NEXT_HEADER: u8 = 1;
const UNKNOWN_OPTION: u8 = 2;
/// As much of a datagram as any error quotes.
const QUOTE_MAX: usize = 1280;

/// How a packet came to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In a frame to our hardware address.
    ToUs,
    /// In a frame to a group of stations, or to all.
    ToAll,
    /// Over a medium without frames.
    Bare,
    /// From ourselves.
    Loopback,
}

impl Stack {
    pub(super) fn handle_frame<D: DatagramSink>(
        &mut self,
        now: Instant,
        frame: &FrameIn<'_>,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        if self.config.medium == Medium::Ip {
            return self.handle_packet(now, frame, Origin::Bare, datagrams);
        }
        let (ethernet, body) = EthernetRepr::parse(frame.bytes).map_err(|_| DropReason::FrameTooShort)?;
        if !ethernet.dst.is_multicast() && ethernet.dst.0 != self.config.hardware_address {
            return Err(DropReason::NotOurHardwareAddress);
        }
        if ethernet.src.is_multicast() || ethernet.src.0 == self.config.hardware_address {
            return Err(DropReason::SourceInvalid);
        }
        let origin = if ethernet.dst.is_multicast() { Origin::ToAll } else { Origin::ToUs };
        match ethernet.ether_type {
            EtherType::IPV4 => self.on_ipv4(now, frame, origin, body, datagrams),
            EtherType::IPV6 => self.on_ipv6(now, frame, origin, body, datagrams),
            EtherType::ARP => self.on_arp(now, body),
            _ => Err(DropReason::UnknownEtherType),
        }
    }

    /// A bare packet, of either family.
    pub(super) fn handle_packet<D: DatagramSink>(
        &mut self,
        now: Instant,
        frame: &FrameIn<'_>,
        origin: Origin,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        match frame.bytes.first().map(|first| first >> 4) {
            Some(4) => self.on_ipv4(now, frame, origin, frame.bytes, datagrams),
            Some(6) => self.on_ipv6(now, frame, origin, frame.bytes, datagrams),
            _ => Err(DropReason::IpMalformed),
        }
    }

    fn on_ipv4<D: DatagramSink>(
        &mut self,
        now: Instant,
        frame: &FrameIn<'_>,
        origin: Origin,
        bytes: &[u8],
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        let (ip, options, payload) = Ipv4Repr::parse(bytes).map_err(|malformed| match malformed {
            Malformed::HeaderChecksum => DropReason::IpChecksum,
            _ => DropReason::IpMalformed,
        })?;
        let meant = self.check_addresses(origin, ip.src, ip.dst)?;
        // A source route would lead round every rule (RFC 6274, section 3.13.2.3).
        if !options.is_empty() && ipv4::has_source_route(options) {
            return Err(DropReason::IpMalformed);
        }
        let quote = &bytes[..ip.header_len() + options.len() + payload.len()];
        let mut packet = Packet {
            src: ip.src,
            dst: ip.dst,
            meant,
            protocol: ip.protocol,
            hop_limit: ip.hop_limit,
            ecn: Ecn::from_bits(ip.dscp_ecn),
            traffic_class: ip.dscp_ecn,
            dont_fragment: ip.dont_fragment,
            in_fragments: false,
            next_header_at: NEXT_HEADER_V4,
            quote,
            payload,
            trusted: frame.checksum == ChecksumIn::Trusted,
            gso_size: frame.gso_size,
        };
        if !ip.is_fragment() {
            return self.on_packet(now, &packet, datagrams);
        }
        let Some(whole) =
            self.reassembler.handle_v4(now, &ip, &bytes[..ip.header_len() + options.len()], payload)?
        else {
            return Ok(());
        };
        packet.trusted = false;
        packet.gso_size = 0;
        packet.dont_fragment = false;
        packet.in_fragments = true;
        packet.ecn = Ecn::from_bits(whole.ecn());
        packet.traffic_class = whole.ecn();
        packet.payload = whole.payload();
        let quote = quote_whole_v4(&ip, packet.payload);
        packet.quote = &quote;
        self.on_packet(now, &packet, datagrams)
    }

    fn on_ipv6<D: DatagramSink>(
        &mut self,
        now: Instant,
        frame: &FrameIn<'_>,
        origin: Origin,
        bytes: &[u8],
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        let (ip, body) = Ipv6Repr::parse(bytes).map_err(|_| DropReason::IpMalformed)?;
        // Mapped addresses are for programs, not for packets; they would be taken for IPv4 here.
        if ip.src.is_v4() || ip.dst.is_v4() {
            return Err(if ip.src.is_v4() {
                DropReason::SourceInvalid
            } else {
                DropReason::DestinationInvalid
            });
        }
        let meant = self.check_addresses(origin, ip.src, ip.dst)?;
        let quote = &bytes[..ip.header_len() + body.len()];
        let upper = extension::walk(&ip, body)
            .map_err(|malformed| self.on_bad_extension(now, &ip, quote, malformed))?;
        let mut packet = Packet {
            src: ip.src,
            dst: ip.dst,
            meant,
            protocol: upper.protocol,
            hop_limit: ip.hop_limit,
            ecn: Ecn::from_bits(ip.traffic_class),
            traffic_class: ip.traffic_class,
            dont_fragment: true,
            in_fragments: false,
            next_header_at: upper.next_header_at,
            quote,
            payload: upper.payload,
            trusted: frame.checksum == ChecksumIn::Trusted,
            gso_size: frame.gso_size,
        };
        let Some(fragment) = upper.fragment else {
            return self.on_packet(now, &packet, datagrams);
        };
        let Some(whole) = self.reassembler.handle_v6(now, &ip, &fragment, packet.quote, upper.payload)?
        else {
            return Ok(());
        };
        let UpperLayer { protocol, payload, next_header_at, .. } =
            extension::walk_reassembled(whole.protocol(), whole.payload())
                .map_err(|_| DropReason::ExtensionHeader)?;
        packet.trusted = false;
        packet.gso_size = 0;
        packet.dont_fragment = false;
        packet.in_fragments = true;
        packet.ecn = Ecn::from_bits(whole.ecn());
        packet.traffic_class = whole.ecn();
        (packet.protocol, packet.payload, packet.next_header_at) = (protocol, payload, next_header_at);
        let quote = quote_whole_v6(&ip, whole.protocol(), whole.payload());
        packet.quote = &quote;
        self.on_packet(now, &packet, datagrams)
    }

    /// Whether a packet between these addresses can be one for us, and whom it means. An unspecified source is judged later:
    /// DHCP and duplicate address detection use it.
    fn check_addresses(&mut self, origin: Origin, src: Addr, dst: Addr) -> Result<Meant, DropReason> {
        let meant = self.meaning_of(dst);
        if origin == Origin::Loopback {
            return Ok(meant);
        }
        let is_stray = is_no_station(src) || src == dst || self.meaning_of(src) != Meant::Other;
        if is_stray && !src.is_unspecified() {
            return Err(DropReason::SourceInvalid);
        }
        match &self.config.role {
            Role::Gateway(gateway) if !gateway.carries(src) => return Err(DropReason::NoRoute),
            Role::Host(_) if meant == Meant::Other => return Err(DropReason::NotOurAddress),
            _ => {}
        }
        // What was told to all stations and is meant for one is not to be answered (RFC 1122, section 3.3.6).
        let is_told_to_one = origin == Origin::ToAll && meant != Meant::Group;
        if is_told_to_one {
            return Err(DropReason::DestinationInvalid);
        }
        if meant != Meant::Group && !src.is_unspecified() {
            self.let_through = Some((src, dst, meant));
        }
        Ok(meant)
    }

    /// A plain segment in a packet to us, between addresses of which the last segment was let through: they are not judged
    /// again.
    pub(super) fn take_plain(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), DropReason> {
        check_transport(packet)?;
        if packet.meant == Meant::Other {
            self.check_forwarding(now, packet)?;
        }
        self.on_tcp(now, packet)
    }

    /// Whom an address means.
    fn meaning_of(&self, addr: Addr) -> Meant {
        if self.is_group(addr) {
            Meant::Group
        } else if self.is_own(addr) {
            Meant::Own
        } else {
            Meant::Other
        }
    }

    /// Whether an address means more than one station: multicast, or a broadcast of the link.
    pub(super) fn is_group(&self, addr: Addr) -> bool {
        addr.is_multicast() || addr.is_limited_broadcast() || self.is_subnet_broadcast(addr)
    }

    /// An IPv6 header chain that can't be walked: some of its faults are reported (RFC 8200, section 4), to a group only that
    /// an option is unknown (RFC 4443, section 2.4 (e.3)).
    fn on_bad_extension(
        &mut self,
        now: Instant,
        ip: &Ipv6Repr,
        quote: &[u8],
        malformed: Malformed,
    ) -> DropReason {
        if let Some((code, pointer)) = malformed.parameter_problem(ip.dst)
            && (code == UNKNOWN_OPTION || !ip.dst.is_multicast())
        {
            self.reply_parameter_problem(now, ip.src, code, pointer, quote);
        }
        DropReason::ExtensionHeader
    }

    /// A whole packet: is it for us to take, and who takes it?
    fn on_packet<D: DatagramSink>(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        check_transport(packet)?;
        if packet.protocol == protocol::UDP && self.is_for_dhcp(packet) {
            return self.on_dhcp(packet);
        }
        if packet.protocol == protocol::ICMPV6 && is_neighbor_discovery(packet) {
            return self.on_ndp(now, packet);
        }
        if packet.src.is_unspecified() {
            return Err(DropReason::SourceInvalid);
        }
        if packet.meant == Meant::Group {
            let heard = packet.protocol == protocol::UDP && self.is_told_to_all(packet.dst);
            return if heard {
                self.on_udp(now, packet, datagrams)
            } else {
                Err(DropReason::DestinationInvalid)
            };
        }
        if packet.meant == Meant::Other && !self.is_looped(packet.dst) {
            self.check_forwarding(now, packet)?;
        }
        match packet.protocol {
            protocol::TCP => self.on_tcp(now, packet),
            protocol::UDP => self.on_udp(now, packet, datagrams),
            protocol::ICMP if packet.dst.is_v4() => self.on_icmp(now, packet, datagrams),
            protocol::ICMPV6 if !packet.dst.is_v4() => self.on_icmp(now, packet, datagrams),
            number => {
                // An IPv6 packet may say that nothing follows (RFC 8200, section 4.7).
                if packet.dst.is_v4() {
                    self.reply_icmp(now, packet, IcmpError::Unreachable(Unreachable::Protocol));
                } else if number != NO_NEXT_HEADER {
                    let pointer = u32::from(packet.next_header_at);
                    let error = IcmpError::ParameterProblem { code: UNKNOWN_NEXT_HEADER, pointer };
                    self.reply_icmp(now, packet, error);
                }
                Err(DropReason::UnknownProtocol)
            }
        }
    }

    /// What a router looks at before it sends a packet on, and what it says where it does not.
    fn check_forwarding(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), DropReason> {
        let Role::Gateway(gateway) = &self.config.role else { return Err(DropReason::NotOurAddress) };
        let on_link = [gateway.v4, gateway.v6].iter().flatten().any(|of| of.program.contains(packet.dst));
        let (error, reason) = if packet.hop_limit <= 1 {
            (IcmpError::HopLimitExceeded, DropReason::HopLimitExceeded)
        } else if packet.src.is_link_local() {
            // RFC 4291, section 2.5.6; RFC 3927, section 7.
            (IcmpError::BeyondScope, DropReason::SourceInvalid)
        } else if on_link {
            // It has come from where it would go, and there nobody is but the program.
            (IcmpError::Unreachable(Unreachable::Host), DropReason::NoRoute)
        } else {
            return Ok(());
        };
        self.reply_icmp(now, packet, error);
        Err(reason)
    }

    /// Whether a host hears what is sent there without having joined a group: the broadcasts of its links, and the groups of
    /// all hosts (RFC 1112, section 4; RFC 4291, section 2.8).
    fn is_told_to_all(&self, dst: Addr) -> bool {
        const ALL_NODES: Addr = Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        const ALL_HOSTS: Addr = Addr::v4([224, 0, 0, 1]);
        let host = matches!(self.config.role, Role::Host(_));
        let everyone = dst.is_limited_broadcast() || dst == ALL_HOSTS || dst == ALL_NODES;
        host && (everyone || self.is_subnet_broadcast(dst))
    }

    fn is_subnet_broadcast(&self, dst: Addr) -> bool {
        match &self.config.role {
            Role::Gateway(gateway) => gateway.v4.is_some_and(|v4| v4.program.broadcast() == Some(dst)),
            Role::Host(host) => host.addresses.iter().any(|own| own.broadcast() == Some(dst)),
        }
    }
}

/// Verifies the transport's checksum where nobody vouches for it.
fn check_transport(packet: &Packet<'_>) -> Result<(), DropReason> {
    let result = match packet.protocol {
        protocol::TCP if !packet.trusted => tcp::verify_checksum(packet.src, packet.dst, packet.payload),
        protocol::UDP if !packet.trusted => udp::verify_checksum(packet.src, packet.dst, packet.payload),
        protocol::ICMP if packet.src.is_v4() => icmpv4::verify_checksum(packet.payload),
        protocol::ICMPV6 if !packet.src.is_v4() => {
            icmpv6::verify_checksum(packet.src, packet.dst, packet.payload)
        }
        _ => Ok(()),
    };
    result.map_err(|malformed| match malformed {
        Malformed::TooShort | Malformed::Length => DropReason::TransportMalformed,
        _ => DropReason::TransportChecksum,
    })
}

/// An address that no station on a link has: loopback, 0.0.0.0/8, 240.0.0.0/4 (RFC 1122, section 3.2.1.3).
fn is_no_station(src: Addr) -> bool {
    src.is_loopback() || matches!(src.v4_octets(), Some([0 | 240..=255, ..]))
}

/// A datagram that was put together, as an error quotes it: as if it had come in one piece.
fn quote_whole_v4(ip: &Ipv4Repr, payload: &[u8]) -> Vec<u8> {
    let whole = Ipv4Repr { more_fragments: false, fragment_offset: 0, payload_len: payload.len(), ..*ip };
    let mut quote = vec![0; whole.header_len()];
    whole.emit(&mut quote);
    quote.extend_from_slice(&payload[..payload.len().min(QUOTE_MAX)]);
    quote
}

fn quote_whole_v6(ip: &Ipv6Repr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let whole = Ipv6Repr { next_header, payload_len: payload.len(), ..*ip };
    let mut quote = vec![0; whole.header_len()];
    whole.emit(&mut quote);
    quote.extend_from_slice(&payload[..payload.len().min(QUOTE_MAX)]);
    quote
}

/// RS, RA, NS, NA and redirect (RFC 4861, section 4).
fn is_neighbor_discovery(packet: &Packet<'_>) -> bool {
    matches!(packet.payload.first(), Some(133..=137))
}

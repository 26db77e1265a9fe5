//! UDP and ICMP echo: datagrams that go straight through, borrowed from the frame that brought them.
//!
//! A stack keeps nothing for them. A gateway's owner keeps the mapping (RFC 4787); the stack checks, asks the policy,
//! answers what is its own to answer, and cuts what is larger than the link.

use alloc::vec;
use alloc::vec::Vec;

use wharf_table::flow::Far;
use wharf_table::policy::Verdict;
use wharf_table::table::Found;
use wharf_table::trace::Silent;
use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};
use wharf_wire::ipv6;
use wharf_wire::quoted::Quoted;
use wharf_wire::udp::{self, UdpRepr};

use super::{IcmpError, Role, Stack, Unreachable};
use crate::egress::{HOP_LIMIT, NextHop};
use crate::interface::FrameSink;
use crate::ip::{Packet, protocol};
use crate::tcp::{LEAST_V4, LEAST_V6};

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct DatagramIn<'a> {
    /// Source and destination; for ICMP echo, the identifier is the port at the side that asks, and 0 at the other.
    pub source: Endpoint,
    /// Where it is going.
    pub destination: Endpoint,
    /// UDP, or ICMP for an echo request, whose payload starts with the ICMP header.
    pub protocol: Protocol,
    /// The token of the binding that takes it; `None` for what a gateway carries outside, and for what comes to an address of the
    /// gateway itself that nobody has bound: a client that the owner has shown to the program may stand behind it.
    pub binding: Option<u32>,
    /// The bytes.
    pub payload: &'a [u8],
    /// Bytes of each datagram that this one stands for; 0 when it is one.
    pub gso_size: u16,
    /// Hops left when it goes on from here: one less than it came with.
    pub hop_limit: u8,
    /// The type of service or traffic class with which it came; 0 where it came in fragments, but for congestion.
    pub traffic_class: u8,
    /// Whether it must not be fragmented on its way (IPv4 DF; always so for IPv6 unless it came in fragments).
    pub dont_fragment: bool,
}

/// A datagram that leaves.
#[derive(Clone, Copy, Debug)]
pub struct DatagramOut<'a> {
    /// UDP, or ICMP for an echo message whose payload starts with the ICMP header (its checksum is filled in).
    pub protocol: Protocol,
    /// From where, as the receiver will see it.
    pub source: Endpoint,
    /// To whom.
    pub destination: Endpoint,
    /// The bytes.
    pub payload: &'a [u8],
    /// Bytes of each datagram, where `payload` holds many of this size and a shorter last one; 0 for one datagram.
    pub gso_size: u16,
    /// What stands in the IP header.
    pub fields: DatagramFields,
}

/// What the sender of a datagram chose for its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramFields {
    /// Hops that it may take.
    pub hop_limit: u8,
    /// Type of service or traffic class: six bits of codepoint and two of congestion (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// Routers may not cut it (IPv4 DF, RFC 1191, section 3); what the link is too small for goes in fragments all the same.
    pub dont_fragment: bool,
}

impl Default for DatagramFields {
    fn default() -> DatagramFields {
        DatagramFields { hop_limit: HOP_LIMIT, traffic_class: 0, dont_fragment: false }
    }
}

/// Who takes the datagrams of a batch.
pub trait DatagramSink {
    /// Takes one datagram, which lives no longer than the call.
    fn datagram(&mut self, datagram: DatagramIn<'_>);

    /// Whether the owner of a binding takes this datagram; else its sender hears that the port is closed.
    fn takes(&self, binding: u32, datagram: &DatagramIn<'_>) -> bool {
        let _ = (binding, datagram);
        true
    }

    /// Takes an ICMP error about a datagram that was sent from a binding, which lives no longer than the call.
    fn error(&mut self, error: DatagramError<'_>) {
        let _ = error;
    }
}

/// An ICMP error about a datagram that was sent.
#[derive(Clone, Copy, Debug)]
pub struct DatagramError<'a> {
    /// The token of the binding that sent it.
    pub binding: u32,
    /// From where it was sent.
    pub source: Endpoint,
    /// To whom.
    pub destination: Endpoint,
    /// Who says so.
    pub offender: Addr,
    /// The type of the message, of the family of `offender` (RFC 792; RFC 4443).
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// The MTU that it names, in bytes; 0 for none.
    pub mtu: u32,
    /// As much of the datagram's payload as is quoted.
    pub payload: &'a [u8],
}

impl<F: FnMut(DatagramIn<'_>)> DatagramSink for F {
    fn datagram(&mut self, datagram: DatagramIn<'_>) {
        self(datagram);
    }
}

impl Stack {
    pub(super) fn on_udp<D: DatagramSink>(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        let (udp, payload) = UdpRepr::parse(packet.payload).map_err(|_| DropReason::TransportMalformed)?;
        if udp.dst_port == 0 {
            return Err(DropReason::PortZero);
        }
        let source = Endpoint::new(packet.src, udp.src_port);
        let destination = Endpoint::new(packet.dst, udp.dst_port);
        let tuple = Tuple { protocol: Protocol::Udp, local: destination, remote: source };
        let binding = match self.table.find(&tuple, &mut Silent) {
            Found::Flow(id) => match self.table.far(id) {
                Some(Far::Application(app)) => Some(app),
                _ => None,
            },
            Found::Request(_) | Found::Waiting(_) => None,
            Found::Binding(id) => self.table.binding(id).map(|binding| binding.app()),
            Found::Nothing => {
                self.check_outward(now, packet, &tuple)?;
                None
            }
        };
        let datagram = DatagramIn {
            protocol: Protocol::Udp,
            source,
            destination,
            binding,
            payload,
            gso_size: packet.gso_size,
            hop_limit: packet.hop_limit.saturating_sub(1),
            traffic_class: packet.traffic_class,
            dont_fragment: packet.dont_fragment,
        };
        if binding.is_some_and(|binding| !datagrams.takes(binding, &datagram)) {
            self.reply_icmp(now, packet, IcmpError::Unreachable(Unreachable::Port));
            return Err(DropReason::NoListener);
        }
        datagrams.datagram(datagram);
        Ok(())
    }

    /// The token of the socket that has sent a UDP datagram between these ends.
    fn sender_of(&self, source: Endpoint, destination: Endpoint) -> Option<u32> {
        let tuple = Tuple { protocol: Protocol::Udp, local: source, remote: destination };
        match self.table.find(&tuple, &mut Silent) {
            Found::Flow(id) => match self.table.far(id)? {
                Far::Application(app) => Some(app),
                Far::Wire(_) => None,
            },
            Found::Binding(id) => self.table.binding(id).map(|binding| binding.app()),
            Found::Request(_) | Found::Waiting(_) | Found::Nothing => None,
        }
    }

    /// A router says that the path takes less than a datagram of a socket of ours had: `mss` as TCP would have it. No number
    /// proves that it was sent, so the least segment holds (RFC 5927, section 7.2).
    pub(super) fn learn_from_datagram(&mut self, now: Instant, quoted: &Quoted, mss: u16) {
        let remote = quoted.dst.addr;
        let mss = mss.max(if remote.is_v4() { LEAST_V4 } else { LEAST_V6 });
        let known = self.tcp_settings(remote);
        let limit = if known.path_mss == 0 { known.mss } else { known.path_mss };
        if self.sender_of(quoted.src, quoted.dst).is_some() && mss < limit {
            self.paths.learn(now, remote, mss);
        }
    }

    /// An ICMP error about a UDP datagram of ours: to who has sent it.
    pub(super) fn on_datagram_error<D: DatagramSink>(
        &mut self,
        packet: &Packet<'_>,
        quoted: &Quoted,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        let binding = self.sender_of(quoted.src, quoted.dst).ok_or(DropReason::NoConnection)?;
        let (head, quote) = packet.payload.split_first_chunk::<8>().ok_or(DropReason::IcmpInvalid)?;
        let header = if quoted.src.addr.is_v4() {
            usize::from(quote.first().copied().unwrap_or_default() & 0x0f) * 4
        } else {
            ipv6::HEADER_LEN
        };
        let payload = quote.get(header + udp::HEADER_LEN..).unwrap_or_default();
        let whole = quoted.packet_len.saturating_sub(header + udp::HEADER_LEN);
        datagrams.error(DatagramError {
            binding,
            source: quoted.src,
            destination: quoted.dst,
            offender: packet.src,
            kind: head[0],
            code: head[1],
            mtu: mtu_of(packet.src.is_v4(), head),
            payload: &payload[..payload.len().min(whole)],
        });
        Ok(())
    }

    /// An echo request to an address outside: the gateway's owner carries it.
    pub(super) fn on_echo_outward<D: DatagramSink>(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        ident: u16,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        let source = Endpoint::new(packet.src, ident);
        let destination = Endpoint::new(packet.dst, 0);
        let tuple = Tuple { protocol: Protocol::Icmp, local: destination, remote: source };
        self.check_outward(now, packet, &tuple)?;
        datagrams.datagram(DatagramIn {
            protocol: Protocol::Icmp,
            source,
            destination,
            binding: None,
            payload: packet.payload,
            gso_size: 0,
            hop_limit: packet.hop_limit.saturating_sub(1),
            traffic_class: packet.traffic_class,
            dont_fragment: packet.dont_fragment,
        });
        Ok(())
    }

    /// Whether a datagram that no binding takes may go outside; says no inside where it may not.
    fn check_outward(&mut self, now: Instant, packet: &Packet<'_>, tuple: &Tuple) -> Result<(), DropReason> {
        let Role::Gateway(gateway) = &self.config.role else {
            if self.is_group(packet.dst) {
                // Many would answer at once (RFC 1122, section 3.2.2).
                return Err(DropReason::NoListener);
            }
            self.reply_icmp(now, packet, IcmpError::Unreachable(Unreachable::Port));
            return Err(DropReason::NoListener);
        };
        let own = self.config.role.owns(packet.dst);
        let error = match gateway.policy.decide(&tuple.reversed(), &mut Silent) {
            // An answer to a client that the owner shows under an address of the stack: only the owner can tell.
            Verdict::Allow => return Ok(()),
            Verdict::Deny(_) if own => (Unreachable::Port, DropReason::DestinationDenied),
            Verdict::Deny(_) => (Unreachable::Prohibited, DropReason::DestinationDenied),
        };
        self.reply_icmp(now, packet, IcmpError::Unreachable(error.0));
        Err(error.1)
    }

    /// Sends a datagram, in fragments where the link is too small for it.
    ///
    /// # Errors
    /// [`DropReason::TooBig`] above 65,507 bytes (65,487 over IPv6 with its header), [`DropReason::LinkFull`],
    /// [`DropReason::NeighborUnresolved`]: the datagram is lost then and counted.
    pub fn send_datagram<F: FrameSink>(
        &mut self,
        datagram: &DatagramOut<'_>,
        sink: &mut F,
    ) -> Result<(), DropReason> {
        let next_hop = self.link_address(datagram.destination.addr);
        let result = match next_hop {
            Some(NextHop::Loopback) => self.egress.whole_frames(NextHop::Loopback, datagram).map(|packets| {
                packets.into_iter().for_each(|packet| self.reply_to(NextHop::Loopback, packet));
            }),
            Some(to) => self.egress.datagram(to, datagram, sink),
            None => {
                let frames = self.egress.whole_frames(NextHop::UNKNOWN, datagram);
                frames.and_then(|frames| self.wait_for_neighbor(datagram.destination.addr, frames))
            }
        };
        if let Err(reason) = result {
            self.drops.count(reason);
        }
        result
    }

    /// Puts a whole UDP datagram of the stack itself into the queue for the link.
    pub(super) fn reply_udp(&mut self, source: Endpoint, destination: Endpoint, to: NextHop, payload: &[u8]) {
        let datagram = DatagramOut {
            protocol: Protocol::Udp,
            source,
            destination,
            payload,
            gso_size: 0,
            fields: DatagramFields::default(),
        };
        match self.egress.whole_frames(to, &datagram) {
            Ok(frames) => frames.into_iter().for_each(|frame| self.reply(frame)),
            Err(reason) => self.drops.count(reason),
        }
    }

    /// Answers an echo request to an address of our own (RFC 1122, section 3.2.2.6; RFC 4443, section 4.2).
    pub(super) fn reply_echo(&mut self, packet: &Packet<'_>) {
        let mut message: Vec<u8> = vec![0; packet.payload.len()];
        message.copy_from_slice(packet.payload);
        message[0] = if packet.protocol == protocol::ICMP { 0 } else { 129 };
        let datagram = DatagramOut {
            protocol: Protocol::Icmp,
            source: Endpoint::new(packet.dst, 0),
            destination: Endpoint::new(packet.src, 0),
            payload: &message,
            gso_size: 0,
            fields: DatagramFields::default(),
        };
        self.reply_datagram(&datagram);
    }

    fn reply_datagram(&mut self, datagram: &DatagramOut<'_>) {
        let next_hop = self.link_address(datagram.destination.addr);
        let frames = self.egress.whole_frames(next_hop.unwrap_or(NextHop::UNKNOWN), datagram);
        let result = match (frames, next_hop) {
            (Ok(frames), Some(to)) => {
                frames.into_iter().for_each(|frame| self.reply_to(to, frame));
                Ok(())
            }
            (Ok(frames), None) => self.wait_for_neighbor(datagram.destination.addr, frames),
            (Err(reason), _) => Err(reason),
        };
        if let Err(reason) = result {
            self.drops.count(reason);
        }
    }
}

/// The MTU that a message "packet too big" or "fragmentation needed" names; 0 for all others (RFC 4443, section 3.2; RFC
/// 1191, section 4).
fn mtu_of(v4: bool, head: &[u8; 8]) -> u32 {
    let &[kind, code, _, _, a, b, c, d] = head;
    match (v4, kind, code) {
        (true, 3, 4) => u32::from(u16::from_be_bytes([c, d])),
        (false, 2, _) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

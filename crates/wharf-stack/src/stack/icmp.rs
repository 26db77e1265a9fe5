//! ICMP of either family that comes in: echo requests, and errors about what we have sent.
//!
//! Behind [`super::ingress`], which has looked at addresses and checksum. What a message means here is the same for both
//! families ([`Meaning`]), so each rule stands once. An error goes to whom it quotes: the datagram's owner, the request
//! in SYN-RECEIVED, or the connection.
//!
//! Invariant: nothing is believed that does not quote a sequence number on its way (RFC 5927, section 4).
//!
//! Deliberately not here: redirects and source quench (RFC 6633), which are ignored; neighbour discovery; errors of our own
//! ([`super::errors`]).

use wharf_table::table::Found;
use wharf_table::trace::Silent;
use wharf_table::{DropReason, Instant, Protocol, Tuple};
use wharf_wire::ethernet::{EtherType, EthernetRepr};
use wharf_wire::icmpv4::Icmpv4Repr;
use wharf_wire::icmpv6::Icmpv6Repr;
use wharf_wire::malformed::Malformed;
use wharf_wire::quoted::Quoted;

use super::{ConnId, DatagramSink, Role, Stack, Unreachable};
use crate::ip::{Packet, protocol};
use crate::tcp::SeqNum;

/// What a message means to us.
enum Meaning {
    /// Are you there? With what tells one ping from another.
    Echo(u16),
    /// A packet of ours is larger than this MTU, in bytes; 0 from IPv4 routers that don't say.
    TooBig(u32),
    /// A packet of ours did not arrive.
    Unreachable(Unreachable),
    /// Nothing.
    Nothing,
}

impl Meaning {
    /// What a message says, and the packet that it quotes where it is an error.
    fn of(packet: &Packet<'_>) -> Result<(Meaning, Option<Quoted>), Malformed> {
        if packet.dst.is_v4() {
            let message = Icmpv4Repr::parse(packet.payload)?;
            return Ok((Meaning::of_v4(&message), message.quoted()));
        }
        let message = Icmpv6Repr::parse(packet.payload)?;
        Ok((Meaning::of_v6(&message), message.quoted()))
    }

    fn of_v4(message: &Icmpv4Repr<'_>) -> Meaning {
        match *message {
            Icmpv4Repr::EchoRequest { ident, .. } => Meaning::Echo(ident),
            Icmpv4Repr::FragmentationNeeded { mtu, .. } => Meaning::TooBig(u32::from(mtu)),
            Icmpv4Repr::DestinationUnreachable { code, .. } => Meaning::Unreachable(unreachable_v4(code)),
            Icmpv4Repr::TimeExceeded { .. } => Meaning::Unreachable(Unreachable::HopLimit),
            _ => Meaning::Nothing,
        }
    }

    fn of_v6(message: &Icmpv6Repr<'_>) -> Meaning {
        match *message {
            Icmpv6Repr::EchoRequest { ident, .. } => Meaning::Echo(ident),
            Icmpv6Repr::PacketTooBig { mtu, .. } => Meaning::TooBig(mtu),
            Icmpv6Repr::DestinationUnreachable { code, .. } => Meaning::Unreachable(unreachable_v6(code)),
            Icmpv6Repr::TimeExceeded { .. } => Meaning::Unreachable(Unreachable::HopLimit),
            _ => Meaning::Nothing,
        }
    }
}

impl Stack {
    pub(super) fn on_icmp<D: DatagramSink>(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        let (meaning, quoted) = Meaning::of(packet).map_err(|_| DropReason::IcmpInvalid)?;
        if let Some(quoted) = quoted.as_ref().filter(|quoted| quoted.protocol == protocol::UDP) {
            if let Meaning::TooBig(mtu) = meaning {
                self.learn_from_datagram(now, quoted, believed(quoted, mtu));
            }
            return self.on_datagram_error(packet, quoted, datagrams);
        }
        match (meaning, quoted) {
            (Meaning::Echo(ident), _) => self.on_echo(now, packet, ident, datagrams),
            (Meaning::Nothing, _) => Err(DropReason::IcmpIgnored),
            (_, None) => Err(DropReason::IcmpInvalid),
            (Meaning::TooBig(mtu), Some(quoted)) => self.on_too_big(now, &quoted, mtu),
            (Meaning::Unreachable(why), Some(quoted)) => self.on_unreachable(now, &quoted, why),
        }
    }

    fn on_echo<D: DatagramSink>(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        ident: u16,
        datagrams: &mut D,
    ) -> Result<(), DropReason> {
        let carried = match &self.config.role {
            Role::Gateway(gateway) => !self.is_own(packet.dst) || gateway.policy.is_host(packet.dst),
            Role::Host(_) => false,
        };
        if carried {
            return self.on_echo_outward(now, packet, ident, datagrams);
        }
        self.reply_echo(packet);
        Ok(())
    }

    /// An ICMP error that quotes a segment of ours: the path is smaller than the segment (RFC 1191, RFC 8201).
    fn on_too_big(&mut self, now: Instant, quoted: &Quoted, mtu: u32) -> Result<(), DropReason> {
        let id = self.quoted_connection(quoted)?;
        let payload = believed(quoted, mtu);
        let seq = SeqNum::new(quoted.tcp_seq.ok_or(DropReason::IcmpInvalid)?);
        self.with(now, id, |conn, _| conn.handle_path_mtu(now, payload, seq));
        Ok(())
    }

    /// A neighbour does not answer: who has sent the packet that waited for it hears what a router would say (RFC 1122,
    /// section 2.4; RFC 4861, section 7.2.2).
    pub(super) fn on_silent_neighbor(&mut self, now: Instant, frame: &[u8]) {
        self.drops.count(DropReason::NeighborUnresolved);
        let Ok((ethernet, packet)) = EthernetRepr::parse(frame) else { return };
        let quoted = match ethernet.ether_type {
            EtherType::IPV4 => Quoted::parse_ipv4(packet),
            _ => Quoted::parse_ipv6(packet),
        };
        if let Ok(quoted) = quoted {
            // Packets of others than connections are only lost.
            let _ = self.on_unreachable(now, &quoted, Unreachable::Host);
        }
    }

    fn on_unreachable(&mut self, now: Instant, quoted: &Quoted, why: Unreachable) -> Result<(), DropReason> {
        if let Some(id) = self.quoted_request(quoted) {
            return self.on_request_unreachable(id, quoted.tcp_seq, why);
        }
        let id = self.quoted_connection(quoted)?;
        self.with(now, id, |conn, _| conn.handle_soft_error(why));
        Ok(())
    }

    /// The connection whose segment an ICMP error quotes, if the quoted sequence number is in flight (RFC 5927, section 4).
    fn quoted_connection(&self, quoted: &Quoted) -> Result<ConnId, DropReason> {
        if quoted.protocol != protocol::TCP {
            return Err(DropReason::IcmpIgnored);
        }
        let tuple = Tuple { protocol: Protocol::Tcp, local: quoted.src, remote: quoted.dst };
        let Found::Flow(flow) = self.table.find(&tuple, &mut Silent) else {
            return Err(DropReason::NoConnection);
        };
        let id = ConnId::from_number(self.connection_of(flow));
        let in_flight = quoted.tcp_seq.is_some_and(|seq| self.connection(id).is_on_its_way(seq));
        if in_flight { Ok(id) } else { Err(DropReason::IcmpInvalid) }
    }
}

/// The TCP payload and options of the largest packet that a path takes, when a router says this of its MTU. Less than every
/// path carries is a lie (RFC 791; RFC 8201, section 4). An IPv4 router that does not say how small is taken at what hosts
/// accept (RFC 1191, section 5).
fn believed(quoted: &Quoted, mtu: u32) -> u16 {
    let (mtu, headers) = match (quoted.src.addr.is_v4(), mtu) {
        (true, 0) => (576, 40),
        (true, mtu) => (mtu.max(68), 40),
        (false, mtu) => (mtu.max(1280), 60),
    };
    u16::try_from(mtu - headers).unwrap_or(u16::MAX)
}

/// What an IPv4 code of destination unreachable says (RFC 792; RFC 1812, section 5.2.7.1).
const fn unreachable_v4(code: u8) -> Unreachable {
    match code {
        0 | 5 | 6 | 8 | 11 => Unreachable::Network,
        2 => Unreachable::Protocol,
        3 => Unreachable::Port,
        9 | 10 | 13 => Unreachable::Prohibited,
        _ => Unreachable::Host,
    }
}

/// What an IPv6 code of destination unreachable says (RFC 4443, section 3.1).
const fn unreachable_v6(code: u8) -> Unreachable {
    match code {
        0 => Unreachable::Network,
        1 | 5 | 6 => Unreachable::Prohibited,
        4 => Unreachable::Port,
        _ => Unreachable::Host,
    }
}

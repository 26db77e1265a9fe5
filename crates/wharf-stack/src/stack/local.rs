//! What the stack says on the link of its own accord: ARP, neighbour discovery, DHCP, and what waits for a neighbour.

use alloc::vec;
use alloc::vec::Vec;

use wharf_table::{Addr, DropReason, Endpoint, Instant};
use wharf_wire::HardwareAddr;
use wharf_wire::arp::{ArpOperation, ArpRepr};
use wharf_wire::dhcpv4::{self, DhcpRequest};
use wharf_wire::ndp::{self, NdpRepr};
use wharf_wire::udp::UdpRepr;

use super::{IcmpError, Medium, Role, Stack};
use crate::egress::NextHop;
use crate::gateway;
use crate::ip::Packet;
use crate::neighbor::{Evidence, Solicit};

const BROADCAST: [u8; 6] = [0xff; 6];

impl Stack {
    /// An ARP message (RFC 826): a request for an address of our own is answered.
    pub(super) fn on_arp(&mut self, now: Instant, body: &[u8]) -> Result<(), DropReason> {
        let arp = ArpRepr::parse(body).map_err(|_| DropReason::ArpIgnored)?;
        if let Role::Host(_) = self.config.role
            && !arp.sender.is_unspecified()
        {
            let evidence = match arp.operation {
                ArpOperation::Reply => Evidence::Answer,
                ArpOperation::Request if self.is_own(arp.target) => Evidence::Question,
                ArpOperation::Request => Evidence::Announcement,
            };
            self.neighbors.learn(now, arp.sender, arp.sender_hardware.0, evidence);
        }
        if arp.operation == ArpOperation::Reply {
            return Ok(());
        }
        let from_nobody = arp.sender.is_multicast() || !arp.sender_hardware.is_unicast();
        if !self.is_own(arp.target) || self.is_own(arp.sender) || from_nobody {
            return Err(DropReason::ArpIgnored);
        }
        let reply = ArpRepr {
            operation: ArpOperation::Reply,
            sender_hardware: HardwareAddr(self.config.hardware_address),
            sender: arp.target,
            target_hardware: arp.sender_hardware,
            target: arp.sender,
        };
        let frame = self.egress.arp_frame(arp.sender_hardware.0, &reply);
        self.reply(frame);
        Ok(())
    }

    /// A neighbour discovery message. One that came through a router is none (RFC 4861, section 6.1), nor one that came in
    /// fragments (RFC 6980, section 5), nor one from nobody that says where nobody is (RFC 4861, sections 6.1.1 and 7.1.1).
    pub(super) fn on_ndp(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), DropReason> {
        if packet.hop_limit != ndp::HOP_LIMIT || packet.in_fragments {
            return Err(DropReason::IcmpInvalid);
        }
        if self.config.medium == Medium::Ip {
            return Err(DropReason::IcmpIgnored);
        }
        if !packet.dst.is_multicast() && !self.is_own(packet.dst) {
            return Err(DropReason::NotOurAddress);
        }
        let message = NdpRepr::parse(packet.payload).map_err(|_| DropReason::IcmpInvalid)?;
        let says_where = matches!(
            message,
            NdpRepr::NeighborSolicit { source_hardware: Some(_), .. }
                | NdpRepr::RouterSolicit { source_hardware: Some(_) }
        );
        if packet.src.is_unspecified() && says_where {
            return Err(DropReason::IcmpInvalid);
        }
        let hardware = self.config.hardware_address;
        let answer = match &self.config.role {
            Role::Gateway(gateway) => {
                let network = gateway.v6.as_ref().ok_or(DropReason::IcmpIgnored)?;
                gateway::ndp::answer(gateway, network, hardware, self.config.mtu, packet.src, &message)
            }
            Role::Host(_) => self.on_ndp_as_host(now, packet.src, &message),
        };
        let answer = answer.ok_or(DropReason::IcmpIgnored)?;
        let peer = match (&self.config.role, &message) {
            (Role::Gateway(gateway), _) => gateway.peer_hardware,
            (_, NdpRepr::NeighborSolicit { source_hardware: Some(source), .. }) => source.0,
            _ => return Err(DropReason::IcmpIgnored),
        };
        self.reply_ndp(peer, answer.source, answer.destination, &answer.message);
        Ok(())
    }

    fn on_ndp_as_host(
        &mut self,
        now: Instant,
        source: Addr,
        message: &NdpRepr,
    ) -> Option<gateway::ndp::Answer> {
        match message {
            NdpRepr::NeighborSolicit { target, source_hardware } => {
                if let Some(hardware) = source_hardware
                    && !source.is_unspecified()
                    && self.is_own(*target)
                {
                    self.neighbors.learn(now, source, hardware.0, Evidence::Question);
                }
                let flags = ndp::NeighborFlags { router: false, solicited: true, overrides: true };
                let target_hardware = Some(HardwareAddr(self.config.hardware_address));
                let message = NdpRepr::NeighborAdvert { target: *target, flags, target_hardware };
                let known = self.is_own(*target) && !source.is_unspecified();
                known.then_some(gateway::ndp::Answer { source: *target, destination: source, message })
            }
            NdpRepr::NeighborAdvert { target, flags, target_hardware: Some(hardware) } => {
                let evidence = if flags.solicited { Evidence::Answer } else { Evidence::Announcement };
                self.neighbors.learn(now, *target, hardware.0, evidence);
                None
            }
            _ => None,
        }
    }

    fn reply_ndp(&mut self, hardware: [u8; 6], source: Addr, destination: Addr, message: &NdpRepr) {
        let mut bytes = vec![0; message.len()];
        message.emit(source, destination, &mut bytes);
        let frame = self.egress.ndp_frame(NextHop::Neighbor(hardware), source, destination, &bytes);
        self.reply(frame);
    }

    /// Whether a UDP packet goes to the DHCP server of the link.
    pub(super) fn is_for_dhcp(&self, packet: &Packet<'_>) -> bool {
        let Role::Gateway(gateway) = &self.config.role else { return false };
        let Ok((udp, _)) = UdpRepr::parse(packet.payload) else { return false };
        udp.dst_port == dhcpv4::SERVER_PORT
            && gateway.v4.is_some_and(|v4| packet.dst.is_limited_broadcast() || packet.dst == v4.gateway)
    }

    pub(super) fn on_dhcp(&mut self, packet: &Packet<'_>) -> Result<(), DropReason> {
        let (_, payload) = UdpRepr::parse(packet.payload).map_err(|_| DropReason::TransportMalformed)?;
        let request = DhcpRequest::parse(payload).map_err(|_| DropReason::TransportMalformed)?;
        let Role::Gateway(gateway) = &self.config.role else { return Err(DropReason::NoListener) };
        let network = gateway.v4.as_ref().ok_or(DropReason::NoListener)?;
        let (peer, server) = (gateway.peer_hardware, network.gateway);
        let reply =
            gateway::dhcp::answer(network, self.config.mtu, &request).ok_or(DropReason::NoListener)?;
        let mut message = vec![0; reply.len()];
        reply.emit(&mut message);
        let destination = reply.destination();
        let hardware = if destination.is_limited_broadcast() { BROADCAST } else { peer };
        let source = Endpoint::new(server, dhcpv4::SERVER_PORT);
        let to = if self.config.medium == Medium::Ip { NextHop::Bare } else { NextHop::Neighbor(hardware) };
        self.reply_udp(source, Endpoint::new(destination, dhcpv4::CLIENT_PORT), to, &message);
        Ok(())
    }

    /// Datagrams that were never whole are given up, and whoever sent their first part is told.
    pub(super) fn on_reassembly_timeout(&mut self, now: Instant) {
        for expired in self.reassembler.handle_timeout(now) {
            self.drops.count(DropReason::FragmentTimeout);
            if let Some(quote) = &expired.quote {
                self.reply_icmp_quoting(now, expired.src, expired.dst, IcmpError::ReassemblyTimeout, quote);
            }
        }
    }

    /// Where a packet for `destination` goes from here, where that is known.
    pub(super) fn link_address(&mut self, destination: Addr) -> Option<NextHop> {
        if self.is_looped(destination) {
            return Some(NextHop::Loopback);
        }
        if self.config.medium == Medium::Ip {
            return Some(NextHop::Bare);
        }
        match &self.config.role {
            Role::Gateway(gateway) => Some(NextHop::Neighbor(gateway.peer_hardware)),
            Role::Host(host) => {
                let generation = self.neighbors.generation();
                if let Some((of, to, hop)) = self.last_hop
                    && (of, to) == (generation, destination)
                {
                    return Some(hop);
                }
                let hop = self.neighbors.resolve(host, destination).map(NextHop::Neighbor)?;
                self.last_hop = Some((self.neighbors.generation(), destination, hop));
                Some(hop)
            }
        }
    }

    /// Frames for a neighbour that is not known wait until it answers.
    pub(super) fn wait_for_neighbor(
        &mut self,
        destination: Addr,
        frames: Vec<Vec<u8>>,
    ) -> Result<(), DropReason> {
        let Role::Host(host) = &self.config.role else { return Err(DropReason::NeighborUnresolved) };
        frames.into_iter().try_for_each(|frame| self.neighbors.hold(host, destination, frame))
    }

    pub(super) fn on_neighbor_timeout(&mut self, now: Instant) {
        self.neighbors.handle_timeout(now);
        while let Some((_, frame)) = self.neighbors.poll_failed() {
            self.on_silent_neighbor(now, &frame);
        }
    }

    /// Puts what the neighbour cache has to say into the queue for the link: questions, and frames that waited for answers.
    pub(super) fn flush_neighbors(&mut self) {
        while let Some(frame) = self.neighbors.poll_frame() {
            self.reply(frame);
        }
        while self.neighbors.poll_failed().is_some() {
            self.drops.count(DropReason::NeighborUnresolved);
        }
        while let Some(Solicit { target, last_known }) = self.neighbors.poll_solicit() {
            let Some(source) = self.config.role.source_for(target) else { continue };
            let hardware = HardwareAddr(self.config.hardware_address);
            if target.is_v4() {
                let request = ArpRepr {
                    operation: ArpOperation::Request,
                    sender_hardware: hardware,
                    sender: source,
                    target_hardware: HardwareAddr([0; 6]),
                    target,
                };
                let frame = self.egress.arp_frame(last_known.unwrap_or(BROADCAST), &request);
                self.reply(frame);
            } else {
                let group = ndp::solicited_node(target);
                let message = NdpRepr::NeighborSolicit { target, source_hardware: Some(hardware) };
                let everyone = HardwareAddr::of_ipv6_multicast(group.octets()).0;
                let to = if last_known.is_some() { target } else { group };
                self.reply_ndp(last_known.unwrap_or(everyone), source, to, &message);
            }
        }
    }
}

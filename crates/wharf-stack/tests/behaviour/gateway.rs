//! What a gateway says on its link of its own accord: ARP, neighbour and router discovery, DHCP.

use std::time::Duration;

use wharf_sim::{Lab, Setup, StationId, mend};
use wharf_table::Addr;
use wharf_wire::arp::{ArpOperation, ArpRepr};
use wharf_wire::ethernet::{EtherType, EthernetRepr};
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::Ipv6Repr;
use wharf_wire::ndp::{self, NdpRepr, RouterAdvert};
use wharf_wire::{HardwareAddr, protocol};

/// Addresses that the laboratory's gateway has beside its own: the name server's and the host's.
const DNS: u8 = 203;
const HOST: u8 = 204;

fn v4(last: u8) -> Addr {
    Addr::v4([10, 0, 2, last])
}

fn v6(last: u8) -> Addr {
    Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
}

fn link_local(last: u8) -> Addr {
    Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
}

struct Link {
    lab: Lab,
    program: StationId,
    gateway: StationId,
}

impl Link {
    fn new(setup: &Setup) -> Link {
        let (lab, program, gateway) = Lab::program_and_gateway(setup);
        Link { lab, program, gateway }
    }

    /// Sends a frame of the program's and gives the frames that come back to it.
    fn ask(&mut self, dst: HardwareAddr, ether_type: EtherType, body: &[u8]) -> Vec<Vec<u8>> {
        let src = HardwareAddr(self.lab.hardware(self.program));
        let mut frame = vec![0; 14];
        EthernetRepr { dst, src, ether_type }.emit(&mut frame);
        frame.extend_from_slice(body);
        mend(&mut frame);
        let before = self.lab.capture(self.program).len();
        self.lab.transmit(self.program, &frame);
        self.lab.run_for(Duration::from_millis(100));
        let came = self.lab.capture(self.program).frames().skip(before);
        came.filter(|(_, frame)| frame[6..12] != src.0).map(|(_, frame)| frame.to_vec()).collect()
    }

    fn who_has(&mut self, sender: Addr, target: Addr) -> Option<ArpRepr> {
        let request = ArpRepr {
            operation: ArpOperation::Request,
            sender_hardware: HardwareAddr(self.lab.hardware(self.program)),
            sender,
            target_hardware: HardwareAddr::default(),
            target,
        };
        let mut body = [0; 28];
        request.emit(&mut body);
        let answers = self.ask(HardwareAddr::BROADCAST, EtherType::ARP, &body);
        assert!(answers.len() <= 1);
        answers.first().map(|frame| ArpRepr::parse(&frame[14..]).unwrap())
    }

    /// Asks by neighbour discovery; gives the answers with their destinations.
    fn discover(
        &mut self,
        src: Addr,
        dst: Addr,
        hop_limit: u8,
        message: &NdpRepr,
    ) -> Vec<(Addr, Addr, NdpRepr)> {
        let mut packet = vec![0; 40 + message.len()];
        let ip = Ipv6Repr {
            src,
            dst,
            next_header: protocol::ICMPV6,
            hop_limit,
            traffic_class: 0,
            flow_label: 0,
            payload_len: message.len(),
        };
        ip.emit(&mut packet);
        message.emit(src, dst, &mut packet[40..]);
        let group = HardwareAddr::of_ipv6_multicast(dst.octets());
        let frames = self.ask(group, EtherType::IPV6, &packet);
        let answer = |frame: &Vec<u8>| {
            let (ip, payload) = Ipv6Repr::parse(&frame[14..]).unwrap();
            assert_eq!(ip.hop_limit, ndp::HOP_LIMIT);
            (ip.src, ip.dst, NdpRepr::parse(payload).unwrap())
        };
        frames.iter().map(answer).collect()
    }

    fn solicit(&mut self, src: Addr, target: Addr) -> Vec<(Addr, Addr, NdpRepr)> {
        let source_hardware = (!src.is_unspecified()).then(|| HardwareAddr(self.lab.hardware(self.program)));
        let message = NdpRepr::NeighborSolicit { target, source_hardware };
        self.discover(src, ndp::solicited_node(target), 255, &message)
    }

    /// The options of the DHCP answer to a message with these options, and the address that it gives.
    fn dhcp(&mut self, options: &[u8], client: Addr) -> Option<(Vec<u8>, [u8; 4], Addr)> {
        let mut datagram = vec![0; 8 + 240];
        datagram[..6].copy_from_slice(&[0, 68, 0, 67, 0, 0]);
        datagram[8..16].copy_from_slice(&[1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
        datagram[20..24].copy_from_slice(&client.octets()[12..]);
        datagram[36..42].copy_from_slice(&self.lab.hardware(self.program));
        datagram[244..248].copy_from_slice(&[99, 130, 83, 99]);
        datagram.extend_from_slice(options);
        datagram.push(255);
        let len = (datagram.len() as u16).to_be_bytes();
        datagram[4..6].copy_from_slice(&len);
        let ip = Ipv4Repr {
            src: client,
            dst: Addr::v4([255; 4]),
            protocol: protocol::UDP,
            hop_limit: 64,
            dscp_ecn: 0,
            identification: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: datagram.len(),
        };
        let mut packet = vec![0; 20];
        ip.emit(&mut packet);
        packet.extend_from_slice(&datagram);
        let mut answers = self.ask(HardwareAddr::BROADCAST, EtherType::IPV4, &packet);
        // The program's stack has nobody at port 68 and says so, for which it asks by ARP.
        answers.retain(|frame| frame[12..14] == [0x08, 0x00]);
        assert!(answers.len() <= 1);
        let frame = answers.first()?;
        let (ip, _, udp) = Ipv4Repr::parse(&frame[14..]).unwrap();
        assert_eq!(udp[..4], [0, 67, 0, 68]);
        let message = &udp[8..];
        assert_eq!(message[..8], [2, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(message[236..240], [99, 130, 83, 99]);
        Some((message[240..].to_vec(), message[16..20].try_into().unwrap(), ip.dst))
    }
}

/// The value of a DHCP option.
fn option(options: &[u8], code: u8) -> Option<Vec<u8>> {
    let mut rest = options;
    while let [found, len, behind @ ..] = rest {
        if *found == 255 {
            return None;
        }
        let (value, behind) = behind.split_at(usize::from(*len));
        if *found == code {
            return Some(value.to_vec());
        }
        rest = behind;
    }
    None
}

#[test]
fn arp_is_answered_for_the_gateways_addresses_and_no_other() {
    let mut link = Link::new(&Setup::default());
    let hardware = HardwareAddr(link.lab.hardware(link.gateway));
    for last in [2, DNS, HOST] {
        let reply = link.who_has(v4(1), v4(last)).unwrap();
        assert_eq!(
            (reply.operation, reply.sender, reply.sender_hardware),
            (ArpOperation::Reply, v4(last), hardware)
        );
        assert_eq!((reply.target, reply.target_hardware.0), (v4(1), link.lab.hardware(link.program)));
    }
    // The program's own address (also in a probe, RFC 5227), and those of nobody.
    for (sender, target) in [(Addr::ANY_V4, 1), (v4(1), 1), (v4(1), 77)] {
        assert_eq!(link.who_has(sender, v4(target)), None);
    }
}

#[test]
fn neighbours_are_told_of_the_gateway_and_never_of_the_program() {
    let mut link = Link::new(&Setup::default());
    let hardware = HardwareAddr(link.lab.hardware(link.gateway));
    for target in [v6(2), v6(DNS), v6(HOST), link_local(2)] {
        let answers = link.solicit(v6(1), target);
        let [(_, to, NdpRepr::NeighborAdvert { target: told, flags, target_hardware })] = &answers[..] else {
            panic!("{target}: {answers:?}");
        };
        assert_eq!((*to, *told, *target_hardware), (v6(1), target, Some(hardware)));
        assert!(flags.solicited && flags.router);
    }
    // Duplicate address detection (RFC 4862, section 5.4) finds the program's addresses free.
    for target in [v6(1), link_local(1), v6(77)] {
        assert!(link.solicit(Addr::ANY_V6, target).is_empty(), "{target}");
    }
    // And the gateway's own taken, which everybody is told.
    let answers = link.solicit(Addr::ANY_V6, v6(2));
    let [(_, to, NdpRepr::NeighborAdvert { flags, .. })] = &answers[..] else { panic!("{answers:?}") };
    assert!(*to == ndp::ALL_NODES && !flags.solicited);
}

#[test]
fn a_router_is_found() {
    let mut link = Link::new(&Setup::default().mtu(1_400));
    let source_hardware = Some(HardwareAddr(link.lab.hardware(link.program)));
    let solicit = NdpRepr::RouterSolicit { source_hardware };
    let answers = link.discover(link_local(1), ndp::ALL_ROUTERS, 255, &solicit);
    let [(from, _, NdpRepr::RouterAdvert(advert))] = &answers[..] else { panic!("{answers:?}") };
    let RouterAdvert { lifetime_s, mtu, prefixes, dns, source_hardware, managed, .. } = advert;
    assert_eq!((*from, *mtu, *managed), (link_local(2), Some(1_400), false));
    assert_eq!(source_hardware.unwrap().0, link.lab.hardware(link.gateway));
    assert!(*lifetime_s > 0);
    assert_eq!(dns.as_ref().unwrap().servers.as_slice(), [v6(DNS)]);
    let [prefix] = prefixes.as_slice() else { panic!("{prefixes:?}") };
    assert_eq!((prefix.prefix.octets()[..8].to_vec(), prefix.prefix_len), (v6(1).octets()[..8].to_vec(), 64));
    assert!(prefix.on_link && prefix.valid_s >= prefix.preferred_s);
    // One that has come through a router is none (RFC 4861, section 6.1.1).
    assert!(link.discover(link_local(1), ndp::ALL_ROUTERS, 254, &solicit).is_empty());
}

#[test]
fn dhcp_gives_the_one_address() {
    let mut link = Link::new(&Setup::default().mtu(1_400));
    let (offer, given, _) = link.dhcp(&[53, 1, 1], Addr::ANY_V4).unwrap();
    assert_eq!((option(&offer, 53), given), (Some(vec![2]), [10, 0, 2, 1]));
    let server = option(&offer, 54).unwrap();
    let mut request = vec![53, 1, 3, 50, 4, 10, 0, 2, 1, 54, 4];
    request.extend_from_slice(&server);
    let (ack, given, _) = link.dhcp(&request, Addr::ANY_V4).unwrap();
    assert_eq!((option(&ack, 53), given), (Some(vec![5]), [10, 0, 2, 1]));
    assert_eq!(option(&ack, 1), Some(vec![255, 255, 255, 0]));
    assert_eq!(option(&ack, 3), Some(vec![10, 0, 2, 2]));
    assert_eq!(option(&ack, 6), Some(vec![10, 0, 2, DNS]));
    assert_eq!(option(&ack, 26), Some(1_400_u16.to_be_bytes().to_vec()));
    let lease = u32::from_be_bytes(option(&ack, 51).unwrap().try_into().unwrap());
    assert!(lease >= 3_600);
    // To one that has an address by other means, everything but an address (RFC 2131, section 4.3.5).
    let (inform, given, to) = link.dhcp(&[53, 1, 8], v4(1)).unwrap();
    assert_eq!((option(&inform, 53), option(&inform, 51), given, to), (Some(vec![5]), None, [0; 4], v4(1)));
    assert_eq!(option(&inform, 6), Some(vec![10, 0, 2, DNS]));
}

#[test]
fn dhcp_gives_no_other_address() {
    let mut link = Link::new(&Setup::default());
    let (nak, given, to) = link.dhcp(&[53, 1, 3, 50, 4, 10, 0, 2, 9], Addr::ANY_V4).unwrap();
    assert_eq!((option(&nak, 53), given, to), (Some(vec![6]), [0; 4], Addr::v4([255; 4])));
    // Another server was chosen; a message without a type; one whose option runs over its end.
    let other = [53, 1, 3, 50, 4, 10, 0, 2, 1, 54, 4, 10, 0, 2, 77];
    assert!(link.dhcp(&other, Addr::ANY_V4).is_none());
    assert!(link.dhcp(&[50, 4, 10, 0, 2, 1], Addr::ANY_V4).is_none());
    assert!(link.dhcp(&[53, 1, 1, 12, 200, 1], Addr::ANY_V4).is_none());
    assert!(link.dhcp(&[53, 1, 7], v4(1)).is_none());
}

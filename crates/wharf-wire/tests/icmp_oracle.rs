//! ICMP, neighbour discovery and ARP against smoltcp.

use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation as TheirOperation, ArpPacket, ArpRepr as TheirArp, Icmpv4Packet, Icmpv4Repr as TheirIcmpv4,
    Icmpv6Packet, Icmpv6Repr as TheirIcmpv6, NdiscNeighborFlags, NdiscPrefixInfoFlags, NdiscRepr,
    NdiscRouterFlags,
};
use wharf_table::Addr;
use wharf_wire::HardwareAddr;
use wharf_wire::arp::{ArpOperation, ArpRepr};
use wharf_wire::icmpv4::{self, Icmpv4Repr};
use wharf_wire::icmpv6::{self, Icmpv6Repr};
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::Ipv6Repr;
use wharf_wire::ndp::{self, NdpRepr, NeighborFlags, PrefixInfo, RouterAdvert};

const SRC: Addr = Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const DST: Addr = ndp::ALL_NODES;

fn v6(addr: Addr) -> std::net::Ipv6Addr {
    addr.octets().into()
}

/// An IPv4 packet that carries the first bytes of `transport`.
fn quote_v4(transport: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src: Addr::v4([10, 0, 2, 100]),
        dst: Addr::v4([192, 0, 2, 1]),
        protocol: 17,
        hop_limit: 3,
        dscp_ecn: 0,
        identification: 77,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        payload_len: transport.len(),
    };
    let mut quote = vec![0; 20];
    repr.emit(&mut quote);
    quote.extend_from_slice(transport);
    quote
}

fn quote_v6(transport: &[u8]) -> Vec<u8> {
    let repr = Ipv6Repr {
        src: SRC,
        dst: Addr::v6([0x20; 16]),
        next_header: 17,
        hop_limit: 3,
        traffic_class: 0,
        flow_label: 0,
        payload_len: transport.len(),
    };
    let mut quote = vec![0; 40];
    repr.emit(&mut quote);
    quote.extend_from_slice(transport);
    quote
}

fn their_icmpv4(message: &[u8]) -> Result<TheirIcmpv4<'_>, smoltcp::wire::Error> {
    TheirIcmpv4::parse(&Icmpv4Packet::new_checked(message)?, &ChecksumCapabilities::default())
}

fn their_icmpv6(message: &[u8]) -> Result<TheirIcmpv6<'_>, smoltcp::wire::Error> {
    TheirIcmpv6::parse(
        &v6(SRC),
        &v6(DST),
        &Icmpv6Packet::new_checked(message)?,
        &ChecksumCapabilities::default(),
    )
}

fn emitted_v6(repr: &Icmpv6Repr<'_>) -> Vec<u8> {
    let mut message = vec![0xee; repr.len()];
    repr.emit(SRC, DST, &mut message);
    message
}

fn emitted_ndp(repr: &NdpRepr) -> Vec<u8> {
    let mut message = vec![0xee; repr.len()];
    repr.emit(SRC, DST, &mut message);
    message
}

proptest! {
    #[test]
    fn echoes_are_read_by_others(ident: u16, seq: u16, data in prop::collection::vec(any::<u8>(), 0..100)) {
        let data = &data[..];
        let mut message = vec![0xee; 8 + data.len()];
        Icmpv4Repr::EchoReply { ident, seq, data }.emit(&mut message);
        prop_assert_eq!(their_icmpv4(&message), Ok(TheirIcmpv4::EchoReply { ident, seq_no: seq, data }));
        prop_assert_eq!(icmpv4::verify_checksum(&message), Ok(()));
        prop_assert_eq!(Icmpv4Repr::parse(&message), Ok(Icmpv4Repr::EchoReply { ident, seq, data }));

        let request = Icmpv6Repr::EchoRequest { ident, seq, data };
        let message = emitted_v6(&request);
        prop_assert_eq!(their_icmpv6(&message), Ok(TheirIcmpv6::EchoRequest { ident, seq_no: seq, data }));
        prop_assert_eq!(icmpv6::verify_checksum(SRC, DST, &message), Ok(()));
        prop_assert_eq!(Icmpv6Repr::parse(&message), Ok(request));
    }

    #[test]
    fn errors_are_read_by_others(code in 0..16u8, word: u32, transport in prop::collection::vec(any::<u8>(), 8..64)) {
        let quote = &quote_v4(&transport)[..];
        let unreachable = if code == 4 {
            Icmpv4Repr::FragmentationNeeded { mtu: word as u16, quote }
        } else {
            Icmpv4Repr::DestinationUnreachable { code, quote }
        };
        for repr in [unreachable, Icmpv4Repr::TimeExceeded { code, quote }] {
            let mut message = vec![0xee; repr.len()];
            repr.emit(&mut message);
            prop_assert_eq!(Icmpv4Repr::parse(&message), Ok(repr));
            let (kind, header, data) = match their_icmpv4(&message) {
                Ok(TheirIcmpv4::DstUnreachable { reason, header, data }) => (u8::from(reason), header, data),
                Ok(TheirIcmpv4::TimeExceeded { reason, header, data }) => (u8::from(reason), header, data),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!((kind, data), (code, &transport[..]));
            let quoted = repr.quoted().unwrap();
            prop_assert_eq!(quoted.src.addr, Addr::from(header.src_addr));
            prop_assert_eq!(quoted.dst.addr, Addr::from(header.dst_addr));
            prop_assert_eq!(quoted.dst.port, u16::from_be_bytes([transport[2], transport[3]]));
        }

        let quote = &quote_v6(&transport)[..];
        let repr = Icmpv6Repr::PacketTooBig { mtu: word, quote };
        let message = emitted_v6(&repr);
        prop_assert_eq!(Icmpv6Repr::parse(&message), Ok(repr));
        match their_icmpv6(&message) {
            Ok(TheirIcmpv6::PktTooBig { mtu, header, data }) => {
                prop_assert_eq!((mtu, data), (word, &transport[..]));
                prop_assert_eq!(repr.quoted().unwrap().dst.addr, Addr::from(header.dst_addr));
            }
            other => panic!("{other:?}"),
        }
        let message = emitted_v6(&Icmpv6Repr::ParameterProblem { code: code % 3, pointer: word, quote });
        match their_icmpv6(&message) {
            Ok(TheirIcmpv6::ParamProblem { reason, pointer, .. }) => {
                prop_assert_eq!((u8::from(reason), pointer), (code % 3, word));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn neighbour_messages_are_read_by_others(target: [u8; 16], hardware: [u8; 6], bits: u8, with_option: bool) {
        let target = Addr::v6([&[0x20][..], &target[1..]].concat().try_into().unwrap());
        let lladdr = with_option.then_some(hardware);
        let ours = lladdr.map(HardwareAddr);
        let solicit = emitted_ndp(&NdpRepr::NeighborSolicit { target, source_hardware: ours });
        match their_icmpv6(&solicit) {
            Ok(TheirIcmpv6::Ndisc(NdiscRepr::NeighborSolicit { target_addr, lladdr: theirs })) => {
                prop_assert_eq!(Addr::from(target_addr), target);
                prop_assert_eq!(theirs.map(|addr| addr.as_bytes().to_vec()), lladdr.map(Vec::from));
            }
            other => panic!("{other:?}"),
        }
        let flags = NeighborFlags { router: bits & 1 != 0, solicited: bits & 2 != 0, overrides: bits & 4 != 0 };
        let advert = emitted_ndp(&NdpRepr::NeighborAdvert { target, flags, target_hardware: ours });
        match their_icmpv6(&advert) {
            Ok(TheirIcmpv6::Ndisc(NdiscRepr::NeighborAdvert { flags: theirs, target_addr, lladdr: theirs_hardware })) => {
                prop_assert_eq!(Addr::from(target_addr), target);
                prop_assert_eq!(theirs.contains(NdiscNeighborFlags::ROUTER), flags.router);
                prop_assert_eq!(theirs.contains(NdiscNeighborFlags::SOLICITED), flags.solicited);
                prop_assert_eq!(theirs.contains(NdiscNeighborFlags::OVERRIDE), flags.overrides);
                prop_assert_eq!(theirs_hardware.map(|addr| addr.as_bytes().to_vec()), lladdr.map(Vec::from));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn router_advertisements_are_read_by_others(
        times in any::<(u16, u32, u32)>(),
        flags in any::<[bool; 4]>(),
        mtu in any::<Option<u32>>(),
        prefix in any::<([u8; 16], u32, u32)>(),
        prefix_len in 0..=128u8,
    ) {
        let info = PrefixInfo {
            prefix: Addr::v6(prefix.0),
            prefix_len,
            on_link: flags[0],
            autonomous: flags[1],
            valid_s: prefix.1,
            preferred_s: prefix.2,
        };
        let advert = RouterAdvert {
            hop_limit: 64,
            managed: flags[2],
            other_config: flags[3],
            lifetime_s: times.0,
            reachable_ms: times.1,
            retransmit_ms: times.2,
            source_hardware: None,
            mtu,
            prefixes: [info].into_iter().collect(),
            dns: None,
        };
        let message = emitted_ndp(&NdpRepr::RouterAdvert(advert.clone()));
        prop_assert_eq!(NdpRepr::parse(&message), Ok(NdpRepr::RouterAdvert(advert)));
        let Ok(TheirIcmpv6::Ndisc(NdiscRepr::RouterAdvert {
            flags: theirs, router_lifetime, reachable_time, retrans_time, mtu: their_mtu, prefix_info, ..
        })) = their_icmpv6(&message) else { panic!("not read as an advertisement") };
        prop_assert_eq!(theirs.contains(NdiscRouterFlags::MANAGED), flags[2]);
        prop_assert_eq!(theirs.contains(NdiscRouterFlags::OTHER), flags[3]);
        prop_assert_eq!(router_lifetime.secs(), u64::from(times.0));
        prop_assert_eq!(reachable_time.total_millis(), u64::from(times.1));
        prop_assert_eq!(retrans_time.total_millis(), u64::from(times.2));
        prop_assert_eq!(their_mtu, mtu);
        let theirs = prefix_info.unwrap();
        prop_assert_eq!((theirs.prefix.octets(), theirs.prefix_len), (prefix.0, prefix_len));
        prop_assert_eq!(theirs.flags.contains(NdiscPrefixInfoFlags::ON_LINK), flags[0]);
        prop_assert_eq!(theirs.flags.contains(NdiscPrefixInfoFlags::ADDRCONF), flags[1]);
        prop_assert_eq!(theirs.valid_lifetime.secs(), u64::from(prefix.1));
        prop_assert_eq!(theirs.preferred_lifetime.secs(), u64::from(prefix.2));
    }

    #[test]
    fn arp_is_read_by_others(request: bool, hardware in any::<([u8; 6], [u8; 6])>(), addrs in any::<([u8; 4], [u8; 4])>()) {
        let repr = ArpRepr {
            operation: if request { ArpOperation::Request } else { ArpOperation::Reply },
            sender_hardware: HardwareAddr(hardware.0),
            sender: Addr::v4(addrs.0),
            target_hardware: HardwareAddr(hardware.1),
            target: Addr::v4(addrs.1),
        };
        let mut message = [0xee; 28];
        repr.emit(&mut message);
        prop_assert_eq!(ArpRepr::parse(&message), Ok(repr));
        let theirs = TheirArp::parse(&ArpPacket::new_checked(&message[..]).unwrap());
        prop_assert_eq!(theirs, Ok(TheirArp::EthernetIpv4 {
            operation: if request { TheirOperation::Request } else { TheirOperation::Reply },
            source_hardware_addr: smoltcp::wire::EthernetAddress(hardware.0),
            source_protocol_addr: addrs.0.into(),
            target_hardware_addr: smoltcp::wire::EthernetAddress(hardware.1),
            target_protocol_addr: addrs.1.into(),
        }));
    }
}

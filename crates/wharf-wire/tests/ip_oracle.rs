//! IPv4, IPv6 and UDP against etherparse and smoltcp.

use etherparse::{IpHeaders, IpNumber, IpSlice, Ipv4Slice, UdpSlice};
use proptest::prelude::*;
use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Packet, UdpPacket};
use wharf_table::Addr;
use wharf_wire::checksum::checksum;
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::{Ipv6Repr, walk};
use wharf_wire::udp::{self, UdpRepr};

fn ipv4_repr() -> impl Strategy<Value = Ipv4Repr> {
    let addrs = (any::<[u8; 4]>(), any::<[u8; 4]>());
    let fragment = (any::<bool>(), any::<bool>(), 0..0x2000u16);
    (addrs, any::<(u8, u8, u8, u16)>(), fragment, 0..1500usize).prop_map(
        |((src, dst), (protocol, hop_limit, dscp_ecn, identification), fragment, payload_len)| Ipv4Repr {
            src: Addr::v4(src),
            dst: Addr::v4(dst),
            protocol,
            hop_limit,
            dscp_ecn,
            identification,
            dont_fragment: fragment.0,
            more_fragments: fragment.1,
            fragment_offset: fragment.2 * 8,
            payload_len,
        },
    )
}

proptest! {
    #[test]
    fn ipv4_headers_are_written_as_others_read_them(repr in ipv4_repr()) {
        let mut packet = vec![0x55; 20 + repr.payload_len];
        repr.emit(&mut packet);
        let (parsed, options, payload) = Ipv4Repr::parse(&packet).unwrap();
        prop_assert_eq!((parsed, options.len(), payload.len()), (repr, 0, repr.payload_len));

        let theirs = Ipv4Packet::new_checked(&packet[..]).unwrap();
        prop_assert!(theirs.verify_checksum());
        prop_assert_eq!(Addr::from(theirs.src_addr()), repr.src);
        prop_assert_eq!(Addr::from(theirs.dst_addr()), repr.dst);
        prop_assert_eq!(u8::from(theirs.next_header()), repr.protocol);
        prop_assert_eq!((theirs.hop_limit(), theirs.ident()), (repr.hop_limit, repr.identification));
        prop_assert_eq!(theirs.dscp() << 2 | theirs.ecn(), repr.dscp_ecn);
        prop_assert_eq!((theirs.dont_frag(), theirs.more_frags()), (repr.dont_fragment, repr.more_fragments));
        prop_assert_eq!(theirs.frag_offset(), repr.fragment_offset);
    }

    /// What we take, etherparse takes, with the same payload; and what it takes, we take unless the checksum is wrong.
    #[test]
    fn mutated_ipv4_packets_are_judged_as_others_do(
        repr in ipv4_repr(),
        flips in prop::collection::vec((0..24usize, any::<u8>()), 0..4),
        cut in 0..60usize,
        mend in any::<bool>(),
    ) {
        let mut packet = vec![0x55; 20 + repr.payload_len.max(4)];
        repr.emit(&mut packet);
        for (at, byte) in flips {
            packet[at] = byte;
        }
        packet.truncate(packet.len() - cut.min(packet.len()));
        let header_len = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
        if mend && header_len >= 20 && header_len <= packet.len() {
            packet[10..12].fill(0);
            let sum = checksum(&packet[..header_len]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        let ours = Ipv4Repr::parse(&packet);
        let smoltcp_sum = Ipv4Packet::new_checked(&packet[..]).is_ok_and(|theirs| theirs.verify_checksum());
        // Authentication headers (51) are part of the packet for etherparse only.
        match Ipv4Slice::from_slice(&packet) {
            Ok(theirs) if smoltcp_sum && packet[9] != 51 => {
                let (repr, options, payload) = ours.unwrap();
                prop_assert_eq!(options, theirs.header().options());
                prop_assert_eq!(payload, theirs.payload().payload);
                prop_assert_eq!(repr.is_fragment(), theirs.is_payload_fragmented());
                prop_assert_eq!(repr.hop_limit, theirs.header().ttl());
            }
            Ok(_) => {}
            Err(_) if packet.get(9) == Some(&51) => {}
            Err(_) => prop_assert!(ours.is_err()),
        }
    }

    #[test]
    fn ipv6_headers_are_written_as_others_read_them(
        addrs in any::<([u8; 16], [u8; 16])>(),
        fields in any::<(u8, u8, u8)>(),
        flow_label in 0..0x10_0000u32,
        payload_len in 0..1500usize,
    ) {
        let repr = Ipv6Repr {
            src: Addr::v6(addrs.0),
            dst: Addr::v6(addrs.1),
            next_header: fields.0,
            hop_limit: fields.1,
            traffic_class: fields.2,
            flow_label,
            payload_len,
        };
        let mut packet = vec![0x55; 40 + payload_len + 3];
        repr.emit(&mut packet);
        let (parsed, payload) = Ipv6Repr::parse(&packet).unwrap();
        prop_assert_eq!((parsed, payload.len()), (repr, payload_len));

        let theirs = Ipv6Packet::new_checked(&packet[..]).unwrap();
        prop_assert_eq!(theirs.src_addr().octets(), addrs.0);
        prop_assert_eq!(theirs.dst_addr().octets(), addrs.1);
        prop_assert_eq!((u8::from(theirs.next_header()), theirs.hop_limit()), (fields.0, fields.1));
        prop_assert_eq!((theirs.traffic_class(), theirs.flow_label()), (fields.2, flow_label));
        prop_assert_eq!(theirs.payload(), payload);
    }

    /// Chains of extension headers with Pad options only, well-formed or cut: the same transport at the same place.
    #[test]
    fn extension_headers_are_walked_as_others_walk_them(
        chain in prop::collection::vec((prop::sample::select(vec![43u8, 44, 60]), 0..4usize), 0..7),
        hop_by_hop in any::<bool>(),
        fragment in (any::<bool>(), 0..4u16),
        cut in 0..80usize,
    ) {
        let mut kinds: Vec<(u8, usize)> = hop_by_hop.then_some((0, 1)).into_iter().chain(chain).collect();
        // One Fragment header at most: nobody agrees on fragments of fragments.
        let mut seen = false;
        kinds.retain(|&(kind, _)| kind != 44 || !std::mem::replace(&mut seen, true));
        let mut payload = Vec::new();
        for (i, &(kind, units)) in kinds.iter().enumerate() {
            let next = kinds.get(i + 1).map_or(17, |next| next.0);
            if kind == 44 {
                let field = fragment.1 << 3 | u16::from(fragment.0);
                payload.extend([next, 0, (field >> 8) as u8, field as u8, 1, 2, 3, 4]);
            } else {
                // PadN; in a Routing header the same bytes are type 1 with no segments left.
                payload.extend([next, units as u8, 1, 0]);
                payload.extend([1, (units * 8 + 2) as u8]);
                payload.resize(payload.len() + units * 8 + 2, 0);
            }
        }
        payload.extend([0, 1, 0, 2, 0, 9, 0, 0, 42]);
        payload.truncate(payload.len() - cut.min(payload.len()));
        let next_header = kinds.first().map_or(17, |first| first.0);
        let repr = Ipv6Repr {
            src: Addr::v6([1; 16]),
            dst: Addr::v6([2; 16]),
            next_header,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            payload_len: payload.len(),
        };
        let mut packet = vec![0; 40];
        repr.emit(&mut packet);
        packet.extend_from_slice(&payload);

        let ours = walk(&repr, &payload);
        match (ours, IpSlice::from_slice(&packet)) {
            (Ok(ours), theirs) if ours.fragment.is_none() => {
                let theirs = theirs.unwrap();
                prop_assert_eq!(IpNumber(ours.protocol), theirs.payload_ip_number());
                prop_assert_eq!(ours.payload, theirs.payload().payload);
                prop_assert!(!theirs.is_fragmenting_payload());
            }
            (Ok(ours), theirs) => {
                // Etherparse walks on into the fragment; its own header says where that starts.
                let fragment = ours.fragment.unwrap();
                prop_assert_eq!(&payload[fragment.unfragmentable_len + 8..], ours.payload);
                prop_assert!(theirs.is_err() || theirs.is_ok_and(|theirs| theirs.is_fragmenting_payload()));
            }
            (Err(_), Ok(theirs)) => {
                // Ours is stricter only with first fragments that lack headers.
                prop_assert!(theirs.is_fragmenting_payload() && theirs.payload().payload.len() < 8);
            }
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn udp_is_written_and_judged_as_others_do(
        addrs in any::<([u8; 4], [u8; 4])>(),
        ports in any::<(u16, u16)>(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        flip in (0..8usize, any::<u8>(), any::<bool>()),
        cut in 0..12usize,
    ) {
        let (src, dst) = (Addr::v4(addrs.0), Addr::v4(addrs.1));
        let (their_src, their_dst) = (IpAddress::from(src.ip()), IpAddress::from(dst.ip()));
        let repr = UdpRepr { src_port: ports.0, dst_port: ports.1, payload_len: payload.len() };
        let mut datagram = vec![0; 8];
        repr.emit(&mut datagram);
        datagram.extend_from_slice(&payload);
        udp::fill_checksum(src, dst, &mut datagram);
        let theirs = UdpPacket::new_checked(&datagram[..]).unwrap();
        prop_assert!(theirs.verify_checksum(&their_src, &their_dst));
        prop_assert_eq!((theirs.src_port(), theirs.dst_port(), theirs.payload()), (ports.0, ports.1, &payload[..]));

        if flip.2 {
            datagram[flip.0] = flip.1;
        }
        datagram.truncate(datagram.len() - cut.min(datagram.len()));
        let ours = UdpRepr::parse(&datagram);
        match UdpSlice::from_slice(&datagram) {
            Ok(theirs) if theirs.length() != 0 => {
                let (ours, payload) = ours.unwrap();
                prop_assert_eq!((ours.src_port, ours.dst_port), (theirs.source_port(), theirs.destination_port()));
                prop_assert_eq!(payload, theirs.payload());
                let valid = UdpPacket::new_checked(&datagram[..]).unwrap().verify_checksum(&their_src, &their_dst);
                prop_assert_eq!(udp::verify_checksum(src, dst, &datagram).is_ok(), valid);
            }
            // Etherparse reads a length of zero as "to the end", as jumbograms do.
            _ => prop_assert!(ours.is_err()),
        }
    }
}

/// Guards the test above against an oracle that takes nothing.
#[test]
fn the_oracle_takes_a_packet() {
    let packet = [&[0x60, 0, 0, 0, 0, 0, 59, 1][..], &[1; 32]].concat();
    assert!(matches!(IpHeaders::from_slice(&packet), Ok((IpHeaders::Ipv6(..), _))));
}

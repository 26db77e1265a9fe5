//! No bytes make a parser panic, and what was read can be written and read again. The fuzz targets do the same for longer.

use proptest::prelude::*;
use wharf_table::Addr;
use wharf_wire::arp::ArpRepr;
use wharf_wire::checksum::Sum;
use wharf_wire::dhcpv4::DhcpRequest;
use wharf_wire::dns::{Message, Rcode, ResponseRepr};
use wharf_wire::ethernet::EthernetRepr;
use wharf_wire::icmpv4::{self, Icmpv4Repr};
use wharf_wire::icmpv6::{self, Icmpv6Repr};
use wharf_wire::ipv4::{Ipv4Repr, has_source_route};
use wharf_wire::ipv6::{Ipv6Repr, walk, walk_reassembled};
use wharf_wire::ndp::NdpRepr;
use wharf_wire::quoted::Quoted;
use wharf_wire::tcp::{self, TcpRepr};
use wharf_wire::udp::{self, UdpRepr};

const SRC: Addr = Addr::v6([0xfd; 16]);
const DST: Addr = Addr::v6([0x20; 16]);

/// Any bytes, or bytes that begin as one of the formats does, so that the inner parts are reached too.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let heads = vec![
        vec![],
        vec![0x45, 0, 0, 60],
        vec![0x46, 0, 0, 60],
        vec![0x60, 0, 0, 0, 0, 20, 0, 64],
        vec![0x60, 0, 0, 0, 0, 20, 44, 64],
        vec![0x60, 0, 0, 0, 0, 20, 60, 64],
        vec![133, 0, 0, 0, 0, 0, 0, 0],
        vec![134, 0, 0, 0, 0, 0, 0, 0],
        vec![135, 0, 0, 0, 0, 0, 0, 0],
        vec![0, 1, 1, 0, 0, 1, 0, 2, 0, 0, 0, 1],
        vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 2],
        vec![0, 1, 8, 0, 6, 4, 0, 1],
    ];
    let small = prop::collection::vec(prop_oneof![any::<u8>(), 0..8u8, Just(0xc0)], 0..160);
    (prop::sample::select(heads), small).prop_map(|(head, rest)| [head, rest].concat())
}

proptest! {
    #[test]
    fn link_and_network(bytes in bytes()) {
        if let Ok((repr, payload)) = EthernetRepr::parse(&bytes) {
            let mut again = vec![0; 14];
            repr.emit(&mut again);
            again.extend_from_slice(payload);
            prop_assert_eq!(&again, &bytes);
        }
        if let Ok(repr) = ArpRepr::parse(&bytes) {
            let mut again = [0; 28];
            repr.emit(&mut again);
            prop_assert_eq!(&again[..], &bytes[..28]);
        }
        has_source_route(&bytes);
        let _ = Ipv4Repr::parse(&bytes);
        if let Ok((repr, payload)) = Ipv6Repr::parse(&bytes) {
            let mut again = vec![0; 40];
            repr.emit(&mut again);
            again.extend_from_slice(payload);
            prop_assert_eq!(&again[..], &bytes[..again.len()]);
            match walk(&repr, payload) {
                Ok(upper) => {
                    prop_assert!(payload.ends_with(upper.payload));
                    prop_assert_eq!(bytes[usize::from(upper.next_header_at)], upper.protocol);
                }
                Err(fault) => {
                    if let Some((code, pointer)) = fault.parameter_problem(repr.dst) {
                        prop_assert!(code <= 3 && pointer as usize <= 40 + payload.len());
                    }
                }
            }
        }
        if let Some((&first, rest)) = bytes.split_first() {
            let _ = walk_reassembled(first, rest);
        }
    }

    #[test]
    fn transports(bytes in bytes()) {
        if let Ok((repr, payload)) = TcpRepr::parse(&bytes) {
            let mut again = vec![0; repr.header_len()];
            repr.emit(&mut again);
            again.extend_from_slice(payload);
            let read = TcpRepr::parse(&again);
            // Only a fourth SACK block beside timestamps could get lost, and no header of 60 bytes holds both.
            prop_assert_eq!(read, Ok((repr, payload)));
        }
        if let Ok((repr, payload)) = UdpRepr::parse(&bytes) {
            prop_assert_eq!(repr.payload_len, payload.len());
        }
        let _ = (tcp::verify_checksum(SRC, DST, &bytes), udp::verify_checksum(SRC, DST, &bytes));
    }

    #[test]
    fn icmp(bytes in bytes()) {
        if let Ok(repr) = Icmpv4Repr::parse(&bytes) {
            let mut again = vec![0; repr.len()];
            repr.emit(&mut again);
            prop_assert_eq!(Icmpv4Repr::parse(&again), Ok(repr));
            prop_assert_eq!(icmpv4::verify_checksum(&again), Ok(()));
            repr.quoted();
        }
        if let Ok(repr) = Icmpv6Repr::parse(&bytes) {
            let mut again = vec![0; repr.len()];
            repr.emit(SRC, DST, &mut again);
            prop_assert_eq!(Icmpv6Repr::parse(&again), Ok(repr));
            prop_assert_eq!(icmpv6::verify_checksum(SRC, DST, &again), Ok(()));
            repr.quoted();
        }
        if let Ok(repr) = NdpRepr::parse(&bytes) {
            let mut again = vec![0; repr.len()];
            repr.emit(SRC, DST, &mut again);
            prop_assert_eq!(NdpRepr::parse(&again), Ok(repr));
        }
        let _ = (Quoted::parse_ipv4(&bytes), Quoted::parse_ipv6(&bytes));
    }

    #[test]
    fn services(bytes in bytes(), options in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut dhcp = vec![0; 240];
        dhcp[..3].copy_from_slice(&[1, 1, 6]);
        dhcp[236..].copy_from_slice(&[99, 130, 83, 99]);
        dhcp.extend([53, 1, 1]);
        dhcp.extend(options);
        let _ = (DhcpRequest::parse(&dhcp), DhcpRequest::parse(&bytes));
        if let Ok(message) = Message::parse(&bytes) {
            for record in message.records() {
                let name = record.name.to_name();
                prop_assert_eq!(record.name, name.clone());
                prop_assert!(name.wire().len() <= 255);
                prop_assert_eq!(name.to_string().parse(), Ok(name));
            }
            let mut buf = [0; 512];
            let len = ResponseRepr::to(&message, Rcode::REFUSED).emit(&mut buf);
            let response = Message::parse(&buf[..len]).unwrap();
            prop_assert_eq!(response.question().map(|question| question.name.to_name()),
                message.question().map(|question| question.name.to_name()));
        }
    }

    #[test]
    fn sums_do_not_care_where_slices_are_cut(bytes in prop::collection::vec(any::<u8>(), 0..300), cuts: [prop::sample::Index; 3]) {
        let mut cuts = cuts.map(|cut| cut.index(bytes.len() + 1));
        cuts.sort();
        let parts = [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..cuts[2]], &bytes[cuts[2]..]];
        let sum = parts.iter().fold(Sum::new(), |sum, part| sum.with(part));
        prop_assert_eq!(sum.fold(), Sum::new().with(&bytes).fold());
    }
}

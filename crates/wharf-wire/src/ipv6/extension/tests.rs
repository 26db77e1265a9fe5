use std::vec;
use std::vec::Vec;

use wharf_table::Addr;

use super::*;

/// An extension header of 8 bytes that holds PadN.
fn padded(next: u8) -> Vec<u8> {
    vec![next, 0, 1, 4, 0, 0, 0, 0]
}

fn routing(next: u8, segments_left: u8) -> Vec<u8> {
    vec![next, 0, 0, segments_left, 0, 0, 0, 0]
}

fn fragment(next: u8, offset: u16, more: bool) -> Vec<u8> {
    let mut header = vec![0; 8];
    Fragment { offset, more, identification: 0xdead_beef, next_header: next, unfragmentable_len: 0 }
        .emit(&mut header);
    header
}

fn options(next: u8, options: &[u8]) -> Vec<u8> {
    let mut header = [&[next, 0], options].concat();
    header.resize(header.len().next_multiple_of(8), 0);
    header[1] = (header.len() / 8 - 1) as u8;
    header
}

fn walk_from(next_header: u8, payload: &[u8]) -> Result<UpperLayer<'_>, Malformed> {
    let repr = Ipv6Repr {
        src: Addr::v6([1; 16]),
        dst: Addr::v6([2; 16]),
        next_header,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        payload_len: payload.len(),
    };
    walk(&repr, payload)
}

const UDP_DATAGRAM: [u8; 9] = [0, 1, 0, 2, 0, 9, 0, 0, 42];

#[test]
fn a_transport_right_behind_the_header_is_found() {
    let upper = walk_from(UDP, &UDP_DATAGRAM).unwrap();
    assert_eq!(
        upper,
        UpperLayer { protocol: UDP, payload: &UDP_DATAGRAM, next_header_at: 6, fragment: None }
    );
    let unknown = walk_from(89, b"ospf").unwrap();
    assert_eq!((unknown.protocol, unknown.payload), (89, &b"ospf"[..]));
}

#[test]
fn the_order_of_rfc_8200_is_walked() {
    let packet = [
        padded(DESTINATION_OPTIONS),
        padded(ROUTING),
        routing(FRAGMENT, 0),
        fragment(DESTINATION_OPTIONS, 0, false),
        padded(UDP),
        UDP_DATAGRAM.to_vec(),
    ]
    .concat();
    let upper = walk_from(HOP_BY_HOP, &packet).unwrap();
    let expected =
        UpperLayer { protocol: UDP, payload: &UDP_DATAGRAM, next_header_at: 40 + 32, fragment: None };
    assert_eq!(upper, expected, "the fragment is a whole datagram (RFC 6946)");
}

#[test]
fn hop_by_hop_stands_first_or_not_at_all() {
    let packet = [padded(HOP_BY_HOP), padded(UDP), UDP_DATAGRAM.to_vec()].concat();
    assert_eq!(walk_from(DESTINATION_OPTIONS, &packet), Err(Malformed::ExtensionOrder(40)));
    assert_eq!(walk_reassembled(HOP_BY_HOP, &packet), Err(Malformed::ExtensionOrder(6)));
    assert_eq!(Malformed::ExtensionOrder(40).parameter_problem(Addr::ANY_V6), Some((1, 40)));
}

#[test]
fn lengths_beyond_the_packet_are_refused_where_they_stand() {
    for kind in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT] {
        assert!(matches!(walk_from(kind, &[]), Err(Malformed::ExtensionLength(6))), "{kind}");
    }
    assert_eq!(walk_from(ROUTING, &[UDP, 1, 0, 0, 0, 0, 0, 0]), Err(Malformed::ExtensionLength(41)));
    let option_beyond = options(UDP, &[1, 9, 0, 0, 0, 0]);
    assert_eq!(walk_from(DESTINATION_OPTIONS, &option_beyond), Err(Malformed::ExtensionLength(43)));
    let cut_option = options(UDP, &[0, 0, 0, 0, 0, 1]);
    assert_eq!(walk_from(DESTINATION_OPTIONS, &cut_option), Err(Malformed::ExtensionLength(47)));
}

#[test]
fn unknown_options_are_skipped_or_refused_as_they_ask() {
    let group = super::super::super::ndp::ALL_NODES;
    let single = Addr::v6([0x20; 16]);
    // Router alert (RFC 2711) is one that may be skipped.
    let alert = [options(UDP, &[5, 2, 0, 0]), UDP_DATAGRAM.to_vec()].concat();
    assert_eq!(walk_from(HOP_BY_HOP, &alert).unwrap().protocol, UDP);
    for (kind, to_single, to_group) in
        [(0x40, None, None), (0x80, Some((2, 44)), Some((2, 44))), (0xc2, Some((2, 44)), None)]
    {
        let packet = [options(UDP, &[1, 0, kind, 0]), UDP_DATAGRAM.to_vec()].concat();
        let fault = walk_from(DESTINATION_OPTIONS, &packet).unwrap_err();
        assert_eq!(fault.parameter_problem(single), to_single, "{kind:#x}");
        assert_eq!(fault.parameter_problem(group), to_group, "{kind:#x}");
    }
}

#[test]
fn a_routing_header_with_segments_left_is_refused() {
    let packet = [routing(UDP, 1), UDP_DATAGRAM.to_vec()].concat();
    let fault = walk_from(ROUTING, &packet).unwrap_err();
    assert_eq!(fault, Malformed::RoutingType(42));
    assert_eq!(fault.parameter_problem(Addr::ANY_V6), Some((0, 42)));
}

#[test]
fn the_walk_is_bounded() {
    let chain = |count: usize| {
        let mut packet = padded(DESTINATION_OPTIONS).repeat(count - 1);
        packet.extend(padded(UDP));
        packet.extend(UDP_DATAGRAM);
        packet
    };
    assert_eq!(walk_from(DESTINATION_OPTIONS, &chain(MAX_HEADERS)).unwrap().payload, UDP_DATAGRAM);
    assert_eq!(walk_from(DESTINATION_OPTIONS, &chain(MAX_HEADERS + 1)), Err(Malformed::ExtensionCount));
    let pads = |count: usize| options(UDP, &vec![0; count]);
    assert!(walk_from(DESTINATION_OPTIONS, &pads(30)).is_ok());
    assert_eq!(walk_from(DESTINATION_OPTIONS, &pads(38)), Err(Malformed::ExtensionCount));
    assert_eq!(
        walk_from(DESTINATION_OPTIONS, &options(UDP, &[1, 0].repeat(99))),
        Err(Malformed::ExtensionCount)
    );
}

#[test]
fn a_fragment_is_told_with_its_place() {
    let piece = [7; 16];
    let packet = [padded(FRAGMENT), fragment(UDP, 1448, true), piece.to_vec()].concat();
    let upper = walk_from(HOP_BY_HOP, &packet).unwrap();
    let expected = Fragment {
        offset: 1448,
        more: true,
        identification: 0xdead_beef,
        next_header: UDP,
        unfragmentable_len: 8,
    };
    assert_eq!(upper.fragment, Some(expected));
    assert_eq!((upper.protocol, upper.payload), (UDP, &piece[..]));
    let last = [fragment(UDP, 1448, false), vec![7]].concat();
    assert!(walk_from(FRAGMENT, &last).unwrap().fragment.is_some_and(|fragment| !fragment.more));
}

#[test]
fn a_first_fragment_holds_all_headers() {
    let first =
        |next: u8, piece: &[u8]| walk_from(FRAGMENT, &[&fragment(next, 0, true), piece].concat()).err();
    let split = Some(Malformed::HeaderChainSplit);
    assert_eq!(first(UDP, &[0; 8]), None);
    assert_eq!(first(UDP, &[0; 7]), split);
    assert_eq!(first(TCP, &[0; 16]), split);
    assert_eq!(first(TCP, &[0; 24]), None);
    assert_eq!(first(DESTINATION_OPTIONS, &padded(UDP)), split, "the transport is missing");
    assert_eq!(first(DESTINATION_OPTIONS, &[UDP, 1, 1, 4, 0, 0, 0, 0]), split, "the header itself is cut");
    assert_eq!(first(DESTINATION_OPTIONS, &[padded(UDP), vec![0; 8]].concat()), None);
    assert_eq!(first(HOP_BY_HOP, &padded(UDP)), Some(Malformed::ExtensionOrder(6)));
    assert_eq!(Malformed::HeaderChainSplit.parameter_problem(Addr::ANY_V6), Some((3, 0)));
    // Later fragments carry whatever they carry.
    let later = [fragment(TCP, 8, true), vec![0; 8]].concat();
    assert!(walk_from(FRAGMENT, &later).is_ok());
}

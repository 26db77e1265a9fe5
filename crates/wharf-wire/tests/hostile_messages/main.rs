//! What is hostile about DNS, DHCP, ICMP, neighbour discovery, quotes, ARP, UDP and frames, case by case: each is a test
//! of its name here, which says what is made of it, and a seed for the fuzz targets (`fuzz/seeds`).
//!
//! | class | tests |
//! |---|---|
//! | DNS label loops | `dns_pointer_*`, `dns_label_*`, `dns_name_*` |
//! | DNS lengths and counts | `dns_count_beyond_the_message`, `dns_record_beyond_the_message`, `dns_opt_twice` |
//! | DHCP overruns | `dhcpv4_*` |
//! | wrong lengths | `icmpv4_*`, `icmpv6_*`, `arp_*`, `udp_*`, `ethernet_*` |
//! | options of length 0, beyond the message | `ndp_*` |
//! | quotes that lie | `quoted_*` |
//! | names that servers read in two ways | `tls_*`, `http_*`, `shown_*`, `quic_*`, in `clients.rs` |
//!
//! Those of IP and TCP are in `crates/wharf-stack/tests/hostile_segments`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use wharf_table::Addr;
use wharf_wire::Malformed;
use wharf_wire::arp::ArpRepr;
use wharf_wire::dhcpv4::DhcpRequest;
use wharf_wire::dns::{Message, Name};
use wharf_wire::ethernet::EthernetRepr;
use wharf_wire::icmpv4::Icmpv4Repr;
use wharf_wire::icmpv6::Icmpv6Repr;
use wharf_wire::ndp::NdpRepr;
use wharf_wire::quoted::Quoted;
use wharf_wire::udp::{self, UdpRepr};

/// A target, a name, the bytes, and what must be made of them.
type Case = (&'static str, &'static str, fn() -> Vec<u8>, fn(&[u8]));

macro_rules! cases {
    ($($target:ident $name:ident: $bytes:expr => $check:expr,)+) => {
        $(#[test]
        fn $name() {
            let bytes: Vec<u8> = $bytes;
            let check: fn(&[u8]) = $check;
            check(&bytes);
        })+

        pub(crate) const CASES: &[Case] = &[$((stringify!($target), stringify!($name), || $bytes, $check)),+];
    };
}

mod clients;

#[test]
fn the_seeds_of_the_fuzz_targets_are_current() {
    let update = std::env::var_os("UPDATE_SEEDS").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (target, name, bytes, _) in CASES.iter().chain(clients::CASES) {
        let path = root.join(target).join(name);
        if update {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes()).unwrap();
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == bytes(), "{} is not what its case says: UPDATE_SEEDS=1", path.display());
    }
}

fn refused<T: Debug>(result: Result<T, Malformed>, why: Malformed) {
    assert_eq!(result.err(), Some(why));
}

/// A message with these counts of questions and answers, and what stands behind its header.
fn dns(questions: u16, answers: u16, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0];
    message.extend_from_slice(&questions.to_be_bytes());
    message.extend_from_slice(&answers.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(rest);
    message
}

fn dns_is(bytes: &[u8], why: Malformed) {
    assert_eq!(Message::parse(bytes).err(), Some(why));
}

/// Type A and class IN, behind a question's name.
const A_IN: [u8; 4] = [0, 1, 0, 1];

fn pointer(to: usize) -> [u8; 2] {
    (0xc000 | to as u16).to_be_bytes()
}

/// A record whose data is a chain of pointers, each to the one before, and a name that points to the last of them.
fn chain(pointers: usize) -> Vec<u8> {
    let mut record = vec![0, 0, 99, 0, 1, 0, 0, 0, 0];
    record.extend_from_slice(&((2 * pointers + 3) as u16).to_be_bytes());
    let name_at = 12 + record.len();
    record.extend_from_slice(b"\x01x\0");
    let mut last = name_at;
    for _ in 0..pointers {
        let at = 12 + record.len();
        record.extend_from_slice(&pointer(last));
        last = at;
    }
    record.extend_from_slice(&pointer(last));
    record.extend_from_slice(&[0, 99, 0, 1, 0, 0, 0, 0, 0, 0]);
    dns(0, 2, &record)
}

/// The fixed part of a client's message, and options.
fn dhcp(options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend_from_slice(options);
    message
}

fn dhcp_is(bytes: &[u8], why: Malformed) {
    refused(DhcpRequest::parse(bytes), why);
}

/// What a DHCP message is read as is answered within the length that every client takes.
fn dhcp_is_answered(bytes: &[u8]) {
    use wharf_wire::dhcpv4::DhcpReplyKind;
    let request = DhcpRequest::parse(bytes).unwrap();
    let reply = request.reply(DhcpReplyKind::Offer, Addr::v4([10, 0, 2, 2]));
    let mut buf = vec![0; reply.len()];
    reply.emit(&mut buf);
    assert!(buf.len() <= 576, "{} bytes (RFC 2131, section 2)", buf.len());
}

/// An IPv4 header and eight bytes of TCP.
fn quote_v4() -> Vec<u8> {
    let mut quote = vec![0x45, 0, 0, 40, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 1, 192, 0, 2, 80];
    quote.extend_from_slice(&[0x13, 0x88, 0, 80, 1, 2, 3, 4]);
    quote
}

fn quote_v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut quote = vec![0x60, 0, 0, 0, 0, payload.len() as u8, next, 64];
    quote.extend_from_slice(&[0xfd; 16]);
    quote.extend_from_slice(&[0x20; 16]);
    quote.extend_from_slice(payload);
    quote
}

fn with<const N: usize>(mut bytes: Vec<u8>, at: usize, value: [u8; N]) -> Vec<u8> {
    bytes[at..at + N].copy_from_slice(&value);
    bytes
}

fn quote_is(bytes: &[u8], why: Malformed) {
    let both = [Quoted::parse_ipv4(bytes), Quoted::parse_ipv6(bytes)];
    assert!(both.contains(&Err(why)) && both.iter().all(Result::is_err), "{both:?}");
}

/// A neighbour solicitation with these options.
fn solicitation(options: &[u8]) -> Vec<u8> {
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&[0xfd; 16]);
    message.extend_from_slice(options);
    message
}

fn advertisement(options: &[u8]) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(options);
    message
}

fn arp() -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 1];
    message.extend_from_slice(&[2, 0, 0, 0, 0, 1, 10, 0, 2, 1, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
    message
}

cases! {
    dns dns_pointer_to_itself: dns(1, 0, &[&pointer(12)[..], &A_IN].concat()) => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_pointer_forward: dns(1, 0, &[&pointer(14)[..], b"\x01a\0", &A_IN].concat())
        => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_pointer_beyond_the_message: dns(1, 0, &[&pointer(0x3fff)[..], &A_IN].concat())
        => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_pointer_loop_of_two: dns(2, 0, &[&b"\x01a"[..], &pointer(18), &A_IN, b"\x01b", &pointer(12), &A_IN].concat())
        => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_pointer_to_its_own_label: dns(1, 0, &[&b"\x01a"[..], &pointer(12), &A_IN].concat())
        => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_pointer_into_the_header: dns(1, 0, &[&pointer(4)[..], &A_IN].concat())
        => |bytes| assert!(Message::parse(bytes).is_ok_and(|message| message.question().is_some())),
    dns dns_pointer_cut_in_half: dns(1, 0, &[0xc0]) => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_pointer_chain_of_127: chain(126) => |bytes| assert_eq!(Message::parse(bytes).unwrap().records().count(), 2),
    dns dns_pointer_chain_too_long: chain(4_000) => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_label_beyond_the_message: dns(1, 0, &[63, b'a', b'b']) => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_label_of_unknown_type: dns(1, 0, &[&[0x41, b'a', 0][..], &A_IN].concat())
        => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_name_without_an_end: dns(1, 0, &b"\x01a".repeat(20)) => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_name_of_256: dns(1, 0, &[&[&[63][..], &[b'a'; 63]].concat().repeat(4)[..], &[0], &A_IN].concat())
        => |bytes| dns_is(bytes, Malformed::Name),
    dns dns_count_beyond_the_message: dns(0xffff, 0xffff, b"\0\0\x01\0\x01")
        => |bytes| assert!(Message::parse(bytes).is_err()),
    dns dns_record_beyond_the_message: dns(0, 1, &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 1])
        => |bytes| assert!(Message::parse(bytes).is_err()),
    dns dns_opt_twice: {
        let mut message = dns(0, 0, &[0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0].repeat(2));
        message[11] = 2;
        message
    } => |bytes| dns_is(bytes, Malformed::Option),
    name name_of_escapes: br"a\046b.\255\000c.x\.y".to_vec() => |bytes| {
        let name: Name = std::str::from_utf8(bytes).unwrap().parse().unwrap();
        assert_eq!(name.to_string().parse(), Ok(name));
    },
    name name_with_an_escape_beyond_a_byte: br"a\256b".to_vec()
        => |bytes| assert!(std::str::from_utf8(bytes).unwrap().parse::<Name>().is_err()),
    name name_of_empty_labels: b"a..b".to_vec()
        => |bytes| assert!(std::str::from_utf8(bytes).unwrap().parse::<Name>().is_err()),
    name name_reversed: b"1.2.0.10.in-addr.arpa".to_vec() => |bytes| {
        let name: Name = std::str::from_utf8(bytes).unwrap().parse().unwrap();
        assert!(name.reverse_addr().is_some());
    },

    dhcpv4 dhcpv4_option_beyond_the_message: dhcp(&[53, 1, 1, 12, 200, b'a']) => |bytes| dhcp_is(bytes, Malformed::Option),
    dhcpv4 dhcpv4_option_without_length: dhcp(&[53, 1, 1, 12]) => |bytes| dhcp_is(bytes, Malformed::Option),
    dhcpv4 dhcpv4_options_without_end: dhcp(&[53, 1, 1, 55, 3, 1, 3, 6]) => dhcp_is_answered,
    dhcpv4 dhcpv4_option_beyond_an_overloaded_field: {
        let mut message = dhcp(&[53, 1, 1, 52, 1, 3, 255]);
        message[234..236].copy_from_slice(&[12, 9]);
        message
    } => |bytes| {
        // Padding up to the last two bytes of the file's field, which are an option of nine bytes: the cookie is no part of it.
        dhcp_is(bytes, Malformed::Option);
    },
    dhcpv4 dhcpv4_overload_inside_an_overloaded_field: {
        let mut message = dhcp(&[53, 1, 1, 52, 1, 1, 255]);
        message[108..115].copy_from_slice(&[52, 1, 3, 255, 0, 0, 0]);
        message[44..46].copy_from_slice(&[12, 255]);
        message
    } => |bytes| {
        // The second field counts as well then, and is wrong; there is no third.
        dhcp_is(bytes, Malformed::Option);
    },
    dhcpv4 dhcpv4_message_type_of_two_bytes: dhcp(&[53, 2, 1, 1, 255]) => |bytes| dhcp_is(bytes, Malformed::NotDhcp),
    dhcpv4 dhcpv4_message_type_zero: dhcp(&[53, 1, 0, 255]) => |bytes| dhcp_is(bytes, Malformed::Operation),
    dhcpv4 dhcpv4_address_of_three_bytes: dhcp(&[53, 1, 3, 50, 3, 10, 0, 2, 255])
        => |bytes| assert_eq!(DhcpRequest::parse(bytes).unwrap().requested, None),
    dhcpv4 dhcpv4_longest_client_identifier: dhcp(&[&[53, 1, 1, 61, 255][..], &[7; 255], &[255]].concat()) => dhcp_is_answered,
    dhcpv4 dhcpv4_hardware_address_of_sixteen: with(dhcp(&[53, 1, 1, 255]), 2, [16])
        => |bytes| dhcp_is(bytes, Malformed::AddressKind),
    dhcpv4 dhcpv4_reply_of_a_server: with(dhcp(&[53, 1, 2, 255]), 0, [2]) => |bytes| dhcp_is(bytes, Malformed::Operation),
    dhcpv4 dhcpv4_cut_before_the_cookie: dhcp(&[])[..239].to_vec() => |bytes| dhcp_is(bytes, Malformed::TooShort),
    dhcpv4 dhcpv4_maximum_length_of_nothing: dhcp(&[53, 1, 1, 57, 2, 0, 0, 255]) => dhcp_is_answered,

    icmpv4 icmpv4_too_short: vec![8, 0, 0, 0, 0, 1, 0] => |bytes| refused(Icmpv4Repr::parse(bytes), Malformed::TooShort),
    icmpv4 icmpv4_error_without_quote: vec![3, 3, 0, 0, 0, 0, 0, 0]
        => |bytes| assert_eq!(Icmpv4Repr::parse(bytes).unwrap().quoted(), None),
    icmpv4 icmpv4_too_big_without_size: [vec![3, 4, 0, 0, 0, 0, 0, 0], quote_v4()].concat()
        => |bytes| assert!(matches!(Icmpv4Repr::parse(bytes), Ok(Icmpv4Repr::FragmentationNeeded { mtu: 0, .. }))),
    icmpv4 icmpv4_pointer_beyond_the_quote: [vec![12, 0, 0, 0, 0xff, 0, 0, 0], quote_v4()].concat()
        => |bytes| assert!(matches!(Icmpv4Repr::parse(bytes), Ok(Icmpv4Repr::ParameterProblem { pointer: 0xff, .. }))),
    icmpv4 icmpv4_of_unknown_type: vec![0xff, 0xff, 0, 0, 1, 2, 3, 4, 5]
        => |bytes| assert!(matches!(Icmpv4Repr::parse(bytes), Ok(Icmpv4Repr::Other { kind: 0xff, .. }))),
    icmpv4 icmpv4_redirect: [vec![5, 1, 0, 0, 10, 0, 2, 9], quote_v4()].concat()
        => |bytes| assert!(matches!(Icmpv4Repr::parse(bytes), Ok(Icmpv4Repr::Other { kind: 5, .. }))),
    icmpv6 icmpv6_too_short: vec![128, 0, 0, 0, 0, 1, 0] => |bytes| refused(Icmpv6Repr::parse(bytes), Malformed::TooShort),
    icmpv6 icmpv6_too_big_of_nothing: [vec![2, 0, 0, 0, 0, 0, 0, 0], quote_v6(6, &[0; 8])].concat()
        => |bytes| assert!(matches!(Icmpv6Repr::parse(bytes), Ok(Icmpv6Repr::PacketTooBig { mtu: 0, .. }))),
    icmpv6 icmpv6_too_big_of_four_gigabytes: [vec![2, 7, 0, 0, 0xff, 0xff, 0xff, 0xff], quote_v6(6, &[0; 8])].concat()
        => |bytes| assert!(matches!(Icmpv6Repr::parse(bytes), Ok(Icmpv6Repr::PacketTooBig { mtu: u32::MAX, .. }))),
    icmpv6 icmpv6_error_that_quotes_ipv4: [vec![1, 4, 0, 0, 0, 0, 0, 0], quote_v4(), vec![0; 40]].concat()
        => |bytes| assert_eq!(Icmpv6Repr::parse(bytes).unwrap().quoted(), None),
    icmpv6 icmpv6_unknown_error: [vec![100, 0, 0, 0, 0, 0, 0, 0], quote_v6(6, &[0; 8])].concat()
        => |bytes| assert!(Icmpv6Repr::parse(bytes).unwrap().is_error()),

    ndp ndp_option_of_length_zero: solicitation(&[1, 0, 2, 0, 0, 0, 0, 1]) => |bytes| refused(NdpRepr::parse(bytes), Malformed::Option),
    ndp ndp_option_beyond_the_message: solicitation(&[1, 2, 2, 0, 0, 0, 0, 1])
        => |bytes| refused(NdpRepr::parse(bytes), Malformed::Option),
    ndp ndp_option_cut_in_half: solicitation(&[1]) => |bytes| refused(NdpRepr::parse(bytes), Malformed::Option),
    ndp ndp_prefix_longer_than_an_address: advertisement(&[&[3, 4, 129, 0xc0][..], &[0xff; 28]].concat())
        => |bytes| assert!(matches!(NdpRepr::parse(bytes), Ok(NdpRepr::RouterAdvert(advert)) if advert.prefixes.is_empty())),
    ndp ndp_more_prefixes_than_anyone_has: advertisement(&[&[3, 4, 64, 0xc0][..], &[0xfd; 28]].concat().repeat(60))
        => |bytes| assert!(matches!(NdpRepr::parse(bytes), Ok(NdpRepr::RouterAdvert(advert)) if advert.prefixes.len() < 60)),
    ndp ndp_name_servers_of_odd_length: advertisement(&[25, 2, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8])
        => |bytes| assert!(NdpRepr::parse(bytes).is_ok()),
    ndp ndp_too_short: vec![135, 0, 0, 0, 0, 0, 0, 0, 0xfd] => |bytes| assert!(NdpRepr::parse(bytes).is_err()),
    ndp ndp_target_that_is_a_group: with(solicitation(&[]), 8, [0xff, 2])
        => |bytes| assert!(NdpRepr::parse(bytes).is_err(), "RFC 4861, section 7.1.1"),

    quoted quoted_of_seven_bytes: quote_v4()[..27].to_vec() => |bytes| quote_is(bytes, Malformed::TooShort),
    quoted quoted_header_below_twenty: with(quote_v4(), 0, [0x44]) => |bytes| quote_is(bytes, Malformed::HeaderLength),
    quoted quoted_header_beyond_the_quote: with(quote_v4(), 0, [0x4f]) => |bytes| quote_is(bytes, Malformed::TooShort),
    quoted quoted_later_fragment: with(quote_v4(), 6, [0, 9]) => |bytes| quote_is(bytes, Malformed::Operation),
    quoted quoted_length_that_lies: with(quote_v4(), 2, [0, 3])
        => |bytes| assert_eq!(Quoted::parse_ipv4(bytes).unwrap().packet_len, 3),
    quoted quoted_extension_loop: quote_v6(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(31))
        => |bytes| assert!(Quoted::parse_ipv6(bytes).is_err()),
    quoted quoted_later_fragment_of_ipv6: quote_v6(44, &[6, 0, 0, 9, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0])
        => |bytes| quote_is(bytes, Malformed::Operation),
    quoted quoted_echo: with(quote_v4(), 9, [1]) => |bytes| assert_eq!(Quoted::parse_ipv4(bytes).unwrap().tcp_seq, None),

    arp arp_of_another_length: with(arp(), 4, [8, 4]) => |bytes| refused(ArpRepr::parse(bytes), Malformed::AddressKind),
    arp arp_of_another_hardware: with(arp(), 0, [0, 6]) => |bytes| refused(ArpRepr::parse(bytes), Malformed::AddressKind),
    arp arp_reversed: with(arp(), 6, [0, 3]) => |bytes| refused(ArpRepr::parse(bytes), Malformed::Operation),
    arp arp_cut_short: arp()[..27].to_vec() => |bytes| refused(ArpRepr::parse(bytes), Malformed::TooShort),
    arp arp_with_padding: [arp(), vec![0xee; 18]].concat() => |bytes| assert!(ArpRepr::parse(bytes).is_ok()),

    udp udp_length_below_its_header: vec![0, 53, 0, 53, 0, 7, 0, 0, 1] => |bytes| refused(UdpRepr::parse(bytes), Malformed::Length),
    udp udp_length_beyond_the_packet: vec![0, 53, 0, 53, 0xff, 0xff, 0, 0, 1]
        => |bytes| refused(UdpRepr::parse(bytes), Malformed::Length),
    udp udp_length_of_nothing: vec![0, 53, 0, 53, 0, 0, 0, 0, 1] => |bytes| assert!(UdpRepr::parse(bytes).is_err()),
    udp udp_padding_behind_it: vec![0, 53, 0, 53, 0, 9, 0, 0, 1, 0xee, 0xee]
        => |bytes| assert_eq!(UdpRepr::parse(bytes).unwrap().1, [1]),
    udp udp_without_checksum_over_ipv6: vec![0, 53, 0, 53, 0, 9, 0, 0, 1] => |bytes| {
        let end = |last| Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        assert_eq!(udp::verify_checksum(end(1), end(2), bytes), Err(Malformed::ChecksumMissing));
    },
    ethernet ethernet_cut_short: vec![2; 13] => |bytes| refused(EthernetRepr::parse(bytes), Malformed::TooShort),
    ethernet ethernet_of_nothing_else: vec![2; 14] => |bytes| assert!(EthernetRepr::parse(bytes).is_ok_and(|(_, rest)| rest.is_empty())),
    checksum checksum_of_odd_parts: vec![3, 0xff, 0xff, 0xff, 0, 1, 0xfe] => |bytes| {
        let (front, behind) = bytes.split_at(3);
        let sum = wharf_wire::checksum::Sum::new();
        assert_eq!(sum.with(front).with(behind).fold(), sum.with(bytes).fold());
    },
}

/// Thousands of names that all lead through the longest chain there may be: each costs its 127 steps, not the message's length.
#[test]
fn names_through_one_chain() {
    let mut message = chain(126);
    let last = message[message.len() - 12..].to_vec();
    message.extend_from_slice(&last.repeat(5_000));
    message[6..8].copy_from_slice(&5_002_u16.to_be_bytes());
    let parsed = Message::parse(&message).unwrap();
    assert!(parsed.records().all(|record| record.name.labels().count() <= 1));
    dns_is(&chain(127), Malformed::Name);
}

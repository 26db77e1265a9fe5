use std::vec;
use std::vec::Vec;

use super::*;
use crate::icmpv6::{Icmpv6Repr, verify_checksum};

const SRC: Addr = Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1]);
const HARDWARE: HardwareAddr = HardwareAddr([2, 0, 0, 0, 0, 1]);
const PREFIX: [u8; 16] = [0xfd, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];

fn emitted(repr: &NdpRepr) -> Vec<u8> {
    let mut message = vec![0xee; repr.len()];
    repr.emit(SRC, ALL_NODES, &mut message);
    assert_eq!(verify_checksum(SRC, ALL_NODES, &message), Ok(()));
    assert!(
        matches!(Icmpv6Repr::parse(&message), Ok(Icmpv6Repr::Other { kind, .. }) if KINDS.contains(&kind))
    );
    message
}

fn advert() -> NdpRepr {
    NdpRepr::RouterAdvert(RouterAdvert {
        hop_limit: 64,
        managed: false,
        other_config: true,
        lifetime_s: 1800,
        reachable_ms: 30_000,
        retransmit_ms: 1000,
        source_hardware: Some(HARDWARE),
        mtu: Some(1500),
        prefixes: [PrefixInfo {
            prefix: Addr::v6(PREFIX),
            prefix_len: 64,
            on_link: true,
            autonomous: true,
            valid_s: 86_400,
            preferred_s: u32::MAX,
        }]
        .into_iter()
        .collect(),
        dns: Some(RecursiveDns { lifetime_s: 600, servers: [SRC].into_iter().collect() }),
    })
}

#[test]
fn an_advertisement_stands_as_the_rfc_draws_it() {
    let message = emitted(&advert());
    let drawn = [
        &[134, 0, message[2], message[3], 64, 0x40, 0x07, 0x08][..],
        &[0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8],
        &[1, 1, 2, 0, 0, 0, 0, 1],
        &[5, 1, 0, 0, 0, 0, 0x05, 0xdc],
        &[3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &PREFIX,
        &[25, 3, 0, 0, 0, 0, 2, 0x58],
        &SRC.octets(),
    ]
    .concat();
    assert_eq!(message, drawn);
    assert_eq!(NdpRepr::parse(&message), Ok(advert()));
}

#[test]
fn each_message_is_read_as_it_was_written() {
    let flags = NeighborFlags { router: true, solicited: false, overrides: true };
    for repr in [
        NdpRepr::RouterSolicit { source_hardware: None },
        NdpRepr::RouterSolicit { source_hardware: Some(HARDWARE) },
        NdpRepr::RouterAdvert(RouterAdvert::default()),
        NdpRepr::NeighborSolicit { target: SRC, source_hardware: None },
        NdpRepr::NeighborSolicit { target: SRC, source_hardware: Some(HARDWARE) },
        NdpRepr::NeighborAdvert { target: SRC, flags, target_hardware: Some(HARDWARE) },
    ] {
        assert_eq!(NdpRepr::parse(&emitted(&repr)), Ok(repr));
    }
}

#[test]
fn what_must_be_discarded_is() {
    let solicit = emitted(&NdpRepr::NeighborSolicit { target: SRC, source_hardware: Some(HARDWARE) });
    let with = |at: usize, byte: u8| {
        let mut message = solicit.clone();
        message[at] = byte;
        NdpRepr::parse(&message)
    };
    // RFC 4861, section 7.1.1.
    assert_eq!(with(1, 1), Err(Malformed::Operation), "code");
    assert_eq!(with(8, 0xff), Err(Malformed::Operation), "multicast target");
    assert_eq!(with(25, 0), Err(Malformed::Option), "option of length zero");
    assert_eq!(with(25, 2), Err(Malformed::Option), "option beyond the message");
    assert_eq!(with(0, 137), Err(Malformed::Operation), "redirect");
    assert_eq!(NdpRepr::parse(&solicit[..23]), Err(Malformed::TooShort));
    assert_eq!(NdpRepr::parse(&solicit[..25]), Err(Malformed::Option));
    // An unknown option is passed over.
    assert_eq!(with(24, 14), Ok(NdpRepr::NeighborSolicit { target: SRC, source_hardware: None }));
}

#[test]
fn the_solicited_node_group_is_that_of_rfc_4291() {
    // Section 2.7.1: 4037::01:800:200e:8c6c has ff02::1:ff0e:8c6c.
    let target: core::net::Ipv6Addr = "4037::01:800:200e:8c6c".parse().unwrap();
    let group: core::net::Ipv6Addr = "ff02::1:ff0e:8c6c".parse().unwrap();
    assert_eq!(solicited_node(target.into()), group.into());
}

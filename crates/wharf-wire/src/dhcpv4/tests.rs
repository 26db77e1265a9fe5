use std::vec;
use std::vec::Vec;

use wharf_table::Addr;

use super::*;
use crate::{HardwareAddr, Malformed};

const SERVER: Addr = Addr::v4([10, 0, 2, 2]);
const OFFERED: Addr = Addr::v4([10, 0, 2, 100]);

/// A message of a client with `options` behind its cookie.
fn message(options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..12].copy_from_slice(&[1, 1, 6, 0, 0x39, 0x03, 0xf3, 0x26, 0, 5, 0x80, 0]);
    message[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    message.extend_from_slice(&[99, 130, 83, 99]);
    message.extend_from_slice(options);
    message
}

/// Message type, client identifier, requested address, longest message, parameters (RFC 2132).
const DISCOVER: [u8; 29] =
    [53, 1, 1, 61, 7, 1, 2, 0, 0, 0, 0, 9, 50, 4, 10, 0, 2, 100, 57, 2, 2, 0x40, 55, 4, 1, 3, 6, 26, 255];

#[test]
fn a_discover_is_read() {
    let message = message(&DISCOVER);
    let request = DhcpRequest::parse(&message).unwrap();
    let expected = DhcpRequest {
        kind: DhcpRequestKind::Discover,
        transaction: 0x3903_f326,
        elapsed_s: 5,
        broadcast: true,
        client_addr: Addr::ANY_V4,
        relay: Addr::ANY_V4,
        hardware: HardwareAddr([2, 0, 0, 0, 0, 9]),
        requested: Some(OFFERED),
        server_id: None,
        client_id: Some(&[1, 2, 0, 0, 0, 0, 9]),
        host_name: None,
        parameters: &[1, 3, 6, 26],
        max_message_len: Some(576),
        lease_s: None,
    };
    assert_eq!(request, expected);
}

#[test]
fn options_go_on_in_the_fields_that_overload_names() {
    let mut overloaded = message(&[52, 1, 3, 255]);
    overloaded[108..112].copy_from_slice(&[53, 1, 3, 255]);
    overloaded[44..51].copy_from_slice(&[54, 4, 10, 0, 2, 2, 255]);
    let request = DhcpRequest::parse(&overloaded).unwrap();
    assert_eq!((request.kind, request.server_id), (DhcpRequestKind::Request, Some(SERVER)));
}

#[test]
fn each_fault_has_its_name() {
    let fault = |options: &[u8]| DhcpRequest::parse(&message(options)).err();
    assert_eq!(fault(&[255]), Some(Malformed::NotDhcp), "BOOTP");
    assert_eq!(fault(&[53, 1, 2, 255]), Some(Malformed::Operation), "an offer");
    assert_eq!(fault(&[53, 1, 1, 61, 9, 1]), Some(Malformed::Option));
    assert_eq!(fault(&[53, 1, 1, 61]), Some(Malformed::Option));
    assert_eq!(fault(&[53, 1, 1]), None, "the end may be missing");
    let with = |at: usize, byte: u8| {
        let mut message = message(&DISCOVER);
        message[at] = byte;
        DhcpRequest::parse(&message).err()
    };
    assert_eq!(with(0, 2), Some(Malformed::Operation));
    assert_eq!(with(1, 6), Some(Malformed::AddressKind));
    assert_eq!(with(239, 0), Some(Malformed::NotDhcp));
    assert_eq!(DhcpRequest::parse(&[1; 239]), Err(Malformed::TooShort));
}

#[test]
fn a_reply_repeats_what_it_must_and_goes_where_it_must() {
    let message = message(&DISCOVER);
    let request = DhcpRequest::parse(&message).unwrap();
    let offer = DhcpReplyRepr { your_addr: OFFERED, ..request.reply(DhcpReplyKind::Offer, SERVER) };
    assert_eq!((offer.transaction, offer.client_id), (request.transaction, request.client_id));
    let everyone = Addr::v4([255; 4]);
    assert_eq!(offer.destination(), everyone);
    let unicast = DhcpReplyRepr { broadcast: false, ..offer.clone() };
    assert_eq!(unicast.destination(), OFFERED);
    let renewing = DhcpReplyRepr { client_addr: OFFERED, ..offer.clone() };
    assert_eq!(renewing.destination(), OFFERED);
    assert_eq!(DhcpReplyRepr { kind: DhcpReplyKind::Nak, ..renewing }.destination(), everyone);
    assert_eq!(DhcpReplyRepr { relay: SERVER, ..offer }.destination(), SERVER);
}

#[test]
fn a_nak_names_no_parameters() {
    let nak = DhcpReplyRepr {
        lease_s: Some(60),
        router: Some(SERVER),
        mtu: Some(1500),
        ..DhcpReplyRepr::new(DhcpReplyKind::Nak, SERVER)
    };
    let mut message = vec![0xee; nak.len()];
    nak.emit(&mut message);
    assert_eq!(message.len(), 300);
    assert_eq!(message[240..251], [53, 1, 6, 54, 4, 10, 0, 2, 2, 255, 0]);
}

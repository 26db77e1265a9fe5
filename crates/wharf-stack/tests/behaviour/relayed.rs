//! What a gateway's owner sends into the program's network: errors that the world reported, and datagrams in all sizes, with
//! and without a device that helps. Read by a library that is not ours.

use crate::wire::*;
use wharf_sim::Setup;
use wharf_stack::interface::{Capabilities, GsoKind};
use wharf_stack::stack::{DatagramFields, DatagramOut, IcmpError};
use wharf_stack::tcp::Unreachable;
use wharf_table::{DropReason, Protocol, Tuple};

/// Type, code and second word of a message.
type Fields = (u8, u8, u32);

/// Each error over IPv4 and over IPv6.
const ERRORS: [(IcmpError, [Fields; 2]); 9] = [
    (IcmpError::Unreachable(Unreachable::Network), [(3, 0, 0), (1, 0, 0)]),
    (IcmpError::Unreachable(Unreachable::Host), [(3, 1, 0), (1, 3, 0)]),
    (IcmpError::Unreachable(Unreachable::Protocol), [(3, 2, 0), (4, 1, 6)]),
    (IcmpError::Unreachable(Unreachable::Port), [(3, 3, 0), (1, 4, 0)]),
    (IcmpError::Unreachable(Unreachable::Prohibited), [(3, 13, 0), (1, 1, 0)]),
    (IcmpError::HopLimitExceeded, [(11, 0, 0), (3, 0, 0)]),
    (IcmpError::ReassemblyTimeout, [(11, 1, 0), (3, 1, 0)]),
    (IcmpError::TooBig(1_400), [(3, 4, 1_400), (2, 0, 1_400)]),
    (IcmpError::BeyondScope, [(3, 13, 0), (1, 2, 0)]),
];

fn tuple(protocol: Protocol, family: usize, port: u16) -> Tuple {
    Tuple { protocol, local: at(PROGRAM[family], 5_000), remote: at(OUTSIDE[family], port) }
}

#[test]
fn an_error_from_outside_names_the_datagram_as_it_was_sent() {
    for family in FAMILIES {
        let mut link = Link::new();
        for (error, fields) in ERRORS {
            for len in [0, 1, 333, 1_280, 5_000] {
                let sent = udp(PROGRAM[family], OUTSIDE[family], 53, &vec![0x42; len]);
                let tuple = tuple(Protocol::Udp, family, 53);
                link.stack.relay_icmp(Some(addr("192.0.2.1")), error, tuple, &vec![0x42; len]);
                let frames = link.sent();
                assert!(frames[0].len() - 14 <= [576, 1_280][family]);
                let (from, to, message) = one_icmp(&frames);
                let offender = ["192.0.2.1", GATEWAY[1]][family];
                assert_eq!(
                    (from, to),
                    (ip(offender), ip(PROGRAM[family])),
                    "an offender has the family of the flow"
                );
                let (kind, code, word) = fields[family];
                assert_eq!(message[..2], [kind, code], "{error:?}");
                assert_eq!(message[4..8], word.to_be_bytes());
                let header = [20, 40][family];
                let (quoted, sent) = (&message[8..], &sent[14..]);
                let addresses = [12..20, 8..40][family].clone();
                assert_eq!(quoted[addresses.clone()], sent[addresses]);
                assert_eq!(quoted[header..header + 6], sent[header..header + 6], "ports and length");
                assert!(sent[header + 8..].starts_with(&quoted[header + 8..]));
                assert!(quoted.len() > header + 8 || len == 0);
            }
        }
    }
}

#[test]
fn an_error_about_a_ping_quotes_the_ping() {
    for family in FAMILIES {
        let mut link = Link::new();
        let ping = &echo(PROGRAM[family], OUTSIDE[family], 64, b"data")[[34, 54][family]..];
        let unlikely = ["127.0.0.1", "::1"][family];
        let tuple = tuple(Protocol::Icmp, family, 0);
        link.stack.relay_icmp(Some(addr(unlikely)), IcmpError::HopLimitExceeded, tuple, ping);
        let (from, _, message) = one_icmp(&link.sent());
        assert_eq!(from, ip(GATEWAY[family]), "no station has a loopback address");
        assert!(message[8 + [20, 40][family]..] == *ping);
    }
}

fn datagram<'a>(family: usize, payload: &'a [u8], gso_size: u16) -> DatagramOut<'a> {
    let (source, destination) = (at(OUTSIDE[family], 53), at(PROGRAM[family], 5_000));
    DatagramOut {
        protocol: Protocol::Udp,
        source,
        destination,
        payload,
        gso_size,
        fields: DatagramFields::default(),
    }
}

#[test]
fn many_datagrams_leave_one_by_one_where_the_device_does_not_cut() {
    let payload: Vec<u8> = (0..3_501_u32).map(|at| (at * 7) as u8).collect();
    for family in FAMILIES {
        let mut link = Link::new();
        // Odd, even, all of it, more than all of it, and nothing.
        for (size, expected) in [(999, 4), (1_000, 4), (1_167, 3), (1, 3_501)] {
            let mut frames = Frames::default();
            link.stack.send_datagram(&datagram(family, &payload, size), &mut frames).expect("taken");
            assert_eq!(frames.0.len(), expected);
            let mut came = Vec::new();
            for (frame, offload) in &frames.0 {
                assert_eq!(*offload, Default::default());
                came.extend_from_slice(&read(frame).payload[8..]);
            }
            assert!(came == payload);
        }
        for (len, size) in [(700, 700), (700, 701), (0, 5)] {
            let mut frames = Frames::default();
            link.stack.send_datagram(&datagram(family, &payload[..len], size), &mut frames).expect("taken");
            let [(frame, _)] = &frames.0[..] else { panic!("{} frames", frames.0.len()) };
            assert!(read(frame).payload[8..] == payload[..len]);
        }
    }
}

#[test]
fn a_device_that_helps_is_told_what_to_do() {
    let payload: Vec<u8> = (0..3_501_u32).map(|at| (at * 7) as u8).collect();
    let capabilities = Capabilities { checksum: true, tso: true, uso: true };
    for family in FAMILIES {
        let mut link = Link::with(&Setup { capabilities, ..Setup::default() }, |_| {});
        let start = [34, 54][family];
        for (len, size, cut) in [(3_501, 999, true), (999, 999, false), (998, 999, false), (77, 0, false)] {
            let mut frames = Frames::default();
            link.stack.send_datagram(&datagram(family, &payload[..len], size), &mut frames).expect("taken");
            let [(frame, offload)] = &frames.0[..] else { panic!("{} frames", frames.0.len()) };
            assert_eq!(offload.gso, cut.then_some((GsoKind::Udp, size)));
            assert_eq!(offload.checksum, Some((start as u16, 6)));
            let pseudo = pseudo_header(&frame[14..], 17, len + 8);
            assert_eq!(frame[start + 6..start + 8], sum(&[&pseudo]).to_be_bytes());
            assert!(read_unverified(frame).payload[8..] == payload[..len]);
        }
        // What the link is too small for is cut by ourselves, checksums and all.
        let mut frames = Frames::default();
        link.stack.send_datagram(&datagram(family, &payload, 2_000), &mut frames).expect("taken");
        assert!(frames.0.len() == 4 && frames.0.iter().all(|(frame, _)| frame.len() <= 1_514));
        assert!(frames.0.iter().all(|(_, offload)| *offload == Default::default()));
    }
}

#[test]
fn the_largest_of_everything_is_still_a_packet() {
    let capabilities = Capabilities { checksum: true, tso: true, uso: true };
    let payload = vec![0x5a; 65_536];
    for mtu in [576, 1_280, 1_500, 9_000, 65_520, 65_535] {
        for family in FAMILIES {
            if family == 1 && mtu < 1_280 {
                continue;
            }
            let mut link = Link::with(&Setup { capabilities, ..Setup::default() }.mtu(mtu), |_| {});
            for len in [65_487, 65_488, 65_507, 65_508, 65_527, 65_528, 65_536] {
                for size in [0, 1, 7, 500, 1_472, 65_487, 65_507, 65_535] {
                    let mut frames = Frames::default();
                    let sent =
                        link.stack.send_datagram(&datagram(family, &payload[..len], size), &mut frames);
                    let part = if size == 0 { len } else { len.min(usize::from(size)) };
                    let most = [65_507, 65_527][family];
                    assert_eq!(sent.is_ok(), part <= most, "MTU {mtu}, {len} by {size}");
                    if part > most {
                        assert_eq!(sent, Err(DropReason::TooBig));
                    }
                }
            }
        }
    }
}

//! Datagrams arrive as they were sent, in one piece or in many; pings are answered; what nobody takes is told.

use std::time::Duration;

use wharf_sim::{Lab, Setup, StationId};
use wharf_stack::random::Random;
use wharf_stack::stack::{DatagramFields, DatagramOut, IcmpError};
use wharf_stack::tcp::Unreachable;
use wharf_table::{Addr, DropReason, Endpoint, Protocol, Tuple};
use wharf_wire::icmpv4::Icmpv4Repr;
use wharf_wire::icmpv6::Icmpv6Repr;
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::Ipv6Repr;
use wharf_wire::quoted::Quoted;

const SECOND: Duration = Duration::from_secs(1);
const OUTSIDE_V4: Addr = Addr::v4([192, 0, 2, 53]);
const OUTSIDE_V6: Addr = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53]);

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Random::new(seed).fill(&mut bytes);
    bytes
}

/// The ICMP messages of either family that a station got, from the type on, with who sent them.
fn icmp(lab: &Lab, station: StationId) -> Vec<(Addr, Vec<u8>)> {
    let own = lab.hardware(station);
    let message = |frame: &[u8]| {
        if frame[..6] != own {
            return None;
        }
        let packet = &frame[14..];
        match frame[12..14] {
            [0x08, 0x00] => {
                let (ip, _, payload) = Ipv4Repr::parse(packet).ok()?;
                (ip.protocol == 1 && !ip.is_fragment()).then(|| (ip.src, payload.to_vec()))
            }
            [0x86, 0xdd] => {
                let (ip, payload) = Ipv6Repr::parse(packet).ok()?;
                let discovery = (133..=137).contains(payload.first()?);
                (ip.next_header == 58 && !discovery).then(|| (ip.src, payload.to_vec()))
            }
            _ => None,
        }
    };
    lab.capture(station).frames().filter_map(|(_, frame)| message(frame)).collect()
}

#[test]
fn an_echo_of_every_size_comes_back() {
    for mtu in [1_280, 1_500, 9_000, 65_520] {
        let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=1ms").mtu(mtu));
        lab.bind_udp(server, 7);
        lab.bind_udp(client, 5_000);
        for target in [lab.v4(server), lab.v6(server)] {
            for len in [0, 1, 1_000, 1_252, 1_253, 1_472, 1_473, 8_000, 30_000, 65_487] {
                let sent = bytes(len, len as u64);
                let before = (lab.datagrams(server).len(), lab.datagrams(client).len());
                lab.send_datagram(client, 5_000, Endpoint::new(target, 7), &sent).unwrap();
                // An unresolved neighbour keeps three frames, no more (RFC 1122, section 2.3.2.2).
                if lab.run_until(SECOND, |lab| lab.datagrams(server).len() > before.0).is_err() {
                    lab.send_datagram(client, 5_000, Endpoint::new(target, 7), &sent).unwrap();
                    lab.run_until(SECOND, |lab| lab.datagrams(server).len() > before.0).unwrap();
                }
                let request = lab.datagrams(server).last().unwrap().clone();
                assert_eq!((request.binding, request.protocol), (Some(7), Protocol::Udp));
                assert!(request.payload == sent, "MTU {mtu}, {len} bytes");
                lab.send_datagram(server, 7, request.source, &request.payload).unwrap();
                lab.run_until(SECOND, |lab| lab.datagrams(client).len() > before.1).unwrap();
                let reply = lab.datagrams(client).last().unwrap();
                assert!(reply.payload == sent && reply.source == Endpoint::new(target, 7));
            }
        }
    }
}

#[test]
fn a_datagram_beyond_what_ip_carries_is_refused() {
    let (mut lab, client, server) = Lab::pair(&Setup::default());
    for (target, most) in [(lab.v4(server), 65_507), (lab.v6(server), 65_527)] {
        let target = Endpoint::new(target, 7);
        // The first resolves the neighbour, the second is sent.
        lab.send_datagram(client, 5_000, target, b"").unwrap();
        lab.run_for(SECOND);
        lab.send_datagram(client, 5_000, target, &bytes(most, 1)).unwrap();
        let beyond = lab.send_datagram(client, 5_000, target, &bytes(most + 1, 1));
        assert_eq!(beyond, Err(DropReason::TooBig));
    }
}

#[test]
fn fragments_come_through_reordering_and_repetition() {
    let text = "delay=5ms,reorder=30%,duplicate=20%";
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired(text));
    lab.bind_udp(server, 7);
    for target in [lab.v4(server), lab.v6(server)] {
        let target = Endpoint::new(target, 7);
        lab.send_datagram(client, 5_000, target, b"first").unwrap();
        lab.run_for(SECOND);
        let before = lab.datagrams(server).len();
        let sent: Vec<Vec<u8>> = (0..50).map(|seed| bytes(20_000, seed)).collect();
        for datagram in &sent {
            lab.send_datagram(client, 5_000, target, datagram).unwrap();
        }
        lab.run_for(SECOND);
        let received: Vec<&Vec<u8>> =
            lab.datagrams(server)[before..].iter().map(|one| &one.payload).collect();
        // Duplicates of datagrams that were whole begin new ones, which never become whole.
        assert!(sent.iter().all(|one| received.iter().filter(|&&other| other == one).count() >= 1));
    }
}

#[test]
fn a_lost_fragment_is_waited_for_and_then_told() {
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=1ms"));
    lab.bind_udp(server, 7);
    for (target, patience) in [(lab.v4(server), 30), (lab.v6(server), 60)] {
        let target = Endpoint::new(target, 7);
        lab.send_datagram(client, 5_000, target, b"first").unwrap();
        lab.run_for(SECOND);
        // Every second frame is lost, for one datagram.
        lab.impair(client, "delay=1ms,loss=50%");
        for _ in 0..20 {
            lab.send_datagram(client, 5_000, target, &bytes(6_000, 1)).unwrap();
        }
        lab.impair(client, "delay=1ms");
        let before = (icmp(&lab, client).len(), lab.stack(server).drops().of(DropReason::FragmentTimeout));
        lab.run_for((patience - 1) * SECOND);
        assert_eq!(icmp(&lab, client).len(), before.0);
        lab.run_for(2 * SECOND);
        assert!(lab.stack(server).drops().of(DropReason::FragmentTimeout) >= before.1 + 10);
        let told = &icmp(&lab, client)[before.0..];
        assert!(told.len() >= 3 && told.len() < 20, "{}", told.len());
        for (from, message) in told {
            assert_eq!(*from, target.addr);
            let expected = if from.is_v4() { [11, 1] } else { [3, 1] };
            assert_eq!(message[..2], expected);
        }
    }
}

#[test]
fn a_port_that_nobody_has_bound_is_told() {
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=1ms"));
    for target in [lab.v4(server), lab.v6(server)] {
        let before = icmp(&lab, client).len();
        lab.send_datagram(client, 5_000, Endpoint::new(target, 9), b"anyone?").unwrap();
        lab.run_for(SECOND);
        let told = icmp(&lab, client).split_off(before);
        let [(from, message)] = &told[..] else { panic!("{} messages", told.len()) };
        assert_eq!(*from, target);
        let quoted = if from.is_v4() {
            assert_eq!(message[..2], [3, 3]);
            Icmpv4Repr::parse(message).unwrap().quoted()
        } else {
            assert_eq!(message[..2], [1, 4]);
            Icmpv6Repr::parse(message).unwrap().quoted()
        };
        let Quoted { src, dst, .. } = quoted.unwrap();
        assert_eq!((src.port, dst), (5_000, Endpoint::new(target, 9)));
    }
}

#[test]
fn errors_are_held_to_a_rate() {
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=1ms"));
    let target = Endpoint::new(lab.v4(server), 9);
    lab.send_datagram(client, 5_000, target, b"first").unwrap();
    lab.run_for(SECOND);
    let before = icmp(&lab, client).len();
    for _ in 0..5_000 {
        lab.send_datagram(client, 5_000, target, b"flood").unwrap();
    }
    lab.run_for(SECOND);
    let told = icmp(&lab, client).len() - before;
    assert!((50..=1_200).contains(&told), "{told}");
    assert!(lab.stack(server).drops().of(DropReason::RateLimited) > 3_000);
}

#[test]
fn pings_are_answered_whatever_their_size() {
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=1ms"));
    for target in [lab.v4(server), lab.v6(server)] {
        for len in [0, 56, 1_400] {
            let source = if target.is_v4() { lab.v4(client) } else { lab.v6(client) };
            let data = bytes(len, 3);
            let mut message = vec![if target.is_v4() { 8 } else { 128 }, 0, 0, 0, 0x12, 0x34, 0, 7];
            message.extend_from_slice(&data);
            let before = icmp(&lab, client).len();
            lab.send_datagram_as(
                client,
                &DatagramOut {
                    protocol: Protocol::Icmp,
                    source: Endpoint::new(source, 0x1234),
                    destination: Endpoint::new(target, 0),
                    payload: &message,
                    gso_size: 0,
                    fields: DatagramFields::default(),
                },
            )
            .unwrap();
            lab.run_for(SECOND);
            let answers = icmp(&lab, client).split_off(before);
            let [(from, answer)] = &answers[..] else { panic!("{} answers", answers.len()) };
            assert_eq!(*from, target);
            assert_eq!(answer[0], if target.is_v4() { 0 } else { 129 });
            assert_eq!(answer[4..8], [0x12, 0x34, 0, 7]);
            assert!(answer[8..] == data);
        }
    }
}

#[test]
fn a_gateway_hands_datagrams_out_and_answers_in_any_name() {
    for outside in [OUTSIDE_V4, OUTSIDE_V6] {
        let (mut lab, program, gateway) = Lab::program_and_gateway(&Setup::default().impaired("delay=1ms"));
        lab.bind_udp(program, 5_000);
        let server = Endpoint::new(outside, 53);
        lab.send_datagram(program, 5_000, server, b"a question").unwrap();
        lab.run_until(SECOND, |lab| !lab.datagrams(gateway).is_empty()).unwrap();
        let question = lab.datagrams(gateway)[0].clone();
        assert_eq!((question.destination, question.binding), (server, None));
        assert_eq!(question.payload, b"a question");
        let answer = DatagramOut {
            protocol: Protocol::Udp,
            source: server,
            destination: question.source,
            payload: b"an answer",
            gso_size: 0,
            fields: DatagramFields::default(),
        };
        lab.send_datagram_as(gateway, &answer).unwrap();
        lab.run_until(SECOND, |lab| !lab.datagrams(program).is_empty()).unwrap();
        assert_eq!(lab.datagrams(program)[0].source, server);
        assert_eq!(lab.datagrams(program)[0].payload, b"an answer");
    }
}

#[test]
fn a_gateway_relays_what_the_world_says() {
    for outside in [OUTSIDE_V4, OUTSIDE_V6] {
        let (mut lab, program, gateway) = Lab::program_and_gateway(&Setup::default().impaired("delay=1ms"));
        let server = Endpoint::new(outside, 53);
        lab.send_datagram(program, 5_000, server, b"a question").unwrap();
        lab.run_until(SECOND, |lab| !lab.datagrams(gateway).is_empty()).unwrap();
        let local = lab.datagrams(gateway)[0].source;
        let tuple = Tuple { protocol: Protocol::Udp, local, remote: server };
        let error = IcmpError::Unreachable(Unreachable::Port);
        lab.stack_mut(gateway).relay_icmp(Some(outside), error, tuple, b"a question");
        lab.run_for(SECOND);
        let told = icmp(&lab, program);
        let [(from, message)] = &told[..] else { panic!("{} messages", told.len()) };
        assert_eq!((*from, message[0]), (outside, if outside.is_v4() { 3 } else { 1 }));
        let quoted = match outside.is_v4() {
            true => Icmpv4Repr::parse(message).unwrap().quoted(),
            false => Icmpv6Repr::parse(message).unwrap().quoted(),
        };
        let quoted = quoted.unwrap();
        assert_eq!((quoted.src, quoted.dst), (local, server));
    }
}

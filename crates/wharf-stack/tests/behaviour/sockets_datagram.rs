//! Datagram sockets between two hosts: sizes, errors, queues.

use crate::hosts;
use std::time::Duration;

use crate::hosts::{A, A6, B, B6, Pair, read};
use wharf_stack::socket::{Domain, Errno, ErrorOrigin, Kind, OptionName, OptionValue};
use wharf_stack::socket::{Readiness, ReceiveFlags, SendFlags, SocketId, User};
use wharf_stack::stack::Medium;
use wharf_table::{Addr, DropReason, Endpoint};

/// A socket of `b` at port 53, and one of `a`.
fn sockets(pair: &mut Pair, domain: Domain) -> (SocketId, SocketId) {
    let server = pair.b.socket(User::ROOT, domain, Kind::Datagram).unwrap();
    pair.b.bind(server, Endpoint { addr: domain.any(), port: 53 }).unwrap();
    (pair.a.socket(User::ROOT, domain, Kind::Datagram).unwrap(), server)
}

fn send(pair: &mut Pair, id: SocketId, payload: &[u8], to: Endpoint) -> Result<usize, Errno> {
    let sent = pair.a.send_to(pair.now, id, payload, to, SendFlags::default());
    pair.settle();
    sent
}

#[test]
fn every_size_arrives_whole_over_both_families_and_both_media() {
    for medium in [Medium::Ip, Medium::Ethernet] {
        for (domain, from, to, most) in [(Domain::V4, A, B, 65_507), (Domain::V6, A6, B6, 65_527)] {
            let mut pair = Pair::new(medium);
            let (client, server) = sockets(&mut pair, domain);
            let to = Endpoint { addr: to, port: 53 };
            // The neighbours find each other first: three fragments at most wait for that.
            send(&mut pair, client, b"hello", to).unwrap();
            assert_eq!(read(&mut pair.b, pair.now, server), Ok(b"hello".to_vec()));
            for len in [0, 1, 1_452, 1_453, 1_472, 1_473, 9_000, most] {
                let payload: Vec<u8> = (0..len).map(|n| (n % 253) as u8).collect();
                assert_eq!(send(&mut pair, client, &payload, to), Ok(len));
                assert_eq!(pair.b.readiness(server), Ok(Readiness::IN | Readiness::OUT), "{len} bytes");
                let mut buffer = vec![0; 70_000];
                let received =
                    pair.b.receive(pair.now, server, &mut buffer, ReceiveFlags::default()).unwrap();
                assert_eq!((received.count, received.truncated), (len, false));
                assert_eq!(&buffer[..len], &payload[..]);
                assert_eq!(received.from.map(|from| from.addr), Some(from));
                assert_eq!(received.to, Some(to));
            }
            assert_eq!(send(&mut pair, client, &vec![0; most + 1], to), Err(Errno::MessageSize));
        }
    }
}

#[test]
fn a_closed_port_is_heard_by_a_connected_socket_only() {
    let mut pair = Pair::new(Medium::Ip);
    let client = pair.a.socket(User::ROOT, Domain::V4, Kind::Datagram).unwrap();
    let to = Endpoint { addr: B, port: 54 };
    send(&mut pair, client, b"x", to).unwrap();
    assert_eq!(pair.a.readiness(client), Ok(Readiness::OUT));
    pair.a.connect(pair.now, client, to).unwrap();
    send(&mut pair, client, b"x", to).unwrap();
    assert_eq!(pair.a.poll_ready(), Some(client));
    assert_eq!(read(&mut pair.a, pair.now, client), Err(Errno::ConnectionRefused));
    assert_eq!(read(&mut pair.a, pair.now, client), Err(Errno::Again));
}

#[test]
fn the_error_queue_tells_what_who_and_about_which_datagram() {
    let mut pair = Pair::new(Medium::Ip);
    let client = pair.a.socket(User::ROOT, Domain::V4, Kind::Datagram).unwrap();
    pair.a.set_option(pair.now, client, OptionName::ReceiveError, &OptionValue::Number(1)).unwrap();
    assert_eq!(pair.a.receive_error(client), Err(Errno::Again));
    let to = Endpoint { addr: B, port: 54 };
    send(&mut pair, client, b"which one", to).unwrap();
    assert!(pair.a.readiness(client).unwrap().contains(Readiness::ERR));
    let error = pair.a.receive_error(client).unwrap();
    assert_eq!((error.errno, error.origin), (Errno::ConnectionRefused, ErrorOrigin::Icmp));
    assert_eq!((error.kind, error.code, error.offender), (3, 3, B));
    assert_eq!((error.destination, &error.payload[..]), (to, &b"which one"[..]));
    assert_eq!(pair.a.readiness(client), Ok(Readiness::OUT));
}

#[test]
fn a_stranger_does_not_reach_a_connected_socket() {
    let mut pair = Pair::new(Medium::Ip);
    let (client, server) = sockets(&mut pair, Domain::V4);
    let at = Endpoint { addr: B, port: 53 };
    pair.b.connect(pair.now, server, Endpoint { addr: A, port: 9_999 }).unwrap();
    pair.a.connect(pair.now, client, at).unwrap();
    send(&mut pair, client, b"let me in", at).unwrap();
    assert_eq!(read(&mut pair.b, pair.now, server), Err(Errno::Again));
    assert_eq!(read(&mut pair.a, pair.now, client), Err(Errno::ConnectionRefused));
    let friend = pair.a.socket(User::ROOT, Domain::V4, Kind::Datagram).unwrap();
    pair.a.bind(friend, Endpoint { addr: A, port: 9_999 }).unwrap();
    send(&mut pair, friend, b"it's me", at).unwrap();
    assert_eq!(read(&mut pair.b, pair.now, server), Ok(b"it's me".to_vec()));
}

#[test]
fn a_queue_that_is_full_loses_what_comes_and_counts_it() {
    let mut pair = Pair::new(Medium::Ip);
    let (client, server) = sockets(&mut pair, Domain::V4);
    pair.b.set_option(pair.now, server, OptionName::ReceiveBuffer, &OptionValue::Number(5_000)).unwrap();
    for _ in 0..100 {
        send(&mut pair, client, &[0; 1_000], Endpoint { addr: B, port: 53 }).unwrap();
    }
    let mut count = 0;
    while read(&mut pair.b, pair.now, server).is_ok() {
        count += 1;
    }
    assert!((5..=10).contains(&count), "{count} datagrams of 1,000 bytes in a buffer of 10,000");
    assert_eq!(pair.b.lost_datagrams(server), 100 - count);
    assert_eq!(pair.b.stack().drops().of(DropReason::NoBuffer), 100 - count);
    send(&mut pair, client, b"again", Endpoint { addr: B, port: 53 }).unwrap();
    assert_eq!(read(&mut pair.b, pair.now, server), Ok(b"again".to_vec()));
}

#[test]
fn no_way_there_is_known_at_once_and_a_silent_neighbour_later() {
    let mut pair = Pair::new(Medium::Ethernet);
    let client = pair.a.socket(User::ROOT, Domain::V4, Kind::Datagram).unwrap();
    let far = Endpoint { addr: Addr::v4([192, 0, 2, 1]), port: 53 };
    assert_eq!(send(&mut pair, client, b"x", far), Err(Errno::NetworkUnreachable));
    let stream = pair.a.socket(User::ROOT, Domain::V4, Kind::Stream).unwrap();
    assert_eq!(pair.a.connect(pair.now, stream, far), Err(Errno::NetworkUnreachable));
    let silent = Endpoint { addr: Addr::v4([10, 0, 0, 77]), port: 53 };
    assert_eq!(pair.a.connect(pair.now, stream, silent), Err(Errno::InProgress));
    pair.wait(Duration::from_secs(4));
    assert_eq!(hosts::error(&mut pair.a, stream), Some(Errno::HostUnreachable));
}

#[test]
fn a_broadcast_needs_the_option_and_reaches_who_has_bound_any_address() {
    let mut pair = Pair::new(Medium::Ethernet);
    let (client, server) = sockets(&mut pair, Domain::V4);
    for everyone in [Addr::v4([255; 4]), Addr::v4([10, 0, 0, 255])] {
        let to = Endpoint { addr: everyone, port: 53 };
        assert_eq!(send(&mut pair, client, b"who?", to), Err(Errno::Access));
        pair.a.set_option(pair.now, client, OptionName::Broadcast, &OptionValue::Number(1)).unwrap();
        assert_eq!(send(&mut pair, client, b"who?", to), Ok(4));
        assert_eq!(read(&mut pair.b, pair.now, server), Ok(b"who?".to_vec()));
        assert_eq!(send(&mut pair, client, b"who?", Endpoint { addr: everyone, port: 99 }), Ok(4));
        assert_eq!(
            read(&mut pair.a, pair.now, client),
            Err(Errno::Again),
            "nobody answers for a closed port"
        );
        pair.a.set_option(pair.now, client, OptionName::Broadcast, &OptionValue::Number(0)).unwrap();
    }
}

#[test]
fn who_asks_hears_hop_limit_and_traffic_class_as_they_came() {
    for (domain, to, sets, asks) in [
        (
            Domain::V4,
            B,
            [OptionName::TimeToLive, OptionName::TypeOfService],
            [OptionName::ReceiveTimeToLive, OptionName::ReceiveTypeOfService],
        ),
        (
            Domain::V6,
            B6,
            [OptionName::UnicastHops, OptionName::TrafficClass],
            [OptionName::ReceiveHopLimit, OptionName::ReceiveTrafficClass],
        ),
    ] {
        let mut pair = Pair::new(Medium::Ip);
        let (client, server) = sockets(&mut pair, domain);
        pair.a.set_option(pair.now, client, sets[0], &OptionValue::Number(9)).unwrap();
        pair.a.set_option(pair.now, client, sets[1], &OptionValue::Number(0xb9)).unwrap();
        let to = Endpoint { addr: to, port: 53 };
        for asked in [false, true] {
            for ask in asks {
                pair.b.set_option(pair.now, server, ask, &OptionValue::Number(asked.into())).unwrap();
            }
            // In fragments as well, of which only congestion outlives the joining.
            for (len, class) in [(3, 0xb9), (4_000, 1)] {
                send(&mut pair, client, &vec![0; len], to).unwrap();
                let mut buffer = vec![0; 5_000];
                let received =
                    pair.b.receive(pair.now, server, &mut buffer, ReceiveFlags::default()).unwrap();
                let heard = asked.then_some((9, class));
                assert_eq!(received.count, len);
                assert_eq!(received.hop_limit.zip(received.traffic_class), heard, "{domain:?} {len}");
            }
        }
    }
}

/// What was gathered is not lost where the rest of the datagram has to wait.
#[test]
fn a_datagram_that_has_to_wait_keeps_its_beginning() {
    let mut pair = Pair::new(Medium::Ethernet);
    let (client, server) = sockets(&mut pair, Domain::V4);
    let to = Endpoint { addr: B, port: 53 };
    assert_eq!(send(&mut pair, client, b"first", to), Ok(5));
    pair.settle();
    assert_eq!(read(&mut pair.b, pair.now, server), Ok(b"first".to_vec()));
    pair.a.set_option(pair.now, client, OptionName::SendBuffer, &OptionValue::Number(1)).unwrap();
    let mut filled = 0;
    while pair.a.send_to(pair.now, client, &[7; 1_000], to, SendFlags::default()) == Ok(1_000) {
        filled += 1;
        assert!(filled < 1_000, "the queue is never full");
    }
    let more = SendFlags { more: true, ..SendFlags::default() };
    assert_eq!(pair.a.send_to(pair.now, client, b"begin", to, more), Ok(5));
    let end = [8; 1_000];
    assert_eq!(pair.a.send_to(pair.now, client, &end, to, SendFlags::default()), Err(Errno::Again));
    pair.settle();
    assert_eq!(pair.a.send_to(pair.now, client, &end, to, SendFlags::default()), Ok(1_000));
    pair.settle();
    for _ in 0..filled {
        assert_eq!(read(&mut pair.b, pair.now, server), Ok(vec![7; 1_000]));
    }
    assert_eq!(read(&mut pair.b, pair.now, server), Ok([&b"begin"[..], &end].concat()));
}

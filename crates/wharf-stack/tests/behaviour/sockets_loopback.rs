//! Sockets of one host that talk to each other: nothing leaves.

use crate::hosts::{A, A6, Frames, LOOPBACK, config, error, read, write};
use wharf_stack::socket::{Domain, Errno, Host, How, Kind, Readiness, SendFlags, User};
use wharf_stack::stack::Medium;
use wharf_table::{Addr, Endpoint, Instant};

const NOW: Instant = Instant::from_millis(5_000);
const V6_LOOPBACK: Addr = Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

fn host() -> Host {
    Host::new(config(1, Medium::Ethernet), NOW)
}

#[test]
fn a_stream_to_oneself_connects_at_once_under_every_own_address() {
    for (domain, addr) in [
        (Domain::V4, LOOPBACK),
        (Domain::V4, Addr::v4([127, 9, 9, 9])),
        (Domain::V4, A),
        (Domain::V6, V6_LOOPBACK),
        (Domain::V6, A6),
        (Domain::V6, A),
    ] {
        let mut host = host();
        let listener = host.socket(User::ROOT, domain, Kind::Stream).unwrap();
        host.bind(listener, Endpoint { addr: domain.any(), port: 80 }).unwrap();
        host.listen(NOW, listener, 1).unwrap();
        let client = host.socket(User::ROOT, domain, Kind::Stream).unwrap();
        let to = Endpoint { addr, port: 80 };
        assert_eq!(host.connect(NOW, client, to), Err(Errno::InProgress));
        assert_eq!(host.readiness(client), Ok(Readiness::OUT), "{addr}");
        assert_eq!(host.connect(NOW, client, to), Ok(()));
        assert_eq!(host.connect(NOW, client, to), Err(Errno::IsConnected));
        let (server, from) = host.accept(NOW, listener).unwrap();
        assert_eq!(host.local(client), Ok(from));
        let megabyte: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let mut received = Vec::new();
        let mut sent = 0;
        while received.len() < megabyte.len() {
            if let Ok(count) = write(&mut host, NOW, client, &megabyte[sent..]) {
                sent += count;
            }
            received.extend(read(&mut host, NOW, server).unwrap());
        }
        assert_eq!(received, megabyte);
        host.shutdown(NOW, client, How::Both).unwrap();
        assert_eq!(read(&mut host, NOW, server), Ok(vec![]));
        let mut frames = Frames::default();
        host.poll_frames(NOW, &mut frames);
        assert!(frames.0.is_empty(), "nothing leaves");
    }
}

#[test]
fn nobody_there_is_known_at_once() {
    let mut host = host();
    let client = host.socket(User::ROOT, Domain::V4, Kind::Stream).unwrap();
    assert_eq!(host.connect(NOW, client, Endpoint { addr: LOOPBACK, port: 9 }), Err(Errno::InProgress));
    assert_eq!(error(&mut host, client), Some(Errno::ConnectionRefused));
    let datagrams = host.socket(User::ROOT, Domain::V4, Kind::Datagram).unwrap();
    host.connect(NOW, datagrams, Endpoint { addr: LOOPBACK, port: 9 }).unwrap();
    assert_eq!(host.send(NOW, datagrams, b"x", SendFlags::default()), Ok(1));
    assert_eq!(host.readiness(datagrams), Ok(Readiness::OUT | Readiness::ERR));
    assert_eq!(host.send(NOW, datagrams, b"x", SendFlags::default()), Err(Errno::ConnectionRefused));
}

#[test]
fn datagrams_of_every_size_reach_the_socket_beside() {
    let mut host = host();
    let server = host.socket(User::ROOT, Domain::V6, Kind::Datagram).unwrap();
    host.bind(server, Endpoint { addr: Addr::ANY_V6, port: 53 }).unwrap();
    let client = host.socket(User::ROOT, Domain::V4, Kind::Datagram).unwrap();
    for len in [0, 1, 1_472, 1_473, 30_000, 65_507] {
        let payload: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        let to = Endpoint { addr: LOOPBACK, port: 53 };
        assert_eq!(host.send_to(NOW, client, &payload, to, SendFlags::default()), Ok(len));
        assert_eq!(host.unread(server), Ok(len));
        assert_eq!(read(&mut host, NOW, server), Ok(payload));
    }
    let to = Endpoint { addr: LOOPBACK, port: 53 };
    assert_eq!(host.send_to(NOW, client, &[0; 65_508], to, SendFlags::default()), Err(Errno::MessageSize));
}

//! Stream sockets between two hosts.

use std::time::Duration;

use crate::hosts::{A, B, Pair, error, read, write};
use wharf_stack::socket::{Domain, Errno, How, Kind, OptionName, OptionValue, Readiness, User};
use wharf_stack::socket::{ReceiveFlags, SendFlags};
use wharf_stack::stack::Medium;
use wharf_table::Endpoint;

#[test]
fn a_connection_carries_data_both_ways_over_ethernet_and_over_bare_packets() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        let mut pair = Pair::new(medium);
        let listener = pair.listener(80, 5);
        assert_eq!(pair.b.accept(pair.now, listener), Err(Errno::Again));
        let (client, server) = pair.connected(listener);
        assert_eq!(read(&mut pair.b, pair.now, server), Err(Errno::Again));
        assert_eq!(write(&mut pair.a, pair.now, client, b"question"), Ok(8));
        pair.settle();
        assert_eq!(read(&mut pair.b, pair.now, server), Ok(b"question".to_vec()));
        assert_eq!(write(&mut pair.b, pair.now, server, b"answer"), Ok(6));
        pair.settle();
        assert_eq!(read(&mut pair.a, pair.now, client), Ok(b"answer".to_vec()));
        assert_eq!(pair.a.peer(client), Ok(Endpoint { addr: B, port: 80 }));
        assert_eq!(pair.b.peer(server), pair.a.local(client));
        assert_eq!(pair.a.local(client).unwrap().addr, A);
    }
}

#[test]
fn a_closed_port_refuses_and_the_error_is_heard_once() {
    let mut pair = Pair::new(Medium::Ip);
    let client = pair.a.socket(User::ROOT, Domain::V4, Kind::Stream).unwrap();
    let to = Endpoint { addr: B, port: 81 };
    assert_eq!(pair.a.connect(pair.now, client, to), Err(Errno::InProgress));
    assert_eq!(pair.a.connect(pair.now, client, to), Err(Errno::Already));
    pair.settle();
    let all = Readiness::IN | Readiness::OUT | Readiness::ERR | Readiness::HUP | Readiness::RDHUP;
    assert_eq!(pair.a.readiness(client), Ok(all));
    assert_eq!(error(&mut pair.a, client), Some(Errno::ConnectionRefused));
    assert_eq!(error(&mut pair.a, client), None);
    assert_eq!(pair.a.connect(pair.now, client, to), Err(Errno::ConnectionAborted));
    assert_eq!(pair.a.connect(pair.now, client, to), Err(Errno::InProgress));
}

#[test]
fn the_end_of_a_stream_is_nothing_and_closing_ends_both() {
    let mut pair = Pair::new(Medium::Ip);
    let listener = pair.listener(80, 5);
    let (client, server) = pair.connected(listener);
    write(&mut pair.a, pair.now, client, b"last words").unwrap();
    pair.a.shutdown(pair.now, client, How::Write).unwrap();
    assert_eq!(write(&mut pair.a, pair.now, client, b"more"), Err(Errno::BrokenPipe));
    pair.settle();
    assert!(pair.b.readiness(server).unwrap().contains(Readiness::RDHUP | Readiness::IN));
    assert_eq!(read(&mut pair.b, pair.now, server), Ok(b"last words".to_vec()));
    assert_eq!(read(&mut pair.b, pair.now, server), Ok(vec![]));
    pair.b.close(pair.now, server).unwrap();
    pair.settle();
    assert!(pair.a.readiness(client).unwrap().contains(Readiness::HUP));
    pair.a.close(pair.now, client).unwrap();
    pair.wait(Duration::from_secs(61));
    assert_eq!(pair.a.stack().connection_count(), 0);
    assert_eq!(pair.b.stack().connection_count(), 0);
}

#[test]
fn closing_with_data_unread_resets_the_peer() {
    let mut pair = Pair::new(Medium::Ip);
    let listener = pair.listener(80, 5);
    let (client, server) = pair.connected(listener);
    write(&mut pair.a, pair.now, client, b"never read").unwrap();
    pair.settle();
    pair.b.close(pair.now, server).unwrap();
    pair.settle();
    assert_eq!(read(&mut pair.a, pair.now, client), Err(Errno::ConnectionReset));
    assert_eq!(read(&mut pair.a, pair.now, client), Ok(vec![]));
    assert_eq!(write(&mut pair.a, pair.now, client, b"x"), Err(Errno::BrokenPipe));
}

#[test]
fn a_linger_of_no_time_resets() {
    let mut pair = Pair::new(Medium::Ip);
    let listener = pair.listener(80, 5);
    let (client, server) = pair.connected(listener);
    pair.a.set_option(pair.now, client, OptionName::Linger, &OptionValue::Linger(Some(0))).unwrap();
    pair.a.close(pair.now, client).unwrap();
    pair.settle();
    assert_eq!(write(&mut pair.b, pair.now, server, b"x"), Err(Errno::ConnectionReset));
    assert_eq!(write(&mut pair.b, pair.now, server, b"x"), Err(Errno::BrokenPipe));
    assert_eq!(pair.b.peer(server), Err(Errno::NotConnected));
}

/// Who only looks passes over the urgent byte like who reads, as in Linux (`tcp_recvmsg_locked`).
#[test]
fn a_look_and_a_read_at_the_mark_see_the_same() {
    let mut pair = Pair::new(Medium::Ip);
    let listener = pair.listener(80, 5);
    let (client, server) = pair.connected(listener);
    let urgent = SendFlags { out_of_band: true, ..SendFlags::default() };
    assert_eq!(pair.a.send(pair.now, client, b"ab!", urgent), Ok(3));
    assert_eq!(write(&mut pair.a, pair.now, client, b"cd"), Ok(2));
    pair.settle();
    let mut buffer = [0; 8];
    let peek = ReceiveFlags { peek: true, ..ReceiveFlags::default() };
    for expected in [&b"ab"[..], b"cd"] {
        let seen = pair.b.receive(pair.now, server, &mut buffer, peek).unwrap().count;
        assert_eq!(&buffer[..seen], expected);
        assert_eq!(read(&mut pair.b, pair.now, server).as_deref(), Ok(expected));
    }
}

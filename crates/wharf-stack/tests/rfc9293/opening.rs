//! Opening connections (RFC 9293, sections 3.5, 3.9.1.1 and 3.9.2.3).

use wharf_stack::stack::{ConnId, Event};
use wharf_stack::tcp::CloseReason;
use wharf_table::DropReason;

use crate::bench::*;

/// The host opens to the peer's port 7; its SYN.
fn opening(host: &mut Host, source: &str) -> (ConnId, Segment) {
    let family = usize::from(source.contains(':'));
    let id = host.stack.connect(host.now, at(source, 0), at(PEER[family], 7)).expect("there is a port");
    let [syn] = &host.sent()[..] else { panic!("no SYN") };
    assert!(syn.is(SYN));
    (id, syn.clone())
}

/// What the peer answers to a SYN, with these flags.
fn answer(syn: &Segment, seq: u32, flags: u8) -> Segment {
    let reversed = Segment { ports: (syn.ports.1, syn.ports.0), ..blank(0, 0).between(&syn.dst, &syn.src) };
    Segment { seq, ack: syn.seq.wrapping_add(1), flags, ..reversed }
}

fn closed(host: &Host) -> Option<CloseReason> {
    host.events.iter().find_map(|event| match event {
        Event::Closed(_, reason) => Some(*reason),
        _ => None,
    })
}

fn connections(host: &Host) -> usize {
    host.events.iter().filter(|event| matches!(event, Event::Connected(_))).count()
}

#[test]
fn must_10_both_may_open_at_once() {
    let mut host = silent_host(1_500, |_| {});
    let (id, syn) = opening(&mut host, HOST[0]);
    let crossing = Segment { ack: 0, ..answer(&syn, IRS, SYN) };
    let sent = host.take(crossing);
    assert!(sent.len() == 1 && sent[0].is(SYN | ACK) && sent[0].seq == syn.seq);
    assert_eq!(sent[0].ack, IRS.wrapping_add(1));
    // The peer's SYN-ACK, or its mere ACK, ends the handshake.
    host.take(answer(&syn, IRS, SYN | ACK));
    assert_eq!((host.stack.state(id).name(), connections(&host)), ("established", 1));
    let mut other = silent_host(1_500, |_| {});
    let (id, syn) = opening(&mut other, HOST[0]);
    other.take(Segment { ack: 0, ..answer(&syn, IRS, SYN) });
    other.take(answer(&syn, IRS.wrapping_add(1), ACK));
    assert_eq!(other.stack.state(id).name(), "established");
}

#[test]
fn must_11_syn_received_remembers_how_it_came_about() {
    // From LISTEN: a RST leads back there, and nobody hears of it.
    let mut passive = host(|_| {});
    let syn = Segment { seq: IRS, ..blank(0, 5_000).flags(SYN) };
    assert!(passive.take(syn.clone())[0].is(SYN | ACK));
    passive.take(Segment { seq: IRS.wrapping_add(1), ..blank(0, 5_000).flags(RST) });
    assert!(passive.events.is_empty() && passive.stack.connection_count() == 0);
    assert!(passive.take(syn)[0].is(SYN | ACK), "it listens on");
    // From SYN-SENT: the attempt is refused, and the owner hears so.
    let mut active = silent_host(1_500, |_| {});
    let (_, syn) = opening(&mut active, HOST[0]);
    active.take(Segment { ack: 0, ..answer(&syn, IRS, SYN) });
    active.take(answer(&syn, IRS.wrapping_add(1), RST));
    assert_eq!(closed(&active), Some(CloseReason::Refused));
}

#[test]
fn must_41_listening_leaves_other_connections_alone() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let (active, syn) = opening(&mut host, HOST[0]);
    host.listen(None, 81, 2);
    host.listen(Some(OTHER), syn.ports.0, 3);
    host.take(talk.segment(1, 1).data(b"still here"));
    assert_eq!(host.received(&talk), b"still here");
    host.take(answer(&syn, IRS, SYN | ACK));
    assert_eq!(host.stack.state(active).name(), "established");
}

#[test]
fn must_42_a_port_may_be_listened_on_at_several_addresses_at_once() {
    let mut host = silent_host(1_500, |_| {});
    host.listen(Some(HOST[0]), PORT, 10);
    // While a connection of the first listener is being opened.
    let syn = |dst: &str, port| Segment { seq: IRS, ..blank(0, port).flags(SYN).between(PEER[0], dst) };
    assert!(host.take(syn(HOST[0], 5_000))[0].is(SYN | ACK));
    host.listen(Some(OTHER), PORT, 20);
    for (own, port, token) in [(HOST[0], 6_000, 10), (OTHER, 6_001, 20)] {
        let answer = host.take(syn(own, port)).remove(0);
        let ack = Segment { seq: IRS.wrapping_add(1), ack: answer.seq.wrapping_add(1), ..blank(0, port) };
        host.take(ack.between(PEER[0], own));
        let Some(&Event::Connected(id)) = host.events.last() else { panic!("not connected") };
        assert_eq!(host.stack.listener_of(id), Some(token));
    }
}

#[test]
fn must_43_a_local_address_may_be_named() {
    let mut host = silent_host(1_500, |_| {});
    host.listen(Some(OTHER), PORT, 1);
    let syn = |dst: &str| Segment { seq: IRS, ..blank(0, 5_000).flags(SYN).between(PEER[0], dst) };
    assert!(host.take(syn(HOST[0]))[0].flags & RST != 0, "not here");
    assert!(host.take(syn(OTHER))[0].is(SYN | ACK));
    let (_, syn) = opening(&mut host, OTHER);
    assert_eq!(syn.src, OTHER);
}

#[test]
fn must_44_else_it_is_chosen_where_routes_are_known() {
    for (any, chosen) in [("0.0.0.0", HOST[0]), ("::", HOST[1])] {
        let mut host = silent_host(1_500, |_| {});
        let (_, syn) = opening(&mut host, any);
        assert_eq!(syn.src, chosen);
    }
}

#[test]
fn must_45_and_every_segment_carries_it() {
    let mut host = silent_host(1_500, |_| {});
    let (id, syn) = opening(&mut host, OTHER);
    let mut all: Vec<Segment> = host.wait(secs(4)).into_iter().map(|(_, segment)| segment).collect();
    assert!(!all.is_empty(), "the SYN again");
    all.extend(host.take(answer(&syn, IRS, SYN | ACK)));
    host.stack.send(host.now, id, b"data");
    all.extend(host.sent());
    host.stack.abort(host.now, id);
    all.extend(host.sent());
    assert!(all.len() >= 4 && all.iter().all(|segment| segment.src == OTHER));
    // What a listener took at one of its addresses is answered from there.
    let mut listener = silent_host(1_500, |_| {});
    listener.listen(None, PORT, 1);
    let syn = Segment { seq: IRS, ..blank(0, 5_000).flags(SYN).between(PEER[0], OTHER) };
    assert_eq!(listener.take(syn)[0].src, OTHER);
}

#[test]
fn must_46_nobody_is_called_at_an_address_of_many() {
    let mut host = silent_host(1_500, |_| {});
    for (own, wrong) in [
        (HOST[0], "255.255.255.255"),
        (HOST[0], "10.0.2.255"),
        (HOST[0], "224.0.0.1"),
        (HOST[0], "239.1.2.3"),
        (HOST[0], "0.0.0.0"),
        (HOST[1], "ff02::1"),
        (HOST[1], "::"),
    ] {
        let result = host.stack.connect(host.now, at(own, 0), at(wrong, 7));
        assert_eq!(result, Err(DropReason::DestinationInvalid), "{wrong}");
    }
    assert!(host.sent().is_empty() && host.stack.connection_count() == 0);
}

#[test]
fn must_57_a_syn_to_many_is_dropped_without_a_word() {
    let mut host = host(|_| {});
    for (family, many) in [
        (0, "255.255.255.255"),
        (0, "10.0.2.255"),
        (0, "224.0.0.1"),
        (0, "239.255.255.250"),
        (1, "ff02::1"),
        (1, "ff0e::1"),
    ] {
        let syn = Segment { seq: IRS, ..blank(family, 5_000).flags(SYN).between(PEER[family], many) };
        assert!(host.take(syn.clone()).is_empty(), "{many}");
        assert!(host.take(syn.flags(ACK)).is_empty(), "{many}");
    }
    assert_eq!(host.stack.connection_count(), 0);
}

#[test]
fn must_63_a_syn_from_no_station_is_not_believed() {
    let mut host = host(|_| {});
    for (family, nobody) in [
        (0, "255.255.255.255"),
        (0, "10.0.2.255"),
        (0, "224.0.0.1"),
        (0, "0.0.0.0"),
        (0, "127.0.0.1"),
        (0, "240.0.0.1"),
        (1, "ff02::1"),
        (1, "::"),
        (1, "::1"),
    ] {
        let syn = Segment { seq: IRS, ..blank(family, 5_000).flags(SYN).between(nobody, HOST[family]) };
        assert!(host.take(syn).is_empty(), "{nobody}");
    }
    assert_eq!(host.stack.connection_count(), 0);
}

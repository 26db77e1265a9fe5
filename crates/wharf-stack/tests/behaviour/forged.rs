//! What a program forges: sources that are not its own, groups that must not be answered, destinations that no router
//! would carry to. And what a gateway says to each, read by a library that is not ours.

use std::cell::Cell;
use std::time::Duration;

use crate::wire::*;
use etherparse::{PacketBuilder, SlicedPacket, TransportSlice, ip_number};
use wharf_sim::{Setup, mend};
use wharf_stack::interface::{ChecksumIn, FrameIn, FrameSink, OffloadOut};
use wharf_stack::stack::{DatagramIn, Event, Refusal};
use wharf_stack::tcp::Unreachable;
use wharf_table::{DropReason, Port};

/// Type and code of an ICMP message.
fn kind(message: &[u8]) -> [u8; 2] {
    [message[0], message[1]]
}

/// The flags of the one segment among `frames`, as `R` and `A`, with its acknowledgment number.
fn one_reset(frames: &[Vec<u8>]) -> (bool, bool, u32) {
    let [frame] = frames else { panic!("{} frames", frames.len()) };
    read(frame);
    let packet = SlicedPacket::from_ethernet(frame).expect("etherparse can read it");
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no segment") };
    (tcp.rst(), tcp.ack(), tcp.acknowledgment_number())
}

#[test]
fn a_source_that_can_be_no_program_gets_nothing_kept_or_answered() {
    let mut link = Link::new();
    let forged = [
        // Our own addresses, and the destination itself (LAND).
        (GATEWAY[0], OUTSIDE[0]),
        (DNS[0], GATEWAY[0]),
        (HOST[0], DNS[0]),
        (OUTSIDE[0], OUTSIDE[0]),
        (GATEWAY[0], GATEWAY[0]),
        (GATEWAY[1], OUTSIDE[1]),
        ("fe80::2", OUTSIDE[1]),
        (OUTSIDE[1], OUTSIDE[1]),
        // No station has these.
        ("127.0.0.1", OUTSIDE[0]),
        ("0.0.0.0", OUTSIDE[0]),
        ("0.1.2.3", OUTSIDE[0]),
        ("224.0.0.1", OUTSIDE[0]),
        ("240.0.0.1", OUTSIDE[0]),
        ("255.255.255.255", OUTSIDE[0]),
        ("10.0.2.255", OUTSIDE[0]),
        ("::", OUTSIDE[1]),
        ("::1", OUTSIDE[1]),
        ("ff02::1", OUTSIDE[1]),
        // IPv4 in the clothes of IPv6.
        ("::ffff:10.0.2.1", OUTSIDE[1]),
        ("::ffff:10.0.2.1", "::ffff:192.0.2.80"),
    ];
    for (count, (src, dst)) in (1..).zip(forged) {
        for frame in
            [udp(src, dst, 9, b"x"), syn(src, dst, 80), echo(src, dst, 64, b"x"), echo(src, dst, 1, b"x")]
        {
            assert!(link.take(&frame).is_empty(), "{src} -> {dst} was answered");
        }
        assert_eq!(link.dropped(DropReason::SourceInvalid), 4 * count, "{src} -> {dst}");
    }
    assert!(link.datagrams.is_empty() && link.stack.connection_count() == 0);
    // A mapped destination is no destination.
    assert!(link.take(&syn(PROGRAM[1], "::ffff:10.0.2.204", 80)).is_empty());
    assert_eq!((link.dropped(DropReason::DestinationInvalid), link.stack.connection_count()), (1, 0));
}

#[test]
fn a_frame_of_the_gateways_own_or_of_a_group_is_dropped() {
    let mut link = Link::new();
    for source in [GATEWAY_HARDWARE, [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
        let mut frame = echo(PROGRAM[0], GATEWAY[0], 64, b"x");
        frame[6..12].copy_from_slice(&source);
        assert!(link.take(&frame).is_empty());
    }
    assert_eq!(link.dropped(DropReason::SourceInvalid), 3);
}

#[test]
fn what_was_told_to_all_stations_is_not_answered() {
    let mut link = Link::new();
    for family in FAMILIES {
        let (from, out) = (PROGRAM[family], OUTSIDE[family]);
        for mut frame in [syn(from, out, 80), udp(from, HOST[family], 9, b"x"), echo(from, out, 1, b"x")] {
            frame[..6].fill(0xff);
            assert!(link.take(&frame).is_empty());
        }
    }
    for group in ["224.0.0.251", "255.255.255.255", "10.0.2.255", "ff02::fb"] {
        let from = PROGRAM[usize::from(group.contains(':'))];
        for frame in [syn(from, group, 80), udp(from, group, 9, b"x"), udp_with(from, group, 9, 1, b"x")] {
            assert!(link.take(&frame).is_empty(), "{group}");
        }
    }
    assert_eq!(link.dropped(DropReason::DestinationInvalid), 6 + 12);
    assert!(link.datagrams.is_empty() && link.stack.connection_count() == 0);
}

#[test]
fn an_error_is_never_answered_with_an_error() {
    for family in FAMILIES {
        let mut link = Link::new();
        let errors: [u8; 4] = if family == 0 { [3, 4, 11, 12] } else { [1, 2, 3, 4] };
        let mut quote = vec![0; 8];
        quote.extend_from_slice(&udp(OUTSIDE[family], PROGRAM[family], 9, b"x")[14..]);
        for error in errors {
            quote[0] = error;
            assert!(link.take(&icmp(PROGRAM[family], OUTSIDE[family], 1, &quote)).is_empty());
        }
        assert_eq!(link.dropped(DropReason::HopLimitExceeded), 4);
        // A question is.
        let (from, to, message) = one_icmp(&link.take(&echo(PROGRAM[family], OUTSIDE[family], 1, b"ping")));
        assert_eq!((from, to), (ip(GATEWAY[family]), ip(PROGRAM[family])));
        assert_eq!(kind(&message), if family == 0 { [11, 0] } else { [3, 0] });
    }
}

#[test]
fn the_last_hop_is_named_and_the_packet_quoted_whole() {
    for family in FAMILIES {
        let mut link = Link::new();
        for hops in [0, 1] {
            let frame = udp_with(PROGRAM[family], OUTSIDE[family], 33_434, hops, b"traceroute");
            let (from, _, message) = one_icmp(&link.take(&frame));
            assert_eq!(from, ip(GATEWAY[family]));
            assert_eq!(kind(&message), if family == 0 { [11, 0] } else { [3, 0] });
            assert!(message[8..] == frame[14..]);
        }
        // With two there is one left, and to ourselves none is needed.
        assert!(link.take(&udp_with(PROGRAM[family], OUTSIDE[family], 33_434, 2, b"x")).is_empty());
        assert_eq!(link.datagrams.last().map(|came| came.hop_limit), Some(1));
        let (from, _, message) = one_icmp(&link.take(&echo(PROGRAM[family], GATEWAY[family], 1, b"x")));
        assert_eq!((from, message[0]), (ip(GATEWAY[family]), if family == 0 { 0 } else { 129 }));
    }
}

#[test]
fn a_long_packet_is_quoted_as_far_as_an_error_may_be_long() {
    for (family, most) in [(0, 576), (1, 1_280)] {
        let mut link = Link::new();
        let frame = udp_with(PROGRAM[family], OUTSIDE[family], 9, 1, &[7; 1_400]);
        let answer = link.take(&frame);
        assert_eq!(answer[0].len() - 14, most);
        let (_, _, message) = one_icmp(&answer);
        assert!(frame[14..].starts_with(&message[8..]));
    }
}

/// The fragments of a datagram, the last one first or last.
fn fragments(family: usize, dst: &str, data: &[u8]) -> Vec<Vec<u8>> {
    let whole = udp(PROGRAM[family], dst, 9, data);
    let header = if family == 0 { 34 } else { 54 };
    let (head, body) = whole.split_at(header);
    let pieces: Vec<&[u8]> = body.chunks(1_024).collect();
    let fragment = |(index, piece): (usize, &&[u8])| {
        let (offset, more) = ((index * 1_024) as u16, u16::from(index + 1 < pieces.len()));
        let mut frame = head.to_vec();
        if family == 0 {
            frame[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
            frame[20..22].copy_from_slice(&((offset / 8) | (more << 13)).to_be_bytes());
            frame[24..26].fill(0);
            let sum = frame[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
            let sum = sum.sum::<u32>();
            let sum = !((sum & 0xffff) as u16 + (sum >> 16) as u16);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        } else {
            frame[18..20].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
            frame[20] = 44;
            frame.extend_from_slice(&[17, 0]);
            frame.extend_from_slice(&(offset | more).to_be_bytes());
            frame.extend_from_slice(&[0, 0, 0, 9]);
        }
        frame.extend_from_slice(piece);
        frame
    };
    pieces.iter().enumerate().map(fragment).collect()
}

#[test]
fn fragments_go_through_and_their_error_quotes_the_datagram() {
    for family in FAMILIES {
        let mut link = Link::new();
        let data: Vec<u8> = (0..3_000_u16).map(|at| at as u8).collect();
        for frame in fragments(family, OUTSIDE[family], &data) {
            assert!(link.take(&frame).is_empty());
        }
        let [came] = &link.datagrams[..] else { panic!("{} datagrams", link.datagrams.len()) };
        assert!(came.payload == data && !came.dont_fragment);
        // A port that is closed, told when the last fragment has come: with the ports, which only the first one had.
        let mut answers: Vec<Vec<u8>> =
            fragments(family, HOST[family], &data).iter().flat_map(|frame| link.take(frame)).collect();
        let (from, _, message) = one_icmp(&answers);
        assert_eq!((from, kind(&message)), (ip(HOST[family]), if family == 0 { [3, 3] } else { [1, 4] }));
        let transport = &message[8 + if family == 0 { 20 } else { 40 }..];
        assert_eq!(transport[..4], [0x13, 0x88, 0, 9], "the ports");
        assert!(data.starts_with(&transport[8..]));
        answers.clear();
    }
}

#[test]
fn the_end_of_waiting_for_fragments_is_told_to_a_station_alone() {
    let mut link = Link::new();
    for family in FAMILIES {
        for dst in [OUTSIDE[family], GATEWAY[family]] {
            assert!(link.take(&fragments(family, dst, &[1; 3_000])[0]).is_empty());
        }
        let mut from_nobody = fragments(family, OUTSIDE[family], &[1; 3_000]).swap_remove(0);
        from_nobody[if family == 0 { 26..30 } else { 22..38 }].fill(0);
        mend(&mut from_nobody);
        assert!(link.take(&from_nobody).is_empty());
    }
    link.now += Duration::from_secs(61);
    link.stack.handle_timeout(link.now);
    let told: Vec<_> = link.sent().iter().map(|frame| read(frame)).collect();
    assert_eq!(link.dropped(DropReason::FragmentTimeout), 6);
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|read| read.dst == ip(PROGRAM[0]) || read.dst == ip(PROGRAM[1])));
}

#[test]
fn a_network_that_is_not_there_takes_nothing() {
    for family in FAMILIES {
        let mut link = Link::with(&Setup::default(), |config| match family {
            0 => Link::gateway(config).v4 = None,
            _ => Link::gateway(config).v6 = None,
        });
        let (from, out) = (PROGRAM[family], OUTSIDE[family]);
        for frame in [syn(from, out, 80), udp(from, out, 53, b"x"), echo(from, out, 64, b"x")] {
            assert!(link.take(&frame).is_empty());
        }
        assert!(link.datagrams.is_empty() && link.stack.connection_count() == 0);
        assert_eq!(link.dropped(DropReason::NoRoute), 3);
        let other = 1 - family;
        link.take(&syn(PROGRAM[other], OUTSIDE[other], 80));
        assert_eq!(link.stack.connection_count(), 1);
    }
}

#[test]
fn no_router_carries_link_local_sources_or_back_to_the_link() {
    let mut link = Link::new();
    let (_, _, message) = one_icmp(&link.take(&udp("fe80::1", OUTSIDE[1], 53, b"x")));
    assert_eq!(kind(&message), [1, 2], "beyond the scope of the source");
    let (_, _, message) = one_icmp(&link.take(&syn("169.254.3.4", OUTSIDE[0], 80)));
    assert_eq!(kind(&message), [3, 13]);
    for (family, dst) in [(0, "10.0.2.77"), (0, PROGRAM[0]), (1, "fd00::77")] {
        let src = if dst == PROGRAM[0] { "192.0.2.9" } else { PROGRAM[family] };
        let (_, _, message) = one_icmp(&link.take(&syn(src, dst, 80)));
        assert_eq!(kind(&message), if family == 0 { [3, 1] } else { [1, 3] }, "{dst}");
    }
    assert!(link.datagrams.is_empty() && link.stack.connection_count() == 0);
    // To the gateway itself a link-local source may speak.
    let (from, to, message) = one_icmp(&link.take(&echo("fe80::1", "fe80::2", 64, b"x")));
    assert_eq!((from, to, message[0]), (ip("fe80::2"), ip("fe80::1"), 129));
}

#[test]
fn the_policys_refusals_are_told() {
    for (family, denied) in [(0, "127.0.0.1"), (0, "169.254.169.254"), (1, "::1"), (1, "fe80::77")] {
        let mut link = Link::new();
        for frame in [syn(PROGRAM[family], denied, 80), udp(PROGRAM[family], denied, 80, b"x")] {
            let (from, _, message) = one_icmp(&link.take(&frame));
            assert_eq!(from, ip(GATEWAY[family]));
            assert_eq!(kind(&message), if family == 0 { [3, 13] } else { [1, 1] }, "{denied}");
            assert!(message[8..] == frame[14..]);
        }
        assert_eq!(link.dropped(DropReason::DestinationDenied), 2);
        assert!(link.stack.connection_count() == 0 && link.datagrams.is_empty());
    }
    // The host's closed ports look closed.
    for family in FAMILIES {
        let mut link = Link::new();
        assert_eq!(one_reset(&link.take(&syn(PROGRAM[family], HOST[family], 22))), (true, true, 1_001));
        let (from, _, message) = one_icmp(&link.take(&udp(PROGRAM[family], HOST[family], 22, b"x")));
        assert_eq!((from, kind(&message)), (ip(HOST[family]), if family == 0 { [3, 3] } else { [1, 4] }));
        // So do the gateway's own.
        for own in [GATEWAY[family], DNS[family]] {
            assert_eq!(one_reset(&link.take(&syn(PROGRAM[family], own, 22))), (true, true, 1_001));
        }
    }
}

#[test]
fn an_incoming_connection_is_refused_in_three_ways() {
    let ways = [
        (Refusal::Unreachable(Unreachable::Network), [[3, 0], [1, 0]]),
        (Refusal::Unreachable(Unreachable::Host), [[3, 1], [1, 3]]),
        (Refusal::Unreachable(Unreachable::Port), [[3, 3], [1, 4]]),
        (Refusal::Unreachable(Unreachable::Prohibited), [[3, 13], [1, 1]]),
        (Refusal::Unreachable(Unreachable::HopLimit), [[11, 0], [3, 0]]),
        (Refusal::Reset, [[0; 2]; 2]),
        (Refusal::Silent, [[0; 2]; 2]),
    ];
    for family in FAMILIES {
        for (how, expected) in ways {
            let mut link = Link::new();
            let frame = syn(PROGRAM[family], OUTSIDE[family], 80);
            assert!(link.take(&frame).is_empty(), "nothing is said before the owner knows");
            let Some(Event::Incoming(id)) = link.stack.poll_event() else { panic!("no connection") };
            link.stack.refuse(link.now, id, how);
            let answers = link.sent();
            match how {
                Refusal::Silent => assert!(answers.is_empty()),
                Refusal::Reset => {
                    assert_eq!(one_reset(&answers), (true, true, 1_001));
                    assert_eq!(read(&answers[0]).src, ip(OUTSIDE[family]));
                }
                Refusal::Unreachable(_) => {
                    let (from, to, message) = one_icmp(&answers);
                    assert_eq!((from, to), (ip(GATEWAY[family]), ip(PROGRAM[family])));
                    assert_eq!(kind(&message), expected[family], "{how:?}");
                    // Addresses, ports and sequence number are the program's own: its kernel looks at them.
                    let ip_len = if family == 0 { 20 } else { 40 };
                    let (quoted, sent) = (&message[8..], &frame[14..]);
                    let addresses = if family == 0 { 12..20 } else { 8..40 };
                    assert_eq!(quoted[addresses.clone()], sent[addresses]);
                    assert_eq!(quoted[ip_len..ip_len + 8], sent[ip_len..ip_len + 8]);
                }
            }
            assert_eq!((link.stack.connection_count(), link.stack.poll_event()), (0, None));
            assert_eq!(link.stack.table().flow_count(), 0);
        }
    }
}

#[test]
fn a_connection_that_is_given_back_unanswered_is_reset() {
    let mut link = Link::new();
    link.take(&syn(PROGRAM[0], OUTSIDE[0], 80));
    let Some(Event::Incoming(id)) = link.stack.poll_event() else { panic!("no connection") };
    link.stack.release(link.now, id);
    let (reset, _, acknowledged) = one_reset(&link.sent());
    assert!(reset && acknowledged == 1_001);
    assert_eq!((link.stack.connection_count(), link.stack.poll_timeout()), (0, None));
}

#[test]
fn a_listener_takes_its_port_and_no_other() {
    for family in FAMILIES {
        let mut link = Link::new();
        link.stack
            .listen(Some(addr(DNS[family])), Port::new(53).expect("not zero"), 7)
            .expect("the port is free");
        let answer = link.take(&syn(PROGRAM[family], DNS[family], 53));
        let packet = SlicedPacket::from_ethernet(&answer[0]).expect("etherparse can read it");
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no segment") };
        assert!(tcp.syn() && tcp.ack() && tcp.acknowledgment_number() == 1_001);
        assert_eq!(link.stack.poll_event(), None, "half open");
        let mut frame = Vec::new();
        let segment = from_to(PROGRAM[family], DNS[family], 64).tcp(5_000, 53, 1_001, 1_000);
        segment.ack(tcp.sequence_number() + 1).write(&mut frame, b"hi").expect("taken");
        link.take(&frame);
        let Some(Event::Connected(id)) = link.stack.poll_event() else { panic!("no connection") };
        assert_eq!((link.stack.listener_of(id), link.stack.connection(id).received_len()), (Some(7), 2));
        assert_eq!(one_reset(&link.take(&syn(PROGRAM[family], GATEWAY[family], 53))), (true, true, 1_001));
        // A half-open one ends by itself.
        let mut other = Vec::new();
        from_to(PROGRAM[family], DNS[family], 64)
            .tcp(5_001, 53, 9, 1_000)
            .syn()
            .write(&mut other, &[])
            .expect("taken");
        link.take(&other);
        assert_eq!(link.stack.connection_count(), 2);
        while link.stack.connection_count() == 2 {
            link.now = link.stack.poll_timeout().expect("a timer runs").max(link.now);
            link.stack.handle_timeout(link.now);
            link.sent();
            if let Some(Event::Closed(id, _)) = link.stack.poll_event() {
                link.stack.release(link.now, id);
            }
        }
    }
}

/// A link that takes nothing, or everything, and counts.
#[derive(Default)]
struct Gate {
    open: bool,
    asked: Cell<u32>,
    bytes: usize,
}

impl FrameSink for Gate {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        self.bytes += head.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.open
    }
}

#[test]
fn what_comes_and_goes_leaves_nothing_behind_while_the_link_is_full() {
    let mut link = Link::new();
    for _ in 0..5_000 {
        let frames = [syn(PROGRAM[0], OUTSIDE[0], 80), echo(PROGRAM[0], GATEWAY[0], 64, &[7; 1_400])];
        for frame in &frames {
            let now = link.now;
            link.stack.handle_frames(now, &[FrameIn::plain(frame)], &mut |_: DatagramIn<'_>| {});
        }
        while let Some(event) = link.stack.poll_event() {
            let Event::Incoming(id) = event else { continue };
            link.stack.accept(link.now, id);
            link.stack.refuse(link.now, id, Refusal::Silent);
        }
        link.stack.poll_frames(link.now, &mut Gate::default());
    }
    assert_eq!(link.stack.connection_count(), 0);
    assert!(link.dropped(DropReason::LinkFull) > 4_000);
    let mut gate = Gate { open: true, ..Gate::default() };
    link.stack.poll_frames(link.now, &mut gate);
    assert!((1..=1 << 20).contains(&gate.bytes), "{} bytes", gate.bytes);
    // It is asked once for everything that waits, be it of somebody or not.
    assert!(gate.asked.get() < 2_000, "asked {} times", gate.asked.get());
    assert!(!link.stack.has_frames());
}

#[test]
fn an_unknown_header_is_pointed_at_and_no_header_is_silence() {
    let mut link = Link::new();
    let mut frame = Vec::new();
    from_to(PROGRAM[0], OUTSIDE[0], 64).write(&mut frame, ip_number::SCTP, b"12345678").expect("taken");
    let (_, _, message) = one_icmp(&link.take(&frame));
    assert_eq!(kind(&message), [3, 2]);
    // Behind eight bytes of destination options the field stands at 40.
    for (headers, pointer) in [(&[][..], 6), (&[132, 0, 1, 4, 0, 0, 0, 0][..], 40)] {
        let mut frame = Vec::new();
        let body: Vec<u8> = headers.iter().copied().chain(*b"12345678").collect();
        let first = if headers.is_empty() { ip_number::SCTP } else { ip_number::IPV6_DEST_OPTIONS };
        from_to(PROGRAM[1], OUTSIDE[1], 64).write(&mut frame, first, &body).expect("taken");
        let (_, _, message) = one_icmp(&link.take(&frame));
        assert_eq!((kind(&message), message[7]), ([4, 1], pointer));
    }
    let mut frame = Vec::new();
    let nothing = ip_number::IPV6_NO_NEXT_HEADER;
    from_to(PROGRAM[1], OUTSIDE[1], 64).write(&mut frame, nothing, b"").expect("taken");
    assert!(link.take(&frame).is_empty());
}

#[test]
fn an_unknown_option_is_told_even_to_who_asked_a_group_and_a_bad_route_is_not() {
    let mut link = Link::new();
    // Unknown options whose highest bits ask for silence, for an error, and for one unless to a group.
    for (option, told, told_group) in [(0x40, 0, 0), (0x80, 1, 1), (0xc0, 1, 0)] {
        for (dst, count) in [(OUTSIDE[1], told), ("ff02::5", told_group)] {
            let mut frame = Vec::new();
            let body = [17, 0, option, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0, 0];
            from_to(PROGRAM[1], dst, 64)
                .write(&mut frame, ip_number::IPV6_DEST_OPTIONS, &body)
                .expect("taken");
            let answers = link.take(&frame);
            assert_eq!(answers.len(), count, "{option:#x} to {dst}");
            if let [answer] = &answers[..] {
                let (_, _, message) = one_icmp(std::slice::from_ref(answer));
                assert_eq!((kind(&message), message[7]), ([4, 2], 42));
            }
        }
    }
    for (dst, count) in [(OUTSIDE[1], 1), ("ff02::5", 0)] {
        let mut frame = Vec::new();
        let routing = [17, 0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 2, 0, 8, 0, 0];
        from_to(PROGRAM[1], dst, 64).write(&mut frame, ip_number::IPV6_ROUTE, &routing).expect("taken");
        assert_eq!(link.take(&frame).len(), count);
    }
}

#[test]
fn many_datagrams_in_one_frame_come_out_as_they_went_in() {
    for family in FAMILIES {
        let mut link = Link::new();
        let frame = udp(PROGRAM[family], OUTSIDE[family], 443, &[1; 3_500]);
        let large = FrameIn { bytes: &frame, checksum: ChecksumIn::Trusted, gso_size: 1_000 };
        assert!(link.take_all(&[large]).is_empty());
        let [came] = &link.datagrams[..] else { panic!("{} datagrams", link.datagrams.len()) };
        assert_eq!((came.gso_size, came.payload.len()), (1_000, 3_500));
    }
}

#[test]
fn neighbour_discovery_in_fragments_or_from_nowhere_is_ignored() {
    let mut link = Link::new();
    let solicit = |src: &str, dst: &str, with_source: bool| {
        let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&addr(GATEWAY[1]).octets());
        if with_source {
            message.extend_from_slice(&[1, 1, 2, 0, 0, 0, 0, 1]);
        }
        icmp(src, dst, 255, &message)
    };
    assert_eq!(link.take(&solicit(PROGRAM[1], "ff02::1:ff00:2", true)).len(), 1);
    assert_eq!(link.take(&solicit(PROGRAM[1], GATEWAY[1], true)).len(), 1);
    assert_eq!(link.take(&solicit("::", "ff02::1:ff00:2", false)).len(), 1);
    assert!(link.take(&solicit("::", "ff02::1:ff00:2", true)).is_empty());
    assert!(link.take(&solicit(GATEWAY[1], "ff02::1:ff00:2", true)).is_empty(), "our own address");
    assert!(link.take(&solicit(PROGRAM[1], OUTSIDE[1], true)).is_empty(), "not for us");
    let whole = solicit(PROGRAM[1], GATEWAY[1], true);
    let (head, body) = whole.split_at(54);
    let mut answers = Vec::new();
    for (offset, piece) in [(0_u16, &body[..24]), (24, &body[24..])] {
        let mut frame = head.to_vec();
        frame[18..20].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
        frame[20] = 44;
        frame.extend_from_slice(&[58, 0]);
        frame.extend_from_slice(&(offset | u16::from(offset == 0)).to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 1]);
        frame.extend_from_slice(piece);
        answers.extend(link.take(&frame));
    }
    assert!(answers.is_empty(), "RFC 6980");
    assert_eq!(link.dropped(DropReason::IcmpInvalid), 2);
}

#[test]
fn arp_of_a_group_is_ignored() {
    let mut link = Link::new();
    let request = |sender: [u8; 4], hardware: [u8; 6]| {
        let arp = etherparse::ArpPacket::new(
            etherparse::ArpHardwareId::ETHERNET,
            etherparse::EtherType::IPV4,
            etherparse::ArpOperation::REQUEST,
            &hardware,
            &sender,
            &[0; 6],
            &[10, 0, 2, 2],
        )
        .expect("sizes match");
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(PROGRAM_HARDWARE, [0xff; 6]).arp(arp).write(&mut frame).expect("taken");
        frame
    };
    let answer = link.take(&request([10, 0, 2, 1], PROGRAM_HARDWARE));
    let packet = SlicedPacket::from_ethernet(&answer[0]).expect("etherparse can read it");
    let Some(etherparse::NetSlice::Arp(arp)) = packet.net else { panic!("no ARP") };
    assert_eq!(
        (arp.sender_hw_addr(), arp.sender_protocol_addr()),
        (&GATEWAY_HARDWARE[..], &[10, 0, 2, 2][..])
    );
    for (sender, hardware) in
        [([10, 0, 2, 2], PROGRAM_HARDWARE), ([224, 0, 0, 1], PROGRAM_HARDWARE), ([10, 0, 2, 1], [0xff; 6])]
    {
        assert!(link.take(&request(sender, hardware)).is_empty());
    }
}

//! What an attacker could use up, find out or wait for: path MTU over IPv6, late segments, very old timestamps, large
//! segments that lie about their size, reassembly without end, acknowledgments of what was not sent, and limits that tell of
//! others.
//!
//! The map of all hostile cases is at the head of `hostile_segments`.

use crate::bench::*;
use crate::{bench, wire};
use wharf_stack::interface::{ChecksumIn, FrameIn};
use wharf_stack::stack::{DatagramIn, Event};
use wharf_table::DropReason;

const MSS_1400: [u8; 4] = [2, 4, 5, 0x78];

fn sizes(sent: &[Segment]) -> Vec<usize> {
    sent.iter().map(|segment| segment.payload.len()).filter(|&len| len > 0).collect()
}

/// An ICMPv6 packet too big from a router, which quotes `segment` of the host.
fn too_big_v6(mtu: u32, segment: &Segment) -> Vec<u8> {
    let mut message = vec![2, 0, 0, 0];
    message.extend_from_slice(&mtu.to_be_bytes());
    message.extend_from_slice(&segment.bytes()[..60]);
    let mut packet = vec![0x60, 0, 0, 0, 0, message.len() as u8, 58, 64];
    for end in ["2001:db8::9", HOST[1]] {
        packet.extend_from_slice(&addr(end).octets());
    }
    let right = !wire::sum(&[&wire::pseudo_header(&packet, 58, message.len()), &message]);
    message[2..4].copy_from_slice(&right.to_be_bytes());
    packet.extend_from_slice(&message);
    packet
}

/// A connection over IPv6 with data on its way in segments of 1,400 bytes.
fn sending_v6() -> (Host, Talk, Vec<Segment>) {
    let mut host = host(|_| {});
    let talk = host.opened_with(1, &MSS_1400);
    let sent = host.send(&talk, &[1; 7_000]);
    assert_eq!(sizes(&sent), [1_400; 5]);
    (host, talk, sent)
}

#[test]
fn too_big_over_ipv6_is_believed_where_it_quotes_what_is_on_its_way() {
    let (mut host, _, sent) = sending_v6();
    let resent = host.take_packets(&[too_big_v6(1_300, &sent[0])]);
    assert_eq!(sizes(&resent)[..5], [1_240; 5]);
}

#[test]
fn too_big_below_1280_makes_nothing_smaller_than_1280() {
    for mtu in [0, 1, 68, 1_279, 1_280] {
        let (mut host, _, sent) = sending_v6();
        let resent = host.take_packets(&[too_big_v6(mtu, &sent[0])]);
        assert_eq!(sizes(&resent)[..5], [1_220; 5], "{mtu}: RFC 8201, section 4");
    }
}

#[test]
fn too_big_over_ipv6_of_another_number_is_dropped() {
    let (mut host, _, sent) = sending_v6();
    for wrong in [sent[0].seq.wrapping_sub(1), sent[4].seq.wrapping_add(1_400), sent[0].seq ^ 0x4000_0000] {
        let forged = Segment { seq: wrong, ..sent[0].clone() };
        assert!(host.take_packets(&[too_big_v6(1_280, &forged)]).is_empty());
    }
    assert_eq!(host.stack.drops().of(DropReason::IcmpInvalid), 3, "RFC 5927, section 4");
}

#[test]
fn too_big_over_ipv6_that_contradicts_an_acknowledgment_waits_for_a_loss() {
    let mut host = host(|_| {});
    let talk = host.opened_with(1, &MSS_1400);
    host.send(&talk, &[1; 1_400]);
    host.take(talk.segment(1, 1_401));
    let sent = host.send(&talk, &[2; 2_800]);
    assert!(host.take_packets(&[too_big_v6(1_280, &sent[0])]).is_empty(), "RFC 5927, section 7.2");
    host.take(talk.segment(1, 4_201));
    assert_eq!(sizes(&host.send(&talk, &[3; 2_800])), [1_400, 1_400]);
}

#[test]
fn too_big_that_is_larger_than_the_link_changes_nothing() {
    for mtu in [1_500, 9_000, u32::MAX] {
        let (mut host, talk, sent) = sending_v6();
        assert!(host.take_packets(&[too_big_v6(mtu, &sent[0])]).is_empty(), "{mtu}");
        host.take(talk.segment(1, 7_001));
        assert_eq!(sizes(&host.send(&talk, &[3; 1_400])), [1_400]);
    }
}

/// The host has closed first, and waits; its owner still holds the connection or does not.
fn waiting(held: bool) -> (Host, Talk) {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.stack.shutdown(host.now, talk.id);
    host.sent();
    host.take(talk.segment(1, 2));
    host.take(talk.segment(1, 2).flags(FIN | ACK));
    if !held {
        host.stack.release(host.now, talk.id);
        host.sent();
    }
    host.wait(secs(1));
    (host, talk)
}

#[test]
fn rfc_1337_a_late_reset_does_not_end_time_wait() {
    for held in [true, false] {
        let (mut host, talk) = waiting(held);
        // Late, exactly right, and ahead.
        for seq in [0, 1, 2, 3, 1_000, 70_000] {
            host.take(talk.segment(seq, 2).flags(RST));
            host.take(talk.segment(seq, 2).flags(RST | ACK));
        }
        host.wait(secs(1));
        let answer = host.take(talk.segment(1, 2).flags(FIN | ACK));
        assert!(answer[0].is(ACK) && talk.numbers(&answer[0]) == (2, 2), "held {held}: {answer:?}");
    }
}

#[test]
fn rfc_1337_late_data_is_answered_and_never_delivered() {
    for held in [true, false] {
        let (mut host, talk) = waiting(held);
        let answer = host.take(talk.segment(1, 1).data(b"late"));
        assert!(answer.iter().all(|answer| answer.is(ACK)), "held {held}: {answer:?}");
        if held {
            assert!(host.received(&talk).is_empty());
        }
        assert_eq!(host.stack.buffered_bytes(), 0);
    }
}

#[test]
fn a_reset_does_not_move_the_urgent_mark_in_what_is_still_to_be_read() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(1, 1).data(b"abcde").urgent(3));
    assert_eq!(host.stack.connection(talk.id).urgent_mark(), Some(3));
    host.take(talk.segment(6, 1).flags(RST));
    assert_eq!(host.stack.state(talk.id).name(), "closed");
    assert_eq!(
        (host.received(&talk), host.stack.connection(talk.id).urgent_mark()),
        (b"abcde".to_vec(), Some(3))
    );
}

#[test]
fn a_handshake_for_which_there_is_no_room_any_more_keeps_no_memory() {
    let mut host = host_with(1_500, |config| config.max_connections = 1);
    host.listen(None, PORT, 1);
    let ours = blank(0, 5_000);
    let syn = Segment { ack: 0, seq: IRS, ..ours.clone().flags(SYN).options(&MSS_1000) };
    let [answer] = &host.take(syn)[..] else { panic!("no SYN-ACK") };
    let ack = Segment { seq: IRS.wrapping_add(1), ack: answer.seq.wrapping_add(1), ..ours.flags(ACK) };
    host.stack.connect(host.now, at(HOST[0], 0), at(PEER[0], 9)).expect("there is room for one");
    host.take(ack.data(b"text"));
    assert_eq!((host.stack.buffered_bytes(), host.stack.connection_count()), (0, 1));
}

#[test]
fn an_abort_sends_one_reset_and_leaves_nothing() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.send(&talk, &[7; 50_000]);
    host.take(talk.segment(11, 1).data(b"behind a gap"));
    host.stack.abort(host.now, talk.id);
    let [reset] = &host.sent()[..] else { panic!("one segment") };
    assert!(reset.flags & RST != 0 && reset.payload.is_empty());
    host.stack.release(host.now, talk.id);
    assert!(host.wait(secs(3_600)).is_empty());
    assert_eq!((host.stack.buffered_bytes(), host.stack.connection_count()), (0, 0));
}

/// A connection with timestamps, and the options of the peer's segments from then on.
fn stamped() -> (Host, impl Fn(u32, u32) -> Segment, wharf_stack::stack::ConnId) {
    let mut host = host(|settings| settings.timestamps = true);
    let offer = [2, 4, 3, 0xe8, 1, 1, 8, 10, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let answer = host.take(Segment { seq: IRS, ..blank(0, 5_000).flags(SYN).options(&offer) }).remove(0);
    let echo = answer.option(8).unwrap()[..4].to_vec();
    let segment = move |seq: u32, stamp: u32| {
        let options = [&[1, 1, 8, 10][..], &stamp.to_be_bytes(), &echo].concat();
        Segment {
            seq: IRS.wrapping_add(seq),
            ack: answer.seq.wrapping_add(1),
            ..blank(0, 5_000).options(&options)
        }
    };
    host.take(segment(1, 0x8000_0000));
    let Some(&Event::Connected(id)) = host.events.last() else { panic!("no connection") };
    (host, segment, id)
}

#[test]
fn paws_rejects_what_is_older_and_forgets_after_24_days() {
    const DAY: u64 = 86_400;
    for (idle, taken) in [(1, false), (DAY, false), (23 * DAY, false), (25 * DAY, true), (40 * DAY, true)] {
        let (mut host, segment, id) = stamped();
        host.wait(secs(idle));
        // The peer's clock has gone round: half of all numbers are older than the last.
        host.take(segment(1, 0x7fff_ffff).data(b"old?"));
        let received: Vec<u8> = host.stack.received(id).0.flatten().copied().collect();
        assert_eq!(received, if taken { &b"old?"[..] } else { b"" }, "RFC 7323, section 5.5, after {idle} s");
    }
}

/// A large segment, as a device hands it on that has put many together.
fn take_large(host: &mut Host, segment: &Segment, gso_size: u16) -> Vec<Segment> {
    let packet = segment.bytes();
    let frame = FrameIn { bytes: &packet, checksum: ChecksumIn::Trusted, gso_size };
    host.stack.handle_frames(host.now, &[frame], &mut |_: DatagramIn<'_>| {});
    host.sent()
}

fn counted(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn sixty_four_kibibytes_in_one_frame_are_delivered_once_whatever_they_are_said_to_be_made_of() {
    for family in [0, 1] {
        // The most that an IPv4 packet holds, and tails of all sizes.
        for len in [1_000, 1_001, 1_999, 2_000, 30_001, 65_000, 65_495] {
            for gso_size in [0, 1, 536, 1_000, 1_448, 0xffff] {
                let mut host = host(|_| {});
                let talk = host.opened_with(family, &MSS_1000);
                let data = counted(len);
                let answers = take_large(&mut host, &talk.segment(1, 1).data(&data), gso_size);
                assert!(answers.len() <= 2, "{} answers", answers.len());
                assert!(host.received(&talk) == data, "{len} in {gso_size}");
                host.wait(ms(50));
                assert!(take_large(&mut host, &talk.segment(1, 1).data(&data), gso_size).len() <= 2);
                assert_eq!(host.received(&talk).len(), len, "twice is once");
            }
        }
    }
}

#[test]
fn flags_of_a_large_frame_count_once_and_at_its_end() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let data = counted(10_001);
    take_large(&mut host, &talk.segment(1, 1).data(&data).flags(FIN | ACK | PSH), 1_000);
    assert!(host.received(&talk) == data && host.stack.connection(talk.id).peer_has_finished());
    assert_eq!(host.stack.state(talk.id).name(), "close_wait");
    // A SYN or a RST across many is one that a peer could send alone.
    for flags in [SYN | ACK, RST | ACK] {
        let mut host = bench::host(|_| {});
        let talk = host.opened();
        take_large(&mut host, &talk.segment(501, 1).data(&data).flags(flags), 1_000);
        assert_eq!((host.received(&talk).len(), host.stack.state(talk.id).name()), (0, "established"));
    }
}

#[test]
fn a_large_frame_beyond_the_window_is_cut_at_its_edge() {
    let mut host = host(|settings| settings.receive_buffer = 20_000);
    let talk = host.opened();
    let window = usize::from(talk.syn_ack.window);
    take_large(&mut host, &talk.segment(1, 1).data(&counted(60_000)), 1_000);
    let received = host.received(&talk);
    assert!(
        received.len() <= window && received == counted(received.len()),
        "{} of {window}",
        received.len()
    );
    assert!(received.len() >= window - 1_000);
}

#[test]
fn single_bytes_with_gaps_take_no_more_memory_than_the_window_and_no_more_ranges_than_512() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let mut most = 0;
    for round in 0..3_u32 {
        for at in 0..32_000 {
            let answers = host.take(talk.segment(3 + 2 * at + (round & 1), 1).data(b"x"));
            assert!(answers.len() <= 1);
            most = most.max(host.stack.buffered_bytes());
        }
    }
    assert!(most <= 2 * 65_536, "{most} bytes for a window of 65,535");
    // What fills the gaps is taken all the same, and gives the memory back as it is read.
    // A large segment over many of them fills a few at a time; the peer sends the rest again.
    let data = [b'y'; 40_000];
    for _ in 0..64 {
        let held = host.received(&talk).len();
        if let Some(rest) = data.get(held..) {
            host.take(talk.segment(1 + held as u32, 1).data(rest));
        }
    }
    assert!(host.received(&talk).len() >= data.len(), "{}", host.received(&talk).len());
    host.read(&talk, 65_535);
    host.wait(ms(100));
    host.take(talk.segment(1, 1).flags(RST));
    host.stack.abort(host.now, talk.id);
    host.sent();
    assert_eq!(host.stack.buffered_bytes(), 0);
}

#[test]
fn a_thousand_gappy_connections_share_one_bound() {
    let mut host = host_with(1_500, |config| config.buffer_limit = 1 << 20);
    host.listen(None, PORT, 1);
    for port in 1_000..2_000 {
        let answer =
            host.take(Segment { seq: IRS, ..blank(0, port).flags(SYN).options(&MSS_1000) }).remove(0);
        let segment = |seq: u32| Segment {
            seq: IRS.wrapping_add(seq),
            ack: answer.seq.wrapping_add(1),
            ..blank(0, port)
        };
        host.take(segment(1));
        for at in 1..20 {
            host.take(segment(1 + 3_000 * at).data(b"far apart"));
        }
        assert!(host.stack.buffered_bytes() <= 1 << 20, "{}", host.stack.buffered_bytes());
    }
}

#[test]
fn acknowledgments_of_what_was_not_sent_open_no_window() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let first = host.send(&talk, &[1; 60_000]);
    let window = sizes(&first).iter().sum::<usize>();
    let before = host.stack.connection(talk.id).info(host.now);
    for beyond in [1, 1_000, 30_000, 0x7fff_0000] {
        let sent = host.take(talk.segment(1, 1 + window as u32 + beyond));
        assert!(sizes(&sent).is_empty(), "it sends more for {beyond}");
    }
    let after = host.stack.connection(talk.id).info(host.now);
    assert_eq!((before.snd_cwnd, before.unacked), (after.snd_cwnd, after.unacked));
}

#[test]
fn acknowledgments_in_small_steps_open_the_window_no_faster() {
    // RFC 3465: by bytes, not by segments (Savage et al., "TCP Congestion Control with a Misbehaving Receiver").
    let grown = |steps: u32| {
        let mut host = host(|_| {});
        let talk = host.opened();
        host.send(&talk, &[1; 60_000]);
        for step in 1..=steps {
            host.take(talk.segment(1, 1 + 1_000 * step / steps));
        }
        host.stack.connection(talk.id).info(host.now).snd_cwnd
    };
    assert!(grown(1_000) <= grown(1) + 1, "{} and {}", grown(1_000), grown(1));
}

/// Everything that a host sends, to the byte.
fn raw(host: &mut Host, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let frames: Vec<FrameIn<'_>> = packets.iter().map(|packet| FrameIn::plain(packet)).collect();
    host.stack.handle_frames(host.now, &frames, &mut |_: DatagramIn<'_>| {});
    let mut sent = wire::Frames::default();
    host.stack.poll_frames(host.now, &mut sent);
    sent.0.into_iter().map(|(packet, _)| packet).collect()
}

/// A UDP datagram to a closed port of the host.
fn knock(from: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 29, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend_from_slice(&from);
    packet.extend_from_slice(&[10, 0, 2, 1, 0x13, 0x88, 0, 9, 0, 9, 0, 0, b'?']);
    let right = !wire::sum(&[&packet[..20]]);
    packet[10..12].copy_from_slice(&right.to_be_bytes());
    packet
}

/// What an attacker does who has a connection of his own, and guesses at nothing else.
fn probe(host: &mut Host, own: &Talk) {
    for round in 0..300_u32 {
        let probes = [
            own.segment(100 + round, 1).flags(RST).bytes(),
            own.segment(100 + round, 1).flags(SYN).bytes(),
            own.segment(1, 5_000 + round).bytes(),
            own.segment(0, 1).data(b"again").bytes(),
            knock([10, 0, 2, 77]),
            Segment { seq: round, ..blank(0, 7_000).flags(ACK) }.bytes(),
        ];
        raw(host, &probes);
    }
}

/// What the victim's connection and its neighbours get for whatever comes; whether an attacker was there must not show.
fn seen_by_the_victim(attacked: bool) -> Vec<Vec<Vec<u8>>> {
    let mut host = host(|_| {});
    let attacker = host.opened_with(0, &MSS_1000);
    let answer = host.take(Segment { seq: IRS, ..blank(0, 6_000).flags(SYN).options(&MSS_1000) }).remove(0);
    let victim = Talk { iss: answer.seq, port: 6_000, ..attacker.clone() };
    host.take(victim.segment(1, 1));
    let Some(&Event::Connected(id)) = host.events.last() else { panic!("no connection") };
    let victim = Talk { id, ..victim };
    host.wait(secs(1));
    if attacked {
        probe(&mut host, &attacker);
    }
    let mut seen = Vec::new();
    for round in 0..100 {
        seen.push(raw(&mut host, &[victim.segment(50 + round, 1).flags(RST).bytes()]));
        seen.push(raw(&mut host, &[victim.segment(50 + round, 1).flags(SYN).bytes()]));
        seen.push(raw(&mut host, &[victim.segment(1, 9_000 + round).bytes()]));
        seen.push(raw(&mut host, &[knock([10, 0, 2, 2])]));
    }
    seen.push(raw(&mut host, &[victim.segment(1, 1).data(b"honest").bytes()]));
    host.stack.send(host.now, victim.id, b"answer");
    seen.push(raw(&mut host, &[]));
    seen
}

#[test]
fn probes_of_one_flow_show_nothing_of_another() {
    let (quiet, attacked) = (seen_by_the_victim(false), seen_by_the_victim(true));
    let answered = quiet.iter().filter(|sent| !sent.is_empty()).count();
    assert!((10..300).contains(&answered), "limits are at work: {answered} answers");
    for (at, (quiet, attacked)) in quiet.iter().zip(&attacked).enumerate() {
        assert_eq!(quiet, attacked, "the attacker shows at {at}");
    }
}

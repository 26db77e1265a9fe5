//! Checksums, sequence numbers and acknowledgments (RFC 9293, sections 3.1, 3.4.1 and 3.8.6.3).

use wharf_table::DropReason;
use wharf_table::hash::HashKey;

use crate::bench::*;

#[test]
fn must_2_every_segment_has_its_checksum() {
    for family in [0, 1] {
        let mut host = host(|_| {});
        let talk = host.opened_with(family, &MSS_1000);
        // Reading them looks at the checksum; an odd length too.
        assert_eq!(host.send(&talk, &[0xff; 4_501]).len(), 5);
        host.stack.abort(host.now, talk.id);
        assert_eq!(host.sent().len(), 1);
        assert_eq!(host.take(talk.segment(1, 1)).len(), 1, "a RST for no connection");
    }
}

#[test]
fn must_3_a_wrong_checksum_is_noticed() {
    for family in [0, 1] {
        let mut host = host(|_| {});
        let talk = host.opened_with(family, &MSS_1000);
        for wrong_by in [1, 0x100, 0x7fff] {
            let damaged = Segment { wrong_by, ..talk.segment(1, 1).data(b"damaged") };
            assert!(host.take(damaged).is_empty());
        }
        assert!(host.received(&talk).is_empty());
        assert_eq!(host.stack.drops().of(DropReason::TransportChecksum), 3);
    }
}

fn first_number(host: &mut Host) -> u32 {
    let iss = host.take(Segment { seq: IRS, ..blank(0, 5_000).flags(SYN) })[0].seq;
    host.take(Segment { seq: IRS.wrapping_add(1), ..blank(0, 5_000).flags(RST) });
    iss
}

#[test]
fn must_8_initial_sequence_numbers_follow_a_clock() {
    let mut host = host(|_| {});
    let first = first_number(&mut host);
    host.wait(secs(1));
    let second = first_number(&mut host);
    assert_eq!(second.wrapping_sub(first), 250_000, "one in 4 us");
}

#[test]
fn must_9_and_nobody_outside_can_compute_them() {
    let numbers: Vec<u32> = (0..64_u8)
        .map(|key| {
            let mut host = host_with(1_500, |config| config.isn_key = HashKey::new([key; 16]));
            host.listen(None, PORT, 1);
            first_number(&mut host)
        })
        .collect();
    let mut differences: Vec<u32> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    differences.sort_unstable();
    differences.dedup();
    assert!(differences.len() > 60, "with another key they are others");
    // Nor can who knows the number of one tuple tell that of the next.
    let mut host = host(|_| {});
    let of = |host: &mut Host, port| host.take(Segment { seq: IRS, ..blank(0, port).flags(SYN) })[0].seq;
    let mut steps: Vec<u32> =
        (6_000..6_064).map(|port| of(&mut host, port + 1).wrapping_sub(of(&mut host, port))).collect();
    steps.sort_unstable();
    steps.dedup();
    assert!(steps.len() > 60);
}

#[test]
fn must_40_an_acknowledgment_waits_less_than_half_a_second() {
    let mut host = host(|_| {});
    let talk = host.opened();
    // Behind the first, which are acknowledged at once.
    let mut at = 1;
    for _ in 0..30 {
        host.take(talk.segment(at, 1).data(&[1; 1_000]));
        at += 1_000;
        host.read(&talk, 1_000);
        host.wait(secs(2));
    }
    let mut sent = host.take(talk.segment(at, 1).data(b"small"));
    sent.extend(host.wait(ms(499)).into_iter().map(|(_, segment)| segment));
    assert_eq!(sent.iter().map(|segment| talk.numbers(segment).1).max(), Some(at + 5));
    // Of full-sized segments at least every second one (SHLD-19).
    at += 5;
    let mut acknowledgments = 0;
    for _ in 0..20 {
        acknowledgments += host.take(talk.segment(at, 1).data(&[1; 1_000])).len();
        at += 1_000;
    }
    assert!(acknowledgments >= 10, "{acknowledgments}");
}

#[test]
fn must_58_an_acknowledgment_goes_along_with_data() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let batch = [talk.segment(1, 1).data(&[1; 1_000]), talk.segment(1_001, 1).data(&[2; 1_000])];
    let packets: Vec<Vec<u8>> = batch.iter().map(Segment::bytes).collect();
    let frames: Vec<_> =
        packets.iter().map(|packet| wharf_stack::interface::FrameIn::plain(packet)).collect();
    host.stack.handle_frames(host.now, &frames, &mut |_: wharf_stack::stack::DatagramIn<'_>| {});
    let sent = host.send(&talk, b"answer");
    assert_eq!(sent.len(), 1, "acknowledgment and answer are one segment");
    assert_eq!((talk.numbers(&sent[0]), &sent[0].payload[..]), ((1, 2_001), &b"answer"[..]));
}

#[test]
fn must_59_all_that_has_come_is_taken_before_it_is_acknowledged() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let batch: Vec<Segment> =
        (0..8).map(|at| talk.segment(1 + 1_000 * at, 1).data(&[at as u8; 1_000])).collect();
    let sent = host.take_all(&batch);
    assert_eq!(sent.iter().map(|segment| talk.numbers(segment).1).collect::<Vec<_>>(), [8_001]);
}

//! When and what is acknowledged; what is reported of data out of order; how the window opens.

use wharf_table::DropReason;

use super::bench::*;
use crate::buffer::{CHUNK, ChunkPool};
use crate::tcp::*;

static TEXT: [u8; 65_000] = [3; 65_000];

fn text(len: usize) -> &'static [u8] {
    &TEXT[..len]
}

#[test]
fn one_small_segment_waits_40_ms_for_company() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(b"hello")).expect("good");
    bench.silent();
    assert_eq!(bench.expire(), ms(40));
    assert_eq!(bench.one().ack(), 6);
    assert_eq!(bench.conn.poll_timeout(), None);
}

#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut bench = Bench::plain();
    for pair in 0..5 {
        bench.take(ack(1 + pair * 2_000, 1).data(text(1_000))).expect("good");
        bench.silent();
        bench.take(ack(1_001 + pair * 2_000, 1).data(text(1_000))).expect("good");
        assert_eq!(bench.one().ack(), 2_001 + pair * 2_000);
    }
}

#[test]
fn many_segments_in_one_are_acknowledged_at_once_and_a_batch_only_once() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(text(20_000))).expect("good");
    assert_eq!(bench.one().ack(), 20_001);
    for at in 0..10 {
        bench.take(ack(20_001 + at * 1_000, 1).data(text(1_000))).expect("good");
    }
    assert_eq!(bench.one().ack(), 30_001);
}

#[test]
fn without_delay_everything_is_acknowledged_at_once() {
    let mut bench = Bench::established(&Settings { delayed_ack: false, ..plain() });
    bench.take(ack(1, 1).data(b"x")).expect("good");
    assert_eq!(bench.one().ack(), 2);
}

#[test]
fn data_carries_the_acknowledgment() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(b"ask")).expect("good");
    bench.send(b"answer");
    let sent = bench.one();
    assert_eq!((sent.ack(), sent.payload.as_slice()), (4, b"answer".as_slice()));
    bench.wait(ms(100));
    bench.silent();
}

#[test]
fn each_arrival_out_of_order_has_an_acknowledgment_of_its_own() {
    for sack in [false, true] {
        let mut bench = Bench::plain_with_sack(sack);
        bench.take(ack(1, 1).data(text(1_000))).expect("good");
        for at in [2_001, 3_001, 4_001] {
            bench.take(ack(at, 1).data(text(1_000))).expect("good");
        }
        let acks: std::vec::Vec<u32> = bench.sent().iter().map(Sent::ack).collect();
        assert_eq!(acks, [1_001; 4], "one for the data in order, three that a sender counts");
        bench.take(ack(1_001, 1).data(text(1_000))).expect("good");
        assert_eq!(bench.one().ack(), 5_001);
        assert_eq!(bench.received().len(), 5_000);
    }
}

#[test]
fn an_advance_takes_the_place_of_duplicates_that_were_due() {
    let mut bench = Bench::plain();
    for at in [1_001, 2_001, 3_001, 1] {
        bench.take(ack(at, 1).data(text(1_000))).expect("good");
    }
    assert_eq!(bench.one().ack(), 4_001);
}

#[test]
fn blocks_tell_the_latest_arrival_first() {
    let mut bench = Bench::plain();
    for (at, blocks) in [
        (2_001, [(2_001, 3_001)].as_slice()),
        (6_001, &[(6_001, 7_001), (2_001, 3_001)]),
        (4_001, &[(4_001, 5_001), (6_001, 7_001), (2_001, 3_001)]),
        (3_001, &[(2_001, 5_001), (6_001, 7_001)]),
    ] {
        bench.take(ack(at, 1).data(text(1_000))).expect("good");
        assert_eq!(bench.one().blocks(), blocks);
    }
    bench.take(ack(1, 1).data(text(2_000))).expect("good");
    let sent = bench.one();
    assert_eq!((sent.ack(), sent.blocks()), (5_001, std::vec![(6_001, 7_001)]));
}

/// RFC 2883, section 4.
#[test]
fn duplicates_are_reported() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(text(2_000))).expect("good");
    bench.sent();
    assert_eq!(bench.take(ack(501, 1).data(text(500))), Err(DropReason::Duplicate));
    assert_eq!(bench.one().blocks(), [(501, 1_001)], "4.1.1: a duplicate of what was acknowledged");
    bench.take(ack(3_001, 1).data(text(1_000))).expect("good");
    bench.sent();
    bench.take(ack(3_001, 1).data(text(1_000))).expect("good");
    assert_eq!(bench.one().blocks(), [(3_001, 4_001), (3_001, 4_001)], "4.2: of what is held out of order");
    bench.take(ack(1_501, 1).data(text(1_000))).expect("good");
    let sent = bench.one();
    assert_eq!(
        (sent.ack(), sent.blocks()),
        (2_501, std::vec![(1_501, 2_001), (3_001, 4_001)]),
        "4.2.1: a part"
    );
}

#[test]
fn who_does_no_sack_hears_no_blocks() {
    let mut bench = Bench::plain_with_sack(false);
    bench.take(ack(2_001, 1).data(text(1_000))).expect("good");
    bench.take(ack(2_001, 1).data(text(1_000))).expect("good");
    assert!(bench.sent().iter().all(|sent| sent.blocks().is_empty()));
}

#[test]
fn the_first_that_comes_stays() {
    let mut bench = Bench::plain();
    bench.take(ack(5, 1).data(b"5678")).expect("good");
    bench.take(ack(3, 1).data(b"xxXXXXXXyy")).expect("good");
    bench.take(ack(1, 1).data(b"12zz")).expect("good");
    assert_eq!(bench.received(), b"12xx5678XXyy");
}

#[test]
fn a_fin_before_its_text_waits() {
    let mut bench = Bench::plain();
    bench.take(ack(6, 1).flags(FIN | ACK).data(b"world")).expect("good");
    assert_eq!(bench.conn.state(), State::Established);
    assert_eq!(bench.one().ack(), 1);
    bench.take(ack(1, 1).data(b"hello")).expect("good");
    assert_eq!(
        (bench.received().as_slice(), bench.conn.state()),
        (b"helloworld".as_slice(), State::CloseWait)
    );
    assert_eq!(bench.one().ack(), 12);
}

#[test]
fn a_window_that_was_closed_opens_by_a_worthwhile_step() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(text(65_000))).expect("good");
    bench.take(ack(65_001, 1).data(text(535))).expect("good");
    assert_eq!(bench.one().header.window, 0);
    // A sixteenth of the buffer at least, as in Linux.
    bench.consume(4_000);
    bench.silent();
    bench.consume(1_000);
    assert_eq!(bench.one().header.window, 5_000 - 5_000 % 536, "whole segments, where there is no scale");
    bench.consume(500);
    bench.silent();
    bench.consume(60_035);
    assert_eq!(bench.one().header.window, 65_535 - 65_535 % 536);
}

#[test]
fn a_fast_reader_is_given_a_larger_window() {
    let settings = Settings { window_scale: true, ..plain() };
    let mut bench = Bench::established(&settings);
    let mut largest = 0;
    for at in 0..100 {
        bench.take(ack(1 + at * 50_000, 1).data(text(50_000))).expect("good");
        bench.consume(50_000);
        largest = bench.sent().iter().map(|sent| u32::from(sent.header.window) << 5).max().unwrap_or(largest);
    }
    assert!(((1 << 20) - 50_000..=1 << 20).contains(&largest), "but for what waits: {largest}");
}

#[test]
fn without_memory_the_sender_hears_that_nothing_came() {
    let mut bench = Bench::plain();
    bench.pool = ChunkPool::new(2 * CHUNK);
    assert_eq!(bench.take(ack(1, 1).data(text(40_000))), Err(DropReason::NoBuffer));
    assert_eq!(bench.one().ack(), 1 + 2 * CHUNK as u32, "what there was room for is taken");
    bench.consume(CHUNK);
    bench.take(ack(1 + 2 * CHUNK as u32, 1).data(text(7_232))).expect("now there is room");
    assert_eq!(bench.received().len(), CHUNK + 7_232);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 752, "{}", size_of::<Connection>());
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(b"ask")).expect("good");
    bench.consume(3);
    bench.send(b"answer");
    bench.sent();
    bench.take(ack(4, 7)).expect("good");
    assert_eq!(bench.pool.in_use(), 0);
    assert!(bench.conn.recovery.is_none() && bench.conn.out_of_order.is_none());
}

/// The first sixteen segments, as Linux has it (TCP_MAX_QUICKACKS).
#[test]
fn acknowledgments_are_quick_at_first() {
    let mut bench = Bench::fresh(&plain());
    for at in 0..16 {
        bench.take(ack(1 + at * 1_000, 1).data(text(1_000))).expect("good");
        assert_eq!(bench.one().ack(), 1_001 + at * 1_000);
    }
    bench.take(ack(16_001, 1).data(text(1_000))).expect("good");
    bench.silent();
    assert_eq!(bench.take(ack(16_001, 1).data(text(500))), Err(DropReason::Duplicate));
    bench.sent();
    bench.take(ack(17_001, 1).data(text(1_000))).expect("good");
    assert_eq!(bench.one().ack(), 18_001, "and again after a duplicate");
}

#[test]
fn who_answers_takes_the_acknowledgment_along_from_then_on() {
    let mut bench = Bench::fresh(&plain());
    bench.take(ack(1, 1).data(b"ask")).expect("good");
    assert_eq!(bench.one().ack(), 4, "nobody knows yet");
    bench.send(b"answer");
    bench.sent();
    bench.take(ack(4, 7).data(b"ask")).expect("good");
    bench.silent();
    bench.consume(6);
    bench.silent();
    bench.send(b"answer");
    assert_eq!(bench.one().ack(), 7);
}

#[test]
fn a_delay_in_vain_is_longer_the_next_time_but_no_longer_than_a_round_trip() {
    let mut bench = Bench::established_after(&plain(), ms(100));
    let mut waits = std::vec::Vec::new();
    for at in 0..4 {
        bench.take(ack(1 + at, 1).data(b"x")).expect("good");
        waits.push(bench.expire());
        assert_eq!(bench.one().ack(), 2 + at);
    }
    assert_eq!(waits[..2], [ms(40), ms(80)]);
    assert!(waits[2..].iter().all(|&wait| wait <= ms(100)), "{waits:?}");
}

#[test]
fn what_is_read_and_not_answered_is_acknowledged() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(b"hello")).expect("good");
    bench.silent();
    bench.consume(2);
    bench.silent();
    bench.consume(3);
    assert_eq!(bench.one().ack(), 6);
}

#[test]
fn the_owner_may_ask_for_quick_acknowledgments() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(b"hello")).expect("good");
    bench.silent();
    let (conn, mut cx) = bench.cx();
    conn.change(&mut cx, Change::QuickAck(true));
    assert_eq!(bench.one().ack(), 6);
}

//! What leaves and when: segments, Nagle, silly windows, closed windows, offload.

use core::time::Duration;

use super::bench::*;
use crate::tcp::*;

fn with_nagle() -> Bench {
    Bench::established(&Settings { nagle: true, ..plain() })
}

#[test]
fn the_initial_window_is_ten_segments() {
    let mut bench = Bench::plain();
    bench.send(&[0; 30_000]);
    let sent = bench.sent();
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().zip(0..).all(|(sent, at)| sent.shape() == (1 + at * 1_000, 1_000, ACK)));
}

#[test]
fn the_last_of_the_data_is_pushed() {
    let mut bench = Bench::plain();
    bench.send(&[0; 2_500]);
    let pushed: std::vec::Vec<bool> =
        bench.sent().iter().map(|sent| sent.header.flags.contains(wharf_wire::tcp::TcpFlags::PSH)).collect();
    assert_eq!(pushed, [false, false, true]);
}

#[test]
fn a_device_that_cuts_is_given_one_large_segment() {
    let mut bench =
        Bench::established(&Settings { max_segment: MAX_OFFLOAD_SEGMENT, timestamps: true, ..plain() });
    bench.send(&[0; 200_000]);
    let sent = bench.sent();
    // Ten segments of 1000 bytes, of which 12 are options, hold ten times 988 bytes and not eleven times.
    assert_eq!(sent.iter().map(|sent| sent.payload.len()).sum::<usize>(), 9_880);
    assert_eq!((sent.len(), sent[0].gso_size), (1, Some(988)));
    bench.take(ack(1, 9_881).timestamps(1_001, 5_000)).expect("good");
    assert_eq!(bench.one().payload.len() % 988, 0);
}

#[test]
fn a_small_peer_segment_size_is_kept_to_options_counted() {
    let mut bench = Bench::connecting(&Settings { timestamps: true, ..plain() });
    bench.sent();
    let mut syn_ack = ack(0, 1).flags(SYN | ACK).timestamps(7, 5_000);
    syn_ack.options.mss = Some(500);
    bench.take(syn_ack).expect("good");
    bench.sent();
    bench.send(&[0; 2_000]);
    assert!(bench.sent().iter().take(4).all(|sent| sent.payload.len() == 488));
}

#[test]
fn blocks_that_ride_on_data_make_room_for_themselves() {
    let mut bench = Bench::plain();
    bench.take(ack(11, 1).data(b"later")).expect("good");
    bench.send(&[0; 3_000]);
    let sent = bench.sent();
    assert_eq!((sent[0].payload.len(), sent[0].blocks().len()), (0, 1), "the duplicate ACK by itself");
    assert_eq!((sent[1].payload.len(), sent[1].blocks().len()), (1_000 - 12, 1));
}

#[test]
fn nagle_holds_a_second_small_segment_until_the_first_is_acknowledged() {
    let mut bench = with_nagle();
    bench.send(b"one");
    assert_eq!(bench.shapes(), [(1, 3, ACK)]);
    bench.send(b"two");
    bench.silent();
    bench.send(b"three");
    bench.silent();
    bench.take(ack(1, 4)).expect("good");
    assert_eq!(bench.shapes(), [(4, 8, ACK)]);
}

#[test]
fn nagle_lets_full_segments_and_the_last_of_a_finished_stream_go() {
    let mut bench = with_nagle();
    bench.send(b"one");
    bench.sent();
    bench.send(&[0; 1_500]);
    assert_eq!(bench.shapes(), [(4, 1_000, ACK)]);
    bench.conn.shutdown();
    assert_eq!(bench.shapes(), [(1_004, 500, ACK | FIN)]);
}

#[test]
fn a_tail_behind_full_segments_does_not_wait() {
    let mut bench = with_nagle();
    bench.send(&[0; 2_500]);
    assert_eq!(bench.sent().len(), 3, "no small segment is on its way, as Linux has it");
}

#[test]
fn without_nagle_small_segments_leave_at_once() {
    let mut bench = Bench::plain();
    for at in 0..5 {
        bench.send(b"x");
        assert_eq!(bench.shapes(), [(1 + at, 1, ACK)]);
    }
}

#[test]
fn a_window_that_is_too_small_to_be_worth_a_segment_waits_and_then_is_used() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).window(400)).expect("good");
    bench.send(&[0; 5_000]);
    bench.silent();
    assert!(bench.expire() >= ms(200), "the override of silly-window avoidance");
    assert_eq!(bench.shapes(), [(1, 400, ACK)]);
    bench.take(ack(1, 401).window(3_000)).expect("good");
    assert_eq!(bench.shapes(), [(401, 1_000, ACK), (1_401, 1_000, ACK), (2_401, 1_000, ACK)]);
}

#[test]
fn half_of_the_largest_window_is_worth_a_segment() {
    let mut bench = Bench::connecting(&plain());
    bench.sent();
    let mut syn_ack = ack(0, 1).flags(SYN | ACK).window(600);
    syn_ack.options.mss = Some(MSS);
    bench.take(syn_ack).expect("good");
    bench.sent();
    bench.send(&[0; 5_000]);
    assert_eq!(bench.shapes(), [(1, 300, ACK), (301, 300, ACK)], "in pairs, which are acknowledged at once");
    bench.take(ack(1, 601).window(299)).expect("good");
    bench.silent();
    bench.take(ack(1, 601).window(300)).expect("good");
    assert_eq!(bench.shapes(), [(601, 300, ACK)]);
}

#[test]
fn a_closed_window_is_probed_for_ever_while_the_peer_answers() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).window(0)).expect("good");
    bench.send(&[0; 5_000]);
    bench.silent();
    let mut last = Duration::ZERO;
    for _ in 0..60 {
        let waited = bench.expire();
        assert!(waited >= last && waited <= Duration::from_secs(120), "{waited:?} after {last:?}");
        last = waited;
        let probe = bench.one();
        assert_eq!(probe.shape(), (0, 0, ACK), "a number before the window, which has to be answered");
        bench.take(ack(1, 1).window(0)).expect("good");
        bench.silent();
    }
    assert_eq!(last, Duration::from_secs(120));
    bench.take(ack(1, 1).window(2_000)).expect("good");
    assert_eq!(bench.shapes(), [(1, 1_000, ACK), (1_001, 1_000, ACK)]);
}

#[test]
fn a_closed_window_of_a_peer_that_is_gone_is_given_up() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).window(0)).expect("good");
    bench.send(b"x");
    bench.silent();
    let mut probes = 0;
    while !bench.conn.is_closed() {
        bench.expire();
        probes += bench.sent().len();
    }
    assert_eq!((probes, bench.conn.closed_by()), (15, CloseReason::TimedOut));
}

#[test]
fn a_fin_waits_for_the_window_too() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).window(3)).expect("good");
    bench.send(b"abc");
    bench.conn.shutdown();
    assert_eq!(bench.shapes(), [(1, 3, ACK)]);
    bench.take(ack(1, 4).window(0)).expect("good");
    bench.silent();
    bench.take(ack(1, 4).window(10)).expect("good");
    assert_eq!(bench.shapes(), [(4, 0, ACK | FIN)]);
}

#[test]
fn a_window_that_is_shrunk_is_endured() {
    let mut bench = Bench::plain();
    bench.send(&[0; 8_000]);
    assert_eq!(bench.sent().len(), 8);
    bench.take(ack(1, 2_001).window(1_000)).expect("good");
    bench.silent();
    bench.expire();
    assert_eq!(bench.shapes(), [(7_001, 1_000, ACK)], "a probe of the tail");
    bench.expire();
    assert_eq!(bench.shapes(), [(2_001, 1_000, ACK)], "what it still takes goes again");
    bench.take(ack(1, 3_001).window(60_000)).expect("good");
    assert!(bench.sent().iter().all(|sent| sent.seq() >= 3_001));
}

#[test]
fn room_is_announced_when_it_is_worth_it() {
    let mut bench = Bench::established(&Settings { send_buffer: 8_000, ..plain() });
    let (conn, mut cx) = bench.cx();
    assert_eq!(conn.send(&mut cx, &[0; 9_000]), 8_000);
    assert_eq!(bench.sent().len(), 8);
    bench.take(ack(1, 1_001)).expect("good");
    assert_eq!(bench.conn.take_events(), Events::empty(), "1000 of 8000 are not worth it");
    bench.take(ack(1, 3_001)).expect("good");
    assert_eq!((bench.conn.take_events(), bench.conn.send_room()), (Events::WRITABLE, 3_000));
}

#[test]
fn reading_straight_into_the_queue_is_sending() {
    let mut bench = Bench::plain();
    let (conn, mut cx) = bench.cx();
    let mut spare = conn.send_spare(&mut cx, 100_000);
    assert_eq!(spare.iter().map(|slice| slice.len()).sum::<usize>(), 100_000);
    spare[0][..5].copy_from_slice(b"hello");
    drop(spare);
    conn.send_commit(&mut cx, 5);
    assert_eq!(bench.one().payload, b"hello");
    assert_eq!(bench.pool.in_use(), 1);
}

#[test]
fn an_idle_sender_starts_again_with_the_initial_window() {
    let mut bench = Bench::plain();
    let mut at = 1;
    for _ in 0..4 {
        bench.send(&[0; 20_000]);
        for sent in bench.sent() {
            at = sent.seq() + sent.payload.len() as u32;
            bench.take(ack(1, at)).expect("good");
        }
    }
    while bench.conn.unacknowledged_len() > 0 {
        at = bench.sent().last().map_or(at, |sent| sent.seq() + sent.payload.len() as u32);
        bench.take(ack(1, at)).expect("good");
    }
    bench.wait(ms(2_000));
    bench.send(&[0; 50_000]);
    assert_eq!(bench.sent().len(), 10);
}

/// TCP_CORK of Linux.
#[test]
fn a_cork_holds_small_segments_until_it_is_drawn_or_for_200_ms() {
    let mut bench = Bench::plain();
    let (conn, mut cx) = bench.cx();
    conn.change(&mut cx, Change::Cork(true));
    bench.send(&[0; 1_500]);
    assert_eq!(bench.shapes(), [(1, 1_000, ACK)]);
    bench.take(ack(1, 1_001)).expect("good");
    bench.silent();
    let (conn, mut cx) = bench.cx();
    conn.change(&mut cx, Change::Cork(false));
    assert_eq!(bench.shapes(), [(1_001, 500, ACK)]);
    bench.take(ack(1, 1_501)).expect("good");
    let (conn, mut cx) = bench.cx();
    conn.change(&mut cx, Change::Cork(true));
    bench.send(b"small");
    bench.silent();
    assert_eq!(bench.expire(), ms(200));
    assert_eq!(bench.shapes(), [(1_501, 5, ACK)]);
}

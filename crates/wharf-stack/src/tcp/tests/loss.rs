//! What is lost goes again: by SACK, by duplicate acknowledgments, by the timer.

use core::time::Duration;
use std::vec::Vec;

use super::bench::*;
use super::pair::{GOOD, Link, Pair};
use crate::tcp::*;

/// The round trip of [`ten_on_their_way`].
const RTT: Duration = ms(20);

/// Ten segments of 1000 bytes left a round trip ago: 1, 1001, ... 9001; more is queued.
fn ten_on_their_way(settings: &Settings) -> Bench {
    let mut bench = Bench::established_after(settings, RTT);
    bench.send(&[0; 40_000]);
    assert_eq!(bench.sent().len(), 10);
    bench.wait(RTT);
    bench
}

fn sack() -> Bench {
    ten_on_their_way(&plain())
}

/// The probe and the first segment have left again after it.
fn timed_out() -> Bench {
    let mut bench = sack();
    bench.expire();
    assert_eq!(seqs(&mut bench), [10_001]);
    bench.expire();
    assert_eq!(seqs(&mut bench), [1]);
    bench
}

fn no_sack() -> Bench {
    ten_on_their_way(&Settings { sack: false, congestion: CongestionKind::NewReno, ..plain() })
}

fn seqs(bench: &mut Bench) -> Vec<u32> {
    bench.sent().iter().map(Sent::seq).collect()
}

#[test]
fn three_duplicates_bring_a_fast_retransmit() {
    let mut bench = no_sack();
    bench.take(ack(1, 1)).expect("good");
    assert_eq!(seqs(&mut bench), [10_001], "limited transmit");
    bench.take(ack(1, 1)).expect("good");
    assert_eq!(seqs(&mut bench), [11_001], "limited transmit");
    bench.take(ack(1, 1)).expect("good");
    assert_eq!(seqs(&mut bench)[0], 1);
}

#[test]
fn what_is_no_duplicate_counts_for_nothing() {
    let mut bench = no_sack();
    for segment in [ack(1, 1).window(59_999), ack(1, 1).data(b"data"), ack(5, 1).window(60_000), ack(5, 0)] {
        bench.take(segment).expect("good");
        assert!(bench.sent().iter().all(|sent| sent.seq() > 1));
    }
}

#[test]
fn a_partial_acknowledgment_brings_the_next_loss() {
    let mut bench = no_sack();
    for _ in 0..3 {
        bench.take(ack(1, 1)).expect("good");
    }
    assert!(seqs(&mut bench).contains(&1));
    bench.take(ack(1, 3_001)).expect("good");
    assert_eq!(seqs(&mut bench)[0], 3_001);
    bench.take(ack(1, 10_001)).expect("good");
    assert!(bench.conn.recovery.is_none(), "everything that was on its way has arrived");
    assert_eq!(bench.conn.congestion.window(), bench.conn.congestion.ssthresh());
}

#[test]
fn three_reported_segments_make_the_hole_lost() {
    let mut bench = sack();
    bench.take(ack(1, 1).blocks(&[(1_001, 2_001)])).expect("good");
    bench.take(ack(1, 1).blocks(&[(1_001, 3_001)])).expect("good");
    assert!(seqs(&mut bench).iter().all(|&seq| seq >= 10_001));
    bench.take(ack(1, 1).blocks(&[(1_001, 4_001)])).expect("good");
    assert_eq!(seqs(&mut bench)[0], 1);
}

#[test]
fn one_report_of_much_is_enough() {
    let mut bench = sack();
    bench.take(ack(1, 1).blocks(&[(4_001, 10_001)])).expect("good");
    let resent = seqs(&mut bench);
    assert_eq!(&resent[..2], [1, 1_001]);
}

#[test]
fn each_hole_goes_again_once() {
    let mut bench = sack();
    bench.take(ack(1, 1).blocks(&[(1_001, 3_001), (4_001, 6_001), (7_001, 10_001)])).expect("good");
    let mut resent = seqs(&mut bench);
    for at in 0..3 {
        bench.wait(ms(at));
        bench.take(ack(1, 1).blocks(&[(7_001, 10_001), (1_001, 3_001), (4_001, 6_001)])).expect("good");
        resent.extend(seqs(&mut bench));
    }
    let old: Vec<u32> = resent.into_iter().filter(|&seq| seq < 10_001).collect();
    assert_eq!(old, [1, 3_001, 6_001]);
}

#[test]
fn a_loss_reduces_the_window_once() {
    for (kind, reduced) in [(CongestionKind::Cubic, 7_000), (CongestionKind::NewReno, 5_000)] {
        let mut bench = ten_on_their_way(&Settings { congestion: kind, ..plain() });
        bench.take(ack(1, 1).blocks(&[(1_001, 4_001)])).expect("good");
        bench.sent();
        bench.take(ack(1, 1).blocks(&[(1_001, 4_001), (5_001, 10_001)])).expect("good");
        bench.sent();
        assert_eq!(bench.conn.congestion.ssthresh(), reduced, "{kind:?}");
    }
}

#[test]
fn a_lost_retransmission_is_found_without_the_timer() {
    let mut bench = sack();
    bench.take(ack(1, 1).blocks(&[(1_001, 10_001)])).expect("good");
    let mut sent = seqs(&mut bench);
    assert_eq!(sent[0], 1);
    // What was sent after the retransmission arrives, the retransmission does not.
    let mut reported = 10_001;
    for _ in 0..6 {
        reported = sent.iter().copied().max().map_or(reported, |last| reported.max(last + 1_000));
        bench.take(ack(1, 1).blocks(&[(1_001, reported)])).expect("good");
        sent = seqs(&mut bench);
        if sent.contains(&1) {
            return;
        }
    }
    panic!("segment 1 never went again");
}

#[test]
fn without_an_answer_the_timer_sends_one_segment_ever_more_seldom() {
    let mut bench = sack();
    assert_eq!(bench.expire(), RTT + ms(2), "two round trips after it left, and 2 ms for clocks");
    assert_eq!(bench.shapes(), [(10_001, 1_000, ACK)], "a probe");
    let mut waits = Vec::new();
    for _ in 0..5 {
        waits.push(bench.expire());
        assert_eq!(bench.shapes(), [(1, 1_000, ACK)]);
    }
    assert_eq!(waits[0], RTT + ms(200));
    assert!(waits.windows(2).all(|pair| pair[1] == pair[0] * 2), "{waits:?}");
}

#[test]
fn after_a_timeout_the_rest_follows_by_slow_start() {
    let mut bench = timed_out();
    bench.take(ack(1, 1_001)).expect("good");
    assert_eq!(seqs(&mut bench), [11_001, 12_001], "new data first, to see (RFC 5682, section 2.1, step 2b)");
    bench.take(ack(1, 1_001).blocks(&[(11_001, 12_001)])).expect("good");
    bench.take(ack(1, 1_001).blocks(&[(11_001, 13_001)])).expect("good");
    assert_eq!(seqs(&mut bench), [1_001, 2_001]);
    bench.take(ack(1, 3_001).blocks(&[(11_001, 13_001)])).expect("good");
    assert_eq!(seqs(&mut bench), [3_001, 4_001, 5_001, 6_001]);
    bench.take(ack(1, 13_001)).expect("the rest had arrived");
    assert!(bench.sent().iter().all(|sent| sent.seq() >= 13_001));
}

#[test]
fn after_a_timeout_what_was_reported_does_not_go_again() {
    let mut bench = sack();
    bench.take(ack(1, 1).blocks(&[(2_001, 3_001)])).expect("good");
    bench.sent();
    bench.expire();
    assert_eq!(seqs(&mut bench)[0], 1, "the second was reported, and the first is late enough");
    bench.expire();
    let mut resent = seqs(&mut bench);
    for at in [1_001, 3_001, 5_001, 8_001] {
        bench.take(ack(1, at)).expect("good");
        resent.extend(seqs(&mut bench));
    }
    assert!(resent.contains(&1_001) && !resent.contains(&2_001), "{resent:?}");
}

#[test]
fn a_peer_that_forgets_what_it_reported_gets_it_again() {
    let mut bench = sack();
    bench.take(ack(1, 1).blocks(&[(1_001, 10_001)])).expect("good");
    bench.sent();
    bench.take(ack(1, 1_001)).expect("it acknowledges the hole only");
    bench.sent();
    bench.expire();
    assert_eq!(seqs(&mut bench), [1_001]);
}

#[test]
fn a_dead_peer_is_given_up_after_a_quarter_of_an_hour() {
    let mut bench = sack();
    let start = bench.now;
    let mut resent = 0;
    while !bench.conn.is_closed() {
        bench.expire();
        resent += bench.sent().len();
    }
    assert_eq!((resent, bench.conn.closed_by()), (1 + 15, CloseReason::TimedOut), "a probe and 15 time-outs");
    let took = bench.now.since(start);
    assert!(took > Duration::from_secs(100) && took < Duration::from_secs(1_000), "{took:?}");
}

#[test]
fn a_late_original_takes_the_recovery_back() {
    let mut bench = Bench::established_after(&Settings { timestamps: true, ..plain() }, RTT);
    bench.send(&[0; 40_000]);
    let sent = bench.sent().len();
    let window = bench.conn.congestion.window();
    bench.wait(RTT);
    bench.take(ack(1, 1).timestamps(1_100, 5_020).blocks(&[(989, 4_000)])).expect("good");
    assert_eq!(bench.sent()[0].seq(), 1);
    assert!(bench.conn.congestion.ssthresh() < window);
    bench.take(ack(1, 4_000).timestamps(1_101, 5_020)).expect("the original, whose clock is echoed");
    assert_eq!(bench.conn.congestion.ssthresh(), u32::MAX);
    assert!(bench.conn.congestion.window() >= window && sent == 11 || sent == 10);
}

#[test]
fn a_smaller_path_sends_smaller_segments_again_at_once() {
    let mut bench = sack();
    bench.conn.handle_path_mtu(bench.now, 600, SeqNum::new(ISS + 1));
    let sent = bench.sent();
    assert_eq!(sent[0].shape(), (1, 600, ACK));
    assert_eq!(sent.iter().map(|sent| sent.payload.len()).sum::<usize>(), 10_000, "the window stays");
    bench.conn.handle_path_mtu(bench.now, 40, SeqNum::new(ISS + 1));
    assert_eq!(bench.sent()[0].payload.len(), 512, "a forged one can't do much");
    bench.conn.handle_path_mtu(bench.now, 5_000, SeqNum::new(ISS + 1));
    bench.silent();
}

#[test]
fn the_round_trip_is_measured_once_a_flight_and_never_on_what_went_twice() {
    let mut bench = Bench::plain();
    bench.send(b"x");
    bench.sent();
    bench.wait(ms(80));
    bench.take(ack(1, 2)).expect("good");
    let srtt = Some(Duration::from_micros(10_000));
    assert_eq!(bench.conn.rtt.srtt(), srtt, "an eighth of 80 ms on a first sample of nothing");
    bench.send(b"y");
    bench.sent();
    bench.expire();
    bench.sent();
    bench.wait(ms(50));
    bench.take(ack(1, 3)).expect("good");
    assert_eq!(bench.conn.rtt.srtt(), srtt);
}

#[test]
fn the_round_trip_is_not_measured_on_what_a_report_made_go_again() {
    let mut bench = sack();
    bench.take(ack(1, 1).blocks(&[(1_001, 10_001)])).expect("good");
    assert_eq!(seqs(&mut bench)[0], 1);
    bench.wait(ms(100));
    bench.take(ack(1, 10_001)).expect("good");
    assert_eq!(bench.conn.rtt.srtt(), Some(RTT), "that of the SYN and of what was reported");
}

#[test]
fn one_loss_in_a_long_stream_costs_one_retransmission() {
    let settings = Settings { mss: 1460, max_segment: 1460, ..Settings::default() };
    let mut pair = Pair::new(&settings, &settings, GOOD, 1).with_data(3_000_000, 0);
    pair.run(ms(120), |_| false);
    pair.link = Link { loss: 100, ..GOOD };
    let before = pair.sides[0].segments;
    pair.run(Duration::from_secs(1), |pair| pair.sides[0].segments > before);
    let lost = pair.sides[0].segments - before;
    pair.link = GOOD;
    pair.deliver_all(Duration::from_secs(30));
    let resent = pair.sides[0].payload_sent - 3_000_000;
    assert!(lost > 0 && resent > 0 && resent <= lost * 1_460, "{lost} segments lost, {resent} bytes again");
}

#[test]
fn losses_without_timeouts_keep_the_stream_moving() {
    // 1 % of loss at 20 ms: RFC 5681's formula says 0.9 MB/s, and 14 losses of 200 ms each would be seen.
    for sack in [true, false] {
        let settings = Settings { sack, mss: 1460, max_segment: 1460, ..Settings::default() };
        let link = Link { loss: 1, ..GOOD };
        let mut took = Vec::new();
        for seed in 0..9 {
            let mut pair = Pair::new(&settings, &settings, link, seed).with_data(2_000_000, 0);
            let start = pair.now;
            pair.deliver_all(Duration::from_secs(60));
            took.push(pair.now.since(start));
        }
        took.sort();
        assert!(took[4] < ms(3_000), "SACK {sack}: {took:?}");
    }
}

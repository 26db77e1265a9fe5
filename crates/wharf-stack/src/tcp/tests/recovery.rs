//! Losses told by time, probes, and ways back: tables of segments, named by the rule.

use core::time::Duration;
use std::vec::Vec;

use super::bench::*;
use crate::tcp::*;

const RTT: Duration = ms(20);

/// Ten segments of 1000 bytes left a round trip ago, a tenth of a millisecond apart; `more` bytes wait.
fn ten(settings: &Settings, more: usize) -> Bench {
    let mut bench = Bench::established_after(settings, RTT);
    for _ in 0..10 {
        bench.send(&[0; 1_000]);
        assert_eq!(bench.sent().len(), 1);
        bench.wait(Duration::from_micros(100));
    }
    if more > 0 {
        bench.send(&std::vec![0; more]);
    }
    bench.wait(RTT - ms(1));
    bench.silent();
    bench
}

fn seqs(bench: &mut Bench) -> Vec<u32> {
    bench.sent().iter().map(Sent::seq).collect()
}

/// RFC 8985, section 6.2, step 4: the window is a quarter of the least round trip before anything came out of order.
#[test]
fn rack_one_report_waits_for_the_reordering_window() {
    let mut bench = ten(&plain(), 0);
    bench.take(ack(1, 1).blocks(&[(1_001, 2_001)])).expect("good");
    bench.silent();
    let waited = bench.expire();
    assert!(waited >= ms(4) && waited <= ms(6), "{waited:?}");
    assert_eq!(seqs(&mut bench)[0], 1);
    assert_eq!(bench.conn.congestion.ssthresh(), 7_000);
}

/// The same: three duplicates are enough, and then no time is waited.
#[test]
fn rack_three_reports_are_a_loss_at_once_while_nothing_was_out_of_order() {
    let mut bench = ten(&plain(), 0);
    bench.take(ack(1, 1).blocks(&[(1_001, 4_001)])).expect("good");
    assert_eq!(seqs(&mut bench)[0], 1);
}

/// RFC 8985, section 6.2, step 3.
#[test]
fn rack_reordering_once_seen_makes_it_wait_whatever_the_number() {
    let mut bench = ten(&plain(), 0);
    bench.take(ack(1, 1).blocks(&[(2_001, 3_001)])).expect("good");
    bench.take(ack(1, 1).blocks(&[(1_001, 3_001)])).expect("overtaken");
    assert!(bench.conn.reordering.seen);
    bench.take(ack(1, 1).blocks(&[(1_001, 9_001)])).expect("good");
    bench.silent();
    bench.take(ack(1, 9_001)).expect("it was only late");
    bench.silent();
    assert_eq!(bench.conn.congestion.ssthresh(), u32::MAX);
}

/// RFC 8985, section 7.3 and 7.4.2: new data as probe, answered.
#[test]
fn tlp_new_data_that_is_answered_changes_nothing() {
    let mut bench = ten(&plain(), 2_000);
    let window = bench.conn.congestion.window();
    bench.expire();
    assert_eq!(bench.shapes(), [(10_001, 1_000, ACK)]);
    bench.take(ack(1, 11_001)).expect("good");
    assert!(bench.conn.congestion.window() >= window);
    assert_eq!(bench.conn.congestion.ssthresh(), u32::MAX);
}

/// RFC 8985, section 7.4.2: an acknowledgment beyond the probe without DSACK means that the probe mended a loss.
#[test]
fn tlp_the_last_segment_again_mends_a_loss_and_the_window_falls() {
    let mut bench = ten(&plain(), 0);
    bench.take(ack(1, 9_001)).expect("good");
    let waited = bench.expire();
    assert!(waited >= RTT + ms(200), "a single segment, whose acknowledgment may be delayed: {waited:?}");
    assert_eq!(bench.shapes(), [(9_001, 1_000, ACK)]);
    bench.take(ack(1, 10_001)).expect("good");
    assert_eq!(bench.conn.congestion.ssthresh(), u32::MAX, "not known yet");
    bench.send(&[0; 1_000]);
    bench.sent();
    bench.take(ack(1, 11_001)).expect("good");
    assert!(bench.conn.congestion.ssthresh() <= 14_000);
    assert_eq!(bench.conn.congestion.window(), bench.conn.congestion.ssthresh());
}

/// The same: with DSACK, or with a duplicate acknowledgment, the original had arrived.
#[test]
fn tlp_a_probe_in_vain_costs_nothing() {
    for blocks in [&[(9_001, 10_001)][..], &[]] {
        let mut bench = ten(&plain(), 0);
        bench.take(ack(1, 9_001)).expect("good");
        bench.expire();
        bench.sent();
        bench.take(ack(1, 10_001)).expect("the original");
        bench.take(ack(1, 10_001).blocks(blocks)).expect("the probe");
        bench.send(&[0; 1_000]);
        bench.sent();
        bench.take(ack(1, 11_001)).expect("good");
        assert_eq!(bench.conn.congestion.ssthresh(), u32::MAX, "{blocks:?}");
    }
}

/// RFC 8985, section 8: the probe comes before the time-out, and the time-out counts from the oldest segment.
#[test]
fn tlp_one_probe_and_then_the_time_out() {
    let mut bench = ten(&plain(), 0);
    bench.expire();
    assert_eq!(bench.shapes(), [(9_001, 1_000, ACK)]);
    assert_eq!(bench.expire(), RTT + ms(200), "RTO after the probe");
    assert_eq!(seqs(&mut bench)[0], 1);
}

fn timed_out(settings: &Settings, more: usize) -> Bench {
    let mut bench = ten(settings, more);
    bench.expire();
    bench.sent();
    if settings.sack {
        bench.expire();
        assert_eq!(seqs(&mut bench)[0], 1);
    }
    bench
}

/// RFC 5682, section 3.1, step 3b: what never went again is acknowledged.
#[test]
fn frto_a_spurious_time_out_is_undone() {
    for sack in [true, false] {
        let mut bench = timed_out(&Settings { sack, ..plain() }, 8_000);
        assert_eq!(bench.conn.congestion.window(), 1_000, "SACK {sack}");
        bench.take(ack(1, 1_001)).expect("the first");
        let new = seqs(&mut bench);
        assert!(new.iter().all(|&seq| seq >= 10_001) && !new.is_empty(), "step 2b: {new:?}");
        bench.take(ack(1, 2_001)).expect("the second, which did not go again");
        assert!(bench.conn.congestion.window() >= 10_000, "SACK {sack}");
        assert_eq!(bench.conn.congestion.ssthresh(), u32::MAX);
        assert!(seqs(&mut bench).iter().all(|&seq| seq > 10_001), "nothing goes again");
    }
}

/// RFC 5682, section 3.1, step 3a: new data is reported, and the old is still missing.
#[test]
fn frto_a_true_time_out_goes_on() {
    let mut bench = timed_out(&plain(), 8_000);
    bench.take(ack(1, 1_001)).expect("the first");
    let new = seqs(&mut bench);
    let first = new[0];
    bench.take(ack(1, 1_001).blocks(&[(first, first + 1_000)])).expect("new data");
    assert_eq!(seqs(&mut bench)[0], 1_001);
    assert_eq!(bench.conn.congestion.ssthresh(), 7_000);
}

/// RFC 5682, section 2.1, step 2a: without new data there is no way to see, and what is lost goes again.
#[test]
fn frto_without_new_data_resends() {
    let mut bench = timed_out(&plain(), 0);
    bench.take(ack(1, 1_001)).expect("the first");
    assert_eq!(seqs(&mut bench), [1_001, 2_001]);
}

/// RFC 3708 and RFC 4015: DSACKs for everything that went again, also when the recovery is over.
#[test]
fn dsack_for_all_that_went_again_undoes_the_reduction() {
    let mut bench = ten(&plain(), 20_000);
    bench.take(ack(1, 1).blocks(&[(1_001, 6_001)])).expect("good");
    assert_eq!(seqs(&mut bench), [1, 10_001, 11_001]);
    assert_eq!(bench.conn.congestion.ssthresh(), 7_000);
    bench.take(ack(1, 10_001)).expect("the original was late");
    bench.sent();
    assert_eq!(bench.conn.congestion.window(), 7_000);
    bench.take(ack(1, 10_001).blocks(&[(1, 1_001)])).expect("and so was in vain what went again");
    assert_eq!(bench.conn.congestion.ssthresh(), u32::MAX);
    assert!(bench.conn.congestion.window() >= 10_000);
}

#[test]
fn dsack_for_a_part_of_what_went_again_proves_nothing() {
    let mut bench = ten(&plain(), 20_000);
    bench.take(ack(1, 1).blocks(&[(2_001, 6_001)])).expect("good");
    bench.wait(ms(1));
    bench.take(ack(1, 1).blocks(&[(2_001, 9_001)])).expect("good");
    assert!(seqs(&mut bench).contains(&1_001), "both holes went again");
    bench.take(ack(1, 10_001).blocks(&[(1, 1_001)])).expect("good");
    assert_eq!(bench.conn.congestion.ssthresh(), 7_000);
}

/// RFC 8985, section 6.2.4.
#[test]
fn dsack_where_things_come_out_of_order_widens_the_window() {
    let mut bench = ten(&plain(), 20_000);
    bench.take(ack(1, 1).blocks(&[(2_001, 3_001)])).expect("good");
    bench.take(ack(1, 1).blocks(&[(1_001, 3_001)])).expect("overtaken");
    let before = bench.conn.reordering;
    bench.expire();
    assert_eq!(seqs(&mut bench)[0], 1);
    bench.take(ack(1, 3_001).blocks(&[(1, 1_001)])).expect("it was late, and went again in vain");
    assert_ne!(bench.conn.reordering, before);
    assert_eq!(bench.conn.reordering.window(20_000, 20_000), ms(10));
}

/// RFC 3168, section 6.1.2, with the rate of RFC 9937: the window falls over a round trip and nothing goes again.
#[test]
fn a_reduction_without_loss_follows_the_same_rate() {
    let mut bench = ten(&plain(), 30_000);
    bench.conn.on_congestion_echo();
    bench.conn.on_congestion_echo();
    assert_eq!(bench.conn.congestion.ssthresh(), 7_000);
    let mut sent = Vec::new();
    for at in 1..=10 {
        bench.take(ack(1, 1 + at * 1_000)).expect("good");
        sent.extend(seqs(&mut bench));
    }
    assert!(sent.len() == 7 && sent.iter().all(|&seq| seq >= 10_001), "seven for ten: {sent:?}");
    assert_eq!(bench.conn.congestion.window(), 7_000);
    assert!(bench.conn.recovery.is_none());
}

/// A loss in a reduction goes again, and the window falls only once.
#[test]
fn a_loss_within_a_reduction_reduces_no_further() {
    let mut bench = ten(&plain(), 30_000);
    bench.conn.on_congestion_echo();
    bench.take(ack(1, 1).blocks(&[(1_001, 5_001)])).expect("good");
    assert_eq!(seqs(&mut bench)[0], 1);
    assert_eq!(bench.conn.congestion.ssthresh(), 7_000);
}

/// RFC 2018, section 8: what is reported is kept until it is acknowledged.
#[test]
fn what_is_reported_is_not_given_up() {
    let mut bench = ten(&plain(), 0);
    bench.take(ack(1, 1).blocks(&[(1_001, 10_001)])).expect("good");
    assert_eq!(bench.conn.unacknowledged_len(), 10_000);
}

/// RFC 6675, section 4: two holes go again in their order, before new data.
#[test]
fn holes_go_before_new_data() {
    let mut bench = ten(&plain(), 20_000);
    bench.take(ack(1, 1).blocks(&[(1_001, 4_001), (5_001, 8_001)])).expect("good");
    let sent = seqs(&mut bench);
    assert_eq!(sent[..2], [1, 4_001]);
    assert!(sent[2..].iter().all(|&seq| seq >= 10_001) && sent.len() > 2);
}

/// An idle connection keeps nothing of all this.
#[test]
fn when_everything_is_acknowledged_nothing_is_kept() {
    let mut bench = ten(&plain(), 0);
    bench.take(ack(1, 1).blocks(&[(1_001, 10_001)])).expect("good");
    bench.sent();
    bench.take(ack(1, 10_001)).expect("good");
    bench.sent();
    assert!(bench.conn.board.is_none() && bench.conn.recovery.is_none());
    assert_eq!(bench.conn.poll_timeout(), None);
}

/// Nor does a report of what was never sent leave anything behind, or a DSACK that comes when all is over.
#[test]
fn reports_to_an_idle_connection_leave_nothing() {
    let mut bench = ten(&plain(), 0);
    bench.take(ack(1, 1).blocks(&[(1_001, 4_001)])).expect("good");
    assert_eq!(seqs(&mut bench), [1]);
    bench.take(ack(1, 10_001)).expect("good");
    for blocks in [(1, 1_001), (12_001, 13_001), (10_001, 10_002)] {
        bench.take(ack(1, 10_001).blocks(&[blocks])).expect("good");
        bench.sent();
        assert!(bench.conn.board.is_none() && bench.conn.recovery.is_none(), "{blocks:?}");
    }
}

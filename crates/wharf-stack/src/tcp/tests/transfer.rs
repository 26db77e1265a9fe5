//! Data is whole whatever the link does.

use super::bench::{MSS, ms, plain};
use super::pair::{GOOD, Link, Pair};
use crate::tcp::*;
use core::time::Duration;

fn defaults() -> Settings {
    Settings { mss: 1460, max_segment: MAX_OFFLOAD_SEGMENT, ..Settings::default() }
}

#[test]
fn both_ways_at_once_over_a_good_link() {
    let mut pair = Pair::new(&defaults(), &defaults(), GOOD, 1).with_data(5_000_000, 3_000_000);
    pair.deliver_all(Duration::from_secs(20));
    let sent = pair.sides[0].payload_sent;
    assert_eq!(sent, 5_000_000, "nothing is sent twice");
}

#[test]
fn a_bad_link_loses_no_byte() {
    for seed in 0..12 {
        let link = Link { loss: 5, duplicate: 2, reorder: 5, ..GOOD };
        let mut pair = Pair::new(&defaults(), &defaults(), link, seed).with_data(1_000_000, 300_000);
        pair.deliver_all(Duration::from_secs(300));
    }
}

#[test]
fn a_terrible_link_loses_no_byte() {
    for seed in 0..6 {
        let link = Link { loss: 25, duplicate: 10, reorder: 20, ..GOOD };
        let mut pair = Pair::new(&defaults(), &defaults(), link, seed).with_data(60_000, 60_000);
        pair.deliver_all(Duration::from_secs(3_000));
    }
}

#[test]
fn every_combination_of_options_works_over_a_bad_link() {
    for bits in 0..32_u64 {
        let settings = |which: u64| Settings {
            mss: MSS,
            max_segment: if which & 16 == 0 { MSS } else { 64_000 },
            timestamps: which & 1 == 0,
            sack: which & 2 == 0,
            window_scale: which & 4 == 0,
            congestion: if which & 8 == 0 { CongestionKind::Cubic } else { CongestionKind::NewReno },
            ..Settings::default()
        };
        let link = Link { loss: 3, duplicate: 1, reorder: 3, ..GOOD };
        let mut pair = Pair::new(&settings(bits), &settings(0), link, bits).with_data(400_000, 50_000);
        pair.deliver_all(Duration::from_secs(400));
    }
}

#[test]
fn a_narrow_link_is_filled() {
    // 10 Mbit/s with a queue of 100 ms: 4 MB take 3.3 s of the wire.
    for kind in [CongestionKind::Cubic, CongestionKind::NewReno] {
        let settings = Settings { congestion: kind, ..defaults() };
        let link = Link { rate: 1_250_000, ..GOOD };
        let mut pair = Pair::new(&settings, &settings, link, 3).with_data(4_000_000, 0);
        let start = pair.now;
        pair.deliver_all(Duration::from_secs(60));
        let took = pair.now.since(start);
        assert!(took < ms(4_600), "{kind:?} took {took:?}");
        let resent = pair.sides[0].payload_sent - 4_000_000;
        assert!(resent < 400_000, "{kind:?} sent {resent} bytes twice");
    }
}

#[test]
fn a_slow_reader_slows_the_sender_and_loses_nothing() {
    let small = Settings { receive_buffer: 20_000, ..plain() };
    let mut pair = Pair::new(&plain(), &small, GOOD, 4).with_data(300_000, 0);
    pair.sides[1].reads = 700;
    pair.deliver_all(Duration::from_secs(3_000));
}

#[test]
fn memory_is_given_back() {
    let link = Link { loss: 5, reorder: 5, ..GOOD };
    let mut pair = Pair::new(&defaults(), &defaults(), link, 9).with_data(500_000, 500_000);
    pair.deliver_all(Duration::from_secs(100));
    assert!(pair.run(Duration::from_secs(500), |pair| pair.sides.iter().all(|side| side.conn.is_closed())));
    for side in &pair.sides {
        assert_eq!(side.pool.in_use(), 0);
        assert_eq!(side.conn.closed_by(), CloseReason::Finished);
    }
}

#[test]
fn a_small_pool_only_slows_down() {
    let mut pair = Pair::new(&defaults(), &defaults(), GOOD, 5).with_data(2_000_000, 2_000_000);
    for side in &mut pair.sides {
        side.pool = ChunkPool::new(5 * crate::buffer::CHUNK);
    }
    pair.deliver_all(Duration::from_secs(1_000));
}

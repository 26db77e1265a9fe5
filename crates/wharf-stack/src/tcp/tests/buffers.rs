//! Buffers that grow, what they tell the peer and the owner, and how a closed window is probed.

use core::time::Duration;

use wharf_wire::tcp::TcpFlags;

use super::bench::*;
use super::pair::{GOOD, Link, Pair};
use crate::tcp::*;

/// tcp_rmem and tcp_wmem of Linux: half of them is data.
fn like_linux() -> Settings {
    Settings {
        receive_buffer: 65_536,
        receive_buffer_max: 3 << 20,
        send_buffer: 8_192,
        send_buffer_max: 2 << 20,
        ..Settings::default()
    }
}

/// How long 8 MB take over a round trip of 100 ms.
fn took(settings: &Settings) -> Duration {
    let link = Link { delay: ms(50), ..GOOD };
    let mut pair = Pair::new(settings, settings, link, 1).with_data(8_000_000, 0);
    for side in &mut pair.sides {
        side.pool = ChunkPool::new(16 << 20);
    }
    let start = pair.now;
    pair.deliver_all(Duration::from_secs(100));
    pair.now.since(start)
}

#[test]
fn buffers_that_grow_are_as_fast_as_large_ones() {
    let fixed = |bytes| Settings { receive_buffer: bytes, send_buffer: bytes, ..Settings::default() };
    let (small, large, grown) = (took(&fixed(65_536)), took(&fixed(3 << 20)), took(&like_linux()));
    assert!(small > 3 * large, "{small:?} {large:?}");
    assert!(grown < large + ms(500), "grown {grown:?}, large from the start {large:?}");
}

#[test]
fn info_tells_the_window_s_threshold_and_the_round_trip_of_the_receiver() {
    let link = Link { delay: ms(50), ..GOOD };
    let mut pair = Pair::new(&like_linux(), &like_linux(), link, 1).with_data(4_000_000, 0);
    pair.sides.iter_mut().for_each(|side| side.finishes = false);
    pair.run(ms(5_000), |_| false);
    let info = pair.sides[1].conn.info(pair.now);
    assert!((100_000..110_000).contains(&info.rcv_rtt), "{}", info.rcv_rtt);
    assert!(
        info.rcv_ssthresh > 500_000 && info.rcv_space > 200_000,
        "{} {}",
        info.rcv_ssthresh,
        info.rcv_space
    );
    assert!((40_000..=200_000).contains(&info.ato), "{}", info.ato);
}

#[test]
fn a_send_buffer_that_the_owner_fixes_grows_no_more() {
    let mut bench = Bench::established(&like_linux());
    assert_eq!(bench.conn.send_room(), 20 * usize::from(MSS), "two initial windows");
    let (conn, mut cx) = bench.cx();
    conn.change(&mut cx, Change::SendBuffer(10_000));
    assert_eq!(conn.send_room(), 10_000);
}

#[test]
fn what_was_never_sent_has_a_limit_of_its_own() {
    let mut bench = Bench::established(&Settings { not_sent_low_water: 4_000, ..plain() });
    let (conn, mut cx) = bench.cx();
    assert_eq!(conn.send(&mut cx, &[0; 60_000]), 4_000);
    assert!(!conn.wants_more() && conn.take_events().is_empty());
    assert_eq!(bench.sent().len(), 4);
    assert_eq!((bench.conn.take_events(), bench.conn.wants_more()), (Events::WRITABLE, true));
    let mut queued = 4_000;
    for _ in 0..10 {
        let (conn, mut cx) = bench.cx();
        queued += conn.send(&mut cx, &[0; 60_000]);
        bench.sent();
    }
    assert_eq!((queued, bench.conn.unsent_len()), (14_000, 4_000), "the window of ten segments is full");
    bench.conn.take_events();
    bench.take(ack(1, 1_001)).expect("good");
    bench.sent();
    assert_eq!(bench.conn.take_events(), Events::empty(), "more than half of what may wait does");
    bench.take(ack(1, 3_001)).expect("good");
    bench.sent();
    assert_eq!(bench.conn.take_events(), Events::WRITABLE);
}

#[test]
fn each_answer_of_a_closed_window_begins_the_wait_for_the_next_probe_anew() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).window(0)).expect("good");
    bench.send(&[1; 3_000]);
    bench.silent();
    let first = bench.expire();
    assert_eq!(bench.one().shape(), (0, 0, ACK));
    bench.wait(ms(150));
    bench.take(ack(1, 1).window(0)).expect("good");
    bench.silent();
    assert_eq!(bench.expire(), 2 * first, "from the answer on, not from the probe");
    bench.one();
    // Too small a window for the next segment is as good as none.
    bench.take(ack(1, 1).window(500)).expect("good");
    bench.silent();
    assert_eq!(bench.expire(), 4 * first);
    bench.sent();
    bench.take(ack(1, 1).window(60_000)).expect("good");
    assert!(bench.sent().iter().map(|sent| sent.payload.len()).sum::<usize>() >= 2_500);
}

#[test]
fn two_segments_of_a_new_size_are_full_ones() {
    let mut bench = Bench::plain();
    let mut at = 1;
    let mut take = |bench: &mut Bench, len: usize, flags| {
        let bytes = std::vec![7; len];
        bench.take(ack(at, 1).flags(flags).data(&bytes)).expect("good");
        at += len as u32;
        bench.sent();
        bench.consume(len);
        bench.sent();
        bench.conn.rcv_mss
    };
    assert_eq!(take(&mut bench, 1_000, ACK), 1_000);
    assert_eq!(take(&mut bench, 600, ACK), 1_000, "one may be the last of something");
    assert_eq!(take(&mut bench, 600, ACK), 600);
    assert_eq!(take(&mut bench, 1_000, ACK), 1_000);
    for _ in 0..4 {
        assert_eq!(take(&mut bench, 300, ACK | TcpFlags::PSH), 1_000, "small, and the last of something");
    }
    take(&mut bench, 300, ACK);
    assert_eq!(take(&mut bench, 300, ACK), 300);
}

#[test]
fn a_window_clamp_holds_what_is_offered() {
    let mut bench = Bench::established(&Settings { window_clamp: 20_000, ..plain() });
    assert!(bench.conn.info(bench.now).rcv_wnd <= 20_000);
    bench.take(ack(1, 1).data(&[0; 10_000])).expect("good");
    bench.consume(10_000);
    assert!(bench.sent().iter().all(|sent| sent.header.window <= 20_000));
    let (conn, mut cx) = bench.cx();
    conn.change(&mut cx, Change::WindowClamp(12_000));
    bench.take(ack(10_001, 1).data(&[0; 10_000])).expect("promised before");
    bench.consume(10_000);
    assert!(bench.sent().iter().all(|sent| sent.header.window <= 12_000));
}

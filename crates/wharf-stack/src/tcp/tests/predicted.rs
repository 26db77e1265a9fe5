//! Segments that were expected leave a connection as the numbered checks would have left it.

use core::cell::Cell;
use core::time::Duration;
use std::format;
use std::string::String;
use std::thread_local;
use std::vec::Vec;

use super::bench::{MSS, ms};
use super::pair::{GOOD, Link, Pair, Random};
use crate::tcp::*;

thread_local! {
    static LONG_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Whether every segment of this thread takes the way of the checks.
pub(in crate::tcp) fn takes_long_way() -> bool {
    LONG_WAY.get()
}

/// All that a connection knows, but for the bytes themselves.
pub(super) fn digest(conn: &Connection) -> String {
    let Connection {
        tuple: _,
        state,
        closed_by,
        soft_error,
        events,
        limits: _,
        iss: _,
        irs: _,
        snd,
        rcv,
        send_start,
        send_queue,
        send_grown,
        receive_queue,
        out_of_order,
        board,
        recovery,
        rare,
        congestion,
        usage,
        ecn,
        pacer,
        rtt,
        timers,
        awaits,
        probe,
        probe_end,
        reordering,
        delayed_ack,
        timestamps,
        challenges,
        owed,
        tally,
        last_sent,
        small_sent,
        mss,
        proof,
        rcv_mss,
        retries,
        keepalives,
        sack,
        scaling,
        passive,
        accepted,
        corked,
        tail,
        fin_queued,
        detached,
        window_filled,
        send_blocked,
        drain_awaited,
        dirty,
    } = conn;
    let queues = (send_queue.len(), receive_queue.len());
    let flags = (sack, scaling, passive, accepted, corked, fin_queued, detached, window_filled, send_blocked);
    format!(
        "{state:?} {closed_by:?} {soft_error:?} {events:?} {snd:?} {rcv:?} {send_start:?} {queues:?} {send_grown} \
         {out_of_order:?} {board:?} {recovery:?} {rare:?} {congestion:?} {usage:?} {ecn:?} {pacer:?} {rtt:?} \
         {timers:?} {awaits:?} {probe:?} {probe_end:?} {reordering:?} {delayed_ack:?} {timestamps:?} {challenges:?} \
         {owed:?} {tally:?} {last_sent:?} {small_sent:?} {mss} {proof:?} {rcv_mss} {retries} {keepalives} {flags:?} \
         {tail:?} {drain_awaited} {dirty}"
    )
}

/// How both ends of a conversation stand each time that something happens, by either way.
fn history(settings: [&Settings; 2], link: Link, seed: u64, bytes: [usize; 2], reads: usize) -> Vec<String> {
    let mut pair = Pair::new(settings[0], settings[1], link, seed).with_data(bytes[0], bytes[1]);
    pair.sides.iter_mut().for_each(|side| side.reads = reads);
    let mut history = Vec::new();
    pair.run(Duration::from_secs(60), |pair| {
        history.extend(pair.sides.iter().map(|side| digest(&side.conn)));
        history.len() > 4_000
    });
    history
}

/// How many segments are expected cannot be seen from outside; that some are is what makes the comparison one.
#[test]
fn what_was_expected_is_taken_as_the_checks_take_it() {
    let mut random = Random(1);
    for seed in 0..60_u64 {
        let settings = |bits: u64| Settings {
            mss: MSS,
            max_segment: if bits & 1 == 0 { MSS } else { 64_000 },
            timestamps: bits & 2 == 0,
            sack: bits & 4 == 0,
            nagle: bits & 8 == 0,
            congestion: if bits & 16 == 0 { CongestionKind::Cubic } else { CongestionKind::NewReno },
            ecn: if bits & 32 == 0 { EcnMode::Active } else { EcnMode::Passive },
            receive_buffer: [4_096, 65_536, 1 << 20][(bits >> 6) as usize % 3],
            send_buffer: [2_048, 65_536, 1 << 20][(bits >> 8) as usize % 3],
            keepalive: (bits & 1 << 12 == 0).then_some(Keepalive {
                idle: ms(500),
                interval: ms(100),
                probes: 3,
            }),
            ..Settings::default()
        };
        let (a, b) = (settings(random.next()), settings(random.next()));
        let loss = random.below(3);
        let link = Link { loss, duplicate: loss, reorder: loss, delay: ms(random.below(30)), ..GOOD };
        // Every fourth has but a question and an answer, each in a segment of its own.
        let most = if seed % 4 == 0 { [900, 300] } else { [400_000, 60_000] };
        let bytes = most.map(|most| random.below(most) as usize);
        let reads = [usize::MAX, 1_000][random.below(2) as usize];
        LONG_WAY.set(true);
        let long = history([&a, &b], link, seed, bytes, reads);
        LONG_WAY.set(false);
        let short = history([&a, &b], link, seed, bytes, reads);
        for (at, (long, short)) in long.iter().zip(&short).enumerate() {
            assert_eq!(long, short, "seed {seed}, step {at}");
        }
        assert_eq!(long.len(), short.len());
    }
}

/// The usual segments of a transfer are expected: else the short way would be none.
#[test]
fn a_transfer_is_expected() {
    let settings = Settings { mss: MSS, ..Settings::default() };
    let mut pair = Pair::new(&settings, &settings, GOOD, 7).with_data(100_000, 0);
    pair.sides.iter_mut().for_each(|side| side.finishes = false);
    pair.run(Duration::from_secs(5), |pair| pair.sides[1].read.len() == 100_000);
    let [sender, receiver] = &pair.sides;
    let header = TcpRepr {
        src_port: 1,
        dst_port: 2,
        seq: receiver.conn.rcv.rcv_nxt.value(),
        ack: receiver.conn.snd.snd_una.value(),
        flags: wharf_wire::tcp::TcpFlags::ACK,
        window: 500,
        urgent: 0,
        options: wharf_wire::tcp::TcpOptions {
            timestamps: Some((receiver.conn.timestamps.recent, 0)),
            ..Default::default()
        },
    };
    assert!(receiver.conn.expects_segment(pair.now, &header, &[0; 100]));
    assert!(!sender.conn.expects_segment(pair.now, &header, &[0; 100]), "it is for the other end");
}

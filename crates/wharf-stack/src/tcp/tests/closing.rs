//! The ways to the end.

use core::time::Duration;

use wharf_table::DropReason;

use super::bench::*;
use super::pair::{GOOD, Pair};
use crate::tcp::*;

#[test]
fn who_closes_first_waits_and_who_closes_last_does_not() {
    let mut pair = Pair::new(&plain(), &plain(), GOOD, 1).with_data(10_000, 0);
    pair.sides[1].finishes = false;
    pair.run(Duration::from_secs(5), |_| false);
    assert_eq!(pair.sides[0].conn.state(), State::FinWait2);
    assert_eq!(pair.sides[1].conn.state(), State::CloseWait);
    pair.sides[1].finishes = true;
    pair.run(Duration::from_secs(1), |_| false);
    assert_eq!(pair.sides[0].conn.state(), State::TimeWait);
    assert_eq!(pair.sides[1].conn.state(), State::Closed);
    let start = pair.now;
    assert!(pair.run(Duration::from_secs(100), |pair| pair.sides[0].conn.is_closed()));
    let waited = pair.now.since(start);
    assert!(waited > Duration::from_secs(58) && waited <= Duration::from_secs(60), "{waited:?}");
}

#[test]
fn a_half_closed_connection_still_carries_data() {
    let mut pair = Pair::new(&plain(), &plain(), GOOD, 1).with_data(1_000, 0);
    pair.sides[1].finishes = false;
    pair.run(Duration::from_secs(1), |pair| pair.sides[1].conn.state() == State::CloseWait);
    pair.sides[1].to_send = (0..200_000).map(|at| at as u8).collect();
    pair.sides[1].finishes = true;
    pair.deliver_all(Duration::from_secs(10));
}

#[test]
fn both_may_close_at_once() {
    let mut pair = Pair::new(&plain(), &plain(), GOOD, 1).with_data(10, 10);
    pair.run(ms(15), |_| false);
    pair.run(Duration::from_secs(1), |pair| {
        pair.sides.iter().all(|side| side.conn.state() == State::TimeWait)
    });
    let mut bench = Bench::plain();
    bench.conn.shutdown();
    assert_eq!(bench.shapes(), [(1, 0, ACK | FIN)]);
    bench.take(ack(1, 1).flags(FIN | ACK)).expect("good");
    assert_eq!((bench.conn.state(), bench.one().ack()), (State::Closing, 2));
    bench.take(ack(2, 2)).expect("good");
    assert_eq!(bench.conn.state(), State::TimeWait);
}

/// From each state, what FIN, an ACK of our FIN, and both do (RFC 9293, figure 5).
#[test]
fn the_transitions_are_those_of_the_figure() {
    use State::*;
    let cases = [
        (SynReceived, 1, 1, FIN | ACK, CloseWait),
        (Established, 1, 1, FIN | ACK, CloseWait),
        (FinWait1, 1, 2, ACK, FinWait2),
        (FinWait1, 1, 1, FIN | ACK, Closing),
        (FinWait1, 1, 2, FIN | ACK, TimeWait),
        (FinWait2, 1, 2, FIN | ACK, TimeWait),
        (Closing, 2, 2, ACK, TimeWait),
        (LastAck, 2, 2, ACK, Closed),
        (CloseWait, 2, 1, ACK, CloseWait),
        (LastAck, 2, 1, ACK, LastAck),
    ];
    for (from, seq, acked, flags, to) in cases {
        let mut bench = Bench::in_state(from);
        bench.take(ack(seq, acked).flags(flags)).expect("good");
        assert_eq!(bench.conn.state(), to, "{from} {flags:?}");
        let fin = flags.contains(FIN);
        assert_eq!(bench.sent().len(), usize::from(fin), "{from} {flags:?}: a FIN is acknowledged at once");
    }
}

#[test]
fn a_repeated_fin_in_time_wait_starts_the_wait_again() {
    let mut bench = Bench::in_state(State::TimeWait);
    bench.wait(Duration::from_secs(59));
    assert_eq!(bench.take(ack(1, 2).flags(FIN | ACK)), Err(DropReason::Duplicate));
    assert_eq!(bench.one().ack(), 2);
    bench.wait(Duration::from_secs(59));
    assert_eq!(bench.conn.state(), State::TimeWait);
    bench.wait(Duration::from_secs(1));
    assert_eq!((bench.conn.state(), bench.conn.closed_by()), (State::Closed, CloseReason::Finished));
}

#[test]
fn a_lost_fin_goes_again() {
    let mut bench = Bench::plain();
    bench.send(b"bye");
    bench.conn.shutdown();
    assert_eq!(bench.shapes(), [(1, 3, ACK | FIN)]);
    bench.expire();
    assert_eq!(bench.shapes(), [(1, 3, ACK | FIN)]);
    bench.take(ack(1, 4)).expect("the data has arrived, the FIN has not");
    bench.expire();
    assert_eq!(bench.shapes(), [(4, 0, ACK | FIN)]);
}

#[test]
fn nothing_is_queued_behind_a_fin() {
    let mut bench = Bench::plain();
    bench.conn.shutdown();
    let (conn, mut cx) = bench.cx();
    assert_eq!((conn.send(&mut cx, b"late"), conn.send_room()), (0, 0));
}

#[test]
fn abort_resets_where_the_peer_knows_of_us() {
    use State::*;
    for (state, answers) in [
        (SynSent, 0),
        (SynReceived, 1),
        (Established, 1),
        (FinWait1, 1),
        (FinWait2, 1),
        (CloseWait, 1),
        (Closing, 1),
        (LastAck, 1),
        (TimeWait, 0),
    ] {
        let mut bench = Bench::in_state(state);
        bench.conn.abort();
        let sent = bench.sent();
        assert_eq!(sent.len(), answers, "{state}");
        assert!(sent.iter().all(|sent| sent.header.flags == RST | ACK), "{state}");
        assert!(bench.conn.is_closed() && bench.conn.poll_timeout().is_none(), "{state}");
        bench.conn.abort();
        bench.silent();
    }
}

#[test]
fn a_reset_goes_where_the_peer_expects_it() {
    let mut bench = Bench::plain();
    bench.send(b"12345");
    bench.sent();
    bench.conn.abort();
    assert_eq!(bench.one().seq(), 6);
}

#[test]
fn closing_with_unread_data_is_a_reset() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(b"unread")).expect("good");
    bench.conn.close();
    assert_eq!(bench.one().header.flags, RST | ACK);
    assert_eq!(bench.conn.closed_by(), CloseReason::Aborted);
}

#[test]
fn data_after_close_is_a_reset() {
    let mut bench = Bench::plain();
    bench.conn.close();
    assert_eq!(bench.shapes(), [(1, 0, ACK | FIN)]);
    bench.take(ack(1, 2)).expect("good");
    assert_eq!(bench.take(ack(1, 2).data(b"more")), Err(DropReason::StateMismatch));
    let reset = bench.one();
    assert_eq!((reset.header.flags, reset.seq()), (RST, 2));
    assert!(bench.conn.is_closed());
}

#[test]
fn after_close_a_peer_that_never_finishes_is_forgotten() {
    let mut bench = Bench::plain();
    bench.conn.close();
    bench.sent();
    bench.take(ack(1, 2)).expect("good");
    assert_eq!(bench.conn.state(), State::FinWait2);
    bench.wait(Duration::from_secs(59));
    assert_eq!(bench.conn.state(), State::FinWait2);
    bench.wait(Duration::from_secs(1));
    assert!(bench.conn.is_closed());
    let mut patient = Bench::in_state(State::FinWait2);
    assert_eq!(patient.conn.poll_timeout(), None, "after shutdown it may take for ever");
    patient.conn.close();
    assert!(patient.conn.poll_timeout().is_some());
}

#[test]
fn the_data_of_a_reset_connection_can_still_be_read() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).data(b"last words")).expect("good");
    bench.take(ack(11, 1).flags(RST)).expect("good");
    assert_eq!(bench.received(), b"last words");
    assert_eq!(bench.conn.take_events(), Events::READABLE | Events::CLOSED);
    let Bench { conn, mut pool, .. } = bench;
    conn.release(&mut pool);
    assert_eq!(pool.in_use(), 0);
}

//! Idle connections in few bytes: every field comes back.
//!
//! [`repark`] stands in the middle of the other tests' pairs, so that all that they do is done with connections that are
//! put away whenever they may be.

use std::format;

use super::bench::*;
use super::pair::{GOOD, Pair};
use crate::tcp::park::{Packer, Unpacker};
use crate::tcp::*;

/// Puts a connection away and brings it back, if it may be; how many bytes it took.
pub(super) fn repark(conn: &mut Connection) -> Option<usize> {
    conn.may_park().then(|| {
        let mut packer = Packer::new();
        conn.park(&mut packer);
        let bytes = packer.take();
        let mut unpacker = Unpacker::new(&bytes);
        let woken = Connection::wake(&mut unpacker, conn.tuple(), conn.limits().clone());
        assert!(unpacker.is_finished());
        assert_eq!(format!("{woken:?}"), format!("{conn:?}"));
        *conn = woken;
        bytes.len()
    })
}

/// What a connection may take that has just been established: the budget of a flow is 256 bytes everywhere.
const FRESH_MAX: usize = 106;

#[test]
fn a_fresh_connection_takes_few_bytes() {
    for settings in [Settings::default(), Settings { keepalive: Some(Keepalive::default()), ..plain() }] {
        let mut pair = Pair::new(&settings, &settings, GOOD, 1);
        pair.sides.iter_mut().for_each(|side| side.finishes = false);
        pair.run(ms(1_000), |_| false);
        for side in &mut pair.sides {
            let len = repark(&mut side.conn).expect("nothing is going on");
            assert!(len <= FRESH_MAX, "{len} bytes: {:?}", side.conn);
        }
    }
}

#[test]
fn a_connection_that_has_worked_takes_little_more() {
    let mut pair =
        Pair::new(&Settings::default(), &Settings::default(), GOOD, 1).with_data(3_000_000, 50_000);
    pair.sides.iter_mut().for_each(|side| side.finishes = false);
    pair.run(ms(60_000), |_| false);
    for side in &mut pair.sides {
        let len = repark(&mut side.conn).expect("nothing is going on");
        assert!(len <= FRESH_MAX + 84, "{len} bytes: {:?}", side.conn);
    }
}

#[test]
fn a_connection_with_something_going_on_is_not_put_away() {
    let mut bench = Bench::plain();
    assert!(bench.conn.may_park());
    bench.send(b"x");
    assert!(!bench.conn.may_park());
    bench.sent();
    assert!(!bench.conn.may_park(), "on its way");
    let _ = bench.take(ack(1, 2));
    bench.sent();
    bench.conn.take_events();
    assert!(bench.conn.may_park());
    let _ = bench.take(ack(1, 2).data(b"unread"));
    bench.sent();
    bench.conn.take_events();
    assert!(!bench.conn.may_park());
}

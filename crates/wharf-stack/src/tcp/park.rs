//! Idle connections in few bytes: [`Connection::park`] puts one away, [`Connection::wake`] brings it back as it was.
//!
//! A connection on whose way nothing is, for which nothing waits and that owes nothing keeps a few dozen numbers, most of
//! them small, equal or close to each other. They are written one behind the other ([`codec`]) without the tuple, which the
//! port table has, and without the [`Limits`], which nearly all connections of a stack share.
//!
//! # Adding a field
//! `park` and `wake` take the connection apart and put it together field by field, and so does `packed!` with each part of
//! it: a new field does not compile until it is named here. There are three kinds:
//!
//! - It says something of an idle connection: put it into the list (`parked!` below for a field of [`Connection`], the
//!   `packed!` line at the end of its file for one of a part). Its type needs [`Packed`]: numbers, truth values,
//!   [`SeqNum`](super::SeqNum), `Instant`, `Duration`, `Option`, `Box` and arrays have it, for a struct or an enum say
//!   `super::park::packed!(struct Name { every, field });` or `packed!(enum Name { 0 = Plain, 1 = With(value) });`.
//!   Prefer values that are 0 or equal to others when nothing happens: those take a bit or a byte.
//! - It exists only while something is going on: ask for its absence in [`Connection::may_park`], and name it in `absent!`.
//! - The owner chose it: it belongs into [`Limits`], which must stay `Eq + Hash`.
//!
//! Invariant: `wake(park(c))` equals `c` in every field; the test of `wharf-stack/src/tcp/tests/parking.rs` compares them.

#![allow(rustdoc::private_intra_doc_links)]

mod codec;

use alloc::boxed::Box;

use wharf_table::Tuple;

pub(crate) use codec::{Packed, Packer, Unpacker, packed};

use super::segment_out::{AckDue, Owed};
use super::timers::Timer;
use super::{Connection, Limits, State};
use crate::buffer::ByteQueue;

/// Writes [`Connection::pack`] and [`Connection::unpack`] from one list of fields.
macro_rules! parked {
    (packed { $($field:ident),* $(,)? } absent { $($absent:ident: $absence:expr),* $(,)? }) => {
        fn pack(&self, to: &mut Packer) {
            let Connection { tuple: _, limits: _, $($field,)* $($absent: _),* } = self;
            $($field.pack(to);)*
        }

        fn unpack(from: &mut Unpacker<'_>, tuple: Tuple, limits: Limits) -> Connection {
            $(let $field = Packed::unpack(from);)*
            Connection { tuple, limits, $($field,)* $($absent: $absence),* }
        }
    };
}

impl Connection {
    /// Whether nothing is going on: [`Connection::park`] loses nothing then.
    pub(crate) fn may_park(&self) -> bool {
        let is_settled =
            matches!(self.state, State::Established | State::CloseWait | State::FinWait2 | State::TimeWait);
        let owes_nothing = matches!(
            self.owed,
            Owed {
                ack: AckDue::None,
                duplicates: 0,
                syn: false,
                reset: false,
                reset_reply: None,
                probe: false
            }
        );
        is_settled
            && owes_nothing
            && !self.dirty
            && self.events.is_empty()
            && self.closed_by.is_none()
            && self.snd.flight() == 0
            && self.send_queue.is_empty()
            && self.receive_queue.is_empty()
            && self.out_of_order.is_none()
            && self.recovery.is_none()
            && self.board.is_none()
            && !self.timers.is_set(Timer::Retransmit)
            && !self.timers.is_set(Timer::DelayedAck)
    }

    /// The connection in few bytes, without tuple and limits. Only one that [`Connection::may_park`].
    pub(crate) fn park(&self, packer: &mut Packer) {
        debug_assert!(self.may_park(), "only idle connections are put away");
        self.pack(packer);
    }

    /// The connection that was put away.
    pub(crate) fn wake(from: &mut Unpacker<'_>, tuple: Tuple, limits: Limits) -> Connection {
        Connection::unpack(from, tuple, limits)
    }

    /// What connections share.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    parked! {
        packed {
            state, sack, scaling, passive, accepted, fin_queued, detached, window_filled, send_blocked, drain_awaited,
            soft_error, rare, iss, irs, snd, rcv, send_start, send_grown, congestion, rtt, timers, timestamps, challenges, last_sent,
            small_sent, mss, proof, rcv_mss, retries, keepalives, probe, probe_end, reordering, delayed_ack, corked, usage, ecn, pacer, tally,
        }
        absent {
            closed_by: None,
            events: super::Events::empty(),
            send_queue: ByteQueue::new(),
            receive_queue: ByteQueue::new(),
            out_of_order: None::<Box<super::Reassembly>>,
            recovery: None,
            board: None,
            awaits: super::Awaits::Acknowledgment,
            owed: Owed::default(),
            dirty: false,
            tail: super::tail::Tail::default(),
        }
    }
}

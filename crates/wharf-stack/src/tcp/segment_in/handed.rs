//! Text that need not be copied: of an expected segment it is counted as received while it still lies in its frame. When the
//! owner has said how much of it was taken, the rest goes to the receive queue.
//!
//! Invariant: what is left behind is what would be if the segments had been received one by one and so much had been read
//! then. `tcp/tests/handed.rs` compares every field.

use super::{Arrival, Ecn};
use crate::tcp::state::{Events, State};
use crate::tcp::{Connection, Context};
use wharf_wire::tcp::TcpRepr;

/// Shorter text is copied: to remember where it lies costs as much.
pub(crate) const HANDED_MIN: usize = 2_048;
/// Where more waits to be read already, its owner is slow, and what comes is kept as well.
pub(crate) const KEPT_MAX: usize = 256 * 1024;

impl Connection {
    /// Takes a segment whose payload stays where it is until [`Connection::settle_text`], which must be called before any
    /// other segment with text, time-out or command. `false` when it is none of those for which that is done; nothing has
    /// happened then.
    pub(crate) fn lend_segment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &TcpRepr,
        payload: &[u8],
        ecn: Ecn,
    ) -> bool {
        let arrival = Arrival::new(segment, payload, ecn);
        let is_one = payload.len() >= HANDED_MIN
            && self.state == State::Established
            && self.receive_queue.kept_len() <= KEPT_MAX
            && self.expects(cx.now, &arrival)
            && self.receive_queue.lend(cx.pool, payload.len());
        if is_one {
            self.count_arrival(cx.now, payload.len() as u32);
            self.take_expected_header(cx, &arrival);
            self.count_in_order(cx, &arrival, payload.len() as u32);
        }
        is_one
    }

    /// Whether [`Connection::settle_text`] has to be called.
    pub(crate) const fn is_lending(&self) -> bool {
        self.receive_queue.is_lending()
    }

    /// The owner has taken the first `taken` bytes of what was received, of which `lent`, the payloads since the last time,
    /// were not copied yet. Where nothing is left to be read, nobody is told that there is.
    pub(crate) fn settle_text(&mut self, cx: &mut Context<'_>, lent: &[&[u8]], taken: usize) {
        self.receive_queue.settle(cx.pool, lent, taken);
        if taken > 0 {
            self.on_read(cx, taken);
        }
        if self.receive_queue.is_empty() {
            self.events.remove(Events::READABLE);
        }
    }
}

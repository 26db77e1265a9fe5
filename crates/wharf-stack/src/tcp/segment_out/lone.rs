//! The lone segment: a question or an answer that fits into one segment while nothing else is on its way, which is nearly
//! all that an interactive connection sends. Most of what is asked of data that leaves can't hold for such a one.
//!
//! Invariant: what is done here is what [`on_data_due`](Connection::on_data_due) and the pause behind it do, for each segment
//! that gets here. `tcp/tests/predicted.rs` lets both send the same.

use wharf_table::Instant;
use wharf_wire::tcp::TcpFlags;

use super::{AckDue, Probe, SegmentOut, State, Timer};
use crate::tcp::Connection;

impl Connection {
    /// The length of all that waits, where it leaves as a lone segment; and that of a full one. There is nothing else to say.
    #[inline]
    fn lone(&self) -> Option<(u32, u32)> {
        let len = self.data_end().since(self.snd.snd_nxt);
        let is_plain = self.state == State::Established
            && self.rare.is_none()
            && self.board.is_none()
            && self.out_of_order.is_none()
            && self.pacer.is_none()
            && self.probe == Probe::None
            && !self.fin_queued;
        let is_free = !self.corked && !self.tail.holds() && self.snd.flight() == 0;
        #[cfg(test)]
        let is_free = is_free && !crate::tcp::tests::predicted::takes_long_way();
        if !is_plain || !is_free || len == 0 {
            return None;
        }
        let segment = self.segment_size();
        let fits = len < segment && len <= self.snd.snd_wnd && len <= self.congestion.window();
        let waits = self.limits.nagle && self.small_sent.after(self.snd.snd_una);
        (fits && !waits).then_some((len, segment))
    }

    /// Sends it, if there is one, and nothing is left to be said.
    pub(super) fn send_lone(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        let Some((len, segment)) = self.lone() else { return false };
        self.restart_after_idle(now);
        let left = self.snd.snd_nxt;
        let right = left + len;
        (self.small_sent, self.snd.snd_nxt, self.last_sent) = (right, right, now);
        self.timers.stop(Timer::Retransmit);
        self.await_acknowledgment(now);
        self.await_probe_after(now, segment);
        let pushes = !self.tail.is_open || len > self.snd.max_wnd / 2;
        let flags = if pushes { TcpFlags::ACK | TcpFlags::PSH } else { TcpFlags::ACK };
        self.header(now, left, flags, out);
        out.payload = (left.since(self.send_start) as usize, len as usize);
        let (flags, ecn) = self.ecn.on_new_data();
        out.header.flags |= flags;
        out.ecn = ecn;
        self.usage.on_sent();
        self.delayed_ack.on_data_sent(now);
        self.tally.rate.on_sent(right, 0, self.tally.bytes_delivered, now);
        self.tally.on_sent(len, 1);
        debug_assert!(self.owed.ack == AckDue::None, "whatever leaves acknowledges");
        (self.dirty, self.window_filled) = (false, false);
        self.tail.on_pause();
        self.note_usage(now);
        if self.send_blocked {
            self.note_unsent();
        }
        true
    }
}

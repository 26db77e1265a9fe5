//! The seventh and eighth checks: text, urgent or not, and FIN.

use alloc::boxed::Box;

use wharf_table::{DropReason, Instant};
use wharf_wire::tcp::TcpFlags;

use super::Arrival;
use crate::tcp::reassembly::Reassembly;
use crate::tcp::seq::Range;
use crate::tcp::state::{CloseReason, Events, State};
use crate::tcp::{Connection, Context};

impl Connection {
    /// Seventh: the text, as far as it is new and lies in the window.
    pub(super) fn take_text(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<(), DropReason> {
        let len = arrival.payload.len() as u32;
        if len == 0 || self.state == State::TimeWait {
            return Ok(());
        }
        if !self.state.may_receive() {
            return Err(DropReason::StateMismatch);
        }
        if self.ecn.on_data(arrival.flags) {
            // Its window may be one segment now (RFC 3168, section 6.1.3).
            self.owe_ack();
        }
        let whole = Range::new(arrival.seq, arrival.seq + len);
        self.note_duplicate(whole);
        let range = Range::new(whole.left.latest(self.rcv.rcv_nxt), whole.right.earliest(self.rcv.edge()));
        if range.is_empty() {
            self.owe_ack();
            let old = !whole.right.after(self.rcv.rcv_nxt);
            return if old { Ok(()) } else { Err(DropReason::OutOfWindow) };
        }
        let deaf = self.rare.as_ref().is_some_and(|rare| rare.deaf);
        if self.detached || deaf && matches!(self.state, State::FinWait1 | State::FinWait2) {
            // Nobody will ever read it (RFC 9293, section 3.6.1). The RST is that of a segment for no connection.
            self.end(CloseReason::Aborted);
            (self.owed.reset_reply, self.dirty) = (Some(arrival.ack), true);
            return Err(DropReason::StateMismatch);
        }
        if self.ecn.on_mark(arrival.ecn) {
            self.owe_ack();
        }
        let skip = range.left.since(arrival.seq) as usize;
        let bytes = &arrival.payload[skip..skip + range.len() as usize];
        if range.left == self.rcv.rcv_nxt && !self.has_gap() {
            self.take_in_order(cx, arrival, bytes)
        } else {
            self.take_out_of_order(cx, arrival, range, bytes)
        }
    }

    /// The usual way: the text continues what was received, and nothing is missing.
    pub(super) fn take_in_order(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival<'_>,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let taken = self.receive_queue.push_slice(cx.pool, bytes);
        if taken < bytes.len() {
            self.advance_rcv_nxt(taken as u32, cx.now);
            self.owe_ack();
            return Err(DropReason::NoBuffer);
        }
        self.count_in_order(cx, arrival, taken as u32);
        Ok(())
    }

    /// `len` bytes of a segment are in order, and in the receive queue or counted there.
    pub(super) fn count_in_order(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>, len: u32) {
        self.advance_rcv_nxt(len, cx.now);
        self.schedule_ack(cx, arrival, len);
        self.widen_window(cx, arrival, len);
    }

    /// Something is missing before or behind the text: it is put where it belongs, and joins what is in order if it can.
    fn take_out_of_order(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival<'_>,
        range: Range,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let rcv_nxt = self.rcv.rcv_nxt;
        self.tally.segments_out_of_order += u32::from(range.left != rcv_nxt);
        let held = self.out_of_order.get_or_insert_with(|| Box::new(Reassembly::default()));
        let gaps = held.wanted(range, rcv_nxt).ok_or(DropReason::NoBuffer)?;
        let mut right = if gaps.is_full() { gaps[gaps.len() - 1].right } else { range.right };
        for gap in gaps {
            let from = gap.left.since(range.left) as usize;
            let bytes = &bytes[from..from + gap.len() as usize];
            let written = self.receive_queue.write_at(cx.pool, gap.left.since(rcv_nxt) as usize, bytes);
            if written < bytes.len() {
                right = gap.left + written as u32;
                break;
            }
        }
        let stored = Range::new(range.left, right);
        if !stored.is_empty() {
            held.insert(stored);
        }
        let joined = held.take_joined(rcv_nxt);
        self.receive_queue.extend(joined as usize);
        self.advance_rcv_nxt(joined, cx.now);
        if joined > 0 {
            // What fills a gap is acknowledged at once (RFC 5681, section 4.2).
            self.owed.duplicates = 0;
            self.owe_ack();
            self.take_held_fin(cx);
        } else {
            self.owe_duplicate_ack();
        }
        self.widen_window(cx, arrival, range.len());
        if right == range.right { Ok(()) } else { Err(DropReason::NoBuffer) }
    }

    fn advance_rcv_nxt(&mut self, count: u32, now: Instant) {
        if count > 0 {
            self.rcv.rcv_nxt += count;
            self.tally.on_in_order(count, self.rcv.rcv_nxt, self.rcv.edge(), now);
            self.events |= Events::READABLE;
        }
    }

    /// Data has come: the window may grow with it, and the receiver sees how long a round trip takes.
    fn widen_window(&mut self, cx: &Context<'_>, arrival: &Arrival<'_>, len: u32) {
        let held = self.receive_queue.len() as u32;
        self.rcv.on_arrived(len, held, self.rcv_mss, self.limits.mss);
        if let Some((_, echo)) = arrival.header.options.timestamps
            && self.timestamps.enabled
            && len >= u32::from(self.rcv_mss)
        {
            let age = self.timestamps.clock(cx.now).wrapping_sub(echo);
            self.tally.round.on_echo(echo, age, held == len);
        }
    }

    fn has_gap(&self) -> bool {
        self.out_of_order.as_ref().is_some_and(|held| held.has_gap() || held.fin.is_some())
    }

    /// What came twice is reported (RFC 2883): the part of `range` before the next expected number.
    pub(super) fn note_duplicate(&mut self, range: Range) {
        let known = Range::new(range.left, range.right.earliest(self.rcv.rcv_nxt));
        if self.sack && self.state.is_synchronized() && !known.is_empty() {
            if self.limits.duplicate_sack {
                let held = self.out_of_order.get_or_insert_with(|| Box::new(Reassembly::default()));
                held.note_duplicate(known);
            }
            self.acknowledge_quickly();
            self.owe_ack();
        }
    }

    /// Eighth: FIN, once all text before it is there.
    pub(super) fn take_fin(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) {
        if !arrival.has(TcpFlags::FIN) {
            return;
        }
        let at = arrival.seq + arrival.payload.len() as u32;
        if !self.state.may_receive() || self.is_closed() {
            return;
        }
        if at == self.rcv.rcv_nxt {
            self.on_fin(cx);
        } else if at.after(self.rcv.rcv_nxt) && !at.after(self.rcv.edge()) {
            let held = self.out_of_order.get_or_insert_with(|| Box::new(Reassembly::default()));
            held.fin = Some(at);
            if arrival.payload.is_empty() {
                self.owe_duplicate_ack();
            }
        }
    }

    /// The FIN that came before the text may follow it now.
    fn take_held_fin(&mut self, cx: &mut Context<'_>) {
        if self.out_of_order.as_ref().is_some_and(|held| held.fin == Some(self.rcv.rcv_nxt)) {
            self.on_fin(cx);
        }
    }

    /// The peer has finished.
    fn on_fin(&mut self, cx: &mut Context<'_>) {
        self.rcv.rcv_nxt += 1;
        self.tally.bytes_received += 1;
        self.events |= Events::PEER_FINISHED;
        self.out_of_order = None;
        self.owe_ack();
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(cx),
            _ => {}
        }
    }
}

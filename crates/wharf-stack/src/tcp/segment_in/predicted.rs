//! Header prediction (Jacobson, "4BSD Header Prediction", 1990): while a connection goes well, a segment brings the next
//! text, acknowledges what was sent, or both. For such a one all numbered checks are comparisons with what is expected,
//! and most of what they may find out can't be.
//!
//! Invariant: what is done here is what the checks do, for each segment that gets here; a segment of which that is not
//! certain takes their way. `tcp/tests/predicted.rs` lets both take the same.

use wharf_table::{DropReason, Instant};
use wharf_wire::tcp::TcpFlags;

use super::{Arrival, Ecn};
use crate::tcp::state::State;
use crate::tcp::timers::Timer;
use crate::tcp::tlp::Probe;
use crate::tcp::{Connection, Context};

impl Connection {
    /// Whether a segment is one that is expected.
    #[inline]
    pub(super) fn expects(&self, now: Instant, arrival: &Arrival<'_>) -> bool {
        let len = arrival.payload.len() as u32;
        let options = &arrival.header.options;
        let is_plain = arrival.flags.bits() & !TcpFlags::PSH.bits() == TcpFlags::ACK.bits()
            && options.sack.is_empty()
            && options.user_timeout.is_none()
            && arrival.ecn == Ecn::NotCapable;
        let goes_well = self.state == State::Established
            && self.out_of_order.is_none()
            && self.board.is_none()
            && self.recovery.is_none()
            && self.rare.is_none()
            && self.pacer.is_none()
            && self.probe == Probe::None
            && !self.detached;
        #[cfg(test)]
        let goes_well = goes_well && !crate::tcp::tests::predicted::takes_long_way();
        is_plain
            && goes_well
            && arrival.seq == self.rcv.rcv_nxt
            && len <= self.rcv.edge().since(self.rcv.rcv_nxt)
            && !arrival.ack.before(self.snd.snd_una)
            && !arrival.ack.after(self.snd.snd_nxt)
            && (len > 0 || arrival.ack != self.snd.snd_una)
            && self.timestamps.expect(options.timestamps, now)
    }

    /// The same, for tests.
    #[cfg(test)]
    pub(in crate::tcp) fn expects_segment(
        &self,
        now: Instant,
        header: &wharf_wire::tcp::TcpRepr,
        payload: &[u8],
    ) -> bool {
        self.expects(now, &Arrival::new(header, payload, Ecn::NotCapable))
    }

    /// Takes a segment that was expected.
    pub(super) fn take_expected(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<(), DropReason> {
        self.take_expected_header(cx, arrival);
        if arrival.payload.is_empty() {
            return Ok(());
        }
        self.take_in_order(cx, arrival, arrival.payload)
    }

    /// All of it but its text.
    #[inline(always)]
    pub(super) fn take_expected_header(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) {
        self.count_ack(cx.now);
        if core::mem::take(&mut self.tail.waits) {
            self.dirty = true;
        }
        let flight = self.snd.flight();
        let acked = arrival.ack.since(self.snd.snd_una);
        if acked > 0 {
            self.take_expected_ack(cx, arrival, acked);
        }
        let usable = self.snd.usable();
        let changed = self.snd.update(arrival.seq, arrival.ack, arrival.header.window);
        if acked > 0 {
            self.dirty |= self.waits_to_send();
            self.grow(cx.now, acked);
            self.restart_retransmit_timer(cx.now);
        } else {
            self.dirty |= changed && self.waits_to_send();
            if flight == 0 && (changed || self.timers.is_set(Timer::Retransmit)) {
                self.on_probe_answered(cx, self.snd.usable() > usable);
            }
        }
        if acked > 0 || self.snd.snd_wnd == 0 || flight == 0 {
            self.retries = 0;
        }
        self.note_timestamp(cx, arrival);
        self.restart_keepalive(cx);
    }

    /// What was sent at one time is acknowledged, all of it or its beginning.
    fn take_expected_ack(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>, acked: u32) {
        self.give_up_acknowledged(cx, arrival.ack);
        self.take_round_trip(cx.now, cx.now.micros_since(self.last_sent));
        self.count_delivery(cx.now, arrival.ack, acked, Ecn::NotCapable);
    }
}

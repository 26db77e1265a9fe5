//! The fifth check: what a segment acknowledges.

use wharf_table::DropReason;
use wharf_wire::tcp::TcpFlags;

use super::{Arrival, Ecn};
use crate::tcp::recovery::Delivery;
use crate::tcp::sack::{Delivered, Hearing};
use crate::tcp::seq::{Range, SeqNum};
use crate::tcp::state::{CloseReason, State};
use crate::tcp::tally::Waiting;
use crate::tcp::timers::{Timer, Timers};
use crate::tcp::tlp::Probe;
use crate::tcp::{Connection, Context};

impl Connection {
    /// Fifth: ACK. One of what was never sent, or of what was acknowledged longer ago than a window, is not believed
    /// (RFC 5961, section 5.2).
    pub(super) fn check_ack(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<(), DropReason> {
        if !arrival.has(TcpFlags::ACK) {
            return Err(DropReason::AckMissing);
        }
        if self.state == State::SynReceived {
            self.check_handshake_ack(cx, arrival)?;
        }
        let oldest = self.snd.snd_una - self.snd.max_wnd;
        if arrival.ack.after(self.snd.snd_nxt) || arrival.ack.before(oldest) {
            // The answer counts as a challenge; the segment itself has a reason of its own.
            return self.challenge(cx).map_err(|_| DropReason::AckInvalid);
        }
        self.on_acknowledgment(cx, arrival);
        self.on_fin_acknowledged(cx);
        Ok(())
    }

    pub(super) fn on_acknowledgment(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) {
        let (flight, acked) = (self.snd.flight(), arrival.ack.since(self.snd.snd_una));
        self.count_ack(cx.now);
        if core::mem::take(&mut self.tail.waits) {
            self.dirty = true;
        }
        let hearing = self.hearing(cx.now, arrival.header);
        let mut delivered = Delivered::default();
        let twice = self.twice(arrival);
        if acked > 0 {
            self.advance_snd_una(cx, arrival, &hearing, &mut delivered);
        }
        let sacked = self.take_blocks(arrival, &hearing, &mut delivered);
        self.measure_round_trip(cx.now, arrival.header, &delivered);
        let window_changed = self.on_window(cx, arrival);
        let is_bare =
            acked + sacked == 0 && arrival.ack == self.snd.snd_una && arrival.len() == 0 && !window_changed;
        let is_duplicate = !self.sack && flight > 0 && is_bare;
        let answers_probe = is_bare && self.probe != Probe::None;
        if answers_probe || acked > 0 || sacked > 0 || is_duplicate || twice.is_some() {
            let echo = arrival.header.options.timestamps.filter(|_| self.timestamps.enabled);
            let echo = echo.map(|(_, echo)| echo);
            self.dirty |= self.waits_to_send();
            let mark = self.ecn.echo(arrival.flags);
            self.count_delivery(cx.now, arrival.ack, delivered.bytes, mark);
            if mark == Ecn::Experienced {
                self.on_congestion_echo();
            }
            self.on_delivery(
                cx.now,
                Delivery { acked, sacked, delivered, is_duplicate, is_bare, twice, echo },
            );
            self.update_model(cx.now, &delivered);
            self.update_pacing();
        }
        if acked > 0 {
            self.restart_retransmit_timer(cx.now);
            self.watch_reneging(cx.now);
        }
        if acked > 0 || self.snd.snd_wnd == 0 || flight == 0 {
            // The peer answers, so the connection is not given up (RFC 9293, section 3.8.6.1, MUST-37).
            self.retries = 0;
        }
    }

    /// What is acknowledged is delivered, and given up.
    fn advance_snd_una(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival<'_>,
        hearing: &Hearing,
        delivered: &mut Delivered,
    ) {
        match &mut self.board {
            Some(board) => board.on_acked(arrival.ack, hearing, delivered),
            None => {
                delivered.bytes = arrival.ack.since(self.snd.snd_una);
                delivered.acked = Some((self.last_sent, self.last_sent));
            }
        }
        self.give_up_acknowledged(cx, arrival.ack);
    }

    /// Everything below `ack` has arrived and is kept no longer.
    #[inline]
    pub(super) fn give_up_acknowledged(&mut self, cx: &mut Context<'_>, ack: SeqNum) {
        self.tally.bytes_acked += u64::from(ack.since(self.snd.snd_una));
        self.snd.snd_una = ack;
        let watched = self.is_room_watched().then(|| self.send_room());
        let data = ack.since(self.send_start).min(self.send_queue.len() as u32);
        self.send_queue.consume(cx.pool, data as usize);
        self.send_start += data;
        if let Some(before) = watched {
            self.note_room(before);
        }
        if self.send_queue.is_empty() {
            self.tally.busy.on_change(Waiting::Nothing, cx.now);
        }
        self.small_sent = self.small_sent.latest(ack);
        self.soft_error = None;
        self.restart_user_timeout();
        self.on_path_progress(cx.now);
        self.forget_records();
    }

    /// What the peer holds beyond its acknowledgment; how many bytes are new.
    fn take_blocks(&mut self, arrival: &Arrival<'_>, hearing: &Hearing, delivered: &mut Delivered) -> u32 {
        let blocks = &arrival.header.options.sack;
        let snd_una = self.snd.snd_una;
        let tells = |&(left, _): &(u32, u32)| SeqNum::new(left).after(snd_una);
        // An acknowledgment that others have overtaken may report what they did not.
        if !self.sack || self.snd.flight() == 0 || !blocks.as_slice().iter().any(tells) {
            return 0;
        }
        self.board().on_blocks(blocks, hearing, delivered)
    }

    /// What the peer tells to have had twice: its first block lies below the acknowledgment, or within the second (RFC 2883,
    /// section 4).
    fn twice(&self, arrival: &Arrival<'_>) -> Option<Range> {
        let blocks = arrival.header.options.sack.as_slice();
        let range = |&(left, right): &(u32, u32)| Range::new(SeqNum::new(left), SeqNum::new(right));
        let first = blocks.first().map(range).filter(|first| self.sack && !first.is_empty())?;
        let oldest = self.snd.snd_una - self.snd.max_wnd;
        let below =
            !first.right.after(arrival.ack) && !first.left.before(oldest) && first.right.after(oldest);
        let within = blocks
            .get(1)
            .map(range)
            .is_some_and(|second| !first.left.before(second.left) && !first.right.after(second.right));
        (below || within).then_some(first)
    }

    /// The peer's window; whether it changed.
    fn on_window(&mut self, cx: &Context<'_>, arrival: &Arrival<'_>) -> bool {
        if arrival.header.flags.contains(TcpFlags::SYN) || arrival.ack.before(self.snd.snd_una) {
            return false;
        }
        let usable = self.snd.usable();
        let changed = self.snd.update(arrival.seq, arrival.ack, arrival.header.window);
        self.dirty |= changed && self.waits_to_send();
        if self.snd.flight() == 0 && (changed || self.timers.is_set(Timer::Retransmit)) {
            self.on_probe_answered(cx, self.snd.usable() > usable);
        }
        changed
    }

    /// The peer speaks while nothing is on its way. Where its window takes the next segment the probes end, where it does not
    /// the wait for the next probe begins anew (tcp_ack_probe of Linux).
    pub(super) fn on_probe_answered(&mut self, cx: &Context<'_>, has_opened: bool) {
        let next = self.data_end().since(self.snd.snd_nxt.earliest(self.data_end())).min(self.segment_size());
        if next > 0 && self.snd.usable() < next {
            if self.timers.is_set(Timer::Retransmit) {
                self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
                self.clamp_to_user_timeout();
            }
        } else if has_opened {
            self.timers.stop(Timer::Retransmit);
            self.rtt.reset_backoff();
        }
    }

    /// The transitions that an acknowledgment of our FIN brings.
    pub(super) fn on_fin_acknowledged(&mut self, cx: &mut Context<'_>) {
        if !self.fin_is_acknowledged() {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                match self.limits.fin_wait() {
                    Some(span) if self.detached => self.timers.set(Timer::Idle, cx.now + span),
                    None if self.detached => self.abort(),
                    _ => {}
                }
            }
            State::Closing => self.enter_time_wait(cx),
            State::LastAck => self.end(CloseReason::Finished),
            _ => {}
        }
    }

    pub(super) fn enter_time_wait(&mut self, cx: &mut Context<'_>) {
        self.state = State::TimeWait;
        self.timers = Timers::new();
        self.timers.set(Timer::Idle, cx.now + self.limits.time_wait());
        (self.board, self.recovery) = (None, None);
    }
}

//! The fifth check: what a segment acknowledges.

use core::time::Duration;

use wharf_table::{DropReason, Instant};
use wharf_wire::tcp::TcpFlags;

use super::{Arrival, Ecn};
use crate::tcp::recovery::Delivery;
use crate::tcp::seq::{Range, SeqNum};
use crate::tcp::state::{CloseReason, State};
use crate::tcp::timers::{Timer, Timers};
use crate::tcp::{Connection, Context};

/// An echo of our clock that is older makes no sense.
const ECHO_MAX_MS: u32 = 1 << 20;

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

    fn on_acknowledgment(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) {
        let (flight, acked) = (self.snd.flight(), arrival.ack.since(self.snd.snd_una));
        self.count_ack(cx.now);
        let fresh = if acked > 0 { self.advance_snd_una(cx, arrival) } else { 0 };
        let sacked = self.take_blocks(cx.now, arrival);
        let window_changed = self.on_window(arrival);
        let is_duplicate = !self.sack
            && acked == 0
            && flight > 0
            && arrival.ack == self.snd.snd_una
            && arrival.len() == 0
            && !window_changed;
        if acked > 0 || sacked > 0 || is_duplicate {
            let echo = arrival.header.options.timestamps.filter(|_| self.timestamps.enabled);
            let echo = echo.map(|(_, echo)| echo);
            self.dirty = true;
            let mark = self.ecn.echo(arrival.flags);
            self.count_delivery(cx.now, arrival.ack, fresh + sacked, mark);
            if mark == Ecn::Experienced {
                self.on_congestion_echo();
            }
            self.on_delivery(cx.now, Delivery { acked, sacked, is_duplicate, echo });
            self.update_pacing();
        }
        if acked > 0 {
            self.restart_retransmit_timer(cx.now);
        }
        if acked > 0 || self.snd.snd_wnd == 0 || flight == 0 {
            // The peer answers, so the connection is not given up (RFC 9293, section 3.8.6.1, MUST-37).
            self.retries = 0;
        }
    }

    /// What is acknowledged is given up. How many bytes of it were not reported before.
    fn advance_snd_una(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) -> u32 {
        let acked = Range::new(self.snd.snd_una, arrival.ack);
        self.tally.bytes_acked += u64::from(acked.len());
        self.snd.snd_una = arrival.ack;
        let room = self.send_room();
        let data = arrival.ack.since(self.send_start).min(self.send_queue.len() as u32);
        self.send_queue.consume(cx.pool, data as usize);
        self.send_start += data;
        self.note_room(room);
        self.small_sent = self.small_sent.latest(arrival.ack);
        self.soft_error = None;
        self.restart_user_timeout();
        self.measure_round_trip(cx.now, arrival);
        let Some(recovery) = &mut self.recovery else { return acked.len() };
        let fresh = recovery.board.unreported(acked);
        recovery.board.on_acked(arrival.ack);
        fresh
    }

    /// What the peer holds beyond its acknowledgment; how many bytes are new.
    fn take_blocks(&mut self, now: Instant, arrival: &Arrival<'_>) -> u32 {
        let blocks = &arrival.header.options.sack;
        let (snd_una, snd_nxt) = (self.snd.snd_una, self.snd.snd_nxt);
        let tells = |&(left, _): &(u32, u32)| SeqNum::new(left).after(snd_una);
        if !self.sack || arrival.ack.before(snd_una) || !blocks.as_slice().iter().any(tells) {
            return 0;
        }
        let new = self.board().on_blocks(blocks, snd_una, snd_nxt);
        // What is timed beyond a hole is measured by its report: its acknowledgment waits for the hole.
        if let Some(end) = self.rtt.timed_end()
            && self.board().has_arrived(end - 1)
        {
            let measured = self.rtt.on_ack(end, now, None);
            self.count_round_trip(measured, now);
        }
        new
    }

    /// The peer's window; whether it changed.
    fn on_window(&mut self, arrival: &Arrival<'_>) -> bool {
        if arrival.header.flags.contains(TcpFlags::SYN) || arrival.ack.before(self.snd.snd_una) {
            return false;
        }
        let usable = self.snd.usable();
        let changed = self.snd.update(arrival.seq, arrival.ack, arrival.header.window);
        if changed {
            self.dirty = true;
            if self.snd.usable() > usable && self.snd.flight() == 0 {
                self.timers.stop(Timer::Retransmit);
                self.rtt.reset_backoff();
            }
        }
        changed
    }

    /// Milliseconds may be all that the echo tells, but never none.
    pub(super) fn measure_round_trip(&mut self, now: Instant, arrival: &Arrival<'_>) {
        let echo = arrival.header.options.timestamps.filter(|_| self.timestamps.enabled);
        // An echo from before the time-out belongs to an acknowledgment that was lost or late: the wait for the timer is
        // no round trip. Until a later one comes, the time-out stays backed off (Karn's algorithm).
        let timed_out_at = self.recovery.as_ref().and_then(|recovery| recovery.timed_out_at);
        let is_older = |echo| timed_out_at.is_some_and(|at| SeqNum::new(echo).before(SeqNum::new(at)));
        let millis = echo
            .filter(|&(_, echo)| echo != 0 && !is_older(echo))
            .map(|(_, echo)| self.timestamps.clock(now).wrapping_sub(echo))
            .filter(|&millis| millis < ECHO_MAX_MS);
        let echoed = millis.map(|millis| Duration::from_millis(u64::from(millis.max(1))));
        let measured = self.rtt.on_ack(arrival.ack, now, echoed);
        if let Some(rtt) = measured.or(echoed) {
            self.congestion.on_round_trip(rtt);
        }
        self.count_round_trip(measured, now);
    }

    /// RFC 6298, rules 5.2 and 5.3.
    fn restart_retransmit_timer(&mut self, now: Instant) {
        if self.snd.flight() == 0 {
            self.timers.stop(Timer::Retransmit);
        } else {
            self.timers.set(Timer::Retransmit, now + self.rtt.rto());
        }
    }

    /// The transitions that an acknowledgment of our FIN brings.
    fn on_fin_acknowledged(&mut self, cx: &mut Context<'_>) {
        if !self.fin_is_acknowledged() {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                if self.detached {
                    self.timers.set(Timer::Idle, cx.now + self.limits.time_wait());
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
        self.recovery = None;
    }
}

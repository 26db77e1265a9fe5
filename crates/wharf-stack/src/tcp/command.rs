//! What the owner of a connection wants, and what ICMP says.

use super::state::{CloseReason, Events, State, Unreachable};
use super::{Connection, Context};
use crate::buffer::Spare;

/// Commands.
impl Connection {
    /// Lets the SYN-ACK of an incoming connection go.
    pub fn accept(&mut self) {
        if self.state == State::SynReceived && !self.accepted {
            (self.accepted, self.owed.syn, self.dirty) = (true, true, true);
        }
    }

    /// Queues as much of `bytes` as there is room and memory for, and says how much. [`Events::WRITABLE`] follows when it
    /// was not all and something is on its way; else the pool is empty, and the owner has to ask again.
    pub fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let room = self.send_room().min(cx.pool.sendable() + self.send_queue.tail_room());
        let queued = self.send_queue.push_slice(cx.pool, &bytes[..bytes.len().min(room)]);
        self.send_blocked |= queued < bytes.len();
        self.dirty |= queued > 0;
        self.tail.on_queued();
        queued
    }

    /// Free space of up to `max` bytes to read straight into; [`Connection::send_commit`] must follow, with 0 when
    /// nothing was read. Empty when there is no room or no memory.
    pub fn send_spare(&mut self, cx: &mut Context<'_>, max: usize) -> Spare<'_> {
        let room = self.send_room().min(cx.pool.sendable() + self.send_queue.tail_room()).min(max);
        self.send_blocked |= room < max;
        let spare = self.send_queue.spare(cx.pool, room);
        self.send_blocked |= spare.is_empty() && max > 0;
        spare
    }

    /// Queues the first `count` bytes of what [`Connection::send_spare`] gave.
    pub fn send_commit(&mut self, cx: &mut Context<'_>, count: usize) {
        self.send_queue.commit(cx.pool, count);
        self.dirty |= count > 0;
        self.tail.on_queued();
    }

    /// Removes `count` bytes that were read, which opens the window.
    pub fn consume(&mut self, cx: &mut Context<'_>, count: usize) {
        let count = count.min(self.receive_queue.len());
        self.receive_queue.consume(cx.pool, count);
        self.on_read(cx, count);
    }

    /// `count` bytes were read, and are gone from the receive queue.
    pub(super) fn on_read(&mut self, cx: &mut Context<'_>, count: usize) {
        self.forget_read_mark();
        let held = self.receive_queue.len() as u32;
        let beyond = self.out_of_order.as_ref().map_or(0, |held| held.span(self.rcv.rcv_nxt));
        self.rcv.on_read(held, self.limits.mss, self.tally.round.rtt(), beyond, cx.now);
        let acked = self.timestamps.last_ack_sent;
        if self.state.may_receive() && self.rcv.update_is_due(held, self.rcv_mss, acked) {
            self.owe_ack();
        } else if count > 0 {
            self.acknowledge_what_was_read();
        }
    }

    /// Finishes: a FIN follows the queued data, nothing more can be queued. Data that comes is still received.
    pub fn shutdown(&mut self) {
        if self.fin_queued || !self.state.may_send() {
            return;
        }
        (self.fin_queued, self.dirty) = (true, true);
        match self.state {
            State::Established => self.state = State::FinWait1,
            State::CloseWait => self.state = State::LastAck,
            // The FIN waits for the handshake.
            _ => {}
        }
    }

    /// Asks for [`Events::WRITABLE`] when everything that was sent is acknowledged.
    pub fn await_drain(&mut self) {
        self.drain_awaited = !self.send_queue.is_empty();
    }

    /// Nobody reads any more: finishes, and answers data that comes later with RST. Data that waits to be read is lost, and
    /// the peer hears so by a RST at once (RFC 2525, section 2.17).
    pub fn close(&mut self) {
        match self.state {
            State::Closed | State::TimeWait => return,
            State::SynSent => return self.end(CloseReason::Aborted),
            // Nobody will accept it any more, and no timer runs that would end it.
            State::SynReceived if !self.accepted => return self.abort(),
            _ if self.received_len() > 0 => return self.abort(),
            State::FinWait2 if self.limits.fin_wait().is_none() => return self.abort(),
            _ => {}
        }
        self.detached = true;
        self.shutdown();
        if let (State::FinWait2, Some(span)) = (self.state, self.limits.fin_wait()) {
            // The owner had finished before. The next time-out starts the clock that Linux calls tcp_fin_timeout.
            self.timers.set(super::timers::Timer::Idle, self.last_sent + span);
        }
    }

    /// Ends the connection with a RST, or refuses it when it was not accepted. What is queued is lost.
    pub fn abort(&mut self) {
        let answered = matches!(self.state, State::SynSent | State::TimeWait | State::Closed);
        self.end(CloseReason::Aborted);
        (self.owed.reset, self.dirty) = (!answered || self.owed.reset, true);
    }
}

/// ICMP.
impl Connection {
    /// An ICMP error came that may pass: the network or the host is unreachable. It ends a connection that is not
    /// established (RFC 5461, section 4.1); else it is remembered, as the reason when the connection times out.
    pub fn handle_soft_error(&mut self, error: Unreachable) {
        match self.state {
            State::SynSent | State::SynReceived => self.end(CloseReason::Unreachable(error)),
            State::Closed => {}
            _ => {
                self.soft_error = Some(error);
                self.events |= Events::SOFT_ERROR;
            }
        }
    }

    /// [`Connection::soft_error`], which is forgotten.
    pub const fn take_soft_error(&mut self) -> Option<Unreachable> {
        self.soft_error.take()
    }

    /// An ICMP error came that says that nobody listens. For an established connection it proves nothing, and is treated
    /// as a soft one (RFC 5927, section 5.2).
    pub fn handle_hard_error(&mut self, error: Unreachable) {
        self.handle_soft_error(error);
    }
}

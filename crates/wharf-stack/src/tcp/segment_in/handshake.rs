//! Segments before the connection is established (RFC 9293, section 3.10.7.3, and SYN-RECEIVED of 3.10.7.4).

use wharf_table::{DropReason, Instant};
use wharf_wire::tcp::{TcpFlags, TcpRepr};

use super::Arrival;
use crate::tcp::seq::{Range, SeqNum};
use crate::tcp::state::{CloseReason, Events, State};
use crate::tcp::timers::Timer;
use crate::tcp::{Connection, Context, DEFAULT_MSS_V4, DEFAULT_MSS_V6};

/// Peers that name a smaller segment size get this, as in Linux (tcp_min_snd_mss).
const MIN_MSS: u16 = 48;

/// How long an attempt to connect may have lasted when a SYN-ACK comes, in milliseconds.
const ATTEMPT_MAX: u32 = 600_000;

impl Connection {
    /// In SYN-SENT: first ACK, second RST, fourth SYN.
    pub(super) fn on_segment_in_syn_sent(
        &mut self,
        cx: &mut Context<'_>,
        arrival: Arrival<'_>,
    ) -> Result<(), DropReason> {
        let acknowledged = arrival.has(TcpFlags::ACK);
        let ours = self.acknowledges_syn(arrival.ack) && self.echoes_syn(cx.now, arrival.header);
        if acknowledged && !ours {
            self.answer_reset(&arrival);
            return Err(DropReason::AckInvalid);
        }
        if arrival.has(TcpFlags::RST) {
            // A RST that acknowledges nothing may come from anyone.
            if acknowledged {
                self.end(CloseReason::Refused);
            }
            return if acknowledged { Ok(()) } else { Err(DropReason::StateMismatch) };
        }
        if !arrival.has(TcpFlags::SYN) {
            return Err(DropReason::StateMismatch);
        }
        self.take_syn(arrival.header, cx.now);
        // What our SYN has promised counts from here.
        self.rcv.syn_field();
        if !acknowledged {
            // Both open at once (RFC 9293, section 3.5, figure 7).
            (self.state, self.owed.syn, self.dirty) = (State::SynReceived, true, true);
            return Ok(());
        }
        self.on_established(cx, &arrival);
        self.owe_ack();
        // Text and FIN on a SYN-ACK are not taken, as in Linux: what is not acknowledged comes again.
        let more = !arrival.payload.is_empty() || arrival.has(TcpFlags::FIN);
        if more { Err(DropReason::StateMismatch) } else { Ok(()) }
    }

    /// In SYN-RECEIVED. Until the owner accepts, the peer hears nothing, whatever it sends.
    pub(super) fn on_segment_in_syn_received(
        &mut self,
        cx: &mut Context<'_>,
        mut arrival: Arrival<'_>,
    ) -> Result<(), DropReason> {
        let repeated = arrival.has(TcpFlags::SYN) && arrival.seq == self.irs;
        if !self.accepted {
            return match arrival.has(TcpFlags::RST) {
                true => self.check_reset(cx, &arrival),
                false if repeated => Err(DropReason::Duplicate),
                false => Err(DropReason::StateMismatch),
            };
        }
        if repeated && !arrival.has(TcpFlags::ACK) {
            (self.owed.syn, self.dirty) = (true, true);
            return Err(DropReason::Duplicate);
        }
        let crossed = repeated && !self.passive && !arrival.has(TcpFlags::RST);
        if crossed {
            // The SYN-ACK of who opened at the same time: its SYN is known, its ACK counts.
            arrival.seq += 1;
            arrival.flags = TcpFlags::from_bits(arrival.flags.bits() & !TcpFlags::SYN.bits());
        }
        let result = self.on_segment(cx, arrival);
        if crossed && self.state.is_synchronized() {
            // The SYN has come twice, and what came twice is answered.
            self.note_duplicate(Range::new(self.irs, self.irs + 1));
            self.owe_ack();
        }
        result
    }

    /// The fifth check in SYN-RECEIVED: the handshake ends with an acknowledgment of our SYN.
    pub(super) fn check_handshake_ack(
        &mut self,
        cx: &mut Context<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<(), DropReason> {
        if !self.acknowledges_syn(arrival.ack) {
            self.answer_reset(arrival);
            return Err(DropReason::AckInvalid);
        }
        self.on_established(cx, arrival);
        Ok(())
    }

    /// What the peer's SYN says.
    pub(in crate::tcp) fn take_syn(&mut self, syn: &TcpRepr, now: Instant) {
        self.ecn.on_syn_arrived(self.state, syn.flags);
        self.irs = SeqNum::new(syn.seq);
        self.rcv.open(self.irs);
        self.timestamps.last_ack_sent = self.rcv.rcv_nxt;
        match syn.options.timestamps {
            Some((value, _)) => self.timestamps.note(value, now),
            None => self.timestamps.enabled = false,
        }
        self.hear_user_timeout(syn.options.user_timeout);
        self.sack &= syn.options.sack_permitted;
        match syn.options.window_scale.filter(|_| self.scaling) {
            Some(scale) => self.snd.scale = scale,
            None => {
                self.scaling = false;
                self.rcv.without_scale();
            }
        }
        let default = if self.tuple.remote.addr.is_v4() { DEFAULT_MSS_V4 } else { DEFAULT_MSS_V6 };
        self.mss = syn.options.mss.unwrap_or(default).max(MIN_MSS).min(self.limits.mss);
        self.begin_path(now);
        self.snd.set(self.irs, self.iss, syn.window.into());
    }

    /// Both have acknowledged each other's SYN.
    fn on_established(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) {
        self.state = if self.fin_queued { State::FinWait1 } else { State::Established };
        self.events |= Events::CONNECTED;
        self.snd.snd_una = self.iss + 1;
        self.tally.bytes_acked += u64::from(!self.passive);
        if arrival.header.flags.contains(TcpFlags::SYN) {
            self.snd.set(arrival.seq, arrival.ack, arrival.header.window.into());
        }
        self.small_sent = self.snd.snd_una;
        self.tally.data_arrived = cx.now;
        self.rcv.on_established(self.limits.mss, cx.now);
        self.measure_handshake(cx.now, arrival.header);
        self.congestion.on_connected(self.mss.into(), self.retries > 0);
        self.expand_send_buffer();
        if self.retries > 0 {
            self.rtt.on_lost_syn();
        }
        (self.retries, self.owed.syn, self.dirty) = (0, false, true);
        self.timers.stop(Timer::Retransmit);
        self.restart_keepalive(cx);
    }

    fn acknowledges_syn(&self, ack: SeqNum) -> bool {
        ack.after(self.snd.snd_una) && !ack.after(self.snd.snd_nxt)
    }

    /// Whether the timestamp that is echoed, if one is, can be that of one of our SYNs (RFC 7323, section 3.2): not from
    /// the future, nor from before the first. Peers that echo nothing are borne, as in Linux.
    fn echoes_syn(&self, now: Instant, segment: &TcpRepr) -> bool {
        let Some((_, echo)) =
            segment.options.timestamps.filter(|&(_, echo)| self.timestamps.enabled && echo != 0)
        else {
            return true;
        };
        let first = if self.retries == 0 {
            self.timestamps.clock(self.last_sent)
        } else {
            self.timestamps.clock(now).wrapping_sub(ATTEMPT_MAX)
        };
        let (echo, clock) = (SeqNum::new(echo), SeqNum::new(self.timestamps.clock(now)));
        !echo.before(SeqNum::new(first)) && !echo.after(clock)
    }

    /// What acknowledges something else than our SYN is of another connection, which is over.
    fn answer_reset(&mut self, arrival: &Arrival<'_>) {
        if !arrival.has(TcpFlags::RST) {
            (self.owed.reset_reply, self.dirty) = (Some(arrival.ack), true);
        }
    }
}

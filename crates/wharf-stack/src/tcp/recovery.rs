//! What a connection does when acknowledgments say, or stop saying, that data is lost: fast retransmit and recovery
//! (RFC 6675; RFC 6582 without SACK), recovery after a time-out (RFC 5681; RFC 6298), and the way back when nothing was lost
//! (RFC 3522, RFC 4015).
//!
//! How much leaves in a recovery follows proportional rate reduction (RFC 6937). Limited transmit (RFC 3042) needs no rule
//! of its own: what duplicate acknowledgments stand for is no longer on its way, so new data may leave.

use alloc::boxed::Box;

use wharf_table::Instant;

use super::congestion::Before;
use super::sack::{DUP_THRESH, Scoreboard};
use super::seq::SeqNum;
use super::timers::Timer;
use super::{CloseReason, Connection};

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Duplicate acknowledgments or SACK blocks have come, and nothing is lost yet.
    Disorder,
    /// Something is lost, and acknowledgments still come.
    Fast,
    /// Nothing is lost, but a router is congested (RFC 3168, section 6.1.2): the window falls as if something were.
    Reduced,
    /// The retransmission timer ran out.
    Timeout,
}

/// What is kept while not everything on its way arrives in order.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) phase: Phase,
    pub(super) board: Scoreboard,
    /// `snd_nxt` when data was found lost: the phase ends when that is acknowledged.
    recover: SeqNum,
    /// Acknowledgments that acknowledged nothing, since the last that did.
    duplicates: u32,
    /// Bytes on their way, kept up between acknowledgments.
    pub(super) pipe: u32,
    /// One segment is resent whatever the window.
    pub(super) force: bool,
    /// RFC 6937: bytes delivered and sent since the phase began, and bytes on their way when it did.
    delivered: u32,
    pub(super) sent: u32,
    flight: u32,
    undo: Option<Undo>,
    /// Our clock, as timestamps tell it, when the retransmission timer last ran out.
    pub(super) timed_out_at: Option<u32>,
}

/// How to take a recovery back.
#[derive(Debug)]
struct Undo {
    congestion: Before,
    /// TSval of the first retransmission, once it has left: who echoes an earlier one has received the original (RFC 3522,
    /// section 3.2).
    resent_at: Option<u32>,
}

/// What one acknowledgment has told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Bytes by which `snd_una` has moved.
    pub(super) acked: u32,
    /// Bytes newly reported by SACK.
    pub(super) sacked: u32,
    /// It acknowledges nothing while something is on its way, without SACK (RFC 5681, section 2).
    pub(super) is_duplicate: bool,
    /// The peer's echo of our clock.
    pub(super) echo: Option<u32>,
}

impl Recovery {
    pub(super) fn new(snd_una: SeqNum) -> Recovery {
        Recovery {
            phase: Phase::Disorder,
            board: Scoreboard::new(snd_una),
            recover: snd_una,
            duplicates: 0,
            pipe: 0,
            force: false,
            delivered: 0,
            sent: 0,
            flight: 0,
            undo: None,
            timed_out_at: None,
        }
    }

    /// The first retransmission of this phase has left with this timestamp.
    pub(super) fn on_first_resent(&mut self, timestamp: u32) {
        if let Some(undo) = &mut self.undo {
            undo.resent_at.get_or_insert(timestamp);
        }
    }

    fn begin(&mut self, phase: Phase, snd_nxt: SeqNum, flight: u32, undo: Option<Before>) {
        (self.phase, self.recover, self.flight) = (phase, snd_nxt, flight.max(1));
        (self.delivered, self.sent, self.force) = (0, 0, true);
        if let Some(congestion) = undo {
            self.undo = Some(Undo { congestion, resent_at: None });
        }
    }

    /// Whether the echo proves that the original arrived.
    fn is_spurious(&self, echo: Option<u32>) -> bool {
        let resent_at = self.undo.as_ref().and_then(|undo| undo.resent_at);
        matches!((resent_at, echo), (Some(resent), Some(echo)) if SeqNum::new(echo).before(SeqNum::new(resent)))
    }
}

impl Connection {
    /// Bytes on their way as the congestion window counts them.
    pub(super) fn pipe(&self) -> u32 {
        self.recovery.as_ref().map_or_else(|| self.snd.flight(), |recovery| recovery.pipe)
    }

    /// The board, made when it is needed first.
    pub(super) fn board(&mut self) -> &mut Scoreboard {
        let snd_una = self.snd.snd_una;
        &mut self.recovery.get_or_insert_with(|| Box::new(Recovery::new(snd_una))).board
    }

    /// An acknowledgment has come, `snd_una` and the board follow it already.
    pub(super) fn on_delivery(&mut self, now: Instant, delivery: Delivery) {
        if delivery.is_duplicate || delivery.sacked > 0 {
            let snd_una = self.snd.snd_una;
            let recovery = self.recovery.get_or_insert_with(|| Box::new(Recovery::new(snd_una)));
            recovery.duplicates = recovery.duplicates.saturating_add(1);
        }
        let Some(recovery) = &mut self.recovery else {
            return self.grow(now, delivery);
        };
        if delivery.acked > 0 {
            let segments = delivery.acked.div_ceil(self.mss.into());
            // Without SACK an acknowledgment takes with it the duplicates that it stands for.
            recovery.duplicates = match recovery.phase {
                Phase::Disorder => 0,
                _ => recovery.duplicates.saturating_sub(segments.saturating_sub(1)),
            };
            if recovery.is_spurious(delivery.echo) {
                self.undo_recovery();
            }
        }
        match self.recovery.as_ref().map(|recovery| recovery.phase) {
            Some(Phase::Disorder) => self.on_disorder(now, delivery),
            Some(Phase::Reduced) => self.on_reduced(delivery),
            Some(Phase::Fast) => self.on_fast_recovery(delivery),
            Some(Phase::Timeout) => self.on_timeout_recovery(now, delivery),
            None => {}
        }
        self.refresh_pipe();
        self.reduce_rate(delivery);
    }

    /// Growth of the window outside of recovery.
    fn grow(&mut self, now: Instant, delivery: Delivery) {
        if delivery.acked > 0 {
            if self.usage.is_limited(self.congestion.window(), self.congestion.ssthresh()) {
                let ack = self.congestion_ack(now, delivery.acked);
                self.congestion.on_ack(&ack);
            } else {
                self.congestion.on_unused(now);
            }
        }
    }

    fn on_disorder(&mut self, now: Instant, delivery: Delivery) {
        self.grow(now, delivery);
        let (segment, sack, snd_una) = (self.segment_size(), self.sack, self.snd.snd_una);
        let Some(recovery) = &mut self.recovery else { return };
        recovery.board.find_losses(segment);
        let lost = recovery.duplicates >= DUP_THRESH || recovery.board.has_losses(snd_una);
        if lost && self.snd.flight() > 0 && !snd_una.before(recovery.recover) {
            if !recovery.board.has_losses(snd_una) || !sack {
                recovery.board.mark_head_lost(snd_una, segment.min(self.snd.flight()));
            }
            // What was reported is not on its way: after a long recovery the flight is many windows.
            let flight = self.snd.flight().min(self.congestion.window());
            // A batch of acknowledgments may have made the flight small before one of them told of the loss.
            let used = if self.window_filled { self.congestion.window() } else { flight };
            let before = self.congestion.on_loss(used, self.mss.into());
            recovery.begin(Phase::Fast, self.snd.snd_nxt, flight, Some(before));
            self.ecn.on_reduced();
        } else if delivery.acked > 0 && !recovery.board.has_reports() && !recovery.board.has_losses(snd_una) {
            self.recovery = None;
        }
    }

    /// A router on the way has marked something: the window falls once a round trip (RFC 3168, section 6.1.2).
    pub(super) fn on_congestion_echo(&mut self) {
        let snd_una = self.snd.snd_una;
        let recovery = self.recovery.get_or_insert_with(|| Box::new(Recovery::new(snd_una)));
        if recovery.phase != Phase::Disorder || snd_una.before(recovery.recover) {
            return;
        }
        let flight = self.snd.flight().min(self.congestion.window());
        let _ = self.congestion.on_loss(self.congestion.window(), self.mss.into());
        recovery.begin(Phase::Reduced, self.snd.snd_nxt, flight, None);
        recovery.force = false;
        self.ecn.on_reduced();
    }

    /// The window is being reduced without a loss. One that comes does not reduce it again.
    fn on_reduced(&mut self, delivery: Delivery) {
        let (segment, sack, snd_una) = (self.segment_size(), self.sack, self.snd.snd_una);
        let Some(recovery) = &mut self.recovery else { return };
        recovery.board.find_losses(segment);
        let lost = recovery.duplicates >= DUP_THRESH || recovery.board.has_losses(snd_una);
        if lost && self.snd.flight() > 0 {
            if !recovery.board.has_losses(snd_una) || !sack {
                recovery.board.mark_head_lost(snd_una, segment.min(self.snd.flight()));
            }
            (recovery.phase, recovery.force) = (Phase::Fast, true);
            self.on_fast_recovery(delivery);
        } else if !snd_una.before(recovery.recover) {
            self.congestion.on_recovered();
            self.end_phase();
        }
    }

    fn on_fast_recovery(&mut self, delivery: Delivery) {
        let (segment, snd_una) = (self.segment_size(), self.snd.snd_una);
        let Some(recovery) = &mut self.recovery else { return };
        if !snd_una.before(recovery.recover) {
            self.congestion.on_recovered();
            return self.end_phase();
        }
        recovery.board.find_losses(segment);
        if delivery.acked > 0 && !self.sack {
            // A partial acknowledgment: the next segment is lost as well, and goes at once (RFC 6582, section 3.2, step 3).
            recovery.force = true;
            recovery.board.mark_head_lost(snd_una, segment.min(self.snd.flight()));
        }
    }

    fn on_timeout_recovery(&mut self, now: Instant, delivery: Delivery) {
        if delivery.acked > 0 {
            let ack = self.congestion_ack(now, delivery.acked);
            self.congestion.on_ack(&ack);
        }
        let segment = self.segment_size();
        let Some(recovery) = &mut self.recovery else { return };
        recovery.board.find_losses(segment);
        if !self.snd.snd_una.before(recovery.recover) {
            self.end_phase();
        }
    }

    /// What was lost has arrived. Reports of later data are kept.
    fn end_phase(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            (recovery.phase, recovery.undo, recovery.force) = (Phase::Disorder, None, false);
            recovery.duplicates = 0;
            recovery.board.mark_none_lost(self.snd.snd_una);
            if !recovery.board.has_reports() {
                self.recovery = None;
            }
        }
    }

    /// Nothing was lost: the window is what it was.
    fn undo_recovery(&mut self) {
        let Some(undo) = self.recovery.as_mut().and_then(|recovery| recovery.undo.take()) else { return };
        self.congestion.undo(undo.congestion);
        if let Some(recovery) = &mut self.recovery {
            recovery.recover = self.snd.snd_una;
        }
        self.end_phase();
    }

    /// Counts anew what is on its way.
    pub(super) fn refresh_pipe(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            let pipe = recovery.board.pipe(self.snd.snd_una, self.snd.snd_nxt);
            // Without SACK each duplicate stands for a segment that has arrived.
            let arrived = if self.sack { 0 } else { recovery.duplicates.saturating_mul(self.mss.into()) };
            recovery.pipe = pipe.saturating_sub(arrived);
        }
    }

    /// Proportional rate reduction (RFC 6937, section 3): the window lets go what the acknowledgment allows.
    fn reduce_rate(&mut self, delivery: Delivery) {
        let mss = u32::from(self.mss);
        let Some(recovery) =
            self.recovery.as_mut().filter(|recovery| matches!(recovery.phase, Phase::Fast | Phase::Reduced))
        else {
            return;
        };
        let delivered = if self.sack || delivery.acked > 0 { delivery.acked + delivery.sacked } else { mss };
        recovery.delivered = recovery.delivered.saturating_add(delivered);
        let ssthresh = self.congestion.ssthresh();
        let allowed = if recovery.pipe > ssthresh {
            let share = u64::from(recovery.delivered) * u64::from(ssthresh);
            let share = share.div_ceil(u64::from(recovery.flight));
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(recovery.sent)
        } else {
            let unsent = recovery.delivered.saturating_sub(recovery.sent);
            unsent.max(delivered).saturating_add(mss).min(ssthresh - recovery.pipe)
        };
        self.congestion.set_window(recovery.pipe.saturating_add(allowed));
    }

    /// The retransmission timer ran out (RFC 6298, section 5): everything that was not reported goes again, one segment
    /// at first.
    pub(super) fn on_retransmission_timeout(&mut self, now: Instant) {
        if self.has_waited_enough(now, self.limits.max_retries) {
            return self.give_up(CloseReason::TimedOut);
        }
        self.count_retry();
        self.rtt.on_resent();
        let (flight, mss) = (self.snd.flight().min(self.congestion.window()), u32::from(self.mss));
        let (snd_una, snd_nxt) = (self.snd.snd_una, self.snd.snd_nxt);
        let again = self.retries > 1;
        let recovery = self.recovery.get_or_insert_with(|| Box::new(Recovery::new(snd_una)));
        if again || recovery.board.is_reneged(snd_una) {
            recovery.board.forget_reports();
        }
        // A recovery that is cut short had reduced the window already, and its way back is the one that counts.
        let reduces = !again && !matches!(recovery.phase, Phase::Fast | Phase::Reduced);
        let before = reduces.then(|| self.congestion.on_loss(flight, mss));
        recovery.board.mark_all_lost(snd_una, snd_nxt);
        recovery.duplicates = 0;
        recovery.begin(Phase::Timeout, snd_nxt, flight, before);
        recovery.timed_out_at = Some(self.timestamps.clock(now));
        self.congestion.on_timeout(mss);
        self.ecn.on_reduced();
        self.refresh_pipe();
        self.rtt.back_off();
        self.timers.set(Timer::Retransmit, now + self.rtt.rto());
        self.clamp_to_user_timeout();
    }

    /// What is on its way was too large for the path: it goes again, in smaller segments, and the window stays (RFC 8201,
    /// section 5.4).
    pub(super) fn resend_all(&mut self) {
        let (snd_una, snd_nxt) = (self.snd.snd_una, self.snd.snd_nxt);
        self.rtt.on_resent();
        self.board().mark_all_lost(snd_una, snd_nxt);
        if let Some(recovery) = &mut self.recovery {
            recovery.recover = snd_nxt;
        }
        self.refresh_pipe();
    }
}

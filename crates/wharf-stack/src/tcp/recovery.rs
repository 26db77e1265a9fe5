//! What a connection does when acknowledgments say, or stop saying, that data is lost: fast recovery (RFC 6675 with the
//! losses that [`rack`](super::rack) finds; RFC 6582 without SACK), recovery after a time-out (RFC 5681; RFC 6298), and
//! the reduction that a congested router asks for (RFC 3168).
//!
//! How much leaves in a reduction is [`prr`](super::prr)'s question; whether it was all a mistake, [`undo`](super::undo)'s.
//! Limited transmit (RFC 3042) and early retransmit (RFC 5827) need no rules of their own: what was reported is no longer
//! on its way, so new data may leave; and few segments are found lost by time like many.

use alloc::boxed::Box;

use wharf_table::Instant;

use super::prr::{Ack, Prr};
use super::sack::{Delivered, Scoreboard};
use super::seq::{Range, SeqNum};
use super::timers::{Awaits, Timer};
use super::undo::Undo;
use super::{CloseReason, CongestionKind, Connection};

/// Duplicates, or segments reported, after which what is missing is lost when nothing was ever seen out of order (RFC 5681,
/// section 3.2; DupThresh of RFC 6675).
pub(super) const DUP_THRESH: u32 = 3;

/// The least that an acknowledgment of what was reported is waited for, as in Linux.
const RENEGING_WAIT: core::time::Duration = core::time::Duration::from_millis(10);

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Duplicate acknowledgments or SACK blocks have come, and nothing is lost yet.
    Disorder,
    /// Nothing is lost, but the window has to fall.
    Reduced,
    /// Something is lost, and acknowledgments still come.
    Fast,
    /// The retransmission timer ran out.
    Timeout,
    /// What was lost has arrived; the peer may still tell that it never was.
    Settled,
}

/// What is kept while not everything on its way arrives in order.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) phase: Phase,
    /// `snd_nxt` when data was found lost: the phase ends when that is acknowledged.
    pub(super) recover: SeqNum,
    /// Acknowledgments that acknowledged nothing, since the last that did.
    pub(super) duplicates: u32,
    /// One segment is resent whatever the window.
    pub(super) force: bool,
    pub(super) prr: Prr,
    pub(super) undo: Option<Undo>,
    /// It is still to be seen whether the time-out was spurious (RFC 5682).
    pub(super) doubts: Doubts,
    /// Our clock, as timestamps tell it, when the retransmission timer last ran out.
    pub(super) timed_out_at: Option<u32>,
    /// When it ran out first since something was acknowledged.
    pub(super) stalled_since: Instant,
}

/// F-RTO: whether the time-out is believed (RFC 5682, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubts {
    /// It was right.
    None,
    /// The first retransmission has left, nothing else is resent.
    Waiting,
    /// Something was acknowledged: new data leaves instead of old (step 2b).
    Probing,
}

/// What one acknowledgment has told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Bytes by which `snd_una` has moved.
    pub(super) acked: u32,
    /// Bytes newly reported by SACK.
    pub(super) sacked: u32,
    /// What has arrived, by the board.
    pub(super) delivered: Delivered,
    /// It acknowledges nothing while something is on its way, without SACK (RFC 5681, section 2).
    pub(super) is_duplicate: bool,
    /// It says nothing at all but what was acknowledged before.
    pub(super) is_bare: bool,
    /// What the peer tells to have had twice (RFC 2883).
    pub(super) twice: Option<Range>,
    /// The peer's echo of our clock.
    pub(super) echo: Option<u32>,
}

impl Recovery {
    fn new(snd_una: SeqNum) -> Recovery {
        Recovery {
            phase: Phase::Disorder,
            recover: snd_una,
            duplicates: 0,
            force: false,
            prr: Prr::default(),
            undo: None,
            doubts: Doubts::None,
            timed_out_at: None,
            stalled_since: Instant::NEVER,
        }
    }

    fn begin(&mut self, phase: Phase, snd_nxt: SeqNum) {
        (self.phase, self.recover, self.force) = (phase, snd_nxt, true);
        self.doubts = Doubts::None;
    }

    /// `len` bytes leave.
    pub(super) fn on_sent(&mut self, len: u32) {
        self.prr.on_sent(len);
    }
}

impl Connection {
    /// Bytes on their way as the congestion window counts them.
    pub(super) fn pipe(&self) -> u32 {
        let pipe = self.board.as_ref().map_or_else(|| self.snd.flight(), |board| board.pipe());
        match &self.recovery {
            // Without SACK each duplicate stands for a segment that has arrived.
            Some(recovery) if !self.sack => {
                pipe.saturating_sub(recovery.duplicates.saturating_mul(self.mss.into()))
            }
            _ => pipe,
        }
    }

    /// The board, made when it is needed first.
    pub(super) fn board(&mut self) -> &mut Scoreboard {
        let (range, at) = (Range::new(self.snd.snd_una, self.snd.snd_nxt), self.last_sent);
        self.board.get_or_insert_with(|| Box::new(Scoreboard::new(range, at)))
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.recovery.as_ref().map(|recovery| recovery.phase)
    }

    fn recovery(&mut self) -> &mut Recovery {
        let snd_una = self.snd.snd_una;
        self.recovery.get_or_insert_with(|| Box::new(Recovery::new(snd_una)))
    }

    fn lost(&self) -> u32 {
        self.board.as_ref().map_or(0, |board| board.lost())
    }

    /// An acknowledgment has come, `snd_una` and the board follow it already.
    pub(super) fn on_delivery(&mut self, now: Instant, delivery: Delivery) {
        self.reordering.seen |= delivery.delivered.reordered;
        self.reordering.note_depth(delivery.delivered.depth.div_ceil(self.segment_size()));
        self.tally.reorderings_seen += u32::from(delivery.delivered.reordered);
        self.tally.duplicates_reported += u32::from(delivery.twice.is_some());
        self.on_probe_answer(&delivery);
        if delivery.is_duplicate || delivery.sacked > 0 {
            let recovery = self.recovery();
            recovery.duplicates = recovery.duplicates.saturating_add(1);
        }
        if self.recovery.is_none() {
            return self.grow(now, delivery.acked);
        }
        let new = self.newly_delivered(&delivery);
        self.count_duplicates(&delivery);
        self.undo_if_mistaken(&delivery);
        let lost = self.look_for_losses(now);
        match self.phase() {
            Some(Phase::Reduced) => self.on_reduced(),
            Some(Phase::Fast) => self.on_fast_recovery(&delivery),
            Some(Phase::Timeout) => self.on_timeout_recovery(now, &delivery),
            _ => self.grow(now, new),
        }
        if matches!(self.phase(), Some(Phase::Disorder | Phase::Settled)) {
            self.on_disorder(&delivery);
        }
        let safe = delivery.acked > 0 && lost == 0;
        self.reduce_rate(&delivery, if safe { Ack::Safe } else { Ack::Unsafe });
    }

    /// Without SACK an acknowledgment takes with it the duplicates that it stands for.
    fn count_duplicates(&mut self, delivery: &Delivery) {
        let segments = delivery.acked.div_ceil(self.mss.into());
        if let Some(recovery) = self.recovery.as_mut().filter(|_| delivery.acked > 0) {
            recovery.duplicates = match recovery.phase {
                Phase::Disorder | Phase::Settled => 0,
                _ => recovery.duplicates.saturating_sub(segments.saturating_sub(1)),
            };
        }
    }

    /// What an acknowledgment brings that was not reported before, by SACK or by duplicates: as in Linux the window does not
    /// grow for it when an acknowledgment follows the reports. Nothing when it acknowledges nothing.
    fn newly_delivered(&self, delivery: &Delivery) -> u32 {
        let duplicates = self.recovery.as_ref().map_or(0, |recovery| recovery.duplicates);
        match (delivery.acked, self.sack) {
            (0, _) => 0,
            (_, true) => delivery.delivered.bytes,
            (acked, false) => acked.saturating_sub(duplicates.saturating_mul(self.mss.into())),
        }
    }

    /// Growth of the window outside of recovery, for `acked` bytes.
    pub(super) fn grow(&mut self, now: Instant, acked: u32) {
        if acked > 0 {
            if self.usage.is_limited(self.congestion.window(), self.congestion.ssthresh()) {
                let ack = self.congestion_ack(now, acked);
                self.congestion.on_ack(&ack);
            } else {
                self.congestion.on_unused(now);
            }
        }
    }

    /// How late a segment may be (RFC 8985, section 6.2, step 4). Not at all while nothing was ever seen out of order and
    /// a loss is certain, or as good as.
    fn reordering_window(&self) -> core::time::Duration {
        let duplicates = self.recovery.as_ref().map_or(0, |recovery| recovery.duplicates);
        let reported = self.board.as_ref().map_or(0, |board| board.reported());
        let recovers = matches!(self.phase(), Some(Phase::Fast | Phase::Timeout));
        let many = duplicates >= DUP_THRESH || reported > (DUP_THRESH - 1) * self.segment_size();
        if !self.reordering.seen && (recovers || many) {
            return core::time::Duration::ZERO;
        }
        let srtt = self.rtt.srtt().unwrap_or_default().as_micros();
        self.reordering.window(self.tally.min_rtt.get(), u32::try_from(srtt).unwrap_or(u32::MAX))
    }

    /// Finds out what is lost by now; how many bytes newly.
    fn look_for_losses(&mut self, now: Instant) -> u32 {
        if !self.sack {
            return 0;
        }
        let window = self.reordering_window();
        let Some(found) = self.board.as_mut().and_then(|board| board.find_losses(now, window)) else {
            return 0;
        };
        if let Some(wait) = found.wait {
            self.await_until(Awaits::Reordering, now + wait);
        } else if self.awaits == Awaits::Reordering {
            self.await_acknowledgment(now);
        }
        found.lost
    }

    /// It was waited long enough for what others have overtaken (RFC 8985, section 6.2, step 5).
    pub(super) fn on_reordering_timer(&mut self, now: Instant) {
        let window = self.reordering_window();
        let Some(board) = &mut self.board else { return };
        let found = board.detect(now, window);
        match found.wait {
            Some(wait) => self.await_until(Awaits::Reordering, now + wait),
            None => self.await_acknowledgment(now),
        }
        if found.lost > 0 && !matches!(self.phase(), Some(Phase::Fast | Phase::Timeout)) {
            self.enter_fast_recovery();
            self.reduce_rate_by(0, Ack::Unsafe);
        }
    }

    fn on_disorder(&mut self, delivery: &Delivery) {
        let (snd_una, sack, lost) = (self.snd.snd_una, self.sack, self.lost() > 0);
        let Some(recovery) = &mut self.recovery else { return };
        // What goes again because the path became smaller is no loss.
        let counts = recovery.phase == Phase::Settled || !snd_una.before(recovery.recover);
        let many = !sack && recovery.duplicates >= DUP_THRESH;
        if self.snd.flight() > 0 && counts && (lost || many) {
            if !lost {
                self.mark_head_lost();
            }
            if self.on_probe_lost() {
                // It was too large for the path, which says nothing of congestion.
                let snd_nxt = self.snd.snd_nxt;
                self.recovery().recover = snd_nxt;
                return;
            }
            self.enter_fast_recovery();
        } else if delivery.acked > 0 || self.snd.flight() == 0 || sack && !lost {
            self.leave_disorder();
        }
    }

    /// Nothing is kept when there is nothing left to be known.
    fn leave_disorder(&mut self) {
        let reported = self.board.as_ref().map_or(0, |board| board.reported());
        if let Some(recovery) = &self.recovery
            && reported == 0
            && (recovery.phase == Phase::Disorder || !self.snd.snd_una.before(recovery.recover))
        {
            self.recovery = None;
        }
    }

    fn mark_head_lost(&mut self) {
        let len = self.segment_size().min(self.snd.flight());
        self.board().mark_head_lost(len);
    }

    /// Something is lost: fast retransmit and fast recovery. When the window is falling already it falls no further.
    fn enter_fast_recovery(&mut self) {
        let snd_nxt = self.snd.snd_nxt;
        if self.phase() == Some(Phase::Reduced) {
            return self.recovery().begin(Phase::Fast, snd_nxt);
        }
        let before = self.reduce_window();
        let snd_una = self.snd.snd_una;
        let recovery = self.recovery();
        recovery.begin(Phase::Fast, snd_nxt);
        recovery.undo = Some(Undo::new(before, snd_una));
    }

    /// What falls when something of a flight is lost. CUBIC counts all of the window, as in Linux: it does not grow while it is
    /// not used, which is what RFC 9438, section 4.6, wants of who does so. The others count what is on its way (RFC 5681,
    /// section 3.1).
    fn at_stake(&self, flight: u32) -> u32 {
        if self.congestion.kind() == CongestionKind::Cubic { self.congestion.window() } else { flight }
    }

    /// The window begins to fall.
    fn reduce_window(&mut self) -> super::congestion::Before {
        // What was reported is not on its way: after a long recovery the flight is many windows.
        let flight = self.snd.flight().min(self.congestion.window());
        // A batch of acknowledgments may have made the flight small before one of them told of the loss.
        let used = if self.window_filled { self.congestion.window() } else { self.at_stake(flight) };
        let before = self.congestion.on_loss(used, self.mss.into());
        self.recovery().prr = Prr::begin(used);
        self.ecn.on_reduced();
        before
    }

    /// A router on the way is congested, and the peer says so (RFC 3168, section 6.1.2): the window falls, once a round
    /// trip. Does nothing while it is falling for another reason.
    pub(super) fn on_congestion_echo(&mut self) {
        if matches!(self.phase(), Some(Phase::Reduced | Phase::Fast | Phase::Timeout)) {
            return;
        }
        // As in Linux from all of the window, which does not grow while it is not used: what is on its way may be little
        // or nothing by now.
        let window = self.congestion.window();
        let _ = self.congestion.on_loss(window, self.mss.into());
        self.recovery().prr = Prr::begin(window);
        self.ecn.on_reduced();
        let snd_nxt = self.snd.snd_nxt;
        let recovery = self.recovery();
        recovery.begin(Phase::Reduced, snd_nxt);
        (recovery.force, recovery.undo) = (false, None);
    }

    fn on_reduced(&mut self) {
        if self.lost() > 0 || !self.sack && self.recovery().duplicates >= DUP_THRESH {
            if self.lost() == 0 {
                self.mark_head_lost();
            }
            self.enter_fast_recovery();
        } else if !self.snd.snd_una.before(self.recovery().recover) {
            self.congestion.on_recovered();
            self.end_phase();
        }
    }

    fn on_fast_recovery(&mut self, delivery: &Delivery) {
        if !self.snd.snd_una.before(self.recovery().recover) {
            self.congestion.on_recovered();
            self.reordering.on_recovered();
            return self.end_phase();
        }
        if delivery.acked > 0 && !self.sack {
            // A partial acknowledgment: the next segment is lost as well, and goes at once (RFC 6582, section 3.2, step 3).
            self.recovery().force = true;
            self.mark_head_lost();
        }
    }

    fn on_timeout_recovery(&mut self, now: Instant, delivery: &Delivery) {
        if delivery.acked > 0 {
            let ack = self.congestion_ack(now, delivery.acked);
            self.congestion.on_ack(&ack);
        }
        self.resolve_doubts(delivery);
        if !self.snd.snd_una.before(self.recovery().recover) {
            self.reordering.on_recovered();
            self.end_phase();
        }
    }

    /// What was lost has arrived. Reports of later data are kept, and for a round trip the way back.
    pub(super) fn end_phase(&mut self) {
        let snd_nxt = self.snd.snd_nxt;
        if let Some(recovery) = &mut self.recovery {
            let settled = recovery.undo.is_some() && recovery.phase != Phase::Settled;
            recovery.phase = if settled { Phase::Settled } else { Phase::Disorder };
            if settled && self.sack {
                recovery.recover = snd_nxt;
            }
            (recovery.force, recovery.duplicates, recovery.doubts) = (false, 0, Doubts::None);
        }
    }

    /// Proportional rate reduction: the window lets go what the acknowledgment allows.
    fn reduce_rate(&mut self, delivery: &Delivery, ack: Ack) {
        let delivered = if self.sack || delivery.acked > 0 {
            delivery.delivered.bytes
        } else {
            u32::from(delivery.is_duplicate) * u32::from(self.mss)
        };
        if delivered > 0 {
            self.reduce_rate_by(delivered, ack);
        }
    }

    fn reduce_rate_by(&mut self, delivered: u32, ack: Ack) {
        let (pipe, ssthresh, mss) = (self.pipe(), self.congestion.ssthresh(), u32::from(self.mss));
        if let Some(recovery) = &mut self.recovery
            && matches!(recovery.phase, Phase::Fast | Phase::Reduced)
        {
            let window = recovery.prr.on_ack(delivered, ack, pipe, ssthresh, mss);
            self.congestion.set_window(window);
        }
    }

    /// The retransmission timer ran out (RFC 6298, section 5): everything that was not reported goes again, one segment
    /// at first.
    pub(super) fn on_retransmission_timeout(&mut self, now: Instant) {
        if self.has_resent_enough(now) {
            return self.give_up(CloseReason::TimedOut);
        }
        self.count_retry();
        self.doubt_path(now);
        let (flight, mss) = (self.snd.flight().min(self.congestion.window()), u32::from(self.mss));
        let (snd_una, snd_nxt, clock) = (self.snd.snd_una, self.snd.snd_nxt, self.timestamps.clock(now));
        let again = self.retries > 1;
        let recovery = self.recovery();
        if !again || recovery.stalled_since == Instant::NEVER {
            recovery.stalled_since = now;
        }
        let board = self.board();
        if again || board.is_reneged() {
            board.forget_reports();
        }
        board.mark_timed_out(now);
        // A recovery that is cut short had reduced the window already, and its way back is the one that counts.
        let fell = matches!(self.phase(), Some(Phase::Fast | Phase::Reduced | Phase::Timeout));
        let doubted = self.phase() != Some(Phase::Fast);
        if !fell || !again && self.phase() == Some(Phase::Timeout) {
            let before = self.congestion.on_loss(self.at_stake(flight), mss);
            self.recovery().undo = Some(Undo::new(before, snd_una));
        }
        let recovery = self.recovery();
        recovery.duplicates = 0;
        recovery.begin(Phase::Timeout, snd_nxt);
        recovery.doubts = if doubted { Doubts::Waiting } else { Doubts::None };
        recovery.timed_out_at = Some(clock);
        self.congestion.on_timeout(mss);
        self.congestion.set_window(self.pipe().saturating_add(mss));
        self.ecn.on_reduced();
        self.forget_probe();
        self.rtt.back_off();
        self.await_acknowledgment(now);
        self.clamp_to_user_timeout();
    }

    /// What is on its way was too large for the path: it goes again, in smaller segments, and the window stays (RFC 8201,
    /// section 5.4).
    pub(super) fn resend_all(&mut self) {
        let snd_nxt = self.snd.snd_nxt;
        self.board().mark_all_lost(|_| false);
        self.recovery().recover = snd_nxt;
    }

    /// RFC 6298, rules 5.2 and 5.3: everything is acknowledged, or something and the timer starts anew.
    pub(super) fn restart_retransmit_timer(&mut self, now: Instant) {
        if self.snd.flight() == 0 {
            self.timers.stop(Timer::Retransmit);
            self.awaits = Awaits::Acknowledgment;
            self.board = None;
        } else if self.awaits != Awaits::Reordering {
            self.await_probe_or_acknowledgment(now);
        }
    }

    /// An acknowledgment ends where the peer had reported more: it may have thrown that away (RFC 2018, section 8), or the
    /// acknowledgment of it follows at once. Nothing goes again until it is known which (tcp_check_sack_reneging of Linux).
    pub(super) fn watch_reneging(&mut self, now: Instant) {
        if self.board.as_ref().is_some_and(|board| board.is_reneged()) {
            let half = self.rtt.srtt().unwrap_or_default() / 2;
            self.await_until(Awaits::Acknowledgment, now + half.max(RENEGING_WAIT));
        }
    }

    /// The timer runs for the retransmission time-out.
    pub(super) fn await_acknowledgment(&mut self, now: Instant) {
        let mut at = now.plus_micros(self.rtt.rto_micros());
        if self.awaits != Awaits::Acknowledgment && self.timers.is_set(Timer::Retransmit) {
            // Another timer had its place: the time-out counts from when the oldest segment left.
            let left = self.board.as_ref().and_then(|board| board.oldest()).unwrap_or(self.last_sent);
            at = left.plus_micros(self.rtt.rto_micros()).max(now.plus_micros(1_000));
        }
        self.await_until(Awaits::Acknowledgment, at);
    }

    pub(super) fn await_until(&mut self, what: Awaits, at: Instant) {
        self.awaits = what;
        self.timers.set(Timer::Retransmit, at);
    }
}

//! What goes again, and the times at which data leaves.

use alloc::boxed::Box;

use wharf_table::Instant;

use super::Connection;
use super::recovery::Doubts;
use super::sack::Scoreboard;
use super::segment_out::SegmentOut;
use super::seq::Range;
use super::timers::Timer;

impl Connection {
    /// What is lost goes again, as far as the congestion window lets it.
    pub(super) fn on_loss_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        let Some(doubts) = self.recovery.as_ref().map(|recovery| recovery.doubts) else { return false };
        let board = self.board.as_mut().filter(|board| !board.is_reneged());
        let Some(lost) = board.and_then(|board| board.next_lost()) else { return false };
        if doubts == Doubts::Probing {
            return self.on_doubtful_loss_due(now, out);
        }
        if !self.is_let_go(now) {
            return false;
        }
        let lost = Range::new(lost.left, lost.left + self.within_record(lost.left, lost.len()));
        let (segment, snd_una) = (self.segment_size(), self.snd.snd_una);
        let first = lost.left == snd_una;
        let forced = self.recovery.as_ref().is_some_and(|recovery| recovery.force);
        let budget = self.congestion.window().saturating_sub(self.pipe());
        let budget = if forced { budget.max(segment) } else { budget };
        // A window that was shrunk to nothing still takes the first segment: it is the probe then.
        let peer = (snd_una + self.snd.snd_wnd).since(lost.left);
        let peer = if first { peer.max(segment) } else { peer };
        let allowed = budget.min(peer).min(self.payload_max(segment));
        let len = if lost.len() <= allowed { lost.len() } else { allowed - allowed % segment };
        if len == 0 {
            return false;
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.force = false;
        }
        self.resend(now, Range::new(lost.left, lost.left + len), out);
        if first || !self.timers.is_set(Timer::Retransmit) {
            self.timers.stop(Timer::Retransmit);
            self.await_acknowledgment(now);
            self.clamp_to_user_timeout();
        }
        self.pace(len, now);
        true
    }

    /// The time-out may have been spurious: new data leaves instead of old, to see (RFC 5682, section 2.1, step 2b).
    fn on_doubtful_loss_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        let found = self.on_data_due(now, out);
        match &mut self.recovery {
            Some(recovery) if !found && !self.snd.snd_nxt.after(recovery.recover) => {
                recovery.doubts = Doubts::None;
                self.on_loss_due(now, out)
            }
            _ => found,
        }
    }

    /// `range` leaves again.
    pub(super) fn resend(&mut self, now: Instant, range: Range, out: &mut SegmentOut) {
        let (srtt, timestamp) = (self.rtt.srtt().unwrap_or_default(), self.timestamps.clock(now));
        self.forget_resent_probe(range);
        self.board().on_resent(range, now, srtt);
        if let Some(recovery) = &mut self.recovery {
            recovery.on_sent(range.len());
            if let Some(undo) = &mut recovery.undo {
                undo.on_resent(range.len(), timestamp);
            }
        }
        self.data_segment(now, range, out);
        self.tally.on_resent(out.payload.1 as u32, out.count());
    }

    /// `range` leaves for the first time; `snd_nxt` follows it already. While a single time is enough to know, that is
    /// `last_sent` and there is no board.
    pub(super) fn note_sent(&mut self, range: Range, now: Instant) {
        if range.left == self.snd.snd_una {
            self.board = None;
        } else if self.board.is_some() || now != self.last_sent {
            let srtt = self.rtt.srtt().unwrap_or_default();
            let before = Range::new(self.snd.snd_una, range.left);
            let at = self.last_sent;
            let board = self.board.get_or_insert_with(|| Box::new(Scoreboard::new(before, at)));
            board.on_sent(range.right, now, srtt);
        }
        self.last_sent = now;
        if let Some(recovery) = &mut self.recovery {
            recovery.on_sent(range.len());
        }
    }
}

//! The way back when nothing was lost: how it is noticed that data went again in vain, and what is undone (RFC 4015).
//!
//! Three tell: the echo of a timestamp older than the first retransmission (Eifel, RFC 3522); DSACKs for everything that
//! went again (RFC 2883; RFC 3708); and after a time-out, that data arrives which did not go again (F-RTO, RFC 5682).

use super::Connection;
use super::congestion::Before;
use super::recovery::{Delivery, Doubts, Phase};
use super::seq::{Range, SeqNum};

/// How to take a recovery back.
#[derive(Debug)]
pub(super) struct Undo {
    congestion: Before,
    /// `snd_una` when it began: a DSACK of what lies before is about something older.
    from: SeqNum,
    /// TSval of the first retransmission, once it has left: who echoes an earlier one has received the original (RFC 3522,
    /// section 3.2).
    resent_at: Option<u32>,
    /// Bytes sent again of which no DSACK has told.
    resent: u32,
}

impl Undo {
    pub(super) fn new(congestion: Before, from: SeqNum) -> Undo {
        Undo { congestion, from, resent_at: None, resent: 0 }
    }

    /// `len` bytes go again.
    pub(super) fn on_resent(&mut self, len: u32, timestamp: u32) {
        self.resent_at.get_or_insert(timestamp);
        self.resent = self.resent.saturating_add(len);
    }

    /// The peer had this twice; whether that accounts for everything that went again.
    fn on_twice(&mut self, range: Range) -> bool {
        if self.resent == 0 || !range.right.after(self.from) {
            return false;
        }
        self.resent = self.resent.saturating_sub(range.len());
        self.resent == 0
    }

    /// Whether the echo proves that the original arrived.
    fn is_refuted(&self, echo: Option<u32>) -> bool {
        matches!((self.resent_at, echo), (Some(resent), Some(echo)) if SeqNum::new(echo).before(SeqNum::new(resent)))
    }
}

impl Connection {
    /// Takes the recovery back if the acknowledgment shows that it was a mistake.
    pub(super) fn undo_if_mistaken(&mut self, delivery: &Delivery) {
        let Some(undo) = self.recovery.as_mut().and_then(|recovery| recovery.undo.as_mut()) else { return };
        let all_twice = delivery.twice.is_some_and(|range| undo.on_twice(range));
        if all_twice || delivery.acked > 0 && undo.is_refuted(delivery.echo) {
            self.undo_recovery();
        }
    }

    /// F-RTO with SACK or without (RFC 5682, section 2.1 and 3.1), after an acknowledgment.
    pub(super) fn resolve_doubts(&mut self, delivery: &Delivery) {
        let (snd_una, snd_nxt) = (self.snd.snd_una, self.snd.snd_nxt);
        let may_send = self.has_new_data() && self.snd.usable() > 0;
        let Some(recovery) = self.recovery.as_mut().filter(|recovery| recovery.doubts != Doubts::None) else {
            return;
        };
        if delivery.delivered.original && delivery.acked + delivery.sacked > 0 {
            // Step 3b: what was never sent again arrives.
            return self.undo_recovery();
        }
        let sent_new = snd_nxt.after(recovery.recover);
        if sent_new && (delivery.sacked > 0 || delivery.is_duplicate) {
            recovery.doubts = Doubts::None;
        } else if !sent_new && delivery.acked > 0 && snd_una.before(recovery.recover) {
            recovery.doubts = if may_send { Doubts::Probing } else { Doubts::None };
        } else if recovery.doubts == Doubts::Probing {
            recovery.doubts = Doubts::Waiting;
        }
    }

    fn has_new_data(&self) -> bool {
        self.data_end().after(self.snd.snd_nxt)
    }

    /// Nothing was lost: the window is what it was.
    fn undo_recovery(&mut self) {
        let Some(undo) = self.recovery.as_mut().and_then(|recovery| recovery.undo.take()) else { return };
        self.congestion.undo(undo.congestion);
        if let Some(board) = &mut self.board {
            board.mark_none_lost();
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.recover = self.snd.snd_una;
            recovery.phase = Phase::Disorder;
        }
        self.end_phase();
    }
}

//! What is lost is told by time (RACK, RFC 8985, section 6): a segment is lost when one that left later has arrived, and as
//! long ago as a segment may be late because others overtook it.
//!
//! The reordering window, how late that is, starts as a quarter of the least round trip, and none at all while nothing was
//! ever seen out of order and much has been reported (the three duplicates of RFC 5681). It grows with each round trip in
//! which the peer tells by DSACK that something was sent again in vain (section 6.2.4).

use core::time::Duration;

use wharf_table::Instant;

use super::sack::{Fate, Hearing, Piece, Scoreboard};
use super::seq::SeqNum;

/// Recoveries for which a grown window stays (RFC 8985, section 6.2.4).
const PERSIST: u8 = 16;

/// The segment that left last of all that have arrived.
#[derive(Debug)]
pub(super) struct Rack {
    /// RACK.xmit_ts and RACK.end_seq.
    sent_at: Instant,
    end: SeqNum,
    /// RACK.rtt, in microseconds.
    rtt: u32,
    /// RACK.fack: the highest sequence number that has arrived.
    fack: SeqNum,
    /// Something has arrived since losses were looked for.
    advanced: bool,
    /// RACK.dsack_round: a DSACK counts again once this is acknowledged.
    dsack_round: Option<SeqNum>,
}

impl Rack {
    pub(super) const fn new(snd_una: SeqNum) -> Rack {
        Rack {
            sent_at: Instant::ZERO,
            end: snd_una,
            rtt: 0,
            fack: snd_una,
            advanced: false,
            dsack_round: None,
        }
    }

    /// The end of what has overtaken what arrives now, up to `end` (section 6.2, step 3). What left more than once tells
    /// nothing.
    pub(super) fn overtook(&mut self, end: SeqNum, again: bool) -> Option<SeqNum> {
        let before = end.before(self.fack);
        self.fack = self.fack.latest(end);
        (before && !again).then_some(self.fack)
    }

    /// A piece has arrived, of which the part up to `end` is known (section 6.2, step 2). What left more than once is not
    /// believed when it would have come back impossibly fast, or when the peer echoes an earlier time: it was the original.
    pub(super) fn on_arrived(&mut self, end: SeqNum, piece: &Piece, hearing: &Hearing) {
        let rtt = u32::try_from(hearing.now.since(piece.at).as_micros()).unwrap_or(u32::MAX);
        let earlier = hearing.echo_until.is_some_and(|until| piece.at > until);
        if piece.again && (rtt < hearing.min_rtt || earlier) {
            return;
        }
        (self.rtt, self.advanced) = (rtt, true);
        if is_after(piece.at, end, self.sent_at, self.end) {
            (self.sent_at, self.end) = (piece.at, end);
        }
    }

    /// Whether what ends at `end` and left at `at` left before what has arrived.
    fn has_passed(&self, at: Instant, end: SeqNum) -> bool {
        is_after(self.sent_at, self.end, at, end)
    }

    /// How much longer it is waited for what left at `at`; `None` when it is lost.
    fn patience(&self, at: Instant, now: Instant, window: Duration) -> Option<Duration> {
        let deadline = at + Duration::from_micros(self.rtt.into()) + window;
        (deadline > now).then(|| deadline.since(now))
    }
}

/// RACK_sent_after (section 6.2, step 4).
fn is_after(at: Instant, end: SeqNum, other_at: Instant, other_end: SeqNum) -> bool {
    at > other_at || at == other_at && end.after(other_end)
}

/// What was found out about losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    /// Bytes newly lost.
    pub(super) lost: u32,
    /// When to look again, though nothing comes.
    pub(super) wait: Option<Duration>,
}

impl Scoreboard {
    /// Finds what is lost by now (RFC 8985, section 6.2, step 5) if something has arrived since this was asked last.
    pub(super) fn find_losses(&mut self, now: Instant, window: Duration) -> Option<Findings> {
        core::mem::take(&mut self.rack.advanced).then(|| self.detect(now, window))
    }

    /// The same in any case.
    pub(super) fn detect(&mut self, now: Instant, window: Duration) -> Findings {
        let (fresh, waits) = self.detect_fresh(now, window);
        let (again, waits_again) = self.detect_again(now, window);
        // Nothing that is waited for left later than what has arrived.
        let wait = self.rack.patience(self.rack.sent_at, now, window).filter(|_| waits || waits_again);
        Findings { lost: fresh + again, wait }
    }

    /// What left once left in its order, so that each piece is looked at until it is known to be lost or to have arrived.
    fn detect_fresh(&mut self, now: Instant, window: Duration) -> (u32, bool) {
        let mut lost = 0;
        let mut index = self.index_of(self.fresh);
        while let Some(&piece) = self.pieces.get(index) {
            if piece.fate == Fate::OnItsWay && !piece.again {
                if !self.rack.has_passed(piece.at, piece.end) {
                    break;
                }
                if self.rack.patience(piece.at, now, window).is_some() {
                    return (lost, true);
                }
                lost += self.mark_lost(index);
            }
            self.fresh = piece.end;
            index += 1;
        }
        (lost, false)
    }

    /// The same for what was sent again, in the order in which that was.
    fn detect_again(&mut self, now: Instant, window: Duration) -> (u32, bool) {
        let mut lost = 0;
        while let Some(&front) = self.again.front() {
            let mut index = self.index_of(front.range.left.latest(self.start));
            let mut remains = false;
            while let Some(&piece) = self.pieces.get(index)
                && self.left_of(index).before(front.range.right)
            {
                if piece.fate == Fate::OnItsWay && piece.again && piece.at == front.at {
                    if !self.rack.has_passed(piece.at, piece.end) {
                        remains = true;
                        break;
                    }
                    if self.rack.patience(piece.at, now, window).is_some() {
                        return (lost, true);
                    }
                    lost += self.mark_lost(index);
                }
                index += 1;
            }
            if remains {
                break;
            }
            self.again.pop_front();
        }
        (lost, false)
    }

    /// A time-out: everything is lost but what left so lately that it may still arrive (RFC 8985, section 6.3). The first
    /// is lost in any case.
    pub(super) fn mark_timed_out(&mut self, now: Instant) {
        let rtt = Duration::from_micros(self.rack.rtt.into());
        self.mark_all_lost(|piece| rtt > Duration::ZERO && piece.at + rtt > now);
        self.mark_lost_head();
        self.fresh = self.start;
    }

    fn mark_lost_head(&mut self) {
        if !self.pieces.is_empty() {
            self.mark_lost(0);
        }
    }

    /// A DSACK has come; whether it is the first of a round trip.
    pub(super) fn on_dsack(&mut self, snd_una: SeqNum, snd_nxt: SeqNum) -> bool {
        let counts = self.rack.dsack_round.is_none_or(|round| !snd_una.before(round));
        if counts {
            self.rack.dsack_round = Some(snd_nxt);
        }
        counts
    }
}

/// What a connection remembers of its path for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reordering {
    /// RACK.reordering_seen.
    pub(super) seen: bool,
    /// RACK.reo_wnd_mult, less one, and RACK.reo_wnd_persist.
    widened: u8,
    persist: u8,
    /// The most segments by which one was overtaken.
    pub(super) depth: u8,
}

super::park::packed!(struct Reordering { seen, widened, persist, depth });

impl Reordering {
    pub(super) const fn new() -> Reordering {
        Reordering { seen: false, widened: 0, persist: 0, depth: 0 }
    }

    /// One was overtaken by so many segments.
    pub(super) fn note_depth(&mut self, segments: u32) {
        self.depth = self.depth.max(u8::try_from(segments).unwrap_or(u8::MAX));
    }

    /// Something went again in vain: wait longer.
    pub(super) fn widen(&mut self) {
        self.widened = self.widened.saturating_add(1);
        self.persist = PERSIST;
    }

    /// A recovery has ended.
    pub(super) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.widened = 0;
        }
    }

    /// RACK.reo_wnd, with `min_rtt` and the smoothed round trip in microseconds.
    pub(super) fn window(&self, min_rtt: u32, srtt: u32) -> Duration {
        let window = u64::from(min_rtt / 4) * (1 + u64::from(self.widened));
        Duration::from_micros(window.min(srtt.into()))
    }
}

#[cfg(test)]
mod tests;

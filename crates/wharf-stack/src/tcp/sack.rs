//! The sender's scoreboard: of what is on its way, what has arrived, what is lost, what was sent again (RFC 2018; RFC 6675).
//!
//! Sequence numbers between `snd_una` and `snd_nxt` are either *sacked*, or *lost* when they lie below `lost_below` and
//! were not sacked, or on their way. What is lost is *resent* once, and lost again when the peer reports data that left
//! well behind it. Without SACK the board works the same: nothing is ever sacked then.
//!
//! Who decides by time instead (RFC 8985) moves `lost_below` by other means; the rest stays.

use alloc::vec::Vec;

use wharf_wire::tcp::SackBlocks;

use super::seq::{Range, RangeSet, SeqNum};

/// Ranges that are kept apart at most; a peer that reports more is not believed the rest.
const RANGES_MAX: usize = 512;
/// Discontiguous ranges above a hole that make it lost, and segments in them (DupThresh of RFC 6675, section 2).
pub(super) const DUP_THRESH: u32 = 3;

/// A part that was sent again.
#[derive(Clone, Copy, Debug)]
struct Resent {
    range: Range,
    /// `snd_nxt` at that time: who reports data beyond that has had time to report the range.
    behind: SeqNum,
}

/// What is known of the data on its way.
#[derive(Debug)]
pub(super) struct Scoreboard {
    sacked: RangeSet,
    /// In ascending order, without overlap.
    resent: Vec<Resent>,
    lost_below: SeqNum,
    /// Nothing below is lost and not resent.
    cursor: SeqNum,
}

impl Scoreboard {
    pub(super) const fn new(snd_una: SeqNum) -> Scoreboard {
        Scoreboard { sacked: RangeSet::new(), resent: Vec::new(), lost_below: snd_una, cursor: snd_una }
    }

    /// Takes the blocks of an acknowledgment; how many bytes are new. Blocks at or below `snd_una` (DSACK, RFC 2883) or
    /// beyond `snd_nxt` say nothing here.
    pub(super) fn on_blocks(&mut self, blocks: &SackBlocks, snd_una: SeqNum, snd_nxt: SeqNum) -> u32 {
        let mut new = 0;
        for &(left, right) in blocks.as_slice() {
            let range = Range::new(SeqNum::new(left), SeqNum::new(right));
            let sensible = range.left.after(snd_una) && !range.is_empty() && !range.right.after(snd_nxt);
            if sensible && self.sacked.as_slice().len() < RANGES_MAX {
                new += self.sacked.insert(range);
            }
        }
        new
    }

    /// Everything below `snd_una` has arrived.
    pub(super) fn on_acked(&mut self, snd_una: SeqNum) {
        self.sacked.remove_before(snd_una);
        let gone = self.resent.partition_point(|resent| !resent.range.right.after(snd_una));
        self.resent.drain(..gone);
        if let Some(first) = self.resent.first_mut() {
            first.range.left = first.range.left.latest(snd_una);
        }
        self.lost_below = self.lost_below.latest(snd_una);
        self.cursor = self.cursor.latest(snd_una);
    }

    /// Finds what is lost by now (IsLost of RFC 6675, section 4), and what was resent in vain; whether there is more of it
    /// than before.
    pub(super) fn find_losses(&mut self, segment: u32) -> bool {
        let mut above = 0;
        let reported = self.sacked.as_slice();
        let mut lost_below = self.lost_below;
        for (count, range) in (1..).zip(reported.iter().rev()) {
            above += range.len();
            if count >= DUP_THRESH || above > (DUP_THRESH - 1) * segment {
                lost_below = lost_below.latest(range.left);
                break;
            }
        }
        let mut more = lost_below != self.lost_below;
        self.lost_below = lost_below;
        let Some(highest) = reported.last().map(|range| range.right) else { return more };
        let (sacked, cursor) = (&self.sacked, &mut self.cursor);
        self.resent.retain(|resent| {
            let in_vain = highest.since(resent.behind) > (DUP_THRESH - 1) * segment
                && sacked.gaps(resent.range).next().is_some();
            if in_vain {
                *cursor = cursor.earliest(resent.range.left);
                more = true;
            }
            !in_vain
        });
        more
    }

    /// The first `len` bytes are lost, also when they were resent before.
    pub(super) fn mark_head_lost(&mut self, snd_una: SeqNum, len: u32) {
        let head = Range::new(snd_una, snd_una + len);
        self.resent.retain(|resent| !resent.range.left.before(head.right));
        self.lost_below = self.lost_below.latest(head.right);
        self.cursor = snd_una;
    }

    /// Everything that was not reported is lost, also when it was resent before.
    pub(super) fn mark_all_lost(&mut self, snd_una: SeqNum, snd_nxt: SeqNum) {
        self.resent.clear();
        self.lost_below = snd_nxt;
        self.cursor = snd_una;
    }

    /// Whether the peer has reported this byte.
    pub(super) fn has_arrived(&self, seq: SeqNum) -> bool {
        self.sacked.find(seq).is_some()
    }

    /// Nothing is lost after all.
    pub(super) fn mark_none_lost(&mut self, snd_una: SeqNum) {
        self.lost_below = snd_una;
        self.cursor = snd_una;
    }

    /// The peer may have thrown away what it had reported (RFC 2018, section 8).
    pub(super) fn forget_reports(&mut self) {
        self.sacked.clear();
    }

    /// Whether the peer has reported what it would have to acknowledge: it has thrown something away.
    pub(super) fn is_reneged(&self, snd_una: SeqNum) -> bool {
        self.sacked.find(snd_una).is_some()
    }

    pub(super) fn has_losses(&self, snd_una: SeqNum) -> bool {
        self.lost_below.after(snd_una)
    }

    pub(super) fn has_reports(&self) -> bool {
        !self.sacked.is_empty()
    }

    /// The first part that is lost and was not resent, up to where something else begins.
    pub(super) fn next_lost(&mut self) -> Option<Range> {
        while self.cursor.before(self.lost_below) {
            let at = self.cursor;
            let next = self.resent.partition_point(|resent| !at.before(resent.range.right));
            let next = self.resent.get(next).map(|resent| resent.range);
            if let Some(skip) = self.sacked.find(at).or(next.filter(|next| next.contains(at))) {
                self.cursor = skip.right;
                continue;
            }
            let end = next.map_or(self.lost_below, |next| next.left.earliest(self.lost_below));
            return self.sacked.gaps(Range::new(at, end)).next();
        }
        None
    }

    /// `range`, which was lost, was sent again.
    pub(super) fn on_resent(&mut self, range: Range, snd_nxt: SeqNum) {
        self.cursor = range.right;
        let full = self.resent.len() >= RANGES_MAX;
        let at = self.resent.partition_point(|resent| resent.range.left.before(range.left));
        if let Some(before) = at.checked_sub(1).and_then(|before| self.resent.get_mut(before))
            && before.range.right == range.left
            && (before.behind == snd_nxt || full)
        {
            before.range.right = range.right;
            before.behind = snd_nxt;
            return;
        }
        self.resent.insert(at, Resent { range, behind: snd_nxt });
    }

    /// Bytes reported, lost and not resent, and resent.
    pub(super) fn census(&self, snd_una: SeqNum, snd_nxt: SeqNum) -> [u32; 3] {
        let resent: u32 = self.resent.iter().map(|resent| self.unreported(resent.range)).sum();
        let lost = self.unreported(Range::new(snd_una, self.lost_below)).saturating_sub(resent);
        let all = Range::new(snd_una, snd_nxt);
        [all.len().saturating_sub(self.unreported(all)), lost, resent]
    }

    /// Bytes of `range` that were not reported.
    pub(super) fn unreported(&self, range: Range) -> u32 {
        self.sacked.gaps(range).map(Range::len).sum()
    }

    /// How much is on its way (RFC 6675, section 4): all that was not reported, less what is lost, and what was resent.
    pub(super) fn pipe(&self, snd_una: SeqNum, snd_nxt: SeqNum) -> u32 {
        let missing = |range| self.sacked.gaps(range).map(Range::len).sum::<u32>();
        let lost = missing(Range::new(snd_una, self.lost_below));
        let resent: u32 = self.resent.iter().map(|resent| missing(resent.range)).sum();
        missing(Range::new(snd_una, snd_nxt)).saturating_sub(lost).saturating_add(resent)
    }
}

#[cfg(test)]
mod tests;

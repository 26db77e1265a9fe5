//! Data that came out of order: which ranges are held, and what to report of them (RFC 2018; RFC 2883).
//!
//! The bytes lie in the receive queue already, ahead of its end, where they belong. So holding them takes memory only for
//! the chunks that they touch, within the window that was promised; when the gap is filled nothing is copied. What came first
//! stays: later data over the same sequence numbers is not written.

use arrayvec::ArrayVec;
use wharf_wire::tcp::SackBlocks;

use super::seq::{Range, RangeSet, SeqNum};

/// Ranges that are kept apart at most. A window of 1 MiB with every second segment lost has 360.
const RANGES_MAX: usize = 512;

/// What is held beyond `rcv_nxt`.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    ranges: RangeSet,
    /// Where the latest arrivals began, the latest first, one more than is told: it may fill a gap and be held no longer.
    recent: ArrayVec<SeqNum, { SackBlocks::MAX + 1 }>,
    /// What came twice, to be reported once.
    duplicate: Option<Range>,
    /// Where the peer's FIN stands, when it came before all data.
    pub(super) fin: Option<SeqNum>,
}

impl Reassembly {
    /// The parts of `range` that are not held. `None` when no more ranges can be kept apart; what continues the data in order,
    /// at `rcv_nxt`, never has to be, or the gap would never be filled.
    pub(super) fn wanted(&self, range: Range, rcv_nxt: SeqNum) -> Option<ArrayVec<Range, 16>> {
        let full = self.ranges.as_slice().len() >= RANGES_MAX;
        if full && range.left != rcv_nxt && self.ranges.find(range.left).is_none() {
            return None;
        }
        Some(self.ranges.gaps(range).take(16).collect())
    }

    /// `range` has arrived and is written; a part of it may be known.
    pub(super) fn insert(&mut self, range: Range) {
        // A part that is known is told as what came twice (RFC 2883, section 4.2).
        if let Some(known) = self.ranges.first_overlap(range) {
            self.duplicate = Some(known);
        }
        self.ranges.insert(range);
        if self.recent.is_full() {
            self.recent.pop();
        }
        self.recent.insert(0, range.left);
    }

    /// `range` has arrived and was received before.
    pub(super) fn note_duplicate(&mut self, range: Range) {
        self.duplicate = Some(range);
    }

    /// Everything before `rcv_nxt` is in order now: how much of what is held follows it without a gap. That is no longer
    /// held.
    pub(super) fn take_joined(&mut self, rcv_nxt: SeqNum) -> u32 {
        self.ranges.remove_before(rcv_nxt);
        self.ranges.take_first_at(rcv_nxt).map_or(0, Range::len)
    }

    /// Whether there is a gap.
    pub(super) fn has_gap(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// From `rcv_nxt` to the end of all that is held.
    pub(super) fn span(&self, rcv_nxt: SeqNum) -> u32 {
        self.ranges.as_slice().last().map_or(0, |last| last.right.since(rcv_nxt))
    }

    /// Whether nothing is left to be known.
    pub(super) fn is_idle(&self) -> bool {
        self.ranges.is_empty() && self.duplicate.is_none() && self.fin.is_none()
    }

    /// How many blocks the next acknowledgment carries, of up to `max`.
    pub(super) fn block_count(&self, max: usize) -> usize {
        self.blocks(max).len()
    }

    /// The blocks of the next acknowledgment: what came twice, then the latest arrivals.
    pub(super) fn blocks(&self, max: usize) -> SackBlocks {
        let mut chosen: ArrayVec<Range, { SackBlocks::MAX }> = self.duplicate.into_iter().collect();
        for &seq in &self.recent {
            if let Some(range) = self.ranges.find(seq)
                && !chosen.iter().skip(usize::from(self.duplicate.is_some())).any(|other| *other == range)
                && !chosen.is_full()
            {
                chosen.push(range);
            }
        }
        let mut blocks = SackBlocks::EMPTY;
        for range in chosen.iter().take(max) {
            blocks.push(range.left.value(), range.right.value());
        }
        blocks
    }

    /// An acknowledgment has left: what came twice is reported.
    pub(super) fn on_reported(&mut self) {
        self.duplicate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn range(left: u32, right: u32) -> Range {
        Range::new(SeqNum::new(left), SeqNum::new(right))
    }

    #[test]
    fn the_latest_arrival_is_reported_first_and_a_duplicate_before_it() {
        let mut held = Reassembly::default();
        for at in [10, 30, 50, 70, 90] {
            held.insert(range(at, at + 10));
        }
        assert_eq!(held.blocks(3).as_slice(), [(90, 100), (70, 80), (50, 60)]);
        held.insert(range(30, 40));
        assert_eq!(held.blocks(4).as_slice(), [(30, 40), (30, 40), (90, 100), (70, 80)]);
        held.on_reported();
        assert_eq!(held.blocks(4).as_slice(), [(30, 40), (90, 100), (70, 80), (50, 60)]);
    }

    #[test]
    fn what_joins_is_no_longer_held() {
        let mut held = Reassembly::default();
        held.insert(range(10, 20));
        held.insert(range(30, 40));
        assert_eq!(held.take_joined(SeqNum::new(5)), 0);
        assert_eq!(held.take_joined(SeqNum::new(12)), 8);
        assert!(held.has_gap() && !held.is_idle());
        assert_eq!(held.take_joined(SeqNum::new(30)), 10);
        assert!(held.is_idle());
    }

    #[test]
    fn only_so_many_ranges_are_kept_apart() {
        let mut held = Reassembly::default();
        for at in (0..).step_by(4).take(RANGES_MAX) {
            held.insert(range(at + 1, at + 2));
        }
        assert!(held.wanted(range(100_000, 100_001), SeqNum::new(0)).is_none());
        assert!(held.wanted(range(0, 1), SeqNum::new(0)).is_some(), "it fills the gap");
        let gaps: Vec<Range> =
            held.wanted(range(1, 8), SeqNum::new(0)).expect("it joins one").into_iter().collect();
        assert_eq!(gaps, [range(2, 5), range(6, 8)]);
    }
}

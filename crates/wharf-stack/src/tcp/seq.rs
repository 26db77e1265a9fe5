//! Sequence numbers (RFC 9293, section 3.4) and sets of ranges of them.
//!
//! A sequence number has no order, because the space is a circle; two of them that lie within 2^31 of each other are
//! before or after one another, and all those of one connection do.

use alloc::vec::Vec;
use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SeqNum(u32);

impl SeqNum {
    /// The sequence number with this value on the wire.
    pub const fn new(value: u32) -> SeqNum {
        SeqNum(value)
    }

    /// The value on the wire.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Whether this lies before `other`.
    pub const fn before(self, other: SeqNum) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether this lies after `other`.
    pub const fn after(self, other: SeqNum) -> bool {
        other.before(self)
    }

    /// How far this lies after `earlier`; 0 when it lies before.
    pub const fn since(self, earlier: SeqNum) -> u32 {
        if self.before(earlier) { 0 } else { self.0.wrapping_sub(earlier.0) }
    }

    /// The later of the two.
    #[must_use]
    pub const fn latest(self, other: SeqNum) -> SeqNum {
        if self.before(other) { other } else { self }
    }

    /// The earlier of the two.
    #[must_use]
    pub const fn earliest(self, other: SeqNum) -> SeqNum {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for SeqNum {
    type Output = SeqNum;
    fn add(self, count: u32) -> SeqNum {
        SeqNum(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for SeqNum {
    type Output = SeqNum;
    fn sub(self, count: u32) -> SeqNum {
        SeqNum(self.0.wrapping_sub(count))
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The sequence numbers from `left` up to, not including, `right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) left: SeqNum,
    pub(super) right: SeqNum,
}

impl Range {
    pub(super) const fn new(left: SeqNum, right: SeqNum) -> Range {
        Range { left, right }
    }

    pub(super) const fn len(self) -> u32 {
        self.right.since(self.left)
    }

    pub(super) const fn is_empty(self) -> bool {
        !self.left.before(self.right)
    }

    pub(super) const fn contains(self, seq: SeqNum) -> bool {
        !seq.before(self.left) && seq.before(self.right)
    }
}

/// Ranges in ascending order that neither overlap nor touch.
#[derive(Debug, Default)]
pub(super) struct RangeSet(Vec<Range>);

impl RangeSet {
    pub(super) fn as_slice(&self) -> &[Range] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The range that holds `seq`. O(log n).
    pub(super) fn find(&self, seq: SeqNum) -> Option<Range> {
        let index = self.0.partition_point(|range| !seq.before(range.right));
        self.0.get(index).copied().filter(|range| range.contains(seq))
    }

    /// What the first range of the set that has anything of `range` has of it. O(log n).
    pub(super) fn first_overlap(&self, range: Range) -> Option<Range> {
        let index = self.0.partition_point(|held| !range.left.before(held.right));
        let held = self.0.get(index).filter(|held| held.left.before(range.right))?;
        let overlap = Range::new(held.left.latest(range.left), held.right.earliest(range.right));
        (!overlap.is_empty()).then_some(overlap)
    }

    /// Adds a range and joins it with those it touches; how many sequence numbers are new. O(log n) and a move of what
    /// follows.
    pub(super) fn insert(&mut self, range: Range) -> u32 {
        if range.is_empty() {
            return 0;
        }
        let first = self.0.partition_point(|held| held.right.before(range.left));
        let last = first + self.0[first..].partition_point(|held| !range.right.before(held.left));
        if first == last {
            self.0.insert(first, range);
            return range.len();
        }
        let known: u32 = self.0[first..last].iter().map(|held| held.len()).sum();
        let joined =
            Range::new(self.0[first].left.earliest(range.left), self.0[last - 1].right.latest(range.right));
        self.0[first] = joined;
        self.0.drain(first + 1..last);
        joined.len() - known
    }

    /// The parts of `range` that are in no range of the set, in order.
    pub(super) fn gaps(&self, range: Range) -> impl Iterator<Item = Range> + '_ {
        let first = self.0.partition_point(|held| !range.left.before(held.right));
        let mut held = self.0[first..].iter();
        let mut left = range.left;
        core::iter::from_fn(move || {
            while left.before(range.right) {
                let gap_start = left;
                match held.next() {
                    Some(next) => {
                        left = next.right;
                        let gap = Range::new(gap_start, next.left.earliest(range.right));
                        if !gap.is_empty() {
                            return Some(gap);
                        }
                    }
                    None => {
                        left = range.right;
                        return Some(Range::new(gap_start, range.right));
                    }
                }
            }
            None
        })
    }

    /// Forgets everything before `seq`.
    pub(super) fn remove_before(&mut self, seq: SeqNum) {
        let gone = self.0.partition_point(|range| !seq.before(range.right));
        self.0.drain(..gone);
        if let Some(first) = self.0.first_mut() {
            first.left = first.left.latest(seq);
        }
    }

    /// Removes and returns the first range when it holds `seq`.
    pub(super) fn take_first_at(&mut self, seq: SeqNum) -> Option<Range> {
        let first = *self.0.first()?;
        if !first.contains(seq) {
            return None;
        }
        self.0.remove(0);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(left: u32, right: u32) -> Range {
        Range::new(SeqNum(left), SeqNum(right))
    }

    #[test]
    fn the_circle_has_no_seam() {
        let (a, b) = (SeqNum(u32::MAX - 1), SeqNum(3));
        assert!(a.before(b) && b.after(a) && !a.after(b));
        assert_eq!((b.since(a), a.since(b)), (5, 0));
        assert_eq!((a.latest(b), a.earliest(b), a + 5, b - 5), (b, a, b, a));
    }

    #[test]
    fn ranges_join_when_they_touch() {
        let mut set = RangeSet::default();
        assert_eq!(set.insert(range(10, 20)), 10);
        assert_eq!(set.insert(range(30, 40)), 10);
        assert_eq!(set.insert(range(50, 60)), 10);
        assert_eq!(set.insert(range(15, 18)), 0);
        assert_eq!(set.insert(range(20, 30)), 10);
        assert_eq!(set.as_slice(), [range(10, 40), range(50, 60)]);
        assert_eq!(set.insert(range(5, 70)), 65 - 40);
        assert_eq!(set.as_slice(), [range(5, 70)]);
    }

    #[test]
    fn gaps_are_what_is_missing() {
        let mut set = RangeSet::default();
        set.insert(range(10, 20));
        set.insert(range(30, 40));
        let gaps = |left, right| set.gaps(range(left, right)).collect::<Vec<_>>();
        assert_eq!(gaps(0, 50), [range(0, 10), range(20, 30), range(40, 50)]);
        assert_eq!(gaps(12, 35), [range(20, 30)]);
        assert_eq!(gaps(12, 18), []);
        assert_eq!(gaps(41, 43), [range(41, 43)]);
    }

    /// Against a model: a set of numbers.
    #[test]
    fn a_set_of_ranges_is_a_set_of_numbers() {
        let (mut set, mut model) = (RangeSet::default(), std::collections::BTreeSet::new());
        let (base, mut random) = (u32::MAX - 40, 12345_u64);
        for _ in 0..2_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (from, len) = ((random >> 33) as u32 % 90, (random >> 50) as u32 % 9);
            if random.is_multiple_of(7) {
                set.remove_before(SeqNum(base.wrapping_add(from / 4)));
                model.retain(|&at| at >= from / 4);
            } else {
                let new = (from..from + len).filter(|&at| model.insert(at)).count() as u32;
                let (left, right) = (base.wrapping_add(from), base.wrapping_add(from + len));
                assert_eq!(set.insert(range(left, right)), new);
            }
            let held: Vec<u32> =
                (0..100).filter(|&at| set.find(SeqNum(base.wrapping_add(at))).is_some()).collect();
            assert_eq!(held, model.iter().copied().collect::<Vec<_>>());
            assert!(set.as_slice().windows(2).all(|pair| pair[0].right.before(pair[1].left)));
        }
    }
}

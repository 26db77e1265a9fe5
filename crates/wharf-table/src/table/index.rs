//! The index of the flows: numbers found by 32 bits of a keyed hash, in buckets of one cache line.
//!
//! A bucket has nine places, each a number and the 24 high bits of its hash. The eight low ones chose the bucket, so a
//! bucket tells the whole hash of what it holds, and growth, which splits one bucket at a time, reads nothing else; only
//! in an index of fewer than 256 buckets the rows are asked. A look-up compares 16 bits of the hash: it reads one line
//! and the row that it names, and another row in vain once in some thousands of times.
//!
//! Buckets are found by linear hashing, whose load is uneven: those that have yet to be split hold up to twice as much as
//! the others. At four and a half a bucket on average two numbers in a hundred overflow, into a chain of further buckets
//! whose link takes the last place.

use super::linear::Linear;
use crate::slots::Slots;

/// The places of a bucket: nine numbers and nine tags fill a line but for the mark of a chain.
const PLACES: usize = 9;
const LAST: usize = PLACES - 1;
/// The numbers per bucket, in halves, above which the index grows: 14.2 bytes a number, and some for overflow.
const GROW_ABOVE: usize = 9;
/// The same, below which it shrinks. The distance keeps it from going back and forth.
const SHRINK_BELOW: usize = 6;
/// So many buckets, 1 KiB, stay until the last number goes: a few that come and go don't split and join them each time.
const FEW: usize = 16;
const CHUNK_BITS: u32 = 10;
/// No number.
const NONE: u32 = u32::MAX;

/// The bits of a hash that a bucket doesn't keep.
const UNKEPT: u32 = 8;

/// What a look-up compares of a hash.
const fn tag(hash: u32) -> u16 {
    (hash >> 16) as u16
}

/// What is kept of it beside, for growth.
const fn middle(hash: u32) -> u8 {
    (hash >> UNKEPT) as u8
}

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    numbers: [u32; PLACES],
    tags: [u16; PLACES],
    middles: [u8; PLACES],
    /// The last number is the next bucket of the chain, in the slots of those that overflow.
    is_chained: bool,
}

impl Bucket {
    const EMPTY: Bucket =
        Bucket { numbers: [NONE; PLACES], tags: [0; PLACES], middles: [0; PLACES], is_chained: false };

    /// How many places there are for numbers.
    #[inline]
    fn places(&self) -> usize {
        PLACES - usize::from(self.is_chained)
    }

    /// The slot of the next bucket.
    #[inline]
    fn next(&self) -> Option<u32> {
        self.is_chained.then_some(self.numbers[LAST])
    }

    /// A bit for each place with the tag of this hash; places that are free may show.
    #[inline]
    fn matches(&self, hash: u32) -> u32 {
        let tags = self.tags.iter().enumerate();
        let bits = tags.fold(0, |bits, (place, &kept)| bits | u32::from(kept == tag(hash)) << place);
        bits & ((1 << self.places()) - 1)
    }

    /// The first number with the tag of this hash that `is_it` accepts.
    #[inline]
    fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut matches = self.matches(hash);
        while matches != 0 {
            let number = self.numbers[matches.trailing_zeros() as usize];
            if number != NONE && is_it(number) {
                return Some(number);
            }
            matches &= matches - 1;
        }
        None
    }

    fn place_of(&self, number: u32) -> Option<usize> {
        self.numbers[..self.places()].iter().position(|&kept| kept == number)
    }

    fn set(&mut self, place: usize, hash: u32, number: u32) {
        (self.numbers[place], self.tags[place], self.middles[place]) = (number, tag(hash), middle(hash));
    }

    /// The hash of what stands in a place of the bucket that a hash with these low bits chose.
    fn hash(&self, place: usize, low: u32) -> u32 {
        u32::from(self.tags[place]) << 16 | u32::from(self.middles[place]) << UNKEPT | low
    }

    fn is_empty(&self) -> bool {
        self.numbers[..self.places()].iter().all(|&number| number == NONE)
    }

    /// A bucket with nothing but what stands in the last place of this one, which a link takes.
    fn with_last(&self) -> Bucket {
        let mut bucket = Bucket::EMPTY;
        (bucket.numbers[0], bucket.tags[0]) = (self.numbers[LAST], self.tags[LAST]);
        bucket.middles[0] = self.middles[LAST];
        bucket
    }

    /// Makes the bucket in this slot the next, where there is a next one; else the last place holds numbers.
    fn set_next(&mut self, next: Option<u32>) {
        (self.is_chained, self.numbers[LAST]) = (next.is_some(), next.unwrap_or(NONE));
    }
}

/// A line of an index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a>(&'a Bucket);

impl Line<'_> {
    /// What an index without lines has.
    pub(super) const EMPTY: Line<'static> = Line(&Bucket::EMPTY);

    /// Reads the line. What comes back means nothing.
    #[inline]
    pub(super) fn touch(&self) -> u32 {
        self.0.numbers[0]
    }
}

#[derive(Debug)]
pub(super) struct Index {
    buckets: Linear<Bucket, CHUNK_BITS>,
    overflow: Slots<Bucket>,
    len: usize,
}

impl Index {
    pub(super) const fn new() -> Index {
        Index { buckets: Linear::new(), overflow: Slots::new(), len: 0 }
    }

    /// How many numbers it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bucket in which a look-up of this hash begins.
    #[inline]
    fn bucket(&self, hash: u32) -> Option<&Bucket> {
        self.buckets.at(self.buckets.place(hash))
    }

    /// The line in which a look-up of this hash begins, which is not read.
    #[inline]
    pub(super) fn line(&self, hash: u32) -> Line<'_> {
        self.bucket(hash).map_or(Line::EMPTY, Line)
    }

    /// The first number under this hash that `is_it` accepts. It may be asked about numbers of other hashes.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.find_from(self.line(hash), hash, is_it)
    }

    /// [`Index::find`] from the line of this hash on.
    #[inline]
    pub(super) fn find_from<'a>(
        &'a self,
        Line(mut bucket): Line<'a>,
        hash: u32,
        mut is_it: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        loop {
            if let Some(number) = bucket.find(hash, &mut is_it) {
                return Some(number);
            }
            bucket = self.overflow.value(bucket.next()?)?;
        }
    }

    /// How many lines a look-up of this hash reads until it knows that nothing more is there.
    #[cfg(test)]
    pub(super) fn lines(&self, hash: u32) -> usize {
        let next = |bucket: &&Bucket| self.overflow.value(bucket.next()?);
        core::iter::successors(self.bucket(hash), next).count()
    }

    /// Adds a number. The same one must not stand here twice. `hash_of` tells the hash of each that does.
    pub(super) fn insert(&mut self, hash: u32, number: u32, hash_of: impl Fn(u32) -> u32) {
        if self.len == 0 {
            self.buckets.grow(Bucket::EMPTY);
        }
        self.put(hash, number);
        self.len += 1;
        if self.len * 2 > self.buckets.count() * GROW_ABOVE {
            let is_told = self.buckets.bits() >= UNKEPT;
            if let Some((place, bucket)) = self.buckets.grow(Bucket::EMPTY) {
                self.scatter(bucket, is_told.then_some(place), hash_of);
            }
        }
    }

    /// Takes a number out again. Nothing happens when it is not there. `hash_of` tells the hash of each other.
    pub(super) fn remove(&mut self, hash: u32, number: u32, hash_of: impl Fn(u32) -> u32) {
        if self.len == 0 || !self.take(self.buckets.place(hash), number) {
            return;
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Index::new();
        } else if self.buckets.count() > FEW
            && self.len * 2 < self.buckets.count() * SHRINK_BELOW
            && let Some((place, bucket)) = self.buckets.shrink()
        {
            let is_told = self.buckets.bits() >= UNKEPT;
            self.scatter(bucket, is_told.then_some(place), hash_of);
        }
    }

    /// A bucket of a chain: the one in this slot, or the first.
    fn part(&mut self, first: usize, slot: Option<u32>) -> &mut Bucket {
        match slot {
            None => self.buckets.at_mut(first).expect("every hash has a bucket"),
            Some(slot) => self.overflow.value_mut(slot).expect("a link leads to a bucket"),
        }
    }

    fn put(&mut self, hash: u32, number: u32) {
        let first = self.buckets.place(hash);
        let mut slot = None;
        loop {
            let bucket = self.part(first, slot);
            if let Some(place) = bucket.place_of(NONE) {
                bucket.set(place, hash, number);
                return;
            }
            let next = match bucket.next() {
                Some(next) => next,
                None => {
                    let behind = bucket.with_last();
                    let next = self.overflow.insert(behind);
                    self.part(first, slot).set_next(Some(next));
                    next
                }
            };
            slot = Some(next);
        }
    }

    fn take(&mut self, first: usize, number: u32) -> bool {
        let bucket = self.part(first, None);
        if let Some(place) = bucket.place_of(number) {
            bucket.numbers[place] = NONE;
            return true;
        }
        let (mut before, mut slot) = (None, bucket.next());
        while let Some(at) = slot {
            let bucket = self.part(first, slot);
            let next = bucket.next();
            if let Some(place) = bucket.place_of(number) {
                bucket.numbers[place] = NONE;
                if bucket.is_empty() {
                    self.part(first, before).set_next(next);
                    self.overflow.remove(at);
                }
                return true;
            }
            (before, slot) = (slot, next);
        }
        false
    }

    /// Puts what stood in a bucket and its chain where it belongs now. Where the bucket's old `place` tells the low bits
    /// of a hash, nobody is asked for it.
    fn scatter(&mut self, mut bucket: Bucket, place: Option<usize>, hash_of: impl Fn(u32) -> u32) {
        let low = place.map(|place| place as u32 & ((1 << UNKEPT) - 1));
        loop {
            for (place, &number) in bucket.numbers[..bucket.places()].iter().enumerate() {
                if number != NONE {
                    self.put(low.map_or_else(|| hash_of(number), |low| bucket.hash(place, low)), number);
                }
            }
            match bucket.next().and_then(|next| self.overflow.remove(next)) {
                Some(next) => bucket = next,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn bytes(index: &Index) -> usize {
        (index.buckets.room() + index.overflow.count() as usize) * 64
    }

    #[test]
    fn a_bucket_is_a_line_wherever_it_stands() {
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(size_of::<Option<Bucket>>(), 64);
    }

    #[test]
    fn memory_follows_what_is_held() {
        const COUNT: u32 = 500_000;
        let mut index = Index::new();
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b9) ^ number.rotate_left(16);
        for number in 0..COUNT {
            index.insert(hash(number), number, hash);
            if number > 20_000 {
                assert!(bytes(&index) < (index.len() + 5000) * 16, "{} at {}", bytes(&index), index.len());
            }
        }
        for number in 0..COUNT {
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
            index.remove(hash(number), number, hash);
        }
        assert_eq!((index.len(), bytes(&index)), (0, 0));
    }

    #[test]
    fn few_overflow_and_few_rows_are_read_in_vain() {
        let mut index = Index::new();
        let hash = |number: u32| {
            let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
        };
        let (mut behind, mut in_vain, mut sum) = (0, 0, 0);
        for number in 0..200_000 {
            index.insert(hash(number), number, hash);
            if (number + 1) % 10_000 == 0 {
                for asked in (0..number).step_by(7) {
                    let first = index.bucket(hash(asked)).and_then(|bucket| bucket.place_of(asked));
                    behind += usize::from(first.is_none());
                    index.find(hash(asked), |found| {
                        in_vain += usize::from(found != asked);
                        found == asked
                    });
                    sum += 1;
                }
            }
        }
        assert!(behind * 40 < sum, "{behind} of {sum} overflow");
        assert!(in_vain * 4000 < sum, "{in_vain} of {sum} rows are read in vain");
    }

    #[test]
    fn a_large_index_splits_and_joins_without_being_told_a_hash() {
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b9) ^ number.rotate_left(16);
        let mut index = Index::new();
        let mut number = 0;
        while index.buckets.bits() < UNKEPT {
            index.insert(hash(number), number, hash);
            number += 1;
        }
        let untold = |number: u32| -> u32 { panic!("{number} is asked for") };
        let (few, many) = (number, number + 100_000);
        for number in few..many {
            index.insert(hash(number), number, untold);
        }
        for number in (few..many).rev() {
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
            index.remove(hash(number), number, untold);
        }
        for number in 0..few {
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(steps in prop::collection::vec((0..4u32, 0..12_800u32), 0..3000)) {
            let (mut index, mut set) = (Index::new(), BTreeSet::new());
            // Each of 64 hashes has up to two hundred numbers.
            let hash = |number: u32| ((number / 200) << 20) | (number / 200);
            for (what, number) in steps {
                if what != 0 && !set.contains(&number) {
                    index.insert(hash(number), number, hash);
                    set.insert(number);
                } else {
                    index.remove(hash(number), number, hash);
                    set.remove(&number);
                }
                prop_assert_eq!(index.len(), set.len());
            }
            for first in (0..12_800).step_by(200) {
                let mut found = BTreeSet::new();
                index.find(hash(first), |number| { found.insert(number); false });
                prop_assert!(set.range(first..first + 200).all(|number| found.contains(number)));
                prop_assert!(found.iter().all(|number| set.contains(number)));
            }
        }
    }
}

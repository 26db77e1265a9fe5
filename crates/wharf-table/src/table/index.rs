//! The index of the flows: numbers found by 32 bits of a keyed hash, in buckets of one cache line.
//!
//! Linear hashing (Litwin, 1980): the index grows by one bucket at a time, which takes over about half of what another
//! one holds, and shrinks the same way back. So it never stops to copy itself, it is always as full as the constants
//! here say, and its memory follows what it holds. A bucket has seven places; the few that overflow have a chain of
//! further ones. A look-up reads one line, and the row that it names.

use super::linear::Linear;
use crate::slots::Slots;

/// The places of a bucket: seven numbers and seven hashes fill a line but for the link.
const PLACES: usize = 7;
/// The numbers per bucket, in halves, above which the index grows: 12.8 bytes a number, and some for overflow.
const GROW_ABOVE: usize = 10;
/// The same, below which it shrinks. The distance keeps it from going back and forth.
const SHRINK_BELOW: usize = 7;
/// So many buckets, 1 KiB, stay until the last number goes: a few that come and go don't split and join them each time.
const FEW: usize = 16;
const CHUNK_BITS: u32 = 10;
/// No number, or no further bucket.
const NONE: u32 = u32::MAX;

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    hashes: [u32; PLACES],
    numbers: [u32; PLACES],
    /// The next bucket of the chain, in the slots of those that overflow.
    next: u32,
    /// Always true; a place for the mark of a free slot, so that a slot stays one line.
    #[expect(dead_code, reason = "only its niche is used")]
    used: bool,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { hashes: [0; PLACES], numbers: [NONE; PLACES], next: NONE, used: true };

    /// A bit for each place with this hash; places that are free may show.
    #[inline]
    fn matches(&self, hash: u32) -> u32 {
        let bits = self.hashes.iter().enumerate();
        bits.fold(0, |bits, (place, &kept)| bits | u32::from(kept == hash) << place)
    }

    fn place_of(&self, hash: u32, number: u32) -> Option<usize> {
        (0..PLACES).find(|&place| self.numbers[place] == number && self.hashes[place] == hash)
    }

    fn free_place(&self) -> Option<usize> {
        self.numbers.iter().position(|&number| number == NONE)
    }

    fn is_empty(&self) -> bool {
        self.numbers == [NONE; PLACES]
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

    fn first_mut(&mut self, place: usize) -> &mut Bucket {
        self.buckets.at_mut(place).expect("every hash has a bucket")
    }

    /// Reads the line in which a look-up of this hash begins, so that it comes into the cache.
    #[inline]
    pub(super) fn touch(&self, hash: u32) -> u32 {
        self.bucket(hash).map_or(0, |bucket| bucket.next)
    }

    /// The first number under this hash that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut bucket = self.bucket(hash)?;
        loop {
            let mut matches = bucket.matches(hash);
            while matches != 0 {
                let number = bucket.numbers[matches.trailing_zeros() as usize];
                if number != NONE && is_it(number) {
                    return Some(number);
                }
                matches &= matches - 1;
            }
            if bucket.next == NONE {
                return None;
            }
            bucket = self.overflow.value(bucket.next)?;
        }
    }

    /// The first number under this hash in its bucket, whatever it stands for: a guess that is nearly always right.
    #[inline]
    pub(super) fn guess(&self, hash: u32) -> Option<u32> {
        let bucket = self.bucket(hash)?;
        let matches = bucket.matches(hash);
        let number = *bucket.numbers.get(matches.trailing_zeros() as usize)?;
        (number != NONE).then_some(number)
    }

    /// How many lines a look-up of this hash reads until it knows that nothing more is there.
    #[cfg(test)]
    pub(super) fn lines(&self, hash: u32) -> usize {
        let mut next = self.bucket(hash).map_or(NONE, |bucket| bucket.next);
        let mut lines = 1;
        while let Some(bucket) = self.overflow.value(next) {
            (next, lines) = (bucket.next, lines + 1);
        }
        lines
    }

    /// Adds a number. The same one must not stand under the same hash twice.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        if self.len == 0 {
            self.buckets.grow(Bucket::EMPTY);
        }
        self.put(hash, number);
        self.len += 1;
        if self.len * 2 > self.buckets.count() * GROW_ABOVE
            && let Some((_, bucket)) = self.buckets.grow(Bucket::EMPTY)
        {
            self.scatter(bucket);
        }
    }

    /// Takes a number out again. Nothing happens when it is not there.
    pub(super) fn remove(&mut self, hash: u32, number: u32) {
        if self.len == 0 || !self.take(self.buckets.place(hash), hash, number) {
            return;
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Index::new();
        } else if self.buckets.count() > FEW
            && self.len * 2 < self.buckets.count() * SHRINK_BELOW
            && let Some((_, bucket)) = self.buckets.shrink()
        {
            self.scatter(bucket);
        }
    }

    fn put(&mut self, hash: u32, number: u32) {
        let at = self.buckets.place(hash);
        let mut link = None;
        loop {
            let bucket = match link {
                None => self.first_mut(at),
                Some(slot) => self.overflow.value_mut(slot).expect("a link leads to a bucket"),
            };
            if let Some(place) = bucket.free_place() {
                (bucket.hashes[place], bucket.numbers[place]) = (hash, number);
                return;
            }
            let next = bucket.next;
            link = Some(if next == NONE { self.chain(at, link) } else { next });
        }
    }

    /// Adds a bucket to the chain of bucket `at`, behind the one in slot `last`.
    fn chain(&mut self, at: usize, last: Option<u32>) -> u32 {
        let fresh = self.overflow.insert(Bucket::EMPTY);
        match last {
            None => self.first_mut(at).next = fresh,
            Some(slot) => self.overflow.value_mut(slot).expect("a link leads to a bucket").next = fresh,
        }
        fresh
    }

    fn take(&mut self, at: usize, hash: u32, number: u32) -> bool {
        let first = self.first_mut(at);
        if let Some(place) = first.place_of(hash, number) {
            first.numbers[place] = NONE;
            return true;
        }
        let (mut before, mut slot) = (None, first.next);
        while let Some(bucket) = self.overflow.value_mut(slot) {
            let next = bucket.next;
            if let Some(place) = bucket.place_of(hash, number) {
                bucket.numbers[place] = NONE;
                if bucket.is_empty() {
                    self.unchain(at, before, slot, next);
                }
                return true;
            }
            (before, slot) = (Some(slot), next);
        }
        false
    }

    fn unchain(&mut self, at: usize, before: Option<u32>, slot: u32, next: u32) {
        match before {
            None => self.first_mut(at).next = next,
            Some(before) => self.overflow.value_mut(before).expect("a link leads to a bucket").next = next,
        }
        self.overflow.remove(slot);
    }

    /// Puts what a bucket and its chain hold where it belongs now.
    fn scatter(&mut self, mut bucket: Bucket) {
        loop {
            for (hash, number) in bucket.hashes.into_iter().zip(bucket.numbers) {
                if number != NONE {
                    self.put(hash, number);
                }
            }
            match self.overflow.remove(bucket.next) {
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

    #[test]
    fn a_bucket_is_a_line_wherever_it_stands() {
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(size_of::<Option<Bucket>>(), 64);
    }

    #[test]
    fn memory_follows_what_is_held() {
        let mut index = Index::new();
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b9) ^ number.rotate_left(16);
        let bytes = |index: &Index| (index.buckets.room() + index.overflow.count() as usize) * 64;
        for number in 0..200_000 {
            index.insert(hash(number), number);
            if number > 20_000 {
                assert!(bytes(&index) < (index.len() + 5000) * 16, "{} at {}", bytes(&index), index.len());
            }
        }
        for number in 0..200_000 {
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
            index.remove(hash(number), number);
        }
        assert_eq!((index.len(), bytes(&index)), (0, 0));
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(steps in prop::collection::vec((0..4u32, 0..64u32, 0..200u32), 0..3000)) {
            let (mut index, mut set) = (Index::new(), BTreeSet::new());
            for (what, hash, number) in steps {
                let hash = hash << 20 | hash;
                if what != 0 && !set.contains(&(hash, number)) {
                    index.insert(hash, number);
                    set.insert((hash, number));
                } else {
                    index.remove(hash, number);
                    set.remove(&(hash, number));
                }
                prop_assert_eq!(index.len(), set.len());
            }
            for hash in (0..64).map(|hash| hash << 20 | hash) {
                let mut found = BTreeSet::new();
                index.find(hash, |number| { found.insert((hash, number)); false });
                prop_assert!(found.iter().eq(set.range((hash, 0)..=(hash, u32::MAX))));
            }
        }
    }
}

//! The index of the flows: numbers found by 32 bits of a keyed hash, in buckets of one cache line.
//!
//! Linear hashing (Litwin, 1980): the index grows by one bucket at a time, which takes over about half of what another
//! one holds, and shrinks the same way back. So it never stops to copy itself, it is always as full as the constants
//! here say, and its memory follows what it holds. A bucket has seven places; the few that overflow have a chain of
//! further ones. A look-up reads one line, and the row that it names.

use alloc::vec::Vec;

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
const CHUNK: usize = 1 << CHUNK_BITS;
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
    chunks: Vec<Vec<Bucket>>,
    overflow: Slots<Bucket>,
    /// The buckets from the first to this one have been split at this level.
    split: usize,
    level: u32,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Index {
        Index { chunks: Vec::new(), overflow: Slots::new(), split: 0, level: 0, len: 0 }
    }

    /// How many numbers it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn buckets(&self) -> usize {
        (1 << self.level) + self.split
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        let hash = hash as usize;
        let within = hash & ((1 << self.level) - 1);
        if within < self.split { hash & ((2 << self.level) - 1) } else { within }
    }

    #[inline]
    fn bucket(&self, at: usize) -> Option<&Bucket> {
        self.chunks.get(at >> CHUNK_BITS)?.get(at % CHUNK)
    }

    fn bucket_mut(&mut self, at: usize) -> &mut Bucket {
        &mut self.chunks[at >> CHUNK_BITS][at % CHUNK]
    }

    /// Reads the line in which a look-up of this hash begins, so that it comes into the cache.
    #[inline]
    pub(super) fn touch(&self, hash: u32) -> u32 {
        self.bucket(self.home(hash)).map_or(0, |bucket| bucket.next)
    }

    /// The first number under this hash that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut bucket = self.bucket(self.home(hash))?;
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
        let bucket = self.bucket(self.home(hash))?;
        let matches = bucket.matches(hash);
        let number = *bucket.numbers.get(matches.trailing_zeros() as usize)?;
        (number != NONE).then_some(number)
    }

    /// How many lines a look-up of this hash reads until it knows that nothing more is there.
    #[cfg(test)]
    pub(super) fn lines(&self, hash: u32) -> usize {
        let mut next = self.bucket(self.home(hash)).map_or(NONE, |bucket| bucket.next);
        let mut lines = 1;
        while let Some(bucket) = self.overflow.value(next) {
            (next, lines) = (bucket.next, lines + 1);
        }
        lines
    }

    /// Adds a number. The same one must not stand under the same hash twice.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        if self.chunks.is_empty() {
            self.push(Bucket::EMPTY);
        }
        self.put(self.home(hash), hash, number);
        self.len += 1;
        if self.len * 2 > self.buckets() * GROW_ABOVE {
            self.grow();
        }
    }

    /// Takes a number out again. Nothing happens when it is not there.
    pub(super) fn remove(&mut self, hash: u32, number: u32) {
        if !self.take(self.home(hash), hash, number) {
            return;
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Index::new();
        } else if self.buckets() > FEW && self.len * 2 < self.buckets() * SHRINK_BELOW {
            self.shrink();
        }
    }

    fn put(&mut self, at: usize, hash: u32, number: u32) {
        let mut link = None;
        loop {
            let bucket = match link {
                None => self.bucket_mut(at),
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
            None => self.bucket_mut(at).next = fresh,
            Some(slot) => self.overflow.value_mut(slot).expect("a link leads to a bucket").next = fresh,
        }
        fresh
    }

    fn take(&mut self, at: usize, hash: u32, number: u32) -> bool {
        if self.chunks.is_empty() {
            return false;
        }
        let first = self.bucket_mut(at);
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
            None => self.bucket_mut(at).next = next,
            Some(before) => self.overflow.value_mut(before).expect("a link leads to a bucket").next = next,
        }
        self.overflow.remove(slot);
    }

    fn push(&mut self, bucket: Bucket) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            let room = if self.chunks.is_empty() { 1 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        self.chunks.last_mut().expect("a chunk was just made sure of").push(bucket);
    }

    fn pop(&mut self) -> Bucket {
        let chunk = self.chunks.last_mut().expect("there is more than one bucket");
        let bucket = chunk.pop().expect("no chunk is empty");
        if chunk.is_empty() {
            self.chunks.pop();
            if self.chunks.capacity() > 4 * self.chunks.len() {
                self.chunks.shrink_to(2 * self.chunks.len());
            }
        }
        bucket
    }

    /// Splits the next bucket in two.
    fn grow(&mut self) {
        let old = self.split;
        let first = core::mem::replace(self.bucket_mut(old), Bucket::EMPTY);
        self.push(Bucket::EMPTY);
        self.split += 1;
        if self.split == 1 << self.level {
            (self.split, self.level) = (0, self.level + 1);
        }
        self.scatter(first);
    }

    /// Puts the last bucket back into the one that it was split from.
    fn shrink(&mut self) {
        if self.split == 0 {
            (self.split, self.level) = (1 << (self.level - 1), self.level - 1);
        }
        self.split -= 1;
        let last = self.pop();
        self.scatter(last);
    }

    /// Puts what a bucket and its chain hold where it belongs now.
    fn scatter(&mut self, mut bucket: Bucket) {
        loop {
            for (hash, number) in bucket.hashes.into_iter().zip(bucket.numbers) {
                if number != NONE {
                    self.put(self.home(hash), hash, number);
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
        let bytes = |index: &Index| {
            index.chunks.iter().map(|chunk| chunk.capacity() * 64).sum::<usize>()
                + index.overflow.count() as usize * 64
        };
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

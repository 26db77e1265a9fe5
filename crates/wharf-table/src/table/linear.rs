//! Places found by a hash, as many as are asked for: linear hashing (Litwin, 1980) without what stands in the places.
//!
//! There is one more place at a time, which takes over about half of what another one holds, and one fewer at a time,
//! the same way back. So a hash table over this never stops to copy itself, and its memory follows what it holds.
//! Places stand in chunks that are not moved once they are full.

use alloc::vec::Vec;

/// Places by hash, `1 << CHUNK_BITS` of them in one allocation.
#[derive(Debug)]
pub(super) struct Linear<T, const CHUNK_BITS: u32> {
    chunks: Vec<Vec<T>>,
    count: usize,
    /// `mask + 1` is the power of two that `count` has reached: so many places there were when all were last split.
    mask: usize,
}

impl<T: Copy, const CHUNK_BITS: u32> Linear<T, CHUNK_BITS> {
    const CHUNK: usize = 1 << CHUNK_BITS;

    /// No places.
    pub(super) const fn new() -> Linear<T, CHUNK_BITS> {
        Linear { chunks: Vec::new(), count: 0, mask: 0 }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many low bits of a hash are those of its place, at least.
    pub(super) const fn bits(&self) -> u32 {
        self.mask.trailing_ones()
    }

    /// The place of a hash; 0 when there is none.
    #[inline]
    pub(super) const fn place(&self, hash: u32) -> usize {
        let wide = hash as usize & (2 * self.mask + 1);
        if wide < self.count { wide } else { wide & self.mask }
    }

    /// What stands in a place.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<&T> {
        self.chunks.get(place >> CHUNK_BITS)?.get(place % Self::CHUNK)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut T> {
        self.chunks.get_mut(place >> CHUNK_BITS)?.get_mut(place % Self::CHUNK)
    }

    /// Adds a place. What stood in the one that was split comes back with the number of that place; both are `empty`
    /// now, and each hash of what comes back belongs to one of the two. `None` for the first place.
    pub(super) fn grow(&mut self, empty: T) -> Option<(usize, T)> {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == Self::CHUNK) {
            // The first chunk grows by doubling, so that a few places cost little.
            let room = if self.chunks.is_empty() { 1 } else { Self::CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        self.chunks.last_mut().expect("a chunk was just made sure of").push(empty);
        self.count += 1;
        if self.count == 1 {
            return None;
        }
        let split = self.count - 1 - (self.mask + 1);
        if split == self.mask {
            self.mask = 2 * self.mask + 1;
        }
        let old = core::mem::replace(self.at_mut(split)?, empty);
        Some((split, old))
    }

    /// Takes the last place away. What stood there comes back with the number of that place; its hashes belong to one
    /// of those that are left. `None` for the first place, which stays.
    pub(super) fn shrink(&mut self) -> Option<(usize, T)> {
        if self.count <= 1 {
            return None;
        }
        let is_first = self.chunks.len() == 1;
        let chunk = self.chunks.last_mut()?;
        let last = chunk.pop()?;
        if chunk.is_empty() {
            self.chunks.pop();
            if self.chunks.capacity() > 4 * self.chunks.len() {
                self.chunks.shrink_to(2 * self.chunks.len());
            }
        } else if is_first && chunk.capacity() > 4 * chunk.len() {
            let kept = 2 * chunk.len();
            chunk.shrink_to(kept);
        }
        self.count -= 1;
        if self.count == self.mask {
            self.mask >>= 1;
        }
        Some((self.count, last))
    }

    /// How many places there is memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place by the book: as many bits as make a number below twice the level, fewer where it is not split.
    fn by_the_book(count: usize, hash: u32) -> usize {
        let level = count.ilog2();
        let split = count - (1 << level);
        let within = hash as usize % (1 << level);
        if within < split { hash as usize % (2 << level) } else { within }
    }

    #[test]
    fn a_place_is_split_from_the_one_that_had_its_hashes() {
        let hashes = || (0..500u32).map(|number| number.wrapping_mul(0x9e37_79b9));
        let mut places = Linear::<u32, 4>::new();
        assert_eq!((places.grow(0), places.place(7), places.bits()), (None, 0, 0));
        for count in 2..200 {
            let before: Vec<usize> = hashes().map(|hash| places.place(hash)).collect();
            let (split, old) = places.grow(count as u32).expect("it is not the first");
            *places.at_mut(count - 1).expect("it is there") = count as u32;
            assert!(old < count as u32);
            for (hash, before) in hashes().zip(before) {
                let after = places.place(hash);
                assert_eq!(after, by_the_book(count, hash));
                assert!(after == before || (before, after) == (split, count - 1));
                assert_eq!(after & ((1 << places.bits()) - 1), hash as usize & ((1 << places.bits()) - 1));
            }
        }
        assert_eq!(places.room(), 13 * 16);
        for count in (1..199).rev() {
            let before: Vec<usize> = hashes().map(|hash| places.place(hash)).collect();
            let (last, _) = places.shrink().expect("there are more");
            assert_eq!((last, places.count()), (count, count));
            for (hash, before) in hashes().zip(before) {
                assert_eq!(places.place(hash), by_the_book(count, hash));
                assert!(before == last || places.place(hash) == before);
            }
        }
        assert_eq!(places.shrink(), None);
        assert!(places.room() <= 4);
    }
}

//! Numbered places for values, dense from 0: the storage of flows, requests and bindings.
//!
//! Places come in chunks that are never moved once they are full, so that growth copies nothing and no look-up waits
//! for it. A new value takes a free place of the lowest chunk that has one, and a chunk whose last value goes is given
//! back, so what is held follows what is used.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;
/// No place: the end of a chunk's list of free places.
const NONE: u32 = u32::MAX;

/// A place.
#[derive(Debug)]
pub(crate) enum Slot<T> {
    Used(T),
    Free { next: u32 },
}

impl<T> Slot<T> {
    /// The value that is here.
    #[inline]
    pub(crate) fn value(&self) -> Option<&T> {
        match self {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }
}

/// What is free in a chunk.
#[derive(Clone, Copy, Debug)]
struct Vacancy {
    used: u32,
    /// The first free place within the chunk, or [`NONE`]: the rest of the chunk has never been used.
    free: u32,
}

/// Values by number.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    chunks: Vec<Vec<Slot<T>>>,
    vacancies: Vec<Vacancy>,
    /// The chunks that have room.
    open: BTreeSet<u32>,
    count: u32,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Slots<T> {
        Slots { chunks: Vec::new(), vacancies: Vec::new(), open: BTreeSet::new(), count: 0 }
    }

    /// How many values there are.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Stores a value and tells its number; below 2^31 as long as no more than that many are held.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let at = self.open.first().copied().unwrap_or_else(|| self.add_chunk());
        let (chunk, vacancy) = (&mut self.chunks[at as usize], &mut self.vacancies[at as usize]);
        let within = if vacancy.free == NONE {
            if chunk.is_empty() && at > 0 {
                chunk.reserve_exact(CHUNK);
            }
            chunk.push(Slot::Used(value));
            chunk.len() as u32 - 1
        } else {
            let within = vacancy.free;
            let slot = &mut chunk[within as usize];
            let Slot::Free { next } = *slot else { unreachable!("the free list holds free slots only") };
            *slot = Slot::Used(value);
            vacancy.free = next;
            within
        };
        vacancy.used += 1;
        self.count += 1;
        if vacancy.used as usize == CHUNK {
            self.open.remove(&at);
        }
        at << CHUNK_BITS | within
    }

    /// Takes a value out; its number is free again.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let at = number >> CHUNK_BITS;
        let vacancy = self.vacancies.get_mut(at as usize)?;
        let slot = self.chunks[at as usize].get_mut(number as usize % CHUNK)?;
        if matches!(slot, Slot::Free { .. }) {
            return None;
        }
        let Slot::Used(value) = core::mem::replace(slot, Slot::Free { next: vacancy.free }) else {
            return None;
        };
        let was_full = vacancy.used as usize == CHUNK;
        vacancy.free = number % CHUNK as u32;
        vacancy.used -= 1;
        self.count -= 1;
        let is_empty = vacancy.used == 0;
        if is_empty {
            *vacancy = Vacancy { used: 0, free: NONE };
            self.chunks[at as usize] = Vec::new();
        }
        if was_full {
            self.open.insert(at);
        }
        if is_empty {
            self.drop_tail();
        }
        Some(value)
    }

    #[inline]
    pub(crate) fn value(&self, number: u32) -> Option<&T> {
        self.slot(number)?.value()
    }

    /// The place with this number, which is not read.
    #[inline]
    pub(crate) fn slot(&self, number: u32) -> Option<&Slot<T>> {
        let number = number as usize;
        self.chunks.get(number >> CHUNK_BITS)?.get(number % CHUNK)
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        match self.chunks.get_mut(number >> CHUNK_BITS)?.get_mut(number % CHUNK)? {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// The values from number `first` on, in the order of their numbers.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        let (at, within) = (first as usize >> CHUNK_BITS, first as usize % CHUNK);
        let chunks = self.chunks.iter().enumerate().skip(at);
        chunks.flat_map(move |(index, chunk)| {
            let skipped = if index == at { within } else { 0 };
            let number = move |within: usize| (index << CHUNK_BITS | within) as u32;
            chunk.iter().enumerate().skip(skipped).filter_map(move |(within, slot)| match slot {
                Slot::Used(value) => Some((number(within), value)),
                Slot::Free { .. } => None,
            })
        })
    }

    fn add_chunk(&mut self) -> u32 {
        let at = u32::try_from(self.chunks.len()).expect("the holder bounds the number of values");
        self.chunks.push(Vec::new());
        self.vacancies.push(Vacancy { used: 0, free: NONE });
        self.open.insert(at);
        at
    }

    /// Forgets empty chunks at the end.
    fn drop_tail(&mut self) {
        while self.vacancies.last().is_some_and(|vacancy| vacancy.used == 0) {
            self.vacancies.pop();
            self.chunks.pop();
            self.open.remove(&(self.chunks.len() as u32));
        }
        if self.chunks.capacity() > 4 * self.chunks.len() {
            self.chunks.shrink_to(2 * self.chunks.len());
            self.vacancies.shrink_to(2 * self.vacancies.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn freed_numbers_are_used_again_and_the_lowest_chunk_is_filled_first() {
        let mut slots = Slots::new();
        let numbers: Vec<u32> = (0..9000).map(|value| slots.insert(value)).collect();
        assert!(numbers.iter().copied().eq(0..9000));
        assert_eq!(slots.remove(5000), Some(5000));
        assert_eq!(slots.remove(5000), None);
        assert_eq!(slots.remove(9000), None);
        assert_eq!((slots.remove(7), slots.count()), (Some(7), 8998));
        assert_eq!((slots.insert(-3), slots.insert(-1)), (7, 5000));
        assert_eq!(slots.insert(-2), 9000);
        assert_eq!(slots.value(5000), Some(&-1));
    }

    #[test]
    fn chunks_are_given_back() {
        let mut slots = Slots::new();
        for value in 0..CHUNK as u32 * 8 {
            slots.insert(value);
        }
        for number in CHUNK as u32..CHUNK as u32 * 7 {
            slots.remove(number);
        }
        let held: usize = slots.chunks.iter().map(Vec::capacity).sum();
        assert_eq!(held, 2 * CHUNK);
        assert_eq!(slots.iter_from(0).count(), 2 * CHUNK);
        for number in (0..CHUNK as u32).chain(CHUNK as u32 * 7..CHUNK as u32 * 8) {
            slots.remove(number);
        }
        assert_eq!((slots.chunks.len(), slots.chunks.capacity(), slots.open.len()), (0, 0, 0));
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((any::<bool>(), 0..9000u32), 0..9000), first in 0..9000u32) {
            let (mut slots, mut map) = (Slots::new(), BTreeMap::new());
            for (inserts, number) in steps {
                if inserts || number % 3 != 0 {
                    prop_assert_eq!(map.insert(slots.insert(number), number), None);
                } else {
                    prop_assert_eq!(slots.remove(number), map.remove(&number));
                }
            }
            prop_assert_eq!(slots.count() as usize, map.len());
            prop_assert!(slots.iter_from(first).eq(map.range(first..).map(|(&number, value)| (number, value))));
        }
    }
}

//! Numbered places for values, dense from 0: the storage of flows and bindings.
//!
//! Places come in chunks that are never moved, so that growth copies nothing and no look-up waits for it. A freed
//! place is used again, the last freed first.

use alloc::vec::Vec;

const CHUNK_BITS: u32 = 10;
const CHUNK: usize = 1 << CHUNK_BITS;

#[derive(Debug)]
enum Slot<T> {
    Used(T),
    Free { next: Option<u32> },
}

/// Values by number.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    chunks: Vec<Vec<Slot<T>>>,
    free: Option<u32>,
    count: u32,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Slots<T> {
        Slots { chunks: Vec::new(), free: None, count: 0 }
    }

    /// How many values there are.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Stores a value and tells its number; below 2^31 as long as no more than that many are held.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.count += 1;
        if let Some(number) = self.free {
            let slot = self.slot_mut(number).expect("a free number has a slot");
            let Slot::Free { next } = *slot else { unreachable!("the free list holds free slots only") };
            *slot = Slot::Used(value);
            self.free = next;
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("a chunk was just made sure of");
        chunk.push(Slot::Used(value));
        u32::try_from(before + chunk.len() - 1).expect("the holder bounds the number of values")
    }

    /// Takes a value out; its number is free again.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let next = self.free;
        let slot = self.slot_mut(number)?;
        if matches!(slot, Slot::Free { .. }) {
            return None;
        }
        let Slot::Used(value) = core::mem::replace(slot, Slot::Free { next }) else { return None };
        self.free = Some(number);
        self.count -= 1;
        Some(value)
    }

    #[inline]
    pub(crate) fn value(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        match self.chunks.get(number >> CHUNK_BITS)?.get(number % CHUNK)? {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, number: u32) -> Option<&mut T> {
        match self.slot_mut(number)? {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// The values from number `first` on, in the order of their numbers.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        let (chunk, within) = (first as usize >> CHUNK_BITS, first as usize % CHUNK);
        let tail = self.chunks.get(chunk).and_then(|slots| slots.get(within..)).unwrap_or_default();
        let rest = self.chunks.get(chunk + 1..).unwrap_or_default().iter().flatten();
        // Behind a first chunk that is shorter than `within` there is no other, so the numbers stay right.
        (first..).zip(tail.iter().chain(rest)).filter_map(|(number, slot)| match slot {
            Slot::Used(value) => Some((number, value)),
            Slot::Free { .. } => None,
        })
    }

    #[inline]
    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot<T>> {
        let number = number as usize;
        self.chunks.get_mut(number >> CHUNK_BITS)?.get_mut(number % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn freed_numbers_are_used_again() {
        let mut slots = Slots::new();
        let numbers: Vec<u32> = (0..3000).map(|value| slots.insert(value)).collect();
        assert!(numbers.iter().copied().eq(0..3000));
        assert_eq!(slots.remove(1024), Some(1024));
        assert_eq!(slots.remove(1024), None);
        assert_eq!(slots.remove(3000), None);
        assert_eq!((slots.remove(7), slots.count()), (Some(7), 2998));
        assert_eq!((slots.insert(-3), slots.insert(-1)), (7, 1024));
        assert_eq!(slots.insert(-2), 3000);
        assert_eq!(slots.value(1024), Some(&-1));
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((any::<bool>(), 0..3000u32), 0..4000), first in 0..4000u32) {
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

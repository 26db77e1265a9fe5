//! Numbered places for values: the storage of connections and of what waits beside them.
//!
//! Places come in chunks that never move, so that growth copies nothing; a chunk whose last value goes is given back. A free
//! number is used again, in the chunk that had room last.
//!
//! Invariants: a number stays with its value until it is removed; every chunk with a free place stands in `roomy` once.

use alloc::boxed::Box;
use alloc::vec::Vec;

const CHUNK_BITS: u32 = 9;
const CHUNK: usize = 1 << CHUNK_BITS;
/// The end of a list of free places.
const END: u16 = u16::MAX;
/// Numbers stay below, so that they fit the timer wheel's.
const PLACES_MAX: usize = 1 << 31;

enum Place<T> {
    Used(T),
    Free { next: u16 },
}

struct Chunk<T> {
    places: Box<[Place<T>; CHUNK]>,
    free: u16,
    used: u16,
    /// Where it stands in `roomy`; `None` when it is full.
    roomy_at: Option<u32>,
}

impl<T> Chunk<T> {
    fn new() -> Chunk<T> {
        let next = |index: usize| if index + 1 < CHUNK { index as u16 + 1 } else { END };
        let places: Box<[Place<T>]> = (0..CHUNK).map(|index| Place::Free { next: next(index) }).collect();
        let places = places.try_into().unwrap_or_else(|_| unreachable!("as many places as a chunk has"));
        Chunk { places, free: 0, used: 0, roomy_at: None }
    }
}

/// Values by number.
pub(crate) struct Places<T> {
    chunks: Vec<Option<Chunk<T>>>,
    /// Chunks with free places.
    roomy: Vec<u32>,
    /// Chunks that were given back.
    absent: Vec<u32>,
    len: usize,
}

impl<T> Places<T> {
    pub(crate) const fn new() -> Places<T> {
        Places { chunks: Vec::new(), roomy: Vec::new(), absent: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The numbers in use, in order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        let most = (self.chunks.len() << CHUNK_BITS) as u32;
        (0..most).filter(|&number| self.value(number).is_some())
    }

    #[inline]
    pub(crate) fn value(&self, number: u32) -> Option<&T> {
        let chunk = self.chunks.get(number as usize >> CHUNK_BITS)?.as_ref()?;
        match &chunk.places[number as usize % CHUNK] {
            Place::Used(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, number: u32) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(number as usize >> CHUNK_BITS)?.as_mut()?;
        match &mut chunk.places[number as usize % CHUNK] {
            Place::Used(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    /// The number that the next value gets; `None` when there are no more numbers.
    pub(crate) fn next_number(&mut self) -> Option<u32> {
        if self.roomy.is_empty() {
            self.add_chunk()?;
        }
        let index = *self.roomy.last()?;
        let chunk = self.chunks[index as usize].as_ref()?;
        Some((index << CHUNK_BITS) + u32::from(chunk.free))
    }

    /// Stores a value and tells its number, which [`Places::next_number`] has foretold.
    pub(crate) fn insert(&mut self, value: T) -> Option<u32> {
        let number = self.next_number()?;
        let index = number as usize >> CHUNK_BITS;
        let chunk = self.chunks[index].as_mut()?;
        let place = &mut chunk.places[number as usize % CHUNK];
        let Place::Free { next } = *place else { unreachable!("the free list holds free places only") };
        *place = Place::Used(value);
        (chunk.free, chunk.used) = (next, chunk.used + 1);
        self.len += 1;
        if next == END {
            self.leave_roomy(index);
        }
        Some(number)
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let index = number as usize >> CHUNK_BITS;
        let chunk = self.chunks.get_mut(index)?.as_mut()?;
        let place = &mut chunk.places[number as usize % CHUNK];
        if matches!(place, Place::Free { .. }) {
            return None;
        }
        let Place::Used(value) = core::mem::replace(place, Place::Free { next: chunk.free }) else {
            return None;
        };
        let was_full = chunk.free == END;
        (chunk.free, chunk.used) = ((number as usize % CHUNK) as u16, chunk.used - 1);
        let is_empty = chunk.used == 0;
        self.len -= 1;
        if was_full {
            self.enter_roomy(index);
        }
        // One empty chunk is kept for those who come next.
        if is_empty && self.roomy.len() > 1 {
            self.drop_chunk(index);
        }
        Some(value)
    }

    fn add_chunk(&mut self) -> Option<()> {
        let index = match self.absent.pop() {
            Some(index) => index as usize,
            None if self.chunks.len() << CHUNK_BITS >= PLACES_MAX => return None,
            None => {
                self.chunks.push(None);
                self.chunks.len() - 1
            }
        };
        self.chunks[index] = Some(Chunk::new());
        self.enter_roomy(index);
        Some(())
    }

    fn drop_chunk(&mut self, index: usize) {
        self.leave_roomy(index);
        self.chunks[index] = None;
        self.absent.push(index as u32);
        if self.len == 0 {
            self.forget_absent();
        }
    }

    /// Nothing is left but what is kept for the next: the lists need no memory either.
    fn forget_absent(&mut self) {
        while self.chunks.last().is_some_and(Option::is_none) {
            self.chunks.pop();
        }
        let end = self.chunks.len() as u32;
        self.absent.retain(|&index| index < end);
        self.absent.shrink_to_fit();
        self.chunks.shrink_to_fit();
        self.roomy.shrink_to_fit();
    }

    fn enter_roomy(&mut self, index: usize) {
        if let Some(chunk) = self.chunks[index].as_mut() {
            chunk.roomy_at = Some(self.roomy.len() as u32);
            self.roomy.push(index as u32);
        }
    }

    fn leave_roomy(&mut self, index: usize) {
        let Some(at) = self.chunks[index].as_mut().and_then(|chunk| chunk.roomy_at.take()) else { return };
        self.roomy.swap_remove(at as usize);
        if let Some(&moved) = self.roomy.get(at as usize)
            && let Some(chunk) = self.chunks[moved as usize].as_mut()
        {
            chunk.roomy_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl<T> Places<T> {
        /// All values with their numbers.
        fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
            let chunks = self.chunks.iter().enumerate();
            let places = chunks.filter_map(|(index, chunk)| Some((index, chunk.as_ref()?))).flat_map(
                |(index, chunk)| {
                    let numbers = (index << CHUNK_BITS) as u32..;
                    numbers.zip(chunk.places.iter())
                },
            );
            places.filter_map(|(number, place)| match place {
                Place::Used(value) => Some((number, value)),
                Place::Free { .. } => None,
            })
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((any::<bool>(), any::<u32>(), 1..700_usize), 0..40)) {
            let (mut places, mut map) = (Places::new(), BTreeMap::new());
            for (inserts, value, count) in steps {
                for step in 0..count {
                    if inserts {
                        let foretold = places.next_number();
                        let number = places.insert(value);
                        prop_assert_eq!(number, foretold);
                        prop_assert_eq!(map.insert(number.unwrap(), value), None);
                    } else {
                        let nearest = value.wrapping_add(step as u32) % 4_096;
                        let number = map.range(nearest..).next().map_or(nearest, |(&number, _)| number);
                        prop_assert_eq!(places.remove(number), map.remove(&number));
                    }
                }
                prop_assert_eq!(places.len(), map.len());
                prop_assert!(places.iter().map(|(number, &value)| (number, value)).eq(map.clone()));
                let with_values = places.chunks.iter().flatten().filter(|chunk| chunk.used > 0).count();
                prop_assert!(places.chunks.iter().flatten().count() <= with_values + 1);
            }
            for (number, value) in map {
                prop_assert_eq!(places.value(number), Some(&value));
                places.remove(number);
            }
            prop_assert!(places.chunks.iter().flatten().count() <= 1);
        }
    }
}

//! A queue of bytes in chunks.

mod lent;

use alloc::vec::Vec;
use core::iter::FusedIterator;

use arrayvec::ArrayVec;

use super::pool::{CHUNK, Chunk, ChunkPool};

/// Slices that [`ByteQueue::spare`] gives at most: 256 KiB and what is left of a chunk.
const SPARE_SLICES: usize = 17;
/// Room in bookkeeping that an empty queue keeps: half a MiB of chunks in 256 bytes. An idle connection is put away without.
const IDLE_CAPACITY: usize = 32;

/// Free space to read straight into, in order.
pub type Spare<'a> = ArrayVec<&'a mut [u8], SPARE_SLICES>;

/// A queue of bytes, with room to write ahead of its end.
///
/// The bytes `0..len` are the queue. Bytes behind `len` may have been written with [`ByteQueue::write_at`]; they join
/// the queue when [`ByteQueue::extend`] moves its end over them. Memory is taken in chunks, and only for places that
/// were written.
#[derive(Debug, Default)]
pub struct ByteQueue {
    /// The first chunk holds byte 0 of the queue at `head`. A chunk is missing only where nothing was written. A vector is
    /// smaller than a ring, and moving its few pointers is nothing beside moving the 16 KiB of each.
    chunks: Vec<Option<Chunk>>,
    head: u32,
    len: u32,
    /// Where the furthest byte written ahead ends, counted from byte 0; meaningful when beyond `len`.
    ahead: u32,
    /// Bytes at the end that are counted and lie elsewhere.
    lent: u32,
}

impl ByteQueue {
    /// An empty queue.
    pub const fn new() -> ByteQueue {
        ByteQueue { chunks: Vec::new(), head: 0, len: 0, ahead: 0, lent: 0 }
    }

    /// Bytes in the queue, those written ahead not counted.
    pub const fn len(&self) -> usize {
        (self.len + self.lent) as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that can be appended without another chunk.
    pub fn tail_room(&self) -> usize {
        (self.chunks.len() * CHUNK).saturating_sub(self.head as usize + self.len())
    }

    /// Chunks held.
    pub fn chunks(&self) -> usize {
        self.chunks.iter().flatten().count()
    }

    /// Appends as much of `bytes` as the pool has memory for, and says how much.
    pub fn push_slice(&mut self, pool: &mut ChunkPool, bytes: &[u8]) -> usize {
        let end = self.head as usize + self.len();
        let fits = end % CHUNK + bytes.len() <= CHUNK && self.ahead <= self.len && !bytes.is_empty();
        if fits && self.push_within_chunk(pool, end, bytes).is_some() {
            return bytes.len();
        }
        let written = self.write_at(pool, 0, bytes);
        self.extend(written);
        written
    }

    /// The usual case: all of it fits into the chunk in which byte `end` lies, and nothing is written behind.
    #[inline]
    fn push_within_chunk(&mut self, pool: &mut ChunkPool, end: usize, bytes: &[u8]) -> Option<()> {
        if end / CHUNK == self.chunks.len() {
            let chunk = pool.take()?;
            self.chunks.push(Some(chunk));
        }
        let chunk = self.chunks.get_mut(end / CHUNK)?.as_mut()?;
        chunk[end % CHUNK..end % CHUNK + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u32;
        self.ahead = self.len;
        Some(())
    }

    /// Writes `bytes` so that they begin `gap` bytes behind the end of the queue, as far as the pool has memory, and
    /// says how many. The end stays where it is.
    pub fn write_at(&mut self, pool: &mut ChunkPool, gap: usize, bytes: &[u8]) -> usize {
        let mut position = self.head as usize + self.len() + gap;
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(chunk) = self.chunk_at(pool, position / CHUNK) else { break };
            let room = &mut chunk[position % CHUNK..];
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            position += now.len();
            rest = later;
        }
        let written = bytes.len() - rest.len();
        if written > 0 {
            self.ahead = self.ahead.max((position - self.head as usize) as u32);
        }
        self.drop_unused_tail(pool);
        written
    }

    /// Moves the end of the queue over `count` bytes written ahead.
    pub fn extend(&mut self, count: usize) {
        debug_assert!(self.len() + count <= self.ahead as usize || count == 0, "only written bytes join");
        self.len += count as u32;
    }

    /// Free space behind the end, of up to `max` bytes, to read straight into; [`ByteQueue::commit`] must follow, with 0
    /// when nothing was read. Empty when the pool has no memory. Not to be mixed with writing ahead.
    pub fn spare(&mut self, pool: &mut ChunkPool, max: usize) -> Spare<'_> {
        let start = self.head as usize + self.len();
        let first = start / CHUNK;
        let mut end = start;
        while end < start + max && end / CHUNK - first < SPARE_SLICES {
            if self.chunk_at(pool, end / CHUNK).is_none() {
                break;
            }
            end = (end / CHUNK + 1) * CHUNK;
        }
        let end = end.min(start + max);
        let mut spare = Spare::new();
        for (index, chunk) in self.chunks.iter_mut().enumerate().skip(first) {
            let from = start.max(index * CHUNK);
            let to = end.min((index + 1) * CHUNK);
            let Some(chunk) = chunk else { break };
            if from >= to {
                break;
            }
            spare.push(&mut chunk[from - index * CHUNK..to - index * CHUNK]);
        }
        spare
    }

    /// Appends the first `count` bytes of what [`ByteQueue::spare`] gave, and gives the unused chunks back.
    pub fn commit(&mut self, pool: &mut ChunkPool, count: usize) {
        debug_assert!(self.head as usize + self.len() + count <= self.chunks.len() * CHUNK);
        self.len += count as u32;
        self.ahead = self.ahead.max(self.len);
        self.drop_unused_tail(pool);
    }

    /// The bytes from `offset` on, `len` of them or as many as there are here.
    pub fn slices(&self, offset: usize, len: usize) -> Slices<'_> {
        let here = self.len as usize;
        let offset = offset.min(here);
        let len = len.min(here - offset);
        Slices { queue: self, position: self.head as usize + offset, rest: len }
    }

    /// Removes `count` bytes from the front, or all; chunks that hold nothing go back.
    pub fn consume(&mut self, pool: &mut ChunkPool, count: usize) {
        let count = count.min(self.len());
        self.len -= count as u32;
        self.ahead = self.ahead.saturating_sub(count as u32).max(self.len);
        if self.ahead == 0 {
            // Nearly always what was in one chunk.
            if self.chunks.capacity() <= IDLE_CAPACITY
                && let [only] = &mut self.chunks[..]
            {
                only.take().into_iter().for_each(|chunk| pool.give(chunk));
                self.chunks.clear();
                (self.head, self.ahead) = (0, 0);
                return;
            }
            return self.clear(pool);
        }
        let mut head = self.head as usize + count;
        if head >= CHUNK {
            self.chunks.drain(..head / CHUNK).flatten().for_each(|chunk| pool.give(chunk));
            head %= CHUNK;
        }
        self.head = head as u32;
    }

    /// Forgets everything and gives all chunks back.
    pub fn clear(&mut self, pool: &mut ChunkPool) {
        while let Some(chunk) = self.chunks.pop() {
            chunk.into_iter().for_each(|chunk| pool.give(chunk));
        }
        if self.chunks.capacity() > IDLE_CAPACITY {
            self.chunks.shrink_to(IDLE_CAPACITY);
        }
        (self.head, self.len, self.ahead) = (0, 0, 0);
    }

    /// The chunk at this place, taken from the pool when it is missing.
    fn chunk_at(&mut self, pool: &mut ChunkPool, index: usize) -> Option<&mut Chunk> {
        while self.chunks.len() <= index {
            self.chunks.push(None);
        }
        let place = &mut self.chunks[index];
        if place.is_none() {
            *place = pool.take();
        }
        place.as_mut()
    }

    /// Gives back the chunks in which nothing was written.
    fn drop_unused_tail(&mut self, pool: &mut ChunkPool) {
        if self.len.max(self.ahead) == 0 {
            return self.clear(pool);
        }
        let used = (self.head as usize + self.len.max(self.ahead) as usize).div_ceil(CHUNK);
        while self.chunks.len() > used {
            if let Some(Some(chunk)) = self.chunks.pop() {
                pool.give(chunk);
            }
        }
    }
}

/// The bytes of a part of a queue, as slices in order.
#[derive(Clone, Debug)]
pub struct Slices<'a> {
    queue: &'a ByteQueue,
    position: usize,
    rest: usize,
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest == 0 {
            return None;
        }
        let chunk = self.queue.chunks.get(self.position / CHUNK)?.as_ref()?;
        let from = self.position % CHUNK;
        let count = self.rest.min(CHUNK - from);
        self.position += count;
        self.rest -= count;
        Some(&chunk[from..from + count])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = (self.position % CHUNK + self.rest).div_ceil(CHUNK);
        (count, Some(count))
    }
}

impl ExactSizeIterator for Slices<'_> {}
impl FusedIterator for Slices<'_> {}

#[cfg(test)]
mod tests;

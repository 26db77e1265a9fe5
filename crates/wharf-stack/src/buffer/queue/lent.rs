//! Bytes that a queue counts while they still lie with who brought them.
//!
//! What has just come is often taken at once, and then need not be copied. So it is counted first; when it is known how much
//! was taken, the rest is copied.
//!
//! Invariants: the memory for the rest is set aside before a byte is counted, so what was counted is never lost; between
//! [`ByteQueue::lend`] and [`ByteQueue::settle`] a queue is only looked at, and nothing is written ahead of its end.

use super::ByteQueue;
use crate::buffer::pool::{CHUNK, ChunkPool};

impl ByteQueue {
    /// Counts `count` bytes more at the end; `false`, and nothing has happened, when there is no memory to keep them.
    pub(crate) fn lend(&mut self, pool: &mut ChunkPool, count: usize) -> bool {
        debug_assert!(self.ahead <= self.len, "what is lent is the next in order");
        let before = self.chunks_for(self.lent as usize);
        let more = self.chunks_for(self.lent as usize + count) - before;
        let fits = pool.reserve(more);
        self.lent += if fits { count as u32 } else { 0 };
        fits
    }

    /// Bytes that lie here.
    pub(crate) const fn kept_len(&self) -> usize {
        self.len as usize
    }

    /// Whether some bytes lie elsewhere.
    pub(crate) const fn is_lending(&self) -> bool {
        self.lent > 0
    }

    /// Removes `taken` bytes from the front, and keeps what is left of `lent`, the bytes that were counted.
    pub(crate) fn settle(&mut self, pool: &mut ChunkPool, lent: &[&[u8]], taken: usize) {
        debug_assert_eq!(lent.iter().map(|slice| slice.len()).sum::<usize>(), self.lent as usize);
        pool.release(self.chunks_for(self.lent as usize));
        self.lent = 0;
        let own = taken.min(self.len as usize);
        self.consume(pool, own);
        let mut skip = taken - own;
        for slice in lent {
            let rest = slice.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(slice.len());
            let kept = self.push_slice(pool, rest);
            debug_assert_eq!(kept, rest.len(), "the memory was set aside");
        }
    }

    /// How many chunks more `count` bytes behind the end take.
    fn chunks_for(&self, count: usize) -> usize {
        let end = self.head as usize + self.len as usize + count;
        end.div_ceil(CHUNK).saturating_sub(self.chunks.len())
    }
}

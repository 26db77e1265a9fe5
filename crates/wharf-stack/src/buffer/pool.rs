//! Where chunks come from.

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

use wharf_table::Instant;

use super::spare::Kept;

/// Bytes of a chunk.
pub const CHUNK: usize = 16 * 1024;
/// A piece of memory that a queue holds while it holds data.
pub type Chunk = Box<[u8; CHUNK]>;

/// Chunks given back that are kept for the next who asks, at most: 16 MiB, which a few busy flows hold in turns.
const SPARE_MAX: usize = 1_024;
/// How long what nobody needs is kept, half of it each time. Who reads and writes in turns needs it again in microseconds.
const TRIM_INTERVAL: Duration = Duration::from_millis(10);

/// Hands out chunks up to a limit, and keeps a few for those who come next.
#[derive(Debug)]
pub struct ChunkPool {
    spare: Kept<Chunk, SPARE_MAX>,
    in_use: usize,
    /// Promised to who may need them before the batch at hand is over.
    reserved: usize,
    limit: usize,
    /// When the spare chunks are looked at again; never while there are none.
    trim_at: Instant,
}

impl ChunkPool {
    /// A pool that hands out at most `limit_bytes`, rounded down to whole chunks but at least one.
    pub fn new(limit_bytes: usize) -> ChunkPool {
        let limit = (limit_bytes / CHUNK).max(1);
        ChunkPool { spare: Kept::new(), in_use: 0, reserved: 0, limit, trim_at: Instant::NEVER }
    }

    /// A chunk with any content; `None` when the limit is reached.
    #[inline]
    pub fn take(&mut self) -> Option<Chunk> {
        if self.in_use + self.reserved >= self.limit {
            return None;
        }
        self.in_use += 1;
        Some(self.spare.take().unwrap_or_else(fresh))
    }

    /// Takes a chunk back.
    #[inline]
    pub fn give(&mut self, chunk: Chunk) {
        debug_assert!(self.in_use > 0, "a chunk comes back to the pool that it was taken from");
        self.in_use = self.in_use.saturating_sub(1);
        self.spare.give(chunk);
    }

    /// Sets `count` chunks aside; `false` when there are not so many. Nobody else is given them until
    /// [`ChunkPool::release`].
    pub(crate) fn reserve(&mut self, count: usize) -> bool {
        let fits = self.in_use + self.reserved + count <= self.limit;
        self.reserved += if fits { count } else { 0 };
        fits
    }

    /// `count` chunks are set aside no longer.
    pub(crate) fn release(&mut self, count: usize) {
        debug_assert!(self.reserved >= count, "what is released was reserved");
        self.reserved = self.reserved.saturating_sub(count);
    }

    /// Gives half of the spare chunks back to the allocator that nobody has needed in the last [`TRIM_INTERVAL`]; all, when
    /// it is one. To be called whenever [`ChunkPool::poll_timeout`] says so, and as often as one likes.
    pub fn trim(&mut self, now: Instant) {
        if self.spare.is_empty() {
            self.trim_at = Instant::NEVER;
        } else if self.trim_at == Instant::NEVER {
            self.trim_at = now + TRIM_INTERVAL;
        } else if self.trim_at <= now {
            self.spare.trim();
            self.trim_at = if self.spare.is_empty() { Instant::NEVER } else { now + TRIM_INTERVAL };
        }
    }

    /// When [`ChunkPool::trim`] is to be called; at once where chunks have become spare since it was.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let is_new = self.trim_at == Instant::NEVER && !self.spare.is_empty();
        let next = if is_new { Instant::ZERO } else { self.trim_at };
        (next != Instant::NEVER).then_some(next)
    }

    /// Chunks that are held by somebody.
    pub const fn in_use(&self) -> usize {
        self.in_use
    }

    /// Bytes of the chunks that are held by somebody.
    pub const fn bytes_in_use(&self) -> usize {
        self.in_use * CHUNK
    }

    /// Bytes that may still be taken for data to be sent: a quarter of the pool is kept for data that arrives. Else two
    /// stacks that talk to each other could fill their memory with what the other has no memory to take.
    pub const fn sendable(&self) -> usize {
        (self.limit - self.limit / 4).saturating_sub(self.in_use) * CHUNK
    }

    /// Whether the next [`ChunkPool::take`] would be refused.
    pub const fn is_exhausted(&self) -> bool {
        self.in_use + self.reserved >= self.limit
    }
}

/// A chunk from the allocator, never by way of the stack.
fn fresh() -> Chunk {
    vec![0; CHUNK].into_boxed_slice().try_into().expect("the slice has the length of a chunk")
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn what_is_set_aside_is_nobody_elses() {
        let mut pool = ChunkPool::new(3 * CHUNK);
        let chunk = pool.take().expect("there are three");
        assert!(!pool.reserve(3) && pool.reserve(2));
        assert!(pool.take().is_none());
        pool.release(2);
        let other = pool.take().expect("one was released");
        [chunk, other].into_iter().for_each(|chunk| pool.give(chunk));
    }

    #[test]
    fn spare_chunks_that_nobody_needs_go() {
        let mut pool = ChunkPool::new(8 * CHUNK);
        let chunks: Vec<Chunk> = core::iter::from_fn(|| pool.take()).collect();
        assert_eq!((chunks.len(), pool.bytes_in_use()), (8, 8 * CHUNK));
        chunks.into_iter().for_each(|chunk| pool.give(chunk));
        let mut at = Instant::from_millis(1);
        pool.trim(at);
        let mut later = || {
            at += TRIM_INTERVAL;
            at
        };
        pool.trim(later());
        let chunk = pool.take().expect("the limit is far");
        pool.give(chunk);
        let left: Vec<usize> = (0..5)
            .map(|_| {
                let at = later();
                pool.trim(at);
                pool.trim(at);
                pool.spare.len()
            })
            .collect();
        assert_eq!(left, [4, 2, 1, 0, 0]);
        assert_eq!(pool.poll_timeout(), None);
    }
}

//! Where chunks come from.

use alloc::boxed::Box;
use alloc::vec;

use super::spare::Kept;

/// Bytes of a chunk.
pub const CHUNK: usize = 16 * 1024;
/// A piece of memory that a queue holds while it holds data.
pub type Chunk = Box<[u8; CHUNK]>;

/// Chunks given back that are kept for the next who asks: 1 MiB.
const SPARE_MAX: usize = 64;

/// Hands out chunks up to a limit, and keeps a few for those who come next.
#[derive(Debug)]
pub struct ChunkPool {
    spare: Kept<Chunk, SPARE_MAX>,
    in_use: usize,
    limit: usize,
}

impl ChunkPool {
    /// A pool that hands out at most `limit_bytes`, rounded down to whole chunks but at least one.
    pub fn new(limit_bytes: usize) -> ChunkPool {
        ChunkPool { spare: Kept::new(), in_use: 0, limit: (limit_bytes / CHUNK).max(1) }
    }

    /// A chunk with any content; `None` when the limit is reached.
    #[inline]
    pub fn take(&mut self) -> Option<Chunk> {
        if self.in_use == self.limit {
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

    /// Gives half of the spare chunks back to the allocator that nobody has needed since the last time; all, when it is one.
    pub fn trim(&mut self) {
        self.spare.trim();
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
        self.in_use >= self.limit
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
    fn spare_chunks_that_nobody_needs_go() {
        let mut pool = ChunkPool::new(8 * CHUNK);
        let chunks: Vec<Chunk> = core::iter::from_fn(|| pool.take()).collect();
        assert_eq!((chunks.len(), pool.bytes_in_use()), (8, 8 * CHUNK));
        chunks.into_iter().for_each(|chunk| pool.give(chunk));
        pool.trim();
        let chunk = pool.take().expect("the limit is far");
        pool.give(chunk);
        let left: Vec<usize> = (0..5)
            .map(|_| {
                pool.trim();
                pool.spare.len()
            })
            .collect();
        assert_eq!(left, [4, 2, 1, 0, 0]);
    }
}

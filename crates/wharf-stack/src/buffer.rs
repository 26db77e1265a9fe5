//! Bytes on hold: what a connection has taken from its owner and the peer has not acknowledged, and what has arrived
//! and the owner has not read.
//!
//! Bytes live in chunks of 16 KiB, which a [`ByteQueue`] takes from the stack's one [`ChunkPool`] when data comes and
//! gives back when it goes. An empty queue holds none, so idle connections cost nothing and the pool's limit is the
//! limit of the whole stack: when it is reached, queues take no more, and that is the back-pressure.
//!
//! Invariant: a chunk that a queue holds is counted in exactly one pool; a queue is emptied with [`ByteQueue::clear`]
//! before it is dropped.

mod pool;
mod queue;
mod spare;

pub use pool::{CHUNK, Chunk, ChunkPool};
pub use queue::{ByteQueue, Slices, Spare};
pub(crate) use spare::Kept;

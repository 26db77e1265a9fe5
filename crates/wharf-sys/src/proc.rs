//! What `/proc` tells: who holds a port, the host's limits, and what a network's interfaces count.

pub mod descriptors;
pub mod limits;
pub mod owner;
pub mod socket_table;
pub mod traffic;

use std::path::Path;

pub use owner::{Holder, holder};

/// The whole of a small file, without white space around it. `None` when it can't be read.
pub(crate) fn read_trimmed(path: impl AsRef<Path>) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

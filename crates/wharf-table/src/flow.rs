//! The flow: a conversation with two sides.
//!
//! The near side is always a tuple on the wire. The far side of a local socket is an application; the far side of a
//! translated flow is another tuple on another wire. So a socket and a NAT mapping are the same row of the table.

use core::fmt;

use crate::time::Instant;
use crate::tuple::Tuple;

/// The number of a flow in its [`Table`](crate::table::Table); used again after the flow is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub(crate) u32);

impl FlowId {
    /// The number, dense from 0, for an array beside the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What stands on the other side of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Far {
    /// An application's socket, by the token that its owner gave it.
    Application(u32),
    /// Another tuple on the wire: the flow is translated. `local` is ours there, as in the near tuple.
    Wire(Tuple),
}

/// A conversation. Its two sides change only through the [`Table`](crate::table::Table), which finds it by them.
#[derive(Clone, Debug)]
pub struct Flow {
    pub(crate) tuple: Tuple,
    pub(crate) far: Far,
    opened: Instant,
    /// When something last passed, as far as the holder keeps count; the time of opening at first.
    pub used: Instant,
}

impl Flow {
    pub(crate) fn new(tuple: Tuple, far: Far, now: Instant) -> Flow {
        Flow { tuple, far, opened: now, used: now }
    }

    /// The near side.
    pub const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    /// The far side.
    pub const fn far(&self) -> Far {
        self.far
    }

    /// When it was opened.
    pub const fn opened(&self) -> Instant {
        self.opened
    }

    /// What stands opposite the side whose packets carry `tuple`: the far side for the near tuple, the near tuple for
    /// the far one.
    pub fn other_side(&self, tuple: &Tuple) -> Far {
        if self.tuple == *tuple { self.far } else { Far::Wire(self.tuple) }
    }
}

/// Why a flow could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// This flow has one of the tuples on one of its sides.
    InUse {
        /// The holder.
        by: FlowId,
    },
    /// The table holds as many flows as it may.
    Full,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::InUse { .. } => "the tuple is in use",
            OpenError::Full => "the table holds as many flows as it may",
        })
    }
}

impl core::error::Error for OpenError {}

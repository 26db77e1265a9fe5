//! The flow: a conversation with two sides.
//!
//! The near side is always a tuple on the wire. The far side of a local socket is an application; the far side of a
//! translated flow is another tuple on another wire. So a socket and a NAT mapping are the same row of the table.
//!
//! A row is one cache line. The far tuple of a translated flow stands elsewhere in the table, so that only flows that
//! have one pay for it.

use core::fmt;

use crate::binding::BindingId;
use crate::claim::{Sharing, User};
use crate::request::RequestId;
use crate::time::Instant;
use crate::tuple::Tuple;
use crate::waiting::WaitingId;

/// The number of a flow in its [`Table`](crate::table::Table); used again after the flow is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub(crate) u32);

impl FlowId {
    /// The number, dense from 0, for an array beside the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The number that [`FlowId::index`] gave: where a report goes on after a page.
    pub const fn from_index(index: u32) -> FlowId {
        FlowId(index)
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

/// Which socket a flow belongs to, which tells what it does to its local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// None here: the flow is translated or relayed, and its local endpoint is somebody else's.
    Transit,
    /// It came in through this binding: it holds the port with the binding's user and options, also when the binding
    /// is gone (`inet_inherit_port`).
    Child(BindingId),
    /// The socket of this binding connects. The binding goes on holding the port, on the flow's local address only,
    /// and receives nothing but the flow until that closes.
    Bound(BindingId),
    /// A socket that was never bound connects: it holds the port in the way that lets others connect from it to other
    /// destinations.
    Implicit {
        /// Whose socket it is.
        user: User,
        /// Its options.
        sharing: Sharing,
        /// Whether it is an IPv6 socket with IPV6_V6ONLY.
        v6_only: bool,
    },
}

impl Origin {
    /// A socket of user 0 with no options that was never bound.
    pub const IMPLICIT: Origin = Origin::Implicit {
        user: User::ROOT,
        sharing: Sharing { reuse_address: false, reuse_port: false },
        v6_only: false,
    };
}

/// Bits of [`Flow::marks`]: how the flow holds its local port.
pub(crate) mod marks {
    /// It is an owner of its port by itself.
    pub(crate) const OWNER: u8 = 1;
    /// SO_REUSEADDR.
    pub(crate) const REUSE_ADDRESS: u8 = 2;
    /// SO_REUSEPORT.
    pub(crate) const REUSE_PORT: u8 = 4;
    /// Its socket was bound by connecting.
    pub(crate) const IMPLICIT: u8 = 8;
    /// Its socket is an IPv6 one that could have taken IPv4 as well.
    pub(crate) const V6_OPEN: u8 = 16;
    /// A binding holds the port for it; [`Flow::holder`](super::Flow) is the binding and not a user.
    pub(crate) const BOUND: u8 = 32;
    /// [`Flow::far`](super::Flow) is the place of a far tuple.
    pub(crate) const WIRE: u8 = 64;
}

/// A conversation. Its two sides change only through the [`Table`](crate::table::Table), which finds it by them.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Flow {
    pub(crate) tuple: Tuple,
    pub(crate) marks: u8,
    /// The application's token, or the place of the far tuple.
    pub(crate) far: u32,
    /// The user, or the binding.
    pub(crate) holder: u32,
    opened: Instant,
    /// When something last passed, as far as the holder keeps count; the time of opening at first.
    pub used: Instant,
}

impl Flow {
    pub(crate) fn new(tuple: Tuple, far: u32, marks: u8, holder: u32, now: Instant) -> Flow {
        Flow { tuple, marks, far, holder, opened: now, used: now }
    }

    /// The near side.
    pub const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    /// The token of the application at the far side; `None` for a translated flow, whose far tuple
    /// [`Table::far`](crate::table::Table::far) tells.
    pub const fn application(&self) -> Option<u32> {
        if self.marks & marks::WIRE == 0 { Some(self.far) } else { None }
    }

    /// The binding whose socket this flow is, for [`Origin::Bound`].
    pub const fn bound(&self) -> Option<BindingId> {
        if self.marks & marks::BOUND == 0 { None } else { Some(BindingId(self.holder)) }
    }

    /// When it was opened.
    pub const fn opened(&self) -> Instant {
        self.opened
    }
}

/// Who has a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A flow, on one of its sides.
    Flow(FlowId),
    /// A connection in SYN-RECEIVED.
    Request(RequestId),
    /// A connection in TIME-WAIT.
    Waiting(WaitingId),
}

/// Why a flow could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// One of the tuples is taken (EADDRINUSE, or EADDRNOTAVAIL where the socket connects).
    InUse {
        /// The holder.
        by: Holder,
    },
    /// The table holds as many flows as it may.
    Full,
    /// There is no such binding.
    NoBinding,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::InUse { .. } => "the tuple is in use",
            OpenError::Full => "the table holds as many flows as it may",
            OpenError::NoBinding => "the binding is gone",
        })
    }
}

impl core::error::Error for OpenError {}

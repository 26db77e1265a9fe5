//! The request: a connection in SYN-RECEIVED (RFC 9293, section 3.3.2), before it is worth a flow.
//!
//! A flood of SYNs makes these and nothing else, so a row is small: the two endpoints, the listener, and 28 bytes whose
//! meaning is the stack's (sequence numbers, options, timers).

use crate::binding::BindingId;
use crate::tuple::Tuple;

/// The number of a request in its [`Table`](crate::table::Table); used again after the request is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u32);

impl RequestId {
    /// The number, dense from 0, for an array beside the table and for a timer wheel.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The request whose [`RequestId::index`] this is.
    pub const fn from_index(index: u32) -> RequestId {
        RequestId(index)
    }
}

/// What the stack keeps with a request; the table never reads it.
pub type RequestPayload = [u32; 7];

/// A connection in SYN-RECEIVED, as [`Table::close_request`](crate::table::Table::close_request) hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The tuple; always TCP.
    pub tuple: Tuple,
    /// The listener through which it came.
    pub listener: BindingId,
    /// The stack's part.
    pub payload: RequestPayload,
}

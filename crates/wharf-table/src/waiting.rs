//! The waiting row: what is left of a connection in TIME-WAIT (RFC 9293, section 3.6.1).
//!
//! It answers late segments and keeps its tuple from being used again too early (RFC 6191). It needs 64 bytes with its
//! part of the index, and it goes by itself when its time has come.

use crate::time::Instant;
use crate::tuple::Tuple;

/// The number of a waiting row in its [`Table`](crate::table::Table). Numbers go up and come again after 2^32 rows, so
/// one is good for what follows a look-up, not for keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitingId(pub(crate) u32);

impl WaitingId {
    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number that [`WaitingId::number`] gave: where a report goes on after a page.
    pub const fn from_number(number: u32) -> WaitingId {
        WaitingId(number)
    }
}

/// What a connection in TIME-WAIT needs to answer a segment and to judge a SYN (RFC 6191, section 2; RFC 7323,
/// section 5.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingPayload {
    /// The sequence number of the acknowledgments that it sends.
    pub snd_nxt: u32,
    /// What it acknowledges.
    pub rcv_nxt: u32,
    /// The peer's last timestamp, as far as timestamps were in use; the stack marks their absence as it likes.
    pub ts_recent: u32,
    /// What turns the stack's clock into its own timestamps.
    pub ts_offset: u32,
}

/// A connection in TIME-WAIT, read out of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The tuple; always TCP.
    pub tuple: Tuple,
    /// The stack's part.
    pub payload: WaitingPayload,
    /// When it goes, to the millisecond.
    pub expires: Instant,
}

//! The end of the send queue: whether a small segment may leave there, and where PSH stands.
//!
//! An owner may say with some data that more follows at once (MSG_MORE): a small segment then waits for it, until an
//! acknowledgment comes or the persist timer runs out. PSH stands where an owner ended what it said (RFC 9293, section
//! 3.9.1.2), and at the end of each *train*, the full segments that leave together: a receiver that joins segments has no
//! use for waiting for more of them. Both as in Linux.
//!
//! Invariants: with nothing queued it holds nothing, so that idle connections need not keep it.

use super::Connection;
use super::window::{Demand, Sendable, sendable};

/// Trains are worth this part of a second (sk_pacing_shift of Linux).
const TRAIN_SHIFT: u32 = 10;
/// Each doubling of the round trip by so much halves what else a train may have (tcp_tso_rtt_log of Linux).
const ROUND_TRIP_SHIFT: u32 = 9;
/// The longest train, in bytes.
const TRAIN_MAX: u32 = 65_535;

/// What is known of the end of the send queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// A small segment waits for what the owner adds.
    pub(super) waits: bool,
    /// The owner has not ended what it says.
    pub(super) is_open: bool,
    /// A small segment leaves whatever else holds it back.
    pub(super) is_pushed: bool,
    /// Bytes of the train that are still to leave.
    train: u32,
}

impl Tail {
    /// Something was queued.
    pub(super) fn on_queued(&mut self) {
        self.is_pushed = false;
    }

    /// Whether a segment waits, or is one of a train.
    pub(super) const fn holds(&self) -> bool {
        self.waits || self.train != 0
    }

    /// Nothing more leaves now.
    pub(super) fn on_pause(&mut self) {
        self.train = 0;
    }
}

impl Connection {
    /// Whether the owner follows with more, or has ended what it says ([`Change::MoreFollows`](super::Change::MoreFollows)).
    pub(super) fn set_more_follows(&mut self, follows: bool) {
        (self.tail.waits, self.tail.is_open) = (follows, follows);
        self.dirty |= !follows;
    }

    /// Whether the owner said last that more follows.
    pub const fn has_more_to_come(&self) -> bool {
        self.tail.is_open
    }

    /// What is queued leaves now, small or not.
    pub(super) fn push_tail(&mut self) {
        self.tail.is_pushed = true;
        self.dirty = true;
    }

    /// `len` bytes leave as new data: whether they end a train of more than one segment.
    pub(super) fn ends_train(&mut self, demand: &Demand, len: u32) -> bool {
        if len > demand.segment {
            return true;
        }
        if self.tail.train == 0 {
            if demand.unsent <= len {
                return false;
            }
            let most = self.train_max(demand.segment);
            let all = match sendable(Demand { most, ..*demand }) {
                Sendable::Bytes(all) => all,
                _ => len,
            };
            if all <= len {
                return false;
            }
            self.tail.train = all;
        }
        self.tail.train = self.tail.train.saturating_sub(len);
        self.tail.train == 0
    }

    /// The most bytes that leave together (tcp_tso_autosize of Linux): what a millisecond at the present rate takes, and more
    /// on short paths; no more than half of the congestion window (tcp_cwnd_test).
    fn train_max(&self, segment: u32) -> u32 {
        let paced = u32::try_from(self.pacing_rate() >> TRAIN_SHIFT).unwrap_or(TRAIN_MAX);
        let near = TRAIN_MAX.checked_shr(self.tally.min_rtt.get() >> ROUND_TRIP_SHIFT).unwrap_or(0);
        let bytes = paced.saturating_add(near).min(TRAIN_MAX);
        // Two trains at least are on their way.
        let half = (self.congestion.window() / segment / 2).max(1);
        (bytes / segment).max(self.limits.train_min.into()).min(half) * segment
    }
}

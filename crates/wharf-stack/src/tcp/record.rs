//! Records: an owner may say that what it has queued ends one (MSG_EOR of Linux). No segment goes on beyond that, the one
//! that ends there carries PSH, and a small one leaves at once when more is queued behind it. TCP itself knows no records:
//! this is for devices that look at segments.
//!
//! Invariant: ends stand in order, and none lies at or before what was acknowledged.

use alloc::collections::VecDeque;

use super::Connection;
use super::park::{Packed, Packer, Unpacker};
use super::seq::SeqNum;

/// Where records end. An idle connection has none.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(VecDeque<SeqNum>);

impl Packed for Records {
    fn pack(&self, _: &mut Packer) {
        debug_assert!(self.0.is_empty(), "everything is acknowledged");
    }

    fn unpack(_: &mut Unpacker<'_>) -> Self {
        Records::default()
    }
}

impl Connection {
    /// What is queued so far ends a record.
    pub(super) fn end_record(&mut self) {
        let end = self.data_end();
        let ends = &mut self.rare().records.0;
        if ends.back().is_none_or(|last| last.before(end)) {
            ends.push_back(end);
        }
    }

    /// The first end of a record behind `seq`.
    pub(super) fn record_end(&self, seq: SeqNum) -> Option<SeqNum> {
        let ends = &self.rare.as_ref()?.records.0;
        ends.get(ends.partition_point(|end| !end.after(seq))).copied()
    }

    /// Whether a record ends at `seq`.
    pub(super) fn is_record_end(&self, seq: SeqNum) -> bool {
        self.record_end(seq - 1) == Some(seq)
    }

    /// As much of `len` bytes behind `seq` as lies in one record.
    pub(super) fn within_record(&self, seq: SeqNum, len: u32) -> u32 {
        self.record_end(seq).map_or(len, |end| len.min(end.since(seq)))
    }

    /// Where the last record begins of those that reach into what lies between `left` and `right`; `left` when it is one.
    pub(super) fn last_record_begin(&self, left: SeqNum, right: SeqNum) -> SeqNum {
        let mut begin = left;
        while let Some(end) = self.record_end(begin).filter(|end| end.before(right)) {
            begin = end;
        }
        begin
    }

    /// `snd_una` has moved.
    pub(super) fn forget_records(&mut self) {
        let una = self.snd.snd_una;
        if let Some(rare) = &mut self.rare {
            while rare.records.0.front().is_some_and(|end| !end.after(una)) {
                rare.records.0.pop_front();
            }
        }
    }
}

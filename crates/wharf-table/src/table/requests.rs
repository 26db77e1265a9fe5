//! The requests of a table: rows of 84 bytes in slots, on chains, and those of a listener in a list.

use alloc::collections::BTreeMap;

use super::chains::{Chains, Link, NONE, Rows};
use crate::binding::BindingId;
use crate::hash::HashKey;
use crate::request::{Request, RequestId, RequestPayload};
use crate::slots::Slots;
use crate::tuple::Tuple;

/// The most requests that a table holds, whatever it may hold: their numbers stay below the end of a chain.
const LIMIT: u32 = (1 << 31) - 1;

#[derive(Debug)]
struct Row {
    link: Link,
    listener: BindingId,
    payload: RequestPayload,
    /// Neighbours among the requests of the listener: the one that came after, and the one that came before.
    newer: u32,
    older: u32,
    /// Always true; a place for the mark of a free slot.
    #[expect(dead_code, reason = "only its niche is used")]
    used: bool,
}

impl Row {
    fn request(&self) -> Request {
        Request { tuple: self.link.tuple(), listener: self.listener, payload: self.payload }
    }
}

impl Rows for Slots<Row> {
    fn link(&self, number: u32) -> Option<&Link> {
        self.value(number).map(|row| &row.link)
    }

    fn link_mut(&mut self, number: u32) -> Option<&mut Link> {
        self.value_mut(number).map(|row| &mut row.link)
    }
}

#[derive(Debug)]
pub(super) struct Requests {
    rows: Slots<Row>,
    chains: Chains,
    /// The newest request of each listener that has any.
    newest: BTreeMap<BindingId, u32>,
    max: u32,
}

impl Requests {
    pub(super) fn new(max: u32) -> Requests {
        Requests { rows: Slots::new(), chains: Chains::new(), newest: BTreeMap::new(), max: max.min(LIMIT) }
    }

    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max.min(LIMIT);
    }

    pub(super) fn count(&self) -> u32 {
        self.rows.count()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.count() >= self.max
    }

    /// The request with this tuple, which is TCP.
    #[inline]
    pub(super) fn find(&self, hash: u32, tuple: &Tuple) -> Option<RequestId> {
        self.chains.find(&self.rows, hash, tuple).map(RequestId)
    }

    /// Adds a request; `hash` is that of its tuple.
    pub(super) fn open(&mut self, key: &HashKey, hash: u32, request: &Request) -> RequestId {
        let Request { tuple, listener, payload } = *request;
        let newest = self.newest.entry(listener).or_insert(NONE);
        let older = *newest;
        let row = Row { link: Link::new(&tuple), listener, payload, newer: NONE, older, used: true };
        let number = self.rows.insert(row);
        *newest = number;
        if let Some(older) = self.rows.value_mut(older) {
            older.newer = number;
        }
        self.chains.insert(&mut self.rows, key, hash, number);
        RequestId(number)
    }

    pub(super) fn request(&self, id: RequestId) -> Option<Request> {
        self.rows.value(id.0).map(Row::request)
    }

    pub(super) fn payload_mut(&mut self, id: RequestId) -> Option<&mut RequestPayload> {
        self.rows.value_mut(id.0).map(|row| &mut row.payload)
    }

    /// Takes a request out; `hash` is that of its tuple.
    pub(super) fn close(&mut self, key: &HashKey, hash: u32, id: RequestId) -> Option<Request> {
        let request = self.request(id)?;
        self.unlink(id);
        self.chains.remove(&mut self.rows, key, hash, id.0);
        self.rows.remove(id.0);
        Some(request)
    }

    fn unlink(&mut self, id: RequestId) {
        let Some(&Row { listener, newer, older, .. }) = self.rows.value(id.0) else { return };
        if let Some(row) = self.rows.value_mut(older) {
            row.newer = newer;
        }
        match self.rows.value_mut(newer) {
            Some(row) => row.older = older,
            None if older == NONE => drop(self.newest.remove(&listener)),
            None => drop(self.newest.insert(listener, older)),
        }
    }

    /// The newest request of a listener.
    pub(super) fn newest_of(&self, listener: BindingId) -> Option<RequestId> {
        self.newest.get(&listener).copied().map(RequestId)
    }

    pub(super) fn after(&self, after: Option<RequestId>) -> impl Iterator<Item = (RequestId, Request)> {
        let first = after.map_or(0, |id| id.0 + 1);
        self.rows.iter_from(first).map(|(number, row)| (RequestId(number), row.request()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_costs_at_most_96_bytes() {
        // A row, a head for every two, and eight for the queue of the stack.
        assert!(size_of::<Option<Row>>() + 2 + 8 <= 96, "{}", size_of::<Option<Row>>());
    }
}

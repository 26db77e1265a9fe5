//! The requests of a table: rows of 84 bytes in slots, on chains, and those of a listener in a list.

use alloc::collections::BTreeMap;

use super::chains::{Chains, Links, NONE};
use crate::binding::BindingId;
use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::request::{Request, RequestId, RequestPayload};
use crate::slots::Slots;
use crate::tuple::{Protocol, Tuple};

/// The most requests that a table holds, whatever it may hold: their numbers stay below the end of a chain.
const LIMIT: u32 = (1 << 31) - 1;

#[derive(Debug)]
struct Row {
    local: Addr,
    remote: Addr,
    ports: [u16; 2],
    listener: BindingId,
    payload: RequestPayload,
    next: u32,
    /// Neighbours among the requests of the listener: the one that came after, and the one that came before.
    newer: u32,
    older: u32,
    /// Always true; a place for the mark of a free slot.
    #[expect(dead_code, reason = "only its niche is used")]
    used: bool,
}

impl Row {
    fn tuple(&self) -> Tuple {
        let [local, remote] = self.ports;
        Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint { addr: self.local, port: local },
            remote: Endpoint { addr: self.remote, port: remote },
        }
    }

    #[inline]
    fn is(&self, tuple: &Tuple) -> bool {
        self.ports == [tuple.local.port, tuple.remote.port]
            && self.remote == tuple.remote.addr
            && self.local == tuple.local.addr
    }
}

/// The rows with the key that their hashes need.
struct Keyed<'a>(&'a mut Slots<Row>, &'a HashKey);

impl Links for Keyed<'_> {
    fn next(&self, number: u32) -> u32 {
        self.0.value(number).map_or(NONE, |row| row.next)
    }

    fn set_next(&mut self, number: u32, next: u32) {
        if let Some(row) = self.0.value_mut(number) {
            row.next = next;
        }
    }

    fn hash(&self, number: u32) -> u32 {
        let row = self.0.value(number).expect("a chain runs through rows that are used");
        super::chained(self.1.hash_tuple(&row.tuple()))
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
        let mut number = self.chains.first(hash);
        while let Some(row) = self.rows.value(number) {
            if row.is(tuple) {
                return Some(RequestId(number));
            }
            number = row.next;
        }
        None
    }

    pub(super) fn open(&mut self, key: &HashKey, request: &Request) -> RequestId {
        let Request { tuple, listener, payload } = *request;
        let row = Row {
            local: tuple.local.addr,
            remote: tuple.remote.addr,
            ports: [tuple.local.port, tuple.remote.port],
            listener,
            payload,
            next: NONE,
            newer: NONE,
            older: self.newest.insert(listener, NONE).unwrap_or(NONE),
            used: true,
        };
        let older = row.older;
        let number = self.rows.insert(row);
        self.newest.insert(listener, number);
        if let Some(older) = self.rows.value_mut(older) {
            older.newer = number;
        }
        let hash = super::chained(key.hash_tuple(&tuple));
        self.chains.insert(&mut Keyed(&mut self.rows, key), number, hash);
        RequestId(number)
    }

    pub(super) fn request(&self, id: RequestId) -> Option<Request> {
        let row = self.rows.value(id.0)?;
        Some(Request { tuple: row.tuple(), listener: row.listener, payload: row.payload })
    }

    pub(super) fn payload_mut(&mut self, id: RequestId) -> Option<&mut RequestPayload> {
        self.rows.value_mut(id.0).map(|row| &mut row.payload)
    }

    pub(super) fn close(&mut self, key: &HashKey, id: RequestId) -> Option<Request> {
        let request = self.request(id)?;
        self.unlink(id);
        let hash = super::chained(key.hash_tuple(&request.tuple));
        self.chains.remove(&mut Keyed(&mut self.rows, key), id.0, hash);
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
        self.rows.iter_from(first).map(|(number, row)| {
            let request = Request { tuple: row.tuple(), listener: row.listener, payload: row.payload };
            (RequestId(number), request)
        })
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

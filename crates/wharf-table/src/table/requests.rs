//! The requests of a table: rows of 76 bytes in slots, on chains.

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
    max: u32,
}

impl Requests {
    pub(super) fn new(max: u32) -> Requests {
        Requests { rows: Slots::new(), chains: Chains::new(), max: max.min(LIMIT) }
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
            used: true,
        };
        let number = self.rows.insert(row);
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
        let hash = super::chained(key.hash_tuple(&request.tuple));
        self.chains.remove(&mut Keyed(&mut self.rows, key), id.0, hash);
        self.rows.remove(id.0);
        Some(request)
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
        // A row, and a head for every one and a half.
        assert!(size_of::<Option<Row>>() + 4 <= 96, "{}", size_of::<Option<Row>>());
    }
}

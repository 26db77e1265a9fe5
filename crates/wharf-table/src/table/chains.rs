//! Chains of rows that carry their own link: the index of requests and waiting rows.
//!
//! Linear hashing as in the index of the flows, with a link of four bytes in the row and a head of four bytes for every
//! two to three rows in place of a bucket. It costs less memory and a second line now and then, which suits rows that
//! are looked up once or twice in their life.

use super::linear::Linear;
use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::tuple::{Protocol, Tuple};

/// No row: the end of a chain.
pub(super) const NONE: u32 = u32::MAX;
const CHUNK_BITS: u32 = 12;
/// Rows of a chain, on average, above which there are more chains, and below which there are fewer.
const ROWS_MOST: usize = 3;
const ROWS_LEAST: usize = 2;
/// So many heads, 128 bytes, stay when the rows go: a few that come and go don't split and join chains each time.
const FEW: usize = 32;

/// What stands in every row on a chain: a tuple of TCP, and the next row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    local: Addr,
    remote: Addr,
    /// Local port 0 is no row.
    ports: [u16; 2],
    next: u32,
}

impl Link {
    /// What stands where a row was.
    pub(super) const EMPTY: Link =
        Link { local: Addr::ANY_V6, remote: Addr::ANY_V6, ports: [0; 2], next: NONE };

    pub(super) fn new(tuple: &Tuple) -> Link {
        let Tuple { local, remote, .. } = tuple;
        Link { local: local.addr, remote: remote.addr, ports: [local.port, remote.port], next: NONE }
    }

    pub(super) fn tuple(&self) -> Tuple {
        let [local, remote] = self.ports;
        Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint { addr: self.local, port: local },
            remote: Endpoint { addr: self.remote, port: remote },
        }
    }

    /// Whether no row is here.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.ports[0] == 0
    }

    #[inline]
    fn is(&self, tuple: &Tuple) -> bool {
        self.ports == [tuple.local.port, tuple.remote.port]
            && self.remote == tuple.remote.addr
            && self.local == tuple.local.addr
    }

    fn hash(&self, key: &HashKey) -> u32 {
        super::chained(key.hash_tuple(&self.tuple()))
    }
}

/// The rows that the chains run through, by number.
pub(super) trait Rows {
    /// What chains the row with this number; `None` when there is none.
    fn link(&self, number: u32) -> Option<&Link>;
    /// The same, to change it.
    fn link_mut(&mut self, number: u32) -> Option<&mut Link>;
}

/// The heads of the chains.
#[derive(Debug)]
pub(super) struct Chains {
    heads: Linear<u32, CHUNK_BITS>,
    len: usize,
}

impl Chains {
    pub(super) const fn new() -> Chains {
        Chains { heads: Linear::new(), len: 0 }
    }

    /// The number of the row with this tuple, which is TCP.
    #[inline]
    pub(super) fn find(&self, rows: &impl Rows, hash: u32, tuple: &Tuple) -> Option<u32> {
        let mut number = *self.heads.at(self.heads.place(hash))?;
        while let Some(link) = rows.link(number) {
            if link.is(tuple) {
                return Some(number);
            }
            number = link.next;
        }
        None
    }

    /// Puts the row with this number on the chain of its hash.
    pub(super) fn insert(&mut self, rows: &mut impl Rows, key: &HashKey, hash: u32, number: u32) {
        if self.heads.count() == 0 {
            self.heads.grow(NONE);
        }
        self.put(rows, hash, number);
        self.len += 1;
        if self.len > self.heads.count() * ROWS_MOST
            && let Some((_, chain)) = self.heads.grow(NONE)
        {
            self.scatter(rows, key, chain);
        }
    }

    /// Takes the row with this number off the chain of its hash. Nothing happens when it is on none.
    pub(super) fn remove(&mut self, rows: &mut impl Rows, key: &HashKey, hash: u32, number: u32) {
        let Some(&Link { next, .. }) = rows.link(number) else { return };
        let Some(head) = self.head(hash) else { return };
        let (mut before, mut row) = (NONE, *head);
        if row == number {
            *head = next;
        }
        while row != number {
            let Some(link) = rows.link(row) else { return };
            (before, row) = (row, link.next);
        }
        if let Some(link) = rows.link_mut(before) {
            link.next = next;
        }
        self.len -= 1;
        if self.heads.count() > FEW
            && self.len < self.heads.count() * ROWS_LEAST
            && let Some((_, chain)) = self.heads.shrink()
        {
            self.scatter(rows, key, chain);
        }
    }

    fn head(&mut self, hash: u32) -> Option<&mut u32> {
        self.heads.at_mut(self.heads.place(hash))
    }

    fn put(&mut self, rows: &mut impl Rows, hash: u32, number: u32) {
        let link = rows.link_mut(number).expect("a chain runs through rows that are used");
        let head = self.head(hash).expect("every hash has a chain");
        link.next = core::mem::replace(head, number);
    }

    /// Puts the rows of a chain where they belong now.
    fn scatter(&mut self, rows: &mut impl Rows, key: &HashKey, mut number: u32) {
        while let Some(link) = rows.link(number) {
            let (hash, next) = (link.hash(key), link.next);
            self.put(rows, hash, number);
            number = next;
        }
    }
}

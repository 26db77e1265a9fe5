//! Heads of chains for rows that carry their own link: the index of requests and waiting rows.
//!
//! Linear hashing as in the index of the flows, with a link of four bytes in the row and a head of four bytes for every
//! two to three rows in place of a bucket. It costs less memory and a second line now and then, which suits rows that
//! are looked up once or twice in their life.

use alloc::vec::Vec;

/// No row: the end of a chain.
pub(super) const NONE: u32 = u32::MAX;
const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;
/// Rows of a chain, on average, above which there are more chains, and below which there are fewer.
const ROWS_MOST: usize = 3;
const ROWS_LEAST: usize = 2;
/// So many heads, 128 bytes, stay when the rows go: a few that come and go don't split and join chains each time.
const FEW: usize = 32;

/// The rows that the chains run through.
pub(super) trait Links {
    /// The next row of the chain.
    fn next(&self, number: u32) -> u32;
    /// Makes `next` the next row.
    fn set_next(&mut self, number: u32, next: u32);
    /// The hash of the row.
    fn hash(&self, number: u32) -> u32;
}

#[derive(Debug)]
pub(super) struct Chains {
    heads: Vec<Vec<u32>>,
    split: usize,
    level: u32,
    len: usize,
}

impl Chains {
    pub(super) fn new() -> Chains {
        Chains { heads: Vec::new(), split: 0, level: 0, len: 0 }
    }

    fn count(&self) -> usize {
        (1 << self.level) + self.split
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        let hash = hash as usize;
        let within = hash & ((1 << self.level) - 1);
        if within < self.split { hash & ((2 << self.level) - 1) } else { within }
    }

    /// The first row of the chain of this hash, or [`NONE`].
    #[inline]
    pub(super) fn first(&self, hash: u32) -> u32 {
        let at = self.home(hash);
        self.heads.get(at >> CHUNK_BITS).and_then(|chunk| chunk.get(at % CHUNK)).copied().unwrap_or(NONE)
    }

    fn head(&mut self, at: usize) -> &mut u32 {
        &mut self.heads[at >> CHUNK_BITS][at % CHUNK]
    }

    pub(super) fn insert(&mut self, rows: &mut impl Links, number: u32, hash: u32) {
        if self.heads.is_empty() {
            self.push();
        }
        self.put(rows, number, hash);
        self.len += 1;
        if self.len > self.count() * ROWS_MOST {
            self.grow(rows);
        }
    }

    pub(super) fn remove(&mut self, rows: &mut impl Links, number: u32, hash: u32) {
        let at = self.home(hash);
        let (mut before, mut row) = (NONE, self.first(hash));
        while row != number {
            if row == NONE {
                return;
            }
            (before, row) = (row, rows.next(row));
        }
        let next = rows.next(number);
        if before == NONE {
            *self.head(at) = next
        } else {
            rows.set_next(before, next)
        }
        self.len -= 1;
        if self.count() > FEW && self.len < self.count() * ROWS_LEAST {
            self.shrink(rows);
            if self.count() == FEW {
                self.heads.iter_mut().for_each(|chunk| chunk.shrink_to(FEW));
            }
        }
    }

    fn put(&mut self, rows: &mut impl Links, number: u32, hash: u32) {
        let at = self.home(hash);
        let head = core::mem::replace(self.head(at), number);
        rows.set_next(number, head);
    }

    fn push(&mut self) {
        if self.heads.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            let room = if self.heads.is_empty() { 1 } else { CHUNK };
            self.heads.push(Vec::with_capacity(room));
        }
        self.heads.last_mut().expect("a chunk was just made sure of").push(NONE);
    }

    fn grow(&mut self, rows: &mut impl Links) {
        let old = self.split;
        let chain = core::mem::replace(self.head(old), NONE);
        self.push();
        self.split += 1;
        if self.split == 1 << self.level {
            (self.split, self.level) = (0, self.level + 1);
        }
        self.scatter(rows, chain);
    }

    fn shrink(&mut self, rows: &mut impl Links) {
        if self.split == 0 {
            (self.split, self.level) = (1 << (self.level - 1), self.level - 1);
        }
        self.split -= 1;
        let chunk = self.heads.last_mut().expect("there is more than one head");
        let chain = chunk.pop().expect("no chunk is empty");
        if chunk.is_empty() {
            self.heads.pop();
            if self.heads.capacity() > 4 * self.heads.len() {
                self.heads.shrink_to(2 * self.heads.len());
            }
        }
        self.scatter(rows, chain);
    }

    fn scatter(&mut self, rows: &mut impl Links, mut number: u32) {
        while number != NONE {
            let next = rows.next(number);
            self.put(rows, number, rows.hash(number));
            number = next;
        }
    }
}

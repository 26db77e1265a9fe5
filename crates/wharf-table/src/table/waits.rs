//! The waiting rows of a table: 60 bytes each, in a queue in the order of their expiry, on chains.
//!
//! Rows are numbered as they come and go in the same order, so the queue needs no links and no list of free places: a
//! row's place is its number less that of the first. A row that goes before its time leaves its place empty until the
//! queue gets there; one whose time was put off goes to the end when the queue gets there.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::chains::{Chains, Link, NONE, Rows};
use crate::hash::HashKey;
use crate::time::Instant;
use crate::tuple::Tuple;
use crate::waiting::{Waiting, WaitingId, WaitingPayload};

const CHUNK_BITS: u32 = 10;
const CHUNK: usize = 1 << CHUNK_BITS;
/// How many bits of a row's last word are marks; the others are milliseconds.
const MARK_BITS: u32 = 6;
const TIME_MASK: u32 = u32::MAX >> MARK_BITS;
/// The time was put off; the other marks are those of a flow, shifted by nothing.
const RENEWED: u8 = 1;

#[derive(Clone, Copy, Debug)]
struct Row {
    link: Link,
    payload: WaitingPayload,
    time_and_marks: u32,
}

impl Row {
    fn marks(&self) -> u8 {
        (self.time_and_marks & ((1 << MARK_BITS) - 1)) as u8
    }

    fn time(&self) -> u32 {
        self.time_and_marks >> MARK_BITS
    }

    fn set(&mut self, expires: u64, marks: u8) {
        self.time_and_marks = (expires as u32) << MARK_BITS | u32::from(marks);
    }
}

/// The rows by number.
#[derive(Debug)]
struct Queue {
    chunks: VecDeque<Vec<Row>>,
    /// The number of the first place of the first chunk.
    base: u32,
    /// How many places of the first chunk lie behind.
    gone: usize,
}

impl Queue {
    #[inline]
    fn row(&self, number: u32) -> Option<&Row> {
        let at = number.wrapping_sub(self.base) as usize;
        let row = self.chunks.get(at >> CHUNK_BITS)?.get(at % CHUNK)?;
        (!row.link.is_empty()).then_some(row)
    }

    fn row_mut(&mut self, number: u32) -> Option<&mut Row> {
        let at = number.wrapping_sub(self.base) as usize;
        let row = self.chunks.get_mut(at >> CHUNK_BITS)?.get_mut(at % CHUNK)?;
        (!row.link.is_empty()).then_some(row)
    }

    fn push(&mut self, row: Row) -> u32 {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            let room = if self.chunks.is_empty() { 1 } else { CHUNK };
            self.chunks.push_back(Vec::with_capacity(room));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.back_mut().expect("a chunk was just made sure of");
        chunk.push(row);
        self.base.wrapping_add((full + chunk.len() - 1) as u32)
    }

    /// The number of the first place that is not behind, and its row where it is not empty.
    fn front(&self) -> Option<(u32, Option<&Row>)> {
        let row = self.chunks.front()?.get(self.gone)?;
        Some((self.base.wrapping_add(self.gone as u32), (!row.link.is_empty()).then_some(row)))
    }

    fn pop(&mut self) {
        self.gone += 1;
        let Some(first) = self.chunks.front() else { return };
        if self.gone < first.len() {
            return;
        }
        let last = self.chunks.len() == 1;
        // Numbers stay in step with places: a last chunk that was not full ends here, and the next begins at its end.
        self.base = self.base.wrapping_add(self.gone as u32);
        self.gone = 0;
        self.chunks.pop_front();
        if last {
            self.chunks = VecDeque::new();
        } else if self.chunks.capacity() > 4 * self.chunks.len() + 8 {
            self.chunks.shrink_to(2 * self.chunks.len());
        }
    }
}

impl Rows for Queue {
    fn link(&self, number: u32) -> Option<&Link> {
        self.row(number).map(|row| &row.link)
    }

    fn link_mut(&mut self, number: u32) -> Option<&mut Link> {
        self.row_mut(number).map(|row| &mut row.link)
    }
}

#[derive(Debug)]
pub(super) struct Waits {
    queue: Queue,
    chains: Chains,
    count: u32,
    /// The latest time of any row, in milliseconds: what the kept bits of a time are counted back from.
    latest: u64,
}

impl Waits {
    pub(super) fn new() -> Waits {
        let queue = Queue { chunks: VecDeque::new(), base: 0, gone: 0 };
        Waits { queue, chains: Chains::new(), count: 0, latest: 0 }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The row with this tuple, which is TCP.
    #[inline]
    pub(super) fn find(&self, hash: u32, tuple: &Tuple) -> Option<WaitingId> {
        self.chains.find(&self.queue, hash, tuple).map(WaitingId)
    }

    /// Adds a row; `hash` is that of its tuple. `marks` are [`marks`](crate::flow::marks) without the lowest bit's meaning
    /// shifted up by one.
    pub(super) fn open(&mut self, key: &HashKey, hash: u32, waiting: &Waiting, marks: u8) -> WaitingId {
        let expires = self.note(waiting.expires);
        let Waiting { tuple, payload, .. } = *waiting;
        let mut row = Row { link: Link::new(&tuple), payload, time_and_marks: 0 };
        row.set(expires, marks << 1);
        self.append(key, hash, row)
    }

    fn append(&mut self, key: &HashKey, hash: u32, row: Row) -> WaitingId {
        let mut number = self.queue.push(row);
        if number == NONE {
            // The one number that ends a chain is left out.
            if let Some(row) = self.queue.row_mut(number) {
                row.link = Link::EMPTY;
            }
            number = self.queue.push(row);
        }
        self.chains.insert(&mut self.queue, key, hash, number);
        self.count += 1;
        WaitingId(number)
    }

    /// The time in milliseconds, rounded up.
    fn note(&mut self, expires: Instant) -> u64 {
        let expires = expires.micros().div_ceil(1000);
        self.latest = self.latest.max(expires);
        expires
    }

    pub(super) fn waiting(&self, id: WaitingId) -> Option<Waiting> {
        self.queue.row(id.0).map(|row| self.read(row))
    }

    fn read(&self, row: &Row) -> Waiting {
        Waiting { tuple: row.link.tuple(), payload: row.payload, expires: self.expires(row) }
    }

    fn expires(&self, row: &Row) -> Instant {
        let back = (self.latest as u32 & TIME_MASK).wrapping_sub(row.time()) & TIME_MASK;
        Instant::from_millis(self.latest - u64::from(back))
    }

    pub(super) fn after(&self, after: Option<WaitingId>) -> impl Iterator<Item = (WaitingId, Waiting)> {
        let places = self.queue.chunks.iter().map(Vec::len).sum::<usize>();
        // A row that has gone meanwhile stood before all that are left.
        let behind = after.map_or(0, |id| id.0.wrapping_sub(self.queue.base) as usize + 1);
        let first = if behind > places { 0 } else { behind };
        (first..places).filter_map(|at| {
            let number = self.queue.base.wrapping_add(at as u32);
            Some((WaitingId(number), self.read(self.queue.row(number)?)))
        })
    }

    pub(super) fn payload_mut(&mut self, id: WaitingId) -> Option<&mut WaitingPayload> {
        self.queue.row_mut(id.0).map(|row| &mut row.payload)
    }

    pub(super) fn renew(&mut self, id: WaitingId, expires: Instant) -> Option<()> {
        let expires = self.note(expires);
        let row = self.queue.row_mut(id.0)?;
        row.set(expires, row.marks() | RENEWED);
        Some(())
    }

    /// Takes a row out, with its marks.
    pub(super) fn close(&mut self, key: &HashKey, id: WaitingId) -> Option<(Waiting, u8)> {
        let row = *self.queue.row(id.0)?;
        let waiting = self.read(&row);
        let hash = super::chained(key.hash_tuple(&waiting.tuple));
        self.chains.remove(&mut self.queue, key, hash, id.0);
        self.queue.row_mut(id.0)?.link = Link::EMPTY;
        self.count -= 1;
        while let Some((_, None)) = self.queue.front() {
            self.queue.pop();
        }
        Some((waiting, row.marks() >> 1))
    }

    /// Takes the first row of the queue out when its time has come.
    pub(super) fn expire(&mut self, key: &HashKey, now: Instant) -> Option<(Waiting, u8)> {
        while let Some((number, row)) = self.queue.front() {
            let Some(row) = row else {
                self.queue.pop();
                continue;
            };
            if self.expires(row) <= now {
                return self.close(key, WaitingId(number));
            }
            if row.marks() & RENEWED == 0 {
                return None;
            }
            let mut row = *row;
            self.close(key, WaitingId(number));
            row.time_and_marks &= !u32::from(RENEWED);
            let hash = super::chained(key.hash_tuple(&row.link.tuple()));
            self.append(key, hash, row);
        }
        None
    }

    /// When the first row of the queue goes, or is put off.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let (_, row) = self.queue.front()?;
        row.map(|row| self.expires(row))
    }
}

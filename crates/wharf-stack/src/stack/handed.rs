//! Text that goes from its frames straight to where it is wanted, without a copy between.
//!
//! On a packet's way beside [`usual`](super::usual): of a batch of frames the large text in order of each connection is only
//! remembered. When the batch is over it is offered to the owner's [`TextSink`], all of a connection at once; what is not
//! taken there is copied into the receive buffer. So a batch costs one call of the owner for each connection that it has
//! text for, and a host's socket takes half a megabyte by one system call.
//!
//! Invariants: whatever may depend on text that is only remembered, which is each text that is not, and each frame that takes
//! the long way, finds it settled. What was counted as received is never lost: its memory was set aside before. Nothing is
//! offered of a connection that its owner has released.

use arrayvec::ArrayVec;
use wharf_table::Instant;
use wharf_wire::tcp::TcpRepr;

use super::{ConnId, Stack};
use crate::buffer::CHUNK;
use crate::tcp::{Connection, Context, Ecn, HANDED_MIN, KEPT_MAX};

/// Payloads that are remembered at most.
const PIECES_MAX: usize = 64;
/// Slices of one connection that are offered together at most: what was kept before, and the payloads.
const SLICES_MAX: usize = KEPT_MAX / CHUNK + 2 + PIECES_MAX;

/// Where the text of connections goes that need not be kept.
pub trait TextSink {
    /// Whether anything is ever taken.
    const TAKES: bool = true;

    /// Offers the next bytes of a connection, in order: says how many it took, from the first on. They are received and read
    /// then. What is left waits as [`Stack::received`], and [`Event::Progress`](super::Event::Progress) tells of it.
    fn text(&mut self, id: ConnId, slices: &[&[u8]]) -> usize;
}

/// Nothing is taken: all text waits to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepText;

impl TextSink for KeepText {
    const TAKES: bool = false;

    fn text(&mut self, _: ConnId, _: &[&[u8]]) -> usize {
        0
    }
}

/// Payloads of a batch that were counted as received and lie in their frames, by the number of their connection.
pub(super) struct Handed<'a> {
    pieces: ArrayVec<(u32, &'a [u8]), PIECES_MAX>,
}

impl<'a> Handed<'a> {
    #[inline]
    pub(super) fn new() -> Handed<'a> {
        Handed { pieces: ArrayVec::new() }
    }

    /// Takes the payloads of the connection that has waited longest out.
    fn take_first(&mut self) -> Option<(u32, ArrayVec<&'a [u8], PIECES_MAX>)> {
        let &(key, _) = self.pieces.first()?;
        let payloads = self.pieces.iter().filter(|piece| piece.0 == key).map(|piece| piece.1).collect();
        self.pieces.retain(|piece| piece.0 != key);
        Some((key, payloads))
    }
}

impl Stack {
    /// Remembers the text of an expected segment. `false` when it has to be taken otherwise: then what was remembered of its
    /// connection is settled.
    #[inline]
    pub(super) fn hand<'a, T: TextSink>(
        &mut self,
        now: Instant,
        key: u32,
        (segment, payload): (&TcpRepr, &'a [u8]),
        ecn: Ecn,
        (texts, handed): (&mut T, &mut Handed<'a>),
    ) -> bool {
        if handed.pieces.is_full() {
            self.settle_handed(now, texts, handed);
        }
        let Some(work) = self.connections.at_work(key) else { return false };
        let mut cx = Context { now, pool: &mut self.pool };
        let may = payload.len() >= HANDED_MIN && work.held && !work.unaccepted;
        let is_lent = may && work.conn.lend_segment(&mut cx, segment, payload, ecn);
        if is_lent {
            handed.pieces.push((key, payload));
        } else if work.conn.is_lending() || self.pool.is_exhausted() {
            // What others are lent may be taken in a moment, and make room.
            self.settle_handed(now, texts, handed);
        }
        is_lent
    }

    /// Offers everything that is remembered to `texts`, and keeps the rest.
    #[inline]
    pub(super) fn settle_handed<T: TextSink>(
        &mut self,
        now: Instant,
        texts: &mut T,
        handed: &mut Handed<'_>,
    ) {
        if T::TAKES && !handed.pieces.is_empty() {
            self.offer_handed(now, texts, handed);
        }
    }

    fn offer_handed<T: TextSink>(&mut self, now: Instant, texts: &mut T, handed: &mut Handed<'_>) {
        // What follows may close a flow that was found for the frame at hand.
        self.found = None;
        while let Some((key, payloads)) = handed.take_first() {
            let Some(work) = self.connections.at_work(key) else { continue };
            let taken = offer(&work.conn, ConnId::from_number(key), &payloads, texts);
            let mut cx = Context { now, pool: &mut self.pool };
            work.conn.settle_text(&mut cx, &payloads, taken);
            let seldom = self.agenda.enter(now, key, work, &self.config.role);
            self.on_settled(now, key, seldom);
        }
    }
}

/// Offers what was kept before, and `payloads` behind it; how many bytes were taken.
fn offer<T: TextSink>(conn: &Connection, id: ConnId, payloads: &[&[u8]], texts: &mut T) -> usize {
    let mut slices = ArrayVec::<&[u8], SLICES_MAX>::new();
    slices.extend(conn.receive_slices());
    slices.extend(payloads.iter().copied());
    let offered = slices.iter().map(|slice| slice.len()).sum();
    texts.text(id, &slices).min(offered)
}

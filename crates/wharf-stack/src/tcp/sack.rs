//! The sender's scoreboard: of what is on its way, when each part left, what has arrived, what is lost, what goes again
//! (RFC 2018; RFC 6675; RFC 8985).
//!
//! The sequence numbers between `snd_una` and `snd_nxt` lie in pieces, in order and without gaps. What left at the same time
//! and fared the same is one piece, so there are as many as there were moments at which something left, not as many as
//! segments. A piece is on its way, lost (to be sent again), or reported by SACK. What was lost and has been sent again is
//! on its way again, with the time at which it left last. Without SACK the board works the same: nothing is ever reported.
//!
//! A connection has a board only when the pieces would be two or more: a single one is told by `snd_una`, `snd_nxt` and the
//! time at which data last left.
//!
//! Invariants: `reported` and `lost` are the sums over the pieces; nothing below `unlost` is lost; nothing below `fresh` is
//! on its way for the first time; what is on its way again stands in `again`, in the order of its times.
//!
//! Cost: O(1) amortised for what leaves and for what is acknowledged in order; O(log n) and a move of what follows for a
//! report. Memory is bounded by the reports that are believed ([`PIECES_MAX`]) and by what is on its way in segments.

use alloc::collections::VecDeque;
use core::time::Duration;

use arrayvec::ArrayVec;
use wharf_table::Instant;
use wharf_wire::tcp::SackBlocks;

use super::rack::Rack;
use super::seq::{Range, SeqNum};

/// With as many pieces, reports are no longer believed, and what leaves joins what left before.
const PIECES_MAX: usize = 2_048;
/// Up to here the times are exact; beyond, what leaves within a thirty-second of a round trip is one piece.
const PIECES_EXACT: usize = 256;

/// How a piece has fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    OnItsWay,
    Lost,
    Reported,
}

/// Sequence numbers that left at the same time and fared the same, from the end of the piece before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) end: SeqNum,
    pub(super) fate: Fate,
    /// It left more than once.
    pub(super) again: bool,
    /// When it left last.
    pub(super) at: Instant,
}

impl Piece {
    fn is_like(&self, other: &Piece) -> bool {
        self.fate == other.fate
            && (self.fate == Fate::Reported || self.again == other.again && self.at == other.at)
    }
}

/// What was sent again and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    pub(super) range: Range,
    pub(super) at: Instant,
}

/// What an acknowledgment is measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    pub(super) now: Instant,
    /// The least round trip of late, in microseconds.
    pub(super) min_rtt: u32,
    /// What the peer echoes had left before this.
    pub(super) echo_until: Option<Instant>,
    /// Where the data ends that a time-out took for lost.
    pub(super) recover: SeqNum,
}

/// What one acknowledgment has brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    /// Bytes that have newly arrived.
    pub(super) bytes: u32,
    /// When the first and the last of what is acknowledged left, of what left once.
    pub(super) acked: Option<(Instant, Instant)>,
    /// The same for what is reported.
    pub(super) reported: Option<(Instant, Instant)>,
    /// Something that left more than once is acknowledged.
    pub(super) again_acked: bool,
    /// Something below `recover` has arrived that left only once (RFC 5682, section 3.1, step 3).
    pub(super) original: bool,
    /// Something that left once has arrived after what left later.
    pub(super) reordered: bool,
    /// How far before what left later, in bytes.
    pub(super) depth: u32,
}

/// What is known of the data on its way.
#[derive(Debug)]
pub(super) struct Scoreboard {
    pub(super) start: SeqNum,
    pub(super) pieces: VecDeque<Piece>,
    reported: u32,
    lost: u32,
    /// Bytes found lost since this was asked last.
    newly_lost: u32,
    unlost: SeqNum,
    pub(super) fresh: SeqNum,
    pub(super) again: VecDeque<Again>,
    pub(super) rack: Rack,
}

impl Scoreboard {
    /// `range` is on its way, and left at once.
    pub(super) fn new(range: Range, at: Instant) -> Scoreboard {
        let mut board = Scoreboard {
            start: range.left,
            pieces: VecDeque::new(),
            reported: 0,
            lost: 0,
            newly_lost: 0,
            unlost: range.left,
            fresh: range.left,
            again: VecDeque::new(),
            rack: Rack::new(range.left),
        };
        if !range.is_empty() {
            board.pieces.push_back(Piece { end: range.right, fate: Fate::OnItsWay, again: false, at });
        }
        board
    }

    /// Where the last piece ends.
    pub(super) fn end(&self) -> SeqNum {
        self.pieces.back().map_or(self.start, |piece| piece.end)
    }

    /// Data up to `end` leaves for the first time.
    pub(super) fn on_sent(&mut self, end: SeqNum, now: Instant, srtt: Duration) {
        let slack = self.slack(srtt);
        if let Some(last) = self.pieces.back_mut()
            && last.fate == Fate::OnItsWay
            && !last.again
            && now.since(last.at) <= slack
        {
            last.end = end;
            return;
        }
        self.pieces.push_back(Piece { end, fate: Fate::OnItsWay, again: false, at: now });
    }

    /// What leaves within this of what left before counts as having left with it.
    fn slack(&self, srtt: Duration) -> Duration {
        match self.pieces.len() {
            0..PIECES_EXACT => Duration::ZERO,
            PIECES_EXACT..PIECES_MAX => srtt / 32,
            _ => Duration::MAX,
        }
    }

    /// Everything before `ack` has arrived.
    pub(super) fn on_acked(&mut self, ack: SeqNum, hearing: &Hearing, delivered: &mut Delivered) {
        while let Some(&front) = self.pieces.front() {
            if !self.start.before(ack) {
                break;
            }
            let whole = !front.end.after(ack);
            let range = Range::new(self.start, front.end.earliest(ack));
            self.on_piece_acked(range, front, hearing, delivered);
            self.start = range.right;
            if whole {
                self.pieces.pop_front();
            }
        }
        self.start = self.start.latest(ack);
        self.unlost = self.unlost.latest(ack);
        self.fresh = self.fresh.latest(ack);
        while self.again.front().is_some_and(|again| !again.range.right.after(ack)) {
            self.again.pop_front();
        }
    }

    fn on_piece_acked(&mut self, range: Range, piece: Piece, hearing: &Hearing, delivered: &mut Delivered) {
        delivered.again_acked |= piece.again;
        if piece.fate == Fate::Reported {
            self.reported -= range.len();
            return;
        }
        if !piece.again {
            let first = delivered.acked.map_or(piece.at, |(first, _)| first);
            delivered.acked = Some((first, piece.at));
        }
        self.on_piece_arrived(range, piece, hearing, delivered);
    }

    /// A piece that was not known to have arrived has.
    fn on_piece_arrived(&mut self, range: Range, piece: Piece, hearing: &Hearing, delivered: &mut Delivered) {
        if piece.fate == Fate::Lost {
            self.lost -= range.len();
        }
        delivered.bytes += range.len();
        delivered.original |= !piece.again && !range.right.after(hearing.recover);
        if let Some(end) = self.rack.overtook(range.right, piece.again) {
            delivered.reordered = true;
            delivered.depth = delivered.depth.max(end.since(range.left));
        }
        self.rack.on_arrived(range.right, &piece, hearing);
    }

    /// Takes the blocks of an acknowledgment; how many bytes are new. Blocks at or below `snd_una` (DSACK, RFC 2883) or
    /// beyond `snd_nxt` say nothing here.
    pub(super) fn on_blocks(
        &mut self,
        blocks: &SackBlocks,
        hearing: &Hearing,
        delivered: &mut Delivered,
    ) -> u32 {
        // In order: what one acknowledgment reports has not overtaken itself.
        let mut ranges: ArrayVec<Range, { SackBlocks::MAX }> = blocks
            .as_slice()
            .iter()
            .map(|&(left, right)| Range::new(SeqNum::new(left), SeqNum::new(right)))
            .filter(|range| {
                range.left.after(self.start)
                    && range.left.before(self.end())
                    && !range.is_empty()
                    && !range.right.after(self.end())
            })
            .collect();
        ranges.sort_unstable_by_key(|range| range.left.since(self.start));
        let before = delivered.bytes;
        for range in ranges {
            if self.pieces.len() < PIECES_MAX {
                self.on_block(range, hearing, delivered);
            }
        }
        delivered.bytes - before
    }

    fn on_block(&mut self, range: Range, hearing: &Hearing, delivered: &mut Delivered) {
        let holder = self.index_of(range.left);
        let known = self.pieces.get(holder).copied().filter(|piece| piece.fate == Fate::Reported);
        let left = known.map_or(range.left, |piece| piece.end);
        if !left.before(range.right) {
            return;
        }
        let first = self.split_at(left);
        let last = self.split_at(range.right);
        let mut from = left;
        for index in first..last {
            let piece = self.pieces[index];
            let part = Range::new(from, piece.end);
            from = piece.end;
            if piece.fate == Fate::Reported {
                continue;
            }
            if !piece.again {
                let first = delivered.reported.map_or(piece.at, |(first, _)| first.min(piece.at));
                delivered.reported = Some((first, piece.at));
            }
            self.on_piece_arrived(part, piece, hearing, delivered);
            self.reported += part.len();
        }
        let again = self.pieces.range(first..last).any(|piece| piece.again);
        self.pieces[first] = Piece { end: range.right, fate: Fate::Reported, again, at: hearing.now };
        self.pieces.drain(first + 1..last);
        self.join_around(first);
    }

    /// The piece that holds `seq`, by its index.
    pub(super) fn index_of(&self, seq: SeqNum) -> usize {
        self.pieces.partition_point(|piece| !seq.before(piece.end))
    }

    /// Where a piece begins.
    pub(super) fn left_of(&self, index: usize) -> SeqNum {
        index.checked_sub(1).map_or(self.start, |before| self.pieces[before].end)
    }

    /// Lets a piece begin at `seq`; its index.
    pub(super) fn split_at(&mut self, seq: SeqNum) -> usize {
        let index = self.index_of(seq);
        if index >= self.pieces.len() || self.left_of(index) == seq {
            return index;
        }
        let first = Piece { end: seq, ..self.pieces[index] };
        self.pieces.insert(index, first);
        index + 1
    }

    /// Joins a piece with its neighbours when they are like it.
    fn join_around(&mut self, index: usize) {
        if index + 1 < self.pieces.len() && self.pieces[index].is_like(&self.pieces[index + 1]) {
            self.pieces[index + 1].again |= self.pieces[index].again;
            self.pieces.remove(index);
        }
        if index > 0 && self.pieces[index - 1].is_like(&self.pieces[index]) {
            self.pieces[index].again |= self.pieces[index - 1].again;
            self.pieces.remove(index - 1);
        }
    }

    /// The piece is lost, if it was on its way; how many bytes that are.
    pub(super) fn mark_lost(&mut self, index: usize) -> u32 {
        if self.pieces[index].fate != Fate::OnItsWay {
            return 0;
        }
        let left = self.left_of(index);
        let len = self.pieces[index].end.since(left);
        self.pieces[index].fate = Fate::Lost;
        self.lost += len;
        self.newly_lost = self.newly_lost.saturating_add(len);
        self.unlost = self.unlost.earliest(left);
        len
    }

    /// The first `len` bytes are lost, also when they were sent again before.
    pub(super) fn mark_head_lost(&mut self, len: u32) {
        let last = self.split_at(self.start + len);
        for index in 0..last {
            self.mark_lost(index);
        }
    }

    /// Everything on its way is lost, except what `spares`.
    pub(super) fn mark_all_lost(&mut self, mut spares: impl FnMut(&Piece) -> bool) {
        for index in 0..self.pieces.len() {
            if !spares(&self.pieces[index]) {
                self.mark_lost(index);
            }
        }
    }

    /// Nothing is lost after all: it is still on its way.
    pub(super) fn mark_none_lost(&mut self) {
        self.pieces.iter_mut().filter(|piece| piece.fate == Fate::Lost).for_each(|piece| {
            piece.fate = Fate::OnItsWay;
        });
        (self.lost, self.unlost, self.fresh) = (0, self.end(), self.start);
        self.again_from_pieces();
    }

    /// The peer may have thrown away what it had reported (RFC 2018, section 8): it is on its way like the rest.
    pub(super) fn forget_reports(&mut self) {
        self.pieces.iter_mut().filter(|piece| piece.fate == Fate::Reported).for_each(|piece| {
            piece.fate = Fate::OnItsWay;
        });
        (self.reported, self.fresh) = (0, self.start);
        self.again_from_pieces();
    }

    /// Puts what is on its way again in the order of its times.
    fn again_from_pieces(&mut self) {
        self.again.clear();
        let mut left = self.start;
        for piece in &self.pieces {
            if piece.again && piece.fate == Fate::OnItsWay {
                self.again.push_back(Again { range: Range::new(left, piece.end), at: piece.at });
            }
            left = piece.end;
        }
        self.again.make_contiguous().sort_by_key(|again| again.at);
    }

    /// Whether the peer has reported what it would have to acknowledge: it has thrown something away.
    pub(super) fn is_reneged(&self) -> bool {
        self.pieces.front().is_some_and(|piece| piece.fate == Fate::Reported)
    }

    /// Bytes that are lost and not on their way again.
    pub(super) const fn lost(&self) -> u32 {
        self.lost
    }

    /// Bytes found lost since this was asked last.
    pub(super) fn take_newly_lost(&mut self) -> u32 {
        core::mem::take(&mut self.newly_lost)
    }

    /// Bytes that the peer has reported.
    pub(super) const fn reported(&self) -> u32 {
        self.reported
    }

    /// Bytes on their way (RFC 6675, section 4): what was neither reported nor lost.
    pub(super) fn pipe(&self) -> u32 {
        self.end().since(self.start) - self.reported - self.lost
    }

    /// Bytes reported, lost and not resent, and resent.
    pub(super) fn census(&self) -> [u32; 3] {
        let again =
            self.again.iter().map(|again| again.range.right.since(again.range.left.latest(self.start)));
        let pipe = self.pipe();
        [self.reported, self.lost, again.fold(0, u32::saturating_add).min(pipe)]
    }

    /// When the oldest of what is not acknowledged left.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.pieces.front().map(|piece| piece.at)
    }

    /// The first part that is lost and did not go again (NextSeg of RFC 6675, section 4, rule 1).
    pub(super) fn next_lost(&mut self) -> Option<Range> {
        if self.lost == 0 {
            return None;
        }
        let from = self.index_of(self.unlost);
        let found = self.pieces.range(from..).position(|piece| piece.fate == Fate::Lost)? + from;
        self.unlost = self.left_of(found);
        Some(Range::new(self.unlost, self.pieces[found].end))
    }

    /// `range` is sent again.
    pub(super) fn on_resent(&mut self, range: Range, now: Instant, srtt: Duration) {
        let slack = self.slack(srtt);
        let first = self.split_at(range.left);
        let last = self.split_at(range.right);
        for index in first..last {
            if self.pieces[index].fate == Fate::Lost {
                self.lost -= self.pieces[index].end.since(self.left_of(index));
            }
        }
        if first >= last {
            return;
        }
        // What follows another part that has just left joins it.
        let joined = self
            .again
            .back_mut()
            .filter(|last| last.range.right == range.left && now.since(last.at) <= slack);
        let at = match joined {
            Some(last) => {
                last.range.right = range.right;
                last.at
            }
            None => {
                self.again.push_back(Again { range, at: now });
                now
            }
        };
        self.pieces[first] = Piece { end: range.right, fate: Fate::OnItsWay, again: true, at };
        self.pieces.drain(first + 1..last);
        self.join_around(first);
        if self.again.len() > 2 * PIECES_MAX.max(self.pieces.len()) {
            self.again_from_pieces();
        }
    }
}

#[cfg(test)]
mod tests;

//! Puts datagrams together again.
//!
//! Invariants: memory is bounded in bytes and in datagrams; where room is short, the sender that holds most gives its
//! oldest datagram up. A datagram in which fragments overlap is never delivered, over either family (RFC 5722, and as
//! Linux does for IPv4); what was received before, byte for byte, may come again (RFC 8200, section 4.5).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use wharf_table::{Addr, DropReason, Instant};
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::{Fragment, Ipv6Repr};

use super::{DATAGRAM_MAX, UNIT};

/// How long an IPv4 datagram waits for its missing fragments, as Linux has it (RFC 1122, section 3.3.2, says 60 to 120 s,
/// of another time).
const LIFETIME_V4: Duration = Duration::from_secs(30);
/// How long an IPv6 datagram waits (RFC 8200, section 4.5).
const LIFETIME_V6: Duration = Duration::from_secs(60);
/// Bytes that all datagrams together may hold; Linux' default is the same 4 MiB.
const BYTES_MAX: usize = 4 << 20;
/// Datagrams that may wait at a time.
const DATAGRAMS_MAX: usize = 256;
/// What a datagram costs beside its bytes.
const OVERHEAD: usize = 256;
/// Bytes of a first fragment that are kept for the ICMP error: more than either family quotes.
const QUOTE_MAX: usize = 1_280;

/// A datagram that was put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    protocol: u8,
    ecn: u8,
    payload: Vec<u8>,
}

impl Whole {
    /// What the payload starts with: the protocol, for IPv6 as the first fragment names it.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The two ECN bits of the datagram, put together from those of its fragments (RFC 3168, section 5.3).
    pub fn ecn(&self) -> u8 {
        self.ecn
    }

    /// The bytes behind the IP header, for IPv6 behind the Fragment header.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// A datagram that never became whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Who sent it.
    pub src: Addr,
    /// To whom.
    pub dst: Addr,
    /// Its first fragment from the IP header on, as far as an error quotes it. `None` when it never came: then no error is
    /// sent (RFC 792; RFC 8200, section 4.5).
    pub quote: Option<Vec<u8>>,
}

/// What tells the fragments of one datagram from those of others (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    src: Addr,
    dst: Addr,
    identification: u32,
    /// 0 for IPv6, where the protocol tells nothing.
    protocol: u8,
}

/// A fragment of either family.
struct Piece<'a> {
    key: Key,
    protocol: u8,
    offset: usize,
    more: bool,
    ecn: u8,
    /// The packet up to the payload.
    header: &'a [u8],
    payload: &'a [u8],
    /// The most bytes that the datagram can have behind its headers.
    most: usize,
}

/// A datagram of which something is missing.
struct Partial {
    key: Key,
    deadline: Instant,
    /// Its fragments contradicted each other: what comes later is dropped too.
    spoilt: bool,
    protocol: u8,
    /// Which ECN code points were seen, one bit each.
    ecn_seen: u8,
    /// The packet up to the payload, of the first fragment.
    first: Vec<u8>,
    first_len: usize,
    /// How long it is, once its last fragment has come.
    total: Option<usize>,
    bytes: Vec<u8>,
    /// What of `bytes` has been received: disjoint, apart from each other, in order.
    received: Vec<(u32, u32)>,
}

/// Puts datagrams together again. See the [module](self).
#[derive(Default)]
pub struct Reassembler {
    /// The oldest first. So few that a search beats an index.
    partials: Vec<Partial>,
    bytes: usize,
    bytes_of: BTreeMap<Addr, usize>,
    /// No deadline is earlier.
    next: Option<Instant>,
}

impl Reassembler {
    /// One that holds nothing.
    pub fn new() -> Reassembler {
        Reassembler::default()
    }

    /// Bytes that are held now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many datagrams wait for fragments.
    pub fn len(&self) -> usize {
        self.partials.len()
    }

    /// Whether no datagram waits.
    pub fn is_empty(&self) -> bool {
        self.partials.is_empty()
    }

    /// Takes an IPv4 fragment; `header` is its IP header with options. Gives the datagram back when it is whole.
    ///
    /// # Errors
    /// [`DropReason::FragmentInvalid`], [`DropReason::Duplicate`] or [`DropReason::FragmentNoRoom`].
    pub fn handle_v4(
        &mut self,
        now: Instant,
        ip: &Ipv4Repr,
        header: &[u8],
        payload: &[u8],
    ) -> Result<Option<Whole>, DropReason> {
        let key = Key {
            src: ip.src,
            dst: ip.dst,
            identification: u32::from(ip.identification),
            protocol: ip.protocol,
        };
        let piece = Piece {
            key,
            protocol: ip.protocol,
            offset: usize::from(ip.fragment_offset),
            more: ip.more_fragments,
            ecn: ip.dscp_ecn & 3,
            header,
            payload,
            most: DATAGRAM_MAX.saturating_sub(header.len()),
        };
        self.handle(now, &piece)
    }

    /// Takes an IPv6 fragment; `packet` is the whole packet from its IPv6 header on. An atomic fragment is whole by itself
    /// and touches no other (RFC 6946).
    ///
    /// # Errors
    /// As [`Reassembler::handle_v4`].
    pub fn handle_v6(
        &mut self,
        now: Instant,
        ip: &Ipv6Repr,
        fragment: &Fragment,
        packet: &[u8],
        payload: &[u8],
    ) -> Result<Option<Whole>, DropReason> {
        let piece = Piece {
            key: Key { src: ip.src, dst: ip.dst, identification: fragment.identification, protocol: 0 },
            protocol: fragment.next_header,
            offset: usize::from(fragment.offset),
            more: fragment.more,
            ecn: ip.traffic_class & 3,
            header: &packet[..packet.len().saturating_sub(payload.len())],
            payload,
            most: DATAGRAM_MAX.saturating_sub(fragment.unfragmentable_len),
        };
        self.handle(now, &piece)
    }

    /// When [`Reassembler::handle_timeout`] has to be called: never later than the first deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Gives up every datagram whose time has run out, the oldest first.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Expired> {
        let mut expired = Vec::new();
        if self.next.is_none_or(|next| now < next) {
            return expired;
        }
        while let Some(at) = self.partials.iter().position(|partial| partial.deadline <= now) {
            let partial = self.remove(at);
            if !partial.spoilt {
                expired.push(partial.expired());
            }
        }
        self.next = self.partials.iter().map(|partial| partial.deadline).min();
        expired
    }

    fn handle(&mut self, now: Instant, piece: &Piece<'_>) -> Result<Option<Whole>, DropReason> {
        piece.check()?;
        if piece.offset == 0 && !piece.more {
            return Ok(Some(Whole {
                protocol: piece.protocol,
                ecn: piece.ecn,
                payload: piece.payload.to_vec(),
            }));
        }
        let known = self.partials.iter().rposition(|partial| partial.key == piece.key);
        // What has expired and was not collected yet is another datagram.
        let known = known.filter(|&at| now < self.partials[at].deadline);
        let at = match known {
            Some(at) => at,
            None => self.begin(now, piece.key)?,
        };
        let at = self.make_room(at, piece.offset + piece.payload.len())?;
        let partial = &mut self.partials[at];
        if partial.spoilt {
            return Err(DropReason::FragmentInvalid);
        }
        let result = partial.take(piece);
        match result {
            Ok(()) if self.partials[at].is_whole() => self.remove(at).into_whole().map(Some),
            Ok(()) => Ok(None),
            Err(DropReason::FragmentInvalid) => {
                self.spoil(at);
                Err(DropReason::FragmentInvalid)
            }
            Err(reason) => Err(reason),
        }
    }

    /// Begins a datagram and says where it stands.
    fn begin(&mut self, now: Instant, key: Key) -> Result<usize, DropReason> {
        while self.partials.len() >= DATAGRAMS_MAX || self.bytes + OVERHEAD > BYTES_MAX {
            let victim = self.victim().ok_or(DropReason::FragmentNoRoom)?;
            self.remove(victim);
        }
        let deadline = now + if key.src.is_v4() { LIFETIME_V4 } else { LIFETIME_V6 };
        self.next = Some(self.next.map_or(deadline, |next| next.min(deadline)));
        self.partials.push(Partial::new(key, deadline));
        self.charge(key.src, OVERHEAD);
        Ok(self.partials.len() - 1)
    }

    /// Lets the datagram at `at` hold `len` bytes, and says where it stands then.
    fn make_room(&mut self, mut at: usize, len: usize) -> Result<usize, DropReason> {
        let partial = &self.partials[at];
        let had = partial.bytes.capacity();
        if partial.spoilt || len <= had {
            return Ok(at);
        }
        let capacity = len.max((2 * had).min(DATAGRAM_MAX));
        while self.bytes + (capacity - had) > BYTES_MAX {
            let victim = self.victim().ok_or(DropReason::FragmentNoRoom)?;
            self.remove(victim);
            if victim == at {
                return Err(DropReason::FragmentNoRoom);
            }
            at -= usize::from(victim < at);
        }
        let partial = &mut self.partials[at];
        partial.bytes.reserve_exact(capacity - partial.bytes.len());
        let (src, grown) = (partial.key.src, partial.bytes.capacity() - had);
        self.charge(src, grown);
        Ok(at)
    }

    /// The oldest datagram of the sender that holds most.
    fn victim(&self) -> Option<usize> {
        let (&sender, _) = self.bytes_of.iter().max_by_key(|&(_, &bytes)| bytes)?;
        self.partials.iter().position(|partial| partial.key.src == sender)
    }

    fn charge(&mut self, sender: Addr, bytes: usize) {
        self.bytes += bytes;
        *self.bytes_of.entry(sender).or_default() += bytes;
    }

    fn refund(&mut self, sender: Addr, bytes: usize) {
        self.bytes -= bytes;
        if let Some(held) = self.bytes_of.get_mut(&sender) {
            *held -= bytes;
            if *held == 0 {
                self.bytes_of.remove(&sender);
            }
        }
    }

    fn remove(&mut self, at: usize) -> Partial {
        let partial = self.partials.remove(at);
        self.refund(partial.key.src, OVERHEAD + partial.bytes.capacity());
        partial
    }

    /// Drops what a datagram holds and remembers that it is no good, until its time has run out.
    fn spoil(&mut self, at: usize) {
        let partial = &mut self.partials[at];
        partial.spoilt = true;
        partial.received = Vec::new();
        partial.first = Vec::new();
        let (src, freed) = (partial.key.src, core::mem::take(&mut partial.bytes).capacity());
        self.refund(src, freed);
    }
}

impl Piece<'_> {
    /// What can be told of a fragment without its siblings.
    fn check(&self) -> Result<(), DropReason> {
        let end = self.offset + self.payload.len();
        // A piece that is followed by others is a multiple of 8 bytes (RFC 8200, section 4.5), and none is empty.
        if self.payload.is_empty() || end > self.most || self.more && !self.payload.len().is_multiple_of(UNIT)
        {
            return Err(DropReason::FragmentInvalid);
        }
        Ok(())
    }
}

impl Partial {
    fn new(key: Key, deadline: Instant) -> Partial {
        Partial {
            key,
            deadline,
            spoilt: false,
            protocol: key.protocol,
            ecn_seen: 0,
            first: Vec::new(),
            first_len: 0,
            total: None,
            bytes: Vec::new(),
            received: Vec::new(),
        }
    }

    /// Adds a fragment.
    fn take(&mut self, piece: &Piece<'_>) -> Result<(), DropReason> {
        let (start, end) = (piece.offset, piece.offset + piece.payload.len());
        let beyond = self.total.is_some_and(|total| end > total || !piece.more && end != total);
        if beyond || !piece.more && end < self.bytes.len() {
            return Err(DropReason::FragmentInvalid);
        }
        // Ranges that end before `start` come first; the next one may hold or touch the fragment.
        let at = self.received.partition_point(|&(_, until)| (until as usize) < start);
        if let Some(&(from, until)) = self.received.get(at) {
            let (from, until) = (from as usize, until as usize);
            if from <= start && end <= until {
                let same = self.bytes[start..end] == *piece.payload;
                return Err(if same { DropReason::Duplicate } else { DropReason::FragmentInvalid });
            }
            let overlaps_next = self.received.get(at + 1).is_some_and(|&(from, _)| (from as usize) < end);
            if from < end && start < until || overlaps_next {
                return Err(DropReason::FragmentInvalid);
            }
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(piece.payload);
        self.mark(at, start as u32, end as u32);
        self.ecn_seen |= 1 << piece.ecn;
        if !piece.more {
            self.total = Some(end);
        }
        if start == 0 {
            self.protocol = piece.protocol;
            self.first = piece.header.to_vec();
            self.first_len = piece.payload.len();
        }
        Ok(())
    }

    /// Notes that `start..end` has been received, joined with its neighbours; `at` is the first range that reaches `start`.
    fn mark(&mut self, at: usize, start: u32, end: u32) {
        let joins_before = self.received.get(at).is_some_and(|&(_, until)| until == start);
        let after = at + usize::from(joins_before);
        let joins_after = self.received.get(after).is_some_and(|&(from, _)| from == end);
        match (joins_before, joins_after) {
            (true, true) => {
                self.received[at].1 = self.received[after].1;
                self.received.remove(after);
            }
            (true, false) => self.received[at].1 = end,
            (false, true) => self.received[after].0 = start,
            (false, false) => self.received.insert(at, (start, end)),
        }
    }

    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| self.received == [(0, total as u32)])
    }

    fn into_whole(self) -> Result<Whole, DropReason> {
        let ecn = joined_ecn(self.ecn_seen).ok_or(DropReason::FragmentInvalid)?;
        Ok(Whole { protocol: self.protocol, ecn, payload: self.bytes })
    }

    fn expired(mut self) -> Expired {
        let (src, dst) = (self.key.src, self.key.dst);
        let quote = (self.first_len > 0).then(|| {
            self.first.extend_from_slice(&self.bytes[..self.first_len.min(QUOTE_MAX)]);
            self.first
        });
        Expired { src, dst, quote }
    }
}

/// The ECN bits of a datagram whose fragments had the code points `seen`, one bit each: marked when one was; `None` when
/// some were capable and others not, since then the marks mean nothing (RFC 3168, section 5.3, and as Linux does).
fn joined_ecn(seen: u8) -> Option<u8> {
    const NOT_ECT: u8 = 1 << 0b00;
    const ECT_1: u8 = 1 << 0b01;
    const CE: u8 = 1 << 0b11;
    match seen {
        NOT_ECT => Some(0b00),
        _ if seen & NOT_ECT != 0 => None,
        _ if seen & CE != 0 => Some(0b11),
        ECT_1 => Some(0b01),
        _ => Some(0b10),
    }
}

#[cfg(test)]
mod tests;

//! A bad link: delay, jitter, loss, reordering, duplication, corruption and a rate, around any other.
//!
//! One [`ImpairedLink`] stands in the way of the frames of one direction, in the laboratory (virtual time) as in a run
//! (`wharf run --link`). Frames go in with `push` and come out of `poll` when they are due.
//!
//! Invariants: the same seed and the same calls give the same faults; only reordering puts a frame behind a later one
//! (jitter never does); memory is bounded by [`IN_FLIGHT_MAX`] and the queue's limit. Frames are of wire size: who has
//! offloads turns them off in front of a bad link, since one fault would hit forty segments at once.
//!
//! Deliberately not here: bursts of loss, and slots as radio links have them.

mod impairment;

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use wharf_table::{DropReason, Instant};
use wharf_wire::ethernet::HEADER_LEN;

use crate::random::Random;

pub use impairment::{Impairment, ImpairmentError, Share};

/// Bytes that may be on their way at a time; what comes beyond is lost, as in any router.
pub const IN_FLIGHT_MAX: usize = 64 << 20;
/// By how much a reordered frame is late at least, so that others overtake it on a link without delay.
const LATE_MIN: Duration = Duration::from_millis(1);

/// What is wrong with the link, for one direction. `F` is the caller's frame.
#[derive(Debug)]
pub struct ImpairedLink<F> {
    impairment: Impairment,
    random: Random,
    /// Frames on their way by the time they are due, then by the order in which they came.
    flying: BTreeMap<(Instant, u64), F>,
    bytes: usize,
    count: u64,
    /// When each frame that waits for the rate has been put on the wire.
    sent_at: VecDeque<Instant>,
    /// The last frame that kept its place is due then.
    last_due: Instant,
}

impl<F: AsMut<[u8]> + Clone> ImpairedLink<F> {
    /// A link without frames, whose faults follow from `seed`.
    pub fn new(impairment: Impairment, seed: u64) -> ImpairedLink<F> {
        ImpairedLink {
            impairment,
            random: Random::new(seed),
            flying: BTreeMap::new(),
            bytes: 0,
            count: 0,
            sent_at: VecDeque::new(),
            last_due: Instant::ZERO,
        }
    }

    /// What is wrong with it.
    pub fn impairment(&self) -> &Impairment {
        &self.impairment
    }

    /// Changes what is wrong with it, for frames that come from now on.
    pub fn set_impairment(&mut self, impairment: Impairment) {
        self.impairment = impairment;
    }

    /// How many frames are on their way.
    pub fn len(&self) -> usize {
        self.flying.len()
    }

    /// Whether no frame is on its way.
    pub fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    /// Takes one frame of wire size.
    ///
    /// # Errors
    /// [`DropReason::LinkLoss`] when the link loses it on purpose, [`DropReason::LinkFull`] when the queue before the rate
    /// is full.
    pub fn push(&mut self, now: Instant, mut frame: F) -> Result<(), DropReason> {
        if self.strikes(self.impairment.loss) {
            return Err(DropReason::LinkLoss);
        }
        if self.strikes(self.impairment.corrupt) {
            self.corrupt(&mut frame)?;
        }
        let copy = self.strikes(self.impairment.duplicate).then(|| frame.clone());
        self.launch(now, frame)?;
        // A copy that finds no room is no loss.
        copy.map_or(Ok(()), |copy| self.launch(now, copy).or(Ok(())))
    }

    /// The next frame that is due at `now`.
    pub fn poll(&mut self, now: Instant) -> Option<F> {
        if self.poll_timeout()? > now {
            return None;
        }
        let (_, mut frame) = self.flying.pop_first()?;
        self.bytes -= frame.as_mut().len();
        Some(frame)
    }

    /// When [`ImpairedLink::poll`] has the next frame.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|(&(due, _), _)| due)
    }

    fn strikes(&mut self, share: Share) -> bool {
        share != Share::NONE && share.holds(&mut self.random)
    }

    /// Flips one bit of an IP packet, which its checksums notice. What has none, ARP and the Ethernet header, is guarded by the
    /// FCS on a real link: a frame that fails it is lost. A flipped bit in an ARP message would mislead a host for minutes.
    fn corrupt(&mut self, frame: &mut F) -> Result<(), DropReason> {
        let bytes = frame.as_mut();
        let is_ip = matches!(bytes.get(12..HEADER_LEN), Some([0x08, 0x00] | [0x86, 0xdd]));
        let packet = bytes.get_mut(HEADER_LEN..).filter(|packet| is_ip && !packet.is_empty());
        let packet = packet.ok_or(DropReason::LinkLoss)?;
        let at = self.random.below(packet.len() as u64) as usize;
        packet[at] ^= 1 << self.random.below(8);
        Ok(())
    }

    fn launch(&mut self, now: Instant, mut frame: F) -> Result<(), DropReason> {
        let len = frame.as_mut().len();
        if self.bytes + len > IN_FLIGHT_MAX {
            return Err(DropReason::LinkFull);
        }
        let sent = self.put_on_the_wire(now, len)?;
        if self.impairment.mark.is_some_and(|mark| self.sent_at.len() > mark) {
            mark(frame.as_mut());
        }
        let due = self.arrival(sent);
        self.flying.insert((due, self.count), frame);
        self.bytes += len;
        self.count += 1;
        Ok(())
    }

    /// When the last bit of a frame has left, at the link's rate and behind those that wait.
    fn put_on_the_wire(&mut self, now: Instant, len: usize) -> Result<Instant, DropReason> {
        let Some(rate) = self.impairment.rate else { return Ok(now) };
        while self.sent_at.front().is_some_and(|&sent| sent <= now) {
            self.sent_at.pop_front();
        }
        // The frame that is just being sent waits no longer.
        if self.sent_at.len() > self.impairment.queue {
            return Err(DropReason::LinkFull);
        }
        let start = self.sent_at.back().copied().unwrap_or(now);
        let nanos = len as u128 * 8 * 1_000_000_000 / u128::from(rate.get());
        let sent = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).max(TICK);
        self.sent_at.push_back(sent);
        Ok(sent)
    }

    fn arrival(&mut self, sent: Instant) -> Instant {
        let Impairment { delay, jitter, reorder, .. } = self.impairment;
        let earliest = sent + delay.saturating_sub(jitter);
        let spread = (delay + jitter).saturating_sub(delay.saturating_sub(jitter));
        let spread = u64::try_from(spread.as_micros()).unwrap_or(u64::MAX);
        let due = earliest + Duration::from_micros(self.random.below(spread.saturating_add(1)));
        if self.strikes(reorder) {
            return due.max(self.last_due) + (delay / 2).max(LATE_MIN);
        }
        self.last_due = self.last_due.max(due);
        self.last_due
    }
}

/// Marks the packet of an Ethernet frame if its sender does ECN: ECT becomes CE (RFC 3168, section 5).
fn mark(frame: &mut [u8]) {
    let Some((ethernet, packet)) = frame.split_at_mut_checked(HEADER_LEN) else { return };
    match ethernet {
        [.., 0x08, 0x00] => {
            let Some(header) = packet.first_chunk_mut::<20>() else { return };
            if header[1] & 3 != 0 && header[1] & 3 != 3 {
                let before = u16::from_be_bytes([header[0], header[1]]);
                header[1] |= 3;
                let after = u16::from_be_bytes([header[0], header[1]]);
                // RFC 1624, equation 3.
                let sum = u32::from(!u16::from_be_bytes([header[10], header[11]]))
                    + u32::from(!before)
                    + u32::from(after);
                let sum = (sum & 0xffff) + (sum >> 16);
                let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
                header[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
        }
        [.., 0x86, 0xdd] => {
            // The traffic class lies across the first two bytes.
            if let [_, second, ..] = packet
                && *second >> 4 & 3 != 0
            {
                *second |= 3 << 4;
            }
        }
        _ => {}
    }
}

/// The resolution of an [`Instant`].
const TICK: Duration = Duration::from_micros(1);

#[cfg(test)]
mod tests;

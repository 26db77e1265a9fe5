//! What a host sends to itself: packets to 127.0.0.0/8, `::1` and its own addresses (RFC 1122, section 3.2.1.3).
//!
//! They never see the link. A packet waits here until [`Stack::handle_looped`] hands it to the way in, and so does a
//! connection that has segments for the host itself. The owner asks after each command and each input.
//!
//! Invariant: nothing that came from the link is ever looped, and what is looped may carry addresses that no packet of
//! the link may.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use wharf_table::{Addr, DropReason, Instant};

use super::ingress::Origin;
use super::{DatagramSink, Role, Stack};
use crate::egress::NextHop;
use crate::interface::{ChecksumIn, FrameIn, FrameSink, OffloadOut};

/// The largest packet of the loopback, in bytes: what the length field of IPv4 can say.
pub(super) const LOOPBACK_MTU: u16 = u16::MAX;
/// Bytes that may wait at a time.
const WAITING_MAX: usize = 4 << 20;

/// What waits to be looped.
#[derive(Debug, Default)]
pub(super) struct Looped {
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Looped {
    fn push(&mut self, packet: Vec<u8>) -> Result<(), DropReason> {
        if self.bytes + packet.len() > WAITING_MAX {
            return Err(DropReason::LinkFull);
        }
        self.bytes += packet.len();
        self.packets.push_back(packet);
        Ok(())
    }
}

/// Whether packets to `addr` stay inside.
pub(super) fn is_looped(role: &Role, addr: Addr) -> bool {
    matches!(role, Role::Host(_)) && (addr.is_loopback() || role.owns(addr))
}

/// The loopback as a device: it takes segments while there is room.
struct Device<'a>(&'a mut Looped);

impl FrameSink for Device<'_> {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        let mut packet =
            Vec::with_capacity(head.len() + payload.iter().map(|slice| slice.len()).sum::<usize>());
        packet.extend_from_slice(head);
        payload.iter().for_each(|slice| packet.extend_from_slice(slice));
        self.0.push(packet)
    }

    fn is_ready(&self) -> bool {
        self.0.bytes + usize::from(LOOPBACK_MTU) <= WAITING_MAX
    }
}

impl Stack {
    /// Whether packets to `addr` stay inside: a host's own addresses, and the loopback's.
    pub fn is_looped(&self, addr: Addr) -> bool {
        is_looped(&self.config.role, addr)
    }

    /// Whether something waits that the host has sent to itself.
    pub fn has_looped(&self) -> bool {
        !self.looped.packets.is_empty() || !self.agenda.looped.is_empty()
    }

    /// Takes in what the host has sent to itself, and what that brings about, until nothing is left. The cost is that of
    /// the packets.
    pub fn handle_looped<D: DatagramSink>(&mut self, now: Instant, datagrams: &mut D) {
        loop {
            if let Some(packet) = self.looped.packets.pop_front() {
                self.looped.bytes -= packet.len();
                let frame = FrameIn { bytes: &packet, checksum: ChecksumIn::Trusted, gso_size: 0 };
                if let Err(reason) = self.handle_packet(now, &frame, Origin::Loopback, datagrams) {
                    self.drops.count(reason);
                }
            } else if let Some(key) = self.agenda.looped.pop_front() {
                let mut looped = core::mem::take(&mut self.looped);
                self.send_segments(now, key, &mut Device(&mut looped));
                let queued = core::mem::replace(&mut self.looped, looped);
                for packet in queued.packets {
                    self.reply_to(NextHop::Loopback, packet);
                }
            } else {
                break;
            }
        }
    }

    /// Puts a whole packet of our own on its way.
    pub(super) fn reply_to(&mut self, to: NextHop, frame: Vec<u8>) {
        if to != NextHop::Loopback {
            self.reply(frame);
        } else if let Err(reason) = self.looped.push(frame) {
            self.drops.count(reason);
        }
    }
}

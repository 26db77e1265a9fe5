//! A batch of frames: where the connections of all its segments stand is found out at once, before the first is taken.
//!
//! With a million connections nearly all of a segment's cost is waiting for memory: for the line of the index, the row, the
//! place of the connection and the connection itself. Each names the next, so for one segment they are four waits; for a
//! batch all lines are asked for together, then all rows, and so on.
//!
//! Invariant: what is found here is a guess. Frames are taken in order, and an earlier one of the batch may have opened or
//! closed what a later one is for; so a flow is used only when its row still has the segment's tuple, and all else is
//! looked up again.

use arrayvec::ArrayVec;
use wharf_table::flow::FlowId;
use wharf_table::table::Found;
use wharf_table::trace::Silent;
use wharf_table::{Addr, Endpoint, Protocol, Tuple};

use super::{Medium, Stack};
use crate::interface::FrameIn;
use crate::ip::protocol;

/// As many frames as are looked at together.
pub(super) const BATCH: usize = 64;

/// Connections that need no looking ahead: what they and their rows take fits into a second-level cache.
const FEW: usize = 512;

/// The flows that the frames of a batch are likely for.
pub(super) type Ahead = [Option<FlowId>; BATCH];

const ETHERNET: usize = 14;
const ETHERTYPE_V4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_V6: [u8; 2] = [0x86, 0xdd];

impl Stack {
    /// Whether so little is kept that it is in the cache anyway.
    pub(super) fn is_small(&self) -> bool {
        self.held_count() < FEW
    }

    /// Looks up the tuples of a batch, and brings what they lead to into the cache.
    pub(super) fn look_ahead(&self, frames: &[FrameIn<'_>]) -> Ahead {
        let mut ahead = [None; BATCH];
        let mut tuples = ArrayVec::<Tuple, BATCH>::new();
        let mut places = ArrayVec::<usize, BATCH>::new();
        for (place, frame) in frames.iter().enumerate().take(BATCH) {
            // Of a train only the first frame is looked up.
            if let Some(tuple) = peek(self.config.medium, frame.bytes)
                && tuples.last() != Some(&tuple)
            {
                tuples.push(tuple);
                places.push(place);
            }
        }
        if tuples.len() < 2 {
            return ahead;
        }
        let mut found = [Found::Nothing; BATCH];
        self.table.find_batch(&tuples, &mut found);
        let mut touched = 0;
        for (&place, found) in places.iter().zip(&found) {
            if let &Found::Flow(flow) = found {
                ahead[place] = Some(flow);
                touched ^= self.connections.touch_place(self.connection_of(flow));
            }
        }
        for flow in ahead.iter().flatten() {
            touched ^= self.connections.touch(self.connection_of(*flow));
        }
        core::hint::black_box(touched);
        ahead
    }

    /// Whose segment it is: what was found already, or the guess of the batch where it is right.
    #[inline]
    pub(super) fn find_segment(&mut self, tuple: &Tuple) -> Found {
        if let Some(found) = self.found.take() {
            return found;
        }
        if let Some(flow) = self.expected
            && self.table.flow(flow).is_some_and(|row| row.tuple() == tuple)
        {
            return Found::Flow(flow);
        }
        let found = self.table.find(tuple, &mut Silent);
        if let Found::Flow(flow) = found {
            self.expected = Some(flow);
        }
        found
    }
}

/// The tuple of a frame, if it is a plain TCP segment. Nothing is verified: whoever takes the frame does.
fn peek(medium: Medium, bytes: &[u8]) -> Option<Tuple> {
    let packet = match medium {
        Medium::Ip => bytes,
        _ => {
            let kind = bytes.get(ETHERNET - 2..ETHERNET)?;
            (kind == ETHERTYPE_V4 || kind == ETHERTYPE_V6).then(|| &bytes[ETHERNET..])?
        }
    };
    let first = *packet.first()?;
    let (src, dst, header) = match first >> 4 {
        4 => {
            let head: &[u8; 20] = packet.first_chunk()?;
            let in_fragments = u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0;
            if head[9] != protocol::TCP || in_fragments {
                return None;
            }
            let [.., a, b, c, d, e, f, g, h] = *head;
            (Addr::v4([a, b, c, d]), Addr::v4([e, f, g, h]), usize::from(first & 15) * 4)
        }
        6 => {
            let head: &[u8; 40] = packet.first_chunk()?;
            if head[6] != protocol::TCP {
                return None;
            }
            let address = |from: usize| head[from..].first_chunk().map(|octets| Addr::v6(*octets));
            (address(8)?, address(24)?, 40)
        }
        _ => return None,
    };
    let ports: &[u8; 4] = packet.get(header..)?.first_chunk()?;
    let [a, b, c, d] = *ports;
    Some(Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint { addr: dst, port: u16::from_be_bytes([c, d]) },
        remote: Endpoint { addr: src, port: u16::from_be_bytes([a, b]) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_segments_are_peeked_at() {
        let mut v4 = [0; 24];
        (v4[0], v4[9]) = (0x45, protocol::TCP);
        v4[12..24].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 7, 0, 80]);
        let tuple = peek(Medium::Ip, &v4).expect("it is one");
        let at = |host: u8, port: u16| Endpoint { addr: Addr::v4([10, 0, 0, host]), port };
        assert_eq!((tuple.local, tuple.remote), (at(2, 80), at(1, 7)));
        for short in 0..24 {
            assert_eq!(peek(Medium::Ip, &v4[..short]), None);
        }
        for (at, value) in [(6, 0x20), (7, 1), (9, protocol::UDP), (0, 0x46), (0, 0x55)] {
            let mut other = v4;
            other[at] = value;
            assert_eq!(peek(Medium::Ip, &other), None);
        }
        let mut v6 = [0; 44];
        (v6[0], v6[6], v6[23], v6[39]) = (0x60, protocol::TCP, 1, 2);
        v6[40..].copy_from_slice(&[0, 7, 0, 80]);
        let tuple = peek(Medium::Ip, &v6).expect("it is one");
        assert_eq!((tuple.local.port, tuple.remote.addr.octets()[15]), (80, 1));
    }
}

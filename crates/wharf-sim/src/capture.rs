//! What went over the wire: frames, and a classic pcap file of them for Wireshark.

use wharf_stack::interface::{ChecksumIn, FrameIn};
use wharf_table::Instant;

/// A frame on the wire, with what a device that shares memory knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Whether the transport checksum is still to be filled in.
    pub checksum: ChecksumIn,
    /// Payload bytes of each segment that it stands for; 0 when it is one.
    pub gso_size: u16,
}

impl Wire {
    /// A frame of which nothing is known but its bytes.
    pub fn plain(bytes: Vec<u8>) -> Wire {
        Wire { bytes, checksum: ChecksumIn::Unverified, gso_size: 0 }
    }

    /// The frame as a stack takes it.
    pub fn frame_in(&self) -> FrameIn<'_> {
        FrameIn { bytes: &self.bytes, checksum: self.checksum, gso_size: self.gso_size }
    }
}

impl AsMut<[u8]> for Wire {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// The frames that a station put on the wire or got from it, in order.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    frames: Vec<(Instant, Vec<u8>)>,
}

impl Capture {
    pub(crate) fn record(&mut self, now: Instant, bytes: &[u8]) {
        self.frames.push((now, bytes.to_vec()));
    }

    /// The frames and when they passed.
    pub fn frames(&self) -> impl Iterator<Item = (Instant, &[u8])> {
        self.frames.iter().map(|(at, bytes)| (*at, &bytes[..]))
    }

    /// How many frames passed.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether none passed.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames as a classic pcap file with microseconds and Ethernet as link type
    /// (draft-ietf-opsawg-pcap, section 4).
    pub fn to_pcap(&self) -> Vec<u8> {
        const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
        const SNAP_LEN: u32 = 262_144;
        const ETHERNET: u32 = 1;
        let mut file = Vec::new();
        for word in [MAGIC_MICROSECONDS, 0x0004_0002, 0, 0, SNAP_LEN, ETHERNET] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        for (at, bytes) in &self.frames {
            let (seconds, micros) = (at.micros() / 1_000_000, at.micros() % 1_000_000);
            let len = bytes.len() as u32;
            for word in [seconds as u32, micros as u32, len, len] {
                file.extend_from_slice(&word.to_le_bytes());
            }
            file.extend_from_slice(bytes);
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_a_pcap_file() {
        let mut capture = Capture::default();
        capture.record(Instant::from_micros(3_000_007), &[0xaa; 14]);
        let file = capture.to_pcap();
        // draft-ietf-opsawg-pcap, sections 4 and 5, in little-endian order.
        let header = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        assert_eq!(file[..24], header);
        assert_eq!(file[24..40], [3, 0, 0, 0, 7, 0, 0, 0, 14, 0, 0, 0, 14, 0, 0, 0]);
        assert_eq!(file[40..], [0xaa; 14]);
    }
}

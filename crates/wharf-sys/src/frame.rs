//! Frames as they come from and go to a link: bytes with a virtio-net header before them
//! (VIRTIO 1.2, section 5.1.6, the legacy layout of ten bytes in the machine's byte order).

/// Bytes of a virtio-net header without the number of merged buffers.
pub const VNET_HEADER_BYTES: usize = 10;

/// The sender left the transport checksum to be filled in.
pub const NEEDS_CHECKSUM: u8 = 1;
/// The checksum has been verified.
pub const DATA_VALID: u8 = 2;

/// The frame is one segment.
pub const GSO_NONE: u8 = 0;
/// TCP segments in IPv4 packets.
pub const GSO_TCP4: u8 = 1;
/// TCP segments in IPv6 packets.
pub const GSO_TCP6: u8 = 4;
/// UDP datagrams (`VIRTIO_NET_HDR_GSO_UDP_L4`).
pub const GSO_UDP: u8 = 5;
/// Flag beside a TCP kind: the segments carry ECN marks.
pub const GSO_ECN: u8 = 0x80;

/// What the kernel says of a frame, or is asked to do with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// [`NEEDS_CHECKSUM`], [`DATA_VALID`].
    pub flags: u8,
    /// One of the `GSO_` constants, perhaps with [`GSO_ECN`].
    pub gso_type: u8,
    /// Bytes of all headers, Ethernet's included; a hint.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the transport checksum starts, from the start of the frame.
    pub csum_start: u16,
    /// Where its field stands behind that.
    pub csum_offset: u16,
}

impl VnetHeader {
    /// Reads the ten bytes.
    pub fn parse(bytes: [u8; VNET_HEADER_BYTES]) -> VnetHeader {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = bytes;
        VnetHeader {
            flags,
            gso_type,
            hdr_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            csum_start: u16::from_ne_bytes([s0, s1]),
            csum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    /// Writes the ten bytes.
    pub fn emit(&self) -> [u8; VNET_HEADER_BYTES] {
        let [h0, h1] = self.hdr_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.csum_start.to_ne_bytes();
        let [o0, o1] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

/// Room for one frame: the largest IP packet, its Ethernet header and the virtio-net header, rounded up to pages.
const SLOT_BYTES: usize = 68 * 1024;
/// Bytes that are enough for one batch: what is read is still in a second-level cache of a megabyte when it is written.
pub const BATCH_BYTES: usize = 512 * 1024;

/// Room for a batch of frames, made once.
///
/// The memory is zero pages until a frame is read into it, so room that is never used costs no memory.
#[derive(Debug)]
pub struct FrameBuffers {
    room: Vec<u8>,
    /// Bytes in each slot, header included; the slots behind are empty.
    lengths: Vec<usize>,
    count: usize,
    /// Bytes of the frames of the last read.
    bytes: usize,
    /// The last read took as many frames as it asked for.
    is_cut: bool,
}

impl FrameBuffers {
    /// Room for `count` frames of up to 64 KiB.
    pub fn new(count: usize) -> FrameBuffers {
        FrameBuffers {
            room: vec![0; count * SLOT_BYTES],
            lengths: vec![0; count],
            count: 0,
            bytes: 0,
            is_cut: false,
        }
    }

    /// How many frames fit.
    pub fn capacity(&self) -> usize {
        self.lengths.len()
    }

    /// How many frames the last read brought.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the last read brought none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the last read brought, headers included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the last read has stopped because it had brought enough: as many frames as fit, or half a megabyte. More may
    /// wait then.
    pub fn is_filled(&self) -> bool {
        self.is_cut || self.count == self.capacity() || self.bytes >= BATCH_BYTES
    }

    /// The frames of the last read, in the order of arrival.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (VnetHeader, &[u8])> {
        let filled = self.lengths.get(..self.count).unwrap_or_default();
        self.room.chunks_exact(SLOT_BYTES).zip(filled).map(|(slot, &length)| {
            let used = slot.get(..length).unwrap_or(slot);
            match used.split_first_chunk::<VNET_HEADER_BYTES>() {
                Some((header, frame)) => (VnetHeader::parse(*header), frame),
                None => (VnetHeader::default(), &[][..]),
            }
        })
    }

    /// Forgets the frames of the last read.
    pub(crate) fn clear(&mut self) {
        (self.count, self.bytes, self.is_cut) = (0, 0, false);
    }

    /// How many frames are worth reading at once, when they are as large as those of the last read.
    pub(crate) fn worthwhile(&self) -> usize {
        let mean = self.bytes / self.count.max(1);
        BATCH_BYTES.checked_div(mean).map_or(self.capacity(), |count| count.clamp(1, self.capacity()))
    }

    /// The next free slot; `None` when all are full.
    pub(crate) fn next_slot(&mut self) -> Option<&mut [u8]> {
        self.room.chunks_exact_mut(SLOT_BYTES).nth(self.count)
    }

    /// Takes what was written to the next free slot as a frame. One too short for its header is left out.
    pub(crate) fn push(&mut self, length: usize) {
        if let Some(place) = self.lengths.get_mut(self.count)
            && length > VNET_HEADER_BYTES
        {
            *place = length;
            self.count += 1;
            self.bytes += length;
        }
    }

    /// All slots, for a read of many frames in one call.
    pub(crate) fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.room.chunks_exact_mut(SLOT_BYTES)
    }

    /// Takes the first `lengths.len()` slots as frames, of `asked` that could have been filled; a length of 0 marks one that is
    /// of no use.
    pub(crate) fn fill(&mut self, lengths: impl ExactSizeIterator<Item = usize>, asked: usize) {
        self.clear();
        self.is_cut = lengths.len() == asked;
        for (slot, length) in lengths.enumerate() {
            if length <= VNET_HEADER_BYTES {
                continue;
            }
            if slot != self.count {
                let from = slot * SLOT_BYTES;
                self.room.copy_within(from..from + length.min(SLOT_BYTES), self.count * SLOT_BYTES);
            }
            self.push(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_layout_of_the_kernel() {
        let header = VnetHeader {
            flags: NEEDS_CHECKSUM,
            gso_type: GSO_TCP4,
            hdr_len: 66,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
        };
        let bytes = header.emit();
        assert_eq!(bytes[..2], [1, 1]);
        assert_eq!(u16::from_ne_bytes([bytes[4], bytes[5]]), 1448);
        assert_eq!(VnetHeader::parse(bytes), header);
    }

    #[test]
    fn frames_without_use_are_left_out() {
        let mut frames = FrameBuffers::new(3);
        for (slot, mark) in frames.slots().zip([1u8, 2, 3]) {
            slot[VNET_HEADER_BYTES] = mark;
        }
        frames.fill([11, 0, 12].into_iter(), 4);
        let got: Vec<_> = frames.iter().map(|(_, frame)| frame.to_vec()).collect();
        assert_eq!(got, [vec![1], vec![3, 0]]);
        assert!(!frames.is_filled());
        frames.fill([11, 0].into_iter(), 2);
        assert!(frames.is_filled(), "more may wait");
    }

    #[test]
    fn half_a_megabyte_is_enough() {
        let mut frames = FrameBuffers::new(32);
        assert_eq!(frames.worthwhile(), 32);
        while !frames.is_filled() {
            frames.push(65_000);
        }
        assert_eq!((frames.len(), frames.worthwhile()), (9, 8));
        frames.clear();
        assert_eq!((frames.is_filled(), frames.worthwhile()), (false, 32));
    }
}

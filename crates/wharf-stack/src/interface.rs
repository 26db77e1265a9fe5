//! How frames cross the edge of the stack: Ethernet frames with the offload metadata of a virtio-net header
//! (VIRTIO 1.2, section 5.1.6), in and out.

use wharf_table::drop::DropReason;

/// Whether the checksum of a frame's transport header still has to be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumIn {
    /// Nobody has verified it: the stack does.
    #[default]
    Unverified,
    /// The device vouches for it, or the sender left it to be filled in (VIRTIO_NET_HDR_F_NEEDS_CSUM,
    /// VIRTIO_NET_HDR_F_DATA_VALID): the bytes never left this machine's memory.
    Trusted,
}

/// One frame that arrived.
#[derive(Clone, Copy, Debug)]
pub struct FrameIn<'a> {
    /// The frame from its Ethernet header on, without FCS, without the virtio-net header.
    pub bytes: &'a [u8],
    /// What is known of its transport checksum.
    pub checksum: ChecksumIn,
    /// Payload bytes of each segment that this frame stands for (GSO); 0 when it is one segment.
    pub gso_size: u16,
}

impl<'a> FrameIn<'a> {
    /// A frame of which nothing is known but its bytes.
    pub const fn plain(bytes: &'a [u8]) -> FrameIn<'a> {
        FrameIn { bytes, checksum: ChecksumIn::Unverified, gso_size: 0 }
    }
}

/// What a frame asks the device to cut it into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP segments in IPv4 packets.
    Tcp4,
    /// TCP segments in IPv6 packets.
    Tcp6,
    /// UDP datagrams (VIRTIO_NET_HDR_GSO_UDP_L4).
    Udp,
}

/// What the device has to do for a frame that leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadOut {
    /// Where the transport checksum starts and how far behind that its field stands, both in bytes; the field then
    /// holds the folded, uncomplemented sum of the pseudo-header. `None` when the checksum is in place.
    pub checksum: Option<(u16, u16)>,
    /// The kind and the payload bytes of each segment that the device cuts; `None` when it is one segment.
    pub gso: Option<(GsoKind, u16)>,
    /// The frame is TCP to be cut, and says CWR, which only the first segment may say (VIRTIO_NET_HDR_GSO_ECN).
    pub gso_ecn: bool,
}

/// What the device can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Checksums may be left to it.
    pub checksum: bool,
    /// TCP frames of up to 64 KiB may be given to it, over both families.
    pub tso: bool,
    /// UDP frames that hold many datagrams may be given to it.
    pub uso: bool,
}

/// Where frames go that leave the stack.
pub trait FrameSink {
    /// Takes one frame: `head` (Ethernet, IP and transport header) and the slices of its payload, in order.
    ///
    /// # Errors
    /// [`DropReason::LinkFull`] when the device takes no more now. The frame is lost then, as on any link.
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], offload: OffloadOut) -> Result<(), DropReason>;

    /// Whether another frame would be taken. The stack asks before it cuts a segment of a connection, so that a full
    /// device holds TCP back rather than losing its segments.
    fn is_ready(&self) -> bool {
        true
    }
}

//! The headers of a connection's segments, as far as they are the same in all of them.
//!
//! Ethernet, IP and ports of a connection change when its way or its owner's mind does, hardly ever. So they are written
//! once and copied in front of each segment; lengths, the bits of ECN and what TCP has to say are filled in, and the
//! checksums begin with sums that were added up before.
//!
//! Invariant: a segment that leaves by a template is the same to the bit as one whose headers are written from the start;
//! `tests/egress_oracle.rs` compares them.

use wharf_table::{DropReason, Tuple};
use wharf_wire::checksum::Sum;
use wharf_wire::tcp::{CHECKSUM_OFFSET, TcpFlags};

use super::{Egress, Fields, Head, NextHop, pseudo_header};
use crate::interface::{FrameSink, GsoKind, OffloadOut};
use crate::ip::protocol;
use crate::tcp::SegmentOut;

/// Where lengths stand in the IP headers.
const TOTAL_LENGTH_V4: usize = 2;
const PAYLOAD_LENGTH_V6: usize = 4;
const HEADER_CHECKSUM_V4: usize = 10;
/// Bytes of a TCP header with timestamps.
const USUAL_HEADER: usize = 32;
/// Bytes of an IPv4 header without options.
const HEADER_V4: usize = 20;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Up to the IP header, whose length and checksum are zero.
    head: Head,
    to: NextHop,
    fields: Fields,
    is_v4: bool,
    /// Of the IPv4 header.
    ip_sum: Sum,
    /// Of the pseudo-header without the length.
    pseudo_sum: Sum,
}

impl Template {
    /// Where its segments go from here.
    pub(crate) const fn to(&self) -> NextHop {
        self.to
    }

    /// What the owner chose for its IP headers.
    pub(crate) const fn fields(&self) -> Fields {
        self.fields
    }
}

impl Egress {
    /// The template of segments with this tuple. Routers may not cut them ([`Fields::dont_fragment`]).
    pub(crate) fn template(&mut self, to: NextHop, tuple: &Tuple, fields: Fields) -> Template {
        let (src, dst) = (tuple.local.addr, tuple.remote.addr);
        let is_v4 = src.is_v4() && dst.is_v4();
        let mut head = self.head_with(to, (src, dst), protocol::TCP, 0, fields);
        let ip = &mut head.bytes[to.header_len()..head.len];
        let length = if is_v4 { TOTAL_LENGTH_V4 } else { PAYLOAD_LENGTH_V6 };
        ip[length..length + 2].fill(0);
        if is_v4 {
            ip[HEADER_CHECKSUM_V4..HEADER_CHECKSUM_V4 + 2].fill(0);
        }
        let ip_sum = Sum::new().with(ip);
        Template { head, to, fields, is_v4, ip_sum, pseudo_sum: pseudo_header(src, dst, protocol::TCP, 0) }
    }

    /// Sends one TCP segment, or one large one that the device cuts.
    #[inline]
    pub(crate) fn segment<F: FrameSink>(
        &mut self,
        template: &Template,
        segment: &SegmentOut,
        payload: &[&[u8]],
        sink: &mut F,
    ) -> Result<(), DropReason> {
        let payload_len = segment.payload.1;
        let header_len = segment.header.header_len();
        let len = header_len + payload_len;
        let mut head = template.head.clone();
        let (ip_at, start) = (template.to.header_len(), head.len);
        if template.is_v4 {
            let ip = head.bytes[ip_at..].first_chunk_mut::<HEADER_V4>().expect("there is room for a header");
            // What is longer than a packet can be is no segment; the stack cuts none.
            let total = (HEADER_V4 + len) as u16;
            ip[1] |= segment.ecn.bits();
            ip[TOTAL_LENGTH_V4..TOTAL_LENGTH_V4 + 2].copy_from_slice(&total.to_be_bytes());
            let mut sum = template.ip_sum;
            sum.add_u16(total);
            sum.add_u16(u16::from(segment.ecn.bits()));
            ip[HEADER_CHECKSUM_V4..HEADER_CHECKSUM_V4 + 2].copy_from_slice(&sum.finish().to_be_bytes());
        } else {
            let ip = &mut head.bytes[ip_at..];
            ip[1] |= segment.ecn.bits() << 4;
            ip[PAYLOAD_LENGTH_V6..PAYLOAD_LENGTH_V6 + 2].copy_from_slice(&(len as u16).to_be_bytes());
        }
        let header = head.grow(header_len);
        segment.header.emit(header);
        let mut sum = template.pseudo_sum;
        sum.add_u32(len as u32);
        let mut offload = OffloadOut::default();
        let checksum = if self.capabilities.checksum {
            offload.checksum = Some((start as u16, CHECKSUM_OFFSET as u16));
            sum.fold()
        } else {
            match header.first_chunk::<USUAL_HEADER>() {
                Some(usual) if header_len == USUAL_HEADER => sum.add_header(usual),
                _ => sum.add(header),
            }
            payload.iter().for_each(|slice| sum.add(slice));
            sum.finish()
        };
        header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&checksum.to_be_bytes());
        if let Some(size) = segment.gso_size {
            offload.gso = Some((if template.is_v4 { GsoKind::Tcp4 } else { GsoKind::Tcp6 }, size));
            offload.gso_ecn = segment.header.flags.contains(TcpFlags::CWR);
        }
        sink.frame(head.as_slice(), payload, offload)
    }
}

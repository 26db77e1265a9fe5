//! The headers of a connection's segments, as far as they are the same in all of them.
//!
//! Ethernet, IP and ports of a connection change when its way or its owner's mind does, hardly ever. So they are written
//! once and copied in front of each segment; lengths, the bits of ECN and what TCP has to say are filled in, and the
//! checksums begin with sums that were added up before.
//!
//! Invariant: a segment that leaves by a template is the same to the bit as one whose headers are written from the start.

use wharf_table::{Addr, DropReason};
use wharf_wire::checksum::Sum;
use wharf_wire::tcp::{CHECKSUM_OFFSET, TcpFlags, USUAL_LEN};

use super::{Egress, Fields, Head, NextHop, pseudo_header};
use crate::interface::{FrameSink, GsoKind, OffloadOut};
use crate::ip::protocol;
use crate::tcp::SegmentOut;

/// Where lengths stand in the IP headers.
const TOTAL_LENGTH_V4: usize = 2;
const PAYLOAD_LENGTH_V6: usize = 4;
const IDENTIFICATION_V4: usize = 4;
const HEADER_CHECKSUM_V4: usize = 10;
/// Of Ethernet and IPv6, rounded up.
const HEAD_MAX: usize = 56;
/// Bytes of an IPv4 header without options.
const HEADER_V4: usize = 20;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Up to the end of the IP header, whose length and checksum are zero.
    bytes: [u8; HEAD_MAX],
    len: u8,
    to: NextHop,
    fields: Fields,
    is_v4: bool,
    /// Between whom routers may cut its packets: of those each has an Identification of its own (RFC 6864, section 4.1).
    cut_between: Option<(Addr, Addr)>,
    /// Of the IPv4 header, without length and Identification.
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
    /// The template of segments between these addresses.
    pub(super) fn fresh_template(
        &mut self,
        to: NextHop,
        (src, dst): (Addr, Addr),
        fields: Fields,
    ) -> Template {
        let is_v4 = src.is_v4() && dst.is_v4();
        let mut head = self.head_with(to, (src, dst), protocol::TCP, 0, fields);
        let ip = &mut head.bytes[to.header_len()..head.len];
        let length = if is_v4 { TOTAL_LENGTH_V4 } else { PAYLOAD_LENGTH_V6 };
        ip[length..length + 2].fill(0);
        if is_v4 {
            ip[IDENTIFICATION_V4..IDENTIFICATION_V4 + 2].fill(0);
            ip[HEADER_CHECKSUM_V4..HEADER_CHECKSUM_V4 + 2].fill(0);
        }
        let ip_sum = Sum::new().with(ip);
        let pseudo_sum = pseudo_header(src, dst, protocol::TCP, 0);
        let cut_between = (is_v4 && !fields.dont_fragment).then_some((src, dst));
        let mut bytes = [0; HEAD_MAX];
        bytes[..head.len].copy_from_slice(head.as_slice());
        Template { bytes, len: head.len as u8, to, fields, is_v4, cut_between, ip_sum, pseudo_sum }
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
        let start = usize::from(template.len);
        let mut head = Head { bytes: [0; super::HEAD_MAX], len: start };
        head.bytes[..HEAD_MAX].copy_from_slice(&template.bytes);
        let ip_at = template.to.header_len();
        if template.is_v4 {
            let ip = head.bytes[ip_at..].first_chunk_mut::<HEADER_V4>().expect("there is room for a header");
            // What is longer than a packet can be is no segment; the stack cuts none.
            let total = (HEADER_V4 + len) as u16;
            ip[1] |= segment.ecn.bits();
            ip[TOTAL_LENGTH_V4..TOTAL_LENGTH_V4 + 2].copy_from_slice(&total.to_be_bytes());
            let mut sum = template.ip_sum;
            sum.add_u16(total);
            sum.add_u16(u16::from(segment.ecn.bits()));
            if let Some((src, dst)) = template.cut_between {
                let identification =
                    self.identifications.next_of(src, dst, protocol::TCP, segment.count()) as u16;
                ip[IDENTIFICATION_V4..IDENTIFICATION_V4 + 2].copy_from_slice(&identification.to_be_bytes());
                sum.add_u16(identification);
            }
            ip[HEADER_CHECKSUM_V4..HEADER_CHECKSUM_V4 + 2].copy_from_slice(&sum.finish().to_be_bytes());
        } else {
            let ip = &mut head.bytes[ip_at..];
            ip[1] |= segment.ecn.bits() << 4;
            ip[PAYLOAD_LENGTH_V6..PAYLOAD_LENGTH_V6 + 2].copy_from_slice(&(len as u16).to_be_bytes());
        }
        let header = head.grow(header_len);
        let mut sum = template.pseudo_sum;
        sum.add_u32(len as u32);
        let mut offload = OffloadOut::default();
        if self.capabilities.checksum {
            segment.header.emit(header);
            offload.checksum = Some((start as u16, CHECKSUM_OFFSET as u16));
            let checksum = sum.fold();
            header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&checksum.to_be_bytes());
        } else {
            emit_summed(segment, payload, sum, header);
        }
        if let Some(size) = segment.gso_size {
            offload.gso = Some((if template.is_v4 { GsoKind::Tcp4 } else { GsoKind::Tcp6 }, size));
            offload.gso_ecn = segment.header.flags.contains(TcpFlags::CWR);
        }
        sink.frame(head.as_slice(), payload, offload)
    }
}

/// Writes the TCP header of a segment with its checksum, to which `sum` is what precedes the header.
#[inline]
fn emit_summed(segment: &SegmentOut, payload: &[&[u8]], mut sum: Sum, header: &mut [u8]) {
    let (Some(words), Some(bytes)) = (segment.header.usual(), header.first_chunk_mut::<USUAL_LEN>()) else {
        segment.header.emit(header);
        sum.add(header);
        payload.iter().for_each(|slice| sum.add(slice));
        let checksum = sum.finish();
        header[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&checksum.to_be_bytes());
        return;
    };
    words.iter().for_each(|&word| sum.add_native(word));
    payload.iter().for_each(|slice| sum.add(slice));
    const CHECKSUM_WORD: usize = CHECKSUM_OFFSET / 8;
    for (place, (index, word)) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words.into_iter().enumerate()) {
        let checksum = if index == CHECKSUM_WORD { (u64::from(sum.finish()) << 48).to_be() } else { 0 };
        *place = (word | checksum).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use wharf_table::{Addr, Endpoint, HashKey, Protocol, Tuple};
    use wharf_wire::ethernet::{EtherType, EthernetRepr};
    use wharf_wire::ipv4::Ipv4Repr;
    use wharf_wire::ipv6::Ipv6Repr;
    use wharf_wire::tcp::{self, TcpOptions, TcpRepr};
    use wharf_wire::{HardwareAddr, ipv4, ipv6};

    use super::*;
    use crate::interface::Capabilities;
    use crate::tcp::Ecn;

    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];

    struct Kept(Vec<u8>, OffloadOut);

    impl FrameSink for Kept {
        fn frame(&mut self, head: &[u8], payload: &[&[u8]], offload: OffloadOut) -> Result<(), DropReason> {
            self.0 = [&[head], payload].concat().concat();
            self.1 = offload;
            Ok(())
        }
    }

    /// The frame, header by header, with a checksum over all that was written.
    fn written(to: NextHop, tuple: &Tuple, segment: &SegmentOut, fields: Fields, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = (tuple.local.addr, tuple.remote.addr);
        let mut tcp = vec![0; segment.header.header_len()];
        segment.header.emit(&mut tcp);
        tcp.extend_from_slice(payload);
        tcp::fill_checksum(src, dst, &mut tcp);
        let traffic_class = fields.traffic_class | segment.ecn.bits();
        let mut ip = vec![0; if src.is_v4() { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN }];
        if src.is_v4() {
            let repr = Ipv4Repr {
                src,
                dst,
                protocol: protocol::TCP,
                hop_limit: fields.hop_limit,
                dscp_ecn: traffic_class,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: tcp.len(),
            };
            repr.emit(&mut ip);
        } else {
            let (next_header, hop_limit, payload_len) = (protocol::TCP, fields.hop_limit, tcp.len());
            Ipv6Repr { src, dst, next_header, hop_limit, traffic_class, flow_label: 0, payload_len }
                .emit(&mut ip);
        }
        let mut frame = vec![];
        if let NextHop::Neighbor(dst) = to {
            let ether_type = if src.is_v4() { EtherType::IPV4 } else { EtherType::IPV6 };
            frame = vec![0; ethernet_len()];
            EthernetRepr { dst: HardwareAddr(dst), src: HardwareAddr(OURS), ether_type }.emit(&mut frame);
        }
        [frame, ip, tcp].concat()
    }

    const fn ethernet_len() -> usize {
        wharf_wire::ethernet::HEADER_LEN
    }

    fn options(which: usize) -> TcpOptions {
        let mut options = TcpOptions { timestamps: Some((0xfff0_0001, 7)), ..TcpOptions::default() };
        match which {
            0 => options.timestamps = None,
            1 => {}
            2 => options.mss = Some(1_460),
            _ => assert!(options.sack.push(5, 1_000_000)),
        }
        options
    }

    fn header(flags: TcpFlags) -> TcpRepr {
        let (options, window) = (options(1), 9);
        TcpRepr { src_port: 80, dst_port: 81, seq: 1, ack: 2, flags, window, urgent: 0, options }
    }

    #[test]
    fn a_template_writes_what_would_be_written_from_the_start() {
        let mut egress = Egress::new(OURS, 1_500, Capabilities::default(), HashKey::new([1; 16]));
        let v4 = [Addr::v4([10, 0, 0, 1]), Addr::v4([255, 254, 253, 252])];
        let v6 = [Addr::v6([0xfd; 16]), Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9])];
        let payload: Vec<u8> = (0..1_448_u32).map(|i| (i * 7 % 256) as u8).collect();
        for ([local, remote], to) in [v4, v6]
            .into_iter()
            .flat_map(|ends| [NextHop::Neighbor(THEIRS), NextHop::Bare].map(|to| (ends, to)))
        {
            let tuple = Tuple {
                protocol: Protocol::Tcp,
                local: Endpoint { addr: local, port: 80 },
                remote: Endpoint { addr: remote, port: 65_535 },
            };
            for case in 0..64_usize {
                let fields = Fields {
                    hop_limit: [64, 255][case & 1],
                    traffic_class: [0, 0xb8][case >> 1 & 1],
                    dont_fragment: true,
                };
                let payload = &payload[..[0, 1, 31, 1_448][case >> 2 & 3]];
                let header = TcpRepr {
                    src_port: 80,
                    dst_port: 65_535,
                    seq: 0xffff_fff0,
                    ack: case as u32,
                    flags: TcpFlags::ACK | TcpFlags::PSH,
                    window: 0xff00,
                    urgent: 0,
                    options: options(case >> 4 & 3),
                };
                let ecn = [Ecn::NotCapable, Ecn::Capable][case >> 2 & 1];
                let segment = SegmentOut { header, payload: (0, payload.len()), gso_size: None, ecn };
                let template = egress.template(to, &tuple, fields);
                let mut kept = Kept(vec![], OffloadOut::default());
                let (front, back) = payload.split_at(payload.len() / 3);
                egress.segment(&template, &segment, &[front, back], &mut kept).unwrap();
                assert_eq!(kept.0, written(to, &tuple, &segment, fields, payload), "{to:?} {case}");
                assert_eq!(kept.1, OffloadOut::default());
            }
        }
    }

    /// RFC 6864, section 4.1: what routers may cut has an Identification of its own.
    #[test]
    fn packets_that_may_be_cut_are_told_apart() {
        let mut egress = Egress::new(OURS, 1_500, Capabilities::default(), HashKey::new([1; 16]));
        let tuple = Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint { addr: Addr::v4([10, 0, 0, 1]), port: 80 },
            remote: Endpoint { addr: Addr::v4([10, 0, 0, 2]), port: 81 },
        };
        let header = header(TcpFlags::ACK);
        let segment = SegmentOut { header, payload: (0, 0), gso_size: None, ecn: Ecn::NotCapable };
        let fields = Fields { dont_fragment: false, ..Fields::default() };
        let template = egress.template(NextHop::Bare, &tuple, fields);
        let mut seen = vec![];
        for _ in 0..3 {
            let mut kept = Kept(vec![], OffloadOut::default());
            egress.segment(&template, &segment, &[], &mut kept).unwrap();
            let (ip, _, _) = Ipv4Repr::parse(&kept.0).expect("its checksum is right");
            assert!(!ip.dont_fragment && !seen.contains(&ip.identification));
            seen.push(ip.identification);
        }
    }

    /// What is left to a device is the sum of the pseudo-header, and where it is to go on (VIRTIO 1.2, section 5.1.6.2.1).
    #[test]
    fn a_device_is_told_where_to_sum_and_what_to_cut() {
        let capabilities = Capabilities { checksum: true, tso: true, uso: true };
        let mut egress = Egress::new(OURS, 1_500, capabilities, HashKey::new([1; 16]));
        let tuple = Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint { addr: Addr::v4([10, 0, 0, 1]), port: 80 },
            remote: Endpoint { addr: Addr::v4([10, 0, 0, 2]), port: 81 },
        };
        let header = header(TcpFlags::ACK | TcpFlags::CWR);
        let payload = vec![3; 5_000];
        let segment = SegmentOut { header, payload: (0, 5_000), gso_size: Some(1_448), ecn: Ecn::Capable };
        let template = egress.template(NextHop::Neighbor(THEIRS), &tuple, Fields::default());
        let mut kept = Kept(vec![], OffloadOut::default());
        egress.segment(&template, &segment, &[&payload], &mut kept).unwrap();
        let Kept(mut frame, offload) = kept;
        let offload_wanted =
            OffloadOut { checksum: Some((34, 16)), gso: Some((GsoKind::Tcp4, 1_448)), gso_ecn: true };
        assert_eq!(offload, offload_wanted);
        // The device sums from there on and puts the complement there.
        let sum = Sum::new().with(&frame[34..]).finish();
        frame[50..52].copy_from_slice(&sum.to_be_bytes());
        let written = written(NextHop::Neighbor(THEIRS), &tuple, &segment, Fields::default(), &payload);
        assert_eq!(frame, written);
    }
}

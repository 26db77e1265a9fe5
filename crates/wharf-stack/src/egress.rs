//! The way out: headers in front of a payload that is never copied, checksums left to the device where it takes them,
//! fragments where the link is too small.
//!
//! Invariant: the frames of one call leave in order, with the payload slices as the caller gave them.

mod identification;
mod template;

use alloc::vec::Vec;

use wharf_table::{Addr, DropReason, Endpoint, HashKey, Protocol, Tuple};
use wharf_wire::arp::ArpRepr;
use wharf_wire::checksum::{self, Sum};
use wharf_wire::ethernet::{self, EtherType, EthernetRepr, HardwareAddr};
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::Ipv6Repr;
use wharf_wire::ndp;
use wharf_wire::udp::{self, UdpRepr};

use self::identification::Identifications;
pub(crate) use self::template::Template;
use crate::buffer::Kept;
use crate::fragment;
use crate::interface::{Capabilities, FrameSink, GsoKind, OffloadOut};
use crate::ip::protocol;
use crate::stack::{DatagramFields, DatagramOut};
use crate::tcp::SegmentOut;

/// Ethernet, and the longest IP and TCP headers: none of IPv4 has options. With its length a head is 128 bytes, which are
/// copied in a few moves.
const HEAD_MAX: usize = 120;
const _: () = assert!(HEAD_MAX >= ethernet::HEADER_LEN + 40 + 60);
/// Hop limit of what the stack sends (RFC 1700's recommended default, and Linux').
pub(crate) const HOP_LIMIT: u8 = 64;
/// Frames of our own whose room is kept for the next, and how large such a frame is at most.
const SPARE_MAX: usize = 64;
const SPARE_ROOM: usize = 256;
/// The largest IP packet.
const PACKET_MAX: usize = 65_535;

/// What every frame that leaves has in common.
pub(crate) struct Egress {
    hardware: [u8; 6],
    mtu: usize,
    capabilities: Capabilities,
    identifications: Identifications,
    /// The headers of the last segments that had none of their own yet: of one connection after the other, whose peers are
    /// often the same host.
    shared: Option<Shared>,
    /// Room of small frames that have left.
    spare: Kept<Vec<u8>, SPARE_MAX>,
}

/// A template, and between whom.
struct Shared {
    ends: (Addr, Addr),
    template: Template,
}

/// Where a packet goes from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextHop {
    /// To the station of the link with this hardware address, in an Ethernet frame.
    Neighbor([u8; 6]),
    /// To a medium that carries bare packets.
    Bare,
    /// Back to ourselves, as a bare packet.
    Loopback,
}

impl NextHop {
    /// A neighbour whose hardware address is filled in later.
    pub(crate) const UNKNOWN: NextHop = NextHop::Neighbor([0; 6]);

    /// Bytes in front of the IP header.
    const fn header_len(self) -> usize {
        match self {
            NextHop::Neighbor(_) => ethernet::HEADER_LEN,
            NextHop::Bare | NextHop::Loopback => 0,
        }
    }
}

/// What the sender of a packet chose for its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) hop_limit: u8,
    /// Six bits of codepoint (RFC 2474), two of congestion (RFC 3168, section 5).
    pub(crate) traffic_class: u8,
    pub(crate) dont_fragment: bool,
}

impl From<DatagramFields> for Fields {
    fn from(DatagramFields { hop_limit, traffic_class, dont_fragment }: DatagramFields) -> Fields {
        Fields { hop_limit, traffic_class, dont_fragment }
    }
}

impl Default for Fields {
    /// As TCP sends where nobody has chosen: routers may not cut it (RFC 1191, section 3).
    fn default() -> Fields {
        Fields { hop_limit: HOP_LIMIT, traffic_class: 0, dont_fragment: true }
    }
}

/// The headers of a frame.
#[derive(Clone, Debug)]
struct Head {
    bytes: [u8; HEAD_MAX],
    len: usize,
}

impl Egress {
    /// `key` is random, and used for nothing else.
    pub(crate) fn new(hardware: [u8; 6], mtu: u16, capabilities: Capabilities, key: HashKey) -> Egress {
        let identifications = Identifications::new(key);
        Egress {
            hardware,
            mtu: usize::from(mtu),
            capabilities,
            identifications,
            shared: None,
            spare: Kept::new(),
        }
    }

    /// A frame of our own has left: its room may be used again.
    pub(crate) fn keep_room(&mut self, mut frame: Vec<u8>) {
        if frame.capacity() <= SPARE_ROOM {
            frame.clear();
            self.spare.give(frame);
        }
    }

    /// Gives half of the room back that nobody has needed since the last time; all, when it is one.
    pub(crate) fn trim(&mut self) {
        self.spare.trim();
    }

    fn mtu(&self, to: NextHop) -> usize {
        if to == NextHop::Loopback { PACKET_MAX } else { self.mtu }
    }

    /// A segment as a whole frame with its checksum in place.
    pub(crate) fn whole_segment(
        &mut self,
        to: NextHop,
        tuple: &Tuple,
        segment: &SegmentOut,
        fields: Fields,
        payload: &[&[u8]],
    ) -> Vec<u8> {
        let mut kept = Frame(self.spare.take().unwrap_or_default());
        let capabilities = core::mem::take(&mut self.capabilities);
        let template = self.template(to, tuple, fields);
        let taken = self.segment(&template, segment, payload, &mut kept);
        self.capabilities = capabilities;
        debug_assert!(taken.is_ok(), "a vector takes every frame");
        kept.0
    }

    /// The template of segments with this tuple.
    pub(crate) fn template(&mut self, to: NextHop, tuple: &Tuple, fields: Fields) -> Template {
        let ends = (tuple.local.addr, tuple.remote.addr);
        if let Some(Shared { ends: of, template }) = &self.shared
            && (*of, template.to(), template.fields()) == (ends, to, fields)
        {
            return template.clone();
        }
        let template = self.fresh_template(to, ends, fields);
        self.shared.insert(Shared { ends, template }).template.clone()
    }

    /// Sends one datagram, or many of one size in one payload.
    pub(crate) fn datagram<F: FrameSink>(
        &mut self,
        to: NextHop,
        datagram: &DatagramOut<'_>,
        sink: &mut F,
    ) -> Result<(), DropReason> {
        let size = usize::from(datagram.gso_size);
        if size == 0 || datagram.payload.len() <= size {
            return self.one_datagram(to, datagram, None, sink);
        }
        let header = if datagram.source.addr.is_v4() { 28 } else { 48 };
        let fits = datagram.payload.len() + header <= PACKET_MAX && size + header <= self.mtu(to);
        if self.capabilities.uso && self.capabilities.checksum && fits {
            return self.one_datagram(to, datagram, Some(datagram.gso_size), sink);
        }
        for part in datagram.payload.chunks(size) {
            self.one_datagram(to, &DatagramOut { payload: part, ..*datagram }, None, sink)?;
        }
        Ok(())
    }

    fn one_datagram<F: FrameSink>(
        &mut self,
        to: NextHop,
        datagram: &DatagramOut<'_>,
        gso: Option<u16>,
        sink: &mut F,
    ) -> Result<(), DropReason> {
        let (src, dst) = (datagram.source.addr, datagram.destination.addr);
        let header_len = if datagram.protocol == Protocol::Udp { udp::HEADER_LEN } else { 0 };
        let ip_len = if src.is_v4() { 20 } else { 40 };
        let len = header_len + datagram.payload.len();
        if ip_len + len > self.mtu(to) && gso.is_none() {
            for frame in self.fragments(to, datagram)? {
                sink.frame(&frame, &[], OffloadOut::default())?;
            }
            return Ok(());
        }
        let mut head = self.head_with(to, (src, dst), number(datagram), len, datagram.fields.into());
        let mut offload = OffloadOut { gso: gso.map(|size| (GsoKind::Udp, size)), ..OffloadOut::default() };
        if datagram.protocol == Protocol::Udp {
            let start = head.len;
            let leave = self.capabilities.checksum;
            let header = head.grow(udp::HEADER_LEN);
            emit_udp(header, datagram, leave);
            offload.checksum = leave.then_some((start as u16, 6));
            return sink.frame(head.as_slice(), &[datagram.payload], offload);
        }
        let message = echo_message(datagram);
        sink.frame(head.as_slice(), &[&message], offload)
    }

    /// A datagram as whole frames with their checksums in place.
    pub(crate) fn whole_frames(
        &mut self,
        to: NextHop,
        datagram: &DatagramOut<'_>,
    ) -> Result<Vec<Vec<u8>>, DropReason> {
        let mut frames = Vec::new();
        let size = if datagram.gso_size == 0 { usize::MAX } else { usize::from(datagram.gso_size) };
        let mut rest = datagram.payload;
        loop {
            let (part, behind) = rest.split_at(rest.len().min(size));
            frames.extend(self.fragments(to, &DatagramOut { payload: part, ..*datagram })?);
            rest = behind;
            if rest.is_empty() {
                return Ok(frames);
            }
        }
    }

    /// One datagram as frames no larger than the link: one where it fits, else fragments (RFC 791; RFC 8200, section 4.5).
    fn fragments(&mut self, to: NextHop, datagram: &DatagramOut<'_>) -> Result<Vec<Vec<u8>>, DropReason> {
        let (src, dst) = (datagram.source.addr, datagram.destination.addr);
        let mut whole;
        if datagram.protocol == Protocol::Udp {
            whole = alloc::vec![0; udp::HEADER_LEN];
            if udp::HEADER_LEN + datagram.payload.len() > PACKET_MAX - if src.is_v4() { 20 } else { 0 } {
                return Err(DropReason::TooBig);
            }
            emit_udp(&mut whole, datagram, false);
            whole.extend_from_slice(datagram.payload);
        } else {
            whole = echo_message(datagram);
        }
        self.ip_frames(to, (src, dst), number(datagram), datagram.fields, &whole)
    }

    /// A transport message, checksum in place, as one frame or as many fragments as it needs.
    pub(crate) fn ip_frames(
        &mut self,
        to: NextHop,
        (src, dst): (Addr, Addr),
        protocol: u8,
        fields: DatagramFields,
        message: &[u8],
    ) -> Result<Vec<Vec<u8>>, DropReason> {
        let ip_len = if src.is_v4() { 20 } else { 40 };
        let mut frames = Vec::new();
        if ip_len + message.len() <= self.mtu(to) {
            let mut frame =
                self.head_with(to, (src, dst), protocol, message.len(), fields.into()).as_slice().to_vec();
            frame.extend_from_slice(message);
            frames.push(frame);
            return Ok(frames);
        }
        let whole = fragment::Outgoing {
            src,
            dst,
            protocol,
            hop_limit: fields.hop_limit,
            traffic_class: fields.traffic_class,
            identification: self.identifications.next(src, dst, protocol),
        };
        for packet in fragment::cut(&whole, message, self.mtu(to))? {
            let mut frame = Vec::with_capacity(ethernet::HEADER_LEN + packet.len());
            if let NextHop::Neighbor(hardware) = to {
                let ether_type = if src.is_v4() { EtherType::IPV4 } else { EtherType::IPV6 };
                let (dst, src) = (HardwareAddr(hardware), HardwareAddr(self.hardware));
                frame.resize(ethernet::HEADER_LEN, 0);
                EthernetRepr { dst, src, ether_type }.emit(&mut frame);
            }
            frame.extend_from_slice(&packet);
            frames.push(frame);
        }
        Ok(frames)
    }

    /// An ARP message as a frame (RFC 826).
    pub(crate) fn arp_frame(&self, hardware: [u8; 6], message: &ArpRepr) -> Vec<u8> {
        let mut frame = alloc::vec![0; ethernet::HEADER_LEN + message.len()];
        let (head, body) = frame.split_at_mut(ethernet::HEADER_LEN);
        let (dst, src) = (HardwareAddr(hardware), HardwareAddr(self.hardware));
        EthernetRepr { dst, src, ether_type: EtherType::ARP }.emit(head);
        message.emit(body);
        frame
    }

    /// A neighbour discovery message, checksum in place, as a frame: it may not have crossed a router (RFC 4861, section 3.1).
    pub(crate) fn ndp_frame(&mut self, to: NextHop, src: Addr, dst: Addr, message: &[u8]) -> Vec<u8> {
        let head = self.head(to, src, dst, protocol::ICMPV6, message.len(), DontFragment::No);
        let mut frame = head.as_slice().to_vec();
        frame[to.header_len() + 7] = ndp::HOP_LIMIT;
        frame.extend_from_slice(message);
        frame
    }

    /// An IP packet that is only quoted, never sent.
    pub(crate) fn quoted_packet(&mut self, src: Addr, dst: Addr, protocol: u8, transport: &[u8]) -> Vec<u8> {
        let head = self.head(NextHop::Bare, src, dst, protocol, transport.len(), DontFragment::Yes);
        let mut packet = head.as_slice().to_vec();
        packet.extend_from_slice(transport);
        packet
    }

    /// Ethernet and IP header in front of `len` bytes of transport.
    fn head(
        &mut self,
        to: NextHop,
        src: Addr,
        dst: Addr,
        protocol: u8,
        len: usize,
        df: DontFragment,
    ) -> Head {
        let fields = Fields { dont_fragment: df == DontFragment::Yes, ..Fields::default() };
        self.head_with(to, (src, dst), protocol, len, fields)
    }

    /// The same with what the sender chose.
    #[inline]
    fn head_with(
        &mut self,
        to: NextHop,
        (src, dst): (Addr, Addr),
        protocol: u8,
        len: usize,
        fields: Fields,
    ) -> Head {
        let mut head = Head { bytes: [0; HEAD_MAX], len: 0 };
        if let NextHop::Neighbor(hardware) = to {
            let ether_type = if src.is_v4() { EtherType::IPV4 } else { EtherType::IPV6 };
            let ethernet =
                EthernetRepr { dst: HardwareAddr(hardware), src: HardwareAddr(self.hardware), ether_type };
            ethernet.emit(head.grow(ethernet::HEADER_LEN));
        }
        match src.is_v4() && dst.is_v4() {
            true => {
                let identification = match fields.dont_fragment {
                    // It is atomic (RFC 6864, section 4.1).
                    true => 0,
                    false => self.identifications.next(src, dst, protocol) as u16,
                };
                let ip = Ipv4Repr {
                    src,
                    dst,
                    protocol,
                    hop_limit: fields.hop_limit,
                    dscp_ecn: fields.traffic_class,
                    identification,
                    dont_fragment: fields.dont_fragment,
                    more_fragments: false,
                    fragment_offset: 0,
                    payload_len: len,
                };
                ip.emit(head.grow(20));
            }
            false => {
                let ip = Ipv6Repr {
                    src,
                    dst,
                    next_header: protocol,
                    hop_limit: fields.hop_limit,
                    traffic_class: fields.traffic_class,
                    flow_label: 0,
                    payload_len: len,
                };
                ip.emit(head.grow(40));
            }
        }
        head
    }
}

/// A sink that keeps the frame.
struct Frame(Vec<u8>);

impl FrameSink for Frame {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        self.0.extend_from_slice(head);
        payload.iter().for_each(|slice| self.0.extend_from_slice(slice));
        Ok(())
    }
}

/// Whether routers may cut a packet (IPv4 DF, RFC 791).
#[derive(Clone, Copy, PartialEq, Eq)]
enum DontFragment {
    Yes,
    No,
}

impl Head {
    /// The next `count` bytes, zero, to be filled.
    fn grow(&mut self, count: usize) -> &mut [u8] {
        let start = self.len;
        self.len += count;
        &mut self.bytes[start..self.len]
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn number(datagram: &DatagramOut<'_>) -> u8 {
    match datagram.protocol {
        Protocol::Tcp => protocol::TCP,
        Protocol::Udp => protocol::UDP,
        Protocol::Icmp if datagram.source.addr.is_v4() => protocol::ICMP,
        Protocol::Icmp => protocol::ICMPV6,
    }
}

pub(crate) fn pseudo_header(src: Addr, dst: Addr, protocol: u8, len: usize) -> Sum {
    checksum::pseudo_header(src, dst, protocol, len as u32)
}

/// The UDP header in front of the datagram's payload; `leave` the checksum to the device or do it now.
fn emit_udp(header: &mut [u8], datagram: &DatagramOut<'_>, leave: bool) {
    let Endpoint { addr: src, port: src_port } = datagram.source;
    let Endpoint { addr: dst, port: dst_port } = datagram.destination;
    let len = udp::HEADER_LEN + datagram.payload.len();
    UdpRepr { src_port, dst_port, payload_len: datagram.payload.len() }.emit(header);
    let mut sum = pseudo_header(src, dst, protocol::UDP, len);
    let checksum = if leave {
        sum.fold()
    } else {
        sum.add(header);
        sum.add(datagram.payload);
        // A sum of zero is sent as all ones, since zero means "none" (RFC 768).
        match sum.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    };
    header[6..8].copy_from_slice(&checksum.to_be_bytes());
}

/// The ICMP message of an echo with its checksum in place.
fn echo_message(datagram: &DatagramOut<'_>) -> Vec<u8> {
    let mut message = datagram.payload.to_vec();
    fill_icmp_checksum(datagram.source.addr, datagram.destination.addr, &mut message);
    message
}

/// Computes the checksum of an ICMP message of either family in place.
pub(crate) fn fill_icmp_checksum(src: Addr, dst: Addr, message: &mut [u8]) {
    if message.len() < 4 {
        return;
    }
    message[2..4].fill(0);
    let mut sum =
        if src.is_v4() { Sum::default() } else { pseudo_header(src, dst, protocol::ICMPV6, message.len()) };
    sum.add(message);
    let checksum = sum.finish();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

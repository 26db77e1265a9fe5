//! The usual segment: nearly every one that comes is for a connection that is known, in a packet without options or
//! fragments.
//!
//! Of such a packet only its lengths and checksums are looked at here. That its addresses are those of stations that may
//! talk to each other was found out when the connection sent its first segment: the next hop that the connection keeps
//! is the witness, and it is gone when anything changes on the link.
//!
//! A plain segment that begins or ends something takes the part of the long way ([`ingress`](super::ingress)) that is about
//! segments, where the one before it was between the same addresses.
//!
//! Invariant: whatever is not plain, or is for nobody that is known and from somebody new, takes the long way, and nothing
//! has happened then.

use wharf_table::table::Found;
use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};
use wharf_wire::ethernet::{EtherType, EthernetRepr};
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::Ipv6Repr;
use wharf_wire::tcp::{self, TcpFlags, TcpRepr};

use super::handed::{Handed, TextSink};
use super::{Medium, Stack};
use crate::interface::{ChecksumIn, FrameIn};
use crate::ip::{Meant, Packet, protocol};
use crate::tcp::{Context, Ecn};

/// Where the IP headers name the protocol.
pub(super) const NEXT_HEADER_V4: u16 = 9;
const NEXT_HEADER_V6: u16 = 6;
/// Flags of a segment that ends or begins something.
const TURNING: TcpFlags = TcpFlags::SYN.union(TcpFlags::RST);

impl Stack {
    /// Takes a plain segment; `None` when the frame is another one.
    #[inline]
    pub(super) fn on_usual_segment<'a, T: TextSink>(
        &mut self,
        now: Instant,
        frame: &FrameIn<'a>,
        texts: &mut T,
        handed: &mut Handed<'a>,
    ) -> Option<Result<(), DropReason>> {
        let packet = match self.config.medium {
            Medium::Ip => frame.bytes,
            _ => self.packet_to_us(frame.bytes)?,
        };
        match packet.first()? {
            0x45 => {
                let (ip, _, segment) = Ipv4Repr::parse(packet).ok()?;
                if ip.protocol != protocol::TCP || ip.is_fragment() || ip.hop_limit <= 1 {
                    return None;
                }
                let ecn = Ecn::from_bits(ip.dscp_ecn);
                let sinks = (&mut *texts, &mut *handed);
                if let Some(taken) =
                    self.take_usual(now, frame.checksum, (ip.src, ip.dst), ecn, segment, sinks)
                {
                    return Some(taken);
                }
                let meant = self.meaning_of_last(ip.src, ip.dst)?;
                let packet = Packet {
                    src: ip.src,
                    dst: ip.dst,
                    meant,
                    protocol: ip.protocol,
                    hop_limit: ip.hop_limit,
                    ecn,
                    traffic_class: ip.dscp_ecn,
                    dont_fragment: ip.dont_fragment,
                    in_fragments: false,
                    next_header_at: NEXT_HEADER_V4,
                    quote: &packet[..ip.header_len() + segment.len()],
                    payload: segment,
                    trusted: frame.checksum == ChecksumIn::Trusted,
                    gso_size: frame.gso_size,
                };
                self.settle_handed(now, texts, handed);
                Some(self.take_plain(now, &packet))
            }
            0x60..=0x6f => {
                let (ip, segment) = Ipv6Repr::parse(packet).ok()?;
                if ip.next_header != protocol::TCP || ip.hop_limit <= 1 || ip.src.is_v4() || ip.dst.is_v4() {
                    return None;
                }
                let ecn = Ecn::from_bits(ip.traffic_class);
                let sinks = (&mut *texts, &mut *handed);
                if let Some(taken) =
                    self.take_usual(now, frame.checksum, (ip.src, ip.dst), ecn, segment, sinks)
                {
                    return Some(taken);
                }
                let meant = self.meaning_of_last(ip.src, ip.dst)?;
                let packet = Packet {
                    src: ip.src,
                    dst: ip.dst,
                    meant,
                    protocol: ip.next_header,
                    hop_limit: ip.hop_limit,
                    ecn,
                    traffic_class: ip.traffic_class,
                    dont_fragment: true,
                    in_fragments: false,
                    next_header_at: NEXT_HEADER_V6,
                    quote: &packet[..ip.header_len() + segment.len()],
                    payload: segment,
                    trusted: frame.checksum == ChecksumIn::Trusted,
                    gso_size: frame.gso_size,
                };
                self.settle_handed(now, texts, handed);
                Some(self.take_plain(now, &packet))
            }
            _ => None,
        }
    }

    /// Whom the destination means, where the last segment was between the same addresses.
    #[inline]
    fn meaning_of_last(&self, src: Addr, dst: Addr) -> Option<Meant> {
        self.let_through.and_then(|(from, to, meant)| ((from, to) == (src, dst)).then_some(meant))
    }

    /// A segment from `src` to `dst`, for a connection that is known. The families share no code here, so that addresses stay
    /// in registers.
    #[inline(always)]
    fn take_usual<'a, T: TextSink>(
        &mut self,
        now: Instant,
        checksum: ChecksumIn,
        (src, dst): (Addr, Addr),
        ecn: Ecn,
        bytes: &'a [u8],
        (texts, handed): (&mut T, &mut Handed<'a>),
    ) -> Option<Result<(), DropReason>> {
        let &[a, b, c, d, .., flags] = bytes.first_chunk::<14>()?;
        if TcpFlags::from_bits(flags).intersects(TURNING) {
            return None;
        }
        let tuple = Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint { addr: dst, port: u16::from_be_bytes([c, d]) },
            remote: Endpoint { addr: src, port: u16::from_be_bytes([a, b]) },
        };
        let found = self.find_segment(&tuple);
        let generation = self.neighbors.generation();
        let key = match found {
            Found::Flow(flow) => self.connection_of(flow),
            _ => return self.leave_to_others(found),
        };
        // One that is parked has no way, and is not woken before its segment is known to be whole.
        let Some(work) = self.connections.at_work(key) else { return self.leave_to_others(found) };
        work.used = true;
        if !work.way.as_ref().is_some_and(|way| way.is_known(generation)) {
            return self.leave_to_others(found);
        }
        if checksum != ChecksumIn::Trusted && tcp::verify_checksum(src, dst, bytes).is_err() {
            return Some(Err(DropReason::TransportChecksum));
        }
        let mut segment = TcpRepr::EMPTY;
        let Ok(payload) = segment.read(bytes) else {
            return Some(Err(DropReason::TransportMalformed));
        };
        let work = if T::TAKES && !payload.is_empty() {
            if self.hand(now, key, (&segment, payload), ecn, (texts, handed)) {
                return Some(Ok(()));
            }
            // It may have been put away or closed meanwhile: then it is looked up again.
            self.connections.at_work(key)?
        } else {
            work
        };
        let mut cx = Context { now, pool: &mut self.pool };
        let result = work.conn.handle_segment(&mut cx, &segment, payload, ecn);
        let seldom = self.agenda.enter(now, key, work, &self.config.role);
        self.on_settled(now, key, seldom);
        Some(result)
    }

    /// The frame takes the long way, on which it need not be looked up again.
    fn leave_to_others(&mut self, found: Found) -> Option<Result<(), DropReason>> {
        self.found = Some(found);
        None
    }

    /// What follows the header of a frame from another station to us alone.
    #[inline(always)]
    fn packet_to_us<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (ethernet, packet) = EthernetRepr::parse(bytes).ok()?;
        let version = packet.first()? >> 4;
        let fits = (ethernet.ether_type == EtherType::IPV4) & (version == 4)
            | (ethernet.ether_type == EtherType::IPV6) & (version == 6);
        let to_us = ethernet.dst.0 == self.config.hardware_address;
        let from_another = (ethernet.src.0 != self.config.hardware_address) & !ethernet.src.is_multicast();
        (fits & to_us & from_another).then_some(packet)
    }
}

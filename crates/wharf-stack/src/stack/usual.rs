//! The usual segment: nearly every one that comes is for a connection that is known, in a packet without options or
//! fragments.
//!
//! Of such a packet only its lengths and checksums are looked at here. That its addresses are those of stations that may
//! talk to each other was found out when the connection sent its first segment: the next hop that the connection keeps
//! is the witness, and it is gone when anything changes on the link.
//!
//! Invariant: whatever is not plain, or is not for such a connection, takes the long way ([`ingress`](super::ingress)),
//! and nothing has happened then.

use wharf_table::table::Found;
use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};
use wharf_wire::ethernet::{self, EtherType, EthernetRepr};
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::Ipv6Repr;
use wharf_wire::tcp::{self, TcpFlags, TcpRepr};

use super::slots::Work;
use super::{Medium, Stack};
use crate::interface::{ChecksumIn, FrameIn};
use crate::ip::protocol;
use crate::tcp::{Context, Ecn};

/// Flags of a segment that ends or begins something.
const TURNING: TcpFlags = TcpFlags::SYN.union(TcpFlags::RST);

/// A packet of TCP without options, extension headers or fragments.
struct Plain<'a> {
    src: Addr,
    dst: Addr,
    ecn: Ecn,
    segment: &'a [u8],
}

impl Stack {
    /// Takes a usual segment; `None` when the frame is another one.
    #[inline]
    pub(super) fn on_usual_segment(
        &mut self,
        now: Instant,
        frame: &FrameIn<'_>,
    ) -> Option<Result<(), DropReason>> {
        let plain = self.plain(frame.bytes)?;
        let &[a, b, c, d, .., flags] = plain.segment.first_chunk::<14>()?;
        if TcpFlags::from_bits(flags).intersects(TURNING) {
            return None;
        }
        let tuple = Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint { addr: plain.dst, port: u16::from_be_bytes([c, d]) },
            remote: Endpoint { addr: plain.src, port: u16::from_be_bytes([a, b]) },
        };
        let found = self.find_segment(&tuple);
        let generation = self.neighbors.generation();
        let work = match found {
            Found::Flow(flow) => {
                let key = self.connection_of(flow);
                self.connections.work(key, &self.table).map(|work| (key, work))
            }
            _ => None,
        };
        let is_known = |work: &Work| work.way.as_ref().is_some_and(|way| way.is_known(generation));
        let Some((key, work)) = work.filter(|(_, work)| is_known(work)) else {
            self.found = Some(found);
            return None;
        };
        if frame.checksum != ChecksumIn::Trusted
            && tcp::verify_checksum(plain.src, plain.dst, plain.segment).is_err()
        {
            return Some(Err(DropReason::TransportChecksum));
        }
        let Ok((segment, payload)) = TcpRepr::parse(plain.segment) else {
            return Some(Err(DropReason::TransportMalformed));
        };
        let mut cx = Context { now, pool: &mut self.pool };
        let result = work.conn.handle_segment(&mut cx, &segment, payload, plain.ecn);
        let seldom = self.agenda.enter(now, key, work, &self.config.role);
        self.on_settled(now, key, seldom);
        Some(result)
    }

    /// Reads the headers in front of a segment.
    #[inline]
    fn plain<'a>(&self, bytes: &'a [u8]) -> Option<Plain<'a>> {
        let packet = match self.config.medium {
            Medium::Ip => bytes,
            _ => {
                let (ethernet, packet) = EthernetRepr::parse(bytes).ok()?;
                let to_us = ethernet.dst.0 == self.config.hardware_address;
                let from_another = ethernet.src.0 != self.config.hardware_address;
                let fits = match ethernet.ether_type {
                    EtherType::IPV4 => bytes.get(ethernet::HEADER_LEN)? >> 4 == 4,
                    EtherType::IPV6 => bytes.get(ethernet::HEADER_LEN)? >> 4 == 6,
                    _ => false,
                };
                (to_us && from_another && fits && !ethernet.src.is_multicast()).then_some(packet)?
            }
        };
        match packet.first()? {
            0x45 => {
                let (ip, _, segment) = Ipv4Repr::parse(packet).ok()?;
                let is_plain = ip.protocol == protocol::TCP && !ip.is_fragment() && ip.hop_limit > 1;
                is_plain.then_some(Plain {
                    src: ip.src,
                    dst: ip.dst,
                    ecn: Ecn::from_bits(ip.dscp_ecn),
                    segment,
                })
            }
            0x60..=0x6f => {
                let (ip, segment) = Ipv6Repr::parse(packet).ok()?;
                let is_plain =
                    ip.next_header == protocol::TCP && ip.hop_limit > 1 && !ip.src.is_v4() && !ip.dst.is_v4();
                is_plain.then_some(Plain {
                    src: ip.src,
                    dst: ip.dst,
                    ecn: Ecn::from_bits(ip.traffic_class),
                    segment,
                })
            }
            _ => None,
        }
    }
}

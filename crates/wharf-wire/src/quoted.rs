//! The packet that an ICMP error quotes (RFC 792; RFC 4443, section 2.4 c): whose it was.
//!
//! A quote is cut short, may have been translated on its way, and its checksums are no matter. What counts is the
//! conversation that it names; RFC 5927 asks for the sequence number too, before a TCP connection believes an error.

use wharf_table::{Addr, Endpoint};

use crate::protocol::{ICMPV4, ICMPV6, TCP, UDP};
use crate::{Malformed, ipv4, ipv6};

/// What a quoted packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its transport: see [`crate::protocol`].
    pub protocol: u8,
    /// Who had sent it. The port is the transport's source port, or the identifier of an echo; 0 where neither is there.
    pub src: Endpoint,
    /// Who should have taken it. The port is the transport's destination port, or the identifier of an echo; 0 where
    /// neither is there.
    pub dst: Endpoint,
    /// The sequence number, for TCP.
    pub tcp_seq: Option<u32>,
    /// The sequence number, for an echo request.
    pub echo_seq: Option<u16>,
    /// The length of the whole packet, in bytes, as its header says.
    pub packet_len: usize,
}

impl Quoted {
    /// Reads the IPv4 packet quoted at the front of `bytes`.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] when less than its header and 8 bytes are there (RFC 792), [`Malformed::Version`],
    /// [`Malformed::HeaderLength`], or [`Malformed::Operation`] for a later fragment, which names no ports.
    pub fn parse_ipv4(bytes: &[u8]) -> Result<Quoted, Malformed> {
        let header = bytes.first_chunk::<{ ipv4::HEADER_LEN }>().ok_or(Malformed::TooShort)?;
        if header[0] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let header_len = usize::from(header[0] & 0x0f) * 4;
        if header_len < ipv4::HEADER_LEN {
            return Err(Malformed::HeaderLength);
        }
        let packet_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let repr = ipv4::Ipv4Repr::of_header(header, packet_len.saturating_sub(header_len));
        if repr.fragment_offset != 0 {
            return Err(Malformed::Operation);
        }
        let transport = bytes.get(header_len..).ok_or(Malformed::TooShort)?;
        Quoted::of_transport(repr.protocol, repr.src, repr.dst, transport, packet_len)
    }

    /// Reads the IPv6 packet quoted at the front of `bytes`.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] when less than its headers and 8 bytes are there, [`Malformed::Version`], a fault of its
    /// extension headers, or [`Malformed::Operation`] for a later fragment, which names no ports.
    pub fn parse_ipv6(bytes: &[u8]) -> Result<Quoted, Malformed> {
        let (header, payload) =
            bytes.split_first_chunk::<{ ipv6::HEADER_LEN }>().ok_or(Malformed::TooShort)?;
        if header[0] >> 4 != 6 {
            return Err(Malformed::Version);
        }
        let repr = ipv6::Ipv6Repr::of_header(header);
        let mut upper = ipv6::walk(&repr, payload)?;
        if let Some(fragment) = upper.fragment {
            if fragment.offset != 0 {
                return Err(Malformed::Operation);
            }
            upper = ipv6::walk_reassembled(fragment.next_header, upper.payload)?;
        }
        let packet_len = ipv6::HEADER_LEN + repr.payload_len;
        Quoted::of_transport(upper.protocol, repr.src, repr.dst, upper.payload, packet_len)
    }

    fn of_transport(
        protocol: u8,
        src: Addr,
        dst: Addr,
        transport: &[u8],
        packet_len: usize,
    ) -> Result<Quoted, Malformed> {
        let &[a, b, c, d, e, f, g, h] = transport.first_chunk::<8>().ok_or(Malformed::TooShort)?;
        let (src_port, dst_port, echo) = match (protocol, a) {
            (TCP | UDP, _) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), false),
            (ICMPV4, 0 | 8) | (ICMPV6, 128 | 129) => {
                let ident = u16::from_be_bytes([e, f]);
                (ident, ident, true)
            }
            _ => (0, 0, false),
        };
        Ok(Quoted {
            protocol,
            src: Endpoint::new(src, src_port),
            dst: Endpoint::new(dst, dst_port),
            tcp_seq: (protocol == TCP).then_some(u32::from_be_bytes([e, f, g, h])),
            echo_seq: echo.then_some(u16::from_be_bytes([g, h])),
            packet_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::icmpv4::{Icmpv4Repr, unreachable};
    use crate::icmpv6::Icmpv6Repr;
    use crate::protocol::FRAGMENT;

    const SRC: Addr = Addr::v4([10, 0, 2, 100]);
    const DST: Addr = Addr::v4([192, 0, 2, 1]);

    fn packet_v4(protocol: u8, fragment_offset: u16, transport: &[u8]) -> Vec<u8> {
        let repr = ipv4::Ipv4Repr {
            src: SRC,
            dst: DST,
            protocol,
            hop_limit: 1,
            dscp_ecn: 0,
            identification: 9,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset,
            payload_len: 1000,
        };
        let mut packet = vec![0; 20];
        repr.emit(&mut packet);
        packet.extend_from_slice(transport);
        packet
    }

    #[test]
    fn a_cut_tcp_segment_is_known_again() {
        let quote = packet_v4(TCP, 0, &[0x12, 0x34, 0, 80, 1, 2, 3, 4]);
        let icmp = Icmpv4Repr::FragmentationNeeded { mtu: 1280, quote: &quote };
        let mut message = vec![0; icmp.len()];
        icmp.emit(&mut message);
        let parsed = Icmpv4Repr::parse(&message).unwrap();
        assert_eq!(parsed, icmp);
        let expected = Quoted {
            protocol: TCP,
            src: Endpoint::new(SRC, 0x1234),
            dst: Endpoint::new(DST, 80),
            tcp_seq: Some(0x0102_0304),
            echo_seq: None,
            packet_len: 1020,
        };
        assert_eq!(parsed.quoted(), Some(expected));
    }

    #[test]
    fn a_quoted_ping_is_known_by_its_identifier() {
        let quote = packet_v4(ICMPV4, 0, &[8, 0, 0, 0, 0xab, 0xcd, 0, 7]);
        let quoted = Quoted::parse_ipv4(&quote).unwrap();
        assert_eq!((quoted.src.port, quoted.dst.port, quoted.echo_seq), (0xabcd, 0xabcd, Some(7)));
        let other = Quoted::parse_ipv4(&packet_v4(ICMPV4, 0, &[3, 0, 0, 0, 0xab, 0xcd, 0, 7])).unwrap();
        assert_eq!((other.src.port, other.echo_seq), (0, None));
    }

    #[test]
    fn quotes_that_name_no_conversation_are_none() {
        let ports = [0x12, 0x34, 0, 80, 0, 9, 0, 0];
        assert_eq!(Quoted::parse_ipv4(&packet_v4(UDP, 1480, &ports)), Err(Malformed::Operation));
        assert_eq!(Quoted::parse_ipv4(&packet_v4(UDP, 0, &ports[..7])), Err(Malformed::TooShort));
        assert_eq!(Quoted::parse_ipv4(&[0x44; 28]), Err(Malformed::HeaderLength));
        assert_eq!(Quoted::parse_ipv4(&[0x65; 28]), Err(Malformed::Version));
        let unreachable = Icmpv4Repr::DestinationUnreachable { code: unreachable::PORT, quote: &[0x45; 27] };
        assert_eq!(unreachable.quoted(), None);
        assert_eq!(Icmpv4Repr::EchoRequest { ident: 1, seq: 2, data: &[0x45; 28] }.quoted(), None);
    }

    #[test]
    fn an_ipv6_packet_is_known_behind_a_fragment_header() {
        let (src, dst) = (Addr::v6([0xfd; 16]), Addr::v6([0x20; 16]));
        let repr = ipv6::Ipv6Repr {
            src,
            dst,
            next_header: FRAGMENT,
            hop_limit: 1,
            traffic_class: 0,
            flow_label: 0,
            payload_len: 1200,
        };
        let mut quote = vec![0; 56];
        repr.emit(&mut quote);
        quote[40] = UDP;
        quote[43] = 1;
        quote[48..52].copy_from_slice(&[0x12, 0x34, 0, 53]);
        let icmp = Icmpv6Repr::PacketTooBig { mtu: 1280, quote: &quote };
        let mut message = vec![0; icmp.len()];
        icmp.emit(dst, src, &mut message);
        let quoted = Icmpv6Repr::parse(&message).unwrap().quoted().unwrap();
        assert_eq!((quoted.src, quoted.dst), (Endpoint::new(src, 0x1234), Endpoint::new(dst, 53)));
        assert_eq!((quoted.protocol, quoted.tcp_seq, quoted.packet_len), (UDP, None, 1240));
        quote[42] = 1;
        assert_eq!(Quoted::parse_ipv6(&quote), Err(Malformed::Operation), "a later fragment");
    }
}

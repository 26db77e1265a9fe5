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

//! IPv4 packets (RFC 791, RFC 1122 section 3.2, RFC 6864 for the identification).
//!
//! Parsing verifies version, header length, total length and header checksum. Options are handed on as bytes: nobody
//! here acts on them, and [`has_source_route`] tells the ones that a gateway should refuse (RFC 7126, section 4.3).

use wharf_table::Addr;

use crate::Malformed;
use crate::checksum::Sum;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// The most bytes that a packet can have.
pub const MAX_PACKET_LEN: usize = 65_535;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// What an IPv4 header means, its options aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Repr {
    /// Who sent the packet.
    pub src: Addr,
    /// Who is to take it.
    pub dst: Addr,
    /// What follows: see [`crate::protocol`].
    pub protocol: u8,
    /// How many hops it may still go (TTL).
    pub hop_limit: u8,
    /// DSCP in the high six bits, ECN in the low two (RFC 2474, RFC 3168).
    pub dscp_ecn: u8,
    /// Tells which fragments belong together (RFC 6864).
    pub identification: u16,
    /// Routers must not cut it.
    pub dont_fragment: bool,
    /// It is a fragment and not the last one.
    pub more_fragments: bool,
    /// Where a fragment belongs in its datagram, in bytes, a multiple of 8.
    pub fragment_offset: u16,
    /// Bytes behind the header.
    pub payload_len: usize,
}

impl Ipv4Repr {
    /// Reads the header of `packet`: what it means, its options as bytes, and the payload, cut to the total length
    /// (frames may be padded).
    ///
    /// # Errors
    /// [`Malformed::TooShort`], [`Malformed::Version`], [`Malformed::HeaderLength`], [`Malformed::Length`] or
    /// [`Malformed::HeaderChecksum`].
    #[inline(always)]
    pub fn parse(packet: &[u8]) -> Result<(Ipv4Repr, &[u8], &[u8]), Malformed> {
        let header = packet.first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        if header[0] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < HEADER_LEN || header_len > packet.len() {
            return Err(Malformed::HeaderLength);
        }
        if total_len < header_len || total_len > packet.len() {
            return Err(Malformed::Length);
        }
        let (whole, payload) = packet[..total_len].split_at(header_len);
        let options = &whole[HEADER_LEN..];
        let mut sum = Sum::of_header(header);
        if !options.is_empty() {
            sum.add(options);
        }
        if !sum.is_valid() {
            return Err(Malformed::HeaderChecksum);
        }
        Ok((Ipv4Repr::of_header(header, payload.len()), options, payload))
    }

    /// Reads the 20 bytes of a header whose lengths and checksum are no matter, as the one quoted in an ICMP message.
    #[inline(always)]
    pub(crate) fn of_header(header: &[u8; HEADER_LEN], payload_len: usize) -> Ipv4Repr {
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        Ipv4Repr {
            src: Addr::v4([header[12], header[13], header[14], header[15]]),
            dst: Addr::v4([header[16], header[17], header[18], header[19]]),
            protocol: header[9],
            hop_limit: header[8],
            dscp_ecn: header[1],
            identification: u16::from_be_bytes([header[4], header[5]]),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset: (fragment & OFFSET_MASK) << 3,
            payload_len,
        }
    }

    /// Whether this is a piece of a datagram rather than the whole.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Bytes that [`Ipv4Repr::emit`] writes: 20.
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header, checksum included and without options, to the front of `buf`.
    ///
    /// # Panics
    /// When `buf` is shorter than 20 bytes, or the packet would have more than 65,535.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        let total_len =
            u16::try_from(HEADER_LEN + self.payload_len).expect("a packet has up to 65,535 bytes");
        debug_assert!(self.fragment_offset.is_multiple_of(8), "fragments lie on 8-byte boundaries");
        let mut fragment = self.fragment_offset >> 3;
        if self.dont_fragment {
            fragment |= DONT_FRAGMENT;
        }
        if self.more_fragments {
            fragment |= MORE_FRAGMENTS;
        }
        let header = buf.first_chunk_mut::<HEADER_LEN>().expect("the buffer holds an IPv4 header");
        header[0] = 0x45;
        header[1] = self.dscp_ecn;
        header[2..4].copy_from_slice(&total_len.to_be_bytes());
        header[4..6].copy_from_slice(&self.identification.to_be_bytes());
        header[6..8].copy_from_slice(&fragment.to_be_bytes());
        header[8] = self.hop_limit;
        header[9] = self.protocol;
        header[10..12].fill(0);
        header[12..16].copy_from_slice(&self.src.octets()[12..]);
        header[16..20].copy_from_slice(&self.dst.octets()[12..]);
        let sum = Sum::of_header(header).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Whether the options of a header hold a loose or strict source route (RFC 791, section 3.1), or can't be read at all:
/// packets with either are refused (RFC 7126, sections 4.3 and 4.4).
pub fn has_source_route(mut options: &[u8]) -> bool {
    loop {
        match *options {
            [] | [0, ..] => return false,
            [1, ref rest @ ..] => options = rest,
            [131 | 137, ..] => return true,
            [_, len, ..] if len >= 2 && usize::from(len) <= options.len() => {
                options = &options[usize::from(len)..]
            }
            _ => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header whose checksum is worked out in public (Wikipedia, "Internet checksum"): 192.168.0.1 to 192.168.0.199, UDP.
    const HEADER: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
        0xa8, 0x00, 0xc7,
    ];

    fn packet() -> [u8; 0x73] {
        let mut packet = [0xaa; 0x73];
        packet[..20].copy_from_slice(&HEADER);
        packet
    }

    #[test]
    fn a_known_header_is_read_and_written() {
        let packet = packet();
        let (repr, options, payload) = Ipv4Repr::parse(&packet).unwrap();
        let expected = Ipv4Repr {
            src: Addr::v4([192, 168, 0, 1]),
            dst: Addr::v4([192, 168, 0, 199]),
            protocol: 17,
            hop_limit: 64,
            dscp_ecn: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: 0x73 - 20,
        };
        assert_eq!((repr, options.len(), payload.len()), (expected, 0, 0x73 - 20));
        let mut header = [0xff; 20];
        repr.emit(&mut header);
        assert_eq!(header, HEADER);
    }

    #[test]
    fn each_fault_has_its_name() {
        let parse_with = |at: usize, byte: u8| {
            let mut packet = packet();
            packet[at] = byte;
            Ipv4Repr::parse(&packet).err()
        };
        assert_eq!(parse_with(0, 0x65), Some(Malformed::Version));
        assert_eq!(parse_with(0, 0x44), Some(Malformed::HeaderLength));
        assert_eq!(parse_with(3, 0x74), Some(Malformed::Length));
        assert_eq!(parse_with(3, 19), Some(Malformed::Length));
        assert_eq!(parse_with(8, 63), Some(Malformed::HeaderChecksum));
        assert_eq!(parse_with(20, 63), None);
        assert_eq!(Ipv4Repr::parse(&packet()[..19]), Err(Malformed::TooShort));
        assert_eq!(Ipv4Repr::parse(&[0x4f; 40]), Err(Malformed::HeaderLength));
    }

    #[test]
    fn padding_behind_the_packet_is_cut() {
        let repr = Ipv4Repr { payload_len: 1, ..Ipv4Repr::parse(&packet()).unwrap().0 };
        let mut frame = [7; 46];
        repr.emit(&mut frame);
        assert_eq!(Ipv4Repr::parse(&frame).unwrap(), (repr, &[][..], &[7][..]));
    }

    #[test]
    fn fragments_are_counted_in_bytes() {
        let whole = Ipv4Repr::parse(&packet()).unwrap().0;
        assert!(!whole.is_fragment());
        for (more_fragments, fragment_offset) in [(true, 0), (true, 1480), (false, 65_528)] {
            let repr = Ipv4Repr { more_fragments, fragment_offset, payload_len: 0, ..whole };
            let mut header = [0; 20];
            repr.emit(&mut header);
            let parsed = Ipv4Repr::parse(&header).unwrap().0;
            assert_eq!(parsed, repr);
            assert!(parsed.is_fragment());
        }
    }

    #[test]
    fn source_routes_are_seen_behind_other_options() {
        assert!(!has_source_route(&[]));
        assert!(!has_source_route(&[1, 148, 4, 0, 0, 0, 0, 0]), "router alert");
        assert!(!has_source_route(&[0, 131, 3, 4]), "what follows the end does not count");
        assert!(has_source_route(&[1, 7, 3, 4, 131, 3, 4, 0]), "loose, behind record route");
        assert!(has_source_route(&[137, 3, 4, 0]), "strict");
        assert!(has_source_route(&[7, 1, 0, 0]), "unreadable");
        assert!(has_source_route(&[7, 9, 4, 0]), "beyond the header");
    }
}

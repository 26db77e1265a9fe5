//! IPv6 packets (RFC 8200): the fixed header here, what may stand between it and the transport in [`extension`].
//!
//! Not here: jumbograms (RFC 2675).

pub mod extension;

use wharf_table::Addr;

use crate::Malformed;

pub use extension::{Fragment, UpperLayer, walk, walk_reassembled};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;
/// The packet size that every link carries (RFC 8200, section 5), and the limit of an ICMPv6 error (RFC 4443, section 2.4 c).
pub const MIN_MTU: usize = 1280;

/// What an IPv6 header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Repr {
    /// Who sent the packet.
    pub src: Addr,
    /// Who is to take it.
    pub dst: Addr,
    /// What follows: an extension header or a transport, see [`crate::protocol`].
    pub next_header: u8,
    /// How many hops it may still go.
    pub hop_limit: u8,
    /// DSCP in the high six bits, ECN in the low two (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// 20 bits that tell flows apart (RFC 6437); 0 for none.
    pub flow_label: u32,
    /// Bytes behind the fixed header, extension headers included.
    pub payload_len: usize,
}

impl Ipv6Repr {
    /// Reads the fixed header of `packet`; the payload is given back, cut to the payload length.
    ///
    /// # Errors
    /// [`Malformed::TooShort`], [`Malformed::Version`] or [`Malformed::Length`].
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Ipv6Repr, &[u8]), Malformed> {
        let (header, rest) = packet.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        if header[0] >> 4 != 6 {
            return Err(Malformed::Version);
        }
        let repr = Ipv6Repr::of_header(header);
        let payload = rest.get(..repr.payload_len).ok_or(Malformed::Length)?;
        Ok((repr, payload))
    }

    /// Reads the 40 bytes of a header whose length is no matter, as the one quoted in an ICMPv6 message.
    #[inline]
    pub(crate) fn of_header(header: &[u8; HEADER_LEN]) -> Ipv6Repr {
        let first = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        Ipv6Repr {
            src: Addr::v6(core::array::from_fn(|i| header[8 + i])),
            dst: Addr::v6(core::array::from_fn(|i| header[24 + i])),
            next_header: header[6],
            hop_limit: header[7],
            traffic_class: (first >> 20) as u8,
            flow_label: first & 0x000f_ffff,
            payload_len: usize::from(u16::from_be_bytes([header[4], header[5]])),
        }
    }

    /// Bytes that [`Ipv6Repr::emit`] writes: 40.
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the fixed header to the front of `buf`.
    ///
    /// # Panics
    /// When `buf` is shorter than 40 bytes, or the payload is longer than 65,535.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        let payload_len = u16::try_from(self.payload_len).expect("a payload has up to 65,535 bytes");
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0x000f_ffff;
        let header = buf.first_chunk_mut::<HEADER_LEN>().expect("the buffer holds an IPv6 header");
        header[0..4].copy_from_slice(&first.to_be_bytes());
        header[4..6].copy_from_slice(&payload_len.to_be_bytes());
        header[6] = self.next_header;
        header[7] = self.hop_limit;
        header[8..24].copy_from_slice(&self.src.octets());
        header[24..40].copy_from_slice(&self.dst.octets());
    }
}

//! UDP datagrams (RFC 768, RFC 8200 section 8.1, RFC 8085).
//!
//! Parsing looks at lengths only, because a device may vouch for the checksum; [`verify_checksum`] looks at that.

use wharf_table::Addr;

use crate::Malformed;
use crate::checksum::pseudo_header;
use crate::protocol::UDP;

/// Bytes of a UDP header.
pub const HEADER_LEN: usize = 8;
/// Where the checksum stands in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// What a UDP header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpRepr {
    /// The sender's port; 0 where it expects no answer.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// Bytes behind the header.
    pub payload_len: usize,
}

impl UdpRepr {
    /// Reads the header of `datagram`; the payload is given back, cut to the datagram's own length (RFC 9868 leaves what
    /// follows to options, which nobody here takes).
    ///
    /// # Errors
    /// [`Malformed::TooShort`] or [`Malformed::Length`].
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<(UdpRepr, &[u8]), Malformed> {
        let header = datagram.first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let [s0, s1, d0, d1, l0, l1, _, _] = *header;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let payload = datagram.get(HEADER_LEN..len).ok_or(Malformed::Length)?;
        let repr = UdpRepr {
            src_port: u16::from_be_bytes([s0, s1]),
            dst_port: u16::from_be_bytes([d0, d1]),
            payload_len: payload.len(),
        };
        Ok((repr, payload))
    }

    /// Bytes that [`UdpRepr::emit`] writes: 8.
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `buf`, its checksum zero: none over IPv4, to be filled in over IPv6.
    ///
    /// # Panics
    /// When `buf` is shorter than 8 bytes, or the payload is longer than 65,527.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        let len = u16::try_from(HEADER_LEN + self.payload_len).expect("a datagram has up to 65,535 bytes");
        let header = buf.first_chunk_mut::<HEADER_LEN>().expect("the buffer holds a UDP header");
        header[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        header[4..6].copy_from_slice(&len.to_be_bytes());
        header[6..8].fill(0);
    }
}

/// Writes the checksum of `datagram` (header and payload, as long as its length field says) into its header. A sum of zero
/// is sent as 0xffff, because zero means none (RFC 768).
///
/// # Panics
/// When `datagram` is shorter than a header.
pub fn fill_checksum(src: Addr, dst: Addr, datagram: &mut [u8]) {
    datagram[CHECKSUM_OFFSET..HEADER_LEN].fill(0);
    let sum = pseudo_header(src, dst, UDP, datagram.len() as u32).with(datagram).finish();
    let sum = if sum == 0 { 0xffff } else { sum };
    datagram[CHECKSUM_OFFSET..HEADER_LEN].copy_from_slice(&sum.to_be_bytes());
}

/// Looks at the checksum of `datagram`, which [`UdpRepr::parse`] has taken; bytes behind its length don't count.
///
/// # Errors
/// [`Malformed::Checksum`], or [`Malformed::ChecksumMissing`] where it is zero over IPv6 (RFC 8200, section 8.1); over
/// IPv4 zero means that the sender computed none (RFC 1122, section 4.1.3.4).
pub fn verify_checksum(src: Addr, dst: Addr, datagram: &[u8]) -> Result<(), Malformed> {
    let header = datagram.first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
    let [_, _, _, _, l0, l1, c0, c1] = *header;
    if [c0, c1] == [0, 0] {
        return if dst.is_v4() { Ok(()) } else { Err(Malformed::ChecksumMissing) };
    }
    let len = u16::from_be_bytes([l0, l1]);
    let datagram = datagram.get(..usize::from(len)).ok_or(Malformed::Length)?;
    let sum = pseudo_header(src, dst, UDP, u32::from(len)).with(datagram);
    if sum.is_valid() { Ok(()) } else { Err(Malformed::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: (Addr, Addr) = (Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2]));
    const V6: (Addr, Addr) = (Addr::v6([1; 16]), Addr::v6([2; 16]));

    fn datagram() -> [u8; 13] {
        let mut datagram = *b"........hello";
        UdpRepr { src_port: 4660, dst_port: 53, payload_len: 5 }.emit(&mut datagram);
        datagram
    }

    #[test]
    fn a_datagram_is_read_as_it_was_written() {
        let datagram = datagram();
        assert_eq!(datagram[..8], [0x12, 0x34, 0, 53, 0, 13, 0, 0]);
        let (repr, payload) = UdpRepr::parse(&datagram).unwrap();
        assert_eq!(repr, UdpRepr { src_port: 4660, dst_port: 53, payload_len: 5 });
        assert_eq!(payload, b"hello");
    }

    #[test]
    fn the_length_field_rules() {
        let mut datagram = datagram();
        datagram[5] = 10;
        assert_eq!(UdpRepr::parse(&datagram).unwrap().1, b"he");
        for len in [0, 7, 14] {
            datagram[5] = len;
            assert_eq!(UdpRepr::parse(&datagram), Err(Malformed::Length));
        }
        assert_eq!(UdpRepr::parse(&datagram[..7]), Err(Malformed::TooShort));
    }

    #[test]
    fn checksums_are_found_right_wrong_and_missing() {
        for (src, dst) in [V4, V6] {
            let mut datagram = datagram();
            fill_checksum(src, dst, &mut datagram);
            assert_eq!(verify_checksum(src, dst, &datagram), Ok(()));
            datagram[9] ^= 1;
            assert_eq!(verify_checksum(src, dst, &datagram), Err(Malformed::Checksum));
        }
        assert_eq!(verify_checksum(V4.0, V4.1, &datagram()), Ok(()));
        assert_eq!(verify_checksum(V6.0, V6.1, &datagram()), Err(Malformed::ChecksumMissing));
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_ones() {
        let (src, dst) = V4;
        let mut datagram = [0; 10];
        UdpRepr { src_port: 1, dst_port: 2, payload_len: 2 }.emit(&mut datagram);
        // The two bytes of payload that make the sum 0xffff.
        let rest = pseudo_header(src, dst, UDP, 10).with(&datagram).finish();
        datagram[8..].copy_from_slice(&rest.to_be_bytes());
        fill_checksum(src, dst, &mut datagram);
        assert_eq!(datagram[CHECKSUM_OFFSET..HEADER_LEN], [0xff, 0xff]);
        assert_eq!(verify_checksum(src, dst, &datagram), Ok(()));
    }
}

//! Ethernet II frames: the first and the last thing that a packet wears.
//!
//! Without FCS, as devices hand frames over. Not here: 802.3 length frames, VLAN tags.

use core::fmt;

use crate::Malformed;

/// Bytes of an Ethernet header.
pub const HEADER_LEN: usize = 14;

/// A hardware address: EUI-48.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardwareAddr(pub [u8; 6]);

impl HardwareAddr {
    /// Everyone on the link.
    pub const BROADCAST: HardwareAddr = HardwareAddr([0xff; 6]);

    /// Whether the frame is for a group, of which everyone on the link is the largest (IEEE 802, I/G bit).
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether the address names one station: neither a group nor all zero.
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != HardwareAddr::default()
    }

    /// The group address of an IPv6 multicast address (RFC 2464, section 7).
    pub const fn of_ipv6_multicast(octets: [u8; 16]) -> HardwareAddr {
        HardwareAddr([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]])
    }

    /// The group address of an IPv4 multicast address (RFC 1112, section 6.4).
    pub const fn of_ipv4_multicast(octets: [u8; 4]) -> HardwareAddr {
        HardwareAddr([0x01, 0x00, 0x5e, octets[1] & 0x7f, octets[2], octets[3]])
    }
}

impl fmt::Display for HardwareAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for HardwareAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a frame carries (IEEE 802 EtherType).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: EtherType = EtherType(0x0800);
    /// ARP (RFC 826).
    pub const ARP: EtherType = EtherType(0x0806);
    /// IPv6 (RFC 2464).
    pub const IPV6: EtherType = EtherType(0x86dd);
}

/// What an Ethernet header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetRepr {
    /// Who is to take the frame.
    pub dst: HardwareAddr,
    /// Who sent it.
    pub src: HardwareAddr,
    /// What follows.
    pub ether_type: EtherType,
}

impl EthernetRepr {
    /// Reads the header of `frame`; what follows it is given back, padding included.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] below 14 bytes.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<(EthernetRepr, &[u8]), Malformed> {
        let (header, payload) = frame.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let repr = EthernetRepr {
            dst: HardwareAddr([d0, d1, d2, d3, d4, d5]),
            src: HardwareAddr([s0, s1, s2, s3, s4, s5]),
            ether_type: EtherType(u16::from_be_bytes([t0, t1])),
        };
        Ok((repr, payload))
    }

    /// Bytes that [`EthernetRepr::emit`] writes: 14.
    pub const fn header_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `buf`.
    ///
    /// # Panics
    /// When `buf` is shorter than the header.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) {
        buf[0..6].copy_from_slice(&self.dst.0);
        buf[6..12].copy_from_slice(&self.src.0);
        buf[12..14].copy_from_slice(&self.ether_type.0.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn a_frame_is_read_and_written() {
        let frame = [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60];
        let (repr, payload) = EthernetRepr::parse(&frame).unwrap();
        assert_eq!(repr.dst, HardwareAddr::of_ipv6_multicast(crate::ndp::ALL_NODES.octets()));
        assert_eq!((repr.ether_type, payload), (EtherType::IPV6, &[0x60][..]));
        assert_eq!(format!("{}", repr.src), "02:00:00:00:00:09");
        let mut emitted = [0; HEADER_LEN];
        repr.emit(&mut emitted);
        assert_eq!(emitted, frame[..HEADER_LEN]);
        assert_eq!(EthernetRepr::parse(&frame[..13]), Err(Malformed::TooShort));
    }

    #[test]
    fn groups_are_told_from_stations() {
        assert!(HardwareAddr::BROADCAST.is_multicast() && !HardwareAddr::BROADCAST.is_unicast());
        assert!(HardwareAddr([2, 0, 0, 0, 0, 1]).is_unicast() && !HardwareAddr::default().is_unicast());
        // RFC 1112, section 6.4: the low 23 bits.
        assert_eq!(
            HardwareAddr::of_ipv4_multicast([224, 128, 0, 251]),
            HardwareAddr([1, 0, 0x5e, 0, 0, 251])
        );
    }
}

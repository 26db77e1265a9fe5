//! What is read as IPv4, its checksum put right, is read again as it was written.

use wharf_wire::checksum::checksum;
use wharf_wire::ipv4::{HEADER_LEN, Ipv4Repr, has_source_route};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let mut packet = bytes.to_vec();
    let header_len = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if header_len >= HEADER_LEN && header_len <= packet.len() {
        packet[10..12].fill(0);
        let sum = checksum(&packet[..header_len]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    if let Ok((repr, options, payload)) = Ipv4Repr::parse(&packet) {
        has_source_route(options);
        let mut again = vec![0; HEADER_LEN];
        repr.emit(&mut again);
        again.extend_from_slice(payload);
        assert_eq!(Ipv4Repr::parse(&again), Ok((repr, &[][..], payload)));
    }
}

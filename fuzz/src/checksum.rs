//! The sum is that of RFC 1071 read literally, wherever the bytes are cut.

use wharf_wire::checksum::Sum;

fn model(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let (front, behind) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(Sum::new().with(front).with(behind).fold(), model(bytes));
}

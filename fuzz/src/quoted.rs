//! Any quote is read or refused.

use wharf_wire::quoted::Quoted;

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let quotes = [Quoted::parse_ipv4(bytes), Quoted::parse_ipv6(bytes)];
    assert!(quotes.iter().flatten().count() <= 1, "no packet is of both versions");
}

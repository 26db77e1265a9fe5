//! What is read as ARP is written as it was.

use wharf_wire::arp::{ArpRepr, LEN};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    if let Ok(repr) = ArpRepr::parse(bytes) {
        let mut again = [0; LEN];
        repr.emit(&mut again);
        assert_eq!(again, bytes[..LEN]);
    }
}

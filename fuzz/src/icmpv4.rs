//! What is read as ICMP is read again as it was written.

use wharf_wire::icmpv4::{Icmpv4Repr, verify_checksum};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    if let Ok(repr) = Icmpv4Repr::parse(bytes) {
        let mut again = vec![0; repr.len()];
        repr.emit(&mut again);
        assert_eq!(Icmpv4Repr::parse(&again), Ok(repr));
        assert_eq!(verify_checksum(&again), Ok(()));
        repr.quoted();
    }
}

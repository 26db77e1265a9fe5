//! What is read as ICMPv6 is read again as it was written.

use wharf_table::Addr;
use wharf_wire::icmpv6::{Icmpv6Repr, verify_checksum};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let (src, dst) = (Addr::v6([0xfd; 16]), Addr::v6([0x20; 16]));
    if let Ok(repr) = Icmpv6Repr::parse(bytes) {
        let mut again = vec![0; repr.len()];
        repr.emit(src, dst, &mut again);
        assert_eq!(Icmpv6Repr::parse(&again), Ok(repr));
        assert_eq!(verify_checksum(src, dst, &again), Ok(()));
        repr.quoted();
    }
}

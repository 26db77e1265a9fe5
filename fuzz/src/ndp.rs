//! What is read as neighbour discovery is read again as it was written.

use wharf_table::Addr;
use wharf_wire::ndp::NdpRepr;

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    if let Ok(repr) = NdpRepr::parse(bytes) {
        let mut again = vec![0; repr.len()];
        repr.emit(Addr::v6([0xfd; 16]), Addr::v6([0x20; 16]), &mut again);
        assert_eq!(NdpRepr::parse(&again), Ok(repr));
    }
}

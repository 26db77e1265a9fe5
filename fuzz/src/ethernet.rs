//! What is read as a frame is written as it was.

use wharf_wire::ethernet::{EthernetRepr, HEADER_LEN};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    if let Ok((repr, payload)) = EthernetRepr::parse(bytes) {
        let mut again = [0; HEADER_LEN];
        repr.emit(&mut again);
        assert_eq!((&again[..], payload), bytes.split_at(HEADER_LEN));
    }
}

//! What is read as a frame is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_wire::ethernet::{EthernetRepr, HEADER_LEN};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((repr, payload)) = EthernetRepr::parse(bytes) {
        let mut again = [0; HEADER_LEN];
        repr.emit(&mut again);
        assert_eq!((&again[..], payload), bytes.split_at(HEADER_LEN));
    }
});

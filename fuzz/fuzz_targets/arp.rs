//! What is read as ARP is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_wire::arp::{ArpRepr, LEN};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(repr) = ArpRepr::parse(bytes) {
        let mut again = [0; LEN];
        repr.emit(&mut again);
        assert_eq!(again, bytes[..LEN]);
    }
});

//! A name that can be read is read again as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_wire::dns::Name;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
        assert!(name.wire().len() <= 255 && name.is_in(&Name::root()));
        if let Some(addr) = name.reverse_addr() {
            assert_eq!(Name::reverse(addr).reverse_addr(), Some(addr));
        }
    }
});

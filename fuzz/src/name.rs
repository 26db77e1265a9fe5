//! A name that can be read is read again as it was written.

use wharf_wire::dns::Name;

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
        assert!(name.wire().len() <= 255 && name.is_in(&Name::root()));
        if let Some(addr) = name.reverse_addr() {
            assert_eq!(Name::reverse(addr).reverse_addr(), Some(addr));
        }
    }
}

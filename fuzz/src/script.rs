//! Any text is a script, or the place is named at which it is none.

use wharf_sim::script::{IpVersion, parse};

/// Beyond, a text only repeats itself.
const LEN_MAX: usize = 4_096;

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LEN_MAX)]);
    for version in [IpVersion::V4, IpVersion::Mapped, IpVersion::V6] {
        if let Err(error) = parse(&text, version) {
            let lines = text.split('\n').count() as u32;
            assert!((1..=lines).contains(&error.position.line), "{error} in {lines} lines");
            assert!(!error.message.is_empty());
        }
    }
}

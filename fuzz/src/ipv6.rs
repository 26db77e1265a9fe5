//! Every walk over extension headers ends, within the packet.

use wharf_wire::ipv6::{Ipv6Repr, walk, walk_reassembled};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Ok((repr, payload)) = Ipv6Repr::parse(bytes) else { return };
    match walk(&repr, payload) {
        Ok(upper) => {
            assert!(payload.ends_with(upper.payload));
            assert_eq!(bytes[usize::from(upper.next_header_at)], upper.protocol);
            if let Some(fragment) = upper.fragment {
                assert_eq!(fragment.unfragmentable_len + 8 + upper.payload.len(), payload.len());
                let _ = walk_reassembled(fragment.next_header, upper.payload);
            }
        }
        Err(fault) => {
            if let Some((code, pointer)) = fault.parameter_problem(repr.dst) {
                assert!(code <= 3 && pointer as usize <= 40 + payload.len());
            }
        }
    }
}

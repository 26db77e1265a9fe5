//! What a client shows stays as it is, whatever follows, and is the same in pieces of any length.

use wharf_wire::shown::{FirstBytes, Shown, first_bytes};

/// Holds for any bytes: the first says how long the pieces are.
pub fn check(bytes: &[u8]) {
    let Some((&len, bytes)) = bytes.split_first() else { return };
    let whole = first_bytes(bytes);
    let mut reader = FirstBytes::new();
    let mut last = Shown::NeedMore;
    for piece in bytes.chunks(usize::from(len).max(1)) {
        let shown = reader.push(piece);
        assert!(last == Shown::NeedMore || last == shown);
        last = shown;
    }
    assert_eq!(last, whole);
}

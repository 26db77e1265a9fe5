//! A head shows the same in one piece and in two, and no name that is not in it; what stands behind it changes nothing.

use wharf_wire::http::{HeadReader, Http};

/// Holds for any bytes: the first says where the rest is cut.
pub fn check(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let (front, back) = bytes.split_at(bytes.len() * usize::from(cut) / 256);
    let (mut whole, mut parts) = (HeadReader::new(), HeadReader::new());
    let whole = whole.push(bytes);
    let early = parts.push(front).clone();
    assert!(early == Http::NeedMore || early == *whole);
    assert_eq!(parts.push(back), whole);
    let mut more = HeadReader::new();
    assert!(
        *whole == Http::NeedMore || more.push(&[bytes, b"\r\nHost: evil.test\r\n\r\n"].concat()) == whole
    );
    if let Http::Head(head) = whole
        && let Some(name) = head.host.as_ref().and_then(|host| host.name())
    {
        let name = name.as_str().as_bytes();
        assert!(bytes.to_ascii_lowercase().windows(name.len()).any(|part| part == name));
    }
}

//! A head shows the same in one piece and in two, and no name that is not in it; what stands behind it changes nothing. So it
//! is with all requests of a connection.

use wharf_wire::http::{Head, HeadReader, Http, Next, Requests};

/// All heads of a connection that sends `bytes` in pieces of `len`, each with where it ends.
fn heads(bytes: &[u8], len: usize) -> Vec<(usize, Head)> {
    let (mut requests, mut heads, mut at) = (Requests::new(), Vec::new(), 0);
    while at < bytes.len() {
        let (taken, next) = requests.take(&bytes[at..bytes.len().min(at + len)]);
        assert!(taken > 0);
        at += taken;
        if let Next::Head(head) = next {
            heads.push((at, head));
        }
    }
    heads
}

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
    let all = heads(bytes, bytes.len());
    assert_eq!(heads(bytes, usize::from(cut).max(1)), all);
    if let Http::Head(head) = whole
        && all.first().is_some_and(|(_, first)| first == head)
        && let Some(name) = head.host.as_ref().and_then(|host| host.name())
    {
        let name = name.as_str().as_bytes();
        assert!(bytes.to_ascii_lowercase().windows(name.len()).any(|part| part == name));
    }
}

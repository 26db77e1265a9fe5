//! A hello shows the same in one piece, in two, and in records of other lengths; and no name that is not in it.

use wharf_wire::tls::{HEADER_LEN, Hello, HelloReader, MAX_HELLO_LEN, Tls};

/// Holds for any bytes: the first says where the rest is cut.
pub fn check(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let (front, back) = bytes.split_at(bytes.len() * usize::from(cut) / 256);
    let (mut whole, mut parts) = (HelloReader::new(), HelloReader::new());
    let whole = whole.push(bytes);
    parts.push(front);
    assert_eq!(parts.push(back), whole);

    // As the body of a hello, too, and in records of `cut` bytes.
    if bytes.len() > MAX_HELLO_LEN {
        return;
    }
    let [_, high, mid, low] = (bytes.len() as u32).to_be_bytes();
    let message = [&[1, high, mid, low], bytes].concat();
    assert_eq!(message.len(), HEADER_LEN + bytes.len());
    let mut records = HelloReader::new();
    for fragment in message.chunks(usize::from(cut).max(1)) {
        assert_eq!(records.answer(), Tls::NeedMore);
        records.push(&[22, 3, 1, 0, fragment.len() as u8]);
        records.push(fragment);
    }
    let parsed = Hello::parse(bytes);
    if let Ok(Hello { server_name: Some(host), .. }) = &parsed {
        let name = host.name().map(|name| name.as_str().as_bytes()).unwrap_or_default();
        assert!(bytes.to_ascii_lowercase().windows(name.len().max(1)).any(|part| part.starts_with(name)));
    }
    assert_eq!(records.answer(), parsed.map_or_else(Tls::Malformed, Tls::Hello));
}

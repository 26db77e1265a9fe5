use super::*;
use std::string::{String, ToString};
use std::vec;

/// A vector behind its length of two bytes.
fn vec16(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes()[..], data].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vec16(data)].concat()
}

/// The extension `server_name` with these types and names.
fn server_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|(kind, name)| [vec![*kind], vec16(name)].concat()).collect();
    extension(0, &vec16(&list))
}

fn named(name: &str) -> Vec<u8> {
    server_names(&[(0, name.as_bytes())])
}

/// The body of a hello with these extensions.
fn body(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([1, 9]);
    // GREASE stands first (RFC 8701).
    body.extend(vec16(&[0x1a, 0x1a, 0x13, 0x01]));
    body.extend([1, 0]);
    body.extend(vec16(&extensions.concat()));
    body
}

fn message(body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&[CLIENT_HELLO, len[1], len[2], len[3]][..], body].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[HANDSHAKE, 3, 1][..], &vec16(fragment)].concat()
}

/// The records of a hello with these extensions, each with `len` bytes of it.
fn records(extensions: &[Vec<u8>], len: usize) -> Vec<u8> {
    message(&body(extensions)).chunks(len).flat_map(record).collect()
}

/// The server name, and whether there is an encrypted one.
fn shown(bytes: &[u8]) -> (Option<String>, bool) {
    match HelloReader::new().push(bytes) {
        Tls::Hello(hello) => (hello.server_name.map(|host| host.to_string()), hello.encrypted_hello),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(bytes: &[u8], why: Malformed) {
    assert_eq!(HelloReader::new().push(bytes), Tls::Malformed(why));
}

fn open(name: &str) -> (Option<String>, bool) {
    (Some(name.to_string()), false)
}

#[test]
fn the_name_in_a_hello() {
    for len in [1, 2, 5, 40, 1 << 14] {
        assert_eq!(
            shown(&records(&[extension(0x3a3a, &[0]), named("Example.ORG.")], len)),
            open("example.org")
        );
    }
    assert_eq!(shown(&records(&[named("192.0.2.1")], 999)), open("192.0.2.1"));
    assert_eq!(shown(&records(&[extension(0x3a3a, b"")], 999)), (None, false));
}

#[test]
fn a_hello_before_there_were_extensions() {
    let without = message(&body(&[])[..2 + 32 + 2 + 6 + 2]);
    assert_eq!(shown(&record(&without)), (None, false));
}

#[test]
fn a_hello_with_post_quantum_keys_over_several_records() {
    let share = extension(51, &vec16(&[&[0x11, 0xec][..], &vec16(&[5; 1216])].concat()));
    let ech = extension(0xfe0d, &[0; 250]);
    let bytes =
        records(&[extension(0xdada, b""), share, named("pq.example"), ech, extension(0x2a2a, &[0])], 512);
    assert!(bytes.len() > 1500);
    let mut reader = HelloReader::new();
    for (at, byte) in bytes.iter().enumerate() {
        let answer = reader.push(&[*byte]);
        assert_eq!(matches!(answer, Tls::NeedMore), at + 1 < bytes.len());
    }
    assert_eq!(shown(&bytes), (Some("pq.example".to_string()), true));
}

#[test]
fn encrypted_hellos_of_all_drafts() {
    for kind in [0xfe0d, 0xfe0a, 0xfe08, 0xffce] {
        assert_eq!(shown(&records(&[extension(kind, &[1, 2])], 999)), (None, true));
    }
    assert_eq!(shown(&records(&[extension(0xfe0e, &[1, 2])], 999)), (None, false));
}

#[test]
fn protocols_inside() {
    let bytes = records(&[extension(16, &vec16(b"\x02h2\x08http/1.1"))], 999);
    let mut reader = HelloReader::new();
    let Tls::Hello(hello) = reader.push(&bytes) else { panic!("a hello") };
    assert!(hello.alpn.protocols().eq([&b"h2"[..], b"http/1.1"]));
    for data in [&b""[..], b"\0\0", b"\0\x01\0", b"\0\x03\x02h2x", b"\0\x04\x02h2\x02", b"\0\x03\x09h2"] {
        refused(&records(&[extension(16, data)], 999), Malformed::Length);
    }
}

#[test]
fn names_that_some_read_another_way() {
    let one = |names: &[(u8, &[u8])]| records(&[server_names(names)], 999);
    refused(&one(&[(0, b"a.test"), (0, b"b.test")]), Malformed::TwoNames);
    refused(&one(&[(0, b"a.test"), (0, b"A.test")]), Malformed::TwoNames);
    for name in [&b""[..], b".", b"a..b", b"a\0.test", b"b\xc3\xbc.test", b"*.test", b"a.test:443"] {
        refused(&one(&[(0, name)]), Malformed::Name);
        refused(&one(&[(0, b"a.test"), (0, name)]), Malformed::Name);
    }
    // A type that doesn't exist yet is no name.
    assert_eq!(shown(&one(&[(1, b"b.test"), (0, b"a.test")])), open("a.test"));
    assert_eq!(shown(&one(&[(1, b"b.test")])), (None, false));
    for data in [&b""[..], b"\0\0", b"\0\x04\0\0\x02a", b"\0\x04\0\0\x01ab", b"\0\x05\0\0\x01ab"] {
        refused(&records(&[extension(0, data)], 999), Malformed::Length);
    }
}

#[test]
fn extensions_twice() {
    refused(&records(&[named("a.test"), extension(7, b""), named("b.test")], 999), Malformed::Option);
    refused(&records(&[named("a.test"), named("a.test")], 999), Malformed::Option);
    refused(
        &records(&[extension(0x1a1a, b""), named("a.test"), extension(0x1a1a, b"")], 999),
        Malformed::Option,
    );
}

#[test]
fn lengths_that_do_not_fit() {
    let good = body(&[named("a.test")]);
    for cut in 0..good.len() {
        // Without all extensions it is a hello of old.
        if cut == 2 + 32 + 2 + 6 + 2 {
            continue;
        }
        refused(&record(&message(&good[..cut])), Malformed::Length);
    }
    refused(&record(&message(&[good.as_slice(), &[0]].concat())), Malformed::Length);
    let with = |at: usize, value| {
        let mut changed = good.clone();
        changed[at] = value;
        record(&message(&changed))
    };
    refused(&with(0, 2), Malformed::Version);
    refused(&with(34, 33), Malformed::Length);
    refused(&with(37, 3), Malformed::Length);
    refused(&with(37, 0), Malformed::Length);
}

#[test]
fn records_between_and_behind() {
    let message = message(&body(&[named("a.test")]));
    let (front, back) = message.split_at(50);
    refused(&[record(front), vec![21, 3, 1, 0, 2, 1, 0], record(back)].concat(), Malformed::Operation);
    refused(&[record(front), vec![20, 3, 1, 0, 1, 1], record(back)].concat(), Malformed::Operation);
    refused(&[record(front), vec![HANDSHAKE, 2, 1]].concat(), Malformed::Operation);
    refused(&[record(front), record(b""), record(back)].concat(), Malformed::Length);
    refused(&[vec![21, 3, 1, 0, 2, 1, 0], record(&message)].concat(), Malformed::Operation);
    refused(&[HANDSHAKE, 3, 1, 0, 0], Malformed::Length);
    refused(&[HANDSHAKE, 3, 1, 0x40, 1], Malformed::Length);
    refused(&record(&[2, 0, 0, 0]), Malformed::Operation);
    // What stands behind it is not ours: another message in the same record, 0-RTT data.
    let coalesced = record(&[message.as_slice(), &message].concat());
    assert_eq!(shown(&coalesced), open("a.test"));
    assert_eq!(shown(&[record(&message), vec![0xff; 100_000]].concat()), open("a.test"));
}

#[test]
fn what_is_held_is_bounded() {
    let fill = |len| [named("a.test"), extension(21, &vec![0; len])];
    let rest = body(&fill(0)).len();
    assert_eq!(shown(&records(&fill(MAX_HELLO_LEN - rest), 1 << 14)), open("a.test"));
    refused(&records(&fill(MAX_HELLO_LEN - rest + 1), 1 << 14), Malformed::TooLong);
    refused(&record(&[CLIENT_HELLO, 0xff, 0xff, 0xff]), Malformed::TooLong);
    let mut reader = HelloReader::new();
    reader.push(&[record(&message(&body(&[]))), vec![HANDSHAKE; 1 << 20]].concat());
    assert!(reader.message.len() < 100);
}

#[test]
fn what_is_not_tls() {
    for bytes in [
        &b"GET / HTTP/1.1"[..],
        b"SSH-2.0",
        b"\x16\x02",
        b"\x16\xfe\xff",
        b"\x15\x03\x05",
        b"\x14\x04",
        b"\0",
    ] {
        assert_eq!(HelloReader::new().push(bytes), Tls::NotTls, "{}", bytes.escape_ascii());
    }
    for bytes in [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x01\0", b"\x80", b"\x80\x2e\x01\x03"] {
        assert_eq!(HelloReader::new().push(bytes), Tls::NeedMore, "{}", bytes.escape_ascii());
    }
    for bytes in [b"\x80\x2e\x01\x03\x01", b"\x80\x2e\x01\0\x02"] {
        assert_eq!(HelloReader::new().push(bytes), Tls::OldHello);
    }
    for bytes in [b"\x80\x2e\x02\x03\x01", b"\x80\x2e\x01\0\x03", b"\x80\x2e\x01\x04\x01"] {
        assert_eq!(HelloReader::new().push(bytes), Tls::NotTls);
    }
}

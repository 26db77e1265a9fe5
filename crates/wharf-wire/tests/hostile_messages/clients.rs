//! First bytes of clients that mean to be read as another name by the server than by us. The first byte of each is what the fuzz
//! targets take for the length of pieces; those of `quic` are the operations of that target.

use wharf_wire::Malformed;
use wharf_wire::http::{HeadReader, Http};
use wharf_wire::shown::{Hidden, Protocol, Shown, first_bytes};
use wharf_wire::tls::{HelloReader, Tls};

use super::Case;

/// A vector behind its length of two bytes.
fn vec16(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes()[..], data].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vec16(data)].concat()
}

/// The extension `server_name` with these names.
fn named(names: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| [vec![0], vec16(name)].concat()).collect();
    extension(0, &vec16(&list))
}

/// A hello with these extensions, as a handshake message.
fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let body = [&[3, 3], &[7; 32][..], &[0, 0, 2, 0x13, 1, 1, 0], &vec16(&extensions.concat())].concat();
    [&[1, 0], &vec16(&body)[..]].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], &vec16(fragment)[..]].concat()
}

fn tls_is(bytes: &[u8], why: Malformed) {
    assert_eq!(HelloReader::new().push(&bytes[1..]), Tls::Malformed(why));
}

fn http_is(bytes: &[u8], why: Malformed) {
    assert_eq!(*HeadReader::new().push(&bytes[1..]), Http::Malformed(why));
}

fn shown_is(bytes: &[u8], shown: &Shown) {
    assert_eq!(first_bytes(&bytes[1..]), *shown);
}

fn cut(bytes: Vec<u8>) -> Vec<u8> {
    [vec![100], bytes].concat()
}

fn head(lines: &str) -> Vec<u8> {
    cut(format!("{lines}\r\n\r\n").into_bytes())
}

/// An operation of the target `quic`: of whose connection which part of which of two hellos comes, 0 of good, 1 of evil.
fn part(which: u8, whose: u8, offset: u8, len: u8) -> [u8; 6] {
    [which, whose, 0, offset, len, 0b0110_1000]
}

/// Holds whatever the operations are; the property is the target's own, asked in `crates/wharf-sim/tests/seeds.rs`.
fn is_operations(bytes: &[u8]) {
    assert!(bytes.len() >= 12);
}

cases! {
    tls tls_two_names: cut(record(&hello(&[named(&[b"good.test", b"evil.test"])])))
        => |bytes| tls_is(bytes, Malformed::TwoNames),
    tls tls_two_lists_of_names: cut(record(&hello(&[named(&[b"good.test"]), named(&[b"evil.test"])])))
        => |bytes| tls_is(bytes, Malformed::Option),
    tls tls_name_with_nul: cut(record(&hello(&[named(&[b"good.test\0.evil.test"])])))
        => |bytes| tls_is(bytes, Malformed::Name),
    tls tls_name_of_nothing: cut(record(&hello(&[named(&[b""])]))) => |bytes| tls_is(bytes, Malformed::Name),
    tls tls_name_beyond_its_list: cut(record(&hello(&[extension(0, b"\0\x05\0\0\x09good.test")])))
        => |bytes| tls_is(bytes, Malformed::Length),
    tls tls_record_of_nothing: cut([record(&[1, 0]), record(b"")].concat()) => |bytes| tls_is(bytes, Malformed::Length),
    tls tls_alert_between: cut([record(&[1, 0]), vec![21, 3, 1, 0, 2, 1, 0]].concat())
        => |bytes| tls_is(bytes, Malformed::Operation),
    tls tls_alert_before: cut([vec![21, 3, 1, 0, 2, 1, 0], record(&hello(&[named(&[b"evil.test"])]))].concat())
        => |bytes| tls_is(bytes, Malformed::Operation),
    tls tls_sixteen_megabytes: cut(record(&[1, 0xff, 0xff, 0xff])) => |bytes| tls_is(bytes, Malformed::TooLong),
    tls tls_byte_by_byte: cut(hello(&[named(&[b"good.test"])]).chunks(1).flat_map(record).collect())
        => |bytes| assert!(matches!(HelloReader::new().push(&bytes[1..]), Tls::Hello(_))),
    tls tls_body_alone: cut(hello(&[extension(0xfe0d, b"x"), named(&[b"good.test"])])[4..].to_vec())
        => |bytes| assert_eq!(HelloReader::new().push(&bytes[1..]), Tls::NotTls),

    http http_two_hosts: head("GET / HTTP/1.1\r\nHost: good.test\r\nHost: evil.test")
        => |bytes| http_is(bytes, Malformed::TwoNames),
    http http_target_of_another: head("GET http://good.test/ HTTP/1.1\r\nHost: evil.test")
        => |bytes| http_is(bytes, Malformed::TwoNames),
    http http_host_behind_a_lone_feed: head("GET / HTTP/1.1\r\nX: a\nHost: evil.test\r\nHost: good.test")
        => |bytes| http_is(bytes, Malformed::TwoNames),
    http http_host_behind_a_lone_return: head("GET / HTTP/1.1\r\nX: a\rHost: evil.test\r\nHost: good.test")
        => |bytes| http_is(bytes, Malformed::Line),
    http http_space_before_the_colon: head("GET / HTTP/1.1\r\nHost : evil.test\r\nHost: good.test")
        => |bytes| http_is(bytes, Malformed::Line),
    http http_line_continued: head("GET / HTTP/1.1\r\nX: a\r\n Host: evil.test\r\nHost: good.test")
        => |bytes| http_is(bytes, Malformed::Line),
    http http_user_that_looks_like_a_host: head("GET http://good.test@evil.test/ HTTP/1.1\r\nHost: evil.test")
        => |bytes| http_is(bytes, Malformed::Name),
    http http_list_of_hosts: head("GET / HTTP/1.1\r\nHost: good.test, evil.test") => |bytes| http_is(bytes, Malformed::Name),
    http http_without_a_version: head("GET /\r\nHost: evil.test") => |bytes| http_is(bytes, Malformed::Line),
    http http_without_a_method: [vec![0x64], b" HTTP/1.1\r\nHost: evil.\r\n\r\n".to_vec()].concat()
        => |bytes| http_is(bytes, Malformed::Line),
    http http_tunnel: head("CONNECT good.test:443 HTTP/1.1\r\nHost: good.test")
        => |bytes| assert!(matches!(HeadReader::new().push(&bytes[1..]), Http::Head(_))),

    http http_two_requests: head("GET / HTTP/1.1\r\nHost: good.test\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test")
        => |bytes| assert!(matches!(HeadReader::new().push(&bytes[1..]), Http::Head(_))),
    http http_request_behind_chunks: head("PUT / HTTP/1.1\r\nHost: good.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
        GET / HTTP/1.1\r\nHost: evil.test")
        => |bytes| assert!(matches!(HeadReader::new().push(&bytes[1..]), Http::Head(_))),
    http http_two_lengths: head("PUT / HTTP/1.1\r\nHost: good.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0")
        => |bytes| http_is(bytes, Malformed::Length),

    shown shown_ssh: cut(b"SSH-2.0-x\r\n".to_vec()) => |bytes| shown_is(bytes, &Shown::Silent(Protocol::Ssh)),
    shown shown_preface: cut(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec())
        => |bytes| shown_is(bytes, &Shown::Hidden { protocol: Protocol::Http2, why: Hidden::Unreadable }),
    shown shown_old_hello: cut(vec![0x80, 46, 1, 3, 1, 0, 21])
        => |bytes| shown_is(bytes, &Shown::Hidden { protocol: Protocol::Tls, why: Hidden::Omitted }),
    shown shown_line_byte_by_byte: [vec![0], b" HTTP/1.1\r\nHost* goo\r\nd4".to_vec()].concat()
        => |bytes| shown_is(bytes, &Shown::Malformed { protocol: Protocol::Http, why: Malformed::Line }),
    shown shown_encrypted: cut(record(&hello(&[extension(0xfe0d, b"x")])))
        => |bytes| shown_is(bytes, &Shown::Hidden { protocol: Protocol::Tls, why: Hidden::Encrypted(None) }),
    shown shown_head: head("GET / HTTP/1.1\r\nHost: good.test")
        => |bytes| assert!(matches!(first_bytes(&bytes[1..]), Shown::Name { protocol: Protocol::Http, .. })),
    shown shown_greeting: cut(b"EHLO good.test\r\n".to_vec()) => |bytes| shown_is(bytes, &Shown::Silent(Protocol::Other)),

    quic quic_good_then_evil: [part(0, 0, 0, 255), part(1, 0, 0, 255)].concat() => is_operations,
    quic quic_half_of_each: [part(0, 0, 0, 40), part(1, 0, 30, 255), part(0, 0, 30, 255)].concat() => is_operations,
    quic quic_three_connections: [part(0, 0, 0, 255), part(1, 1, 0, 255), part(0, 2, 0, 255), part(5, 0, 0, 255)].concat()
        => is_operations,
    quic quic_two_versions: [part(0, 0, 0, 255), part(3, 0, 0, 255), part(7, 0, 20, 30)].concat() => is_operations,
    quic quic_short_header_behind: [&part(0, 0, 9, 20)[..], &part(0, 0, 0, 255), &[0x40, 1, 2]].concat() => is_operations,
}

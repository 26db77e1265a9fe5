use super::*;
use crate::host_name::Host;
use std::format;
use std::string::{String, ToString};

fn read(text: &str) -> Http {
    HeadReader::new().push(text.as_bytes()).clone()
}

/// The host, the port and the form of a head.
fn shown(text: &str) -> (Option<String>, Option<u16>, Form) {
    match read(text) {
        Http::Head(Head { host, port, form }) => (host.map(|host| host.to_string()), port, form),
        other => panic!("{text:?}: {other:?}"),
    }
}

fn is(host: &str, port: impl Into<Option<u16>>, form: Form) -> (Option<String>, Option<u16>, Form) {
    (Some(host.to_string()), port.into(), form)
}

#[track_caller]
fn refused(text: &str, why: Malformed) {
    assert_eq!(read(text), Http::Malformed(why), "{text:?}");
}

#[test]
fn the_host_of_a_request() {
    assert_eq!(shown("GET / HTTP/1.1\r\nHost: Example.org\r\n\r\n"), is("example.org", None, Form::Origin));
    assert_eq!(
        shown("GET / HTTP/1.1\nhOST:\texample.org:8080 \n\nbody"),
        is("example.org", 8080, Form::Origin)
    );
    assert_eq!(shown("OPTIONS * HTTP/1.1\r\nA: b\r\nHost: [::1]:80\r\n\r\n"), is("::1", 80, Form::Asterisk));
    assert_eq!(shown("\r\n\n\r\nM-SEARCH /\u{fc} HTTP/1.9\r\nHost: a\r\n\r\n"), is("a", None, Form::Origin));
}

#[test]
fn nobody_is_asked_for() {
    let nobody = (None, None, Form::Origin);
    assert_eq!(shown("GET / HTTP/1.0\r\n\r\n"), nobody);
    assert_eq!(shown("GET / HTTP/1.1\r\nHost:\r\n\r\n"), nobody);
    assert_eq!(shown("GET / HTTP/1.1\r\nHost: \t \r\n\r\n"), nobody);
    refused("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", Malformed::Line);
    refused("GET http://a/ HTTP/1.1\r\n\r\n", Malformed::Line);
}

#[test]
fn the_target_may_hold_the_host() {
    for target in ["http://a.test", "HTTP://A.test/x", "http://a.test?http://b.test/", "ws+x://a.test./"] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(shown(&text), is("a.test", None, Form::Absolute));
        let text = format!("GET {target} HTTP/1.0\r\n\r\n");
        assert_eq!(shown(&text), is("a.test", None, Form::Absolute));
        refused(&format!("GET {target} HTTP/1.1\r\nHost: b.test\r\n\r\n"), Malformed::TwoNames);
    }
    let text = "GET http://a.test:81/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
    assert_eq!(shown(text), is("a.test", 81, Form::Absolute));
    let text = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
    assert_eq!(shown(text), is("a.test", 443, Form::Authority));
    refused("CONNECT a.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n", Malformed::TwoNames);
    refused("CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", Malformed::Length);
    refused("CONNECT http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", Malformed::Length);
    refused("GET a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", Malformed::Line);
}

#[test]
fn hosts_that_some_read_another_way() {
    for target in [
        "http://u@a.test/",
        "http://a.test#@b.test/",
        "http://a.test\\@b.test/",
        "http:///x",
        "http://a%2etest/",
    ] {
        refused(&format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"), Malformed::Name);
    }
    for host in [
        "a.test, b.test",
        "a.test b.test",
        "u@a.test",
        "a.test/",
        "http://a.test",
        "\"a.test\"",
        "127.1",
        "b\u{fc}.test",
    ] {
        assert!(
            matches!(read(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Http::Malformed(_)),
            "{host}"
        );
    }
}

#[test]
fn lines_that_some_read_another_way() {
    for lines in ["Host: a\r\nHost: b", "Host: a\r\nhost: a", "X: a\nHost: b\r\nHost: a", "Host:\r\nHost: a"]
    {
        refused(&format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"), Malformed::TwoNames);
    }
    for lines in [
        " Host: b\r\nHost: a",
        "Host: a\r\n b",
        "X: a\r\n\tb\r\nHost: a",
        "Host : a",
        "Host\t: b\r\nHost: a",
        "X: a\rHost: b\r\nHost: a",
        "X: a\0\r\nHost: a",
        "X\r\nHost: a",
        ": x\r\nHost: a",
        "X(: x\r\nHost: a",
    ] {
        refused(&format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"), Malformed::Line);
    }
}

#[test]
fn first_lines_that_some_read_another_way() {
    for line in [
        "GET /",
        "GET ",
        " GET / HTTP/1.1",
        "\tG(T / HTTP/1.1",
        "CONNECT a.test:443",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / x HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/1.10",
        "GET / HTTP/1.",
        "GET /\t HTTP/1.1",
        "GET /\r HTTP/1.1",
        "GET http://a HTTP/1.1\rX: HTTP/1.1",
        "PRI * HTTP/2.0 ",
        "PRI * HTTP/2.1",
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), Malformed::Line);
    }
}

#[test]
fn what_is_not_http() {
    for text in [
        "\x16\x03\x01",
        "\rGET",
        "G\0T",
        "EHLO example.org\r\n",
        "USER joe\r\n",
        "GET\r\n",
        "\r\n\r\n\x16",
        "{\"a\": 1}\n",
        "AVERYLONGWORDTHATISNOMETHODOFANYONEATALL",
    ] {
        assert_eq!(read(text), Http::NotHttp, "{text:?}");
    }
    assert_eq!(read("SSH-2.0-OpenSSH_9.2\r\n"), Http::Ssh);
    assert_eq!(read("SSH-"), Http::Ssh);
    assert_eq!(read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Http::Http2);
}

#[test]
fn what_may_become_http_waits() {
    let whole = "\r\nGET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(read(&whole[..end]), Http::NeedMore, "{:?}", &whole[..end]);
    }
    for text in ["", "\r", "S", "SSH", "PRI * HTTP/2.0", "PRI * HTTP/2.0\r"] {
        assert_eq!(read(text), Http::NeedMore, "{text:?}");
    }
}

#[test]
fn what_is_held_is_bounded() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    let fill = MAX_HEAD_LEN - head.len() - 4;
    assert_eq!(shown(&format!("{head}{}\r\n\r\n", "x".repeat(fill))), is("a", None, Form::Origin));
    refused(&format!("{head}{}\r\n\r\n", "x".repeat(fill + 1)), Malformed::TooLong);
    refused(&format!("GET /{}", "x".repeat(MAX_HEAD_LEN)), Malformed::TooLong);
    refused(&"\r\n".repeat(MAX_HEAD_LEN), Malformed::TooLong);
    let mut reader = HeadReader::new();
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{}", "x".repeat(1 << 20));
    assert!(matches!(reader.push(text.as_bytes()), Http::Head(_)));
    assert!(reader.head.len() < 100);
    assert!(matches!(reader.push(b"\0"), Http::Head(Head { host: Some(Host::Name(_)), .. })));
}

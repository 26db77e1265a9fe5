use super::*;
use crate::host_name::Host;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

fn read(text: &str) -> Http {
    HeadReader::new().push(text.as_bytes()).clone()
}

/// The host, the port and the form of a head.
fn shown(text: &str) -> (Option<String>, Option<u16>, Form) {
    match read(text) {
        Http::Head(Head { host, port, form, .. }) => (host.map(|host| host.to_string()), port, form),
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
fn first_lines_may_be_cut_anywhere() {
    for line in [" HTTP/1.1", "X", "X Y", " ", "\r", "GET", " GET", "GET / HTTP/1.1", "SSH-", "a\rb", "(\r"] {
        let line = format!("{line}\r\n");
        let whole = read(&line);
        for at in 0..line.len() {
            let mut reader = HeadReader::new();
            reader.push(&line.as_bytes()[..at]);
            assert_eq!(*reader.push(&line.as_bytes()[at..]), whole, "{line:?}, {at}");
        }
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

/// All that `Requests` says of `text`, each with what it took: hosts as they are, the rest in brackets.
fn walk(text: &str, step: usize) -> Vec<(String, String)> {
    let mut requests = Requests::new();
    let mut said: Vec<(String, String)> = Vec::new();
    let (mut at, mut held) = (0, String::new());
    while at < text.len() {
        let (taken, next) = requests.take(&text.as_bytes()[at..text.len().min(at + step)]);
        assert!(taken > 0);
        held.push_str(&text[at..at + taken]);
        at += taken;
        let what = match next {
            Next::NeedMore => continue,
            Next::Head(head) => head.host.unwrap().to_string(),
            Next::Body => "[body]".to_string(),
            Next::Other => "[other]".to_string(),
            Next::Malformed(why) => format!("[{why}]"),
        };
        match said.last_mut() {
            Some((last, bytes)) if *last == what && what.starts_with('[') => bytes.push_str(&held),
            _ => said.push((what, held.clone())),
        }
        held.clear();
    }
    if !held.is_empty() {
        said.push(("[held]".to_string(), held));
    }
    said
}

#[track_caller]
fn walks(parts: &[(&str, &str)]) {
    let text: String = parts.iter().map(|(_, text)| *text).collect();
    let expected: Vec<(String, String)> =
        parts.iter().map(|(what, text)| (what.to_string(), text.to_string())).collect();
    for step in [1, 2, 3, 7, text.len()] {
        assert_eq!(walk(&text, step), expected, "{step}");
    }
}

#[test]
fn each_request_of_a_connection() {
    let get = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    walks(&[
        ("good.test", "GET / HTTP/1.1\r\nHost: good.test\r\n\r\n"),
        ("evil.test", get),
        ("evil.test", get),
    ]);
    walks(&[
        ("good.test", "POST / HTTP/1.1\r\nContent-Length: 5\r\nHost: good.test\r\n\r\n"),
        ("[body]", "GET /"),
        ("evil.test", "\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
        ("[held]", "GET / HTTP/1.1\r\nHost: evil.test\r\n"),
    ]);
    walks(&[
        ("good.test", "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: good.test\r\n\r\n"),
        ("[body]", "5;a=b\r\nGET /\r\n0a\r\n0123456789\r\n0\r\nX: y\r\n\r\n"),
        ("evil.test", get),
    ]);
}

#[test]
fn other_protocols_behind_a_request() {
    let upgrade = "GET / HTTP/1.1\r\nHost: good.test\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    walks(&[("good.test", upgrade), ("[other]", "\u{1}\u{2}GET / HTTP/1.1\r\n")]);
    walks(&[("good.test", upgrade), ("evil.test", "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")]);
    let connect = "CONNECT good.test:443 HTTP/1.1\r\nHost: good.test\r\n\r\n";
    walks(&[("good.test", connect), ("[other]", "\u{16}\u{3}\u{1}")]);
    walks(&[
        ("good.test", &upgrade.replace("Upgrade", "X")),
        ("[malformed line]", "\u{1}\u{2}GET / HTTP/1.1\r\n"),
    ]);
}

#[test]
fn bodies_that_end_at_two_places() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: 0x5",
        "Content-Length:",
        "Content-Length: 9999999999999999999",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nUpgrade: x",
    ] {
        refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"), Malformed::Length);
    }
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Malformed::Length);
    let head = "POST / HTTP/1.1\r\nHost: good.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = "x".repeat(300);
    let chunks: [(&str, &str); 9] = [
        ("5\n", "malformed line"),
        ("\r\n", "wrong length"),
        ("5 \r\n", "wrong length"),
        ("-5\r\n", "wrong length"),
        ("0x5\r\n", "wrong length"),
        ("5;a\rb\r\n", "wrong length"),
        ("1\r\nab", "malformed line"),
        ("0\r\n X: y\r\n", "malformed line"),
        (&long, "too long"),
    ];
    for (chunk, why) in chunks {
        let said = walk(&format!("{head}{chunk}"), 1);
        assert_eq!(said.last().unwrap().0, format!("[{why}]"), "{chunk:?}: {said:?}");
    }
}

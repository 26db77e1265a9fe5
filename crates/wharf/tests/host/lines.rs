//! Lines that make no sense, many clients, and what is told of what happens.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::lab::{Host, Network, Room, finished};

#[test]
fn a_bad_line_is_answered_and_ends_nothing() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tun", &[]);
    for (line, field, message) in [
        ("{", json!(null), "column 1: EOF while parsing an object"),
        ("[]", json!(null), "the line is no JSON object"),
        ("{\"do\":\"bind\"} x", json!(null), "column 15: trailing characters"),
        ("{\"id\":7}", json!("do"), "field \"do\": missing"),
        ("{\"do\":\"bnd\",\"id\":7}", json!("do"), "field \"do\": \"bnd\": no such request"),
        (
            "{\"do\":\"bind\",\"prot\":1}",
            json!("prot"),
            "field \"prot\": bind has no such field (there are: socket, at, port)",
        ),
        ("{\"do\":\"bind\"}", json!("socket"), "field \"socket\": missing"),
        (
            "{\"do\":\"bind\",\"socket\":-1}",
            json!("socket"),
            "field \"socket\": -1: not the number of a socket",
        ),
        ("{\"do\":\"connect\",\"socket\":0,\"to\":\"10.8.0.1\"}", json!("to"), "field \"to\": \"10.8.0.1\""),
        ("{\"do\":\"send\",\"socket\":0,\"hex\":\"0\"}", json!("hex"), "field \"hex\": not hex"),
        (
            "{\"do\":\"serve\",\"port\":7,\"as\":\"ftp\"}",
            json!("as"),
            "field \"as\": \"ftp\": none of echo, discard",
        ),
        (
            "{\"do\":\"wait\",\"sockets\":[0],\"for\":[\"x\"]}",
            json!("for"),
            "field \"for\": \"x\": none of readable",
        ),
        (
            "{\"do\":\"table\",\"after\":\"f4294967295\"}",
            json!("after"),
            "field \"after\": \"f4294967295\": not the",
        ),
        ("\u{0}\u{1}", json!(null), "column 1: expected value"),
    ] {
        host.write(line);
        let answer = host.line();
        assert_eq!((&answer["error"], &answer["field"]), (&json!("bad_request"), &field), "{line} {answer}");
        let said = answer["message"].as_str().expect("text");
        assert!(said.starts_with(message), "{line}: {said}");
    }
    host.write("");
    assert_eq!(host.error(json!({"do": "bind", "socket": 0})), "EBADF");
    let help = host.good(json!({"do": "help"}));
    assert!(help["requests"].as_array().is_some_and(|requests| requests.len() > 20));
}

struct Client(BufReader<UnixStream>);

impl Client {
    fn new(path: &str) -> Client {
        let stream = UnixStream::connect(path).expect("the host listens");
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a span");
        Client(BufReader::new(stream))
    }

    fn write(&mut self, request: &Value) {
        self.0.get_mut().write_all(format!("{request}\n").as_bytes()).expect("the host reads");
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the host says something");
        serde_json::from_str(&line).expect("it is JSON")
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.write(request);
        self.line()
    }
}

#[test]
fn many_clients_and_what_they_hear() {
    let Some(network) = Network::new() else { return };
    let room = Room::new();
    let path = room.file("h.sock");
    let mut host = Host::new(&network, "--tap", &["--socket", &path]);
    let mode = std::fs::metadata(&path).expect("the name is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (mut one, mut other) = (Client::new(&path), Client::new(&path));
    other.ask(&json!({"do": "events", "on": true}));
    let listener = one.ask(&json!({"do": "socket"}))["socket"].clone();
    one.ask(&json!({"do": "bind", "socket": listener, "port": 7000}));
    one.ask(&json!({"do": "listen", "socket": listener}));
    one.write(&json!({"do": "accept", "socket": listener, "wait": true}));
    // The other goes on, and standard input as well.
    assert_eq!(other.ask(&json!({"do": "peer", "socket": listener}))["error"], json!("ENOTCONN"));
    host.good(json!({"do": "now"}));
    let program = "
import socket
s = socket.create_connection(('10.8.0.2', 7000), 10)
s.sendall(b'x')
assert s.recv(1) == b'y'
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\x01\\0\\0\\0\\0\\0\\0\\0')
s.close()
";
    let client = network.python(program);
    let socket = one.line()["socket"].clone();
    let mut heard = Vec::new();
    let mut hear = |other: &mut Client, last: &str| {
        while heard.last().is_none_or(|event| event != last) {
            let line = other.line();
            heard.push(line["event"].as_str().expect("an event").to_owned());
        }
    };
    hear(&mut other, "readable");
    assert_eq!(one.ask(&json!({"do": "receive", "socket": socket}))["text"], json!("x"));
    one.ask(&json!({"do": "send", "socket": socket, "text": "y"}));
    finished(client);
    hear(&mut other, "closed");
    for event in ["acceptable", "accepted", "readable", "reset", "closed"] {
        assert!(heard.iter().any(|it| it == event), "{event}: {heard:?}");
    }
    assert_eq!(one.ask(&json!({"do": "receive", "socket": socket}))["error"], json!("ECONNRESET"));
    // With a socket the end of standard input is not the host's.
    drop(host.child.stdin.take());
    assert!(one.ask(&json!({"do": "now"}))["now_s"].is_number());
    // A second host does not take the name of a living one.
    let namespace = network.path();
    let words = ["host", "--address", "10.9.0.2/24", "--tap", "w1", "--netns", &namespace, "--socket", &path];
    let refused =
        std::process::Command::new(env!("CARGO_BIN_EXE_wharf")).args(words).output().expect("it is built");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("somebody listens there already"));
}

//! Data over TAP and TUN, IPv4 and IPv6, opened from either side, with the kernel as the peer.

use serde_json::json;

use crate::lab::{Host, Network, finished};

/// Sends a MiB of random bytes, hears it again, and compares.
const ECHOED: &str = "
import os, socket, sys, threading
data = os.urandom(1 << 20)
s = socket.create_connection((sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else ADDRESS, 10)
threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
got = bytearray()
while part := s.recv(65536): got += part
assert bytes(got) == data, len(got)
print('same')
";

/// Says on which port it listens, and echoes one connection.
const ECHOES: &str = "
import socket
l = socket.create_server(ADDRESS, family=FAMILY)
print(l.getsockname()[1], flush=True)
s, _ = l.accept()
while part := s.recv(65536): s.sendall(part)
";

fn echo(kind: &str) {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, kind, &[]);
    host.good(json!({"do": "serve", "port": 7, "as": "echo"}));
    let ours = ["10.8.0.2", "fd00:8::2"];
    for address in ours {
        let program = ECHOED.replace("ADDRESS", &format!("('{address}', 7)"));
        assert_eq!(finished(network.python(&program)), "same\n");
        network.run(&["ping", "-n", "-c", "1", "-W", "5", "-s", "4000", address]);
    }
    // The other way round: the host connects, and sends and receives by requests.
    let data = "0123456789abcdef".repeat(1 << 16);
    for (address, family) in [("10.8.0.1", "AF_INET"), ("fd00:8::1", "AF_INET6")] {
        let program = ECHOES.replace("ADDRESS", &format!("('{address}', 0)"));
        let mut server = network.python(&program.replace("FAMILY", &format!("socket.{family}")));
        let port = first_line(&mut server);
        let socket = host.socket(json!({"family": "ipv6"}));
        let to =
            if family == "AF_INET" { format!("{address}:{port}") } else { format!("[{address}]:{port}") };
        let connected = host.good(json!({"do": "connect", "socket": socket, "to": to, "timeout_s": 10}));
        assert_eq!(connected["peer"]["text"], json!(to));
        let send = host.begin(json!({"do": "send", "socket": socket, "text": data, "wait": true}));
        let receive = host.begin(json!({
            "do": "receive", "socket": socket, "max_bytes": data.len(), "all": true, "wait": true,
        }));
        for _ in 0..2 {
            let answer = host.line();
            if answer["id"] == json!(send) {
                assert_eq!(answer["sent_bytes"], json!(data.len()));
            } else {
                assert_eq!(answer["id"], json!(receive));
                assert!(answer["text"] == json!(data), "{}", answer["received_bytes"]);
            }
        }
        host.good(json!({"do": "shutdown", "socket": socket, "how": "write"}));
        let end = host.good(json!({"do": "receive", "socket": socket, "timeout_s": 10}));
        assert_eq!((&end["end"], &end["received_bytes"]), (&json!(true), &json!(0)));
        let info = host.good(json!({"do": "info", "socket": socket}));
        assert_eq!(info["info"]["sent_bytes"], json!(data.len()), "{info}");
        host.good(json!({"do": "close", "socket": socket}));
        finished(server);
    }
    assert!(host.end().success());
    assert!(!network.has("w0"), "the interface is still there");
}

/// The first line of a program's output.
fn first_line(child: &mut std::process::Child) -> String {
    use std::io::Read;
    let stdout = child.stdout.as_mut().expect("it is a pipe");
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).expect("it can be read") == 1 && byte != [b'\n'] {
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("it is a number")
}

#[test]
fn a_mib_each_way_over_ethernet() {
    echo("--tap");
}

#[test]
fn a_mib_each_way_over_ip_packets() {
    echo("--tun");
}

#[test]
fn accepted_connections_talk() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tap", &["--no-offload"]);
    let listener = host.socket(json!({}));
    host.good(json!({"do": "bind", "socket": listener, "port": 7000}));
    host.good(json!({"do": "listen", "socket": listener}));
    assert_eq!(host.error(json!({"do": "accept", "socket": listener})), "EAGAIN");
    // Others are answered while this waits.
    let accept = host.begin(json!({"do": "accept", "socket": listener, "wait": true}));
    host.good(json!({"do": "now"}));
    let program = "
import socket
s = socket.create_connection(('10.8.0.2', 7000), 10)
s.sendall(b'\\xff\\x00 and more')
assert s.recv(100) == b'good', 'the greeting'
assert s.recv(100) == b'', 'the end'
";
    let client = network.python(program);
    let answer = host.line();
    assert_eq!((&answer["id"], &answer["peer"]["address"]), (&json!(accept), &json!("10.8.0.1")));
    let socket = answer["socket"].as_u64().expect("a number");
    let ready = host.good(json!({"do": "wait", "sockets": [listener, socket], "for": ["readable"]}));
    assert_eq!(ready["ready"][0]["socket"], json!(socket));
    let peeked =
        host.good(json!({"do": "receive", "socket": socket, "max_bytes": 2, "as": "hex", "peek": true}));
    assert_eq!(peeked["hex"], json!("ff00"));
    let got = host.good(json!({"do": "receive", "socket": socket}));
    assert_eq!(got["base64"], json!("/wAgYW5kIG1vcmU="));
    host.good(json!({"do": "send", "socket": socket, "base64": "Z29vZA=="}));
    host.good(json!({"do": "close", "socket": socket}));
    finished(client);
    assert_eq!(host.error(json!({"do": "receive", "socket": socket})), "EBADF");
}

#[test]
fn datagrams_both_ways() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tun", &[]);
    host.good(json!({"do": "serve", "port": 7, "as": "echo", "protocol": "udp"}));
    let socket = host.socket(json!({"kind": "datagram", "family": "ipv6"}));
    host.good(json!({"do": "bind", "socket": socket, "port": 5000}));
    let program = "
import socket
for family, to in ((socket.AF_INET, '10.8.0.2'), (socket.AF_INET6, 'fd00:8::2')):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(10)
    for data in (b'', b'x', b'y' * 9000):
        s.sendto(data, (to, 7))
        assert s.recv(65536) == data, len(data)
    s.sendto(b'question', (to, 5000))
    assert s.recv(100) == b'answer'
    s.sendto(b'nobody', (to, 5001))
";
    let client = network.python(program);
    for _ in 0..2 {
        let got = host.good(json!({"do": "receive", "socket": socket, "wait": true}));
        assert_eq!((&got["text"], &got["end"]), (&json!("question"), &json!(false)));
        host.good(json!({"do": "send_to", "socket": socket, "to": got["from"], "text": "answer"}));
    }
    finished(client);
    // A port of the kernel at which nobody is: ICMP says so to a connected socket.
    let alone = host.socket(json!({"kind": "datagram"}));
    host.good(json!({"do": "connect", "socket": alone, "to": "10.8.0.1:9"}));
    host.good(json!({"do": "send", "socket": alone, "text": "x"}));
    host.good(json!({"do": "wait", "sockets": [alone], "for": ["readable"], "timeout_s": 10}));
    assert_eq!(host.error(json!({"do": "receive", "socket": alone})), "ECONNREFUSED");
}

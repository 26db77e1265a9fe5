//! How a host begins and ends, and that nothing of it stays.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::lab::{Host, Network, Room, good, until};

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "signal {name}");
}

#[test]
fn a_signal_ends_it_well_and_a_kill_leaves_nothing_but_a_name() {
    let Some(network) = Network::new() else { return };
    let room = Room::new();
    let path = room.file("h.sock");
    let mut host = Host::new(&network, "--tap", &["--socket", &path]);
    assert!(network.has("w0"));
    signal("INT", host.child.id());
    assert_eq!(host.child.wait().expect("the child is ours").code(), Some(0));
    assert!(!network.has("w0") && !Path::new(&path).exists());
    let mut host = Host::new(&network, "--tun", &["--socket", &path]);
    signal("KILL", host.child.id());
    let _ = host.child.wait();
    until("the interface is still there", || !network.has("w0"));
    assert!(Path::new(&path).exists());
    // The next one takes the name over, but not that of a file.
    let host = Host::new(&network, "--tun", &["--socket", &path]);
    drop(host);
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&path, "mine").expect("it can be written");
    let namespace = network.path();
    let words = ["host", "--address", "10.8.0.2/24", "--netns", &namespace, "--socket", &path];
    let refused = Command::new(env!("CARGO_BIN_EXE_wharf")).args(words).output().expect("it is built");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no socket has this name"));
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "mine");
}

#[test]
fn a_persistent_interface_is_used_and_left() {
    let Some(network) = Network::new() else { return };
    network.run(&["ip", "tuntap", "add", "w0", "mode", "tap"]);
    network.run(&["ip", "address", "add", "10.8.0.1/24", "dev", "w0"]);
    network.run(&["ip", "link", "set", "w0", "up"]);
    let namespace = network.path();
    let mut host = Host::start(&["--address", "10.8.0.2/24", "--tap", "w0", "--netns", &namespace]);
    host.ask(json!({"do": "now"}));
    network.run(&["ping", "-n", "-c", "1", "-W", "5", "10.8.0.2"]);
    for (more, why) in [(&["--peer", "10.8.0.1/24"][..], "exists already"), (&[], "another program holds it")]
    {
        let words =
            [&["host", "--address", "10.8.0.3/24", "--tap", "w0", "--netns", &namespace], more].concat();
        let refused = Command::new(env!("CARGO_BIN_EXE_wharf")).args(words).output().expect("it is built");
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
    }
    assert!(host.end().success());
    assert!(network.has("w0"));
}

#[test]
fn what_is_asked_for_within_a_time_is_answered_after_the_end_of_input() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tap", &[]);
    let listener = host.socket(json!({}));
    host.good(json!({"do": "listen", "socket": listener}));
    host.begin(json!({"do": "accept", "socket": listener, "wait": true}));
    host.begin(json!({"do": "accept", "socket": listener, "timeout_s": 0.1}));
    drop(host.child.stdin.take());
    assert_eq!(host.line()["error"], json!("EAGAIN"));
    assert!(host.end().success());
}

/// Asks the host from within its network, as the command does.
const SCRIPT: &str = "
h() { python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall((sys.argv[2] + chr(10)).encode())
print(s.makefile().readline(), end=\"\")' \"$SOCKET\" \"$1\"; }
h '{\"do\":\"serve\",\"port\":80,\"as\":\"http\"}'
curl --silent --max-time 10 http://10.8.0.2/ && curl --silent --max-time 10 'http://[fd00:8::2]/'
exit 7
";

#[test]
fn an_ordinary_user_has_a_network_with_a_host_in_it() {
    let Some(_network) = Network::new() else { return };
    let room = Room::new();
    let path = room.file("h.sock");
    let ordinary = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let probe = Command::new("setpriv").args(ordinary).args(["unshare", "-Urn", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: an ordinary user can't make user namespaces here");
        return;
    }
    let wharf = room.file("wharf");
    let start = |command: &[&str]| {
        let mut all = Command::new("setpriv");
        all.args(ordinary).args([&wharf, "host", "--address", "10.8.0.2/24", "--address", "fd00:8::2/64"]);
        all.args(["--socket", &path, "--"]).args(command).env("SOCKET", &path).current_dir(room.path());
        all
    };
    let output = start(&["sh", "-c", SCRIPT]).output().expect("it is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(said.matches("you said GET / HTTP/1.1").count(), 2, "{said}");
    assert!(!Path::new(&path).exists());
    // A kill takes the command along.
    let marked = format!("3{:05}", std::process::id() % 100_000);
    let mut killed = start(&["sleep", &marked]).stdin(Stdio::null()).spawn().expect("it is installed");
    let sleeps = || good(&Command::new("ps").args(["-eo", "args"]).output().expect("ps is installed"));
    let program = format!("sleep {marked}");
    let is_there = || sleeps().lines().any(|line| line == program);
    until("the command did not start", is_there);
    signal("KILL", killed.id());
    let _ = killed.wait();
    until("the command is still there", || !is_there());
}

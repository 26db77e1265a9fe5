//! `wharf free`: what it prints can be bound, what it holds can't, and what it hands over serves.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.arg("free").args(words).stdin(Stdio::null());
    command
}

fn free(words: &[&str]) -> Output {
    command(words).output().expect("the binary was built for this test")
}

fn ports(words: &[&str]) -> Vec<u16> {
    let output = free(words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(0), ""), "{words:?}");
    let text = String::from_utf8(output.stdout).expect("wharf speaks UTF-8");
    text.lines().map(|line| line.parse().expect("a port a line")).collect()
}

fn refused(words: &[&str]) -> (i32, String) {
    let output = free(words);
    let error = String::from_utf8(output.stderr).expect("wharf speaks UTF-8");
    assert!(output.stdout.is_empty(), "{words:?}");
    (output.status.code().expect("it was not killed"), error)
}

fn ephemeral() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("a kernel with IPv4");
    let numbers: Vec<u16> = text.split_whitespace().map(|it| it.parse().expect("a number")).collect();
    (numbers[0], numbers[1])
}

fn has(tool: &str) -> bool {
    let there = Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        println!("skipped: {tool} is missing");
    }
    there
}

/// Ends what is held in whatever way a test ends.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Holder {
    fn start(words: &[&str]) -> Holder {
        Holder(command(words).stdout(Stdio::piped()).spawn().expect("the binary was built for this test"))
    }

    /// The first lines of its output; the reader goes with them.
    fn lines(&mut self, count: usize) -> (Vec<String>, BufReader<std::process::ChildStdout>) {
        let mut reader = BufReader::new(self.0.stdout.take().expect("it is piped"));
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it is text");
            line.trim_end().to_owned()
        };
        ((0..count).map(|_| line()).collect(), reader)
    }
}

#[test]
fn what_is_printed_can_be_bound() {
    let (low, high) = ephemeral();
    for (words, is_udp) in [(&["3"][..], false), (&["3", "--udp"], true), (&["3", "--near", "9000"], false)] {
        let found = ports(words);
        assert_eq!(found.len(), 3);
        for port in found {
            assert!(port >= 1024 && !(low..=high).contains(&port), "{port}");
            if is_udp {
                UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).expect("it is free");
            } else {
                TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).expect("it is free");
            }
        }
    }
    let row = ports(&["4", "--consecutive", "--unassigned", "--tcp", "--udp"]);
    assert!(row.windows(2).all(|pair| pair[1] == pair[0] + 1), "{row:?}");
    let json: Value =
        serde_json::from_slice(&free(&["--json", "2", "--range", "8000-8020"]).stdout).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    assert_eq!((&json[0]["protocols"], &json[0]["held"]), (&serde_json::json!(["tcp"]), &Value::Bool(false)));
    // More than the usual limit of open files.
    assert_eq!(ports(&["2000"]).len(), 2000);
}

/// Every kind of socket on ports of a range, in a network of its own; then what can be bound, by trying.
const ORACLE: &str = r#"
import random, socket, struct, subprocess, sys
wharf = sys.argv[1]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "addr", "add", "10.7.0.1/24", "dev", "lo"], check=True)
rng = random.Random(7)
first, last = 20000, 20099
keep = []
def sock(family, kind):
    s = socket.socket(family, kind)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, rng.randrange(2))
    keep.append(s)
    return s
for port in range(first, last + 1):
    what = rng.randrange(10)
    family = rng.choice([socket.AF_INET, socket.AF_INET6])
    address = rng.choice(["0.0.0.0", "127.0.0.1", "10.7.0.1"] if family == socket.AF_INET else ["::", "::1"])
    if what == 0:
        s = sock(family, socket.SOCK_STREAM); s.bind((address, port)); s.listen()
    elif what == 1:
        s = sock(family, socket.SOCK_STREAM); s.bind((address, port))
    elif what == 2:
        s = sock(family, socket.SOCK_DGRAM); s.bind((address, port))
    elif what == 3:
        s = sock(family, socket.SOCK_STREAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); s.bind((address, port)); s.listen()
    elif what == 4:
        server = sock(socket.AF_INET, socket.SOCK_STREAM); server.bind(("127.0.0.1", 0)); server.listen()
        s = sock(socket.AF_INET, socket.SOCK_STREAM); s.bind(("127.0.0.1", port)); s.connect(server.getsockname())
        if rng.randrange(2):
            # TIME-WAIT at this port.
            peer, _ = server.accept(); s.close(); peer.close(); server.close()
def can(port, kind):
    made = []
    try:
        for family, address in (socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0"):
            s = socket.socket(family, kind); made.append(s)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((address, port))
        return True
    except OSError:
        return False
    finally:
        for s in made: s.close()
for option, kinds in ([], [socket.SOCK_STREAM]), (["--udp"], [socket.SOCK_DGRAM]), (["--tcp", "--udp"], [socket.SOCK_STREAM, socket.SOCK_DGRAM]):
    expected = [port for port in range(first, last + 1) if all(can(port, kind) for kind in kinds)]
    assert 20 < len(expected) < 95, len(expected)
    ask = [wharf, "free", "--range", f"{first}-{last}"] + option
    got = subprocess.run(ask + [str(len(expected))], capture_output=True, text=True)
    assert got.returncode == 0, got
    assert [int(line) for line in got.stdout.split()] == expected, (option, set(map(int, got.stdout.split())) ^ set(expected))
    more = subprocess.run(ask + [str(len(expected) + 1)], capture_output=True, text=True)
    assert more.returncode == 1 and "in use" in more.stderr, more
print("equal")
"#;

#[test]
fn free_is_what_can_be_bound_on_every_address() {
    if !has("python3") || !has("unshare") {
        return;
    }
    let words = ["-Urn", "python3", "-c", ORACLE, env!("CARGO_BIN_EXE_wharf")];
    let output = Command::new("unshare").args(words).output().expect("it is there");
    let error = String::from_utf8_lossy(&output.stderr);
    if error.contains("unshare failed") || error.contains("Operation not permitted") {
        println!("skipped: no network namespace can be made here: {error}");
        return;
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "equal", "{error}");
}

#[test]
fn what_is_held_is_nobody_elses_until_it_ends() {
    let mut holder = Holder::start(&["2", "--hold", "--tcp", "--udp"]);
    let (lines, _reader) = holder.lines(2);
    let ports: Vec<u16> = lines.iter().map(|line| line.parse().expect("a port")).collect();
    for &port in &ports {
        assert!(TcpListener::bind(("127.0.0.1", port)).is_err() && TcpListener::bind(("::1", port)).is_err());
        assert!(UdpSocket::bind(("127.0.0.1", port)).is_err());
        // It is kept, and serves nobody.
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
    let pid = i32::try_from(holder.0.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(holder.0.wait().expect("it ends").code(), Some(0));
    for port in ports {
        TcpListener::bind(("127.0.0.1", port)).expect("it is free again");
    }
}

#[test]
fn who_ask_at_once_get_different_ports() {
    let mut holders: Vec<Holder> =
        (0..12).map(|_| Holder::start(&["2", "--hold", "--near", "21000"])).collect();
    let (mut ports, mut readers) = (BTreeSet::new(), Vec::new());
    for holder in &mut holders {
        let (lines, reader) = holder.lines(2);
        ports.extend(lines);
        readers.push(reader);
    }
    assert_eq!(ports.len(), 24, "{ports:?}");
}

/// A program that serves on what it was handed, as sd_listen_fds(3) tells it.
const SERVER: &str = r#"
import os, socket, sys
assert int(os.environ["LISTEN_PID"]) == os.getpid(), os.environ
count = int(os.environ["LISTEN_FDS"])
names = os.environ["LISTEN_FDNAMES"].split(":")
assert len(names) == count and sys.argv[1] == os.environ["WHARF_PORTS"].replace(" ", ","), sys.argv
assert os.environ["WHARF_PORT"] == sys.argv[2]
sockets = [socket.socket(fileno=3 + n) for n in range(count)]
for s, name in zip(sockets, names):
    kind, port = name.split("-")
    assert s.getsockname()[1] == int(port), (s, name)
    assert s.type == (socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    assert s.getblocking(), s
try:
    os.fstat(3 + count)
    raise SystemExit("a descriptor too many")
except OSError:
    pass
print(os.environ["LISTEN_FDNAMES"], flush=True)
for s in sockets:
    if s.type == socket.SOCK_STREAM:
        peer, _ = s.accept()
        peer.sendall(b"by tcp"); peer.close()
    else:
        _, at = s.recvfrom(100)
        s.sendto(b"by udp", at)
sys.exit(7)
"#;

#[test]
fn a_program_serves_on_what_it_is_handed() {
    if !has("python3") {
        return;
    }
    let words = ["2", "--hold", "--tcp", "--udp", "--", "python3", "-c", SERVER, "{}", "{1}"];
    let mut holder = Holder::start(&words);
    let (lines, mut reader) = holder.lines(1);
    let names: Vec<(&str, u16)> = lines[0]
        .split(':')
        .filter_map(|name| name.split_once('-'))
        .map(|(kind, port)| (kind, port.parse().expect("a port")))
        .collect();
    assert_eq!(names.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["tcp", "udp", "tcp", "udp"]);
    for (kind, port) in names {
        let mut answer = String::new();
        if kind == "tcp" {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
            stream.read_to_string(&mut answer).expect("it answers");
        } else {
            let socket = UdpSocket::bind("[::1]:0").expect("a port");
            socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
            socket.send_to(b"?", (Ipv6Addr::LOCALHOST, port)).expect("it is sent");
            let mut room = [0; 16];
            let length = socket.recv(&mut room).expect("it answers");
            answer.push_str(std::str::from_utf8(&room[..length]).expect("text"));
        }
        assert_eq!(answer, format!("by {kind}"));
    }
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("it is text");
    assert_eq!((rest.as_str(), holder.0.wait().expect("it ends").code()), ("", Some(7)));
}

#[test]
fn a_listener_is_handed_before_its_program_runs() {
    // The client comes first: nobody can take the port, and the connection waits.
    let mut child = command(&[
        "--hold",
        "--on",
        "127.0.0.1",
        "--",
        "sh",
        "-c",
        "echo $WHARF_PORT; read line; exec cat <&3 2>&1",
    ]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut holder = Holder(child);
    let (lines, _reader) = holder.lines(1);
    let port: u16 = lines[0].parse().expect("a port");
    TcpStream::connect(("127.0.0.1", port)).expect("it listens already");
    assert!(TcpStream::connect(("::1", port)).is_err(), "it is at one address only");
    stdin.write_all(b"\n").expect("it reads");
}

#[test]
fn what_is_wrong_or_not_there() {
    let (low, high) = ephemeral();
    assert_eq!(
        refused(&["0"]),
        (2, "wharf: N \"0\": not a number of ports (write 1 to 65535; --range has ports)\n".into())
    );
    assert_eq!(refused(&["8000-8010"]).0, 2);
    assert_eq!(
        refused(&["--near", "070"]),
        (2, "wharf: --near \"070\": a port has no leading zeros (write 70)\n".into())
    );
    assert_eq!(
        refused(&["--range", "9-8"]),
        (2, "wharf: --range \"9-8\": a range runs upwards (write 8-9)\n".into())
    );
    assert_eq!(refused(&["--", "true"]).0, 2);
    assert_eq!(refused(&["--on", "192.0.2.77"]).0, 2);
    let (code, error) = refused(&["--range", &format!("{low}-{high}")]);
    assert!(code == 1 && error.contains("given to clients"), "{error}");
    let (code, error) = refused(&["5", "--consecutive", "--range", "8001-8004"]);
    assert!(code == 1 && error.starts_with("wharf: find 5 free ports in a row among 8001-8004: "), "{error}");
    assert_eq!(refused(&["--hold", "--", "/nonexistent/program"]).0, 127);
    assert_eq!(refused(&["--hold", "--", "/etc/passwd"]).0, 126);
}

#[test]
fn the_help_fits_a_screen() {
    let help = String::from_utf8(free(&["--help"]).stdout).expect("wharf speaks UTF-8");
    assert!(help.lines().count() <= 24 && help.starts_with("Examples:\n  wharf free --near 8080"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
}

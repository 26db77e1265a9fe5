//! What the programs of this machine send first, over loopback.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wharf_wire::shown::{Asked, FirstBytes, Hidden, Protocol, Shown};
use wharf_wire::tls::{HelloReader, Tls};

/// As long as a client may take to connect and to speak.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the client with the test.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// What a client shows that is started with the port of a listener, and the bytes by which it did. `None`, with a line that says
/// so, when there is no such program.
fn of_client(program: &str, args: impl FnOnce(u16) -> Vec<String>) -> Option<(Shown, Vec<u8>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut command = Command::new(program);
    for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command.args(args(port)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        println!("skipped: no {program}");
        return None;
    };
    let _client = Client(child);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(listener.accept()));
    let accepted = receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{program} did not connect"));
    Some(read_from(&accepted.unwrap().0))
}

fn read_from(mut stream: &TcpStream) -> (Shown, Vec<u8>) {
    let until = Instant::now() + PATIENCE;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut reader, mut bytes, mut piece) = (FirstBytes::new(), Vec::new(), [0; 700]);
    loop {
        let len = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..len]);
        let shown = reader.push(&piece[..len]);
        if shown != Shown::NeedMore || len == 0 || Instant::now() > until {
            return (shown, bytes);
        }
    }
}

fn texts(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

#[track_caller]
fn is_hello_to(seen: Option<(Shown, Vec<u8>)>, name: Option<&str>, alpn: &[&str]) {
    let Some((shown, bytes)) = seen else { return };
    match (&shown, name) {
        (Shown::Name { protocol: Protocol::Tls, host, of: Asked::Server, port: None }, Some(name)) => {
            assert_eq!(host.to_string(), name);
        }
        (Shown::Hidden { protocol: Protocol::Tls, why: Hidden::Omitted }, None) => {}
        _ => panic!("{shown:?}"),
    }
    let mut reader = HelloReader::new();
    let Tls::Hello(hello) = reader.push(&bytes) else { panic!("a hello") };
    let offered: Vec<&[u8]> = hello.alpn.protocols().collect();
    assert_eq!(offered, alpn.iter().map(|name| name.as_bytes()).collect::<Vec<_>>());
}

#[track_caller]
fn asks_for(seen: Option<(Shown, Vec<u8>)>, name: &str, its_port: Option<u16>, asked: Asked) {
    let Some((shown, _)) = seen else { return };
    let Shown::Name { protocol: Protocol::Http, host, port, of } = shown else { panic!("{shown:?}") };
    assert_eq!((host.to_string().as_str(), of), (name, asked));
    if its_port.is_some() {
        assert_eq!(port, its_port);
    }
}

/// A TLS client of Python's, that is of the OpenSSL that it stands on.
fn python(port: u16, name: &str) -> Vec<String> {
    let script = format!(
        "import socket, ssl\n\
         context = ssl._create_unverified_context()\n\
         context.set_alpn_protocols(['h2', 'http/1.1'])\n\
         context.wrap_socket(socket.create_connection(('127.0.0.1', {port})), server_hostname={name})"
    );
    texts(&["-c", &script])
}

#[test]
fn python_over_tls() {
    let alpn = ["h2", "http/1.1"];
    is_hello_to(of_client("python3", |port| python(port, "'Python.Example'")), Some("python.example"), &alpn);
    is_hello_to(
        of_client("python3", |port| python(port, "'b\u{fc}cher.example'")),
        Some("xn--bcher-kva.example"),
        &alpn,
    );
    is_hello_to(of_client("python3", |port| python(port, "'192.0.2.1'")), None, &alpn);
}

#[test]
fn openssl() {
    let with = |more: &'static [&'static str]| {
        move |port: u16| {
            [texts(&["s_client", "-connect", &format!("127.0.0.1:{port}")]), texts(more)].concat()
        }
    };
    let args = with(&["-servername", "openssl.example", "-alpn", "h2,x"]);
    is_hello_to(of_client("openssl", args), Some("openssl.example"), &["h2", "x"]);
    is_hello_to(of_client("openssl", with(&["-servername", "a.example", "-tls1_2"])), Some("a.example"), &[]);
    is_hello_to(of_client("openssl", with(&["-noservername"])), None, &[]);
    // A fragment of 512 bytes and 200 protocols: a hello over several records.
    let many = (0..200).map(|at| format!("protocol-{at:03}")).collect::<Vec<_>>();
    let args = |port| {
        let connect = format!("127.0.0.1:{port}");
        texts(&[
            "s_client",
            "-connect",
            &connect,
            "-servername",
            "b.example",
            "-split_send_frag",
            "512",
            "-max_send_frag",
            "512",
            "-alpn",
            &many.join(","),
        ])
    };
    is_hello_to(
        of_client("openssl", args),
        Some("b.example"),
        &many.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

/// curl with `args`, for which `PORT` stands for the listener's.
fn curl(args: &[&str]) -> Option<(Shown, Vec<u8>)> {
    let args = [&["-q", "-s", "-k"], args].concat();
    of_client("curl", move |port| args.iter().map(|arg| arg.replace("PORT", &port.to_string())).collect())
}

#[test]
fn curl_over_tls() {
    let to = ["--connect-to", "::127.0.0.1:PORT"];
    let alpn = ["h2", "http/1.1"];
    is_hello_to(curl(&[&to[..], &["https://Curl.Example./"]].concat()), Some("curl.example"), &alpn);
    is_hello_to(curl(&["--http1.1", "https://127.0.0.1:PORT/"]), None, &["http/1.1"]);
}

#[test]
fn curl_without_tls() {
    let to = ["--connect-to", "::127.0.0.1:PORT"];
    asks_for(curl(&[&to[..], &["http://curl.example/x?y"]].concat()), "curl.example", None, Asked::Server);
    asks_for(curl(&[&to[..], &["http://Curl.Example:81"]].concat()), "curl.example", Some(81), Asked::Server);
    asks_for(
        curl(&[&to[..], &["-0", "-d", "a=b", "http://a.example"]].concat()),
        "a.example",
        None,
        Asked::Server,
    );
    asks_for(curl(&["http://127.0.0.1:PORT"]), "127.0.0.1", None, Asked::Server);
    let proxy = ["-x", "http://127.0.0.1:PORT"];
    asks_for(curl(&[&proxy[..], &["http://p.example:82/"]].concat()), "p.example", Some(82), Asked::Proxy);
    asks_for(curl(&[&proxy[..], &["https://p.example/"]].concat()), "p.example", Some(443), Asked::Proxy);
    let nobody = curl(&["-0", "-H", "Host:", "http://127.0.0.1:PORT"]);
    let omitted = Shown::Hidden { protocol: Protocol::Http, why: Hidden::Omitted };
    assert!(nobody.is_none_or(|(shown, _)| shown == omitted));
    let http2 = curl(&["--http2-prior-knowledge", "http://127.0.0.1:PORT"]);
    let unreadable = Shown::Hidden { protocol: Protocol::Http2, why: Hidden::Unreadable };
    assert!(http2.is_none_or(|(shown, _)| shown == unreadable));
}

#[test]
fn others() {
    let python = |port: u16| {
        let script = format!(
            "import http.client\n\
             http.client.HTTPConnection('127.0.0.1', {port}).request('GET', '/', headers={{'Host': 'python.example'}})"
        );
        texts(&["-c", &script])
    };
    asks_for(of_client("python3", python), "python.example", None, Asked::Server);
    let wget = |port| texts(&["-q", "-O", "-", "-t", "1", &format!("http://127.0.0.1:{port}/")]);
    asks_for(of_client("wget", wget), "127.0.0.1", None, Asked::Server);
    let busybox = |port| texts(&["wget", "-q", "-O", "-", &format!("http://127.0.0.1:{port}/")]);
    asks_for(of_client("busybox", busybox), "127.0.0.1", None, Asked::Server);
    let git = |port| texts(&["ls-remote", &format!("http://127.0.0.1:{port}/x.git")]);
    asks_for(of_client("git", git), "127.0.0.1", None, Asked::Server);
    let ssh = |port: u16| texts(&["-F", "none", "-p", &port.to_string(), "nobody@127.0.0.1"]);
    assert!(of_client("ssh", ssh).is_none_or(|(shown, _)| shown == Shown::Silent(Protocol::Ssh)));
}

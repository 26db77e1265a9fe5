//! The probe itself: a real connection with a short time-out, and what the other end says first.
//!
//! It sends as little as can be: nothing, or one request where HTTP was asked for, or one hello where TLS was.

mod certificate;
mod tls;

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use wharf_sys::socket::error_queue::{self, ErrorOrigin};
use wharf_sys::socket::{self, Connecting, Family};
use wharf_table::Protocol;

pub(super) use self::tls::{TlsFault, TlsReport};

/// How long a connection may take: two SYNs are sent meanwhile.
const CONNECT: Duration = Duration::from_millis(2500);
/// How long is waited for what a server says by itself, and for an answer.
const GREETING: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_millis(2500);
/// How much of what a server says is told.
const SHOWN_MAX: usize = 80;

/// What is tried.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub(super) protocol: Protocol,
    pub(super) from: Option<IpAddr>,
    pub(super) to: SocketAddr,
    pub(super) zone: u32,
    pub(super) manner: Manner,
}

/// What is said when the connection stands.
#[derive(Clone, Debug)]
pub(super) enum Manner {
    /// Nothing: the server speaks first, or nobody.
    Listen,
    /// A request.
    Http { host: String, path: String },
    /// A hello for this name.
    Tls { name: String },
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The connection stands; what was said.
    Open(Said),
    /// By a reset, or by ICMP: from whom.
    Refused(Option<String>),
    /// By ICMP: what it says.
    Prohibited(String),
    /// Nothing came back.
    Silent(Duration),
    /// No way there.
    Unreachable(String),
    /// No port is left to ask from.
    NoPort,
    /// It can't even be tried.
    Failed(String),
}

/// What the other end said first.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// Nothing.
    Nothing,
    /// It reset the connection.
    Reset,
    /// It closed the connection.
    Closed,
    /// A line.
    Text(String),
    /// HTTP: its first line.
    Http(String),
    /// TLS where HTTP was asked for.
    TlsAlert,
    /// TLS.
    Tls(Box<TlsReport>),
    /// Something else where TLS was asked for: HTTP, a text, bytes.
    NotTls(String),
    /// A TLS handshake that failed: why.
    TlsFailed(String),
}

/// Tries, in the network of this thread.
pub(super) fn run(what: &Try) -> Answer {
    match what.protocol {
        Protocol::Udp => datagram(what),
        _ => stream(what),
    }
}

fn family(of: SocketAddr) -> Family {
    if of.is_ipv4() { Family::V4 } else { Family::V6 }
}

fn with_zone(what: &Try) -> SocketAddr {
    match what.to {
        SocketAddr::V6(mut to) => {
            to.set_scope_id(what.zone);
            to.into()
        }
        to => to,
    }
}

fn stream(what: &Try) -> Answer {
    let failed = |error: io::Error| Answer::Failed(error.to_string());
    let socket = match socket::tcp(family(what.to)) {
        Ok(socket) => socket,
        Err(error) => return failed(error),
    };
    // Without it less is known of what came back, and no more.
    let _ = error_queue::enable(&socket, family(what.to));
    if let Some(from) = what.from
        && let Err(error) = socket::bind(&socket, SocketAddr::new(from, 0))
    {
        return failed(error);
    }
    let started = Instant::now();
    match socket::connect(&socket, with_zone(what)) {
        Err(error) => return refusal(&socket, &error),
        Ok(Connecting::Done) => {}
        Ok(Connecting::UnderWay) => {
            if !is_ready(&socket, PollFlags::OUT, CONNECT) {
                return Answer::Silent(started.elapsed());
            }
            if let Some(error) = socket::take_error(&socket) {
                return refusal(&socket, &error);
            }
        }
    }
    let stream = TcpStream::from(socket);
    if let Err(error) = stream.set_nonblocking(false).and_then(|()| stream.set_write_timeout(Some(ANSWER))) {
        return failed(error);
    }
    Answer::Open(match &what.manner {
        Manner::Listen => listen(stream, GREETING),
        Manner::Http { host, path } => request(stream, host, path),
        Manner::Tls { name } => tls::greet(stream, name, ANSWER),
    })
}

fn is_ready(socket: &OwnedFd, what: PollFlags, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(socket, what)];
        match poll(&mut polled, Timespec::try_from(left).ok().as_ref()) {
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

/// What an error of a connection means, and who says so.
fn refusal(socket: &OwnedFd, error: &io::Error) -> Answer {
    let queued = error_queue::take(socket, &mut [0; 64]).ok().flatten();
    let icmp = queued.filter(|queued| queued.origin != ErrorOrigin::Local).map(|queued| {
        let by = queued.offender.map_or_else(|| "somebody".to_owned(), |by| by.to_string());
        let what = icmp_words(queued.origin, queued.icmp_type, queued.icmp_code);
        (what, format!("{by} says: {}", what.unwrap_or("unreachable")))
    });
    match (Errno::from_io_error(error), icmp) {
        // It stood, and was reset before it was looked at.
        (Some(Errno::CONNRESET), _) => Answer::Open(Said::Reset),
        (Some(Errno::CONNREFUSED), icmp) => Answer::Refused(icmp.map(|(_, words)| words)),
        (_, Some((Some(what), words))) if what.contains("prohibited") => Answer::Prohibited(words),
        (_, Some((_, words))) => Answer::Unreachable(words),
        (Some(Errno::ADDRNOTAVAIL), None) => Answer::NoPort,
        (Some(Errno::NETUNREACH), None) => Answer::Unreachable("no route leads there".into()),
        (Some(Errno::HOSTUNREACH), None) => Answer::Unreachable("nobody on the link has the address".into()),
        (Some(Errno::ACCESS | Errno::PERM), None) => {
            Answer::Prohibited("this host's own rules prohibit it".into())
        }
        (Some(Errno::TIMEDOUT), None) => Answer::Silent(CONNECT),
        _ => Answer::Failed(error.to_string()),
    }
}

/// RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.1.
fn icmp_words(origin: ErrorOrigin, kind: u8, code: u8) -> Option<&'static str> {
    Some(match (origin, kind, code) {
        (ErrorOrigin::Icmp4, 3, 0) => "network unreachable",
        (ErrorOrigin::Icmp4, 3, 1) => "host unreachable",
        (ErrorOrigin::Icmp4, 3, 3) | (ErrorOrigin::Icmp6, 1, 4) => "port unreachable",
        (ErrorOrigin::Icmp4, 3, 9 | 10 | 13) | (ErrorOrigin::Icmp6, 1, 1) => "prohibited",
        (ErrorOrigin::Icmp4, 11, 0) | (ErrorOrigin::Icmp6, 3, 0) => "too many hops",
        (ErrorOrigin::Icmp6, 1, 0) => "no route",
        (ErrorOrigin::Icmp6, 1, 3) => "address unreachable",
        _ => return None,
    })
}

/// What comes next; `Ok(None)` is nothing in time.
fn read(stream: &mut TcpStream, patience: Duration) -> io::Result<Option<Vec<u8>>> {
    stream.set_read_timeout(Some(patience))?;
    let mut room = vec![0; 4096];
    match stream.read(&mut room) {
        Ok(length) => {
            room.truncate(length);
            Ok(Some(room))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

fn listen(mut stream: TcpStream, patience: Duration) -> Said {
    match read(&mut stream, patience) {
        Ok(None) => Said::Nothing,
        Ok(Some(said)) if said.is_empty() => Said::Closed,
        Ok(Some(said)) => Said::Text(first_line(&said)),
        Err(_) => Said::Reset,
    }
}

fn request(mut stream: TcpStream, host: &str, path: &str) -> Said {
    let asked = format!(
        "HEAD {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: wharf\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    if stream.write_all(asked.as_bytes()).is_err() {
        return Said::Reset;
    }
    match read(&mut stream, ANSWER) {
        Ok(None) => Said::Nothing,
        Ok(Some(said)) if said.is_empty() => Said::Closed,
        Ok(Some(said)) => judge(&said),
        Err(_) => Said::Reset,
    }
}

/// What is said to a request for HTTP.
fn judge(said: &[u8]) -> Said {
    let line = first_line(said);
    match said {
        // An alert, or a handshake (RFC 8446, section 5.1).
        [0x15 | 0x16, 3, ..] => Said::TlsAlert,
        // What nginx and Go say to a request without TLS.
        _ if line.starts_with("HTTP/") && mentions_tls(said) => Said::TlsAlert,
        _ if line.starts_with("HTTP/") => Said::Http(line),
        _ => Said::Text(line),
    }
}

fn mentions_tls(said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said).to_ascii_lowercase();
    let is_wrong = text.starts_with("http/1.1 400") || text.starts_with("http/1.0 400");
    is_wrong
        && ["plain http request was sent to https port", "http request to an https server"]
            .iter()
            .any(|words| text.contains(words))
}

/// The first line, without what a terminal could take for more than text.
fn first_line(said: &[u8]) -> String {
    let line = said.split(|&byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(plain).collect();
    if text.chars().count() > SHOWN_MAX {
        shown.push_str("...");
    }
    shown
}

fn plain(letter: char) -> Vec<char> {
    if letter.is_control() { letter.escape_unicode().collect() } else { vec![letter] }
}

/// A datagram without anything in it: who does not listen says so by ICMP.
fn datagram(what: &Try) -> Answer {
    let any: IpAddr = if what.to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let asked = UdpSocket::bind(SocketAddr::new(what.from.unwrap_or(any), 0)).and_then(|socket| {
        let _ = error_queue::enable(&socket, family(what.to));
        socket.connect(with_zone(what))?;
        socket.set_read_timeout(Some(GREETING * 3))?;
        socket.send(&[])?;
        Ok(socket)
    });
    let socket = match asked {
        Ok(socket) => socket,
        Err(error) => return refusal_of_datagram(None, &error),
    };
    let started = Instant::now();
    match socket.recv(&mut [0; 2048]) {
        Ok(_) => Answer::Open(Said::Nothing),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Answer::Silent(started.elapsed())
        }
        Err(error) => refusal_of_datagram(Some(socket.into()), &error),
    }
}

fn refusal_of_datagram(socket: Option<OwnedFd>, error: &io::Error) -> Answer {
    match socket {
        Some(socket) => refusal(&socket, error),
        None => match Errno::from_io_error(error) {
            Some(Errno::NETUNREACH) => Answer::Unreachable("no route leads there".into()),
            Some(Errno::ACCESS | Errno::PERM) => {
                Answer::Prohibited("this host's own rules prohibit it".into())
            }
            _ => Answer::Failed(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_without_harm() {
        assert_eq!(first_line(b"SSH-2.0-x\r\nmore"), "SSH-2.0-x");
        assert_eq!(first_line(b"a\x1b[31m"), "a\\u{1b}[31m");
        assert!(matches!(judge(b"HTTP/1.0 200 OK\r\n"), Said::Http(line) if line == "HTTP/1.0 200 OK"));
        assert!(matches!(judge(&[0x15, 3, 3, 0, 2, 2, 70]), Said::TlsAlert));
    }

    #[test]
    fn refused_and_open_are_told_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let what = Try { protocol: Protocol::Tcp, from: None, to, zone: 0, manner: Manner::Listen };
        assert!(matches!(run(&what), Answer::Open(Said::Nothing)));
        drop(listener);
        assert!(matches!(run(&what), Answer::Refused(None)));
        let udp = Try { protocol: Protocol::Udp, ..what };
        assert!(matches!(run(&udp), Answer::Refused(Some(_))), "{:?}", run(&udp));
    }
}

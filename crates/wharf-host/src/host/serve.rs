//! Servers of the host itself, so that curl, nc and iperf have somebody to talk to without a script: echo (RFC 862), discard
//! (RFC 863), chargen (RFC 864), and HTTP/1.1 that says who has asked what.
//!
//! Invariants: a server reads no more than it has room for; one that has more to do goes on after everybody else had a turn.

use std::collections::{BTreeMap, BTreeSet};

use wharf_stack::socket::{
    Domain, Errno, Host, How, Kind, OptionName, OptionValue, ReceiveFlags, SendFlags, SocketId, User,
};
use wharf_table::{Addr, Endpoint, Instant, Protocol};

use super::calls::Failure;
use super::events::Events;
use super::value;

/// Bytes that one connection moves before others have their turn, and that wait in it at most.
const TURN_BYTES: usize = 1 << 20;
const CHUNK: usize = 64 << 10;
/// Connections and datagrams taken in one turn.
const TURN_COUNT: usize = 256;
/// The longest request head.
const HEAD_MAX: usize = 16 << 10;
const BACKLOG: i32 = 1_024;

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Echo,
    Discard,
    Chargen,
    Http,
}

impl Service {
    pub(super) const NAMES: [&'static str; 4] = ["echo", "discard", "chargen", "http"];

    pub(super) fn from_name(name: &str) -> Option<Service> {
        let at = Service::NAMES.iter().position(|known| *known == name)?;
        [Service::Echo, Service::Discard, Service::Chargen, Service::Http].get(at).copied()
    }

    pub(super) fn name(self) -> &'static str {
        Service::NAMES[self as usize]
    }
}

/// A connection that is served.
struct Served {
    service: Service,
    /// What has come of a request, or waits to be sent.
    bytes: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// Where the pattern of chargen goes on.
    place: usize,
    /// After what waits, nothing more is sent.
    last: bool,
}

/// Every server of the host.
#[derive(Default)]
pub(super) struct Servers {
    listeners: BTreeMap<usize, Service>,
    datagrams: BTreeMap<usize, Service>,
    connections: BTreeMap<usize, Served>,
    /// Those with more to do.
    busy: BTreeSet<SocketId>,
    /// Sockets that were closed here.
    closed: Vec<SocketId>,
    buffer: Vec<u8>,
}

/// Where a connection stands after its turn.
enum Turn {
    /// It waits for something to happen.
    Waits,
    /// It could go on.
    Busy,
    /// It is over.
    Over,
}

impl Servers {
    /// Opens a server. Its sockets are the host's own, so that every port may be served.
    pub(super) fn open(
        &mut self,
        host: &mut Host,
        now: Instant,
        service: Service,
        protocol: Protocol,
        at: (Option<Addr>, u16),
    ) -> Result<SocketId, Failure> {
        let (addr, port) = at;
        let domain = if addr.is_some_and(Addr::is_v4) { Domain::V4 } else { Domain::V6 };
        let kind = if protocol == Protocol::Udp { Kind::Datagram } else { Kind::Stream };
        let what = format!("serve {} on {protocol} port {port}", service.name());
        let socket = host.socket(User::ROOT, domain, kind).map_err(Failure::of(what.clone()))?;
        let on = OptionValue::Number(1);
        let mut open = || {
            if kind == Kind::Stream {
                host.set_option(now, socket, OptionName::ReuseAddress, &on)?;
            }
            host.bind(socket, Endpoint { addr: addr.unwrap_or(domain.any()), port })?;
            if kind == Kind::Stream { host.listen(now, socket, BACKLOG) } else { Ok(()) }
        };
        if let Err(errno) = open() {
            // It was made above.
            let _ = host.close(now, socket);
            return Err(Failure::of(what)(errno));
        }
        let servers = if kind == Kind::Stream { &mut self.listeners } else { &mut self.datagrams };
        servers.insert(socket.index(), service);
        Ok(socket)
    }

    /// What a socket serves.
    pub(super) fn service(&self, socket: SocketId) -> Option<Service> {
        let number = socket.index();
        let listens = self.listeners.get(&number).or_else(|| self.datagrams.get(&number)).copied();
        listens.or_else(|| self.connections.get(&number).map(|it| it.service))
    }

    /// A socket was closed by a request.
    pub(super) fn forget(&mut self, socket: SocketId) {
        self.listeners.remove(&socket.index());
        self.datagrams.remove(&socket.index());
        self.connections.remove(&socket.index());
    }

    /// Something has happened at a socket, which may be none of ours. Who was accepted is told in `news`.
    pub(super) fn on_ready(
        &mut self,
        host: &mut Host,
        now: Instant,
        socket: SocketId,
        news: &mut Vec<String>,
    ) {
        let number = socket.index();
        let more = if let Some(&service) = self.listeners.get(&number) {
            self.accept(host, now, socket, service, news)
        } else if let Some(&service) = self.datagrams.get(&number) {
            self.answer_datagrams(host, now, socket, service)
        } else if self.connections.contains_key(&number) {
            self.serve(host, now, socket)
        } else {
            return;
        };
        if more {
            self.busy.insert(socket);
        }
    }

    /// Whether somebody could go on.
    pub(super) fn has_work(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Lets everybody who could go on have a turn.
    pub(super) fn work(&mut self, host: &mut Host, now: Instant, news: &mut Vec<String>) {
        for socket in std::mem::take(&mut self.busy) {
            self.on_ready(host, now, socket, news);
        }
    }

    /// The sockets that were closed since this was asked last.
    pub(super) fn take_closed(&mut self) -> Vec<SocketId> {
        std::mem::take(&mut self.closed)
    }

    fn accept(
        &mut self,
        host: &mut Host,
        now: Instant,
        listener: SocketId,
        service: Service,
        news: &mut Vec<String>,
    ) -> bool {
        for _ in 0..TURN_COUNT {
            let Ok((socket, peer)) = host.accept(now, listener) else { return false };
            news.push(Events::accepted(now, listener, socket, &value::endpoint(peer)));
            let served = Served { service, bytes: Vec::new(), sent: 0, place: 0, last: false };
            self.connections.insert(socket.index(), served);
            if self.serve(host, now, socket) {
                self.busy.insert(socket);
            }
        }
        true
    }

    fn answer_datagrams(
        &mut self,
        host: &mut Host,
        now: Instant,
        socket: SocketId,
        service: Service,
    ) -> bool {
        self.buffer.resize(CHUNK, 0);
        for _ in 0..TURN_COUNT {
            let Ok(got) = host.receive(now, socket, &mut self.buffer, ReceiveFlags::default()) else {
                return false;
            };
            let Some(from) = got.from else { return false };
            let line: Vec<u8>;
            let bytes = match service {
                Service::Echo => self.buffer.get(..got.count).unwrap_or_default(),
                Service::Chargen => {
                    line = pattern(0, LINE);
                    &line
                }
                Service::Discard | Service::Http => continue,
            };
            // A datagram that finds no room is lost, as any may be.
            let _ = host.send_to(now, socket, bytes, from, SendFlags::default());
        }
        true
    }

    /// Gives a connection its turn; whether it could go on.
    fn serve(&mut self, host: &mut Host, now: Instant, socket: SocketId) -> bool {
        self.buffer.resize(CHUNK, 0);
        let Some(served) = self.connections.get_mut(&socket.index()) else { return false };
        match served.turn(host, now, socket, &mut self.buffer).unwrap_or(Turn::Over) {
            Turn::Waits => false,
            Turn::Busy => true,
            Turn::Over => {
                self.connections.remove(&socket.index());
                // It is ours, and nobody else closes it without telling.
                let _ = host.close(now, socket);
                self.closed.push(socket);
                false
            }
        }
    }
}

impl Served {
    fn turn(
        &mut self,
        host: &mut Host,
        now: Instant,
        socket: SocketId,
        buffer: &mut [u8],
    ) -> Result<Turn, Errno> {
        let mut moved = 0;
        while moved < TURN_BYTES {
            let count = match self.flush(host, now, socket)? {
                Some(count) => count,
                None => return Ok(Turn::Waits),
            };
            moved += count;
            if self.last {
                host.shutdown(now, socket, How::Write)?;
                (self.service, self.last) = (Service::Discard, false);
            }
            if self.service == Service::Chargen {
                // What comes is thrown away, and the end ends it.
                match host.receive(now, socket, buffer, ReceiveFlags::default()) {
                    Ok(got) if got.count == 0 => return Ok(Turn::Over),
                    Ok(_) | Err(Errno::Again) => {}
                    Err(errno) => return Err(errno),
                }
                self.bytes = pattern(self.place, CHUNK);
                self.place = (self.place + CHUNK) % (LINE * PRINTABLE);
                continue;
            }
            let got = match host.receive(now, socket, buffer, ReceiveFlags::default()) {
                Ok(got) => got.count,
                Err(Errno::Again) => return Ok(Turn::Waits),
                Err(errno) => return Err(errno),
            };
            if got == 0 {
                return Ok(Turn::Over);
            }
            moved += got;
            let new = buffer.get(..got).unwrap_or_default();
            match self.service {
                Service::Echo => self.bytes.extend_from_slice(new),
                Service::Http => self.on_http(host, socket, new),
                Service::Discard | Service::Chargen => {}
            }
        }
        Ok(Turn::Busy)
    }

    /// Sends what waits to be sent, and says how much that was; `None` when there is no room for all of it. The head of a
    /// request that is not complete waits, but not to be sent.
    fn flush(&mut self, host: &mut Host, now: Instant, socket: SocketId) -> Result<Option<usize>, Errno> {
        if self.service == Service::Http && !self.last {
            return Ok(Some(0));
        }
        let first = self.sent;
        while self.sent < self.bytes.len() {
            let rest = self.bytes.get(self.sent..).unwrap_or_default();
            match host.send(now, socket, rest, SendFlags::default()) {
                Ok(count) => self.sent += count,
                Err(Errno::Again) => return Ok(None),
                Err(errno) => return Err(errno),
            }
        }
        let count = self.sent - first;
        self.bytes.clear();
        self.sent = 0;
        Ok(Some(count))
    }

    /// Takes a part of a request, and answers it when its head is complete.
    fn on_http(&mut self, host: &Host, socket: SocketId, new: &[u8]) {
        if self.last {
            return;
        }
        self.bytes.extend_from_slice(new);
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_none() && self.bytes.len() < HEAD_MAX {
            return;
        }
        let head = self.bytes.get(..end.unwrap_or(0)).unwrap_or_default();
        let first = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first).into_owned();
        let mut words = first.split(' ');
        let (method, target, version) = (words.next(), words.next(), words.next());
        let good = target.is_some() && version.is_some_and(|version| version.starts_with("HTTP/1."));
        let status = if good { "200 OK" } else { "400 Bad Request" };
        let tell = |end: Result<Endpoint, Errno>| end.map_or_else(|_| "?".to_owned(), |end| end.to_string());
        let (local, peer) = (tell(host.local(socket)), tell(host.peer(socket)));
        let body = format!("wharf host at {local}\nyou are {peer}\nyou said {}\n", first.escape_debug());
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        self.bytes = head.into_bytes();
        if method != Some("HEAD") {
            self.bytes.extend_from_slice(body.as_bytes());
        }
        (self.sent, self.last) = (0, true);
    }
}

/// A line of chargen with its end, and how many characters it runs through (RFC 864).
const LINE: usize = 74;
const PRINTABLE: usize = 95;

/// `count` bytes of chargen from `place` on: lines of 72 characters, each of which starts one character later.
fn pattern(place: usize, count: usize) -> Vec<u8> {
    let byte = |at: usize| match (at / LINE, at % LINE) {
        (_, 72) => b'\r',
        (_, 73) => b'\n',
        (line, column) => b' ' + ((line + column) % PRINTABLE) as u8,
    };
    (place..place + count).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chargen_turns_by_one_character_a_line() {
        let text = pattern(0, 2 * LINE);
        assert_eq!(text[..3], *b" !\"");
        assert_eq!(text[70..76], *b"fg\r\n!\"");
        // The pattern is the same after as many lines as there are characters.
        assert_eq!(pattern(LINE * PRINTABLE, LINE), pattern(0, LINE));
    }
}

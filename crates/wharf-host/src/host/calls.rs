//! Requests about sockets, one function each, as the system calls of the same names. Those that may wait are a [`Call`],
//! which is tried until it says something else than EAGAIN.

use serde_json::{Map, Value, json};
use wharf_stack::socket::{
    Domain, Errno, Host, How, Kind, OptionName, OptionValue, Privilege, Readiness, ReceiveFlags, Received,
    SendFlags, SocketId, User,
};
use wharf_table::{Endpoint, Instant, Protocol};

use super::request::{Bad, Request, Verb};
use super::value::{self, Encoding};

/// No call takes or gives more at once.
const DATA_MAX: u64 = 16 << 20;
/// How much a receive brings where nothing is said.
const RECEIVE_DEFAULT: u64 = 65_536;

/// What a request comes to: the members of its answer.
pub(super) type Answer = Result<Map<String, Value>, Failure>;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// As a system call does.
    Errno {
        errno: Errno,
        /// What was tried on what, and perhaps what stands in the way.
        what: String,
        /// In place of the error's own words.
        why: Option<String>,
    },
    /// It makes no sense.
    Bad(Bad),
}

impl From<Bad> for Failure {
    fn from(bad: Bad) -> Failure {
        Failure::Bad(bad)
    }
}

impl Failure {
    /// Says what was tried.
    pub(super) fn of(what: impl Into<String>) -> impl FnOnce(Errno) -> Failure {
        let what = what.into();
        move |errno| Failure::Errno { errno, what, why: None }
    }
}

/// The answer with these members.
pub(super) fn answer<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A line: the answer to a request.
pub(super) fn line(id: &Value, verb: Option<Verb>, answer: Answer) -> String {
    let mut members = match answer {
        Ok(members) => members,
        Err(Failure::Errno { errno, what, why }) => {
            let why = why.unwrap_or_else(|| value::words(errno).to_owned());
            self::answer([
                ("error", errno.name().into()),
                ("message", format!("{what}: {why}").into()),
                ("number", errno.number().into()),
            ])
        }
        Err(Failure::Bad(Bad { field, message })) => self::answer([
            ("error", "bad_request".into()),
            ("field", field.into()),
            ("message", message.into()),
            ("number", Value::Null),
        ]),
    };
    members.insert("id".into(), id.clone());
    members.insert("do".into(), verb.map(Verb::name).into());
    Value::Object(members).to_string()
}

/// A call that may have to wait.
#[derive(Debug)]
pub(super) enum Call {
    Accept(SocketId),
    Connect {
        socket: SocketId,
        to: Endpoint,
        begun: bool,
    },
    Send {
        socket: SocketId,
        to: Option<Endpoint>,
        bytes: Vec<u8>,
        sent: usize,
        flags: SendFlags,
    },
    Receive {
        socket: SocketId,
        most: usize,
        all: bool,
        flags: ReceiveFlags,
        encoding: Encoding,
        got: Vec<u8>,
    },
    Wait {
        sockets: Vec<SocketId>,
        mask: Readiness,
    },
}

/// How much a call may ask of its caller.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It waits.
    Waits,
    /// It takes what is there.
    None,
}

impl Call {
    /// The call that a request asks for; `None` when it asks for one that never waits.
    pub(super) fn of(request: &Request) -> Result<Option<Call>, Bad> {
        Ok(Some(match request.verb {
            Verb::Accept => Call::Accept(request.socket()?),
            Verb::Connect if request.says("to") && request.endpoint("to")?.is_none() => return Ok(None),
            Verb::Connect => {
                let to = request.endpoint("to")?.ok_or_else(|| Bad::field("to", "missing"))?;
                Call::Connect { socket: request.socket()?, to, begun: false }
            }
            Verb::Send => {
                let flags = SendFlags {
                    out_of_band: request.flag("out_of_band")?,
                    more: request.flag("more")?,
                    end_of_record: false,
                    fast_open: false,
                };
                Call::Send { socket: request.socket()?, to: None, bytes: request.data()?, sent: 0, flags }
            }
            Verb::SendTo => {
                let to = request.endpoint("to")?.ok_or_else(|| Bad::field("to", "missing"))?;
                let flags = SendFlags::default();
                Call::Send { socket: request.socket()?, to: Some(to), bytes: request.data()?, sent: 0, flags }
            }
            Verb::Receive => {
                let most = request.number("max_bytes", DATA_MAX)?.unwrap_or(RECEIVE_DEFAULT) as usize;
                let flags = ReceiveFlags {
                    peek: request.flag("peek")?,
                    truncate: false,
                    out_of_band: request.flag("out_of_band")?,
                    blocking: request.patience()?.is_some(),
                };
                let (all, encoding) = (request.flag("all")?, request.encoding()?);
                Call::Receive { socket: request.socket()?, most, all, flags, encoding, got: Vec::new() }
            }
            Verb::Wait => Call::Wait { sockets: request.sockets("sockets")?, mask: mask(request)? },
            _ => return Ok(None),
        }))
    }

    /// The sockets at which something has to happen.
    pub(super) fn sockets(&self) -> &[SocketId] {
        match self {
            Call::Accept(socket)
            | Call::Connect { socket, .. }
            | Call::Send { socket, .. }
            | Call::Receive { socket, .. } => std::slice::from_ref(socket),
            Call::Wait { sockets, .. } => sockets,
        }
    }

    /// Tries it. [`Errno::Again`] means that it has to be tried again.
    pub(super) fn attempt(&mut self, host: &mut Host, now: Instant, patience: Patience) -> Answer {
        let waits = patience == Patience::Waits;
        match self {
            Call::Accept(listener) => {
                let what = format!("accept on socket {}", listener.index());
                let (socket, peer) = host.accept(now, *listener).map_err(Failure::of(what))?;
                Ok(answer([("socket", socket.index().into()), ("peer", value::endpoint(peer))]))
            }
            Call::Connect { socket, to, begun } => {
                let what = format!("connect socket {} to {to}", socket.index());
                match host.connect(now, *socket, *to) {
                    Ok(()) => {}
                    Err(Errno::InProgress) if waits => {
                        *begun = true;
                        return Err(Failure::of(what)(Errno::Again));
                    }
                    Err(Errno::Already) if *begun => return Err(Failure::of(what)(Errno::Again)),
                    Err(errno) => return Err(Failure::of(what)(errno)),
                }
                let local = host.local(*socket).map_err(Failure::of(what))?;
                Ok(answer([("local", value::endpoint(local)), ("peer", value::endpoint(*to))]))
            }
            Call::Send { socket, to, bytes, sent, flags } => {
                let what = match to {
                    Some(to) => format!("send to {to} from socket {}", socket.index()),
                    None => format!("send on socket {}", socket.index()),
                };
                loop {
                    let rest = bytes.get(*sent..).unwrap_or_default();
                    let result = match to {
                        Some(to) => host.send_to(now, *socket, rest, *to, *flags),
                        None => host.send(now, *socket, rest, *flags),
                    };
                    match result {
                        Ok(count) => *sent += count,
                        Err(Errno::Again) if *sent > 0 && !waits => break,
                        Err(errno) => return Err(Failure::of(what)(errno)),
                    }
                    if *sent >= bytes.len() {
                        break;
                    }
                }
                Ok(answer([("sent_bytes", (*sent).into())]))
            }
            Call::Receive { .. } => self.receive(host, now),
            Call::Wait { sockets, mask } => {
                let ready = ready(host, sockets, *mask)?;
                if ready.is_empty() {
                    Err(Failure::of("wait")(Errno::Again))
                } else {
                    Ok(answer([("ready", ready.into())]))
                }
            }
        }
    }

    fn receive(&mut self, host: &mut Host, now: Instant) -> Answer {
        let Call::Receive { socket, most, all, flags, encoding, got } = self else {
            return Err(Failure::of("receive")(Errno::Invalid));
        };
        let what = || format!("receive on socket {}", socket.index());
        loop {
            let so_far = got.len();
            let received = read_more(host, now, *socket, got, *most, *flags).map_err(Failure::of(what()))?;
            let more =
                *all && !flags.peek && received.from.is_none() && received.count > 0 && got.len() < *most;
            if !more {
                let end = received.from.is_none() && received.count == 0 && so_far < *most;
                return Ok(told(got, *encoding, end, &received));
            }
        }
    }

    /// The answer when the time is over, or the socket has gone: what was done so far counts.
    pub(super) fn give_up(self, errno: Errno) -> Answer {
        let what = format!("{} on socket {}", self.word(), self.sockets().first().map_or(0, |id| id.index()));
        match self {
            Call::Wait { .. } if errno == Errno::Again => Ok(answer([("ready", json!([]))])),
            Call::Send { sent, .. } if sent > 0 => Ok(answer([("sent_bytes", sent.into())])),
            Call::Receive { got, encoding, .. } if !got.is_empty() => {
                let received = Received { count: got.len(), ..Received::default() };
                Ok(told(&got, encoding, false, &received))
            }
            Call::Connect { begun: true, .. } if errno == Errno::Again => {
                let why = Some("nothing came back in time; the attempt goes on".to_owned());
                Err(Failure::Errno { errno: Errno::InProgress, what, why })
            }
            _ if errno == Errno::Again => {
                Err(Failure::Errno { errno, what, why: Some("nothing happened in time".to_owned()) })
            }
            _ => Err(Failure::of(what)(errno)),
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Call::Accept(_) => "accept",
            Call::Connect { .. } => "connect",
            Call::Send { .. } => "send",
            Call::Receive { .. } => "receive",
            Call::Wait { .. } => "wait",
        }
    }
}

/// Receives behind what there is already.
fn read_more(
    host: &mut Host,
    now: Instant,
    socket: SocketId,
    got: &mut Vec<u8>,
    most: usize,
    flags: ReceiveFlags,
) -> Result<Received, Errno> {
    let so_far = got.len();
    let waiting = host.unread(socket).unwrap_or(0).max(1);
    got.resize(so_far + waiting.min(most - so_far), 0);
    let result = host.receive(now, socket, got.get_mut(so_far..).unwrap_or_default(), flags);
    got.truncate(so_far + result.as_ref().map_or(0, |received| received.count));
    result
}

fn told(bytes: &[u8], encoding: Encoding, end: bool, received: &Received) -> Map<String, Value> {
    let mut members = answer([
        ("received_bytes", bytes.len().into()),
        ("end", end.into()),
        ("from", received.from.map(value::endpoint).into()),
        ("to", received.to.map(value::endpoint).into()),
        ("truncated", received.truncated.into()),
        ("hop_limit", received.hop_limit.into()),
        ("traffic_class", received.traffic_class.into()),
    ]);
    encoding.put(bytes, &mut members);
    members
}

fn mask(request: &Request) -> Result<Readiness, Bad> {
    let always = Readiness::ERR | Readiness::HUP;
    let Some(words) = request.words("for")? else {
        return Ok(always | Readiness::IN | Readiness::OUT | Readiness::PRI | Readiness::RDHUP);
    };
    let bit = |word: &str| match word {
        "readable" => Some(Readiness::IN | Readiness::PRI),
        "writable" => Some(Readiness::OUT),
        "closed" => Some(Readiness::RDHUP),
        _ => None,
    };
    let unknown = |word: &str| Bad::field("for", format!("{word:?}: none of readable, writable, closed"));
    words.iter().try_fold(always, |mask, word| Ok(mask | bit(word).ok_or_else(|| unknown(word))?))
}

fn ready(host: &Host, sockets: &[SocketId], mask: Readiness) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for socket in sockets {
        let number = socket.index();
        let bits = host.readiness(*socket).map_err(Failure::of(format!("wait for socket {number}")))?;
        if bits.intersects(mask) {
            found.push(json!({
                "socket": number,
                "readable": bits.contains(Readiness::IN),
                "writable": bits.contains(Readiness::OUT),
                "urgent": bits.contains(Readiness::PRI),
                "error": bits.contains(Readiness::ERR),
                "hang_up": bits.contains(Readiness::HUP),
                "peer_finished": bits.contains(Readiness::RDHUP),
            }));
        }
    }
    Ok(found)
}

/// Makes a socket.
pub(super) fn socket(host: &mut Host, uid: u32, request: &Request) -> Answer {
    let kind = match request.word("kind", &["stream", "datagram"])? {
        "stream" => Kind::Stream,
        _ => Kind::Datagram,
    };
    let domain = match request.word("family", &["ipv4", "ipv6"])? {
        "ipv4" => Domain::V4,
        _ => Domain::V6,
    };
    let uid = request.number("uid", u32::MAX.into())?.map_or(uid, |uid| uid as u32);
    let may = if request.says("privileged") { request.flag("privileged")? } else { uid == 0 };
    let privilege = if may { Privilege::LowPorts } else { Privilege::None };
    let socket = host.socket(User { uid, privilege }, domain, kind).map_err(Failure::of("make a socket"))?;
    Ok(answer([("socket", socket.index().into())]))
}

/// bind(2).
pub(super) fn bind(host: &mut Host, request: &Request) -> Answer {
    let socket = request.socket()?;
    let at = match (request.endpoint("at")?, request.port("port")?) {
        (Some(_), Some(_)) => return Err(Bad::field("port", "the port stands in \"at\" already").into()),
        (Some(at), None) => at,
        (None, port) => {
            let local = host.local(socket).map_err(Failure::of(format!("bind socket {}", socket.index())))?;
            let any = if local.addr.is_v4() { Domain::V4 } else { Domain::V6 }.any();
            Endpoint { addr: any, port: port.unwrap_or(0) }
        }
    };
    match host.bind(socket, at) {
        Ok(()) => local(host, request),
        Err(errno) => {
            let why = match errno {
                Errno::AddressInUse => Some(format!("address in use by {}", holder(host, socket, at))),
                Errno::Access => Some("permission denied (a privileged port: see --privileged-below, or \"privileged\" of socket)".to_owned()),
                Errno::Invalid => Some("the socket is bound or connected already, or the address makes no sense for it".to_owned()),
                _ => None,
            };
            Err(Failure::Errno { errno, what: format!("bind {at}"), why })
        }
    }
}

/// Who has a port, in words.
fn holder(host: &mut Host, asking: SocketId, at: Endpoint) -> String {
    let datagrams = host.option(asking, OptionName::Type) == Ok(OptionValue::Number(2));
    let protocol = if datagrams { Protocol::Udp } else { Protocol::Tcp };
    let any = |addr: Option<wharf_table::Addr>| addr.is_none_or(|addr| addr.is_unspecified());
    let mut all = host.stack().table().bindings_after(None).map(|(_, binding)| binding);
    let found = all.find(|binding| {
        let overlaps =
            any(binding.address()) || at.addr.is_unspecified() || binding.address() == Some(at.addr);
        binding.protocol() == protocol && binding.port().number() == at.port && overlaps
    });
    match found {
        Some(binding) => {
            use wharf_table::BindingState as S;
            let state = match binding.state() {
                S::Bound => "bound",
                S::Listening => "listening",
                S::Connected => "connected",
            };
            format!("socket {} ({state})", binding.app())
        }
        None if at.port == 0 => "others: no port is left".to_owned(),
        None => "a connection, or what is left of one (see table)".to_owned(),
    }
}

/// listen(2).
pub(super) fn listen(host: &mut Host, now: Instant, request: &Request) -> Answer {
    let socket = request.socket()?;
    let backlog = request.integer("backlog")?.unwrap_or(128);
    host.listen(now, socket, backlog).map_err(Failure::of(format!("listen on socket {}", socket.index())))?;
    local(host, request)
}

/// connect(2) with AF_UNSPEC.
pub(super) fn disconnect(host: &mut Host, now: Instant, request: &Request) -> Answer {
    let socket = request.socket()?;
    host.disconnect(now, socket).map_err(Failure::of(format!("disconnect socket {}", socket.index())))?;
    let local = host.local(socket).map_err(Failure::of("local"))?;
    Ok(answer([("local", value::endpoint(local)), ("peer", Value::Null)]))
}

/// shutdown(2).
pub(super) fn shutdown(host: &mut Host, now: Instant, request: &Request) -> Answer {
    let socket = request.socket()?;
    let how = match request.word("how", &["both", "read", "write"])? {
        "read" => How::Read,
        "write" => How::Write,
        _ => How::Both,
    };
    host.shutdown(now, socket, how).map_err(Failure::of(format!("shut socket {} down", socket.index())))?;
    Ok(Map::new())
}

/// close(2).
pub(super) fn close(host: &mut Host, now: Instant, request: &Request) -> Answer {
    let socket = request.socket()?;
    host.close(now, socket).map_err(Failure::of(format!("close socket {}", socket.index())))?;
    Ok(Map::new())
}

/// getsockname(2).
pub(super) fn local(host: &Host, request: &Request) -> Answer {
    let socket = request.socket()?;
    let local = host.local(socket).map_err(Failure::of(format!("local end of socket {}", socket.index())))?;
    Ok(answer([("local", value::endpoint(local))]))
}

/// getpeername(2).
pub(super) fn peer(host: &Host, request: &Request) -> Answer {
    let socket = request.socket()?;
    let peer = host.peer(socket).map_err(Failure::of(format!("peer of socket {}", socket.index())))?;
    Ok(answer([("peer", value::endpoint(peer))]))
}

//! The values behind the words of a selector.
//!
//! Every reason that is given here completes "`THE VALUE`: ...", and ends with what to write.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::endpoint::Addr;
use crate::nearest::nearest;
use crate::notation::split::split;
use crate::notation::{Cidr, Host, Location, LocationError, PortError, Ports, Services};
use crate::registry;
use crate::rows::{State, Transport};
use crate::selector::condition::{Condition, Place, Where};
use crate::selector::lex::{Kind, Token};
use crate::selector::narrow::{States, Transports};
use crate::tuple::Protocol;

/// Ports, of a protocol where one was written.
pub(super) struct Spec {
    pub(super) ports: Ports,
    pub(super) transports: Option<Transports>,
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The comparison that a token stands for, in signs or in the words of ss.
pub(super) fn operator(token: &Token) -> Option<Operator> {
    if token.kind == Kind::Quoted {
        return None;
    }
    match token.text.to_ascii_lowercase().as_str() {
        "=" | "==" | "eq" => Some(Operator::Equal),
        "!=" | "ne" | "neq" => Some(Operator::NotEqual),
        "<" | "lt" | "below" => Some(Operator::Less),
        "<=" | "le" | "leq" => Some(Operator::LessOrEqual),
        ">" | "gt" | "above" => Some(Operator::Greater),
        ">=" | "ge" | "geq" => Some(Operator::GreaterOrEqual),
        _ => None,
    }
}

/// The ports that compare so with `ports`, or that do not.
pub(super) fn compared(operator: Operator, ports: &Ports) -> Result<(Ports, bool), String> {
    let single = match (operator, ports.ranges()) {
        (Operator::Equal, _) => return Ok((ports.clone(), false)),
        (Operator::NotEqual, _) => return Ok((ports.clone(), true)),
        (_, &[(first, last)]) if first == last => first,
        _ => return Err("only one port can be compared with (write one, 1024 say)".into()),
    };
    let ports = match operator {
        Operator::Less => single.checked_sub(1).map_or(Ports::NONE, |last| Ports::range(0, last)),
        Operator::LessOrEqual => Ports::range(0, single),
        Operator::Greater => single.checked_add(1).map_or(Ports::NONE, |first| Ports::range(first, u16::MAX)),
        _ => Ports::range(single, u16::MAX),
    };
    Ok((ports, false))
}

/// Whether a word that stands alone is meant as ports: digits, or a list, a range, a protocol beside them.
pub(super) fn is_port_like(word: &str) -> bool {
    let (first, rest) = word.split_once('/').unwrap_or((word, ""));
    let is_numbers = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit() || b",-".contains(&byte))
    };
    let colon = word.strip_prefix(':').is_some_and(|rest| !rest.is_empty() && !rest.contains(':'));
    is_numbers(first) || colon || transport(first).or(transport(rest)).is_some() && word.contains('/')
}

/// Whether a word that stands alone is meant as an address.
pub(super) fn is_place_like(word: &str) -> bool {
    let starts = word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    starts || word.starts_with(['[', '*']) || word.matches(':').count() > 1
}

/// `443`, `80,443`, `8000-8999`, `https`, with `/udp` behind or `udp/` before, and ss's `:443`.
pub(super) fn ports(text: &str, services: Services<'_>) -> Result<Spec, String> {
    let bare = text.strip_prefix(':').unwrap_or(text);
    let (numbers, transports) = match bare.split_once('/') {
        None => (bare, None),
        Some((before, after)) => match (transport(before), transport(after)) {
            (_, Some(transports)) => (before, Some(transports)),
            (Some(transports), None) => (after, Some(transports)),
            (None, None) => return Err(format!("\"/{after}\": no such protocol (write {before}/tcp)")),
        },
    };
    let ports = Ports::parse(numbers, |name| named(name, transports, services));
    ports.map(|ports| Spec { ports, transports }).map_err(|error| without_part(text, &error))
}

/// What is wrong with a value, with the offending part where that is not the whole.
fn without_part(text: &str, error: &dyn core::fmt::Display) -> String {
    let said = error.to_string();
    let whole = format!("{text:?}: ");
    said.strip_prefix(&whole).unwrap_or(&said).to_string()
}

/// All ports of a service, of the protocols that are asked for: the caller's own names come first.
fn named(name: &str, transports: Option<Transports>, services: Services<'_>) -> Result<Ports, PortError> {
    let is_asked = |transport| transports.is_none_or(|asked| asked.contains(transport));
    let mut ports = Ports::NONE;
    for transport in Transport::ALL.into_iter().filter(|&transport| is_asked(transport)) {
        ports = ports.union(&of_service(name, transport, services));
    }
    if ports.is_empty() {
        return Err(PortError::UnknownName { part: name.to_string() });
    }
    Ok(ports)
}

/// The ports of a service of one transport.
fn of_service(name: &str, transport: Transport, services: Services<'_>) -> Ports {
    if let Some(protocol) = transport.protocol()
        && let Some(port) = services(name, protocol)
    {
        return Ports::single(port.number());
    }
    let of = match transport {
        Transport::Sctp | Transport::Dccp => transport.name(),
        Transport::Tcp | Transport::Mptcp => "tcp",
        Transport::Udp | Transport::UdpLite => "udp",
        Transport::Raw | Transport::Icmp => return Ports::NONE,
    };
    let records = registry::named(name).filter(|record| record.transports().any(|it| it == of));
    records.filter_map(|record| record.ports()).collect()
}

/// The rows of a service.
pub(super) fn service(text: &str, services: Services<'_>) -> Result<Condition, String> {
    let [tcp, udp, sctp, dccp] = [Transport::Tcp, Transport::Udp, Transport::Sctp, Transport::Dccp]
        .map(|transport| of_service(text, transport, services));
    if [&tcp, &udp, &sctp, &dccp].into_iter().all(Ports::is_empty) {
        return Err("no service has this name (write port and its number, or another name)".into());
    }
    Ok(Condition::Service { tcp, udp, sctp, dccp })
}

/// `10.0.0.1`, `10.0.0.0/8`, `fe80::1%eth0`, `loopback`, with `:PORTS` behind (IPv6 in brackets); `*:80`, `:80`; and what
/// ss, tcpdump and browsers print.
pub(super) fn place(text: &str, services: Services<'_>) -> Result<Place, String> {
    let fails = |error: LocationError| without_part(text, &error);
    if text.contains("://") {
        return Location::parse(text, Protocol::Tcp, services).map_err(fails).and_then(of_location);
    }
    let parts = split(text).map_err(fails)?;
    let ports = match parts.ports {
        None | Some("*") => None,
        Some(ports) => Some(self::ports(ports, services)?.ports),
    };
    let at = match (parts.address, parts.prefix) {
        ("*" | "", None) => Where::Anywhere,
        ("loopback", None) => Where::Loopback,
        (address, None) => Where::Network(network(address)?),
        (address, Some(prefix)) => Where::Network(network(&format!("{address}/{prefix}"))?),
    };
    Ok(Place { at, zone: parts.zone.map(ToString::to_string), ports })
}

/// What a URL leads to.
fn of_location(location: Location) -> Result<Place, String> {
    let at = match location.host {
        Host::Any => Where::Anywhere,
        Host::Addr(addr) => Where::Network(whole(addr)),
        Host::Name(name) => return Err(format!("{name:?}: a name is not looked up (write its address)")),
    };
    let zone = location.zone.map(|zone| zone.to_string());
    Ok(Place { at, zone, ports: location.port.map(Ports::single) })
}

/// An address, or a network.
fn network(text: &str) -> Result<Cidr, String> {
    let form = "write 10.0.0.1, 10.0.0.0/8, fd00::1 or fd00::/8";
    if text.contains('/') {
        return text.parse::<Cidr>().map_err(|error| error.to_string());
    }
    let addr = text.parse::<IpAddr>().map(Addr::from).map_err(|_| format!("not an address ({form})"))?;
    Ok(whole(addr))
}

/// The network that holds one address only.
fn whole(addr: Addr) -> Cidr {
    Cidr::new(addr, if addr.is_v4() { 32 } else { 128 }).expect("these are the longest prefixes")
}

/// A protocol by its name.
pub(super) fn transport(word: &str) -> Option<Transports> {
    let found = Transport::ALL.into_iter().find(|transport| transport.name().eq_ignore_ascii_case(word));
    found.map(|transport| Transports::of(&[transport]))
}

/// A state, or a set of states that ss has a word for; `-` and `_` are the same.
pub(super) fn state(word: &str) -> Option<States> {
    let written = word.to_ascii_lowercase().replace('-', "_");
    let unconnected = States::of(&[State::Listen, State::Bound, State::Closed]);
    let small = States::of(&[State::SynReceived, State::TimeWait]);
    let connected = unconnected.complement();
    Some(match written.as_str() {
        "all" => States::ALL,
        "connected" => connected,
        "synchronized" => connected.intersection(States::of(&[State::SynSent]).complement()),
        "bucket" => small,
        "big" => small.complement(),
        "listening" => States::of(&[State::Listen]),
        "syn_recv" => States::of(&[State::SynReceived]),
        "unconnected" | "unconn" => States::of(&[State::Bound, State::Closed]),
        "estab" => States::of(&[State::Established]),
        _ => States::of(&[State::ALL.into_iter().find(|state| state.name() == written)?]),
    })
}

/// `established,time-wait`.
pub(super) fn states(text: &str) -> Result<Condition, String> {
    let mut states = States::NONE;
    for part in text.split(',') {
        match state(part) {
            Some(these) => states = states.union(these),
            None => return Err(no_such_state(text, part)),
        }
    }
    Ok(Condition::State(states))
}

fn no_such_state(text: &str, part: &str) -> String {
    const NAMES: [&str; 17] = [
        "listen",
        "syn-sent",
        "syn-received",
        "established",
        "fin-wait-1",
        "fin-wait-2",
        "close-wait",
        "closing",
        "last-ack",
        "time-wait",
        "closed",
        "bound",
        "all",
        "connected",
        "synchronized",
        "bucket",
        "big",
    ];
    let quoted = if part == text { String::new() } else { format!("{part:?}: ") };
    let meant = nearest(&part.replace('_', "-"), NAMES.into_iter());
    format!(
        "{quoted}no such state (write {})",
        meant.unwrap_or("established, listen, time-wait, connected...")
    )
}

/// `812,813`.
pub(super) fn pids(text: &str) -> Result<Vec<u32>, String> {
    let read = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let pid = digits.then(|| part.parse().ok()).flatten();
        pid.ok_or_else(|| {
            String::from("not the number of a process (write pid 812, or process and its name)")
        })
    };
    text.split(',').map(read).collect()
}

/// `500ms`, `30s`, `5m`, `2h`, `1d`, `1w`, `1h30m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 6] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
    let wrong = || String::from("not a time (write 500ms, 30s, 5m, 2h, 1d or 1h30m)");
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| match text.parse::<u64>() {
            Ok(number) => format!("a time needs its unit (write {number}s or {number}m)"),
            Err(_) => wrong(),
        })?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, after) = behind.split_at(letters);
        let unit = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        let number =
            number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
        total = total.checked_add(number).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

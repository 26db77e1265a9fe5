//! Can it be bound? Whose the address is, whether the port is privileged, who holds it, in which state, since when, and what
//! would free it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use wharf_sys::socket::{self, Family, Switch};
use wharf_table::notation::{Host, Location};
use wharf_table::rows::{Row, State};
use wharf_table::{Addr, Protocol};

use super::ground::{Ground, Net};
use super::listener::{local, owner, process_state, transport, who};
use super::{Effect, Explanation, Fault, Step, Target, Verdict};

/// How long the kernel keeps a socket in TIME-WAIT (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// What a bind came to.
enum Bound {
    Yes,
    /// Only with SO_REUSEADDR.
    Shared,
    No(Errno),
}

/// Answers the question.
pub(super) fn explain(ground: &Ground, at: &Location) -> Explanation {
    let place = ground.start();
    let protocol = at.protocol.unwrap_or(Protocol::Tcp);
    let address = match &at.host {
        Host::Addr(address) => address.ip(),
        Host::Any => IpAddr::from([0; 4]),
        Host::Name(name) => match super::name::look_up(ground, name).addresses.first() {
            Some(address) => *address,
            None => return unknown_name(name),
        },
    };
    let to = SocketAddr::new(address, at.port.unwrap_or(0));
    let mut steps = vec![address_step(place, address), right_step(place, to.port())];
    let holders: Vec<&Row> = ground
        .rows_of(ground.start, transport(protocol))
        .filter(|row| row.local.port == to.port() && to.port() != 0 && conflicts(row, address))
        .collect();
    for row in holders.iter().take(8) {
        let found = format!("{}: {}{}", who_holds(ground, row), row.state, since(ground, row));
        steps.push(Step::new("holder", local(row), found, Some(false)).at(&place.name));
    }
    let bound = place.inside(|| try_bind(protocol, to)).unwrap_or(Bound::No(Errno::PERM));
    let (found, ok) = match &bound {
        Bound::Yes => ("it can be bound".to_owned(), Some(true)),
        Bound::Shared => ("it can be bound with SO_REUSEADDR only".to_owned(), Some(false)),
        Bound::No(error) => (std::io::Error::from(*error).to_string(), Some(false)),
    };
    let found = found.split(" (os error").next().unwrap_or_default().to_owned();
    steps
        .push(Step::new("bind", format!("{protocol}/{to} in {}", place.called()), found, ok).at(&place.name));
    let (verdict, fault) = conclude(ground, protocol, to, &holders, &bound);
    Explanation { verdict, sentence: fault.sentence, steps, remedy: fault.remedy, instead: fault.instead }
}

fn unknown_name(name: &str) -> Explanation {
    Explanation {
        verdict: Verdict::Unreachable,
        sentence: format!("the name {name} has no address to bind"),
        steps: Vec::new(),
        remedy: None,
        instead: None,
    }
}

fn address_step(place: &Net, address: IpAddr) -> Step {
    let asked = format!("{address} in {}", place.called());
    let (found, ok) = match place.addresses().iter().find(|own| own.address == address) {
        _ if address.is_unspecified() => ("every address".to_owned(), Some(true)),
        Some(own) => (format!("an address of {}", place.device(own.interface).name), Some(true)),
        None if address.is_loopback() => ("a loopback address".to_owned(), Some(true)),
        None => {
            let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
            let nonlocal = place.sysctl_number(&format!("{family}/ip_nonlocal_bind")).unwrap_or(0);
            (format!("no address of it (net.{family}.ip_nonlocal_bind is {nonlocal})"), Some(nonlocal != 0))
        }
    };
    Step::new("address", asked, found, ok).at(&place.name)
}

fn first_unprivileged(place: &Net) -> u64 {
    place.sysctl_number("ipv4/ip_unprivileged_port_start").unwrap_or(1024)
}

fn right_step(place: &Net, port: u16) -> Step {
    let first = first_unprivileged(place);
    let is_free = port == 0 || u64::from(port) >= first;
    let found =
        format!("ports below {first} need CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start)");
    let ok = if is_free { Some(true) } else { None };
    Step::new("right", format!("port {port}"), found, ok).at(&place.name)
}

/// Whether a socket can stand in the way of an address.
fn conflicts(row: &Row, address: IpAddr) -> bool {
    let wanted = Addr::from(address);
    wanted.is_unspecified() || row.local.addr.is_unspecified() || row.local.addr == wanted
}

fn try_bind(protocol: Protocol, to: SocketAddr) -> Bound {
    let open = || -> std::io::Result<OwnedFd> {
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        let socket = if protocol == Protocol::Udp { socket::udp(family)? } else { socket::tcp(family)? };
        socket::set_reuse_address(&socket, Switch::Off)?;
        Ok(socket)
    };
    let attempt = |reuse: Switch| {
        let socket = open()?;
        socket::set_reuse_address(&socket, reuse)?;
        socket::bind(&socket, to)?;
        // What listens elsewhere on the port is found only now.
        if protocol == Protocol::Udp { Ok(()) } else { socket::listen(&socket, 1) }
    };
    let number = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    match attempt(Switch::Off) {
        Ok(()) => Bound::Yes,
        Err(error) => match (number(error), protocol) {
            (Errno::ADDRINUSE, Protocol::Tcp) if attempt(Switch::On).is_ok() => Bound::Shared,
            (error, _) => Bound::No(error),
        },
    }
}

fn who_holds(ground: &Ground, row: &Row) -> String {
    match row.ownerless {
        Some(wharf_table::rows::Ownerless::TimeWait) => "the kernel".to_owned(),
        _ => who(ground, row),
    }
}

/// Seconds until a socket in TIME-WAIT is gone.
fn left(row: &Row) -> Option<u64> {
    let age = row.age().filter(|_| row.state == State::TimeWait)?;
    Some(TIME_WAIT.saturating_sub(age).as_secs() + 1)
}

/// Since when: of TIME-WAIT how long still, else since its process has begun.
fn since(ground: &Ground, row: &Row) -> String {
    if let Some(left) = left(row) {
        return format!(", gone in {left} s");
    }
    let begun = owner(ground, row).and_then(|owner| owner.pid).and_then(process_age);
    begun.map(|age| format!(", its process began {} ago", span(age))).unwrap_or_default()
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// For how long a process has been there, in seconds.
fn process_age(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let begun = ticks / rustix::param::clock_ticks_per_second();
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now = uptime.split('.').next()?.parse::<u64>().ok()?;
    Some(now.saturating_sub(begun))
}

fn conclude(
    ground: &Ground,
    protocol: Protocol,
    to: SocketAddr,
    holders: &[&Row],
    bound: &Bound,
) -> (Verdict, Fault) {
    let place = ground.start();
    let name = format!("{protocol}/{to}");
    let fault = |sentence: String, remedy: Option<String>| Fault {
        effect: Effect::Refused,
        sentence,
        remedy,
        instead: None,
    };
    match bound {
        Bound::Yes => (Verdict::Reachable, fault(format!("{name} can be bound in {}", place.called()), None)),
        Bound::No(Errno::ADDRINUSE) | Bound::Shared => {
            (Verdict::Unreachable, in_use(ground, &name, to.port(), holders, bound))
        }
        Bound::No(Errno::ACCESS) => {
            let first = first_unprivileged(place);
            let sentence = format!(
                "{name} is privileged: ports below {first} need CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start is {first})"
            );
            let command = format!("sysctl -w net.ipv4.ip_unprivileged_port_start={}", to.port());
            (Verdict::Denied, fault(sentence, Some(place.command(&command))))
        }
        Bound::No(Errno::ADDRNOTAVAIL) if to.port() == 0 => {
            (Verdict::Unreachable, fault(no_port_left(place), None))
        }
        Bound::No(Errno::ADDRNOTAVAIL) => {
            let family = if to.is_ipv4() { "ipv4" } else { "ipv6" };
            let sentence = format!("{} is no address of {}", to.ip(), place.called());
            let command = format!("sysctl -w net.{family}.ip_nonlocal_bind=1");
            let wildcard = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
            let fault = fault(sentence, Some(place.command(&command)));
            (Verdict::Unreachable, Fault { instead: Some(format!("{wildcard}:{}", to.port())), ..fault })
        }
        Bound::No(error) => {
            let why = std::io::Error::from(*error).to_string();
            let why = why.split(" (os error").next().unwrap_or_default().to_owned();
            (Verdict::Unknown, fault(format!("{name} can't be bound: {why}"), None))
        }
    }
}

/// Somebody holds it.
fn in_use(ground: &Ground, name: &str, port: u16, holders: &[&Row], bound: &Bound) -> Fault {
    let fault = |sentence: String, remedy: Option<String>| Fault {
        effect: Effect::Refused,
        sentence,
        remedy,
        instead: matches!(bound, Bound::Shared).then(|| "SO_REUSEADDR".to_owned()),
    };
    let holds = |row: &&&Row| matches!(row.state, State::Listen | State::Bound);
    if let Some(row) = holders.iter().find(holds) {
        let what = if row.state == State::Listen { "listens on" } else { "has bound" };
        let sentence =
            format!("{name} is taken: {} {what} {}{}", who(ground, row), local(row), since(ground, row));
        return fault(sentence, stop(ground, row));
    }
    let waiting: Vec<u64> = holders.iter().filter_map(|row| left(row)).collect();
    if let (Some(longest), true) = (waiting.iter().max(), waiting.len() == holders.len()) {
        let count = waiting.len();
        let sentence = format!(
            "{name} is held by {count} closed connection{} in TIME-WAIT, which {} gone in {longest} s; a program with SO_REUSEADDR may bind it at once",
            if count == 1 { "" } else { "s" },
            if count == 1 { "is" } else { "are" },
        );
        return fault(sentence, Some(release(ground.start(), port, *longest)));
    }
    match holders.iter().find(|row| row.state != State::TimeWait) {
        Some(row) => {
            let sentence = format!(
                "{name} is held by a connection of {} ({}){}",
                who_holds(ground, row),
                row.state,
                since(ground, row)
            );
            fault(sentence, stop(ground, row))
        }
        None => fault(format!("{name} is taken, and who holds it can't be seen"), None),
    }
}

/// Ends the sockets in TIME-WAIT, which root can; everybody else waits.
fn release(place: &Net, port: u16, longest: u64) -> String {
    if rustix::process::geteuid().is_root() {
        place.command(&format!("ss -K -t state time-wait sport = :{port}"))
    } else {
        format!("sleep {longest}")
    }
}

/// Ends who holds it.
fn stop(ground: &Ground, row: &Row) -> Option<String> {
    let unit = ground.rows.group(row).and_then(|group| group.unit.clone());
    if let Some(unit) = unit.filter(|unit| unit.ends_with(".service")) {
        return Some(format!("systemctl stop {unit}"));
    }
    let pid = owner(ground, row)?.pid?;
    let is_stopped = matches!(process_state(pid), Some('T' | 't'));
    Some(format!("kill {}{pid}", if is_stopped { "-KILL " } else { "" }))
}

fn range(place: &Net) -> String {
    place
        .sysctl("ipv4/ip_local_port_range")
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join("-")
}

fn no_port_left(place: &Net) -> String {
    format!("all ports of {} in {} are taken", range(place), place.called())
}

/// No port is left for another connection to a destination: range, destination, and who has most of them.
pub(super) fn exhausted(ground: &Ground, target: &Target, to: SocketAddr) -> Fault {
    let place = ground.start();
    let rows: Vec<&Row> = ground
        .rows_of(ground.start, transport(target.protocol))
        .filter(|row| row.remote.is_some_and(|remote| remote.endpoint() == to.into()))
        .collect();
    let mut counts: Vec<(String, usize)> = Vec::new();
    for row in &rows {
        let name = if row.state == State::TimeWait { "TIME-WAIT".to_owned() } else { who_holds(ground, row) };
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most =
        counts.first().map(|(name, count)| format!("; {name} has {count} of them")).unwrap_or_default();
    let range = range(place);
    Fault {
        effect: Effect::Unreachable,
        sentence: format!(
            "no port of {range} is left in {} for a connection to {to}: {} are open{most}",
            place.called(),
            rows.len()
        ),
        remedy: Some(place.command("sysctl -w net.ipv4.ip_local_port_range='1024 65535'")),
        instead: None,
    }
}

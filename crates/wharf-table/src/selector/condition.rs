//! The conditions of a selector, and whether a row meets them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::endpoint::Addr;
use crate::notation::{Cidr, Ports};
use crate::rows::{End, Role, Row, Rows, State, Transport};
use crate::selector::narrow::{States, Transports};

/// What was selected, as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Is(Condition),
    Not(Box<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
}

/// One end, the other, or whichever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Local,
    Remote,
    Either,
}

/// Where an address lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Anywhere,
    Loopback,
    Network(Cidr),
}

/// An address or network, the zone, ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: Where,
    pub(super) zone: Option<String>,
    pub(super) ports: Option<Ports>,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// A name in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(pub(super) String);

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    All,
    Transport(Transports),
    State(States),
    Family(Family),
    Listening,
    Exposed,
    Queued,
    Owned,
    Role(Role),
    Port(Side, Ports),
    Service { tcp: Ports, udp: Ports, sctp: Ports, dccp: Ports },
    At(Side, Place),
    On(Place),
    Interface(String),
    User(String),
    Process(Pattern),
    Pid(Vec<u32>),
    Unit(Pattern),
    Container(Pattern),
    Group(String),
    Network(Pattern),
    Older(Duration),
    Younger(Duration),
}

impl Expr {
    pub(super) fn matches(&self, rows: &Rows, row: &Row) -> bool {
        match self {
            Expr::Is(condition) => condition.matches(rows, row),
            Expr::Not(inner) => !inner.matches(rows, row),
            Expr::All(parts) => parts.iter().all(|part| part.matches(rows, row)),
            Expr::Any(parts) => parts.iter().any(|part| part.matches(rows, row)),
        }
    }

    /// Whether `asked` holds for any of its conditions.
    pub(super) fn has(&self, asked: &dyn Fn(&Condition) -> bool) -> bool {
        match self {
            Expr::Is(condition) => asked(condition),
            Expr::Not(inner) => inner.has(asked),
            Expr::All(parts) | Expr::Any(parts) => parts.iter().any(|part| part.has(asked)),
        }
    }
}

impl Side {
    fn any(self, row: &Row, holds: impl Fn(End) -> bool) -> bool {
        let remote = || row.remote.is_some_and(&holds);
        match self {
            Side::Local => holds(row.local),
            Side::Remote => remote(),
            Side::Either => holds(row.local) || remote(),
        }
    }
}

impl Condition {
    fn matches(&self, rows: &Rows, row: &Row) -> bool {
        match self {
            Condition::All => true,
            Condition::Transport(set) => set.contains(row.transport),
            Condition::State(set) => set.contains(row.state),
            Condition::Family(Family::V4) => row.local.addr.is_v4(),
            Condition::Family(Family::V6) => !row.local.addr.is_v4(),
            Condition::Listening => is_listening(row),
            Condition::Exposed => is_exposed(rows, row),
            Condition::Queued => is_queued(row),
            Condition::Owned => row.owners.count > 0,
            Condition::Role(role) => row.role == *role,
            Condition::Port(side, ports) => side.any(row, |end| ports.contains(end.port)),
            Condition::Service { tcp, udp, sctp, dccp } => {
                let ports = match row.transport {
                    Transport::Tcp | Transport::Mptcp => tcp,
                    Transport::Udp | Transport::UdpLite => udp,
                    Transport::Sctp => sctp,
                    Transport::Dccp => dccp,
                    Transport::Raw | Transport::Icmp => return false,
                };
                service_port(row).is_some_and(|port| ports.contains(port))
            }
            Condition::At(side, place) => side.any(row, |end| place.holds(rows, row, end)),
            Condition::On(place) => answers_at(rows, row, place),
            Condition::Interface(name) => Side::Either.any(row, |end| is_zone(rows, row, end.zone, name)),
            Condition::User(user) => is_of_user(rows, row, user),
            Condition::Process(pattern) => rows
                .owners(row)
                .any(|(owner, _)| owner.command.as_deref().is_some_and(|it| pattern.is_command(it))),
            Condition::Pid(pids) => {
                rows.owners(row).any(|(owner, _)| owner.pid.is_some_and(|pid| pids.contains(&pid)))
            }
            Condition::Unit(pattern) => {
                let owners = rows.owners(row).filter_map(|(owner, _)| owner.unit.as_deref());
                let group = rows.group(row).and_then(|group| group.unit.as_deref());
                owners.chain(group).any(|unit| pattern.is_unit(unit))
            }
            Condition::Container(pattern) => {
                let owners = rows.owners(row).filter_map(|(owner, _)| owner.container.as_deref());
                let group = rows.group(row).and_then(|group| group.container.as_deref());
                owners.chain(group).any(|container| pattern.is_container(container))
            }
            Condition::Group(path) => rows.group(row).is_some_and(|group| lies_in(&group.path, path)),
            Condition::Network(pattern) => {
                rows.network(row).is_some_and(|network| pattern.matches(&network.name))
            }
            Condition::Older(time) => row.age().is_some_and(|age| age > *time),
            Condition::Younger(time) => row.age().is_some_and(|age| age < *time),
        }
    }
}

/// It takes connections, or datagrams from anybody.
fn is_listening(row: &Row) -> bool {
    row.state == State::Listen || row.role == Role::Listener
}

/// It listens or is bound, and not on loopback only.
fn is_exposed(rows: &Rows, row: &Row) -> bool {
    matches!(row.state, State::Listen | State::Bound)
        && !row.local.addr.is_loopback()
        && !is_zone(rows, row, row.local.zone, "lo")
}

fn is_queued(row: &Row) -> bool {
    let backlog = row.backlog.is_some_and(|backlog| backlog.used > 0);
    row.receive_queue_bytes > 0 || row.send_queue_bytes > 0 || backlog
}

/// The port whose registered name is the row's service: that of the end that was there first.
fn service_port(row: &Row) -> Option<u16> {
    match row.role {
        Role::Client => row.remote.map(|remote| remote.port),
        Role::Listener | Role::Server | Role::Bound => Some(row.local.port),
    }
}

/// Whether the interface with this index has this name, or this number.
fn is_zone(rows: &Rows, row: &Row, index: u32, name: &str) -> bool {
    if index == 0 {
        return false;
    }
    let named = rows.network(row).and_then(|network| network.interfaces.get(&index));
    named.is_some_and(|it| it == name) || name.parse() == Ok(index)
}

/// Bound to the address, or to all addresses of its family; IPv6 sockets may take IPv4 as well.
fn answers_at(rows: &Rows, row: &Row, place: &Place) -> bool {
    if place.holds(rows, row, row.local) {
        return true;
    }
    let Where::Network(network) = &place.at else { return false };
    let takes_any = row.remote.is_none() && row.local.addr.is_unspecified();
    let family = row.local.addr.is_v4() == network.addr().is_v4()
        || row.local.addr == Addr::ANY_V6 && row.v6_only != Some(true);
    takes_any && family && place.takes_port(row.local) && place.takes_zone(rows, row, row.local)
}

/// The owners' users; the socket's own where no owner is known.
fn is_of_user(rows: &Rows, row: &Row, user: &str) -> bool {
    let number = user.parse::<u32>().ok();
    let is = |uid: Option<u32>, name: Option<&str>| name == Some(user) || number.is_some() && uid == number;
    if row.owners.count == 0 {
        return is(row.uid, rows.user(row));
    }
    rows.owners(row).any(|(owner, _)| {
        let listed = owner.uid.and_then(|uid| rows.users.get(&uid)).map(String::as_str);
        is(owner.uid, owner.user.as_deref().or(listed))
    })
}

/// Whether a control group's path is `outer` or lies below it.
fn lies_in(path: &str, outer: &str) -> bool {
    let outer = outer.trim_end_matches('/');
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Place {
    fn holds(&self, rows: &Rows, row: &Row, end: End) -> bool {
        let there = match &self.at {
            Where::Anywhere => true,
            Where::Loopback => end.addr.is_loopback(),
            Where::Network(network) => network.contains(end.addr),
        };
        there && self.takes_port(end) && self.takes_zone(rows, row, end)
    }

    fn takes_port(&self, end: End) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.contains(end.port))
    }

    fn takes_zone(&self, rows: &Rows, row: &Row, end: End) -> bool {
        self.zone.as_deref().is_none_or(|zone| is_zone(rows, row, end.zone, zone))
    }
}

impl Pattern {
    /// How many letters of a command the kernel keeps (TASK_COMM_LEN, without its zero).
    const COMMAND: usize = 15;
    /// How many digits of a container's number tell it from others.
    const CONTAINER: usize = 12;

    fn has_star(&self) -> bool {
        self.0.contains('*')
    }

    /// Whether it is this name.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// A long name is cut by the kernel, and meant all the same.
    fn is_command(&self, command: &str) -> bool {
        self.matches(command)
            || !self.has_star() && command.len() == Pattern::COMMAND && self.0.starts_with(command)
    }

    fn is_unit(&self, unit: &str) -> bool {
        self.matches(unit) || unit.strip_suffix(".service").is_some_and(|name| self.matches(name))
    }

    fn is_container(&self, container: &str) -> bool {
        let is_number =
            self.0.len() >= Pattern::CONTAINER && self.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.matches(container) || is_number && container.starts_with(&self.0)
    }
}

//! Random selectors on random rows, and what they mean said once more with plain facts: names, numbers, addresses of the
//! standard library.

use core::net::IpAddr;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::{local, parse};
use crate::rows::{
    Backlog, End, Network, NetworkId, OwnerLink, OwnerSpan, ProcessId, Role, Row, Rows, State, Transport,
};
use crate::selector::Selector;
use crate::{Addr, Owner};

const ADDRESSES: [&str; 8] =
    ["0.0.0.0", "::", "127.0.0.1", "::1", "10.0.0.1", "10.0.128.9", "fe80::1", "2001:db8::5"];
const NETWORKS: [&str; 6] = ["10.0.0.0/17", "10.0.0.0/8", "0.0.0.0/0", "::/0", "fe80::/10", "127.0.0.1/32"];
const PORTS: [u16; 6] = [0, 22, 53, 80, 443, 50_000];
const COMMANDS: [&str; 3] = ["nginx", "sshd", "java"];
const USERS: [(&str, u32); 3] = [("root", 0), ("ann", 1000), ("www-data", 33)];

#[derive(Clone, Debug)]
struct Process {
    command: &'static str,
    user: (&'static str, u32),
    pid: u32,
}

/// A row as plain facts.
#[derive(Clone, Debug)]
struct Fact {
    transport: Transport,
    state: State,
    role: Role,
    local: (&'static str, u16),
    remote: Option<(&'static str, u16)>,
    uid: (&'static str, u32),
    owners: Vec<usize>,
    age_s: Option<u64>,
    queue: u32,
    waiting: Option<u32>,
    network: usize,
    zone: u32,
    v6_only: Option<bool>,
}

fn processes() -> Vec<Process> {
    let each = |(at, command): (u32, _)| USERS.map(|user| Process { command, user, pid: 100 * at + user.1 });
    (1..).zip(COMMANDS).flat_map(each).collect()
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let end = || (select(&ADDRESSES[..]), select(&PORTS[..]));
    let first = (
        select(&Transport::ALL[..]),
        select(&State::ALL[..]),
        select(&[Role::Listener, Role::Server, Role::Client, Role::Bound][..]),
        end(),
        prop::option::of(end()),
        select(&USERS[..]),
        prop::collection::vec(0..9_usize, 0..3),
    );
    let second = (
        prop::option::of(0..200_u64),
        prop_oneof![Just(0), 1..9_u32],
        prop::option::of(0..2_u32),
        0..2_usize,
        0..3_u32,
        any::<Option<bool>>(),
    );
    (first, second).prop_map(|((transport, state, role, local, remote, uid, owners), second)| {
        let (age_s, queue, waiting, network, zone, v6_only) = second;
        Fact {
            transport,
            state,
            role,
            local,
            remote,
            uid,
            owners,
            age_s,
            queue,
            waiting,
            network,
            zone,
            v6_only,
        }
    })
}

fn rows_of(facts: &[Fact]) -> Rows {
    let owner = |process: Process| Owner {
        pid: Some(process.pid),
        command: Some(process.command.into()),
        user: Some(process.user.0.into()),
        uid: Some(process.user.1),
        ..Owner::default()
    };
    let interfaces = [(1, "lo".to_string()), (2, "eth0".to_string())];
    let network = |name: &str| Network {
        name: name.into(),
        interfaces: interfaces.clone().into(),
        ..Network::default()
    };
    let mut rows = Rows {
        processes: processes().into_iter().map(owner).collect(),
        networks: Vec::from([network("host"), network("lab")]),
        users: USERS.map(|(name, uid)| (uid, name.to_string())).into(),
        ..Rows::default()
    };
    for fact in facts {
        let end = |(addr, port): (&str, u16)| End { addr: Addr::from(ip(addr)), zone: 0, port };
        let mut row = Row::new(fact.transport, end(fact.local), fact.state);
        row.local.zone = fact.zone;
        row.remote = fact.remote.map(end);
        row.role = fact.role;
        row.uid = Some(fact.uid.1);
        row.send_queue_bytes = fact.queue;
        row.backlog = fact.waiting.map(|used| Backlog { used, limit: 128 });
        row.network = NetworkId(fact.network as u16);
        row.v6_only = fact.v6_only;
        row.set_age(fact.age_s.map(core::time::Duration::from_secs));
        row.owners = OwnerSpan { first: rows.links.len() as u32, count: fact.owners.len() as u32 };
        let link = |&process: &usize| OwnerLink { process: ProcessId(process as u32), descriptor: 3 };
        rows.links.extend(fact.owners.iter().map(link));
        rows.rows.push(row);
    }
    rows
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether `addr` lies in `network`, bit by bit.
fn lies_in(addr: &str, network: &str) -> bool {
    let (base, len) = network.split_once('/').unwrap();
    let bits = |ip: IpAddr| -> Vec<bool> {
        let octets = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect()
    };
    let (addr, base, len) = (bits(ip(addr)), bits(ip(base)), len.parse::<usize>().unwrap());
    addr.len() == base.len() && addr[..len] == base[..len]
}

#[derive(Clone, Debug)]
enum Said {
    Word(&'static str),
    Transport(Transport),
    State(State),
    States(&'static str, &'static [State]),
    Role(Role),
    Ports(&'static str, Vec<(u16, u16)>),
    Compared(&'static str, &'static str, u16),
    In(&'static str, &'static str, Option<u16>),
    On(&'static str),
    User(usize, bool),
    Process(&'static str),
    Pid(u32),
    Network(&'static str),
    Interface(&'static str),
    Age(&'static str, u64),
    Not(std::boxed::Box<Said>),
    And(Vec<Said>),
    Or(Vec<Said>),
}

use Said::*;

const WORDS: [&str; 10] =
    ["listening", "exposed", "queued", "owned", "ownerless", "ipv4", "ipv6", "loopback", "connected", "all"];
const PORT_WORDS: [&str; 7] = ["port", "local port", "remote port", "sport", "dport", "to port", "from port"];
const END_WORDS: [&str; 8] = ["to", "from", "with", "local", "remote", "src", "dst", "address"];
const SIGNS: [&str; 9] = ["=", "!=", "<", "<=", ">", ">=", "lt", "above", "below"];
const ROLES: [Role; 4] = [Role::Listener, Role::Server, Role::Client, Role::Bound];
const STATES: [(&str, &[State]); 3] = [
    ("established,time-wait", &[State::Established, State::TimeWait]),
    ("bucket", &[State::TimeWait, State::SynReceived]),
    ("fin_wait_1,FIN-WAIT-2", &[State::FinWait1, State::FinWait2]),
];

/// Ports behind a word: a list, or a comparison.
fn any_ports() -> impl Strategy<Value = Said> {
    let range = (select(&PORTS[..]), select(&PORTS[..])).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        (select(&PORT_WORDS[..]), prop::collection::vec(range, 1..3))
            .prop_map(|(side, ranges)| Ports(side, ranges)),
        (select(&PORT_WORDS[..]), select(&SIGNS[..]), select(&PORTS[..]))
            .prop_map(|(side, sign, port)| Compared(side, sign, port)),
    ]
}

/// Whose it is, and where.
fn any_owner() -> impl Strategy<Value = Said> {
    prop_oneof![
        (0..3_usize, any::<bool>()).prop_map(|(user, by_number)| User(user, by_number)),
        select(&["nginx", "sshd", "s*d", "*a", "*", "perl"][..]).prop_map(Process),
        select(&[100_u32, 1100, 133, 7][..]).prop_map(Pid),
        select(&["host", "lab", "h*"][..]).prop_map(Network),
        select(&["lo", "eth0", "2"][..]).prop_map(Interface),
        (select(&["older", "younger"][..]), 0..200_u64).prop_map(|(word, s)| Age(word, s)),
    ]
}

fn any_condition() -> impl Strategy<Value = Said> {
    prop_oneof![
        select(&WORDS[..]).prop_map(Word),
        select(&Transport::ALL[..]).prop_map(Transport),
        select(&State::ALL[..]).prop_map(State),
        select(&STATES[..]).prop_map(|(text, states)| States(text, states)),
        select(&ROLES[..]).prop_map(Role),
        any_ports(),
        (select(&END_WORDS[..]), select(&NETWORKS[..]), prop::option::of(select(&PORTS[..])))
            .prop_map(|(side, network, port)| In(side, network, port)),
        select(&ADDRESSES[2..]).prop_map(On),
        any_owner(),
    ]
}

fn any_said() -> impl Strategy<Value = Said> {
    any_condition().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|said| Not(said.into())),
            prop::collection::vec(inner.clone(), 2..4).prop_map(And),
            prop::collection::vec(inner, 2..4).prop_map(Or),
        ]
    })
}

/// The text of a selector; `plainly` says whether "and" is written.
fn written(said: &Said, and: &str) -> String {
    let list = |ranges: &[(u16, u16)]| {
        let each = |&(a, b): &(u16, u16)| if a == b { format!("{a}") } else { format!("{a}-{b}") };
        ranges.iter().map(each).collect::<Vec<_>>().join(",")
    };
    match said {
        Word(word) => word.to_string(),
        Transport(transport) => transport.name().to_string(),
        State(state) => state.name().replace('_', "-"),
        States(text, _) => format!("state {text}"),
        Role(role) => format!("role {role}"),
        Ports(side, ranges) => format!("{side} {}", list(ranges)),
        Compared(side, sign, port) => format!("{side} {sign} {port}"),
        In(side, network, None) => format!("{side} {network}"),
        In(side, network, Some(port)) if network.contains("::") => {
            let (base, len) = network.split_once('/').unwrap();
            format!("{side} [{base}/{len}]:{port}")
        }
        In(side, network, Some(port)) => format!("{side} {network}:{port}"),
        On(addr) => format!("on {addr}"),
        User(at, true) => format!("user {}", USERS[*at].1),
        User(at, false) => format!("user {}", USERS[*at].0),
        Process(name) => format!("process {name}"),
        Pid(pid) => format!("pid {pid}"),
        Network(name) => format!("in {name}"),
        Interface(name) => format!("interface {name}"),
        Age(word, s) => format!("{word} than {s}s"),
        Not(inner) => format!("not ( {} )", written(inner, and)),
        And(parts) => {
            parts.iter().map(|part| format!("({})", written(part, and))).collect::<Vec<_>>().join(and)
        }
        Or(parts) => {
            parts.iter().map(|part| format!("({})", written(part, and))).collect::<Vec<_>>().join(" or ")
        }
    }
}

type Ends = Vec<(&'static str, u16)>;

/// The ends that a word speaks of.
fn ends(fact: &Fact, side: &str) -> Ends {
    match side {
        "local port" | "sport" | "from port" | "from" | "local" | "src" => Vec::from([fact.local]),
        "remote port" | "dport" | "to port" | "to" | "with" | "remote" | "dst" => {
            fact.remote.into_iter().collect()
        }
        _ => core::iter::once(fact.local).chain(fact.remote).collect(),
    }
}

fn is_loopback(addr: &str) -> bool {
    ip(addr).is_loopback()
}

fn word_holds(word: &str, fact: &Fact) -> bool {
    match word {
        "listening" => fact.state == State::Listen || fact.role == Role::Listener,
        "exposed" => {
            [State::Listen, State::Bound].contains(&fact.state)
                && !is_loopback(fact.local.0)
                && fact.zone != 1
        }
        "queued" => fact.queue > 0 || fact.waiting == Some(1),
        "owned" => !fact.owners.is_empty(),
        "ownerless" => fact.owners.is_empty(),
        "ipv4" => ip(fact.local.0).is_ipv4(),
        "ipv6" => ip(fact.local.0).is_ipv6(),
        "loopback" => ends(fact, "address").iter().any(|(addr, _)| is_loopback(addr)),
        "connected" => ![State::Listen, State::Bound, State::Closed].contains(&fact.state),
        _ => true,
    }
}

fn compares(a: u16, sign: &str, b: u16) -> bool {
    match sign {
        "=" => a == b,
        "<" | "lt" | "below" => a < b,
        "<=" => a <= b,
        ">" | "above" => a > b,
        _ => a >= b,
    }
}

/// What a selector means.
fn holds(said: &Said, fact: &Fact) -> bool {
    let all = processes();
    let owners = || fact.owners.iter().map(|&at| &all[at]);
    match said {
        Word(word) => word_holds(word, fact),
        Transport(transport) => fact.transport == *transport,
        State(state) => fact.state == *state,
        States(_, states) => states.contains(&fact.state),
        Role(role) => fact.role == *role,
        Ports(side, ranges) => {
            ends(fact, side).iter().any(|&(_, port)| ranges.iter().any(|&(a, b)| a <= port && port <= b))
        }
        Compared(side, "!=", port) => !ends(fact, side).iter().any(|&(_, it)| it == *port),
        Compared(side, sign, port) => ends(fact, side).iter().any(|&(_, it)| compares(it, sign, *port)),
        In(side, network, port) => ends(fact, side)
            .iter()
            .any(|&(addr, it)| lies_in(addr, network) && port.is_none_or(|port| port == it)),
        On(addr) => {
            let any = match fact.local.0 {
                "0.0.0.0" => ip(addr).is_ipv4(),
                "::" => ip(addr).is_ipv6() || fact.v6_only != Some(true),
                _ => false,
            };
            fact.local.0 == *addr || any && fact.remote.is_none()
        }
        User(at, _) if fact.owners.is_empty() => fact.uid == USERS[*at],
        User(at, _) => owners().any(|process| process.user == USERS[*at]),
        Process("s*d") => owners().any(|process| process.command == "sshd"),
        Process("*a") => owners().any(|process| process.command == "java"),
        Process("*") => owners().count() > 0,
        Process(name) => owners().any(|process| process.command == *name),
        Pid(pid) => owners().any(|process| process.pid == *pid),
        Network(name) => ["host", "lab"][fact.network].starts_with(name.trim_end_matches('*')),
        Interface("lo") => fact.zone == 1,
        Interface(_) => fact.zone == 2,
        Age("older", s) => fact.age_s.is_some_and(|age| age > *s),
        Age(_, s) => fact.age_s.is_some_and(|age| age < *s),
        Not(inner) => !holds(inner, fact),
        And(parts) => parts.iter().all(|part| holds(part, fact)),
        Or(parts) => parts.iter().any(|part| holds(part, fact)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_selectors_take_what_the_model_takes(said in any_said(), facts in prop::collection::vec(any_fact(), 1..20)) {
        let rows = rows_of(&facts);
        for and in [" ", " and "] {
            let text = written(&said, and);
            let selector = parse(&text);
            let narrow = selector.narrow();
            for (row, fact) in rows.rows.iter().zip(&facts) {
                let taken = selector.matches(&rows, row);
                prop_assert_eq!(taken, holds(&said, fact), "{} on {:?}", text, fact);
                let inside = narrow.transports.contains(row.transport)
                    && narrow.states.contains(row.state)
                    && narrow.local_ports.contains(row.local.port);
                prop_assert!(inside || !taken, "{} narrows to {:?} without {:?}", text, narrow, fact);
            }
        }
    }

    #[test]
    fn every_text_is_read_or_told_why_not(text in "(tcp|or|not|\\(|\\)|port|state|to|[-a-z0-9:./%\\[\\],*!<=\"'&| ]{0,9}|.{0,3}| ){0,8}") {
        if let Err(error) = Selector::parse(&text, &local) {
            let said = error.to_string();
            prop_assert!(said.contains("(write ") || said.contains("the highest port"), "{}", said);
            prop_assert!(!said.contains('\n'), "{}", said);
        }
    }
}

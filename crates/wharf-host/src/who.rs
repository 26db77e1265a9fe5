//! Who holds a local port: its sockets, the processes behind them, where these come from, who is connected.
//!
//! The kernel is asked for the sockets of the one port; remote ports with the same number never come up. Nothing is printed
//! here. [`process`] reads what `/proc` tells of a process, [`end`] ends processes and connections.

pub mod end;
pub mod process;
mod publication;

use std::collections::HashMap;

use wharf_sys::proc::descriptors::Walk;
use wharf_table::Addr;
use wharf_table::notation::Ports;
use wharf_table::rows::{OwnerLink, Role, Row, Rows, State};
use wharf_table::selector::{Narrow, States, Transports};

use self::process::Process;
pub use self::publication::Publication;
use crate::snapshot::{self, Ask, Details, Networks, Owners, Search, Searched, SnapshotError, find_owners};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The port, never 0.
    pub port: u16,
    /// Of which transports.
    pub transports: Transports,
    /// On which address.
    pub at: At,
    /// In which network.
    pub networks: Networks,
    /// How far owners are searched for.
    pub search: Search,
}

/// The address of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Whichever.
    Any,
    /// Those of the loopback interface.
    Loopback,
    /// This one, on this interface where one is told.
    Addr(Addr, Option<wharf_table::notation::Zone>),
}

/// Who holds it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// All rows of the port, and what they refer to.
    pub rows: Rows,
    /// Places of the rows that hold it: they listen, or are bound.
    pub holders: Vec<u32>,
    /// Places of connections from or to it that have not ended.
    pub connections: Vec<u32>,
    /// Places of connections of which only TIME-WAIT is left.
    pub over: Vec<u32>,
    /// The processes that hold it, or its connections where nobody else does: those first that started others of them.
    pub processes: Vec<Process>,
    /// What else they hold, as rows without owners; [`Process::others`] points here.
    pub others: Rows,
    /// The ports of runs that it leads to.
    pub publications: Vec<Publication>,
    /// Whether a process that was passed a socket by another may be missing.
    pub searched: Option<Searched>,
}

impl Answer {
    /// Whether anybody may take the port: nothing holds it, not even connections.
    pub fn is_free(&self) -> bool {
        self.holders.is_empty() && self.connections.is_empty()
    }

    /// The rows at these places.
    pub fn at<'a>(&'a self, places: &'a [u32]) -> impl Iterator<Item = &'a Row> + Clone {
        places.iter().filter_map(|&place| self.rows.rows.get(place as usize))
    }
}

/// Finds out who holds a port.
///
/// # Errors
/// As [`snapshot::take`].
pub fn ask(question: &Question) -> Result<Answer, SnapshotError> {
    let narrow = Narrow {
        transports: question.transports,
        states: States::ALL,
        local_ports: Ports::single(question.port),
    };
    let mut answer = Answer { rows: take(question, narrow)?, ..Answer::default() };
    choose(question, &mut answer);
    if answer.is_free() {
        return Ok(answer);
    }
    answer.searched = Some(find_owners(&mut answer.rows, question.search));
    let wanted = if answer.holders.is_empty() { &answer.connections } else { &answer.holders };
    answer.processes = processes(&answer, wanted);
    if !answer.processes.is_empty() {
        let states = States::of(&[State::Listen, State::Bound]);
        answer.others = take(question, Narrow { states, ..Narrow::everything() })?;
        assign_others(question, &mut answer);
        answer.publications = publication::find(&answer);
    }
    Ok(answer)
}

/// Sorts out of rows those that are asked for: of an earlier time, say. Nothing is added to what they tell.
pub fn among(question: &Question, rows: Rows) -> Answer {
    let mut answer = Answer { rows, ..Answer::default() };
    choose(question, &mut answer);
    answer
}

/// The rows of the network in question, without owners.
fn take(question: &Question, narrow: Narrow) -> Result<Rows, SnapshotError> {
    let networks = question.networks.clone();
    snapshot::take(&Ask { networks, owners: Owners::Unasked, details: Details::Unasked, narrow })
}

/// Sorts the rows of the port by what they are.
fn choose(question: &Question, answer: &mut Answer) {
    let rows = &answer.rows;
    let meant = |exactness| {
        rows.rows.iter().zip(0..).filter(move |(row, _)| {
            row.local.port == question.port
                && question.transports.contains(row.transport)
                && at(rows, row, &question.at) >= exactness
        })
    };
    let holds = |row: &Row| matches!(row.role, Role::Listener | Role::Bound);
    let exact = meant(Exactness::Same).any(|(row, _)| holds(row));
    // A listener on every address holds the port of an address that has none of its own.
    let holders = meant(if exact { Exactness::Same } else { Exactness::Wildcard });
    answer.holders = holders.filter(|(row, _)| holds(row)).map(|(_, place)| place).collect();
    let connections = meant(Exactness::Same).filter(|(row, _)| !holds(row));
    (answer.over, answer.connections) =
        connections.map(|(_, place)| place).partition(|&place| is_over(rows, place));
    answer.connections.sort_by_key(|&place| rows.rows.get(place as usize).map(|row| (row.local, row.remote)));
}

fn is_over(rows: &Rows, place: u32) -> bool {
    rows.rows.get(place as usize).is_some_and(|row| row.state == State::TimeWait)
}

/// How well a row's local address is the one that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Other,
    Wildcard,
    Same,
}

fn at(rows: &Rows, row: &Row, wanted: &At) -> Exactness {
    let local = row.local;
    let (is_same, is_v4) = match wanted {
        At::Any => return Exactness::Same,
        At::Loopback => (local.addr.is_loopback(), None),
        At::Addr(addr, zone) => {
            let is_here = zone.as_ref().is_none_or(|zone| {
                let interface = |name: &str| {
                    let interfaces = &rows.network(row)?.interfaces;
                    interfaces.iter().find(|(_, known)| *known == name).map(|(index, _)| *index)
                };
                zone.index(&interface) == Some(local.zone)
            });
            (local.addr == *addr && is_here, Some(addr.is_v4()))
        }
    };
    // One that takes both families on every address takes this one too.
    let is_wildcard = match is_v4 {
        _ if local.addr == Addr::ANY_V6 && row.v6_only != Some(true) => true,
        Some(true) => local.addr == Addr::ANY_V4,
        Some(false) => local.addr == Addr::ANY_V6,
        None => local.addr.is_unspecified(),
    };
    match (is_same, is_wildcard) {
        (true, _) => Exactness::Same,
        (_, true) => Exactness::Wildcard,
        _ => Exactness::Other,
    }
}

/// The processes behind rows, each once.
fn processes(answer: &Answer, places: &[u32]) -> Vec<Process> {
    let links = answer.at(places).flat_map(|row| answer.rows.owners(row));
    let mut found: Vec<Process> = Vec::new();
    let mut known: HashMap<u32, usize> = HashMap::new();
    for (owner, OwnerLink { process: id, .. }) in links {
        let next = found.len();
        if *known.entry(id.0).or_insert(next) == next {
            found.push(Process::read(owner.clone()));
        }
    }
    let pids: Vec<Option<u32>> = found.iter().map(|process| process.owner.pid).collect();
    let is_started_by_another =
        |process: &Process| process.owner.parent.is_some() && pids.contains(&process.owner.parent);
    found.sort_by_key(|process| (is_started_by_another(process), process.owner.pid));
    found
}

/// Says of the processes what else they hold.
fn assign_others(question: &Question, answer: &mut Answer) {
    let rows = answer.others.rows.iter().zip(0..);
    let by_inode: HashMap<u64, u32> =
        rows.filter_map(|(row, place)| Some((row.inode?.get(), place))).collect();
    let Some(mut walk) = Walk::open() else { return };
    for process in &mut answer.processes {
        let Some(pid) = process.owner.pid else { continue };
        let mut others = Vec::new();
        // What can't be read was hidden before, or has ended since: there is nothing to be said.
        let _ = walk.sockets(pid, |_, inode| others.extend(by_inode.get(&u64::from(inode))));
        others.sort_unstable();
        others.dedup();
        let is_other = |place: &u32| {
            answer.others.rows.get(*place as usize).is_some_and(|row| row.local.port != question.port)
        };
        process.others = others.into_iter().filter(is_other).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_table::Endpoint;
    use wharf_table::rows::{End, Transport};

    fn row(local: &str, v6_only: Option<bool>) -> Row {
        let at: Endpoint = local.parse().unwrap();
        Row { v6_only, ..Row::new(Transport::Tcp, End::new(at), State::Listen) }
    }

    #[test]
    fn an_address_of_its_own_comes_before_every_address() {
        let rows = Rows::default();
        let wanted = |addr: &str| At::Addr(addr.parse::<std::net::IpAddr>().unwrap().into(), None);
        let v4 = wanted("127.0.0.1");
        assert_eq!(at(&rows, &row("127.0.0.1:80", None), &v4), Exactness::Same);
        assert_eq!(at(&rows, &row("0.0.0.0:80", None), &v4), Exactness::Wildcard);
        assert_eq!(at(&rows, &row("[::]:80", Some(false)), &v4), Exactness::Wildcard);
        assert_eq!(at(&rows, &row("[::]:80", Some(true)), &v4), Exactness::Other);
        assert_eq!(at(&rows, &row("127.0.0.2:80", None), &v4), Exactness::Other);
        let v6 = wanted("::1");
        assert_eq!(at(&rows, &row("[::]:80", Some(true)), &v6), Exactness::Wildcard);
        assert_eq!(at(&rows, &row("0.0.0.0:80", None), &v6), Exactness::Other);
        assert_eq!(at(&rows, &row("[::1]:80", None), &At::Loopback), Exactness::Same);
        assert_eq!(at(&rows, &row("0.0.0.0:80", None), &At::Loopback), Exactness::Wildcard);
        assert_eq!(at(&rows, &row("10.0.0.1:80", None), &At::Any), Exactness::Same);
    }
}

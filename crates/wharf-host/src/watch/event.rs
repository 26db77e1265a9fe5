//! What happened to an endpoint, told so that it stands by itself.

use std::fmt;
use std::time::{Duration, SystemTime};

use wharf_table::owner::Owner;
use wharf_table::rows::{DetailId, OwnerLink, OwnerSpan, ProcessId, Row, Rows, State};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It has a port, or asks to be connected.
    Opened,
    /// It listens.
    Listening,
    /// It is connected.
    Connected,
    /// Its program is done with it, or it is gone.
    Closed,
}

impl Change {
    /// The stable name, as text and JSON print it.
    pub const fn name(self) -> &'static str {
        match self {
            Change::Opened => "opened",
            Change::Listening => "listening",
            Change::Connected => "connected",
            Change::Closed => "closed",
        }
    }

    /// What it is called that an endpoint in this state has come; `None` for one that is on its way out.
    pub(crate) fn arrival(row: &Row) -> Option<Change> {
        Some(match row.state {
            State::Listen => Change::Listening,
            State::Bound | State::SynSent | State::SynReceived => Change::Opened,
            State::TimeWait | State::Closed => return None,
            // One that is closing already was connected.
            _ => Change::Connected,
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How it became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The kernel told it when it happened.
    Kernel,
    /// It was seen when the kernel was asked again: it happened some time before.
    Sample,
}

impl Source {
    /// The stable name, as JSON and records say it.
    pub const fn name(self) -> &'static str {
        match self {
            Source::Kernel => "kernel",
            Source::Sample => "sample",
        }
    }
}

/// Something that happened to an endpoint.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, as exactly as its source knows.
    pub at: SystemTime,
    /// What.
    pub change: Change,
    /// How it became known.
    pub source: Source,
    /// The endpoint's number in this watch: all its events have the same.
    pub number: u64,
    /// Since when it is known to have existed; `None` for one of which nothing was known before it had ended.
    pub since: Option<SystemTime>,
    /// Of a TCP connection that ended, the bytes that it sent and received, where the kernel told.
    pub bytes: Option<(u64, u64)>,
    /// The one row that it is about, and what that refers to.
    rows: Rows,
}

impl Event {
    /// An event about one row of `rows`, which is copied with all it refers to.
    pub(crate) fn about(rows: Rows, change: Change, at: SystemTime, source: Source) -> Event {
        Event { at, change, source, number: 0, since: None, bytes: None, rows }
    }

    /// The same with its endpoint's number, and since when that exists.
    pub(crate) fn numbered(self, number: u64, since: Option<SystemTime>) -> Event {
        Event { number, since, ..self }
    }

    /// The same with the bytes that the endpoint sent and received.
    pub(crate) fn counted(self, bytes: Option<(u64, u64)>) -> Event {
        Event { bytes, ..self }
    }

    /// The row's surroundings, for those who draw or select rows.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The row.
    pub fn row(&self) -> &Row {
        self.rows.rows.first().expect("an event is about a row")
    }

    /// The processes that held it, as far as they are known.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.rows.processes.iter()
    }

    /// How long it lived, of one that has ended, where it is known.
    pub fn lived(&self) -> Option<Duration> {
        let since = self.since.filter(|_| self.change == Change::Closed)?;
        Some(self.at.duration_since(since).unwrap_or_default())
    }
}

/// The row at `index` with all that it refers to and nothing else.
pub(crate) fn alone(rows: &Rows, row: &Row) -> Rows {
    let mut one = Rows::default();
    let mut copy = *row;
    copy.owners = OwnerSpan::default();
    copy.detail = None;
    one.networks.extend(rows.network(row).cloned());
    copy.network = Default::default();
    if let (Some(number), Some(group)) = (row.cgroup, rows.group(row)) {
        one.groups.insert(number.get(), group.clone());
    }
    if let (Some(uid), Some(user)) = (row.uid, rows.user(row)) {
        one.users.insert(uid, user.to_owned());
    }
    if let Some(detail) = rows.detail(row) {
        copy.detail = DetailId::from_index(0);
        one.details.push(*detail);
    }
    one.rows.push(copy);
    let owners: Vec<_> = rows.owners(row).map(|(owner, link)| (owner.clone(), link.descriptor)).collect();
    give_owners(&mut one, owners);
    one
}

/// Says who holds the only row of `one`.
pub(crate) fn give_owners(one: &mut Rows, owners: impl IntoIterator<Item = (Owner, u32)>) {
    one.processes.clear();
    one.links.clear();
    for (owner, descriptor) in owners {
        let process = ProcessId(one.processes.len() as u32);
        one.processes.push(owner);
        one.links.push(OwnerLink { process, descriptor });
    }
    let count = one.links.len() as u32;
    if let Some(row) = one.rows.first_mut() {
        row.owners = OwnerSpan { first: 0, count };
        if count > 0 {
            row.ownerless = None;
        }
    }
}

/// Whether a row counts as there: what the kernel keeps for a while when the program is done with it does not.
pub(crate) fn is_alive(row: &Row) -> bool {
    match row.state {
        State::TimeWait | State::Closed => false,
        State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => row.inode.is_some(),
        _ => true,
    }
}

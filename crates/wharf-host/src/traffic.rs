//! Ports with their talkers: rows grouped by port, with rates from one sample to the next. What `wharf top` shows.
//!
//! Pure: samples and times go in, a [`Board`] comes out. A connection is counted at the local port where a listener took it, and at
//! the remote port where a program here asked for it: an ephemeral port tells nobody anything.
//!
//! Rates come of the bytes that the kernel counts for TCP connections. It counts none for UDP, so there is no rate, rather than
//! one of zero. What a connection moved between its last sample and its end is missing.

mod board;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_table::owner::Owner;
use wharf_table::rows::{Role, Row, Rows, State};
use wharf_table::selector::Selector;

use crate::watch::{alone, give_owners};

pub use board::{Board, Line, Order, Peer, Port, Rate, Side, Talker};

/// What tells an endpoint from others: its network's number, and its cookie.
type Cookie = (u64, u64);

/// Remembers what the samples before have shown.
#[derive(Debug, Default)]
pub struct Tally {
    /// When the last sample was.
    last: Option<Instant>,
    /// Of every endpoint that was there: its port, the bytes it had sent and received, its owners.
    before: HashMap<Cookie, Before>,
    /// What came and went at each port since the beginning.
    changes: BTreeMap<Port, Changes>,
}

#[derive(Debug)]
struct Before {
    port: Port,
    bytes: Option<(u64, u64)>,
    owners: Arc<[Owner]>,
}

/// What came and went at a port.
#[derive(Clone, Copy, Debug, Default)]
struct Changes {
    came: u32,
    went: u32,
    last: Option<Instant>,
}

impl Tally {
    /// Of nothing.
    pub fn new() -> Tally {
        Tally::default()
    }

    /// Takes in a sample and makes a board of the rows that are meant. Rows whose owners were not looked for this time keep those
    /// that they had.
    pub fn take(&mut self, rows: &Rows, selector: &Selector, now: Instant) -> Board {
        let span = self.last.map(|last| now.duration_since(last)).filter(|span| !span.is_zero());
        let is_first = self.last.replace(now).is_none();
        let mut there = HashMap::with_capacity(rows.rows.len());
        let mut lines: BTreeMap<Port, Line> = BTreeMap::new();
        let mut people = People::new(rows);
        for row in rows.rows.iter().filter(|row| row.state != State::Closed) {
            let network = rows.network(row).map_or(0, |network| network.inode);
            let (key, port) = ((network, row.cookie), port_of(rows, row));
            let before = self.before.get(&key);
            let owners = match before {
                Some(before) if row.owners.count == 0 => before.owners.clone(),
                _ => people.of(row),
            };
            let bytes = rows.detail(row).map(|detail| (detail.sent_bytes, detail.received_bytes));
            let rate = rate(before.and_then(|before| before.bytes), bytes, span);
            let is_new = before.is_none() && row.state != State::TimeWait;
            if is_new && !is_first {
                let changes = self.changes.entry(port.clone()).or_default();
                (changes.came, changes.last) = (changes.came + 1, Some(now));
            }
            if row.state != State::TimeWait {
                there.insert(key, Before { port: port.clone(), bytes, owners: owners.clone() });
            }
            if matches(selector, rows, row, &owners) {
                let line = lines.entry(port.clone()).or_insert_with(|| Line::new(port));
                line.add(Talker { row: *row, owners, rate, detail: rows.detail(row).copied() });
            }
        }
        for (_, before) in self.before.extract_if(|key, _| !there.contains_key(key)) {
            let changes = self.changes.entry(before.port).or_default();
            (changes.went, changes.last) = (changes.went + 1, Some(now));
        }
        self.before = there;
        let mut lines: Vec<Line> = lines.into_values().collect();
        for line in &mut lines {
            let changes = self.changes.get(&line.port).copied().unwrap_or_default();
            (line.came, line.went, line.changed) = (changes.came, changes.went, changes.last);
        }
        // Ports that have long been left alone are not remembered for ever.
        let kept = |last: Instant| now.duration_since(last) < Duration::from_secs(3_600);
        self.changes.retain(|_, changes| changes.last.is_some_and(kept));
        Board { lines, networks: rows.networks.clone() }
    }
}

/// Whether a row is meant; with the owners that it is known to have.
fn matches(selector: &Selector, rows: &Rows, row: &Row, owners: &Arc<[Owner]>) -> bool {
    if row.owners.count > 0 || owners.is_empty() || !selector.asks_owners() {
        return selector.matches(rows, row);
    }
    let mut one = alone(rows, row);
    give_owners(&mut one, owners.iter().map(|owner| (owner.clone(), 0)));
    one.rows.first().is_some_and(|row| selector.matches(&one, row))
}

/// The port at which a row is counted.
fn port_of(rows: &Rows, row: &Row) -> Port {
    let (side, number) = match (row.role, row.remote) {
        (Role::Client, Some(remote)) => (Side::There, remote.port),
        _ => (Side::Here, row.local.port),
    };
    let network = rows.network(row).map(|network| network.name.clone()).unwrap_or_default();
    Port { network, transport: row.transport, side, number }
}

/// Bytes a second, out and in; `None` where they are not counted, or it is the first sample.
fn rate(before: Option<(u64, u64)>, now: Option<(u64, u64)>, span: Option<Duration>) -> Option<Rate> {
    let (now, span) = (now?, span?.as_secs_f64());
    // What a new connection has moved it has moved since the last sample.
    let before = before.unwrap_or_default();
    let each = |now: u64, before: u64| (now.saturating_sub(before) as f64 / span) as u64;
    Some(Rate { sent: each(now.0, before.0), received: each(now.1, before.1) })
}

/// The owners of rows; those that have the same ones share them.
struct People<'a> {
    rows: &'a Rows,
    known: HashMap<Vec<u32>, Arc<[Owner]>>,
    nobody: Arc<[Owner]>,
}

impl<'a> People<'a> {
    fn new(rows: &'a Rows) -> People<'a> {
        People { rows, known: HashMap::new(), nobody: Arc::new([]) }
    }

    fn of(&mut self, row: &Row) -> Arc<[Owner]> {
        if row.owners.count == 0 {
            return self.nobody.clone();
        }
        let places = self.rows.owners(row).map(|(_, link)| link.process.0).collect();
        let rows = self.rows;
        let made = || rows.owners(row).map(|(owner, _)| owner.clone()).collect();
        self.known.entry(places).or_insert_with(made).clone()
    }
}

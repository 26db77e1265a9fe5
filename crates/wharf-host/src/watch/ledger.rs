//! The ledger: what is there now, and what follows from each thing that is told of it.
//!
//! Pure: no clock, no descriptor. Samples and the kernel's news go in, events come out, each thing once.
//!
//! # Invariants
//! - An endpoint whose coming was told has its end told, with the same number, if it ends while the ledger is fed.
//! - What a sample shows although its end was told is not told again: a sample takes time, and a socket may end in it.
//! - What the kernel keeps of a connection when its program is done with it (TIME-WAIT and its like) is neither.

mod known;
mod news;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use wharf_table::owner::Owner;
use wharf_table::rows::{Row, Rows, State};

use self::known::{At, Ends, Kept, Key, Known, Place, Standing, give_kept};
pub(crate) use self::news::{Doer, Passing};
use super::event::{Change, Event, Source, alone, is_alive};

/// What is there, and what has just ended.
#[derive(Debug, Default)]
pub struct Ledger {
    sample: Rows,
    samples: u64,
    numbers: u64,
    there: HashMap<Key, Known>,
    /// Whose end was told, and when; as long as a sample may still show it.
    ended: HashMap<Key, SystemTime>,
    /// Those that have no peer, by port.
    ports: HashMap<At, Vec<Key>>,
    /// What the last sample, or one of a few rows, was the first to show.
    recent: HashMap<(Place, Ends), Key>,
    /// What a tracepoint told of and no sample has shown: by ends.
    traced: HashMap<(Place, Ends), Vec<Key>>,
    /// What came in a network that is not known: connections that listeners took, and what processes opened that have ended.
    somewhere: HashMap<Ends, news::Hint>,
    /// Connections that were asked for and refused, by their local port: the kernel forgets their ends before it tells theirs.
    refused: HashMap<At, Key>,
    /// Sockets that ask to be connected, by their address in the kernel.
    connecting: HashMap<u64, news::Connecting>,
}

impl Ledger {
    /// Of nothing.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// How many endpoints are there.
    pub fn len(&self) -> usize {
        self.there.len()
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.there.is_empty()
    }

    /// Takes in a whole sample that was begun at `begun`: all that is there. The first one tells nothing by `events`;
    /// [`Ledger::present`] gives what it showed.
    ///
    /// Rows that are known keep their owners where the sample has none.
    pub fn sample(&mut self, rows: Rows, begun: SystemTime, events: &mut Vec<Event>) {
        self.samples += 1;
        self.recent.clear();
        let places: Vec<_> = rows.networks.iter().map(Place::of).collect();
        let mut people: Vec<Option<Arc<Owner>>> = vec![None; rows.processes.len()];
        let mut lingering = HashSet::new();
        let told = mem::take(&mut self.ended);
        for (index, row) in rows.rows.iter().enumerate() {
            let Some(&place) = places.get(row.network.0 as usize) else { continue };
            let key = Key::of(place, row);
            if !is_alive(row) || told.contains_key(&key) {
                if told.contains_key(&key) || self.there.contains_key(&key) {
                    lingering.insert(key);
                }
                continue;
            }
            self.adopt(place, key, row);
            let owners = kept(&rows, row, &mut people);
            events.extend(self.shown((place, key), &rows, index, owners, begun));
        }
        // Those whose end was told stay so while samples show them.
        self.ended = told;
        self.ended.retain(|key, at| *at >= begun || lingering.contains(key));
        let gone: Vec<_> = self
            .there
            .iter()
            .filter(|(_, known)| known.sample < self.samples && known.seen < begun)
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            events.extend(self.end(key, begun, Source::Sample, None));
            if lingering.contains(&key) {
                self.ended.insert(key, begun);
            }
        }
        for known in self.there.values_mut().filter(|known| known.sample < self.samples) {
            // Its row stands in the sample that goes now.
            if let Standing::Sample(index) = known.standing
                && let Some(row) = self.sample.rows.get(index as usize)
            {
                known.standing = Standing::Alone(Box::new(alone(&self.sample, row)));
            }
        }
        self.sample = rows;
        self.forget(begun);
    }

    /// Everything that is there, as events of its coming: for whoever begins to record.
    pub fn present(&self) -> impl Iterator<Item = Event> + '_ {
        self.there.values().filter_map(|known| {
            let rows = known.alone(&self.sample)?;
            let change = Change::arrival(rows.rows.first()?)?;
            let event = Event::about(rows, change, known.since, Source::Sample);
            Some(event.numbered(known.number, Some(known.since)))
        })
    }

    /// Takes in a row that was seen between two samples, at `at`.
    pub(crate) fn seen(&mut self, rows: Rows, at: SystemTime, events: &mut Vec<Event>) {
        let Some((row, network)) = rows.rows.first().and_then(|row| Some((*row, rows.network(row)?))) else {
            return;
        };
        let place = Place::of(network);
        let key = Key::of(place, &row);
        if !is_alive(&row) || self.ended.contains_key(&key) || self.there.contains_key(&key) {
            return;
        }
        self.adopt(place, key, &row);
        if let Some(known) = self.there.get_mut(&key) {
            known.seen = at;
            return;
        }
        let owners =
            rows.owners(&row).map(|(owner, link)| (Arc::new(owner.clone()), link.descriptor)).collect();
        events.extend(self.arrive((place, key), rows, owners, at, Source::Sample));
        self.recent.insert((place, Ends::of(&row)), key);
    }

    /// A row of a whole sample, which is new or known.
    fn shown(
        &mut self,
        (place, key): (Place, Key),
        rows: &Rows,
        index: usize,
        owners: Kept,
        begun: SystemTime,
    ) -> Option<Event> {
        let row = rows.rows.get(index)?;
        let standing = Standing::Sample(u32::try_from(index).unwrap_or(u32::MAX));
        if let Some(known) = self.there.get_mut(&key) {
            (known.sample, known.seen, known.standing) = (self.samples, begun, standing);
            if !owners.is_empty() && !same_owners(&known.owners, &owners) {
                known.owners = owners;
            }
            let before = mem::replace(&mut known.state, row.state);
            let change = change_between(before, row)?;
            let mut one = alone(rows, row);
            give_kept(&mut one, &known.owners);
            let event = Event::about(one, change, begun, Source::Sample);
            return Some(event.numbered(known.number, Some(known.since)));
        }
        let born = self.somewhere.remove(&Ends::of(row)).map(|hint| hint.since);
        let since = born.or_else(|| begun.checked_sub(row.age()?)).unwrap_or(begun);
        self.numbers += 1;
        let number = self.numbers;
        let port = row.remote.is_none().then(|| At::of(place, row));
        let (state, sample) = (row.state, self.samples);
        self.put(key, Known { number, state, since, seen: begun, sample, port, owners, standing });
        self.recent.insert((place, Ends::of(row)), key);
        let change = Change::arrival(row).filter(|_| self.samples > 1)?;
        let (at, source) = born.map_or((begun, Source::Sample), |born| (born, Source::Kernel));
        Some(Event::about(alone(rows, row), change, at, source).numbered(number, Some(since)))
    }

    /// An endpoint that came between two samples, as the only row of `rows`.
    fn arrive(
        &mut self,
        (place, key): (Place, Key),
        mut rows: Rows,
        owners: Kept,
        at: SystemTime,
        source: Source,
    ) -> Option<Event> {
        give_kept(&mut rows, &owners);
        let row = *rows.rows.first()?;
        let since = at.checked_sub(row.age().unwrap_or_default()).unwrap_or(at);
        self.numbers += 1;
        let number = self.numbers;
        let event = Change::arrival(&row).map(|change| {
            let event = Event::about(rows.clone(), change, at, source);
            event.numbered(number, Some(since))
        });
        let port = row.remote.is_none().then(|| At::of(place, &row));
        let standing = Standing::Alone(Box::new(rows));
        self.put(key, Known { number, state: row.state, since, seen: at, sample: 0, port, owners, standing });
        event
    }

    /// Ends what is known by this key, and tells it.
    fn end(&mut self, key: Key, at: SystemTime, source: Source, bytes: Option<(u64, u64)>) -> Option<Event> {
        let known = self.take(key)?;
        let rows = known.alone(&self.sample)?;
        // Clocks may be set back; an end is never before its beginning.
        let event = Event::about(rows, Change::Closed, at.max(known.since), source);
        Some(event.numbered(known.number, Some(known.since)).counted(bytes))
    }

    fn put(&mut self, key: Key, known: Known) {
        if let Some(port) = known.port {
            self.ports.entry(port).or_default().push(key);
        }
        self.there.insert(key, known);
    }

    fn take(&mut self, key: Key) -> Option<Known> {
        let known = self.there.remove(&key)?;
        if let Some(port) = known.port
            && let Some(keys) = self.ports.get_mut(&port)
        {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.ports.remove(&port);
            }
        }
        Some(known)
    }

    /// What a tracepoint has told of and this row shows is one and the same, from now on under the row's key.
    fn adopt(&mut self, place: Place, key: Key, row: &Row) {
        if self.traced.is_empty() || self.there.contains_key(&key) {
            return;
        }
        let at = (place, Ends::of(row));
        let Some(keys) = self.traced.get_mut(&at) else { return };
        let first = (!keys.is_empty()).then(|| keys.remove(0));
        if keys.is_empty() {
            self.traced.remove(&at);
        }
        if let Some(known) = first.and_then(|first| self.take(first)) {
            self.put(key, known);
        }
    }

    /// Lets go of what can't be asked for any more.
    fn forget(&mut self, begun: SystemTime) {
        let there = &self.there;
        self.traced.retain(|_, keys| {
            keys.retain(|key| there.contains_key(key));
            !keys.is_empty()
        });
        self.refused.retain(|_, key| there.contains_key(key));
        self.somewhere.retain(|_, hint| hint.since >= begun);
    }
}

/// What follows from a row's state having changed, for an endpoint that is there before and after.
fn change_between(before: State, row: &Row) -> Option<Change> {
    let opening = |state| matches!(state, State::Bound | State::SynSent | State::SynReceived);
    let arrival = Change::arrival(row)?;
    (opening(before) && arrival != Change::Opened).then_some(arrival)
}

/// The owners of a row, each process kept once for a sample.
fn kept(rows: &Rows, row: &Row, people: &mut [Option<Arc<Owner>>]) -> Kept {
    let mut kept = Vec::with_capacity(row.owners.count as usize);
    for (owner, link) in rows.owners(row) {
        if let Some(person) = people.get_mut(link.process.0 as usize) {
            kept.push((person.get_or_insert_with(|| Arc::new(owner.clone())).clone(), link.descriptor));
        }
    }
    kept.into_boxed_slice()
}

fn same_owners(one: &Kept, other: &Kept) -> bool {
    let pids =
        |kept: &Kept| kept.iter().map(|(owner, descriptor)| (owner.pid, *descriptor)).collect::<Vec<_>>();
    one.len() == other.len() && pids(one) == pids(other)
}

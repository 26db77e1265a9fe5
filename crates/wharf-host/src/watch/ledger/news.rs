//! What the kernel tells by itself: sockets that end, and the changes of a TCP socket's state.

use std::sync::Arc;
use std::time::SystemTime;

use wharf_sys::netlink::destroyed::Destroyed;
use wharf_table::owner::Owner;
use wharf_table::rows::{End, Network, NetworkId, Role, Row, Rows, State, Transport};
use wharf_table::{Addr, Endpoint};

use super::Ledger;
use super::known::{At, Ends, Kept, Key, Place, give_kept};
use crate::watch::event::{Change, Event, Source};

/// A change of the state of a TCP socket.
#[derive(Clone, Debug)]
pub(crate) struct Passing {
    /// The socket's address in the kernel, which tells it from all that are there at the same time.
    pub(crate) socket: u64,
    /// The state that it has now.
    pub(crate) state: State,
    /// The local end.
    pub(crate) local: Endpoint,
    /// The remote end.
    pub(crate) remote: Option<Endpoint>,
    /// When.
    pub(crate) at: SystemTime,
    /// The process that did it and its network, where a process did it.
    pub(crate) doer: Option<Doer>,
}

/// Who did it, and in which network.
#[derive(Clone, Debug)]
pub(crate) struct Doer {
    pub(crate) owner: Arc<Owner>,
    /// `None` where the process had ended before it could be asked.
    pub(crate) network: Option<Arc<Network>>,
}

/// What is known of an endpoint before it is known in which network it is.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    pub(super) since: SystemTime,
    owner: Option<Arc<Owner>>,
    /// Its ends, where the kernel tells others by the time that it ends.
    asked: Option<(Endpoint, Endpoint)>,
}

/// A socket that asks to be connected.
#[derive(Clone, Debug)]
pub(super) struct Connecting {
    doer: Doer,
    since: SystemTime,
}

impl Ledger {
    /// Takes in that a socket of `network` ended.
    pub(crate) fn ended(
        &mut self,
        network: &Network,
        ended: Destroyed,
        at: SystemTime,
        events: &mut Vec<Event>,
    ) {
        let place = Place::of(network);
        let key = Key::Cookie(place, ended.cookie);
        if self.ended.contains_key(&key) {
            return;
        }
        self.ended.insert(key, at);
        let mut row = Row::new(ended.transport, ended.local, State::Closed);
        (row.cookie, row.remote) = (ended.cookie, ended.remote);
        self.adopt(place, key, &row);
        let refused = self.refused.remove(&At::of(place, &row)).filter(|_| row.remote.is_none());
        let key = refused.filter(|_| !self.there.contains_key(&key)).unwrap_or(key);
        if let Some(event) = self.end(key, at, Source::Kernel, ended.bytes) {
            return events.push(event);
        }
        // It came and went between two samples.
        let hint = self.somewhere.remove(&Ends::of(&row));
        if let Some((local, remote)) = hint.as_ref().and_then(|hint| hint.asked) {
            (row.local, row.remote, row.state) = (End::new(local), Some(End::new(remote)), State::SynSent);
        }
        let listener = self.listener(place, &row);
        row.role = match (ended.transport, row.remote, &listener) {
            (Transport::Tcp, None, _) => Role::Bound,
            (_, None, _) => Role::Listener,
            (_, Some(_), Some(_)) => Role::Server,
            (_, Some(_), None) => Role::Client,
        };
        let opener = hint.as_ref().and_then(|hint| hint.owner.clone());
        let owners = match (opener, listener) {
            (Some(owner), _) => Some((Kept::from([(owner.clone(), 0)]), owner.uid)),
            (None, listener) => listener,
        };
        let mut rows = Rows { networks: vec![network.clone()], rows: vec![row], ..Rows::default() };
        if let Some((owners, uid)) = owners {
            give_kept(&mut rows, &owners);
            rows.rows.iter_mut().for_each(|row| row.uid = uid);
        }
        let since = hint.map(|hint| hint.since);
        self.numbers += 1;
        let event = Event::about(rows, Change::Closed, at, Source::Kernel);
        events.push(event.numbered(self.numbers, since).counted(ended.bytes));
    }

    /// Takes in that a socket changed its state.
    pub(crate) fn passed(&mut self, passing: Passing, events: &mut Vec<Event>) {
        match passing.state {
            State::Listen => {
                if let Some(doer) = passing.doer.clone() {
                    self.came(&passing, &doer, Role::Listener, passing.at, events);
                }
            }
            State::SynSent => {
                if let Some(doer) = passing.doer {
                    self.connecting.insert(passing.socket, Connecting { doer, since: passing.at });
                }
            }
            State::Established => match self.connecting.remove(&passing.socket) {
                Some(Connecting { doer, since }) => self.came(&passing, &doer, Role::Client, since, events),
                // A listener took it. The samples, or its end, tell in which network; this tells since when.
                None => self.hint(&passing, passing.at, None),
            },
            State::Closed => {
                // It was not connected: its end will be told, and then it is known whose it was.
                if let Some(Connecting { doer, since }) = self.connecting.remove(&passing.socket) {
                    let asked = Passing { state: State::SynSent, at: since, ..passing };
                    self.came(&asked, &doer, Role::Client, since, &mut Vec::new());
                    self.refused(&asked, doer);
                }
            }
            _ => {}
        }
    }

    /// What came is found by its ends when a sample or its end shows in which network it is.
    fn hint(&mut self, passing: &Passing, since: SystemTime, owner: Option<Arc<Owner>>) {
        let ends = Ends { transport: Transport::Tcp, local: passing.local, remote: passing.remote };
        self.somewhere.insert(ends, Hint { since, owner, asked: None });
    }

    /// A connection was not made. By the time that its socket ends the kernel has forgotten all but its local port.
    fn refused(&mut self, asked: &Passing, doer: Doer) {
        if let Some(network) = &doer.network {
            let row = Row::new(Transport::Tcp, End::new(asked.local), asked.state);
            self.refused.insert(At::of(Place::of(network), &row), Key::Traced(asked.socket));
        } else if let Some(remote) = asked.remote {
            let any = if asked.local.addr.is_v4() { Addr::ANY_V4 } else { Addr::ANY_V6 };
            let local = Endpoint { addr: any, port: asked.local.port };
            let ends = Ends { transport: Transport::Tcp, local, remote: None };
            let hint = Hint { since: asked.at, owner: Some(doer.owner), asked: Some((asked.local, remote)) };
            self.somewhere.insert(ends, hint);
        }
    }

    /// A process has opened a socket.
    fn came(
        &mut self,
        passing: &Passing,
        doer: &Doer,
        role: Role,
        since: SystemTime,
        events: &mut Vec<Event>,
    ) {
        let Some(network) = &doer.network else { return self.hint(passing, since, Some(doer.owner.clone())) };
        let place = Place::of(network);
        let mut row = Row::new(Transport::Tcp, End::new(passing.local), passing.state);
        row.remote = passing.remote.map(End::new);
        (row.role, row.network, row.uid) = (role, NetworkId(0), doer.owner.uid);
        let ends = (place, Ends::of(&row));
        // A sample may have been faster, or has shown it when it only had a port.
        if self.was_shown(place, &row, passing, events) {
            return;
        }
        let mut rows = Rows { networks: vec![(**network).clone()], rows: vec![row], ..Rows::default() };
        if let (Some(uid), Some(user)) = (doer.owner.uid, &doer.owner.user) {
            rows.users.insert(uid, user.clone());
        }
        let key = Key::Traced(passing.socket);
        self.take(key);
        let owners: Kept = Box::new([(doer.owner.clone(), 0)]);
        events.extend(self.arrive((place, key), rows, owners, passing.at, Source::Kernel));
        if let Some(known) = self.there.get_mut(&key) {
            known.since = since;
        }
        self.traced.entry(ends).or_default().push(key);
    }

    /// Whether the endpoint of this passing is known already; what changed of it is told.
    fn was_shown(&mut self, place: Place, row: &Row, passing: &Passing, events: &mut Vec<Event>) -> bool {
        if self.recent.contains_key(&(place, Ends::of(row))) {
            return true;
        }
        // One that had its port long before it listened.
        let keys = self.ports.get(&At::of(place, row)).into_iter().flatten();
        let bound = keys.copied().find(|key| {
            let known = self.there.get(key).filter(|known| known.state == State::Bound);
            known
                .and_then(|known| known.row(&self.sample))
                .is_some_and(|(_, found)| Ends::of(found) == Ends::of(row))
        });
        let Some(known) = bound.and_then(|key| self.there.get_mut(&key)) else { return false };
        known.state = passing.state;
        if let Some(mut rows) = known.alone(&self.sample) {
            rows.rows.iter_mut().for_each(|row| (row.state, row.role) = (State::Listen, Role::Listener));
            let event = Event::about(rows, Change::Listening, passing.at, Source::Kernel);
            events.push(event.numbered(known.number, Some(known.since)));
        }
        true
    }

    /// The owners and the user of the listener that would take this row's connection.
    fn listener(&self, place: Place, row: &Row) -> Option<(Kept, Option<u32>)> {
        row.remote?;
        let mut keys = self.ports.get(&At::of(place, row))?.iter();
        keys.find_map(|key| {
            let known = self.there.get(key).filter(|known| known.state == State::Listen)?;
            let (_, found) = known.row(&self.sample)?;
            let takes = found.local.addr == row.local.addr || found.local.addr.is_unspecified();
            takes.then(|| (known.owners.clone(), found.uid))
        })
    }
}

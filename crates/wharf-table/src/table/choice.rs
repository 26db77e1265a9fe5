//! Ephemeral ports of a table: which candidates are free, and what is done where most are not.
//!
//! A candidate costs a look-up. When sixteen in a row have failed, the destination is *crowded*: from then on a set of
//! its taken ports is kept, so that the next free one is found 64 ports at a time, and that there is none is known at
//! once. The set goes when the destination empties. So memory is spent where ports are short, and nowhere else.
//!
//! Never chosen: a port that somebody has bound, on any address (rule 7 of the ports); a reserved port; a tuple that has a
//! flow or a request; a tuple in TIME-WAIT, unless the caller says that RFC 6191 allows it; a port that would connect a
//! socket to itself.

use hashbrown::HashTable;

use super::Table;
use super::ports::owner::{Asking, Kind};
use crate::claim::{Claim, Sharing, User};
use crate::endpoint::{Addr, Endpoint};
use crate::ephemeral::Candidates;
use crate::flow::Holder;
use crate::hash::HashKey;
use crate::port::{Port, PortRange};
use crate::port_set::{PortSet, first_in_none};
use crate::tuple::{Protocol, Tuple};
use crate::waiting::{Waiting, WaitingId};

/// How many candidates may fail before a destination is crowded.
const TRIES: usize = 16;
/// How many waiting tuples are offered to the caller when nothing else is left.
const OFFERS: usize = 16;

/// A port that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The port.
    pub port: Port,
    /// The row in TIME-WAIT that has the tuple and that the caller allowed to be used again (RFC 6191). It must be
    /// closed before the flow is opened.
    pub over: Option<WaitingId>,
}

/// The taken ports of a crowded destination.
#[derive(Debug)]
struct Crowd {
    protocol: Protocol,
    local: Addr,
    remote: Endpoint,
    taken: PortSet,
}

impl Crowd {
    fn is(&self, protocol: Protocol, local: Addr, remote: Endpoint) -> bool {
        self.remote == remote && self.local == local && self.protocol == protocol
    }
}

#[derive(Debug)]
pub(super) struct Crowds {
    crowds: HashTable<Crowd>,
    /// A crowd that is smaller than this goes.
    least: u32,
}

fn crowd_hash(key: &HashKey, protocol: Protocol, local: Addr, remote: Endpoint) -> u64 {
    key.hash_tuple(&Tuple { protocol, local: Endpoint { addr: local, port: 0 }, remote })
}

impl Crowds {
    pub(super) const fn new() -> Crowds {
        Crowds { crowds: HashTable::new(), least: 0 }
    }

    /// Notes that a tuple is taken.
    #[inline]
    pub(super) fn take(&mut self, key: &HashKey, tuple: &Tuple) {
        if !self.crowds.is_empty()
            && let Some(crowd) = self.find(key, tuple)
        {
            crowd.taken.insert(tuple.local.port);
        }
    }

    /// Notes that a tuple is free.
    #[inline]
    pub(super) fn free(&mut self, key: &HashKey, tuple: &Tuple) {
        if self.crowds.is_empty() {
            return;
        }
        let least = self.least;
        let Some(crowd) = self.find(key, tuple) else { return };
        crowd.taken.remove(tuple.local.port);
        if crowd.taken.len() < least {
            let Tuple { protocol, local, remote } = *tuple;
            let hash = crowd_hash(key, protocol, local.addr, remote);
            if let Ok(entry) = self.crowds.find_entry(hash, |it| it.is(protocol, local.addr, remote)) {
                entry.remove();
            }
            if self.crowds.is_empty() {
                self.crowds = HashTable::new();
            }
        }
    }

    fn find(&mut self, key: &HashKey, tuple: &Tuple) -> Option<&mut Crowd> {
        let Tuple { protocol, local, remote } = *tuple;
        let hash = crowd_hash(key, protocol, local.addr, remote);
        self.crowds.find_mut(hash, |it| it.is(protocol, local.addr, remote))
    }

    /// How many destinations are crowded.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.crowds.len()
    }
}

/// For whom a port is chosen.
#[derive(Clone, Copy)]
struct Wanted {
    protocol: Protocol,
    local: Addr,
    remote: Endpoint,
    range: PortRange,
}

impl Wanted {
    fn tuple(&self, port: u16) -> Tuple {
        let local = Endpoint { addr: self.local, port };
        Tuple { protocol: self.protocol, local, remote: self.remote }
    }
}

impl Table {
    /// An ephemeral port of `range` for a flow from `local` to `remote`, by the algorithm that is set (RFC 6056); `None`
    /// when there is none left (EADDRNOTAVAIL), which is known at once. The port is claimed by opening the flow.
    pub fn choose_to_open(
        &mut self,
        protocol: Protocol,
        local: Addr,
        remote: Endpoint,
        range: PortRange,
    ) -> Option<Port> {
        self.choose_to_open_over(protocol, local, remote, range, |_| false).map(|chosen| chosen.port)
    }

    /// The same, where `allows` says of a tuple in TIME-WAIT whether it may be used again (RFC 6191, section 2: by
    /// timestamps that go on, or a higher initial sequence number).
    pub fn choose_to_open_over(
        &mut self,
        protocol: Protocol,
        local: Addr,
        remote: Endpoint,
        range: PortRange,
        mut allows: impl FnMut(&Waiting) -> bool,
    ) -> Option<Chosen> {
        let wanted = Wanted { protocol, local, remote, range };
        let mut candidates = self.ephemeral.candidates(protocol, local, remote, range);
        if self.crowd_of(&wanted).is_none() {
            for _ in 0..TRIES {
                let port = self.ephemeral.next(&mut candidates);
                if let Some(chosen) = self.try_port(&wanted, port, &mut allows) {
                    return Some(chosen);
                }
            }
            self.note_crowd(&wanted);
        }
        self.choose_in_crowd(&wanted, candidates, &mut allows)
    }

    fn crowd_of(&self, wanted: &Wanted) -> Option<&Crowd> {
        let Wanted { protocol, local, remote, .. } = *wanted;
        if self.crowds.crowds.is_empty() {
            return None;
        }
        let hash = crowd_hash(&self.key, protocol, local, remote);
        self.crowds.crowds.find(hash, |it| it.is(protocol, local, remote))
    }

    /// Whether the port may be used for a flow to another remote end, as far as it decides.
    fn allows_port(&self, wanted: &Wanted, port: u16) -> bool {
        let at = Endpoint { addr: wanted.local, port };
        if at == wanted.remote || port == 0 || self.reserved.as_ref().is_some_and(|set| set.contains(port)) {
            return false;
        }
        if wanted.protocol == Protocol::Tcp {
            return self.ports.may_connect_from(port);
        }
        let kind = Kind::of_one(wanted.local, false);
        let (sharing, user) = (Sharing::default(), User::ROOT);
        self.ports.is_free(&Asking { protocol: wanted.protocol, at, kind, sharing, user })
    }

    fn try_port(
        &self,
        wanted: &Wanted,
        port: u16,
        allows: &mut impl FnMut(&Waiting) -> bool,
    ) -> Option<Chosen> {
        if !self.allows_port(wanted, port) {
            return None;
        }
        let over = match self.holder(&wanted.tuple(port)) {
            None => None,
            Some(Holder::Waiting(id)) if self.waiting(id).is_some_and(|waiting| allows(&waiting)) => Some(id),
            Some(_) => return None,
        };
        Some(Chosen { port: Port::new(port)?, over })
    }

    /// Makes the set of a destination's taken ports: one look-up for each port of the range, once.
    fn note_crowd(&mut self, wanted: &Wanted) {
        let mut taken = PortSet::new();
        for port in wanted.range.iter() {
            if self.holder(&wanted.tuple(port.number())).is_some() {
                taken.insert(port.number());
            }
        }
        let Wanted { protocol, local, remote, range } = *wanted;
        self.crowds.least = u32::from(range.count()) / 4;
        if taken.len() < self.crowds.least {
            return;
        }
        let key = self.key;
        let hash = crowd_hash(&key, protocol, local, remote);
        let rehash = |it: &Crowd| crowd_hash(&key, it.protocol, it.local, it.remote);
        self.crowds.crowds.insert_unique(hash, Crowd { protocol, local, remote, taken }, rehash);
    }

    fn choose_in_crowd(
        &mut self,
        wanted: &Wanted,
        mut candidates: Candidates,
        allows: &mut impl FnMut(&Waiting) -> bool,
    ) -> Option<Chosen> {
        let from = self.ephemeral.next(&mut candidates);
        let (first, last) = (wanted.range.first().number(), wanted.range.last().number());
        let found = self
            .first_free(wanted, from, last)
            .or_else(|| self.first_free(wanted, first, from.checked_sub(1).filter(|&to| to >= first)?));
        if let Some(port) = found {
            let passed = if port >= from { port - from } else { last - from + (port - first) + 1 };
            self.ephemeral.pass_over(&candidates, passed);
            return Some(Chosen { port: Port::new(port)?, over: None });
        }
        if self.waits.count() == 0 || wanted.protocol != Protocol::Tcp {
            return None;
        }
        (0..OFFERS).find_map(|_| {
            let port = self.ephemeral.next(&mut candidates);
            self.try_port(wanted, port, allows)
        })
    }

    /// The first port from `from` to `last` that may be used and whose tuple is free.
    fn first_free(&self, wanted: &Wanted, from: u16, last: u16) -> Option<u16> {
        let nothing;
        let taken = match self.crowd_of(wanted) {
            Some(crowd) => &crowd.taken,
            None => {
                nothing = PortSet::new();
                &nothing
            }
        };
        let reserved = self.reserved.as_ref().unwrap_or(taken);
        let pinned = self.ports.pinned(wanted.protocol).unwrap_or(taken);
        let mut from = from;
        loop {
            let port = first_in_none(&[taken, reserved, pinned], from, last)?;
            if self.allows_port(wanted, port) && self.holder(&wanted.tuple(port)).is_none() {
                return Some(port);
            }
            from = port.checked_add(1)?;
        }
    }

    /// A port for a claim without one: none on which an owner overlaps, whatever the options (rule 9).
    pub(super) fn choose_to_bind(&mut self, claim: &Claim) -> Option<Port> {
        let at = claim.address.unwrap_or(Addr::ANY_V6);
        let nobody = Endpoint { addr: Addr::ANY_V6, port: 0 };
        let range = self.ephemeral_range;
        let mut candidates = self.ephemeral.candidates(claim.protocol, at, nobody, range);
        let is_free = |table: &Table, number: u16| {
            let port = Port::new(number)?;
            let reserved = table.reserved.as_ref().is_some_and(|set| set.contains(number));
            (!reserved && table.ports.is_free(&super::bindings::asking(claim, port))).then_some(port)
        };
        for _ in 0..TRIES {
            let port = self.ephemeral.next(&mut candidates);
            if let Some(port) = is_free(self, port) {
                return Some(port);
            }
        }
        // A port that nobody owns anywhere is found 64 at a time; only when there is none is each asked by itself.
        let from = self.ephemeral.next(&mut candidates);
        let (first, last) = (range.first().number(), range.last().number());
        let nothing = PortSet::new();
        let owned = self.ports.owned(claim.protocol).unwrap_or(&nothing);
        let reserved = self.reserved.as_ref().unwrap_or(&nothing);
        let unowned = first_in_none(&[owned, reserved], from, last)
            .or_else(|| first_in_none(&[owned, reserved], first, from));
        if let Some(port) = unowned.and_then(|port| is_free(self, port)) {
            return Some(port);
        }
        range.iter().find_map(|port| is_free(self, port.number()))
    }
}

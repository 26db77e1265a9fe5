//! Who owns which port, in numbers, and whether another socket may have it.
//!
//! The rules are those of Linux 6.18 (`inet_connection_sock.c`, `inet_hashtables.c`, `udp.c`), since they are what
//! programs are written against; a test asks the running kernel. An owner is a bound or listening socket, a connection
//! (accepted or opened), or what is left of one in TIME-WAIT.
//!
//! 1. Ports of different protocols have nothing to do with each other.
//! 2. Owners overlap with a claim when their addresses do. Any of both families overlaps with all. Any IPv4 overlaps with
//!    all but IPv6-only owners, so also with a connection over IPv6 of a dual-stack socket. Any IPv6 only overlaps
//!    with all but IPv4 owners. A single address overlaps with itself, with any of its family, and with any of both.
//! 3. TCP: an owner that overlaps keeps a socket from the port, unless both have SO_REUSEADDR now and the owner does not
//!    listen; or both have SO_REUSEPORT now and belong to the same user, who no longer matters in TIME-WAIT.
//! 4. TCP remembers the last socket with SO_REUSEPORT that bound a port or listened on it, until one without does so. The
//!    next with SO_REUSEPORT and the same user gets the port unasked when its address lies within the remembered one.
//! 5. Listening asks again. So two sockets may both be bound with SO_REUSEADDR, and only one of them listens. A listener
//!    that is refused stays bound.
//! 6. A connection that a listener accepted owns the listener's port with its options and user, on its own address, also
//!    when the listener is gone; and so does what is left of it in TIME-WAIT. So SO_REUSEADDR lets a server come back
//!    over TIME-WAIT when the old socket had it too.
//! 7. A connection whose socket was not bound owns its port in another way: others may connect from the same port to
//!    other destinations, as long as nobody who bound the port owns it on any address. To rule 3 it is an owner.
//! 8. A bound socket that connects owns its port on the local address of the connection only.
//! 9. Port 0, TCP: a port on which no owner overlaps, whatever the options.
//! 10. UDP: owners that overlap are asked, leaving out those where both have SO_REUSEADDR. The first decides: the claim is
//!     granted if both have SO_REUSEPORT and the same user, refused if not. Without one, granted. The newest is asked
//!     first; but IPv6 sockets that were bound with SO_REUSEPORT come after all others, the oldest of them first.
//! 11. Ports below the threshold are for those who have the right, whatever the protocol; port 0 is for all.
//!
//! The cost of every answer is the same whatever shares a port: owners are counted by kind of address and by class, and on
//! single addresses by address. Rule 10 looks at the first owner of a few ordered sets.

mod age;
mod memory;
pub(super) mod owner;
mod summary;

use hashbrown::HashTable;

use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::port_set::PortSet;
use crate::tuple::{Protocol, Tuple};
use age::Ages;
use memory::Memory;
use owner::{Asking, Kind, Owner};
use summary::Summary;

/// Everything that owns one port of one protocol; gone when nothing does.
#[derive(Debug)]
struct PortUse {
    protocol: Protocol,
    port: u16,
    kinds: [Summary; Kind::COUNT],
    memory: Memory,
    /// How many addresses have owners, and how many of these not only owners by rule 7.
    addresses: u32,
    pinned: u32,
}

/// Everything that owns a port on one address; any of both families stands under [`Addr::ANY_V6`].
#[derive(Debug)]
struct AddressUse {
    protocol: Protocol,
    at: Endpoint,
    summary: Summary,
    owners: u32,
    /// How many of them are not owners by rule 7.
    bound: u32,
    /// Whether nobody but owners by rule 7 has been here since it was last so.
    connects_only: bool,
}

/// How an owner comes to its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// By a claim of its own, which is remembered (rule 4).
    Bound,
    /// By inheriting it, or by connecting.
    Quiet,
}

#[derive(Debug)]
pub(super) struct Ports {
    key: HashKey,
    ports: HashTable<PortUse>,
    addresses: HashTable<AddressUse>,
    ages: Ages,
    /// By protocol, the ports that anything owns, and those of them that are not free to connect from (rule 7).
    owned: [Option<PortSet>; 3],
    pinned: [Option<PortSet>; 3],
}

impl Ports {
    pub(super) fn new(key: HashKey) -> Ports {
        Ports {
            key,
            ports: HashTable::new(),
            addresses: HashTable::new(),
            ages: Ages::new(),
            owned: Default::default(),
            pinned: Default::default(),
        }
    }

    /// The ports that anything owns.
    pub(super) fn owned(&self, protocol: Protocol) -> Option<&PortSet> {
        self.owned[protocol as usize].as_ref()
    }

    /// The ports that somebody has bound, on any address.
    pub(super) fn pinned(&self, protocol: Protocol) -> Option<&PortSet> {
        self.pinned[protocol as usize].as_ref()
    }

    /// Whether the rules refuse a claim with a port.
    pub(super) fn refuses(&self, asking: &Asking) -> bool {
        let Some(port) = self.port_use(asking.protocol, asking.at.port) else { return false };
        if asking.protocol == Protocol::Tcp {
            !port.memory.grants(asking) && self.overlapping(asking).any(|it| it.blocks(asking))
        } else {
            self.refuses_datagrams(asking)
        }
    }

    /// Whether the rules refuse to let `owner`, which is bound, listen (rule 5).
    pub(super) fn refuses_listener(&mut self, owner: &Owner, asking: &Asking) -> bool {
        self.tally(owner, Tally::Remove);
        let refused =
            self.port_use(asking.protocol, asking.at.port).is_some_and(|port| !port.memory.grants(asking))
                && self.overlapping(asking).any(|it| it.blocks(asking));
        self.tally(owner, Tally::Add);
        refused
    }

    /// Whether any owner overlaps with the claim (rule 9).
    pub(super) fn is_free(&self, asking: &Asking) -> bool {
        self.overlapping(asking).all(Summary::is_empty)
    }

    /// Whether a TCP socket that is not bound may connect from this port, as far as the port decides (rule 7).
    pub(super) fn may_connect_from(&self, port: u16) -> bool {
        self.pinned(Protocol::Tcp).is_none_or(|pinned| !pinned.contains(port))
    }

    fn refuses_datagrams(&self, asking: &Asking) -> bool {
        if !self.overlapping(asking).any(|it| it.has_unexcused(asking)) {
            return false;
        }
        if !asking.sharing.reuse_port {
            return true;
        }
        self.ages.first(asking).is_none_or(|(reuse_port, user)| !reuse_port || user != asking.user)
    }

    fn overlapping(&self, asking: &Asking) -> impl Iterator<Item = &Summary> {
        let port = self.port_use(asking.protocol, asking.at.port);
        let kinds = asking.kind.overlapping().iter();
        let kinds =
            port.into_iter().flat_map(move |port| kinds.clone().map(|&kind| &port.kinds[kind as usize]));
        let address = port.filter(|_| asking.kind.is_one()).and_then(|_| self.address_use(asking));
        kinds.chain(address)
    }

    fn address_use(&self, asking: &Asking) -> Option<&Summary> {
        let hash = address_hash(&self.key, asking.protocol, asking.at);
        let is_it = |it: &AddressUse| it.protocol == asking.protocol && it.at == asking.at;
        self.addresses.find(hash, is_it).map(|it| &it.summary)
    }

    /// Adds an owner. What pins its port, so that none may connect from it by rule 7, changes at most here and in
    /// [`Ports::remove`].
    pub(super) fn add(&mut self, owner: &Owner, arrival: Arrival) {
        let Owner { protocol, at, kind, class, .. } = *owner;
        let key = &self.key;
        let rehash = |it: &PortUse| port_hash(key, it.protocol, it.port);
        let fresh = || PortUse {
            protocol,
            port: at.port,
            kinds: Default::default(),
            memory: Memory::default(),
            addresses: 0,
            pinned: 0,
        };
        let is_it = |it: &PortUse| it.protocol == protocol && it.port == at.port;
        let mut port =
            self.ports.entry(port_hash(key, protocol, at.port), is_it, rehash).or_insert_with(fresh);
        let port = port.get_mut();
        let rehash = |it: &AddressUse| address_hash(key, it.protocol, it.at);
        let fresh = || AddressUse {
            protocol,
            at,
            summary: Summary::default(),
            owners: 0,
            bound: 0,
            connects_only: class.is_implicit(),
        };
        let is_it = |it: &AddressUse| it.protocol == protocol && it.at == at;
        let hash = address_hash(key, protocol, at);
        let mut address = self.addresses.entry(hash, is_it, rehash).or_insert_with(fresh);
        let address = address.get_mut();
        if address.owners == 0 {
            port.addresses += 1;
            port.pinned += u32::from(!address.connects_only);
        }
        address.owners += 1;
        address.bound += u32::from(!class.is_implicit());
        if arrival == Arrival::Bound {
            port.memory.note(owner);
            port.pinned += u32::from(address.connects_only);
            address.connects_only = false;
        }
        port.kinds[kind as usize].add(class, owner.user);
        if kind.is_one() {
            address.summary.add(class, owner.user);
        }
        let (is_first, is_pinned) = (port.addresses == 1 && address.owners == 1, port.pinned > 0);
        if is_first {
            self.owned[protocol as usize].get_or_insert_with(PortSet::new).insert(at.port);
        }
        if is_pinned {
            self.pinned[protocol as usize].get_or_insert_with(PortSet::new).insert(at.port);
        }
    }

    /// Notes that an owner that is bound listens now (rule 5).
    pub(super) fn note_listener(&mut self, owner: &Owner) {
        let Owner { protocol, at, .. } = *owner;
        if let Some(port) = find_port(&mut self.ports, &self.key, protocol, at.port) {
            port.memory.note(owner);
        }
    }

    /// Takes an owner away.
    pub(super) fn remove(&mut self, owner: &Owner) {
        let Owner { protocol, at, kind, class, user } = *owner;
        let Some(port) = find_port(&mut self.ports, &self.key, protocol, at.port) else { return };
        let is_it = |it: &AddressUse| it.protocol == protocol && it.at == at;
        let Ok(mut entry) = self.addresses.find_entry(address_hash(&self.key, protocol, at), is_it) else {
            return;
        };
        port.kinds[kind as usize].remove(class, user);
        let address = entry.get_mut();
        if kind.is_one() {
            address.summary.remove(class, user);
        }
        address.owners -= 1;
        address.bound -= u32::from(!class.is_implicit());
        let unpinned = !address.connects_only && (address.owners == 0 || address.bound == 0);
        address.connects_only |= unpinned;
        port.pinned -= u32::from(unpinned);
        if address.owners == 0 {
            port.addresses -= 1;
            entry.remove();
        }
        if port.pinned == 0 {
            port.memory = Memory::default();
            drop_from(&mut self.pinned[protocol as usize], at.port);
        }
        if port.addresses == 0 {
            drop_from(&mut self.owned[protocol as usize], at.port);
            let is_it = |it: &PortUse| it.protocol == protocol && it.port == at.port;
            if let Ok(entry) = self.ports.find_entry(port_hash(&self.key, protocol, at.port), is_it) {
                entry.remove();
            }
        }
        self.give_back();
    }

    /// Changes the class of an owner that stays.
    pub(super) fn change(&mut self, before: &Owner, after: &Owner) {
        self.tally(before, Tally::Remove);
        self.tally(after, Tally::Add);
    }

    fn tally(&mut self, owner: &Owner, tally: Tally) {
        let Owner { protocol, at, kind, class, user } = *owner;
        let change = |summary: &mut Summary| match tally {
            Tally::Add => summary.add(class, user),
            Tally::Remove => summary.remove(class, user),
        };
        if let Some(port) = find_port(&mut self.ports, &self.key, protocol, at.port) {
            change(&mut port.kinds[kind as usize]);
        }
        if kind.is_one() {
            let is_it = |it: &AddressUse| it.protocol == protocol && it.at == at;
            let hash = address_hash(&self.key, protocol, at);
            if let Some(address) = self.addresses.find_mut(hash, is_it) {
                change(&mut address.summary);
            }
        }
    }

    /// The ages of the bindings that rule 10 asks for.
    pub(super) fn ages_mut(&mut self) -> &mut Ages {
        &mut self.ages
    }

    #[inline]
    fn port_use(&self, protocol: Protocol, port: u16) -> Option<&PortUse> {
        let hash = port_hash(&self.key, protocol, port);
        self.ports.find(hash, |it| it.protocol == protocol && it.port == port)
    }

    /// Returns memory that has not been needed for a while.
    fn give_back(&mut self) {
        let key = &self.key;
        if self.ports.capacity() > 8 * self.ports.len() + 32 {
            self.ports.shrink_to(2 * self.ports.len(), |it| port_hash(key, it.protocol, it.port));
        }
        if self.addresses.capacity() > 8 * self.addresses.len() + 32 {
            self.addresses.shrink_to(2 * self.addresses.len(), |it| address_hash(key, it.protocol, it.at));
        }
    }
}

#[derive(Clone, Copy)]
enum Tally {
    Add,
    Remove,
}

/// Takes a port out of a set, which goes with its last.
fn drop_from(set: &mut Option<PortSet>, port: u16) {
    if let Some(ports) = set {
        ports.remove(port);
        if ports.len() == 0 {
            *set = None;
        }
    }
}

fn find_port<'a>(
    ports: &'a mut HashTable<PortUse>,
    key: &HashKey,
    protocol: Protocol,
    port: u16,
) -> Option<&'a mut PortUse> {
    ports.find_mut(port_hash(key, protocol, port), |it| it.protocol == protocol && it.port == port)
}

#[inline]
pub(super) fn port_hash(key: &HashKey, protocol: Protocol, port: u16) -> u64 {
    key.hash_word((protocol as u64) << 16 | u64::from(port))
}

#[inline]
pub(super) fn address_hash(key: &HashKey, protocol: Protocol, at: Endpoint) -> u64 {
    key.hash_tuple(&Tuple { protocol, local: at, remote: Endpoint { addr: Addr::ANY_V6, port: 0 } })
}

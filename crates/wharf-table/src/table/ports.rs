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
//!
//! What is counted stands in one of two places: an entry of the port and one of the address; or, where all owners are on
//! single addresses, few and without options, in [`few`]. Nearly all ports of a host that connects are of that kind.

mod age;
mod few;
mod memory;
pub(super) mod owner;
mod summary;

use hashbrown::HashTable;

use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::port_set::PortSet;
use crate::tuple::{Protocol, Tuple};
use age::Ages;
use few::Few;
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
    owners: u32,
    /// How many addresses have not only owners by rule 7.
    pinned: u32,
}

impl PortUse {
    /// How many owners there are of each kind of single address, when there are no others and these are few.
    fn few(&self) -> Option<[u32; ONES.len()]> {
        let counts = ONES.map(|kind| self.kinds[kind as usize].few());
        let all = counts.iter().all(|count| count.is_some_and(|count| count <= few::BACK));
        let counts = counts.map(Option::unwrap_or_default);
        (all && self.pinned == 0 && counts.iter().sum::<u32>() == self.owners).then_some(counts)
    }
}

/// The kinds of single addresses.
const ONES: [Kind; 3] = [Kind::OneV4, Kind::OneV6, Kind::OneV6Open];

/// Where the owners of a kind stand among the few: under an address that tells the kind.
fn of_kind(kind: Kind, port: u16) -> Endpoint {
    let mut octets = [0; 16];
    octets[15] = kind as u8;
    Endpoint { addr: Addr::v6(octets), port }
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

impl AddressUse {
    /// How many owners there are, when all are by rule 7, without options, and few.
    fn few(&self) -> Option<u32> {
        self.summary.few().filter(|&count| count == self.owners && self.bound == 0 && count <= few::BACK)
    }
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
    /// What has no entry in `ports`, and what has none in `addresses`.
    few_of_ports: Few,
    few_of_addresses: Few,
    /// How many owners of each kind stand among the few of ports.
    few_of_kinds: [u32; Kind::COUNT],
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
            few_of_ports: Few::new(key),
            few_of_addresses: Few::new(key),
            few_of_kinds: [0; Kind::COUNT],
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
        if asking.protocol == Protocol::Tcp {
            !self.remembers(asking) && self.overlapping(asking).any(|it| it.blocks(asking))
        } else {
            self.refuses_datagrams(asking)
        }
    }

    /// Whether the rules refuse to let `owner`, which is bound, listen (rule 5).
    pub(super) fn refuses_listener(&mut self, owner: &Owner, asking: &Asking) -> bool {
        self.tally(owner, Tally::Remove);
        let refused = !self.remembers(asking) && self.overlapping(asking).any(|it| it.blocks(asking));
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

    /// Whether the port is granted unasked (rule 4).
    fn remembers(&self, asking: &Asking) -> bool {
        let port = self.port_use(asking.protocol, asking.at.port);
        port.is_some_and(|port| port.memory.grants(asking))
    }

    fn overlapping(&self, asking: &Asking) -> impl Iterator<Item = &Summary> {
        let Asking { protocol, at, kind, .. } = *asking;
        let is_owned = self.owned(protocol).is_some_and(|owned| owned.contains(at.port));
        let port = self.port_use(protocol, at.port).filter(|_| is_owned);
        let kinds = kind.overlapping().iter().filter(move |_| is_owned).filter_map(move |&kind| match port {
            Some(port) => Some(&port.kinds[kind as usize]),
            None => {
                let count = if kind.is_one() { self.few_of_kind(protocol, kind, at.port) } else { 0 };
                (count > 0).then_some(&summary::ONE)
            }
        });
        let address = (is_owned && kind.is_one()).then(|| self.on_address(protocol, at)).flatten();
        kinds.chain(address)
    }

    fn few_of_kind(&self, protocol: Protocol, kind: Kind, port: u16) -> u32 {
        if self.few_of_kinds[kind as usize] == 0 {
            return 0;
        }
        self.few_of_ports.count(protocol, of_kind(kind, port))
    }

    fn on_address(&self, protocol: Protocol, at: Endpoint) -> Option<&Summary> {
        let hash = address_hash(&self.key, protocol, at);
        let entry = self.addresses.find(hash, |it| it.protocol == protocol && it.at == at);
        let few = || (self.few_of_addresses.count(protocol, at) > 0).then_some(&summary::ONE);
        entry.map(|it| &it.summary).or_else(few)
    }

    /// Adds an owner. What pins its port, so that none may connect from it by rule 7, changes at most here and in
    /// [`Ports::remove`].
    pub(super) fn add(&mut self, owner: &Owner, arrival: Arrival) {
        let Owner { protocol, at, kind, class, .. } = *owner;
        let is_quiet = arrival == Arrival::Quiet && kind.is_one() && class.is_quiet();
        let pinned = if is_quiet && self.add_to_few_of_address(protocol, at) {
            0
        } else {
            self.add_to_address(owner, arrival)
        };
        if is_quiet && self.add_to_few_of_port(protocol, kind, at.port) {
            return self.note_owned(protocol, at.port);
        }
        let port = self.port_entry(protocol, at.port);
        port.kinds[kind as usize].add(class, owner.user);
        port.owners += 1;
        port.pinned += pinned;
        if arrival == Arrival::Bound {
            port.memory.note(owner);
        }
        let is_pinned = port.pinned > 0;
        self.note_owned(protocol, at.port);
        if is_pinned {
            self.pinned[protocol as usize].get_or_insert_with(PortSet::new).insert(at.port);
        }
    }

    fn note_owned(&mut self, protocol: Protocol, port: u16) {
        self.owned[protocol as usize].get_or_insert_with(PortSet::new).insert(port);
    }

    fn add_to_few_of_address(&mut self, protocol: Protocol, at: Endpoint) -> bool {
        let Ports { key, addresses, few_of_addresses, .. } = self;
        let is_it = |it: &AddressUse| it.protocol == protocol && it.at == at;
        let is_new =
            || addresses.is_empty() || addresses.find(address_hash(key, protocol, at), is_it).is_none();
        few_of_addresses.add_one(protocol, at, is_new)
    }

    fn add_to_few_of_port(&mut self, protocol: Protocol, kind: Kind, port: u16) -> bool {
        let Ports { key, ports, few_of_ports, few_of_kinds, .. } = self;
        let is_new = || port_use(ports, key, protocol, port).is_none();
        let fits = few_of_ports.add_one(protocol, of_kind(kind, port), is_new);
        few_of_kinds[kind as usize] += u32::from(fits);
        fits
    }

    /// Adds an owner to the entry of its address. By how much that pins the port.
    fn add_to_address(&mut self, owner: &Owner, arrival: Arrival) -> u32 {
        let Owner { protocol, at, kind, class, user } = *owner;
        let address = self.address_entry(protocol, at, class.is_implicit());
        let mut pinned = u32::from(address.owners == 0 && !address.connects_only);
        address.owners += 1;
        address.bound += u32::from(!class.is_implicit());
        if arrival == Arrival::Bound {
            pinned += u32::from(address.connects_only);
            address.connects_only = false;
        }
        if kind.is_one() {
            address.summary.add(class, user);
        }
        pinned
    }

    /// The entry of a port, with the few that it had so far; a new one has no owner.
    fn port_entry(&mut self, protocol: Protocol, port: u16) -> &mut PortUse {
        let key = &self.key;
        let rehash = |it: &PortUse| port_hash(key, it.protocol, it.port);
        let (few, of_kinds) = (&mut self.few_of_ports, &mut self.few_of_kinds);
        let fresh = || {
            let (mut kinds, mut owners): ([Summary; Kind::COUNT], u32) = Default::default();
            for kind in ONES {
                if of_kinds[kind as usize] == 0 {
                    continue;
                }
                let count = few.take(protocol, of_kind(kind, port));
                of_kinds[kind as usize] -= count;
                kinds[kind as usize] = Summary::of_few(count);
                owners += count;
            }
            PortUse { protocol, port, kinds, memory: Memory::default(), owners, pinned: 0 }
        };
        let is_it = |it: &PortUse| it.protocol == protocol && it.port == port;
        let entry = self.ports.entry(port_hash(key, protocol, port), is_it, rehash);
        entry.or_insert_with(fresh).into_mut()
    }

    /// The entry of an address, with the few that it had so far; a new one has no owner.
    fn address_entry(&mut self, protocol: Protocol, at: Endpoint, connects: bool) -> &mut AddressUse {
        let key = &self.key;
        let rehash = |it: &AddressUse| address_hash(key, it.protocol, it.at);
        let few = &mut self.few_of_addresses;
        let fresh = || {
            let owners = few.take(protocol, at);
            let summary = Summary::of_few(owners);
            AddressUse { protocol, at, summary, owners, bound: 0, connects_only: connects || owners > 0 }
        };
        let is_it = |it: &AddressUse| it.protocol == protocol && it.at == at;
        let entry = self.addresses.entry(address_hash(key, protocol, at), is_it, rehash);
        entry.or_insert_with(fresh).into_mut()
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
        let unpinned = self.remove_from_address(owner);
        if self.ports.is_empty() {
            return self.remove_from_few_of_port(protocol, kind, at.port);
        }
        let is_it = |it: &PortUse| it.protocol == protocol && it.port == at.port;
        let Ok(mut entry) = self.ports.find_entry(port_hash(&self.key, protocol, at.port), is_it) else {
            return self.remove_from_few_of_port(protocol, kind, at.port);
        };
        let port = entry.get_mut();
        port.kinds[kind as usize].remove(class, user);
        port.owners -= 1;
        port.pinned -= unpinned;
        if port.pinned == 0 {
            port.memory = Memory::default();
            drop_from(&mut self.pinned[protocol as usize], at.port);
        }
        if let Some(counts) = port.few() {
            if port.owners == 0 {
                drop_from(&mut self.owned[protocol as usize], at.port);
            }
            entry.remove();
            for (kind, count) in ONES.into_iter().zip(counts) {
                self.few_of_ports.change(protocol, of_kind(kind, at.port), 0, count);
                self.few_of_kinds[kind as usize] += count;
            }
        }
        self.give_back();
    }

    fn remove_from_few_of_port(&mut self, protocol: Protocol, kind: Kind, port: u16) {
        let left = self.few_of_ports.remove_one(protocol, of_kind(kind, port));
        self.few_of_kinds[kind as usize] = self.few_of_kinds[kind as usize].saturating_sub(1);
        let others = || ONES.into_iter().filter(|&other| other != kind);
        if left == 0 && others().all(|other| self.few_of_kind(protocol, other, port) == 0) {
            drop_from(&mut self.owned[protocol as usize], port);
        }
    }

    /// Takes an owner from its address. By how much the port is less pinned.
    fn remove_from_address(&mut self, owner: &Owner) -> u32 {
        let Owner { protocol, at, kind, class, user } = *owner;
        let is_it = |it: &AddressUse| it.protocol == protocol && it.at == at;
        if self.addresses.is_empty() {
            self.few_of_addresses.remove_one(protocol, at);
            return 0;
        }
        let Ok(mut entry) = self.addresses.find_entry(address_hash(&self.key, protocol, at), is_it) else {
            self.few_of_addresses.remove_one(protocol, at);
            return 0;
        };
        let address = entry.get_mut();
        if kind.is_one() {
            address.summary.remove(class, user);
        }
        address.owners -= 1;
        address.bound -= u32::from(!class.is_implicit());
        let unpinned = !address.connects_only && (address.owners == 0 || address.bound == 0);
        address.connects_only |= unpinned;
        if let Some(count) = address.few() {
            entry.remove();
            self.few_of_addresses.change(protocol, at, 0, count);
        } else if address.owners == 0 {
            entry.remove();
        }
        u32::from(unpinned)
    }

    /// Changes the class or the user of an owner that stays.
    pub(super) fn change(&mut self, before: &Owner, after: &Owner) {
        let Owner { protocol, at, kind, class, user } = *before;
        debug_assert!((protocol, at, kind) == (after.protocol, after.at, after.kind), "the owner stays");
        let is_counted_alike = !class.reuses_port() && !after.class.reuses_port();
        let is_same = (class, user) == (after.class, after.user);
        if is_same || is_counted_alike && class.is_reusable() == after.class.is_reusable() {
            return;
        }
        let change = |summary: &mut Summary| {
            summary.remove(class, user);
            summary.add(after.class, after.user);
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

    fn tally(&mut self, owner: &Owner, tally: Tally) {
        let Owner { protocol, at, kind, class, user } = *owner;
        let change = |summary: &mut Summary| match tally {
            Tally::Add => summary.add(class, user),
            Tally::Remove => summary.remove(class, user),
        };
        change(&mut self.port_entry(protocol, at.port).kinds[kind as usize]);
        if kind.is_one() {
            change(&mut self.address_entry(protocol, at, class.is_implicit()).summary);
        }
    }

    /// The ages of the bindings that rule 10 asks for.
    pub(super) fn ages_mut(&mut self) -> &mut Ages {
        &mut self.ages
    }

    #[inline]
    fn port_use(&self, protocol: Protocol, port: u16) -> Option<&PortUse> {
        port_use(&self.ports, &self.key, protocol, port)
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

#[inline]
fn port_use<'a>(
    ports: &'a HashTable<PortUse>,
    key: &HashKey,
    protocol: Protocol,
    port: u16,
) -> Option<&'a PortUse> {
    // A host that only connects has none.
    if ports.is_empty() {
        return None;
    }
    ports.find(port_hash(key, protocol, port), |it| it.protocol == protocol && it.port == port)
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
    match at.addr.v4_octets() {
        // Half of the rounds.
        Some(octets) => {
            let port_and_protocol = u64::from(at.port) | (protocol as u64) << 16;
            key.hash_word(u64::from(u32::from_le_bytes(octets)) << 32 | port_and_protocol)
        }
        None => {
            key.hash_tuple(&Tuple { protocol, local: at, remote: Endpoint { addr: Addr::ANY_V6, port: 0 } })
        }
    }
}

//! Which binding receives what belongs to no flow: TCP sockets that listen, UDP sockets that are not connected.
//!
//! Those on the same addresses of a port form a list, as in Linux's `lhash2` and `udp_table`: whoever stands first
//! receives. A newcomer goes to the front, and one with SO_REUSEPORT on IPv6 to the back. Where the first one has
//! SO_REUSEPORT, all with it of the same user share by the keyed hash of the tuple, so that a conversation stays whole and
//! what a peer may choose does not tell where it goes.

use alloc::vec::Vec;

use hashbrown::HashTable;

use super::ports::{address_hash, port_hash};
use crate::binding::{Binding, BindingId};
use crate::claim::User;
use crate::endpoint::Endpoint;
use crate::hash::HashKey;
use crate::slots::Slots;
use crate::table::Kind;
use crate::tuple::Protocol;

/// The ends of a list, which is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) first: BindingId,
    last: BindingId,
}

/// Who receives on any address of a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortReceivers {
    protocol: Protocol,
    port: u16,
    dual: Option<List>,
    any_v4: Option<List>,
    any_v6: Option<List>,
    /// How many receive on single addresses.
    singles: u32,
}

impl PortReceivers {
    pub(super) fn has_single(&self) -> bool {
        self.singles > 0
    }

    /// The list that IPv4 packets go to: a socket of their own family comes before a dual-stack one.
    pub(super) fn for_v4(&self) -> Option<List> {
        self.any_v4.or(self.dual)
    }

    /// The list that IPv6 packets go to. For them dual-stack sockets and others stand in one list.
    pub(super) fn for_v6(&self, slots: &Slots<Binding>) -> Option<List> {
        let (Some(dual), Some(v6)) = (self.dual, self.any_v6) else { return self.any_v6.or(self.dual) };
        let rank = |list: &List| slots.value(list.first.0).map(|first| first.order);
        if rank(&v6) > rank(&dual) { Some(v6) } else { Some(dual) }
    }

    fn is_empty(&self) -> bool {
        self.dual.is_none() && self.any_v4.is_none() && self.any_v6.is_none() && self.singles == 0
    }
}

/// Who receives on one address.
#[derive(Clone, Copy, Debug)]
struct Single {
    protocol: Protocol,
    at: Endpoint,
    list: List,
}

/// The addresses of a list: those of a kind, or one.
type Whose = (Protocol, Endpoint, Option<Kind>, User);

/// Those who share the addresses of a list by SO_REUSEPORT.
#[derive(Debug)]
struct Group {
    whose: Whose,
    members: Vec<BindingId>,
}

#[derive(Debug)]
pub(super) struct Receivers {
    key: HashKey,
    ports: HashTable<PortReceivers>,
    singles: HashTable<Single>,
    groups: HashTable<Group>,
}

impl Receivers {
    pub(super) fn new(key: HashKey) -> Receivers {
        Receivers { key, ports: HashTable::new(), singles: HashTable::new(), groups: HashTable::new() }
    }

    #[inline]
    pub(super) fn port(&self, protocol: Protocol, port: u16) -> Option<&PortReceivers> {
        if self.ports.is_empty() {
            return None;
        }
        let hash = port_hash(&self.key, protocol, port);
        self.ports.find(hash, |it| it.protocol == protocol && it.port == port)
    }

    /// Who receives on exactly this address.
    pub(super) fn on_address(
        &self,
        slots: &Slots<Binding>,
        protocol: Protocol,
        at: Endpoint,
        hash: u64,
    ) -> Option<BindingId> {
        let is_it = |it: &Single| it.protocol == protocol && it.at == at;
        let single = self.singles.find(address_hash(&self.key, protocol, at), is_it)?;
        self.choose(slots, single.list, hash)
    }

    /// Who of a list receives what has this hash.
    pub(super) fn choose(&self, slots: &Slots<Binding>, list: List, hash: u64) -> Option<BindingId> {
        let first = slots.value(list.first.0)?;
        if !first.sharing.reuse_port {
            return Some(list.first);
        }
        let whose = whose(first);
        let group = self.groups.find(self.group_hash(&whose), |it| it.whose == whose)?;
        let place = (u128::from(hash) * group.members.len() as u128) >> 64;
        group.members.get(place as usize).copied()
    }

    fn group_hash(&self, (protocol, at, _, user): &Whose) -> u64 {
        address_hash(&self.key, *protocol, *at) ^ self.key.hash_word(u64::from(user.0))
    }

    /// Puts a binding where it receives.
    pub(super) fn enter(&mut self, slots: &mut Slots<Binding>, id: BindingId) {
        let binding = slots.value(id.0).expect("the caller has the binding");
        let (protocol, at, kind) = (binding.protocol, binding.at(), binding.kind());
        let whose = whose(binding);
        let shares = binding.sharing.reuse_port;
        let at_back = binding.order < 0;
        let key = &self.key;
        let hash = port_hash(key, protocol, at.port);
        let is_it = |it: &PortReceivers| it.protocol == protocol && it.port == at.port;
        let rehash = |it: &PortReceivers| port_hash(key, it.protocol, it.port);
        let fresh =
            PortReceivers { protocol, port: at.port, dual: None, any_v4: None, any_v6: None, singles: 0 };
        let mut port = self.ports.entry(hash, is_it, rehash).or_insert(fresh);
        if let Some(list) = list_of(port.get_mut(), kind) {
            *list = Some(link(slots, *list, id, at_back));
        } else {
            port.get_mut().singles += 1;
            let hash = address_hash(key, protocol, at);
            match self.singles.find_mut(hash, |it| it.protocol == protocol && it.at == at) {
                Some(single) => single.list = link(slots, Some(single.list), id, at_back),
                None => {
                    let single = Single { protocol, at, list: link(slots, None, id, at_back) };
                    let rehash = |it: &Single| address_hash(key, it.protocol, it.at);
                    self.singles.insert_unique(hash, single, rehash);
                }
            }
        }
        if shares {
            self.join(slots, id, whose);
        }
    }

    /// Takes a binding from where it receives.
    pub(super) fn leave(&mut self, slots: &mut Slots<Binding>, id: BindingId) {
        let binding = slots.value(id.0).expect("the caller has the binding");
        let (protocol, at, kind) = (binding.protocol, binding.at(), binding.kind());
        let whose = whose(binding);
        if binding.sharing.reuse_port {
            self.part(slots, id, whose);
        }
        let hash = port_hash(&self.key, protocol, at.port);
        let is_it = |it: &PortReceivers| it.protocol == protocol && it.port == at.port;
        let Ok(mut port) = self.ports.find_entry(hash, is_it) else { return };
        if let Some(list) = list_of(port.get_mut(), kind) {
            *list = list.and_then(|list| unlink(slots, list, id));
        } else {
            port.get_mut().singles -= 1;
            let is_it = |it: &Single| it.protocol == protocol && it.at == at;
            if let Ok(mut single) = self.singles.find_entry(address_hash(&self.key, protocol, at), is_it) {
                match unlink(slots, single.get().list, id) {
                    Some(list) => single.get_mut().list = list,
                    None => drop(single.remove()),
                }
            }
        }
        if port.get().is_empty() {
            port.remove();
        }
    }

    fn join(&mut self, slots: &mut Slots<Binding>, id: BindingId, whose: Whose) {
        let hash = self.group_hash(&whose);
        let place = match self.groups.find_mut(hash, |it| it.whose == whose) {
            Some(group) => {
                group.members.push(id);
                group.members.len() - 1
            }
            None => {
                let key = &self.key;
                let rehash = |it: &Group| {
                    address_hash(key, it.whose.0, it.whose.1) ^ key.hash_word(u64::from(it.whose.3.0))
                };
                self.groups.insert_unique(hash, Group { whose, members: alloc::vec![id] }, rehash);
                0
            }
        };
        slots.value_mut(id.0).expect("the caller has the binding").place = place as u32;
    }

    fn part(&mut self, slots: &mut Slots<Binding>, id: BindingId, whose: Whose) {
        let place = slots.value(id.0).expect("the caller has the binding").place as usize;
        let hash = self.group_hash(&whose);
        let Ok(mut entry) = self.groups.find_entry(hash, |it| it.whose == whose) else { return };
        let group = entry.get_mut();
        group.members.swap_remove(place);
        if let Some(moved) = group.members.get(place).and_then(|moved| slots.value_mut(moved.0)) {
            moved.place = place as u32;
        }
        if group.members.is_empty() {
            entry.remove();
        }
    }
}

fn whose(binding: &Binding) -> Whose {
    let kind = binding.kind();
    (binding.protocol, binding.at(), (!kind.is_one()).then_some(kind), binding.user)
}

/// The list of those on any address of this kind; `None` for single addresses.
fn list_of(port: &mut PortReceivers, kind: Kind) -> Option<&mut Option<List>> {
    match kind {
        Kind::Dual => Some(&mut port.dual),
        Kind::AnyV4 => Some(&mut port.any_v4),
        Kind::AnyV6 => Some(&mut port.any_v6),
        Kind::OneV4 | Kind::OneV6 | Kind::OneV6Open => None,
    }
}

/// Puts a binding at an end of a list.
fn link(slots: &mut Slots<Binding>, list: Option<List>, id: BindingId, at_back: bool) -> List {
    let Some(list) = list else {
        join_two(slots, None, Some(id));
        join_two(slots, Some(id), None);
        return List { first: id, last: id };
    };
    if at_back {
        join_two(slots, Some(list.last), Some(id));
        join_two(slots, Some(id), None);
        List { last: id, ..list }
    } else {
        join_two(slots, Some(id), Some(list.first));
        join_two(slots, None, Some(id));
        List { first: id, ..list }
    }
}

/// Takes a binding out of a list; `None` when it was the only one.
fn unlink(slots: &mut Slots<Binding>, list: List, id: BindingId) -> Option<List> {
    let binding = slots.value(id.0).expect("the caller has the binding");
    let (previous, next) = (binding.previous, binding.next);
    join_two(slots, previous, next);
    match (previous, next) {
        (None, None) => None,
        (None, Some(next)) => Some(List { first: next, ..list }),
        (Some(previous), None) => Some(List { last: previous, ..list }),
        (Some(_), Some(_)) => Some(list),
    }
}

/// Makes two bindings neighbours; `None` is an end of the list.
fn join_two(slots: &mut Slots<Binding>, previous: Option<BindingId>, next: Option<BindingId>) {
    if let Some(binding) = previous.and_then(|id| slots.value_mut(id.0)) {
        binding.next = next;
    }
    if let Some(binding) = next.and_then(|id| slots.value_mut(id.0)) {
        binding.previous = previous;
    }
}

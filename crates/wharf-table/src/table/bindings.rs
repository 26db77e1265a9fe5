//! The bindings of a table: found by port, and by address where a port is claimed on single addresses.

use hashbrown::HashTable;

use crate::binding::{BindError, Binding, BindingId};
use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::port::Port;
use crate::slots::Slots;
use crate::trace::{Step, Trace};
use crate::tuple::{Protocol, Tuple};

/// Who claims a port within one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Claims {
    /// The binding on any address.
    any: Option<BindingId>,
    /// The first in the list of bindings on one address each.
    single: Option<BindingId>,
}

impl Claims {
    fn first(&self) -> Option<BindingId> {
        self.any.or(self.single)
    }
}

/// Everyone who claims one port of one protocol; gone from the index when nobody does.
#[derive(Clone, Copy, Debug)]
struct PortUse {
    protocol: Protocol,
    port: Port,
    v4: Claims,
    v6: Claims,
}

/// The addresses that a binding covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    AnyOfBoth,
    AnyV4,
    AnyV6,
    Single(Addr),
}

impl Scope {
    fn new(address: Option<Addr>) -> Scope {
        match address {
            None => Scope::AnyOfBoth,
            Some(Addr::ANY_V4) => Scope::AnyV4,
            Some(Addr::ANY_V6) => Scope::AnyV6,
            Some(addr) => Scope::Single(addr),
        }
    }
}

#[derive(Debug)]
pub(super) struct Bindings {
    slots: Slots<Binding>,
    ports: HashTable<PortUse>,
    /// Bindings on one address each, by protocol, address and port.
    singles: HashTable<BindingId>,
}

impl Bindings {
    pub(super) fn new() -> Bindings {
        Bindings { slots: Slots::new(), ports: HashTable::new(), singles: HashTable::new() }
    }

    pub(super) fn count(&self) -> u32 {
        self.slots.count()
    }

    pub(super) fn binding(&self, id: BindingId) -> Option<&Binding> {
        self.slots.value(id.0)
    }

    pub(super) fn after(&self, after: Option<BindingId>) -> impl Iterator<Item = (BindingId, &Binding)> {
        let first = after.map_or(0, |id| id.0 + 1);
        self.slots.iter_from(first).map(|(number, binding)| (BindingId(number), binding))
    }

    /// Second and third degree of a look-up.
    #[inline]
    pub(super) fn find(
        &self,
        key: &HashKey,
        protocol: Protocol,
        local: Endpoint,
        trace: &mut impl Trace,
    ) -> Option<BindingId> {
        let port = Port::new(local.port);
        let is_v4 = local.addr.is_v4();
        let claims = port
            .and_then(|port| self.port_use(key, protocol, port))
            .map(|at| if is_v4 { at.v4 } else { at.v6 });
        let single =
            claims.filter(|claims| claims.single.is_some()).and_then(|_| self.single(key, protocol, local));
        trace.step(Step::OnAddress { protocol, local, found: single });
        if single.is_some() {
            return single;
        }
        let found = claims.and_then(|claims| claims.any);
        let any = if is_v4 { Addr::ANY_V4 } else { Addr::ANY_V6 };
        trace.step(Step::OnAny { protocol, any, port, found });
        found
    }

    pub(super) fn conflict(
        &self,
        key: &HashKey,
        protocol: Protocol,
        address: Option<Addr>,
        port: Port,
    ) -> Option<BindingId> {
        let at = self.port_use(key, protocol, port)?;
        match Scope::new(address) {
            Scope::AnyOfBoth => at.v4.first().or(at.v6.first()),
            Scope::AnyV4 => at.v4.first(),
            Scope::AnyV6 => at.v6.first(),
            Scope::Single(addr) => {
                let claims = if addr.is_v4() { at.v4 } else { at.v6 };
                let single = || self.single(key, protocol, Endpoint { addr, port: port.number() });
                claims.any.or_else(|| claims.single.and_then(|_| single()))
            }
        }
    }

    pub(super) fn bind(
        &mut self,
        key: &HashKey,
        protocol: Protocol,
        address: Option<Addr>,
        port: Port,
        app: u32,
    ) -> Result<BindingId, BindError> {
        if let Some(by) = self.conflict(key, protocol, address, port) {
            return Err(BindError::InUse { by });
        }
        let binding = Binding { protocol, address, port, app, previous: None, next: None };
        let id = BindingId(self.slots.insert(binding));
        let at = self.port_use_mut(key, protocol, port);
        match Scope::new(address) {
            Scope::AnyOfBoth => (at.v4.any, at.v6.any) = (Some(id), Some(id)),
            Scope::AnyV4 => at.v4.any = Some(id),
            Scope::AnyV6 => at.v6.any = Some(id),
            Scope::Single(addr) => {
                let claims = if addr.is_v4() { &mut at.v4 } else { &mut at.v6 };
                let next = claims.single.replace(id);
                self.link(Some(id), next);
                self.enter_single(key, id, protocol, Endpoint { addr, port: port.number() });
            }
        }
        Ok(id)
    }

    pub(super) fn unbind(&mut self, key: &HashKey, id: BindingId) -> Option<Binding> {
        let binding = self.slots.remove(id.0)?;
        let scope = Scope::new(binding.address);
        if let Scope::Single(addr) = scope {
            let hash = single_hash(key, binding.protocol, Endpoint { addr, port: binding.port.number() });
            if let Ok(entry) = self.singles.find_entry(hash, |&other| other == id) {
                entry.remove();
            }
            self.link(binding.previous, binding.next);
        }
        let at = self.port_use_mut(key, binding.protocol, binding.port);
        match scope {
            Scope::AnyOfBoth => (at.v4.any, at.v6.any) = (None, None),
            Scope::AnyV4 => at.v4.any = None,
            Scope::AnyV6 => at.v6.any = None,
            Scope::Single(addr) => {
                let claims = if addr.is_v4() { &mut at.v4 } else { &mut at.v6 };
                if claims.single == Some(id) {
                    claims.single = binding.next;
                }
            }
        }
        if at.v4 == Claims::default() && at.v6 == Claims::default() {
            self.forget_port(key, binding.protocol, binding.port);
        }
        Some(binding)
    }

    /// Makes two bindings neighbours in the list of their port; `None` is an end of it.
    fn link(&mut self, previous: Option<BindingId>, next: Option<BindingId>) {
        if let Some(binding) = previous.and_then(|id| self.slots.value_mut(id.0)) {
            binding.next = next;
        }
        if let Some(binding) = next.and_then(|id| self.slots.value_mut(id.0)) {
            binding.previous = previous;
        }
    }

    #[inline]
    fn port_use(&self, key: &HashKey, protocol: Protocol, port: Port) -> Option<&PortUse> {
        self.ports.find(port_hash(key, protocol, port), |at| at.protocol == protocol && at.port == port)
    }

    fn port_use_mut(&mut self, key: &HashKey, protocol: Protocol, port: Port) -> &mut PortUse {
        let is_it = |at: &PortUse| at.protocol == protocol && at.port == port;
        let rehash = |at: &PortUse| port_hash(key, at.protocol, at.port);
        let fresh = PortUse { protocol, port, v4: Claims::default(), v6: Claims::default() };
        self.ports.entry(port_hash(key, protocol, port), is_it, rehash).or_insert(fresh).into_mut()
    }

    fn forget_port(&mut self, key: &HashKey, protocol: Protocol, port: Port) {
        let is_it = |at: &PortUse| at.protocol == protocol && at.port == port;
        if let Ok(entry) = self.ports.find_entry(port_hash(key, protocol, port), is_it) {
            entry.remove();
        }
    }

    fn single(&self, key: &HashKey, protocol: Protocol, local: Endpoint) -> Option<BindingId> {
        let is_it = |id: &BindingId| {
            self.slots.value(id.0).is_some_and(|binding| {
                binding.protocol == protocol
                    && binding.address == Some(local.addr)
                    && binding.port.number() == local.port
            })
        };
        self.singles.find(single_hash(key, protocol, local), is_it).copied()
    }

    fn enter_single(&mut self, key: &HashKey, id: BindingId, protocol: Protocol, local: Endpoint) {
        let slots = &self.slots;
        let rehash = |id: &BindingId| {
            let binding = slots.value(id.0).expect("an entry of the index stands for a binding");
            let addr = binding.address.expect("a binding in this index has one address");
            single_hash(key, binding.protocol, Endpoint { addr, port: binding.port.number() })
        };
        self.singles.insert_unique(single_hash(key, protocol, local), id, rehash);
    }
}

#[inline]
fn port_hash(key: &HashKey, protocol: Protocol, port: Port) -> u64 {
    key.hash_word((protocol as u64) << 16 | u64::from(port.number()))
}

#[inline]
fn single_hash(key: &HashKey, protocol: Protocol, local: Endpoint) -> u64 {
    key.hash_tuple(&Tuple { protocol, local, remote: Endpoint { addr: Addr::ANY_V6, port: 0 } })
}

//! The bindings of a table, and which of them receives what belongs to no flow.

use super::ports::{Arrival, Ports};
use super::receivers::Receivers;
use crate::binding::{BindError, Binding, BindingId, BindingState};
use crate::claim::{Claim, Sharing};
use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::port::Port;
use crate::slots::Slots;
use crate::table::{Asking, Kind};
use crate::trace::{Step, Trace};
use crate::tuple::{Protocol, Tuple};

#[derive(Debug)]
pub(super) struct Bindings {
    slots: Slots<Binding>,
    receivers: Receivers,
    /// How many bindings there have been.
    age: i64,
}

impl Bindings {
    pub(super) fn new(key: HashKey) -> Bindings {
        Bindings { slots: Slots::new(), receivers: Receivers::new(key), age: 0 }
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

    /// Second and third degree of a look-up. `hash` is that of the tuple.
    #[inline]
    pub(super) fn find(&self, hash: u64, tuple: &Tuple, trace: &mut impl Trace) -> Option<BindingId> {
        let Tuple { protocol, local, .. } = *tuple;
        let port = self.receivers.port(protocol, local.port);
        let on_address = port
            .filter(|port| port.has_single())
            .and_then(|_| self.receivers.on_address(&self.slots, protocol, local, hash));
        trace.step(Step::OnAddress { protocol, local, found: on_address });
        if on_address.is_some() {
            return on_address;
        }
        let is_v4 = local.addr.is_v4();
        let found = port.and_then(|port| {
            let list = if is_v4 { port.for_v4() } else { port.for_v6(&self.slots) };
            self.receivers.choose(&self.slots, list?, hash)
        });
        let any = if is_v4 { Addr::ANY_V4 } else { Addr::ANY_V6 };
        trace.step(Step::OnAny { protocol, any, port: Port::new(local.port), found });
        found
    }

    /// Why this claim of a port can't be granted.
    pub(super) fn check(&self, ports: &Ports, claim: &Claim, port: Port) -> Result<(), BindError> {
        let asking = asking(claim, port);
        if ports.refuses(&asking) {
            return Err(BindError::InUse { by: self.holder(asking.protocol, asking.kind, asking.at) });
        }
        Ok(())
    }

    /// Enters a claim that was checked.
    pub(super) fn bind(&mut self, ports: &mut Ports, claim: &Claim, port: Port) -> BindingId {
        self.age += 1;
        let binding = Binding {
            protocol: claim.protocol,
            address: claim.address,
            port,
            app: claim.app,
            user: claim.user,
            sharing: claim.sharing,
            state: BindingState::Bound,
            connected: Addr::ANY_V6,
            order: if at_back(claim) { -self.age } else { self.age },
            previous: None,
            next: None,
            place: 0,
        };
        ports.add(&binding.owner(), Arrival::Bound);
        let id = BindingId(self.slots.insert(binding));
        self.arrive(ports, id);
        id
    }

    pub(super) fn listen(&mut self, ports: &mut Ports, id: BindingId) -> Result<(), BindError> {
        let binding = self.slots.value(id.0).ok_or(BindError::Invalid)?;
        match (binding.protocol, binding.state) {
            (Protocol::Tcp, BindingState::Bound) => {}
            (Protocol::Tcp, BindingState::Listening) => return Ok(()),
            _ => return Err(BindError::Invalid),
        }
        let owner = binding.owner();
        let asking = Asking {
            protocol: owner.protocol,
            at: owner.at,
            kind: owner.kind,
            sharing: binding.sharing,
            user: owner.user,
        };
        if ports.refuses_listener(&owner, &asking) {
            return Err(BindError::InUse { by: self.holder(asking.protocol, asking.kind, asking.at) });
        }
        self.change(ports, id, |binding| binding.state = BindingState::Listening);
        if let Some(binding) = self.slots.value(id.0) {
            ports.note_listener(&binding.owner());
        }
        Ok(())
    }

    pub(super) fn stop_listening(&mut self, ports: &mut Ports, id: BindingId) -> Option<()> {
        let listens = self.slots.value(id.0)?.state == BindingState::Listening;
        listens.then(|| self.change(ports, id, |binding| binding.state = BindingState::Bound))
    }

    pub(super) fn set_sharing(&mut self, ports: &mut Ports, id: BindingId, sharing: Sharing) -> Option<()> {
        self.slots.value(id.0)?;
        self.change(ports, id, |binding| binding.sharing = sharing);
        Some(())
    }

    /// The socket of a binding connects from this address.
    pub(super) fn connect(&mut self, ports: &mut Ports, id: BindingId, local: Addr) {
        self.change(ports, id, |binding| {
            (binding.state, binding.connected) = (BindingState::Connected, local);
        });
    }

    /// The socket of a binding is no longer connected.
    pub(super) fn disconnect(&mut self, ports: &mut Ports, id: BindingId) {
        if self.slots.value(id.0).is_some_and(|binding| binding.state == BindingState::Connected) {
            self.change(ports, id, |binding| binding.state = BindingState::Bound);
        }
    }

    pub(super) fn unbind(&mut self, ports: &mut Ports, id: BindingId) -> Option<Binding> {
        self.slots.value(id.0)?;
        self.leave(ports, id);
        let binding = self.slots.remove(id.0)?;
        ports.remove(&binding.owner());
        Some(binding)
    }

    /// Changes a binding, and with it what it owns and receives.
    fn change(&mut self, ports: &mut Ports, id: BindingId, change: impl FnOnce(&mut Binding)) {
        self.leave(ports, id);
        let binding = self.slots.value_mut(id.0).expect("the binding was just there");
        let before = binding.owner();
        change(binding);
        let after = binding.owner();
        if before.at == after.at && before.kind == after.kind {
            ports.change(&before, &after);
        } else {
            // The port must not be forgotten in between.
            ports.add(&after, Arrival::Quiet);
            ports.remove(&before);
        }
        self.arrive(ports, id);
    }

    fn arrive(&mut self, ports: &mut Ports, id: BindingId) {
        let Some(binding) = self.slots.value(id.0) else { return };
        if binding.protocol != Protocol::Tcp {
            ports.ages_mut().add(&binding.owner(), binding.order);
        }
        if binding.receives() {
            self.receivers.enter(&mut self.slots, id);
        }
    }

    fn leave(&mut self, ports: &mut Ports, id: BindingId) {
        let Some(binding) = self.slots.value(id.0) else { return };
        if binding.protocol != Protocol::Tcp {
            ports.ages_mut().remove(&binding.owner(), binding.order);
        }
        if binding.receives() {
            self.receivers.leave(&mut self.slots, id);
        }
    }

    /// A binding that receives on an address of the claim.
    fn holder(&self, protocol: Protocol, kind: Kind, at: Endpoint) -> Option<BindingId> {
        let port = self.receivers.port(protocol, at.port)?;
        let single = || self.receivers.on_address(&self.slots, protocol, at, 0).filter(|_| kind.is_one());
        let any = match kind {
            Kind::OneV4 | Kind::AnyV4 => port.for_v4(),
            Kind::Dual => port.for_v4().or_else(|| port.for_v6(&self.slots)),
            _ => port.for_v6(&self.slots),
        };
        any.map(|list| list.first).or_else(single)
    }
}

/// Whether Linux puts the socket behind the others of its port (`sk_add_node_rcu`).
fn at_back(claim: &Claim) -> bool {
    claim.sharing.reuse_port && (claim.mapped || !claim.address.is_some_and(Addr::is_v4))
}

/// What a claim of a port asks for.
pub(super) fn asking(claim: &Claim, port: Port) -> Asking {
    Asking {
        protocol: claim.protocol,
        at: Endpoint { addr: claim.address.unwrap_or(Addr::ANY_V6), port: port.number() },
        kind: Kind::of_claim(claim.address),
        sharing: claim.sharing,
        user: claim.user,
    }
}

//! The port table: who has claimed which port, who talks to whom, and whose packet this is.
//!
//! [`Table::find`] asks in three degrees: the flow with exactly this tuple, or what stands for one before and after it is
//! one (a request in SYN-RECEIVED, a row in TIME-WAIT); else the binding of this port on this address; else the binding of
//! this port on any address of the family. A TCP socket is found by its binding while it listens, a UDP socket while it
//! is not connected; so a spoofed peer never reaches a connected socket. Every operation costs O(1), whatever shares a
//! port.
//!
//! Invariants: every flow stands in the index once for each tuple that it has (its near one, and its far one when it
//! is translated), and no two flows, requests or waiting rows share a tuple. What owns a port is counted there as long as
//! it does. Hashes are keyed, so a peer can't choose tuples that collide.
//!
//! Memory: 64 bytes for a row and at most 16 for the index for a flow, 96 in all for a request, 64 for a waiting row; all
//! of it returns when they close.
//!
//! Not here: connection states, time-outs but that of waiting rows, what users may do beyond ports.

mod batch;
mod bindings;
mod chains;
mod choice;
mod flows;
mod index;
mod linear;
mod ports;
mod receivers;
mod requests;
mod waits;

use alloc::vec::Vec;

use crate::binding::{BindError, Binding, BindingId};
use crate::claim::{Claim, Sharing, User};
use crate::endpoint::Addr;
use crate::ephemeral::{Ephemeral, EphemeralAlgorithm};
use crate::flow::{Far, Flow, FlowId, Holder, OpenError, Origin, marks};
use crate::hash::HashKey;
use crate::notation::Cidr;
use crate::port::{Port, PortRange};
use crate::port_set::PortSet;
use crate::request::{Request, RequestId, RequestPayload};
use crate::time::Instant;
use crate::trace::{Silent, Step, Trace};
use crate::tuple::{Protocol, Tuple};
use crate::waiting::{Waiting, WaitingId, WaitingPayload};
use bindings::Bindings;
pub use choice::Chosen;
use choice::Crowds;
use flows::Flows;
use ports::owner::Asking;
pub(crate) use ports::owner::{Class, Kind, Owner};
use ports::{Arrival, Ports};
use requests::Requests;
use waits::Waits;

/// The half of a tuple's hash that chains use; the other half is the flows'.
#[inline]
const fn chained(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Whose packet it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// A flow has exactly this tuple.
    Flow(FlowId),
    /// A connection in SYN-RECEIVED has it.
    Request(RequestId),
    /// A connection in TIME-WAIT has it.
    Waiting(WaitingId),
    /// No flow has it, and this binding receives on the port.
    Binding(BindingId),
    /// Nobody's.
    #[default]
    Nothing,
}

/// Bindings and flows, and the three-degree look-up over both.
#[derive(Debug)]
pub struct Table {
    key: HashKey,
    flows: Flows,
    requests: Requests,
    waits: Waits,
    bindings: Bindings,
    ports: Ports,
    ephemeral: Ephemeral,
    crowds: Crowds,
    ephemeral_range: PortRange,
    reserved: Option<PortSet>,
    /// The lowest port that needs no right.
    unprivileged_from: u16,
    /// The addresses of the host; `None` where every address is one.
    local: Option<Vec<Cidr>>,
}

impl Table {
    /// How many flows, and how many requests, a new table may hold.
    pub const DEFAULT_MAX_FLOWS: u32 = 1 << 20;
    /// The ports below which a new table asks for a right (`net.ipv4.ip_unprivileged_port_start`).
    pub const DEFAULT_PRIVILEGED_BELOW: u16 = 1024;

    /// An empty table. The key must be random; ephemeral ports come from [`PortRange::DYNAMIC`] by
    /// [`EphemeralAlgorithm::DoubleHash`], none is reserved, and every address is local.
    pub fn new(key: HashKey) -> Table {
        Table {
            key,
            flows: Flows::new(Table::DEFAULT_MAX_FLOWS),
            requests: Requests::new(Table::DEFAULT_MAX_FLOWS),
            waits: Waits::new(),
            bindings: Bindings::new(key),
            ports: Ports::new(key),
            ephemeral: Ephemeral::new(key.derive(0)),
            crowds: Crowds::new(),
            ephemeral_range: PortRange::DYNAMIC,
            reserved: None,
            unprivileged_from: Table::DEFAULT_PRIVILEGED_BELOW,
            local: None,
        }
    }

    /// Lets the table hold up to `max` flows, at most 2^31 - 1. Flows beyond it that are open stay open.
    pub fn set_max_flows(&mut self, max: u32) {
        self.flows.set_max(max);
    }

    /// Lets the table hold up to `max` requests.
    pub fn set_max_requests(&mut self, max: u32) {
        self.requests.set_max(max);
    }

    /// Takes ephemeral ports for [`Table::bind`] from `range` from now on (`net.ipv4.ip_local_port_range`).
    pub fn set_ephemeral_range(&mut self, range: PortRange) {
        self.ephemeral_range = range;
    }

    /// Chooses ephemeral ports by `algorithm` from now on.
    pub fn set_ephemeral_algorithm(&mut self, algorithm: EphemeralAlgorithm) {
        self.ephemeral.set_algorithm(algorithm);
    }

    /// Never chooses these ports; they can still be bound (`net.ipv4.ip_local_reserved_ports`).
    pub fn set_reserved_ports(&mut self, reserved: impl IntoIterator<Item = PortRange>) {
        let mut set = PortSet::new();
        reserved.into_iter().flat_map(PortRange::iter).for_each(|port| set.insert(port.number()));
        self.reserved = (set.len() > 0).then_some(set);
    }

    /// Asks for a right to bind the ports below `port`; 0 asks for none (`net.ipv4.ip_unprivileged_port_start`).
    pub fn set_privileged_below(&mut self, port: u16) {
        self.unprivileged_from = port;
    }

    /// Lets sockets be bound to addresses of these networks, to any address and to multicast only.
    pub fn set_local_addresses(&mut self, local: Vec<Cidr>) {
        self.local = Some(local);
    }

    /// Claims a port. Without a port in the claim one of the ephemeral range is chosen.
    ///
    /// # Errors
    /// As Linux decides; the rules stand in the module of the ports. See [`BindError`] for the error numbers.
    pub fn bind(&mut self, claim: &Claim) -> Result<BindingId, BindError> {
        self.check_address(claim)?;
        let port = match claim.port {
            Some(port) => {
                self.check_port(claim, port)?;
                port
            }
            None => self.choose_to_bind(claim).ok_or(BindError::NoPortLeft)?,
        };
        Ok(self.bindings.bind(&mut self.ports, claim, port))
    }

    /// What [`Table::bind`] would say to this claim of a port; `Ok` for a claim without one that needs no right. O(1).
    ///
    /// # Errors
    /// As [`Table::bind`].
    pub fn check(&self, claim: &Claim) -> Result<(), BindError> {
        self.check_address(claim)?;
        claim.port.map_or(Ok(()), |port| self.check_port(claim, port))
    }

    fn check_address(&self, claim: &Claim) -> Result<(), BindError> {
        let Some(addr) = claim.address else { return Ok(()) };
        if addr.is_multicast() && !addr.is_v4() && claim.protocol == Protocol::Tcp {
            return Err(BindError::Invalid);
        }
        let free = addr.is_unspecified() || addr.is_multicast() || addr.is_limited_broadcast();
        match &self.local {
            Some(local) if !free && !local.iter().any(|net| net.contains(addr)) => Err(BindError::NotLocal),
            _ => Ok(()),
        }
    }

    fn check_port(&self, claim: &Claim, port: Port) -> Result<(), BindError> {
        if port.number() < self.unprivileged_from && !claim.privileged && claim.protocol != Protocol::Icmp {
            return Err(BindError::Privileged);
        }
        self.bindings.check(&self.ports, claim, port)
    }

    /// Lets the TCP socket of a binding take connections, which [`Table::find`] then finds. Nothing changes for one that
    /// does already.
    ///
    /// # Errors
    /// [`BindError::InUse`] when another socket listens on an address of the binding and they don't share by
    /// SO_REUSEPORT; the socket stays bound. [`BindError::Invalid`] for a socket that is not TCP, or is connected.
    pub fn listen(&mut self, id: BindingId) -> Result<(), BindError> {
        self.bindings.listen(&mut self.ports, id)
    }

    /// The socket of a binding takes no more connections; it stays bound. `None` when it does not listen.
    pub fn stop_listening(&mut self, id: BindingId) -> Option<()> {
        self.bindings.stop_listening(&mut self.ports, id)
    }

    /// Changes the socket options of a binding; they count from now on, whatever they were when it was bound. `None`
    /// when there is no such binding.
    pub fn set_sharing(&mut self, id: BindingId, sharing: Sharing) -> Option<()> {
        self.bindings.set_sharing(&mut self.ports, id, sharing)
    }

    /// The same for the socket of a flow. `None` when there is no such flow.
    pub fn set_flow_sharing(&mut self, id: FlowId, sharing: Sharing) -> Option<()> {
        let flow = self.flows.flow(id)?;
        if let Some(binding) = flow.bound() {
            return self.set_sharing(binding, sharing);
        }
        let before = owner_of(flow.tuple(), flow.marks, flow.holder);
        let kept = flow.marks & !(marks::REUSE_ADDRESS | marks::REUSE_PORT);
        let marks = kept | Class::new(sharing).marks();
        let after = owner_of(flow.tuple(), marks, flow.holder);
        if let (Some(before), Some(after)) = (before, after) {
            self.ports.change(&before, &after);
        }
        self.flows.flow_mut(id)?.marks = marks;
        Some(())
    }

    /// The UDP socket of a binding connects from `local` to a peer to which another's flow has the same tuple: the binding
    /// holds its port there and receives nothing, as with [`Origin::Bound`], and there is no flow. `None` when there is
    /// no such binding.
    pub fn connect_binding(&mut self, id: BindingId, local: Addr) -> Option<()> {
        self.bindings.binding(id)?;
        self.bindings.connect(&mut self.ports, id, local);
        Some(())
    }

    /// Takes that back.
    pub fn disconnect_binding(&mut self, id: BindingId) {
        self.bindings.disconnect(&mut self.ports, id);
    }

    /// Gives a claim up. Flows that came in through it stay. `None` when there is no such binding. Requests that came
    /// through it must be closed first: its number is used again.
    pub fn unbind(&mut self, id: BindingId) -> Option<Binding> {
        self.bindings.unbind(&mut self.ports, id)
    }

    /// The binding with this number.
    pub fn binding(&self, id: BindingId) -> Option<&Binding> {
        self.bindings.binding(id)
    }

    /// Opens a flow between `tuple` and `far`. It is found by `tuple`, and by the far tuple where `far` is one. `origin`
    /// tells what it does to its local port; with [`Origin::Bound`] the binding is connected from now on.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when one of these tuples is taken; [`OpenError::Full`] at the maximum of flows;
    /// [`OpenError::NoBinding`] when the binding of the origin is gone.
    pub fn open(
        &mut self,
        tuple: Tuple,
        far: Far,
        origin: Origin,
        now: Instant,
    ) -> Result<FlowId, OpenError> {
        self.flows.check_room()?;
        let hash = self.key.hash_tuple(&tuple);
        self.check_free(hash, &tuple)?;
        if let Far::Wire(far) = far {
            self.check_free(self.key.hash_tuple(&far), &far)?;
        }
        let owned = self.marks_of(&tuple, origin)?;
        Ok(self.open_free((hash, tuple), far, origin, owned, now))
    }

    /// Opens a flow whose tuples are free; `hash` is that of the near one. There is room for it.
    fn open_free(
        &mut self,
        (hash, tuple): (u64, Tuple),
        far: Far,
        origin: Origin,
        (marks, holder): (u8, u32),
        now: Instant,
    ) -> FlowId {
        if let Origin::Bound(id) = origin {
            self.bindings.connect(&mut self.ports, id, tuple.local.addr);
        }
        if let Some(owner) = owner_of(&tuple, marks, holder) {
            self.ports.add(&owner, Arrival::Quiet);
        }
        let id = self.flows.open(&self.key, (hash, tuple), far, (marks, holder), now);
        self.take(&tuple, Some(far));
        id
    }

    fn marks_of(&self, tuple: &Tuple, origin: Origin) -> Result<(u8, u32), OpenError> {
        let open = |v6_open: bool| if v6_open && !tuple.local.addr.is_v4() { marks::V6_OPEN } else { 0 };
        Ok(match origin {
            Origin::Transit => (0, 0),
            Origin::Bound(id) => {
                self.bindings.binding(id).ok_or(OpenError::NoBinding)?;
                (marks::BOUND, id.0)
            }
            Origin::Child(id) => {
                let binding = self.bindings.binding(id).ok_or(OpenError::NoBinding)?;
                let class = Class::new(binding.sharing());
                (marks::OWNER | class.marks() | open(binding.is_v6_open()), binding.user().0)
            }
            Origin::Implicit { user, sharing, v6_only } => {
                (marks::OWNER | Class::new(sharing).implicit().marks() | open(!v6_only), user.0)
            }
        })
    }

    /// Closes a flow and hands it back. The binding of its socket, where it has one, is as it was before it connected.
    /// `None` when there is no such flow.
    pub fn close(&mut self, id: FlowId) -> Option<Flow> {
        let hash = self.key.hash_tuple(self.flows.flow(id)?.tuple());
        let flow = self.close_unowned(hash, id)?;
        if let Some(owner) = owner_of(flow.tuple(), flow.marks, flow.holder) {
            self.ports.remove(&owner);
        }
        Some(flow)
    }

    /// Closes a flow, of whose port somebody else sees to the owner; `hash` is that of its near tuple.
    fn close_unowned(&mut self, hash: u64, id: FlowId) -> Option<Flow> {
        let far = self.flows.far(self.flows.flow(id)?);
        let flow = self.flows.close(&self.key, hash, id)?;
        if let Some(binding) = flow.bound() {
            self.bindings.disconnect(&mut self.ports, binding);
        }
        self.free(flow.tuple(), Some(far));
        Some(flow)
    }

    /// The flow with this number.
    #[inline]
    pub fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.flows.flow(id)
    }

    /// The flow with this number, to note in it when it was used.
    #[inline]
    pub fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.flows.flow_mut(id)
    }

    /// The far side of a flow.
    pub fn far(&self, id: FlowId) -> Option<Far> {
        self.flows.flow(id).map(|flow| self.flows.far(flow))
    }

    /// What stands opposite the side of a flow whose packets carry `tuple`: the far side for the near tuple, the near
    /// tuple for the far one.
    pub fn other_side(&self, id: FlowId, tuple: &Tuple) -> Option<Far> {
        let flow = self.flows.flow(id)?;
        Some(if *flow.tuple() == *tuple { self.flows.far(flow) } else { Far::Wire(*flow.tuple()) })
    }

    /// Gives a flow another far side. `None` when there is no such flow; then nothing changes.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when somebody else has the far tuple; the flow keeps its old far side then.
    pub fn set_far(&mut self, id: FlowId, far: Far) -> Option<Result<(), OpenError>> {
        let flow = self.flows.flow(id)?;
        let (tuple, before) = (*flow.tuple(), self.flows.far(flow));
        if before == far {
            return Some(Ok(()));
        }
        if let Far::Wire(wire) = far
            && wire != tuple
            && let Err(error) = self.check_free(self.key.hash_tuple(&wire), &wire)
        {
            return Some(Err(error));
        }
        if let Far::Wire(wire) = before
            && wire != tuple
        {
            self.crowds.free(&self.key, &wire);
        }
        self.flows.set_far(&self.key, id, far)?;
        if let Far::Wire(wire) = far {
            self.crowds.take(&self.key, &wire);
        }
        Some(Ok(()))
    }

    /// Who has this tuple, before any binding is asked.
    #[inline]
    pub fn holder(&self, tuple: &Tuple) -> Option<Holder> {
        self.holder_hashed(self.key.hash_tuple(tuple), tuple)
    }

    #[inline]
    fn holder_hashed(&self, hash: u64, tuple: &Tuple) -> Option<Holder> {
        if let Some(id) = self.flows.find(hash, tuple) {
            return Some(Holder::Flow(id));
        }
        if tuple.protocol != Protocol::Tcp {
            return None;
        }
        let request = self.requests.find(chained(hash), tuple).map(Holder::Request);
        request.or_else(|| self.waits.find(chained(hash), tuple).map(Holder::Waiting))
    }

    fn check_free(&self, hash: u64, tuple: &Tuple) -> Result<(), OpenError> {
        self.holder_hashed(hash, tuple).map_or(Ok(()), |by| Err(OpenError::InUse { by }))
    }

    /// Notes in the crowded destinations that tuples are taken.
    fn take(&mut self, tuple: &Tuple, far: Option<Far>) {
        self.crowds.take(&self.key, tuple);
        if let Some(Far::Wire(wire)) = far {
            self.crowds.take(&self.key, &wire);
        }
    }

    fn free(&mut self, tuple: &Tuple, far: Option<Far>) {
        self.crowds.free(&self.key, tuple);
        if let Some(Far::Wire(wire)) = far {
            self.crowds.free(&self.key, &wire);
        }
    }

    /// How many flows are open.
    pub fn flow_count(&self) -> u32 {
        self.flows.count()
    }

    /// How many claims there are.
    pub fn binding_count(&self) -> u32 {
        self.bindings.count()
    }

    /// The flows behind `after` in the order of their numbers, from the first for `None`. For reports in pages: take
    /// as many as a page holds, and ask again with the last of them. What opens or closes in between may be missed.
    pub fn flows_after(&self, after: Option<FlowId>) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.flows.after(after)
    }

    /// The bindings behind `after`, as [`Table::flows_after`].
    pub fn bindings_after(&self, after: Option<BindingId>) -> impl Iterator<Item = (BindingId, &Binding)> {
        self.bindings.after(after)
    }

    /// Whose packet it is that carries this tuple. `local` is ours: the destination of a packet that arrives.
    #[inline]
    pub fn find(&self, tuple: &Tuple, trace: &mut impl Trace) -> Found {
        self.find_hashed(self.key.hash_tuple(tuple), tuple, trace)
    }

    /// Whether a flow with this tuple could be opened by a socket that has bound nothing: nobody has the tuple and
    /// no binding receives on its local endpoint.
    pub fn is_free(&self, tuple: &Tuple) -> bool {
        self.find(tuple, &mut Silent) == Found::Nothing
    }

    /// The binding that would receive what is sent to this tuple if nobody had the tuple.
    pub fn find_binding(&self, tuple: &Tuple) -> Option<BindingId> {
        self.bindings.find(self.key.hash_tuple(tuple), tuple, &mut Silent)
    }

    #[inline]
    fn find_hashed(&self, hash: u64, tuple: &Tuple, trace: &mut impl Trace) -> Found {
        let holder = self.holder_hashed(hash, tuple);
        trace.step(Step::ExactTuple { tuple: *tuple, found: holder });
        match holder {
            Some(Holder::Flow(id)) => return Found::Flow(id),
            Some(Holder::Request(id)) => return Found::Request(id),
            Some(Holder::Waiting(id)) => return Found::Waiting(id),
            None => {}
        }
        match self.bindings.find(hash, tuple, trace) {
            Some(id) => Found::Binding(id),
            None => Found::Nothing,
        }
    }
}

mod handshakes;

/// What a flow or a waiting row with these marks owns.
fn owner_of(tuple: &Tuple, marks: u8, user: u32) -> Option<Owner> {
    (marks & marks::OWNER != 0).then(|| Owner {
        protocol: tuple.protocol,
        at: tuple.local,
        kind: Kind::of_one(tuple.local.addr, marks & marks::V6_OPEN != 0),
        class: Class::of_marks(marks),
        user: User(user),
    })
}

#[cfg(test)]
mod tests;

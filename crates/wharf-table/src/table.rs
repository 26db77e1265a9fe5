//! The port table: who has claimed which port, who talks to whom, and whose packet this is.
//!
//! [`Table::find`] asks in three degrees: the flow with exactly this tuple; else the binding of this port on this
//! address; else the binding of this port on any address of the family. A UDP socket that is not connected has a
//! binding and no flow, so it stops at the last two. Every operation costs O(1), whatever shares a port.
//!
//! Invariants: every flow stands in the index once for each tuple that it has (its near one, and its far one when it
//! is translated), and no two flows share a tuple. A binding is found under its port; those of one address each are
//! also found by address. Hashes are keyed, so a peer can't choose tuples that collide.
//!
//! Not here: sharing of ports by SO_REUSEADDR and SO_REUSEPORT, privileged ports, what a state such as TIME-WAIT
//! lets through. Nothing here knows of users or of connection states.

mod bindings;
mod flows;

use crate::binding::{BindError, Binding, BindingId};
use crate::endpoint::{Addr, Endpoint};
use crate::ephemeral::Ephemeral;
use crate::flow::{Far, Flow, FlowId, OpenError};
use crate::hash::HashKey;
use crate::port::{Port, PortRange};
use crate::time::Instant;
use crate::trace::{Silent, Step, Trace};
use crate::tuple::{Protocol, Tuple};
use bindings::Bindings;
use flows::Flows;

/// How many tuples of a batch are hashed ahead of their look-ups.
const BATCH: usize = 64;

/// Whose packet it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// A flow has exactly this tuple.
    Flow(FlowId),
    /// No flow has it, and this binding claims the port.
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
    bindings: Bindings,
    ephemeral: Ephemeral,
    ephemeral_range: PortRange,
}

impl Table {
    /// How many flows a new table may hold.
    pub const DEFAULT_MAX_FLOWS: u32 = 1 << 20;

    /// An empty table. The key must be random; ephemeral ports come from [`PortRange::DYNAMIC`].
    pub fn new(key: HashKey) -> Table {
        Table {
            key,
            flows: Flows::new(Table::DEFAULT_MAX_FLOWS),
            bindings: Bindings::new(),
            ephemeral: Ephemeral::new(key.derive(0)),
            ephemeral_range: PortRange::DYNAMIC,
        }
    }

    /// Lets the table hold up to `max` flows, at most 2^31 - 1. Flows beyond it that are open stay open.
    pub fn set_max_flows(&mut self, max: u32) {
        self.flows.set_max(max);
    }

    /// Takes ephemeral ports from `range` from now on.
    pub fn set_ephemeral_range(&mut self, range: PortRange) {
        self.ephemeral_range = range;
    }

    /// Claims a port for the application socket `app`. `address` as in [`Binding`]; without a port, one of the
    /// ephemeral range is chosen.
    ///
    /// # Errors
    /// [`BindError::InUse`] when a binding of the same protocol and port covers one of the same addresses: the same
    /// address, or any address on either side within one family. [`BindError::NoPortLeft`] when none could be chosen.
    pub fn bind(
        &mut self,
        protocol: Protocol,
        address: Option<Addr>,
        port: Option<Port>,
        app: u32,
    ) -> Result<BindingId, BindError> {
        let port = match port {
            Some(port) => port,
            None => self.choose_to_bind(protocol, address).ok_or(BindError::NoPortLeft)?,
        };
        self.bindings.bind(&self.key, protocol, address, port, app)
    }

    /// Gives a claim up. Flows that came in through it stay. `None` when there is no such binding.
    pub fn unbind(&mut self, id: BindingId) -> Option<Binding> {
        self.bindings.unbind(&self.key, id)
    }

    /// The binding with this number.
    pub fn binding(&self, id: BindingId) -> Option<&Binding> {
        self.bindings.binding(id)
    }

    /// The binding that keeps this claim from being made, as [`Table::bind`] would answer. O(1).
    pub fn conflict(&self, protocol: Protocol, address: Option<Addr>, port: Port) -> Option<BindingId> {
        self.bindings.conflict(&self.key, protocol, address, port)
    }

    /// Opens a flow between `tuple` and `far`. It is found by `tuple`, and by the far tuple where `far` is one.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when a flow has one of these tuples; [`OpenError::Full`] at the maximum of flows.
    pub fn open(&mut self, tuple: Tuple, far: Far, now: Instant) -> Result<FlowId, OpenError> {
        self.flows.open(&self.key, Flow::new(tuple, far, now))
    }

    /// Closes a flow and hands it back. `None` when there is no such flow.
    pub fn close(&mut self, id: FlowId) -> Option<Flow> {
        self.flows.close(&self.key, id)
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

    /// Gives a flow another far side. `None` when there is no such flow; then nothing changes.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another flow has the far tuple; the flow keeps its old far side then.
    pub fn set_far(&mut self, id: FlowId, far: Far) -> Option<Result<(), OpenError>> {
        self.flows.set_far(&self.key, id, far)
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

    /// [`Table::find`] for many tuples at once: `found[i]` answers `tuples[i]`. All are hashed before the first is
    /// looked up, so that the look-ups wait for memory together. What has no counterpart in the other slice is left.
    pub fn find_batch(&self, tuples: &[Tuple], found: &mut [Found]) {
        let mut hashes = [0; BATCH];
        for (tuples, found) in tuples.chunks(BATCH).zip(found.chunks_mut(BATCH)) {
            for (hash, tuple) in hashes.iter_mut().zip(tuples) {
                *hash = self.key.hash_tuple(tuple);
            }
            for ((found, tuple), hash) in found.iter_mut().zip(tuples).zip(hashes) {
                *found = self.find_hashed(hash, tuple, &mut Silent);
            }
        }
    }

    /// Whether a flow with this tuple could be opened by a socket that has bound nothing: no flow has the tuple and
    /// no binding covers its local endpoint.
    pub fn is_free(&self, tuple: &Tuple) -> bool {
        self.find(tuple, &mut Silent) == Found::Nothing
    }

    #[inline]
    fn find_hashed(&self, hash: u64, tuple: &Tuple, trace: &mut impl Trace) -> Found {
        let flow = self.flows.find(hash, tuple);
        trace.step(Step::ExactTuple { tuple: *tuple, found: flow });
        if let Some(id) = flow {
            return Found::Flow(id);
        }
        match self.bindings.find(&self.key, tuple.protocol, tuple.local, trace) {
            Some(id) => Found::Binding(id),
            None => Found::Nothing,
        }
    }

    /// An ephemeral port of `range` for a flow from `local` to `remote`: no flow has the tuple, no binding the port on
    /// that address (RFC 6056, algorithm 4). `None` when there is none left. The port is claimed by [`Table::open`].
    pub fn choose_to_open(
        &mut self,
        protocol: Protocol,
        local: Addr,
        remote: Endpoint,
        range: PortRange,
    ) -> Option<Port> {
        let Table { key, flows, bindings, ephemeral, .. } = self;
        ephemeral.choose_where(protocol, local, remote, range, |port| {
            let tuple = Tuple { protocol, local: Endpoint { addr: local, port: port.number() }, remote };
            tuple.local != remote
                && flows.find(key.hash_tuple(&tuple), &tuple).is_none()
                && bindings.conflict(key, protocol, Some(local), port).is_none()
        })
    }

    fn choose_to_bind(&mut self, protocol: Protocol, address: Option<Addr>) -> Option<Port> {
        let Table { key, bindings, ephemeral, ephemeral_range, .. } = self;
        let local = address.unwrap_or(Addr::ANY_V6);
        let nobody = Endpoint { addr: Addr::ANY_V6, port: 0 };
        ephemeral.choose_where(protocol, local, nobody, *ephemeral_range, |port| {
            bindings.conflict(key, protocol, address, port).is_none()
        })
    }
}

#[cfg(test)]
mod tests;

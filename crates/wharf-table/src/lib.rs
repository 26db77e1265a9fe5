//! What is a port?
//!
//! The port table and the words it is written in: ports, endpoints, tuples, bindings, flows, owners.
//! Everything else in wharf is a view of this table or a change to it. Nothing here sees a clock, a file
//! descriptor, a thread or a random source: time and hash keys are inputs.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod binding;
pub mod claim;
pub mod drop;
pub mod endpoint;
pub mod ephemeral;
pub mod flow;
pub mod hash;
pub mod nearest;
pub mod notation;
pub mod owner;
pub mod policy;
pub mod port;
mod port_set;
pub mod registry;
pub mod request;
pub mod rows;
pub mod selector;
mod slots;
pub mod table;
pub mod time;
pub mod trace;
pub mod tuple;
pub mod waiting;

pub use binding::{BindError, Binding, BindingId, BindingState};
pub use claim::{Claim, Sharing, User};
pub use drop::DropReason;
pub use endpoint::{Addr, Endpoint};
pub use ephemeral::EphemeralAlgorithm;
pub use flow::{Far, Flow, FlowId, Holder, OpenError, Origin};
pub use hash::HashKey;
pub use owner::Owner;
pub use policy::{DenyReason, Policy, Verdict};
pub use port::{Port, PortClass, PortRange};
pub use request::{Request, RequestId, RequestPayload};
pub use table::{Chosen, Found, Table};
pub use time::Instant;
pub use trace::{Silent, Step, Trace, Written};
pub use tuple::{Protocol, Tuple};
pub use waiting::{Waiting, WaitingId, WaitingPayload};

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
pub mod drop;
pub mod endpoint;
pub mod ephemeral;
pub mod flow;
pub mod hash;
pub mod notation;
pub mod owner;
pub mod policy;
pub mod port;
pub mod registry;
mod slots;
pub mod table;
pub mod time;
pub mod trace;
pub mod tuple;

pub use binding::{BindError, Binding, BindingId};
pub use drop::DropReason;
pub use endpoint::{Addr, Endpoint};
pub use ephemeral::Ephemeral;
pub use flow::{Far, Flow, FlowId, OpenError};
pub use hash::HashKey;
pub use owner::Owner;
pub use policy::{DenyReason, Policy, Verdict};
pub use port::{Port, PortClass, PortRange};
pub use table::{Found, Table};
pub use time::Instant;
pub use trace::{Silent, Step, Trace, Written};
pub use tuple::{Protocol, Tuple};

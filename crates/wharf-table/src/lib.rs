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

pub mod drop;
pub mod endpoint;
pub mod port;
pub mod time;
pub mod tuple;

pub use drop::DropReason;
pub use endpoint::{Addr, Endpoint};
pub use port::{Port, PortClass, PortRange};
pub use time::Instant;
pub use tuple::{Protocol, Tuple};

//! What does wharf do?
//!
//! The work behind each verb, on top of the stack and of what Linux offers. On a packet's way: between the link and the host's
//! sockets ([`run`]), or the end of the way ([`host`]). [`watch`] looks at what is there from outside.

#![forbid(unsafe_code)]

pub mod free;
pub mod history;
pub mod host;
pub mod pause;
pub mod registry;
pub mod run;
pub mod runs;
pub mod snapshot;
pub mod traffic;
pub mod watch;
pub mod when;
pub mod who;

pub use wharf_sys::HugePages;

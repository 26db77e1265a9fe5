//! Watching: what happens to the endpoints of this host, as events.
//!
//! Three things tell. *Samples* compare all that is there with what was there before; they see everything that lives from
//! one to the next. The *kernel* tells of every TCP and UDP socket that ends ([`wharf_sys::netlink::destroyed`]), so that
//! those are heard of that lived between two samples; and, to root, of every change of a TCP socket's state, with the process
//! that made it (a tracepoint, [`wharf_sys::perf`]). *Quick samples* of what listens only, where the kernel does not tell.
//! The [`Ledger`] puts the three together: whoever tells first, a thing is told once.
//!
//! Deliberately absent: who is told. An [`Event`] stands by itself; printing and recording are others' work.

mod clock;
mod event;
mod ledger;
mod limits;
mod listening;
mod people;
mod quick;
mod states;
mod watcher;
mod whole;

pub use event::{Change, Event, Source};
pub(crate) use event::{alone, give_owners};
pub use ledger::Ledger;
pub use limits::Limits;
pub use watcher::{Config, QUICK, Turn, WatchError, Watcher};
pub use whole::Sampler;

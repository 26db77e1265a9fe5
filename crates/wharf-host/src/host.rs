//! `wharf host`: a host of our own stack on a link, whose sockets answer to JSON lines.
//!
//! Ordinary programs (curl, nmap, the kernel itself) stand on the other side of a TAP, a TUN or of the link into a network
//! namespace; whoever writes lines to standard input or to a UNIX socket plays the programs of this side. What is typed becomes
//! a [`config`], the config a `device`, and both a loop (`driver`).
//!
//! The files: [`config`] and [`settings`] (what can be asked for), `device` (the link), `clock` (real or virtual), `driver`
//! (the loop), `clients` (lines in and out), [`request`] (what a line may say), `calls` and `options` (sockets), `waiting` (calls that
//! would block), `serve` (servers without a script), `tell` (tables and numbers), `events`.
//!
//! Invariants: a line that makes no sense is answered and ends nothing; a request that waits keeps nobody else waiting;
//! what was made is gone when the process is, however it ends, but for the name of a UNIX socket after a kill, which the next
//! host with the same name replaces.
//!
//! Deliberately not here: protocols ([`wharf_stack`]), routing for others, name service.

mod calls;
mod clients;
mod clock;
pub mod config;
mod desk;
mod device;
mod driver;
mod error;
mod events;
mod options;
pub mod request;
mod serve;
pub mod settings;
mod tell;
mod value;
mod waiting;

use self::config::Lowered;
pub use self::error::HostError;
use crate::run::spawn::ProgramExit;

/// How a host came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its input ended, or a signal came.
    Done,
    /// The program in its network ended.
    Program(ProgramExit),
}

/// Runs a host to its end.
///
/// To be called on a single thread: a network of its own begins with a fork.
///
/// # Errors
/// [`HostError`]; whatever is returned, no process, namespace, interface or socket of the host is left.
pub fn host(config: &Lowered) -> Result<End, HostError> {
    driver::run(config)
}

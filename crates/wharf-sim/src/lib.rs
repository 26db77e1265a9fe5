//! The laboratory: stacks on a bad link, in virtual time.
//!
//! A [`Lab`] owns a clock that jumps from one event to the next, a switch, and the stations plugged into it: stacks with
//! applications that send and read, or bare wires that only record. Each station's way to the switch is an
//! [`ImpairedLink`](wharf_stack::link::ImpairedLink), so two stacks meet two bad links. Everything follows from the seed: a
//! test that failed once fails again.
//!
//! ```
//! use std::time::Duration;
//! use wharf_sim::{Lab, Setup};
//!
//! let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=10ms,loss=5%"));
//! lab.listen(server, 80);
//! let address = lab.v4(server);
//! let (near, far) = lab.establish(client, server, address, 80);
//! lab.send(near, b"hello");
//! lab.finish(near);
//! lab.run_until(Duration::from_secs(10), |lab| lab.stream(far).reached_end()).unwrap();
//! assert_eq!(lab.stream(far).received(), b"hello");
//! ```
//!
//! Invariants: no clock, no sleep, no thread; time never goes back; at every instant all that is due happens before the next.
//!
//! Deliberately not here: anything that a stack would not see on a real link.

mod application;
mod capture;
mod lab;
mod mend;
pub mod script;
mod setup;
mod station;

pub use application::{Reading, Stream};
pub use capture::{Capture, Wire};
pub use lab::{Lab, Socket, StationId, Stuck};
pub use mend::mend;
pub use setup::Setup;
pub use station::Datagram;

//! How a stack behaves, seen from its face: one file for each kind of behaviour. One program for all, since each is linked with
//! the whole stack.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../rfc9293/bench.rs"]
#[allow(dead_code, reason = "it has more than is needed here")]
mod bench;
#[path = "../crowd/mod.rs"]
mod crowd;
#[path = "../hosts/mod.rs"]
mod hosts;
#[path = "../wire/mod.rs"]
mod wire;

mod acceptability;
mod closing;
mod congestion;
mod datagrams;
mod forged;
mod gateway;
mod handed;
mod hostile_frames;
mod hostile_limits;
mod listening;
mod offload;
mod opening;
mod path_mtu;
mod relayed;
mod rows;
mod sockets_datagram;
mod sockets_loopback;
mod sockets_stream;
mod transfer;
mod window;

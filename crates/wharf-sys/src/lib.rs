//! What can only Linux do?
//!
//! The system calls that the rest of wharf stands on, each behind a safe function: namespaces and id maps, the two
//! links to a private network (TAP, and a packet socket on a veth pair), rtnetlink, sockets with their control
//! messages, processes, signals, memory in huge pages and what `/proc` tells.
//!
//! On a packet's way this crate is the first step and the last: [`link`] reads frames from the program's network
//! and writes them to it, [`socket`] moves datagrams to and from the host.
//!
//! # Invariants
//! - The only `unsafe` code of wharf is here, and each block says why it is sound.
//! - Nothing here knows what a frame or a datagram means: bytes and the kernel's metadata pass through.
//! - Every descriptor made here is closed on exec.
//!
//! Deliberately absent: policy, retries, texts for people. An error is the kernel's own ([`std::io::Error`]); what
//! was tried and what to do about it is added by the caller, who knows.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod call;
pub mod control;
pub mod epoll;
pub mod frame;
pub mod handing;
pub mod huge_pages;
pub mod idmap;
pub mod link;
pub mod local_time;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod packet_socket;
pub mod perf;
pub mod pidfd;
pub mod proc;
pub mod process;
pub mod signal;
pub mod socket;
pub mod splice;
pub mod tap;
pub mod tracepoint;
pub mod tun;
pub mod vantage;

pub use epoll::Poller;
pub use frame::{FrameBuffers, VnetHeader};
pub use huge_pages::HugePages;
pub use link::{Link, LinkCapabilities, LinkKind};

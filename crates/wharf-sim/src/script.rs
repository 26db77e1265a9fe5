//! Scripts in packetdrill's line format, run against our stack in virtual time and against the kernel in real time.
//!
//! A script sends packets in, makes system calls, and says which packets must come out, when, and what the calls must
//! return:
//!
//! ```text
//! 0     socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//! +0    bind(3, ..., ...) = 0
//! +0    listen(3, 1) = 0
//! +0    < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
//! +0    > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>
//! +.1   < . 1:1(0) ack 1 win 257
//! +0    accept(3, ..., ...) = 4
//! ```
//!
//! [`parse`] reads it, [`run_file`] runs it on what a [`Maker`] makes: [`KernelMaker`] is Linux behind a TUN device,
//! [`StackMaker`] our stack. That
//! one script runs on both makes it a differential test: what Linux does is the truth, and where it is not, the
//! script says so in a comment (`// kernel: no, because ...`).
//!
//! Beyond packetdrill a script can name addresses (`[src "192.0.2.7"]`), give payloads (`"text"` behind a segment or
//! datagram, and in `read` and `write`), put any bytes among TCP options (`<hex 0300>`), give a wrong data
//! offset (`offset 4`), and call `getsockname` and `getpeername`. Beneath it: no GRE, MPLS, PSP, MPTCP or mutation of packets.
//!
//! Invariants: nothing here uses `wharf-stack` or `wharf-wire` to say what a packet is, so that neither is its own judge; a
//! script that fails says where, what was expected and what was seen.

pub mod call;
mod code;
pub mod constants;
mod expect;
mod flow;
mod lexer;
pub mod machine;
pub mod packet;
mod parser;
pub mod report;
mod runner;
pub mod setting;
pub mod syntax;
pub mod tcp_info;

pub use call::{Answer, Call, ControlMessage, Errno, Fd, Through};
pub use machine::kernel::{KernelMaker, available as kernel_available};
pub use machine::stack::StackMaker;
pub use machine::{Machine, Maker};
pub use parser::parse;
pub use report::{Cause, Failure, Success};
pub use runner::run_file;
pub use setting::{IpVersion, Segments, Setting};
pub use syntax::{Script, SyntaxError};

//! What happens to a packet? A TCP/UDP/IP stack without input or output of its own.
//!
//! Time, randomness and keys are inputs; frames go in and come out through [`interface`]. Nothing here
//! sees a clock, a file descriptor or a thread.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod buffer;
mod egress;
pub mod fragment;
pub mod gateway;
pub mod interface;
mod ip;
pub mod link;
pub mod neighbor;
pub mod random;
pub mod socket;
pub mod stack;
pub mod tcp;
pub mod timer;

//! What do the bytes say?
//!
//! The wire formats between the link and the port table. Each module has the same shape: a plain value (`XxxRepr`) that
//! says what a header means, a `parse` that reads it from a borrowed slice and gives the rest of the slice back, and an
//! `emit` that writes it. Whoever holds a value knows that it was well-formed; whoever doesn't holds a [`Malformed`].
//!
//! Nothing here allocates on the way of a packet, keeps state, or judges: whether a well-formed packet is welcome is
//! the stack's question. Parsers take any bytes at all and never panic; `emit` panics when the buffer is shorter than
//! the length it was promised to have, which is a bug of the caller.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arp;
pub mod checksum;
mod cursor;
pub mod dhcpv4;
pub mod dns;
pub mod ethernet;
pub mod host_name;
pub mod http;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod malformed;
pub mod ndp;
pub mod quic;
pub mod quoted;
pub mod shown;
pub mod tcp;
pub mod tls;
pub mod udp;

pub use ethernet::{EtherType, HardwareAddr};
pub use malformed::Malformed;

/// IP protocol numbers (IANA "Assigned Internet Protocol Numbers"), which are also the values of Next Header.
pub mod protocol {
    /// IPv6 Hop-by-Hop Options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMPV4: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 Routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 Fragment header.
    pub const FRAGMENT: u8 = 44;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows (RFC 8200, section 4.7).
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 Destination Options.
    pub const DESTINATION_OPTIONS: u8 = 60;
}

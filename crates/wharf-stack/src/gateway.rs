//! What a gateway answers on its link of its own accord: DHCP, ARP, router and neighbour solicitations.
//!
//! Pure functions from a message to its answer. Invariant: the program's own address is never claimed, so that its duplicate
//! address detection (RFC 5227, RFC 4862) finds it free.

pub mod dhcp;
pub mod ndp;

//! Fragments: pieces of a datagram that was larger than a link.
//!
//! On a packet's way in this stands between the IP header and the transport: [`Reassembler`] keeps the pieces until
//! the datagram is whole (RFC 791, RFC 815; RFC 8200, section 4.5). On the way out [`cut()`] makes the pieces.
//!
//! Deliberately not here: the path MTU, and who is told that a packet was too big.

mod cut;
mod reassembly;

pub use cut::{Outgoing, cut};
pub use reassembly::{Expired, Reassembler, Whole};

/// Fragments start at multiples of this many bytes (RFC 791; RFC 8200, section 4.5).
const UNIT: usize = 8;
/// No datagram has more bytes (RFC 791; RFC 8200, section 4.5).
const DATAGRAM_MAX: usize = 65_535;

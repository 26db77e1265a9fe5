//! DNS messages (RFC 1035, RFC 3596 for AAAA, RFC 6891 for EDNS).
//!
//! [`Message::parse`] walks the whole message once, so that what it gives out is known to be well-formed: names don't loop,
//! records lie within the message, addresses have their length. [`ResponseRepr`] writes the answers that we give ourselves.
//!
//! Not here: DNSSEC, dynamic update, the data of other record types (they stay bytes, and names in them may be compressed).

mod message;
mod name;
mod record;
mod response;
mod svcb;

pub use message::{Header, Message, Opcode, Question, Rcode};
pub use name::{MAX_NAME_LEN, Name, NameRef};
pub use record::{Edns, Record, RecordClass, RecordData, RecordType, Section};
pub use response::{Answer, AnswerData, QueryRepr, ResponseRepr};
pub use svcb::Service;

/// The port of DNS, over UDP and TCP.
pub const PORT: u16 = 53;
/// Bytes of the header.
pub const HEADER_LEN: usize = 12;
/// The longest message over UDP without EDNS, in bytes (RFC 1035, section 4.2.1).
pub const MAX_UDP_LEN: usize = 512;

#[cfg(test)]
mod tests;

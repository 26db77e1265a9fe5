//! ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2, RFC 1191 for the MTU).
//!
//! Parsing does not look at the checksum; [`verify_checksum`] does. Not here: redirects, source quench, timestamps and
//! masks, which come out as [`Icmpv4Repr::Other`].

use crate::Malformed;
use crate::checksum::{Sum, checksum};
use crate::quoted::Quoted;

/// Bytes before the data of every message parsed here.
pub const HEADER_LEN: usize = 8;

/// The types of ICMP messages (RFC 792).
mod kind {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const DESTINATION_UNREACHABLE: u8 = 3;
    pub(super) const ECHO_REQUEST: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}

/// Codes of Destination Unreachable (RFC 792; RFC 1122, section 3.2.2.1; RFC 1812, section 5.2.7.1).
pub mod unreachable {
    /// No route to the network.
    pub const NET: u8 = 0;
    /// The host does not answer.
    pub const HOST: u8 = 1;
    /// The host does not know the protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nobody has bound the port.
    pub const PORT: u8 = 3;
    /// Too big and not to be fragmented: carries the MTU of the next hop.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// The source route failed.
    pub const SOURCE_ROUTE: u8 = 5;
    /// The network is forbidden.
    pub const NET_PROHIBITED: u8 = 9;
    /// The host is forbidden.
    pub const HOST_PROHIBITED: u8 = 10;
    /// A filter forbids it.
    pub const COMMUNICATION_PROHIBITED: u8 = 13;
}

/// Codes of Time Exceeded (RFC 792).
pub mod time_exceeded {
    /// The TTL ran out.
    pub const HOP_LIMIT: u8 = 0;
    /// Fragments were missing for too long.
    pub const REASSEMBLY: u8 = 1;
}

/// What an ICMP message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv4Repr<'a> {
    /// Are you there?
    EchoRequest {
        /// Tells one ping from another.
        ident: u16,
        /// Tells one request from another.
        seq: u16,
        /// To be sent back.
        data: &'a [u8],
    },
    /// Here I am.
    EchoReply {
        /// That of the request.
        ident: u16,
        /// That of the request.
        seq: u16,
        /// That of the request.
        data: &'a [u8],
    },
    /// The packet could not be delivered.
    DestinationUnreachable {
        /// Why: see [`mod@unreachable`]; never [`unreachable::FRAGMENTATION_NEEDED`], which has its own variant.
        code: u8,
        /// The packet, as far as it is quoted.
        quote: &'a [u8],
    },
    /// The packet was too big for a link and not to be fragmented.
    FragmentationNeeded {
        /// What the link carries, in bytes of an IP packet; 0 from routers before RFC 1191.
        mtu: u16,
        /// The packet, as far as it is quoted.
        quote: &'a [u8],
    },
    /// The packet was on its way for too long.
    TimeExceeded {
        /// Where: see [`time_exceeded`].
        code: u8,
        /// The packet, as far as it is quoted.
        quote: &'a [u8],
    },
    /// The packet's header was wrong.
    ParameterProblem {
        /// How: 0 when `pointer` counts.
        code: u8,
        /// The offset of the wrong byte.
        pointer: u8,
        /// The packet, as far as it is quoted.
        quote: &'a [u8],
    },
    /// Something that nobody here takes.
    Other {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
        /// The second word of its header.
        word: [u8; 4],
        /// What follows the header.
        data: &'a [u8],
    },
}

impl<'a> Icmpv4Repr<'a> {
    /// Reads `message`, the whole payload of its IP packet.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] below 8 bytes.
    pub fn parse(message: &'a [u8]) -> Result<Icmpv4Repr<'a>, Malformed> {
        let (header, data) = message.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let [kind, code, _, _, a, b, c, d] = *header;
        let (ident, seq) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Ok(match (kind, code) {
            (kind::ECHO_REQUEST, 0) => Icmpv4Repr::EchoRequest { ident, seq, data },
            (kind::ECHO_REPLY, 0) => Icmpv4Repr::EchoReply { ident, seq, data },
            (kind::DESTINATION_UNREACHABLE, unreachable::FRAGMENTATION_NEEDED) => {
                Icmpv4Repr::FragmentationNeeded { mtu: seq, quote: data }
            }
            (kind::DESTINATION_UNREACHABLE, _) => Icmpv4Repr::DestinationUnreachable { code, quote: data },
            (kind::TIME_EXCEEDED, _) => Icmpv4Repr::TimeExceeded { code, quote: data },
            (kind::PARAMETER_PROBLEM, _) => Icmpv4Repr::ParameterProblem { code, pointer: a, quote: data },
            _ => Icmpv4Repr::Other { kind, code, word: [a, b, c, d], data },
        })
    }

    /// The bytes behind the header: the data of an echo, the quote of an error.
    pub const fn data(&self) -> &'a [u8] {
        match *self {
            Icmpv4Repr::EchoRequest { data, .. }
            | Icmpv4Repr::EchoReply { data, .. }
            | Icmpv4Repr::Other { data, .. } => data,
            Icmpv4Repr::DestinationUnreachable { quote, .. }
            | Icmpv4Repr::FragmentationNeeded { quote, .. }
            | Icmpv4Repr::TimeExceeded { quote, .. }
            | Icmpv4Repr::ParameterProblem { quote, .. } => quote,
        }
    }

    /// The packet that an error quotes; `None` for messages that are no errors and quotes that can't be read.
    pub fn quoted(&self) -> Option<Quoted> {
        match self {
            Icmpv4Repr::EchoRequest { .. } | Icmpv4Repr::EchoReply { .. } | Icmpv4Repr::Other { .. } => None,
            _ => Quoted::parse_ipv4(self.data()).ok(),
        }
    }

    /// Bytes that [`Icmpv4Repr::emit`] writes: 8 and the data.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.data().len()
    }

    /// Writes the whole message, checksum included, to the front of `buf`.
    ///
    /// # Panics
    /// When `buf` is shorter than [`Icmpv4Repr::len`].
    pub fn emit(&self, buf: &mut [u8]) {
        let ([kind, code], [a, b, c, d]) = self.head();
        let buf = &mut buf[..self.len()];
        buf[..HEADER_LEN].copy_from_slice(&[kind, code, 0, 0, a, b, c, d]);
        buf[HEADER_LEN..].copy_from_slice(self.data());
        let sum = checksum(buf);
        buf[2..4].copy_from_slice(&sum.to_be_bytes());
    }

    /// Type and code, and the second word of the header.
    fn head(&self) -> ([u8; 2], [u8; 4]) {
        match *self {
            Icmpv4Repr::EchoRequest { ident, seq, .. } => ([kind::ECHO_REQUEST, 0], words(ident, seq)),
            Icmpv4Repr::EchoReply { ident, seq, .. } => ([kind::ECHO_REPLY, 0], words(ident, seq)),
            Icmpv4Repr::DestinationUnreachable { code, .. } => {
                ([kind::DESTINATION_UNREACHABLE, code], [0; 4])
            }
            Icmpv4Repr::FragmentationNeeded { mtu, .. } => {
                ([kind::DESTINATION_UNREACHABLE, unreachable::FRAGMENTATION_NEEDED], words(0, mtu))
            }
            Icmpv4Repr::TimeExceeded { code, .. } => ([kind::TIME_EXCEEDED, code], [0; 4]),
            Icmpv4Repr::ParameterProblem { code, pointer, .. } => {
                ([kind::PARAMETER_PROBLEM, code], [pointer, 0, 0, 0])
            }
            Icmpv4Repr::Other { kind, code, word, .. } => ([kind, code], word),
        }
    }
}

fn words(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
    [a, b, c, d]
}

/// Looks at the checksum of `message`, the whole payload of its IP packet.
///
/// # Errors
/// [`Malformed::Checksum`].
pub fn verify_checksum(message: &[u8]) -> Result<(), Malformed> {
    if Sum::new().with(message).is_valid() { Ok(()) } else { Err(Malformed::Checksum) }
}

//! ICMP for IPv6 (RFC 4443). Neighbour discovery, which is ICMPv6 too, is read by [`crate::ndp`].
//!
//! Parsing does not look at the checksum; [`verify_checksum`] does. Not here: multicast listener discovery, which
//! comes out as [`Icmpv6Repr::Other`].

use wharf_table::Addr;

use crate::Malformed;
use crate::checksum::pseudo_header;
use crate::protocol::ICMPV6;
use crate::quoted::Quoted;

/// Bytes before the data of every message parsed here.
pub const HEADER_LEN: usize = 8;

/// The types of ICMPv6 messages (RFC 4443).
mod kind {
    pub(super) const DESTINATION_UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
}

/// Codes of Destination Unreachable (RFC 4443, section 3.1).
pub mod unreachable {
    /// No route leads to the destination.
    pub const NO_ROUTE: u8 = 0;
    /// A filter forbids it.
    pub const PROHIBITED: u8 = 1;
    /// Beyond the scope of the source address.
    pub const BEYOND_SCOPE: u8 = 2;
    /// The host does not answer.
    pub const ADDRESS: u8 = 3;
    /// Nobody has bound the port.
    pub const PORT: u8 = 4;
    /// The source address fails the policy.
    pub const SOURCE_POLICY: u8 = 5;
    /// The route is one that rejects.
    pub const REJECT_ROUTE: u8 = 6;
}

/// Codes of Time Exceeded (RFC 4443, section 3.3).
pub mod time_exceeded {
    /// The hop limit ran out.
    pub const HOP_LIMIT: u8 = 0;
    /// Fragments were missing for too long.
    pub const REASSEMBLY: u8 = 1;
}

/// Codes of Parameter Problem (RFC 4443, section 3.4; RFC 7112, section 5).
pub mod parameter_problem {
    /// A field is wrong.
    pub const HEADER_FIELD: u8 = 0;
    /// The next header is one that nobody takes.
    pub const NEXT_HEADER: u8 = 1;
    /// An option is unknown.
    pub const OPTION: u8 = 2;
    /// The first fragment does not hold all headers.
    pub const HEADER_CHAIN: u8 = 3;
}

/// What an ICMPv6 message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv6Repr<'a> {
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
        /// Why: see [`mod@unreachable`].
        code: u8,
        /// The packet, as far as it is quoted.
        quote: &'a [u8],
    },
    /// The packet was too big for a link.
    PacketTooBig {
        /// What the link carries, in bytes of an IP packet.
        mtu: u32,
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
    /// A header of the packet was wrong.
    ParameterProblem {
        /// How: see [`parameter_problem`].
        code: u8,
        /// The offset of the wrong byte.
        pointer: u32,
        /// The packet, as far as it is quoted.
        quote: &'a [u8],
    },
    /// Something else: neighbour discovery (types 133 to 137), or what nobody here takes.
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

impl<'a> Icmpv6Repr<'a> {
    /// Reads `message`, the whole payload of its IP packet.
    ///
    /// # Errors
    /// [`Malformed::TooShort`] below 8 bytes.
    pub fn parse(message: &'a [u8]) -> Result<Icmpv6Repr<'a>, Malformed> {
        let (header, data) = message.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let [kind, code, _, _, a, b, c, d] = *header;
        let (ident, seq) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let word = u32::from_be_bytes([a, b, c, d]);
        Ok(match (kind, code) {
            (kind::ECHO_REQUEST, 0) => Icmpv6Repr::EchoRequest { ident, seq, data },
            (kind::ECHO_REPLY, 0) => Icmpv6Repr::EchoReply { ident, seq, data },
            (kind::DESTINATION_UNREACHABLE, _) => Icmpv6Repr::DestinationUnreachable { code, quote: data },
            // The code is to be ignored (RFC 4443, section 3.2).
            (kind::PACKET_TOO_BIG, _) => Icmpv6Repr::PacketTooBig { mtu: word, quote: data },
            (kind::TIME_EXCEEDED, _) => Icmpv6Repr::TimeExceeded { code, quote: data },
            (kind::PARAMETER_PROBLEM, _) => Icmpv6Repr::ParameterProblem { code, pointer: word, quote: data },
            _ => Icmpv6Repr::Other { kind, code, word: [a, b, c, d], data },
        })
    }

    /// The bytes behind the header: the data of an echo, the quote of an error.
    pub const fn data(&self) -> &'a [u8] {
        match *self {
            Icmpv6Repr::EchoRequest { data, .. }
            | Icmpv6Repr::EchoReply { data, .. }
            | Icmpv6Repr::Other { data, .. } => data,
            Icmpv6Repr::DestinationUnreachable { quote, .. }
            | Icmpv6Repr::PacketTooBig { quote, .. }
            | Icmpv6Repr::TimeExceeded { quote, .. }
            | Icmpv6Repr::ParameterProblem { quote, .. } => quote,
        }
    }

    /// The packet that an error quotes; `None` for messages that are no errors and quotes that can't be read.
    pub fn quoted(&self) -> Option<Quoted> {
        match self {
            Icmpv6Repr::EchoRequest { .. } | Icmpv6Repr::EchoReply { .. } | Icmpv6Repr::Other { .. } => None,
            _ => Quoted::parse_ipv6(self.data()).ok(),
        }
    }

    /// Whether this is an error, which no error may answer (RFC 4443, section 2.1: the high bit of the type is clear).
    pub const fn is_error(&self) -> bool {
        match *self {
            Icmpv6Repr::EchoRequest { .. } | Icmpv6Repr::EchoReply { .. } => false,
            Icmpv6Repr::Other { kind, .. } => kind < 128,
            _ => true,
        }
    }

    /// Bytes that [`Icmpv6Repr::emit`] writes: 8 and the data.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.data().len()
    }

    /// Writes the whole message to the front of `buf`, with the checksum for a packet from `src` to `dst`.
    ///
    /// # Panics
    /// When `buf` is shorter than [`Icmpv6Repr::len`].
    pub fn emit(&self, src: Addr, dst: Addr, buf: &mut [u8]) {
        let ([kind, code], [a, b, c, d]) = self.head();
        let buf = &mut buf[..self.len()];
        buf[..HEADER_LEN].copy_from_slice(&[kind, code, 0, 0, a, b, c, d]);
        buf[HEADER_LEN..].copy_from_slice(self.data());
        fill_checksum(src, dst, buf);
    }

    /// Type and code, and the second word of the header.
    fn head(&self) -> ([u8; 2], [u8; 4]) {
        match *self {
            Icmpv6Repr::EchoRequest { ident, seq, .. } => ([kind::ECHO_REQUEST, 0], words(ident, seq)),
            Icmpv6Repr::EchoReply { ident, seq, .. } => ([kind::ECHO_REPLY, 0], words(ident, seq)),
            Icmpv6Repr::DestinationUnreachable { code, .. } => {
                ([kind::DESTINATION_UNREACHABLE, code], [0; 4])
            }
            Icmpv6Repr::PacketTooBig { mtu, .. } => ([kind::PACKET_TOO_BIG, 0], mtu.to_be_bytes()),
            Icmpv6Repr::TimeExceeded { code, .. } => ([kind::TIME_EXCEEDED, code], [0; 4]),
            Icmpv6Repr::ParameterProblem { code, pointer, .. } => {
                ([kind::PARAMETER_PROBLEM, code], pointer.to_be_bytes())
            }
            Icmpv6Repr::Other { kind, code, word, .. } => ([kind, code], word),
        }
    }
}

fn words(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
    [a, b, c, d]
}

/// Writes the checksum of `message` (the whole payload of a packet from `src` to `dst`) into its header.
///
/// # Panics
/// When `message` is shorter than four bytes.
pub fn fill_checksum(src: Addr, dst: Addr, message: &mut [u8]) {
    message[2..4].fill(0);
    let sum = pseudo_header(src, dst, ICMPV6, message.len() as u32).with(message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// Looks at the checksum of `message`, the whole payload of its packet from `src` to `dst` (RFC 4443, section 2.3).
///
/// # Errors
/// [`Malformed::Checksum`].
pub fn verify_checksum(src: Addr, dst: Addr, message: &[u8]) -> Result<(), Malformed> {
    let sum = pseudo_header(src, dst, ICMPV6, message.len() as u32).with(message);
    if sum.is_valid() { Ok(()) } else { Err(Malformed::Checksum) }
}

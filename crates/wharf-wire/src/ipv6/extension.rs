//! The walk over IPv6 extension headers (RFC 8200, section 4): Hop-by-Hop, Routing, Fragment, Destination Options.
//!
//! Bounded: [`MAX_HEADERS`] headers and [`MAX_OPTIONS`] options, whatever the packet says. Options are skipped or refused as
//! their two highest bits ask; none is acted on. A Routing header without segments left is skipped, others are refused
//! (RFC 8200, section 4.4; type 0: RFC 5095). A whole datagram in one fragment is passed through (RFC 6946).
//!
//! Not here: authentication and encryption (51, 50), which end the walk as an upper layer that nobody takes.

use super::{HEADER_LEN, Ipv6Repr};
use crate::Malformed;
use crate::malformed::OptionReport;
use crate::protocol::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMPV6, NO_NEXT_HEADER, ROUTING, TCP, UDP};

/// Extension headers that a packet may have: each kind once, Destination Options twice (RFC 8200, section 4.1), and slack.
pub const MAX_HEADERS: usize = 8;
/// Options that one header may hold before the packet is refused (RFC 8504, section 5.3, counts in the same spirit).
pub const MAX_OPTIONS: usize = 32;
/// Bytes of a Fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 8;

/// A Fragment header (RFC 8200, section 4.5), of a datagram that is really cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where this piece belongs in the fragmentable part, in bytes, a multiple of 8.
    pub offset: u16,
    /// Whether more pieces follow this one.
    pub more: bool,
    /// Tells which fragments belong together.
    pub identification: u32,
    /// What the fragmentable part starts with.
    pub next_header: u8,
    /// Bytes of extension headers before the Fragment header, which every fragment repeats.
    pub unfragmentable_len: usize,
}

impl Fragment {
    /// Writes the Fragment header to the front of `buf`.
    ///
    /// # Panics
    /// When `buf` is shorter than 8 bytes.
    pub fn emit(&self, buf: &mut [u8]) {
        debug_assert!(self.offset.is_multiple_of(8), "fragments lie on 8-byte boundaries");
        let header =
            buf.first_chunk_mut::<FRAGMENT_HEADER_LEN>().expect("the buffer holds a Fragment header");
        header[0] = self.next_header;
        header[1] = 0;
        header[2..4].copy_from_slice(&(self.offset & 0xfff8 | u16::from(self.more)).to_be_bytes());
        header[4..8].copy_from_slice(&self.identification.to_be_bytes());
    }
}

/// What stands behind the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperLayer<'a> {
    /// The transport, or what nobody here knows; for a fragment, what its datagram's fragmentable part starts with.
    pub protocol: u8,
    /// The transport header and its data; for a fragment, its piece of the fragmentable part.
    pub payload: &'a [u8],
    /// Where the Next Header field stands that named [`UpperLayer::protocol`], in bytes from the IPv6 header: the pointer
    /// of a Parameter Problem, code 1 (RFC 8200, section 4).
    pub next_header_at: u16,
    /// The Fragment header, when this is a piece of a datagram.
    pub fragment: Option<Fragment>,
}

/// Walks from the fixed header `repr` to the transport in `payload`. Nothing but a look at one byte where there is no
/// extension header.
///
/// # Errors
/// See [`Malformed::parameter_problem`] for what the sender is to hear.
#[inline]
pub fn walk<'a>(repr: &Ipv6Repr, payload: &'a [u8]) -> Result<UpperLayer<'a>, Malformed> {
    if matches!(repr.next_header, TCP | UDP | ICMPV6) {
        return Ok(UpperLayer { protocol: repr.next_header, payload, next_header_at: 6, fragment: None });
    }
    Walk { payload, next_header: repr.next_header, next_header_at: 6, at: 0 }.run(FirstHeader::OfPacket)
}

/// Walks over the fragmentable part of a datagram that was put together again, which starts with `next_header`.
///
/// # Errors
/// As [`walk`]; offsets count from an IPv6 header right before `payload`.
pub fn walk_reassembled(next_header: u8, payload: &[u8]) -> Result<UpperLayer<'_>, Malformed> {
    Walk { payload, next_header, next_header_at: 6, at: 0 }.run(FirstHeader::OfFragmentablePart)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FirstHeader {
    /// Hop-by-Hop options may stand here and nowhere else.
    OfPacket,
    OfFragmentablePart,
}

struct Walk<'a> {
    payload: &'a [u8],
    next_header: u8,
    /// Offset of the field that named `next_header`, from the IPv6 header.
    next_header_at: u16,
    /// Where the walk stands in `payload`.
    at: usize,
}

impl<'a> Walk<'a> {
    fn run(mut self, first: FirstHeader) -> Result<UpperLayer<'a>, Malformed> {
        for count in 0..=MAX_HEADERS {
            match self.next_header {
                HOP_BY_HOP if count > 0 || first == FirstHeader::OfFragmentablePart => {
                    return Err(Malformed::ExtensionOrder(self.next_header_at));
                }
                HOP_BY_HOP | DESTINATION_OPTIONS => {
                    let header = self.header()?;
                    check_options(&header[2..], self.offset() + 2)?;
                    self.pass(header);
                }
                ROUTING => {
                    let header = self.header()?;
                    if header[3] != 0 {
                        return Err(Malformed::RoutingType(self.offset() + 2));
                    }
                    self.pass(header);
                }
                FRAGMENT => {
                    if let Some(fragment) = self.fragment()? {
                        return self.end_at_fragment(fragment);
                    }
                }
                _ => return Ok(self.end()),
            }
        }
        Err(Malformed::ExtensionCount)
    }

    /// The offset of the current header from the IPv6 header. A payload has no more than 65,535 bytes, but a reassembled
    /// one may reach that, hence saturating.
    fn offset(&self) -> u16 {
        u16::try_from(HEADER_LEN + self.at).unwrap_or(u16::MAX)
    }

    /// The current header, by its own length field: at least 8 bytes.
    fn header(&self) -> Result<&'a [u8], Malformed> {
        let rest = &self.payload[self.at..];
        let &[_, units, ..] = rest else { return Err(Malformed::ExtensionLength(self.next_header_at)) };
        rest.get(..(usize::from(units) + 1) * 8)
            .ok_or(Malformed::ExtensionLength(self.offset().saturating_add(1)))
    }

    fn pass(&mut self, header: &[u8]) {
        self.next_header = header[0];
        self.next_header_at = self.offset();
        self.at += header.len();
    }

    /// Reads a Fragment header and passes it; `None` when it holds a whole datagram (RFC 6946).
    fn fragment(&mut self) -> Result<Option<Fragment>, Malformed> {
        let header = self.payload[self.at..]
            .first_chunk::<FRAGMENT_HEADER_LEN>()
            .ok_or(Malformed::ExtensionLength(self.next_header_at))?;
        let field = u16::from_be_bytes([header[2], header[3]]);
        let fragment = Fragment {
            offset: field & 0xfff8,
            more: field & 1 == 1,
            identification: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            next_header: header[0],
            unfragmentable_len: self.at,
        };
        self.pass(header);
        Ok((fragment.more || fragment.offset != 0).then_some(fragment))
    }

    /// The result for a true fragment. Of a first fragment the headers are walked to their end, which must be in it
    /// (RFC 7112, section 5).
    fn end_at_fragment(self, fragment: Fragment) -> Result<UpperLayer<'a>, Malformed> {
        let piece = self.end();
        if fragment.offset == 0 {
            let upper = match walk_reassembled(fragment.next_header, piece.payload) {
                Err(Malformed::ExtensionLength(_)) => return Err(Malformed::HeaderChainSplit),
                other => other?,
            };
            if upper.payload.len() < least_header_len(upper.protocol) {
                return Err(Malformed::HeaderChainSplit);
            }
        }
        Ok(UpperLayer { fragment: Some(fragment), ..piece })
    }

    fn end(&self) -> UpperLayer<'a> {
        UpperLayer {
            protocol: self.next_header,
            payload: &self.payload[self.at..],
            next_header_at: self.next_header_at,
            fragment: None,
        }
    }
}

/// How much of a transport's header must be in a first fragment.
const fn least_header_len(protocol: u8) -> usize {
    match protocol {
        TCP => 20,
        UDP | ICMPV6 => 8,
        NO_NEXT_HEADER => 0,
        _ => 1,
    }
}

/// Passes over the options of a Hop-by-Hop or Destination Options header; `at` is their offset from the IPv6 header.
fn check_options(mut options: &[u8], mut at: u16) -> Result<(), Malformed> {
    for _ in 0..MAX_OPTIONS {
        let len = match *options {
            [] => return Ok(()),
            [0, ..] => 1,
            [_, len, ..] => usize::from(len) + 2,
            [_] => return Err(Malformed::ExtensionLength(at)),
        };
        let kind = options[0];
        options = options.get(len..).ok_or(Malformed::ExtensionLength(at.saturating_add(1)))?;
        let report = match kind >> 6 {
            0 => None,
            1 => Some(OptionReport::Never),
            2 => Some(OptionReport::Always),
            _ => Some(OptionReport::UnlessMulticast),
        };
        if let Some(report) = report {
            return Err(Malformed::UnknownOption { at, report });
        }
        at = at.saturating_add(len as u16);
    }
    if options.is_empty() { Ok(()) } else { Err(Malformed::ExtensionCount) }
}

#[cfg(test)]
mod tests;

//! What can be read of a packet without keys (RFC 9000, section 17; RFC 8999 for what holds in all versions).

use super::Version;
use crate::Malformed;
use crate::cursor::Cursor;

/// The longest connection identifier of the versions that are known here (RFC 9000, section 17.2).
pub(super) const MAX_CID_LEN: usize = 20;

/// One packet of a datagram of a client.
pub(super) enum Packet<'a> {
    /// One that may hold a part of the ClientHello.
    Initial(Initial<'a>),
    /// 0-RTT or Handshake, with keys that nobody else knows.
    Secret,
    /// A short header, or bytes that stand behind the last packet: the rest of the datagram.
    Rest,
    /// A version that is not known here; the rest of the datagram may be anything.
    Unknown(u32),
}

/// An Initial packet, still sealed.
pub(super) struct Initial<'a> {
    pub(super) version: Version,
    /// The identifier of the one who is to read it, by the client or given to it.
    pub(super) dcid: &'a [u8],
    /// The header up to the packet number.
    pub(super) header: &'a [u8],
    /// The packet number and what follows.
    pub(super) sealed: &'a [u8],
}

/// Takes the first packet of `datagram`, which has one byte at least.
///
/// # Errors
/// [`Malformed::Length`] for one that does not fit; [`Malformed::Operation`] for what only servers send.
pub(super) fn take<'a>(datagram: &mut &'a [u8]) -> Result<Packet<'a>, Malformed> {
    let whole = *datagram;
    let mut rest = Cursor(whole);
    let first = rest.u8()?;
    if first & 0x80 == 0 {
        *datagram = &[];
        return Ok(Packet::Rest);
    }
    let number = rest.u32()?;
    let (dcid, scid) = (rest.vec8()?, rest.vec8()?);
    let version = match number {
        // Version Negotiation.
        0 => return Err(Malformed::Operation),
        1 => Version::V1,
        Version::V2_NUMBER => Version::V2,
        other => {
            *datagram = &[];
            return Ok(Packet::Unknown(other));
        }
    };
    if dcid.len() > MAX_CID_LEN || scid.len() > MAX_CID_LEN {
        return Err(Malformed::Length);
    }
    // Version 2 counts the types from another one on (RFC 9369, section 3.2): Initial, 0-RTT, Handshake, Retry.
    let kind = match version {
        Version::V1 => first >> 4 & 3,
        Version::V2 => (first >> 4).wrapping_sub(1) & 3,
    };
    let packet = match kind {
        0 => {
            let _token = rest.vec_varint()?;
            let len = rest.varint()?;
            let header = &whole[..whole.len() - rest.0.len()];
            let sealed = rest.take(usize::try_from(len).map_err(|_| Malformed::Length)?)?;
            Packet::Initial(Initial { version, dcid, header, sealed })
        }
        1 | 2 => {
            rest.vec_varint()?;
            Packet::Secret
        }
        _ => return Err(Malformed::Operation),
    };
    *datagram = rest.0;
    Ok(packet)
}

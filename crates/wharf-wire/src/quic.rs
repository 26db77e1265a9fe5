//! What a QUIC client shows first: the ClientHello in its Initial packets (RFC 9000 and 9001 for version 1, RFC 9369 for
//! version 2). They are sealed, but with keys that come from the connection identifier in front of them, for whoever sees it.
//!
//! [`InitialReader`] takes the datagrams of one flow, client to server, in the order in which they come, and says of each whether
//! it may be let through: it gathers the CRYPTO frames of a connection, out of order and from as many datagrams as it takes, and
//! gives the ClientHello to [`crate::tls`]. A reader sees all datagrams of a flow, not only the first ones, because a flow may
//! carry several connections, one after the other or at once, and each names a server of its own. It costs nothing for packets
//! that are not Initial.
//!
//! What a flow may make us hold is bounded: [`MAX_CONNECTIONS`] connections with [`crate::tls::MAX_HELLO_LEN`] bytes each. When there
//! are more, the oldest whose hello is whole is forgotten. An Initial packet that belongs to none of them is read with the keys
//! that it shows itself and begins another; so it is after a Retry too (RFC 9001, section 5.2), and when a connection that was
//! forgotten begins anew. If it can't be read so, it is [`Malformed::Sealed`], and must not pass: it could belong to what was
//! forgotten.
//!
//! Servers read datagrams in the order in which the network brings them, lose some, and drop those that RFC 9000 has them drop.
//! What was let through is therefore the same in any order and with any loss: see [`Malformed::Overlap`], and
//! [`MIN_DATAGRAM_LEN`].
//!
//! Deliberately not here: what the server answers, the second hello after a HelloRetryRequest, and 0-RTT data, which is read by
//! the server that the hello named.

mod crypto;
mod keys;
mod packet;

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use self::crypto::Crypto;
use self::keys::Keys;
use self::packet::{Initial, MAX_CID_LEN, Packet};
use crate::Malformed;
use crate::tls::Hello;

/// Connections of one flow that are remembered: a Retry makes one into two, and a client that is sent away another time.
pub const MAX_CONNECTIONS: usize = 4;
/// "A client MUST expand the payload of all UDP datagrams carrying Initial packets to at least" this many bytes, and a server
/// MUST discard shorter ones (RFC 9000, section 14.1).
pub const MIN_DATAGRAM_LEN: usize = 1200;

/// The versions whose Initial packets can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

impl Version {
    const V2_NUMBER: u32 = 0x6b33_43cf;

    /// As it stands in a packet.
    pub fn number(self) -> u32 {
        match self {
            Version::V1 => 1,
            Version::V2 => Version::V2_NUMBER,
        }
    }
}

/// What a datagram of a flow shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quic<'a> {
    /// A part of a hello of which more must come, or what can't be read before it.
    NeedMore,
    /// The flow does not begin as QUIC does.
    NotQuic,
    /// The datagram can't be read in one way only, or not at all, and must not pass.
    Malformed(Malformed),
    /// The hello of the connection to which the datagram belongs, whole.
    Hello(Hello<'a>),
    /// Packets of connections that are known, behind their hello.
    Later,
    /// A version whose packets can't be read.
    Unknown(u32),
}

/// Reads the datagrams of a client as they come.
#[derive(Clone, Debug, Default)]
pub struct InitialReader {
    /// At most [`MAX_CONNECTIONS`], the oldest first. A flow that is not QUIC's holds nothing.
    connections: Vec<Connection>,
}

/// One connection: all that is sealed with the keys of one identifier.
#[derive(Clone, Debug)]
struct Connection {
    /// The identifier that the client chose for its first packet.
    dcid: ArrayVec<u8, MAX_CID_LEN>,
    /// The keys of a version, and those of the other when the two have agreed on it (RFC 9368, section 2.3).
    keys: Vec<(Version, Keys)>,
    /// The packet number after the largest so far.
    expected: u64,
    crypto: Crypto,
}

impl Connection {
    fn new(packet: &Initial<'_>) -> Connection {
        let mut dcid = ArrayVec::new();
        dcid.extend(packet.dcid.iter().copied());
        Connection { dcid, keys: Vec::with_capacity(1), expected: 0, crypto: Crypto::default() }
    }

    /// The frames of `packet`, if it is one of this connection.
    fn open(&mut self, packet: &Initial<'_>) -> Option<Vec<u8>> {
        let known = self.keys.iter().position(|(version, _)| *version == packet.version);
        let at = known.unwrap_or_else(|| {
            self.keys.push((packet.version, Keys::of_client(packet.version, &self.dcid)));
            self.keys.len() - 1
        });
        let (number, frames) = self.keys[at].1.open(packet, self.expected)?;
        self.expected = self.expected.max(number.saturating_add(1));
        Some(frames)
    }
}

impl InitialReader {
    /// One that has seen nothing.
    pub fn new() -> InitialReader {
        InitialReader::default()
    }

    /// What `datagram` shows, of this flow and behind all that was given before.
    ///
    /// Those that belong to [`Quic::NeedMore`] are to be held back until the hello is known, those with [`Quic::Malformed`] to be
    /// dropped; a hello is to be judged each time, as it may be that of another connection.
    pub fn push(&mut self, datagram: &[u8]) -> Quic<'_> {
        match self.read(datagram) {
            Ok(Read::Connection(at)) => match self.connections[at].crypto.hello().map(Hello::parse) {
                None => Quic::NeedMore,
                Some(Ok(hello)) => Quic::Hello(hello),
                Some(Err(why)) => Quic::Malformed(why),
            },
            Ok(Read::Secret)
                if self.connections.iter().any(|connection| connection.crypto.hello().is_some()) =>
            {
                Quic::Later
            }
            Ok(Read::Secret) => Quic::NeedMore,
            Ok(Read::NotQuic) => Quic::NotQuic,
            Ok(Read::Unknown(version)) => Quic::Unknown(version),
            Err(why) => Quic::Malformed(why),
        }
    }

    fn read(&mut self, datagram: &[u8]) -> Result<Read, Malformed> {
        if self.connections.is_empty() && !begins_a_flow(datagram) {
            return Ok(Read::NotQuic);
        }
        let (mut rest, mut found, mut dcid) = (datagram, None, None);
        while !rest.is_empty() {
            let packet = match packet::take(&mut rest)? {
                Packet::Initial(packet) => packet,
                Packet::Secret | Packet::Rest => continue,
                Packet::Unknown(version) if found.is_none() => return Ok(Read::Unknown(version)),
                // "Senders MUST NOT coalesce QUIC packets with different connection IDs" (RFC 9000, section 12.2), and of two
                // connections neither.
                Packet::Unknown(_) => return Err(Malformed::Crowded),
            };
            if datagram.len() < MIN_DATAGRAM_LEN {
                return Err(Malformed::TooShort);
            }
            let (at, frames) = self.open(&packet)?;
            if *found.get_or_insert(at) != at || *dcid.get_or_insert(packet.dcid) != packet.dcid {
                return Err(Malformed::Crowded);
            }
            self.connections[at].crypto.take_frames(&frames)?;
        }
        Ok(found.map_or(Read::Secret, Read::Connection))
    }

    /// Finds the connection of a packet, or begins one with it, and gives its frames.
    ///
    /// All keys that a server could try are tried. AES-GCM does not bind to its key: who knows two can make one packet that opens
    /// with both, to frames that differ. Such a packet is nobody's.
    fn open(&mut self, packet: &Initial<'_>) -> Result<(usize, Vec<u8>), Malformed> {
        let mut opened = None;
        for (at, connection) in self.connections.iter_mut().enumerate() {
            if let Some(frames) = connection.open(packet)
                && opened.replace((at, frames)).is_some()
            {
                return Err(Malformed::Sealed);
            }
        }
        if self.connections.iter().any(|connection| *connection.dcid == *packet.dcid) {
            return opened.ok_or(Malformed::Sealed);
        }
        let mut new = Connection::new(packet);
        let frames = match (opened, new.open(packet)) {
            (Some(opened), None) => return Ok(opened),
            (None, Some(frames)) => frames,
            (None, None) | (Some(_), Some(_)) => return Err(Malformed::Sealed),
        };
        if self.connections.len() >= MAX_CONNECTIONS {
            let whole = self.connections.iter().position(|connection| connection.crypto.hello().is_some());
            self.connections.remove(whole.ok_or(Malformed::Crowded)?);
        }
        self.connections.push(new);
        Ok((self.connections.len() - 1, frames))
    }
}

/// What a datagram was found to be.
enum Read {
    Connection(usize),
    Secret,
    NotQuic,
    Unknown(u32),
}

/// Whether the first datagram of a flow can be QUIC's: a long header of a version that is known, or of another in a datagram so
/// long that a server would answer it with those that it knows (RFC 9000, section 6).
fn begins_a_flow(datagram: &[u8]) -> bool {
    match packet::take(&mut &*datagram) {
        Ok(Packet::Initial(_) | Packet::Secret) => true,
        Ok(Packet::Unknown(_)) => datagram.len() >= MIN_DATAGRAM_LEN,
        Ok(Packet::Rest) => false,
        // A version that is known and then nonsense is QUIC's nonsense.
        Err(_) => {
            matches!(datagram, [0x80..=0xff, 0, 0, 0, 1, ..] | [0x80..=0xff, 0x6b, 0x33, 0x43, 0xcf, ..])
        }
    }
}

/// An Initial packet as a client sends it, to be written: what a prober sends, and what tests are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialRepr<'a> {
    /// The version of its header.
    pub version: Version,
    /// Whom it is for, at most 20 bytes. A client chooses at least 8 for its first packet (RFC 9000, section 7.2).
    pub dcid: &'a [u8],
    /// The client's own identifier, at most 20 bytes.
    pub scid: &'a [u8],
    /// What a Retry or an earlier connection has given, at most 63 bytes.
    pub token: &'a [u8],
    /// The packet number.
    pub number: u32,
}

impl InitialRepr<'_> {
    /// The sealed packet with `frames`, at most 16,000 bytes, padded to [`MIN_DATAGRAM_LEN`] at least. `first_dcid` is the identifier
    /// that the client chose for its first packet, or was given by a Retry, from which the keys come.
    pub fn seal(&self, first_dcid: &[u8], frames: &[u8]) -> Vec<u8> {
        let kind = match self.version {
            Version::V1 => 0xc3,
            Version::V2 => 0xd3,
        };
        let mut packet = Vec::with_capacity(MIN_DATAGRAM_LEN);
        packet.push(kind);
        packet.extend_from_slice(&self.version.number().to_be_bytes());
        for part in [self.dcid, self.scid, self.token] {
            packet.push(part.len() as u8);
            packet.extend_from_slice(part);
        }
        let header_len = packet.len() + 2 + 4;
        let padded = frames.len().max(MIN_DATAGRAM_LEN.saturating_sub(header_len + keys::TAG_LEN));
        let len = (4 + padded + keys::TAG_LEN) as u16;
        packet.extend_from_slice(&(0x4000 | len).to_be_bytes());
        packet.extend_from_slice(&self.number.to_be_bytes());
        packet.extend_from_slice(frames);
        packet.resize(header_len + padded, 0);
        Keys::of_client(self.version, first_dcid).seal(&mut packet, header_len, self.number);
        packet
    }

    /// A CRYPTO frame (RFC 9000, section 19.6) of `data`, at most 16,000 bytes, at `offset` below 16,384.
    pub fn crypto_frame(offset: u16, data: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(5 + data.len());
        frame.push(6);
        frame.extend_from_slice(&(0x4000 | offset).to_be_bytes());
        frame.extend_from_slice(&(0x4000 | data.len() as u16).to_be_bytes());
        frame.extend_from_slice(data);
        frame
    }
}

#[cfg(test)]
mod tests;

//! What a TLS client shows first: its ClientHello (RFC 8446, section 4.1.2), and in it the name of the server that it wants
//! (RFC 6066, section 3). Nothing else of TLS is read here.
//!
//! [`HelloReader`] takes the client's bytes as they come, in pieces of any size, and takes the handshake message out of its
//! records (RFC 8446, section 5.1): it may lie in as many as it has bytes. What stands behind the hello is not looked at.
//! What it holds is bounded by [`MAX_HELLO_LEN`]. [`Hello::parse`] reads the message by itself, as QUIC carries it.
//!
//! Who decides by what is read here must be read as any server would read it. So whatever two servers could understand in two
//! ways is [`Malformed`]: a second name, an extension twice, a record of another kind between the parts of a hello, a length
//! that does not fit. What only one reading has is let through even when a server will refuse it.
//!
//! Deliberately not here: the second hello after a HelloRetryRequest (it goes to the server that the first one named), hellos
//! within a connection that is encrypted already, and DTLS. A name in the hello binds no one to ask for the same name inside
//! ("domain fronting"): that is between client and server.

mod hello;

use alloc::vec::Vec;

use arrayvec::ArrayVec;
pub use hello::{Alpn, Hello};

use crate::Malformed;

/// The longest ClientHello that is read, in bytes, without its header of [`HEADER_LEN`]. Those with post-quantum keys have
/// about 1,800.
pub const MAX_HELLO_LEN: usize = 16_384;
/// Bytes of a handshake message before its body: its type and a length of three bytes (RFC 8446, section 4).
pub const HEADER_LEN: usize = 4;
/// Bytes of a record before its fragment (RFC 8446, section 5.1).
const RECORD_HEADER_LEN: usize = 5;
/// "The length MUST NOT exceed 2^14 bytes" (RFC 8446, section 5.1).
const MAX_FRAGMENT_LEN: usize = 1 << 14;
/// ContentType and HandshakeType.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// The other content types, change_cipher_spec to heartbeat.
const OTHER_FIRST: u8 = 20;
const OTHER_LAST: u8 = 24;

/// What is known of the first bytes of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls<'a> {
    /// It may be a hello, and more must come.
    NeedMore,
    /// It does not begin as TLS does.
    NotTls,
    /// It begins as TLS does and can't be read in one way only.
    Malformed(Malformed),
    /// The hello, whole.
    Hello(Hello<'a>),
    /// A hello in the form of SSL 2.0 (RFC 5246, appendix E.2), which has no extensions and so no name.
    OldHello,
}

/// Reads the first bytes of a client as they come.
#[derive(Clone, Debug, Default)]
pub struct HelloReader {
    state: State,
    /// The record header that is not complete.
    header: ArrayVec<u8, RECORD_HEADER_LEN>,
    /// Bytes of the fragment that are still to come.
    fragment_left: usize,
    /// The handshake message so far, its header included.
    message: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Reading,
    NotTls,
    Malformed(Malformed),
    Whole,
    Old,
}

impl HelloReader {
    /// One that has seen nothing.
    pub fn new() -> HelloReader {
        HelloReader::default()
    }

    /// What is known of the client when it has sent `bytes` behind all that was given before. Once it is more than
    /// [`Tls::NeedMore`] it stays as it is, and further bytes are not looked at.
    ///
    /// Costs the length of `bytes`, and once that of the hello.
    pub fn push(&mut self, mut bytes: &[u8]) -> Tls<'_> {
        while self.state == State::Reading && !bytes.is_empty() {
            self.state = self.step(&mut bytes);
        }
        self.answer()
    }

    /// What is known so far.
    pub fn answer(&self) -> Tls<'_> {
        match self.state {
            State::Reading => Tls::NeedMore,
            State::NotTls => Tls::NotTls,
            State::Malformed(why) => Tls::Malformed(why),
            State::Old => Tls::OldHello,
            State::Whole => Hello::parse(&self.message[HEADER_LEN..]).map_or_else(Tls::Malformed, Tls::Hello),
        }
    }

    /// Takes one part of a record from the front of `bytes`: a byte of its header, or what there is of its fragment.
    fn step(&mut self, bytes: &mut &[u8]) -> State {
        if self.fragment_left > 0 {
            let (taken, rest) = bytes.split_at(self.fragment_left.min(bytes.len()));
            (*bytes, self.fragment_left) = (rest, self.fragment_left - taken.len());
            return self.take_fragment(taken);
        }
        let Some((&byte, rest)) = bytes.split_first() else { return State::Reading };
        *bytes = rest;
        self.header.push(byte);
        // The version "MUST be ignored for all purposes" (RFC 8446, section 5.1), but its first byte was 3 in all that there
        // were, and tells TLS from the rest of the world.
        match *self.header {
            [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => State::Reading,
            [HANDSHAKE, 3, _, high, low] => {
                self.header.clear();
                self.fragment_left = usize::from(u16::from_be_bytes([high, low]));
                // "Implementations MUST NOT send zero-length fragments of Handshake types" (RFC 8446, section 5.1).
                let fits = (1..=MAX_FRAGMENT_LEN).contains(&self.fragment_left);
                if fits { State::Reading } else { State::Malformed(Malformed::Length) }
            }
            // "Handshake messages MUST NOT be interleaved with other record types" (RFC 8446, section 5.1).
            _ if !self.message.is_empty() => State::Malformed(Malformed::Operation),
            // Some servers pass over such records before a hello.
            [OTHER_FIRST..=OTHER_LAST, 3, 0..=4] => State::Malformed(Malformed::Operation),
            [OTHER_FIRST..=OTHER_LAST] | [OTHER_FIRST..=OTHER_LAST, 3] => State::Reading,
            // A header of two bytes whose highest bit is set, the type of the message, and a version that is not 2.0's ...
            [0x80..=0xff, _, CLIENT_HELLO, 3, _] => State::Old,
            [0x80..=0xff]
            | [0x80..=0xff, _]
            | [0x80..=0xff, _, CLIENT_HELLO]
            | [0x80..=0xff, _, CLIENT_HELLO, 3] => State::Reading,
            // ... or is.
            [0x80..=0xff, _, CLIENT_HELLO, 0] => State::Reading,
            [0x80..=0xff, _, CLIENT_HELLO, 0, 2] => State::Old,
            _ => State::NotTls,
        }
    }

    fn take_fragment(&mut self, taken: &[u8]) -> State {
        // The header says how long the message is; what stands behind it is not ours.
        let header_missing = HEADER_LEN.saturating_sub(self.message.len()).min(taken.len());
        let (header, body) = taken.split_at(header_missing);
        self.message.extend_from_slice(header);
        let len = match *self.message {
            [CLIENT_HELLO, high, mid, low, ..] => {
                usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low)
            }
            [] | [CLIENT_HELLO, ..] => return State::Reading,
            _ => return State::Malformed(Malformed::Operation),
        };
        if len > MAX_HELLO_LEN {
            return State::Malformed(Malformed::TooLong);
        }
        let missing = (HEADER_LEN + len).saturating_sub(self.message.len());
        self.message.extend_from_slice(&body[..missing.min(body.len())]);
        if self.message.len() < HEADER_LEN + len { State::Reading } else { State::Whole }
    }
}

#[cfg(test)]
mod tests;

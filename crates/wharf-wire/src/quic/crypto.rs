//! The stream of CRYPTO frames of one client (RFC 9000, sections 7.5 and 19.6), from its first byte to the end of its hello.

use alloc::vec::Vec;

use crate::Malformed;
use crate::cursor::Cursor;
use crate::tls;

/// The most that is held: a hello of the longest kind and its header.
const MAX_LEN: usize = tls::HEADER_LEN + tls::MAX_HELLO_LEN;
/// HandshakeType of a ClientHello.
const CLIENT_HELLO: u8 = 1;

/// What has come of the stream, with gaps.
///
/// A byte that comes twice must be the same: a server may take the first, the last or neither, in the order in which datagrams
/// reach it. So a hello that is whole here is the one that the server reads, however much of it gets lost on the way, and it is
/// compared with what comes as long as the connection is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Crypto {
    bytes: Vec<u8>,
    /// One bit for each of `bytes` that has come.
    known: Vec<u64>,
    /// As many of them are known from the front on.
    front: usize,
}

impl Crypto {
    /// Takes what stands in `data` for the place `offset` of the stream.
    ///
    /// # Errors
    /// [`Malformed::Overlap`] for other bytes than came before; [`Malformed::TooLong`] beyond what is held;
    /// [`Malformed::Operation`] for a stream that does not begin with a ClientHello.
    pub(super) fn insert(&mut self, offset: u64, data: &[u8]) -> Result<(), Malformed> {
        let start = usize::try_from(offset).map_err(|_| Malformed::TooLong)?;
        let end = start.checked_add(data.len()).filter(|&end| end <= MAX_LEN).ok_or(Malformed::TooLong)?;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.known.resize(end.div_ceil(64), 0);
        }
        for (at, (held, &new)) in self.bytes[start..end].iter_mut().zip(data).enumerate() {
            let (word, bit) = ((start + at) / 64, 1 << ((start + at) % 64));
            if self.known[word] & bit == 0 {
                self.known[word] |= bit;
                *held = new;
            } else if *held != new {
                return Err(Malformed::Overlap);
            }
        }
        while self.front < self.bytes.len() && self.known[self.front / 64] & 1 << (self.front % 64) != 0 {
            self.front += 1;
        }
        match self.len()? {
            Some(len) if len > MAX_LEN => Err(Malformed::TooLong),
            _ => Ok(()),
        }
    }

    /// The length of the hello with its header, when that is known.
    fn len(&self) -> Result<Option<usize>, Malformed> {
        match self.bytes[..self.front] {
            [CLIENT_HELLO, high, mid, low, ..] => {
                let len = usize::from(high) << 16 | usize::from(mid) << 8 | usize::from(low);
                Ok(Some(tls::HEADER_LEN + len))
            }
            [] | [CLIENT_HELLO, ..] => Ok(None),
            _ => Err(Malformed::Operation),
        }
    }

    /// The body of the hello, once it is whole.
    pub(super) fn hello(&self) -> Option<&[u8]> {
        let len = self.len().ok()??;
        self.bytes[..self.front].get(tls::HEADER_LEN..len)
    }

    /// Takes the CRYPTO frames out of the frames of an Initial packet.
    ///
    /// # Errors
    /// [`Malformed::Frame`] for one that must not be there (RFC 9000, section 12.4, table 3); [`Malformed::Length`] for one
    /// that does not fit; and those of [`Crypto::insert`].
    pub(super) fn take_frames(&mut self, frames: &[u8]) -> Result<(), Malformed> {
        let mut rest = Cursor(frames);
        while !rest.is_done() {
            match rest.varint()? {
                // PADDING, PING.
                0 | 1 => {}
                // ACK: the largest, the delay, ranges; and with 3 the counts of ECN (section 19.3).
                kind @ (2 | 3) => {
                    rest.skip_varints(2)?;
                    let ranges = rest.varint()?;
                    rest.skip_varints(ranges.saturating_mul(2).saturating_add(1))?;
                    if kind == 3 {
                        rest.skip_varints(3)?;
                    }
                }
                6 => {
                    let offset = rest.varint()?;
                    self.insert(offset, rest.vec_varint()?)?;
                }
                // CONNECTION_CLOSE of the transport: the error, the frame, the reason (section 19.19).
                0x1c => {
                    rest.skip_varints(2)?;
                    rest.vec_varint()?;
                }
                _ => return Err(Malformed::Frame),
            }
        }
        Ok(())
    }
}

//! How long the body of a request is (RFC 9112, section 6), and where the next head begins.
//!
//! Two servers that end a body at two places see two requests where we see one ("request smuggling", RFC 9112, section 11.2).
//! So only what clients write is taken: one Content-Length of digits, or chunks and nothing else, with CRLF everywhere.

use super::head;
use crate::Malformed;

/// The longest line between chunks, in bytes.
const MAX_LINE_LEN: usize = 256;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// As many bytes, or none.
    Length(u64),
    /// Chunks (RFC 9112, section 7.1).
    Chunked,
    /// Perhaps another protocol, if the server agrees: behind CONNECT, or `Upgrade`. The client may go on with HTTP.
    Other,
}

/// The fields of a head that say so.
#[derive(Default)]
pub(super) struct Fields<'a> {
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Malformed> {
        let field = match name {
            name if name.eq_ignore_ascii_case(b"content-length") => &mut self.length,
            name if name.eq_ignore_ascii_case(b"transfer-encoding") => &mut self.coding,
            // A list, which may come in several lines.
            name if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = Some(value);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if field.replace(value).is_some() { Err(Malformed::Length) } else { Ok(()) }
    }

    /// The body of a request with these fields: RFC 9112, section 6.3, without what is forgiven there.
    pub(super) fn body(&self, method: &[u8], minor: u8) -> Result<Body, Malformed> {
        let body = match (self.length, self.coding) {
            (None, None) => Body::Length(0),
            (Some(digits), None) => Body::Length(decimal(digits).ok_or(Malformed::Length)?),
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") && minor >= b'1' => Body::Chunked,
            (_, Some(_)) => return Err(Malformed::Length),
        };
        if method != b"CONNECT" && self.upgrade.is_none() {
            return Ok(body);
        }
        // Where a body ends that stands before another protocol is for the two to agree on.
        if body == Body::Length(0) { Ok(Body::Other) } else { Err(Malformed::Length) }
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let fits = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Where in a body the next byte stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// So many bytes to go to the end.
    Length(u64),
    /// In the line that says how long a chunk is.
    Size,
    /// So many bytes of a chunk to go, the CRLF behind it included.
    Chunk(u64),
    /// In the fields behind the last chunk.
    Trailer,
    /// Behind the last byte.
    Done,
}

/// The line of a chunked body that has not ended.
pub(super) type Line = arrayvec::ArrayVec<u8, MAX_LINE_LEN>;

impl Reading {
    /// Takes from `bytes`, of which there is one at least, what belongs to the body, and gives back how many that are.
    pub(super) fn take(&mut self, line: &mut Line, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Reading::Done => Ok(0),
            Reading::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                if *left == 0 {
                    *self = Reading::Done;
                }
                Ok(taken as usize)
            }
            Reading::Chunk(left) if *left > 2 => {
                let taken = (*left - 2).min(bytes.len() as u64);
                *left -= taken;
                Ok(taken as usize)
            }
            Reading::Chunk(left) => {
                if bytes[0] != if *left == 2 { b'\r' } else { b'\n' } {
                    return Err(Malformed::Line);
                }
                *self = if *left == 2 { Reading::Chunk(1) } else { Reading::Size };
                Ok(1)
            }
            Reading::Size | Reading::Trailer => self.take_line(line, bytes),
        }
    }

    fn take_line(&mut self, line: &mut Line, bytes: &[u8]) -> Result<usize, Malformed> {
        let taken = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
        line.try_extend_from_slice(&bytes[..taken]).map_err(|_| Malformed::TooLong)?;
        if line.last() != Some(&b'\n') {
            return Ok(taken);
        }
        let text = line.strip_suffix(b"\r\n").ok_or(Malformed::Line)?;
        *self = match self {
            Reading::Trailer if text.is_empty() => Reading::Done,
            Reading::Trailer => {
                head::split_field(text)?;
                Reading::Trailer
            }
            _ => match chunk_size(text).ok_or(Malformed::Length)? {
                0 => Reading::Trailer,
                size => Reading::Chunk(size + 2),
            },
        };
        line.clear();
        Ok(taken)
    }
}

/// `chunk-size [ chunk-ext ]`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let (digits, extension) = line.split_at(line.iter().position(|&byte| byte == b';').unwrap_or(line.len()));
    let fits =
        !digits.is_empty() && digits.len() <= 15 && extension.iter().all(|byte| (b' '..0x7f).contains(byte));
    let digit = |byte: u8| char::from(byte).to_digit(16).map(u64::from);
    if fits { digits.iter().try_fold(0, |size, &byte| Some(size << 4 | digit(byte)?)) } else { None }
}

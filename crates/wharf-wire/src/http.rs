//! What an HTTP client shows first: the head of its request (RFC 9112), and in it the host that it wants. Nothing else of HTTP
//! is read here.
//!
//! [`HeadReader`] takes the client's bytes as they come, in pieces of any size, and holds [`MAX_HEAD_LEN`] of them at most.
//! Whether they are HTTP at all is known with the first line, mostly before it ends.
//!
//! Who decides by what is read here must be read as any server would read it, and servers differ widely in what they forgive.
//! So a head must be as RFC 9112 has clients write it; the one thing that is forgiven is a line that ends without CR, because
//! reading it as the end of a line shows all that any server sees. What is [`Malformed`]: a second `Host`, one that is not the
//! host of the request target (a server ought to take the target's, RFC 9112, section 3.2.2, and many take the other), white
//! space before a colon or in front of a line, a lone CR, and HTTP/1.1 without `Host` (RFC 9112, section 3.2).
//!
//! A connection may carry many requests, each of which may ask for another host: who lets it pass by its first head has not seen
//! the others. [`Requests`] reads them all, as far as the bodies between them end at one place for every server.
//!
//! Deliberately not here: what the server answers, and so whether it agreed to `Upgrade` or CONNECT. The names of HTTP/2, which
//! are compressed by a state that its frames build up (RFC 7541): it is known by its preface and no more.

mod body;
mod head;
mod requests;

use alloc::vec::Vec;

pub use body::Body;
pub use head::{Form, Head};
pub use requests::{Next, Requests};

use crate::Malformed;

/// The longest head that is read, in bytes, the empty lines before it included.
pub const MAX_HEAD_LEN: usize = 16_384;
/// What is known of the first bytes of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Http {
    /// It may be the head of a request, and more must come.
    NeedMore,
    /// It is something else.
    NotHttp,
    /// It begins as HTTP does and can't be read in one way only.
    Malformed(Malformed),
    /// The head of a request, whole.
    Head(Head),
    /// The preface of HTTP/2, in which names are not to be seen.
    Http2,
    /// The banner of SSH, which knows no names.
    Ssh,
}

/// Reads the first bytes of a client as they come.
#[derive(Clone, Debug)]
pub struct HeadReader {
    answer: Http,
    /// Whether the first line was whole and HTTP's.
    first_line: FirstLine,
    /// The bytes so far, without empty lines in front.
    head: Vec<u8>,
    /// Where the line begins that has not ended yet.
    line_at: usize,
    /// Bytes of empty lines in front.
    skipped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstLine {
    Reading,
    IsHttp,
}

impl Default for HeadReader {
    fn default() -> Self {
        HeadReader::new()
    }
}

impl HeadReader {
    /// One that has seen nothing.
    pub fn new() -> HeadReader {
        HeadReader {
            answer: Http::NeedMore,
            first_line: FirstLine::Reading,
            head: Vec::new(),
            line_at: 0,
            skipped: 0,
        }
    }

    /// What is known of the client when it has sent `bytes` behind all that was given before. Once it is more than
    /// [`Http::NeedMore`] it stays as it is, and further bytes are not looked at.
    ///
    /// Costs the length of `bytes`, and once that of the head.
    pub fn push(&mut self, mut bytes: &[u8]) -> &Http {
        while self.answer == Http::NeedMore && !bytes.is_empty() {
            let (taken, _) = self.push_line(bytes);
            bytes = &bytes[taken..];
        }
        &self.answer
    }

    /// As [`HeadReader::push`], but with no more of `bytes` than to the end of a line; how many that were.
    fn push_line(&mut self, bytes: &[u8]) -> (usize, &Http) {
        let room = MAX_HEAD_LEN - self.skipped - self.head.len();
        if room == 0 {
            self.answer = Http::Malformed(Malformed::TooLong);
            return (bytes.len(), &self.answer);
        }
        // So that what stands behind the head is not held.
        let to = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1).min(room);
        self.answer = self.take(&bytes[..to]);
        (to, &self.answer)
    }

    /// What is known so far.
    pub fn answer(&self) -> &Http {
        &self.answer
    }

    /// Takes a line, or a part of one.
    fn take(&mut self, part: &[u8]) -> Http {
        self.head.extend_from_slice(part);
        let line = &self.head[self.line_at..];
        let ended = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        match (self.first_line, ended) {
            // A server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line" (RFC 9112, section
            // 2.2), and some ignore any number.
            (FirstLine::Reading, Some([])) => {
                self.skipped += self.head.len();
                self.head.clear();
                Http::NeedMore
            }
            (FirstLine::Reading, Some(line)) => {
                let answer = head::first_line(line);
                self.first_line = FirstLine::IsHttp;
                self.line_at = self.head.len();
                answer
            }
            (FirstLine::Reading, None) => head::unfinished_line(line),
            (FirstLine::IsHttp, Some([])) => Head::parse(&self.head).map_or_else(Http::Malformed, Http::Head),
            (FirstLine::IsHttp, Some(_)) => {
                self.line_at = self.head.len();
                Http::NeedMore
            }
            (FirstLine::IsHttp, None) => Http::NeedMore,
        }
    }
}

#[cfg(test)]
mod tests;

//! All requests of a connection, one behind the other: each may ask for another host.

use super::body::{Body, Line, Reading};
use super::{Head, HeadReader, Http};
use crate::Malformed;

/// What stands at a place of what a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A part of a head, which is to be held back.
    NeedMore,
    /// The end of a head, which is to be judged, and with it what was held back.
    Head(Head),
    /// Bytes of the body of the request whose head was judged.
    Body,
    /// Bytes of another protocol, behind CONNECT or `Upgrade`, and so is all that will come.
    Other,
    /// What follows can't be read in one way only, and never will.
    Malformed(Malformed),
}

/// Reads all that a client of HTTP/1 sends, from its first byte on; what is something else at once is [`Next::Malformed`].
#[derive(Clone, Debug, Default)]
pub struct Requests {
    state: State,
    head: HeadReader,
    line: Line,
}

#[derive(Clone, Debug, Default)]
enum State {
    /// In a head, or before it.
    #[default]
    First,
    /// The same behind a request that asked for another protocol.
    Again,
    Body(Reading),
    Other,
    Malformed(Malformed),
}

impl Requests {
    /// One that has seen nothing.
    pub fn new() -> Requests {
        Requests::default()
    }

    /// Takes bytes from the front of `bytes`, which come behind all that was taken before: how many, and what they are. At
    /// least one, if there is one.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, Next) {
        match &mut self.state {
            State::Malformed(why) => (bytes.len(), Next::Malformed(*why)),
            State::Other => (bytes.len(), Next::Other),
            _ if bytes.is_empty() => (0, Next::NeedMore),
            State::Body(reading) => match reading.take(&mut self.line, bytes) {
                Ok(taken) => {
                    if *reading == Reading::Done {
                        self.state = State::First;
                    }
                    (taken, Next::Body)
                }
                Err(why) => self.give_up(why, bytes),
            },
            State::First | State::Again => self.take_head(bytes),
        }
    }

    fn give_up(&mut self, why: Malformed, bytes: &[u8]) -> (usize, Next) {
        self.state = State::Malformed(why);
        (bytes.len(), Next::Malformed(why))
    }

    fn take_head(&mut self, bytes: &[u8]) -> (usize, Next) {
        let (taken, answer) = self.head.push_line(bytes);
        match answer.clone() {
            Http::NeedMore => (taken, Next::NeedMore),
            Http::Head(head) => {
                self.head = HeadReader::new();
                self.state = match head.body {
                    Body::Length(0) => State::First,
                    Body::Length(len) => State::Body(Reading::Length(len)),
                    Body::Chunked => State::Body(Reading::Size),
                    Body::Other => State::Again,
                };
                (taken, Next::Head(head))
            }
            Http::Malformed(why) => self.give_up(why, bytes),
            // What a server that did not agree to another protocol would refuse.
            _ if matches!(self.state, State::Again) => {
                self.state = State::Other;
                (bytes.len(), Next::Other)
            }
            _ => self.give_up(Malformed::Line, bytes),
        }
    }
}

//! What a readiness event is about: the tokens of a loop.

use wharf_stack::stack::ConnId;

use super::spliced::End;

/// A token of the loop's epoll, 64 bits: the kind above, an index below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The link to the program.
    Link,
    /// A signal for wharf.
    Signal,
    /// The program's end.
    Program,
    /// A published TCP port.
    Listener(u32),
    /// The host's socket of a TCP flow.
    Stream(ConnId),
    /// The host's socket of a UDP mapping or of a published UDP port.
    Datagram(u32),
    /// The host's socket of an ICMP echo mapping.
    Echo(u32),
    /// A socket of the name server.
    Names(u32),
    /// What other lanes have for the first one.
    Handed,
    /// The end of a run, as other lanes are told.
    End,
    /// A socket of a spliced flow.
    Spliced(u32, End),
    /// Where sockets in the program's network come from.
    Sockets,
    /// The control socket, or one who asks there.
    Control(Option<u32>),
}

const SHIFT: u32 = 56;

impl Token {
    /// The first token of the name server's sockets.
    pub(crate) const NAMES_BASE: u64 = 8 << SHIFT;
}

impl From<Token> for u64 {
    fn from(token: Token) -> u64 {
        let (kind, index): (u64, u32) = match token {
            Token::Link => (1, 0),
            Token::Signal => (2, 0),
            Token::Program => (3, 0),
            Token::Listener(index) => (4, index),
            Token::Stream(id) => (5, id.number()),
            Token::Datagram(index) => (6, index),
            Token::Echo(index) => (7, index),
            Token::Names(index) => (8, index),
            Token::Handed => (12, 0),
            Token::End => (13, 0),
            Token::Spliced(index, End::Client) => (9, index),
            Token::Spliced(index, End::Inside) => (10, index),
            Token::Sockets => (11, 0),
            Token::Control(None) => (14, 0),
            Token::Control(Some(index)) => (15, index),
        };
        kind << SHIFT | u64::from(index)
    }
}

impl Token {
    /// The token that was registered as `bits`.
    pub(crate) fn from_bits(bits: u64) -> Option<Token> {
        let index = bits as u32;
        Some(match bits >> SHIFT {
            1 => Token::Link,
            2 => Token::Signal,
            3 => Token::Program,
            4 => Token::Listener(index),
            5 => Token::Stream(ConnId::from_number(index)),
            6 => Token::Datagram(index),
            7 => Token::Echo(index),
            8 => Token::Names(index),
            12 => Token::Handed,
            13 => Token::End,
            9 => Token::Spliced(index, End::Client),
            10 => Token::Spliced(index, End::Inside),
            11 => Token::Sockets,
            14 => Token::Control(None),
            15 => Token::Control(Some(index)),
            _ => return None,
        })
    }
}

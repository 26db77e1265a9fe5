//! What a script says, as it was typed: the tree that the [parser](super::parser) makes and the
//! [runner](super::runner) walks. Names of constants are still names here, and times still relative.

use std::fmt;
use std::net::IpAddr;

use super::packet::Packet;

/// A place in a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A whole script.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// `--name=value` lines, in order.
    pub options: Vec<(String, Option<String>)>,
    /// Commands in backquotes before the first event.
    pub setup: Vec<(Position, String)>,
    /// What happens, in order.
    pub events: Vec<Event>,
    /// Commands in backquotes, without a time, behind the last event.
    pub cleanup: Vec<(Position, String)>,
    /// What a comment `// kernel: no, because ...` says: why the kernel is no judge of this script.
    pub not_for_kernel: Option<String>,
    /// What a comment `// stack: no, because ...` says: why our stack does not run this script.
    pub not_for_stack: Option<String>,
}

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where it stands.
    pub position: Position,
    /// When it happens.
    pub when: When,
    /// What happens.
    pub action: Action,
}

/// When an event happens or may happen; microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After the start of the script.
    Absolute(u64),
    /// After the event before.
    Relative(u64),
    /// Between two times after the start; packets that come out only.
    AbsoluteRange(u64, u64),
    /// Between two times after the event before; packets that come out only.
    RelativeRange(u64, u64),
    /// At any time; packets that come out only.
    Any,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Action {
    /// A packet comes in.
    Inbound(PacketLine),
    /// A packet must come out.
    Outbound(PacketLine),
    /// A system call.
    Call(CallLine),
    /// A command for the shell.
    Command(String),
    /// Assertions between `%{` and `}%`.
    Code(String),
}

/// Which ECN codepoint or whole TOS byte is given or asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tos {
    /// Nothing is said: 0 when sent, not looked at when expected.
    #[default]
    Unsaid,
    /// The two ECN bits.
    Ecn(u8),
    /// Either ECT(0) or ECT(1); expectations only.
    AnyEct,
    /// All eight bits.
    Whole(u8),
}

/// A packet as a script says it, in the script's numbers.
#[derive(Clone, Debug)]
pub struct PacketLine {
    /// The packet; addresses and ports are filled in by the runner where they are unspecified.
    pub packet: Packet,
    /// What is said of the TOS byte.
    pub tos: Tos,
    /// The hop limit, where said.
    pub ttl: Option<u8>,
    /// The flow label, where said.
    pub flow_label: Option<u32>,
    /// Source and destination port, where said.
    pub ports: Option<(u16, u16)>,
    /// What is looked at beside the header's numbers.
    pub checks: Checks,
    /// The segment or datagram that an ICMP error quotes.
    pub quote: Option<Quote>,
}

/// Which fields of an expected segment count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// `win` was given.
    pub window: bool,
    /// No `<...>` stands for any options.
    pub options: bool,
    /// The three bits of `ACE` were given as a digit among the flags (accurate ECN).
    pub ace: Option<u8>,
}

impl Default for Checks {
    fn default() -> Checks {
        Checks { window: false, options: true, ace: None }
    }
}

/// The start of a packet that an ICMP error carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// A TCP segment: its sequence number and payload length.
    Tcp {
        /// The sequence number, in the script's numbers.
        seq: u32,
        /// Bytes of payload.
        length: u16,
    },
    /// A UDP datagram and its payload length.
    Udp {
        /// Bytes of payload.
        length: u16,
    },
}

/// A system call and what it must return.
#[derive(Clone, Debug)]
pub struct CallLine {
    /// When a call that blocks must return, from the event's own time on; microseconds.
    pub ends: Option<u64>,
    /// The name of the call.
    pub name: String,
    /// What it is given, and what it must leave there.
    pub arguments: Vec<Expression>,
    /// What it must return.
    pub result: Expression,
    /// The error it must return beside -1, say `EAGAIN`.
    pub errno: Option<String>,
}

/// An argument or a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// `...`: the default where it is given, anything where it is expected.
    Any,
    /// A number.
    Number(i64),
    /// A name: a constant, or a call that defines one.
    Word(String),
    /// A string, and whether `...` follows.
    Text(Vec<u8>, Rest),
    /// `a | b`.
    Or(Box<Expression>, Box<Expression>),
    /// `name = expression`, or `name(...) = expression`.
    Field(String, Box<Expression>),
    /// `[a, b]`.
    List(Vec<Expression>),
    /// `{a, b}`.
    Struct(Vec<Expression>),
    /// `htons(80)` or `inet_addr("192.0.2.1")`.
    Apply(String, Vec<Expression>),
    /// An address that `inet_addr` or `inet6_addr` was given.
    Address(IpAddr),
}

/// Whether more may follow a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It is whole.
    Nothing,
    /// `"..."...`: anything.
    Anything,
}

impl Expression {
    /// The value of the field `name` of a structure.
    pub fn field(&self, name: &str) -> Option<&Expression> {
        let Expression::Struct(fields) = self else { return None };
        fields.iter().find_map(|field| match field {
            Expression::Field(found, value) if found == name => Some(&**value),
            _ => None,
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list(f: &mut fmt::Formatter<'_>, open: &str, items: &[Expression], close: &str) -> fmt::Result {
            f.write_str(open)?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                write!(f, "{item}")?;
            }
            f.write_str(close)
        }
        match self {
            Expression::Any => f.write_str("..."),
            Expression::Number(number) => write!(f, "{number}"),
            Expression::Word(word) => f.write_str(word),
            Expression::Text(text, Rest::Nothing) => write!(f, "\"{}\"", text.escape_ascii()),
            Expression::Text(text, Rest::Anything) => write!(f, "\"{}\"...", text.escape_ascii()),
            Expression::Or(left, right) => write!(f, "{left}|{right}"),
            Expression::Field(name, value) => write!(f, "{name}={value}"),
            Expression::List(items) => list(f, "[", items, "]"),
            Expression::Struct(items) => list(f, "{", items, "}"),
            Expression::Apply(name, items) => {
                f.write_str(name)?;
                list(f, "(", items, ")")
            }
            Expression::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Why a script makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub position: Position,
    /// What was expected and what stands there.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

impl std::error::Error for SyntaxError {}

//! What both stacks are asked to do, in the same words, so that the same program measures both.

use wharf_table::Instant;

use crate::wire::Link;

/// Which end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Opens connections.
    Client,
    /// Listens.
    Server,
}

impl Side {
    /// The IPv4 address.
    pub const fn address(self) -> [u8; 4] {
        [10, 0, 0, self.number()]
    }

    /// The hardware address.
    pub const fn hardware(self) -> [u8; 6] {
        [2, 0, 0, 0, 0, self.number()]
    }

    /// The other end.
    pub const fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Side::Client => 1,
            Side::Server => 2,
        }
    }
}

/// What the device does for the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Nothing: checksums of IP and TCP are computed and verified by the stack, frames are 1,500 bytes.
    Nothing,
    /// TCP checksums and the cutting of segments of up to 64 KiB.
    Segments,
}

/// Which congestion control a sender uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// CUBIC (RFC 9438).
    Cubic,
    /// NewReno (RFC 5681).
    Reno,
}

/// What a host is like.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Bytes of each direction of a connection that may wait.
    pub buffer: usize,
    /// What the device does.
    pub offload: Offload,
    /// Who decides how much is on its way.
    pub congestion: Congestion,
    /// Whether small segments wait for others (RFC 9293, section 3.7.4).
    pub nagle: bool,
    /// How many connections there will be, for stacks that have a limit.
    pub connections: usize,
}

impl Setup {
    /// Frames of 1,500 bytes, CUBIC, without Nagle.
    pub fn buffers(buffer: usize) -> Setup {
        Setup {
            buffer,
            offload: Offload::Nothing,
            congestion: Congestion::Cubic,
            nagle: false,
            connections: 100_000,
        }
    }
}

/// The IP MTU of the link.
pub const MTU: usize = 1_500;

/// A TCP/IP stack at one end of the link.
pub trait Host {
    /// A connection.
    type Conn: Copy;
    /// Whether one listener takes every connection to its port.
    const LISTENS_ONCE: bool;

    /// A host without connections.
    fn new(setup: &Setup, side: Side, now: Instant) -> Self;
    /// Gets ready for `count` connections to come to `port`.
    fn listen(&mut self, port: u16, count: usize);
    /// Opens a connection to the other side.
    fn connect(&mut self, now: Instant, source: u16, port: u16) -> Self::Conn;
    /// The next connection that came and is established.
    fn accepted(&mut self) -> Option<Self::Conn>;
    /// Whether a connection is established.
    fn is_established(&self, conn: Self::Conn) -> bool;
    /// Whether the peer has sent its FIN and everything before it was read.
    fn has_ended(&self, conn: Self::Conn) -> bool;
    /// Gives bytes to a connection; how many it took.
    fn send(&mut self, now: Instant, conn: Self::Conn, bytes: &[u8]) -> usize;
    /// Reads bytes from a connection; how many there were.
    fn receive(&mut self, now: Instant, conn: Self::Conn, into: &mut [u8]) -> usize;
    /// Ends a connection: a FIN follows what was sent, and the connection goes when the peer has ended it too.
    fn close(&mut self, now: Instant, conn: Self::Conn);
    /// How many connections exist.
    fn count(&self) -> usize;
    /// Takes what arrived, does what is due, and sends.
    fn step(&mut self, now: Instant, link: &mut Link);
    /// When something is due.
    fn due(&mut self, now: Instant) -> Option<Instant>;
}

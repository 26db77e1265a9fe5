//! Sockets: what a program sees of the stack through socket(2), bind(2), listen(2), accept(2), connect(2), send(2),
//! recv(2), shutdown(2), close(2), getsockopt(2) and poll(2), with the rules and the errors of Linux.
//!
//! On a packet's way this is the end: the [`Stack`] has found the connection or the claim, and its events become what a
//! program may read, write or hear. Nothing here blocks: a call that would says [`Errno::Again`] or
//! [`Errno::InProgress`], and [`Host::poll_ready`] names the sockets at which something has changed since.
//!
//! The files: [`options`](OptionName), [`Errno`]; `address` (bind, and which address a packet leaves from), `stream`,
//! `listener`, `datagram`, `error_queue`, `readiness`, `events`.
//!
//! Invariants: a socket has its number from [`Host::socket`] or [`Host::accept`] until [`Host::close`]; every connection
//! of a socket is in `by_conn`; one that waits to be accepted is in the queue of its listener and nowhere else. An idle
//! stream socket costs 28 bytes beside its connection, and shares its options with the listener that it came from.
//!
//! Deliberately not here: descriptors, blocking, signals (a caller raises SIGPIPE upon [`Errno::BrokenPipe`] itself),
//! UNIX and raw sockets, interfaces (there is one), multicast groups.

mod address;
mod datagram;
mod entry;
mod errno;
mod error_queue;
mod events;
mod inspect;
mod listener;
mod option_calls;
mod options;
mod readiness;
mod stream;
mod zero_copy;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use wharf_table::{DropReason, Endpoint, Instant};

pub use self::entry::{Domain, Kind, Privilege, User};
pub use self::errno::Errno;
pub use self::error_queue::{ErrorOrigin, QueuedError};
pub use self::options::{OptionName, OptionValue};
pub use self::readiness::Readiness;
use crate::interface::{FrameIn, FrameSink};
use crate::stack::places::Places;
use crate::stack::{Config, Stack};
use entry::{Body, Claimed, Socket};
use options::{Options, Shared};

/// A socket of a [`Host`], from [`Host::socket`] or [`Host::accept`] until [`Host::close`]. Its number is used again then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u32);

impl SocketId {
    /// The number, dense from 0: an index for the owner's own table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The socket whose [`SocketId::index`] this is.
    pub const fn from_index(index: u32) -> SocketId {
        SocketId(index)
    }
}

/// What a host is told at its start.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Its stack, whose role is a host's.
    pub stack: Config,
    /// The most sockets at a time.
    pub max_sockets: usize,
    /// Ports below are for the privileged: 1024 unless changed (net.ipv4.ip_unprivileged_port_start).
    pub privileged_below: u16,
}

impl HostConfig {
    /// A host with this stack, up to a million sockets, and Linux' idea of privileged ports.
    pub fn new(stack: Config) -> HostConfig {
        HostConfig { stack, max_sockets: 1 << 20, privileged_below: 1_024 }
    }
}

/// How to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendFlags {
    /// MSG_OOB: the last byte is urgent.
    pub out_of_band: bool,
    /// MSG_MORE: more follows, a small segment may wait for it.
    pub more: bool,
    /// MSG_EOR: what follows goes in another segment.
    pub end_of_record: bool,
    /// MSG_DONTROUTE, MSG_CONFIRM and MSG_NOSIGNAL have nothing to do here. MSG_FASTOPEN: not offered.
    pub fast_open: bool,
}

/// How to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveFlags {
    /// MSG_PEEK: what is read stays.
    pub peek: bool,
    /// MSG_TRUNC: of a datagram, say its whole length; of a stream, throw away rather than copy.
    pub truncate: bool,
    /// MSG_OOB: the urgent byte.
    pub out_of_band: bool,
    /// The caller would wait: then a datagram socket that was shut down says that nothing comes any more.
    pub blocking: bool,
}

/// What was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes put into the buffer, or with [`ReceiveFlags::truncate`] the whole length. 0 from a stream is its end.
    pub count: usize,
    /// Who sent the datagram.
    pub from: Option<Endpoint>,
    /// To which of our addresses it came.
    pub to: Option<Endpoint>,
    /// A part of the datagram did not fit (MSG_TRUNC in msg_flags).
    pub truncated: bool,
    /// It came with this hop limit.
    pub hop_limit: Option<u8>,
    /// It came with this type of service or traffic class.
    pub traffic_class: Option<u8>,
    /// When it came.
    pub at: Option<Instant>,
}

/// Which directions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// SHUT_RD.
    Read,
    /// SHUT_WR.
    Write,
    /// SHUT_RDWR.
    Both,
}

impl How {
    const fn reads(self) -> bool {
        matches!(self, How::Read | How::Both)
    }

    const fn writes(self) -> bool {
        matches!(self, How::Write | How::Both)
    }
}

/// A host: a stack and the sockets of its programs. See the [module](self).
///
/// After any input or command, drain [`Host::poll_frames`], look at [`Host::poll_timeout`], and at
/// [`Host::poll_ready`].
pub struct Host {
    stack: Stack,
    sockets: Places<Socket>,
    /// The socket of each connection, by its number.
    by_conn: Vec<u32>,
    /// Ports that sockets with a connection had bound before, by socket.
    claims: BTreeMap<u32, Claimed>,
    /// Sockets whose readiness may have changed.
    ready: VecDeque<u32>,
    /// Datagrams that wait for the link.
    outgoing: VecDeque<datagram::Outgoing>,
    /// Sends that are to be told of when the peer has them, by socket.
    zero_copies: BTreeMap<u32, zero_copy::ZeroCopies>,
    /// What a new socket's options are.
    fresh: Shared,
    /// What it follows from has changed.
    fresh_is_stale: bool,
    max_sockets: usize,
    privileged_below: u16,
}

/// In `by_conn`: no socket.
const NOBODY: u32 = u32::MAX;

impl Host {
    /// A host without sockets.
    pub fn new(config: HostConfig, now: Instant) -> Host {
        let mut host = Host {
            privileged_below: config.privileged_below,
            fresh: Arc::new(Options::new(User::ROOT, &config.stack.tcp)),
            stack: Stack::new(config.stack, now),
            fresh_is_stale: false,
            sockets: Places::new(),
            by_conn: Vec::new(),
            claims: BTreeMap::new(),
            zero_copies: BTreeMap::new(),
            ready: VecDeque::new(),
            outgoing: VecDeque::new(),
            max_sockets: config.max_sockets,
        };
        host.stack.set_privileged_below(host.privileged_below);
        host
    }

    /// The stack, to look at: its table, its counters.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// How many sockets there are.
    pub fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    /// The sockets, in the order of their numbers.
    pub fn sockets(&self) -> impl Iterator<Item = SocketId> {
        self.sockets.numbers().map(SocketId)
    }

    /// Takes a batch of frames that arrived.
    pub fn handle_frames(&mut self, now: Instant, frames: &[FrameIn<'_>]) {
        let Host { stack, sockets, ready, .. } = self;
        let mut inbox = events::Inbox { now, sockets, ready, lost: 0 };
        stack.handle_frames(now, frames, &mut inbox);
        let lost = inbox.lost;
        self.count_lost(lost);
        self.settle(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.settle(now);
    }

    /// When [`Host::handle_timeout`] has to be called next; `None` while nothing is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }

    /// When [`Host::handle_timeout`] would give memory back that nobody needs any more. An owner who sleeps longer keeps it.
    pub fn poll_trim(&self) -> Option<Instant> {
        self.stack.poll_trim()
    }

    /// Gives every frame that is due to `sink`, until nothing is left or the link takes no more.
    pub fn poll_frames<F: FrameSink>(&mut self, now: Instant, sink: &mut F) {
        self.send_outgoing(sink);
        self.stack.poll_frames(now, sink);
        // A neighbour that has to be asked first is known only now.
        if sink.is_ready() && self.stack.has_frames() {
            self.stack.poll_frames(now, sink);
        }
        self.settle(now);
    }

    /// Whether frames wait for the link.
    pub fn has_frames(&self) -> bool {
        !self.outgoing.is_empty() || self.stack.has_frames()
    }

    /// The next socket whose [`Host::readiness`] may have changed, each once; the cost is that of what happened.
    pub fn poll_ready(&mut self) -> Option<SocketId> {
        while let Some(index) = self.ready.pop_front() {
            if let Some(socket) = self.sockets.value_mut(index) {
                socket.body.marks_mut().queued = false;
                return Some(SocketId(index));
            }
        }
        None
    }

    /// Makes a socket.
    ///
    /// # Errors
    /// [`Errno::TooManyOpen`].
    pub fn socket(&mut self, user: User, domain: Domain, kind: Kind) -> Result<SocketId, Errno> {
        if self.fresh.user != user || core::mem::take(&mut self.fresh_is_stale) {
            self.fresh = Arc::new(Options::new(user, &self.stack.config().tcp));
        }
        let body = match kind {
            Kind::Stream => Body::Idle(entry::Idle::new(domain)),
            Kind::Datagram => Body::Datagram(datagram::Datagrams::new(domain)),
        };
        self.insert(Socket { options: Arc::clone(&self.fresh), body })
    }

    /// Closes a socket. A connection goes on by itself: what was sent is delivered and a FIN follows, unless data was left
    /// unread or [`OptionName::Linger`] is 0 seconds: then a RST ends it (RFC 9293, section 3.10.5; RFC 2525, section 2.17).
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`].
    pub fn close(&mut self, now: Instant, id: SocketId) -> Result<(), Errno> {
        let socket = self.sockets.remove(id.0).ok_or(Errno::BadDescriptor)?;
        self.zero_copies.remove(&id.0);
        match socket.body {
            Body::Idle(idle) => {
                if let Some(claim) = idle.claim {
                    self.stack.give_up_claim(claim.binding);
                }
            }
            Body::Stream(stream) => self.close_stream(now, id, stream, &socket.options),
            Body::Listener(listener) => self.close_listener(now, *listener),
            Body::Datagram(datagrams) => self.close_datagrams(id, *datagrams),
        }
        self.settle(now);
        Ok(())
    }

    fn insert(&mut self, socket: Socket) -> Result<SocketId, Errno> {
        if self.sockets.len() >= self.max_sockets.min(NOBODY as usize) {
            return Err(Errno::TooManyOpen);
        }
        self.sockets.insert(socket).map(SocketId).ok_or(Errno::TooManyOpen)
    }

    fn entry(&self, id: SocketId) -> Result<&Socket, Errno> {
        self.sockets.value(id.0).ok_or(Errno::BadDescriptor)
    }

    fn entry_mut(&mut self, id: SocketId) -> Result<&mut Socket, Errno> {
        self.sockets.value_mut(id.0).ok_or(Errno::BadDescriptor)
    }

    /// Takes in what the host has sent to itself, and hands on what the stack has to say.
    fn settle(&mut self, now: Instant) {
        loop {
            let Host { stack, sockets, ready, .. } = self;
            let mut inbox = events::Inbox { now, sockets, ready, lost: 0 };
            stack.handle_looped(now, &mut inbox);
            let lost = inbox.lost;
            self.count_lost(lost);
            while let Some(event) = self.stack.poll_event() {
                self.on_event(event);
            }
            if !self.stack.has_looped() {
                break;
            }
        }
        if !self.zero_copies.is_empty() {
            self.look_at_zero_copies();
        }
    }

    fn count_lost(&mut self, count: u64) {
        (0..count).for_each(|_| self.stack.count_drop(DropReason::NoBuffer));
    }

    /// The readiness of a socket may have changed.
    fn wake(&mut self, id: SocketId) {
        events::wake(&mut self.sockets, &mut self.ready, id.0);
    }
}

/// What a full link or an unknown neighbour says of a datagram is no matter of the program that sent it.
fn errno_of(reason: DropReason) -> Option<Errno> {
    match reason {
        DropReason::TooBig => Some(Errno::MessageSize),
        DropReason::NoRoute => Some(Errno::NetworkUnreachable),
        DropReason::NoFlow => Some(Errno::AddressNotAvailable),
        _ => None,
    }
}

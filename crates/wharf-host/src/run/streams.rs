//! TCP flows: for each connection of the program one socket of the host, and bytes moved between them.
//!
//! On a packet's way this is the last step: the stack has put the segment's bytes in order, this writes them to the host's
//! socket, straight from the receive buffer, and reads from it straight into the send buffer. Whoever is slower holds the
//! other back: nothing is read that has no room, and nothing leaves the receive buffer (so the window stays shut) that the
//! host has not taken.
//!
//! Invariants: a stream owns its socket and its connection, and gives both back together. Ready is edge-triggered: a
//! flag is cleared only by a system call that came up short.

mod draining;
mod followed;
mod handed;
mod held;
mod listed;

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use arrayvec::ArrayVec;
use rustix::io::Errno;
use rustix::net::{Shutdown, sockopt};
use wharf_stack::stack::{ConnId, Refusal, Stack, Unreachable};
use wharf_stack::tcp::CloseReason;
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::socket::{self, Connecting, Family, Switch};
use wharf_table::{Endpoint, Instant, Tuple};

use self::draining::Draining;
use self::held::Held;
use super::descriptors::{Descriptor, Descriptors};
use super::guard::{Guard, Ruling};
use super::token::Token;

/// Bytes moved in one direction of one stream before the next stream has its turn.
const TURN_BYTES: usize = 512 * 1024;
/// The least and the most that one read asks for, in bytes.
const READ_MIN: usize = 16 * 1024;
const READ_MAX: usize = 256 * 1024;
/// Slices of one vectored call.
const SLICES_MAX: usize = 32;

/// The host's side of a connection.
struct Stream {
    socket: OwnedFd,
    descriptor: Descriptor,
    phase: Phase,
    readable: bool,
    writable: bool,
    /// The end of input, or an error, follows what is there to read.
    ended: bool,
    /// How much the next read asks for: as much as the last ones filled.
    read_size: usize,
    /// The host's end has sent its FIN (`read` said 0), which was passed on.
    host_finished: bool,
    /// The program's FIN was passed on to the host.
    program_finished: bool,
    /// A call has failed: what was received before may still be read, then comes the reset.
    broken: bool,
    /// The host's end has reset; the program is told when it has what came before.
    host_reset: bool,
    /// The stack's connection is over; what it received is still to be written.
    left: bool,
    /// Waits in the list of work.
    queued: bool,
    /// What was said of it, where somebody was asked; a byte of the program may wait for more to be said.
    held: Option<Box<Held>>,
    /// What else to try where a published port is refused by the program in this family.
    fallback: Option<(Endpoint, Endpoint)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The host's `connect` is under way; the program's SYN waits.
    Connecting,
    /// A published port's client waits for the program to accept.
    Publishing,
    /// Both ends are connected.
    Open,
}

/// Every TCP flow of a run, by its connection.
pub(super) struct Streams {
    descriptors: Descriptors,
    streams: Vec<Option<Stream>>,
    /// How many of them there are.
    count: usize,
    work: VecDeque<ConnId>,
    /// Flows that have shown what is denied.
    denied: VecDeque<(Tuple, Box<Ruling>)>,
    /// Set when the program has ended.
    draining: Option<Box<Draining>>,
}

/// That a flow was let in, and by what. `None` where nobody was asked.
pub(super) type Admitted = Option<(Guard, Ruling)>;

impl Streams {
    pub(super) fn new(descriptors: Descriptors) -> Streams {
        let (work, denied) = (VecDeque::new(), VecDeque::new());
        Streams { descriptors, streams: Vec::new(), count: 0, work, denied, draining: None }
    }

    /// Whether a stream waits for its turn.
    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    fn get_mut(&mut self, id: ConnId) -> Option<&mut Stream> {
        self.streams.get_mut(id.index())?.as_mut()
    }

    fn insert(&mut self, id: ConnId, stream: Stream) {
        if self.streams.len() <= id.index() {
            self.streams.resize_with(id.index() + 1, || None);
        }
        self.count += usize::from(self.streams[id.index()].replace(stream).is_none());
    }

    fn remove(&mut self, id: ConnId) -> Option<Stream> {
        let stream = self.streams.get_mut(id.index())?.take()?;
        self.count -= 1;
        Some(stream)
    }

    fn queue(&mut self, id: ConnId) {
        if let Some(stream) = self.get_mut(id)
            && !stream.queued
        {
            stream.queued = true;
            self.work.push_back(id);
        }
    }

    /// The program wants to connect: the host connects first. `target` is where to, as the host reaches it. What the host
    /// refuses at once, or [later](Streams::on_ready), is returned as the program sees it.
    pub(super) fn dial(
        &mut self,
        now: Instant,
        id: ConnId,
        (target, admitted): (SocketAddr, Admitted),
        poller: &Poller,
        stack: &mut Stack,
    ) -> Option<Tuple> {
        if self.draining.is_some() {
            // Who asked is gone.
            stack.refuse(now, id, Refusal::Silent);
            return None;
        }
        let begun = self.descriptors.take().and_then(|descriptor| {
            let (socket, connecting) = begin_connect(target, poller, Token::Stream(id))?;
            Ok((Stream::new(socket, descriptor, Phase::Connecting), connecting))
        });
        match begun {
            Ok((mut stream, connecting)) => {
                if let Some((guard, ruling)) = admitted {
                    stream.held = Some(Held::new(guard, stack.tuple(id).reversed(), ruling));
                }
                self.insert(id, stream);
                if connecting == Connecting::Done {
                    self.on_connected(now, id, stack);
                }
                None
            }
            Err(error) => Some(self.turn_down(now, id, &error, stack)),
        }
    }

    /// A client of a published port has come; the program is asked by a connection from `source` to `target`. Where the
    /// program refuses, `fallback` is tried. A newcomer for whom there is no room is reset.
    pub(super) fn publish(
        &mut self,
        now: Instant,
        socket: OwnedFd,
        pair: (Endpoint, Endpoint),
        fallback: Option<(Endpoint, Endpoint)>,
        poller: &Poller,
        stack: &mut Stack,
    ) {
        match self.descriptors.take() {
            Ok(descriptor) => self.ask_program(now, (socket, descriptor), pair, fallback, poller, stack),
            Err(_) => reset(&socket),
        }
    }

    fn ask_program(
        &mut self,
        now: Instant,
        (socket, descriptor): (OwnedFd, Descriptor),
        (source, target): (Endpoint, Endpoint),
        fallback: Option<(Endpoint, Endpoint)>,
        poller: &Poller,
        stack: &mut Stack,
    ) {
        let taken = Endpoint::new(source.addr, 0);
        let opened = stack.connect(now, source, target).or_else(|_| stack.connect(now, taken, target));
        let Ok(id) = opened else {
            reset(&socket);
            return;
        };
        if poller.add(&socket, Token::Stream(id).into(), Interest::ReadWrite).is_err() {
            reset(&socket);
            stack.abort(now, id);
            stack.release(now, id);
            return;
        }
        self.insert(id, Stream { fallback, ..Stream::new(socket, descriptor, Phase::Publishing) });
    }

    /// The host's socket of a stream is ready for something.
    pub(super) fn on_ready(
        &mut self,
        now: Instant,
        id: ConnId,
        ready: Ready,
        stack: &mut Stack,
    ) -> Option<Tuple> {
        let stream = self.get_mut(id)?;
        // What came with the connection itself is told only once.
        stream.readable |= ready.readable;
        stream.writable |= ready.writable;
        stream.ended |= ready.ended;
        match stream.phase {
            // A socket whose connection has failed says so by itself; only then its error is worth a call.
            Phase::Connecting if ready.error || ready.hang_up => match socket::take_error(&stream.socket) {
                None => self.on_connected(now, id, stack),
                Some(error) => return Some(self.turn_down(now, id, &error, stack)),
            },
            Phase::Connecting if ready.writable => self.on_connected(now, id, stack),
            Phase::Connecting | Phase::Publishing => {}
            Phase::Open => {
                // Who has finished is closed as a whole only when it was told the other end, or has reset.
                stream.host_reset |= ready.hang_up && stream.host_finished && !stream.program_finished;
                self.queue(id);
            }
        }
        None
    }

    fn on_connected(&mut self, now: Instant, id: ConnId, stack: &mut Stack) {
        let Some(stream) = self.get_mut(id) else { return };
        // What there is to read, or not, came with the same event.
        stream.phase = Phase::Open;
        stream.writable = true;
        stack.accept(now, id);
        self.queue(id);
    }

    fn turn_down(&mut self, now: Instant, id: ConnId, error: &io::Error, stack: &mut Stack) -> Tuple {
        let tuple = stack.tuple(id).reversed();
        self.remove(id);
        self.descriptors.note(error);
        stack.refuse(now, id, refusal(error));
        tuple
    }

    /// The stack reports progress: room to send, data received, the program's FIN.
    pub(super) fn on_progress(&mut self, id: ConnId) {
        if let Some(stream) = self.get_mut(id)
            && stream.phase == Phase::Publishing
        {
            stream.phase = Phase::Open;
        }
        self.queue(id);
    }

    /// The stack's connection is over.
    pub(super) fn on_closed(
        &mut self,
        now: Instant,
        id: ConnId,
        reason: CloseReason,
        poller: &Poller,
        stack: &mut Stack,
    ) {
        if self.drain_to_host(now, id, stack) == Drained::Later && reason == CloseReason::Finished {
            return self.queue(id);
        }
        let stream = self.remove(id);
        stack.release(now, id);
        let Some(stream) = stream else { return };
        // What was finished in order ends with a FIN when the socket is dropped, everything else with a RST.
        if stream.phase == Phase::Publishing
            && let Some(pair) = stream.fallback
        {
            if poller.delete(&stream.socket).is_ok() {
                let client = (stream.socket, stream.descriptor);
                self.ask_program(now, client, pair, None, poller, stack);
                return;
            }
            reset(&stream.socket);
        } else if reason != CloseReason::Finished {
            reset(&stream.socket);
        }
    }

    /// Writes what is left for the host, since no more can come; what the host does not take waits with the stream.
    fn drain_to_host(&mut self, now: Instant, id: ConnId, stack: &mut Stack) -> Drained {
        if let Some(drained) = self.examine_rest(now, id, stack) {
            return drained;
        }
        let Some(stream) = self.get_mut(id) else { return Drained::Whole };
        (stream.left, stream.writable) = (true, true);
        stream.write_all_received(now, id, stack);
        if let Some(ruling) = stream.take_denied() {
            stream.broken = true;
            self.denied.push_back((stack.tuple(id).reversed(), ruling));
            return Drained::Whole;
        }
        if stream.may_send() == 0 && stack.connection(id).received_len() > 0 {
            // The beginning of a request is not to be read as all of it.
            reset(&stream.socket);
            return Drained::Whole;
        }
        if stream.broken || stack.connection(id).received_len() == 0 {
            Drained::Whole
        } else {
            Drained::Later
        }
    }

    /// Gives every stream that waits one turn.
    pub(super) fn work(&mut self, now: Instant, stack: &mut Stack) {
        let drains = self.draining.is_some();
        for _ in 0..self.work.len() {
            let Some(id) = self.work.pop_front() else { return };
            let Some(stream) = self.get_mut(id) else { continue };
            stream.queued = false;
            if stream.phase != Phase::Open {
                continue;
            }
            let outcome = match stream.left {
                true => Ok(stream.last_turn(now, id, stack)),
                false if !stream.is_held() => Ok(stream.turn(now, id, stack)),
                false => stream.held_turn(now, id, stack),
            };
            let outcome = match (outcome, stream.take_denied()) {
                (Ok(_), Some(ruling)) => Err(ruling),
                (outcome, _) => outcome,
            };
            let outcome = match outcome {
                Ok(turn) if drains => stream.once_drained(now, id, turn, stack),
                Ok(turn) => turn,
                Err(ruling) => {
                    self.denied.push_back((stack.tuple(id).reversed(), ruling));
                    Turn::Broken
                }
            };
            match outcome {
                Turn::Done => {}
                Turn::Again => self.queue(id),
                Turn::Over => {
                    self.remove(id);
                    stack.release(now, id);
                }
                Turn::Broken => {
                    if let Some(stream) = self.remove(id) {
                        reset(&stream.socket);
                    }
                    stack.abort(now, id);
                    stack.release(now, id);
                }
            }
        }
    }
}

/// What became of the bytes that were received before a connection was over.
#[derive(PartialEq, Eq)]
enum Drained {
    /// The host has them, or its end is gone.
    Whole,
    /// Some wait until the host takes them.
    Later,
}

/// How a stream's turn ended.
enum Turn {
    /// Nothing more can be moved now.
    Done,
    /// More can be moved, when the others have had their turn.
    Again,
    /// Both directions have ended.
    Over,
    /// The host's end is gone.
    Broken,
}

impl Stream {
    fn new(socket: OwnedFd, descriptor: Descriptor, phase: Phase) -> Stream {
        Stream {
            socket,
            descriptor,
            phase,
            readable: false,
            writable: false,
            ended: false,
            read_size: READ_MIN,
            host_finished: false,
            program_finished: false,
            broken: false,
            host_reset: false,
            left: false,
            queued: false,
            held: None,
            fallback: None,
        }
    }

    fn turn(&mut self, now: Instant, id: ConnId, stack: &mut Stack) -> Turn {
        let out = self.move_to_host(now, id, stack);
        let back = self.move_to_program(now, id, stack);
        if self.host_reset {
            if stack.connection(id).unacknowledged_len() == 0 {
                return Turn::Broken;
            }
            stack.await_drain(now, id);
            return Turn::Done;
        }
        match (out, back) {
            (Turn::Broken, _) | (_, Turn::Broken) => Turn::Broken,
            _ if self.host_finished && self.program_finished => Turn::Over,
            (Turn::Again, _) | (_, Turn::Again) => Turn::Again,
            _ => Turn::Done,
        }
    }

    /// A turn of a stream whose connection is over: the rest goes to the host.
    fn last_turn(&mut self, now: Instant, id: ConnId, stack: &mut Stack) -> Turn {
        match self.write_all_received(now, id, stack) {
            _ if self.broken => Turn::Broken,
            // The close of the socket is the FIN.
            _ if stack.connection(id).received_len() == 0 => Turn::Over,
            turn => turn,
        }
    }

    /// How a turn ended after the program's end: the stream is over when the host has everything, and the program's kernel has
    /// seen what came for it.
    fn once_drained(&mut self, now: Instant, id: ConnId, turn: Turn, stack: &mut Stack) -> Turn {
        if !matches!(turn, Turn::Done) || !self.program_finished {
            return turn;
        }
        if stack.connection(id).unacknowledged_len() == 0 {
            return Turn::Over;
        }
        stack.await_drain(now, id);
        Turn::Done
    }

    /// Writes received bytes to the host, straight from the receive buffer, then the program's FIN.
    fn move_to_host(&mut self, now: Instant, id: ConnId, stack: &mut Stack) -> Turn {
        if self.broken {
            // Nobody takes it, and the program must come to read what the host sent before.
            let lost = stack.connection(id).received_len();
            stack.consume(now, id, lost);
            return Turn::Done;
        }
        let turn = self.write_all_received(now, id, stack);
        let conn = stack.connection(id);
        if conn.received_len() == 0 && conn.peer_has_finished() && !self.program_finished {
            self.program_finished = true;
            // Where the host has finished as well the socket is closed now, which sends the FIN.
            if !self.host_finished && rustix::net::shutdown(&self.socket, Shutdown::Write).is_err() {
                return self.on_host_error();
            }
        }
        turn
    }

    /// Writes received bytes to the host until it takes no more, or the turn is over.
    fn write_all_received(&mut self, now: Instant, id: ConnId, stack: &mut Stack) -> Turn {
        self.follow(now, id, stack);
        let mut moved = 0;
        while self.writable && moved < TURN_BYTES {
            let (offered, written) = self.write_received(id, stack);
            if offered == 0 {
                break;
            }
            match written {
                Ok(count) => {
                    stack.consume(now, id, count);
                    self.on_sent(count);
                    moved += count;
                    self.writable = count == offered;
                }
                Err(Errno::AGAIN) => self.writable = false,
                Err(Errno::INTR) => {}
                Err(_) => return self.on_host_error(),
            }
        }
        if moved >= TURN_BYTES { Turn::Again } else { Turn::Done }
    }

    /// One vectored write of what was received: how much was offered, and how much the host took.
    fn write_received(&self, id: ConnId, stack: &Stack) -> (usize, Result<usize, Errno>) {
        let (slices, _) = stack.received(id);
        let mut left = self.may_send();
        let open = slices.map(|slice| {
            let open = slice.len().min(left);
            left -= open;
            &slice[..open]
        });
        let open = open.take_while(|slice| !slice.is_empty());
        let slices: ArrayVec<IoSlice<'_>, SLICES_MAX> = open.take(SLICES_MAX).map(IoSlice::new).collect();
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let written = if offered == 0 { Ok(0) } else { rustix::io::writev(&self.socket, &slices) };
        (offered, written)
    }

    /// The host's end is broken. What it sent before may still wait to be read, and is worth having.
    fn on_host_error(&mut self) -> Turn {
        self.broken = true;
        self.writable = false;
        self.readable = true;
        Turn::Again
    }

    /// Reads from the host straight into the send buffer, then passes its FIN on.
    fn move_to_program(&mut self, now: Instant, id: ConnId, stack: &mut Stack) -> Turn {
        let mut moved = 0;
        while self.readable && !self.host_finished && !self.host_reset && moved < TURN_BYTES {
            let room = stack.send_room(id);
            if room == 0 {
                return Turn::Done;
            }
            let socket = &self.socket;
            let (count, offered) = stack.send_with(now, id, room.min(self.read_size), |spare| {
                let mut slices: ArrayVec<IoSliceMut<'_>, SLICES_MAX> =
                    spare.iter_mut().take(SLICES_MAX).map(|slice| IoSliceMut::new(slice)).collect();
                let offered: usize = slices.iter().map(|slice| slice.len()).sum();
                let result = rustix::io::readv(socket, &mut slices);
                (result.unwrap_or(0), (result, offered))
            });
            match count {
                Ok(0) if offered == 0 => return Turn::Done,
                Ok(0) if self.broken => self.host_reset = true,
                Ok(0) => {
                    self.host_finished = true;
                    stack.shutdown(now, id);
                }
                Ok(count) => {
                    moved += count;
                    // A short read has emptied the socket, and what comes later is a new edge (epoll(7)).
                    self.readable = count == offered || self.ended;
                    self.adapt_read_size(count);
                }
                Err(Errno::AGAIN) => self.readable = false,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.host_reset = true;
                    self.readable = false;
                }
            }
        }
        if moved >= TURN_BYTES { Turn::Again } else { Turn::Done }
    }
}

impl Stream {
    /// A read that was filled doubles the next one; one that was not asks for less, so that small talk takes few chunks.
    fn adapt_read_size(&mut self, count: usize) {
        if count >= self.read_size {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        } else if count < self.read_size / 4 {
            self.read_size = (self.read_size / 2).max(READ_MIN);
        }
    }
}

/// Starts a connection of the host.
fn begin_connect(target: SocketAddr, poller: &Poller, token: Token) -> io::Result<(OwnedFd, Connecting)> {
    let socket = socket::tcp(Family::of(target.ip()))?;
    // Segments go on as they came, and a peer that is gone is noticed in the end.
    socket::set_no_delay(&socket, Switch::On)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    let connecting = socket::connect(&socket, target)?;
    poller.add(&socket, token.into(), Interest::ReadWrite)?;
    Ok((socket, connecting))
}

/// What the program is told when the host could not connect.
fn refusal(error: &io::Error) -> Refusal {
    match Errno::from_io_error(error) {
        Some(Errno::NETUNREACH | Errno::NETDOWN) => Refusal::Unreachable(Unreachable::Network),
        Some(Errno::HOSTUNREACH | Errno::HOSTDOWN) => Refusal::Unreachable(Unreachable::Host),
        Some(Errno::ACCESS | Errno::PERM) => Refusal::Unreachable(Unreachable::Prohibited),
        Some(Errno::TIMEDOUT) => Refusal::Silent,
        _ => Refusal::Reset,
    }
}

/// Makes the close of `socket`, which follows, a RST.
pub(super) fn reset(socket: &OwnedFd) {
    // Only a socket that is none refuses.
    let _ = socket::reset_on_close(socket);
}

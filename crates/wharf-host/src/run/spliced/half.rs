//! One direction of a spliced flow: bytes from one socket to the other, and then the end.
//!
//! What is small goes through one buffer that all flows share: two calls. When a read fills it, more is on its way, and
//! pages go through a pipe without being copied until the socket has little again. Only what the other socket does not take
//! is held, in the pipe that has it or in a buffer of that size, and nothing more is read meanwhile.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use wharf_sys::epoll::Ready;
use wharf_sys::splice::Pipe;

/// Bytes moved in one direction before the next flow has its turn.
const TURN_BYTES: usize = 2 << 20;
/// The buffer that all flows share, in bytes. Reads that fill it make a pipe worth its calls.
const BUFFER_BYTES: usize = 64 * 1024;
/// The most that one call moves into a pipe, in bytes.
const SPLICE_BYTES: usize = 1 << 20;
/// Less than this at a time, in bytes, and a flow goes back to the buffer.
const LARGE_BYTES: usize = 128 * 1024;
/// Empty pipes that are kept for the next flow.
const PIPES_KEPT: usize = 16;

/// What the directions of all flows share.
pub(super) struct Tools {
    buffer: Box<[u8]>,
    pipes: Vec<Pipe>,
    /// Pipes that hold bytes of flows.
    lent: usize,
    lent_max: usize,
}

impl Tools {
    /// Tools with up to `lent_max` pipes at work.
    pub(super) fn new(lent_max: usize) -> Tools {
        Tools { buffer: vec![0; BUFFER_BYTES].into(), pipes: Vec::new(), lent: 0, lent_max }
    }

    /// The most descriptors that so many pipes at work and the spare ones hold.
    pub(super) const fn descriptors(lent_max: usize) -> usize {
        2 * (lent_max + if lent_max < PIPES_KEPT { lent_max } else { PIPES_KEPT })
    }

    fn take_pipe(&mut self) -> Option<Pipe> {
        if self.lent >= self.lent_max {
            return None;
        }
        let pipe = self.pipes.pop().or_else(|| Pipe::new().ok())?;
        self.lent += 1;
        Some(pipe)
    }

    fn give_back(&mut self, pipe: Pipe) {
        self.lent = self.lent.saturating_sub(1);
        if pipe.is_empty() && self.pipes.len() < PIPES_KEPT.min(self.lent_max) {
            self.pipes.push(pipe);
        }
    }
}

/// A socket at one end of a flow, and what is known of it. A flag is cleared only by a call that came up short.
pub(super) struct Side {
    pub(super) socket: OwnedFd,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The end of input, or an error, follows what is there to read.
    pub(super) ended: bool,
    /// It takes nothing any more. What it sent before may still be read; then it counts as [reset](Side::reset).
    pub(super) broken: bool,
    /// Both directions of the socket are closed.
    pub(super) hung_up: bool,
    /// It has reset the connection, and all that came before was read.
    pub(super) reset: bool,
}

impl Side {
    pub(super) fn new(socket: OwnedFd) -> Side {
        Side {
            socket,
            readable: false,
            writable: false,
            ended: false,
            broken: false,
            hung_up: false,
            reset: false,
        }
    }

    pub(super) fn on_ready(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.ended |= ready.ended;
        self.hung_up |= ready.hang_up;
    }

    /// Sends the FIN.
    pub(super) fn finish(&mut self) {
        if rustix::net::shutdown(&self.socket, Shutdown::Write).is_err() {
            self.on_write_error();
        }
    }

    fn on_write_error(&mut self) {
        self.broken = true;
        self.writable = false;
        self.readable = true;
    }

    fn on_read_error(&mut self) {
        self.broken = true;
        self.reset = true;
        self.readable = false;
    }

    /// How many of these bytes the socket took.
    fn send(&mut self, bytes: &[u8]) -> usize {
        loop {
            match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.writable = count == bytes.len();
                    return count;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.writable = false;
                    return 0;
                }
                Err(_) => {
                    self.on_write_error();
                    return 0;
                }
            }
        }
    }

    /// Empties a pipe into the socket, as far as that takes it.
    fn drain(&mut self, pipe: &mut Pipe) {
        while !pipe.is_empty() {
            match pipe.drain(&self.socket) {
                Ok(0) | Err(Errno::AGAIN) => {
                    self.writable = false;
                    return;
                }
                Ok(_) => {}
                Err(_) => return self.on_write_error(),
            }
        }
    }
}

/// What was read of one socket and not taken by the other yet.
enum Held {
    Nothing,
    /// Bytes, and how many of them are gone.
    Bytes(Box<[u8]>, usize),
    Pages(Pipe),
}

/// How what comes next is moved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Means {
    Buffer,
    Pipe,
}

/// Whether a turn has left something to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing more can be moved now.
    Done,
    /// More can be moved, when others have had their turn.
    Again,
}

/// One direction.
pub(super) struct Half {
    held: Held,
    means: Means,
    /// Bytes that went through a pipe since the socket was empty.
    spliced: usize,
    /// Bytes that were read so far.
    pub(super) moved: u64,
    /// The end of input was read.
    pub(super) ended: bool,
    /// The end was passed on.
    pub(super) finished: bool,
}

impl Half {
    pub(super) fn new() -> Half {
        Half {
            held: Held::Nothing,
            means: Means::Buffer,
            spliced: 0,
            moved: 0,
            ended: false,
            finished: false,
        }
    }

    /// Whether nothing waits for the other socket.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.held, Held::Nothing)
    }

    /// Moves what can be moved, up to a turn.
    pub(super) fn run(&mut self, from: &mut Side, to: &mut Side, tools: &mut Tools) -> Turn {
        let mut moved = 0;
        while moved < TURN_BYTES {
            self.flush(to, tools);
            let may_read = from.readable && !from.reset && !self.ended;
            // Who takes nothing any more must not keep the other from going on to what it sent before.
            if !may_read || !(to.writable || to.broken) || !self.is_empty() {
                return Turn::Done;
            }
            let count = match self.means {
                _ if to.broken => self.copy(from, to, tools),
                Means::Buffer => self.copy(from, to, tools),
                Means::Pipe => self.splice(from, to, tools),
            };
            moved += count;
            self.moved += count as u64;
        }
        Turn::Again
    }

    /// Gives `to` what is held for it.
    fn flush(&mut self, to: &mut Side, tools: &mut Tools) {
        if !to.broken && !to.writable {
            return;
        }
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Bytes(..) if to.broken => {}
            Held::Pages(pipe) if to.broken => tools.give_back(pipe),
            Held::Bytes(bytes, gone) => {
                let gone = gone + to.send(bytes.get(gone..).unwrap_or_default());
                if gone < bytes.len() && !to.broken {
                    self.held = Held::Bytes(bytes, gone);
                }
            }
            Held::Pages(mut pipe) => {
                to.drain(&mut pipe);
                self.put_away(pipe, to, tools);
            }
        }
    }

    fn put_away(&mut self, pipe: Pipe, to: &Side, tools: &mut Tools) {
        if pipe.is_empty() || to.broken {
            tools.give_back(pipe);
        } else {
            self.held = Held::Pages(pipe);
        }
    }

    /// Moves one buffer; how many bytes were read.
    fn copy(&mut self, from: &mut Side, to: &mut Side, tools: &mut Tools) -> usize {
        let count = match rustix::net::recv(&from.socket, &mut *tools.buffer, RecvFlags::empty()) {
            Ok((count, _)) => count,
            Err(error) => {
                self.on_nothing(error, from);
                return 0;
            }
        };
        if count == 0 {
            self.on_end(from);
            return 0;
        }
        let bytes = tools.buffer.get(..count).unwrap_or_default();
        if count == BUFFER_BYTES {
            self.means = Means::Pipe;
        } else {
            // A short read has emptied the socket, and what comes later is a new edge (epoll(7)).
            from.readable = from.ended;
        }
        let sent = if to.broken { count } else { to.send(bytes) };
        if sent < count && !to.broken {
            self.held = Held::Bytes(bytes.get(sent..).unwrap_or_default().into(), 0);
        }
        count
    }

    /// Moves one pipe of pages; how many bytes were read.
    fn splice(&mut self, from: &mut Side, to: &mut Side, tools: &mut Tools) -> usize {
        let Some(mut pipe) = tools.take_pipe() else {
            self.means = Means::Buffer;
            return 0;
        };
        match pipe.fill(&from.socket, SPLICE_BYTES) {
            Ok(count) if count > 0 => {
                self.spliced += count;
                to.drain(&mut pipe);
                self.put_away(pipe, to, tools);
                return count;
            }
            Ok(_) | Err(Errno::AGAIN) => {
                tools.give_back(pipe);
                // Urgent data is not spliced: only a read tells that there is nothing at all, or that this is the end.
                let count = self.copy(from, to, tools);
                self.means = if self.spliced < LARGE_BYTES { Means::Buffer } else { Means::Pipe };
                self.spliced = 0;
                return count;
            }
            Err(error) => self.on_nothing(error, from),
        }
        tools.give_back(pipe);
        0
    }

    fn on_nothing(&mut self, error: Errno, from: &mut Side) {
        match error {
            Errno::AGAIN => from.readable = false,
            Errno::INTR => {}
            _ => from.on_read_error(),
        }
    }

    fn on_end(&mut self, from: &mut Side) {
        if from.broken {
            from.on_read_error();
        } else {
            from.readable = false;
            self.ended = true;
        }
    }

    /// Gives back what is held, when the flow is over.
    pub(super) fn give_up(&mut self, tools: &mut Tools) {
        if let Held::Pages(pipe) = std::mem::replace(&mut self.held, Held::Nothing) {
            tools.give_back(pipe);
        }
    }
}

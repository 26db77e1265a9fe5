//! What one loop holds: a queue of the program's link, a stack, and the TCP flows that go between it and the host.
//!
//! On a packet's way this is all of it for a TCP flow. What else a run has to do (datagrams, names, pings, published ports,
//! the program itself) stands beside one lane, in the [`pump`](super::pump).
//!
//! Invariant: nothing in a lane is seen by another thread.

mod linger;

use std::io;
use std::time::Duration;

use wharf_stack::interface::FrameIn;
use wharf_stack::stack::{ConnId, Event, Stack};
use wharf_sys::epoll::{Poller, Ready};
use wharf_sys::frame::{BATCH_BYTES, FrameBuffers};
use wharf_table::drop::DropCounters;
use wharf_table::policy::{Outcome, Shown};
use wharf_table::table::Found;
use wharf_table::trace::Silent;
use wharf_table::{DropReason, Endpoint, Instant, Protocol, Tuple};

use super::addresses::Addresses;
use super::clock::Clock;
use super::guard::{Guard, Ruling};
use super::log::Log;
use super::streams::{Admitted, Streams};
use super::wire::Wire;
pub(super) use linger::Linger;

/// Batches read from the link before the rest of the loop has its turn.
const LINK_BATCHES: usize = 4;

/// A loop's own share of a run.
pub(super) struct Lane {
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) poller: Poller,
    pub(super) stack: Stack,
    pub(super) wire: Wire,
    pub(super) buffers: FrameBuffers,
    pub(super) addresses: Addresses,
    pub(super) streams: Streams,
    pub(super) guard: Guard,
    /// That of the rules by which its flows were judged.
    pub(super) edition: u64,
    /// How many connections the program has asked for here.
    pub(super) asked: u64,
    /// Whether the link may hold more frames than were read.
    pub(super) link_has_more: bool,
    pub(super) linger: Linger,
}

/// How a turn at the link ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkTurn {
    /// Nothing more waits there.
    Empty,
    /// More may wait.
    Again,
}

/// Reads what the program has sent, up to the link's turn.
///
/// # Errors
/// The link is gone.
pub(super) fn read_turn(
    wire: &mut Wire,
    buffers: &mut FrameBuffers,
    mut deliver: impl FnMut(&[FrameIn<'_>]),
) -> io::Result<LinkTurn> {
    for _ in 0..LINK_BATCHES {
        wire.read_batch(buffers, &mut deliver)?;
        if !buffers.is_filled() {
            return Ok(LinkTurn::Empty);
        }
        if buffers.bytes() >= BATCH_BYTES {
            // The program hears of so much first: what is acknowledged lets more come.
            break;
        }
    }
    Ok(LinkTurn::Again)
}

impl Lane {
    /// Waits for the next event or time-out, and says what time it is then.
    ///
    /// # Errors
    /// A failed system call of the loop itself.
    pub(super) fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<Instant> {
        self.wire.await_room(&self.poller)?;
        self.linger.wait(self.clock, &mut self.poller, ready, timeout)?;
        let now = self.clock.now();
        self.wire.set_now(now);
        Ok(now)
    }

    /// Whether something can go on without a new event.
    pub(super) fn has_work(&self) -> bool {
        self.link_has_more || self.streams.has_work() || (self.stack.has_frames() && self.wire.is_open())
    }

    /// Whether a connection of this lane goes from the first to the second of these.
    pub(super) fn has(&self, (local, remote): (Endpoint, Endpoint)) -> bool {
        let tuple = Tuple { protocol: Protocol::Tcp, local, remote };
        !matches!(self.stack.table().find(&tuple, &mut Silent), Found::Nothing | Found::Binding(_))
    }

    /// Whether frames of the program may still be on their way to the stack.
    pub(super) fn is_sending(&self) -> bool {
        self.link_has_more || self.wire.holds_frames_of_the_program()
    }

    /// When the lane has something to do by itself; the earliest of that and `others`.
    pub(super) fn deadline(&self, others: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
        let own = [self.stack.poll_timeout(), self.stack.poll_trim(), self.wire.poll_timeout()];
        own.into_iter().chain(others).flatten().min()
    }

    /// The link is ready for something.
    ///
    /// # Errors
    /// A failed system call of the loop itself.
    pub(super) fn on_link(&mut self, ready: Ready) -> io::Result<()> {
        self.link_has_more |= ready.readable;
        if ready.writable { self.wire.on_writable(&self.poller) } else { Ok(()) }
    }

    /// The link has had its turn. The program may be root in its network and take its own link away; it goes on without.
    pub(super) fn on_link_turn(&mut self, turn: io::Result<LinkTurn>) {
        if let Err(error) = &turn {
            self.log.once("link", || format!("the program's link is gone: {error}"));
        }
        self.link_has_more = turn.is_ok_and(|turn| turn == LinkTurn::Again);
    }

    /// What was dropped here, and before it came here.
    pub(super) fn all_drops(&mut self) -> DropCounters {
        self.stack.count_drops(DropReason::ProgramQueueFull, self.wire.newly_dropped().into());
        self.stack.drops().clone()
    }

    /// The host's socket of a flow is ready for something.
    pub(super) fn on_stream(&mut self, now: Instant, id: ConnId, ready: Ready) {
        let refused = self.streams.on_ready(now, id, ready, &mut self.stack);
        refused.into_iter().for_each(|tuple| self.log.flow("refused", tuple, None));
    }

    /// Whether a flow may open, and what is to be seen of it first; one that may not is refused here.
    fn ask_guard(&mut self, now: Instant, id: ConnId, tuple: &Tuple) -> Option<Admitted> {
        if self.guard.is_open() {
            return Some(None);
        }
        let ruling = self.guard.decide(now, tuple, Shown::NotYet);
        if ruling.denied {
            self.tell(now, tuple, &ruling);
        }
        if ruling.outcome == Outcome::Deny {
            self.stack.refuse(now, id, self.guard.denial().refusal());
            return None;
        }
        Some(Some((self.guard.clone(), ruling)))
    }

    /// Ends what other rules deny that have come into force.
    pub(super) fn follow_guard(&mut self, now: Instant) {
        let edition = self.guard.edition();
        if edition != self.edition {
            self.edition = edition;
            self.streams.rejudge(now, &self.guard, &mut self.stack);
        }
    }

    /// Tells which flows have shown what is denied.
    pub(super) fn tell_denied(&mut self, now: Instant) {
        while let Some((tuple, ruling)) = self.streams.poll_denied() {
            self.tell(now, &tuple, &ruling);
        }
    }

    /// Tells that a flow was denied, and whose it is.
    pub(super) fn tell(&mut self, now: Instant, tuple: &Tuple, ruling: &Ruling) {
        if self.log.has_room_for_a_denial(now) {
            let found = if ruling.program().is_none() { self.guard.program_of(tuple) } else { None };
            self.log.denied(tuple, ruling, ruling.program().or(found.as_ref()));
        }
    }

    /// Takes what the stack tells of a connection between the program and the host.
    pub(super) fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Incoming(id) => {
                self.asked += 1;
                let tuple = self.stack.tuple(id);
                let Some(admitted) = self.ask_guard(now, id, &tuple.reversed()) else { return };
                let target = self.addresses.outside(tuple.local);
                self.log.flow("open", tuple.reversed(), Some(target));
                let refused = self.streams.dial(now, id, (target, admitted), &self.poller, &mut self.stack);
                refused.into_iter().for_each(|tuple| self.log.flow("refused", tuple, None));
            }
            // The one listener, for DNS, has no backlog.
            Event::Acceptable { .. } => {}
            Event::Connected(id) | Event::Progress(id, _) => self.streams.on_progress(id),
            Event::Closed(id, reason) => {
                self.log.flow(reason.name(), self.stack.tuple(id).reversed(), None);
                self.streams.on_closed(now, id, reason, &self.poller, &mut self.stack);
            }
        }
    }
}

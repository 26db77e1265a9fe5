//! Several lanes: each with a queue of the link, a thread, a stack and its own share of the flows.
//!
//! # Theory of operation
//! The kernel gives each TCP flow of the program to one queue and stays with it, so a flow is opened, carried and closed in
//! one lane and nobody else knows of it. What a run has once belongs to the first lane, the [`pump`](super::pump): datagrams,
//! names, pings, published ports, the program. Its frames may come in any queue; the lane that finds one [hands it
//! over](handed). The host's descriptors are common to all.
//!
//! | who ends | what follows |
//! |---|---|
//! | the program | each lane delivers what the program sent; when all have, or nobody waits any longer, the first ends the others |
//! | a lane, by an error or a bug | it says so to the first, which ends the run with that error |
//!
//! # Invariants
//! - Nothing is shared on the way of a packet that came in the right queue.
//! - With one lane there is no thread, and nothing here is used.
//! - The first lane runs on the thread that made the sandbox: the kernel ends the sandbox with it.

mod handed;
mod side;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, eventfd};
use wharf_stack::stack::{Config, Stack};
use wharf_sys::link::Link;
use wharf_table::drop::DropCounters;

use super::addresses::Addresses;
use super::clock::Clock;
use super::control::{Ask, Reply};
use super::descriptors::Descriptors;
use super::guard::Guard;
use super::lane::{Lane, Linger};
use super::log::Log;
use super::start;
use super::streams::Streams;
use super::wire::Wire;
pub(super) use handed::Frames;
use handed::{Inlet, Message};
use side::Side;

/// What every lane begins with.
pub(super) struct Plan<'a> {
    pub(super) clock: Clock,
    pub(super) log: &'a Log,
    pub(super) addresses: Addresses,
    pub(super) descriptors: &'a Descriptors,
    pub(super) stack: &'a Config,
    pub(super) guard: &'a Guard,
    pub(super) linger: Linger,
}

/// What a lane has to say at its end.
pub(super) struct Account {
    pub(super) drops: DropCounters,
    /// How many connections the program has asked for.
    pub(super) asked: u64,
    /// How many frames were handed over.
    pub(super) handed: u64,
}

/// The lanes besides the first one. Dropping it ends them.
pub(super) struct Lanes {
    threads: Vec<Option<JoinHandle<io::Result<Account>>>>,
    end: Arc<End>,
    inlet: Inlet,
    /// Where each is asked what it does.
    asks: Vec<Sender<Ask>>,
    /// What they have answered.
    replies: VecDeque<Reply>,
    /// How many have nothing of the program's any more, once it has ended.
    drained: usize,
}

impl Lanes {
    /// Begins a lane for each of the queues. `None` when there is none.
    ///
    /// # Errors
    /// No thread or no descriptor is left.
    pub(super) fn begin(plan: &Plan<'_>, queues: Vec<Link>) -> io::Result<Option<Lanes>> {
        if queues.is_empty() {
            return Ok(None);
        }
        let end = Arc::new(End { bell: bell()?, word: AtomicU8::new(CARRY) });
        let (outlet, inlet) = handed::pair(bell()?);
        let mut lanes =
            Lanes { threads: Vec::new(), end, inlet, asks: Vec::new(), replies: VecDeque::new(), drained: 0 };
        for (index, link) in queues.into_iter().enumerate() {
            let lane = plan.lane(link)?;
            let descriptors = plan.descriptors.clone();
            let (ask, asks) = mpsc::channel();
            let side = Side::new(lane, outlet.clone(), descriptors, Arc::clone(&lanes.end), asks, index)?;
            lanes.asks.push(ask);
            let thread = thread::Builder::new().name(format!("wharf-queue-{}", index + 2));
            lanes.threads.push(Some(thread.spawn(move || side.run())?));
        }
        Ok(Some(lanes))
    }

    /// The descriptor that becomes readable when other lanes have something for the first.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.inlet.bell()
    }

    /// Frames that another lane has for the first, if any has.
    ///
    /// # Errors
    /// A lane has ended before it was told to.
    pub(super) fn poll(&mut self) -> io::Result<Option<Frames>> {
        loop {
            match self.inlet.poll() {
                Some(Message::Frames(frames)) => return Ok(Some(frames)),
                Some(Message::Reply(reply)) => self.replies.push_back(reply),
                Some(Message::Drained) => self.drained += 1,
                Some(Message::Ended(index)) => return Err(self.failure(index)),
                None => return Ok(None),
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    /// Asks one of them; `false` when there is none with this index, or it has ended. The [reply](Lanes::poll_reply) comes later.
    pub(super) fn ask(&self, index: usize, ask: Ask) -> bool {
        let asked = self.asks.get(index).is_some_and(|asks| asks.send(ask).is_ok());
        if asked {
            ring(&self.end.bell);
        }
        asked
    }

    /// What one of them has answered.
    pub(super) fn poll_reply(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// Whether one of them has answered.
    pub(super) fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }

    /// The program has ended: what it sent is to be delivered.
    pub(super) fn begin_draining(&self) {
        self.end.tell(DELIVER);
    }

    /// Whether all lanes have delivered what the program sent.
    pub(super) fn are_drained(&self) -> bool {
        self.drained == self.threads.len()
    }

    /// Why a lane has ended before it was told to.
    fn failure(&mut self, index: usize) -> io::Error {
        let thread = self.threads.get_mut(index).and_then(Option::take);
        match thread.map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            // What the thread had to say of a panic stands on standard error.
            _ => io::Error::other("the loop of a queue has ended (a bug of wharf's)"),
        }
    }

    /// Ends all lanes, and returns what they have to say; they are in order.
    pub(super) fn finish(mut self) -> Vec<Account> {
        self.end_all()
    }

    fn end_all(&mut self) -> Vec<Account> {
        self.end.tell(END);
        let threads = self.threads.drain(..).flatten();
        threads.filter_map(|thread| thread.join().ok()?.ok()).collect()
    }
}

/// What the first lane says to the others: that the program has ended. The bell rings as well for what each is asked.
struct End {
    bell: OwnedFd,
    word: AtomicU8,
}

/// Go on as before.
const CARRY: u8 = 0;
/// Deliver what the program sent.
const DELIVER: u8 = 1;
/// End at once.
const END: u8 = 2;

impl End {
    fn tell(&self, word: u8) {
        self.word.store(word, Ordering::Relaxed);
        // The bell is heard after the word was said: the call is a barrier.
        ring(&self.bell);
    }

    fn word(&self) -> u8 {
        self.word.load(Ordering::Relaxed)
    }
}

/// How many descriptors the lanes of so many queues open.
pub(super) const fn own_descriptors(queues: usize) -> u32 {
    // Two bells, and for each but the first what it waits with.
    if queues > 1 { queues as u32 + 1 } else { 0 }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Plan<'_> {
    fn lane(&self, link: Link) -> io::Result<Lane> {
        let (poller, buffers) = start::engine()?;
        let now = self.clock.now();
        Ok(Lane {
            clock: self.clock,
            log: self.log.clone(),
            poller,
            stack: Stack::new(self.stack.clone(), now),
            // A bad line has one queue.
            wire: Wire::new(link, None, 0, now),
            buffers,
            addresses: self.addresses,
            streams: Streams::new(self.descriptors.clone()),
            guard: self.guard.clone(),
            edition: self.guard.edition(),
            asked: 0,
            link_has_more: false,
            linger: self.linger,
        })
    }
}

/// Something that can be waited for and that one call makes ready. Nobody reads it: with edges, each call counts.
fn bell() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

fn ring(bell: impl AsFd) {
    // It is full after 2^64 calls.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

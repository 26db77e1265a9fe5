//! Several lanes: each with a queue of the link, a thread, a stack and its own share of the flows.
//!
//! # Theory of operation
//! The kernel gives each TCP flow of the program to one queue and stays with it, so a flow is opened, carried and closed in
//! one lane and nobody else knows of it. What a run has once belongs to the first lane, the [`pump`](super::pump): datagrams,
//! names, pings, published ports, the program. Its frames may come in any queue; the lane that finds one [hands it
//! over](handed). The limits of a run are common to all ([`shares`]).
//!
//! | who ends | what follows |
//! |---|---|
//! | the program | the first lane tells the others to end, waits for them, and ends the run |
//! | a lane, by an error or a bug | it says so to the first, which ends the run with that error |
//!
//! # Invariants
//! - Nothing is shared on a packet's way but counters of a lane's own, which the others read.
//! - With one lane there is no thread, and nothing here is used.
//! - The first lane runs on the thread that made the sandbox: the kernel ends the sandbox with it.

mod handed;
mod shares;
mod side;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use wharf_stack::stack::{Config, Stack};
use wharf_sys::link::Link;
use wharf_table::drop::DropCounters;

use super::addresses::Addresses;
use super::clock::Clock;
use super::lane::Lane;
use super::log::Log;
use super::start;
use super::streams::Streams;
use super::wire::Wire;
use handed::Inlet;
pub(super) use handed::{Frames, Message};
pub(super) use shares::Share;
use side::Side;

/// What every lane begins with.
pub(super) struct Plan<'a> {
    pub(super) clock: Clock,
    pub(super) log: &'a Log,
    pub(super) addresses: Addresses,
    pub(super) stack: &'a Config,
    pub(super) linger: Duration,
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
    end: Arc<OwnedFd>,
    inlet: Inlet,
    /// The first lane's.
    share: Share,
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
        let end = Arc::new(bell()?);
        let (outlet, inlet) = handed::pair(bell()?);
        let mut shares = shares::split(plan.stack.max_connections, queues.len() + 1).into_iter();
        let share = shares.next().expect("there is a share for each lane, and one lane at least");
        let mut lanes = Lanes { threads: Vec::new(), end, inlet, share };
        for ((index, link), share) in queues.into_iter().enumerate().zip(shares) {
            let lane = plan.lane(link)?;
            let side = Side::new(lane, outlet.clone(), share, Arc::clone(&lanes.end), index)?;
            let thread = thread::Builder::new().name(format!("wharf-queue-{}", index + 2));
            lanes.threads.push(Some(thread.spawn(move || side.run())?));
        }
        Ok(Some(lanes))
    }

    /// The descriptor that becomes readable when other lanes have something for the first.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.inlet.bell()
    }

    /// What another lane has for the first, if any has.
    pub(super) fn poll(&self) -> Option<Message> {
        self.inlet.poll()
    }

    /// The limits of the run, as they are for the first lane.
    pub(super) fn share(&mut self) -> &mut Share {
        &mut self.share
    }

    /// Why a lane has ended before it was told to.
    pub(super) fn failure(&mut self, index: usize) -> io::Error {
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
        ring(&self.end);
        let threads = self.threads.drain(..).flatten();
        threads.filter_map(|thread| thread.join().ok()?.ok()).collect()
    }
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
            streams: Streams::default(),
            asked: 0,
            link_has_more: false,
            linger: self.linger,
            lingers: false,
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

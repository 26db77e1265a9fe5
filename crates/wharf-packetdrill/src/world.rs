//! The clock, the packets on their way to the script, and calls that block.
//!
//! One thread, the *driver*, runs the script: it alone moves the clock and hands packets over. Calls that block run on
//! other threads. After everything that happens each of them tries again, and the driver goes on when all have either
//! ended or gone back to wait: what follows from a packet has followed before the script looks.
//!
//! Invariants: time never goes back, and passes no time-out without handling it; a packet carries the time at which the
//! stack sent it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use wharf_stack::interface::{FrameIn, FrameSink, OffloadOut};
use wharf_stack::socket::Host;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Instant};

use crate::descriptor::Descriptors;
use crate::errno::{Errno, Result};
use crate::flags::Settings;
use crate::profile::Profile;
use crate::sysctl;

/// What the clock shows at the start: any time of day, so that nothing depends on the origin.
const EPOCH_US: u64 = 1_700_000_000_000_000;
/// How often in a row the script may ask for a packet that can never come.
const FUTILE_MAX: u32 = 50;

/// Everything behind one table.
pub(crate) struct World {
    state: Mutex<State>,
    /// Something happened, or a call has looked at what happened.
    turn: Condvar,
    driver: ThreadId,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) descriptors: Descriptors,
    pub(crate) settings: Settings,
    now: Instant,
    sent: VecDeque<(Instant, Vec<u8>)>,
    /// Calls that wait, by thread.
    waiting: Vec<Waiting>,
    /// Counts what happened.
    happened: u64,
    futile: u32,
}

struct Waiting {
    thread: ThreadId,
    deadline: Option<Instant>,
    seen: u64,
}

/// How long a call waits for what is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It does not.
    None,
    /// So long.
    For(Duration),
    /// As long as it takes.
    Endless,
}

type Guard<'a> = MutexGuard<'a, State>;

impl World {
    /// A host with nothing open. The calling thread is the driver.
    pub(crate) fn new(settings: Settings) -> World {
        let now = Instant::from_micros(1_000_000);
        let host = Host::new(sysctl::host_config(&settings), now);
        let state = State {
            host,
            descriptors: Descriptors::default(),
            settings,
            now,
            sent: VecDeque::new(),
            waiting: Vec::new(),
            happened: 0,
            futile: 0,
        };
        World { state: Mutex::new(state), turn: Condvar::new(), driver: thread::current().id() }
    }

    fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call: `attempt` until it says something else than EAGAIN or the patience is at its end, which gives EAGAIN.
    pub(crate) fn call<R>(
        &self,
        patience: impl FnOnce(&mut State) -> Patience,
        mut attempt: impl FnMut(&mut State) -> Result<R>,
    ) -> Result<R> {
        let mut state = self.lock();
        let patience = patience(&mut state);
        let deadline = match patience {
            Patience::None => Some(state.now),
            Patience::For(span) => Some(state.now + span),
            Patience::Endless => None,
        };
        let me = thread::current().id();
        let result = loop {
            match attempt(&mut state) {
                Err(Errno::AGAIN) if deadline.is_none_or(|at| state.now < at) => {}
                result => break result,
            }
            state.flush();
            state =
                if me == self.driver { self.go_on(state, deadline)? } else { self.wait(state, me, deadline) };
        };
        state.flush();
        state.waiting.retain(|waiting| waiting.thread != me);
        drop(self.tell_others(state, me));
        result
    }

    /// The driver blocks: nobody else moves the clock, so it does.
    fn go_on<'a>(&'a self, state: Guard<'a>, deadline: Option<Instant>) -> Result<Guard<'a>> {
        match [state.next_timeout(), deadline].into_iter().flatten().min() {
            Some(at) => Ok(self.advance(state, at)),
            None => Err(Errno::DEADLOCK),
        }
    }

    /// Waits until something has happened.
    fn wait<'a>(&'a self, mut state: Guard<'a>, me: ThreadId, deadline: Option<Instant>) -> Guard<'a> {
        let seen = state.happened;
        state.waiting.retain(|waiting| waiting.thread != me);
        state.waiting.push(Waiting { thread: me, deadline, seen });
        self.turn.notify_all();
        while state.happened == seen {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// Lets every call that waits look at what happened, and goes on when all have.
    fn tell_others<'a>(&'a self, mut state: Guard<'a>, me: ThreadId) -> Guard<'a> {
        if me != self.driver {
            // The driver waits for this one's answer, and tells the others itself.
            self.turn.notify_all();
            return state;
        }
        if !state.waiting.is_empty() {
            state.happened += 1;
            self.turn.notify_all();
        }
        while state.waiting.iter().any(|waiting| waiting.seen != state.happened) {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// Lets time pass until `until`, with everything that is due on the way.
    fn advance<'a>(&'a self, mut state: Guard<'a>, until: Instant) -> Guard<'a> {
        while let Some(at) = state.next_timeout().filter(|at| *at <= until) {
            state.now = state.now.max(at);
            let now = state.now;
            state.host.handle_timeout(now);
            state.flush();
            let lapsed = state.waiting.iter().any(|waiting| waiting.deadline.is_some_and(|at| at <= now));
            state = self.tell_others(state, thread::current().id());
            if lapsed {
                state.waiting.retain(|waiting| waiting.deadline.is_none_or(|at| at > now));
            }
        }
        state.now = state.now.max(until);
        state
    }

    /// Looks at the state without letting anything happen.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.lock())
    }

    /// Lets time pass to what is due next, or to `until` if that is earlier.
    pub(crate) fn step(&self, until: Instant) {
        let state = self.lock();
        let at = state.next_timeout().map_or(until, |due| due.min(until));
        drop(self.advance(state, at));
    }

    /// A packet arrives, of which the script says to whom.
    pub(crate) fn receive_packet(&self, packet: &[u8]) {
        self.look(|state| state.own_destination_of(packet));
        self.deliver(packet);
    }

    /// A packet arrives.
    pub(crate) fn deliver(&self, packet: &[u8]) {
        let mut state = self.lock();
        let now = state.now;
        state.host.handle_frames(now, &[FrameIn::plain(packet)]);
        state.flush();
        drop(self.tell_others(state, thread::current().id()));
    }

    /// The next packet that the stack sends, with its time in microseconds of the day; time jumps to where it is sent.
    pub(crate) fn next_packet(&self) -> Option<(Vec<u8>, i64)> {
        let mut state = self.lock();
        loop {
            if let Some((at, packet)) = state.sent.pop_front() {
                state.futile = 0;
                return Some((packet, wall_clock(at)));
            }
            let Some(at) = state.next_timeout() else { break };
            state = self.advance(state, at);
        }
        state.futile += 1;
        if state.futile >= FUTILE_MAX {
            eprintln!(
                "wharf: the script waits for a packet, and the stack has nothing to send and no timer set"
            );
            std::process::exit(1);
        }
        None
    }

    /// Lets time pass.
    pub(crate) fn sleep(&self, span: Duration) {
        let state = self.lock();
        let until = state.now + span;
        drop(self.advance(state, until));
    }

    /// The time of day in microseconds. It never shows the same time twice: a caller that spins until a time must reach it.
    pub(crate) fn time_of_day(&self) -> i64 {
        let state = self.lock();
        let until = state.now + Duration::from_micros(1);
        wall_clock(self.advance(state, until).now)
    }
}

impl State {
    /// The virtual time.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// How many calls wait.
    pub(crate) fn waiting_calls(&self) -> usize {
        self.waiting.len()
    }

    /// The oldest packet that was sent.
    pub(crate) fn sent_packet(&mut self) -> Option<(Instant, Vec<u8>)> {
        self.sent.pop_front()
    }

    /// When something is due next: a time-out of the stack, or the end of a call's patience.
    fn next_timeout(&self) -> Option<Instant> {
        let calls = self.waiting.iter().filter_map(|waiting| waiting.deadline);
        calls.chain(self.host.poll_timeout()).min()
    }

    /// Lets the host answer for an address that a script takes for the host's.
    pub(crate) fn own(&mut self, addr: Addr) {
        let whole = Cidr::new(addr, if addr.is_v4() { 32 } else { 128 });
        if let Some(address) =
            whole.filter(|_| !addr.is_unspecified() && !addr.is_multicast() && !self.host.owns(addr))
        {
            self.host.add_address(address);
        }
    }

    /// The script plays the network: where its packets go is where the host is.
    fn own_destination_of(&mut self, packet: &[u8]) {
        let v4 = || packet.get(16..20).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(Addr::v4);
        let v6 = || packet.get(24..40).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(Addr::v6);
        let destination = match packet.first().map(|byte| byte >> 4) {
            Some(4) => v4(),
            Some(6) => v6(),
            _ => None,
        };
        if let Some(addr) = destination.filter(|addr| !addr.is_limited_broadcast()) {
            self.own(addr);
        }
    }

    /// Collects what the stack sends.
    fn flush(&mut self) {
        let mut sink = Sink { at: self.now, sent: &mut self.sent, profile: self.settings.profile };
        self.host.poll_frames(self.now, &mut sink);
        self.descriptors.note_changes(&mut self.host);
    }
}

/// Where packets wait for the script.
struct Sink<'a> {
    at: Instant,
    sent: &'a mut VecDeque<(Instant, Vec<u8>)>,
    profile: Profile,
}

impl FrameSink for Sink<'_> {
    fn is_ready(&self) -> bool {
        true
    }

    fn frame(
        &mut self,
        head: &[u8],
        payload: &[&[u8]],
        _: OffloadOut,
    ) -> core::result::Result<(), DropReason> {
        let mut packet = head.to_vec();
        payload.iter().for_each(|part| packet.extend_from_slice(part));
        self.profile.dress(&mut packet);
        self.sent.push_back((self.at, packet));
        Ok(())
    }
}

fn wall_clock(at: Instant) -> i64 {
    i64::try_from(EPOCH_US + at.micros()).unwrap_or(i64::MAX)
}

//! The loop of a run: one thread, one epoll, no locks.
//!
//! wait(until the next time-out) → input by token → time-outs → events of the stack → work that is left → frames to the
//! link. Each arm of the dispatch is one call.
//!
//! Invariant: the loop sleeps only when no flow has work that could go on without a new event.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use wharf_stack::stack::{DatagramIn, DatagramSink, Event, Stack};
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::frame::FrameBuffers;
use wharf_sys::signal::{Origin, Signals};
use wharf_sys::socket;
use wharf_table::{DropReason, Instant, Protocol, Tuple};

use super::addresses::{Addresses, Family};
use super::clock::Clock;
use super::datagrams::Datagrams;
use super::echo::{self, Echoes};
use super::log::{Log, Path};
use super::resolver::Resolver;
use super::spawn::{ProgramExit, Sandbox};
use super::spliced::{Client, Spliced};
use super::start;
use super::streams::{self, Streams};
use super::token::Token;
use super::wire::{Watch, Wire};

/// Batches read from the link before the rest of the loop has its turn.
const LINK_BATCHES: usize = 4;
/// Clients accepted from one listener before the rest of the loop has its turn.
const ACCEPTS_A_TURN: usize = 256;
/// How long the loop looks again before it sleeps, once something has happened. Waking up costs about as much on an idle processor.
const LINGER: Duration = Duration::from_micros(50);
/// The token of the stack's listener for DNS over TCP, and of its binding for UDP.
pub(super) const DNS_TOKEN: u32 = 1;

/// A published TCP port.
pub(super) struct Listener {
    pub(super) socket: OwnedFd,
    /// The program's port.
    pub(super) inside: u16,
}

/// Everything that a run's loop holds.
pub(super) struct Pump {
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) poller: Poller,
    pub(super) stack: Stack,
    pub(super) wire: Wire,
    pub(super) buffers: FrameBuffers,
    pub(super) addresses: Addresses,
    pub(super) streams: Streams,
    pub(super) spliced: Spliced,
    pub(super) datagrams: Datagrams,
    pub(super) echoes: Echoes,
    pub(super) resolver: Resolver,
    pub(super) listeners: Vec<Listener>,
    /// Listeners at which more clients may wait.
    pub(super) waiting: Vec<u32>,
    /// Kept free for the moment in which descriptors are used up, to turn a newcomer away.
    pub(super) spare: Option<OwnedFd>,
    pub(super) signals: Signals,
    pub(super) sandbox: Sandbox,
    /// Whether the link may hold more frames than were read.
    pub(super) link_has_more: bool,
    /// Whether the last wait brought an event.
    pub(super) lingers: bool,
}

/// Takes the datagrams of a batch to where they go.
struct Outward<'a> {
    now: Instant,
    poller: &'a Poller,
    datagrams: &'a mut Datagrams,
    echoes: &'a mut Echoes,
    resolver: &'a mut Resolver,
    log: &'a mut Log,
    drops: arrayvec::ArrayVec<DropReason, 64>,
}

impl DatagramSink for Outward<'_> {
    fn datagram(&mut self, datagram: DatagramIn<'_>) {
        match (datagram.binding, datagram.protocol) {
            (Some(_), _) => self.resolver.on_datagram(self.now, &datagram),
            (None, Protocol::Icmp) => {
                if let Err(error) = self.echoes.send(self.now, &datagram, self.poller) {
                    self.log.once("ping", || echo::advice(&error));
                }
            }
            (None, _) => {
                if let Err(reason) = self.datagrams.send(self.now, &datagram, self.poller) {
                    let _ = self.drops.try_push(reason);
                }
            }
        }
    }
}

impl Pump {
    /// Registers what the loop listens to besides its flows.
    ///
    /// # Errors
    /// The kernel's limit on watches is reached.
    pub(super) fn register(&self) -> io::Result<()> {
        self.wire.register(&self.poller, Watch::Begin)?;
        self.poller.add(&self.signals, Token::Signal.into(), Interest::Read)?;
        self.poller.add(self.sandbox.status_fd(), Token::Program.into(), Interest::Read)?;
        for (index, listener) in self.listeners.iter().enumerate() {
            self.poller.add(&listener.socket, Token::Listener(index as u32).into(), Interest::Read)?;
        }
        self.spliced.register(&self.poller)
    }

    /// Tells what was dropped, by reason. Multicast is not told: every kernel greets the groups of its link.
    pub(super) fn tell_drops(&self) {
        for (reason, count) in self.stack.drops().iter() {
            if reason != DropReason::DestinationInvalid {
                self.log.line(|| format!("dropped {count}: {reason}"));
            }
        }
    }

    /// Runs until the program has ended, and says how.
    ///
    /// # Errors
    /// A failed system call of the loop itself; nothing that a flow does is an error here.
    pub(super) fn run(&mut self) -> io::Result<ProgramExit> {
        let mut ready = Vec::with_capacity(512);
        loop {
            self.wire.await_room(&self.poller)?;
            self.wait(&mut ready)?;
            let now = self.clock.now();
            self.wire.set_now(now);
            for event in ready.drain(..) {
                if let Some(token) = Token::from_bits(event.token)
                    && let Some(exit) = self.on_ready(now, token, event)?
                {
                    return Ok(exit);
                }
            }
            self.accept_clients(now);
            self.read_link(now);
            self.on_timeouts(now);
            self.settle(now);
        }
    }

    /// Waits for the next event or time-out. Who asks and answers in turns has the next word within microseconds: after an event
    /// the loop lingers, and leaves the processor to others meanwhile, before it sleeps.
    fn wait(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = self.timeout();
        if self.lingers && timeout != Some(Duration::ZERO) {
            let end = self.clock.now() + LINGER;
            while ready.is_empty() && self.clock.now() < end {
                rustix::thread::sched_yield();
                ready.extend(self.poller.wait(Some(Duration::ZERO))?);
            }
        }
        if ready.is_empty() {
            ready.extend(self.poller.wait(timeout)?);
        }
        self.lingers = !ready.is_empty();
        Ok(())
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        let busy = self.link_has_more
            || !self.waiting.is_empty()
            || self.streams.has_work()
            || self.spliced.has_work()
            || self.datagrams.has_work()
            || self.echoes.has_work()
            || (self.stack.has_frames() && self.wire.is_open());
        if busy {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.stack.poll_timeout(),
            self.wire.poll_timeout(),
            self.spliced.poll_timeout(),
            self.datagrams.poll_timeout(),
            self.echoes.poll_timeout(),
            self.resolver.names.poll_timeout(),
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.since(self.clock.now()))
    }

    fn on_ready(&mut self, now: Instant, token: Token, ready: Ready) -> io::Result<Option<ProgramExit>> {
        match token {
            Token::Link => {
                self.link_has_more |= ready.readable;
                if ready.writable {
                    self.wire.on_writable(&self.poller)?;
                }
            }
            Token::Signal => self.on_signals()?,
            Token::Program => return Ok(self.sandbox.poll_status()),
            Token::Listener(index) => self.waiting.push(index),
            Token::Stream(id) => {
                let refused = self.streams.on_ready(now, id, ready, &mut self.stack);
                refused.into_iter().for_each(|tuple| self.log.flow("refused", tuple, None));
            }
            Token::Spliced(key, end) => {
                self.spliced.on_ready(now, (key, end), ready, &self.poller, &self.log);
            }
            Token::Sockets => self.spliced.on_sockets(now, &self.poller),
            Token::Datagram(key) => self.datagrams.on_ready(key, ready),
            Token::Echo(key) => self.echoes.on_ready(key, ready),
            Token::Names(_) => self.resolver.names.handle_ready(now, token.into()),
        }
        Ok(None)
    }

    /// Reads what the program has sent, up to the link's turn.
    fn read_link(&mut self, now: Instant) {
        if !self.link_has_more {
            return;
        }
        let Pump { stack, wire, buffers, datagrams, echoes, resolver, poller, log, .. } = self;
        let mut outward =
            Outward { now, poller, datagrams, echoes, resolver, log, drops: Default::default() };
        for _ in 0..LINK_BATCHES {
            match wire.read_batch(buffers, |frames| stack.handle_frames(now, frames, &mut outward)) {
                Ok(count) if count == buffers.capacity() => {}
                Ok(_) => {
                    self.link_has_more = false;
                    break;
                }
                Err(error) => {
                    // The program may be root in its network and take its own link away; it goes on without.
                    outward.log.once("link", || format!("the program's link is gone: {error}"));
                    self.link_has_more = false;
                    break;
                }
            }
        }
        let drops = outward.drops;
        drops.into_iter().for_each(|reason| self.stack.count_drop(reason));
        self.flush_datagrams(now);
    }

    /// Sends the datagrams that were gathered from a batch.
    fn flush_datagrams(&mut self, now: Instant) {
        if let Err(reason) = self.datagrams.flush(now) {
            self.stack.count_drop(reason);
        }
    }

    fn on_timeouts(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.spliced.handle_timeout(now, &self.poller);
        self.datagrams.handle_timeout(now);
        self.echoes.handle_timeout(now);
        self.resolver.names.handle_timeout(now);
        let Pump { stack, wire, datagrams, echoes, resolver, poller, log, .. } = self;
        let mut outward =
            Outward { now, poller, datagrams, echoes, resolver, log, drops: Default::default() };
        wire.poll_delayed(|frames| stack.handle_frames(now, frames, &mut outward));
        self.flush_datagrams(now);
    }

    /// Lets everything that has happened take effect, down to the frames for the link.
    fn settle(&mut self, now: Instant) {
        while let Some(client) = self.spliced.poll_returned() {
            self.on_client(now, client);
        }
        self.spliced.work(now, &self.log);
        self.on_events(now);
        self.streams.work(now, &mut self.stack);
        self.on_events(now);
        self.datagrams.work(now, &mut self.stack, &mut self.wire);
        self.echoes.work(&mut self.stack, &mut self.wire);
        self.resolver.answer(now, &mut self.stack, &mut self.wire);
        self.datagrams.report(&mut self.stack);
        self.echoes.report(&mut self.stack);
        self.stack.poll_frames(now, &mut self.wire);
    }

    fn on_events(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Incoming(id) => {
                    let tuple = self.stack.tuple(id);
                    let target = self.addresses.outside(tuple.local);
                    self.log.flow("open", tuple.reversed(), Some(target));
                    let refused = self.streams.dial(now, id, target, &self.poller, &mut self.stack);
                    refused.into_iter().for_each(|tuple| self.log.flow("refused", tuple, None));
                }
                // The one listener, for DNS, has no backlog.
                Event::Acceptable { .. } => {}
                Event::Connected(id) if self.stack.listener_of(id) == Some(DNS_TOKEN) => {
                    self.resolver.on_connected(now, id, &mut self.stack);
                }
                Event::Connected(id) => self.streams.on_progress(id),
                Event::Progress(id, _) if self.resolver.owns(id) => {
                    self.resolver.on_progress(now, id, &mut self.stack);
                }
                Event::Progress(id, _) => self.streams.on_progress(id),
                Event::Closed(id, _) if self.resolver.owns(id) => {
                    self.resolver.on_closed(now, id, &mut self.stack)
                }
                Event::Closed(id, reason) => {
                    self.log.flow(reason.name(), self.stack.tuple(id).reversed(), None);
                    self.streams.on_closed(now, id, reason, &self.poller, &mut self.stack);
                }
            }
        }
    }

    /// Takes the clients that wait at published ports.
    fn accept_clients(&mut self, now: Instant) {
        for index in std::mem::take(&mut self.waiting) {
            if self.accept_turn(now, index) {
                self.waiting.push(index);
            }
        }
    }

    /// Takes the clients of one listener, up to its turn; `true` when more may wait.
    fn accept_turn(&mut self, now: Instant, index: u32) -> bool {
        for _ in 0..ACCEPTS_A_TURN {
            let listener = &self.listeners[index as usize];
            let inside = listener.inside;
            match socket::accept(&listener.socket) {
                Ok(Some((socket, peer))) => {
                    self.spliced.lead(now, Client { socket, peer, inside }, &self.poller);
                }
                Ok(None) => return false,
                // No descriptor is left, or no memory: the newcomer can't stay.
                Err(_) => self.turn_away(index),
            }
        }
        true
    }

    /// Leads a client to the program over the link.
    fn on_client(&mut self, now: Instant, Client { socket, peer, inside }: Client) {
        let same = self.addresses.published(peer, inside, Family::Same);
        let other = self.addresses.published(peer, inside, Family::Other);
        let Some(first) = same.or(other) else { return };
        let fallback = if same.is_some() { other } else { None };
        let (remote, local) = first;
        self.log.client(peer, Tuple { protocol: Protocol::Tcp, local, remote }, Path::Frames);
        self.streams.publish(now, socket, first, fallback, &self.poller, &mut self.stack);
    }

    /// Descriptors are used up: the newcomer is reset, so that it does not wait, and the old ones live.
    fn turn_away(&mut self, index: u32) {
        self.spare = None;
        if let Ok(Some((socket, _))) = socket::accept(&self.listeners[index as usize].socket) {
            streams::reset(&socket);
            self.log.once("descriptors", || {
                "a client was turned away: no descriptor is left (raise the limit with ulimit -n)".to_owned()
            });
        }
        self.spare = spare_descriptor();
    }

    /// Signals for wharf go on to the program; those of the terminal reach it by themselves.
    fn on_signals(&mut self) -> io::Result<()> {
        while let Some(signal) = self.signals.read()? {
            // When a terminal is closed, only the leader of its session hears of it, which may be wharf.
            if matches!(signal.origin, Origin::Process { .. }) || signal.number == start::HANG_UP {
                self.sandbox.signal(signal.number)?;
            }
        }
        Ok(())
    }
}

/// A descriptor that means nothing, to be given up in need.
pub(super) fn spare_descriptor() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

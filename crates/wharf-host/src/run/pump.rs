//! The loop of a run: one thread, one epoll, no locks.
//!
//! It carries a [lane], and what a run has once: datagrams, names, pings, published ports, the program.
//!
//! wait(until the next time-out) → input by token → time-outs → events of the stack → work that is left → frames to the
//! link. Each arm of the dispatch is one call.
//!
//! Invariant: the loop sleeps only when no flow has work that could go on without a new event.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use wharf_stack::stack::{DatagramIn, DatagramSink, Event};
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::signal::{Origin, Signals};
use wharf_sys::socket;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};

use super::addresses::Family;
use super::control::Control;
use super::datagrams::Datagrams;
use super::descriptors::Descriptors;
use super::draining::Ending;
use super::echo::{self, Echoes};
use super::lane::{self, Lane};
use super::lanes::{Frames, Lanes};
use super::log::{Log, Path};
use super::resolver::{Denied, Resolver};
use super::spawn::{ProgramExit, Sandbox};
use super::spliced::{Client, Spliced};
use super::start;
use super::streams;
use super::token::Token;
use super::wire::Watch;

/// Clients accepted from one listener before the rest of the loop has its turn.
const ACCEPTS_A_TURN: usize = 256;
/// Batches of other lanes' frames taken before the rest of the loop has its turn.
const HANDED_A_TURN: usize = 16;
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
    /// The other lanes, where there are some. They are dropped first.
    pub(super) others: Option<Lanes>,
    pub(super) lane: Lane,
    pub(super) descriptors: Descriptors,
    pub(super) spliced: Spliced,
    pub(super) datagrams: Datagrams,
    pub(super) echoes: Echoes,
    pub(super) resolver: Resolver,
    /// Where others ask what the run does; none where it could not be opened.
    pub(super) control: Option<Control>,
    pub(super) listeners: Vec<Listener>,
    /// Whose clients they take; empty for everybody's.
    pub(super) publish_from: Vec<Cidr>,
    /// Whether other lanes may have more for this one.
    pub(super) handed_has_more: bool,
    /// Listeners at which more clients may wait.
    pub(super) waiting: Vec<u32>,
    /// Kept free for the moment in which descriptors are used up, to turn a newcomer away.
    pub(super) spare: Option<OwnedFd>,
    pub(super) signals: Signals,
    pub(super) sandbox: Sandbox,
    /// Set when the program has ended.
    pub(super) ending: Option<Ending>,
}

/// Takes the datagrams of a batch to where they go.
struct Outward<'a> {
    now: Instant,
    poller: &'a Poller,
    datagrams: &'a mut Datagrams,
    echoes: &'a mut Echoes,
    resolver: &'a mut Resolver,
    log: &'a mut Log,
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
            (None, _) => self.datagrams.send(self.now, &datagram, self.poller),
        }
    }
}

impl Pump {
    /// Registers what the loop listens to besides its flows.
    ///
    /// # Errors
    /// The kernel's limit on watches is reached.
    pub(super) fn register(&self) -> io::Result<()> {
        let Lane { wire, poller, .. } = &self.lane;
        wire.register(poller, Watch::Begin)?;
        poller.add(&self.signals, Token::Signal.into(), Interest::Read)?;
        poller.add(self.sandbox.status_fd(), Token::Program.into(), Interest::Read)?;
        if let Some(others) = &self.others {
            poller.add(others.bell(), Token::Handed.into(), Interest::Read)?;
        }
        if let Some(control) = &self.control {
            control.register(poller)?;
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            poller.add(&listener.socket, Token::Listener(index as u32).into(), Interest::Read)?;
        }
        self.spliced.register(poller)
    }

    /// Ends what there is besides, and tells what was dropped, by reason. Multicast is not told: every kernel greets the groups
    /// of its link.
    pub(super) fn finish(mut self) {
        let mut drops = self.lane.all_drops();
        if let Some(others) = self.others {
            let log = &self.lane.log;
            log.line(|| format!("queue 1: {} connections asked for", self.lane.asked));
            for (account, number) in others.finish().iter().zip(2..) {
                drops.add(&account.drops);
                let (asked, handed) = (account.asked, account.handed);
                log.line(|| {
                    format!("queue {number}: {asked} connections asked for, {handed} frames handed over")
                });
            }
        }
        for (reason, count) in drops.iter().filter(|&(reason, _)| reason != DropReason::DestinationInvalid) {
            self.lane.log.line(|| format!("dropped {count}: {reason}"));
        }
    }

    /// Runs until the program has ended and what it sent is delivered, and says how it ended.
    ///
    /// # Errors
    /// A failed system call of the loop itself; nothing that a flow does is an error here.
    pub(super) fn run(&mut self) -> io::Result<ProgramExit> {
        let mut ready = Vec::with_capacity(512);
        loop {
            let timeout = self.timeout();
            let now = self.lane.wait(&mut ready, timeout)?;
            for event in ready.drain(..) {
                if let Some(token) = Token::from_bits(event.token) {
                    self.on_ready(now, token, event)?;
                }
            }
            self.accept_clients(now);
            self.read_link(now);
            self.read_handed(now)?;
            self.on_timeouts(now);
            self.settle(now);
            if self.is_asked(now) {
                self.serve_control(now);
            }
            if let Some(exit) = self.poll_ended(now) {
                return Ok(exit);
            }
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        let busy = self.lane.has_work()
            || !self.waiting.is_empty()
            || self.handed_has_more
            || self.spliced.has_work()
            || self.datagrams.has_work()
            || self.echoes.has_work()
            || self.control.as_ref().is_some_and(Control::has_work);
        if busy {
            return Some(Duration::ZERO);
        }
        let others = [
            self.spliced.poll_timeout(),
            self.datagrams.poll_timeout(),
            self.echoes.poll_timeout(),
            self.resolver.names.poll_timeout(),
            self.control.as_ref().and_then(Control::poll_timeout),
            self.ending_timeout(),
        ];
        let next = self.lane.deadline(others)?;
        Some(next.since(self.lane.clock.now()))
    }

    fn on_ready(&mut self, now: Instant, token: Token, ready: Ready) -> io::Result<()> {
        match token {
            Token::Link => self.lane.on_link(ready)?,
            Token::Signal => self.on_signals()?,
            Token::Program => self.on_program(now)?,
            // None is left when the program has ended.
            Token::Listener(_) if self.is_ending() => {}
            Token::Listener(index) => self.waiting.push(index),
            Token::Stream(id) => self.lane.on_stream(now, id, ready),
            Token::Spliced(key, end) => {
                self.spliced.on_ready(now, (key, end), ready, &self.lane.poller, &self.lane.log);
            }
            Token::Sockets => self.spliced.on_sockets(now, &self.lane.poller),
            Token::Datagram(key) => self.datagrams.on_ready(key, ready),
            Token::Echo(key) => self.echoes.on_ready(key, ready),
            Token::Control(place) => {
                if let Some(control) = &mut self.control {
                    control.on_ready(place, ready);
                }
            }
            Token::Handed => self.handed_has_more = true,
            // That is for others.
            Token::End => {}
            Token::Names(_) => self.resolver.names.handle_ready(now, token.into()),
        }
        Ok(())
    }

    /// Reads what the program has sent, up to the link's turn.
    fn read_link(&mut self, now: Instant) {
        if !self.lane.link_has_more {
            return;
        }
        let Pump { lane, datagrams, echoes, resolver, .. } = self;
        let Lane { stack, wire, buffers, streams, poller, log, .. } = lane;
        let mut outward = Outward { now, poller, datagrams, echoes, resolver, log };
        let turn = lane::read_turn(wire, buffers, |frames| {
            stack.handle_frames_with(now, frames, &mut outward, streams);
        });
        lane.on_link_turn(turn);
        self.datagrams.flush(now);
    }

    /// Takes what the other lanes have for this one, up to a turn.
    fn read_handed(&mut self, now: Instant) -> io::Result<()> {
        for _ in 0..HANDED_A_TURN {
            if !self.handed_has_more {
                break;
            }
            match self.others.as_mut().map_or(Ok(None), Lanes::poll)? {
                Some(frames) => self.take_handed(now, &frames),
                None => self.handed_has_more = false,
            }
        }
        Ok(())
    }

    fn take_handed(&mut self, now: Instant, frames: &Frames) {
        let Pump { lane, datagrams, echoes, resolver, .. } = self;
        let Lane { stack, streams, poller, log, .. } = lane;
        let mut outward = Outward { now, poller, datagrams, echoes, resolver, log };
        frames.deliver(|frames| stack.handle_frames_with(now, frames, &mut outward, streams));
        self.datagrams.flush(now);
    }

    fn on_timeouts(&mut self, now: Instant) {
        self.lane.stack.handle_timeout(now);
        self.spliced.handle_timeout(now, &self.lane.poller);
        self.datagrams.handle_timeout(now);
        self.echoes.handle_timeout(now);
        self.resolver.names.handle_timeout(now);
        let Pump { lane, datagrams, echoes, resolver, .. } = self;
        let Lane { stack, wire, streams, poller, log, .. } = lane;
        let mut outward = Outward { now, poller, datagrams, echoes, resolver, log };
        wire.poll_delayed(|frames| stack.handle_frames_with(now, frames, &mut outward, streams));
        self.datagrams.flush(now);
    }

    /// Lets everything that has happened take effect, down to the frames for the link.
    fn settle(&mut self, now: Instant) {
        while let Some(client) = self.spliced.poll_returned() {
            self.on_client(now, client);
        }
        self.spliced.work(now, &self.lane.log);
        self.on_events(now);
        self.lane.streams.work(now, &mut self.lane.stack);
        self.on_events(now);
        self.lane.follow_guard(now);
        self.tell_denied(now);
        let Lane { stack, wire, log, .. } = &mut self.lane;
        self.datagrams.work(now, stack, wire);
        self.echoes.work(stack, wire);
        self.resolver.answer(now, stack, wire);
        self.datagrams.report(stack);
        self.echoes.report(stack);
        if let Some(advice) = self.descriptors.advice() {
            log.once_in_any_case("descriptors", &advice);
        }
        stack.poll_frames(now, wire);
    }

    /// Tells what was denied: flows, and names that were not answered.
    fn tell_denied(&mut self, now: Instant) {
        self.lane.tell_denied(now);
        while let Some(Denied { name, ruling, client }) = self.resolver.poll_denied() {
            if self.lane.log.has_room_for_a_denial(now) {
                let program = client.and_then(|client| self.lane.guard.program_of(&client));
                self.lane.log.denied_name(&name, &ruling, program.as_ref());
            }
        }
        while let Some((tuple, ruling)) = self.datagrams.poll_denied().or_else(|| self.echoes.poll_denied()) {
            self.lane.tell(now, &tuple, &ruling);
        }
    }

    fn on_events(&mut self, now: Instant) {
        while let Some(event) = self.lane.stack.poll_event() {
            let Pump { lane, resolver, .. } = self;
            match event {
                Event::Connected(id) if lane.stack.listener_of(id) == Some(DNS_TOKEN) => {
                    resolver.on_connected(now, id, &mut lane.stack);
                }
                Event::Progress(id, _) if resolver.owns(id) => {
                    resolver.on_progress(now, id, &mut lane.stack);
                }
                Event::Closed(id, _) if resolver.owns(id) => resolver.on_closed(now, id, &mut lane.stack),
                event => lane.on_event(now, event),
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
                Ok(Some((socket, peer))) if self.takes(peer) => {
                    self.on_accepted(now, Client { socket, peer, inside });
                }
                Ok(Some((socket, peer))) => {
                    self.lane.log.line(|| format!("refused client {peer}: --publish-from leaves it out"));
                    streams::reset(&socket);
                }
                Ok(None) => return false,
                // No descriptor is left, or no memory: the newcomer can't stay.
                Err(error) => self.turn_away(index, &error),
            }
        }
        true
    }

    /// Whether published ports are there for this client.
    fn takes(&self, peer: SocketAddr) -> bool {
        let addr = Addr::from(peer.ip().to_canonical());
        self.publish_from.is_empty() || self.publish_from.iter().any(|network| network.contains(addr))
    }

    /// Leads a client to the program past the link where that can be, and where its pair of addresses is not in use on the link.
    fn on_accepted(&mut self, now: Instant, client: Client) {
        let pair = self.lane.addresses.published(client.peer, client.inside, Family::Same);
        if pair.is_some_and(|pair| self.lane.has(pair)) {
            self.on_client(now, client);
        } else {
            self.spliced.lead(now, client, &self.lane.poller);
        }
    }

    /// Leads a client to the program over the link.
    fn on_client(&mut self, now: Instant, Client { socket, peer, inside }: Client) {
        if self.is_ending() {
            return streams::reset(&socket);
        }
        let lane = &mut self.lane;
        let same = lane.addresses.published(peer, inside, Family::Same);
        let other = lane.addresses.published(peer, inside, Family::Other);
        let Some(first) = same.or(other) else { return };
        let fallback = if same.is_some() { other } else { None };
        // What a spliced flow has in the program's network is another port's for who comes over the link.
        let free = |(source, target): (Endpoint, Endpoint)| {
            let is_taken = self.spliced.has((source, target));
            (if is_taken { Endpoint::new(source.addr, 0) } else { source }, target)
        };
        let (first, fallback) = (free(first), fallback.map(free));
        let (remote, local) = first;
        lane.log.client(peer, Tuple { protocol: Protocol::Tcp, local, remote }, Path::Frames);
        lane.streams.publish(now, socket, first, fallback, &lane.poller, &mut lane.stack);
    }

    /// Descriptors are used up: the newcomer is reset, so that it does not wait, and the old ones live.
    fn turn_away(&mut self, index: u32, error: &io::Error) {
        self.spare = None;
        if let Ok(Some((socket, _))) = socket::accept(&self.listeners[index as usize].socket) {
            streams::reset(&socket);
            self.descriptors.note(error);
        }
        self.spare = spare_descriptor().ok();
    }

    /// Signals for wharf go on to the program; those of the terminal reach it by themselves.
    fn on_signals(&mut self) -> io::Result<()> {
        while let Some(signal) = self.signals.read()? {
            if self.is_ending() {
                self.on_late_signal(signal.number);
                continue;
            }
            // When a terminal is closed, only the leader of its session hears of it, which may be wharf.
            if matches!(signal.origin, Origin::Process { .. }) || signal.number == start::HANG_UP {
                self.sandbox.signal(signal.number)?;
            }
        }
        Ok(())
    }
}

/// A descriptor that means nothing, to be given up in need.
///
/// # Errors
/// None is left.
pub(super) fn spare_descriptor() -> io::Result<OwnedFd> {
    std::fs::File::open("/dev/null").map(OwnedFd::from)
}

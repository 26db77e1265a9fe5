//! Clients of published TCP ports, led to the program past its link.
//!
//! # Theory of operation
//! A client's socket is the host's. Its other end is a socket in the program's network, from a stock that the sandbox's init
//! fills ([`Sockets`]); it is bound to the client's own address, so the program sees who calls, and connects to
//! the program over that network's `lo`. Bytes then move from socket to socket, and no frame is made.
//!
//! What can't go so goes over the link, as frames, and the program can't tell: where init or the kernel has no such sockets,
//! where the client's port is one that the program might want ([`PORTS`]), where the share of descriptors is used up, and
//! where the program's network does not answer in time or refuses. The last word of refusal is that of the link.
//!
//! # Invariants
//! - A flow holds two descriptors, and pipes only while bytes wait in it.
//! - Nothing of a client is read before the program is connected: until then it can go the other way whole.
//! - A flow's place is given to another only between two waits for events, when none is left that could be about it.

mod draining;
mod flow;
mod half;
mod listed;
mod rush;
mod stock;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use slab::Slab;
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::socket::{self, Family, foreign};
use wharf_table::{Endpoint, Instant, Protocol, Tuple};

pub(super) use self::flow::Client;
use self::flow::{Flow, Phase, Program, Verdict};
use self::half::{Side, Tools};
use self::rush::Rush;
use self::stock::Stock;
use super::addresses::Addresses;
use super::descriptors::{Descriptor, Descriptors};
use super::log::{Log, Path};
use super::spawn::Sockets;
use super::streams;
use super::token::Token;

/// Client ports that are taken in the program's network as well: those that its kernel gives to whoever asks for none
/// (`net.ipv4.ip_local_port_range`). Any other might be one that the program serves.
const PORTS: RangeInclusive<u16> = 32768..=60999;
/// One of so many descriptors is for spliced flows; each holds two.
const SHARE: usize = 4;
/// Pipes that may hold bytes of flows; what waits in others waits in memory. A user's pipes have few pages beyond 64 MiB of all
/// (`/proc/sys/fs/pipe-user-pages-soft`).
const PIPES: usize = 128;
/// How long the program's network may take to answer, and init to make sockets. Both take microseconds.
const PATIENCE: Duration = Duration::from_millis(250);
/// After so many that were not answered in a row, all go over the link for a while.
const STRIKES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether what came before a reset has arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Sockets that init makes at a time.
const BATCH: usize = 64;

/// A flow that something is awaited of.
#[derive(Clone, Copy)]
struct Awaited {
    until: Instant,
    key: u32,
    serial: u32,
}

/// Every spliced flow of a run.
pub(super) struct Spliced {
    addresses: Addresses,
    descriptors: Descriptors,
    stock: Option<Stock>,
    /// The rights to what lies in the stock, and to pipes.
    _own: Vec<Descriptor>,
    flows: Slab<Flow>,
    flows_max: usize,
    tools: Tools,
    work: VecDeque<u32>,
    /// Flows that wait for a socket, or for the program's network to answer; the first to be given up stands first.
    awaited: VecDeque<Awaited>,
    /// Flows that reset when what came before has arrived.
    resetting: VecDeque<Awaited>,
    /// Clients for the link.
    returned: Vec<Client>,
    serials: u32,
    strikes: u32,
    paused_until: Option<Instant>,
    /// Whether a socket may be told its only port.
    has_port_ranges: bool,
    /// The pairs of addresses that flows have in the program's network: nobody else may take them meanwhile.
    pairs: HashSet<(Endpoint, Endpoint)>,
    /// Of each of the program's ports that had clients.
    rushes: HashMap<u16, Rush>,
    program: Program,
}

/// Which socket of a flow an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client's.
    Client,
    /// The one in the program's network.
    Inside,
}

impl Spliced {
    /// No flows; without `sockets` there never are any.
    pub(super) fn new(addresses: Addresses, sockets: Option<Sockets>, descriptors: Descriptors) -> Spliced {
        let flows_max = descriptors.most() / SHARE / 2;
        let batch = BATCH.min(flows_max / 4);
        let pipes = PIPES.min(flows_max / 8);
        let stock = sockets.filter(|_| flows_max > 0).map(|source| Stock::new(source, batch));
        let own = stock.as_ref().map_or(0, |stock| stock.most() + Tools::descriptors(pipes));
        Spliced {
            addresses,
            _own: (0..own).map_while(|_| descriptors.try_take()).collect(),
            descriptors,
            stock,
            flows: Slab::new(),
            flows_max,
            tools: Tools::new(pipes),
            work: VecDeque::new(),
            awaited: VecDeque::new(),
            resetting: VecDeque::new(),
            returned: Vec::new(),
            serials: 0,
            strikes: 0,
            paused_until: None,
            has_port_ranges: true,
            pairs: HashSet::new(),
            rushes: HashMap::new(),
            program: Program::Running,
        }
    }

    /// Registers where sockets come from.
    ///
    /// # Errors
    /// The kernel's limit on watches is reached.
    pub(super) fn register(&self, poller: &Poller) -> io::Result<()> {
        match &self.stock {
            Some(stock) => poller.add(stock.as_fd(), Token::Sockets.into(), Interest::Read),
            None => Ok(()),
        }
    }

    /// Whether a flow waits for its turn.
    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty() || !self.returned.is_empty()
    }

    /// Whether no flow is open.
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.returned.is_empty()
    }

    /// When [`Spliced::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [&self.awaited, &self.resetting]
            .into_iter()
            .filter_map(|list| list.front())
            .map(|first| first.until)
            .min()
    }

    /// A client for the link, if there is one.
    pub(super) fn poll_returned(&mut self) -> Option<Client> {
        self.returned.pop()
    }

    /// Whether a flow has this pair of addresses in the program's network.
    pub(super) fn has(&self, pair: (Endpoint, Endpoint)) -> bool {
        self.pairs.contains(&pair)
    }

    /// Leads a client to the program, or [returns](Spliced::poll_returned) it.
    pub(super) fn lead(&mut self, now: Instant, client: Client, poller: &Poller) {
        let paused = self.paused_until.is_some_and(|until| now < until);
        let fits = PORTS.contains(&client.peer.port()) && self.flows.len() < self.flows_max;
        if self.stock.is_none() || !fits || paused {
            return self.returned.push(client);
        }
        if self.rushes.get_mut(&client.inside).is_some_and(|rush| rush.is_on(now)) {
            return self.returned.push(client);
        }
        let (Some(one), Some(other)) = (self.descriptors.try_take(), self.descriptors.try_take()) else {
            return self.returned.push(client);
        };
        self.serials = self.serials.wrapping_add(1);
        let key = self.flows.insert(Flow::new(now, client, self.serials, [one, other])) as u32;
        self.connect(now, key, poller);
    }

    /// Takes a flow along its way, or the next one, as soon as there is a socket for it.
    fn connect(&mut self, now: Instant, key: u32, poller: &Poller) {
        let Some(flow) = self.flows.get_mut(key as usize) else { return };
        let way = self.addresses.past_link(flow.peer, flow.port, flow.way);
        let (Some((source, target)), Some(stock)) = (way, &mut self.stock) else {
            return self.give_back(key, poller);
        };
        if self.pairs.contains(&(source, target)) {
            return self.give_back(key, poller);
        }
        let family = Family::of(target.addr.ip());
        let Some(socket) = stock.take(now, family) else {
            if stock.awaited_since(family).is_none() {
                return self.give_back(key, poller);
            }
            if flow.phase != Phase::Waiting {
                flow.phase = Phase::Waiting;
                self.awaited.push_back(Awaited { until: now + PATIENCE, key, serial: flow.serial });
            }
            return;
        };
        let begun = begin(&socket, source, target, &mut self.has_port_ranges).and_then(|()| {
            poller.add(&socket, Token::Spliced(key, End::Inside).into(), Interest::ReadWrite)?;
            if !flow.registered {
                poller.add(
                    &flow.client.socket,
                    Token::Spliced(key, End::Client).into(),
                    Interest::ReadWrite,
                )?;
                flow.registered = true;
            }
            Ok(())
        });
        if begun.is_err() {
            return self.give_back(key, poller);
        }
        flow.inside = Some(Side::new(socket));
        flow.phase = Phase::Connecting;
        self.pairs.insert((source, target));
        self.awaited.push_back(Awaited { until: now + PATIENCE, key, serial: flow.serial });
    }

    /// Sockets have come, or there will be no more.
    pub(super) fn on_sockets(&mut self, now: Instant, poller: &Poller) {
        let Some(stock) = &mut self.stock else { return };
        let has_come = stock.receive();
        let waiting = self.awaited.iter().filter(|awaited| {
            let flow = self.flows.get(awaited.key as usize);
            flow.is_some_and(|flow| flow.serial == awaited.serial && flow.phase == Phase::Waiting)
        });
        let waiting: Vec<u32> = waiting.map(|awaited| awaited.key).collect();
        if !has_come {
            // Init has no room for sockets either.
            self.paused_until = Some(now + PAUSE);
            return waiting.into_iter().for_each(|key| self.give_back(key, poller));
        }
        for key in waiting {
            // One may stand in the list more than once, for each time that it was waited for.
            if self.flows.get(key as usize).is_some_and(|flow| flow.phase == Phase::Waiting) {
                self.connect(now, key, poller);
            }
        }
    }

    /// A socket of a flow is ready for something.
    pub(super) fn on_ready(
        &mut self,
        now: Instant,
        (key, end): (u32, End),
        ready: Ready,
        poller: &Poller,
        log: &Log,
    ) {
        let Some(flow) = self.flows.get_mut(key as usize) else { return };
        match (end, &mut flow.inside) {
            (End::Client, _) => flow.client.on_ready(ready),
            (End::Inside, Some(inside)) => inside.on_ready(ready),
            (End::Inside, None) => {}
        }
        match (flow.phase, end, &mut flow.inside) {
            (Phase::Open, ..) => self.queue(key),
            (Phase::Connecting, End::Inside, Some(inside)) if ready.writable => {
                let error = if ready.error { socket::take_error(&inside.socket) } else { None };
                match error.as_ref().map(Errno::from_io_error) {
                    None => {}
                    // It was connected, and is reset already.
                    Some(Some(Errno::CONNRESET | Errno::PIPE)) => inside.broken = true,
                    Some(_) => return self.on_refused(now, key, poller),
                }
                flow.phase = Phase::Open;
                self.strikes = 0;
                log.client(flow.peer, tuple(&self.addresses, flow), Path::Splice);
                self.queue(key);
            }
            _ => {}
        }
    }

    /// The program does not listen where this way leads.
    fn on_refused(&mut self, now: Instant, key: u32, poller: &Poller) {
        if let Some(flow) = self.flows.get_mut(key as usize) {
            leave(&mut self.pairs, &self.addresses, flow);
            flow.way += 1;
            self.connect(now, key, poller);
        }
    }

    fn queue(&mut self, key: u32) {
        if let Some(flow) = self.flows.get_mut(key as usize)
            && !flow.queued
        {
            flow.queued = true;
            self.work.push_back(key);
        }
    }

    /// Gives a flow's client to the link.
    fn give_back(&mut self, key: u32, poller: &Poller) {
        let Some(mut flow) = self.flows.try_remove(key as usize) else { return };
        leave(&mut self.pairs, &self.addresses, &mut flow);
        if flow.registered && poller.delete(&flow.client.socket).is_err() {
            return streams::reset(&flow.client.socket);
        }
        self.returned.push(flow.into_client());
    }

    /// Gives up what took too long, and looks after resets.
    pub(super) fn handle_timeout(&mut self, now: Instant, poller: &Poller) {
        while let Some(&Awaited { until, key, serial }) = self.awaited.front() {
            let flow = self.flows.get(key as usize).filter(|flow| flow.serial == serial);
            let phase = flow.map(|flow| flow.phase).filter(|phase| *phase != Phase::Open);
            if phase.is_some() && now < until {
                break;
            }
            self.awaited.pop_front();
            match phase {
                Some(Phase::Connecting) => self.on_silence(now, key, poller),
                Some(_) => self.give_back(key, poller),
                None => {}
            }
        }
        while let Some(resetting) = pop_due(&mut self.resetting, now) {
            let flow = self.flows.get_mut(resetting.key as usize);
            if let Some(flow) = flow.filter(|flow| flow.serial == resetting.serial) {
                flow.resetting = false;
                self.queue(resetting.key);
            }
        }
    }

    /// The program's network has not answered: it drops what comes so, or the program has no room for another client.
    fn on_silence(&mut self, now: Instant, key: u32, poller: &Poller) {
        self.strikes += 1;
        if self.strikes >= STRIKES {
            self.strikes = 0;
            self.paused_until = Some(now + PAUSE);
        }
        self.give_back(key, poller);
    }

    /// Gives every flow that waits one turn.
    pub(super) fn work(&mut self, now: Instant, log: &Log) {
        for _ in 0..self.work.len() {
            let Some(key) = self.work.pop_front() else { break };
            let Some(flow) = self.flows.get_mut(key as usize) else { continue };
            flow.queued = false;
            match flow.turn(&mut self.tools, self.program) {
                Verdict::Done => {}
                Verdict::Again => self.queue(key),
                Verdict::Unacknowledged if flow.resetting => {}
                Verdict::Unacknowledged => {
                    flow.resetting = true;
                    let until = now + LOOK_AGAIN;
                    self.resetting.push_back(Awaited { until, key, serial: flow.serial });
                }
                verdict => self.end(now, key, verdict, log),
            }
        }
    }

    fn end(&mut self, now: Instant, key: u32, verdict: Verdict, log: &Log) {
        let Some(mut flow) = self.flows.try_remove(key as usize) else { return };
        flow.give_up(&mut self.tools);
        // A program on its own loopback is not reached over the link.
        if self
            .addresses
            .past_link(flow.peer, flow.port, flow.way)
            .is_some_and(|(_, to)| !to.addr.is_loopback())
        {
            self.rushes.entry(flow.port).or_insert_with(|| Rush::new(now)).on_end(now, flow.moved());
        }
        let what = if verdict == Verdict::Reset { "reset_by_peer" } else { "finished" };
        log.flow_on(what, tuple(&self.addresses, &flow), Some(flow.peer), Path::Splice);
        if verdict == Verdict::Reset {
            flow.reset();
        }
        leave(&mut self.pairs, &self.addresses, &mut flow);
    }
}

/// Closes a flow's socket in the program's network, and lets others have its pair of addresses.
fn leave(pairs: &mut HashSet<(Endpoint, Endpoint)>, addresses: &Addresses, flow: &mut Flow) {
    if flow.inside.take().is_some()
        && let Some(pair) = addresses.past_link(flow.peer, flow.port, flow.way)
    {
        pairs.remove(&pair);
    }
}

/// The flow as the program sees it.
fn tuple(addresses: &Addresses, flow: &Flow) -> Tuple {
    let unknown = || (Endpoint::from(flow.peer), Endpoint::from(flow.peer));
    let (remote, local) = addresses.past_link(flow.peer, flow.port, flow.way).unwrap_or_else(unknown);
    Tuple { protocol: Protocol::Tcp, local, remote }
}

/// Binds a socket to the client's address and port, and connects it to the program.
fn begin(socket: &OwnedFd, source: Endpoint, target: Endpoint, has_ranges: &mut bool) -> io::Result<()> {
    let mut own = source.socket_addr();
    if *has_ranges {
        match foreign::set_only_port(socket, source.port) {
            Ok(()) => own.set_port(0),
            Err(_) => *has_ranges = false,
        }
    }
    socket::bind(socket, own)?;
    socket::connect(socket, target.socket_addr())?;
    Ok(())
}

fn pop_due(list: &mut VecDeque<Awaited>, now: Instant) -> Option<Awaited> {
    list.pop_front_if(|first| first.until <= now)
}

//! UDP flows: one socket of the host for each endpoint of the program (endpoint-independent mapping, RFC 4787, REQ-1), and
//! the published UDP ports.
//!
//! A mapping lives two minutes after the last datagram that went out, five where there was a reply (RFC 4787, REQ-5; Linux'
//! conntrack uses the same two classes). Errors that the network reports come back through the socket's error queue and are
//! relayed into the program's network, quoted as it sent the datagram.
//!
//! Invariant: a mapping is found by the program's endpoint and by its socket's index, and both vanish together.

mod gathered;
mod listed;
mod mapping;
mod outward;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use slab::Slab;
use std::collections::HashMap;
use wharf_stack::interface::FrameSink;
use wharf_stack::stack::{DatagramFields, DatagramIn, DatagramOut, IcmpError, Stack, Unreachable};
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::socket;
use wharf_sys::socket::datagram::DatagramBuffers;
use wharf_sys::socket::error_queue::{self, ErrorOrigin, QueuedError};
use wharf_table::drop::DropCounters;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};

use self::gathered::Gathered;
pub(super) use self::listed::ClientKey;
pub(super) use self::mapping::family_of;
use self::mapping::{Kind, Mapping};
use self::outward::Outbox;
use super::addresses::{Addresses, Family};
use super::descriptors::{Descriptor, Descriptors};
use super::flows::Count;
use super::guard::{Gate, Guard, Passes, Ruling};
use super::token::Token;

/// How long a mapping stays that never had a reply.
const UNREPLIED: Duration = Duration::from_secs(120);
/// How long a mapping stays that had one.
const REPLIED: Duration = Duration::from_secs(300);
/// Batches read from one socket before the next one has its turn.
const BATCHES_A_TURN: usize = 8;
/// Datagrams of one batch, and the room for each, in bytes.
const BATCH: usize = 32;
const DATAGRAM_MAX: usize = 65_536;
/// What is asked for each buffer of a socket, in bytes: what comes while the loop is elsewhere waits there. The host's limit
/// (`net.core.rmem_max`, `wmem_max`) is usually far below.
const BUFFER_BYTES: i32 = 4 << 20;
/// As much of a datagram as an error quotes into the program's network, in bytes.
const QUOTED_MAX: usize = 1280;

/// A client of a published port that the program has been shown.
struct Client {
    mapping: u32,
    address: SocketAddr,
    opened: Instant,
    last: Instant,
    /// From the program, and to it.
    sent: Count,
    received: Count,
}

/// What has to be said to the program about a datagram that it sent.
struct Failure {
    offender: Option<Addr>,
    error: IcmpError,
    tuple: Tuple,
    payload: Vec<u8>,
}

/// What datagrams on their way to the program have in common that go in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inward {
    source: Endpoint,
    destination: Endpoint,
}

/// Every UDP flow of a run.
pub(super) struct Datagrams {
    addresses: Addresses,
    descriptors: Descriptors,
    mappings: Slab<Mapping>,
    by_internal: HashMap<Endpoint, u32>,
    /// By the served endpoint and the client as the program sees it.
    clients: HashMap<(Endpoint, Endpoint), Client>,
    /// The client as the program sees it, by mapping and the client's true address, where the two differ.
    aliases: HashMap<(u32, SocketAddr), Endpoint>,
    /// When to look at a mapping or at the clients again.
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    failures: Vec<Failure>,
    drops: DropCounters,
    passes: Passes,
    /// Whose clients published ports take; empty for everybody's.
    publish_from: Vec<Cidr>,
    outbox: Outbox,
    inward: Gathered<Inward>,
    batch: Option<DatagramBuffers>,
    work: Vec<u32>,
}

impl Datagrams {
    pub(super) fn new(addresses: Addresses, descriptors: Descriptors, guard: Guard) -> Datagrams {
        Datagrams {
            addresses,
            descriptors,
            mappings: Slab::new(),
            by_internal: HashMap::new(),
            clients: HashMap::new(),
            aliases: HashMap::new(),
            deadlines: BinaryHeap::new(),
            failures: Vec::new(),
            drops: DropCounters::default(),
            passes: Passes::new(guard, Protocol::Udp),
            publish_from: Vec::new(),
            outbox: Outbox::default(),
            inward: Gathered::default(),
            batch: None,
            work: Vec::new(),
        }
    }

    /// Takes clients of published ports from these networks only; from all where there are none.
    pub(super) fn publish_from(&mut self, networks: Vec<Cidr>) {
        self.publish_from = networks;
    }

    /// Takes a published socket that serves `internal`.
    pub(super) fn publish(&mut self, socket: OwnedFd, internal: Endpoint, poller: &Poller) -> io::Result<()> {
        self.insert(Instant::ZERO, socket, None, internal, Kind::Published, poller).map(|_| ())
    }

    /// Whether a socket waits for its turn.
    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Carries a datagram of the program outside. Datagrams are gathered until [`Datagrams::flush`]; what fails is told by
    /// [`Datagrams::report`].
    pub(super) fn send(&mut self, now: Instant, datagram: &DatagramIn<'_>, poller: &Poller) {
        if let Some(client) = self.clients.get_mut(&(datagram.source, datagram.destination)) {
            client.last = now;
            client.sent.add(datagram.payload.len(), datagram.gso_size);
            let (mapping, address) = (client.mapping, client.address);
            return self.gather(now, mapping, address, datagram);
        }
        if self.addresses.is_gateway(datagram.destination.addr) {
            let tuple = tuple_of(datagram);
            let error = IcmpError::Unreachable(Unreachable::Port);
            self.failures.push(Failure { offender: None, error, tuple, payload: datagram.payload.to_vec() });
            return self.drops.count(DropReason::NoListener);
        }
        let pair = (datagram.source, datagram.destination);
        let segment = Some(datagram.gso_size);
        let waited = match self.passes.outward(now, pair, datagram.payload, segment) {
            Gate::Passes => Vec::new(),
            Gate::PassesAfter(waited) => waited,
            Gate::Waits => return,
            Gate::Denied => return self.deny(datagram),
        };
        let key = match self.by_internal.get(&datagram.source) {
            Some(&key) => key,
            None => match self.open(now, datagram.source, poller) {
                Ok(key) => key,
                Err(error) => {
                    let reason = self.turn_down(&error, datagram);
                    return self.drops.count(reason);
                }
            },
        };
        let target = self.addresses.outside(datagram.destination);
        for payload in &waited {
            self.gather(now, key, target, &DatagramIn { payload, gso_size: 0, ..*datagram });
        }
        self.gather(now, key, target, datagram);
    }

    /// The rules keep a datagram here.
    fn deny(&mut self, datagram: &DatagramIn<'_>) {
        if let Some(error) = self.passes.guard().denial().error() {
            let (tuple, payload) = (tuple_of(datagram), datagram.payload.to_vec());
            self.failures.push(Failure { offender: None, error, tuple, payload });
        }
        self.drops.count(DropReason::DestinationDenied);
    }

    /// What was denied, or would have been.
    pub(super) fn poll_denied(&mut self) -> Option<(Tuple, Box<Ruling>)> {
        self.passes.poll_denied()
    }

    /// There is no socket for a newcomer: it is told so at once, as by a port that is closed.
    fn turn_down(&mut self, error: &io::Error, datagram: &DatagramIn<'_>) -> DropReason {
        self.descriptors.note(error);
        let (tuple, payload) = (tuple_of(datagram), datagram.payload.to_vec());
        let error = IcmpError::Unreachable(Unreachable::Port);
        self.failures.push(Failure { offender: None, error, tuple, payload });
        DropReason::NoFlow
    }

    fn open(&mut self, now: Instant, internal: Endpoint, poller: &Poller) -> io::Result<u32> {
        let v4 = internal.addr.is_v4();
        let any = if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let descriptor = self.descriptors.take()?;
        let socket = socket::udp(family_of(internal))?;
        socket::bind(&socket, SocketAddr::new(any, 0))?;
        let key = self.insert(now, socket, Some(descriptor), internal, Kind::Outward, poller)?;
        self.by_internal.insert(internal, key);
        self.deadlines.push(Reverse((now + UNREPLIED, key)));
        Ok(key)
    }

    fn insert(
        &mut self,
        now: Instant,
        socket: OwnedFd,
        descriptor: Option<Descriptor>,
        internal: Endpoint,
        kind: Kind,
        poller: &Poller,
    ) -> io::Result<u32> {
        error_queue::enable(&socket, family_of(internal))?;
        // A kernel that can't join datagrams hands them over one by one.
        let _ = socket::set_udp_gro(&socket);
        socket::count_overflow(&socket)?;
        socket::set_buffers(&socket, BUFFER_BYTES, BUFFER_BYTES)?;
        let entry = self.mappings.vacant_entry();
        let key = entry.key() as u32;
        poller.add(&socket, Token::Datagram(key).into(), Interest::Read)?;
        entry.insert(Mapping::new(socket, descriptor, internal, kind, now));
        Ok(key)
    }

    /// A socket of the host is ready.
    pub(super) fn on_ready(&mut self, key: u32, ready: Ready) {
        if self.mappings.contains(key as usize) {
            if ready.error {
                self.read_errors(key);
            }
            self.work.push(key);
        }
    }

    /// Reads what has come, for each socket that is ready up to its turn, and sends it to the program.
    pub(super) fn work<F: FrameSink>(&mut self, now: Instant, stack: &mut Stack, wire: &mut F) {
        for key in std::mem::take(&mut self.work) {
            if self.mappings.contains(key as usize) && self.receive(now, key, stack, wire) {
                self.work.push(key);
            }
        }
    }

    /// Moves what one socket has received; `true` when there may be more.
    fn receive<F: FrameSink>(&mut self, now: Instant, key: u32, stack: &mut Stack, wire: &mut F) -> bool {
        let mut batch = self.batch.take().unwrap_or_else(|| DatagramBuffers::new(BATCH, DATAGRAM_MAX));
        let mut more = true;
        for _ in 0..BATCHES_A_TURN {
            match batch.receive(&self.mappings[key as usize].socket) {
                Ok(count) => {
                    for received in batch.iter() {
                        if let Some(overflowed) = received.overflowed {
                            let lost = self.mappings[key as usize].newly_overflowed(overflowed);
                            self.drops.count_many(DropReason::HostQueueFull, lost.into());
                        }
                        let gso_size = received.segment.unwrap_or(0);
                        let size = (received.bytes.len(), gso_size);
                        let Some(way) = self.way_inside(now, key, received.from, size) else { continue };
                        self.deliver(way, received.bytes, gso_size, stack, wire);
                    }
                    self.flush_inward(stack, wire);
                    if count < BATCH {
                        more = false;
                        break;
                    }
                }
                Err(_) => {
                    self.read_errors(key);
                }
            }
        }
        self.batch = Some(batch);
        more
    }

    /// Takes a datagram to the program, with those that come the same way.
    fn deliver<F: FrameSink>(
        &mut self,
        way: Inward,
        payload: &[u8],
        gso_size: u16,
        stack: &mut Stack,
        wire: &mut F,
    ) {
        let joins = gso_size == 0 && stack.config().capabilities.uso;
        if joins && self.inward.push(way, payload) {
            return;
        }
        self.flush_inward(stack, wire);
        if joins && Gathered::<Inward>::may_begin_with(payload) {
            self.inward.begin(way, payload);
        } else {
            send_inside(way, payload, gso_size, stack, wire);
        }
    }

    fn flush_inward<F: FrameSink>(&mut self, stack: &mut Stack, wire: &mut F) {
        if let Some(way) = self.inward.way() {
            let (payload, gso_size) = self.inward.whole();
            send_inside(way, payload, gso_size, stack, wire);
            self.inward.clear();
        }
    }

    /// From whom and for whom a datagram is that a socket received, as the program sees it; it counts with its bytes and the
    /// size of those that came as one.
    fn way_inside(
        &mut self,
        now: Instant,
        key: u32,
        from: SocketAddr,
        (bytes, gso_size): (usize, u16),
    ) -> Option<Inward> {
        let mapping = &mut self.mappings[key as usize];
        if mapping.kind == Kind::Outward {
            let (source, destination) = (self.addresses.inside(from)?, mapping.internal);
            if self.passes.inward(now, (destination, source)) == Gate::Denied {
                self.drops.count(DropReason::DestinationDenied);
                return None;
            }
            self.mappings[key as usize].on_received(now, bytes, gso_size);
            return Some(Inward { source, destination });
        }
        let served = mapping.internal;
        if let Some(&alias) = self.aliases.get(&(key, from)) {
            if let Some(client) = self.clients.get_mut(&(served, alias)) {
                client.last = now;
                client.received.add(bytes, gso_size);
            }
            return Some(Inward { source: alias, destination: served });
        }
        let addr = Addr::from(from.ip().to_canonical());
        if !self.publish_from.is_empty() && !self.publish_from.iter().any(|network| network.contains(addr)) {
            self.drops.count(DropReason::DestinationDenied);
            return None;
        }
        let family = if from.is_ipv4() == served.addr.is_v4() { Family::Same } else { Family::Other };
        let (mut shown, _) = self.addresses.published(from, served.port, family)?;
        // Two clients of the host's loopback may have the same port: the second one is shown with another.
        let mut tries = 0;
        while self
            .clients
            .get(&(served, shown))
            .is_some_and(|other| other.mapping != key || other.address != from)
        {
            shown.port = shown.port.checked_add(1).unwrap_or(1024);
            tries += 1;
            if tries > 1000 {
                return None;
            }
        }
        let mut received = Count::default();
        received.add(bytes, gso_size);
        let sent = Count::default();
        let client = Client { mapping: key, address: from, opened: now, last: now, sent, received };
        self.clients.insert((served, shown), client);
        self.aliases.insert((key, from), shown);
        self.deadlines.push(Reverse((now + REPLIED, key)));
        Some(Inward { source: shown, destination: served })
    }

    /// Reads the error queue of a socket. What the host itself found too big for a path that it knows is not about a datagram
    /// that was sent; its MTU is returned.
    fn read_errors(&mut self, key: u32) -> Option<u32> {
        let mut room = [0; QUOTED_MAX];
        let mut known_mtu = None;
        while let Ok(Some(queued)) = error_queue::take(&self.mappings[key as usize].socket, &mut room) {
            let mapping = &self.mappings[key as usize];
            if queued.origin == ErrorOrigin::Local {
                known_mtu =
                    (queued.number == Errno::MSGSIZE.raw_os_error()).then_some(queued.info).or(known_mtu);
                continue;
            }
            let Some(error) = icmp_error(&queued, mapping.internal.addr.is_v4()) else { continue };
            let Some(destination) = queued.destination else { continue };
            let remote = match self.aliases.get(&(key, destination)) {
                Some(&alias) => Some(alias),
                None => self.addresses.inside(destination),
            };
            let Some(remote) = remote else { continue };
            self.failures.push(Failure {
                offender: queued.offender.map(Addr::from).filter(|addr| !addr.is_loopback()),
                error,
                tuple: Tuple { protocol: Protocol::Udp, local: mapping.internal, remote },
                payload: room[..queued.payload_bytes].to_vec(),
            });
        }
        known_mtu
    }

    /// Tells the program what became of the datagrams that failed, and counts what was dropped.
    pub(super) fn report(&mut self, stack: &mut Stack) {
        if self.drops.iter().next().is_some() {
            for (reason, count) in std::mem::take(&mut self.drops).iter() {
                stack.count_drops(reason, count);
            }
        }
        for failure in self.failures.drain(..) {
            stack.relay_icmp(failure.offender, failure.error, failure.tuple, &failure.payload);
        }
    }

    /// Closes the published ports. The program has ended, and all that it sent through them is on its way.
    pub(super) fn close_published(&mut self) {
        self.mappings.retain(|_, mapping| mapping.kind != Kind::Published);
        self.clients.clear();
        self.aliases.clear();
    }

    /// Whether the program has sent a datagram within `span` before `now`.
    pub(super) fn has_sent_since(&self, now: Instant, span: Duration) -> bool {
        let sent =
            |mapping: &Mapping| mapping.last_sent > Instant::ZERO && now.since(mapping.last_sent) < span;
        self.mappings.iter().any(|(_, mapping)| sent(mapping))
    }

    /// When [`Datagrams::handle_timeout`] has to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Ends the mappings and forgets the clients whose time has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&Reverse((at, key))) = self.deadlines.peek() {
            if at > now {
                return;
            }
            self.deadlines.pop();
            let Some(mapping) = self.mappings.get(key as usize) else { continue };
            let next = match mapping.kind {
                Kind::Published => self.forget_clients(now, key),
                Kind::Outward => {
                    let ends = mapping.last_sent + if mapping.replied { REPLIED } else { UNREPLIED };
                    (ends > now).then_some(ends)
                }
            };
            match next {
                Some(at) => self.deadlines.push(Reverse((at, key))),
                None if self.mappings[key as usize].kind == Kind::Outward => {
                    let mapping = self.mappings.remove(key as usize);
                    self.by_internal.remove(&mapping.internal);
                }
                None => {}
            }
        }
    }

    /// Forgets the silent clients of a published socket; when to look again, if any are left.
    fn forget_clients(&mut self, now: Instant, key: u32) -> Option<Instant> {
        let aliases = &mut self.aliases;
        let mut oldest = None;
        self.clients.retain(|_, client| {
            if client.mapping != key {
                return true;
            }
            let ends = client.last + REPLIED;
            if ends <= now {
                aliases.remove(&(key, client.address));
                return false;
            }
            oldest = Some(oldest.map_or(ends, |at: Instant| at.min(ends)));
            true
        });
        oldest
    }
}

fn send_inside<F: FrameSink>(way: Inward, payload: &[u8], gso_size: u16, stack: &mut Stack, wire: &mut F) {
    let Inward { source, destination } = way;
    let datagram = DatagramOut {
        protocol: Protocol::Udp,
        source,
        destination,
        payload,
        gso_size,
        fields: DatagramFields::default(),
    };
    // What the link does not take is lost, and counted by the stack.
    let _ = stack.send_datagram(&datagram, wire);
}

fn tuple_of(datagram: &DatagramIn<'_>) -> Tuple {
    Tuple { protocol: Protocol::Udp, local: datagram.source, remote: datagram.destination }
}

/// The ICMP error that a queued one stands for (RFC 792, RFC 4443).
pub(super) fn icmp_error(queued: &QueuedError, v4: bool) -> Option<IcmpError> {
    Some(match (v4, queued.icmp_type, queued.icmp_code) {
        _ if queued.number == Errno::MSGSIZE.raw_os_error() => IcmpError::TooBig(queued.info),
        _ if queued.origin == ErrorOrigin::Local => return None,
        (true, 3, 0 | 5 | 6 | 8 | 11) | (false, 1, 0) => IcmpError::Unreachable(Unreachable::Network),
        (true, 3, 2) => IcmpError::Unreachable(Unreachable::Protocol),
        (true, 3, 3) | (false, 1, 4) => IcmpError::Unreachable(Unreachable::Port),
        (true, 3, 9 | 10 | 13) | (false, 1, 1 | 5 | 6) => IcmpError::Unreachable(Unreachable::Prohibited),
        (true, 3, _) | (false, 1, _) => IcmpError::Unreachable(Unreachable::Host),
        (true, 11, _) | (false, 3, _) => IcmpError::HopLimitExceeded,
        (false, 4, 1) => IcmpError::Unreachable(Unreachable::Protocol),
        _ => return None,
    })
}

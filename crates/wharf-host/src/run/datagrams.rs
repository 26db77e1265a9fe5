//! UDP flows: one socket of the host for each endpoint of the program (endpoint-independent mapping, RFC 4787, REQ-1), and
//! the published UDP ports.
//!
//! A mapping lives two minutes after the last datagram that went out, five where there was a reply (RFC 4787, REQ-5; Linux'
//! conntrack uses the same two classes). Errors that the network reports come back through the socket's error queue and are
//! relayed into the program's network, quoted as it sent the datagram.
//!
//! Invariant: a mapping is found by the program's endpoint and by its socket's index, and both vanish together.

mod gathered;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use slab::Slab;
use std::collections::HashMap;
use wharf_stack::interface::FrameSink;
use wharf_stack::stack::{DatagramIn, DatagramOut, IcmpError, Stack, Unreachable};
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::socket::datagram::{self, DatagramBuffers, Outgoing};
use wharf_sys::socket::error_queue::{self, ErrorOrigin, QueuedError};
use wharf_sys::socket::{self, Switch};
use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};

use self::gathered::Gathered;
use super::addresses::{Addresses, Family};
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
/// As much of a datagram as an error quotes into the program's network, in bytes.
const QUOTED_MAX: usize = 1280;
/// Hops left with which sockets send unless the program chose its own; a gateway takes one of the usual 64.
const USUAL_HOP_LIMIT: u8 = 63;

/// The host's side of a UDP endpoint of the program.
struct Mapping {
    socket: OwnedFd,
    /// The program's endpoint. For a published socket, the endpoint that is served.
    internal: Endpoint,
    kind: Kind,
    last_sent: Instant,
    replied: bool,
    hop_limit: u8,
    path_mtu_discovery: PathMtu,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Made by the program's first datagram; ends by itself.
    Outward,
    /// A published port; stays.
    Published,
}

/// Whether the host may fragment what a socket sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PathMtu {
    /// It may.
    Want,
    /// Never: the program said so.
    Do,
}

/// A client of a published port that the program has been shown.
struct Client {
    mapping: u32,
    address: SocketAddr,
    last: Instant,
}

/// What has to be said to the program about a datagram that it sent.
struct Failure {
    offender: Option<Addr>,
    error: IcmpError,
    tuple: Tuple,
    payload: Vec<u8>,
}

/// Every UDP flow of a run.
pub(super) struct Datagrams {
    addresses: Addresses,
    mappings: Slab<Mapping>,
    by_internal: HashMap<Endpoint, u32>,
    /// By the served endpoint and the client as the program sees it.
    clients: HashMap<(Endpoint, Endpoint), Client>,
    /// The client as the program sees it, by mapping and the client's true address, where the two differ.
    aliases: HashMap<(u32, SocketAddr), Endpoint>,
    /// When to look at a mapping or at the clients again.
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    failures: Vec<Failure>,
    gathered: Gathered,
    batch: Option<DatagramBuffers>,
    work: Vec<u32>,
}

impl Datagrams {
    pub(super) fn new(addresses: Addresses) -> Datagrams {
        Datagrams {
            addresses,
            mappings: Slab::new(),
            by_internal: HashMap::new(),
            clients: HashMap::new(),
            aliases: HashMap::new(),
            deadlines: BinaryHeap::new(),
            failures: Vec::new(),
            gathered: Gathered::default(),
            batch: None,
            work: Vec::new(),
        }
    }

    /// Takes a published socket that serves `internal`.
    pub(super) fn publish(&mut self, socket: OwnedFd, internal: Endpoint, poller: &Poller) -> io::Result<()> {
        self.insert(Instant::ZERO, socket, internal, Kind::Published, poller).map(|_| ())
    }

    /// Whether a socket waits for its turn.
    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Carries a datagram of the program outside. Datagrams of one size to one place are gathered until [`Datagrams::flush`].
    /// What fails is told by [`Datagrams::report`].
    pub(super) fn send(
        &mut self,
        now: Instant,
        datagram: &DatagramIn<'_>,
        poller: &Poller,
    ) -> Result<(), DropReason> {
        if let Some(client) = self.clients.get_mut(&(datagram.source, datagram.destination)) {
            client.last = now;
            let (mapping, address) = (client.mapping, client.address);
            return self.gather(now, mapping, address, datagram);
        }
        if self.addresses.is_gateway(datagram.destination.addr) {
            let tuple = tuple_of(datagram);
            let error = IcmpError::Unreachable(Unreachable::Port);
            self.failures.push(Failure { offender: None, error, tuple, payload: datagram.payload.to_vec() });
            return Err(DropReason::NoListener);
        }
        let key = match self.by_internal.get(&datagram.source) {
            Some(&key) => key,
            None => self.open(now, datagram.source, poller).map_err(|_| DropReason::NoFlow)?,
        };
        self.gather(now, key, self.addresses.outside(datagram.destination), datagram)
    }

    /// Puts a datagram behind those that are gathered, where it goes the same way; else those are sent first.
    fn gather(
        &mut self,
        now: Instant,
        key: u32,
        to: SocketAddr,
        datagram: &DatagramIn<'_>,
    ) -> Result<(), DropReason> {
        if self.gathered.takes(key, to, datagram) {
            self.gathered.push(datagram);
            return Ok(());
        }
        let sent = self.flush(now);
        if Gathered::may_begin_with(datagram) {
            self.gathered.begin(key, to, datagram);
            return sent;
        }
        sent.and(self.send_through(now, key, to, datagram))
    }

    /// Sends what is gathered: in one call, cut by the kernel (`UDP_SEGMENT`), or one by one where it can't.
    ///
    /// # Errors
    /// Why the last one that failed was dropped.
    pub(super) fn flush(&mut self, now: Instant) -> Result<(), DropReason> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let result = match gathered.destination() {
            None => Ok(()),
            Some((key, to)) if self.mappings.contains(key as usize) => {
                if gathered.count() > 1 && self.send_at_once(now, key, to, &gathered) {
                    Ok(())
                } else {
                    let one = |datagram| self.send_through(now, key, to, &datagram);
                    gathered.iter().map(one).fold(Ok(()), Result::and)
                }
            }
            Some(_) => Err(DropReason::NoFlow),
        };
        gathered.clear();
        self.gathered = gathered;
        result
    }

    /// Sends all that is gathered in one call; `false` when the host does not take it so.
    fn send_at_once(&mut self, now: Instant, key: u32, to: SocketAddr, gathered: &Gathered) -> bool {
        let mapping = &mut self.mappings[key as usize];
        let whole = gathered.whole();
        mapping.prepare(now, &whole);
        mapping.send(to, &whole).is_ok()
    }

    fn open(&mut self, now: Instant, internal: Endpoint, poller: &Poller) -> io::Result<u32> {
        let v4 = internal.addr.is_v4();
        let any = if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let socket = socket::udp(family_of(internal))?;
        socket::bind(&socket, SocketAddr::new(any, 0))?;
        let key = self.insert(now, socket, internal, Kind::Outward, poller)?;
        self.by_internal.insert(internal, key);
        self.deadlines.push(Reverse((now + UNREPLIED, key)));
        Ok(key)
    }

    fn insert(
        &mut self,
        now: Instant,
        socket: OwnedFd,
        internal: Endpoint,
        kind: Kind,
        poller: &Poller,
    ) -> io::Result<u32> {
        error_queue::enable(&socket, family_of(internal))?;
        // A kernel that can't join datagrams hands them over one by one.
        let _ = socket::set_udp_gro(&socket);
        let entry = self.mappings.vacant_entry();
        let key = entry.key() as u32;
        poller.add(&socket, Token::Datagram(key).into(), Interest::Read)?;
        entry.insert(Mapping {
            socket,
            internal,
            kind,
            last_sent: now,
            replied: false,
            hop_limit: 0,
            path_mtu_discovery: PathMtu::Want,
        });
        Ok(key)
    }

    fn send_through(
        &mut self,
        now: Instant,
        key: u32,
        to: SocketAddr,
        datagram: &DatagramIn<'_>,
    ) -> Result<(), DropReason> {
        let mapping = &mut self.mappings[key as usize];
        mapping.prepare(now, datagram);
        let result = mapping.send(to, datagram);
        let Err(error) = result else { return Ok(()) };
        let tuple = tuple_of(datagram);
        let failure = |error| Failure { offender: None, error, tuple, payload: datagram.payload.to_vec() };
        match Errno::from_io_error(&error) {
            Some(Errno::MSGSIZE) => {
                // The path is smaller than the datagram, and it must not be cut: the program is told, as by any router.
                if let Some(mtu) = self.read_errors(key) {
                    self.failures.push(failure(IcmpError::TooBig(mtu)));
                }
                Err(DropReason::TooBig)
            }
            Some(Errno::NETUNREACH | Errno::NETDOWN) => {
                self.failures.push(failure(IcmpError::Unreachable(Unreachable::Network)));
                Err(DropReason::HostRefused)
            }
            Some(Errno::HOSTUNREACH | Errno::HOSTDOWN) => {
                self.failures.push(failure(IcmpError::Unreachable(Unreachable::Host)));
                Err(DropReason::HostRefused)
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                self.failures.push(failure(IcmpError::Unreachable(Unreachable::Prohibited)));
                Err(DropReason::HostRefused)
            }
            _ => Err(DropReason::HostRefused),
        }
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
                        let from = received.from;
                        let Some((source, destination)) = self.endpoints_inside(now, key, from) else {
                            continue;
                        };
                        let datagram = DatagramOut {
                            protocol: Protocol::Udp,
                            source,
                            destination,
                            payload: received.bytes,
                            gso_size: received.segment.unwrap_or(0),
                        };
                        // What the link does not take is lost, and counted by the stack.
                        let _ = stack.send_datagram(&datagram, wire);
                    }
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

    /// From whom and for whom a datagram is that a socket received, as the program sees it.
    fn endpoints_inside(&mut self, now: Instant, key: u32, from: SocketAddr) -> Option<(Endpoint, Endpoint)> {
        let mapping = &mut self.mappings[key as usize];
        if mapping.kind == Kind::Outward {
            mapping.replied = true;
            return Some((self.addresses.inside(from)?, mapping.internal));
        }
        let served = mapping.internal;
        if let Some(&alias) = self.aliases.get(&(key, from)) {
            if let Some(client) = self.clients.get_mut(&(served, alias)) {
                client.last = now;
            }
            return Some((alias, served));
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
        self.clients.insert((served, shown), Client { mapping: key, address: from, last: now });
        self.aliases.insert((key, from), shown);
        self.deadlines.push(Reverse((now + REPLIED, key)));
        Some((shown, served))
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

    /// Tells the program what became of the datagrams that failed.
    pub(super) fn report(&mut self, stack: &mut Stack) {
        for failure in self.failures.drain(..) {
            stack.relay_icmp(failure.offender, failure.error, failure.tuple, &failure.payload);
        }
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

impl Mapping {
    /// Sets the socket to how a datagram is to be sent.
    fn prepare(&mut self, now: Instant, datagram: &DatagramIn<'_>) {
        self.last_sent = now;
        self.set_hop_limit(datagram.hop_limit);
        self.set_path_mtu_discovery(if datagram.dont_fragment { PathMtu::Do } else { PathMtu::Want });
    }

    /// Sends once more where only an error of an earlier datagram was reported in place of sending.
    fn send(&self, to: SocketAddr, datagram: &DatagramIn<'_>) -> io::Result<()> {
        let parts = [IoSlice::new(datagram.payload)];
        let segment = (datagram.gso_size > 0).then_some(datagram.gso_size);
        let outgoing = Outgoing { parts: &parts, to: Some(to), from: None, segment };
        match datagram::send(&self.socket, &outgoing) {
            Err(error) if is_of_an_earlier_datagram(&error) => {
                datagram::send(&self.socket, &outgoing).map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    /// The first hop is the gateway, so the host sends with one less than the program.
    fn set_hop_limit(&mut self, hop_limit: u8) {
        if self.hop_limit == hop_limit || (self.hop_limit == 0 && hop_limit == USUAL_HOP_LIMIT) {
            return;
        }
        self.hop_limit = hop_limit;
        let _ = socket::set_hop_limit(&self.socket, family_of(self.internal), hop_limit.max(1));
    }

    fn set_path_mtu_discovery(&mut self, wanted: PathMtu) {
        if self.path_mtu_discovery != wanted {
            self.path_mtu_discovery = wanted;
            let switch = if wanted == PathMtu::Do { Switch::On } else { Switch::Off };
            let _ = socket::set_dont_fragment(&self.socket, family_of(self.internal), switch);
        }
    }
}

fn tuple_of(datagram: &DatagramIn<'_>) -> Tuple {
    Tuple { protocol: Protocol::Udp, local: datagram.source, remote: datagram.destination }
}

/// The socket family of an endpoint.
pub(super) fn family_of(internal: Endpoint) -> socket::Family {
    socket::Family::of(internal.addr.ip())
}

/// Errors that `send` reports of what happened to an earlier datagram (`socket(7)`, SO_ERROR).
fn is_of_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::PROTO | Errno::NOPROTOOPT)
    )
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

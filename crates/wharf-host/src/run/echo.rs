//! Ping: ICMP echo of the program through the host's ping sockets, or, with the right, raw ones.
//!
//! A ping socket (`SOCK_DGRAM`, `IPPROTO_ICMP`) needs the user's group in `net.ipv4.ping_group_range`; the kernel gives it
//! an identifier of its own, so the program's is put back into what returns (RFC 5508, section 3).

mod listed;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use slab::Slab;
use std::collections::HashMap;
use wharf_stack::interface::FrameSink;
use wharf_stack::stack::{DatagramFields, DatagramIn, DatagramOut, IcmpError, Stack, Unreachable};
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::socket::datagram::{self, DatagramBuffers, Outgoing};
use wharf_sys::socket::{self, PingKind, error_queue};
use wharf_table::{Addr, Endpoint, Instant, Protocol, Tuple};

use super::addresses::Addresses;
use super::datagrams::{family_of, icmp_error};
use super::descriptors::{Descriptor, Descriptors, is_shortage};
use super::flows::Count;
use super::guard::{Denial, Gate, Guard, Passes, Ruling};
use super::token::Token;

/// How long an identifier is kept after its last request (RFC 5508, REQ-2: at least 60 s).
const KEPT: Duration = Duration::from_secs(60);
/// The most identifiers at a time.
const MAPPINGS_MAX: usize = 1024;
/// Messages of one batch, and the room for each, in bytes.
const BATCH: usize = 8;
/// Batches read from one socket before the others have their turn.
const BATCHES_A_TURN: usize = 8;
const MESSAGE_MAX: usize = 65_536;
/// As much of a request as an error quotes, in bytes.
const QUOTED_MAX: usize = 1280;
/// The header of an echo message of either family, bytes.
const HEADER_LEN: usize = 8;

struct Mapping {
    socket: OwnedFd,
    _descriptor: Descriptor,
    kind: PingKind,
    /// The program's address and identifier.
    internal: Endpoint,
    /// The identifier on the wire outside; a raw socket's own choice.
    ident: u16,
    opened: Instant,
    last_sent: Instant,
    /// Who was asked last.
    last_to: Addr,
    /// Requests of the program, and the replies to it.
    sent: Count,
    received: Count,
    hop_limit: u8,
}

/// Every echo conversation of a run.
pub(super) struct Echoes {
    addresses: Addresses,
    descriptors: Descriptors,
    mappings: Slab<Mapping>,
    by_internal: HashMap<Endpoint, u32>,
    deadlines: BinaryHeap<Reverse<(Instant, u32)>>,
    relayed: Vec<(Option<Addr>, IcmpError, Tuple, Vec<u8>)>,
    batch: Option<DatagramBuffers>,
    work: Vec<u32>,
    next_ident: u16,
    passes: Passes,
}

impl Echoes {
    pub(super) fn new(addresses: Addresses, descriptors: Descriptors, seed: u64, guard: Guard) -> Echoes {
        Echoes {
            addresses,
            descriptors,
            mappings: Slab::new(),
            by_internal: HashMap::new(),
            deadlines: BinaryHeap::new(),
            relayed: Vec::new(),
            batch: None,
            work: Vec::new(),
            next_ident: seed as u16,
            passes: Passes::new(guard, Protocol::Icmp),
        }
    }

    /// What was denied, or would have been.
    pub(super) fn poll_denied(&mut self) -> Option<(Tuple, Box<Ruling>)> {
        self.passes.poll_denied()
    }

    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Carries an echo request outside.
    ///
    /// # Errors
    /// What the host said when it gave no socket; the program has been told, and this is how it could be had.
    pub(super) fn send(&mut self, now: Instant, request: &DatagramIn<'_>, poller: &Poller) -> io::Result<()> {
        if request.payload.len() < HEADER_LEN {
            return Ok(());
        }
        let pair = (request.source, request.destination);
        if self.passes.outward(now, pair, request.payload, None) == Gate::Denied {
            // A RST is nothing that a ping knows.
            if self.passes.guard().denial() != Denial::Silent {
                let error = IcmpError::Unreachable(Unreachable::Prohibited);
                self.relayed.push((None, error, tuple_of(request), request.payload.to_vec()));
            }
            return Ok(());
        }
        let key = match self.by_internal.get(&request.source) {
            Some(&key) => key,
            None => match self.open(now, request.source, poller) {
                Ok(key) => key,
                Err(error) => return self.turn_down(error, request),
            },
        };
        let mapping = &mut self.mappings[key as usize];
        mapping.last_sent = now;
        mapping.last_to = request.destination.addr;
        mapping.sent.add(request.payload.len(), 0);
        mapping.set_hop_limit(request.hop_limit);
        let mut message = request.payload.to_vec();
        message[4..6].copy_from_slice(&mapping.ident.to_be_bytes());
        // The kernel sums up ping messages and raw ICMPv6; raw ICMP it sends as it is.
        if mapping.kind == PingKind::Raw && request.source.addr.is_v4() {
            message[2..4].fill(0);
            let checksum = wharf_wire::checksum::checksum(&message);
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
        let mut to = self.addresses.outside(request.destination);
        to.set_port(0);
        let parts = [IoSlice::new(&message)];
        let outgoing = Outgoing { parts: &parts, to: Some(to), from: None, segment: None };
        // An error may be that of an earlier request: the second call tells.
        let once = || datagram::send(&mapping.socket, &outgoing);
        if once().is_err()
            && let Err(error) = once()
        {
            let error = match error.kind() {
                io::ErrorKind::NetworkUnreachable => IcmpError::Unreachable(Unreachable::Network),
                io::ErrorKind::HostUnreachable => IcmpError::Unreachable(Unreachable::Host),
                io::ErrorKind::PermissionDenied => IcmpError::Unreachable(Unreachable::Prohibited),
                _ => return Ok(()),
            };
            self.relayed.push((None, error, tuple_of(request), request.payload.to_vec()));
        }
        Ok(())
    }

    /// There is no socket for a newcomer: there may be one later, or never.
    fn turn_down(&mut self, error: io::Error, request: &DatagramIn<'_>) -> io::Result<()> {
        self.descriptors.note(&error);
        let is_full = is_shortage(&error) || error.kind() == io::ErrorKind::QuotaExceeded;
        let why = if is_full { Unreachable::Host } else { Unreachable::Prohibited };
        let told = (None, IcmpError::Unreachable(why), tuple_of(request), request.payload.to_vec());
        self.relayed.push(told);
        if is_full { Ok(()) } else { Err(error) }
    }

    fn open(&mut self, now: Instant, internal: Endpoint, poller: &Poller) -> io::Result<u32> {
        if self.mappings.len() >= MAPPINGS_MAX {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let descriptor = self.descriptors.take()?;
        let (socket, kind) = socket::ping(family_of(internal))?;
        error_queue::enable(&socket, family_of(internal))?;
        let entry = self.mappings.vacant_entry();
        let key = entry.key() as u32;
        poller.add(&socket, Token::Echo(key).into(), Interest::Read)?;
        self.next_ident = self.next_ident.wrapping_add(0x9e37);
        let ident = if kind == PingKind::Raw { self.next_ident } else { internal.port };
        entry.insert(Mapping {
            socket,
            _descriptor: descriptor,
            kind,
            internal,
            ident,
            opened: now,
            last_sent: now,
            last_to: internal.addr,
            sent: Count::default(),
            received: Count::default(),
            hop_limit: 0,
        });
        self.by_internal.insert(internal, key);
        self.deadlines.push(Reverse((now + KEPT, key)));
        Ok(key)
    }

    pub(super) fn on_ready(&mut self, key: u32, ready: Ready) {
        if self.mappings.contains(key as usize) {
            if ready.error {
                self.read_errors(key);
            }
            self.work.push(key);
        }
    }

    /// Takes the replies that have come to the program.
    pub(super) fn work<F: FrameSink>(&mut self, stack: &mut Stack, wire: &mut F) {
        for key in std::mem::take(&mut self.work) {
            if self.mappings.contains(key as usize) {
                self.receive(key, stack, wire);
            }
        }
    }

    fn receive<F: FrameSink>(&mut self, key: u32, stack: &mut Stack, wire: &mut F) {
        let mut batch = self.batch.take().unwrap_or_else(|| DatagramBuffers::new(BATCH, MESSAGE_MAX));
        for _ in 0..BATCHES_A_TURN {
            let mapping = &mut self.mappings[key as usize];
            let Ok(count) = batch.receive(&mapping.socket) else {
                self.read_errors(key);
                continue;
            };
            for received in batch.iter() {
                if let Some((source, message)) = mapping.reply(&self.addresses, received.from, received.bytes)
                {
                    mapping.received.add(message.len(), 0);
                    let destination = Endpoint::new(mapping.internal.addr, 0);
                    let payload = &message;
                    let datagram = DatagramOut {
                        protocol: Protocol::Icmp,
                        source,
                        destination,
                        payload,
                        gso_size: 0,
                        fields: DatagramFields::default(),
                    };
                    // What the link does not take is lost, and counted by the stack.
                    let _ = stack.send_datagram(&datagram, wire);
                }
            }
            if count < BATCH {
                self.batch = Some(batch);
                return;
            }
        }
        self.batch = Some(batch);
        self.work.push(key);
    }

    fn read_errors(&mut self, key: u32) {
        let mapping = &self.mappings[key as usize];
        let v4 = mapping.internal.addr.is_v4();
        let mut room = [0; QUOTED_MAX];
        while let Ok(Some(queued)) = error_queue::take(&mapping.socket, &mut room) {
            let Some(error) = icmp_error(&queued, v4) else { continue };
            let Some(destination) = queued.destination else { continue };
            let mut message = room[..queued.payload_bytes].to_vec();
            let ours = message.get(4..6) == Some(&mapping.ident.to_be_bytes());
            if message.len() < HEADER_LEN || (mapping.kind == PingKind::Raw && !ours) {
                continue;
            }
            message[4..6].copy_from_slice(&mapping.internal.port.to_be_bytes());
            let Some(remote) = self.addresses.inside(destination) else { continue };
            let tuple = Tuple { protocol: Protocol::Icmp, local: mapping.internal, remote };
            self.relayed.push((queued.offender.map(Addr::from), error, tuple, message));
        }
    }

    /// Tells the program what became of the requests that failed.
    pub(super) fn report(&mut self, stack: &mut Stack) {
        for (offender, error, tuple, message) in self.relayed.drain(..) {
            stack.relay_icmp(offender, error, tuple, &message);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&Reverse((at, key))) = self.deadlines.peek() {
            if at > now {
                return;
            }
            self.deadlines.pop();
            let Some(mapping) = self.mappings.get(key as usize) else { continue };
            let ends = mapping.last_sent + KEPT;
            if ends > now {
                self.deadlines.push(Reverse((ends, key)));
            } else {
                let mapping = self.mappings.remove(key as usize);
                self.by_internal.remove(&mapping.internal);
            }
        }
    }
}

impl Mapping {
    fn set_hop_limit(&mut self, hop_limit: u8) {
        if self.hop_limit != hop_limit {
            self.hop_limit = hop_limit;
            let _ = socket::set_hop_limit(&self.socket, family_of(self.internal), hop_limit.max(1));
        }
    }

    /// An echo reply for this mapping with the program's identifier, and who sent it as the program sees it.
    fn reply(&self, addresses: &Addresses, from: SocketAddr, bytes: &[u8]) -> Option<(Endpoint, Vec<u8>)> {
        let v4 = self.internal.addr.is_v4();
        let header =
            if v4 && self.kind == PingKind::Raw { usize::from(bytes.first()? & 0x0f) * 4 } else { 0 };
        let message = bytes.get(header..)?;
        let echo_reply = if v4 { 0 } else { 129 };
        if message.len() < HEADER_LEN || message[0] != echo_reply || message[1] != 0 {
            return None;
        }
        if self.kind == PingKind::Raw && message[4..6] != self.ident.to_be_bytes() {
            return None;
        }
        let mut message = message.to_vec();
        message[4..6].copy_from_slice(&self.internal.port.to_be_bytes());
        let source = addresses.inside(from)?;
        Some((Endpoint::new(source.addr, 0), message))
    }
}

fn tuple_of(request: &DatagramIn<'_>) -> Tuple {
    Tuple { protocol: Protocol::Icmp, local: request.source, remote: request.destination }
}

/// Why `ping` can't work here, and what would let it.
pub(super) fn advice(error: &io::Error) -> String {
    const SETTING: &str = "net.ipv4.ping_group_range";
    let range = wharf_sys::proc::limits::sysctl(SETTING).unwrap_or_else(|| "hidden here".to_owned());
    let range = range.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "ping: the host gives no ICMP socket: {error} ({SETTING} is \"{range}\"; \
         sysctl -w {SETTING}=\"0 2147483647\" allows it)"
    )
}

//! The way outside: what a batch of the link brought is gathered, and goes in as few calls as can be.
//!
//! Datagrams of one size to one place are a train, which one message carries and the kernel cuts (`UDP_SEGMENT`); the trains
//! of one socket go together with `sendmmsg`. What fails is sent once more, datagram by datagram, so that each failure is told
//! of the one that it is about.
//!
//! Invariant: the datagrams of a socket leave in the order in which they came.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use wharf_stack::stack::{DatagramIn, IcmpError, Unreachable};
use wharf_table::{DropReason, Endpoint, Instant, Protocol};

use super::gathered::Gathered;
use super::{Datagrams, Failure, tuple_of};

/// The most trains that wait: a batch of the link rarely has more, and their memory is kept.
pub(super) const TRAINS_MAX: usize = 32;

/// The most bytes that leave at once: more would not fit the usual buffer of a receiver that has had no time to read.
const BYTES_MAX: usize = 65_000;

/// What the datagrams of one train have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outward {
    pub(super) key: u32,
    pub(super) to: SocketAddr,
    source: Endpoint,
    destination: Endpoint,
    hop_limit: u8,
    dont_fragment: bool,
}

impl Outward {
    fn of(key: u32, to: SocketAddr, datagram: &DatagramIn<'_>) -> Outward {
        let DatagramIn { source, destination, hop_limit, dont_fragment, .. } = *datagram;
        Outward { key, to, source, destination, hop_limit, dont_fragment }
    }

    fn datagram<'a>(&self, payload: &'a [u8], gso_size: u16) -> DatagramIn<'a> {
        let Outward { source, destination, hop_limit, dont_fragment, .. } = *self;
        let protocol = Protocol::Udp;
        DatagramIn {
            source,
            destination,
            protocol,
            binding: None,
            payload,
            gso_size,
            hop_limit,
            traffic_class: 0,
            dont_fragment,
        }
    }

    /// Whether both go through the same socket, set the same way.
    fn goes_with(&self, other: &Outward) -> bool {
        (self.key, self.hop_limit, self.dont_fragment) == (other.key, other.hop_limit, other.dont_fragment)
    }
}

/// The trains that wait, all for one socket. Those behind the last in use only keep their memory.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    trains: Vec<Gathered<Outward>>,
    used: usize,
    /// Bytes of all.
    bytes: usize,
}

impl Outbox {
    /// Puts a datagram that [may](Gathered::may_begin_with) begin a train behind the others; `false` when those have to go
    /// first.
    fn push(&mut self, way: Outward, payload: &[u8]) -> bool {
        if self.bytes + payload.len() > BYTES_MAX {
            return false;
        }
        if let Some(last) = self.waiting().last() {
            if last.way().is_some_and(|before| !before.goes_with(&way)) {
                return false;
            }
            if self.trains[self.used - 1].push(way, payload) {
                self.bytes += payload.len();
                return true;
            }
        }
        if self.used == TRAINS_MAX {
            return false;
        }
        if self.used == self.trains.len() {
            self.trains.push(Gathered::default());
        }
        self.trains[self.used].begin(way, payload);
        self.used += 1;
        self.bytes += payload.len();
        true
    }

    fn waiting(&self) -> &[Gathered<Outward>] {
        &self.trains[..self.used]
    }

    fn clear(&mut self) {
        self.trains[..self.used].iter_mut().for_each(Gathered::clear);
        self.used = 0;
        self.bytes = 0;
    }
}

impl Datagrams {
    /// Puts a datagram behind those that are gathered, where it goes through the same socket; else those are sent first.
    pub(super) fn gather(&mut self, now: Instant, key: u32, to: SocketAddr, datagram: &DatagramIn<'_>) {
        let way = Outward::of(key, to, datagram);
        // One that is many already goes alone, and so do those of which not two fit.
        let alone = datagram.gso_size > 0 || !Gathered::<Outward>::may_begin_with(datagram.payload);
        if !alone && self.outbox.push(way, datagram.payload) {
            return;
        }
        self.flush(now);
        if alone {
            self.send_alone(now, &way, datagram);
        } else {
            self.outbox.push(way, datagram.payload);
        }
    }

    /// Sends what is gathered.
    pub(in crate::run) fn flush(&mut self, now: Instant) {
        let Some(way) = self.outbox.waiting().first().and_then(Gathered::way) else { return };
        let mut outbox = std::mem::take(&mut self.outbox);
        if self.mappings.contains(way.key as usize) {
            self.send_trains(now, &way, outbox.waiting());
        } else {
            let lost = outbox.waiting().iter().map(Gathered::count).sum::<usize>();
            self.drops.count_many(DropReason::NoFlow, lost as u64);
        }
        outbox.clear();
        self.outbox = outbox;
    }

    fn send_trains(&mut self, now: Instant, way: &Outward, mut trains: &[Gathered<Outward>]) {
        let mapping = &mut self.mappings[way.key as usize];
        mapping.prepare(now, way.hop_limit, way.dont_fragment);
        mapping.last_to =
            trains.last().and_then(Gathered::way).map_or(way.destination, |way| way.destination);
        for train in trains {
            let (bytes, size) = train.whole();
            mapping.sent.add(bytes.len(), size);
        }
        while let Some(first) = trains.first() {
            match self.mappings[way.key as usize].send_trains(trains) {
                Ok(sent) if sent > 0 => trains = &trains[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let lost = trains.iter().map(Gathered::count).sum::<usize>();
                    self.drops.count_many(DropReason::HostQueueFull, lost as u64);
                    return;
                }
                // The host does not take the first so: one of its datagrams, or their being one message.
                _ => {
                    let way = first.way().expect("a train that waits has begun");
                    first.iter().for_each(|payload| self.send_through(&way, &way.datagram(payload, 0)));
                    trains = &trains[1..];
                }
            }
        }
    }

    fn send_alone(&mut self, now: Instant, way: &Outward, datagram: &DatagramIn<'_>) {
        let mapping = &mut self.mappings[way.key as usize];
        mapping.prepare(now, way.hop_limit, way.dont_fragment);
        mapping.last_to = way.destination;
        mapping.sent.add(datagram.payload.len(), datagram.gso_size);
        // Where the host can't cut, it may still take them one by one.
        if datagram.gso_size > 0 && self.mappings[way.key as usize].send(way.to, datagram).is_err() {
            for payload in datagram.payload.chunks(datagram.gso_size.into()) {
                self.send_through(way, &way.datagram(payload, 0));
            }
        } else if datagram.gso_size == 0 {
            self.send_through(way, datagram);
        }
    }

    /// Sends one datagram through a socket that is prepared, and notes why it could not be.
    fn send_through(&mut self, way: &Outward, datagram: &DatagramIn<'_>) {
        let Err(error) = self.mappings[way.key as usize].send(way.to, datagram) else { return };
        let tuple = tuple_of(datagram);
        let failure = |error| Failure { offender: None, error, tuple, payload: datagram.payload.to_vec() };
        let (told, reason) = match Errno::from_io_error(&error) {
            // The path is smaller than the datagram, and it must not be cut: the program is told, as by any router.
            Some(Errno::MSGSIZE) => (self.read_errors(way.key).map(IcmpError::TooBig), DropReason::TooBig),
            Some(Errno::AGAIN | Errno::NOBUFS) => (None, DropReason::HostQueueFull),
            other => (unreachable(other).map(IcmpError::Unreachable), DropReason::HostRefused),
        };
        self.failures.extend(told.map(failure));
        self.drops.count(reason);
    }
}

/// What a router would have said where the host refuses to send.
fn unreachable(refused: Option<Errno>) -> Option<Unreachable> {
    match refused? {
        Errno::NETUNREACH | Errno::NETDOWN => Some(Unreachable::Network),
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Some(Unreachable::Host),
        Errno::ACCESS | Errno::PERM => Some(Unreachable::Prohibited),
        _ => None,
    }
}

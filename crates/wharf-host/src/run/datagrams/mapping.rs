//! The host's side of one UDP endpoint: its socket, and how the socket is set to send.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use arrayvec::ArrayVec;
use rustix::io::Errno;
use wharf_stack::stack::DatagramIn;
use wharf_sys::socket::datagram::{self, Outgoing};
use wharf_sys::socket::{self, Switch};
use wharf_table::{Endpoint, Instant};

use super::super::descriptors::Descriptor;
use super::super::flows::Count;
use super::gathered::Gathered;
use super::outward::{Outward, TRAINS_MAX};

/// Hops left with which sockets send unless the program chose its own; a gateway takes one of the usual 64.
const USUAL_HOP_LIMIT: u8 = 63;

/// The host's side of a UDP endpoint of the program.
pub(super) struct Mapping {
    pub(super) socket: OwnedFd,
    _descriptor: Option<Descriptor>,
    /// The program's endpoint. For a published socket, the endpoint that is served.
    pub(super) internal: Endpoint,
    pub(super) kind: Kind,
    pub(super) opened: Instant,
    pub(super) last_sent: Instant,
    /// To whom that was; to itself as long as nothing was sent.
    pub(super) last_to: Endpoint,
    pub(super) last_received: Instant,
    /// From the program, and to it: of an outward one, the clients of a published port count for themselves.
    pub(super) sent: Count,
    pub(super) received: Count,
    pub(super) replied: bool,
    /// How many datagrams its buffer had no room for, as the host counts them.
    overflowed: u32,
    hop_limit: u8,
    path_mtu_discovery: PathMtu,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Made by the program's first datagram; ends by itself.
    Outward,
    /// A published port; stays.
    Published,
}

/// Whether the host may fragment what a socket sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PathMtu {
    /// It may.
    Want,
    /// Never: the program said so.
    Do,
}

impl Mapping {
    /// A mapping with a fresh socket, at `now`.
    pub(super) fn new(
        socket: OwnedFd,
        descriptor: Option<Descriptor>,
        internal: Endpoint,
        kind: Kind,
        now: Instant,
    ) -> Mapping {
        let path_mtu_discovery = PathMtu::Want;
        Mapping {
            socket,
            _descriptor: descriptor,
            internal,
            kind,
            opened: now,
            last_sent: now,
            last_to: internal,
            last_received: Instant::ZERO,
            sent: Count::default(),
            received: Count::default(),
            replied: false,
            overflowed: 0,
            hop_limit: 0,
            path_mtu_discovery,
        }
    }

    /// How many more than before are known to have been dropped at the socket.
    pub(super) fn newly_overflowed(&mut self, overflowed: u32) -> u32 {
        overflowed.wrapping_sub(std::mem::replace(&mut self.overflowed, overflowed))
    }

    /// A datagram has come, or many as one.
    pub(super) fn on_received(&mut self, now: Instant, bytes: usize, gso_size: u16) {
        self.replied = true;
        self.last_received = now;
        self.received.add(bytes, gso_size);
    }

    /// Sets the socket to how datagrams are to be sent.
    pub(super) fn prepare(&mut self, now: Instant, hop_limit: u8, dont_fragment: bool) {
        self.last_sent = now;
        self.set_hop_limit(hop_limit);
        self.set_path_mtu_discovery(if dont_fragment { PathMtu::Do } else { PathMtu::Want });
    }

    /// Sends trains, each as one message that the kernel cuts, and returns how many of them went.
    ///
    /// # Errors
    /// About the first, or about a datagram that was sent before.
    pub(super) fn send_trains(&self, trains: &[Gathered<Outward>]) -> io::Result<usize> {
        let mut parts = ArrayVec::<[IoSlice<'_>; 1], TRAINS_MAX>::new();
        parts.extend(trains.iter().map(|train| [IoSlice::new(train.whole().0)]));
        let mut messages = ArrayVec::<Outgoing<'_>, TRAINS_MAX>::new();
        messages.extend(trains.iter().zip(&parts).map(|(train, parts)| {
            let segment = Some(train.whole().1).filter(|&size| size > 0);
            Outgoing { parts, to: train.way().map(|way| way.to), from: None, segment }
        }));
        match messages.as_slice() {
            [] => Ok(0),
            [only] => datagram::send(&self.socket, only).map(|_| 1),
            many => datagram::send_many(&self.socket, many),
        }
    }

    /// Sends once more where only an error of an earlier datagram was reported in place of sending.
    pub(super) fn send(&self, to: SocketAddr, datagram: &DatagramIn<'_>) -> io::Result<()> {
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

/// The socket family of an endpoint.
pub(in crate::run) fn family_of(internal: Endpoint) -> socket::Family {
    socket::Family::of(internal.addr.ip())
}

/// Errors that `send` reports of what happened to an earlier datagram (`socket(7)`, SO_ERROR).
fn is_of_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::PROTO | Errno::NOPROTOOPT)
    )
}

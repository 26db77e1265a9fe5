//! Which ports can be had on this host, and having them.
//!
//! A port is free here when no socket of this network has it at any local address, in whatever state, the kernel does not give it to
//! clients, and it could be bound a moment ago: [`find`] keeps what it found bound, so that it stays true while the caller
//! wants it. [`hold`] makes such sockets into what a program can be handed.
//!
//! Deliberately absent: asking whether anything answers at a port. A socket is the only claim that counts.

pub mod here;
pub mod hold;

mod order;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use rustix::rand::{GetRandomFlags, getrandom};
use thiserror::Error;
use wharf_sys::process::OpenFiles;
use wharf_table::Addr;
use wharf_table::notation::Ports;
use wharf_table::registry::{self, Status};
use wharf_table::rows::Transport;
use wharf_table::selector::Narrow;

use crate::snapshot::{self, Ask, Owners};

/// The protocols that a port must be free for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum For {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// Both.
    Both,
}

impl For {
    /// Each of them.
    pub const fn each(self) -> &'static [Kind] {
        match self {
            For::Tcp => &[Kind::Tcp],
            For::Udp => &[Kind::Udp],
            For::Both => &[Kind::Tcp, Kind::Udp],
        }
    }
}

/// The kind of a socket that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Kind {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
        }
    }
}

/// Whether ports that clients are given are good as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ephemeral {
    /// They are not: the kernel may give one to a client a moment later.
    #[default]
    Avoided,
    /// They are.
    Taken,
}

/// Whether ports with a registered service are good as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registered {
    /// They are.
    #[default]
    Taken,
    /// They are not.
    Avoided,
}

/// Whether ports must follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Together {
    /// Not so.
    #[default]
    Apart,
    /// They must.
    Consecutive,
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How many ports, at least one.
    pub count: u16,
    /// As near to this one as can be; without it from a random place on, so that two who ask at once rarely meet.
    pub near: Option<u16>,
    /// Among these only; without it from 1024 up.
    pub among: Option<Ports>,
    /// The protocols.
    pub protocols: For,
    /// One after the other.
    pub together: Together,
    /// Those that clients are given.
    pub ephemeral: Ephemeral,
    /// Those that are registered.
    pub registered: Registered,
    /// At this address only; without it at all addresses of both families.
    pub at: Option<Addr>,
}

/// A port that was free, and is kept by these sockets.
#[derive(Debug)]
pub struct Held {
    /// The port.
    pub port: u16,
    /// A bound socket for each protocol.
    pub sockets: Vec<(Kind, OwnedFd)>,
}

/// Ports that are held.
#[derive(Debug)]
pub struct Found {
    /// In order.
    pub held: Vec<Held>,
    /// The limit of open files as it was, which a program gets back.
    limit: OpenFiles,
}

/// Why there are not enough.
#[derive(Debug, Error)]
pub enum FreeError {
    /// Too few are free.
    #[error("{}", self.sentence())]
    TooFew {
        /// What was wanted.
        count: u16,
        /// That they must follow each other.
        together: Together,
        /// Among which.
        among: Ports,
        /// How many of these are in use, are given to clients or kept by the kernel, are registered, and need a right.
        passed: Passed,
    },
    /// A socket could not be made at all.
    #[error("open a socket: {error}")]
    NoSocket {
        /// The system's reason.
        error: io::Error,
    },
    /// The address is none of this host's.
    #[error("bind {at}: {error} (write an address of this host)")]
    NotHere {
        /// The address.
        at: Addr,
        /// The system's reason.
        error: io::Error,
    },
}

/// How many ports were passed over, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// In use.
    pub in_use: u32,
    /// Given to clients by the kernel, or kept from them for somebody.
    pub ephemeral: u32,
    /// Registered.
    pub registered: u32,
    /// Below the first that an ordinary user may bind.
    pub privileged: u32,
}

impl FreeError {
    fn sentence(&self) -> String {
        let FreeError::TooFew { count, together, among, passed } = self else { return String::new() };
        let what = match (count, together) {
            (1, _) => "a free port".to_owned(),
            (count, Together::Apart) => format!("{count} free ports"),
            (count, Together::Consecutive) => format!("{count} free ports in a row"),
        };
        let told = [
            (passed.in_use, "in use"),
            (passed.ephemeral, "given to clients, or kept, by the kernel"),
            (passed.registered, "registered"),
            (passed.privileged, "for root only"),
        ];
        let told = told.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}"));
        let told = told.collect::<Vec<_>>().join(", ");
        let why = if told.is_empty() { "there are fewer".to_owned() } else { told };
        format!("find {what} among {among}: {why} (write a wider --range)")
    }
}

/// The ports, in order, each kept by sockets that are bound and do nothing else.
///
/// # Errors
/// [`FreeError`]: too few are free, or the system lets none be bound.
pub fn find(wanted: &Wanted) -> Result<Found, FreeError> {
    let limit = OpenFiles::raise();
    let among = wanted.among.clone().unwrap_or_else(|| Ports::range(1024, u16::MAX));
    let (candidates, mut passed) = candidates(wanted, &among);
    let size = match wanted.together {
        Together::Apart => 1,
        Together::Consecutive => wanted.count,
    };
    let mut held: Vec<Held> = Vec::new();
    let mut refused = Ports::NONE;
    for first in order::starts(&candidates, size, wanted.near, random()) {
        let ports = Ports::range(first, first + (size - 1));
        if !ports.intersection(&refused).is_empty() {
            continue;
        }
        let mut row = Vec::with_capacity(usize::from(size));
        for port in ports.iter() {
            match claim(port, wanted)? {
                Claimed::Held(port) => row.push(port),
                Claimed::InUse => passed.in_use += 1,
                Claimed::Privileged => passed.privileged += 1,
            }
            if row.last().is_none_or(|it| it.port != port) {
                refused = refused.union(&Ports::single(port));
                break;
            }
        }
        if row.len() == usize::from(size) {
            held.append(&mut row);
        }
        if held.len() == usize::from(wanted.count) {
            held.sort_by_key(|it| it.port);
            return Ok(Found { held, limit });
        }
    }
    Err(FreeError::TooFew { count: wanted.count, together: wanted.together, among, passed })
}

/// What can be tried: no socket has it, and nothing that was asked for speaks against it.
fn candidates(wanted: &Wanted, among: &Ports) -> (Ports, Passed) {
    let mut passed = Passed::default();
    let mut left = among.intersection(&Ports::range(1, u16::MAX));
    let mut without = |left: Ports, others: &Ports, count: fn(&mut Passed) -> &mut u32| {
        let rest = left.intersection(&others.complement());
        *count(&mut passed) += left.count() - rest.count();
        rest
    };
    left = without(left, &used(wanted.protocols, among), |passed| &mut passed.in_use);
    if wanted.ephemeral == Ephemeral::Avoided {
        let (first, last) = here::ephemeral_range();
        let given = Ports::range(first, last).union(&here::reserved());
        left = without(left, &given, |passed| &mut passed.ephemeral);
    }
    if wanted.registered == Registered::Avoided {
        let known = left.iter().filter(|&port| is_registered(port, wanted.protocols));
        let known = known.map(|port| (port, port)).collect();
        left = without(left, &known, |passed| &mut passed.registered);
    }
    (left, passed)
}

/// The local ports of every socket of this network. Where the kernel does not list them, binding alone decides.
fn used(protocols: For, among: &Ports) -> Ports {
    let narrow = Narrow { local_ports: among.clone(), ..Narrow::everything() };
    let ask = Ask { owners: Owners::Unasked, narrow, ..Ask::default() };
    let Ok(rows) = snapshot::take(&ask) else { return Ports::NONE };
    let counts = |transport: Transport| match transport {
        Transport::Tcp | Transport::Mptcp => protocols != For::Udp,
        Transport::Udp => protocols != For::Tcp,
        _ => false,
    };
    rows.rows.iter().filter(|row| counts(row.transport)).map(|row| (row.local.port, row.local.port)).collect()
}

/// Whether the registry has it for a service, or keeps it, for one of the protocols.
fn is_registered(port: u16, protocols: For) -> bool {
    let is_for = |transports: &mut dyn Iterator<Item = &'static str>| {
        let transports: Vec<&str> = transports.collect();
        transports.is_empty() || protocols.each().iter().any(|kind| transports.contains(&kind.name()))
    };
    registry::at(port).any(|record| record.status() != Status::Unassigned && is_for(&mut record.transports()))
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness two who ask at once meet more often, and one of them goes on to the next port.
    let _ = getrandom(&mut bytes, GetRandomFlags::NONBLOCK);
    u32::from_ne_bytes(bytes)
}

enum Claimed {
    Held(Held),
    InUse,
    Privileged,
}

/// Binds a port for each protocol.
fn claim(port: u16, wanted: &Wanted) -> Result<Claimed, FreeError> {
    let mut sockets = Vec::new();
    for &kind in wanted.protocols.each() {
        match bound(kind, wanted.at, port) {
            Ok(socket) => sockets.push((kind, socket)),
            Err(Refused::Socket(error)) => return Err(FreeError::NoSocket { error }),
            Err(Refused::Bind(error)) => match error.kind() {
                io::ErrorKind::AddrInUse => return Ok(Claimed::InUse),
                io::ErrorKind::PermissionDenied => return Ok(Claimed::Privileged),
                _ => {
                    let at = wanted.at.unwrap_or(Addr::ANY_V6);
                    return Err(FreeError::NotHere { at, error });
                }
            },
        }
    }
    Ok(Claimed::Held(Held { port, sockets }))
}

enum Refused {
    Socket(io::Error),
    Bind(io::Error),
}

/// A socket that is bound to a port, without SO_REUSEADDR: every other socket with the port is in its way, whatever address or
/// state it has. Without an address it is at all addresses of both families (RFC 3493, section 5.3).
fn bound(kind: Kind, at: Option<Addr>, port: u16) -> Result<OwnedFd, Refused> {
    match at {
        Some(addr) => bound_to(kind, SocketAddr::new(addr.ip(), port)),
        None => match bound_to(kind, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
            // A host without IPv6.
            Err(Refused::Socket(_)) => bound_to(kind, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)),
            Err(Refused::Bind(error)) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                bound_to(kind, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            }
            other => other,
        },
    }
}

fn bound_to(kind: Kind, at: SocketAddr) -> Result<OwnedFd, Refused> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let of_kind = match kind {
        Kind::Tcp => SocketType::STREAM,
        Kind::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(family, of_kind, SocketFlags::CLOEXEC, None);
    let socket = socket.map_err(|error| Refused::Socket(error.into()))?;
    if at.is_ipv6() {
        let takes_both = at.ip().is_unspecified();
        sockopt::set_ipv6_v6only(&socket, !takes_both).map_err(|error| Refused::Socket(error.into()))?;
    }
    bind(&socket, &at).map_err(|error| Refused::Bind(error.into()))?;
    Ok(socket)
}

#[cfg(test)]
mod tests;

//! Published ports: sockets of the host, claimed before the program starts.
//!
//! Each port of each [`PublishSpec`] becomes a socket for every address it is open on: those written, or else the host's
//! loopback in the families of the run. Either all are claimed or none is. Clients that come before the program listens wait in the
//! backlog of the socket.
//!
//! Invariants: an IPv6 socket never takes IPv4 clients, which have sockets of their own; a port is never exchanged for another one
//! silently; what was chosen for port 0 is the same number in both families.

mod error;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use wharf_sys::proc::{limits, owner};
use wharf_table::notation::PublishSpec;
use wharf_table::{Port, PortRange, Protocol};

pub use self::error::ClaimError;
use super::config::Families;

/// Clients that wait to be accepted; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// How often another free port is tried when the one that was found is taken in the other family.
const TRIES: usize = 64;
/// How many ranges are tried to find one that is free, and how many ports a range may have for that.
const SUGGESTIONS: u16 = 100;
const SUGGESTED_MAX: u16 = 64;

/// A port of the host that leads to one inside.
#[derive(Debug)]
pub struct Published {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it is open.
    pub local: SocketAddr,
    /// The port inside.
    pub inside: Port,
    /// Whether the port was written or chosen.
    pub choice: Choice,
    /// The option that asked for it.
    pub spec: PublishSpec,
    /// The socket; a TCP one listens. It never blocks.
    pub socket: OwnedFd,
}

/// Who chose a port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The user wrote it.
    Written,
    /// It was free.
    Found,
}

impl fmt::Display for Published {
    /// `tcp 127.0.0.1:8080 -> 80`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.protocol, self.local, self.inside)
    }
}

impl Published {
    /// The same as one JSON object.
    pub fn to_json(&self) -> String {
        let (protocol, inside) = (self.protocol, self.inside);
        let (address, port, text) = (self.local.ip(), self.local.port(), self.local);
        let local =
            format!("{{\"address\":\"{address}\",\"zone\":null,\"port\":{port},\"text\":\"{text}\"}}");
        format!(
            "{{\"event\":\"published\",\"protocol\":\"{protocol}\",\"local\":{local},\"inside_port\":{inside}}}"
        )
    }
}

/// Claims every port of `specs` for a run of these families.
///
/// # Errors
/// [`ClaimError`], with what is in the way and what to do. Nothing is claimed then.
pub fn claim(specs: &[PublishSpec], families: Families) -> Result<Vec<Published>, ClaimError> {
    let mut claimed = Vec::new();
    for spec in specs {
        let addresses = addresses(spec, families)?;
        for (host, inside) in spec.pairs() {
            let found = match host {
                Some(port) => claim_port(spec, &addresses, port, &claimed)?,
                None => claim_any(spec, &addresses)?,
            };
            let choice = if host.is_some() { Choice::Written } else { Choice::Found };
            let (protocol, spec) = (spec.protocol(), *spec);
            let published = |(local, socket)| Published { protocol, local, inside, choice, spec, socket };
            claimed.extend(found.into_iter().map(published));
        }
    }
    Ok(claimed)
}

/// Where a spec is to be open.
#[derive(Debug)]
struct Where {
    ips: Vec<IpAddr>,
    /// An address that the host may lack without any harm.
    optional: Option<IpAddr>,
}

fn addresses(spec: &PublishSpec, families: Families) -> Result<Where, ClaimError> {
    match spec.address() {
        Some(addr) if families.include(addr) => Ok(Where { ips: vec![addr.ip()], optional: None }),
        Some(addr) => Err(ClaimError::FamilyOff { spec: *spec, addr }),
        None => {
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            let ips: Vec<IpAddr> = both.into_iter().filter(|&ip| families.include(ip.into())).collect();
            // A host without IPv6 has IPv4's loopback to serve on.
            let optional = ips.get(1).copied();
            Ok(Where { ips, optional })
        }
    }
}

type Claimed = Vec<(SocketAddr, OwnedFd)>;

/// Claims `port` on each of the addresses.
fn claim_port(
    spec: &PublishSpec,
    addresses: &Where,
    port: Port,
    before: &[Published],
) -> Result<Claimed, ClaimError> {
    let protocol = spec.protocol();
    open_all(protocol, addresses, port.number()).map_err(|(at, errno)| {
        let same = |ip: IpAddr| ip == at.ip() || ip.is_unspecified() || at.ip().is_unspecified();
        let mut ours = before.iter().filter(|one| one.protocol == protocol && one.local.port() == at.port());
        match (errno, ours.find(|one| one.local.is_ipv4() == at.is_ipv4() && same(one.local.ip()))) {
            (Errno::ADDRINUSE, Some(first)) => ClaimError::Twice { protocol, at, inside: first.inside },
            _ => explain(spec, addresses, at, errno),
        }
    })
}

/// Claims one port on each of the addresses, the same for all, whichever is free.
fn claim_any(spec: &PublishSpec, addresses: &Where) -> Result<Claimed, ClaimError> {
    for _ in 0..TRIES {
        match open_all(spec.protocol(), addresses, 0) {
            Ok(claimed) => return Ok(claimed),
            // Free in the first family, taken in the second.
            Err((_, Errno::ADDRINUSE)) => {}
            Err((at, errno)) => return Err(explain(spec, addresses, at, errno)),
        }
    }
    Err(ClaimError::NoneFree { spec: *spec })
}

/// Opens `port` on all addresses, or none; for 0 the port that is found on the first is the one for the others.
fn open_all(protocol: Protocol, addresses: &Where, port: u16) -> Result<Claimed, (SocketAddr, Errno)> {
    let mut claimed = Claimed::new();
    for &ip in &addresses.ips {
        let port = claimed.first().map_or(port, |(first, _)| first.port());
        let at = SocketAddr::new(ip, port);
        match open(protocol, at) {
            Ok(opened) => claimed.push(opened),
            Err(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) if addresses.optional == Some(ip) => {}
            Err(errno) => return Err((at, errno)),
        }
    }
    Ok(claimed)
}

fn open(protocol: Protocol, at: SocketAddr) -> Result<(SocketAddr, OwnedFd), Errno> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if protocol == Protocol::Udp { SocketType::DGRAM } else { SocketType::STREAM };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Udp {
        rustix::net::bind(&socket, &at)?;
    } else {
        // Connections of an earlier run that still end don't keep the port; for UDP the option would mean sharing.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        // Urgent data is data in its place, as for the sockets of outward flows; what is accepted inherits it.
        sockopt::set_socket_oobinline(&socket, true)?;
        // Segments go on as they came; this is inherited as well.
        sockopt::set_tcp_nodelay(&socket, true)?;
        // So is this: a client that is gone is noticed in the end.
        sockopt::set_socket_keepalive(&socket, true)?;
        rustix::net::bind(&socket, &at)?;
        rustix::net::listen(&socket, BACKLOG)?;
    }
    let local = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((local, socket))
}

/// Why a port could not be claimed, in words.
fn explain(spec: &PublishSpec, addresses: &Where, at: SocketAddr, errno: Errno) -> ClaimError {
    let protocol = spec.protocol();
    match errno {
        Errno::ADDRINUSE => {
            let holder = Port::new(at.port()).and_then(|port| owner::holder(protocol, at.ip(), port));
            ClaimError::InUse {
                protocol,
                at,
                owner: holder.map(|holder| Box::new(holder.owner)),
                free: suggest(spec, addresses),
            }
        }
        Errno::ACCESS | Errno::PERM => {
            let start = limits::unprivileged_port_start();
            if at.port() < start {
                ClaimError::Privileged { spec: *spec, at, start }
            } else {
                ClaimError::System { protocol, at, error: errno.into() }
            }
        }
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => ClaimError::NotHere { protocol, at },
        _ => ClaimError::System { protocol, at, error: errno.into() },
    }
}

/// The same spec with the next ports of the host that are free; with port 0 where none was found near.
fn suggest(spec: &PublishSpec, addresses: &Where) -> Option<PublishSpec> {
    let with = |host| PublishSpec::new(spec.protocol(), spec.address(), host, spec.inside());
    let host = spec.host()?;
    if host.count() > SUGGESTED_MAX {
        return None;
    }
    let shifted = |by: u16| {
        let shift = |port: Port| port.number().checked_add(by).and_then(Port::new);
        PortRange::new(shift(host.first())?, shift(host.last())?)
    };
    let is_free = |range: &PortRange| {
        range.iter().all(|port| open_all(spec.protocol(), addresses, port.number()).is_ok())
    };
    (1..=SUGGESTIONS).filter_map(shifted).find(is_free).map_or_else(|| with(None), |range| with(Some(range)))
}

#[cfg(test)]
mod tests;

//! Why a port could not be published.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use wharf_table::notation::PublishSpec;
use wharf_table::{Addr, Owner, Port, PortRange, Protocol};

/// Why a port of the host could not be claimed. Each says what was tried, why it failed, and what to do.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Somebody has the port.
    #[error("publish {protocol} {at}: the port is taken by {} ({})", named(.owner), remedy(.free))]
    InUse {
        /// The protocol.
        protocol: Protocol,
        /// Where.
        at: SocketAddr,
        /// Who has it, as far as it can be seen.
        owner: Option<Box<Owner>>,
        /// The same spec with ports that are free.
        free: Option<PublishSpec>,
    },
    /// Two specs claim the same port.
    #[error("publish {protocol} {at}: published before, for port {inside} (give each port of the host once)")]
    Twice {
        /// The protocol.
        protocol: Protocol,
        /// Where.
        at: SocketAddr,
        /// The port inside to which it leads already.
        inside: Port,
    },
    /// The port is for privileged users only.
    #[error(
        "publish {} {at}: permission denied (net.ipv4.ip_unprivileged_port_start is {start}: take a port from there up, -p {} say, \
         or lower it to {} with sysctl as root)",
        .spec.protocol(), example(.spec), .at.port()
    )]
    Privileged {
        /// What was asked for.
        spec: PublishSpec,
        /// Where.
        at: SocketAddr,
        /// The first port that an ordinary user may bind.
        start: u16,
    },
    /// The address is not one of the host's.
    #[error(
        "publish {protocol} {at}: this host has no such address (take one that `ip address` shows, or 0.0.0.0 or [::] for all)"
    )]
    NotHere {
        /// The protocol.
        protocol: Protocol,
        /// Where.
        at: SocketAddr,
    },
    /// The address is of a family that the run does not have.
    #[error("publish {spec}: the run has no {} (leave out {})", family(.addr), switch(.addr))]
    FamilyOff {
        /// What was asked for.
        spec: PublishSpec,
        /// Its address.
        addr: Addr,
    },
    /// No port is free on all addresses of a spec.
    #[error("publish {spec}: no port is free on all its addresses (name one, or one address)")]
    NoneFree {
        /// What was asked for.
        spec: PublishSpec,
    },
    /// The kernel refused for another reason.
    #[error("publish {protocol} {at}: {}", plain(.error))]
    System {
        /// The protocol.
        protocol: Protocol,
        /// Where.
        at: SocketAddr,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

fn named(owner: &Option<Box<Owner>>) -> String {
    owner.as_ref().map_or_else(|| Owner::default().to_string(), ToString::to_string)
}

fn remedy(free: &Option<PublishSpec>) -> String {
    match free {
        Some(free) if free.host().is_none() => format!("let a free one be chosen: -p {free}"),
        Some(free) => format!("free: -p {free}"),
        None => "take other ports".to_owned(),
    }
}

/// The ports that people take instead: 8080 for 80, 8443 for 443.
fn example(spec: &PublishSpec) -> String {
    let moved = |port: Port| port.number().checked_add(8000).and_then(Port::new);
    let host = spec.host().and_then(|host| PortRange::new(moved(host.first())?, moved(host.last())?));
    PublishSpec::new(spec.protocol(), spec.address(), host, spec.inside()).unwrap_or(*spec).to_string()
}

fn family(addr: &Addr) -> &'static str {
    if addr.is_v4() { "IPv4" } else { "IPv6" }
}

fn switch(addr: &Addr) -> &'static str {
    if addr.is_v4() { "--ipv6-only" } else { "--ipv4-only" }
}

/// The kernel's words without their number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

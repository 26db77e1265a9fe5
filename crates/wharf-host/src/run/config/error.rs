//! What can be wrong with what was typed.

use thiserror::Error;
use wharf_table::Addr;
use wharf_table::notation::Cidr;

use super::{MTU_MAX, QUEUES_MAX};

/// Why a run can't be what was asked for. Each says what, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// An address of a family that was switched off.
    #[error("{option} \"{addr}\": the run has no {} (leave out {})", family(.addr), switch(.addr))]
    FamilyOff {
        /// The option.
        option: &'static str,
        /// Its address.
        addr: Addr,
    },
    /// Two addresses of one family.
    #[error("{option} \"{addr}\": given twice for {} (give one for each family)", family(.addr))]
    Twice {
        /// The option.
        option: &'static str,
        /// The second address.
        addr: Addr,
    },
    /// An MTU that is too small or too large.
    #[error("--mtu \"{mtu}\": not an MTU of this link (write {least} to {MTU_MAX}{})", smaller(*.least))]
    Mtu {
        /// What was asked for.
        mtu: u32,
        /// The least.
        least: u16,
    },
    /// No queue, or too many.
    #[error("--queues \"{queues}\": not a number of queues (write 1 to {QUEUES_MAX})")]
    Queues {
        /// What was asked for.
        queues: u32,
    },
    /// Several queues of a bad line.
    #[error("--queues \"{queues}\": a bad line has one queue (leave out --queues or --link)")]
    QueuesOfBadLine {
        /// What was asked for.
        queues: u32,
    },
    /// A buffer that is too small or too large.
    #[error("--buffer \"{}\": not a buffer of a flow (write {} to {})", size(*.bytes), size(super::BUFFER_MIN.into()), size(super::BUFFER_MAX.into()))]
    Buffer {
        /// What was asked for, in bytes.
        bytes: u64,
    },
    /// An address that no host can have.
    #[error("{option} \"{addr}\": no host can have this address in {} (choose another one)", show(.program))]
    NotAssignable {
        /// The option.
        option: &'static str,
        /// Its address.
        addr: Addr,
        /// The program's address and network.
        program: Cidr,
    },
    /// A gateway or name server that the program can't reach.
    #[error("{option} \"{addr}\": lies outside the program's network {} (choose one inside, or give --address as well)", show(.program))]
    Outside {
        /// The option.
        option: &'static str,
        /// Its address.
        addr: Addr,
        /// The program's address and network.
        program: Cidr,
    },
    /// A gateway or name server with the program's own address.
    #[error("{option} \"{addr}\": the program has this address (choose another one)")]
    SameAsProgram {
        /// The option.
        option: &'static str,
        /// Its address.
        addr: Addr,
    },
    /// A network without room for gateway, name server and host.
    #[error("--address \"{program}\": the network is too small for program, gateway, name server and host (write /{} or shorter)", least_prefix(.program))]
    TooSmall {
        /// The program's address and network.
        program: Cidr,
    },
    /// A name that is none.
    #[error("--name \"{}\": not a name for a run (letters, digits and hyphens, 63 at most; not host, gateway or dns)", .name.escape_debug())]
    Name {
        /// What was asked for.
        name: String,
    },
    /// The host has the program's network already.
    #[error("address {program}: overlaps {network} on {interface} of this host ({})", remedy(*.free, .program))]
    Clash {
        /// The program's address and network.
        program: Cidr,
        /// The host's network.
        network: Cidr,
        /// The host's interface on which it is.
        interface: String,
        /// Another address, in a network that is free.
        free: Option<Cidr>,
    },
    /// No random number for a network of its own.
    #[error("draw random numbers: the kernel gives none (a sandbox around wharf has to allow getrandom)")]
    NoRandom,
}

impl ConfigError {
    /// 2 for what is wrong wherever it is typed, 125 for what can't be on this host.
    pub const fn exit_code(&self) -> u8 {
        match self {
            ConfigError::Clash { .. } | ConfigError::NoRandom => 125,
            _ => 2,
        }
    }
}

/// Bytes as they are written, in the largest unit that has no fraction.
fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        _ => bytes.to_string(),
    }
}

fn family(addr: &Addr) -> &'static str {
    if addr.is_v4() { "IPv4" } else { "IPv6" }
}

fn switch(addr: &Addr) -> &'static str {
    if addr.is_v4() { "--ipv6-only" } else { "--ipv4-only" }
}

fn smaller(least: u16) -> &'static str {
    if least == super::MTU_MIN_V4 { "" } else { ", or from 576 with --ipv4-only" }
}

fn show(program: &Cidr) -> Cidr {
    Cidr::new(program.network(), program.prefix_len()).unwrap_or(*program)
}

/// Four addresses, and what the network keeps for itself.
fn least_prefix(program: &Cidr) -> u8 {
    if program.addr().is_v4() { 29 } else { 125 }
}

fn remedy(free: Option<Cidr>, program: &Cidr) -> String {
    match free {
        Some(free) => format!("take another network: --address {free}"),
        None if program.addr().is_v4() => "take another network with --address, or --ipv6-only".to_owned(),
        None => "leave --address out: a network of its own is chosen then".to_owned(),
    }
}

//! One rule: whom it stands for, and what it says.

use alloc::string::String;
use core::fmt;

use crate::endpoint::Addr;
use crate::notation::{Cidr, Ports};
use crate::policy::hostname::NamePattern;
use crate::tuple::Protocol;

/// What a rule says of the flows that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// They may open.
    Allow,
    /// They may not.
    Deny,
}

impl fmt::Display for Action {
    /// As options and files have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Action::Allow => "allow",
            Action::Deny => "deny",
        })
    }
}

/// Whom a rule stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Whoever was looked up by such a name, at the addresses that were answered.
    Name(NamePattern),
    /// An address or a network, however it was found.
    Network(Cidr),
    /// The host's own loopback.
    Host,
    /// Networks that are not the Internet: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918), fc00::/7 (RFC 4193).
    Lan,
    /// Every address that no other word is needed for.
    Any,
}

impl Peer {
    /// Whether an address belongs to it; a name's addresses are not asked here.
    pub fn contains(&self, addr: Addr) -> bool {
        match self {
            Peer::Name(_) | Peer::Host => false,
            Peer::Network(network) => network.contains(addr),
            Peer::Lan => is_lan(addr),
            Peer::Any => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Name(pattern) => pattern.fmt(f),
            Peer::Network(network) => {
                let whole = if network.addr().is_v4() { 32 } else { 128 };
                match (network.prefix_len() == whole, network.addr().is_v4()) {
                    (true, true) => network.addr().fmt(f),
                    (true, false) => write!(f, "[{}]", network.addr()),
                    (false, true) => network.fmt(f),
                    (false, false) => write!(f, "[{network}]"),
                }
            }
            Peer::Host => f.write_str("host"),
            Peer::Lan => f.write_str("lan"),
            Peer::Any => f.write_str("any"),
        }
    }
}

/// Whether an address lies in a network that is not the Internet.
fn is_lan(addr: Addr) -> bool {
    match addr.v4_octets() {
        Some(octets) => matches!(octets, [10, ..] | [172, 16..=31, ..] | [192, 168, ..]),
        None => addr.octets()[0] & 0xfe == 0xfc,
    }
}

/// What a rule stands for: a program, whom it talks to, on which ports, by which protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The program in the run, or one that started it; `None` for all.
    pub program: Option<String>,
    /// The other end.
    pub peer: Peer,
    /// Its ports; empty for all, and for what has no ports.
    pub ports: Ports,
    /// The protocol; without one, TCP and UDP, and ICMP where no port is named.
    pub protocol: Option<Protocol>,
}

impl Target {
    /// Whether protocol, port and program are those of the rule, whoever the other end is.
    pub fn fits(&self, protocol: Protocol, port: u16, programs: &[String]) -> bool {
        let carried = match (self.protocol, protocol) {
            (None, Protocol::Icmp) => self.ports.is_empty(),
            (None, _) => true,
            (Some(named), asked) => named == asked,
        };
        carried && (protocol == Protocol::Icmp || self.has_port(port)) && self.is_of(programs)
    }

    fn has_port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(port)
    }

    fn is_of(&self, programs: &[String]) -> bool {
        self.program.as_ref().is_none_or(|named| programs.contains(named))
    }
}

impl fmt::Display for Target {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(program) = &self.program {
            write!(f, "{program}:")?;
        }
        self.peer.fmt(f)?;
        if !self.ports.is_empty() {
            write!(f, ":{}", self.ports)?;
        }
        match self.protocol {
            Some(protocol) => write!(f, "/{protocol}"),
            None => Ok(()),
        }
    }
}

/// What a rule by name says where the protocol hides the name (no server name in a TLS hello, or an encrypted one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hidden {
    /// It does not stand for such a flow.
    #[default]
    Strict,
    /// The address that was answered for the name is enough.
    Lenient,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What it says.
    pub action: Action,
    /// Of what.
    pub target: Target,
    /// What it says where the name is hidden.
    pub hidden: Hidden,
    /// Why it is there, in its writer's words; empty without any.
    pub reason: String,
}

impl Rule {
    /// A rule without a reason.
    pub const fn new(action: Action, target: Target) -> Rule {
        Rule { action, target, hidden: Hidden::Strict, reason: String::new() }
    }

    /// Whether it stands for names.
    pub const fn is_by_name(&self) -> bool {
        matches!(self.target.peer, Peer::Name(_))
    }
}

impl fmt::Display for Rule {
    /// `allow example.org:443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.target)
    }
}

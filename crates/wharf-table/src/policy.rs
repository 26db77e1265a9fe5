//! The policy: which destinations a run may open.
//!
//! It is asked once, when a flow opens. What stands here are the denials that hold whatever else is allowed: the host's
//! own loopback, link-local ranges, the metadata services of clouds, and addresses that are no unicast destination.
//! An IPv6 address that carries an IPv4 address for a translator (NAT64, 6to4) is judged by both.

use alloc::vec::Vec;
use core::fmt;

use crate::endpoint::Addr;
use crate::notation::PortSpec;
use crate::port::Port;
use crate::trace::{Step, Trace};
use crate::tuple::Tuple;

/// 169.254.169.254: the metadata service of most clouds.
pub const METADATA_V4: Addr = Addr::v4([169, 254, 169, 254]);
/// fd00:ec2::254: the metadata service of EC2 over IPv6.
pub const METADATA_V6: Addr = Addr::v6([0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54]);

/// The rules of one run.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Addresses inside the run that stand for the host's loopback: the gateway, say.
    pub host: Vec<Addr>,
    /// Ports of the host's loopback that may be reached through [`Policy::host`].
    pub allow_host: Vec<PortSpec>,
}

/// The answer of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The flow may open.
    Allow,
    /// It may not, and why.
    Deny(DenyReason),
}

/// Why a flow may not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DenyReason {
    /// 127.0.0.0/8 or ::1.
    Loopback,
    /// An address that stands for the host's loopback, and a port that was not allowed.
    Host,
    /// 169.254.0.0/16 or fe80::/10.
    LinkLocal,
    /// A cloud's metadata service.
    Metadata,
    /// 224.0.0.0/4 or ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// 0.0.0.0/8 or ::, which a host takes for itself (RFC 1122, section 3.2.1.3).
    Unspecified,
    /// 240.0.0.0/4 (RFC 1112, section 4) or ::/96 (RFC 4291, section 2.5.5.1).
    Reserved,
}

impl DenyReason {
    /// The stable name, snake_case, as JSON prints it.
    pub const fn name(self) -> &'static str {
        match self {
            DenyReason::Loopback => "loopback",
            DenyReason::Host => "host",
            DenyReason::LinkLocal => "link_local",
            DenyReason::Metadata => "metadata",
            DenyReason::Multicast => "multicast",
            DenyReason::Broadcast => "broadcast",
            DenyReason::Unspecified => "unspecified",
            DenyReason::Reserved => "reserved",
        }
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DenyReason::Loopback => "a loopback address never leaves its host",
            DenyReason::Host => "the host's loopback is closed on this port (--allow-host PORT opens it)",
            DenyReason::LinkLocal => "link-local addresses of the host's networks are closed",
            DenyReason::Metadata => "the cloud's metadata service is closed",
            DenyReason::Multicast => "multicast is not carried",
            DenyReason::Broadcast => "broadcast is not carried",
            DenyReason::Unspecified => "the unspecified address is no destination",
            DenyReason::Reserved => "the address is reserved",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allow => f.pad("allowed"),
            Verdict::Deny(reason) => write!(f, "denied: {reason}"),
        }
    }
}

impl Policy {
    /// Whether the flow may open. The tuple is written **as its initiator sees it**: `local` is the program in the
    /// run, `remote` the destination that it asks for.
    pub fn decide(&self, tuple: &Tuple, trace: &mut impl Trace) -> Verdict {
        let verdict = self.verdict(tuple);
        trace.step(Step::Decision { tuple: *tuple, verdict });
        verdict
    }

    /// Whether `addr` stands for the host's loopback inside the run. A flow to it that is allowed goes there.
    pub fn is_host(&self, addr: Addr) -> bool {
        self.host.contains(&addr)
    }

    fn verdict(&self, tuple: &Tuple) -> Verdict {
        let target = tuple.remote;
        if self.is_host(target.addr) {
            let opens = |spec: &PortSpec| {
                Port::new(target.port).is_some_and(|port| spec.covers(tuple.protocol, port))
            };
            return if self.allow_host.iter().any(opens) {
                Verdict::Allow
            } else {
                Verdict::Deny(DenyReason::Host)
            };
        }
        let carried = embedded_v4(target.addr);
        match never(target.addr).or_else(|| carried.and_then(never)) {
            Some(reason) => Verdict::Deny(reason),
            None if carried.is_some_and(|addr| self.is_host(addr)) => Verdict::Deny(DenyReason::Host),
            None => Verdict::Allow,
        }
    }
}

/// Why this address is never opened; `None` where it may be.
fn never(addr: Addr) -> Option<DenyReason> {
    let reason = match addr.v4_octets() {
        _ if addr == METADATA_V4 || addr == METADATA_V6 => DenyReason::Metadata,
        _ if addr.is_loopback() => DenyReason::Loopback,
        _ if addr.is_link_local() => DenyReason::LinkLocal,
        _ if addr.is_multicast() => DenyReason::Multicast,
        _ if addr.is_limited_broadcast() => DenyReason::Broadcast,
        _ if addr == Addr::ANY_V6 => DenyReason::Unspecified,
        Some([0, ..]) => DenyReason::Unspecified,
        Some([240..=255, ..]) => DenyReason::Reserved,
        None if addr.octets()[..12] == [0; 12] => DenyReason::Reserved,
        _ => return None,
    };
    Some(reason)
}

/// The IPv4 address that a translator would take out of this IPv6 address: 64:ff9b::/96 (RFC 6052), 2002::/16
/// (RFC 3056).
fn embedded_v4(addr: Addr) -> Option<Addr> {
    match addr.octets() {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] | [0x20, 0x02, a, b, c, d, ..] => {
            Some(Addr::v4([a, b, c, d]))
        }
        _ => None,
    }
}

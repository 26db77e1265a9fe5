//! The policy: which destinations a run may open.
//!
//! It is asked once, when a flow opens. What stands here are the denials that hold whatever else is allowed: the host's
//! own loopback, link-local ranges, the metadata services of clouds, and addresses that are no unicast destination.
//! An IPv6 address that carries an IPv4 address for a translator (NAT64, 6to4) is judged by both.

mod hostname;
mod index;
mod rule;
mod rules;

pub use hostname::{Hostname, HostnameError, NamePattern};
pub use rule::{Action, Hidden, Peer, Rule, Target};
pub use rules::{Decision, Ground, Outcome, Question, RuleId, Rules, Shown};

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
    /// Who decides about what can be opened by name.
    pub judge: Judge,
}

/// Who decides about the host's loopback, link-local addresses and metadata services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Judge {
    /// The policy, by what it has.
    #[default]
    Policy,
    /// The owner of the stack, who is told of each flow that wants to open: the policy lets them pass.
    Owner,
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

    /// Whether an address can be opened by naming it; what carries another address within is not.
    fn is_left_to_the_owner(&self, addr: Addr) -> bool {
        self.ground(addr) == Ground::Host
            || matches!(never(addr), Some(DenyReason::LinkLocal | DenyReason::Metadata))
    }

    /// Whether an address is open by itself, for [`Rules`].
    pub fn ground(&self, addr: Addr) -> Ground {
        if self.is_host(addr) {
            return Ground::Host;
        }
        let carried = embedded_v4(addr);
        let closed = |addr| never(addr).is_some() || self.is_host(addr);
        if never(addr).is_some() || carried.is_some_and(closed) { Ground::Closed } else { Ground::Open }
    }

    fn verdict(&self, tuple: &Tuple) -> Verdict {
        let target = tuple.remote;
        if self.judge == Judge::Owner && self.is_left_to_the_owner(target.addr) {
            return Verdict::Allow;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::notation::no_services;
    use crate::trace::{Silent, Written};
    use crate::tuple::Protocol;
    use core::net::IpAddr;

    fn to(target: &str, protocol: Protocol) -> Tuple {
        let remote: Endpoint = target.parse().unwrap();
        let local = if remote.addr.is_v4() { "10.0.2.100:5000" } else { "[fd00::100]:5000" };
        Tuple { protocol, local: local.parse().unwrap(), remote }
    }

    fn policy() -> Policy {
        let host = ["10.0.2.2", "fd00::2"].map(|addr| addr.parse::<IpAddr>().unwrap().into());
        let allow_host = ["8000-8010", "53/udp"].map(|spec| PortSpec::parse(spec, &no_services).unwrap());
        Policy { host: host.into(), allow_host: allow_host.into(), judge: Judge::Policy }
    }

    #[test]
    fn what_is_denied_and_why() {
        use DenyReason::*;
        let table = [
            ("192.0.2.1:443", None),
            ("10.0.2.3:53", None),
            ("[2001:db8::1]:443", None),
            ("[fd00::3]:53", None),
            ("172.16.0.1:22", None),
            ("[fc00::1]:22", None),
            ("127.0.0.1:80", Some(Loopback)),
            ("127.255.255.254:8000", Some(Loopback)),
            ("[::1]:8000", Some(Loopback)),
            ("[::ffff:127.0.0.1]:8000", Some(Loopback)),
            ("[::127.0.0.1]:80", Some(Reserved)),
            ("[64:ff9b::127.0.0.1]:80", Some(Loopback)),
            ("[64:ff9b::192.0.2.1]:80", None),
            ("[64:ff9b::10.0.2.2]:8000", Some(Host)),
            ("[2002:7f00:1::1]:80", Some(Loopback)),
            ("[2002:a9fe:a9fe::]:80", Some(Metadata)),
            ("10.0.2.2:80", Some(Host)),
            ("[fd00::2]:80", Some(Host)),
            ("10.0.2.2:8010", None),
            ("[fd00::2]:8000", None),
            ("10.0.2.2:0", Some(Host)),
            ("169.254.169.254:80", Some(Metadata)),
            ("[fd00:ec2::254]:80", Some(Metadata)),
            ("[::ffff:169.254.169.254]:80", Some(Metadata)),
            ("169.254.0.1:80", Some(LinkLocal)),
            ("[fe80::1]:80", Some(LinkLocal)),
            ("[febf::1]:80", Some(LinkLocal)),
            ("224.0.0.251:5353", Some(Multicast)),
            ("[ff02::fb]:5353", Some(Multicast)),
            ("255.255.255.255:67", Some(Broadcast)),
            ("0.0.0.0:80", Some(Unspecified)),
            ("0.1.2.3:80", Some(Unspecified)),
            ("[::]:80", Some(Unspecified)),
            ("240.0.0.1:80", Some(Reserved)),
            ("255.255.255.254:80", Some(Reserved)),
        ];
        for (target, denied) in table {
            let expected = denied.map_or(Verdict::Allow, Verdict::Deny);
            assert_eq!(policy().decide(&to(target, Protocol::Tcp), &mut Silent), expected, "{target}");
        }
    }

    #[test]
    fn a_port_of_the_host_is_open_for_its_protocol_only() {
        let decide = |policy: &Policy, protocol| policy.decide(&to("10.0.2.2:53", protocol), &mut Silent);
        assert_eq!(decide(&policy(), Protocol::Udp), Verdict::Allow);
        assert_eq!(decide(&policy(), Protocol::Tcp), Verdict::Deny(DenyReason::Host));
        assert_eq!(decide(&policy(), Protocol::Icmp), Verdict::Deny(DenyReason::Host));
        assert_eq!(decide(&Policy::default(), Protocol::Tcp), Verdict::Allow, "nothing stands for the host");
    }

    #[test]
    fn an_owner_decides_about_what_can_be_named_and_nothing_else() {
        let policy = Policy { judge: Judge::Owner, ..policy() };
        for (target, ground, left) in [
            ("10.0.2.2:80", Ground::Host, true),
            ("169.254.169.254:80", Ground::Closed, true),
            ("[fe80::1]:80", Ground::Closed, true),
            ("127.0.0.1:80", Ground::Closed, false),
            ("224.0.0.251:5353", Ground::Closed, false),
            ("[64:ff9b::169.254.169.254]:80", Ground::Closed, false),
            ("[64:ff9b::10.0.2.2]:80", Ground::Closed, false),
            ("192.0.2.1:80", Ground::Open, true),
        ] {
            let tuple = to(target, Protocol::Tcp);
            assert_eq!(policy.ground(tuple.remote.addr), ground, "{target}");
            assert_eq!(policy.decide(&tuple, &mut Silent) == Verdict::Allow, left, "{target}");
        }
    }

    #[test]
    fn the_decision_is_written_down() {
        let mut trace = Written::new();
        let tuple = to("127.0.0.1:80", Protocol::Tcp);
        let verdict = policy().decide(&tuple, &mut trace);
        assert_eq!(trace.steps(), [Step::Decision { tuple, verdict }]);
        assert_eq!(
            std::format!("{}", trace.steps()[0]),
            "may tcp 10.0.2.100:5000 -> 127.0.0.1:80 open: denied: a loopback address never leaves its host"
        );
    }
}

//! What a run is to be like: [`Typed`] as it was typed, [`Lowered`] as it is meant.
//!
//! Lowering fills in what was left out, checks what was said against itself and against the host's own network, and decides
//! nothing later: what comes out can be carried out as it stands.

mod error;
mod host_network;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use wharf_stack::stack::GatewayAddresses;
use wharf_table::Addr;
use wharf_table::notation::{Cidr, PortSpec, Ports, PublishSpec};
use wharf_table::policy::{Action, Peer, Rule, Rules, Target};
use wharf_wire::dns::Name;

pub use self::error::ConfigError;
pub use self::host_network::HostNetwork;
pub use super::guard::{Denial, GuardConfig, Mode, PolicyFile};
use super::names::NamesConfig;
use super::names::resolv::ResolvConf;
pub use super::spawn::{LinkChoice, RootMap};
use super::start;
pub use wharf_stack::link::Impairment;
pub use wharf_sys::tap::Offload;

/// The largest MTU: 64 KiB less what headers may add (what passt and slirp4netns take as well).
pub const MTU_MAX: u16 = 65_520;
/// The MTU where none is given: that of most networks, so that what fits the program's link fits the next one as well. Frames of
/// 64 KiB cross it all the same where the device cuts them.
const MTU_DEFAULT: u16 = 1500;
/// The smallest MTU of a link for IPv4: every host takes datagrams of that size (RFC 791, section 3.1).
const MTU_MIN_V4: u16 = 576;
/// The smallest MTU of a link for IPv6 (RFC 8200, section 5).
const MTU_MIN_V6: u16 = 1280;
/// The most data that waits in one direction of one flow: where nothing is given, at least, and at most. With less than a few
/// frames of 64 KiB a flow stalls; what a window can say is a GiB, but the memory is the host's.
const BUFFER_DEFAULT: u32 = 1 << 20;
const BUFFER_MIN: u32 = 256 << 10;
const BUFFER_MAX: u32 = 64 << 20;
/// The most queues of a link.
pub const QUEUES_MAX: usize = 64;
/// The most queues where their number is not given.
const QUEUES_DEFAULT_MAX: usize = 4;
/// The program's address where none is given.
const DEFAULT_V4: Addr = Addr::v4([10, 0, 2, 100]);
const DEFAULT_V4_PREFIX: u8 = 24;
const V6_PREFIX: u8 = 64;
/// Which addresses of a network the gateway, the name server and the host take where none is given, and the program's in a
/// network that we choose.
const GATEWAY: u64 = 2;
const DNS: u64 = 3;
const HOST: u64 = 4;
const PROGRAM_V6: u64 = 0x100;
/// The zone of a run's own names; `internal` is reserved for private use.
const ZONE: &str = "wharf.internal";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// The address families of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv4 and IPv6.
    #[default]
    Both,
    /// IPv4 only.
    V4Only,
    /// IPv6 only.
    V6Only,
}

impl Families {
    /// Whether addresses like this one belong to the run.
    pub const fn include(self, addr: Addr) -> bool {
        match self {
            Families::Both => true,
            Families::V4Only => addr.is_v4(),
            Families::V6Only => !addr.is_v4(),
        }
    }
}

/// Whether a run tells what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Only what went wrong.
    #[default]
    Silent,
    /// What happens.
    Verbose,
}

/// How a run tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// In words.
    #[default]
    Text,
    /// As one JSON object a line.
    Json,
}

/// Whether clients of published TCP ports may be led to the program past its link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PastLink {
    /// Where the kernel can.
    #[default]
    Allowed,
    /// Never: everything goes over the link, as frames.
    Forbidden,
}

/// What was typed. [`Default`] is nothing at all.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// `-p`.
    pub publish: Vec<PublishSpec>,
    /// `--address`.
    pub addresses: Vec<Cidr>,
    /// `--gateway`.
    pub gateways: Vec<IpAddr>,
    /// `--dns`.
    pub dns: Vec<IpAddr>,
    /// `--mtu`.
    pub mtu: Option<u32>,
    /// `--buffer`, in bytes.
    pub buffer: Option<u64>,
    /// `--ipv4-only`, `--ipv6-only`.
    pub families: Families,
    /// `--name`.
    pub name: Option<String>,
    /// `--allow-host`.
    pub allow_host: Vec<PortSpec>,
    /// `--allow`, `--deny`, `--default`, `--policy` and what comes of a denial.
    pub guard: GuardConfig,
    /// `--publish-from`.
    pub publish_from: Vec<Cidr>,
    /// `--learn`.
    pub learn: Option<PathBuf>,
    /// `--link`.
    pub link: Option<Impairment>,
    /// `--root`.
    pub root: Option<RootMap>,
    /// `--device`.
    pub device: Option<LinkChoice>,
    /// `--no-offload`.
    pub offload: Option<Offload>,
    /// `--queues`.
    pub queues: Option<u32>,
    /// `--no-splice`.
    pub past_link: PastLink,
    /// `-v`.
    pub verbosity: Verbosity,
    /// `--json`.
    pub style: Style,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// What it means.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The IPv4 addresses, unless the run is without IPv4.
    pub v4: Option<GatewayAddresses>,
    /// The IPv6 addresses, unless the run is without IPv6.
    pub v6: Option<GatewayAddresses>,
    /// The families of the two above.
    pub families: Families,
    /// The largest IP packet on the program's link, in bytes.
    pub mtu: u16,
    /// The most data that waits in one direction of one flow, in bytes.
    pub buffer: u32,
    /// The name of the run.
    pub name: Option<String>,
    /// What is published.
    pub publish: Vec<PublishSpec>,
    /// The ports of the host's loopback that may be reached.
    pub allow_host: Vec<PortSpec>,
    /// Who may talk to whom.
    pub guard: GuardConfig,
    /// Whose clients published ports take; empty for everybody's.
    pub publish_from: Vec<Cidr>,
    /// Where what was used is written down.
    pub learn: Option<PathBuf>,
    /// What is wrong with the program's link.
    pub link: Option<Impairment>,
    /// Who the program is inside.
    pub root: RootMap,
    /// The device of the link.
    pub device: LinkChoice,
    /// Whether frames may be large and without checksum.
    pub offload: Offload,
    /// How many queues the link has, each with a loop of its own.
    pub queues: usize,
    /// Whether published TCP ports may be served past the link.
    pub past_link: PastLink,
    /// Whether it tells what happens.
    pub verbosity: Verbosity,
    /// How it tells it.
    pub style: Style,
    /// The program and its arguments; never empty.
    pub command: Vec<OsString>,
}

impl Typed {
    /// What is meant on this host, as its network is now.
    ///
    /// # Errors
    /// As [`Typed::lower`], or [`ConfigError::NoRandom`].
    pub fn lower_here(mut self) -> Result<Lowered, ConfigError> {
        if self.queues.is_none() && !self.is_line_bad() {
            self.queues = Some(queues_for(start::processors()));
        }
        let random = start::random_u64().map_err(|_| ConfigError::NoRandom)?;
        self.lower(&HostNetwork::current(), random)
    }

    /// What is meant, on a host with this network. `random` makes the run's IPv6 network its own (RFC 4193, section 3.2.2).
    ///
    /// # Errors
    /// [`ConfigError`]: what was said contradicts itself, or the host's network.
    pub fn lower(self, host: &HostNetwork, random: u64) -> Result<Lowered, ConfigError> {
        self.check_families()?;
        let mtu = self.mtu()?;
        let buffer = self.buffer()?;
        let queues = self.queues()?;
        let default_v4 = Cidr::new(DEFAULT_V4, DEFAULT_V4_PREFIX).expect("24 is a prefix length of IPv4");
        let v4 = self.network(default_v4, host)?;
        let v6 = self.network(unique_local(random), host)?;
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        let command = if self.command.is_empty() { vec![shell()] } else { self.command };
        Ok(Lowered {
            v4,
            v6,
            families: self.families,
            mtu,
            buffer,
            name: self.name,
            publish: self.publish,
            allow_host: self.allow_host.clone(),
            guard: with_host_ports(self.guard, &self.allow_host),
            publish_from: self.publish_from,
            learn: self.learn,
            link: self.link.filter(|link| !link.is_none()),
            root: self.root.unwrap_or(RootMap::Keep),
            device: self.device.unwrap_or(LinkChoice::Auto),
            offload: self.offload.unwrap_or(Offload::Full),
            queues,
            past_link: self.past_link,
            verbosity: self.verbosity,
            style: self.style,
            command,
        })
    }

    /// Each of the addresses belongs to a family that the run has, and each option is given once for it.
    fn check_families(&self) -> Result<(), ConfigError> {
        let of = |option, addrs: &mut dyn Iterator<Item = Addr>| {
            let mut seen = [false; 2];
            for addr in addrs {
                if !self.families.include(addr) {
                    return Err(ConfigError::FamilyOff { option, addr });
                }
                if std::mem::replace(&mut seen[usize::from(addr.is_v4())], true) {
                    return Err(ConfigError::Twice { option, addr });
                }
            }
            Ok(())
        };
        of("--address", &mut self.addresses.iter().map(|cidr| cidr.addr()))?;
        of("--gateway", &mut self.gateways.iter().map(|&ip| ip.into()))?;
        of("--dns", &mut self.dns.iter().map(|&ip| ip.into()))
    }

    fn mtu(&self) -> Result<u16, ConfigError> {
        let Some(mtu) = self.mtu else { return Ok(MTU_DEFAULT) };
        let least = if self.families == Families::V4Only { MTU_MIN_V4 } else { MTU_MIN_V6 };
        let fits = u16::try_from(mtu).ok().filter(|mtu| (least..=MTU_MAX).contains(mtu));
        fits.ok_or(ConfigError::Mtu { mtu, least })
    }

    fn buffer(&self) -> Result<u32, ConfigError> {
        let Some(bytes) = self.buffer else { return Ok(BUFFER_DEFAULT) };
        let fits = u32::try_from(bytes).ok().filter(|bytes| (BUFFER_MIN..=BUFFER_MAX).contains(bytes));
        fits.ok_or(ConfigError::Buffer { bytes })
    }

    fn is_line_bad(&self) -> bool {
        self.link.is_some_and(|link| !link.is_none())
    }

    fn queues(&self) -> Result<usize, ConfigError> {
        let queues = self.queues.unwrap_or(1);
        if queues > 1 && self.is_line_bad() {
            return Err(ConfigError::QueuesOfBadLine { queues });
        }
        let fits = usize::try_from(queues).ok().filter(|queues| (1..=QUEUES_MAX).contains(queues));
        fits.ok_or(ConfigError::Queues { queues })
    }

    /// The addresses of the family of `default`, which is the program's where none was given.
    fn network(&self, default: Cidr, host: &HostNetwork) -> Result<Option<GatewayAddresses>, ConfigError> {
        let v4 = default.addr().is_v4();
        if !self.families.include(default.addr()) {
            return Ok(None);
        }
        let program =
            self.addresses.iter().copied().find(|cidr| cidr.addr().is_v4() == v4).unwrap_or(default);
        if !is_unicast(program.addr()) || !is_assignable(program, program.addr()) {
            return Err(ConfigError::NotAssignable { option: "--address", addr: program.addr(), program });
        }
        let given = |addrs: &[IpAddr]| addrs.iter().map(|&ip| Addr::from(ip)).find(|addr| addr.is_v4() == v4);
        let (gateway, dns) = (given(&self.gateways), given(&self.dns));
        check_neighbor("--gateway", gateway, program)?;
        check_neighbor("--dns", dns, program)?;
        let mut taken: Vec<Addr> = [Some(program.addr()), gateway, dns].into_iter().flatten().collect();
        let gateway = choose(program, gateway, GATEWAY, &mut taken)?;
        let dns = choose(program, dns, DNS, &mut taken)?;
        let stands_for_host = choose(program, None, HOST, &mut taken)?;
        host.check(program)?;
        Ok(Some(GatewayAddresses { program, gateway, dns, host: stands_for_host }))
    }
}

impl Lowered {
    /// What the run's name server is told. Its sockets have the tokens from `first_token` on.
    pub fn names(&self, first_token: u64) -> NamesConfig {
        let zone: Name = ZONE.parse().expect("the zone is a name");
        let of = |label: &str, addr: fn(&GatewayAddresses) -> Addr| {
            let addrs: Vec<Addr> = [&self.v4, &self.v6].into_iter().flatten().map(addr).collect();
            format!("{label}.{ZONE}").parse().ok().map(|name: Name| (name, addrs))
        };
        let own = self.name.as_ref().and_then(|name| of(name, |of| of.program.addr()));
        let names = [of("host", |of| of.host), of("gateway", |of| of.gateway), of("dns", |of| of.dns), own];
        NamesConfig {
            hosts: HOSTS.into(),
            resolv_conf: RESOLV_CONF.into(),
            zone,
            names: names.into_iter().flatten().collect(),
            first_token,
            servers: None,
        }
    }

    /// What the program reads in `/etc/resolv.conf`: the run's name server, and the host's search list.
    pub fn resolv_conf(&self) -> String {
        let text = std::fs::read(Path::new(RESOLV_CONF)).unwrap_or_default();
        let servers: Vec<IpAddr> = [&self.v4, &self.v6].into_iter().flatten().map(|of| of.dns.ip()).collect();
        ResolvConf::parse(&String::from_utf8_lossy(&text)).for_client(&servers)
    }
}

/// The rules, with a word for each port of the host's loopback that was opened before all others.
fn with_host_ports(guard: GuardConfig, ports: &[PortSpec]) -> GuardConfig {
    if guard.is_idle() || ports.is_empty() {
        return guard;
    }
    let allow = |spec: &PortSpec| {
        let ports = Ports::range(spec.ports.first().number(), spec.ports.last().number());
        let protocol = Some(spec.protocol);
        Rule::new(Action::Allow, Target { program: None, peer: Peer::Host, ports, protocol })
    };
    let rules = ports.iter().map(allow).chain(guard.rules.rules().iter().cloned()).collect();
    GuardConfig { rules: Rules::new(rules, guard.rules.default_action()), ..guard }
}

/// How many queues a link has on a machine with so many processors: the program wants as many as wharf does.
fn queues_for(processors: usize) -> u32 {
    (processors / 2).clamp(1, QUEUES_DEFAULT_MAX) as u32
}

/// A network that nobody else has: fd00::/8, forty random bits, subnet 0 (RFC 4193, section 3.1).
fn unique_local(random: u64) -> Cidr {
    let [a, b, c, d, e, ..] = random.to_be_bytes();
    let network = Addr::v6([0xfd, a, b, c, d, e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let network = Cidr::new(network, V6_PREFIX).expect("64 is a prefix length of IPv6");
    let program = network.nth_host(PROGRAM_V6).expect("a /64 has room for it");
    Cidr::new(program, V6_PREFIX).expect("64 is a prefix length of IPv6")
}

/// `given`, or the first free address of the program's network from the `n`th on; the address is taken then.
fn choose(program: Cidr, given: Option<Addr>, n: u64, taken: &mut Vec<Addr>) -> Result<Addr, ConfigError> {
    if let Some(given) = given {
        return Ok(given);
    }
    // Four addresses are taken at most, so that one of five is free; a small network begins at its first again.
    let candidates = (n..n + 5).chain(0..n).filter_map(|n| program.nth_host(n));
    let mut free = candidates.filter(|addr| !taken.contains(addr));
    let addr = free.next().ok_or(ConfigError::TooSmall { program })?;
    taken.push(addr);
    Ok(addr)
}

/// An address that was given for the gateway or the name server is another one of the program's network.
fn check_neighbor(option: &'static str, addr: Option<Addr>, program: Cidr) -> Result<(), ConfigError> {
    let Some(addr) = addr else { return Ok(()) };
    if !program.contains(addr) {
        return Err(ConfigError::Outside { option, addr, program });
    }
    if addr == program.addr() {
        return Err(ConfigError::SameAsProgram { option, addr });
    }
    if !is_assignable(program, addr) {
        return Err(ConfigError::NotAssignable { option, addr, program });
    }
    Ok(())
}

/// Whether an address can be that of a host on some network.
fn is_unicast(addr: Addr) -> bool {
    let reserved = matches!(addr.v4_octets(), Some([0 | 240..=255, ..]));
    !addr.is_unspecified()
        && !addr.is_loopback()
        && !addr.is_multicast()
        && !addr.is_link_local()
        && !reserved
}

/// Whether a host of the network can have this address of it: neither the network's own nor its broadcast address.
fn is_assignable(network: Cidr, addr: Addr) -> bool {
    let is_edge = addr == network.network() && network.nth_host(0).is_none();
    !is_edge && network.broadcast() != Some(addr)
}

/// A name of a run is one label of a host name (RFC 1123, section 2.1).
fn check_name(name: &str) -> Result<(), ConfigError> {
    let is_label = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    let is_ours = ["host", "gateway", "dns"].iter().any(|ours| name.eq_ignore_ascii_case(ours));
    if is_label && !is_ours { Ok(()) } else { Err(ConfigError::Name { name: name.to_owned() }) }
}

fn shell() -> OsString {
    std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into())
}

#[cfg(test)]
mod tests;

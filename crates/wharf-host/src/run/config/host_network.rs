//! The networks that the host is on, so that a run's own does not hide one of them.

use std::fs;
use std::net::Ipv6Addr;

use wharf_table::Addr;
use wharf_table::notation::Cidr;

use super::ConfigError;

/// A route with a shorter prefix is a default route, or one half of it as VPNs make them, and hides nothing in particular.
const DEFAULT_ROUTE_MAX: u8 = 7;
/// Flags of a route (`RTF_UP`, `RTF_REJECT`).
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;
/// The program's place in a network that is suggested.
const PLACE: u64 = 100;

/// The networks to which the host has routes, with the names of their interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNetwork {
    networks: Vec<(Cidr, String)>,
}

impl HostNetwork {
    /// The host's networks at the moment; what can't be read is taken as empty.
    pub fn current() -> HostNetwork {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        HostNetwork::parse(&read("/proc/net/route"), &read("/proc/net/ipv6_route"))
    }

    /// Reads the kernel's tables of routes.
    pub(super) fn parse(v4: &str, v6: &str) -> HostNetwork {
        let networks = v4.lines().filter_map(parse_v4).chain(v6.lines().filter_map(parse_v6));
        let counts = |(network, _): &(Cidr, String)| {
            let addr = network.addr();
            network.prefix_len() > DEFAULT_ROUTE_MAX
                && !addr.is_link_local()
                && !addr.is_multicast()
                && !addr.is_loopback()
        };
        HostNetwork { networks: networks.filter(counts).collect() }
    }

    /// Whether the program's network leaves the host's alone.
    ///
    /// # Errors
    /// [`ConfigError::Clash`], with the host's network and one that is free.
    pub(super) fn check(&self, program: Cidr) -> Result<(), ConfigError> {
        match self.overlapping(program) {
            None => Ok(()),
            Some((network, interface)) => Err(ConfigError::Clash {
                program,
                network: *network,
                interface: interface.clone(),
                free: if program.addr().is_v4() { self.free() } else { None },
            }),
        }
    }

    fn overlapping(&self, wanted: Cidr) -> Option<&(Cidr, String)> {
        self.networks
            .iter()
            .find(|(network, _)| network.contains(wanted.addr()) || wanted.contains(network.addr()))
    }

    /// A place in a private network (RFC 1918) of 24 bits that is free.
    fn free(&self) -> Option<Cidr> {
        let tens = (3..=255).map(|third| [10, 0, third, 0]);
        let others = (0..=255).map(|third| [172, 29, third, 0]);
        let last = (0..=255).map(|third| [192, 168, third, 0]);
        let networks = tens.chain(others).chain(last).filter_map(|octets| Cidr::new(Addr::v4(octets), 24));
        let mut places = networks.filter_map(|network| Cidr::new(network.nth_host(PLACE)?, 24));
        places.find(|place| self.overlapping(*place).is_none())
    }
}

/// `eth0 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0`: addresses as words in the machine's byte order.
fn parse_v4(line: &str) -> Option<(Cidr, String)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[interface, destination, _, flags, _, _, _, mask, ..] = words.as_slice() else { return None };
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    let mask = u32::from_be_bytes(word(mask)?);
    is_route(flags).then(|| {
        Some((Cidr::new(Addr::v4(word(destination)?), mask.leading_ones() as u8)?, interface.to_owned()))
    })?
}

/// `fd00... 40 0... 00 0... 00000100 00000001 00000000 00000001 eth0`.
fn parse_v6(line: &str) -> Option<(Cidr, String)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[destination, prefix, _, _, _, _, _, _, flags, interface] = words.as_slice() else { return None };
    let addr = Ipv6Addr::from_bits(u128::from_str_radix(destination, 16).ok()?);
    let prefix = u8::from_str_radix(prefix, 16).ok()?;
    is_route(flags).then(|| Some((Cidr::new(addr.into(), prefix)?, interface.to_owned())))?
}

fn is_route(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & (UP | REJECT) == UP)
}

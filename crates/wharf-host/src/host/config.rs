//! What a host is to be like: [`Typed`] as it was typed, [`Lowered`] as it is meant.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, EphemeralAlgorithm, PortRange};

pub use super::clock::ClockKind;
use crate::run::config::MTU_MAX;

/// Where namespaces with a name stand (ip-netns(8)).
const NAMED_NAMESPACES: &str = "/run/netns";
/// The interface where none is named.
const DEFAULT_INTERFACE: &str = "wharf0";
const MTU_DEFAULT: u16 = 1_500;
/// The smallest MTU of a link for IPv4 (RFC 791, section 3.1) and for IPv6 (RFC 8200, section 5).
const MTU_MIN_V4: u16 = 576;
const MTU_MIN_V6: u16 = 1_280;
/// The longest name of an interface (IFNAMSIZ less the NUL).
const NAME_MAX: usize = 15;

/// Which interface the kernel's side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A TAP: Ethernet.
    Tap,
    /// A TUN: IP packets.
    Tun,
}

/// What was typed. [`Default`] is nothing at all.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// `--address`.
    pub addresses: Vec<Cidr>,
    /// `--gateway`.
    pub gateways: Vec<IpAddr>,
    /// `--tap` or `--tun` with the name.
    pub interface: Option<(Layer, String)>,
    /// `--netns`.
    pub netns: Option<String>,
    /// `--peer`.
    pub peers: Vec<Cidr>,
    /// `--mtu`.
    pub mtu: Option<u32>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
    /// `--clock`.
    pub clock: ClockKind,
    /// `--no-offload`.
    pub no_offload: bool,
    /// `--ports`.
    pub ports: Option<PortRange>,
    /// `--algorithm`.
    pub algorithm: EphemeralAlgorithm,
    /// `--reserve`.
    pub reserved: Vec<PortRange>,
    /// `--privileged-below`.
    pub privileged_below: Option<u16>,
    /// `--uid`.
    pub uid: u32,
    /// `--setting`, checked.
    pub settings: Vec<(String, String)>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// On which link the host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An interface of this network namespace or of another.
    Interface {
        /// Its kind.
        layer: Layer,
        /// Its name.
        name: String,
        /// The file of the namespace.
        namespace: Option<PathBuf>,
    },
    /// A network of its own, in which a program runs.
    Program(Vec<OsString>),
}

/// What it means.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The host's addresses, at least one.
    pub addresses: Vec<Cidr>,
    /// The next hop for IPv4 destinations that are not on the link.
    pub gateway_v4: Option<Addr>,
    /// The same for IPv6.
    pub gateway_v6: Option<Addr>,
    /// The link.
    pub place: Place,
    /// Addresses of the kernel's side.
    pub peers: Vec<Cidr>,
    /// The largest IP packet, in bytes.
    pub mtu: u16,
    /// The UNIX socket for requests.
    pub socket: Option<PathBuf>,
    /// The clock.
    pub clock: ClockKind,
    /// Frames are no larger than the MTU, and have their checksums.
    pub no_offload: bool,
    /// From where ports are chosen.
    pub ports: PortRange,
    /// How.
    pub algorithm: EphemeralAlgorithm,
    /// Which never are.
    pub reserved: Vec<PortRange>,
    /// Ports below are for the privileged.
    pub privileged_below: u16,
    /// In whose name sockets are made that don't say.
    pub uid: u32,
    /// Settings of the host's TCP.
    pub settings: Vec<(String, String)>,
}

/// Why a host can't be what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No address.
    #[error("--address: missing (the host's address and network, 10.8.0.2/24 say)")]
    NoAddress,
    /// An address that no host can have.
    #[error("{option} \"{addr}\": no host can have this address (choose another one of the network)")]
    NotAssignable {
        /// The option.
        option: &'static str,
        /// The address.
        addr: Cidr,
    },
    /// The same address for both sides.
    #[error("--peer \"{addr}\": the host has this address (give the kernel's side another one)")]
    SameAsHost {
        /// The address.
        addr: Addr,
    },
    /// A peer that the host can't reach.
    #[error("--peer \"{addr}\": lies in none of the host's networks (see --address)")]
    PeerOutside {
        /// The address.
        addr: Addr,
    },
    /// A gateway that the host can't reach.
    #[error("--gateway \"{addr}\": lies in none of the host's networks (see --address)")]
    GatewayOutside {
        /// The address.
        addr: Addr,
    },
    /// Two of one family where there can be one.
    #[error("{option} \"{addr}\": given twice for one family (give one for each)")]
    Twice {
        /// The option.
        option: &'static str,
        /// The second.
        addr: Addr,
    },
    /// No other address in the network.
    #[error("--peer: the network of {addr} has no second address (write a shorter prefix, or give --peer)")]
    NoRoom {
        /// The host's address.
        addr: Cidr,
    },
    /// An MTU that is too small or too large.
    #[error("--mtu \"{mtu}\": not an MTU of this link (write {least} to {MTU_MAX})")]
    Mtu {
        /// What was asked for.
        mtu: u32,
        /// The least.
        least: u16,
    },
    /// No name of an interface.
    #[error(
        "{option} {name:?}: not a name for an interface (1 to {NAME_MAX} letters, digits, \"-\", \"_\" or \".\")"
    )]
    Name {
        /// The option.
        option: &'static str,
        /// The name.
        name: String,
    },
    /// An interface, and a program that gets a network of its own.
    #[error(
        "{option}: a COMMAND runs in a network of its own, which has its own interface (leave out {option}, or the COMMAND)"
    )]
    InterfaceAndProgram {
        /// The option.
        option: &'static str,
    },
}

impl Typed {
    /// What is meant. `is_root` tells where the host stands when nothing says so: a TAP for root, and for others, who may make
    /// none, a network of its own with a shell in it.
    ///
    /// # Errors
    /// [`ConfigError`]: what was said contradicts itself.
    pub fn lower(self, is_root: bool) -> Result<Lowered, ConfigError> {
        if self.addresses.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        for (option, list) in [("--address", &self.addresses), ("--peer", &self.peers)] {
            if let Some(addr) = list.iter().find(|cidr| !is_assignable(**cidr)) {
                return Err(ConfigError::NotAssignable { option, addr: *addr });
            }
        }
        let mtu = self.mtu()?;
        let place = self.place(is_root)?;
        let peers = self.peers(matches!(place, Place::Program(_)))?;
        let (gateway_v4, gateway_v6) = self.gateways()?;
        Ok(Lowered {
            addresses: self.addresses,
            gateway_v4,
            gateway_v6,
            place,
            peers,
            mtu,
            socket: self.socket,
            clock: self.clock,
            no_offload: self.no_offload,
            ports: self.ports.unwrap_or(PortRange::DYNAMIC),
            algorithm: self.algorithm,
            reserved: self.reserved,
            privileged_below: self.privileged_below.unwrap_or(1_024),
            uid: self.uid,
            settings: self.settings,
        })
    }

    fn mtu(&self) -> Result<u16, ConfigError> {
        let Some(mtu) = self.mtu else { return Ok(MTU_DEFAULT) };
        let v6 = self.addresses.iter().any(|cidr| !cidr.addr().is_v4());
        let least = if v6 { MTU_MIN_V6 } else { MTU_MIN_V4 };
        let fits = u16::try_from(mtu).ok().filter(|mtu| (least..=MTU_MAX).contains(mtu));
        fits.ok_or(ConfigError::Mtu { mtu, least })
    }

    fn place(&self, is_root: bool) -> Result<Place, ConfigError> {
        let namespace = self.netns.as_ref().map(|name| match name.contains('/') {
            true => PathBuf::from(name),
            false => Path::new(NAMED_NAMESPACES).join(name),
        });
        let (layer, name) = match &self.interface {
            Some((layer, name)) => {
                let option = if *layer == Layer::Tap { "--tap" } else { "--tun" };
                if !is_name(name) {
                    return Err(ConfigError::Name { option, name: name.clone() });
                }
                if !self.command.is_empty() {
                    return Err(ConfigError::InterfaceAndProgram { option });
                }
                (*layer, name.clone())
            }
            None if !self.command.is_empty() && namespace.is_some() => {
                return Err(ConfigError::InterfaceAndProgram { option: "--netns" });
            }
            None if !self.command.is_empty() => return Ok(Place::Program(self.command.clone())),
            None if !is_root && namespace.is_none() => return Ok(Place::Program(vec![shell()])),
            None => (Layer::Tap, DEFAULT_INTERFACE.to_owned()),
        };
        Ok(Place::Interface { layer, name, namespace })
    }

    /// The addresses of the kernel's side; in a network of its own it has one in each of the host's, one for each family.
    fn peers(&self, own_network: bool) -> Result<Vec<Cidr>, ConfigError> {
        let mut peers = self.peers.clone();
        for peer in &peers {
            if self.addresses.iter().any(|own| own.addr() == peer.addr()) {
                return Err(ConfigError::SameAsHost { addr: peer.addr() });
            }
            if !self.addresses.iter().any(|own| own.contains(peer.addr())) {
                return Err(ConfigError::PeerOutside { addr: peer.addr() });
            }
        }
        if !own_network {
            return Ok(peers);
        }
        for v4 in [true, false] {
            let mut given = peers.iter().filter(|peer| peer.addr().is_v4() == v4);
            match (given.next(), given.next()) {
                (Some(_), Some(second)) => {
                    return Err(ConfigError::Twice { option: "--peer", addr: second.addr() });
                }
                (Some(_), None) => {}
                (None, _) => {
                    let own = self.addresses.iter().find(|own| own.addr().is_v4() == v4);
                    peers.extend(own.map(|own| self.other_address(*own)).transpose()?);
                }
            }
        }
        Ok(peers)
    }

    /// The first address of a network that is none of the host's.
    fn other_address(&self, own: Cidr) -> Result<Cidr, ConfigError> {
        let taken = |addr: Addr| self.addresses.iter().any(|own| own.addr() == addr);
        let most = self.addresses.len() as u64 + 2;
        let free = (0..=most).filter_map(|n| own.nth_host(n)).find(|addr| !taken(*addr));
        free.and_then(|addr| Cidr::new(addr, own.prefix_len())).ok_or(ConfigError::NoRoom { addr: own })
    }

    fn gateways(&self) -> Result<(Option<Addr>, Option<Addr>), ConfigError> {
        let mut of = [None, None];
        for gateway in &self.gateways {
            let addr = Addr::from(*gateway);
            if !addr.is_link_local() && !self.addresses.iter().any(|own| own.contains(addr)) {
                return Err(ConfigError::GatewayOutside { addr });
            }
            if of[usize::from(addr.is_v4())].replace(addr).is_some() {
                return Err(ConfigError::Twice { option: "--gateway", addr });
            }
        }
        let [v6, v4] = of;
        Ok((v4, v6))
    }
}

/// Whether a host can have this address in its network.
fn is_assignable(cidr: Cidr) -> bool {
    let addr = cidr.addr();
    let edge = addr == cidr.network() && cidr.nth_host(0).is_none() || cidr.broadcast() == Some(addr);
    let reserved = matches!(addr.v4_octets(), Some([0 | 240..=255, ..]));
    !addr.is_unspecified() && !addr.is_loopback() && !addr.is_multicast() && !reserved && !edge
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain) && name != "." && name != ".."
}

fn shell() -> OsString {
    std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(addresses: &[&str]) -> Typed {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Typed { addresses, ..Typed::default() }
    }

    #[test]
    fn root_gets_a_tap_and_others_a_network_of_their_own() {
        let root = typed(&["10.8.0.2/24"]).lower(true).unwrap();
        let tap = Place::Interface { layer: Layer::Tap, name: "wharf0".to_owned(), namespace: None };
        assert_eq!((root.place, root.peers.len()), (tap, 0));
        let other = typed(&["10.8.0.2/24", "fd00:8::1/64"]).lower(false).unwrap();
        assert!(matches!(other.place, Place::Program(_)));
        let peers: Vec<_> = other.peers.iter().map(ToString::to_string).collect();
        assert_eq!(peers, ["10.8.0.1/24", "fd00:8::2/64"]);
    }

    #[test]
    fn a_namespace_is_a_name_or_a_path() {
        for (text, path) in [("lab", "/run/netns/lab"), ("/proc/7/ns/net", "/proc/7/ns/net")] {
            let typed = Typed { netns: Some(text.to_owned()), ..typed(&["10.8.0.2/24"]) };
            let Place::Interface { namespace, .. } = typed.lower(false).unwrap().place else {
                panic!("an interface")
            };
            assert_eq!(namespace, Some(path.into()));
        }
    }

    #[test]
    fn contradictions_are_named() {
        let error = |typed: Typed| typed.lower(true).unwrap_err().to_string();
        assert!(error(Typed::default()).starts_with("--address: missing"));
        assert!(error(typed(&["10.8.0.0/24"])).starts_with("--address \"10.8.0.0/24\": no host"));
        let peer = |text: &str| Typed { peers: vec![text.parse().unwrap()], ..typed(&["10.8.0.2/24"]) };
        assert!(error(peer("10.8.0.2/24")).contains("the host has this address"));
        assert!(error(peer("10.9.0.1/24")).contains("none of the host's networks"));
        let both = Typed {
            interface: Some((Layer::Tun, "t0".to_owned())),
            command: vec!["true".into()],
            ..typed(&["10.8.0.2/24"])
        };
        assert!(error(both).starts_with("--tun: a COMMAND runs"));
        let alone = Typed { command: vec!["true".into()], ..typed(&["10.8.0.2/32"]) };
        assert!(error(alone).contains("no second address"));
    }
}

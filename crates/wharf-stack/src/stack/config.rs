//! What a stack is told at its start.

use alloc::vec::Vec;

use wharf_table::hash::HashKey;
use wharf_table::notation::Cidr;
use wharf_table::policy::Policy;
use wharf_table::{Addr, PortRange};

use crate::interface::Capabilities;
use crate::tcp::Settings;

/// What a [`Stack`](super::Stack) is told at its start. Keys must come from a good random source: they keep sequence
/// numbers (RFC 6528), ephemeral ports (RFC 6056) and hash buckets from being guessed.
#[derive(Clone, Debug)]
pub struct Config {
    /// In whose name it answers.
    pub role: Role,
    /// What its frames are.
    pub medium: Medium,
    /// Its hardware address.
    pub hardware_address: [u8; 6],
    /// The largest IP packet of the link, in bytes: at least 576, at least 1280 with IPv6.
    pub mtu: u16,
    /// What the device does for it.
    pub capabilities: Capabilities,
    /// How its TCP behaves. The segment sizes are derived from `mtu` and `capabilities` for each connection.
    pub tcp: Settings,
    /// The most buffer memory that data in flight may take, in bytes, over all connections.
    pub buffer_limit: usize,
    /// The most TCP connections at a time; a newcomer beyond is answered with RST.
    pub max_connections: usize,
    /// The range from which local ports are chosen.
    pub ephemeral_ports: PortRange,
    /// Keys the hash of the table.
    pub table_key: HashKey,
    /// Keys initial sequence numbers (RFC 6528).
    pub isn_key: HashKey,
}

impl Config {
    /// A host with these addresses, without a way off the link, on a link of 1,500 bytes that takes nothing off it. Its
    /// hardware address is local and the same for all: change it where stations share a link.
    pub fn host(medium: Medium, addresses: Vec<Cidr>, table_key: HashKey, isn_key: HashKey) -> Config {
        Config {
            role: Role::Host(HostRole { addresses, gateway_v4: None, gateway_v6: None }),
            medium,
            hardware_address: [2, 0, 0, 0, 0, 1],
            mtu: 1_500,
            capabilities: Capabilities::default(),
            tcp: Settings::default(),
            buffer_limit: 64 << 20,
            max_connections: 65_536,
            ephemeral_ports: PortRange::DYNAMIC,
            table_key,
            isn_key,
        }
    }
}

/// What the link carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// Ethernet frames, with ARP and neighbour discovery.
    #[default]
    Ethernet,
    /// Bare IP packets, as a TUN device does: there is one station behind it, and nobody to be asked where. Offload
    /// offsets count from the IP header.
    Ip,
}

/// In whose name a stack answers.
#[derive(Clone, Debug)]
pub enum Role {
    /// A gateway with one program's network behind the link: it takes packets for every address outside.
    Gateway(Gateway),
    /// A host among others on the link: it takes packets for its own addresses.
    Host(HostRole),
}

/// A gateway's side of the link.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The hardware address of the program's interface.
    pub peer_hardware: [u8; 6],
    /// The IPv4 network, if there is one.
    pub v4: Option<GatewayAddresses>,
    /// The IPv6 network, if there is one.
    pub v6: Option<GatewayAddresses>,
    /// The gateway's IPv6 link-local address, the source of router advertisements (RFC 4861, section 4.2).
    pub link_local: Addr,
    /// What may be opened.
    pub policy: Policy,
}

/// The addresses of one family on a gateway's link.
#[derive(Clone, Copy, Debug)]
pub struct GatewayAddresses {
    /// The program's address and its prefix length.
    pub program: Cidr,
    /// The gateway's own address.
    pub gateway: Addr,
    /// The address of the name server.
    pub dns: Addr,
    /// The address that stands for the host's loopback.
    pub host: Addr,
}

impl GatewayAddresses {
    fn owns(&self, addr: Addr) -> bool {
        addr == self.gateway || addr == self.dns || addr == self.host
    }
}

/// A host's side of the link.
#[derive(Clone, Debug, Default)]
pub struct HostRole {
    /// Its addresses with their prefixes; what lies inside a prefix is on the link.
    pub addresses: Vec<Cidr>,
    /// The next hop for IPv4 destinations that are not on the link.
    pub gateway_v4: Option<Addr>,
    /// The next hop for IPv6 destinations that are not on the link.
    pub gateway_v6: Option<Addr>,
}

impl Gateway {
    /// Whether there is a network of this address' family.
    pub(super) fn carries(&self, addr: Addr) -> bool {
        if addr.is_v4() { self.v4.is_some() } else { self.v6.is_some() }
    }
}

impl Role {
    /// Whether `addr` is one of the stack's own addresses.
    pub fn owns(&self, addr: Addr) -> bool {
        match self {
            Role::Gateway(gateway) => {
                addr == gateway.link_local && !addr.is_v4()
                    || gateway.v4.is_some_and(|v4| v4.owns(addr))
                    || gateway.v6.is_some_and(|v6| v6.owns(addr))
            }
            Role::Host(host) => host.addresses.iter().any(|own| own.addr() == addr),
        }
    }

    /// The address that the stack uses of its own accord towards `peer`.
    pub fn source_for(&self, peer: Addr) -> Option<Addr> {
        match self {
            Role::Gateway(gateway) => {
                if peer.is_v4() {
                    gateway.v4.map(|v4| v4.gateway)
                } else if peer.is_link_local() {
                    Some(gateway.link_local)
                } else {
                    gateway.v6.map(|v6| v6.gateway)
                }
            }
            Role::Host(host) => {
                let mut same_family = host.addresses.iter().filter(|own| own.addr().is_v4() == peer.is_v4());
                let on_link = same_family.clone().find(|own| own.contains(peer));
                on_link.or_else(|| same_family.next()).map(|own| own.addr())
            }
        }
    }
}

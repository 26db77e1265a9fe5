//! What a station is like.

use wharf_stack::interface::Capabilities;
use wharf_stack::link::Impairment;
use wharf_stack::stack::{Config, Gateway, GatewayAddresses, HostRole, Medium, Role};
use wharf_stack::tcp::Settings;
use wharf_table::hash::HashKey;
use wharf_table::notation::Cidr;
use wharf_table::policy::{Judge, Policy};
use wharf_table::{Addr, PortRange};

/// What a stack in the laboratory is like, apart from its addresses.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The largest IP packet of its link, in bytes.
    pub mtu: u16,
    /// How its TCP behaves.
    pub tcp: Settings,
    /// What its device does for it. With any of these its link should be a good one.
    pub capabilities: Capabilities,
    /// What is wrong with its way to the switch.
    pub impairment: Impairment,
    /// The most buffer memory of all its connections, in bytes.
    pub buffer_limit: usize,
    /// The most connections.
    pub max_connections: usize,
    /// From where faults and keys follow.
    pub seed: u64,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            mtu: 1_500,
            tcp: Settings::default(),
            capabilities: Capabilities::default(),
            impairment: Impairment::default(),
            buffer_limit: 64 << 20,
            max_connections: 10_000,
            seed: 1,
        }
    }
}

impl Setup {
    /// A link with these faults, as a user writes them.
    ///
    /// # Panics
    /// When `text` is no impairment.
    pub fn impaired(mut self, text: &str) -> Setup {
        self.impairment = Impairment::parse(text).expect("the story names an impairment");
        self
    }

    /// A link of this MTU.
    pub fn mtu(mut self, mtu: u16) -> Setup {
        self.mtu = mtu;
        self
    }

    /// Faults and keys that follow from this.
    pub fn seed(mut self, seed: u64) -> Setup {
        self.seed = seed;
        self
    }

    /// Buffers of so many bytes for each direction of a connection.
    pub fn buffers(mut self, bytes: u32) -> Setup {
        self.tcp.send_buffer = bytes;
        self.tcp.receive_buffer = bytes;
        self
    }

    /// A device that takes checksums and segments off the stack.
    pub fn offloads(mut self) -> Setup {
        self.capabilities = Capabilities { checksum: true, tso: true, uso: true };
        self
    }

    /// The `index`-th host of the link 10.0.2.0/24 and fd00::/64.
    pub(crate) fn host(&self, index: u8) -> Config {
        let role = HostRole {
            addresses: [host_v4(index), host_v6(index)].map(|addr| cidr(addr).expect("a prefix fits")).into(),
            gateway_v4: None,
            gateway_v6: None,
        };
        self.config(index, Role::Host(role))
    }

    /// A program's host, whose way out is the gateway with hardware address `gateway`.
    pub(crate) fn program(&self, index: u8, gateway: u8) -> Config {
        let mut config = self.host(index);
        if let Role::Host(host) = &mut config.role {
            host.gateway_v4 = Some(host_v4(gateway));
            host.gateway_v6 = Some(host_v6(gateway));
        }
        config
    }

    /// The gateway of the program `program`, which answers for every address outside.
    pub(crate) fn gateway(&self, index: u8, program: u8) -> Config {
        let network = |program: Addr, own: Addr, dns: Addr, host: Addr| GatewayAddresses {
            program: cidr(program).expect("a prefix fits"),
            gateway: own,
            dns,
            host,
        };
        let role = Gateway {
            peer_hardware: hardware(program),
            v4: Some(network(host_v4(program), host_v4(index), host_v4(203), host_v4(204))),
            v6: Some(network(host_v6(program), host_v6(index), host_v6(203), host_v6(204))),
            link_local: Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, index]),
            policy: Policy {
                host: vec![host_v4(204), host_v6(204)],
                allow_host: Vec::new(),
                judge: Judge::Policy,
            },
        };
        self.config(index, Role::Gateway(role))
    }

    fn config(&self, index: u8, role: Role) -> Config {
        let key = |purpose: u64| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
            bytes[8..].copy_from_slice(&(u64::from(index) << 8 | purpose).to_le_bytes());
            HashKey::new(bytes)
        };
        Config {
            role,
            medium: Medium::Ethernet,
            hardware_address: hardware(index),
            mtu: self.mtu,
            capabilities: self.capabilities,
            tcp: self.tcp.clone(),
            buffer_limit: self.buffer_limit,
            max_connections: self.max_connections,
            ephemeral_ports: PortRange::DYNAMIC,
            table_key: key(0),
            isn_key: key(1),
        }
    }
}

/// The hardware address of the `index`-th station.
pub(crate) const fn hardware(index: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, index]
}

/// The IPv4 address of the `index`-th station.
pub(crate) const fn host_v4(index: u8) -> Addr {
    Addr::v4([10, 0, 2, index])
}

/// The IPv6 address of the `index`-th station.
pub(crate) const fn host_v6(index: u8) -> Addr {
    Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, index])
}

fn cidr(addr: Addr) -> Option<Cidr> {
    Cidr::new(addr, if addr.is_v4() { 24 } else { 64 })
}

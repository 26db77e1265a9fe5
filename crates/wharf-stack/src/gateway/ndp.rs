//! Router and neighbour discovery on a link with one program on it (RFC 4861, RFC 4862, RFC 8106).

use wharf_table::Addr;
use wharf_wire::HardwareAddr;
use wharf_wire::ndp::{ALL_NODES, NdpRepr, NeighborFlags, PrefixInfo, RecursiveDns, RouterAdvert};

use crate::stack::{Gateway, GatewayAddresses};

/// For how many seconds the gateway is a router, before it is asked again.
const LIFETIME_S: u16 = 9_000;

/// An answer and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The source address.
    pub source: Addr,
    /// The destination address.
    pub destination: Addr,
    /// The message.
    pub message: NdpRepr,
}

/// The answer to a discovery message from `source`; `None` where there is none.
pub fn answer(
    gateway: &Gateway,
    network: &GatewayAddresses,
    hardware: [u8; 6],
    mtu: u16,
    source: Addr,
    message: &NdpRepr,
) -> Option<Answer> {
    let to = if source.is_unspecified() { ALL_NODES } else { source };
    match message {
        NdpRepr::RouterSolicit { .. } => Some(Answer {
            source: gateway.link_local,
            destination: to,
            message: NdpRepr::RouterAdvert(advert(network, hardware, mtu)),
        }),
        NdpRepr::NeighborSolicit { target, .. } => {
            let own = [network.gateway, network.dns, network.host, gateway.link_local].contains(target);
            own.then(|| Answer {
                source: *target,
                destination: to,
                message: NdpRepr::NeighborAdvert {
                    target: *target,
                    flags: NeighborFlags {
                        router: true,
                        solicited: !source.is_unspecified(),
                        overrides: true,
                    },
                    target_hardware: Some(HardwareAddr(hardware)),
                },
            })
        }
        NdpRepr::RouterAdvert(_) | NdpRepr::NeighborAdvert { .. } => None,
    }
}

/// The link as it is: its prefix, of which a host that asks may make an address of its own, the name server, the MTU.
fn advert(network: &GatewayAddresses, hardware: [u8; 6], mtu: u16) -> RouterAdvert {
    let prefix = PrefixInfo {
        prefix: network.program.network(),
        prefix_len: network.program.prefix_len(),
        on_link: true,
        autonomous: network.program.prefix_len() == 64,
        valid_s: u32::MAX,
        preferred_s: u32::MAX,
    };
    let servers = [network.dns].into_iter().collect();
    RouterAdvert {
        hop_limit: 64,
        managed: false,
        other_config: false,
        lifetime_s: LIFETIME_S,
        reachable_ms: 0,
        retransmit_ms: 0,
        source_hardware: Some(HardwareAddr(hardware)),
        mtu: Some(u32::from(mtu)),
        prefixes: [prefix].into_iter().collect(),
        dns: Some(RecursiveDns { lifetime_s: u32::from(LIFETIME_S), servers }),
    }
}

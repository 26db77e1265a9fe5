//! The packet that is judged: its headers as far as they can be foreseen.

use std::net::{IpAddr, SocketAddr};

use wharf_sys::netlink::nftables::PayloadBase;
use wharf_table::Protocol;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::why) struct Device {
    pub(in crate::why) index: u32,
    pub(in crate::why) name: String,
}

/// Which packet of a conversation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::why) enum Phase {
    /// The first.
    First,
    /// The first that comes back.
    Reply,
}

/// A packet on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::why) struct Packet {
    pub(in crate::why) protocol: Protocol,
    pub(in crate::why) source: SocketAddr,
    pub(in crate::why) destination: SocketAddr,
    pub(in crate::why) came_by: Option<Device>,
    pub(in crate::why) leaves_by: Option<Device>,
    pub(in crate::why) phase: Phase,
    pub(in crate::why) mark: u32,
    /// Whose socket sends it, where it is made.
    pub(in crate::why) user: Option<(u32, u32)>,
    /// Whether connection tracking sees it.
    pub(in crate::why) is_tracked: bool,
    /// Whether its destination was translated.
    pub(in crate::why) is_translated: bool,
}

impl Packet {
    /// The number of its transport.
    pub(super) const fn transport(&self) -> u8 {
        match self.protocol {
            Protocol::Udp => 17,
            _ => 6,
        }
    }

    /// The bytes of a header; `None` of those that can't be foreseen.
    pub(super) fn header(&self, base: PayloadBase) -> Vec<Option<u8>> {
        match base {
            PayloadBase::Network => self.network(),
            PayloadBase::Transport => self.segment(),
            PayloadBase::Link | PayloadBase::Other => Vec::new(),
        }
    }

    fn network(&self) -> Vec<Option<u8>> {
        let known = |bytes: &[u8]| bytes.iter().map(|&byte| Some(byte)).collect::<Vec<_>>();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => [
                known(&[0x45, 0]),
                vec![None; 6],
                known(&[64, self.transport()]),
                vec![None; 2],
                known(&source.octets()),
                known(&destination.octets()),
            ]
            .concat(),
            (source, destination) => [
                known(&[0x60, 0, 0, 0]),
                vec![None; 2],
                known(&[self.transport(), 64]),
                known(&v6(source)),
                known(&v6(destination)),
            ]
            .concat(),
        }
    }

    fn segment(&self) -> Vec<Option<u8>> {
        let ports = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        let mut bytes: Vec<Option<u8>> = ports.into_iter().map(Some).collect();
        if self.protocol == Protocol::Tcp {
            bytes.extend([None; 9]);
            // SYN, and SYN with ACK.
            bytes.push(Some(if self.phase == Phase::First { 0x02 } else { 0x12 }));
        }
        bytes
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
    }
}

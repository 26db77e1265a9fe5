//! The requests to rtnetlink that set up a private network: links, addresses, routes, neighbours (rtnetlink(7)).

use std::net::{IpAddr, Ipv6Addr};

use super::{Attributes, Batch, CREATE};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEIGH: u16 = 28;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
/// Attributes that hold attributes are marked where the kernel checks for the mark.
const NESTED: u16 = 0x8000;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_PERMANENT: u32 = 0x80;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PREFSRC: u16 = 7;
pub(super) const RTA_METRICS: u16 = 8;
pub(super) const RTAX_CC_ALGO: u16 = 16;
const RT_TABLE_MAIN: u8 = 254;
const RT_TABLE_LOCAL: u8 = 255;
pub(super) const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
pub(super) const RT_SCOPE_HOST: u8 = 254;
const RTN_UNICAST: u8 = 1;
pub(super) const RTN_LOCAL: u8 = 2;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;

const IFF_UP: u32 = 0x1;
const IFF_NOARP: u32 = 0x80;

/// The number of `lo` in every network namespace.
pub const LOOPBACK_INDEX: u32 = 1;

/// A hardware address.
pub type HardwareAddress = [u8; 6];

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address itself.
    pub address: IpAddr,
    /// How many leading bits name the network.
    pub length: u8,
}

impl Prefix {
    /// The link-local address that the kernel would make from a hardware address (RFC 4291, appendix A).
    pub fn link_local(hardware: HardwareAddress) -> Prefix {
        let [a, b, c, d, e, f] = hardware;
        let part = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        let words = [0xfe80, 0, 0, 0, part(a ^ 2, b), part(c, 0xff), part(0xfe, d), part(e, f)];
        Prefix { address: IpAddr::from(words), length: 64 }
    }

    /// The first address of the network: all bits behind the prefix are 0.
    pub fn network(self) -> IpAddr {
        match self.address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length.min(32))).unwrap_or(0);
                IpAddr::V4((ip.to_bits() & mask).into())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length.min(128))).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
        }
    }
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To neighbours on the link, this being the address to speak from.
    OnLink {
        /// The address to speak from.
        source: IpAddr,
    },
    /// To a gateway on the link.
    Gateway(IpAddr),
}

impl Batch {
    /// Makes a veth pair: `near` here, and `far` in the network namespace of the process `pid`.
    pub fn veth(&mut self, near: VethEnd<'_>, far: VethEnd<'_>, pid: u32) {
        self.request(RTM_NEWLINK, CREATE, &link(near.index, 0, 0), |put| {
            near.put(put);
            put.nest(IFLA_LINKINFO, |info| {
                info.put(IFLA_INFO_KIND, b"veth");
                info.nest(IFLA_INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |peer| {
                        peer.raw(&link(far.index, 0, 0));
                        far.put(peer);
                        peer.put(IFLA_NET_NS_PID, &pid.to_ne_bytes());
                    });
                });
            });
        });
    }

    /// Sets hardware address and MTU of a link and how many frames wait in it to be sent, and brings it up.
    pub fn configure(&mut self, index: u32, address: HardwareAddress, mtu: u32, queue: u32) {
        self.request(RTM_NEWLINK, 0, &link(index, IFF_UP, IFF_UP), |put| {
            put.put(IFLA_ADDRESS, &address)
                .put(IFLA_MTU, &mtu.to_ne_bytes())
                .put(IFLA_TXQLEN, &queue.to_ne_bytes());
        });
    }

    /// Sets the MTU of a link.
    pub fn mtu(&mut self, index: u32, mtu: u32) {
        self.request(RTM_NEWLINK, 0, &link(index, 0, 0), |put| {
            put.put(IFLA_MTU, &mtu.to_ne_bytes());
        });
    }

    /// Brings a link up.
    pub fn up(&mut self, index: u32) {
        self.request(RTM_NEWLINK, 0, &link(index, IFF_UP, IFF_UP), |_| {});
    }

    /// Keeps the kernel from giving a link an IPv6 address by itself. To be asked before it is brought up. A kernel
    /// without IPv6 refuses (`EAFNOSUPPORT`), and needs it not.
    pub fn no_own_address(&mut self, index: u32) {
        self.request(RTM_NEWLINK, 0, &link(index, 0, 0), |put| {
            put.nest(IFLA_AF_SPEC | NESTED, |families| {
                families.nest(libc::AF_INET6 as u16 | NESTED, |inet6| {
                    inet6.put(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
                });
            });
        });
    }

    /// Brings a link up on which the kernel never asks for a hardware address, nor answers.
    pub fn up_without_arp(&mut self, index: u32) {
        let flags = IFF_UP | IFF_NOARP;
        self.request(RTM_NEWLINK, 0, &link(index, flags, flags), |_| {});
    }

    /// Gives a link an address, at once and for good: nobody is asked whether it is taken, and no route comes
    /// with it.
    pub fn address(&mut self, index: u32, prefix: Prefix) {
        let flags = IFA_F_PERMANENT | IFA_F_NODAD | IFA_F_NOPREFIXROUTE;
        let fixed = [family(prefix.address), prefix.length, IFA_F_PERMANENT as u8, RT_SCOPE_UNIVERSE];
        let fixed = [fixed, index.to_ne_bytes()].concat();
        self.request(RTM_NEWADDR, CREATE, &fixed, |put| {
            put_ip(put, IFA_LOCAL, prefix.address);
            put_ip(put, IFA_ADDRESS, prefix.address);
            put.put(IFA_FLAGS, &flags.to_ne_bytes());
            if let IpAddr::V4(ip) = prefix.address
                && prefix.length < 31
            {
                let host = u32::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
                put.put(IFA_BROADCAST, &(ip.to_bits() | host).to_be_bytes());
            }
        });
    }

    /// Takes packets for an own IPv6 address in from now on. With the address alone the kernel does so a moment later: what leads
    /// them in is made by a worker of its own, and until then they are dropped.
    pub fn take_in(&mut self, index: u32, address: Ipv6Addr) {
        let mut fixed = [0; 12];
        fixed[0] = family(address.into());
        fixed[1] = 128;
        fixed[4..8].copy_from_slice(&[RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_LOCAL]);
        self.request(RTM_NEWROUTE, CREATE, &fixed, |put| {
            put_ip(put, RTA_DST, address.into());
            put.put(RTA_OIF, &index.to_ne_bytes());
        });
    }

    /// Adds a route through a link. `congestion` names the congestion control of TCP connections that take it.
    pub fn route(&mut self, index: u32, destination: Prefix, hop: Hop, congestion: Option<&str>) {
        let network = destination.network();
        let scope = match (hop, network) {
            (Hop::OnLink { .. }, IpAddr::V4(_)) => RT_SCOPE_LINK,
            _ => RT_SCOPE_UNIVERSE,
        };
        let mut fixed = [0; 12];
        fixed[0] = family(network);
        fixed[1] = destination.length;
        fixed[4..8].copy_from_slice(&[RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST]);
        self.request(RTM_NEWROUTE, CREATE, &fixed, |put| {
            if destination.length > 0 {
                put_ip(put, RTA_DST, network);
            }
            put.put(RTA_OIF, &index.to_ne_bytes());
            match hop {
                Hop::OnLink { source } => put_ip(put, RTA_PREFSRC, source),
                Hop::Gateway(gateway) => put_ip(put, RTA_GATEWAY, gateway),
            }
            if let Some(name) = congestion {
                put.nest(RTA_METRICS, |metrics| {
                    metrics.put(RTAX_CC_ALGO, name.as_bytes());
                });
            }
        });
    }

    /// Tells a link the hardware address of a neighbour, for good.
    pub fn neighbor(&mut self, index: u32, address: IpAddr, hardware: HardwareAddress) {
        let mut fixed = [0; 12];
        fixed[0] = family(address);
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
        self.request(RTM_NEWNEIGH, CREATE, &fixed, |put| {
            put_ip(put, NDA_DST, address);
            put.put(NDA_LLADDR, &hardware);
        });
    }
}

/// One end of a veth pair to be made.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: &'a str,
    /// Its hardware address.
    pub address: HardwareAddress,
    /// The largest IP packet it carries.
    pub mtu: u32,
}

impl VethEnd<'_> {
    fn put(&self, put: &mut Attributes<'_>) {
        let name = [self.name.as_bytes(), &[0]].concat();
        put.put(IFLA_IFNAME, &name).put(IFLA_ADDRESS, &self.address).put(IFLA_MTU, &self.mtu.to_ne_bytes());
    }
}

/// `ifinfomsg`.
fn link(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..].copy_from_slice(&change.to_ne_bytes());
    fixed
}

pub(super) fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

pub(super) fn put_ip(put: &mut Attributes<'_>, kind: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => put.put(kind, &ip.octets()),
        IpAddr::V6(ip) => put.put(kind, &ip.octets()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, length: u8) -> String {
        Prefix { address: address.parse().unwrap(), length }.network().to_string()
    }

    #[test]
    fn a_link_local_address_is_an_eui_64() {
        let prefix = Prefix::link_local([0x02, 0, 0, 0, 0, 0x01]);
        assert_eq!(prefix.address.to_string(), "fe80::ff:fe00:1");
        let prefix = Prefix::link_local([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]);
        assert_eq!(prefix.address.to_string(), "fe80::3656:78ff:fe9a:bcde");
    }

    #[test]
    fn a_network_has_no_host_bits() {
        assert_eq!(network("10.0.2.100", 24), "10.0.2.0");
        assert_eq!(network("10.0.2.100", 32), "10.0.2.100");
        assert_eq!(network("10.0.2.100", 0), "0.0.0.0");
        assert_eq!(network("fd00::1:2", 64), "fd00::");
        assert_eq!(network("fd00::1:2", 0), "::");
    }
}

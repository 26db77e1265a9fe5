//! What the kernel would do with a packet, and where a network's interfaces lead: routes, addresses, links, neighbours, read and
//! never changed (rtnetlink(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::receive::{DUMP, Room, array, attributes};
use super::route::{RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PREFSRC, family, put_ip};
use super::{Batch, Netlink};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETNSID: u16 = 90;

const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const SKIP_STATS: u32 = 8;
const IFF_UP: u32 = 0x1;
const IFF_RUNNING: u32 = 0x40;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

const NDA_DST: u16 = 1;
const NTF_ROUTER: u8 = 0x80;

const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// A packet whose way is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Where it is to go.
    pub destination: IpAddr,
    /// Where it comes from; `None` where the kernel is to choose.
    pub source: Option<IpAddr>,
    /// The interface that it has to leave by.
    pub leaves_by: Option<u32>,
    /// The interface that it came by; `None` for one that is made here.
    pub came_by: Option<u32>,
}

/// What a route does with a packet (rtnetlink(7), `rtm_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// It goes to the next hop.
    Unicast,
    /// It is for this host.
    Local,
    /// It is for everybody on the link.
    Broadcast,
    /// It is for a group.
    Multicast,
    /// Another kind, by its number.
    Other(u8),
}

/// The way that a packet would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// What becomes of it.
    pub kind: RouteKind,
    /// The interface that it leaves by.
    pub interface: u32,
    /// The router that it is given to; `None` when its destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The source address that the kernel would choose.
    pub source: Option<IpAddr>,
    /// The routing table that says so.
    pub table: u32,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`, `tun`...; empty for hardware.
    pub kind: String,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether it has a carrier.
    pub is_running: bool,
    /// The number of the interface that it is tied to: the other end of a veth pair.
    pub peer: Option<u32>,
    /// The network of that other end, by the number that this network has for it; `None` for this network.
    pub peer_network: Option<i32>,
    /// The bridge that it belongs to.
    pub master: Option<u32>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// How many leading bits are those of the link's network.
    pub prefix: u8,
}

impl InterfaceAddress {
    /// Whether another address is on the same link, by the prefix.
    pub fn covers(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// What is known of a neighbour on a link (RFC 4861, section 7.3.2, for both families).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It was heard of, now or before.
    Known,
    /// It is being asked for.
    Incomplete,
    /// It was asked for and does not answer.
    Failed,
}

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// The interface that it is behind.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Whether it is there.
    pub reach: Reach,
    /// Whether it says that it is a router.
    pub is_router: bool,
}

impl Netlink {
    /// The way that a packet would take, as the kernel finds it.
    ///
    /// # Errors
    /// What the kernel would say to who sends it: `ENETUNREACH`, `EHOSTUNREACH`, `EACCES` (a route that prohibits), `EINVAL` (one
    /// that swallows; for a packet that came: one that the kernel drops by its addresses).
    pub fn way(&self, packet: &Packet) -> io::Result<Way> {
        let bits = if packet.destination.is_ipv4() { 32 } else { 128 };
        let mut fixed = [0; 12];
        fixed[0] = family(packet.destination);
        fixed[1] = bits;
        fixed[2] = if packet.source.is_some() { bits } else { 0 };
        fixed[8..].copy_from_slice(&RTM_F_LOOKUP_TABLE.to_ne_bytes());
        let mut request = Batch::new();
        request.request(RTM_GETROUTE, 0, &fixed, |put| {
            put_ip(put, RTA_DST, packet.destination);
            if let Some(source) = packet.source {
                put_ip(put, RTA_SRC, source);
            }
            for (kind, index) in [(RTA_OIF, packet.leaves_by), (RTA_IIF, packet.came_by)] {
                if let Some(index) = index {
                    put.put(kind, &index.to_ne_bytes());
                }
            }
        });
        let way = self.one(&request, &mut Room::new(), |message| {
            (message.kind == RTM_NEWROUTE).then(|| parse_way(message.body))?
        })?;
        way.ok_or_else(|| io::Error::from_raw_os_error(libc::ENETUNREACH))
    }

    /// All interfaces, with the other ends of those that have one.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links(&self) -> io::Result<Vec<Interface>> {
        let mut request = Batch::new();
        request.request(RTM_GETLINK, DUMP, &[0; 16], |put| {
            put.put(IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
        });
        self.all(&request, RTM_NEWLINK, parse_link)
    }

    /// All addresses.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn addresses(&self) -> io::Result<Vec<InterfaceAddress>> {
        let mut request = Batch::new();
        request.request(RTM_GETADDR, DUMP, &[0; 8], |_| {});
        self.all(&request, RTM_NEWADDR, parse_address)
    }

    /// All neighbours that the kernel has heard of, or asks for.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn neighbors(&self) -> io::Result<Vec<Neighbor>> {
        let mut request = Batch::new();
        request.request(RTM_GETNEIGH, DUMP, &[0; 12], |_| {});
        self.all(&request, RTM_NEWNEIGH, parse_neighbor)
    }

    /// The number that this network has for another ([`Interface::peer_network`]); `None` where it has none.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn number_of(&self, network: BorrowedFd<'_>) -> io::Result<Option<i32>> {
        let mut request = Batch::new();
        request.request(RTM_GETNSID, 0, &[0; 4], |put| {
            put.put(NETNSA_FD, &network.as_raw_fd().to_ne_bytes());
        });
        self.one(&request, &mut Room::new(), |message| {
            let (_, value) = attributes(message.body.get(4..)?).find(|&(kind, _)| kind == NETNSA_NSID)?;
            array(value, 0).map(i32::from_ne_bytes).filter(|&number| number >= 0)
        })
    }

    fn all<T>(&self, request: &Batch, kind: u16, parse: fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        self.list(request, &mut Room::new(), |message| {
            if message.kind == kind {
                found.extend(parse(message.body));
            }
        })?;
        Ok(found)
    }
}

fn number(value: &[u8]) -> Option<u32> {
    array(value, 0).map(u32::from_ne_bytes)
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => array::<4>(value, 0).map(IpAddr::from),
        16 => array::<16>(value, 0).map(IpAddr::from),
        _ => None,
    }
}

fn parse_way(body: &[u8]) -> Option<Way> {
    let kind = match *body.get(7)? {
        1 => RouteKind::Unicast,
        2 => RouteKind::Local,
        3 => RouteKind::Broadcast,
        5 => RouteKind::Multicast,
        other => RouteKind::Other(other),
    };
    let table = u32::from(*body.get(4)?);
    let mut way = Way { kind, interface: 0, gateway: None, source: None, table };
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            RTA_OIF => way.interface = number(value)?,
            RTA_GATEWAY => way.gateway = ip(value),
            // The family stands before the address.
            RTA_VIA => way.gateway = value.get(2..).and_then(ip),
            RTA_PREFSRC => way.source = ip(value),
            RTA_TABLE => way.table = number(value)?,
            _ => {}
        }
    }
    Some(way)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

fn parse_link(body: &[u8]) -> Option<Interface> {
    let flags = u32::from_ne_bytes(array(body, 8)?);
    let mut link = Interface {
        index: u32::from_ne_bytes(array(body, 4)?),
        name: String::new(),
        kind: String::new(),
        is_up: flags & IFF_UP != 0,
        is_running: flags & IFF_RUNNING != 0,
        peer: None,
        peer_network: None,
        master: None,
    };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_LINK => link.peer = number(value),
            IFLA_LINK_NETNSID => link.peer_network = array(value, 0).map(i32::from_ne_bytes),
            IFLA_MASTER => link.master = number(value),
            IFLA_LINKINFO => {
                let kind = attributes(value).find(|&(kind, _)| kind == IFLA_INFO_KIND);
                link.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(body: &[u8]) -> Option<InterfaceAddress> {
    let (mut local, mut other) = (None, None);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => other = ip(value),
            _ => {}
        }
    }
    // On a link between two, the second is the other one's.
    let address = local.or(other)?;
    Some(InterfaceAddress { interface: number(body.get(4..)?)?, address, prefix: *body.get(1)? })
}

fn parse_neighbor(body: &[u8]) -> Option<Neighbor> {
    let (_, value) = attributes(body.get(12..)?).find(|&(kind, _)| kind == NDA_DST)?;
    let reach = match u16::from_ne_bytes(array(body, 8)?) {
        state if state & 0x20 != 0 => Reach::Failed,
        state if state & 0x01 != 0 => Reach::Incomplete,
        _ => Reach::Known,
    };
    let is_router = *body.get(10)? & NTF_ROUTER != 0;
    Some(Neighbor { interface: number(body.get(4..)?)?, address: ip(value)?, reach, is_router })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_oneself_is_local() {
        let netlink = Netlink::open().unwrap();
        let destination = "127.0.0.1".parse().unwrap();
        let packet = Packet { destination, source: None, leaves_by: None, came_by: None };
        let way = netlink.way(&packet).unwrap();
        assert_eq!((way.kind, way.interface, way.source), (RouteKind::Local, 1, Some(destination)));
        assert!(netlink.links().unwrap().iter().any(|link| link.name == "lo" && link.index == 1));
        let addresses = netlink.addresses().unwrap();
        assert!(addresses.iter().any(|at| at.interface == 1 && at.address == destination && at.prefix == 8));
        netlink.neighbors().unwrap();
    }

    #[test]
    fn a_prefix_covers_its_network() {
        let at =
            |text: &str, prefix| InterfaceAddress { interface: 1, address: text.parse().unwrap(), prefix };
        assert!(at("10.1.2.3", 24).covers("10.1.2.9".parse().unwrap()));
        assert!(!at("10.1.2.3", 24).covers("10.1.3.9".parse().unwrap()));
        assert!(!at("10.1.2.3", 32).covers("10.1.2.9".parse().unwrap()));
        assert!(at("10.1.2.3", 0).covers("192.0.2.1".parse().unwrap()));
        assert!(at("fd00::1", 64).covers("fd00::9".parse().unwrap()));
        assert!(!at("fd00::1", 64).covers("10.1.2.9".parse().unwrap()));
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        for length in 0..16 {
            assert_eq!(parse_way(&vec![0; length]).is_some(), length >= 12);
            assert_eq!(parse_neighbor(&vec![0; length]), None);
            assert_eq!(parse_address(&vec![0; length]), None);
        }
    }
}

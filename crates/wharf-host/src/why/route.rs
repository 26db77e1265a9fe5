//! Routes that are missing: what the kernel said, and which one would lead there.

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;
use wharf_sys::netlink::lookup::Packet as Asked;

use super::ground::{Ground, Net};
use super::{Effect, Fault};

/// The kernel's refusal in words.
pub(super) fn said(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NETUNREACH) => "no route leads there".into(),
        Some(Errno::HOSTUNREACH) => "a route says that it can't be reached".into(),
        Some(Errno::ACCESS) => "a route prohibits it".into(),
        Some(Errno::INVAL) => {
            "the kernel drops it: a route swallows it, or its source is no address to come from".into()
        }
        Some(Errno::XDEV) => "the kernel drops it: its source would be answered by another interface".into(),
        _ => error.to_string(),
    }
}

/// Why there is no way, and the command that makes one.
pub(super) fn missing(ground: &Ground, net: usize, asked: &Asked, error: &io::Error) -> Fault {
    let place = &ground.nets[net];
    let to = asked.destination;
    let fault = |sentence: String, remedy: Option<String>| Fault {
        effect: Effect::Unreachable,
        sentence,
        remedy,
        instead: None,
    };
    if let Some(source) = asked.source
        && !place.addresses().iter().any(|own| own.address == source)
    {
        return foreign_source(place, source, to);
    }
    match Errno::from_io_error(error) {
        Some(Errno::NETUNREACH) | None => {
            let sentence = format!("{} has no route to {to}", place.called());
            fault(sentence, suggestion(ground, net, to).map(|command| place.command(&command)))
        }
        Some(Errno::HOSTUNREACH | Errno::ACCESS | Errno::INVAL) if asked.came_by.is_none() => {
            let barriers = place.barriers(to);
            let Some(barrier) = barriers.first() else {
                let sentence = format!("{} does not send to {to}: {}", place.called(), said(error));
                return fault(sentence, None);
            };
            let network = format!("{}/{}", barrier.network.address, barrier.network.prefix);
            let sentence =
                format!("a route of {} keeps packets from {to} ({} {network})", place.called(), barrier.kind);
            let family = if to.is_ipv4() { "" } else { "-6 " };
            let command = format!("ip {family}route delete {} {network}", barrier.kind);
            fault(sentence, Some(place.command(&command)))
        }
        _ => fault(format!("{} does not send to {to}: {}", place.called(), said(error)), None),
    }
}

/// The source that was asked for is nobody's here.
fn foreign_source(place: &Net, source: IpAddr, to: IpAddr) -> Fault {
    let family = if source.is_ipv4() { "ipv4" } else { "ipv6" };
    let nonlocal = place.sysctl_number(&format!("{family}/ip_nonlocal_bind")).unwrap_or(0);
    let device = place.way_to(to).ok().map(|way| place.device(way.interface).name);
    let bits = if source.is_ipv4() { 32 } else { 128 };
    Fault {
        effect: Effect::Unreachable,
        sentence: format!(
            "{} has no address {source} to ask from (net.{family}.ip_nonlocal_bind is {nonlocal})",
            place.called()
        ),
        remedy: device.map(|device| place.command(&format!("ip address add {source}/{bits} dev {device}"))),
        instead: None,
    }
}

/// The interface that the way leads through is down, or its other end is.
pub(super) fn down(ground: &Ground, net: usize, interface: u32) -> Fault {
    let place = &ground.nets[net];
    let device = place.device(interface).name;
    let link = place.link(interface);
    let (why, remedy) = if link.is_some_and(|link| link.is_up) {
        let peer = link.and_then(|link| ground.peer_of(net, link)).filter(|(_, peer)| !peer.is_up);
        let remedy =
            peer.map(|(there, peer)| ground.nets[there].command(&format!("ip link set {} up", peer.name)));
        ("has no carrier: its other end is down, or gone", remedy)
    } else {
        ("is switched off", Some(place.command(&format!("ip link set {device} up"))))
    };
    let sentence = format!("{device} of {} {why}", place.called());
    Fault { effect: Effect::Unreachable, sentence, remedy, instead: None }
}

/// A command that makes a way, for that network.
fn suggestion(ground: &Ground, net: usize, to: IpAddr) -> Option<String> {
    let place = &ground.nets[net];
    if to.is_loopback() {
        return Some("ip link set lo up".into());
    }
    let is_down = |index: u32| place.link(index).is_some_and(|link| !link.is_up);
    let dead = place.addresses().iter().find(|own| own.covers(to) && is_down(own.interface));
    if let Some(own) = dead {
        return Some(format!("ip link set {} up", place.device(own.interface).name));
    }
    let add = if to.is_ipv4() { "ip route add" } else { "ip -6 route add" };
    if let Some(home) = ground.home_of(to).filter(|&home| home != net) {
        if let Some(through) = shared_link(ground, net, home) {
            return Some(format!("{add} {to} via {through}"));
        }
        if let Some(device) = wire(ground, net, home) {
            return Some(format!("{add} {to} dev {device}"));
        }
    }
    let family = if to.is_ipv4() { "ipv4/ip_forward" } else { "ipv6/conf/all/forwarding" };
    let routers = (0..ground.nets.len())
        .filter(|&other| other != net && ground.nets[other].sysctl_number(family) == Some(1));
    let router = routers.filter_map(|other| shared_link_of(ground, net, other, to)).next();
    router.or_else(|| usual_router(place, to)).map(|router| format!("{add} default via {router}"))
}

/// An address of another network on a link that both have.
fn shared_link(ground: &Ground, net: usize, other: usize) -> Option<IpAddr> {
    let own = ground.nets[net].addresses().iter().filter(|own| !own.address.is_loopback());
    own.filter(|own| own.prefix < if own.address.is_ipv4() { 32 } else { 128 }).find_map(|own| {
        let theirs = ground.nets[other].addresses();
        let is_there = |their: &&wharf_sys::netlink::lookup::InterfaceAddress| {
            own.covers(their.address) && their.address != own.address
        };
        theirs.iter().find(is_there).map(|their| their.address)
    })
}

fn shared_link_of(ground: &Ground, net: usize, other: usize, like: IpAddr) -> Option<IpAddr> {
    shared_link(ground, net, other).filter(|address| address.is_ipv4() == like.is_ipv4())
}

/// An interface of a network whose other end is in another.
fn wire(ground: &Ground, net: usize, other: usize) -> Option<String> {
    let links = ground.nets[net].links().iter();
    let leads = |link: &&wharf_sys::netlink::lookup::Interface| {
        ground.peer_of(net, link).is_some_and(|(there, _)| there == other)
    };
    links.filter(leads).map(|link| link.name.clone()).next()
}

/// Where a router usually is: a neighbour that says it is one, else the first address of the link's network.
fn usual_router(place: &Net, like: IpAddr) -> Option<IpAddr> {
    let neighbors = place.neighbors();
    let says = neighbors.iter().find(|other| other.is_router && other.address.is_ipv4() == like.is_ipv4());
    if let Some(router) = says {
        return Some(router.address);
    }
    let own = place.addresses().iter().find(|own| !own.address.is_loopback() && own.address.is_ipv4())?;
    let IpAddr::V4(address) = own.address else { return None };
    let mask = u32::MAX.checked_shl(32 - u32::from(own.prefix.min(32))).unwrap_or(0);
    let first = (address.to_bits() & mask) + 1;
    (like.is_ipv4() && own.prefix < 31 && first != address.to_bits()).then(|| IpAddr::V4(first.into()))
}

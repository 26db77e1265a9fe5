//! A packet's way over this host: from the network where it is made, through those that it crosses, to the one whose it is, or
//! out of sight. At each: the route, the packet filter, what the kernel drops by itself.

mod arrival;
mod next;
mod verdict;

use std::net::{IpAddr, SocketAddr};

use wharf_sys::netlink::lookup::{Packet as Asked, RouteKind, Way};
use wharf_table::Protocol;

use super::firewall::{Device, Filter, Hook, Packet, Phase, Place, Translation};
use super::ground::Ground;
use super::{Effect, Fault, Step};

/// The port that a probe's would be, for rules that look at it.
const SOME_PORT: u16 = 45_000;
/// The most networks that are crossed.
const HOPS_MAX: usize = 8;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// The network where it is made.
    pub(super) net: usize,
    pub(super) protocol: Protocol,
    pub(super) from: Option<IpAddr>,
    pub(super) to: SocketAddr,
    /// The interface that the address belongs to.
    pub(super) zone: Option<u32>,
}

/// Where it comes to an end.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// In this network, for this address.
    Delivered { net: usize, destination: SocketAddr, came_by: u32 },
    /// It leaves what can be seen.
    Leaves { net: usize, device: String },
    /// Something keeps it.
    Stopped,
}

/// A network that was crossed, for the way back.
#[derive(Clone, Debug)]
struct Crossed {
    net: usize,
    /// As it came in, and as it went on.
    before: Packet,
    after: Packet,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Made,
    Forwarded,
    Taken,
    /// Both ends are here.
    Alone,
}

/// The whole way.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    ground: &'a Ground,
    pub(super) steps: Vec<Step>,
    pub(super) faults: Vec<Fault>,
    pub(super) end: End,
    /// What sent it elsewhere, in which network, and where.
    pub(super) translated: Option<(usize, Place, SocketAddr)>,
    /// Rules that could not be judged.
    pub(super) unjudged: Vec<(usize, Place, String)>,
    crossed: Vec<Crossed>,
}

impl<'a> Walk<'a> {
    /// Follows a packet.
    pub(super) fn follow(ground: &'a Ground, sent: &Sent) -> Walk<'a> {
        let mut walk = Walk {
            ground,
            steps: Vec::new(),
            faults: Vec::new(),
            end: End::Stopped,
            translated: None,
            unjudged: Vec::new(),
            crossed: Vec::new(),
        };
        walk.make(sent);
        if matches!(walk.end, End::Delivered { .. }) {
            walk.answer();
        }
        walk
    }

    /// The packet is made, and leaves or comes in again by `lo`.
    fn make(&mut self, sent: &Sent) {
        let net = sent.net;
        let asked =
            Asked { destination: sent.to.ip(), source: sent.from, leaves_by: sent.zone, came_by: None };
        let Some(way) = self.route(net, asked) else { return };
        let Some(source) = sent.from.or(way.source).or_else(|| local_source(sent.to.ip())) else { return };
        let user = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let mut packet = Packet {
            protocol: sent.protocol,
            source: SocketAddr::new(source, SOME_PORT),
            destination: sent.to,
            came_by: None,
            leaves_by: Some(self.ground.nets[net].device(way.interface)),
            phase: Phase::First,
            mark: 0,
            user: Some(user),
            is_tracked: true,
            is_translated: false,
        };
        let before = packet.clone();
        if !self.judge(net, &[Hook::Output], &mut packet, Translation::Asked) {
            return;
        }
        let way = match packet.is_translated {
            // What was translated is looked up anew.
            true => {
                let asked = Asked { destination: packet.destination.ip(), source: sent.from, ..asked };
                let Some(way) = self.route(net, Asked { leaves_by: None, ..asked }) else { return };
                packet.leaves_by = Some(self.ground.nets[net].device(way.interface));
                way
            }
            false => way,
        };
        packet.user = None;
        if !self.judge(net, &[Hook::Postrouting, Hook::Egress], &mut packet, Translation::Asked) {
            return;
        }
        if way.kind == RouteKind::Local {
            self.crossed.push(Crossed { net, before, after: packet.clone(), part: Part::Alone });
            let lo = Device { index: 1, name: "lo".into() };
            let mut packet = Packet { came_by: Some(lo), leaves_by: None, ..packet };
            if self.judge(net, &[Hook::Prerouting, Hook::Input], &mut packet, Translation::Settled) {
                self.passed(net);
                self.end = End::Delivered { net, destination: packet.destination, came_by: 1 };
            }
            return;
        }
        self.passed(net);
        self.crossed.push(Crossed { net, before, after: packet.clone(), part: Part::Made });
        self.go_on(net, &way, packet);
    }

    /// From one network to the next, until it is delivered or out of sight.
    fn go_on(&mut self, net: usize, way: &Way, packet: Packet) {
        let (mut net, mut way, mut packet) = (net, *way, packet);
        for _ in 0..HOPS_MAX {
            let Some((next, device)) = self.next(net, &way, packet.destination.ip()) else { return };
            packet.came_by = Some(device);
            packet.leaves_by = None;
            match self.arrive(next, &mut packet) {
                Some(onward) => (net, way) = (next, onward),
                None => return,
            }
        }
    }

    /// The kernel's route, as a step; a fault where there is none.
    fn route(&mut self, net: usize, asked: Asked) -> Option<Way> {
        let place = &self.ground.nets[net];
        let question = match asked.source {
            Some(source) => format!("{} from {source}, in {}", asked.destination, place.called()),
            None => format!("{} from {}", asked.destination, place.called()),
        };
        match place.way(asked) {
            Ok(way) => {
                let link = place.link(way.interface);
                let is_down = link.is_some_and(|link| !link.is_up || !link.is_running);
                let found = describe(&way, &place.device(way.interface).name);
                let found = if is_down { format!("{found}, which is down") } else { found };
                self.steps.push(Step::new("route", question, found, Some(!is_down)).at(&place.name));
                if is_down {
                    self.faults.push(super::route::down(self.ground, net, way.interface));
                }
                Some(way)
            }
            Err(error) => {
                let fault = super::route::missing(self.ground, net, &asked, &error);
                self.steps.push(
                    Step::new("route", question, super::route::said(&error), Some(false)).at(&place.name),
                );
                self.faults.push(fault);
                None
            }
        }
    }
}

fn local_source(to: IpAddr) -> Option<IpAddr> {
    to.is_loopback().then_some(to)
}

fn describe(way: &Way, device: &str) -> String {
    let mut found = match way.kind {
        RouteKind::Local => "it is an address of its own".to_owned(),
        _ => match way.gateway {
            Some(gateway) => format!("by {device}, through router {gateway}"),
            None => format!("by {device}"),
        },
    };
    if let Some(source) = way.source.filter(|_| way.kind != RouteKind::Local) {
        found += &format!(", from {source}");
    }
    found
}

//! Who gets a packet that leaves by an interface: the other end of a veth pair, or whoever is behind a bridge.

use std::net::IpAddr;

use wharf_sys::netlink::lookup::{Reach, Way};

use super::{Device, Effect, End, Fault, Step, Walk};

impl Walk<'_> {
    /// The network that it comes to, and by which interface. `None` where that is out of sight, or nobody is there.
    pub(super) fn next(&mut self, net: usize, way: &Way, destination: IpAddr) -> Option<(usize, Device)> {
        let hop = way.gateway.unwrap_or(destination);
        let place = &self.ground.nets[net];
        let link = place.link(way.interface)?;
        // What leaves a run comes to its wharf, however the link is made.
        if place.run.is_some() {
            self.end = End::Leaves { net, device: link.name.clone() };
            return None;
        }
        let mut there = if link.kind == "bridge" {
            self.behind_bridge(net, link.index, None, hop)
        } else {
            match self.ground.peer_of(net, link) {
                Some((next, peer)) => match peer.master {
                    Some(bridge) => self.behind_bridge(next, bridge, Some(peer.index), hop),
                    None => Some((next, self.ground.nets[next].device(peer.index))),
                },
                None => {
                    self.end = End::Leaves { net, device: link.name.clone() };
                    self.beyond(net, way, hop);
                    return None;
                }
            }
        };
        // Whoever is on the link answers for no address but its own.
        there = there
            .filter(|(next, _)| self.ground.nets[*next].addresses().iter().any(|own| own.address == hop));
        if there.is_none() {
            self.nobody(net, &link.name, hop);
        }
        there
    }

    /// Who has an address on a bridge: the bridge itself, or the other end of one of its ports.
    fn behind_bridge(
        &self,
        net: usize,
        bridge: u32,
        from: Option<u32>,
        hop: IpAddr,
    ) -> Option<(usize, Device)> {
        let place = &self.ground.nets[net];
        let own = |own: &wharf_sys::netlink::lookup::InterfaceAddress| {
            own.address == hop && own.interface == bridge
        };
        if place.addresses().iter().any(own) {
            return Some((net, place.device(bridge)));
        }
        let ports =
            place.links().iter().filter(|link| link.master == Some(bridge) && Some(link.index) != from);
        ports.filter_map(|port| self.ground.peer_of(net, port)).find_map(|(next, peer)| {
            let there = &self.ground.nets[next];
            let has = there.addresses().iter().any(|own| own.address == hop && own.interface == peer.index);
            has.then(|| (next, there.device(peer.index)))
        })
    }

    /// It leaves for a network that is not of this host: what is known of the neighbour is told.
    fn beyond(&mut self, net: usize, way: &Way, hop: IpAddr) {
        let place = &self.ground.nets[net];
        let neighbors = place.neighbors();
        let known = neighbors.iter().find(|other| other.interface == way.interface && other.address == hop);
        if known.is_some_and(|other| other.reach == Reach::Failed) {
            let device = place.device(way.interface).name;
            self.nobody(net, &device, hop);
        }
    }

    fn nobody(&mut self, net: usize, device: &str, hop: IpAddr) {
        let place = &self.ground.nets[net];
        self.steps.push(
            Step::new("neighbor", format!("{hop} on {device}"), "nobody answers for it".into(), Some(false))
                .at(&place.name),
        );
        self.faults.push(Fault {
            effect: Effect::Unreachable,
            sentence: format!("nobody has the address {hop} on {device} of {}", place.called()),
            remedy: None,
            instead: None,
        });
    }
}

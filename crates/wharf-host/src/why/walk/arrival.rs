//! A packet comes in from a device: what the kernel drops by its addresses, and whether it is taken or goes on.

use std::net::IpAddr;

use wharf_sys::netlink::lookup::{Packet as Asked, RouteKind, Way};

use super::{Crossed, Device, Effect, End, Fault, Hook, Packet, Part, Step, Translation, Walk};
use crate::why::ground::Net;

const NO_WAY_BACK: &str = "no route leads back";

impl Walk<'_> {
    /// Takes a packet in. The way that it goes on by; `None` where it has come to its end.
    pub(super) fn arrive(&mut self, net: usize, packet: &mut Packet) -> Option<Way> {
        let place = &self.ground.nets[net];
        let before = packet.clone();
        if !self.judge(net, &[Hook::Ingress, Hook::Prerouting], packet, Translation::Asked) {
            return None;
        }
        let device = packet.came_by.clone()?;
        let asked = Asked {
            destination: packet.destination.ip(),
            source: Some(packet.source.ip()),
            leaves_by: None,
            came_by: Some(device.index),
        };
        let way = match place.way(asked) {
            Ok(way) => way,
            Err(error) => {
                self.refused(net, packet, &device, &error);
                return None;
            }
        };
        if way.kind == RouteKind::Local {
            self.take(net, before, packet, &device);
            return None;
        }
        packet.leaves_by = Some(place.device(way.interface));
        let asked = format!("{} in {}", packet.destination.ip(), place.called());
        let found = format!("goes on {}", super::describe(&way, &place.device(way.interface).name));
        let skips = if packet.is_translated { ", so that INPUT's rules are not asked" } else { "" };
        self.steps.push(Step::new("route", asked, format!("{found}{skips}"), Some(true)).at(&place.name));
        if !self.judge(net, &[Hook::Forward, Hook::Postrouting, Hook::Egress], packet, Translation::Asked) {
            return None;
        }
        self.passed(net);
        self.crossed.push(Crossed { net, before, after: packet.clone(), part: Part::Forwarded });
        Some(way)
    }

    /// It is for this network: the rest of its rules, and whether an answer finds back.
    fn take(&mut self, net: usize, before: Packet, packet: &mut Packet, device: &Device) {
        let place = &self.ground.nets[net];
        let asked = format!("{} in {}", packet.destination.ip(), place.called());
        let found = format!("it comes in by {}, from {}", device.name, packet.source.ip());
        self.steps.push(Step::new("arrival", asked, found, Some(true)).at(&place.name));
        if !self.judge(net, &[Hook::Input], packet, Translation::Settled) {
            return;
        }
        self.passed(net);
        if let Err(error) = place.way_to(packet.source.ip()) {
            let asked =
                Asked { destination: packet.source.ip(), source: None, leaves_by: None, came_by: None };
            let step = Step::new(
                "route",
                format!("back to {} from {}", packet.source.ip(), place.called()),
                super::super::route::said(&error),
                Some(false),
            );
            self.steps.push(step.at(&place.name));
            let fault = super::super::route::missing(self.ground, net, &asked, &error);
            self.faults.push(Fault { effect: Effect::Silent, ..fault });
            return;
        }
        self.crossed.push(Crossed { net, before, after: packet.clone(), part: Part::Taken });
        self.end = End::Delivered { net, destination: packet.destination, came_by: device.index };
    }

    /// The kernel drops it by its addresses.
    fn refused(&mut self, net: usize, packet: &Packet, device: &Device, error: &std::io::Error) {
        let place = &self.ground.nets[net];
        let source = packet.source.ip();
        let asked = format!("{source} by {} in {}", device.name, place.called());
        let (found, fault) = match reverse_path(place, device, source) {
            Some((setting, value, back)) => {
                let found =
                    format!("net.ipv4.conf.{setting}.rp_filter is {value}, and {back}: it is dropped");
                let sentence = format!(
                    "{} drops what comes from {source} by {}, as {back} (net.ipv4.conf.{setting}.rp_filter is {value})",
                    place.called(),
                    device.name
                );
                // Without a way back the mildest filter drops it too.
                let remedy = if back == NO_WAY_BACK {
                    let asked = Asked { destination: source, source: None, leaves_by: None, came_by: None };
                    super::super::route::missing(self.ground, net, &asked, error).remedy
                } else {
                    Some(remedy(place, device))
                };
                (found, Fault { effect: Effect::Silent, sentence, remedy, instead: None })
            }
            None if !is_forwarding(place, device, source) => {
                let name = if source.is_ipv4() { "ipv4" } else { "ipv6" };
                let setting = if source.is_ipv4() { "ip_forward" } else { "conf.all.forwarding" };
                let sentence = format!(
                    "{} does not forward to {} (net.{name}.{setting} is 0)",
                    place.called(),
                    packet.destination.ip()
                );
                let remedy = place.command(&format!("sysctl -w net.{name}.{setting}=1"));
                let effect = Effect::Silent;
                (
                    "it does not forward".to_owned(),
                    Fault { effect, sentence, remedy: Some(remedy), instead: None },
                )
            }
            None => {
                let sentence = format!(
                    "{} drops a packet to {} from {source} by {}: {}",
                    place.called(),
                    packet.destination.ip(),
                    device.name,
                    super::super::route::said(error)
                );
                let found = super::super::route::said(error);
                (found, Fault { effect: Effect::Silent, sentence, remedy: None, instead: None })
            }
        };
        self.steps.push(Step::new("arrival", asked, found, Some(false)).at(&place.name));
        self.faults.push(fault);
    }
}

fn is_forwarding(place: &Net, device: &Device, like: IpAddr) -> bool {
    let family = if like.is_ipv4() { "ipv4" } else { "ipv6" };
    place.sysctl_number(&format!("{family}/conf/{}/forwarding", device.name)) != Some(0)
}

/// Whether the reverse path filter drops it (`fib_validate_source`): the setting, its value, and where an answer would go.
fn reverse_path(place: &Net, device: &Device, source: IpAddr) -> Option<(String, u64, String)> {
    if source.is_ipv6() {
        return None;
    }
    let value = |name: &str| place.sysctl_number(&format!("ipv4/conf/{name}/rp_filter")).unwrap_or(0);
    let (all, own) = (value("all"), value(&device.name));
    // The greater one counts.
    let (setting, value) = if own >= all { (device.name.clone(), own) } else { ("all".to_owned(), all) };
    let back = match place.way_to(source) {
        Ok(way) if way.interface != device.index && way.kind == RouteKind::Unicast => {
            format!("an answer would go by {}", place.device(way.interface).name)
        }
        Ok(_) => return None,
        Err(_) => NO_WAY_BACK.to_owned(),
    };
    match value {
        1 => Some((setting, value, back)),
        2 if back == NO_WAY_BACK => Some((setting, value, back)),
        _ => None,
    }
}

/// Loose, where it is strict: both settings matter, and the greater counts, which 2 is.
fn remedy(place: &Net, device: &Device) -> String {
    place.command(&format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", device.name))
}

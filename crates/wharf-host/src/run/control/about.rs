//! What a run is, as far as it does not change.

use std::net::SocketAddr;
use std::time::SystemTime;

use wharf_sys::link::LinkKind;
use wharf_table::notation::PublishSpec;
use wharf_table::{Endpoint, Port, Protocol};

use super::super::addresses::Addresses;
use super::super::config::Lowered;
use super::super::flows::{Direction, Flow};
use super::super::publish::Published;

/// A published port, and the option that asked for it.
#[derive(Clone, Debug)]
pub(in super::super) struct Claimed {
    pub(super) protocol: Protocol,
    pub(super) local: SocketAddr,
    pub(super) inside: Port,
    pub(super) spec: PublishSpec,
}

impl Claimed {
    pub(in super::super) fn of(port: &Published) -> Claimed {
        let Published { protocol, local, inside, spec, .. } = *port;
        Claimed { protocol, local, inside, spec }
    }
}

/// What a run is.
pub(in super::super) struct About {
    /// The run's name: the one that was given, or one made of its program and its process.
    pub(super) name: String,
    pub(super) config: Lowered,
    pub(super) since: SystemTime,
    pub(super) published: Vec<Claimed>,
    pub(super) device: LinkKind,
}

impl About {
    pub(in super::super) fn new(config: &Lowered, published: &[Published], device: LinkKind) -> About {
        About {
            name: config.name.clone().unwrap_or_else(|| default_name(config)),
            config: config.clone(),
            since: SystemTime::now(),
            published: published.iter().map(Claimed::of).collect(),
            device,
        }
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses { v4: self.config.v4, v6: self.config.v6 }
    }

    /// What let a flow through: an option as it would be typed, or the rule that holds without any.
    pub(super) fn rule(&self, flow: &Flow) -> String {
        match flow.direction {
            Direction::Outward if flow.judged.is_some() => {
                flow.judged.as_ref().map(|(rule, _)| rule.to_string()).unwrap_or_default()
            }
            Direction::Outward => self.rule_outward(flow.inside.protocol, flow.inside.remote),
            Direction::Inward => {
                let spec = self.claim(flow).map(|claimed| claimed.spec);
                spec.map_or_else(|| "-p".to_owned(), |spec| format!("-p {spec}"))
            }
        }
    }

    fn rule_outward(&self, protocol: Protocol, remote: Endpoint) -> String {
        if !self.addresses().stands_for_host(remote.addr) {
            return "default".to_owned();
        }
        let port = Port::new(remote.port);
        let opens =
            self.config.allow_host.iter().find(|spec| port.is_some_and(|port| spec.covers(protocol, port)));
        opens.map_or_else(|| "default".to_owned(), |spec| format!("--allow-host {spec}"))
    }

    /// The published port that a client came to: the one on its address, else the one on any.
    fn claim(&self, flow: &Flow) -> Option<&Claimed> {
        let came_to = flow.outside.0?;
        let inside = flow.inside.local.port;
        let fits = |claimed: &&Claimed| {
            claimed.protocol == flow.inside.protocol
                && claimed.local.port() == came_to.port()
                && claimed.inside.number() == inside
        };
        let exact = self.published.iter().filter(fits).find(|claimed| claimed.local.ip() == came_to.ip());
        exact.or_else(|| self.published.iter().find(fits))
    }
}

/// `python3-4711`: of the program's name what may stand in a name.
fn default_name(config: &Lowered) -> String {
    let command = config.command.first().map(|command| command.to_string_lossy()).unwrap_or_default();
    let file = command.rsplit('/').next().unwrap_or_default();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let plain: String = file.chars().map(plain).take(40).collect();
    let plain = plain.trim_matches('-');
    let plain = if plain.is_empty() { "run" } else { plain };
    format!("{plain}-{}", std::process::id())
}

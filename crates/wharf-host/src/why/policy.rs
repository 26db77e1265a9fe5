//! What leaves a run: the run's own rules decide, and its wharf dials from this host.

use std::net::{IpAddr, SocketAddr};

use wharf_table::notation::Host;

use super::ground::Ground;
use super::reach::Attempt;
use super::walk::{Sent, Walk};
use super::{Effect, Fault, Step, Target, loopback};
use crate::runs;

/// Asks the run what it would decide, and follows the packet on from this host.
pub(super) fn beyond<'a>(
    ground: &'a Ground,
    target: &Target,
    net: usize,
    to: SocketAddr,
    attempt: &mut Attempt<'_>,
) -> Walk<'a> {
    let place = &ground.nets[net];
    if let Some(run) = &place.run {
        let name = match &target.location.host {
            Host::Name(name) => Some(name.as_str()),
            Host::Any | Host::Addr(_) => None,
        };
        let protocol = target.protocol.to_string();
        if let Some(decided) = runs::decide(run, &protocol, name, to.ip(), to.port()) {
            let asked = format!("{protocol}/{to} for run {}", run.name);
            let words = if decided.is_allowed { "allowed" } else { "denied" };
            let rule = decided.rule.as_deref().unwrap_or("the default");
            let found = format!("{words} by {rule}");
            attempt.steps.push(Step::new("policy", asked, found, Some(decided.is_allowed)).at(&place.name));
            if !decided.is_allowed {
                attempt.is_denied = true;
                let called = name.unwrap_or(&to.ip().to_string()).to_owned();
                attempt.faults.push(Fault {
                    effect: Effect::Prohibited,
                    sentence: format!(
                        "the policy of run {} denies {called}:{} ({rule})",
                        run.name,
                        to.port()
                    ),
                    remedy: None,
                    instead: Some(format!("--allow {called}:{}", to.port())),
                });
            }
        }
    }
    let host = ground.nets.iter().position(|net| net.name == "host").unwrap_or(ground.start);
    let to = SocketAddr::new(as_dialled(ground, net, to.ip()), to.port());
    let sent = Sent { net: host, protocol: target.protocol, from: None, to, zone: None };
    let mut walk = Walk::follow(ground, &sent);
    attempt.steps.append(&mut walk.steps);
    attempt.faults.append(&mut walk.faults);
    walk
}

/// The run's gateway stands for the host's loopback.
fn as_dialled(ground: &Ground, net: usize, to: IpAddr) -> IpAddr {
    let somewhere =
        if to.is_ipv4() { IpAddr::from([192, 0, 2, 1]) } else { "2001:db8::1".parse().unwrap_or(to) };
    let gateway = ground.nets[net].way_to(somewhere).ok().and_then(|way| way.gateway);
    if gateway == Some(to) { loopback(to) } else { to }
}

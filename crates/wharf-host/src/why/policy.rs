//! What leaves a run: the run's own rules decide, by the very way in which they are asked there, and its wharf dials from the
//! network that it is in.

use std::net::{IpAddr, SocketAddr};

use wharf_table::notation::Host;
use wharf_table::policy::Hostname;

use super::ground::{Ground, Net};
use super::listener::quoted;
use super::reach::Attempt;
use super::walk::{Sent, Walk};
use super::{Effect, Fault, Step, Target, loopback};
use crate::runs::{self, Change, Run};

/// The most rules that are written out in a command.
const RULES_MAX: usize = 16;

/// Where a run's rules keep it from looking a name up: the step, and why.
pub(super) fn look_up(ground: &Ground, target: &Target, name: &str) -> Option<(Step, Fault)> {
    let place = ground.start();
    let run = place.run.as_ref()?;
    let judged =
        runs::decide(run, &target.protocol.to_string(), hostname(name).as_ref(), &[], target.port).ok()?;
    let (is_allowed, rule) = judged.look_up?;
    if is_allowed || !enforces(run) {
        return None;
    }
    let found = format!("denied by {}: it is not even asked for", rule.as_deref().unwrap_or("no rule"));
    let step =
        Step::new("policy", format!("{name} for run {}", run.name), found, Some(false)).at(&place.name);
    Some((step, denied(run, &format!("{name}:{}", target.port), rule.as_deref())))
}

/// Asks the run what it would decide, and follows the packet on from the network of its wharf.
pub(super) fn beyond<'a>(
    ground: &'a Ground,
    target: &Target,
    net: usize,
    to: SocketAddr,
    attempt: &mut Attempt<'_>,
) -> Walk<'a> {
    let place = &ground.nets[net];
    if let Some(run) = &place.run {
        decide(place, run, target, to, attempt);
    }
    let host = place.run.as_ref().and_then(|run| ground.network_of(run.pid)).unwrap_or(ground.start);
    let to = SocketAddr::new(as_dialled(ground, net, to.ip()), to.port());
    let sent = Sent { net: host, protocol: target.protocol, from: None, to, zone: None };
    let mut walk = Walk::follow(ground, &sent);
    attempt.steps.append(&mut walk.steps);
    attempt.faults.append(&mut walk.faults);
    walk
}

fn hostname(name: &str) -> Option<Hostname> {
    Hostname::parse(name).ok()
}

fn decide(place: &Net, run: &Run, target: &Target, to: SocketAddr, attempt: &mut Attempt<'_>) {
    let name = match &target.location.host {
        Host::Name(name) => Some(name.as_str()),
        Host::Any | Host::Addr(_) => None,
    };
    let protocol = target.protocol.to_string();
    let hostname = name.and_then(hostname);
    // A run without rules does not answer that.
    let Ok(judged) = runs::decide(run, &protocol, hostname.as_ref(), &[to.ip()], to.port()) else { return };
    let Some((_, is_allowed, rule)) = judged.addresses.into_iter().next() else { return };
    let asked = format!("{protocol}/{to} for run {}", run.name);
    let words = if is_allowed { "allowed" } else { "denied" };
    let found = format!("{words} by {}", rule.as_deref().unwrap_or("no rule"));
    attempt.steps.push(Step::new("policy", asked, found, Some(is_allowed)).at(&place.name));
    if !is_allowed && enforces(run) {
        attempt.is_denied = true;
        let called = name.map_or_else(|| to.to_string(), |name| format!("{name}:{}", to.port()));
        attempt.faults.insert(0, denied(run, &called, rule.as_deref()));
    }
}

fn enforces(run: &Run) -> bool {
    runs::policy(run, Change::Keep).is_ok_and(|policy| policy.mode == "enforce")
}

fn denied(run: &Run, what: &str, rule: Option<&str>) -> Fault {
    Fault {
        effect: Effect::Prohibited,
        sentence: format!("the policy of run {} denies {what} ({})", run.name, rule.unwrap_or("no rule")),
        remedy: allowing(run, what),
        instead: None,
    }
}

/// The command that puts a rule before those of the run.
fn allowing(run: &Run, what: &str) -> Option<String> {
    let policy = runs::policy(run, Change::Keep).ok().filter(|policy| policy.rules.len() <= RULES_MAX)?;
    let mut lines =
        vec![format!("default = \"{}\"", policy.default), "[[rule]]".into(), format!("allow = \"{what}\"")];
    for rule in &policy.rules {
        let (action, target) = rule.rule.split_once(' ')?;
        lines.push("[[rule]]".into());
        lines.push(format!("{action} = \"{target}\""));
    }
    let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
    Some(format!("printf '%s\\n' {} | wharf policy {} /dev/stdin", lines.join(" "), quoted(&run.name)))
}

/// The run's gateway stands for the loopback of the network of its wharf.
fn as_dialled(ground: &Ground, net: usize, to: IpAddr) -> IpAddr {
    let somewhere = if to.is_ipv4() {
        IpAddr::from([192, 0, 2, 1])
    } else {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])
    };
    let gateway = ground.nets[net].way_to(somewhere).ok().and_then(|way| way.gateway);
    if gateway == Some(to) { loopback(to) } else { to }
}

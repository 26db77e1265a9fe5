//! Can it be reached? Every address of the name in turn, until one works.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use wharf_table::notation::{Host, Zone};
use wharf_table::rows::Row;

use super::conclude::{self, Outcome};
use super::ground::Ground;
use super::probe::{self, Answer, Try};
use super::walk::{End, Sent, Walk};
use super::{Effect, Explanation, Fault, Step, Target, Verdict, listener, name, policy, publish};

/// The most addresses that are tried.
const ADDRESSES_MAX: usize = 4;

/// What one address came to.
pub(super) struct Attempt<'a> {
    pub(super) to: SocketAddr,
    pub(super) steps: Vec<Step>,
    pub(super) faults: Vec<Fault>,
    /// Who takes it.
    pub(super) row: Option<&'a Row>,
    pub(super) answer: Answer,
    /// Whether all of its way was seen.
    pub(super) is_seen: bool,
    /// A policy forbids it.
    pub(super) is_denied: bool,
    /// Rules that could not be read or judged: they may be the reason.
    pub(super) doubt: Option<String>,
}

/// Answers the question.
pub(super) fn explain(ground: &Ground, target: &Target) -> Explanation {
    let mut steps = Vec::new();
    let addresses = match &target.location.host {
        Host::Addr(address) => vec![address.ip()],
        Host::Any => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Host::Name(host) => {
            // A run answers only for names that a rule could allow.
            if let Some((step, fault)) = policy::look_up(ground, target, host) {
                return ended(Verdict::Denied, fault, vec![step]);
            }
            let found = name::look_up(ground, host);
            steps = found.steps;
            if let Some(fault) = found.fault {
                return ended(Verdict::Unreachable, fault, steps);
            }
            found.addresses
        }
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for address in addresses.into_iter().take(ADDRESSES_MAX) {
        let attempt = attempt(ground, target, SocketAddr::new(address, target.port));
        steps.extend(attempt.steps.iter().cloned());
        let outcome = conclude::conclude(ground, target, &attempt);
        let is_reached = outcome.verdict == Verdict::Reachable;
        outcomes.push(outcome);
        if is_reached {
            break;
        }
    }
    let reached = outcomes.iter().position(|outcome| outcome.verdict == Verdict::Reachable);
    let chosen = reached.or_else(|| outcomes.iter().position(|outcome| outcome.fault.remedy.is_some()));
    match outcomes.into_iter().nth(chosen.unwrap_or(0)) {
        Some(outcome) => ended(outcome.verdict, outcome.fault, steps),
        None => {
            let sentence = format!("{} has no address", target.called());
            let fault = Fault { effect: Effect::NoName, sentence, remedy: None, instead: None };
            ended(Verdict::Unreachable, fault, steps)
        }
    }
}

fn ended(verdict: Verdict, fault: Fault, steps: Vec<Step>) -> Explanation {
    Explanation { verdict, sentence: fault.sentence, steps, remedy: fault.remedy, instead: fault.instead }
}

fn attempt<'a>(ground: &'a Ground, target: &Target, to: SocketAddr) -> Attempt<'a> {
    let zone = zone(ground, target);
    let sent = Sent { net: ground.start, protocol: target.protocol, from: target.from, to, zone };
    let mut walk = Walk::follow(ground, &sent);
    let mut attempt = Attempt {
        to,
        steps: std::mem::take(&mut walk.steps),
        faults: std::mem::take(&mut walk.faults),
        row: None,
        answer: Answer::NoPort,
        is_seen: true,
        is_denied: false,
        doubt: None,
    };
    if let End::Leaves { net, .. } = walk.end
        && ground.nets[net].run.is_some()
    {
        walk = policy::beyond(ground, target, net, to, &mut attempt);
    }
    match &walk.end {
        End::Delivered { net, destination, came_by } => {
            take(ground, target, &walk, (*net, *destination, *came_by), &mut attempt);
        }
        End::Leaves { net, device } => {
            attempt.is_seen = false;
            let found = format!("it leaves by {device}; what lies beyond can't be seen from here");
            let step = Step::new("beyond", to.ip().to_string(), found, None);
            attempt.steps.push(step.at(&ground.nets[*net].name));
        }
        End::Stopped => {}
    }
    let what = Try {
        protocol: target.protocol,
        from: target.from,
        to,
        zone: zone.unwrap_or(0),
        manner: target.manner(),
    };
    let tried = ground.start().inside(|| probe::run(&what));
    attempt.answer = tried.unwrap_or_else(|error| Answer::Failed(error.to_string()));
    let is_open = |step: &&Step| step.step == "firewall" && step.ok.is_none();
    attempt.doubt = attempt.steps.iter().find(is_open).map(|step| format!("{}: {}", step.asked, step.found));
    attempt.steps.push(conclude::step(ground, target, to, &attempt.answer));
    attempt
}

/// It was delivered: who takes it there.
fn take<'a>(
    ground: &'a Ground,
    target: &Target,
    walk: &Walk<'_>,
    (net, destination, came_by): (usize, SocketAddr, u32),
    attempt: &mut Attempt<'a>,
) {
    let heard = listener::find(ground, target, net, destination, came_by);
    attempt.steps.extend(heard.steps);
    attempt.row = heard.row;
    if let Some(fault) = heard.fault {
        attempt.faults.push(misled(ground, target, walk, fault));
    }
    if let Some(row) = heard.row {
        publish::follow(ground, target, row, attempt);
    }
}

/// Nobody takes what was translated: the rule that did it is the reason.
fn misled(ground: &Ground, target: &Target, walk: &Walk<'_>, fault: Fault) -> Fault {
    let Some((net, rule, to)) = walk.translated.as_ref().filter(|_| fault.effect == Effect::Refused) else {
        return fault;
    };
    let place = &ground.nets[*net];
    let sentence = format!(
        "{} sends what is for port {} to {to}: {rule}; {}",
        place.called(),
        target.port,
        fault.sentence
    );
    // Without the rule it would go to who is asked for, if somebody takes it there.
    let transport = listener::transport(target.protocol);
    let serves = |row: &Row| {
        listener::is_serving(row)
            && row.local.port == target.port
            && target.address().is_none_or(|address| listener::takes_address(row, address.ip()))
    };
    let is_there = ground.rows_of(*net, transport).any(serves);
    let delete = rule.handle.map(|handle| {
        let (family, table, chain) = (rule.family.name(), &rule.table, &rule.chain);
        place.command(&format!("nft delete rule {family} {table} {chain} handle {handle}"))
    });
    let remedy = if is_there { delete } else { fault.remedy.or(delete) };
    Fault { sentence, remedy, ..fault }
}

/// The interface that the address belongs to.
fn zone(ground: &Ground, target: &Target) -> Option<u32> {
    match target.location.zone.as_ref()? {
        Zone::Index(index) => Some(*index),
        Zone::Name(name) => {
            ground.start().links().iter().find(|link| link.name == *name).map(|link| link.index)
        }
    }
}

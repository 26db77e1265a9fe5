//! What the packet filters say on the way, and on the way back.

use wharf_sys::netlink::nftables::Reject;
use wharf_table::Protocol;

use super::{Crossed, Effect, End, Fault, Filter, Hook, Packet, Part, Phase, Place, Step, Translation, Walk};
use crate::why::firewall::{Fate, Passage};
use crate::why::ground::Net;

impl Walk<'_> {
    /// Asks the chains of hooks in turn; whether the packet passed. What keeps it becomes a step and a fault.
    pub(super) fn judge(
        &mut self,
        net: usize,
        hooks: &[Hook],
        packet: &mut Packet,
        translation: Translation,
    ) -> bool {
        let place = &self.ground.nets[net];
        // That they can't be read is told when it has passed.
        let Ok(rules) = place.rules() else { return true };
        for &hook in hooks {
            let before = packet.clone();
            let passage = Filter { rules, around: place }.judge(hook, packet, translation);
            let unjudged = passage.unjudged.iter().map(|(rule, why)| (net, rule.clone(), why.clone()));
            self.unjudged.extend(unjudged);
            if let Some((rule, source)) = &passage.masked {
                let source = source.or_else(|| {
                    use crate::why::firewall::Surroundings as _;
                    place.address_of(packet.leaves_by.as_ref(), packet.destination.ip())
                });
                let to = source.map_or_else(|| "another".to_owned(), |source| source.to_string());
                self.steps.push(
                    Step::new(
                        "nat",
                        packet.source.ip().to_string(),
                        format!("{to} is its source now: {rule}"),
                        Some(true),
                    )
                    .at(&place.name),
                );
                if let Some(source) = source {
                    packet.source.set_ip(source);
                }
            }
            if let Some((rule, to)) = &passage.translated {
                self.steps.push(
                    Step::new(
                        "nat",
                        before.destination.to_string(),
                        format!("it is sent to {to}: {rule}"),
                        Some(true),
                    )
                    .at(&place.name),
                );
                self.translated = Some((net, rule.clone(), *to));
            }
            if !self.settle(net, hook, packet, &passage) {
                return false;
            }
        }
        true
    }

    /// Whether it passed; else a step and a fault.
    fn settle(&mut self, net: usize, hook: Hook, packet: &Packet, passage: &Passage) -> bool {
        let place = &self.ground.nets[net];
        let (rule, what, effect) = match &passage.fate {
            Fate::Passes => return true,
            Fate::Dropped(rule) => (rule, "drops", Effect::Silent),
            Fate::Queued(rule) => (rule, "hands to a program", Effect::Silent),
            Fate::Rejected(rule, how) => (rule, "rejects", effect_of(*how)),
        };
        let asked = format!("{} of {}", hook.name(), place.called());
        self.steps.push(
            Step::new("firewall", asked, format!("{what} {}: {rule}", way_of(packet)), Some(false))
                .at(&place.name),
        );
        let back = if packet.phase == Phase::Reply { "the answer of " } else { "" };
        let end = if packet.phase == Phase::Reply { packet.source } else { packet.destination };
        self.faults.push(Fault {
            effect,
            sentence: format!(
                "the firewall of {} {what} {back}{}/{end}: {rule}",
                place.called(),
                packet.protocol
            ),
            remedy: Some(opening(place, rule, packet)),
            instead: None,
        });
        false
    }

    /// Says that a network's rules let it pass, or that they can't be read.
    pub(super) fn passed(&mut self, net: usize) {
        let place = &self.ground.nets[net];
        let (found, ok) = match place.rules() {
            _ if !place.old_tables().is_empty() => {
                let tables = place.old_tables().join(", ");
                (format!("tables of the older iptables are in force, which wharf can't read: {tables}"), None)
            }
            Ok(rules) if rules.rules.is_empty() && rules.chains.is_empty() => {
                ("there are no rules".to_owned(), Some(true))
            }
            Ok(rules) => {
                let unjudged: Vec<_> = self.unjudged.iter().filter(|(at, ..)| *at == net).collect();
                match unjudged.first() {
                    None => {
                        let (chains, rules) = (rules.chains.len(), rules.rules.len());
                        (format!("it passes ({chains} chains, {rules} rules)"), Some(true))
                    }
                    Some((_, rule, why)) => {
                        let count = unjudged.len();
                        (
                            format!(
                                "{count} of its {} rules can't be judged: {rule} ({why})",
                                rules.rules.len()
                            ),
                            None,
                        )
                    }
                }
            }
            Err(why) => (format!("its rules can't be read ({why})"), None),
        };
        self.steps.push(Step::new("firewall", place.called(), found, ok).at(&place.name));
    }

    /// The first packet that comes back, through the same networks.
    pub(super) fn answer(&mut self) {
        let crossed = std::mem::take(&mut self.crossed);
        for Crossed { net, before, after, part } in crossed.iter().rev() {
            let inner = reply_to(before);
            let outer = reply_to(after);
            let stages: &[(Hook, &Packet)] = match part {
                Part::Alone => &[
                    (Hook::Output, &outer),
                    (Hook::Postrouting, &outer),
                    (Hook::Prerouting, &outer),
                    (Hook::Input, &inner),
                ],
                Part::Taken => &[(Hook::Output, &inner), (Hook::Postrouting, &inner)],
                Part::Forwarded => {
                    &[(Hook::Prerouting, &outer), (Hook::Forward, &inner), (Hook::Postrouting, &inner)]
                }
                Part::Made => &[(Hook::Prerouting, &outer), (Hook::Input, &inner)],
            };
            for (hook, packet) in stages {
                let mut packet = (*packet).clone();
                if *part == Part::Alone {
                    let lo = Some(super::Device { index: 1, name: "lo".into() });
                    (packet.came_by, packet.leaves_by) = (lo.clone(), lo);
                }
                if !self.judge(*net, &[*hook], &mut packet, Translation::Settled) {
                    self.end = End::Stopped;
                    return;
                }
            }
        }
    }
}

fn reply_to(packet: &Packet) -> Packet {
    Packet {
        source: packet.destination,
        destination: packet.source,
        came_by: packet.leaves_by.clone(),
        leaves_by: packet.came_by.clone(),
        phase: Phase::Reply,
        user: None,
        ..packet.clone()
    }
}

fn way_of(packet: &Packet) -> String {
    match packet.phase {
        Phase::First => format!("{}/{}", packet.protocol, packet.destination),
        Phase::Reply => format!("the answer of {}/{}", packet.protocol, packet.source),
    }
}

const fn effect_of(how: Reject) -> Effect {
    match how {
        Reject::Reset | Reject::Icmp(3) | Reject::IcmpAny(1) => Effect::Refused,
        Reject::Icmp(_) | Reject::IcmpAny(_) => Effect::Prohibited,
    }
}

/// The command that lets such packets pass before the rule, or before the end of the chain.
fn opening(place: &Net, rule: &Place, packet: &Packet) -> String {
    let protocol = if packet.protocol == Protocol::Udp { "udp" } else { "tcp" };
    let fits = match packet.phase {
        Phase::First => format!("{protocol} dport {}", packet.destination.port()),
        Phase::Reply => format!("{protocol} sport {} ct state established", packet.source.port()),
    };
    let (family, table, chain) = (rule.family.name(), &rule.table, &rule.chain);
    place.command(&match rule.handle {
        Some(handle) => format!("nft insert rule {family} {table} {chain} handle {handle} {fits} accept"),
        None => format!("nft add rule {family} {table} {chain} {fits} accept"),
    })
}

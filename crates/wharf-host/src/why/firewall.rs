//! The local packet filter: what nf_tables would do with one packet at one hook, rule by rule, in the order of the priorities.
//!
//! [`Filter::judge`] walks the chains as the kernel does (`nft_do_chain`). Invariant: what can't be judged is kept in
//! [`Passage::unjudged`] and passed over; nothing is guessed.

mod compat;
mod packet;
mod registers;
mod rule;
mod sets;
mod text;

use std::net::{IpAddr, SocketAddr};

use wharf_sys::netlink::nftables::{Chain, Family, Reject, Rule, Ruleset, Verdict};

pub(super) use self::packet::{Device, Packet, Phase};
use self::rule::Deed;

/// How deep chains may jump (`NFT_JUMP_STACK_SIZE`).
const DEPTH_MAX: usize = 16;

/// Where on a packet's way chains are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// As it comes from the device.
    Ingress,
    /// Before its route is looked up.
    Prerouting,
    /// It is for this host.
    Input,
    /// It goes on.
    Forward,
    /// It was made here.
    Output,
    /// It leaves.
    Postrouting,
    /// As it is given to the device.
    Egress,
}

impl Hook {
    /// The number of the hook for a family; `None` where it has none.
    const fn number(self, family: Family) -> Option<u32> {
        match (family, self) {
            (Family::Netdev, Hook::Ingress) => Some(0),
            (Family::Netdev, Hook::Egress) => Some(1),
            (Family::Netdev | Family::Arp | Family::Bridge, _) => None,
            (Family::Inet, Hook::Ingress) => Some(5),
            (_, Hook::Prerouting) => Some(0),
            (_, Hook::Input) => Some(1),
            (_, Hook::Forward) => Some(2),
            (_, Hook::Output) => Some(3),
            (_, Hook::Postrouting) => Some(4),
            (_, Hook::Ingress | Hook::Egress) => None,
        }
    }

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Hook::Ingress => "ingress",
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
            Hook::Egress => "egress",
        }
    }
}

/// A rule, or the policy of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) family: Family,
    pub(super) table: String,
    pub(super) chain: String,
    /// The rule; `None` for the policy.
    pub(super) handle: Option<u64>,
    /// The rule as `nft` writes it.
    pub(super) text: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "table {} {}, chain {}, ", self.family.name(), self.table, self.chain)?;
        match self.handle {
            Some(handle) => write!(f, "rule {handle}: {}", self.text),
            None => write!(f, "{}", self.text),
        }
    }
}

/// What became of a packet at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    Dropped(Place),
    Rejected(Place, Reject),
    /// A program decides.
    Queued(Place),
}

/// A packet's passage through a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) fate: Fate,
    /// Where it goes now, and what says so.
    pub(super) translated: Option<(Place, SocketAddr)>,
    /// What gives it another source.
    pub(super) masked: Option<(Place, Option<IpAddr>)>,
    /// Rules that can't be judged, and why.
    pub(super) unjudged: Vec<(Place, String)>,
    /// How many rules were asked.
    pub(super) asked: usize,
}

/// What must be known of the network to judge.
pub(super) trait Surroundings {
    /// The kind of an address (`RTN_LOCAL` 2, `RTN_UNICAST` 1...), if that can be told.
    fn kind_of(&self, address: IpAddr) -> Option<u8>;
    /// An own address of a device, of the family of `like`.
    fn address_of(&self, device: Option<&Device>, like: IpAddr) -> Option<IpAddr>;
}

/// Whether chains that translate are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Translation {
    Asked,
    /// It was decided before, by the first packet or at an earlier hook.
    Settled,
}

/// The rules of a network.
pub(super) struct Filter<'a> {
    pub(super) rules: &'a Ruleset,
    pub(super) around: &'a dyn Surroundings,
}

/// How a chain ended.
enum End {
    Fell,
    Accepted,
    Decided(Fate),
}

impl Filter<'_> {
    /// What happens to a packet at a hook.
    pub(super) fn judge(&self, hook: Hook, packet: &mut Packet, translation: Translation) -> Passage {
        let mut passage =
            Passage { fate: Fate::Passes, translated: None, masked: None, unjudged: Vec::new(), asked: 0 };
        let mut translation = translation;
        for chain in self.chains(hook, packet) {
            let Some(base) = &chain.base else { continue };
            if base.kind == "nat" && (translation == Translation::Settled || packet.phase == Phase::Reply) {
                continue;
            }
            match self.walk(chain, hook, packet, 0, &mut passage) {
                End::Decided(fate) => {
                    passage.fate = fate;
                    return passage;
                }
                End::Fell if base.policy == Verdict::Drop => {
                    passage.fate = Fate::Dropped(policy_of(chain));
                    return passage;
                }
                End::Fell | End::Accepted => {}
            }
            if passage.translated.is_some() || passage.masked.is_some() {
                translation = Translation::Settled;
            }
        }
        passage
    }

    /// The chains of a hook, in the order in which they are asked.
    fn chains(&self, hook: Hook, packet: &Packet) -> Vec<&Chain> {
        let mut chains: Vec<&Chain> =
            self.rules.chains.iter().filter(|chain| is_asked(chain, hook, packet)).collect();
        chains.retain(|chain| {
            !self.rules.dormant.iter().any(|(family, table)| (*family, table) == (chain.family, &chain.table))
        });
        chains.sort_by_key(|chain| chain.base.as_ref().map(|base| base.priority));
        chains
    }

    fn walk(
        &self,
        chain: &Chain,
        hook: Hook,
        packet: &mut Packet,
        depth: usize,
        passage: &mut Passage,
    ) -> End {
        let is_here = |rule: &&Rule| {
            rule.family == chain.family && rule.table == chain.table && rule.chain == chain.name
        };
        for rule in self.rules.rules.iter().filter(is_here) {
            passage.asked += 1;
            let place = || place_of(rule, self.rules);
            match self.ask(rule, hook, packet) {
                Deed::Other => {}
                Deed::Unknown(why) => passage.unjudged.push((place(), why)),
                Deed::Mark(mark) => packet.mark = mark,
                Deed::Untrack => packet.is_tracked = false,
                Deed::Translate(to) => {
                    packet.destination = to;
                    packet.is_translated = true;
                    passage.translated = Some((place(), to));
                    return End::Accepted;
                }
                Deed::Mask(source) => {
                    passage.masked = Some((place(), source));
                    return End::Accepted;
                }
                Deed::Reject(how) => return End::Decided(Fate::Rejected(place(), how)),
                Deed::Verdict(verdict) => match verdict {
                    Verdict::Accept => return End::Accepted,
                    Verdict::Drop => return End::Decided(Fate::Dropped(place())),
                    Verdict::Queue => return End::Decided(Fate::Queued(place())),
                    Verdict::Return => return End::Fell,
                    Verdict::Continue | Verdict::Break => {}
                    Verdict::Jump(name) => match self.other(chain, &name, hook, packet, depth, passage) {
                        End::Fell => {}
                        end => return end,
                    },
                    Verdict::Goto(name) => return self.other(chain, &name, hook, packet, depth, passage),
                },
            }
        }
        End::Fell
    }

    fn other(
        &self,
        from: &Chain,
        name: &str,
        hook: Hook,
        packet: &mut Packet,
        depth: usize,
        passage: &mut Passage,
    ) -> End {
        let is_meant =
            |chain: &&Chain| chain.family == from.family && chain.table == from.table && chain.name == name;
        match self.rules.chains.iter().find(is_meant) {
            Some(chain) if depth < DEPTH_MAX => self.walk(chain, hook, packet, depth + 1, passage),
            _ => End::Fell,
        }
    }
}

/// Whether a chain is asked about a packet at a hook.
fn is_asked(chain: &Chain, hook: Hook, packet: &Packet) -> bool {
    let Some(base) = &chain.base else { return false };
    let of_family = match chain.family {
        Family::Inet | Family::Netdev => true,
        Family::Ip => packet.destination.is_ipv4(),
        Family::Ip6 => packet.destination.is_ipv6(),
        Family::Bridge | Family::Arp => false,
    };
    let device = match hook {
        Hook::Egress | Hook::Postrouting | Hook::Output => packet.leaves_by.as_ref(),
        _ => packet.came_by.as_ref(),
    };
    let of_device =
        base.devices.is_empty() || device.is_some_and(|device| base.devices.contains(&device.name));
    of_family && of_device && hook.number(chain.family) == Some(base.hook)
}

fn policy_of(chain: &Chain) -> Place {
    Place {
        family: chain.family,
        table: chain.table.clone(),
        chain: chain.name.clone(),
        handle: None,
        text: "policy drop".to_owned(),
    }
}

fn place_of(rule: &Rule, rules: &Ruleset) -> Place {
    Place {
        family: rule.family,
        table: rule.table.clone(),
        chain: rule.chain.clone(),
        handle: Some(rule.handle),
        text: text::of(rule, rules),
    }
}

#[cfg(test)]
mod tests;

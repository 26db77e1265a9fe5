//! The rules of a run, in order: the first that stands for a flow decides.
//!
//! A flow is judged in up to two steps. When it opens, the address, the port and the names that the address was answered
//! for are known. Where a rule by name has a say, the name that the first bytes show (the server name of a TLS hello, the
//! Host of a request) is judged as well, before a byte goes out: two names may share one address. So the first judgement
//! may be [`Outcome::AllowOnceShown`].
//!
//! - A rule that allows a name stands for a flow whose address was answered for such a name, and, where a name is shown, only
//!   when that very name is such a one and the address was answered for it. A bare address never inherits the permission
//!   of a name.
//! - A rule that denies a name stands for a flow that shows such a name, whatever its address was answered for; where none is
//!   shown, for one whose address was answered for such a name.
//! - Where a protocol hides the name, a rule that allows it stands for the flow only if it says so ([`Hidden::Lenient`]).
//!
//! What is never open unless it is named (the host's loopback, metadata services) comes as the question's [`Ground`].

use alloc::string::String;
use alloc::vec::Vec;

use crate::endpoint::Addr;
use crate::policy::hostname::Hostname;
use crate::policy::index::Index;
use crate::policy::rule::{Action, Hidden, Peer, Rule};
use crate::tuple::Protocol;

/// A rule by its place, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// What the first bytes of a flow say of the name that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// They have not come yet.
    NotYet,
    /// This name.
    Name(&'a Hostname),
    /// A protocol that would show a name, and hides it.
    Hidden,
    /// A protocol that shows none.
    Nothing,
}

/// What the rules are asked of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The protocol.
    pub protocol: Protocol,
    /// The address that the flow goes to.
    pub addr: Addr,
    /// The port; anything for ICMP.
    pub port: u16,
    /// Whether the address is open to who is allowed everything.
    pub ground: Ground,
    /// The names for which this address was answered, as far as that still counts.
    pub names: &'a [Hostname],
    /// What the flow shows of a name.
    pub shown: Shown<'a>,
    /// The program that opens it and those that started it, where that is known.
    pub programs: &'a [String],
}

/// Whether an address is open by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// It is open where nothing says otherwise.
    Open,
    /// It stands for the host's loopback: open where `host`, or the address itself, is named.
    Host,
    /// It is closed unless a rule names the address or its network; names, `lan`, `any` and the default don't.
    Closed,
}

/// What the rules answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub outcome: Outcome,
    /// The rule that decided, or that will if what is shown fits; `None` for the default.
    pub rule: Option<RuleId>,
}

/// The answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The flow may open.
    Allow,
    /// It may open, but no byte of the program goes out before it is known which name is meant.
    AllowOnceShown,
    /// It may not.
    Deny,
}

/// Rules in order, and what holds where none stands for a flow.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    default: Action,
    index: Index,
    /// Whether a rule names a program.
    programs: bool,
}

impl Default for Rules {
    /// No rules: everything may open that is not closed by itself.
    fn default() -> Rules {
        Rules::new(Vec::new(), Action::Allow)
    }
}

impl Rules {
    /// The rules, asked in this order.
    pub fn new(rules: Vec<Rule>, default: Action) -> Rules {
        let index = Index::new(&rules);
        let programs = rules.iter().any(|rule| rule.target.program.is_some());
        Rules { rules, default, index, programs }
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule with this number.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id.0 as usize)
    }

    /// What holds where no rule stands for a flow.
    pub const fn default_action(&self) -> Action {
        self.default
    }

    /// Whether nothing at all is decided here: no rules, and everything allowed.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty() && self.default == Action::Allow
    }

    /// Whether a rule asks which program it is: finding out costs a look at all its descriptors.
    pub const fn asks_for_programs(&self) -> bool {
        self.programs
    }

    /// May the flow open? The first rule that stands for it decides. Costs look-ups by the names and the address, and a step for
    /// each rule found by them, not for each rule there is.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        self.walk(question, self.index.candidates(&self.rules, question))
    }

    /// The same over all rules, one after the other: what [`Rules::decide`] must equal.
    #[cfg(test)]
    pub(super) fn decide_slowly(&self, question: &Question<'_>) -> Decision {
        self.walk(question, 0..self.rules.len() as u32)
    }

    fn walk(&self, question: &Question<'_>, candidates: impl IntoIterator<Item = u32>) -> Decision {
        let concerned = self.concerned(question, candidates);
        let judge = |shown| self.judge(&concerned, question, shown);
        if question.shown != Shown::NotYet {
            return judge(question.shown);
        }
        if question.protocol == Protocol::Icmp || concerned.iter().all(|(_, rule)| !rule.is_by_name()) {
            return judge(Shown::Nothing);
        }
        // What may yet be shown: one of the names, another one, none.
        let other = Hostname::nobody();
        let names = question.names.iter().chain([&other]).map(Shown::Name);
        let mut all = names.chain([Shown::Nothing, Shown::Hidden]).map(judge);
        match all.find(|decision| decision.outcome == Outcome::Allow) {
            Some(allowed) => Decision { outcome: Outcome::AllowOnceShown, ..allowed },
            None => judge(Shown::Nothing),
        }
    }

    /// The rules that have a say, in order: those by name, and the first of the others that stands for the flow.
    fn concerned<'a>(
        &'a self,
        question: &Question<'_>,
        candidates: impl IntoIterator<Item = u32>,
    ) -> Vec<(RuleId, &'a Rule)> {
        let mut concerned = Vec::new();
        for number in candidates {
            let Some(rule) = self.rules.get(number as usize) else { continue };
            if !rule.target.fits(question.protocol, question.port, question.programs) {
                continue;
            }
            if let Peer::Name(pattern) = &rule.target.peer {
                if rule.action == Action::Deny || question.names.iter().any(|name| pattern.covers(name)) {
                    concerned.push((RuleId(number), rule));
                }
            } else if stands(rule, question, Shown::Nothing) {
                concerned.push((RuleId(number), rule));
                break;
            }
        }
        concerned
    }

    fn judge(&self, concerned: &[(RuleId, &Rule)], question: &Question<'_>, shown: Shown<'_>) -> Decision {
        match concerned.iter().find(|(_, rule)| stands(rule, question, shown)) {
            Some((id, rule)) => Decision { outcome: Outcome::of(rule.action), rule: Some(*id) },
            None if question.ground != Ground::Open => Decision { outcome: Outcome::Deny, rule: None },
            None => Decision { outcome: Outcome::of(self.default), rule: None },
        }
    }

    /// May a name be asked for? The rule by which something of it could be allowed, `Ok(None)` by default; `Err` has the rule that
    /// denies it, if one does.
    ///
    /// Names below no rule are not answered even where a rule allows their address: a look-up could carry data out.
    ///
    /// # Errors
    /// The rule that denies every port of the name; `None` where it is the default.
    pub fn may_ask(&self, name: &Hostname) -> Result<Option<RuleId>, Option<RuleId>> {
        for number in self.index.of_name(name) {
            let Some(rule) = self.rules.get(number as usize) else { continue };
            let id = RuleId(number);
            let stands = match &rule.target.peer {
                Peer::Name(pattern) => pattern.covers(name),
                Peer::Any => true,
                Peer::Network(_) | Peer::Host | Peer::Lan => false,
            };
            let whole = rule.target.ports.is_empty()
                && rule.target.protocol.is_none()
                && rule.target.program.is_none();
            match rule.action {
                Action::Allow if stands => return Ok(Some(id)),
                Action::Deny if stands && whole => return Err(Some(id)),
                Action::Allow | Action::Deny => {}
            }
        }
        match self.default {
            Action::Allow => Ok(None),
            Action::Deny => Err(None),
        }
    }
}

impl Outcome {
    const fn of(action: Action) -> Outcome {
        match action {
            Action::Allow => Outcome::Allow,
            Action::Deny => Outcome::Deny,
        }
    }
}

/// Whether a rule stands for a flow that shows this.
fn stands(rule: &Rule, question: &Question<'_>, shown: Shown<'_>) -> bool {
    let pattern = match (&rule.target.peer, question.ground) {
        (Peer::Network(network), _) => return network.contains(question.addr),
        (Peer::Host, ground) => return ground == Ground::Host,
        (_, Ground::Host | Ground::Closed) => return false,
        (Peer::Name(pattern), Ground::Open) => pattern,
        (peer, Ground::Open) => return peer.contains(question.addr),
    };
    let answered = || question.names.iter().any(|name| pattern.covers(name));
    match (rule.action, shown) {
        (Action::Allow, Shown::Name(name)) => pattern.covers(name) && question.names.contains(name),
        (Action::Deny, Shown::Name(name)) => pattern.covers(name),
        (Action::Allow, Shown::Hidden) => rule.hidden == Hidden::Lenient && answered(),
        (Action::Deny, Shown::Hidden) | (_, Shown::Nothing | Shown::NotYet) => answered(),
    }
}

#[cfg(test)]
mod tests;

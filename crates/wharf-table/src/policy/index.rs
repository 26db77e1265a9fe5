//! Which rules can stand for a flow, without asking all of them.
//!
//! Rules lie in lists: by the exact name, by the name that a wildcard stands above, by the single address, and the few that
//! must always be asked. A question merges the lists that concern it, in the order of the rules.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::endpoint::Addr;
use crate::policy::hostname::{Hostname, NamePattern};
use crate::policy::rule::{Action, Peer, Rule};
use crate::policy::rules::{Question, Shown};

/// The lists. Numbers in each are in the order of the rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    exactly: BTreeMap<Hostname, Vec<u32>>,
    below: BTreeMap<Hostname, Vec<u32>>,
    single: BTreeMap<Addr, Vec<u32>>,
    /// Networks of more than one address, and words.
    always: Vec<u32>,
    /// Rules that deny names: one of them may yet deny a flow that has not shown its name.
    denied_names: Vec<u32>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Index {
        let mut index = Index::default();
        for (number, rule) in (0..).zip(rules) {
            index.list_of(&rule.target.peer).push(number);
            if matches!(rule.target.peer, Peer::Name(_)) && rule.action == Action::Deny {
                index.denied_names.push(number);
            }
        }
        index
    }

    fn list_of(&mut self, peer: &Peer) -> &mut Vec<u32> {
        match peer {
            Peer::Name(NamePattern::Exactly(name)) => self.exactly.entry(name.clone()).or_default(),
            Peer::Name(NamePattern::Below(parent)) => self.below.entry(parent.clone()).or_default(),
            Peer::Network(network) if network.is_single() => self.single.entry(network.addr()).or_default(),
            Peer::Network(_) | Peer::Host | Peer::Lan | Peer::Any => &mut self.always,
        }
    }

    /// The rules that may stand for a flow, in order, and perhaps some that don't.
    pub(super) fn candidates(&self, rules: &[Rule], question: &Question<'_>) -> Vec<u32> {
        let mut found = self.always.clone();
        found.extend(self.single.get(&question.addr).into_iter().flatten());
        question.names.iter().for_each(|name| self.push_named(name, &mut found));
        match question.shown {
            Shown::Name(name) => self.push_named(name, &mut found),
            // Which of them it will be, if any, is not known; that there is one is enough.
            Shown::NotYet => found.extend(self.denied_names.iter().find(|&&number| {
                let rule = rules.get(number as usize);
                rule.is_some_and(|rule| rule.target.fits(question.protocol, question.port, question.programs))
            })),
            Shown::Hidden | Shown::Nothing => {}
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The rules that may stand for a name, in order.
    pub(super) fn of_name(&self, name: &Hostname) -> Vec<u32> {
        let mut found = self.always.clone();
        self.push_named(name, &mut found);
        found.sort_unstable();
        found
    }

    fn push_named(&self, name: &Hostname, found: &mut Vec<u32>) {
        found.extend(self.exactly.get(name).into_iter().flatten());
        found.extend(name.parents().filter_map(|parent| self.below.get(parent)).flatten());
    }
}

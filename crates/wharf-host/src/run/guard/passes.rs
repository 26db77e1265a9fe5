//! Datagrams that may go: what the guard said of a pair of endpoints, remembered so that it is asked once for each pair and
//! not for each datagram.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wharf_table::policy::{Outcome, Shown};
use wharf_table::{Endpoint, Instant, Protocol, Tuple};

use super::{Guard, Ruling};

/// For how long a pair stays open without a datagram: as long as a mapping of UDP lives.
const KEPT: Duration = Duration::from_secs(300);
/// The most pairs. Beyond that the silent ones are forgotten, and asked for again.
const PAIRS_MAX: usize = 65_536;
/// For how long a pair that was denied is not told again.
const UNTOLD: Duration = Duration::from_secs(10);
/// The most denied pairs that are remembered for that, and that wait to be told.
const DENIED_MAX: usize = 1024;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) enum Gate {
    /// It goes.
    Passes,
    /// It does not.
    Denied,
}

/// Pairs of endpoints, the program's first.
type Pair = (Endpoint, Endpoint);

/// What is open for one protocol.
pub(in crate::run) struct Passes {
    guard: Guard,
    protocol: Protocol,
    open: HashMap<Pair, Instant>,
    /// When a denial was last told.
    told: HashMap<Pair, Instant>,
    denied: VecDeque<(Tuple, Box<Ruling>)>,
    edition: u64,
}

impl Passes {
    pub(in crate::run) fn new(guard: Guard, protocol: Protocol) -> Passes {
        let edition = guard.edition();
        let (open, told, denied) = (HashMap::new(), HashMap::new(), VecDeque::new());
        Passes { guard, protocol, open, told, denied, edition }
    }

    /// A datagram of the program to `remote`.
    pub(in crate::run) fn outward(&mut self, now: Instant, local: Endpoint, remote: Endpoint) -> Gate {
        if self.guard.is_open() {
            return Gate::Passes;
        }
        self.forget_older_rules();
        if let Some(used) = self.open.get_mut(&(local, remote)).filter(|used| now.since(**used) < KEPT) {
            *used = now;
            return Gate::Passes;
        }
        let tuple = Tuple { protocol: self.protocol, local, remote };
        let ruling = match self.guard.decide(now, &tuple, Shown::NotYet) {
            Ruling { outcome: Outcome::AllowOnceShown, .. } => self.guard.decide(now, &tuple, Shown::Nothing),
            ruling => ruling,
        };
        let gate = if ruling.outcome == Outcome::Deny { Gate::Denied } else { Gate::Passes };
        if ruling.denied {
            self.tell(now, tuple, ruling);
        }
        if gate == Gate::Passes {
            if self.open.len() >= PAIRS_MAX {
                self.open.retain(|_, used| now.since(*used) < KEPT);
            }
            if self.open.len() >= PAIRS_MAX {
                self.open.clear();
            }
            self.open.insert((local, remote), now);
        }
        gate
    }

    /// A datagram of `remote` for the program: only who was spoken to may answer.
    pub(in crate::run) fn inward(&mut self, now: Instant, local: Endpoint, remote: Endpoint) -> Gate {
        if self.guard.is_open() {
            return Gate::Passes;
        }
        self.forget_older_rules();
        match self.open.get_mut(&(local, remote)).filter(|used| now.since(**used) < KEPT) {
            Some(used) => {
                *used = now;
                Gate::Passes
            }
            None => Gate::Denied,
        }
    }

    /// What is open under rules that are no longer in force is asked for again.
    fn forget_older_rules(&mut self) {
        let edition = self.guard.edition();
        if edition != self.edition {
            self.edition = edition;
            self.open.clear();
            self.told.clear();
        }
    }

    fn tell(&mut self, now: Instant, tuple: Tuple, ruling: Ruling) {
        let pair = (tuple.local, tuple.remote);
        if self.told.get(&pair).is_some_and(|told| now.since(*told) < UNTOLD) {
            return;
        }
        if self.told.len() >= DENIED_MAX {
            self.told.clear();
        }
        self.told.insert(pair, now);
        if self.denied.len() < DENIED_MAX {
            self.denied.push_back((tuple, Box::new(ruling)));
        }
    }

    /// What a program notices of a denial.
    pub(in crate::run) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What was denied, or would have been.
    pub(in crate::run) fn poll_denied(&mut self) -> Option<(Tuple, Box<Ruling>)> {
        self.denied.pop_front()
    }
}

//! Datagrams that may go: what the guard said of a pair of endpoints, remembered so that it is asked once for each pair and
//! not for each datagram.
//!
//! Where a name may be meant, the datagrams of a pair are read: QUIC shows it in its first packets. Those wait until the hello
//! is whole, and each later hello is judged as well, since one pair of endpoints may carry several connections.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wharf_table::policy::{Hostname, Outcome, Shown};
use wharf_table::{Endpoint, Instant, Protocol, Tuple};
use wharf_wire::quic::{InitialReader, Quic};

use super::{Guard, Look, Ruling};

/// For how long a pair stays open without a datagram: as long as a mapping of UDP lives.
const KEPT: Duration = Duration::from_secs(300);
/// The most pairs. Beyond that the silent ones are forgotten, and asked for again.
const PAIRS_MAX: usize = 65_536;
/// The most pairs whose datagrams are read, each of which holds some.
const READ_MAX: usize = 1024;
/// Datagrams of a pair that wait for the rest of a hello, and their bytes.
const WAITING_MAX: usize = 8;
const WAITING_BYTES: usize = 16 * 1024;
/// For how long a pair that was denied is not told again.
const UNTOLD: Duration = Duration::from_secs(10);
/// The most denied pairs that are remembered for that, and that wait to be told.
const DENIED_MAX: usize = 1024;

/// What becomes of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) enum Gate {
    /// It goes.
    Passes,
    /// It goes behind these, which waited.
    PassesAfter(Vec<Vec<u8>>),
    /// It waits.
    Waits,
    /// It does not go.
    Denied,
}

/// Pairs of endpoints, the program's first.
type Pair = (Endpoint, Endpoint);

/// A pair that is open.
struct Open {
    used: Instant,
    /// The rule that opened it, and the name.
    judged: Option<Judged>,
    /// Set where its datagrams are read.
    reading: Option<Box<Reading>>,
}

/// A rule in words, and the name that was meant.
type Judged = (Box<str>, Option<Hostname>);

/// What is known of a pair whose datagrams are read.
#[derive(Default)]
struct Reading {
    reader: InitialReader,
    waiting: Vec<Vec<u8>>,
    /// It was settled that no name is shown, or which.
    settled: bool,
}

/// What is open for one protocol.
pub(in crate::run) struct Passes {
    guard: Guard,
    protocol: Protocol,
    open: HashMap<Pair, Open>,
    reading: usize,
    /// When a denial was last told.
    told: HashMap<Pair, Instant>,
    denied: VecDeque<(Tuple, Box<Ruling>)>,
    edition: u64,
}

impl Passes {
    pub(in crate::run) fn new(guard: Guard, protocol: Protocol) -> Passes {
        let edition = guard.edition();
        let (open, told, denied) = (HashMap::new(), HashMap::new(), VecDeque::new());
        Passes { guard, protocol, open, reading: 0, told, denied, edition }
    }

    /// A datagram of the program to `remote`. `segment` is the length of each of several that came as one.
    pub(in crate::run) fn outward(
        &mut self,
        now: Instant,
        (local, remote): Pair,
        payload: &[u8],
        segment: Option<u16>,
    ) -> Gate {
        if self.guard.is_open() {
            return Gate::Passes;
        }
        self.forget_older_rules();
        let pair = (local, remote);
        match self.open.get_mut(&pair).filter(|open| now.since(open.used) < KEPT) {
            Some(Open { used, reading: None, .. }) => {
                *used = now;
                Gate::Passes
            }
            Some(Open { used, reading: Some(_), .. }) => {
                *used = now;
                self.read(now, pair, payload, segment)
            }
            None => self.ask(now, pair, payload, segment),
        }
    }

    /// The first datagram of a pair, or the first after a long time.
    fn ask(&mut self, now: Instant, pair: Pair, payload: &[u8], segment: Option<u16>) -> Gate {
        let tuple = Tuple { protocol: self.protocol, local: pair.0, remote: pair.1 };
        let ruling = self.guard.decide(now, &tuple, Shown::NotYet);
        let (outcome, judged) = (ruling.outcome, ruling.judged());
        if ruling.denied {
            self.tell(now, tuple, ruling);
        }
        match outcome {
            Outcome::Deny => Gate::Denied,
            Outcome::Allow => {
                self.insert(now, pair, judged, None);
                Gate::Passes
            }
            Outcome::AllowOnceShown => {
                self.insert(now, pair, judged, Some(Box::default()));
                self.read(now, pair, payload, segment)
            }
        }
    }

    fn insert(&mut self, now: Instant, pair: Pair, judged: Option<Judged>, reading: Option<Box<Reading>>) {
        if self.open.len() >= PAIRS_MAX || self.reading >= READ_MAX {
            self.open.retain(|_, open| now.since(open.used) < KEPT);
            if self.open.len() >= PAIRS_MAX || self.is_reading() >= READ_MAX {
                self.open.clear();
            }
            self.reading = self.is_reading();
        }
        self.reading += usize::from(reading.is_some());
        self.open.insert(pair, Open { used: now, judged, reading });
    }

    fn is_reading(&self) -> usize {
        self.open.values().filter(|open| open.reading.is_some()).count()
    }

    /// Reads a datagram, or each of several, of a pair for which a name may be meant.
    fn read(&mut self, now: Instant, pair: Pair, payload: &[u8], segment: Option<u16>) -> Gate {
        let Some(mut reading) = self.open.get_mut(&pair).and_then(|open| open.reading.take()) else {
            return Gate::Denied;
        };
        let size = segment.filter(|&size| size > 0).map_or(payload.len(), usize::from).max(1);
        let mut waits = false;
        for datagram in payload.chunks(size) {
            match self.judge(now, pair, &mut reading, datagram) {
                Gate::Denied => {
                    self.open.remove(&pair);
                    self.reading = self.reading.saturating_sub(1);
                    return Gate::Denied;
                }
                gate => waits = gate == Gate::Waits,
            }
        }
        let gate = if waits { reading.wait(payload, size) } else { reading.release() };
        match self.open.get_mut(&pair) {
            Some(open) if gate != Gate::Denied => open.reading = Some(reading),
            _ => {
                self.open.remove(&pair);
                self.reading = self.reading.saturating_sub(1);
            }
        }
        gate
    }

    /// What becomes of one datagram: it goes, waits, or is denied.
    fn judge(&mut self, now: Instant, pair: Pair, reading: &mut Reading, datagram: &[u8]) -> Gate {
        let look = match reading.reader.push(datagram) {
            Quic::Later => return Gate::Passes,
            Quic::NotQuic if reading.settled => return Gate::Passes,
            Quic::NeedMore => return Gate::Waits,
            Quic::Malformed(_) => return Gate::Denied,
            quic => Look::from(wharf_wire::shown::Shown::from(quic)),
        };
        let shown = match &look {
            Look::Name(name) | Look::Request(name) => Shown::Name(name),
            Look::Hidden | Look::NeedMore => Shown::Hidden,
            Look::Nothing => Shown::Nothing,
        };
        let tuple = Tuple { protocol: self.protocol, local: pair.0, remote: pair.1 };
        let ruling = self.guard.decide(now, &tuple, shown);
        let outcome = ruling.outcome;
        if ruling.denied {
            self.tell(now, tuple, ruling);
        }
        reading.settled = true;
        if outcome == Outcome::Deny { Gate::Denied } else { Gate::Passes }
    }

    /// A datagram of `remote` for the program: only who was spoken to may answer.
    pub(in crate::run) fn inward(&mut self, now: Instant, pair: Pair) -> Gate {
        if self.guard.is_open() {
            return Gate::Passes;
        }
        self.forget_older_rules();
        match self.open.get_mut(&pair).filter(|open| now.since(open.used) < KEPT) {
            Some(open) => {
                open.used = now;
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
            self.reading = 0;
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

    /// What opened a pair.
    pub(in crate::run) fn judged(&self, pair: Pair) -> Option<Judged> {
        self.open.get(&pair)?.judged.clone()
    }

    /// Who is asked.
    pub(in crate::run) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What was denied, or would have been.
    pub(in crate::run) fn poll_denied(&mut self) -> Option<(Tuple, Box<Ruling>)> {
        self.denied.pop_front()
    }
}

impl Reading {
    /// Lets datagrams wait for what follows; too many of them are no hello.
    fn wait(&mut self, payload: &[u8], size: usize) -> Gate {
        self.waiting.extend(payload.chunks(size).map(<[u8]>::to_vec));
        let bytes: usize = self.waiting.iter().map(Vec::len).sum();
        if self.waiting.len() > WAITING_MAX || bytes > WAITING_BYTES { Gate::Denied } else { Gate::Waits }
    }

    fn release(&mut self) -> Gate {
        if self.waiting.is_empty() {
            Gate::Passes
        } else {
            Gate::PassesAfter(std::mem::take(&mut self.waiting))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::guard::{GuardConfig, Policy};
    use wharf_table::notation::no_services;
    use wharf_table::policy::{Action, Rule, Rules, Target};

    fn passes(rules: &[&str]) -> Passes {
        let rule = |text: &&str| Rule::new(Action::Allow, Target::parse(text, &no_services).unwrap());
        let rules = Rules::new(rules.iter().map(rule).collect(), Action::Deny);
        let guard = Guard::new(GuardConfig { rules, ..GuardConfig::default() }, Policy::default());
        Passes::new(guard, Protocol::Udp)
    }

    fn pair(remote: &str) -> Pair {
        ("10.0.2.100:5000".parse().unwrap(), remote.parse().unwrap())
    }

    #[test]
    fn who_was_not_spoken_to_may_not_answer() {
        let mut passes = passes(&["192.0.2.0/24:53/udp"]);
        let at = Instant::ZERO;
        assert_eq!(passes.inward(at, pair("192.0.2.1:53")), Gate::Denied);
        assert_eq!(passes.outward(at, pair("192.0.2.1:53"), b"x", None), Gate::Passes);
        assert_eq!(passes.inward(at, pair("192.0.2.1:53")), Gate::Passes);
        assert_eq!(passes.inward(at, pair("192.0.2.2:53")), Gate::Denied);
        assert_eq!(passes.inward(at + KEPT, pair("192.0.2.1:53")), Gate::Denied, "long after");
    }

    #[test]
    fn a_denial_is_told_once_in_a_while() {
        let mut passes = passes(&["192.0.2.0/24:53/udp"]);
        for seconds in 0..25 {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            assert_eq!(passes.outward(now, pair("198.51.100.1:53"), b"x", None), Gate::Denied);
        }
        assert_eq!(std::iter::from_fn(|| passes.poll_denied()).count(), 3);
    }

    #[test]
    fn other_rules_ask_again() {
        let mut passes = passes(&["192.0.2.0/24:53/udp"]);
        assert_eq!(passes.outward(Instant::ZERO, pair("192.0.2.1:53"), b"x", None), Gate::Passes);
        passes.guard.reload(Rules::new(Vec::new(), Action::Deny));
        assert_eq!(passes.inward(Instant::ZERO, pair("192.0.2.1:53")), Gate::Denied);
        assert_eq!(passes.outward(Instant::ZERO, pair("192.0.2.1:53"), b"x", None), Gate::Denied);
    }
}

//! The guard of a run: everything that opens a flow or answers a name asks here first.
//!
//! The rules are those of the user ([`Rules`]); what is never open by itself stands in the stack's policy, which is asked before.
//! Names are enforced: a look-up that no rule could allow is not answered, an answer pins its addresses to the name
//! (`pins`), and a flow may go to a pinned address only. All lanes ask the same guard; what it costs is paid once for each flow, never
//! for a packet.
//!
//! Invariant: it fails closed. Where there is no room to remember an answer, the flow that would need it does not open; a lock
//! that a panic has poisoned denies.

mod answers;
mod file;
mod learned;
mod look;
mod passes;
mod pins;
mod programs;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use wharf_stack::stack::{IcmpError, Refusal, Unreachable};
use wharf_table::policy::{
    Action, Decision, Ground, Hidden, Hostname, Outcome, Policy, Question, Rule, RuleId, Rules, Shown,
};
use wharf_table::{Addr, Endpoint, Instant, Protocol, Tuple};
use wharf_wire::dns::Message;

use self::answers::Answer;
pub(super) use self::answers::hostname;
pub use self::file::PolicyFile;
pub(super) use self::learned::Learned;
pub(super) use self::look::{Look, look, name_of};
pub(super) use self::passes::{Gate, Passes};
use self::pins::Pins;
pub(super) use self::programs::Program;
use self::programs::Programs;

/// What comes of a denial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It holds.
    #[default]
    Enforce,
    /// Everything goes through, and what would have been denied is told.
    DryRun,
    /// Everything goes through, and what was used is written down.
    Learn,
}

/// What a program inside notices of a denial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denial {
    /// An ICMP error, "administratively prohibited" (RFC 1812, section 5.2.7.1; RFC 4443, section 3.1).
    #[default]
    Prohibited,
    /// A RST, as by a closed port.
    Refused,
    /// Nothing.
    Silent,
}

impl Denial {
    /// How a stack does that to a connection that wants to open.
    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Denial::Prohibited => Refusal::Unreachable(Unreachable::Prohibited),
            Denial::Refused => Refusal::Reset,
            Denial::Silent => Refusal::Silent,
        }
    }

    /// How it does that to a datagram.
    pub(super) const fn error(self) -> Option<IcmpError> {
        match self {
            Denial::Prohibited => Some(IcmpError::Unreachable(Unreachable::Prohibited)),
            Denial::Refused => Some(IcmpError::Unreachable(Unreachable::Port)),
            Denial::Silent => None,
        }
    }
}

/// How a guard is set up.
#[derive(Clone, Debug, Default)]
pub struct GuardConfig {
    /// The rules.
    pub rules: Rules,
    /// What comes of a denial.
    pub mode: Mode,
    /// What a program notices of one.
    pub denial: Denial,
}

impl GuardConfig {
    /// Whether nothing is decided.
    pub fn is_idle(&self) -> bool {
        self.rules.is_open() && self.mode != Mode::Learn
    }
}

/// What the guard says of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ruling {
    /// Whether it may open, as things are done in this mode.
    pub(super) outcome: Outcome,
    /// Whether the rules deny it, whatever is done.
    pub(super) denied: bool,
    /// The rule; `None` for the default.
    pub(super) rule: Option<RuleId>,
    /// The rule in words.
    pub(super) rule_text: Option<Box<str>>,
    /// The name that it goes to.
    pub(super) name: Option<Hostname>,
    /// The names that its address was answered for when it was judged.
    names: Vec<Hostname>,
    /// The program, where that was asked.
    program: Option<Program>,
    /// What it showed then.
    seen: Seen,
}

/// What a flow has shown, for a later judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    NotYet,
    /// The name of the ruling.
    Name,
    Hidden,
    Nothing,
}

impl Seen {
    const fn of(shown: Shown<'_>) -> Seen {
        match shown {
            Shown::NotYet => Seen::NotYet,
            Shown::Name(_) => Seen::Name,
            Shown::Hidden => Seen::Hidden,
            Shown::Nothing => Seen::Nothing,
        }
    }
}

impl Ruling {
    /// What is said where the rules can't be read.
    fn unreadable() -> Ruling {
        let (rule_text, names) = (None, Vec::new());
        Ruling {
            outcome: Outcome::Deny,
            denied: true,
            rule: None,
            rule_text,
            name: None,
            names,
            program: None,
            seen: Seen::Nothing,
        }
    }

    /// The program that opens it, where that was asked.
    pub(super) fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// The rule in words, and the name.
    pub(super) fn judged(&self) -> Option<(Box<str>, Option<Hostname>)> {
        Some((self.rule_text.clone()?, self.name.clone()))
    }

    /// What the flow showed.
    fn shown(&self) -> Shown<'_> {
        match (self.seen, &self.name) {
            (Seen::Name, Some(name)) => Shown::Name(name),
            // Judged before a byte came, and let through: it was of no matter.
            (Seen::Name | Seen::NotYet | Seen::Nothing, _) => Shown::Nothing,
            (Seen::Hidden, _) => Shown::Hidden,
        }
    }
}

/// A rule, and how often it was used.
pub(super) struct Hit {
    pub(super) rule: String,
    pub(super) reason: String,
    pub(super) hits: u64,
}

/// Shared by all lanes.
#[derive(Clone)]
pub(super) struct Guard(Arc<Shared>);

struct Shared {
    /// Nothing is decided here, so nobody has to ask.
    open: AtomicBool,
    /// Grows when other rules come into force.
    edition: AtomicU64,
    /// What is closed by itself.
    policy: Policy,
    denial: Denial,
    mode: Mode,
    book: RwLock<Book>,
    pins: Mutex<Pins>,
    learned: Mutex<Learned>,
    /// Set when there are programs.
    programs: Mutex<Option<Programs>>,
}

/// The rules that are in force, and how often each was used.
struct Book {
    rules: Rules,
    hits: Vec<AtomicU64>,
    default_hits: AtomicU64,
}

impl Book {
    fn new(rules: Rules) -> Book {
        let hits = rules.rules().iter().map(|_| AtomicU64::new(0)).collect();
        Book { rules, hits, default_hits: AtomicU64::new(0) }
    }

    fn count(&self, rule: Option<RuleId>) {
        let counter = match rule {
            Some(RuleId(number)) => self.hits.get(number as usize),
            None => Some(&self.default_hits),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Default for Guard {
    /// One that lets everything open that is not closed by itself.
    fn default() -> Guard {
        Guard::new(GuardConfig::default(), Policy::default())
    }
}

impl Guard {
    /// A guard for a run in which `policy` says what is closed by itself.
    pub(super) fn new(config: GuardConfig, policy: Policy) -> Guard {
        let open = AtomicBool::new(config.is_idle());
        let GuardConfig { rules, mode, denial } = config;
        let (book, pins, learned) = (Book::new(rules), Pins::default(), Learned::default());
        Guard(Arc::new(Shared {
            open,
            edition: AtomicU64::new(0),
            policy,
            denial,
            mode,
            book: RwLock::new(book),
            pins: Mutex::new(pins),
            learned: Mutex::new(learned),
            programs: Mutex::new(None),
        }))
    }

    /// The run's programs are below this process from now on.
    pub(super) fn watch_programs(&self, init: u32) {
        if let Ok(mut programs) = self.0.programs.lock() {
            *programs = Some(Programs::of(init));
        }
    }

    /// The program that has the socket with these ends, `local` being its own, as far as that can be told.
    pub(super) fn program_of(&self, tuple: &Tuple) -> Option<Program> {
        self.0.programs.lock().ok()?.as_mut()?.find(tuple)
    }

    /// Whether nothing is decided here, and nobody has to ask.
    pub(super) fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Relaxed)
    }

    /// What a program notices of a denial.
    pub(super) fn denial(&self) -> Denial {
        self.0.denial
    }

    /// What was used, as rules. Only a guard that [learns](Mode::Learn) has any.
    pub(super) fn learned(&self) -> Learned {
        self.0.learned.lock().map(|learned| learned.clone()).unwrap_or_default()
    }

    /// May this name be asked for? `Err` has the rule that says no, in words.
    ///
    /// # Errors
    /// The ruling that denies it.
    pub(super) fn may_ask(&self, now: Instant, name: &Hostname) -> Result<(), Ruling> {
        if self.is_open() || self.0.mode == Mode::Learn {
            return Ok(());
        }
        let denied = |book: Option<&Book>, rule: Option<RuleId>| Ruling {
            outcome: if self.0.mode == Mode::Enforce { Outcome::Deny } else { Outcome::Allow },
            denied: true,
            rule,
            rule_text: book.and_then(|book| text_of(&book.rules, rule)),
            name: Some(name.clone()),
            names: Vec::new(),
            program: None,
            seen: Seen::NotYet,
        };
        let (Ok(book), Ok(pins)) = (self.0.book.read(), self.0.pins.lock()) else {
            return Err(denied(None, None));
        };
        match book.rules.may_ask(name) {
            Ok(_) => Ok(()),
            // Where an allowed name has led to this one, its addresses are those of the allowed name.
            Err(None) if pins.origins(now, name).iter().any(|origin| book.rules.may_ask(origin).is_ok()) => {
                Ok(())
            }
            Err(rule) => {
                book.count(rule);
                Err(denied(Some(&book), rule))
            }
        }
    }

    /// Takes an answer that is about to be given to the program. `false` when it can't be remembered, and what it says must not
    /// be relied on.
    pub(super) fn on_answer(&self, now: Instant, message: &Message<'_>) -> bool {
        let asked = message.question().and_then(|question| hostname(question.name));
        let (Some(asked), Ok(mut pins)) = (asked, self.0.pins.lock()) else { return false };
        let mut names = pins.origins(now, &asked);
        names.push(asked);
        let answer = Answer::read(message);
        let mut kept = true;
        for name in &names {
            for (addr, ttl) in &answer.addresses {
                kept &= pins.pin(now, *addr, name, *ttl).is_ok();
            }
            for (alias, ttl) in &answer.aliases {
                kept &= pins.lead(now, alias, name, *ttl).is_ok();
            }
        }
        kept
    }

    /// May a flow open? The tuple is written as the program sees it: `remote` is where it goes.
    pub(super) fn decide(&self, now: Instant, tuple: &Tuple, shown: Shown<'_>) -> Ruling {
        let names = self.0.pins.lock().map(|pins| pins.names(now, tuple.remote.addr)).unwrap_or_default();
        let asks = self.0.book.read().is_ok_and(|book| book.rules.asks_for_programs());
        let program = if asks { self.program_of(tuple) } else { None };
        self.judge(tuple, (names, program), shown)
    }

    /// Is a flow allowed by the rules that are in force now, by what was known when it opened?
    pub(super) fn rejudge(&self, tuple: &Tuple, before: &Ruling) -> Ruling {
        self.judge(tuple, (before.names.clone(), before.program.clone()), before.shown())
    }

    fn judge(
        &self,
        tuple: &Tuple,
        (names, program): (Vec<Hostname>, Option<Program>),
        shown: Shown<'_>,
    ) -> Ruling {
        let Tuple { protocol, remote, .. } = *tuple;
        let Ok(book) = self.0.book.read() else { return Ruling::unreadable() };
        let programs: &[String] = program.as_ref().map_or(&[], |program| &program.names);
        let question = self.question(protocol, remote, &names, shown, programs);
        let ground = question.ground;
        let Decision { mut outcome, rule } = book.rules.decide(&question);
        let denied = outcome == Outcome::Deny;
        if outcome != Outcome::AllowOnceShown {
            book.count(rule);
        }
        let name = match shown {
            Shown::Name(name) => Some(name.clone()),
            _ => names.last().cloned(),
        };
        // What is closed by itself stays closed in every mode.
        match self.0.mode {
            Mode::Learn if ground == Ground::Open || !denied => {
                outcome = self.learn(protocol, remote, &names, shown, ground);
            }
            Mode::DryRun if ground == Ground::Open && denied => outcome = Outcome::Allow,
            Mode::Enforce | Mode::DryRun | Mode::Learn => {}
        }
        let (rule_text, seen) = (text_of(&book.rules, rule), Seen::of(shown));
        Ruling { outcome, denied, rule, rule_text, name, names, program, seen }
    }

    /// Writes down what is used. Where the name can be shown, that is waited for.
    fn learn(
        &self,
        protocol: Protocol,
        remote: Endpoint,
        names: &[Hostname],
        shown: Shown<'_>,
        ground: Ground,
    ) -> Outcome {
        if shown == Shown::NotYet && protocol != Protocol::Icmp && !names.is_empty() {
            return Outcome::AllowOnceShown;
        }
        let hidden = if shown == Shown::Hidden { Hidden::Lenient } else { Hidden::Strict };
        let name = match shown {
            // The address was answered for other names: the name that is shown is not what led there.
            Shown::Name(name) => names.iter().find(|known| *known == name),
            _ => names.last(),
        };
        if let Ok(mut learned) = self.0.learned.lock() {
            learned.note(protocol, remote, name.map(|name| (name, hidden)), ground == Ground::Host);
        }
        Outcome::Allow
    }

    /// What the rules are asked of a flow to `remote`.
    fn question<'a>(
        &self,
        protocol: Protocol,
        remote: Endpoint,
        names: &'a [Hostname],
        shown: Shown<'a>,
        programs: &'a [String],
    ) -> Question<'a> {
        let ground = self.0.policy.ground(remote.addr);
        Question { protocol, addr: remote.addr, port: remote.port, ground, names, shown, programs }
    }

    /// Puts other rules into force, all at once.
    pub(super) fn reload(&self, rules: Rules) {
        let open = rules.is_open() && self.0.mode != Mode::Learn;
        match self.0.book.write() {
            Ok(mut book) => *book = Book::new(rules),
            Err(poisoned) => *poisoned.into_inner() = Book::new(rules),
        }
        self.0.open.store(open, Ordering::Relaxed);
        self.0.edition.fetch_add(1, Ordering::Release);
    }

    /// A number that changes with the rules.
    pub(super) fn edition(&self) -> u64 {
        self.0.edition.load(Ordering::Acquire)
    }

    /// How often each rule was used.
    pub(super) fn hits(&self) -> Vec<Hit> {
        let Ok(book) = self.0.book.read() else { return Vec::new() };
        let rules = book.rules.rules().iter().zip(&book.hits);
        let hit = |(rule, hits): (&Rule, &AtomicU64)| Hit {
            rule: rule.to_string(),
            reason: rule.reason.clone(),
            hits: hits.load(Ordering::Relaxed),
        };
        rules.map(hit).collect()
    }

    /// What holds where no rule stands for a flow, and how often it did.
    pub(super) fn default_hits(&self) -> (Action, u64) {
        let Ok(book) = self.0.book.read() else { return (Action::Deny, 0) };
        (book.rules.default_action(), book.default_hits.load(Ordering::Relaxed))
    }

    /// What comes of a denial.
    pub(super) fn mode(&self) -> Mode {
        self.0.mode
    }

    /// What [`Guard::may_ask`] would say, without counting it: the rule in words.
    ///
    /// # Errors
    /// The rule that denies it.
    pub(super) fn would_ask(
        &self,
        now: Instant,
        name: &Hostname,
    ) -> Result<Option<Box<str>>, Option<Box<str>>> {
        let (Ok(book), Ok(pins)) = (self.0.book.read(), self.0.pins.lock()) else { return Err(None) };
        let origins = pins.origins(now, name);
        match (book.rules.may_ask(name), origins.iter().find_map(|origin| book.rules.may_ask(origin).ok())) {
            (Ok(rule), _) | (Err(None), Some(rule)) => Ok(text_of(&book.rules, rule)),
            (Err(rule), _) => Err(text_of(&book.rules, rule)),
        }
    }

    /// What [`Guard::decide`] would say of a flow to an address that was answered for `name`, or that nobody has asked for.
    pub(super) fn would_decide(
        &self,
        now: Instant,
        protocol: Protocol,
        remote: Endpoint,
        name: Option<&Hostname>,
    ) -> (Outcome, Option<Box<str>>) {
        let mut names = self.0.pins.lock().map(|pins| pins.names(now, remote.addr)).unwrap_or_default();
        names.extend(name.filter(|name| !names.contains(name)).cloned().into_iter().collect::<Vec<_>>());
        let Ok(book) = self.0.book.read() else { return (Outcome::Deny, None) };
        let shown = name.map_or(Shown::NotYet, Shown::Name);
        let decision = book.rules.decide(&self.question(protocol, remote, &names, shown, &[]));
        (decision.outcome, text_of(&book.rules, decision.rule))
    }

    /// The name that an address was last answered for.
    pub(super) fn name_of(&self, now: Instant, addr: Addr) -> Option<Hostname> {
        self.0.pins.lock().ok()?.name(now, addr).cloned()
    }
}

fn text_of(rules: &Rules, rule: Option<RuleId>) -> Option<Box<str>> {
    Some(match rule {
        Some(id) => rules.rule(id)?.to_string().into(),
        None if rules.default_action() == Action::Deny => "default deny".into(),
        None => "default allow".into(),
    })
}

//! The name server of a run: the program's DNS queries, answered from what the host knows and whom the host asks.
//!
//! Messages come in and go out as bytes with a token that tells whose they are; datagrams, connections and the link are the
//! caller's. A query is answered here where the name is one of the run's own or stands in the host's `/etc/hosts`
//! (`local`), and is otherwise passed on unchanged, under an ID of its own, to the name servers of the host's
//! `/etc/resolv.conf` (`exchange`, `upstream`). Both files are read again when they change.
//!
//! Invariants:
//! - Each query that was taken is answered exactly once; SERVFAIL when nobody knows.
//! - What a program can make this hold is bounded: questions under way, clients that wait, bytes of a query.
//! - Nothing here blocks; sockets are registered with the caller's poller under tokens of their own.
//!
//! Deliberately absent: a cache (the host's resolver has one), DNSSEC validation (AD, CD and DO pass through), zone transfers.

mod asked;
mod exchange;
mod hosts;
mod local;
mod remembered;
mod reply;
pub mod resolv;
mod upstream;
mod watched;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;
use wharf_sys::epoll::{Interest, Poller};
use wharf_table::{Addr, Instant};
use wharf_wire::dns::{AnswerData, Message, Name, Question, RecordData, RecordType};

use self::asked::Asked;
use self::exchange::{Exchange, Key, Outcome, Waiter};
use self::hosts::Hosts;
use self::local::{Local, LocalAnswer};
use self::remembered::Remembered;
use self::reply::Taken;
use self::resolv::{Order, ResolvConf};
use self::upstream::Via;
use self::watched::Watched;
use super::guard::{Guard, Ruling};

/// The most questions that are under way.
const EXCHANGES_MAX: usize = 1024;
/// For how long a server that did not answer is asked last.
const PENALTY: Duration = Duration::from_secs(30);
/// The most addresses of one answer that are remembered.
const ADDRESSES_OF_A_NAME: usize = 64;
/// Room for a datagram of any size, and for the pieces of a stream.
const ROOM: usize = 65_535;

/// Whose query it is; the caller chooses it, and the answer carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientToken(pub u64);

/// What carried a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp {
        /// The longest answer that its way back carries, in bytes; the query may ask for less.
        max: usize,
    },
    /// A connection.
    Tcp,
}

/// What a name server is told at its start.
#[derive(Clone, Debug)]
pub struct NamesConfig {
    /// The host's `hosts` file.
    pub hosts: PathBuf,
    /// The host's `resolv.conf`.
    pub resolv_conf: PathBuf,
    /// The zone of the run's own names, `wharf.internal`: nothing below it is asked of anybody.
    pub zone: Name,
    /// The run's own names with their addresses.
    pub names: Vec<(Name, Vec<Addr>)>,
    /// The token of its first socket. The others follow, 1,024 in all.
    pub first_token: u64,
    /// Asked instead of the host's name servers: a laboratory's.
    pub servers: Option<Vec<SocketAddr>>,
}

/// The name server of a run.
pub struct Names {
    local: Local,
    hosts: Watched<Hosts>,
    resolv_conf: Watched<ResolvConf>,
    servers: Option<Vec<SocketAddr>>,
    first_token: u64,
    poller: Poller,
    random: Box<dyn FnMut() -> u64>,
    exchanges: Slab<Exchange>,
    by_query: HashMap<Key, usize>,
    deadlines: BTreeSet<(Instant, usize)>,
    /// Servers that did not answer, and until when they are asked last.
    penalties: HashMap<SocketAddr, Instant>,
    rotation: usize,
    answers: VecDeque<(ClientToken, Vec<u8>)>,
    /// Who says which names may be asked for.
    guard: Guard,
    /// Names that were not answered, and why.
    denials: VecDeque<(String, Ruling)>,
    remembered: Remembered,
    room: Vec<u8>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("exchanges", &self.exchanges.len()).finish_non_exhaustive()
    }
}

impl Names {
    /// A name server that waits for its sockets with `poller`. `random` must not be guessable: it gives the IDs of queries
    /// (RFC 5452, section 9.2).
    pub fn new(config: NamesConfig, poller: Poller, random: impl FnMut() -> u64 + 'static) -> Names {
        Names {
            local: Local::new(config.zone, config.names),
            hosts: Watched::new(config.hosts, Hosts::parse),
            resolv_conf: Watched::new(config.resolv_conf, ResolvConf::parse),
            servers: config.servers,
            first_token: config.first_token,
            poller,
            random: Box::new(random),
            exchanges: Slab::new(),
            by_query: HashMap::new(),
            deadlines: BTreeSet::new(),
            penalties: HashMap::new(),
            rotation: 0,
            answers: VecDeque::new(),
            guard: Guard::default(),
            denials: VecDeque::new(),
            remembered: Remembered::default(),
            room: Vec::new(),
        }
    }

    /// Asks `guard` from now on which names may be asked for, and tells it what is answered.
    pub(super) fn guard(&mut self, guard: Guard) {
        self.guard = guard;
    }

    /// A name that was not answered, or would not have been, and why.
    pub(super) fn poll_denial(&mut self) -> Option<(String, Ruling)> {
        self.denials.pop_front()
    }

    /// Takes a message that came from a client. Whether there will be an answer, by [`Names::poll_answer`], sooner or later:
    /// what is no query gets none.
    pub fn handle_query(
        &mut self,
        now: Instant,
        client: ClientToken,
        transport: Transport,
        message: &[u8],
    ) -> bool {
        match reply::take(message) {
            Taken::Ignored => return false,
            Taken::Refused(answer) => self.answers.push_back((client, answer)),
            Taken::Query(query, question) => {
                self.hosts.refresh();
                let limit = reply::limit(&query, transport);
                match self.examine(now, &query, &question) {
                    Asked::No(answer) => {
                        self.answers.push_back((client, reply::local(&query, answer, limit)))
                    }
                    asked => match self.local.answer(self.hosts.value(), &question) {
                        Some(answer) => {
                            self.learn_local(now, &question, &answer);
                            self.answer(now, client, reply::local(&query, answer, limit));
                        }
                        None => {
                            let spelled = asked.spelled(&question);
                            let waiter = Waiter { client, id: query.header().id, limit, spelled };
                            self.forward(now, &asked.message(&query), waiter, transport);
                        }
                    },
                }
            }
        }
        true
    }

    /// Asks the host's name servers, or joins who has asked the same.
    fn forward(&mut self, now: Instant, query: &[u8], waiter: Waiter, transport: Transport) {
        let mut bytes = query.to_vec();
        bytes[..2].fill(0);
        let via = match transport {
            Transport::Udp { .. } => Via::Udp,
            Transport::Tcp => Via::Tcp,
        };
        let key: Key = (via, Rc::from(bytes));
        let shared = self.by_query.get(&key).and_then(|&index| self.exchanges.get_mut(index));
        let joined = shared.is_some_and(|exchange| exchange.join(waiter.clone()));
        if joined {
            return;
        }
        if self.exchanges.len() >= EXCHANGES_MAX || self.by_query.contains_key(&key) {
            if let Ok(query) = Message::parse(&key.1) {
                self.answers.push_back((waiter.client, reply::failure(&query, waiter.id)));
            }
            return;
        }
        self.resolv_conf.refresh();
        let servers = self.servers_in_order(now);
        let mut exchange = Exchange::new(key.clone(), waiter, &servers, self.resolv_conf.value());
        let outcome = exchange.ask_next(now, &mut self.random);
        let index = self.exchanges.insert(exchange);
        self.by_query.insert(key, index);
        self.on_outcome(now, index, outcome);
    }

    /// The name servers, those last that did not answer lately.
    fn servers_in_order(&mut self, now: Instant) -> Vec<SocketAddr> {
        let conf = self.resolv_conf.value();
        let mut servers = self.servers.as_ref().unwrap_or(&conf.servers).clone();
        if conf.order == Order::Rotated && !servers.is_empty() {
            self.rotation = (self.rotation + 1) % servers.len();
            servers.rotate_left(self.rotation);
        }
        self.penalties.retain(|_, until| *until > now);
        servers.sort_by_key(|server| self.penalties.contains_key(server));
        servers
    }

    /// One of the sockets is ready: the one with this token.
    pub fn handle_ready(&mut self, now: Instant, token: u64) {
        let index = token.checked_sub(self.first_token).and_then(|index| usize::try_from(index).ok());
        let Some(index) = index.filter(|&index| self.exchanges.contains(index)) else { return };
        self.room.resize(ROOM, 0);
        let exchange = &mut self.exchanges[index];
        let deadline = exchange.deadline;
        let outcome = exchange.on_ready(now, &mut self.room, &mut self.random);
        if outcome != Outcome::Waiting {
            self.deadlines.remove(&(deadline, index));
            self.on_outcome(now, index, outcome);
        }
    }

    /// Goes on with the next server where one has not answered in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, index)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.deadlines.remove(&(deadline, index));
            let exchange = &mut self.exchanges[index];
            if let Some(server) = exchange.server() {
                self.penalties.insert(server, now + PENALTY);
            }
            let outcome = exchange.ask_next(now, &mut self.random);
            self.on_outcome(now, index, outcome);
        }
    }

    /// When [`Names::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// An answer that is ready, and whose it is.
    pub fn poll_answer(&mut self) -> Option<(ClientToken, Vec<u8>)> {
        self.answers.pop_front()
    }

    /// Waits for a new socket, or tells the clients how it ended.
    fn on_outcome(&mut self, now: Instant, index: usize, outcome: Outcome) {
        let asked = match outcome {
            Outcome::Waiting => return,
            Outcome::Asked => self.watch(index),
            Outcome::Over => false,
        };
        if !asked {
            let exchange = self.exchanges.remove(index);
            self.by_query.remove(&exchange.key);
            if let Some(answer) = exchange.answer() {
                self.learn(now, answer);
            }
            for (client, answer) in exchange.into_answers() {
                self.answer(now, client, answer);
            }
        }
    }

    /// Remembers what a server's answer says of a name's addresses: also those that its other names have.
    fn learn(&mut self, now: Instant, answer: &[u8]) {
        let Ok(message) = Message::parse(answer) else { return };
        let Some(question) = message.question() else { return };
        if !matches!(question.kind, RecordType::A | RecordType::AAAA | RecordType::ANY) {
            return;
        }
        let found = message.answers().filter_map(|record| match record.data {
            RecordData::A(addr) | RecordData::Aaaa(addr) => Some((addr, record.ttl_s)),
            _ => None,
        });
        let found: Vec<(Addr, u32)> = found.take(ADDRESSES_OF_A_NAME).collect();
        let Some(ttl) = found.iter().map(|&(_, ttl)| ttl).min() else { return };
        let (name, ttl) = (question.name.to_string(), Duration::from_secs(ttl.into()));
        self.remembered.learn(now, &name, found.into_iter().map(|(addr, _)| addr), ttl);
    }

    /// The same of an answer that was found here, which may be kept no longer than it takes.
    fn learn_local(&mut self, now: Instant, question: &Question<'_>, answer: &LocalAnswer) {
        let addrs = answer.records.iter().filter_map(|record| match record {
            AnswerData::Addr(addr) => Some(*addr),
            _ => None,
        });
        self.remembered.learn(now, &question.name.to_string(), addrs, Duration::ZERO);
    }

    /// Reads again what the host says of names, before [`Names::name_of`] is asked.
    pub fn refresh(&mut self) {
        self.hosts.refresh();
    }

    /// The name by which a flow that began at `opened` has found `addr`: the one that was looked up here, else one of the run's own or
    /// of the host's file, which programs read themselves.
    pub fn name_of(&self, addr: Addr, opened: Instant) -> Option<Rc<str>> {
        let known = || self.local.name_of(self.hosts.value(), addr).map(|name| name.to_string().into());
        self.remembered.name(addr, opened).or_else(known)
    }

    fn watch(&mut self, index: usize) -> bool {
        let exchange = &self.exchanges[index];
        let token = self.first_token + index as u64;
        let added = exchange.fd().is_some_and(|fd| self.poller.add(fd, token, Interest::ReadWrite).is_ok());
        if added {
            self.deadlines.insert((exchange.deadline, index));
        }
        added
    }
}

#[cfg(test)]
mod tests;

//! A question to the host's name servers, from the first client who asks it until the answer or until all have failed.
//!
//! The way through the servers is laid out at the beginning: each is tried in turn, as often as the host's configuration
//! says. A server that does not answer in time is followed by the next; one that refuses or can't be reached is not tried
//! again; one whose answer was truncated is asked once more over TCP at once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use wharf_table::Instant;
use wharf_wire::dns::{Header, Message, Rcode};

use super::resolv::{Carrier, ResolvConf};
use super::upstream::{Progress, Try, Upstream, Via};
use super::{ClientToken, reply};

/// The most clients that share one exchange.
const WAITERS_MAX: usize = 32;

/// What makes two queries the same: what carries them, and everything but the ID, which is 0 here.
pub(super) type Key = (Via, Rc<[u8]>);

/// A client who waits for the answer.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) client: ClientToken,
    pub(super) id: u16,
    /// The most bytes that it takes.
    pub(super) limit: usize,
    /// The name as it spelled it, where another spelling is asked for: the answer has its own.
    pub(super) spelled: Option<Box<[u8]>>,
}

/// What an event has led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer is still awaited.
    Waiting,
    /// A socket was opened that is to be waited for.
    Asked,
    /// It is over: [`Exchange::into_answers`] has what to say.
    Over,
}

/// A question that is under way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) key: Key,
    waiters: Vec<Waiter>,
    tries: VecDeque<Try>,
    current: Option<Upstream>,
    timeout: Duration,
    pub(super) deadline: Instant,
    /// The best that a server has said so far: the answer, once it is over.
    best: Option<Vec<u8>>,
}

impl Exchange {
    /// Lays out the way through `servers`, which are in the order in which they are to be asked.
    pub(super) fn new(key: Key, waiter: Waiter, servers: &[SocketAddr], conf: &ResolvConf) -> Exchange {
        // Who asks over TCP expects much, most often because it was cut off over UDP; not every server speaks TCP.
        let ways: &[Via] = match (conf.carrier, key.0) {
            (Carrier::Stream, _) => &[Via::Tcp],
            (Carrier::Datagram, Via::Tcp) => &[Via::Tcp, Via::Udp],
            (Carrier::Datagram, Via::Udp) => &[Via::Udp],
        };
        let round = || servers.iter().flat_map(|&server| ways.iter().map(move |&via| Try { server, via }));
        Exchange {
            key,
            waiters: vec![waiter],
            tries: (0..conf.attempts).flat_map(|_| round()).collect(),
            current: None,
            timeout: conf.timeout,
            deadline: Instant::NEVER,
            best: None,
        }
    }

    /// Takes another client who asked the same; `false` when there are too many.
    pub(super) fn join(&mut self, waiter: Waiter) -> bool {
        let has_room = self.waiters.len() < WAITERS_MAX;
        if has_room {
            self.waiters.push(waiter);
        }
        has_room
    }

    /// The socket to wait for.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.current.as_ref().map(Upstream::fd)
    }

    /// The server that is being asked.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        self.current.as_ref().map(|current| current.asked.server)
    }

    /// Asks the next server that can be asked.
    pub(super) fn ask_next(&mut self, now: Instant, random: &mut dyn FnMut() -> u64) -> Outcome {
        self.current = None;
        while let Some(next) = self.tries.pop_front() {
            match Upstream::ask(next, &self.key.1, random() as u16) {
                Ok(upstream) => {
                    self.current = Some(upstream);
                    self.deadline = now + self.timeout;
                    return Outcome::Asked;
                }
                Err(_) => self.give_up_on(next),
            }
        }
        Outcome::Over
    }

    /// The socket is ready.
    pub(super) fn on_ready(
        &mut self,
        now: Instant,
        room: &mut [u8],
        random: &mut dyn FnMut() -> u64,
    ) -> Outcome {
        let Some(current) = &mut self.current else { return Outcome::Waiting };
        let asked = current.asked;
        match current.advance(&self.key.1, room) {
            Progress::Waiting => Outcome::Waiting,
            Progress::Answered(answer) => self.on_answer(now, asked, answer, random),
            Progress::Failed => {
                self.give_up_on(asked);
                self.ask_next(now, random)
            }
        }
    }

    fn on_answer(
        &mut self,
        now: Instant,
        asked: Try,
        answer: Vec<u8>,
        random: &mut dyn FnMut() -> u64,
    ) -> Outcome {
        let header = Header::parse(&answer).ok();
        let truncated = header.is_some_and(|header| header.truncated);
        let unable = [Rcode::SERVER_FAILURE, Rcode::REFUSED, Rcode::NOT_IMPLEMENTED, Rcode::FORMAT_ERROR];
        let failed = header.is_some_and(|header| unable.contains(&header.rcode));
        // A failure never takes the place of what another server could say, if only in part.
        if !failed || self.best.is_none() {
            self.best = Some(answer);
        }
        if failed {
            self.tries.retain(|try_| try_.server != asked.server);
        } else if truncated && asked.via == Via::Udp && self.key.0 == Via::Udp {
            self.tries.clear();
            self.tries.push_front(Try { via: Via::Tcp, ..asked });
        } else if !truncated {
            self.tries.clear();
        }
        self.ask_next(now, random)
    }

    /// A server that refuses, or that no route leads to, would do so again.
    fn give_up_on(&mut self, failed: Try) {
        self.tries.retain(|try_| *try_ != failed);
    }

    /// The best that a server has answered.
    pub(super) fn answer(&self) -> Option<&[u8]> {
        self.best.as_deref()
    }

    /// What every client is told.
    pub(super) fn into_answers(self) -> impl Iterator<Item = (ClientToken, Vec<u8>)> {
        let Exchange { key, waiters, best, .. } = self;
        waiters.into_iter().filter_map(move |Waiter { client, id, limit, spelled }| {
            let query = Message::parse(&key.1).ok()?;
            let mut answer = match &best {
                Some(answer) => reply::fit(answer, &query, id, limit),
                None => reply::failure(&query, id),
            };
            if let Some(spelled) = &spelled {
                reply::respell(&mut answer, spelled);
            }
            Some((client, answer))
        })
    }
}

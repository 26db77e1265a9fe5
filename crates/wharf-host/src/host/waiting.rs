//! Requests that wait: each is tried again when something has happened at one of its sockets, and answered when it has come
//! to something or its time is over.
//!
//! Invariants: a request waits in one place for each of its sockets and, with a time-out, in the order of time-outs; what
//! happens at a socket costs as much as requests wait for it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use wharf_stack::socket::{Errno, Host, SocketId};
use wharf_table::Instant;

use super::calls::{Call, Failure, Patience, line};
use super::request::Verb;

/// The most requests that wait at a time.
const WAITING_MAX: usize = 65_536;

/// A request that waits.
struct Parked {
    client: usize,
    id: Value,
    verb: Verb,
    call: Call,
    deadline: Option<Instant>,
}

/// Every request that waits, by a number that goes up.
#[derive(Default)]
pub(super) struct Waiting {
    parked: BTreeMap<u64, Parked>,
    last: u64,
    by_socket: BTreeSet<(usize, u64)>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// How many wait, by client.
    counts: BTreeMap<usize, usize>,
    /// Answers that are ready, by client.
    answers: Vec<(usize, String)>,
    /// Listeners at which a connection was accepted, with the answer.
    accepted: Vec<(SocketId, Map<String, Value>)>,
}

impl Waiting {
    /// Lets a call wait.
    pub(super) fn park(
        &mut self,
        client: usize,
        id: Value,
        verb: Verb,
        call: Call,
        deadline: Option<Instant>,
    ) {
        if self.parked.len() >= WAITING_MAX {
            let why = Some("too many requests wait".to_owned());
            let full = Failure::Errno { errno: Errno::NoBuffers, what: verb.name().to_owned(), why };
            self.answers.push((client, line(&id, Some(verb), Err(full))));
            return;
        }
        self.last += 1;
        let number = self.last;
        self.by_socket.extend(call.sockets().iter().map(|socket| (socket.index(), number)));
        self.deadlines.extend(deadline.map(|at| (at, number)));
        *self.counts.entry(client).or_default() += 1;
        self.parked.insert(number, Parked { client, id, verb, call, deadline });
    }

    fn take(&mut self, number: u64) -> Option<Parked> {
        let parked = self.parked.remove(&number)?;
        for socket in parked.call.sockets() {
            self.by_socket.remove(&(socket.index(), number));
        }
        if let Some(at) = parked.deadline {
            self.deadlines.remove(&(at, number));
        }
        if let Some(count) = self.counts.get_mut(&parked.client) {
            *count -= 1;
        }
        Some(parked)
    }

    fn of(&self, socket: SocketId) -> Vec<u64> {
        let at = socket.index();
        self.by_socket.range((at, 0)..=(at, u64::MAX)).map(|(_, number)| *number).collect()
    }

    /// Something has happened at a socket.
    pub(super) fn retry(&mut self, host: &mut Host, now: Instant, socket: SocketId) {
        for number in self.of(socket) {
            let Some(parked) = self.parked.get_mut(&number) else { continue };
            let result = parked.call.attempt(host, now, Patience::Waits);
            if !matches!(result, Err(Failure::Errno { errno: Errno::Again, .. })) {
                let Some(Parked { client, id, verb, call, .. }) = self.take(number) else { continue };
                if let (Call::Accept(listener), Ok(members)) = (&call, &result) {
                    self.accepted.push((*listener, members.clone()));
                }
                self.answers.push((client, line(&id, Some(verb), result)));
            }
        }
    }

    /// A socket is gone, and its number may be another's soon.
    pub(super) fn forget_socket(&mut self, socket: SocketId) {
        for number in self.of(socket) {
            self.finish(number, Errno::BadDescriptor);
        }
    }

    /// A client is gone.
    pub(super) fn forget_client(&mut self, client: usize) {
        let numbers = self.parked.iter().filter(|(_, parked)| parked.client == client);
        let numbers: Vec<u64> = numbers.map(|(number, _)| *number).collect();
        for number in numbers {
            self.take(number);
        }
        self.counts.remove(&client);
        self.answers.retain(|(of, _)| *of != client);
    }

    /// Answers those whose time is over.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, number)) = self.deadlines.first().copied() {
            if at > now {
                return;
            }
            self.finish(number, Errno::Again);
        }
    }

    fn finish(&mut self, number: u64, errno: Errno) {
        if let Some(Parked { client, id, verb, call, .. }) = self.take(number) {
            self.answers.push((client, line(&id, Some(verb), call.give_up(errno))));
        }
    }

    /// When somebody's time is over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// How many requests of this client wait.
    pub(super) fn count_of(&self, client: usize) -> usize {
        self.counts.get(&client).copied().unwrap_or(0)
    }

    /// Whether a request of this client waits whose time will be over.
    pub(super) fn has_deadline_of(&self, client: usize) -> bool {
        self.deadlines.iter().any(|(_, number)| self.parked.get(number).is_some_and(|it| it.client == client))
    }

    /// Where connections were accepted since this was asked last, with the answers.
    pub(super) fn take_accepted(&mut self) -> Vec<(SocketId, Map<String, Value>)> {
        std::mem::take(&mut self.accepted)
    }

    /// The answers that are ready.
    pub(super) fn take_answers(&mut self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.answers)
    }
}

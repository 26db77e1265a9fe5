//! Listeners: what waits between a SYN and the owner's accept.
//!
//! A listener has two queues, as in BSD and Linux. Connections whose handshake runs are *requests*
//! ([`requests`](super::requests)); beyond the most of them the SYN-ACK is a cookie that needs no memory
//! ([`cookies`](super::cookies)). Connections whose handshake is over wait in the *accept queue*, first come, first served;
//! while it is full SYNs are dropped and the last segments of handshakes are ignored, so the peer tries again and is there
//! when there is room. A listener without a backlog has no accept queue: each connection is announced at once.
//!
//! Invariants: a connection in an accept queue is held for its owner-to-be, so it stays when its peer resets it (what was
//! received can be read); nothing is announced of it before it is accepted.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use wharf_table::binding::{BindError, BindingId};
use wharf_table::claim::Claim;
use wharf_table::{Addr, Instant, Port, Protocol};

use super::connections::{ConnId, Event};
use super::{Stack, cookies::Cookies};
use crate::tcp::{Events, Settings};

/// Requests of a listener without a backlog, beyond which SYNs are answered with cookies: Linux' `somaxconn`.
const REQUESTS_MAX: u32 = 4_096;
/// How long after the last cookie the segments of handshakes that nobody knows are looked at, in milliseconds.
pub(super) const COOKIES_VALID_MS: u64 = 180_000;

/// One listener.
pub(super) struct Listener {
    pub(super) token: u32,
    /// Connections that may wait to be accepted, less one; `None`: each is announced at once.
    backlog: Option<u32>,
    /// How its connections behave, from their SYN-ACK on; `None`: as those of the stack do.
    settings: Option<Box<Settings>>,
    /// How many requests it has.
    pub(super) requests: u32,
    /// Connections that wait to be accepted, by number.
    queue: VecDeque<u32>,
    /// When it last answered with a cookie.
    pub(super) cookie_at: Option<Instant>,
    announced: bool,
}

impl Listener {
    /// Whether no more connections may wait to be accepted: one more than the backlog may, as in Linux.
    pub(super) fn is_full(&self) -> bool {
        self.backlog.is_some_and(|backlog| self.queue.len() > backlog as usize)
    }

    /// Whether it takes no more requests.
    pub(super) fn has_all_requests(&self) -> bool {
        self.requests >= self.backlog.unwrap_or(REQUESTS_MAX).max(1)
    }
}

/// The listeners of a stack, by the number of their binding.
pub(super) struct Listeners {
    all: Vec<Option<Listener>>,
    /// Listeners with connections that nobody has been told of.
    ready: VecDeque<BindingId>,
    pub(super) cookies: Cookies,
}

impl Listeners {
    pub(super) fn new(cookies: Cookies) -> Listeners {
        Listeners { all: Vec::new(), ready: VecDeque::new(), cookies }
    }

    pub(super) fn listener(&mut self, id: BindingId) -> Option<&mut Listener> {
        self.all.get_mut(id.index())?.as_mut()
    }

    /// How the connections of a listener behave, where that is not as the stack's do.
    pub(super) fn settings(&self, id: BindingId) -> Option<&Settings> {
        self.all.get(id.index())?.as_ref()?.settings.as_deref()
    }

    /// Whether its connections wait to be accepted.
    pub(super) fn is_queueing(&mut self, id: BindingId) -> bool {
        self.listener(id).is_some_and(|listener| listener.backlog.is_some())
    }

    fn add(&mut self, id: BindingId, token: u32, backlog: Option<u32>) {
        if self.all.len() <= id.index() {
            self.all.resize_with(id.index() + 1, || None);
        }
        let queue = VecDeque::new();
        let listener = Listener {
            token,
            backlog,
            settings: None,
            requests: 0,
            queue,
            cookie_at: None,
            announced: false,
        };
        self.all[id.index()] = Some(listener);
    }
}

impl Stack {
    /// Listens on a port of one of the stack's own addresses, or of all (`None`). Connections that come are accepted
    /// and announced by [`Event::Connected`]; `token` tells the listener.
    ///
    /// # Errors
    /// [`BindError`] when the port is taken.
    pub fn listen(&mut self, addr: Option<Addr>, port: Port, token: u32) -> Result<BindingId, BindError> {
        self.listen_with_backlog(addr, port, token, None)
    }

    /// The same with a backlog: see [`Stack::listen_on`].
    ///
    /// # Errors
    /// [`BindError`] when the port is taken.
    pub fn listen_with_backlog(
        &mut self,
        addr: Option<Addr>,
        port: Port,
        token: u32,
        backlog: Option<u32>,
    ) -> Result<BindingId, BindError> {
        let id = self.table.bind(&Claim::new(Protocol::Tcp, addr, Some(port), token))?;
        let listening = self.listen_on(id, token, backlog);
        if listening.is_err() {
            self.table.unbind(id);
        }
        listening.map(|()| id)
    }

    /// Lets a binding of TCP listen. With a backlog, up to `backlog + 1` connections wait to be accepted with
    /// [`Stack::accept_next`], and [`Event::Acceptable`] tells of them; without, each is announced by
    /// [`Event::Connected`] at once. A binding that listens already gets the new backlog; what waits goes on waiting.
    ///
    /// # Errors
    /// [`BindError::InUse`] when another socket listens on an address of the binding and they don't share it;
    /// [`BindError::Invalid`] for a binding that is not of TCP, or is connected.
    pub fn listen_on(
        &mut self,
        binding: BindingId,
        token: u32,
        backlog: Option<u32>,
    ) -> Result<(), BindError> {
        self.table.listen(binding)?;
        match self.listeners.listener(binding) {
            Some(listener) => (listener.token, listener.backlog) = (token, backlog),
            None => self.listeners.add(binding, token, backlog),
        }
        Ok(())
    }

    /// Lets the connections that come to a listener from now on behave like this, from their SYN-ACK on: the largest segment
    /// of `settings` bounds what the link takes.
    pub fn shape_listener(&mut self, binding: BindingId, settings: Settings) {
        if let Some(listener) = self.listeners.listener(binding) {
            listener.settings = Some(Box::new(settings));
        }
    }

    /// The connection that has waited longest to be accepted on a listener with a backlog; `None` when none waits. It is
    /// the owner's from here on; it may be over already.
    pub fn accept_next(&mut self, now: Instant, binding: BindingId) -> Option<ConnId> {
        let key = self.listeners.listener(binding)?.queue.pop_front()?;
        if let Some(work) = self.connections.work(key, &self.table) {
            work.unaccepted = false;
            work.events.remove(Events::CONNECTED);
        }
        self.settle(now, key);
        Some(ConnId::from_number(key))
    }

    /// How many connections wait to be accepted on a listener.
    pub fn acceptable_count(&self, binding: BindingId) -> usize {
        let listener = self.listeners.all.get(binding.index()).and_then(Option::as_ref);
        listener.map_or(0, |listener| listener.queue.len())
    }

    /// Ends a listener and gives its port back, as [`Stack::stop_listening`] and `unbind` of the table do.
    pub fn close_listener(&mut self, now: Instant, binding: BindingId) {
        self.stop_listening(now, binding);
        self.table.unbind(binding);
    }

    /// Ends the listening on a binding, which stays. Handshakes that run are forgotten, and connections that nobody has
    /// accepted are reset, as in Linux.
    pub fn stop_listening(&mut self, now: Instant, binding: BindingId) {
        let Some(listener) = self.listeners.all.get_mut(binding.index()).and_then(Option::take) else {
            return;
        };
        self.listeners.ready.retain(|&other| other != binding);
        self.table.stop_listening(binding);
        for key in listener.queue {
            let id = ConnId::from_number(key);
            if let Some(work) = self.connections.work(key, &self.table) {
                work.unaccepted = false;
            }
            self.abort(now, id);
            self.release(now, id);
        }
        if listener.requests > 0 {
            self.forget_requests_of(binding);
        }
    }

    /// A connection's handshake is over: it waits for its owner, or is announced at once.
    pub(super) fn on_request_established(&mut self, binding: BindingId, key: u32) {
        let Some(listener) = self.listeners.listener(binding) else { return };
        if listener.backlog.is_none() {
            return;
        }
        if let Some(work) = self.connections.at_work(key) {
            work.events.remove(Events::CONNECTED);
        }
        listener.queue.push_back(key);
        if !core::mem::replace(&mut listener.announced, true) {
            self.listeners.ready.push_back(binding);
        }
    }

    /// Whether a listener may have something to be accepted.
    pub(super) fn has_acceptable(&self) -> bool {
        !self.listeners.ready.is_empty()
    }

    /// The next listener that has something to be accepted.
    pub(super) fn poll_acceptable(&mut self) -> Option<Event> {
        while let Some(binding) = self.listeners.ready.pop_front() {
            let Some(listener) = self.listeners.listener(binding) else { continue };
            listener.announced = false;
            if !listener.queue.is_empty() {
                return Some(Event::Acceptable { listener: binding, token: listener.token });
            }
        }
        None
    }
}

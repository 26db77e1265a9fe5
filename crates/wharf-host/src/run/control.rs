//! The control socket of a run: who asks what the run does is answered here.
//!
//! # Theory of operation
//! The socket has an abstract name, [`wharf/UID/PID/NAME`](socket_name), in the network namespace of wharf. So it is found
//! in `/proc/net/unix`, is gone with wharf however that ends, and does not exist in the program's network, whatever files the
//! program shares with the host. A request is a line of JSON, its answer is a line of JSON; an answer may be long, and is then
//! written in pieces, one a turn of the loop, as fast as its reader takes them.
//!
//! | request | answer |
//! |---|---|
//! | `{"do":"status"}` | the run's name, processes, addresses, published ports, counters |
//! | `{"do":"flows"}` | every flow |
//! | `{"do":"policy"}` | the rules in force, and how often each was used |
//! | `{"do":"reload","text":"..."}` | other rules come into force, all at once: a policy file, with ports as numbers |
//! | `{"do":"decide","protocol":"tcp","name":"...","addresses":["..."],"port":443}` | what the rules say of it |
//!
//! # Invariants
//! - Only the run's own user and root are heard. The kernel says who asks.
//! - Whoever does not read is not read either; what is held for one is bounded, and so is their number.
//! - While nobody asks, nothing of this is on the loop's way but a look at [`Control::has_work`].

mod about;
mod answer;
mod client;
mod document;
mod policy;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::Uid;
use slab::Slab;
use wharf_sys::epoll::{Interest, Poller, Ready};
use wharf_sys::socket::unix;
use wharf_table::Instant;

pub(super) use self::about::About;
use self::client::Client;
use super::flows::{LaneCount, Page};
use super::token::Token;

/// The most who are heard at a time. One more takes the place of the one that was silent for longest.
const CLIENTS_MAX: usize = 8;
/// Those that wait to be heard.
const BACKLOG: i32 = 16;
/// How many are let in before the rest of the loop has its turn.
const ACCEPTS_A_TURN: usize = 8;
/// How long one may leave its answer unread.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name under which a run's control socket is found.
pub(crate) fn socket_name(uid: u32, pid: u32, name: &str) -> String {
    format!("wharf/{uid}/{pid}/{name}")
}

/// One who asks, for answers that come later: its place, and what tells it from others at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    place: u32,
    serial: u32,
}

/// What another lane is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) asker: Asker,
    pub(super) question: Question,
}

/// What a lane can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// What it has counted.
    Count,
    /// A page of its flows.
    Flows {
        /// Where it begins.
        from: u32,
    },
}

/// What a lane has answered.
pub(super) struct Reply {
    pub(super) asker: Asker,
    pub(super) content: Content,
}

/// The answer to a [`Question`].
pub(super) enum Content {
    Count(Box<LaneCount>),
    Flows(Page),
}

/// The control socket of a run, and those who ask.
pub(super) struct Control {
    listener: OwnedFd,
    user: Uid,
    about: About,
    clients: Slab<Client>,
    serials: u32,
    /// Some may wait to be let in.
    has_newcomers: bool,
    /// Something can go on without a new event.
    has_work: bool,
}

impl Control {
    /// Opens the socket.
    ///
    /// # Errors
    /// Somebody has its name, or no descriptor is left.
    pub(super) fn open(about: About) -> io::Result<Control> {
        let user = rustix::process::geteuid();
        let name = socket_name(user.as_raw(), std::process::id(), &about.name);
        let listener = unix::listen(name.as_bytes(), BACKLOG)?;
        let clients = Slab::new();
        Ok(Control { listener, user, about, clients, serials: 0, has_newcomers: false, has_work: false })
    }

    /// Registers the socket with the loop.
    ///
    /// # Errors
    /// The kernel's limit on watches is reached.
    pub(super) fn register(&self, poller: &Poller) -> io::Result<()> {
        poller.add(&self.listener, Token::Control(None).into(), Interest::Read)
    }

    /// Whether something can go on without a new event.
    pub(super) fn has_work(&self) -> bool {
        self.has_work
    }

    /// When [`Control::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.clients.iter().filter_map(|(_, client)| client.given_up_at(PATIENCE)).min()
    }

    /// Somebody knocks, or a client's socket is ready.
    pub(super) fn on_ready(&mut self, place: Option<u32>, ready: Ready) {
        self.has_work = true;
        match place {
            None => self.has_newcomers = true,
            Some(place) => {
                if let Some(client) = self.clients.get_mut(place as usize) {
                    client.on_ready(ready);
                }
            }
        }
    }

    /// Gives up who has not read its answer.
    fn handle_timeout(&mut self, now: Instant) {
        self.clients.retain(|_, client| client.given_up_at(PATIENCE).is_none_or(|at| now < at));
    }

    /// Lets newcomers in, up to a turn.
    fn accept(&mut self, now: Instant, poller: &Poller) {
        for _ in 0..ACCEPTS_A_TURN {
            if !self.has_newcomers {
                return;
            }
            // Without a descriptor the newcomer waits for the next who knocks.
            match unix::accept(&self.listener) {
                Ok(Some(socket)) => self.let_in(now, socket, poller),
                Ok(None) | Err(_) => self.has_newcomers = false,
            }
        }
    }

    fn let_in(&mut self, now: Instant, socket: OwnedFd, poller: &Poller) {
        let may_ask = unix::peer(&socket).is_ok_and(|peer| peer.uid == self.user.as_raw() || peer.uid == 0);
        if !may_ask {
            let why = "this run is another user's (ask as that user, or as root)";
            let refusal = document::error(None, "not_yours", why);
            // Who does not take it sees the end as well.
            let _ = rustix::net::send(&socket, &refusal, rustix::net::SendFlags::NOSIGNAL);
            return;
        }
        if self.clients.len() >= CLIENTS_MAX
            && let Some((silent, _)) = self.clients.iter().min_by_key(|(_, client)| client.used)
        {
            self.clients.remove(silent);
        }
        self.serials = self.serials.wrapping_add(1);
        let entry = self.clients.vacant_entry();
        let token = Token::Control(Some(entry.key() as u32));
        if poller.add(&socket, token.into(), Interest::ReadWrite).is_ok() {
            entry.insert(Client::new(now, socket, self.serials));
        }
    }

    /// Takes what another lane has answered.
    fn on_reply(&mut self, reply: Reply) {
        let Reply { asker, content } = reply;
        let client =
            self.clients.get_mut(asker.place as usize).filter(|client| client.serial == asker.serial);
        if let Some(client) = client {
            client.on_content(content);
            self.has_work = true;
        }
    }
}

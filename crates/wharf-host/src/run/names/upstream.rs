//! One query to one name server of the host: a socket, its random ID, and what is taken as the answer.
//!
//! Against forged answers (RFC 5452, section 9.1): every query has a socket of its own, whose port the kernel chooses at
//! random, and a fresh random ID; the socket is connected, so that only the asked server is heard; the question must be
//! repeated.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use wharf_wire::dns::{Header, Message, Question, Rcode};

/// Datagrams that are looked at in one turn: a flood of forged ones stalls nobody.
const DATAGRAMS_A_TURN: usize = 32;
/// The longest message behind a length of two bytes, length included.
const STREAM_MAX: usize = 2 + u16::MAX as usize;

/// Which server is asked, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) server: SocketAddr,
    pub(super) via: Via,
}

/// What carries a query to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Via {
    Udp,
    Tcp,
}

/// How far a query has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The answer is still awaited.
    Waiting,
    /// This is the answer.
    Answered(Vec<u8>),
    /// There won't be one: the server refuses, can't be reached, or does not speak DNS.
    Failed,
}

/// A query that is under way.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) asked: Try,
    id: u16,
    socket: OwnedFd,
    /// Over TCP: what is still to be sent, and what has come.
    unsent: Vec<u8>,
    received: Vec<u8>,
}

impl Upstream {
    /// Asks: `query` goes out under `id`. Over TCP it goes when the connection stands.
    ///
    /// # Errors
    /// The server can't be asked: no route leads there, or no descriptor is left.
    pub(super) fn ask(asked: Try, query: &[u8], id: u16) -> io::Result<Upstream> {
        let family = if asked.server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = match asked.via {
            Via::Udp => SocketType::DGRAM,
            Via::Tcp => SocketType::STREAM,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        match rustix::net::connect(&socket, &asked.server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let message = [&id.to_be_bytes(), query.get(2..).unwrap_or_default()].concat();
        let mut upstream = Upstream { asked, id, socket, unsent: Vec::new(), received: Vec::new() };
        match asked.via {
            Via::Udp => match rustix::net::send(&upstream.socket, &message, SendFlags::NOSIGNAL) {
                // What the queue does not take is lost, as on any network.
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            },
            Via::Tcp => {
                upstream.unsent = [&(message.len() as u16).to_be_bytes(), message.as_slice()].concat();
            }
        }
        Ok(upstream)
    }

    /// The socket, to wait for.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Goes on as far as it can without waiting. `query` is the message as it was asked; `room` takes a datagram of any size.
    pub(super) fn advance(&mut self, query: &[u8], room: &mut [u8]) -> Progress {
        match self.asked.via {
            Via::Udp => self.advance_datagram(query, room),
            Via::Tcp => self.advance_stream(query, room),
        }
    }

    fn advance_datagram(&mut self, query: &[u8], room: &mut [u8]) -> Progress {
        for _ in 0..DATAGRAMS_A_TURN {
            match rustix::net::recv(&self.socket, &mut *room, RecvFlags::empty()) {
                Ok((length, _)) => {
                    let message = room.get(..length).unwrap_or_default();
                    match self.judge(message, query) {
                        Judgement::Answer => return Progress::Answered(message.to_vec()),
                        Judgement::Broken => return Progress::Failed,
                        Judgement::Foreign => {}
                    }
                }
                Err(Errno::AGAIN) => return Progress::Waiting,
                Err(Errno::INTR) => {}
                Err(_) => return Progress::Failed,
            }
        }
        // Nobody but a forger sends so many; the edge that wakes us is used up, so the server is given up.
        Progress::Failed
    }

    fn advance_stream(&mut self, query: &[u8], room: &mut [u8]) -> Progress {
        while !self.unsent.is_empty() {
            match rustix::net::send(&self.socket, &self.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(Errno::AGAIN) => return Progress::Waiting,
                Err(Errno::INTR) => {}
                Err(_) => return Progress::Failed,
            }
        }
        loop {
            if let Some((length, rest)) = self.received.split_first_chunk()
                && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*length)))
            {
                return match self.judge(message, query) {
                    Judgement::Answer => Progress::Answered(message.to_vec()),
                    Judgement::Broken | Judgement::Foreign => Progress::Failed,
                };
            }
            let wanted = room.len().min(STREAM_MAX - self.received.len());
            match rustix::net::recv(&self.socket, &mut room[..wanted], RecvFlags::empty()) {
                Ok((0, _)) => return Progress::Failed,
                Ok((length, _)) => self.received.extend_from_slice(&room[..length]),
                Err(Errno::AGAIN) => return Progress::Waiting,
                Err(Errno::INTR) => {}
                Err(_) => return Progress::Failed,
            }
        }
    }

    /// Whether `message` answers `query`.
    fn judge(&self, message: &[u8], query: &[u8]) -> Judgement {
        let Ok(header) = Header::parse(message) else { return Judgement::Foreign };
        if !header.response || header.id != self.id {
            return Judgement::Foreign;
        }
        let Ok(parsed) = Message::parse(message) else {
            // A truncated message may end anywhere; TCP brings it whole.
            return if header.truncated { Judgement::Answer } else { Judgement::Broken };
        };
        let repeats = |asked: Question<'_>| parsed.question().is_some_and(|question| question == asked);
        match Message::parse(query).ok().and_then(|query| query.question()) {
            Some(asked) if repeats(asked) => Judgement::Answer,
            // A server that can't read the question has none to repeat.
            Some(_) if parsed.questions().next().is_none() && header.rcode != Rcode::NO_ERROR => {
                Judgement::Answer
            }
            _ => Judgement::Foreign,
        }
    }
}

/// What a message is to a query.
enum Judgement {
    /// Its answer.
    Answer,
    /// From the server, and not to be read.
    Broken,
    /// Not for this query.
    Foreign,
}

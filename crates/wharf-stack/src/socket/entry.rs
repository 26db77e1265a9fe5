//! What the host keeps for each socket.

use alloc::boxed::Box;

use wharf_table::binding::BindingId;
use wharf_table::{Addr, Endpoint};

use super::datagram::Datagrams;
use super::errno::Errno;
use super::listener::Listener;
use super::options::Shared;
use crate::stack::ConnId;

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// AF_INET.
    V4,
    /// AF_INET6, which speaks IPv4 too unless IPV6_V6ONLY is set: an IPv4 address stands for the mapped one.
    V6,
}

impl Domain {
    /// The address that means any.
    pub const fn any(self) -> Addr {
        match self {
            Domain::V4 => Addr::ANY_V4,
            Domain::V6 => Addr::ANY_V6,
        }
    }
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// SOCK_STREAM: TCP.
    Stream,
    /// SOCK_DGRAM: UDP.
    Datagram,
}

/// Whether a user may bind ports below the threshold (CAP_NET_BIND_SERVICE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    /// No.
    #[default]
    None,
    /// Yes.
    LowPorts,
}

/// In whose name a socket is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The number of the user.
    pub uid: u32,
    /// What the user may.
    pub privilege: Privilege,
}

impl User {
    /// User 0, who may bind every port.
    pub const ROOT: User = User { uid: 0, privilege: Privilege::LowPorts };

    /// A user without rights.
    pub const fn ordinary(uid: u32) -> User {
        User { uid, privilege: Privilege::None }
    }
}

/// What is true of a socket, few bytes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) v6: bool,
    /// It is in the list of sockets whose readiness may have changed.
    pub(super) queued: bool,
    /// SHUT_RD.
    pub(super) read_shut: bool,
    /// SHUT_WR.
    pub(super) write_shut: bool,
    /// connect(2) has begun it and has not reported yet how it ended (SS_CONNECTING).
    pub(super) connecting: bool,
    /// The peer's FIN has come.
    pub(super) peer_finished: bool,
    /// Its connection is over.
    pub(super) over: bool,
    /// The urgent byte was read, which stays in the stream until it is passed.
    pub(super) urgent_read: bool,
}

impl Marks {
    pub(super) fn new(domain: Domain) -> Marks {
        Marks { v6: domain == Domain::V6, ..Marks::default() }
    }

    pub(super) const fn domain(self) -> Domain {
        if self.v6 { Domain::V6 } else { Domain::V4 }
    }
}

/// A port that a socket holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    pub(super) binding: BindingId,
    /// As bind(2) or the host's choice made it; the address may be any.
    pub(super) local: Endpoint,
}

/// A stream socket without a connection.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) marks: Marks,
    pub(super) error: Option<Errno>,
    pub(super) claim: Option<Claimed>,
    /// The port of a connection that is over and had none of its own: Linux goes on telling it.
    pub(super) last_port: u16,
}

impl Idle {
    pub(super) fn new(domain: Domain) -> Box<Idle> {
        Box::new(Idle { marks: Marks::new(domain), error: None, claim: None, last_port: 0 })
    }
}

/// A stream socket with a connection, which may be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    conn: u32,
    pub(super) marks: Marks,
    pub(super) error: Option<Errno>,
}

impl Stream {
    pub(super) const fn new(conn: ConnId, marks: Marks) -> Stream {
        Stream { conn: conn.number(), marks, error: None }
    }

    pub(super) const fn conn(&self) -> ConnId {
        ConnId::from_number(self.conn)
    }
}

/// What a socket is at the moment.
#[derive(Debug)]
pub(super) enum Body {
    Idle(Box<Idle>),
    Stream(Stream),
    Listener(Box<Listener>),
    Datagram(Box<Datagrams>),
}

impl Body {
    pub(super) const fn marks(&self) -> &Marks {
        match self {
            Body::Idle(idle) => &idle.marks,
            Body::Stream(stream) => &stream.marks,
            Body::Listener(listener) => &listener.marks,
            Body::Datagram(datagrams) => &datagrams.marks,
        }
    }

    pub(super) const fn marks_mut(&mut self) -> &mut Marks {
        match self {
            Body::Idle(idle) => &mut idle.marks,
            Body::Stream(stream) => &mut stream.marks,
            Body::Listener(listener) => &mut listener.marks,
            Body::Datagram(datagrams) => &mut datagrams.marks,
        }
    }

    /// The error that waits.
    pub(super) const fn error(&self) -> Option<Errno> {
        match self {
            Body::Idle(idle) => idle.error,
            Body::Stream(stream) => stream.error,
            Body::Listener(listener) => listener.error,
            Body::Datagram(datagrams) => datagrams.error,
        }
    }

    /// The error that waits, which is heard once.
    pub(super) const fn error_mut(&mut self) -> &mut Option<Errno> {
        match self {
            Body::Idle(idle) => &mut idle.error,
            Body::Stream(stream) => &mut stream.error,
            Body::Listener(listener) => &mut listener.error,
            Body::Datagram(datagrams) => &mut datagrams.error,
        }
    }
}

/// A socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) options: Shared,
    pub(super) body: Body,
}

// A million sockets that came from one listener cost little beside their connections.
const _: () = assert!(size_of::<Option<Socket>>() <= 32);

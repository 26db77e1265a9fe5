//! One row, and the small things that it points to.

use alloc::string::String;
use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;

use crate::endpoint::{Addr, Endpoint};
use crate::rows::state::{Role, State, Transport};

/// One end of a row: an address, its zone, a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End {
    /// The address.
    pub addr: Addr,
    /// The interface that the address belongs to or the socket is tied to, by its index; 0 for none (RFC 4007).
    pub zone: u32,
    /// The port; 0 means any.
    pub port: u16,
}

impl End {
    /// The end without a zone.
    pub const fn new(at: Endpoint) -> End {
        End { addr: at.addr, zone: 0, port: at.port }
    }

    /// Address and port.
    pub const fn endpoint(self) -> Endpoint {
        Endpoint { addr: self.addr, port: self.port }
    }
}

/// A network by its place in [`Rows::networks`](super::Rows::networks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub u16);

/// A process by its place in [`Rows::processes`](super::Rows::processes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

/// A detail by its place in [`Rows::details`](super::Rows::details).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DetailId(NonZeroU32);

impl DetailId {
    /// The detail at this place; `None` beyond four thousand million.
    pub fn from_index(index: usize) -> Option<DetailId> {
        u32::try_from(index + 1).ok().and_then(NonZeroU32::new).map(DetailId)
    }

    /// The place.
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// That a process holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerLink {
    /// The process.
    pub process: ProcessId,
    /// Its descriptor; the lowest where it has several of the same socket.
    pub descriptor: u32,
}

/// The owners of a row: a span of [`Rows::links`](super::Rows::links).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerSpan {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// Why a row has no owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ownerless {
    /// TIME-WAIT: the program is done with it and the kernel keeps it for a minute (RFC 9293, section 3.6.1).
    TimeWait,
    /// The kernel's own, or closed by its program and still sending what it was given.
    Kernel,
    /// A connection that no program has accepted yet.
    Unaccepted,
    /// The process is another user's and hidden from this one, who lacks CAP_SYS_PTRACE.
    Hidden,
    /// Owners were not asked for.
    Unasked,
}

impl fmt::Display for Ownerless {
    /// As JSON prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ownerless::TimeWait => "time_wait",
            Ownerless::Kernel => "kernel",
            Ownerless::Unaccepted => "not_accepted",
            Ownerless::Hidden => "hidden: the process is another user's (needs CAP_SYS_PTRACE, or root)",
            Ownerless::Unasked => "not_asked",
        })
    }
}

/// The connections that wait to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// How many wait.
    pub used: u32,
    /// How many may.
    pub limit: u32,
}

/// An endpoint of the host.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The socket's number in the kernel; `None` where it has none any more (TIME-WAIT).
    pub inode: Option<NonZeroU64>,
    /// The socket's cookie, which tells it from every other of its network.
    pub cookie: u64,
    /// Its control group.
    pub cgroup: Option<NonZeroU64>,
    /// The local end.
    pub local: End,
    /// The remote end of a connection.
    pub remote: Option<End>,
    /// The user who made it.
    pub uid: Option<u32>,
    /// Bytes that came and were not read.
    pub receive_queue_bytes: u32,
    /// Bytes that were written and not acknowledged.
    pub send_queue_bytes: u32,
    /// Of a listener, what waits for it.
    pub backlog: Option<Backlog>,
    /// How long it has existed, in whole milliseconds and one more, where that is known; see [`Row::age`].
    pub age_ms: Option<NonZeroU64>,
    /// Who holds it.
    pub owners: OwnerSpan,
    /// What the kernel tells of the connection.
    pub detail: Option<DetailId>,
    /// Where it is.
    pub network: NetworkId,
    /// Its transport.
    pub transport: Transport,
    /// Its state.
    pub state: State,
    /// Its role.
    pub role: Role,
    /// Why it has no owner; `None` where it has.
    pub ownerless: Option<Ownerless>,
    /// That an IPv6 socket takes IPv6 only; `None` where that is unknown or means nothing.
    pub v6_only: Option<bool>,
}

impl Row {
    /// A row of which nothing else is known.
    pub const fn new(transport: Transport, local: End, state: State) -> Row {
        Row {
            inode: None,
            cookie: 0,
            cgroup: None,
            local,
            remote: None,
            uid: None,
            receive_queue_bytes: 0,
            send_queue_bytes: 0,
            backlog: None,
            age_ms: None,
            owners: OwnerSpan { first: 0, count: 0 },
            detail: None,
            network: NetworkId(0),
            transport,
            state,
            role: match state {
                State::Listen => Role::Listener,
                State::Bound => Role::Bound,
                _ => Role::Client,
            },
            ownerless: None,
            v6_only: None,
        }
    }

    /// How long it has existed, where that is known.
    pub const fn age(&self) -> Option<Duration> {
        match self.age_ms {
            Some(more) => Some(Duration::from_millis(more.get() - 1)),
            None => None,
        }
    }

    /// Says how long it has existed.
    pub fn set_age(&mut self, age: Option<Duration>) {
        self.age_ms =
            age.and_then(|age| NonZeroU64::new(u64::try_from(age.as_millis()).ok()?.checked_add(1)?));
    }
}

/// A network: the host's, a namespace's, a run's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// `host`, the name of a run or of a namespace, or the number of one that has no name.
    pub name: String,
    /// The number of its namespace; 0 where that is unknown.
    pub inode: u64,
    /// Names of its interfaces by index, for zones.
    pub interfaces: alloc::collections::BTreeMap<u32, String>,
    /// A process in it, through which it was found.
    pub pid: Option<u32>,
}

/// A control group, and what it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its path from the root of the hierarchy.
    pub path: String,
    /// The systemd unit.
    pub unit: Option<String>,
    /// The container.
    pub container: Option<String>,
}

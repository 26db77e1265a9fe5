//! A board: lines of ports, in an order.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::Add;
use std::sync::Arc;
use std::time::Instant;

use wharf_table::Addr;
use wharf_table::owner::Owner;
use wharf_table::rows::{Network, Row, State, TcpDetail, Transport};

/// Where a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Here: of a listener, of who it serves, of what is only bound.
    Here,
    /// There: programs here have asked for it.
    There,
}

/// A port of a network, or one that was asked for from there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Its side.
    pub side: Side,
    /// Its transport.
    pub transport: Transport,
    /// The name of its network.
    pub network: String,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Out.
    pub sent: u64,
    /// In.
    pub received: u64,
}

impl Rate {
    /// Both ways.
    pub const fn total(self) -> u64 {
        self.sent.saturating_add(self.received)
    }
}

impl Add for Rate {
    type Output = Rate;
    fn add(self, other: Rate) -> Rate {
        Rate {
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
        }
    }
}

impl Sum for Rate {
    fn sum<I: Iterator<Item = Rate>>(all: I) -> Rate {
        all.fold(Rate::default(), Add::add)
    }
}

/// An endpoint at a port.
#[derive(Clone, Debug)]
pub struct Talker {
    /// Its row; what that refers to by place is in another list, but for [`Board::networks`].
    pub row: Row,
    /// Who holds it.
    pub owners: Arc<[Owner]>,
    /// How much it moves.
    pub rate: Option<Rate>,
    /// The figures of its connection.
    pub detail: Option<TcpDetail>,
}

/// A port with its talkers.
#[derive(Clone, Debug)]
pub struct Line {
    /// The port.
    pub port: Port,
    /// All endpoints at it.
    pub talkers: Vec<Talker>,
    /// How many of them listen.
    pub listeners: u32,
    /// How many are connected; what the kernel keeps in TIME-WAIT does not count.
    pub connections: u32,
    /// How much all of them move; `None` where nothing is counted.
    pub rate: Option<Rate>,
    /// Bytes that wait to be read, and to be sent; of listeners, connections that wait to be accepted don't count.
    pub waiting: (u64, u64),
    /// Endpoints that came since the beginning.
    pub came: u32,
    /// And that went.
    pub went: u32,
    /// When the last one came or went.
    pub changed: Option<Instant>,
}

impl Line {
    pub(super) fn new(port: Port) -> Line {
        Line {
            port,
            talkers: Vec::new(),
            listeners: 0,
            connections: 0,
            rate: None,
            waiting: (0, 0),
            came: 0,
            went: 0,
            changed: None,
        }
    }

    pub(super) fn add(&mut self, talker: Talker) {
        let row = &talker.row;
        if row.state == State::Listen || row.remote.is_none() && row.transport != Transport::Tcp {
            self.listeners += 1;
        }
        self.connections += u32::from(row.remote.is_some() && row.state != State::TimeWait);
        if let Some(rate) = talker.rate {
            self.rate = Some(self.rate.unwrap_or_default() + rate);
        }
        self.waiting.0 += u64::from(row.receive_queue_bytes);
        self.waiting.1 += u64::from(row.send_queue_bytes);
        self.talkers.push(talker);
    }

    /// The processes at the port, each once, those of listeners first, then by number.
    pub fn owners(&self) -> Vec<&Owner> {
        let mut owners: Vec<(bool, &Owner)> = Vec::new();
        for talker in &self.talkers {
            let connected = talker.row.remote.is_some();
            for owner in talker.owners.iter() {
                match owners.iter_mut().find(|(_, known)| known.pid == owner.pid && owner.pid.is_some()) {
                    Some(known) => known.0 &= connected,
                    None => owners.push((connected, owner)),
                }
            }
        }
        owners.sort_by_key(|(connected, owner)| (*connected, owner.pid));
        owners.into_iter().map(|(_, owner)| owner).collect()
    }

    /// The hosts at the other end, those that move most first.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers: BTreeMap<Addr, Peer> = BTreeMap::new();
        for talker in &self.talkers {
            let Some(remote) = talker.row.remote else { continue };
            let peer = peers.entry(remote.addr).or_insert(Peer {
                addr: remote.addr,
                connections: 0,
                rate: Rate::default(),
            });
            peer.connections += 1;
            peer.rate = peer.rate + talker.rate.unwrap_or_default();
        }
        let mut peers: Vec<Peer> = peers.into_values().collect();
        peers.sort_by_key(|peer| (Reverse(peer.rate.total()), Reverse(peer.connections), peer.addr));
        peers
    }
}

/// A host at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub addr: Addr,
    /// How many connections it has.
    pub connections: u32,
    /// How much they move.
    pub rate: Rate,
}

/// By what lines are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that move most.
    #[default]
    Traffic,
    /// Those at which something came or went last.
    Change,
    /// By number.
    Port,
    /// Those with the most connections.
    Connections,
}

impl Order {
    /// All of them, in the order in which a key goes through them.
    pub const ALL: [Order; 4] = [Order::Traffic, Order::Change, Order::Port, Order::Connections];

    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Order::Traffic => "traffic",
            Order::Change => "change",
            Order::Port => "port",
            Order::Connections => "connections",
        }
    }

    /// The next one.
    #[must_use]
    pub fn next(self) -> Order {
        let place = Order::ALL.iter().position(|order| *order == self).unwrap_or_default();
        Order::ALL[(place + 1) % Order::ALL.len()]
    }
}

/// All ports.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The ports.
    pub lines: Vec<Line>,
    /// The networks, to which the rows of talkers refer.
    pub networks: Vec<Network>,
}

impl Board {
    /// Sorts the lines; what is equal stands by number.
    pub fn sort(&mut self, order: Order) {
        self.lines.sort_by(|one, other| one.port.cmp(&other.port));
        match order {
            Order::Port => {}
            // What moves nothing stands by its connections, and before what is only open.
            Order::Traffic => self.lines.sort_by_key(|line| {
                Reverse((line.rate.unwrap_or_default().total(), line.connections, line.listeners > 0))
            }),
            Order::Change => self.lines.sort_by_key(|line| Reverse(line.changed)),
            Order::Connections => self.lines.sort_by_key(|line| Reverse(line.connections)),
        }
    }

    /// How much everything here moves.
    pub fn rate(&self) -> Rate {
        self.lines.iter().filter_map(|line| line.rate).sum()
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.lines.iter().map(|line| line.talkers.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

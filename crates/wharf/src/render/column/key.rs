//! How rows are sorted.

use std::cmp::Reverse;

use wharf_table::Addr;
use wharf_table::rows::{Role, Row, State};

use super::{Column, uid};
use crate::render::View;

/// What rows are compared by. What is unknown comes after what is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key<'a> {
    /// A number.
    Number(u64),
    /// A word.
    Word(&'a str),
    /// An address and a port.
    End(Addr, u16),
    /// Nothing.
    Unknown,
}

/// The same the other way round; what is unknown still comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Directed<'a> {
    /// From small to large.
    Up(Key<'a>),
    /// From large to small.
    Down(Reverse<Key<'a>>),
    /// Neither.
    Unknown,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From small to large.
    Up,
    /// From large to small.
    Down,
}

impl Column {
    /// What a row is compared by in this column.
    pub(crate) fn key<'a>(self, view: &View<'a>, row: &Row) -> Key<'a> {
        let number = |known: Option<u64>| known.map_or(Key::Unknown, Key::Number);
        let port = |port: u16| if port == 0 { Key::Unknown } else { Key::Number(port.into()) };
        let detail = view.rows.detail(row);
        let main = || view.rows.owners(row).min_by_key(|(owner, _)| owner.pid).map(|(owner, _)| owner);
        match self {
            Column::Protocol => Key::Number(row.transport as u64),
            Column::State => Key::Number(row.state as u64),
            Column::Role => Key::Number(row.role as u64),
            Column::Local | Column::LocalAddress => Key::End(row.local.addr, row.local.port),
            Column::LocalPort => port(row.local.port),
            Column::Remote | Column::RemoteAddress => {
                row.remote.map_or(Key::Unknown, |end| Key::End(end.addr, end.port))
            }
            Column::RemotePort => row.remote.map_or(Key::Unknown, |end| port(end.port)),
            Column::Service => view.service(row).map_or(Key::Unknown, Key::Word),
            Column::Owner | Column::Command => {
                main().and_then(|owner| owner.command.as_deref()).map_or(Key::Unknown, Key::Word)
            }
            Column::Pid => number(main().and_then(|owner| owner.pid).map(u64::from)),
            Column::Network => Key::Number(row.network.0.into()),
            Column::User | Column::Unit | Column::Container => {
                self.word(view, row).map_or(Key::Unknown, Key::Word)
            }
            Column::Uid => number(uid(view, row).map(u64::from)),
            Column::Ownerless => number(row.ownerless.map(|why| why as u64)),
            Column::ReceiveQueue => Key::Number(row.receive_queue_bytes.into()),
            Column::SendQueue => Key::Number(row.send_queue_bytes.into()),
            Column::BacklogUsed => number(row.backlog.map(|backlog| backlog.used.into())),
            Column::BacklogLimit => number(row.backlog.map(|backlog| backlog.limit.into())),
            Column::Age => number(row.age_ms.map(|age| age.get())),
            Column::Sent => number(detail.map(|tcp| tcp.sent_bytes)),
            Column::Received => number(detail.map(|tcp| tcp.received_bytes)),
            Column::Retransmitted => number(detail.map(|tcp| tcp.retransmitted_bytes)),
            Column::Retransmissions => number(detail.map(|tcp| tcp.retransmissions.into())),
            Column::Rtt => number(detail.map(|tcp| tcp.rtt_us.into())),
            Column::Congestion => number(detail.map(|tcp| tcp.congestion as u64)),
            Column::CongestionControl => detail.map_or(Key::Unknown, |tcp| Key::Word(tcp.algorithm())),
            Column::CongestionWindow => number(detail.map(|tcp| tcp.congestion_window.into())),
            Column::Inode => number(row.inode.map(|inode| inode.get())),
        }
    }

    /// The same for `--sort`.
    pub(crate) fn directed<'a>(self, direction: Direction, view: &View<'a>, row: &Row) -> Directed<'a> {
        match (self.key(view, row), direction) {
            (Key::Unknown, _) => Directed::Unknown,
            (key, Direction::Up) => Directed::Up(key),
            (key, Direction::Down) => Directed::Down(Reverse(key)),
        }
    }
}

/// What rows are compared by where nobody says otherwise: who listens comes first, then the connections that were taken, then
/// those that were made; the own network before others, what is over after what goes on; then by the port of the service.
pub(crate) fn usual_order(row: &Row) -> impl Ord + use<> {
    let (port, addr) = match (row.role, row.remote) {
        (Role::Client, Some(remote)) => (remote.port, remote.addr),
        _ => (row.local.port, row.local.addr),
    };
    let remote = row.remote.map(|end| (end.addr, end.port));
    let is_over = row.state == State::TimeWait;
    (row.role, row.network, is_over, port, row.transport, addr, remote, row.local.port)
}

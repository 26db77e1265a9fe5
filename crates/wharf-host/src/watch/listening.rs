//! Quick samples of what takes connections or datagrams from anybody: the kernel leaves everything else out, so that their cost
//! does not grow with the connections.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;

use wharf_sys::netlink::sock_diag::{Diag, Extra, Kind, Query, Socket};
use wharf_table::rows::{Network, Ownerless, Role, Row, Rows, State, Transport};

use super::event::give_owners;
use super::people::People;

/// The kernel's numbers of LISTEN, and of CLOSE, which is what it calls a UDP socket without a peer.
const LISTEN: u32 = 1 << 10;
const WITHOUT_PEER: u32 = 1 << 7;
const EVERY_PORT: &[(u16, u16)] = &[(0, u16::MAX)];

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// TCP listeners and UDP sockets.
    Both,
    /// UDP sockets only, where the kernel tells of the others.
    Udp,
}

/// Takes quick samples of one network.
#[derive(Debug)]
pub(super) struct Listening {
    network: Arc<Network>,
    diag: Diag,
    which: Which,
    /// The cookies of the last sample.
    seen: HashSet<u64>,
    samples: u64,
}

impl Listening {
    pub(super) fn new(network: Arc<Network>, diag: Diag, which: Which) -> Listening {
        Listening { network, diag, which, seen: HashSet::new(), samples: 0 }
    }

    /// Those that were not there in the sample before, each as the only row of its `Rows`, with its owner where `people` may
    /// look for it. The first sample has none.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(super) fn fresh(&mut self, people: &mut People) -> io::Result<Vec<Rows>> {
        let mut now = HashSet::with_capacity(self.seen.len() + 8);
        let mut fresh = Vec::new();
        let kinds: &[_] = match self.which {
            Which::Both => &[(Kind::Tcp, LISTEN, Transport::Tcp), (Kind::Udp, WITHOUT_PEER, Transport::Udp)],
            Which::Udp => &[(Kind::Udp, WITHOUT_PEER, Transport::Udp)],
        };
        let (seen, is_first) = (&self.seen, self.samples == 0);
        for &(kind, states, transport) in kinds {
            let query = Query { kind, states, extra: Extra::None, local_ports: EVERY_PORT };
            self.diag.list(&query, |socket| {
                let cookie = socket.cookie();
                if now.insert(cookie) && !is_first && !seen.contains(&cookie) {
                    fresh.push(row(&socket, transport));
                }
            })?;
        }
        self.seen = now;
        self.samples += 1;
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        let inodes = fresh.iter().filter_map(|row| u32::try_from(row.inode?.get()).ok()).collect();
        let holders = people.holders(inodes);
        Ok(fresh.into_iter().map(|row| self.alone(row, &holders, people)).collect())
    }

    fn alone(&self, row: Row, holders: &[(u32, wharf_table::Owner, u32)], people: &People) -> Rows {
        let mut rows = Rows { networks: vec![(*self.network).clone()], rows: vec![row], ..Rows::default() };
        let is_it = |inode: &u32| row.inode.is_some_and(|own| own.get() == u64::from(*inode));
        let owners = holders.iter().filter(|(inode, ..)| is_it(inode));
        give_owners(&mut rows, owners.map(|(_, owner, descriptor)| (owner.clone(), *descriptor)));
        rows.users.extend(row.uid.and_then(|uid| Some((uid, people.user(uid)?.clone()))));
        rows
    }
}

fn row(socket: &Socket<'_>, transport: Transport) -> Row {
    let state = if transport == Transport::Tcp { State::Listen } else { State::Bound };
    let extras = socket.extras();
    let mut row = Row::new(transport, socket.local(), state);
    (row.cookie, row.uid, row.role) = (socket.cookie(), Some(socket.uid()), Role::Listener);
    row.inode = NonZeroU64::new(socket.inode().into());
    row.cgroup = extras.cgroup.and_then(NonZeroU64::new);
    row.v6_only = extras.v6_only.filter(|_| socket.is_v6() && !row.local.addr.is_v4());
    row.ownerless = Some(Ownerless::Unasked);
    row
}

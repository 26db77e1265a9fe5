//! Two hosts of the same kind on one link, in virtual time.

use std::time::Duration;

use wharf_table::Instant;

use crate::host::{Host, MTU, Offload, Setup, Side};
use crate::memory::Account;
use crate::wire::{Link, Pool, RING};

/// How far the clock goes on when both have had their turn.
const TURN: Duration = Duration::from_micros(10);
/// Both have had their turn so often without being done: something is stuck.
const TURNS_MAX: u32 = 10_000_000;
/// From here on source ports are given to connections that stay.
pub const FIRST_PORT: u16 = 1_024;

/// A client and a server.
pub struct Pair<H: Host> {
    /// The time.
    pub now: Instant,
    /// The host that opens connections.
    pub client: H,
    /// The host that listens.
    pub server: H,
    /// The client's link; its outbox becomes the server's inbox.
    pub near: Link,
    /// The server's link.
    pub far: Link,
    /// Bytes that the client holds.
    pub client_bytes: Account,
    /// Bytes that the server holds.
    pub server_bytes: Account,
}

impl<H: Host> Pair<H> {
    /// Two hosts that have found each other's hardware addresses: one connection has come and gone.
    pub fn new(setup: &Setup) -> Pair<H> {
        let now = Instant::from_millis(1_000_000);
        let len = if setup.offload == Offload::Segments { 1 << 16 } else { MTU } + 64;
        let link = || Link::new(Pool::new(4 * RING, len));
        let mut pair = Pair {
            now,
            client: H::new(setup, Side::Client, now),
            server: H::new(setup, Side::Server, now),
            near: link(),
            far: link(),
            client_bytes: Account::default(),
            server_bytes: Account::default(),
        };
        pair.server.listen(1, 1);
        let (near, far) = pair.establish(1, 1);
        pair.client.close(now, near);
        pair.run_while(|pair| !pair.server.has_ended(far));
        pair.server.close(now, far);
        pair.turns(8);
        pair
    }

    /// One turn of the client and one of the server.
    pub fn turn(&mut self) {
        self.client_turn();
        self.server_turn();
        self.now += TURN;
    }

    /// The client takes what has come for it, and sends.
    pub fn client_turn(&mut self) {
        let Pair { now, client, near, far, client_bytes, .. } = self;
        client_bytes.add(|| client.step(*now, near));
        far.inbox.append(&mut near.outbox);
        balance(near, far);
    }

    /// The same for the server.
    pub fn server_turn(&mut self) {
        let Pair { now, server, near, far, server_bytes, .. } = self;
        server_bytes.add(|| server.step(*now, far));
        near.inbox.append(&mut far.outbox);
        balance(far, near);
    }

    /// So many turns.
    pub fn turns(&mut self, count: u32) {
        (0..count).for_each(|_| self.turn());
    }

    /// Turns until `holds` does no longer.
    pub fn run_while(&mut self, holds: impl Fn(&Pair<H>) -> bool) {
        let mut turns = 0;
        while holds(self) {
            self.turn();
            turns += 1;
            assert!(turns < TURNS_MAX, "the hosts are stuck at {:?}", self.now);
        }
    }

    /// Opens one connection to a port that listens: both ends of it.
    pub fn establish(&mut self, source: u16, port: u16) -> (H::Conn, H::Conn) {
        self.establish_all(&[source], port).remove(0)
    }

    /// Opens a connection from each of these ports: both ends of each.
    pub fn establish_all(&mut self, sources: &[u16], port: u16) -> Vec<(H::Conn, H::Conn)> {
        let near: Vec<H::Conn> = {
            let Pair { now, client, client_bytes, .. } = self;
            client_bytes.add(|| sources.iter().map(|&source| client.connect(*now, source, port)).collect())
        };
        let mut far = Vec::with_capacity(near.len());
        for turn in 0.. {
            self.turn();
            while let Some(conn) = self.server.accepted() {
                far.push(conn);
            }
            if far.len() == near.len() && near.iter().all(|&conn| self.client.is_established(conn)) {
                return near.into_iter().zip(far).collect();
            }
            assert!(turn < TURNS_MAX, "only {} of {} connections were accepted", far.len(), near.len());
        }
        unreachable!("the loop has no end of its own")
    }

    /// Opens `count` connections that stay, from [`FIRST_PORT`] on to ports from `port` on, in batches.
    pub fn crowd(&mut self, count: usize, port: u16) -> Vec<(H::Conn, H::Conn)> {
        const BATCH: usize = RING / 2;
        let per_port = usize::from(u16::MAX - FIRST_PORT);
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let (target, first) = (port + (all.len() / per_port) as u16, all.len() % per_port);
            let batch = BATCH.min(count - all.len()).min(per_port - first);
            let Pair { server, server_bytes, .. } = self;
            server_bytes.add(|| {
                // A stack with listeners needs one for a port, the other needs a socket for each connection.
                if H::LISTENS_ONCE && first == 0 {
                    server.listen(target, 1);
                } else if !H::LISTENS_ONCE {
                    server.listen(target, batch);
                }
            });
            let sources: Vec<u16> = (first..first + batch).map(|offset| FIRST_PORT + offset as u16).collect();
            all.extend(self.establish_all(&sources, target));
        }
        all
    }
}

/// Frames went one way: as many empty ones go back.
fn balance(from: &mut Link, to: &mut Link) {
    from.pool.refill_from(&mut to.pool);
}

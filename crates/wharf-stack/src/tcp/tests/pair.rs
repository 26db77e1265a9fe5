//! Two connections back to back over a link that delays, loses, repeats and reorders, in virtual time.

use core::time::Duration;
use std::collections::BTreeMap;
use std::vec::Vec;

use wharf_table::Instant;
use wharf_wire::tcp::TcpRepr;

use super::bench::{ms, tuple};
use crate::buffer::ChunkPool;
use crate::tcp::*;

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How bad the link is. Chances in percent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) delay: Duration,
    pub(super) loss: u64,
    pub(super) duplicate: u64,
    pub(super) reorder: u64,
    /// Bytes a second, 0 for no limit; more than 100 ms of them are lost.
    pub(super) rate: u64,
}

pub(super) const GOOD: Link = Link { delay: ms(10), loss: 0, duplicate: 0, reorder: 0, rate: 0 };

pub(super) struct Side {
    pub(super) conn: Connection,
    pub(super) pool: ChunkPool,
    /// What is still to be queued, and what has been read.
    pub(super) to_send: Vec<u8>,
    queued: usize,
    pub(super) read: Vec<u8>,
    /// Bytes read at most when something happens; 0 for a reader that sleeps.
    pub(super) reads: usize,
    pub(super) finishes: bool,
    pub(super) segments: usize,
    pub(super) payload_sent: usize,
    free_at: Instant,
}

struct Flying {
    to: usize,
    header: TcpRepr,
    payload: Vec<u8>,
}

pub(super) struct Pair {
    pub(super) sides: [Side; 2],
    pub(super) now: Instant,
    pub(super) link: Link,
    pub(super) random: Random,
    flying: BTreeMap<(Instant, u64), Flying>,
    count: u64,
}

impl Side {
    fn new(conn: Connection) -> Side {
        Side {
            conn,
            pool: ChunkPool::new(64 << 20),
            to_send: Vec::new(),
            queued: 0,
            read: Vec::new(),
            reads: usize::MAX,
            finishes: true,
            segments: 0,
            payload_sent: 0,
            free_at: Instant::ZERO,
        }
    }

    /// What an owner does.
    fn work(&mut self, now: Instant) {
        let mut cx = Context { now, pool: &mut self.pool };
        self.conn.take_events();
        let count = self.conn.received_len().min(self.reads);
        let before = self.read.len();
        for slice in self.conn.receive_slices() {
            self.read.extend_from_slice(slice);
        }
        self.read.truncate(before + count);
        self.conn.consume(&mut cx, count);
        self.queued += self.conn.send(&mut cx, &self.to_send[self.queued..]);
        if self.queued == self.to_send.len() && self.finishes {
            self.conn.shutdown();
        }
    }
}

impl Pair {
    /// A connects to B, which accepts at once.
    pub(super) fn new(a: &Settings, b: &Settings, link: Link, seed: u64) -> Pair {
        let now = Instant::from_millis(1);
        let mut conn_a = Connection::connect(a, tuple(), SeqNum::new(u32::MAX - 100_000), now);
        let mut pool = ChunkPool::new(1 << 20);
        let syn = conn_a
            .poll_segment(&mut Context { now, pool: &mut pool })
            .expect("a connecting side sends SYN")
            .header;
        let mut conn_b = Connection::incoming(b, tuple().reversed(), SeqNum::new(77), &syn, now);
        conn_b.accept();
        Pair::of(conn_a, conn_b, link, seed)
    }

    pub(super) fn of(a: Connection, b: Connection, link: Link, seed: u64) -> Pair {
        let sides = [Side::new(a), Side::new(b)];
        let now = Instant::from_millis(1);
        Pair { sides, now, link, random: Random(seed), flying: BTreeMap::new(), count: 0 }
    }

    /// Puts data on both sides' hands.
    pub(super) fn with_data(mut self, a: usize, b: usize) -> Pair {
        for (side, len) in self.sides.iter_mut().zip([a, b]) {
            side.to_send = (0..len).map(|i| (i % 251) as u8 ^ (i / 251) as u8).collect();
        }
        self
    }

    fn emit(&mut self) {
        for from in 0..2 {
            self.sides[from].work(self.now);
            loop {
                let side = &mut self.sides[from];
                let mut cx = Context { now: self.now, pool: &mut side.pool };
                let Some(out) = side.conn.poll_segment(&mut cx) else { break };
                let payload: Vec<u8> = side.conn.payload(&out).flatten().copied().collect();
                side.payload_sent += payload.len();
                self.cut(1 - from, out, &payload);
            }
            super::parking::repark(&mut self.sides[from].conn);
        }
    }

    /// What the device does.
    fn cut(&mut self, to: usize, out: SegmentOut, payload: &[u8]) {
        let size = out.gso_size.map_or(payload.len().max(1), usize::from);
        let fin = wharf_wire::tcp::TcpFlags::FIN.bits();
        let mut rest = payload;
        let mut header = out.header;
        loop {
            let (now, later) = rest.split_at(rest.len().min(size));
            let last = later.is_empty();
            let mut cut = header;
            if !last {
                cut.flags = wharf_wire::tcp::TcpFlags::from_bits(header.flags.bits() & !fin);
            }
            self.fly(to, cut, now.to_vec());
            if last {
                break;
            }
            header.seq = header.seq.wrapping_add(size as u32);
            // VIRTIO_NET_HDR_GSO_ECN: only the first says CWR.
            header.flags = wharf_wire::tcp::TcpFlags::from_bits(header.flags.bits() & !0x80);
            rest = later;
        }
    }

    fn fly(&mut self, to: usize, header: TcpRepr, payload: Vec<u8>) {
        self.sides[1 - to].segments += 1;
        let mut leaves = self.now;
        if let Some(micros) = ((payload.len() as u64 + 60) * 1_000_000).checked_div(self.link.rate) {
            let side = &mut self.sides[1 - to];
            leaves = leaves.max(side.free_at);
            if leaves.since(self.now) > ms(100) {
                return;
            }
            leaves += Duration::from_micros(micros);
            side.free_at = leaves;
        }
        let copies = 1 + u64::from(self.random.percent(self.link.duplicate));
        for _ in 0..copies {
            if self.random.percent(self.link.loss) {
                continue;
            }
            let late = if self.random.percent(self.link.reorder) { self.random.below(20) } else { 0 };
            self.count += 1;
            let at = leaves + self.link.delay + ms(late);
            self.flying.insert((at, self.count), Flying { to, header, payload: payload.clone() });
        }
    }

    /// Until nothing moves any more or `until` says so; whether it did before `limit`.
    pub(super) fn run(&mut self, limit: Duration, mut until: impl FnMut(&Pair) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.emit();
            if until(self) {
                return true;
            }
            let arrival = self.flying.keys().next().map(|&(at, _)| at);
            let timeouts = self.sides.iter().filter_map(|side| side.conn.poll_timeout());
            let unread = self.sides.iter().any(|side| side.reads > 0 && side.conn.received_len() > 0);
            let reading = unread.then(|| self.now + ms(1));
            let Some(next) = timeouts.chain(arrival).chain(reading).min() else { return false };
            if next > end {
                return false;
            }
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let segment = entry.remove();
                let side = &mut self.sides[segment.to];
                let mut cx = Context { now: self.now, pool: &mut side.pool };
                let _ = side.conn.handle_segment(&mut cx, &segment.header, &segment.payload, Ecn::NotCapable);
            }
            for side in &mut self.sides {
                let mut cx = Context { now: self.now, pool: &mut side.pool };
                side.conn.handle_timeout(&mut cx);
            }
        }
    }

    /// Until both have everything and have heard the end; then both ends are compared.
    pub(super) fn deliver_all(&mut self, limit: Duration) {
        let started = self.now;
        let done = self.run(limit, |pair| {
            let [a, b] = &pair.sides;
            a.conn.peer_has_finished()
                && b.conn.peer_has_finished()
                && a.read.len() >= b.to_send.len()
                && b.read.len() >= a.to_send.len()
        });
        let [a, b] = &self.sides;
        let took = self.now.since(started);
        assert!(
            done,
            "{took:?}: {} of {}, {} of {}",
            b.read.len(),
            a.to_send.len(),
            a.read.len(),
            b.to_send.len()
        );
        assert!(a.read == b.to_send && b.read == a.to_send, "what was read is what was sent");
    }
}

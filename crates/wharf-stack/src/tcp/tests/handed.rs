//! Text that stays in its frames until somebody has taken it leaves a connection as if it had been received and read.

use core::time::Duration;
use std::vec::Vec;

use wharf_table::Instant;
use wharf_wire::tcp::{TcpFlags, TcpRepr};

use super::bench::{MSS, ms, tuple};
use super::pair::Random;
use super::predicted::digest;
use crate::buffer::ChunkPool;
use crate::tcp::*;

const POOL: usize = 8 << 20;

/// The same end twice: one that receives and reads, one that hands over.
struct Twins {
    reads: Connection,
    hands: Connection,
    pools: [ChunkPool; 2],
    /// What each has given away, in order.
    given: [Vec<u8>; 2],
    /// Payloads that lie with us.
    lent: Vec<Vec<u8>>,
    segments_lent: usize,
}

/// One that sends, and its segments.
struct Sender {
    conn: Connection,
    pool: ChunkPool,
    sent: Vec<u8>,
}

/// Appends the first `count` bytes of `slices`.
fn give<'a>(to: &mut Vec<u8>, slices: impl Iterator<Item = &'a [u8]>, count: usize) {
    let end = to.len() + count;
    slices.for_each(|slice| to.extend_from_slice(slice));
    to.truncate(end);
}

impl Twins {
    fn new(settings: &Settings, syn: &TcpRepr, now: Instant) -> Twins {
        let end = || {
            let mut conn = Connection::incoming(settings, tuple().reversed(), SeqNum::new(77), syn, now);
            conn.accept();
            conn
        };
        Twins {
            reads: end(),
            hands: end(),
            pools: [ChunkPool::new(POOL), ChunkPool::new(POOL)],
            given: Default::default(),
            lent: Vec::new(),
            segments_lent: 0,
        }
    }

    fn on_segment(&mut self, now: Instant, header: &TcpRepr, payload: &[u8], random: &mut Random) {
        let [pool, other] = &mut self.pools;
        let mut cx = Context { now, pool: other };
        if self.hands.lend_segment(&mut cx, header, payload, Ecn::NotCapable) {
            self.lent.push(payload.to_vec());
            self.segments_lent += 1;
            let taken =
                self.reads.handle_segment(&mut Context { now, pool }, header, payload, Ecn::NotCapable);
            assert_eq!(taken, Ok(()));
            return;
        }
        if !payload.is_empty() {
            self.settle(now, random);
        }
        let [pool, other] = &mut self.pools;
        let reads = self.reads.handle_segment(&mut Context { now, pool }, header, payload, Ecn::NotCapable);
        let hands =
            self.hands.handle_segment(&mut Context { now, pool: other }, header, payload, Ecn::NotCapable);
        assert_eq!(reads, hands);
    }

    /// Somebody takes all, a part or nothing.
    fn settle(&mut self, now: Instant, random: &mut Random) {
        if !self.hands.is_lending() {
            return;
        }
        let there = self.reads.received_len();
        assert_eq!(there, self.hands.received_len());
        let taken = [there, 0, random.below(there as u64 + 1) as usize][random.below(3) as usize];
        give(&mut self.given[0], self.reads.receive_slices(), taken);
        let lent = self.lent.iter().map(Vec::as_slice);
        give(&mut self.given[1], self.hands.receive_slices().chain(lent), taken);
        let [pool, other] = &mut self.pools;
        if taken > 0 {
            self.reads.consume(&mut Context { now, pool }, taken);
        }
        let lent: Vec<&[u8]> = self.lent.iter().map(Vec::as_slice).collect();
        self.hands.settle_text(&mut Context { now, pool: other }, &lent, taken);
        self.lent.clear();
        assert!(!self.hands.is_lending());
    }

    fn read(&mut self, now: Instant, most: usize) {
        let count = self.reads.received_len().min(most);
        let ends = [&mut self.reads, &mut self.hands];
        for ((conn, pool), given) in ends.into_iter().zip(&mut self.pools).zip(&mut self.given) {
            give(given, conn.receive_slices(), count);
            conn.consume(&mut Context { now, pool }, count);
        }
    }

    fn compare(&mut self, what: &str) {
        let (mut reads, hands) = (self.reads.take_events(), self.hands.take_events());
        if self.hands.received_len() == 0 && !hands.contains(Events::READABLE) {
            reads.remove(Events::READABLE);
        }
        assert_eq!(reads, hands, "{what}");
        assert_eq!(digest(&self.reads), digest(&self.hands), "{what}");
    }

    /// What both send, which is the same.
    fn poll(&mut self, now: Instant) -> Vec<(TcpRepr, Vec<u8>)> {
        let [pool, other] = &mut self.pools;
        let mut out = Vec::new();
        loop {
            let segment = self.reads.poll_segment(&mut Context { now, pool });
            assert_eq!(segment, self.hands.poll_segment(&mut Context { now, pool: other }));
            let Some(segment) = segment else { return out };
            out.push((segment.header, self.reads.payload(&segment).flatten().copied().collect()));
        }
    }
}

impl Sender {
    fn send(&mut self, now: Instant, most: usize) {
        let bytes: Vec<u8> =
            (self.sent.len()..self.sent.len() + most).map(|i| (i * 31 % 251) as u8).collect();
        let count = self.conn.send(&mut Context { now, pool: &mut self.pool }, &bytes);
        self.sent.extend(&bytes[..count]);
    }

    fn poll(&mut self, now: Instant) -> Vec<(TcpRepr, Vec<u8>)> {
        let mut cx = Context { now, pool: &mut self.pool };
        let mut out = Vec::new();
        while let Some(segment) = self.conn.poll_segment(&mut cx) {
            out.push((segment.header, self.conn.payload(&segment).collect::<Vec<_>>().concat()));
        }
        out
    }
}

fn settings(bits: u64) -> Settings {
    Settings {
        mss: MSS,
        max_segment: if bits & 7 == 0 { MSS } else { 64_000 },
        timestamps: bits & 8 == 0,
        sack: bits & 16 == 0,
        nagle: false,
        delayed_ack: bits & 32 == 0,
        receive_buffer: [70_000, 300_000, 1 << 20][(bits >> 6) as usize % 3],
        receive_buffer_max: [0, 3 << 20][(bits >> 8) as usize % 2],
        send_buffer: 1 << 20,
        ..Settings::default()
    }
}

/// A conversation over a link that loses and repeats; how many segments were handed over.
fn converse(seed: u64) -> usize {
    let mut random = Random(seed);
    let (a, b) = (settings(random.next()), settings(random.next()));
    let badness = random.below(3) * 3;
    let mut now = Instant::from_millis(1);
    let mut sender = Sender {
        conn: Connection::connect(&a, tuple(), SeqNum::new(u32::MAX - 100_000), now),
        pool: ChunkPool::new(POOL),
        sent: Vec::new(),
    };
    let syn = sender.poll(now).pop().expect("a connecting side sends SYN").0;
    let mut twins = Twins::new(&b, &syn, now);
    for round in 0..120 {
        if sender.conn.state() == State::Established {
            sender.send(now, random.below(100_000) as usize);
        }
        if round == 110 {
            sender.conn.shutdown();
        }
        if twins.reads.state() == State::Established && random.below(4) == 0 {
            let [pool, other] = &mut twins.pools;
            twins.reads.send(&mut Context { now, pool }, &[7; 500]);
            twins.hands.send(&mut Context { now, pool: other }, &[7; 500]);
        }
        for (header, payload) in sender.poll(now) {
            let copies = if random.below(100) < badness { random.below(3) } else { 1 };
            for _ in 0..copies {
                twins.on_segment(now, &header, &payload, &mut random);
            }
        }
        twins.settle(now, &mut random);
        twins.compare(&std::format!("seed {seed}, round {round}"));
        if random.below(3) > 0 {
            twins.read(now, random.below(400_000) as usize);
        }
        for (header, payload) in twins.poll(now) {
            let mut cx = Context { now, pool: &mut sender.pool };
            let _ = sender.conn.handle_segment(&mut cx, &header, &payload, Ecn::NotCapable);
            let unread = sender.conn.received_len();
            sender.conn.consume(&mut cx, unread);
        }
        now += if random.below(10) == 0 {
            ms(random.below(300))
        } else {
            Duration::from_micros(random.below(900))
        };
        sender.conn.handle_timeout(&mut Context { now, pool: &mut sender.pool });
        let [pool, other] = &mut twins.pools;
        twins.reads.handle_timeout(&mut Context { now, pool });
        twins.hands.handle_timeout(&mut Context { now, pool: other });
    }
    twins.read(now, usize::MAX);
    let [read, handed] = &twins.given;
    assert!(read == handed, "seed {seed}");
    assert!(sender.sent.starts_with(handed), "seed {seed}");
    assert!(badness > 0 || handed.len() > 100_000, "seed {seed}: {} bytes", handed.len());
    twins.segments_lent
}

#[test]
fn what_was_handed_over_is_received_and_read() {
    let handed: usize = (0..40).map(converse).sum();
    assert!(handed > 500, "{handed} segments were");
}

/// What was counted as received is kept whatever the memory: where there is none it is not counted.
#[test]
fn nothing_is_counted_that_could_not_be_kept() {
    let now = Instant::from_millis(1);
    let settings = Settings { mss: 60_000, max_segment: 60_000, timestamps: false, ..Settings::default() };
    let mut sender = Connection::connect(&settings, tuple(), SeqNum::new(5), now);
    let mut pool = ChunkPool::new(3 * crate::buffer::CHUNK);
    let syn = sender.poll_segment(&mut Context { now, pool: &mut pool }).expect("a SYN").header;
    let mut conn = Connection::incoming(&settings, tuple().reversed(), SeqNum::new(77), &syn, now);
    conn.accept();
    let mut cx = Context { now, pool: &mut pool };
    let header = |conn: &Connection, flags| TcpRepr {
        seq: conn.rcv.rcv_nxt.value(),
        ack: conn.snd.snd_nxt.value(),
        flags,
        ..syn
    };
    assert!(conn.poll_segment(&mut cx).is_some());
    let plain = |header: TcpRepr| TcpRepr { options: Default::default(), ..header };
    let established = plain(header(&conn, TcpFlags::ACK));
    assert_eq!(conn.handle_segment(&mut cx, &established, &[], Ecn::NotCapable), Ok(()));
    let text: Vec<u8> = (0..50_000).map(|i| (i % 251) as u8).collect();
    let first = plain(header(&conn, TcpFlags::ACK));
    assert!(!conn.lend_segment(&mut cx, &first, &text, Ecn::NotCapable), "it takes four chunks");
    assert!(conn.lend_segment(&mut cx, &first, &text[..49_000], Ecn::NotCapable));
    let next = plain(header(&conn, TcpFlags::ACK));
    assert_eq!(next.seq, first.seq.wrapping_add(49_000));
    assert!(!conn.lend_segment(&mut cx, &next, &text[..3_000], Ecn::NotCapable), "so do both");
    assert!(cx.pool.take().is_none(), "the chunks are set aside");
    conn.settle_text(&mut cx, &[&text[..49_000]], 0);
    assert!(conn.receive_slices().flatten().eq(&text[..49_000]), "all of it is kept");
    conn.release(&mut pool);
    assert_eq!(pool.in_use(), 0);
}

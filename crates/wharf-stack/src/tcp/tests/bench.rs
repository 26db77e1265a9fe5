//! One connection on the bench: segments go in as the peer would send them, and what comes out is looked at.

use core::time::Duration;
use std::vec::Vec;

use wharf_table::{Addr, DropReason, Endpoint, Instant, Protocol, Tuple};
use wharf_wire::tcp::{SackBlocks, TcpFlags, TcpOptions, TcpRepr};

use crate::buffer::ChunkPool;
use crate::tcp::*;

pub(super) const FIN: TcpFlags = TcpFlags::FIN;
pub(super) const SYN: TcpFlags = TcpFlags::SYN;
pub(super) const RST: TcpFlags = TcpFlags::RST;
pub(super) const ACK: TcpFlags = TcpFlags::ACK;
pub(super) const URG: TcpFlags = TcpFlags::URG;
pub(super) const NONE: TcpFlags = TcpFlags::NONE;

/// Our initial sequence number, and the peer's. Both wrap soon.
pub(super) const ISS: u32 = u32::MAX - 5;
pub(super) const IRS: u32 = u32::MAX - 2_000;
/// The segment size of both sides.
pub(super) const MSS: u16 = 1_000;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn tuple() -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(Addr::v4([10, 0, 0, 1]), 4_000),
        remote: Endpoint::new(Addr::v4([10, 0, 0, 2]), 80),
    }
}

/// Without timestamps, scaling and Nagle, so that a table of segments shows what it is about.
pub(super) fn plain() -> Settings {
    Settings {
        mss: MSS,
        max_segment: MSS,
        nagle: false,
        timestamps: false,
        window_scale: false,
        ..Settings::default()
    }
}

/// One segment that came out.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) header: TcpRepr,
    pub(super) payload: Vec<u8>,
    pub(super) gso_size: Option<u16>,
    pub(super) ecn: Ecn,
}

impl Sent {
    /// Sequence number behind our ISS.
    pub(super) fn seq(&self) -> u32 {
        self.header.seq.wrapping_sub(ISS)
    }

    /// Acknowledgment behind the peer's ISS.
    pub(super) fn ack(&self) -> u32 {
        self.header.ack.wrapping_sub(IRS)
    }

    /// SACK blocks behind the peer's ISS.
    pub(super) fn blocks(&self) -> Vec<(u32, u32)> {
        let behind = |&(l, r): &(u32, u32)| (l.wrapping_sub(IRS), r.wrapping_sub(IRS));
        self.header.options.sack.as_slice().iter().map(behind).collect()
    }

    /// Where it lies: sequence number, payload length, flags.
    pub(super) fn shape(&self) -> (u32, usize, TcpFlags) {
        let flags = TcpFlags::from_bits(self.header.flags.bits() & !TcpFlags::PSH.bits());
        (self.seq(), self.payload.len(), flags)
    }
}

/// What the peer sends, relative to the initial sequence numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct In<'a> {
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) payload: &'a [u8],
    pub(super) options: TcpOptions,
}

/// A segment with these numbers and ACK, and a window of 60,000.
pub(super) fn ack(seq: u32, ack: u32) -> In<'static> {
    In { seq, ack, flags: ACK, window: 60_000, payload: &[], options: TcpOptions::default() }
}

impl<'a> In<'a> {
    pub(super) fn flags(self, flags: TcpFlags) -> In<'a> {
        In { flags, ..self }
    }

    pub(super) fn window(self, window: u16) -> In<'a> {
        In { window, ..self }
    }

    pub(super) fn data<'b>(self, payload: &'b [u8]) -> In<'b> {
        In { payload, ..self }
    }

    pub(super) fn timestamps(mut self, value: u32, echo: u32) -> In<'a> {
        self.options.timestamps = Some((value, echo));
        self
    }

    /// SACK blocks behind our ISS.
    pub(super) fn blocks(mut self, blocks: &[(u32, u32)]) -> In<'a> {
        self.options.sack = SackBlocks::EMPTY;
        for &(left, right) in blocks {
            assert!(self.options.sack.push(ISS.wrapping_add(left), ISS.wrapping_add(right)));
        }
        self
    }

    fn header(&self) -> TcpRepr {
        TcpRepr {
            src_port: 80,
            dst_port: 4_000,
            seq: IRS.wrapping_add(self.seq),
            ack: ISS.wrapping_add(self.ack),
            flags: self.flags,
            window: self.window,
            urgent: 0,
            options: self.options,
        }
    }
}

pub(super) struct Bench {
    pub(super) conn: Connection,
    pub(super) pool: ChunkPool,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn connecting(settings: &Settings) -> Bench {
        let now = Instant::from_millis(5_000);
        let conn = Connection::connect(settings, tuple(), SeqNum::new(ISS), now);
        Bench { conn, pool: ChunkPool::new(16 << 20), now }
    }

    /// The peer's SYN has come.
    pub(super) fn incoming(settings: &Settings, syn: In<'_>) -> Bench {
        let now = Instant::from_millis(5_000);
        let conn = Connection::incoming(settings, tuple(), SeqNum::new(ISS), &syn.header(), now);
        Bench { conn, pool: ChunkPool::new(16 << 20), now }
    }

    /// Established by our SYN, past the quick acknowledgments of the beginning, everything offered that `settings` has, the peer's windows not scaled.
    pub(super) fn established(settings: &Settings) -> Bench {
        Bench::established_after(settings, Duration::ZERO)
    }

    /// The same, with a SYN-ACK that took as long.
    pub(super) fn established_after(settings: &Settings, round_trip: Duration) -> Bench {
        let mut bench = Bench::connecting(settings);
        assert_eq!(bench.sent().len(), 1);
        bench.wait(round_trip);
        let options = TcpOptions {
            mss: Some(MSS),
            window_scale: settings.window_scale.then_some(0),
            sack_permitted: settings.sack,
            timestamps: settings.timestamps.then_some((1_000, 5_000)),
            ..TcpOptions::default()
        };
        bench.take(In { options, ..ack(0, 1) }.flags(SYN | ACK)).expect("a good SYN-ACK");
        assert_eq!(bench.conn.state(), State::Established);
        assert_eq!(bench.sent().len(), 1);
        bench.conn.take_events();
        bench.conn.delayed_ack = DelayedAck::settled(bench.now);
        bench
    }

    /// The same, and acknowledgments are still quick.
    pub(super) fn fresh(settings: &Settings) -> Bench {
        let mut bench = Bench::established(settings);
        bench.conn.delayed_ack = DelayedAck::default();
        bench
    }

    /// With default offers but no timestamps.
    pub(super) fn plain() -> Bench {
        Bench::established(&plain())
    }

    pub(super) fn plain_with_sack(sack: bool) -> Bench {
        Bench::established(&Settings { sack, ..plain() })
    }

    /// In this state, with nothing outstanding: ours is at 1 (2 with FIN), the peer's too.
    pub(super) fn in_state(state: State) -> Bench {
        let mut bench = Bench::plain();
        match state {
            State::SynSent => return Bench::connecting(&plain()),
            State::SynReceived => {
                let mut bench = Bench::incoming(&plain(), ack(0, 0).flags(SYN));
                bench.conn.accept();
                bench.sent();
                return bench;
            }
            State::Established => return bench,
            State::CloseWait | State::LastAck => {
                bench.take(ack(1, 1).flags(FIN | ACK)).expect("a FIN");
                bench.sent();
                if state == State::LastAck {
                    bench.conn.shutdown();
                }
            }
            _ => bench.conn.shutdown(),
        }
        bench.sent();
        match state {
            State::FinWait2 => bench.take(ack(1, 2)).expect("an ACK of the FIN"),
            State::Closing => bench.take(ack(1, 1).flags(FIN | ACK)).expect("a FIN"),
            State::TimeWait => bench.take(ack(1, 2).flags(FIN | ACK)).expect("a FIN"),
            State::Closed => bench.conn.abort(),
            _ => {}
        }
        bench.sent();
        bench.conn.take_events();
        assert_eq!(bench.conn.state(), state);
        bench
    }

    pub(super) fn cx(&mut self) -> (&mut Connection, Context<'_>) {
        (&mut self.conn, Context { now: self.now, pool: &mut self.pool })
    }

    /// The segment has come with this in its IP header.
    pub(super) fn take_with(&mut self, segment: In<'_>, ecn: Ecn) -> Result<(), DropReason> {
        let (conn, mut cx) = self.cx();
        conn.handle_segment(&mut cx, &segment.header(), segment.payload, ecn)
    }

    pub(super) fn take(&mut self, segment: In<'_>) -> Result<(), DropReason> {
        let (conn, mut cx) = self.cx();
        conn.handle_segment(&mut cx, &segment.header(), segment.payload, Ecn::NotCapable)
    }

    /// Everything that is to leave.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        let (conn, mut cx) = self.cx();
        while let Some(out) = conn.poll_segment(&mut cx) {
            let payload = conn.payload(&out).flatten().copied().collect();
            all.push(Sent { header: out.header, payload, gso_size: out.gso_size, ecn: out.ecn });
            assert!(all.len() < 10_000, "a connection falls silent");
        }
        all
    }

    pub(super) fn shapes(&mut self) -> Vec<(u32, usize, TcpFlags)> {
        self.sent().iter().map(Sent::shape).collect()
    }

    /// The one segment that is to leave.
    pub(super) fn one(&mut self) -> Sent {
        let mut all = self.sent();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    pub(super) fn silent(&mut self) {
        let all = self.sent();
        assert!(all.is_empty(), "{all:#?}");
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        let (conn, mut cx) = self.cx();
        assert_eq!(conn.send(&mut cx, bytes), bytes.len());
    }

    pub(super) fn consume(&mut self, count: usize) {
        let (conn, mut cx) = self.cx();
        conn.consume(&mut cx, count);
    }

    pub(super) fn received(&self) -> Vec<u8> {
        self.conn.receive_slices().flatten().copied().collect()
    }

    /// Time passes to the next time-out; how long that was.
    pub(super) fn expire(&mut self) -> Duration {
        let at = self.conn.poll_timeout().expect("a timer runs");
        let waited = at.since(self.now);
        self.now = self.now.max(at);
        let (conn, mut cx) = self.cx();
        conn.handle_timeout(&mut cx);
        waited
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now += span;
        let (conn, mut cx) = self.cx();
        conn.handle_timeout(&mut cx);
    }
}

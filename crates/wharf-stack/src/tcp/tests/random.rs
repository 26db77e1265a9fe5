//! Whatever comes: no panic, no byte that was not sent, no silence that lasts, no memory that stays.

use proptest::prelude::*;
use std::vec::Vec;
use wharf_wire::tcp::{SackBlocks, TcpFlags, TcpOptions};

use super::bench::*;
use crate::tcp::*;

/// What the peer's stream holds at a sequence number behind its ISS. Whoever reads anything else reads what was not sent.
fn stream(seq: u32) -> u8 {
    (seq.wrapping_mul(2_654_435_761) >> 24) as u8
}

#[derive(Clone, Debug)]
enum Step {
    Segment { seq: u32, ack: u32, flags: u8, window: u16, len: usize, options: Choices },
    Send(usize),
    Read(usize),
    Poll,
    Wait(u64),
    Expire,
    Shutdown,
    Close,
    Abort,
    PathMtu(u16),
    Unreachable,
}

#[derive(Clone, Debug)]
struct Choices {
    timestamps: Option<(u32, u32)>,
    blocks: Vec<(u32, u32)>,
    handshake: bool,
}

/// Numbers that mean something: near the start, near the edges, and anywhere.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0..20_000_u32,
        2 => 60_000..70_000_u32,
        1 => (0..5_000_u32).prop_map(|back| 0_u32.wrapping_sub(back)),
        1 => any::<u32>(),
    ]
}

fn choices() -> impl Strategy<Value = Choices> {
    let timestamps = prop::option::weighted(0.7, (0..4_000_u32, prop_oneof![4_900..9_000_u32, any::<u32>()]));
    (timestamps, prop::collection::vec((number(), number()), 0..4), any::<bool>())
        .prop_map(|(timestamps, blocks, handshake)| Choices { timestamps, blocks, handshake })
}

fn flags() -> impl Strategy<Value = u8> {
    prop_oneof![10 => Just(0x10_u8), 2 => Just(0x11), 2 => Just(0x12), 1 => Just(0x04), 1 => any::<u8>()]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (number(), number(), flags(), any::<u16>(), prop_oneof![0..2_000_usize, 0..70_000_usize], choices())
            .prop_map(|(seq, ack, flags, window, len, options)| Step::Segment { seq, ack, flags, window, len, options }),
        3 => (1..30_000_usize).prop_map(Step::Send),
        3 => (0..70_000_usize).prop_map(Step::Read),
        4 => Just(Step::Poll),
        2 => (0..3_000_u64).prop_map(Step::Wait),
        3 => Just(Step::Expire),
        1 => Just(Step::Shutdown),
        1 => prop_oneof![5 => Just(Step::PathMtu(900)), 1 => Just(Step::Close), 1 => Just(Step::Abort)],
        1 => prop_oneof![5 => any::<u16>().prop_map(Step::PathMtu), 1 => Just(Step::Unreachable)],
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<[bool; 6]>(), prop::sample::select([4_096_u32, 20_000, 65_535, 1 << 20].as_slice())).prop_map(
        |([timestamps, sack, window_scale, nagle, offload, reno], buffer)| Settings {
            mss: MSS,
            max_segment: if offload { MAX_OFFLOAD_SEGMENT } else { MSS },
            timestamps,
            sack,
            window_scale,
            nagle,
            receive_buffer: buffer,
            send_buffer: buffer,
            keepalive: reno.then(Keepalive::default),
            congestion: if reno { CongestionKind::NewReno } else { CongestionKind::Cubic },
            ..Settings::default()
        },
    )
}

/// Looks at each segment that leaves: nothing but what was queued, in segments of no more than their size.
struct Watch {
    sent: Vec<u8>,
    read: u32,
    buffer: usize,
}

impl Watch {
    fn segment(&mut self, sent: &Sent) {
        let from = sent.seq().wrapping_sub(1) as usize;
        if !sent.payload.is_empty() {
            assert_eq!(sent.payload, self.sent[from..from + sent.payload.len()]);
        }
        let limit = usize::from(sent.gso_size.unwrap_or(MSS));
        assert!(limit <= usize::from(MSS) && (sent.gso_size.is_some() || sent.payload.len() <= limit));
    }

    fn read(&mut self, bench: &mut Bench, count: usize) {
        let bytes = bench.received();
        assert!(bytes.len() <= self.buffer, "{} bytes in a buffer of {}", bytes.len(), self.buffer);
        for (byte, at) in bytes.iter().zip(self.read..) {
            assert_eq!(*byte, stream(at), "at {at}");
        }
        let count = count.min(bytes.len());
        self.read += count as u32;
        bench.consume(count);
    }
}

fn run(bench: &mut Bench, watch: &mut Watch, step: Step) {
    match step {
        Step::Segment { seq, ack: acked, flags, window, len, options } => {
            // The first byte of the stream stands at 1, behind the SYN.
            let first = seq.wrapping_sub(1);
            let payload: Vec<u8> = (0..len as u32).map(|at| stream(first.wrapping_add(at))).collect();
            let mut segment = ack(seq, acked).flags(TcpFlags::from_bits(flags)).window(window);
            segment.options = TcpOptions { timestamps: options.timestamps, ..TcpOptions::default() };
            if options.handshake {
                segment.options.mss = Some(MSS);
                segment.options.window_scale = Some(3);
                segment.options.sack_permitted = true;
            }
            for &(left, right) in &options.blocks {
                let (left, right) = (ISS.wrapping_add(left), ISS.wrapping_add(right));
                if segment.options.sack.len() < SackBlocks::MAX {
                    segment.options.sack.push(left, right);
                }
            }
            // A SYN takes the number of the first byte.
            let is_syn = segment.flags.contains(SYN);
            let _ = bench.take(if is_syn { segment.data(&[]) } else { segment.data(&payload) });
        }
        Step::Send(len) => {
            let bytes: Vec<u8> = (0..len).map(|at| ((watch.sent.len() + at) * 7 % 253) as u8).collect();
            let (conn, mut cx) = bench.cx();
            let queued = conn.send(&mut cx, &bytes);
            watch.sent.extend_from_slice(&bytes[..queued]);
        }
        Step::Read(count) => watch.read(bench, count),
        Step::Poll => bench.sent().iter().for_each(|sent| watch.segment(sent)),
        Step::Wait(millis) => bench.wait(ms(millis)),
        Step::Expire if bench.conn.poll_timeout().is_some() => drop(bench.expire()),
        Step::Expire => {}
        Step::Shutdown => bench.conn.shutdown(),
        Step::Close => bench.conn.close(),
        Step::Abort => bench.conn.abort(),
        Step::PathMtu(mtu) => bench.conn.handle_path_mtu(bench.now, mtu, bench.conn.snd.snd_una),
        Step::Unreachable => bench.conn.handle_soft_error(Unreachable::Network),
    }
}

/// After anything at all: what is there was sent, silence is reached, time brings the end, memory comes back.
fn finish(mut bench: Bench, mut watch: Watch) {
    watch.read(&mut bench, usize::MAX);
    bench.sent().iter().for_each(|sent| watch.segment(sent));
    bench.conn.close();
    let mut expiries = 0;
    loop {
        bench.sent().iter().for_each(|sent| watch.segment(sent));
        if bench.conn.is_closed() || bench.conn.poll_timeout().is_none() {
            break;
        }
        bench.expire();
        expiries += 1;
        assert!(expiries < 200, "a peer that is gone is given up");
    }
    let waits = bench.conn.state() == State::SynReceived;
    assert!(bench.conn.is_closed() || waits, "{} without a timer", bench.conn.state());
    let Bench { conn, mut pool, .. } = bench;
    conn.release(&mut pool);
    assert_eq!(pool.in_use(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_segments_do_no_harm(
        settings in settings(),
        start in 0..3,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut bench = match start {
            0 => Bench::connecting(&settings),
            1 => {
                let mut bench = Bench::incoming(&settings, ack(0, 0).flags(SYN).timestamps(5, 0));
                bench.conn.accept();
                bench
            }
            _ => Bench::established(&settings),
        };
        let mut watch = Watch { sent: Vec::new(), read: 0, buffer: settings.receive_buffer as usize };
        for step in steps {
            run(&mut bench, &mut watch, step);
        }
        finish(bench, watch);
    }
}

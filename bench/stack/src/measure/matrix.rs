//! How fast one flow is over a link that loses frames, in virtual time: loss against buffer, at 100 ms there and back.

use std::num::NonZeroU64;
use std::time::Duration;

use wharf_stack::link::{ImpairedLink, Impairment, Share};
use wharf_table::Instant;

use super::Effort;
use crate::host::{Congestion, Host, Setup};
use crate::pair::Pair;
use crate::report::{Better, Report, Section};
use crate::smol::Smol;
use crate::wharf::Wharf;
use crate::wire::Frame;

/// What this measures.
pub const SECTION: Section = Section {
    name: "matrix",
    title: "Throughput at 100 ms round trip, loss in both directions x buffer, virtual time",
    unit: "bytes/s",
    better: Better::More,
};

/// In millionths.
const LOSSES: [(u32, &str); 6] =
    [(0, "0 %"), (1_000, "0.1 %"), (10_000, "1 %"), (30_000, "3 %"), (100_000, "10 %"), (300_000, "30 %")];
const BUFFERS: [usize; 4] = [8 << 10, 64 << 10, 512 << 10, 4 << 20];
/// Bits a second: never the limit, but frames arrive one after the other, and a receiver can acknowledge each.
const RATE: NonZeroU64 = NonZeroU64::new(1_000_000_000).expect("not 0");
/// Frames that may wait for it: more than the largest buffer has.
const QUEUE: usize = 100_000;
const ONE_WAY: Duration = Duration::from_millis(50);
const CHUNK: usize = 64 << 10;

/// How much is sent, for how long, and how often with other losses.
#[derive(Clone, Copy)]
struct Story {
    bytes: usize,
    limit: Duration,
    seeds: u64,
}

const FULL: Story = Story { bytes: 64 << 20, limit: Duration::from_secs(300), seeds: 5 };
const QUICK: Story = Story { bytes: 8 << 20, limit: Duration::from_secs(60), seeds: 2 };

/// One transfer with its losses.
struct Transfer<H: Host> {
    pair: Pair<H>,
    near: H::Conn,
    far: H::Conn,
    there: ImpairedLink<Frame>,
    back: ImpairedLink<Frame>,
}

impl<H: Host> Transfer<H> {
    /// Established over a link that only delays, so that both ends know the round trip; then frames get lost.
    fn begin(setup: &Setup, loss: u32, seed: u64) -> Transfer<H> {
        let mut pair = Pair::<H>::new(setup);
        pair.server.listen(80, 1);
        let near = pair.client.connect(pair.now, 2_000, 80);
        let good = Impairment { delay: ONE_WAY, rate: Some(RATE), queue: QUEUE, ..Impairment::default() };
        let link = |direction: u64| ImpairedLink::new(good, seed << 1 | direction);
        let mut story = Transfer { pair, near, far: near, there: link(0), back: link(1) };
        story.far = loop {
            story.turn();
            if let Some(conn) = story.pair.server.accepted() {
                break conn;
            }
            story.wait();
        };
        while !story.pair.client.is_established(near) {
            story.wait();
            story.turn();
        }
        let bad = Impairment { loss: Share::from_ppm(loss), ..good };
        story.there.set_impairment(bad);
        story.back.set_impairment(bad);
        story
    }

    /// Everything that is due now, on both sides.
    fn turn(&mut self) {
        let Transfer { pair, there, back, .. } = self;
        loop {
            let now = pair.now;
            pair.client.step(now, &mut pair.near);
            pair.server.step(now, &mut pair.far);
            let busy = !pair.near.outbox.is_empty() || !pair.far.outbox.is_empty();
            // What the link loses is gone, and nobody is told.
            for frame in pair.near.outbox.drain(..) {
                let _ = there.push(now, frame);
            }
            for frame in pair.far.outbox.drain(..) {
                let _ = back.push(now, frame);
            }
            if !busy {
                return;
            }
        }
    }

    /// Lets time pass to what is due next, and brings what has arrived.
    fn wait(&mut self) {
        let Transfer { pair, there, back, .. } = self;
        let due =
            [there.poll_timeout(), back.poll_timeout(), pair.client.due(pair.now), pair.server.due(pair.now)];
        let next = due.into_iter().flatten().min().expect("something is due until the transfer is done");
        pair.now = next.max(pair.now + Duration::from_micros(1));
        while let Some(frame) = there.poll(pair.now) {
            pair.far.inbox.push_back(frame);
        }
        while let Some(frame) = back.poll(pair.now) {
            pair.near.inbox.push_back(frame);
        }
    }

    /// Lets the applications write and read until there is neither room nor data; how much was read.
    fn work(&mut self, chunk: &[u8], target: &mut [u8]) -> usize {
        let mut total = 0;
        loop {
            self.turn();
            let Transfer { pair, near, far, .. } = self;
            let sent = pair.client.send(pair.now, *near, chunk);
            let received = pair.server.receive(pair.now, *far, target);
            total += received;
            if sent == 0 && received == 0 {
                return total;
            }
        }
    }

    /// Bytes that arrived and the time that took.
    fn run(mut self, story: Story, chunk: &[u8], target: &mut [u8]) -> (usize, Duration) {
        let begin: Instant = self.pair.now;
        let mut received = 0;
        while received < story.bytes && self.pair.now.since(begin) < story.limit {
            received += self.work(chunk, target);
            self.wait();
        }
        (received, self.pair.now.since(begin))
    }
}

/// Bytes of virtual seconds, over all seeds.
fn rate<H: Host>(setup: &Setup, loss: u32, story: Story) -> f64 {
    let (chunk, mut target) = (vec![0x5a; CHUNK], vec![0; CHUNK]);
    let (mut bytes, mut seconds) = (0, 0.0);
    for seed in 1..=story.seeds {
        let (more, span) = Transfer::<H>::begin(setup, loss, seed).run(story, &chunk, &mut target);
        bytes += more;
        seconds += span.as_secs_f64();
    }
    bytes as f64 / seconds
}

/// Prints every row. Of smoltcp's two congestion controls the better one counts.
pub fn run(report: &mut Report, effort: Effort) {
    report.begin(SECTION);
    let story = if effort.quick { QUICK } else { FULL };
    for buffer in BUFFERS {
        for (loss, name) in LOSSES {
            let setup = Setup::buffers(buffer);
            let wharf = rate::<Wharf>(&setup, loss, story);
            let smoltcp = [Congestion::Cubic, Congestion::Reno]
                .map(|congestion| rate::<Smol>(&Setup { congestion, ..setup }, loss, story))
                .into_iter()
                .fold(0.0, f64::max);
            report.pair(SECTION, format!("buffer {} KiB, loss {name}", buffer >> 10), wharf, smoltcp);
        }
    }
}

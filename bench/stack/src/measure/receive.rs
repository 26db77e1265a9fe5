//! What a segment costs its receiver, beside connections on which nothing happens.

use std::time::{Duration, Instant as Clock};

use super::Effort;
use crate::host::{Host, Setup};
use crate::pair::Pair;
use crate::report::{Better, Report, Section};
use crate::smol::Smol;
use crate::wharf::Wharf;

/// What this measures.
pub const SECTION: Section = Section {
    name: "receive",
    title: "Receiver's time for a segment of one active flow",
    unit: "ns",
    better: Better::Less,
};

const CHUNK: usize = 16 << 10;

/// Nanoseconds of the receiver alone: it takes what came, its application reads, its ACKs leave.
fn nanos<H: Host>(idle: usize, effort: Effort) -> f64 {
    // Small buffers, of which smoltcp allocates all at once.
    let mut pair = Pair::<H>::new(&Setup::buffers(16 << 10));
    pair.crowd(idle, 80);
    pair.server.listen(9_999, 1);
    let (near, far) = pair.establish(1_000, 9_999);
    let (source, mut target) = (vec![0x5a; CHUNK], vec![0; CHUNK]);
    let (begin, mut costs) = (Clock::now(), Vec::new());
    while begin.elapsed() < effort.round || costs.len() < 100 {
        pair.client.send(pair.now, near, &source);
        pair.client_turn();
        let came = pair.far.inbox.len();
        let start = Clock::now();
        pair.server_turn();
        while pair.server.receive(pair.now, far, &mut target) > 0 {}
        if came > 0 {
            costs.push((start.elapsed().as_nanos() as f64, came as f64));
        }
        pair.now += Duration::from_micros(10);
    }
    // A turn in which something else ran does not count. The others have few segments or many, so it is their sums that tell.
    let each = |&(nanos, came): &(f64, f64)| nanos / came;
    costs.sort_by(|a, b| each(a).total_cmp(&each(b)));
    costs.truncate(costs.len() - costs.len() / 20);
    let sum = |of: fn(&(f64, f64)) -> f64| costs.iter().map(of).sum::<f64>();
    sum(|&(nanos, _)| nanos) / sum(|&(_, came)| came)
}

/// Prints every row.
pub fn run(report: &mut Report, effort: Effort) {
    report.begin(SECTION);
    for idle in [10, 1_000, 10_000] {
        let (wharf, smoltcp) = effort.least(|| nanos::<Wharf>(idle, effort), || nanos::<Smol>(idle, effort));
        report.pair(SECTION, format!("{idle} idle sockets"), wharf, smoltcp);
    }
}

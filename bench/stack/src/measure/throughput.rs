//! How fast one flow is in memory: from the sender's buffer to the receiver's, both stacks on one core.

use super::Effort;
use crate::host::{Host, Offload, Setup};
use crate::pair::Pair;
use crate::report::{Better, Report, Section};
use crate::smol::Smol;
use crate::wharf::Wharf;

/// What this measures.
pub const SECTION: Section = Section {
    name: "throughput",
    title: "Throughput of one flow in memory",
    unit: "Gbit/s",
    better: Better::More,
};

/// Bytes that the application gives or takes at a time.
const CHUNK: usize = 64 << 10;

fn seconds_a_byte<H: Host>(setup: &Setup, effort: Effort) -> f64 {
    let mut pair = Pair::<H>::new(setup);
    pair.server.listen(80, 1);
    let (near, far) = pair.establish(2_000, 80);
    let (source, mut target) = (vec![0x5a; CHUNK], vec![0; CHUNK]);
    let mut turn = move || {
        while pair.client.send(pair.now, near, &source) == CHUNK {}
        pair.turn();
        let mut received = 0;
        loop {
            let count = pair.server.receive(pair.now, far, &mut target);
            received += count;
            if count == 0 {
                break received;
            }
        }
    };
    // Slow start is not what is measured.
    (0..1_000).for_each(|_| {
        turn();
    });
    effort.seconds_each(|| (0..100).map(|_| turn()).sum())
}

/// Prints every row.
pub fn run(report: &mut Report, effort: Effort) {
    report.begin(SECTION);
    let rows = [
        (Offload::Nothing, "1,500-byte frames, checksums"),
        (Offload::Segments, "64 KiB segments, offloads"),
    ];
    for (offload, what) in rows {
        for buffer in [256 << 10, 1 << 20] {
            let setup = Setup { offload, ..Setup::buffers(buffer) };
            let (wharf, smoltcp) = effort
                .least(|| seconds_a_byte::<Wharf>(&setup, effort), || seconds_a_byte::<Smol>(&setup, effort));
            let gbit = |seconds: f64| 8.0 / seconds / 1e9;
            report.pair(SECTION, format!("{what}, buffer {} KiB", buffer >> 10), gbit(wharf), gbit(smoltcp));
        }
    }
}

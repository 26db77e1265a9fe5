//! Round trips of one byte a second, both stacks on one core.

use super::Effort;
use crate::host::{Host, Setup};
use crate::pair::Pair;
use crate::report::{Better, Report, Section};
use crate::smol::Smol;
use crate::wharf::Wharf;

/// What this measures.
pub const SECTION: Section = Section {
    name: "round-trips",
    title: "Round trips of one byte in memory, a second",
    unit: "1/s",
    better: Better::More,
};

fn seconds_each<H: Host>(existing: usize, effort: Effort) -> f64 {
    let mut pair = Pair::<H>::new(&Setup::buffers(4_096));
    pair.crowd(existing, 80);
    pair.server.listen(9_999, 1);
    let (near, far) = pair.establish(1_000, 9_999);
    let mut byte = [7];
    let mut trip = move || {
        assert_eq!(pair.client.send(pair.now, near, &byte), 1);
        pair.turn();
        while pair.server.receive(pair.now, far, &mut byte) == 0 {
            pair.turn();
        }
        assert_eq!(pair.server.send(pair.now, far, &byte), 1);
        pair.server_turn();
        pair.client_turn();
        while pair.client.receive(pair.now, near, &mut byte) == 0 {
            pair.turn();
        }
    };
    trip();
    effort.seconds_each(|| {
        (0..10).for_each(|_| trip());
        10
    })
}

/// Prints every row.
pub fn run(report: &mut Report, effort: Effort) {
    report.begin(SECTION);
    for existing in [0, 1_000, 10_000] {
        let (wharf, smoltcp) = effort
            .least(|| seconds_each::<Wharf>(existing, effort), || seconds_each::<Smol>(existing, effort));
        report.pair(SECTION, format!("{existing} other sockets"), 1.0 / wharf, 1.0 / smoltcp);
    }
}

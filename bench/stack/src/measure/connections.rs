//! Connections set up and torn down a second, beside others on which nothing happens.

use super::Effort;
use crate::host::{Host, Setup};
use crate::pair::Pair;
use crate::report::{Better, Report, Section};
use crate::smol::Smol;
use crate::wharf::Wharf;

/// What this measures.
pub const SECTION: Section = Section {
    name: "connections",
    title: "Connections set up and torn down, both ends, a second",
    unit: "1/s",
    better: Better::More,
};

/// How many are opened at a time.
const BATCH: usize = 32;
/// Where their source ports begin: IANA's dynamic ports.
const FIRST: u16 = 49_152;
const PORT: u16 = 9_999;
/// By how much the clock goes on for each connection, so that TIME-WAIT never holds all ports of the range.
const PACE_US: u64 = 8_000;

/// Opens and closes a batch, first by the client.
fn come_and_go<H: Host>(pair: &mut Pair<H>, next: &mut u16) -> usize {
    let sources: Vec<u16> = (0..BATCH).map(|_| take_port(next)).collect();
    if !H::LISTENS_ONCE {
        pair.server.listen(PORT, BATCH);
    }
    let all = pair.establish_all(&sources, PORT);
    for &(near, _) in &all {
        pair.client.close(pair.now, near);
    }
    let mut open: Vec<H::Conn> = all.iter().map(|&(_, far)| far).collect();
    while !open.is_empty() {
        pair.turn();
        open.retain(|&far| {
            let ended = pair.server.has_ended(far);
            if ended {
                pair.server.close(pair.now, far);
            }
            !ended
        });
    }
    pair.turns(2);
    pair.now += std::time::Duration::from_micros(PACE_US * BATCH as u64);
    BATCH
}

fn take_port(next: &mut u16) -> u16 {
    let port = *next;
    *next = port.checked_add(1).unwrap_or(FIRST);
    port
}

fn rate<H: Host>(existing: usize, effort: Effort) -> f64 {
    let mut pair = Pair::<H>::new(&Setup::buffers(4_096));
    if H::LISTENS_ONCE {
        pair.server.listen(PORT, 1);
    }
    pair.crowd(existing, 80);
    let mut next = FIRST;
    come_and_go(&mut pair, &mut next);
    1.0 / effort.seconds_each(|| come_and_go(&mut pair, &mut next))
}

/// Prints every row.
pub fn run(report: &mut Report, effort: Effort) {
    report.begin(SECTION);
    for existing in [1, 1_000, 10_000] {
        let (wharf, smoltcp) =
            effort.least(|| 1.0 / rate::<Wharf>(existing, effort), || 1.0 / rate::<Smol>(existing, effort));
        report.pair(SECTION, format!("{existing} sockets exist"), 1.0 / wharf, 1.0 / smoltcp);
    }
}

//! How long a look-up in the port table takes, by the number of flows.

use std::hint::black_box;

use wharf_stack::random::Random;
use wharf_table::{Addr, Endpoint, Far, Found, HashKey, Instant, Origin, Protocol, Silent, Table, Tuple};

use super::{Effort, processor_time};
use crate::report::{Better, Report, Section};

/// What this measures.
pub const SECTION: Section = Section {
    name: "look-up",
    title: "Look-up of a flow in the port table",
    unit: "ns",
    better: Better::Less,
};
const RATIO: Section = Section {
    name: "look-up-growth",
    title: "Look-up with 10M flows against one with 10k",
    unit: "times",
    better: Better::Less,
};

const BATCHES: [usize; 2] = [32, 64];
/// The rows whose quotient is the growth.
const SMALL: u32 = 10_000;
const LARGE: u32 = 10_000_000;

/// The tuple of the flow with this number: clients of one listener.
fn tuple(number: u32) -> Tuple {
    let [_, a, b, c] = (number >> 10).to_be_bytes();
    Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80),
        remote: Endpoint::new(Addr::v4([10, a, b, c]), 1_024 + (number % 1_024) as u16),
    }
}

/// Every flow is there, and each is asked for at random.
fn fill(flows: u32) -> Table {
    let mut table = Table::new(HashKey::new(*b"no secret needed"));
    table.set_max_flows(flows);
    for number in 0..flows {
        table
            .open(tuple(number), Far::Application(number), Origin::Transit, Instant::ZERO)
            .expect("tuples differ");
    }
    table
}

/// Nanoseconds of each look-up.
fn nanos(asked: &[Tuple], look_up: impl FnOnce(&[Tuple])) -> f64 {
    let start = processor_time();
    look_up(asked);
    (processor_time() - start).as_nanos() as f64 / asked.len() as f64
}

fn one_by_one(table: &Table, asked: &[Tuple]) {
    for tuple in asked {
        assert_ne!(table.find(tuple, &mut Silent), Found::Nothing);
    }
}

fn in_batches(table: &Table, asked: &[Tuple], size: usize) {
    let mut found = [Found::Nothing; 64];
    for tuples in asked.chunks(size) {
        table.find_batch(tuples, &mut found[..size]);
        black_box(&found);
    }
}

/// Prints every row.
pub fn run(report: &mut Report, effort: Effort) {
    report.begin(SECTION);
    let sizes: &[u32] = if effort.quick {
        &[1_000, SMALL, 100_000, 1_000_000]
    } else {
        &[1_000, SMALL, 100_000, 1_000_000, LARGE]
    };
    for &flows in sizes {
        let table = fill(flows);
        let mut random = Random::new(u64::from(flows));
        let count = if effort.quick { 1 << 18 } else { 1 << 20 };
        let asked: Vec<Tuple> = (0..count).map(|_| tuple(random.below(u64::from(flows)) as u32)).collect();
        let best = |look_up: &dyn Fn(&[Tuple])| {
            (0..effort.rounds).map(|_| nanos(&asked, look_up)).fold(f64::INFINITY, f64::min)
        };
        report.alone(SECTION, format!("{flows} flows, one by one"), best(&|asked| one_by_one(&table, asked)));
        for size in BATCHES {
            let cost = best(&|asked| in_batches(&table, asked, size));
            report.alone(SECTION, format!("{flows} flows, in batches of {size}"), cost);
        }
    }
    growth(report);
}

/// How much dearer the largest table is than the small one.
fn growth(report: &mut Report) {
    let how = |size: usize| format!("in batches of {size}");
    let ways = [("one by one".to_owned(), "one by one".to_owned())]
        .into_iter()
        .chain(BATCHES.map(|size| (how(size), how(size))));
    let rows: Vec<(String, f64)> = ways
        .filter_map(|(case, way)| {
            let cost = |flows: u32| report.wharf(SECTION, &format!("{flows} flows, {way}"));
            Some((case, cost(LARGE)? / cost(SMALL)?))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    report.begin(RATIO);
    for (case, ratio) in rows {
        report.alone(RATIO, case, ratio);
    }
}

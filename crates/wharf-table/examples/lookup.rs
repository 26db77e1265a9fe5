//! What the port table costs, as one JSON object: nanoseconds of a look-up one by one and in batches by the number of
//! flows, of a choice of an ephemeral port in an empty and in a nearly full range, and bytes of a row of each kind.
//!
//! `cargo run --release -p wharf-table --example lookup [largest number of flows]`

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};
use wharf_table::{
    Addr, BindingId, Claim, Endpoint, Far, Found, HashKey, Instant, Origin, Port, PortRange, Protocol,
    Silent, Table, Tuple,
};

const BATCH: usize = 64;
const ASKED: usize = 1 << 20;
const ROUNDS: usize = 5;

/// The tuple of the flow with this number: clients of one listener.
fn tuple(number: u32) -> Tuple {
    let [_, a, b, c] = (number >> 10).to_be_bytes();
    Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80),
        remote: Endpoint::new(Addr::v4([10, a, b, c]), 1024 + (number % 1024) as u16),
    }
}

/// Nanoseconds that this thread has run: what others do at the same time counts only through the caches.
fn clock() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// The least nanoseconds of an operation over some rounds.
fn nanos(count: usize, mut run: impl FnMut()) -> f64 {
    let once = |run: &mut dyn FnMut()| {
        let start = clock();
        run();
        (clock() - start) / count as f64
    };
    (0..ROUNDS).map(|_| once(&mut run)).fold(f64::INFINITY, f64::min)
}

fn server() -> (Table, BindingId) {
    let mut table = Table::new(HashKey::new(*b"no secret needed"));
    let claim = Claim::new(Protocol::Tcp, None, Port::new(80), 0);
    let id = table.bind(&claim).expect("the table is empty");
    table.listen(id).expect("nobody else listens");
    (table, id)
}

fn look_ups(flows: u32) -> String {
    let (mut table, listener) = server();
    table.set_max_flows(flows);
    let start = clock();
    for number in 0..flows {
        let opened =
            table.open(tuple(number), Far::Application(number), Origin::Child(listener), Instant::ZERO);
        opened.expect("tuples differ");
    }
    let open = (clock() - start) / f64::from(flows);
    let mut state = 1u32;
    let asked: Vec<Tuple> = (0..ASKED)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            tuple(((u64::from(state) * u64::from(flows)) >> 32) as u32)
        })
        .collect();
    let single = nanos(ASKED, || {
        for tuple in &asked {
            assert!(matches!(table.find(tuple, &mut Silent), Found::Flow(_)));
        }
    });
    let mut found = [Found::Nothing; BATCH];
    let batch = nanos(ASKED, || {
        for tuples in asked.chunks(BATCH) {
            table.find_batch(tuples, &mut found);
            black_box(&found);
        }
    });
    format!(
        "{{\"flows\": {flows}, \"open_ns\": {open:.1}, \"single_ns\": {single:.1}, \"batch_ns\": {batch:.1}}}"
    )
}

fn choices() -> String {
    let mut table = Table::new(HashKey::new(*b"no secret needed"));
    let local = Addr::v4([10, 0, 2, 100]);
    let remote = Endpoint::new(Addr::v4([192, 0, 2, 1]), 443);
    let range = PortRange::DYNAMIC;
    let cost = |table: &mut Table| {
        nanos(20_000, || {
            for _ in 0..20_000 {
                black_box(table.choose_to_open(Protocol::Tcp, local, remote, range));
            }
        })
    };
    let empty = cost(&mut table);
    let mut flows = Vec::new();
    while let Some(port) = table.choose_to_open(Protocol::Tcp, local, remote, range) {
        let tuple = Tuple { protocol: Protocol::Tcp, local: Endpoint::new(local, port.number()), remote };
        let opened = table.open(tuple, Far::Application(0), Origin::IMPLICIT, Instant::ZERO);
        flows.push(opened.expect("the port is free"));
    }
    let full = cost(&mut table);
    for id in flows.iter().step_by(1000) {
        table.close(*id);
    }
    let nearly = cost(&mut table);
    format!("{{\"empty_ns\": {empty:.1}, \"nearly_full_ns\": {nearly:.1}, \"full_ns\": {full:.1}}}")
}

fn main() {
    let largest = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let sizes = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let rows: Vec<String> = sizes.into_iter().filter(|&flows| flows <= largest).map(look_ups).collect();
    println!("{{\"look_ups\": [{}],", rows.join(",\n  "));
    println!(" \"ephemeral\": {}}}", choices());
}

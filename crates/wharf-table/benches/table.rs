//! What the table costs: `cargo bench -p wharf-table`. Prints nanoseconds an operation, and bytes a flow.

use std::hint::black_box;
use std::time::Instant as Clock;

use wharf_table::{
    Addr, Endpoint, Far, Found, HashKey, Instant, Origin, PortRange, Protocol, Silent, Table, Tuple, registry,
};

const KEY: HashKey = HashKey::new(*b"no secret needed");
const BATCH: usize = 32;

/// The tuple of the flow with this number: clients of one listener.
fn tuple(number: u32) -> Tuple {
    let [_, a, b, c] = (number >> 10).to_be_bytes();
    Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80),
        remote: Endpoint::new(Addr::v4([10, a, b, c]), 1024 + (number % 1024) as u16),
    }
}

/// Nanoseconds for each of `count` operations.
fn nanos(count: usize, run: impl FnOnce()) -> f64 {
    let start = Clock::now();
    run();
    start.elapsed().as_nanos() as f64 / count as f64
}

fn report(what: &str, nanos: f64) {
    println!("{what:44} {nanos:8.1} ns");
}

fn hashes() {
    let tuples: Vec<Tuple> = (0..1024).map(tuple).collect();
    let mut sum = 0;
    let cost = nanos(1024 * 2000, || {
        for tuple in (0..2000).flat_map(|_| &tuples) {
            sum ^= KEY.hash_tuple(black_box(tuple));
        }
    });
    black_box(sum);
    report("hash of a tuple", cost);
}

fn look_ups(flows: u32) {
    let mut table = Table::new(KEY);
    table.set_max_flows(flows);
    let cost = nanos(flows as usize, || {
        for number in 0..flows {
            table
                .open(tuple(number), Far::Application(number), Origin::Transit, Instant::ZERO)
                .expect("tuples differ");
        }
    });
    report(&format!("open, up to {flows} flows"), cost);
    let mut state = 1u32;
    let asked: Vec<Tuple> = (0..1 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            tuple(((u64::from(state) * u64::from(flows)) >> 32) as u32)
        })
        .collect();
    let cost = nanos(asked.len(), || {
        for tuple in &asked {
            assert_ne!(table.find(tuple, &mut Silent), Found::Nothing);
        }
    });
    report(&format!("find, one by one, {flows} flows"), cost);
    let mut found = [Found::Nothing; BATCH];
    let cost = nanos(asked.len(), || {
        for tuples in asked.chunks(BATCH) {
            table.find_batch(tuples, &mut found);
            black_box(&found);
        }
    });
    report(&format!("find, batches of {BATCH}, {flows} flows"), cost);
}

fn ephemeral_ports() {
    let local = Addr::v4([10, 0, 2, 100]);
    let remote = Endpoint::new(Addr::v4([192, 0, 2, 1]), 443);
    let mut table = Table::new(KEY);
    let choose = |table: &mut Table, what: &str, rounds: usize| {
        let cost = nanos(rounds, || {
            for _ in 0..rounds {
                black_box(table.choose_to_open(Protocol::Tcp, local, remote, PortRange::DYNAMIC));
            }
        });
        report(what, cost);
    };
    choose(&mut table, "ephemeral port, range empty", 100_000);
    for port in PortRange::DYNAMIC.iter().filter(|port| port.number() % 1000 != 0) {
        let local = Endpoint { addr: local, port: port.number() };
        let tuple = Tuple { protocol: Protocol::Tcp, local, remote };
        table.open(tuple, Far::Application(0), Origin::IMPLICIT, Instant::ZERO).expect("tuples differ");
    }
    choose(&mut table, "ephemeral port, range 99.9 % full", 1000);
}

fn names() {
    let port = wharf_table::Port::new(8883).expect("not 0");
    report(
        "registry: name of a port",
        nanos(10_000, || {
            for _ in 0..10_000 {
                black_box(registry::name(black_box(port), Protocol::Tcp));
            }
        }),
    );
    report(
        "registry: port of a name",
        nanos(10_000, || {
            for _ in 0..10_000 {
                black_box(registry::service(black_box("secure-mqtt"), Protocol::Tcp));
            }
        }),
    );
}

fn main() {
    hashes();
    for flows in [1_000, 100_000, 1_000_000] {
        look_ups(flows);
    }
    ephemeral_ports();
    names();
    println!("{:44} {:8} bytes", "a flow, without its index", size_of::<wharf_table::Flow>());
}

//! Ephemeral ports: the algorithms of RFC 6056, section 3.3, and what is never chosen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::HashSet;

use wharf_table::{
    Addr, Claim, Endpoint, EphemeralAlgorithm, Far, FlowId, HashKey, Instant, OpenError, Origin, Port,
    PortRange, Protocol, Table, Tuple, WaitingPayload,
};

const LOCAL: Addr = Addr::v4([10, 0, 2, 100]);
const ALL: [EphemeralAlgorithm; 5] = [
    EphemeralAlgorithm::SimpleRandom,
    EphemeralAlgorithm::AnotherRandom,
    EphemeralAlgorithm::SimpleHash,
    EphemeralAlgorithm::DoubleHash,
    EphemeralAlgorithm::RandomIncrements,
];

fn table(algorithm: EphemeralAlgorithm, key: u8) -> Table {
    let mut table = Table::new(HashKey::new([key; 16]));
    table.set_ephemeral_algorithm(algorithm);
    table
}

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(Port::new(first).unwrap(), Port::new(last).unwrap()).unwrap()
}

fn server(host: u16) -> Endpoint {
    let [a, b] = host.to_be_bytes();
    Endpoint::new(Addr::v4([198, 18, a, b]), 443)
}

fn choose(table: &mut Table, remote: Endpoint, range: PortRange) -> Option<u16> {
    table.choose_to_open(Protocol::Tcp, LOCAL, remote, range).map(Port::number)
}

fn open(table: &mut Table, port: u16, remote: Endpoint) -> FlowId {
    let tuple = Tuple { protocol: Protocol::Tcp, local: Endpoint::new(LOCAL, port), remote };
    table.open(tuple, Far::Application(0), Origin::IMPLICIT, Instant::ZERO).unwrap()
}

#[test]
fn every_algorithm_gives_one_destination_each_port_once_and_then_none() {
    for algorithm in ALL {
        let mut table = table(algorithm, 1);
        let range = range(50_000, 50_999);
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let port = choose(&mut table, server(1), range).unwrap();
            assert!((50_000..51_000).contains(&port) && seen.insert(port), "{algorithm:?}");
            open(&mut table, port, server(1));
        }
        assert_eq!(choose(&mut table, server(1), range), None, "{algorithm:?}");
        assert!(choose(&mut table, server(2), range).is_some(), "others still connect");
        let udp = table.choose_to_open(Protocol::Udp, LOCAL, server(1), range);
        assert!(udp.is_some(), "{algorithm:?}");
    }
}

#[test]
fn the_last_free_ports_are_found_and_given_back_ports_again() {
    for algorithm in ALL {
        let mut table = table(algorithm, 3);
        let mut flows = Vec::new();
        while let Some(port) = choose(&mut table, server(1), PortRange::LINUX) {
            flows.push((port, open(&mut table, port, server(1))));
        }
        assert_eq!(flows.len(), usize::from(PortRange::LINUX.count()));
        let freed: Vec<u16> = flows
            .iter()
            .step_by(9_999)
            .map(|&(port, id)| {
                table.close(id).unwrap();
                port
            })
            .collect();
        let mut found = Vec::new();
        while let Some(port) = choose(&mut table, server(1), PortRange::LINUX) {
            open(&mut table, port, server(1));
            found.push(port);
        }
        assert_eq!(found.len(), freed.len());
        assert!(found.iter().all(|port| freed.contains(port)), "{algorithm:?}");
    }
}

/// RFC 6056, section 3.3.1 and section 3.3.2: nothing follows from a port for the next.
#[test]
fn random_ports_are_independent_of_each_other() {
    for algorithm in [EphemeralAlgorithm::SimpleRandom, EphemeralAlgorithm::AnotherRandom] {
        let mut table = table(algorithm, 4);
        let mut next = || choose(&mut table, server(1), PortRange::DYNAMIC).unwrap();
        let ports: Vec<u16> = (0..10_000).map(|_| next()).collect();
        let near = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 164).count();
        // Two of 16,384 are within 163 of each other in 2 % of draws.
        assert!((140..260).contains(&near), "{algorithm:?}: {near}");
    }
}

/// RFC 6056, section 3.3.3: ports to one destination follow each other, with a counter that all share.
#[test]
fn simple_hash_counts_for_all_destinations_together() {
    let mut table = table(EphemeralAlgorithm::SimpleHash, 5);
    let whole = range(1, 65_535);
    let mut next = |host| choose(&mut table, server(host), whole).unwrap();
    let (first, second) = (next(1), next(1));
    assert_eq!(u32::from(second), u32::from(first) % 65_535 + 1);
    next(2);
    assert_eq!(u32::from(next(1)), (u32::from(second) + 1) % 65_535 + 1);
}

/// RFC 6056, section 3.3.4: ports to one destination follow each other, whatever goes elsewhere.
#[test]
fn double_hash_counts_for_each_destination() {
    let mut table = table(EphemeralAlgorithm::DoubleHash, 6);
    let whole = range(1, 65_535);
    let mut seen = HashSet::new();
    let mut last = None;
    let mut apart = 0;
    for _ in 0..65_535 {
        let port = choose(&mut table, server(1), whole).unwrap();
        apart += usize::from(last.is_some_and(|last: u16| u32::from(port) != u32::from(last) % 65_535 + 1));
        last = Some(port);
        seen.insert(port);
    }
    assert_eq!((seen.len(), apart), (65_535, 0));
    for host in 2..40 {
        choose(&mut table, server(host), whole);
    }
    let next = choose(&mut table, server(1), whole).unwrap();
    assert!(next.wrapping_sub(last.unwrap()) < 4, "few destinations share a counter");
}

/// RFC 6056, section 3.3.5: each port a random distance of at most N behind the last.
#[test]
fn random_increments_stay_within_their_bound() {
    let mut table = table(EphemeralAlgorithm::RandomIncrements, 7);
    let whole = range(1, 65_535);
    let ports: Vec<u16> = (0..5_000).map(|host| choose(&mut table, server(host), whole).unwrap()).collect();
    let distance = |pair: &[u16]| (u32::from(pair[1]) + 65_535 - u32::from(pair[0])) % 65_535;
    let distances: Vec<u32> = ports.windows(2).map(distance).collect();
    assert!(distances.iter().all(|distance| (1..=500).contains(distance)));
    let mean = distances.iter().sum::<u32>() / distances.len() as u32;
    assert!((235..266).contains(&mean), "{mean}");
}

/// Pearson's chi-squared over 64 buckets of the first port to each of many destinations.
#[test]
fn first_ports_are_spread_evenly() {
    for algorithm in ALL {
        let mut table = table(algorithm, 9);
        let mut buckets = [0f64; 64];
        for host in 0..12_800 {
            let port = choose(&mut table, server(host), PortRange::DYNAMIC).unwrap();
            buckets[usize::from(port - 49_152) / 256] += 1.0;
        }
        let chi: f64 = buckets.iter().map(|count| (count - 200.0) * (count - 200.0) / 200.0).sum();
        // 63 degrees of freedom: 120 is exceeded by chance once in 50,000 draws, and these draws are fixed.
        assert!(chi < 120.0, "{algorithm:?}: {chi}");
    }
}

#[test]
fn bound_and_reserved_ports_and_the_remote_end_itself_are_passed_over() {
    for algorithm in ALL {
        let mut table = table(algorithm, 5);
        table.bind(&Claim::new(Protocol::Tcp, None, Port::new(50_000), 0)).unwrap();
        let elsewhere = Addr::v4([127, 0, 0, 9]);
        table.bind(&Claim::new(Protocol::Tcp, Some(elsewhere), Port::new(50_001), 0)).unwrap();
        table.set_reserved_ports([range(50_002, 50_010), range(60_000, 60_000)]);
        let itself = Endpoint::new(LOCAL, 50_011);
        for _ in 0..20 {
            assert_eq!(choose(&mut table, itself, range(50_000, 50_012)), Some(50_012));
        }
        assert_eq!(choose(&mut table, itself, range(50_000, 50_011)), None);
        table.set_ephemeral_range(range(60_000, 60_001));
        let chosen = table.bind(&Claim::new(Protocol::Udp, None, None, 0)).unwrap();
        assert_eq!(table.binding(chosen).unwrap().port().number(), 60_001);
        let reserved = Claim::new(Protocol::Udp, None, Port::new(60_000), 0);
        assert!(table.bind(&reserved).is_ok(), "a reserved port can be bound by name");
    }
}

#[test]
fn a_tuple_in_time_wait_is_used_again_only_where_rfc_6191_allows_it() {
    let mut table = table(EphemeralAlgorithm::DoubleHash, 5);
    let two = range(50_000, 50_001);
    for (port, ts_recent) in [(50_000, 1), (50_001, 2)] {
        let flow = open(&mut table, port, server(1));
        let payload = WaitingPayload { ts_recent, ..WaitingPayload::default() };
        table.to_waiting(flow, payload, Instant::from_millis(60_000)).unwrap();
    }
    assert_eq!(choose(&mut table, server(1), two), None);
    let allowed = |waiting: &wharf_table::Waiting| waiting.payload.ts_recent == 2;
    let chosen = table.choose_to_open_over(Protocol::Tcp, LOCAL, server(1), two, allowed).unwrap();
    assert_eq!(chosen.port.number(), 50_001);
    let tuple = Tuple { protocol: Protocol::Tcp, local: Endpoint::new(LOCAL, 50_001), remote: server(1) };
    let again = |table: &mut Table| table.open(tuple, Far::Application(0), Origin::IMPLICIT, Instant::ZERO);
    assert!(matches!(again(&mut table), Err(OpenError::InUse { .. })));
    assert_eq!(table.close_waiting(chosen.over.unwrap()).unwrap().tuple, tuple);
    assert!(again(&mut table).is_ok());
    assert_eq!(table.expire_waiting(Instant::from_millis(60_000)), 1);
    assert_eq!(choose(&mut table, server(1), two), Some(50_000));
}

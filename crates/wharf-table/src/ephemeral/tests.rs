use std::collections::HashSet;
use std::vec::Vec;

use super::*;
use crate::flow::Far;
use crate::time::Instant;

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(Port::new(first).unwrap(), Port::new(last).unwrap()).unwrap()
}

fn key(byte: u8) -> HashKey {
    HashKey::new([byte; 16])
}

const LOCAL: Addr = Addr::v4([10, 0, 2, 100]);

fn server(host: u8) -> Endpoint {
    Endpoint::new(Addr::v4([192, 0, 2, host]), 443)
}

fn open(table: &mut Table, port: Port, remote: Endpoint) {
    let tuple =
        Tuple { protocol: Protocol::Tcp, local: Endpoint { addr: LOCAL, port: port.number() }, remote };
    table.open(tuple, Far::Application(0), Instant::ZERO).unwrap();
}

#[test]
fn one_destination_gets_each_port_once_and_then_none() {
    let (mut table, mut ephemeral) = (Table::new(key(1)), Ephemeral::new(key(2)));
    let range = range(50_000, 50_999);
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let port = ephemeral.choose(Protocol::Tcp, LOCAL, server(1), range, &table).unwrap();
        assert!(range.contains(port) && seen.insert(port));
        open(&mut table, port, server(1));
    }
    assert_eq!(ephemeral.choose(Protocol::Tcp, LOCAL, server(1), range, &table), None);
    assert!(
        ephemeral.choose(Protocol::Tcp, LOCAL, server(2), range, &table).is_some(),
        "others still connect"
    );
    assert!(ephemeral.choose(Protocol::Udp, LOCAL, server(1), range, &table).is_some());
}

#[test]
fn the_last_free_port_of_the_dynamic_range_is_found() {
    let (mut table, mut ephemeral) = (Table::new(key(3)), Ephemeral::new(key(4)));
    let left = [49_152, 55_555, 65_535];
    for port in PortRange::DYNAMIC.iter().filter(|port| !left.contains(&port.number())) {
        open(&mut table, port, server(1));
    }
    let mut found = Vec::new();
    while let Some(port) = ephemeral.choose(Protocol::Tcp, LOCAL, server(1), PortRange::DYNAMIC, &table) {
        found.push(port.number());
        open(&mut table, port, server(1));
    }
    found.sort();
    assert_eq!(found, left);
}

#[test]
fn bound_ports_and_the_remote_end_itself_are_passed_over() {
    let (mut table, mut ephemeral) = (Table::new(key(5)), Ephemeral::new(key(6)));
    table.bind(Protocol::Tcp, None, Port::new(50_000), 0).unwrap();
    table.bind(Protocol::Tcp, Some(LOCAL), Port::new(50_001), 0).unwrap();
    let itself = Endpoint::new(LOCAL, 50_002);
    for _ in 0..20 {
        let port = ephemeral.choose(Protocol::Tcp, LOCAL, itself, range(50_000, 50_003), &table);
        assert_eq!(port.map(Port::number), Some(50_003));
    }
    assert_eq!(ephemeral.choose(Protocol::Tcp, LOCAL, itself, range(50_000, 50_002), &table), None);
}

#[test]
fn the_whole_space_is_a_range() {
    let mut ephemeral = Ephemeral::new(key(7));
    let mut seen = HashSet::new();
    for _ in 0..65_535 {
        seen.insert(
            ephemeral.choose(Protocol::Udp, LOCAL, server(1), range(1, 65_535), &Table::new(key(0))).unwrap(),
        );
    }
    assert_eq!(seen.len(), 65_535, "ports to one destination follow each other (RFC 6056, section 3.3.4)");
}

/// Pearson's chi-squared over 64 buckets of the first port to each of many destinations, and over many keys.
#[test]
fn first_ports_are_spread_evenly() {
    let table = Table::new(key(8));
    let spread = |choose: &mut dyn FnMut(u16) -> Port| {
        let mut buckets = [0f64; 64];
        for index in 0..12_800 {
            buckets[usize::from(choose(index).number() - 49_152) / 256] += 1.0;
        }
        buckets.iter().map(|count| (count - 200.0) * (count - 200.0) / 200.0).sum::<f64>()
    };
    let mut one = Ephemeral::new(key(9));
    let by_destination = spread(&mut |index| {
        let [a, b] = index.to_be_bytes();
        let remote = Endpoint::new(Addr::v4([198, 51, a, b]), 443);
        one.choose(Protocol::Tcp, LOCAL, remote, PortRange::DYNAMIC, &table).unwrap()
    });
    let by_key = spread(&mut |index| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&index.to_be_bytes());
        let mut ephemeral = Ephemeral::new(HashKey::new(bytes));
        ephemeral.choose(Protocol::Tcp, LOCAL, server(1), PortRange::DYNAMIC, &table).unwrap()
    });
    // 63 degrees of freedom: 120 is exceeded by chance once in 50,000 draws, and these draws are fixed.
    assert!(by_destination < 120.0 && by_key < 120.0, "{by_destination} {by_key}");
}

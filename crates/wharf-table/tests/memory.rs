//! What the table takes from the allocator, and gives back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wharf_table::{
    Addr, BindingId, Claim, Endpoint, Far, FlowId, HashKey, Instant, Origin, Port, Protocol, Request,
    RequestId, Table, Tuple, WaitingPayload,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: u32 = 300_000;

fn held() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

fn tuple(number: u32) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80),
        remote: Endpoint::new(
            std::net::Ipv4Addr::from(0x0a00_0000 + (number >> 4)),
            1024 + (number % 16) as u16,
        ),
    }
}

fn each(before: isize) -> f64 {
    (held() - before) as f64 / f64::from(COUNT)
}

fn server() -> (Table, BindingId) {
    let mut table = Table::new(HashKey::new([3; 16]));
    let id = table.bind(&Claim::new(Protocol::Tcp, None, Port::new(80), 0)).unwrap();
    table.listen(id).unwrap();
    (table, id)
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn rows_have_their_size_and_all_memory_returns() {
    let (mut table, listener) = server();
    let before = held();
    let requests: Vec<RequestId> = Vec::with_capacity(COUNT as usize);
    let flows: Vec<FlowId> = Vec::with_capacity(COUNT as usize);
    let (mut requests, mut flows, own) = (requests, flows, held());
    for number in 0..COUNT {
        let request = Request { tuple: tuple(number), listener, payload: [number; 7] };
        requests.push(table.open_request(&request).unwrap());
    }
    assert!(each(own) <= 96.0, "a request costs {} bytes", each(own));
    for id in requests.drain(..) {
        flows.push(table.promote(id, Far::Application(0), Instant::ZERO).unwrap());
    }
    // 64 for the row and 16 for the index; half a byte is what the last chunks have to spare.
    assert!(each(own) <= 80.5, "a flow costs {} bytes", each(own));
    for id in flows.drain(..) {
        table.to_waiting(id, WaitingPayload::default(), Instant::from_millis(60_000)).unwrap();
    }
    assert!(each(own) <= 64.0, "a waiting row costs {} bytes", each(own));
    assert_eq!(table.expire_waiting(Instant::from_millis(59_999)), 0);
    assert_eq!(table.expire_waiting(Instant::from_millis(60_000)), COUNT as usize);
    drop((requests, flows));
    assert!((held() - before).abs() < 4096, "{} bytes are kept", held() - before);
    assert_eq!((table.flow_count(), table.waiting_count()), (0, 0));
    drop(table);
    for ports in [60_000, 10_000, 2_000] {
        client_rows_have_their_size(ports);
    }
}

fn own_tuple(number: u32, ports: u32) -> Tuple {
    let [_, _, a, b] = (number / ports).to_be_bytes();
    let local = Endpoint::new(Addr::v4([10, 0, a, b]), 1024 + (number % ports) as u16);
    Tuple { protocol: Protocol::Tcp, local, remote: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80) }
}

/// A host that connects, from so many ports of each of its addresses.
fn client_rows_have_their_size(ports: u32) {
    let before = held();
    let mut table = Table::new(HashKey::new([3; 16]));
    let mut flows: Vec<FlowId> = Vec::with_capacity(COUNT as usize);
    let own = held();
    for number in 0..COUNT {
        let tuple = own_tuple(number, ports);
        flows.push(table.open(tuple, Far::Application(0), Origin::IMPLICIT, Instant::ZERO).unwrap());
    }
    assert!(each(own) <= 84.0, "a client's flow costs {} bytes", each(own));
    for id in flows.drain(..) {
        table.to_waiting(id, WaitingPayload::default(), Instant::from_millis(60_000)).unwrap();
    }
    assert!(each(own) <= 64.0, "a client's waiting row costs {} bytes", each(own));
    assert_eq!(table.expire_waiting(Instant::from_millis(60_000)), COUNT as usize);
    assert!((held() - own).abs() < 4096, "{} bytes are kept", held() - own);
    drop((table, flows));
    assert_eq!(held(), before);
}

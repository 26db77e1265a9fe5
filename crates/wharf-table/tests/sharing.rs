//! Who receives: groups that share a port, datagrams of strangers, users.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::HashMap;

use wharf_table::{
    Addr, BindError, BindingId, Claim, Endpoint, Far, Found, HashKey, Instant, Origin, Port, Protocol,
    Request, Sharing, Silent, Table, Tuple, User,
};

const SHARED: Sharing = Sharing { reuse_address: false, reuse_port: true };

fn new_table() -> Table {
    Table::new(HashKey::new([3; 16]))
}

fn tuple(protocol: Protocol, local: &str, number: u32) -> Tuple {
    let remote =
        Endpoint::new(std::net::Ipv4Addr::from(0xc612_0000 + (number >> 10)), 1024 + (number % 1024) as u16);
    Tuple { protocol, local: local.parse().unwrap(), remote }
}

fn find(table: &Table, tuple: &Tuple) -> Found {
    table.find(tuple, &mut Silent)
}

fn group(table: &mut Table, protocol: Protocol, members: u32) -> Vec<BindingId> {
    let claim = Claim::new(protocol, None, Port::new(80), 0).sharing(SHARED);
    (0..members)
        .map(|app| {
            let id = table.bind(&Claim { app, ..claim }).unwrap();
            if protocol == Protocol::Tcp {
                table.listen(id).unwrap();
            }
            id
        })
        .collect()
}

#[test]
fn a_group_shares_flows_evenly_and_each_stays_whole() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut table = new_table();
        let members = group(&mut table, protocol, 7);
        let mut counts: HashMap<BindingId, u32> = HashMap::new();
        for number in 0..70_000 {
            let asked = tuple(protocol, "10.0.0.1:80", number);
            let Found::Binding(id) = find(&table, &asked) else { panic!("somebody receives") };
            assert_eq!(find(&table, &asked), Found::Binding(id));
            *counts.entry(id).or_default() += 1;
        }
        assert_eq!(counts.len(), members.len());
        // Within five standard deviations of 10,000.
        assert!(counts.values().all(|count| (9_540..10_460).contains(count)), "{counts:?}");
        table.unbind(members[3]).unwrap();
        let all = (0..10_000).map(|number| find(&table, &tuple(protocol, "10.0.0.1:80", number)));
        assert!(all.into_iter().all(|found| found != Found::Nothing && found != Found::Binding(members[3])));
    }
}

#[test]
fn segments_that_follow_a_syn_reach_what_it_opened() {
    let mut table = new_table();
    group(&mut table, Protocol::Tcp, 3);
    let asked = tuple(Protocol::Tcp, "10.0.0.1:80", 5);
    let Found::Binding(listener) = find(&table, &asked) else { panic!("somebody listens") };
    let request = Request { tuple: asked, listener, payload: [1, 2, 3, 4, 5, 6, 7] };
    let id = table.open_request(&request).unwrap();
    assert_eq!(find(&table, &asked), Found::Request(id));
    assert_eq!(table.request(id), Some(request));
    group(&mut table, Protocol::Tcp, 4);
    let flow = table.promote(id, Far::Application(9), Instant::ZERO).unwrap();
    assert_eq!((find(&table, &asked), table.request_count()), (Found::Flow(flow), 0));
}

#[test]
fn a_stranger_never_reaches_a_connected_socket() {
    let mut table = new_table();
    let bind = |table: &mut Table, address: Option<Addr>, sharing| {
        table.bind(&Claim::new(Protocol::Udp, address, Port::new(53), 0).sharing(sharing)).unwrap()
    };
    let reuse = Sharing { reuse_address: true, reuse_port: false };
    let connected = bind(&mut table, None, reuse);
    let mine = tuple(Protocol::Udp, "10.0.0.1:53", 1);
    let stranger = tuple(Protocol::Udp, "10.0.0.1:53", 2);
    assert_eq!(find(&table, &stranger), Found::Binding(connected));
    let flow = table.open(mine, Far::Application(1), Origin::Bound(connected), Instant::ZERO).unwrap();
    assert_eq!((find(&table, &mine), find(&table, &stranger)), (Found::Flow(flow), Found::Nothing));
    let any = bind(&mut table, Some(Addr::ANY_V4), reuse);
    assert_eq!(find(&table, &stranger), Found::Binding(any));
    let specific = bind(&mut table, Some(Addr::v4([10, 0, 0, 1])), reuse);
    assert_eq!((find(&table, &mine), find(&table, &stranger)), (Found::Flow(flow), Found::Binding(specific)));
    let newer = bind(&mut table, Some(Addr::v4([10, 0, 0, 1])), reuse);
    assert_eq!(
        find(&table, &stranger),
        Found::Binding(newer),
        "the newest of those that share by SO_REUSEADDR"
    );
    table.close(flow).unwrap();
    assert_eq!(find(&table, &mine), Found::Binding(newer));
    assert_eq!(
        find(&table, &tuple(Protocol::Udp, "10.0.0.2:53", 1)),
        Found::Binding(any),
        "IPv4 before dual-stack"
    );
    table.unbind(any);
    assert_eq!(find(&table, &tuple(Protocol::Udp, "10.0.0.2:53", 1)), Found::Binding(connected));
}

#[test]
fn a_port_is_neither_joined_nor_shadowed_by_another_user() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut table = new_table();
        let claim = |address, user| {
            Claim::new(protocol, address, Port::new(8080), 0).of(User(user), false).sharing(SHARED)
        };
        table.bind(&claim(None, 1000)).unwrap();
        let refused = [None, Some(Addr::ANY_V4), Some(Addr::v4([10, 0, 0, 1]))];
        for address in refused {
            assert!(matches!(table.bind(&claim(address, 1001)), Err(BindError::InUse { .. })));
            assert!(table.check(&claim(address, 1000)).is_ok());
        }
    }
}

#[test]
fn privileged_ports_need_the_right() {
    let mut table = new_table();
    let claim =
        |port, privileged| Claim::new(Protocol::Tcp, None, Port::new(port), 0).of(User(1000), privileged);
    assert_eq!(table.bind(&claim(1023, false)), Err(BindError::Privileged));
    assert!(table.bind(&claim(1023, true)).is_ok());
    assert!(table.bind(&claim(1024, false)).is_ok());
    table.set_privileged_below(80);
    assert_eq!(table.bind(&claim(79, false)), Err(BindError::Privileged));
    assert!(table.bind(&claim(80, false)).is_ok());
}

#[test]
fn addresses_must_be_local_and_multicast_is_for_datagrams() {
    let mut table = new_table();
    table.set_local_addresses(vec![wharf_table::notation::Cidr::new(Addr::v4([127, 0, 0, 0]), 8).unwrap()]);
    let claim = |protocol, addr: Addr| Claim::new(protocol, Some(addr), Port::new(8080), 0);
    assert!(table.bind(&claim(Protocol::Tcp, Addr::v4([127, 9, 9, 9]))).is_ok());
    assert_eq!(table.bind(&claim(Protocol::Tcp, Addr::v4([10, 0, 0, 1]))), Err(BindError::NotLocal));
    let group: Addr = "ff02::fb".parse::<std::net::IpAddr>().unwrap().into();
    assert_eq!(table.bind(&claim(Protocol::Tcp, group)), Err(BindError::Invalid));
    assert!(table.bind(&claim(Protocol::Udp, group)).is_ok());
}

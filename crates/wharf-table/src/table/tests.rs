//! The table against a model that scans lists from end to end.

mod batch;
mod handshakes;

use std::format;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::endpoint::{Addr, Endpoint};
use crate::trace::Written;

/// The rules, written as plainly as they can be.
#[derive(Default)]
struct Model {
    bindings: Vec<(BindingId, Protocol, Option<Addr>, Port)>,
    flows: Vec<(FlowId, Tuple, Far)>,
}

/// Whether a claim on `claimed` covers packets to `addr`.
fn covers(claimed: Option<Addr>, addr: Addr) -> bool {
    claimed.is_none_or(|any| any == addr || any.is_unspecified() && any.is_v4() == addr.is_v4())
}

fn overlap(a: Option<Addr>, b: Option<Addr>) -> bool {
    match (a, b) {
        (None, _) | (_, None) => true,
        (Some(one), Some(other)) => covers(a, other) || covers(b, one),
    }
}

impl Model {
    fn conflicts(&self, protocol: Protocol, address: Option<Addr>, port: Port) -> Vec<BindingId> {
        let clash = |b: &&(BindingId, Protocol, Option<Addr>, Port)| {
            b.1 == protocol && b.3 == port && overlap(b.2, address)
        };
        self.bindings.iter().filter(clash).map(|b| b.0).collect()
    }

    fn flow_of(&self, tuple: &Tuple) -> Option<FlowId> {
        self.flows.iter().find(|flow| flow.1 == *tuple || flow.2 == Far::Wire(*tuple)).map(|flow| flow.0)
    }

    fn find(&self, tuple: &Tuple) -> Found {
        if let Some(id) = self.flow_of(tuple) {
            return Found::Flow(id);
        }
        let here = |b: &&(BindingId, Protocol, Option<Addr>, Port)| {
            b.1 == tuple.protocol && b.3.number() == tuple.local.port
        };
        let on_address = self.bindings.iter().filter(here).find(|b| b.2 == Some(tuple.local.addr));
        let on_any = || self.bindings.iter().filter(here).find(|b| covers(b.2, tuple.local.addr));
        on_address.or_else(on_any).map_or(Found::Nothing, |b| Found::Binding(b.0))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Bind(Protocol, Option<Addr>, Option<Port>),
    Unbind(prop::sample::Index),
    Open(Tuple, Far),
    SetFar(prop::sample::Index, Far),
    Close(prop::sample::Index),
}

fn any_protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(&[Protocol::Tcp, Protocol::Udp, Protocol::Icmp])
}

fn addrs() -> [Addr; 6] {
    let v6 = |last| Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    [Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]), v6(1), v6(2), Addr::ANY_V4, Addr::ANY_V6]
}

fn any_endpoint() -> impl Strategy<Value = Endpoint> {
    (0..6usize, 0..4u16).prop_map(|(addr, port)| Endpoint::new(addrs()[addr], port))
}

fn any_tuple() -> impl Strategy<Value = Tuple> {
    (any_protocol(), any_endpoint(), any_endpoint()).prop_map(|(protocol, local, remote)| Tuple {
        protocol,
        local,
        remote,
    })
}

fn any_far() -> impl Strategy<Value = Far> {
    prop_oneof![any::<u32>().prop_map(Far::Application), any_tuple().prop_map(Far::Wire)]
}

fn any_op() -> impl Strategy<Value = Op> {
    let address = prop::option::of((0..6usize).prop_map(|at| addrs()[at]));
    let port = prop::option::of((1..4u16).prop_map(|number| Port::new(number).unwrap()));
    prop_oneof![
        4 => (any_protocol(), address, port).prop_map(|(protocol, address, port)| Op::Bind(protocol, address, port)),
        2 => any::<prop::sample::Index>().prop_map(Op::Unbind),
        6 => (any_tuple(), any_far()).prop_map(|(tuple, far)| Op::Open(tuple, far)),
        1 => (any::<prop::sample::Index>(), any_far()).prop_map(|(at, far)| Op::SetFar(at, far)),
        3 => any::<prop::sample::Index>().prop_map(Op::Close),
    ]
}

const MAX_FLOWS: u32 = 40;

fn small_range() -> PortRange {
    PortRange::new(Port::new(1).unwrap(), Port::new(3).unwrap()).unwrap()
}

fn new_table() -> Table {
    let mut table = Table::new(HashKey::new([42; 16]));
    table.set_ephemeral_range(small_range());
    table.set_max_flows(MAX_FLOWS);
    table
}

fn bind(
    table: &mut Table,
    model: &mut Model,
    (protocol, address, port): (Protocol, Option<Addr>, Option<Port>),
) -> Result<(), TestCaseError> {
    let free = |port: &Port| model.conflicts(protocol, address, *port).is_empty();
    match (table.bind(&Claim::new(protocol, address, port, 9)), port) {
        (Ok(id), _) => {
            if protocol == Protocol::Tcp {
                table.listen(id).unwrap();
            }
            let binding = table.binding(id).unwrap();
            prop_assert!(port.is_none_or(|port| port == binding.port()));
            prop_assert!(free(&binding.port()) && small_range().contains(binding.port()));
            model.bindings.push((id, protocol, address, binding.port()));
        }
        (Err(BindError::InUse { by }), Some(port)) => {
            let holders = model.conflicts(protocol, address, port);
            prop_assert!(!holders.is_empty() && by.is_none_or(|by| holders.contains(&by)));
        }
        (Err(BindError::NoPortLeft), None) => prop_assert!(!small_range().iter().any(|port| free(&port))),
        (answer, _) => prop_assert!(false, "{:?}", answer),
    }
    Ok(())
}

fn open(table: &mut Table, model: &mut Model, tuple: Tuple, far: Far) -> Result<(), TestCaseError> {
    let far_tuple = if let Far::Wire(far) = far { Some(far) } else { None };
    let holders = [Some(tuple), far_tuple].map(|tuple| tuple.and_then(|tuple| model.flow_of(&tuple)));
    match table.open(tuple, far, Origin::Transit, Instant::from_millis(5)) {
        Ok(id) => {
            prop_assert!(holders == [None, None] && model.flows.len() < MAX_FLOWS as usize);
            model.flows.push((id, tuple, far));
        }
        Err(OpenError::InUse { by }) => {
            prop_assert!(holders.iter().flatten().any(|&id| by == Holder::Flow(id)))
        }
        Err(OpenError::Full) => prop_assert_eq!(model.flows.len(), MAX_FLOWS as usize),
        Err(OpenError::NoBinding) => prop_assert!(false, "no binding was named"),
    }
    Ok(())
}

fn set_far(table: &mut Table, model: &mut Model, at: usize, far: Far) -> Result<(), TestCaseError> {
    let id = model.flows[at].0;
    let holder = if let Far::Wire(far) = far { model.flow_of(&far) } else { None };
    match table.set_far(id, far) {
        Some(Ok(())) => {
            prop_assert!(holder.is_none_or(|holder| holder == id));
            model.flows[at].2 = far;
        }
        Some(Err(error)) => {
            prop_assert_eq!(Some(error), holder.map(|id| OpenError::InUse { by: Holder::Flow(id) }))
        }
        None => prop_assert!(false, "the flow is open"),
    }
    Ok(())
}

fn apply(table: &mut Table, model: &mut Model, op: Op) -> Result<(), TestCaseError> {
    match op {
        Op::Bind(protocol, address, port) => return bind(table, model, (protocol, address, port)),
        Op::Open(tuple, far) => return open(table, model, tuple, far),
        Op::SetFar(at, far) if !model.flows.is_empty() => {
            return set_far(table, model, at.index(model.flows.len()), far);
        }
        Op::Unbind(at) if !model.bindings.is_empty() => {
            let (id, protocol, address, port) = model.bindings.swap_remove(at.index(model.bindings.len()));
            let gone = table.unbind(id).unwrap();
            prop_assert_eq!(
                (gone.protocol(), gone.address(), gone.port(), gone.app()),
                (protocol, address, port, 9)
            );
            prop_assert!(table.unbind(id).is_none());
        }
        Op::Close(at) if !model.flows.is_empty() => {
            let (id, tuple, far) = model.flows.swap_remove(at.index(model.flows.len()));
            prop_assert_eq!(table.far(id), Some(far));
            let gone = table.close(id).unwrap();
            prop_assert_eq!((*gone.tuple(), gone.opened()), (tuple, Instant::from_millis(5)));
            prop_assert!(table.close(id).is_none() && table.flow(id).is_none());
        }
        Op::SetFar(..) | Op::Unbind(_) | Op::Close(_) => {}
    }
    Ok(())
}

fn check_reports(table: &Table, model: &Model) -> Result<(), TestCaseError> {
    let mut flows: Vec<FlowId> = model.flows.iter().map(|flow| flow.0).collect();
    flows.sort();
    let mut paged = Vec::new();
    while let Some(&(last, _)) = table.flows_after(paged.last().copied()).take(3).collect::<Vec<_>>().last() {
        paged.extend(table.flows_after(paged.last().copied()).take(3).map(|(id, _)| id));
        prop_assert_eq!(paged.last(), Some(&last));
    }
    prop_assert_eq!(paged, flows);
    let sides = |flow: &(FlowId, Tuple, Far)| match flow.2 {
        Far::Wire(far) if far != flow.1 => 2,
        _ => 1,
    };
    prop_assert_eq!(table.flows.index_len(), model.flows.iter().map(sides).sum::<usize>());
    let mut bindings: Vec<BindingId> = model.bindings.iter().map(|binding| binding.0).collect();
    bindings.sort();
    prop_assert!(table.bindings_after(None).map(|(id, _)| id).eq(bindings));
    prop_assert_eq!(table.flow_count() as usize, model.flows.len());
    prop_assert_eq!(table.binding_count() as usize, model.bindings.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn answers_as_a_linear_scan_does(
        ops in prop::collection::vec(any_op(), 0..150),
        asked in prop::collection::vec(any_tuple(), 200),
    ) {
        let (mut table, mut model) = (new_table(), Model::default());
        for op in ops {
            apply(&mut table, &mut model, op)?;
        }
        let held: Vec<Tuple> = model.flows.iter().map(|flow| flow.1).collect();
        let asked: Vec<Tuple> = asked.into_iter().chain(held).collect();
        let expected: Vec<Found> = asked.iter().map(|tuple| model.find(tuple)).collect();
        for (tuple, expected) in asked.iter().zip(&expected) {
            prop_assert_eq!(table.find(tuple, &mut Silent), *expected);
            prop_assert_eq!(table.is_free(tuple), *expected == Found::Nothing);
        }
        let mut found = std::vec![Found::Nothing; asked.len()];
        table.find_batch(&asked, &mut found);
        prop_assert_eq!(found, expected);
        check_reports(&table, &model)?;
    }
}

fn tuple(local: &str, remote: &str) -> Tuple {
    Tuple { protocol: Protocol::Tcp, local: local.parse().unwrap(), remote: remote.parse().unwrap() }
}

fn listen(table: &mut Table, address: Option<Addr>, port: u16) -> BindingId {
    let id = table.bind(&Claim::new(Protocol::Tcp, address, Port::new(port), 1)).unwrap();
    table.listen(id).unwrap();
    id
}

#[test]
fn a_look_up_is_traced_by_its_three_degrees() {
    let mut table = new_table();
    let listener = listen(&mut table, None, 3);
    let mut trace = Written::new();
    let asked = tuple("10.0.0.1:3", "192.0.2.1:5000");
    assert_eq!(table.find(&asked, &mut trace), Found::Binding(listener));
    assert_eq!(
        trace.steps().iter().map(|step| format!("{step}")).collect::<Vec<_>>(),
        [
            "flow tcp 10.0.0.1:3 -> 192.0.2.1:5000: none",
            "binding of tcp 10.0.0.1:3: none",
            "binding of tcp 0.0.0.0:3: found"
        ]
    );
    let flow = table.open(asked, Far::Application(7), Origin::Transit, Instant::ZERO).unwrap();
    let mut trace = Written::new();
    assert_eq!(table.find(&asked, &mut trace), Found::Flow(flow));
    assert_eq!(trace.steps(), [Step::ExactTuple { tuple: asked, found: Some(Holder::Flow(flow)) }]);
}

#[test]
fn a_translated_flow_is_found_from_both_sides() {
    let mut table = new_table();
    let inside = tuple("192.0.2.1:443", "10.0.2.100:5000");
    let outside = tuple("203.0.113.9:60000", "192.0.2.1:443");
    let id = table.open(inside, Far::Wire(outside), Origin::Transit, Instant::ZERO).unwrap();
    assert_eq!(table.find(&inside, &mut Silent), Found::Flow(id));
    assert_eq!(table.find(&outside, &mut Silent), Found::Flow(id));
    assert_eq!(table.other_side(id, &inside), Some(Far::Wire(outside)));
    assert_eq!(table.other_side(id, &outside), Some(Far::Wire(inside)));
    table.close(id);
    assert_eq!(table.find(&outside, &mut Silent), Found::Nothing);
}

#[test]
fn many_flows_and_bindings_share_a_port() {
    let mut table = new_table();
    table.set_max_flows(200_000);
    let port = Port::new(80).unwrap();
    let local = |index: u32| Addr::from(core::net::Ipv4Addr::from(0x0a00_0000 + index));
    let bindings: Vec<BindingId> =
        (0..20_000).map(|index| listen(&mut table, Some(local(index)), 80)).collect();
    let of = |index: u32| Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(local(0), 80),
        remote: Endpoint::new(local(index), 1024),
    };
    let flows: Vec<FlowId> = (0..100_000)
        .map(|index| {
            table.open(of(index), Far::Application(index), Origin::Child(bindings[0]), Instant::ZERO).unwrap()
        })
        .collect();
    let refused =
        |table: &Table, address| table.check(&Claim::new(Protocol::Tcp, address, Some(port), 0)).is_err();
    assert!(refused(&table, None));
    for (index, id) in (0..).zip(&flows) {
        assert_eq!(table.find(&of(index), &mut Silent), Found::Flow(*id));
    }
    for id in flows.iter().step_by(2) {
        table.close(*id).unwrap();
    }
    for (index, &id) in (0..).zip(&flows) {
        let expected = if index % 2 == 0 { Found::Binding(bindings[0]) } else { Found::Flow(id) };
        assert_eq!(table.find(&of(index), &mut Silent), expected);
    }
    for id in bindings {
        assert!(refused(&table, Some(Addr::ANY_V4)));
        table.unbind(id).unwrap();
    }
    assert!(refused(&table, None), "connections own their port when the listener is gone");
    for id in flows.iter().skip(1).step_by(2) {
        table.close(*id).unwrap();
    }
    assert!(!refused(&table, None));
}

#[test]
fn ports_are_chosen_until_none_is_left() {
    let mut table = new_table();
    let mut chosen = Vec::new();
    for _ in 0..3 {
        let id = table.bind(&Claim::new(Protocol::Udp, Some(Addr::ANY_V6), None, 0)).unwrap();
        chosen.push(table.binding(id).unwrap().port().number());
    }
    chosen.sort();
    assert_eq!(chosen, [1, 2, 3]);
    assert_eq!(table.bind(&Claim::new(Protocol::Udp, None, None, 0)), Err(BindError::NoPortLeft));
    assert!(
        table.bind(&Claim::new(Protocol::Udp, Some(Addr::ANY_V4), None, 0)).is_ok(),
        "the other family is free"
    );
}

#[test]
fn a_flow_is_one_cache_line() {
    assert_eq!(size_of::<Option<Flow>>(), 64);
    assert_eq!(align_of::<Flow>(), 64);
}

/// What a peer who takes the hash for an unkeyed one, or guesses the key, would send: 100,000 tuples that all fall into
/// the same place there.
#[test]
fn tuples_that_collide_for_a_guessed_key_are_spread() {
    let guessed = HashKey::new([0; 16]);
    let mut table = Table::new(HashKey::new([42; 16]));
    table.set_max_flows(200_000);
    let mut collide = (0..u32::MAX)
        .map(|number| Tuple {
            protocol: Protocol::Tcp,
            local: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80),
            remote: Endpoint::new(core::net::Ipv4Addr::from(number << 6), 1024 + (number & 0x3f) as u16),
        })
        .filter(|tuple| guessed.hash_tuple(tuple) & 0x3f == 0x15);
    let tuples: Vec<Tuple> = collide.by_ref().take(100_000).collect();
    for tuple in &tuples {
        table.open(*tuple, Far::Application(0), Origin::Transit, Instant::ZERO).unwrap();
    }
    let lines = |tuple: &Tuple| table.flows.lines(table.key.hash_tuple(tuple));
    let (worst, sum) =
        tuples.iter().map(lines).fold((0, 0), |(worst, sum), lines| (lines.max(worst), sum + lines));
    assert!(worst <= 4, "the longest chain has {worst} lines");
    assert!(sum < tuples.len() * 3 / 2, "{sum} lines for {} look-ups", tuples.len());
}

#[test]
fn a_destination_is_crowded_while_ports_are_short() {
    let mut table = Table::new(HashKey::new([42; 16]));
    let (local, remote) = (Addr::v4([10, 0, 0, 1]), "192.0.2.1:443".parse().unwrap());
    let mut flows = Vec::new();
    while let Some(port) = table.choose_to_open(Protocol::Tcp, local, remote, PortRange::DYNAMIC) {
        let tuple = Tuple { protocol: Protocol::Tcp, local: Endpoint::new(local, port.number()), remote };
        flows.push(table.open(tuple, Far::Application(0), Origin::IMPLICIT, Instant::ZERO).unwrap());
    }
    assert_eq!((flows.len(), table.crowds.count()), (16_384, 1));
    for id in flows {
        table.close(id).unwrap();
    }
    assert_eq!(table.crowds.count(), 0);
}

//! Requests and waiting rows against lists that are scanned from end to end.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::super::*;
use crate::endpoint::{Addr, Endpoint};

#[derive(Clone, Debug)]
enum Op {
    Request(u16),
    CloseRequest(prop::sample::Index),
    Promote(prop::sample::Index),
    Close(prop::sample::Index),
    Wait(prop::sample::Index),
    CloseWaiting(prop::sample::Index),
    Renew(prop::sample::Index),
    Pass(u64),
}

fn any_op() -> impl Strategy<Value = Op> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0..300u16).prop_map(Op::Request),
        1 => index().prop_map(Op::CloseRequest),
        6 => index().prop_map(Op::Promote),
        1 => index().prop_map(Op::Close),
        5 => index().prop_map(Op::Wait),
        1 => index().prop_map(Op::CloseWaiting),
        1 => index().prop_map(Op::Renew),
        2 => (0..20_000u64).prop_map(Op::Pass),
    ]
}

/// What a tuple is, as the model knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Request(RequestId, RequestPayload),
    Flow(FlowId),
    /// With its number's payload and its time.
    Waiting(u32, u64),
}

fn tuple(number: u16) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(Addr::v4([10, 0, 0, 1]), 80),
        remote: Endpoint::new(Addr::v4([10, 0, 0, 2]), 1000 + number),
    }
}

struct Pair {
    table: Table,
    listener: BindingId,
    model: BTreeMap<u16, Is>,
    now: u64,
    renewed: bool,
}

const WAIT: u64 = 60_000;

impl Pair {
    fn new() -> Pair {
        let mut table = Table::new(HashKey::new([42; 16]));
        let listener = super::listen(&mut table, None, 80);
        Pair { table, listener, model: BTreeMap::new(), now: 5, renewed: false }
    }

    fn pick<T>(&self, at: prop::sample::Index, of: impl Fn(&Is) -> Option<T>) -> Option<(u16, T)> {
        let all: Vec<u16> =
            self.model.iter().filter(|(_, is)| of(is).is_some()).map(|(&key, _)| key).collect();
        let key = *all.get(if all.is_empty() { 0 } else { at.index(all.len()) })?;
        of(&self.model[&key]).map(|value| (key, value))
    }

    fn waiting(&self, at: prop::sample::Index) -> Option<(u16, WaitingId)> {
        let (key, ()) = self.pick(at, |is| matches!(is, Is::Waiting(..)).then_some(()))?;
        match self.table.find(&tuple(key), &mut Silent) {
            Found::Waiting(id) => Some((key, id)),
            _ => None,
        }
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        let request = |is: &Is| if let Is::Request(id, _) = is { Some(*id) } else { None };
        let flow = |is: &Is| if let Is::Flow(id) = is { Some(*id) } else { None };
        match op {
            Op::Request(key) => {
                let payload = [u32::from(key); 7];
                let asked = Request { tuple: tuple(key), listener: self.listener, payload };
                let opened = self.table.open_request(&asked);
                prop_assert_eq!(opened.is_ok(), !self.model.contains_key(&key));
                if let Ok(id) = opened {
                    self.model.insert(key, Is::Request(id, payload));
                }
            }
            Op::CloseRequest(at) => {
                if let Some((key, id)) = self.pick(at, request) {
                    prop_assert_eq!(self.table.close_request(id).unwrap().tuple, tuple(key));
                    self.model.remove(&key);
                }
            }
            Op::Promote(at) => {
                if let Some((key, id)) = self.pick(at, request) {
                    let flow = self.table.promote(id, Far::Application(1), Instant::ZERO).unwrap();
                    self.model.insert(key, Is::Flow(flow));
                }
            }
            Op::Close(at) => {
                if let Some((key, id)) = self.pick(at, flow) {
                    self.table.close(id).unwrap();
                    self.model.remove(&key);
                }
            }
            Op::Wait(at) => {
                if let Some((key, id)) = self.pick(at, flow) {
                    let payload = WaitingPayload { snd_nxt: u32::from(key), ..WaitingPayload::default() };
                    let expires = self.now + WAIT;
                    self.table.to_waiting(id, payload, Instant::from_millis(expires)).unwrap();
                    self.model.insert(key, Is::Waiting(u32::from(key), expires));
                }
            }
            Op::CloseWaiting(at) => {
                if let Some((key, id)) = self.waiting(at) {
                    prop_assert_eq!(self.table.close_waiting(id).unwrap().tuple, tuple(key));
                    self.model.remove(&key);
                }
            }
            Op::Renew(at) => {
                if let Some((key, id)) = self.waiting(at) {
                    let expires = self.now + WAIT;
                    self.renewed = true;
                    self.table.renew_waiting(id, Instant::from_millis(expires)).unwrap();
                    self.model.insert(key, Is::Waiting(u32::from(key), expires));
                }
            }
            Op::Pass(span) => {
                self.now += span;
                let now = self.now;
                let expired = self.table.expire_waiting(Instant::from_millis(now));
                let before = self.model.len();
                let (table, renewed) = (&self.table, self.renewed);
                // None goes early, all go in time; but one that was put off may make another late by as much.
                let grace = if renewed { WAIT } else { 0 };
                self.model.retain(|&key, is| match is {
                    Is::Waiting(_, expires) if *expires <= now => {
                        *expires + grace > now
                            && matches!(table.find(&tuple(key), &mut Silent), Found::Waiting(_))
                    }
                    _ => true,
                });
                prop_assert_eq!(expired, before - self.model.len());
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for key in 0..300 {
            let found = self.table.find(&tuple(key), &mut Silent);
            match (self.model.get(&key), found) {
                (None, Found::Binding(id)) => prop_assert_eq!(id, self.listener),
                (Some(Is::Flow(id)), found) => prop_assert_eq!(found, Found::Flow(*id)),
                (Some(Is::Request(id, payload)), found) => {
                    prop_assert_eq!(found, Found::Request(*id));
                    prop_assert_eq!(self.table.request(*id).unwrap().payload, *payload);
                }
                (Some(Is::Waiting(snd_nxt, expires)), Found::Waiting(id)) => {
                    let waiting = self.table.waiting(id).unwrap();
                    prop_assert_eq!(waiting.payload.snd_nxt, *snd_nxt);
                    prop_assert_eq!(waiting.expires, Instant::from_millis(*expires));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        let count = |is: &dyn Fn(&Is) -> bool| self.model.values().filter(|it| is(it)).count() as u32;
        prop_assert_eq!(self.table.request_count(), count(&|is| matches!(is, Is::Request(..))));
        prop_assert_eq!(self.table.flow_count(), count(&|is| matches!(is, Is::Flow(_))));
        prop_assert_eq!(self.table.waiting_count(), count(&|is| matches!(is, Is::Waiting(..))));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_tuple_is_what_it_was_made(ops in prop::collection::vec(any_op(), 0..600)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.apply(op)?;
        }
        pair.check()?;
        // When all is gone, nothing owns the port.
        let listener = pair.listener;
        pair.table.unbind(listener);
        let requests: Vec<RequestId> = pair.table.requests_after(None).map(|(id, _)| id).collect();
        for id in requests {
            pair.table.close_request(id).unwrap();
        }
        let flows: Vec<FlowId> = pair.table.flows_after(None).map(|(id, _)| id).collect();
        for id in flows {
            pair.table.close(id).unwrap();
        }
        pair.table.expire_waiting(Instant::from_millis(pair.now + 2 * WAIT));
        prop_assert!(pair.table.next_waiting_expiry().is_none());
        prop_assert!(pair.table.check(&Claim::new(Protocol::Tcp, None, Port::new(80), 0)).is_ok());
        prop_assert!(pair.table.ports.owned(Protocol::Tcp).is_none());
        prop_assert!(pair.table.ports.pinned(Protocol::Tcp).is_none());
    }
}

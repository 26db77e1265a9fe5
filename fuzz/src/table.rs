//! Whatever is asked of the port table, in whatever order, it answers as lists would that are scanned from end to end.
//!
//! Each operation is four bytes: what, and three numbers that choose with what. Addresses and ports are few, so that tuples
//! meet.

use std::collections::BTreeMap;

use wharf_table::Endpoint;
use wharf_table::table::Found;
use wharf_table::{
    Addr, BindError, BindingId, Claim, EphemeralAlgorithm, Far, FlowId, HashKey, Holder, Instant, OpenError,
    Origin, Port, PortRange, Protocol, Request, RequestId, Silent, Table, Tuple, Waiting, WaitingId,
    WaitingPayload,
};

const FLOWS_MAX: u32 = 40;
const REQUESTS_MAX: u32 = 20;
/// How long a row waits, in milliseconds: the same for all, as the table demands.
const WAIT: u64 = 60_000;
const PORTS: u16 = 5;

const fn v6(last: u8) -> Addr {
    Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
}

const ADDRESSES: [Addr; 6] =
    [Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]), v6(1), v6(2), Addr::ANY_V4, Addr::ANY_V6];

fn endpoint(number: u8) -> Endpoint {
    Endpoint::new(ADDRESSES[usize::from(number % 4)], u16::from(number >> 2) % PORTS + 1)
}

fn tuple(what: u8, near: u8, far: u8) -> Tuple {
    let protocol = if what & 0x40 == 0 { Protocol::Tcp } else { Protocol::Udp };
    Tuple { protocol, local: endpoint(near), remote: endpoint(far) }
}

fn range() -> PortRange {
    let port = |number| Port::new(number).expect("not 0");
    PortRange::new(port(1), port(PORTS)).expect("not empty")
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

/// What the lists know.
struct Both {
    table: Table,
    now: u64,
    bindings: Vec<(BindingId, Protocol, Option<Addr>, Port)>,
    flows: Vec<(FlowId, Tuple, Far)>,
    requests: Vec<(RequestId, Tuple, BindingId)>,
    /// With the number of its payload and the time at which it goes.
    waits: Vec<(Tuple, u32, u64)>,
    /// Flows of a listener and waiting rows of those, which hold its port when it is gone: a tuple's local endpoint.
    children: BTreeMap<u32, Tuple>,
}

impl Both {
    fn new(algorithm: u8) -> Both {
        let mut table = Table::new(HashKey::new([42; 16]));
        table.set_ephemeral_range(range());
        table.set_max_flows(FLOWS_MAX);
        table.set_max_requests(REQUESTS_MAX);
        let all = [
            EphemeralAlgorithm::DoubleHash,
            EphemeralAlgorithm::SimpleRandom,
            EphemeralAlgorithm::RandomIncrements,
        ];
        table.set_ephemeral_algorithm(all[usize::from(algorithm) % all.len()]);
        Both {
            table,
            now: 5,
            bindings: Vec::new(),
            flows: Vec::new(),
            requests: Vec::new(),
            waits: Vec::new(),
            children: BTreeMap::new(),
        }
    }

    fn holder(&self, tuple: &Tuple) -> Option<Found> {
        let flow = self.flows.iter().find(|flow| flow.1 == *tuple || flow.2 == Far::Wire(*tuple));
        let request = || self.requests.iter().find(|request| request.1 == *tuple);
        flow.map(|flow| Found::Flow(flow.0)).or_else(|| request().map(|request| Found::Request(request.0)))
    }

    fn waits(&self, tuple: &Tuple) -> Option<&(Tuple, u32, u64)> {
        self.waits.iter().find(|waiting| waiting.0 == *tuple)
    }

    fn is_taken(&self, tuple: &Tuple) -> bool {
        self.holder(tuple).is_some() || self.waits(tuple).is_some()
    }

    /// What the lists say of a tuple is what the table says.
    fn agrees(&self, tuple: &Tuple) {
        let found = self.table.find(tuple, &mut Silent);
        let mut batch = [Found::Nothing; 1];
        self.table.find_batch(&[*tuple], &mut batch);
        assert_eq!(batch[0], found, "one by one and in batches");
        if let Some(held) = self.holder(tuple) {
            return assert_eq!(found, held);
        }
        if let Some(&(_, number, expires)) = self.waits(tuple) {
            let Found::Waiting(id) = found else { panic!("{found:?} for a waiting row") };
            let Waiting { payload, expires: at, .. } = self.table.waiting(id).expect("it was found");
            return assert!(payload.snd_nxt == number && at.millis() >= expires);
        }
        let here = |b: &&(BindingId, Protocol, Option<Addr>, Port)| {
            b.1 == tuple.protocol && b.3.number() == tuple.local.port
        };
        let on_address = self.bindings.iter().filter(here).find(|b| b.2 == Some(tuple.local.addr));
        let on_any = || self.bindings.iter().filter(here).find(|b| covers(b.2, tuple.local.addr));
        let expected = on_address.or_else(on_any).map_or(Found::Nothing, |b| Found::Binding(b.0));
        assert_eq!(found, expected, "{tuple:?}");
    }

    fn bind(&mut self, what: u8, address: u8, port: u8) {
        let protocol = tuple(what, 0, 0).protocol;
        let address = ADDRESSES.get(usize::from(address) % 7).copied();
        let port = Port::new(u16::from(port) % (PORTS + 1));
        // What a child of a listener or its waiting row holds is in the way as well; that is tested against the kernel.
        let of_child = |port: Port| {
            protocol == Protocol::Tcp && self.children.values().any(|tuple| tuple.local.port == port.number())
        };
        let rivals: Vec<_> = self
            .bindings
            .iter()
            .filter(|b| b.1 == protocol && overlap(b.2, address) && port.is_none_or(|port| port == b.3))
            .copied()
            .collect();
        match (self.table.bind(&Claim::new(protocol, address, port, 9)), port) {
            (Ok(id), _) => {
                let binding = self.table.binding(id).expect("it was bound");
                let chosen = binding.port();
                assert!(port.is_none_or(|port| port == chosen) && range().contains(chosen));
                assert!(rivals.iter().all(|rival| rival.3 != chosen), "{chosen:?} is taken");
                if protocol == Protocol::Tcp {
                    self.table.listen(id).expect("nobody else listens there");
                }
                self.bindings.push((id, protocol, address, chosen));
            }
            (Err(BindError::InUse { by }), Some(port)) => {
                assert!(!rivals.is_empty() || of_child(port), "{port:?} is free");
                assert!(by.is_none_or(|by| rivals.iter().any(|rival| rival.0 == by)));
            }
            (Err(BindError::NoPortLeft), None) => {
                let free = |port: Port| rivals.iter().all(|rival| rival.3 != port) && !of_child(port);
                assert!(!range().iter().any(free));
            }
            (answer, _) => panic!("{answer:?}"),
        }
    }

    fn unbind(&mut self, at: usize) {
        let id = self.bindings.remove(at).0;
        // Its requests go first, as the table demands.
        while let Some(at) = self.requests.iter().position(|request| request.2 == id) {
            let request = self.requests.remove(at);
            assert!(self.table.close_request(request.0).is_some_and(|closed| closed.tuple == request.1));
        }
        assert!(self.table.unbind(id).is_some() && self.table.binding(id).is_none());
    }

    fn open(&mut self, tuple: Tuple, far: Far) {
        let wire = if let Far::Wire(wire) = far { Some(wire) } else { None };
        let taken = self.is_taken(&tuple) || wire.is_some_and(|wire| self.is_taken(&wire));
        match self.table.open(tuple, far, Origin::Transit, Instant::from_millis(self.now)) {
            Ok(id) => {
                assert!(!taken && self.flows.len() < FLOWS_MAX as usize);
                self.flows.push((id, tuple, far));
            }
            Err(OpenError::Full) => assert_eq!(self.flows.len(), FLOWS_MAX as usize),
            Err(OpenError::InUse { by }) => {
                assert!(taken);
                assert!(!matches!(by, Holder::Flow(id) if self.flows.iter().all(|flow| flow.0 != id)));
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn request(&mut self, tuple: Tuple, listener: BindingId) {
        let taken = self.is_taken(&tuple);
        match self.table.open_request(&Request { tuple, listener, payload: [7; 7] }) {
            Ok(id) => {
                assert!(!taken && self.requests.len() < REQUESTS_MAX as usize);
                self.requests.push((id, tuple, listener));
            }
            Err(OpenError::Full) => assert_eq!(self.requests.len(), REQUESTS_MAX as usize),
            Err(OpenError::InUse { .. }) => assert!(taken),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn promote(&mut self, at: usize) {
        let (id, tuple, _) = self.requests[at];
        match self.table.promote(id, Far::Application(1), Instant::from_millis(self.now)) {
            Ok(flow) => {
                self.requests.remove(at);
                self.flows.push((flow, tuple, Far::Application(1)));
                self.children.insert(self.flow_key(flow), tuple);
            }
            Err(error) => {
                assert_eq!((error, self.flows.len()), (OpenError::Full, FLOWS_MAX as usize));
                assert!(self.table.request(id).is_some(), "it stays");
            }
        }
    }

    fn flow_key(&self, id: FlowId) -> u32 {
        id.index() as u32
    }

    fn close(&mut self, at: usize) {
        let (id, tuple, _) = self.flows.remove(at);
        self.children.remove(&self.flow_key(id));
        assert!(self.table.close(id).is_some_and(|flow| *flow.tuple() == tuple));
        assert!(self.table.flow(id).is_none() && self.table.close(id).is_none());
    }

    fn wait(&mut self, at: usize, number: u32) {
        let (id, tuple, _) = self.flows[at];
        let expires = self.now + WAIT;
        let payload = WaitingPayload { snd_nxt: number, ..WaitingPayload::default() };
        let row = self.table.to_waiting(id, payload, Instant::from_millis(expires));
        assert_eq!(row.is_some(), tuple.protocol == Protocol::Tcp);
        if row.is_some() {
            self.flows.remove(at);
            if self.children.remove(&self.flow_key(id)).is_some() {
                // Keys of rows and of flows don't meet.
                self.children.insert(u32::MAX - number, tuple);
            }
            self.waits.push((tuple, number, expires));
        }
    }

    fn row(&self, at: usize) -> WaitingId {
        match self.table.find(&self.waits[at].0, &mut Silent) {
            Found::Waiting(id) => id,
            found => panic!("{found:?} for a waiting row"),
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.table.expire_waiting(Instant::from_millis(self.now));
        // Rows may go late behind one that was put off, and never early.
        let (table, now) = (&self.table, self.now);
        self.waits.retain(|&(tuple, number, expires)| {
            let there = matches!(table.find(&tuple, &mut Silent), Found::Waiting(_));
            assert!(there || expires <= now, "a row has gone {} ms early", expires - now);
            if !there {
                self.children.remove(&(u32::MAX - number));
            }
            there
        });
        assert!(self.table.next_waiting_expiry().is_none_or(|at| at > Instant::from_millis(now)));
    }

    fn counts_agree(&self) {
        let counts = [
            self.table.flow_count(),
            self.table.request_count(),
            self.table.waiting_count(),
            self.table.binding_count(),
        ];
        let lists = [self.flows.len(), self.requests.len(), self.waits.len(), self.bindings.len()];
        assert_eq!(counts.map(|count| count as usize), lists);
    }
}

/// A place in a list, where it has any.
fn pick<T>(list: &[T], number: u8) -> Option<usize> {
    (!list.is_empty()).then(|| usize::from(number) % list.len())
}

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Some((&algorithm, operations)) = bytes.split_first() else { return };
    let mut both = Both::new(algorithm);
    for (number, operation) in (0..2_000_u32).zip(operations.chunks_exact(4)) {
        let &[what, a, b, c] = operation else { break };
        let asked = tuple(what, a, b);
        match what % 12 {
            0 => both.bind(what, a, b),
            1 => {
                if let Some(at) = pick(&both.bindings, a) {
                    both.unbind(at);
                }
            }
            2 | 3 => both.open(asked, Far::Application(3)),
            4 => both.open(asked, Far::Wire(tuple(what, c, a))),
            5 | 6 => {
                let tcp: Vec<BindingId> =
                    both.bindings.iter().filter(|b| b.1 == Protocol::Tcp).map(|b| b.0).collect();
                if let Some(at) = pick(&tcp, c) {
                    both.request(tuple(0, a, b), tcp[at]);
                }
            }
            7 => {
                if let Some(at) = pick(&both.requests, a) {
                    both.promote(at);
                }
            }
            8 => {
                if let Some(at) = pick(&both.flows, a) {
                    both.close(at);
                }
            }
            9 => {
                if let Some(at) = pick(&both.flows, a) {
                    both.wait(at, number);
                }
            }
            10 if !both.waits.is_empty() => {
                let at = usize::from(a) % both.waits.len();
                let id = both.row(at);
                if b & 1 == 0 {
                    let expires = both.now + WAIT;
                    assert!(both.table.renew_waiting(id, Instant::from_millis(expires)).is_some());
                    both.waits[at].2 = expires;
                } else {
                    let (waited, payload, _) = both.waits.remove(at);
                    both.children.remove(&(u32::MAX - payload));
                    assert!(both.table.close_waiting(id).is_some_and(|row| row.tuple == waited));
                }
            }
            11 => both.pass(u64::from(a) << (b % 10)),
            _ => {}
        }
        both.agrees(&asked);
        both.counts_agree();
    }
    both.pass(100 * WAIT);
    assert!(both.waits.is_empty(), "nothing waits for ever");
}

//! So many connections to port 80 of one stack, from another, in memory: what each costs, and what nothing costs.
//!
//! ```text
//! cargo run --release -p wharf-stack --example million -- [CONNECTIONS] [--json]
//! ```
//!
//! A client with as many source addresses as it needs opens the connections (1,000,000 unless told). 10,000 of them, chosen at
//! random, are asked for a nonce and answer. Then all are closed, and TIME-WAIT is waited out. Bytes are those that each
//! stack has asked of the allocator and not given back, everything included.

use std::alloc::System;
use std::time::{Duration, Instant as Clock};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wharf_stack::interface::{Capabilities, ChecksumIn, FrameIn, FrameSink, OffloadOut};
use wharf_stack::stack::{Config, ConnId, DatagramIn, Event, HostRole, Medium, Role, Stack};
use wharf_stack::tcp::{Events, Settings};
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Endpoint, HashKey, Instant, Port, PortRange};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SERVER: Addr = Addr::v4([10, 0, 2, 1]);
const GATEWAY: Addr = Addr::v4([10, 0, 2, 2]);
/// Source ports that are used of each source address.
const PORTS: usize = 60_000;
/// Connections opened, asked or closed before the frames are carried.
const BATCH: usize = 256;
const ASKED: usize = 10_000;

/// Packets on their way, one behind the other.
#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl FrameSink for Wire {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        self.bytes.extend_from_slice(head);
        payload.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
        self.ends.push(self.bytes.len());
        Ok(())
    }
}

/// A stack, and the bytes that it holds.
struct Station {
    stack: Stack,
    held: isize,
}

fn allocated() -> isize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

impl Station {
    fn new(role: Role, index: u8, most: usize) -> Station {
        let config = Config {
            role,
            medium: Medium::Ip,
            hardware_address: [2, 0, 0, 0, 0, index],
            mtu: 1_500,
            capabilities: Capabilities { checksum: true, tso: true, uso: true },
            tcp: Settings::default(),
            buffer_limit: 64 << 20,
            max_connections: most,
            ephemeral_ports: PortRange::DYNAMIC,
            table_key: HashKey::new([index; 16]),
            isn_key: HashKey::new([index + 10; 16]),
        };
        Station { stack: Stack::new(config, Instant::ZERO), held: 0 }
    }

    /// Runs something whose memory goes to this account.
    fn with<R>(&mut self, run: impl FnOnce(&mut Stack) -> R) -> R {
        let before = allocated();
        let result = run(&mut self.stack);
        self.held += allocated() - before;
        result
    }
}

struct World {
    now: Instant,
    client: Station,
    server: Station,
    wire: Wire,
    answers: u64,
    wrong: u64,
    connected: usize,
}

/// What the server makes of a nonce.
fn answer(nonce: u64) -> u64 {
    nonce.rotate_left(13) ^ 0x5bd1_e995_9e37_79b9
}

fn read_word(stack: &mut Stack, now: Instant, id: ConnId) -> Option<u64> {
    let bytes: Vec<u8> = stack.received(id).0.flatten().copied().collect();
    let word = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    stack.consume(now, id, 8);
    Some(word)
}

impl World {
    fn new(most: usize) -> World {
        let cidr = |addr, len| Cidr::new(addr, len).expect("the prefix fits");
        let addresses = (0..=most / PORTS).map(|index| cidr(source(index * PORTS).addr, 32)).collect();
        let connecting = HostRole { addresses, gateway_v4: Some(SERVER), gateway_v6: None };
        let host =
            HostRole { addresses: vec![cidr(SERVER, 24)], gateway_v4: Some(GATEWAY), gateway_v6: None };
        let client = Station::new(Role::Host(connecting), 2, most);
        let mut server = Station::new(Role::Host(host), 1, most);
        let port = Port::new(80).expect("not zero");
        server.with(|stack| stack.listen(None, port, 80)).expect("the port is free");
        let wire = Wire { bytes: Vec::with_capacity(1 << 22), ends: Vec::with_capacity(1 << 14) };
        World { now: Instant::from_millis(1), client, server, wire, answers: 0, wrong: 0, connected: 0 }
    }

    /// Carries packets from one to the other; whether there were any.
    fn carry(from: &mut Station, to: &mut Station, wire: &mut Wire, now: Instant) -> bool {
        wire.bytes.clear();
        wire.ends.clear();
        from.with(|stack| stack.poll_frames(now, wire));
        let mut start = 0;
        let mut frames = Vec::with_capacity(wire.ends.len());
        for &end in &wire.ends {
            let bytes = &wire.bytes[start..end];
            frames.push(FrameIn { bytes, checksum: ChecksumIn::Trusted, gso_size: 0 });
            start = end;
        }
        to.with(|stack| {
            for batch in frames.chunks(64) {
                stack.handle_frames(now, batch, &mut |_: DatagramIn<'_>| {});
            }
        });
        !frames.is_empty()
    }

    /// Until nothing moves.
    fn settle(&mut self) {
        self.now += Duration::from_micros(20);
        let now = self.now;
        loop {
            let there = World::carry(&mut self.client, &mut self.server, &mut self.wire, now);
            self.on_server_events();
            let back = World::carry(&mut self.server, &mut self.client, &mut self.wire, now);
            self.on_client_events();
            if !there && !back {
                return;
            }
        }
    }

    fn on_server_events(&mut self) {
        let now = self.now;
        while let Some(event) = self.server.with(Stack::poll_event) {
            self.server.with(|stack| match event {
                Event::Progress(id, events) => {
                    while let Some(nonce) = read_word(stack, now, id) {
                        stack.send(now, id, &answer(nonce).to_le_bytes());
                    }
                    if events.contains(Events::PEER_FINISHED) {
                        stack.release(now, id);
                    }
                }
                Event::Closed(id, _) => stack.release(now, id),
                _ => {}
            });
        }
    }

    fn on_client_events(&mut self) {
        let now = self.now;
        while let Some(event) = self.client.with(Stack::poll_event) {
            match event {
                Event::Connected(_) => self.connected += 1,
                Event::Progress(id, _) => {
                    while let Some(word) = self.client.with(|stack| read_word(stack, now, id)) {
                        self.answers += 1;
                        self.wrong += u64::from(word != answer(id.number().into()));
                    }
                }
                Event::Closed(id, _) => self.client.with(|stack| stack.release(now, id)),
                _ => {}
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        let now = self.now;
        self.client.with(|stack| stack.handle_timeout(now));
        self.server.with(|stack| stack.handle_timeout(now));
        self.settle();
    }

    /// What a look at both stacks costs when nothing happens.
    fn idle_ns(&mut self) -> f64 {
        const LOOKS: u32 = 100_000;
        let started = Clock::now();
        for _ in 0..LOOKS {
            self.now += Duration::from_micros(1);
            let now = self.now;
            for station in [&mut self.client, &mut self.server] {
                station.stack.handle_timeout(now);
                std::hint::black_box(station.stack.poll_timeout());
                station.stack.poll_frames(now, &mut self.wire);
                std::hint::black_box(station.stack.poll_event());
            }
        }
        started.elapsed().as_nanos() as f64 / f64::from(2 * LOOKS)
    }
}

/// One figure.
struct Figure(&'static str, f64, &'static str);

fn source(index: usize) -> Endpoint {
    let network = u32::from_be_bytes([198, 18, 0, 1]) + (index / PORTS) as u32;
    Endpoint::new(Addr::v4(network.to_be_bytes()), (1_024 + index % PORTS) as u16)
}

fn run(count: usize) -> Vec<Figure> {
    let mut world = World::new(count + 1_000);
    let (client, server) = (world.client.held, world.server.held);
    let each = move |held: isize, before: isize| (held - before) as f64 / count as f64;
    let rate = |started: Clock| count as f64 / started.elapsed().as_secs_f64();
    let mut ids: Vec<ConnId> = Vec::with_capacity(count);
    let started = Clock::now();
    while ids.len() < count {
        for index in ids.len()..count.min(ids.len() + BATCH) {
            let now = world.now;
            let opened =
                world.client.with(|stack| stack.connect(now, source(index), Endpoint::new(SERVER, 80)));
            ids.push(opened.expect("there is room for all"));
        }
        world.settle();
    }
    let set_up = rate(started);
    assert_eq!((world.connected, world.server.stack.connection_count()), (count, count));
    world.pass(Duration::from_secs(5));
    let (idle_client, idle_server) = (world.client.held, world.server.held);
    let idle = world.idle_ns();

    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let asked = ASKED.min(count);
    let started = Clock::now();
    for batch in 0..asked.div_ceil(BATCH) {
        for _ in batch * BATCH..asked.min((batch + 1) * BATCH) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (now, id) = (world.now, ids[(random >> 33) as usize % count]);
            let nonce = u64::from(id.number()).to_le_bytes();
            world.client.with(|stack| stack.send(now, id, &nonce));
        }
        world.settle();
    }
    let nonces = started.elapsed().as_secs_f64();
    assert_eq!((world.answers, world.wrong), (asked as u64, 0), "everyone answers, and rightly");
    world.pass(Duration::from_secs(5));

    let started = Clock::now();
    for batch in ids.chunks(BATCH) {
        let now = world.now;
        batch.iter().for_each(|&id| world.client.with(|stack| stack.release(now, id)));
        world.settle();
    }
    let torn_down = rate(started);
    assert_eq!(world.client.stack.table().waiting_count() as usize, count, "all wait");
    let (waiting_client, closed_server) = (world.client.held, world.server.held);
    world.pass(Duration::from_secs(70));
    assert_eq!(world.client.stack.connection_count() + world.server.stack.connection_count(), 0);
    vec![
        Figure("connections", count as f64, ""),
        Figure("bytes_per_idle_flow_server", each(idle_server, server), "B"),
        Figure("bytes_per_idle_flow_client", each(idle_client, client), "B"),
        Figure("bytes_per_time_wait", each(waiting_client, client), "B"),
        Figure("set_up_per_second", set_up, "1/s"),
        Figure("torn_down_per_second", torn_down, "1/s"),
        Figure("nonces_asked", asked as f64, ""),
        Figure("nonces_seconds", nonces, "s"),
        Figure("look_when_nothing_happens", idle, "ns"),
        Figure("bytes_left_server_closed", (closed_server - server) as f64, "B"),
        Figure("bytes_left_client", (world.client.held - client) as f64, "B"),
        Figure("bytes_left_server", (world.server.held - server) as f64, "B"),
    ]
}

fn main() {
    let mut count = 1_000_000;
    let mut json = false;
    for argument in std::env::args().skip(1) {
        match argument.parse() {
            Ok(number) => count = number,
            Err(_) if argument == "--json" => json = true,
            Err(_) => {
                eprintln!("usage: million [CONNECTIONS] [--json]");
                std::process::exit(2);
            }
        }
    }
    let figures = run(count.max(1));
    if json {
        let fields: Vec<String> =
            figures.iter().map(|Figure(name, value, _)| format!("\"{name}\":{value:.3}")).collect();
        println!("{{{}}}", fields.join(","));
    } else {
        for Figure(name, value, unit) in figures {
            println!("{name:<30} {value:>16.1} {unit}");
        }
    }
}

//! What a stack takes from the allocator for connections that are idle, begin or end, and that all of it returns.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod crowd;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crowd::{ACK, Crowd, PORT, Packets, SYN, Segment, read, stamped};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wharf_stack::stack::{Config, ConnId, Event, HostRole, Role, Stack};
use wharf_stack::tcp::{Keepalive, Settings};
use wharf_table::notation::Cidr;
use wharf_table::{Addr, BindingId, Endpoint, Instant, Port};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test at a time, so that nothing else allocates meanwhile.
static ALONE: Mutex<()> = Mutex::new(());

const COUNT: usize = 100_000;
/// The one real client of a flood.
const REAL: ([u8; 4], u16) = ([198, 18, 0, 1], 5_000);
/// What a stack may keep of connections that are gone: lists for the next thousands.
const KEPT: isize = 64 << 10;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn held() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

fn each(bytes: isize) -> f64 {
    bytes as f64 / COUNT as f64
}

fn listener(stack: &mut Stack, backlog: Option<u32>) -> BindingId {
    stack.listen_with_backlog(None, Port::new(PORT).unwrap(), 80, backlog).unwrap()
}

fn ticks(stacks: &mut [&mut Stack], now: &mut Instant, step: Duration, times: u32) {
    for _ in 0..times {
        *now += step;
        stacks.iter_mut().for_each(|stack| stack.handle_timeout(*now));
    }
}

/// A server with clients that share no code with it, and the bytes that it holds.
struct Server {
    stack: Stack,
    crowd: Crowd,
    back: Packets,
    now: Instant,
    /// What is held by others than the stack.
    others: isize,
}

impl Server {
    fn new(settings: Settings) -> Server {
        let crowd = Crowd::new(COUNT);
        let mut stack = crowd::server(COUNT + 1_000, settings);
        listener(&mut stack, None);
        Server { stack, crowd, back: Packets::default(), now: Instant::from_millis(1), others: held() }
    }

    fn held(&self) -> isize {
        held() - self.others - (self.crowd.out.bytes_held() + self.back.bytes_held()) as isize
    }

    fn each(&mut self, of: impl Iterator<Item = usize>, act: fn(&mut Crowd, usize)) {
        let mut of = of.peekable();
        while of.peek().is_some() {
            of.by_ref().take(256).for_each(|index| act(&mut self.crowd, index));
            self.now += Duration::from_micros(20);
            let Server { stack, crowd, back, now, .. } = self;
            crowd::settle(crowd, back, *now, 64, |run| run(stack));
        }
    }

    fn pass(&mut self, step: Duration, times: u32) {
        ticks(&mut [&mut self.stack], &mut self.now, step, times);
    }
}

#[test]
fn idle_flows_of_an_independent_client_answer_and_all_of_them_returns() {
    let _alone = alone();
    let mut server = Server::new(Settings::default());
    server.each(0..COUNT, Crowd::knock);
    assert_eq!((server.crowd.established, server.stack.connection_count()), (COUNT, COUNT));
    server.pass(Duration::from_secs(1), 5);
    assert!(each(server.held()) <= 256.0, "an idle flow costs {} bytes", each(server.held()));
    server.each((0..COUNT).map(|index| index * 7_919 % COUNT).take(10_000), Crowd::ask);
    assert_eq!(server.crowd.answers, 10_000);
    server.pass(Duration::from_secs(1), 5);
    assert!(each(server.held()) <= 256.0, "a flow that worked costs {} bytes", each(server.held()));
    server.each(0..COUNT, Crowd::finish);
    server.pass(Duration::from_secs(1), 70);
    assert_eq!((server.crowd.finished, server.stack.connection_count()), (COUNT, 0));
    assert!(server.held() <= KEPT, "{} bytes are kept", server.held());
}

#[test]
fn a_flow_with_keepalive_is_put_away_too_and_asks_in_time() {
    let _alone = alone();
    let keepalive =
        Keepalive { idle: Duration::from_secs(600), interval: Duration::from_secs(75), probes: 9 };
    let mut server = Server::new(Settings { keepalive: Some(keepalive), ..Settings::default() });
    server.each(0..COUNT, Crowd::knock);
    server.pass(Duration::from_secs(1), 5);
    assert!(server.stack.working_count() <= 5_000, "{} work", server.stack.working_count());
    assert!(each(server.held()) <= 256.0, "an idle flow costs {} bytes", each(server.held()));
    server.now += Duration::from_secs(600);
    let (mut probes, mut packets) = (0, Packets::default());
    server.stack.handle_timeout(server.now);
    server.stack.poll_frames(server.now, &mut packets);
    for packet in packets.iter() {
        let segment = read(packet).1;
        probes += usize::from(segment.payload.is_empty() && segment.flags == ACK);
    }
    assert_eq!(probes, COUNT);
}

/// A host that connects to the other from two addresses.
fn client(server: &Config) -> Stack {
    let address = |host| Cidr::new(Addr::v4([10, 0, 2, host]), 24).unwrap();
    let role = HostRole { addresses: vec![address(10), address(11)], gateway_v4: None, gateway_v6: None };
    Stack::new(Config { role: Role::Host(role), ..server.clone() }, Instant::from_millis(1))
}

fn carry(from: &mut Stack, to: &mut Stack, packets: &mut Packets, now: Instant) -> bool {
    packets.clear();
    from.poll_frames(now, packets);
    packets.deliver(to, now, 64);
    packets.len() > 0
}

/// Until nothing moves. Who hears of an end releases.
fn settle(client: &mut Stack, server: &mut Stack, packets: &mut Packets, now: Instant) {
    loop {
        let there = carry(client, server, packets, now);
        crowd::serve(server, now);
        let back = carry(server, client, packets, now);
        while let Some(event) = client.poll_event() {
            if let Event::Closed(id, _) = event {
                client.release(now, id);
            }
        }
        if !there && !back {
            return;
        }
    }
}

#[test]
fn a_client_s_flows_and_what_is_left_of_them_are_small() {
    let _alone = alone();
    let mut server = crowd::server(COUNT + 1_000, Settings::default());
    listener(&mut server, None);
    let mut now = Instant::from_millis(1);
    let mut packets = Packets::default();
    let mut ids: Vec<ConnId> = Vec::with_capacity(COUNT);
    let mut client = client(server.config());
    // What both hold; the server's part is measured by itself above.
    let before = held();
    while ids.len() < COUNT {
        for index in ids.len()..COUNT.min(ids.len() + 256) {
            let source = Addr::v4([10, 0, 2, 10 + (index / 50_000) as u8]);
            let source = Endpoint::new(source, (1_024 + index % 50_000) as u16);
            ids.push(client.connect(now, source, Endpoint::new(Addr::v4(crowd::SERVER), PORT)).unwrap());
        }
        now += Duration::from_micros(20);
        settle(&mut client, &mut server, &mut packets, now);
    }
    ticks(&mut [&mut client, &mut server], &mut now, Duration::from_secs(1), 5);
    assert_eq!(server.connection_count(), COUNT);
    let both = held() - before - packets.bytes_held() as isize;
    assert!(each(both) <= 2.0 * 256.0, "two idle ends cost {} bytes", each(both));
    for some in ids.chunks(256) {
        some.iter().for_each(|&id| client.release(now, id));
        now += Duration::from_micros(20);
        settle(&mut client, &mut server, &mut packets, now);
    }
    ticks(&mut [&mut server, &mut client], &mut now, Duration::from_millis(500), 20);
    assert_eq!((server.connection_count(), client.table().waiting_count() as usize), (0, COUNT));
    let waiting = held() - before - packets.bytes_held() as isize;
    assert!(each(waiting - KEPT) <= 64.0, "a row in TIME-WAIT costs {} bytes", each(waiting));
    ticks(&mut [&mut server, &mut client], &mut now, Duration::from_secs(5), 20);
    assert_eq!(client.connection_count(), 0);
    let kept = held() - before - packets.bytes_held() as isize;
    assert!(kept <= 2 * KEPT, "{kept} bytes are kept");
}

#[test]
fn requests_are_rows_of_96_bytes_that_go() {
    let _alone = alone();
    let mut crowd = Crowd::new(COUNT);
    let mut stack = crowd::server(COUNT + 1_000, Settings::default());
    listener(&mut stack, Some(COUNT as u32));
    let (mut now, mut packets, before) = (Instant::from_millis(1), Packets::default(), held());
    for index in 0..COUNT {
        crowd.knock(index);
        if index % 250 == 249 {
            crowd.out.deliver(&mut stack, now, 64);
            crowd.out.clear();
            packets.clear();
            stack.poll_frames(now, &mut packets);
            assert_eq!(packets.len(), 250);
        }
    }
    let of_others =
        |crowd: &Crowd, packets: &Packets| (crowd.out.bytes_held() + packets.bytes_held()) as isize;
    let bytes = held() - before - of_others(&crowd, &packets);
    assert_eq!(stack.connection_count(), COUNT);
    assert!(each(bytes) <= 96.0, "a request costs {} bytes", each(bytes));
    for _ in 0..640 {
        now += Duration::from_millis(100);
        stack.handle_timeout(now);
        packets.clear();
        stack.poll_frames(now, &mut packets);
    }
    assert_eq!(stack.connection_count(), 0);
    let kept = held() - before - of_others(&crowd, &packets);
    assert!(kept <= KEPT, "{kept} bytes are kept");
}

/// What the server sends to the real client.
fn sent(stack: &mut Stack, now: Instant) -> Vec<Vec<u8>> {
    let mut packets = Packets::default();
    stack.poll_frames(now, &mut packets);
    packets.iter().filter(|packet| read(packet).0 == REAL).map(<[u8]>::to_vec).collect()
}

/// The same when it was given a segment of the real client.
fn answers(stack: &mut Stack, now: Instant, segment: &Segment<'_>) -> Vec<Vec<u8>> {
    let mut one = Packets::default();
    one.push(REAL, segment);
    one.deliver(stack, now, 1);
    sent(stack, now)
}

#[test]
fn a_million_forged_syns_take_bounded_memory_and_a_client_comes_through_with_scale_and_sack() {
    const FLOOD: u32 = 1_000_000;
    let _alone = alone();
    let mut stack = crowd::server(COUNT, Settings::default());
    let binding = listener(&mut stack, Some(1_024));
    let (now, mut packets, mut answers) = (Instant::from_millis(1), Packets::default(), Packets::default());
    let (before, mut most) = (held(), 0);
    for index in 0..FLOOD {
        let scattered = index.wrapping_mul(0x9e37_79b1);
        let [_, b, c, d] = scattered.to_be_bytes();
        let options = crowd::offered(index);
        let syn =
            Segment { seq: scattered, flags: SYN, window: 1_000, options: &options, ..Segment::default() };
        packets.push(([203, b, c, d], 1_024 + (index % 60_000) as u16), &syn);
        if index % 1_000 == 999 {
            packets.deliver(&mut stack, now, 64);
            packets.clear();
            answers.clear();
            stack.poll_frames(now, &mut answers);
            most = most.max(held() - before - (packets.bytes_held() + answers.bytes_held()) as isize);
        }
    }
    assert_eq!(stack.connection_count(), 1_024);
    assert!(most <= 512 << 10, "{most} bytes are held");

    comes_through(&mut stack, binding, now);
}

/// A client establishes a connection by a cookie, and it has the window scale and SACK that the SYN offered.
fn comes_through(stack: &mut Stack, binding: BindingId, now: Instant) {
    let offered = crowd::offered(70);
    let syn = Segment { seq: 999, flags: SYN, window: 1_000, options: &offered, ..Segment::default() };
    let answer = answers(stack, now, &syn);
    let synack = read(&answer[0]).1;
    let clock = crowd::timestamp(synack.options).unwrap();
    let (seq, mut ack) = (1_000, synack.seq.wrapping_add(1));
    let stamp = stamped(71, clock);
    let plain = Segment { seq, ack, flags: ACK, window: 1_000, options: &stamp, payload: &[] };
    assert!(answers(stack, now, &plain).is_empty());
    let id = stack.accept_next(now, binding).expect("the cookie is believed");
    assert_eq!(stack.connection(id).info(now).snd_wnd, 1_000 << crowd::SHIFT, "the window is scaled");

    // Ten segments, of which the second is lost: only that one is sent again.
    let data: Vec<u8> = (0..14_000_u32).map(|at| at as u8 ^ (at >> 8) as u8).collect();
    assert_eq!(stack.send(now, id, &data), data.len());
    let flight = sent(stack, now);
    let lost = read(&flight[1]).1;
    let (lost_seq, lost_len) = (lost.seq, lost.payload.len() as u32);
    ack = lost_seq;
    let now = now + Duration::from_millis(20);
    let mut again = Vec::new();
    for packet in &flight[2..] {
        let segment = read(packet).1;
        let end = segment.seq.wrapping_add(segment.payload.len() as u32);
        let mut options = stamped(72, crowd::timestamp(segment.options).unwrap()).to_vec();
        options.extend_from_slice(&[1, 1, 5, 10]);
        options.extend_from_slice(&lost_seq.wrapping_add(lost_len).to_be_bytes());
        options.extend_from_slice(&end.to_be_bytes());
        let selective = Segment { seq, ack, flags: ACK, window: 1_000, options: &options, payload: &[] };
        again.extend(answers(stack, now, &selective));
    }
    let highest = flight.iter().map(|packet| read(packet).1.seq).max().unwrap();
    let repeated: Vec<u32> =
        again.iter().map(|packet| read(packet).1.seq).filter(|&seq| seq <= highest).collect();
    assert_eq!(repeated, [lost_seq], "the gap and nothing else is sent again");
    let mut got = vec![0; data.len()];
    let first = read(&flight[0]).1.seq;
    for packet in flight.iter().take(1).chain(&flight[2..]).chain(&again) {
        let segment = read(packet).1;
        let at = segment.seq.wrapping_sub(first) as usize;
        got[at..at + segment.payload.len()].copy_from_slice(segment.payload);
    }
    assert_eq!(got, data);
}

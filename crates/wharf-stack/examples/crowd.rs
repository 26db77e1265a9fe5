//! So many established connections on port 80 of one stack, from clients that share no code with it.
//!
//! ```text
//! cargo run --release -p wharf-stack --example crowd -- [CONNECTIONS] [--json]
//! ```
//!
//! The clients' packets are made and read by hand (`tests/crowd`). All are established (1,000,000 unless told); 10,000 of
//! them, chosen at random, ask for a nonce and are answered; then segments for random connections are taken one by one and
//! in batches of 64; then all close. Bytes are those that the stack holds, everything included.

#[path = "../tests/crowd/mod.rs"]
mod crowd;

use std::alloc::System;
use std::time::Duration;

use crowd::{Crowd, Packets};
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wharf_stack::stack::{DatagramIn, Stack};
use wharf_stack::tcp::Settings;
use wharf_table::{Instant, Port};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOGETHER: usize = 256;
const ASKED: usize = 10_000;
/// Segments of the measurement by batches.
const TOUCHED: usize = 200_000;

fn allocated() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

/// Nanoseconds that this thread has run.
fn clock() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// What the clients hold and what is on its way.
fn of_others(crowd: &Crowd, back: &Packets) -> isize {
    (crowd.out.bytes_held() + back.bytes_held()) as isize
}

struct World {
    stack: Stack,
    held: isize,
    crowd: Crowd,
    back: Packets,
    now: Instant,
}

impl World {
    fn with<R>(&mut self, run: impl FnOnce(&mut Stack) -> R) -> R {
        let before = allocated();
        let result = run(&mut self.stack);
        self.held += allocated() - before;
        result
    }

    fn settle(&mut self) {
        self.now += Duration::from_micros(20);
        let World { stack, held, crowd, back, now } = self;
        let before = allocated() - of_others(crowd, back);
        crowd::settle(crowd, back, *now, 64, |run| run(stack));
        *held += allocated() - of_others(crowd, back) - before;
    }

    /// For each of the clients, `TOGETHER` at a time.
    fn each(&mut self, of: &[usize], act: fn(&mut Crowd, usize)) {
        for some in of.chunks(TOGETHER) {
            some.iter().for_each(|&index| act(&mut self.crowd, index));
            self.settle();
        }
    }

    /// Nanoseconds of a segment that asks nothing, for random connections, in batches of this size.
    fn segment_ns(&mut self, of: &[usize], batch: usize) -> f64 {
        let mut spent = 0.0;
        let before = allocated() - of_others(&self.crowd, &self.back);
        for some in of.chunks(64) {
            some.iter().for_each(|&index| self.crowd.ask_nothing(index));
            let frames = crowd::trusted(&self.crowd.out);
            let (stack, now) = (&mut self.stack, self.now);
            let start = clock();
            for frames in frames.chunks(batch) {
                stack.handle_frames(now, frames, &mut |_: DatagramIn<'_>| {});
            }
            spent += clock() - start;
            drop(frames);
            self.crowd.out.clear();
        }
        self.held += allocated() - of_others(&self.crowd, &self.back) - before;
        spent / of.len() as f64
    }
}

fn random(count: usize, most: usize) -> Vec<usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((state >> 33) * count as u64) >> 31) as usize
    };
    core::iter::repeat_with(next).take(most).collect()
}

fn run(count: usize) -> Vec<(&'static str, f64, &'static str)> {
    let before = allocated();
    let mut stack = crowd::server(count + 1_000, Settings::default());
    stack.listen(None, Port::new(crowd::PORT).expect("not zero"), 80).expect("the port is free");
    let empty = allocated() - before;
    let (crowd, back) = (Crowd::new(count), Packets::default());
    let mut world = World { stack, held: empty, crowd, back, now: Instant::from_millis(1) };
    let all: Vec<usize> = (0..count).collect();
    let start = clock();
    world.each(&all, Crowd::knock);
    let set_up = count as f64 * 1e9 / (clock() - start);
    assert_eq!((world.crowd.established, world.stack.connection_count()), (count, count));
    world.now += Duration::from_secs(5);
    let now = world.now;
    world.with(|stack| stack.handle_timeout(now));
    let idle = (world.held - empty) as f64 / count as f64;
    let asked = random(count, ASKED.min(count));
    world.each(&asked, Crowd::ask);
    assert_eq!(world.crowd.answers, asked.len(), "everyone is answered, and rightly");
    let touched = random(count, TOUCHED);
    let (one, many) = touched.split_at(TOUCHED / 2);
    let (one, many) = (world.segment_ns(one, 1), world.segment_ns(many, 64));
    let start = clock();
    world.each(&all, Crowd::finish);
    let torn_down = count as f64 * 1e9 / (clock() - start);
    assert_eq!((world.crowd.finished, world.stack.connection_count()), (count, 0));
    for _ in 0..10 {
        world.now += Duration::from_secs(1);
        let now = world.now;
        world.with(|stack| stack.handle_timeout(now));
    }
    vec![
        ("connections", count as f64, ""),
        ("nonces_answered", world.crowd.answers as f64, ""),
        ("bytes_per_idle_flow", idle, "B"),
        ("set_up_per_second", set_up, "1/s"),
        ("torn_down_per_second", torn_down, "1/s"),
        ("segment_one_by_one", one, "ns"),
        ("segment_in_batches", many, "ns"),
        ("bytes_left", (world.held - empty) as f64, "B"),
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
                eprintln!("usage: crowd [CONNECTIONS] [--json]");
                std::process::exit(2);
            }
        }
    }
    let figures = run(count.max(1));
    if json {
        let fields: Vec<String> =
            figures.iter().map(|(name, value, _)| format!("\"{name}\":{value:.3}")).collect();
        println!("{{{}}}", fields.join(","));
    } else {
        for (name, value, unit) in figures {
            println!("{name:<24} {value:>16.1} {unit}");
        }
    }
}

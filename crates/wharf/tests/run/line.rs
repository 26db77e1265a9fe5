//! `--link`: each of its words makes the line bad in its own way, and in no other.

use crate::lab::{Finished, Lab, Place, missing, server};
use std::time::{Duration, Instant};

crate::tests! {
    [tap_user packet_user] delay_and_jitter_take_their_time loss_loses duplicate_doubles corrupt_breaks_checksums;
    [tap_user packet_user] reorder_lets_others_overtake rate_holds_both_ways a_short_queue_overflows;
}

/// What ping has seen of the gateway, which answers by itself: only the line is between them.
struct Pings {
    received: u32,
    doubled: u32,
    /// The numbers of the requests in the order of the answers.
    order: Vec<u32>,
    /// How long each took, in milliseconds.
    times: Vec<f64>,
    said: String,
}

fn ping(lab: &Lab, link: &str, words: &[&str]) -> Option<Pings> {
    if let Some(tool) = missing(&["ping"]) {
        println!("skipped: {tool} isn't installed");
        return None;
    }
    // The first exchange of a line finds hardware addresses where they are not known: they are.
    let command = [&["ping", "-n", "-W", "2"], words, &["10.0.2.2"]].concat();
    Some(read(&lab.run(&["--link", link], &command)))
}

fn read(end: &Finished) -> Pings {
    assert!(end.code() <= 1, "ping could not work: {}{}", end.stdout, end.stderr);
    let after = |line: &str, word: &str| {
        let rest = line.split_once(word)?.1;
        rest.split([' ', ',']).next()?.parse::<f64>().ok()
    };
    let answers = || end.stdout.lines().filter(|line| line.contains("bytes from"));
    Pings {
        received: answers().filter(|line| !line.contains("(DUP!)")).count() as u32,
        doubled: answers().filter(|line| line.contains("(DUP!)")).count() as u32,
        order: answers().filter_map(|line| after(line, "icmp_seq=")).map(|number| number as u32).collect(),
        times: answers().filter_map(|line| after(line, "time=")).collect(),
        said: end.stdout.clone(),
    }
}

#[track_caller]
fn assert_within(what: &str, value: f64, range: std::ops::RangeInclusive<f64>, said: &str) {
    assert!(range.contains(&value), "{what} is {value}, not within {range:?}\n{said}");
}

fn fastest(pings: &Pings) -> f64 {
    pings.times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn delay_and_jitter_take_their_time(lab: &Lab) {
    let Some(seen) = ping(lab, "delay=50ms", &["-c", "5", "-i", "0.1"]) else { return };
    assert_eq!(seen.received, 5, "{}", seen.said);
    // Once there and once back.
    assert_within("the fastest", fastest(&seen), 100.0..=115.0, &seen.said);
    let Some(seen) = ping(lab, "delay=30ms,jitter=20ms", &["-c", "40", "-i", "0.05"]) else { return };
    assert_eq!(seen.received, 40, "{}", seen.said);
    let slowest = seen.times.iter().copied().fold(0.0, f64::max);
    assert_within("the fastest", fastest(&seen), 20.0..=60.0, &seen.said);
    assert_within("the spread", slowest - fastest(&seen), 15.0..=150.0, &seen.said);
}

/// Many requests, fast, so that shares show.
const MANY: [&str; 4] = ["-c", "400", "-i", "0.005"];

fn loss_loses(lab: &Lab) {
    let Some(seen) = ping(lab, "loss=20%", &MANY) else { return };
    // 0.8 squared of 400 is 256; five standard deviations are 48.
    assert_within("answers", f64::from(seen.received), 208.0..=304.0, &seen.said);
    assert_eq!(seen.doubled, 0);
    let all = ping(lab, "loss=100%", &["-c", "2", "-i", "0.1"]).map(|seen| seen.received);
    assert_eq!(all, Some(0));
}

fn duplicate_doubles(lab: &Lab) {
    let Some(seen) = ping(lab, "duplicate=20%", &MANY) else { return };
    assert_eq!(seen.received, 400, "{}", seen.said);
    // Each request comes 1.2 times on average, and so does each answer: 1.44 times 400, less the first ones.
    assert_within("copies", f64::from(seen.doubled), 110.0..=250.0, &seen.said);
}

fn corrupt_breaks_checksums(lab: &Lab) {
    if let Some(tool) = missing(&["ping"]) {
        return println!("skipped: {tool} isn't installed");
    }
    // In large packets the flipped bit is nearly always one of the data, which the checksum covers.
    let script = "ping -n -W 2 -s 1400 -c 400 -i 0.005 10.0.2.2; grep '^Icmp: ' /proc/net/snmp";
    let end = lab.run(&["--link", "corrupt=20%"], &["sh", "-c", script]);
    let seen = read(&end);
    assert_within("answers", f64::from(seen.received), 208.0..=304.0, &seen.said);
    let mut lines = end.stdout.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (names, values) = (lines.next().expect("a line of names"), lines.next().expect("a line of values"));
    let wrong = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "InCsumErrors");
    let wrong: f64 = wrong.and_then(|(_, value)| value.parse().ok()).expect("the kernel counts them");
    assert_within("wrong checksums inside", wrong, 30.0..=110.0, &seen.said);
}

fn reorder_lets_others_overtake(lab: &Lab) {
    let Some(seen) = ping(lab, "delay=40ms,reorder=10%", &MANY) else { return };
    assert_eq!((seen.received, seen.doubled), (400, 0), "{}", seen.said);
    // Forty are late by half of the delay, the time of two requests and more, each way; where neighbours are late, one shows.
    let overtaken = seen.order.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert_within("overtaken", overtaken as f64, 20.0..=150.0, &seen.said);
    let Some(straight) = ping(lab, "delay=40ms", &MANY) else { return };
    assert!(straight.order.is_sorted(), "without it all come in order: {}", straight.said);
}

fn rate_holds_both_ways(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["bulk", "0.0.0.0", "5000"]);
    const SIZE: &str = "2000000";
    for words in [["bulk", server::V4, "5000", SIZE, "0", "1"], ["bulk", server::V4, "5000", "0", SIZE, "1"]]
    {
        let command = lab.peer("dial.py", &words);
        let began = Instant::now();
        let run = lab.run(&["--link", "rate=10mbit"], &command);
        let took = began.elapsed();
        assert_eq!(run.good(), "whole", "{words:?}");
        // 16 Mbit of data at 10 Mbit/s, and headers; up to half as much again for what was lost to the queue.
        let bounds = Duration::from_millis(1600)..Duration::from_millis(3200);
        assert!(bounds.contains(&took), "{words:?} took {took:?}");
    }
}

fn a_short_queue_overflows(lab: &Lab) {
    // Five datagrams at once, of which two may wait while one is on its way at 1 Mbit/s.
    let script = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  for _ in range(20): s.sendto(b'x' * 1000, ('198.51.100.2', 4000))\n\
                  s.settimeout(1); count = 0\n\
                  try:\n    while s.recv(2000): count += 1\n\
                  except TimeoutError: print(count)";
    let _server = lab.serve(Place::Server, &["datagrams", server::V4, "4000"]);
    let command = [crate::lab::python(), "-c", script];
    let back = |link: &str| -> u32 {
        lab.run(&["--link", link], &command).good().parse().expect("the program prints a number")
    };
    assert_eq!(back("rate=1mbit"), 20, "a thousand may wait");
    let few = back("rate=1mbit,queue=5");
    assert!((5..=8).contains(&few), "{few} of 20 came back");
}

//! A run's end: what the program sent before it ended arrives, and who does not take it hears of it.

use crate::lab::{Lab, Place, Proc, User, host, server};
use std::time::{Duration, Instant};

crate::tests! {
    [all] what_is_sent_last_arrives what_is_served_last_arrives datagrams_sent_last_arrive;
    [tap_user packet_user] it_arrives_over_a_bad_link who_takes_nothing_is_reset a_second_signal_ends_it_at_once;
    [tap_user packet_user] newcomers_are_refused_while_it_drains published_datagrams_are_closed_when_it_drains a_late_reader_loses_nothing_of_a_closed_flow;
    [tap_user packet_root] what_waits_for_nobody_ends_at_once;
}

/// What the programs of these tests exit with.
const CODE: i32 = 7;
const SIZE: &str = "67108864";

/// Starts a peer program of these tests and waits for `ready`.
fn start(lab: &Lab, place: Place, words: &[&str]) -> Proc {
    let mut peer = lab.world.start(place, User::Root, &lab.peer("last.py", words));
    peer.line("ready");
    peer
}

fn what_is_sent_last_arrives(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let reader = start(lab, Place::Server, &["take", address, "5000", "slow"]);
        let run = lab.run(&[], &lab.peer("last.py", &["send", address, "5000", SIZE]));
        assert_eq!(run.code(), CODE, "{}", run.stderr);
        assert!(reader.finish().good().ends_with(&format!("{SIZE} whole end")), "to {address}");
    }
}

fn what_is_served_last_arrives(lab: &Lab) {
    let sets = [
        (Place::Client, host::TO_CLIENT_V4, "0.0.0.0"),
        (Place::Client, host::TO_CLIENT_V6, "::"),
        (Place::Host, "127.0.0.1", "0.0.0.0"),
    ];
    for (place, address, inside) in sets {
        let options = ["-p", "0.0.0.0:8080:80", "-p", "[::]:8080:80"];
        let mut run = lab.wharf(&options, &lab.peer("last.py", &["give", inside, "80", "16777216"]));
        run.line("ready");
        let client = lab.world.run(place, &lab.peer("last.py", &["fetch", address, "8080", "slow"]));
        assert_eq!(client.good(), "16777216 whole end", "from {address}");
        assert_eq!(run.finish().code(), CODE);
    }
}

fn datagrams_sent_last_arrive(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let receiver = start(lab, Place::Server, &["count", address, "4000", "100"]);
        let run = lab.run(&[], &lab.peer("last.py", &["burst", address, "4000", "100"]));
        assert_eq!(run.code(), CODE, "{}", run.stderr);
        let seen = receiver.finish();
        assert_eq!(seen.good().lines().last(), Some("100"), "to {address}");
    }
}

fn it_arrives_over_a_bad_link(lab: &Lab) {
    let options = ["--link", "delay=20ms,loss=2%,reorder=1%"];
    let reader = start(lab, Place::Server, &["take", server::V4, "5000", "slow"]);
    let run = lab.run(&options, &lab.peer("last.py", &["send", server::V4, "5000", "1000000"]));
    assert_eq!(run.code(), CODE, "{}", run.stderr);
    assert!(reader.finish().good().ends_with("1000000 whole end"));
    let receiver = start(lab, Place::Server, &["count", server::V4, "4000", "100"]);
    lab.run(&["--link", "delay=200ms"], &lab.peer("last.py", &["burst", server::V4, "4000", "100"]));
    assert_eq!(receiver.finish().good().lines().last(), Some("100"));
}

/// The bytes of `sent SIZE`, and the words of what the reader says: how much came, whether it was whole, how it ended.
fn crammed(sent: &str, read: &str) -> (u64, u64, String) {
    let (size, rest) = read.split_once(' ').expect("a size and an end");
    (sent.parse().expect("a size"), size.parse().expect("a size"), rest.to_owned())
}

fn who_takes_nothing_is_reset(lab: &Lab) {
    let mut reader = start(lab, Place::Server, &["take", server::V4, "5000", "stuck"]);
    let mut run = lab.wharf(&[], &lab.peer("last.py", &["cram", server::V4, "5000"]));
    let sent = run.line("sent ");
    let since = Instant::now();
    assert_eq!(run.finish().code(), CODE);
    let waited = since.elapsed().as_secs_f64();
    assert!((4.0..8.0).contains(&waited), "it ended after {waited} s");
    reader.line("taken");
    let read = reader.finish();
    let (sent, came, rest) = crammed(&sent, read.good().lines().last().expect("what came"));
    assert!(came < sent && rest.starts_with("whole ECONNRESET after"), "{came} of {sent}: {rest}");
}

fn a_second_signal_ends_it_at_once(lab: &Lab) {
    for signal in ["INT", "TERM"] {
        let reader = start(lab, Place::Server, &["take", server::V4, "5000", "stuck"]);
        let mut run = lab.wharf(&[], &lab.peer("last.py", &["cram", server::V4, "5000"]));
        let sent = run.line("sent ");
        std::thread::sleep(Duration::from_millis(500));
        assert!(run.is_running(), "it waits for the reader");
        let since = Instant::now();
        run.signal(signal);
        assert_eq!(run.finish().code(), CODE, "the program's code, not the signal's");
        assert!(since.elapsed() < Duration::from_secs(1), "it took {:?}", since.elapsed());
        let read = reader.finish();
        let (sent, came, rest) = crammed(&sent, read.good().lines().last().expect("what came"));
        assert!(came < sent && rest.starts_with("whole ECONNRESET"), "{came} of {sent}: {rest}");
    }
}

fn newcomers_are_refused_while_it_drains(lab: &Lab) {
    let _reader = start(lab, Place::Server, &["take", server::V4, "5000", "stuck"]);
    let nonce = lab.peer("serve.py", &["nonce", "0.0.0.0", "80"]).join(" ");
    let cram = lab.peer("last.py", &["cram", server::V4, "5000"]).join(" ");
    let script = format!("{nonce} & {cram}; exit 7");
    let mut run = lab.wharf(&["-p", "127.0.0.1:8080:80"], &["sh", "-c", &script]);
    let dial = lab.peer("dial.py", &["errno", "127.0.0.1", "8080"]);
    run.line("ready");
    assert_eq!(lab.world.run(Place::Host, &dial).good(), "connected", "while the program runs");
    run.line("sent ");
    std::thread::sleep(Duration::from_millis(500));
    assert!(run.is_running(), "it waits for the reader");
    assert_eq!(lab.world.run(Place::Host, &dial).good(), "ECONNREFUSED", "when it has ended");
    assert_eq!(run.finish().code(), CODE);
}

fn published_datagrams_are_closed_when_it_drains(lab: &Lab) {
    let _reader = start(lab, Place::Server, &["take", server::V4, "5000", "stuck"]);
    let cram = lab.peer("last.py", &["cram", server::V4, "5000"]);
    let mut run = lab.wharf(&["-p", "127.0.0.1:8053:53/udp"], &cram);
    run.line("sent ");
    std::thread::sleep(Duration::from_millis(500));
    assert!(run.is_running(), "it waits for the reader");
    let ask = lab.peer("datagram.py", &["refused", "127.0.0.1", "8053"]);
    assert_eq!(lab.world.run(Place::Host, &ask).good(), "ECONNREFUSED");
    run.signal("TERM");
    assert_eq!(run.finish().code(), CODE);
}

/// Here no program ends, but a connection: both ends have finished it, and what the host has not taken yet is in wharf's hands.
fn a_late_reader_loses_nothing_of_a_closed_flow(lab: &Lab) {
    let clients = ["1000000", "1500000"].map(|size| {
        let options = ["-p", "0.0.0.0:0:80"];
        let mut run = lab.wharf(&options, &lab.peer("last.py", &["answer", "0.0.0.0", "80", size]));
        let port = run.error_line("wharf: published tcp 0.0.0.0:");
        let port = port.split(' ').next().expect("a port").to_owned();
        run.line("ready");
        let fetch = lab.peer("last.py", &["fetch", host::TO_CLIENT_V4, &port, "late"]);
        (size, run, lab.world.start(Place::Client, User::Root, &fetch))
    });
    for (size, _run, client) in clients {
        assert_eq!(client.finish().good(), format!("{size} whole end"));
    }
}

/// Connections that were never made, idle ones and those of the name server hold nothing up.
fn what_waits_for_nobody_ends_at_once(lab: &Lab) {
    let _peer = lab.serve(Place::Server, &["nonce", "0.0.0.0", "80"]);
    let hold = lab.peer("dial.py", &["hold", server::V4, "80", "50"]).join(" ");
    let silent = lab.peer("dial.py", &["errno", crate::lab::silent::V4, "80", "30"]).join(" ");
    let script = format!("{silent} & echo | {hold} & sleep 1.5; exit 7");
    let since = Instant::now();
    let run = lab.run(&[], &["sh", "-c", &script]);
    assert_eq!(run.code(), CODE, "{}", run.stderr);
    assert!(run.stdout.contains("held 50"), "{}", run.stdout);
    assert!(since.elapsed() < Duration::from_secs(3), "it took {:?}", since.elapsed());
}

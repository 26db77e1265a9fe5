//! UDP outward: one mapping for each socket inside, errors that come back, datagrams of any size.

use crate::lab::{Lab, Place, host, server};

crate::tests! {
    [all] goes_there_and_back keeps_one_external_port_for_all_destinations a_closed_port_is_refused;
    [tap_user packet_user] carries_large_datagrams fragments_at_a_small_mtu carries_bursts_of_mixed_sizes;
    [tap_user packet_user] refusals_find_their_datagram_in_a_burst counts_what_overflows_at_the_hosts_socket;
    [tap_user] counts_what_overflows_in_the_programs_interface;
    [packet_user] counts_what_overflows_at_the_packet_socket;
}

fn ask(lab: &Lab, options: &[&str], words: &[&str]) -> String {
    lab.run(options, &lab.peer("datagram.py", words)).good().to_owned()
}

fn goes_there_and_back(lab: &Lab) {
    for (address, seen_as) in [(server::V4, host::TO_SERVER_V4), (server::V6, host::TO_SERVER_V6)] {
        let _server = lab.serve(Place::Server, &["datagrams", address, "4000"]);
        let answer = ask(lab, &[], &["echo", address, "4000", "word"]);
        assert!(
            answer.starts_with(&format!("{seen_as} ")) && answer.ends_with(" word"),
            "answered: {answer}"
        );
    }
}

fn keeps_one_external_port_for_all_destinations(lab: &Lab) {
    for (first, second) in [(server::V4, server::SECOND_V4), (server::V6, server::SECOND_V6)] {
        let _one = lab.serve(Place::Server, &["datagrams", first, "4000"]);
        let _two = lab.serve(Place::Server, &["datagrams", second, "4000"]);
        let ports = ask(lab, &[], &["mapping", first, "4000", second]);
        let (one, two) = ports.split_once(' ').expect("two ports");
        assert_eq!(one, two, "RFC 4787: endpoint-independent mapping");
    }
}

fn a_closed_port_is_refused(lab: &Lab) {
    for address in [server::V4, server::V6] {
        assert_eq!(ask(lab, &[], &["refused", address, "4001"]), "ECONNREFUSED", "{address}");
    }
}

fn carries_bursts_of_mixed_sizes(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _servers = ["4000", "4001"].map(|port| lab.serve(Place::Server, &["mirror", address, port]));
        for options in [&[][..], &["--no-offload"], &["--mtu", "1500"]] {
            let back = ask(lab, options, &["burst", address, "4000", "4001"]);
            assert_eq!(back, "40", "{options:?} to {address}");
        }
    }
}

fn refusals_find_their_datagram_in_a_burst(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _server = lab.serve(Place::Server, &["mirror", address, "4000"]);
        let told = ask(lab, &[], &["among", address, "4000", "4001", "100"]);
        assert_eq!(told, "50 {4001}", "what the open port took comes back, and only the closed one refuses");
    }
}

/// The number that `-v` told at the end of a run for a reason.
fn dropped(said: &str, reason: &str) -> u64 {
    let ending = format!(": {reason}");
    let count = said.lines().find_map(|line| line.strip_prefix("wharf: dropped ")?.strip_suffix(&ending));
    count.unwrap_or_else(|| panic!("no {reason}: {said}")).parse().expect("a number")
}

/// How many datagrams the kernel says it dropped at the host's socket with this port (`/proc/net/udp`, the last column).
fn dropped_at_socket(lab: &Lab, port: &str) -> u64 {
    let number: u16 = port.parse().expect("a port");
    let sockets = lab.world.run(Place::Host, &["cat", "/proc/net/udp"]);
    let ending = format!(":{number:04X}");
    let of = |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&ending));
    let line = sockets.good().lines().find(of).expect("the socket of the mapping");
    line.split_whitespace().last().and_then(|count| count.parse().ok()).expect("a number")
}

fn counts_what_overflows_at_the_hosts_socket(lab: &Lab) {
    let mut far = lab.serve(Place::Server, &["pour", server::V4, "4000"]);
    let mut run = lab.wharf(&["-v"], &lab.peer("datagram.py", &["filled", server::V4, "4000"]));
    let port = run.line("");
    run.signal("STOP");
    far.line("poured");
    run.signal("CONT");
    run.line("asked");
    let truth = dropped_at_socket(lab, &port);
    assert!(truth > 0, "20,000 datagrams don't fit the buffer");
    run.write("\n");
    assert_eq!(dropped(&run.finish().stderr, "host_queue_full"), truth);
}

fn counts_what_overflows_in_the_programs_interface(lab: &Lab) {
    let mut run = lab.wharf(&["-v"], &lab.peer("datagram.py", &["flood", server::V4, "4000", "20000"]));
    run.line("ready");
    run.signal("STOP");
    run.write("\n");
    let truth: u64 = run.line("dropped ").parse().expect("a number");
    run.signal("CONT");
    assert!(truth > 0, "20,000 frames don't fit the interface's queue");
    run.write("\n");
    assert_eq!(dropped(&run.finish().stderr, "program_queue_full"), truth);
}

fn counts_what_overflows_at_the_packet_socket(lab: &Lab) {
    let mut run = lab.wharf(&["-v"], &lab.peer("datagram.py", &["flood", server::V4, "4000", "60000"]));
    run.line("ready");
    run.signal("STOP");
    run.write("\n");
    assert_eq!(run.line("dropped "), "0", "a veth drops nothing by itself");
    run.signal("CONT");
    run.write("\n");
    let lost = dropped(&run.finish().stderr, "program_queue_full");
    assert!((1..60_000).contains(&lost), "{lost} of 60,000 frames had no room");
}

/// The first may be lost, as it is through a router: that is how the path MTU is learned.
fn assert_most_come_back(back: &str, size: &str, address: &str) {
    let back: u32 = back.parse().expect("a number");
    assert!(back >= 9, "{back} of 10 with {size} bytes came back from {address}");
}

fn carries_large_datagrams(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _server = lab.serve(Place::Server, &["datagrams", address, "4000"]);
        for size in ["0", "1", "1400", "1472", "9000", "60000"] {
            assert_eq!(
                ask(lab, &[], &["many", address, "4000", size, "10"]),
                "10",
                "{size} bytes to {address}"
            );
        }
        let _mirror = lab.serve(Place::Server, &["mirror", address, "4001"]);
        assert_eq!(ask(lab, &[], &["mirrored", address, "4001", "65507", "10"]), "10", "to {address}");
    }
}

fn fragments_at_a_small_mtu(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _server = lab.serve(Place::Server, &["datagrams", address, "4000"]);
        for size in ["1300", "8000", "30000"] {
            let back = ask(lab, &["--mtu", "1280"], &["many", address, "4000", size, "10"]);
            assert_most_come_back(&back, size, address);
        }
    }
}

//! UDP outward: one mapping for each socket inside, errors that come back, datagrams of any size.

use crate::lab::{Lab, Place, host, server};

crate::tests! {
    [all] goes_there_and_back keeps_one_external_port_for_all_destinations a_closed_port_is_refused;
    [tap_user packet_user] carries_large_datagrams fragments_at_a_small_mtu;
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

/// The first may be lost, as it is through a router: that is how the path MTU is learned.
fn assert_most_come_back(back: &str, size: &str, address: &str) {
    let back: u32 = back.parse().expect("a number");
    assert!(back >= 9, "{back} of 10 with {size} bytes came back from {address}");
}

fn carries_large_datagrams(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _server = lab.serve(Place::Server, &["datagrams", address, "4000"]);
        for size in ["1", "1472", "9000", "60000"] {
            assert_eq!(
                ask(lab, &[], &["many", address, "4000", size, "10"]),
                "10",
                "{size} bytes to {address}"
            );
        }
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

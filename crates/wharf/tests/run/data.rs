//! Data is whole: over eight flows at once, over links that lose, and while thousands of others talk.

use crate::lab::{Lab, Place, host, server, size_mib};
use std::time::Duration;

crate::tests! {
    [all] eight_flows_both_ways_at_once;
    [tap_user packet_user] published_flows_both_ways five_thousand_connections_answered survives_a_bad_link;
    [tap_user packet_root] whole_at_every_mtu a_slow_reader_loses_nothing;
}

/// A gibibyte takes a while on a small machine.
const LONG: Duration = Duration::from_secs(170);

fn bulk(lab: &Lab, options: &[&str], address: &str, words: &[&str]) -> String {
    let words = [&["bulk", address, "5000"], words].concat();
    lab.wharf(options, &lab.peer("dial.py", &words)).finish_within(LONG).good().to_owned()
}

fn eight_flows_both_ways_at_once(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    let size = size_mib(128, 1024);
    assert_eq!(bulk(lab, &[], server::V4, &[&size, &size, "8"]), "whole");
    let size = size_mib(32, 1024);
    assert_eq!(bulk(lab, &[], server::V6, &[&size, &size, "8"]), "whole");
}

fn published_flows_both_ways(lab: &Lab) {
    let mut run =
        lab.wharf(&["-p", "0.0.0.0:5001:5000"], &lab.peer("serve.py", &["bulk", "0.0.0.0", "5000"]));
    run.line("ready");
    let size = size_mib(64, 1024);
    for (place, address) in [(Place::Client, host::TO_CLIENT_V4), (Place::Host, "127.0.0.1")] {
        let words = lab.peer("dial.py", &["bulk", address, "5001", &size, &size, "8"]);
        let client = lab.world.start(place, lab.way.user, &words);
        assert_eq!(client.finish_within(LONG).good(), "whole", "to {address}");
    }
}

fn survives_a_bad_link(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["bulk", "0.0.0.0", "5000"]);
    let size = size_mib(4, 64);
    let link = ["--mtu", "1500", "--link", "loss=5%,reorder=1%"];
    assert_eq!(bulk(lab, &link, server::V4, &[&size, "0", "4"]), "whole", "outward");
    assert_eq!(bulk(lab, &link, server::V4, &["0", &size, "4"]), "whole", "inward");
    let link = ["--link", "delay=5ms,jitter=2ms,duplicate=1%,corrupt=0.1%"];
    let size = size_mib(4, 16);
    assert_eq!(bulk(lab, &link, server::V4, &[&size, &size, "4"]), "whole", "delayed, doubled, corrupted");
}

fn whole_at_every_mtu(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["bulk", "0.0.0.0", "5000"]);
    let size = size_mib(8, 64);
    for mtu in ["1280", "9000", "65520"] {
        for offload in [&[][..], &["--no-offload"]] {
            let options = [&["--mtu", mtu], offload].concat();
            assert_eq!(bulk(lab, &options, server::V4, &[&size, &size, "2"]), "whole", "{options:?}");
        }
    }
    // As before, with the program as the server.
    for options in [&["--mtu", "1280", "--no-offload"][..], &["--mtu", "65520"], &["--no-offload"]] {
        let options = [&["-p", "5001:5000"], options].concat();
        let mut run = lab.wharf(&options, &lab.peer("serve.py", &["bulk", "::", "5000"]));
        run.line("ready");
        let words = lab.peer("dial.py", &["bulk", "::1", "5001", &size, &size, "2"]);
        let client = lab.world.start(Place::Host, lab.way.user, &words);
        assert_eq!(client.finish_within(LONG).good(), "whole", "{options:?}");
    }
}

fn a_slow_reader_loses_nothing(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["bulk", "0.0.0.0", "5000"]);
    let size = "33554432";
    let run = lab.run(&[], &lab.peer("dial.py", &["stall", server::V4, "5000", size]));
    assert_eq!(run.good(), format!("read {size}"));
}

fn five_thousand_connections_answered(lab: &Lab) {
    let bulk = lab.peer("serve.py", &["bulk", "0.0.0.0", "5000"]).join(" ");
    let nonce = lab.peer("serve.py", &["nonce", "0.0.0.0", "80"]).join(" ");
    let script = format!("{bulk} & exec {nonce}");
    let options = ["-p", "0.0.0.0:8080:80", "-p", "0.0.0.0:5001:5000"];
    let mut run = lab.wharf(&options, &["sh", "-c", &script]);
    run.line("ready");
    let words = lab.peer("crowd.py", &[host::TO_CLIENT_V4, "8080", "5000", "5001"]);
    let crowd = lab.world.start(Place::Client, lab.way.user, &words).finish_within(LONG);
    assert!(crowd.good().starts_with("right 5000 "), "{}", crowd.stdout);
    println!("{}", crowd.good());
    assert!(run.is_running(), "wharf is still there");
}

//! Every setting of the link gives the same bytes: what wharf leaves to the kernel, what the program's kernel is told not to
//! leave to wharf, links that lose large frames, and ends that stand still for a while.

use crate::lab::{Lab, Place, host_pids_in, missing, python, server, tshark};
use std::time::Duration;

crate::tests! {
    [tap_root packet_root] whole_whatever_the_program_switches_off whole_when_large_frames_are_lost;
    [tap_root packet_root] what_is_left_to_the_kernel_is_done_rightly;
    [tap_user packet_user] whole_when_somebody_stands_still;
}

/// `ethtool` commands of a program that is root in its network, from none to all; the last ones change while data moves.
const SWITCHES: [&str; 5] = [
    "ethtool -K eth0 tx off",
    "ethtool -K eth0 tso off",
    "ethtool -K eth0 tx-udp-segmentation off",
    "ethtool -K eth0 tso off gso off tx off sg off gro off",
    "(while sleep 0.02; do ethtool -K eth0 tso off gso off tx off; sleep 0.02; ethtool -K eth0 tx on sg on tso on gso on; done) &",
];

/// A shell's words that set something up and then move `size` bytes each way over two flows.
fn bulk_after(lab: &Lab, setup: &str, address: &str, size: &str) -> String {
    let words = lab.peer("dial.py", &["bulk", address, "5000", size, size, "2"]).join(" ");
    format!("{{ {setup}\n}} >&2; exec {words}")
}

fn whole_whatever_the_program_switches_off(lab: &Lab) {
    if let Some(tool) = missing(&["ethtool"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let _server = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    let _datagrams = lab.serve(Place::Server, &["datagrams", server::V4, "4000"]);
    let datagrams = lab.peer("datagram.py", &["many", server::V4, "4000", "9000", "5"]).join(" ");
    for (mtu, address) in
        [("1500", server::V4), ("1280", server::V6), ("9000", server::V4), ("65520", server::V6)]
    {
        for switch in SWITCHES {
            let script = bulk_after(lab, &format!("{switch}\n{datagrams}"), address, "2000000");
            let options = ["--root", "--mtu", mtu];
            let run = lab.run(&options, &["sh", "-ec", &script]);
            assert_eq!(run.good(), "whole", "{switch} at {mtu}: {}", run.stderr);
            // The first may be lost: that is how the path MTU is learned.
            let all = run.stderr.lines().any(|line| line == "5" || line == "4");
            assert!(all, "{switch} at {mtu}: {}", run.stderr);
        }
    }
}

/// Loses two frames of a hundred both ways, whatever their size, in a program's network.
const LOSSES: &str = r#"nft -f - <<END
table netdev losses {
    chain in {
        type filter hook ingress device "eth0" priority 0
        numgen random mod 100 < 2 drop
    }
    chain out {
        type filter hook egress device "eth0" priority 0
        numgen random mod 100 < 2 drop
    }
}
END"#;

fn whole_when_large_frames_are_lost(lab: &Lab) {
    if let Some(tool) = missing(&["nft"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let _server = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    for (mtu, address) in
        [("1500", server::V4), ("1280", server::V6), ("9000", server::V6), ("65520", server::V4)]
    {
        for offload in [&[][..], &["--no-offload"]] {
            let options = [&["--root", "--mtu", mtu], offload].concat();
            let script = bulk_after(lab, LOSSES, address, "4000000");
            let run = lab.run(&options, &["sh", "-ec", &script]);
            assert_eq!(run.good(), "whole", "{options:?}: {}", run.stderr);
        }
    }
}

/// A copy of each frame for the program leaves over a device that can't do what wharf left to it: the kernel cuts and sums it.
const COPIES: &str = r#"ip link add copies type veth peer name seen
for device in copies seen; do ip link set $device mtu 65535 up 2>/dev/null || ip link set $device mtu 9000 up; done
ip link set copies mtu MTU
ethtool -K copies tx off tso off gso off sg off tx-udp-segmentation off
nft -f - <<END
table netdev copies {
    chain in {
        type filter hook ingress device "eth0" priority 0
        dup to "copies"
    }
}
END
tcpdump -Z root -U --immediate-mode -s 0 -i seen -w FILE 2>copies.log &
capture=$!
while ! grep -q listening copies.log; do sleep 0.02; done"#;

fn what_is_left_to_the_kernel_is_done_rightly(lab: &Lab) {
    if let Some(tool) = missing(&["nft", "ethtool", "tcpdump", "tshark"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let _server = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    let file = lab.world.path("copies.pcap");
    for (mtu, address, family) in
        [("1500", server::V4, "ip"), ("1500", server::V6, "ipv6"), ("9000", server::V4, "ip")]
    {
        let setup = COPIES.replace("MTU", mtu).replace("FILE", &file);
        let words = lab.peer("dial.py", &["bulk", address, "5000", "100000", "2000000", "2"]).join(" ");
        let script = format!("{{ {setup}\n}} >&2\n{words}\nsleep 0.3; kill -INT $capture; wait $capture");
        let run = lab.run(&["--root", "--mtu", mtu], &["sh", "-ec", &script]);
        assert_eq!(run.good(), "whole", "{}", run.stderr);
        let filter = format!("eth.src == 02:00:00:00:00:02 and {family} and tcp");
        let seen = tshark(&lab.world, &file, &filter, &["tcp.checksum.status", "frame.len"]);
        let full = mtu.parse::<usize>().expect("a number") + 14;
        let length = |line: &String| line.split('\t').nth(1).and_then(|text| text.parse::<usize>().ok());
        let largest = seen.iter().filter_map(length).max();
        assert_eq!(largest, Some(full), "{family} at {mtu}: segments are cut to the MTU, not beyond");
        let bad: Vec<_> = seen.iter().filter(|line| !line.starts_with("1\t")).collect();
        assert!(bad.is_empty(), "{family} at {mtu}: {} of {} sums are bad: {bad:?}", bad.len(), seen.len());
    }
}

fn whole_when_somebody_stands_still(lab: &Lab) {
    // Each in turn: the peer, the program, wharf itself.
    let server = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    for options in [&["--mtu", "1500"][..], &["--mtu", "65520"], &["--no-offload"]] {
        let words = lab.peer("dial.py", &["bulk", server::V4, "5000", "200000000", "200000000", "3"]);
        let mut run = lab.wharf(options, &words);
        std::thread::sleep(Duration::from_millis(300));
        let own = format!("WHARF_TEST_WORLD={}", lab.world.tag());
        let is_program = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(python().as_bytes()) && *pid != server.pid()
        };
        let program: Vec<u32> = host_pids_in(&own).into_iter().filter(is_program).collect();
        assert_eq!(program.len(), 1, "the program alone: {program:?}");
        for pid in [server.pid(), program[0], run.pid()] {
            signal(pid, "STOP");
            std::thread::sleep(Duration::from_millis(700));
            signal(pid, "CONT");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(run.is_running(), "data still moved");
        assert_eq!(run.finish_within(Duration::from_secs(100)).good(), "whole", "{options:?}");
    }
}

fn signal(pid: u32, name: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "signal {name} to {pid}");
}

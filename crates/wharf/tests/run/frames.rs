//! The link itself, as programs see it that ask it directly: lease, router, and checksums that a capture inside finds right.

use crate::lab::{Lab, Place, host, missing, pids_in_network, server, tshark};
use std::fs;
use std::os::unix::fs::PermissionsExt;

crate::tests! {
    [tap_user packet_user] a_dhcp_client_gets_the_address_that_is_up_already a_router_answers_who_solicits_one;
    [tap_user packet_user tap_root] checksums_inside_are_right;
    [tap_user packet_root] checksums_on_the_wire_are_right;
}

fn a_dhcp_client_gets_the_address_that_is_up_already(lab: &Lab) {
    if let Some(tool) = missing(&["busybox"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let told = lab.world.path("lease.sh");
    lab.world.write(
        "lease.sh",
        "#!/bin/sh\n[ \"$1\" = bound ] && echo \"lease $ip/$mask by $serverid via $router dns $dns mtu $mtu for $lease\"\nexit 0\n",
    );
    fs::set_permissions(&told, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let script = format!("busybox udhcpc -f -q -n -t 3 -T 1 -i eth0 -s {told} 2>&1");
    let sets = [
        (&["--root"][..], "lease 10.0.2.100/24 by 10.0.2.2 via 10.0.2.2 dns 10.0.2.3 mtu 1500 for 86400"),
        (
            &["--root", "--address", "172.29.1.9/16", "--gateway", "172.29.0.1", "--mtu", "9000"],
            "lease 172.29.1.9/16 by 172.29.0.1 via 172.29.0.1 dns 172.29.0.3 mtu 9000 for 86400",
        ),
    ];
    for (options, lease) in sets {
        let run = lab.run(options, &["sh", "-c", &script]);
        assert!(run.good().lines().any(|line| line == lease), "no {lease} in {}", run.stdout);
    }
}

fn a_router_answers_who_solicits_one(lab: &Lab) {
    if let Some(tool) = missing(&["rdisc6"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let script = "rdisc6 -1 -r 3 -w 1000 eth0; ip -o -6 addr show scope global";
    let run = lab.run(&["--root", "--mtu", "1400"], &["sh", "-c", script]);
    let text = run.good();
    let own = text.lines().find(|line| line.contains("inet6 fd")).expect("an address of IPv6 is up");
    let prefix = own.split_whitespace().find_map(|word| word.strip_suffix("::100/64"));
    let prefix = prefix.unwrap_or_else(|| panic!("the program's address: {own}"));
    let says = |name: &str, value: &str| {
        let told = text.lines().filter_map(|line| line.split_once(':'));
        let found: Vec<_> =
            told.filter(|(left, _)| left.trim() == name).map(|(_, right)| right.trim()).collect();
        assert!(
            found.iter().any(|right| right.starts_with(value)),
            "{name} is {found:?}, not {value}: {text}"
        );
    };
    says("Prefix", &format!("{prefix}::/64"));
    says("MTU", "1400");
    says("Source link-layer address", "02:00:00:00:00:02");
    says("Recursive DNS server", &format!("{prefix}::3"));
    assert!(text.contains("from fe80::2"), "{text}");
}

/// Everything that a run's link can carry, to the server and to the gateway.
fn traffic(lab: &Lab) -> String {
    let mut script = String::new();
    for address in [server::V4, server::V6] {
        for words in [
            lab.peer("dial.py", &["bulk", address, "5000", "300000", "300001", "2"]),
            lab.peer("dial.py", &["errno", address, "81"]),
            lab.peer("datagram.py", &["many", address, "4000", "1", "1"]),
            lab.peer("datagram.py", &["many", address, "4000", "5001", "1"]),
            lab.peer("datagram.py", &["refused", address, "4001"]),
            vec!["ping", "-n", "-c", "1", "-W", "2", "-s", "333", address],
        ] {
            script += &format!("{} >&2\n", words.join(" "));
        }
    }
    script
}

fn checksums_inside_are_right(lab: &Lab) {
    if let Some(tool) = missing(&["tcpdump", "tshark", "ping"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let _tcp = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    let _four = lab.serve(Place::Server, &["datagrams", server::V4, "4000"]);
    let _six = lab.serve(Place::Server, &["datagrams", server::V6, "4000"]);
    let script = format!("readlink /proc/self/ns/net; read go\n{}", traffic(lab));
    for options in [&["--no-offload"][..], &["--no-offload", "--mtu", "1280"]] {
        let mut run = lab.wharf(options, &["sh", "-c", &script]);
        let network = run.line("net:");
        let inside = pids_in_network(&network);
        let capture = lab.world.capture_inside(*inside.first().expect("the program waits"), "ip or ip6");
        run.write("\n");
        run.finish().good();
        assert_sums(lab, &capture.end(), "eth.src == 02:00:00:00:00:02", Errors::Seen);
    }
}

fn checksums_on_the_wire_are_right(lab: &Lab) {
    if let Some(tool) = missing(&["tcpdump", "tshark", "ping", "ethtool"]) {
        return println!("skipped: {tool} isn't installed");
    }
    // On a veth the host's kernel would leave its own sums open.
    let words = ["ethtool", "-K", "to-server", "tx", "off", "tso", "off", "gso", "off"];
    lab.world.run(Place::Host, &words).good();
    let _tcp = lab.serve(Place::Server, &["bulk", "::", "5000"]);
    let _four = lab.serve(Place::Server, &["datagrams", server::V4, "4000"]);
    let _six = lab.serve(Place::Server, &["datagrams", server::V6, "4000"]);
    let capture = lab.world.capture("ip or ip6");
    lab.run(&[], &["sh", "-c", &traffic(lab)]).good();
    let file = capture.end();
    let from_host = format!("(ip.src == {} or ipv6.src == {})", host::TO_SERVER_V4, host::TO_SERVER_V6);
    assert_sums(lab, &file, &from_host, Errors::Unseen);
}

/// Whether there must be ICMP errors among the packets.
#[derive(PartialEq)]
enum Errors {
    Seen,
    Unseen,
}

/// What each kind of packet says of its sum: 1 is good, 0 is bad.
fn assert_sums(lab: &Lab, file: &str, from: &str, errors: Errors) {
    const SUMS: [(&str, &str); 5] = [
        ("ip", "ip.checksum.status"),
        ("tcp", "tcp.checksum.status"),
        ("udp", "udp.checksum.status"),
        ("icmp", "icmp.checksum.status"),
        ("icmpv6", "icmpv6.checksum.status"),
    ];
    for (protocol, status) in SUMS {
        for family in ["ip", "ipv6"] {
            // The sums of a packet that an error quotes are not wharf's to mend, nor whole.
            let quotes = ["tcp", "udp"].contains(&protocol);
            let not_quoted = if quotes { " and not icmp and not icmpv6" } else { "" };
            let filter = format!("{from} and {family} and {protocol}{not_quoted}");
            let seen = tshark(&lab.world, file, &filter, &[status]);
            let bad: Vec<_> = seen.iter().filter(|line| line.split(',').next() != Some("1")).collect();
            let apart = matches!((protocol, family), ("ip" | "icmp", "ipv6") | ("icmpv6", "ip"));
            assert!(apart || !seen.is_empty(), "no {protocol} over {family} was seen");
            assert!(
                apart || bad.is_empty(),
                "{protocol} over {family}: {} of {} bad: {bad:?}",
                bad.len(),
                seen.len()
            );
        }
    }
    if errors == Errors::Seen {
        let refusals = tshark(
            &lab.world,
            file,
            &format!("{from} and (icmp.code == 3 or icmpv6.code == 4)"),
            &["frame.number"],
        );
        assert!(refusals.len() >= 2, "errors of both families were written: {refusals:?}");
    }
}

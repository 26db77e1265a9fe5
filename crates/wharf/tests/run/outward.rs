//! What programs inside reach, and how attempts end: as without wharf.

use crate::lab::{Lab, Place, far, missing, server, silent, unreachable};

crate::tests! {
    [all] fetches_over_both_families connects_end_as_without_wharf passes_half_close passes_resets passes_urgent_data pings;
    [all] hop_limits_run_out_where_they_should too_large_is_said_with_the_path_mtu;
    [tap_user packet_root] a_port_scan_sees_the_truth;
    [tap_user packet_user] one_family_alone knows_its_addresses_at_once the_first_answer_is_heard ping_says_what_forbids_it;
    [tap_root] pings_over_raw_sockets_where_root_may;
}

fn inside(lab: &Lab, words: &[&str]) -> String {
    lab.run(&[], &lab.peer("dial.py", words)).good().to_owned()
}

fn fetches_over_both_families(lab: &Lab) {
    if let Some(tool) = missing(&["curl"]) {
        return println!("skipped: {tool} isn't installed");
    }
    lab.world.write("page", "a page of this test\n");
    let command = [crate::lab::python(), "-u", "-m", "http.server", "--bind", "::", "80"];
    let mut server = lab.world.start(Place::Server, crate::lab::User::Root, &command);
    server.line("Serving HTTP");
    for address in [server::V4.to_owned(), format!("[{}]", server::V6)] {
        let url = format!("http://{address}/page");
        let answer = lab.run(&[], &["curl", "-sS", "-m", "10", &url]);
        assert_eq!(answer.good(), "a page of this test", "{url}");
        assert_eq!(answer.stderr, "", "wharf is silent without -v");
    }
}

fn connects_end_as_without_wharf(lab: &Lab) {
    let _listening = lab.serve(Place::Server, &["peer", "::", "80"]);
    let open = [(server::V4, "80"), (server::V6, "80"), (server::V4, "81"), (server::V6, "81")];
    let closed = [(unreachable::V4, "80"), (unreachable::V6, "80"), (silent::V4, "80"), (silent::V6, "80")];
    for (address, port) in open.into_iter().chain(closed) {
        let words = ["errno", address, port, "2"];
        let truth = lab.bare(&lab.peer("dial.py", &words));
        assert_eq!(inside(lab, &words), truth.good(), "{address} port {port}");
    }
}

fn passes_half_close(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _late = lab.serve(Place::Server, &["late", address, "80"]);
        assert_eq!(inside(lab, &["late", address, "80"]), "got 3, and more");
        let mut early = lab.serve(Place::Server, &["early", address, "81"]);
        assert_eq!(inside(lab, &["early", address, "81"]), "bye");
        assert_eq!(early.line("read "), "1000");
    }
}

fn passes_resets(lab: &Lab) {
    for address in [server::V4, server::V6] {
        let _reset = lab.serve(Place::Server, &["reset", address, "80"]);
        assert_eq!(inside(lab, &["reset", address, "80"]), "ECONNRESET");
        let mut lines = lab.serve(Place::Server, &["lines", address, "81"]);
        inside(lab, &["abort", address, "81"]);
        assert_eq!(lines.line("line "), "hello");
        lines.line("ECONNRESET");
    }
}

fn passes_urgent_data(lab: &Lab) {
    // What is urgent is data in its place (RFC 6093): nothing is lost, nothing comes out of order.
    let _server = lab.serve(Place::Server, &["urgent", "::", "80"]);
    for address in [server::V4, server::V6] {
        assert_eq!(inside(lab, &["urgent", address, "80"]), "12345 abcde");
    }
}

fn pings(lab: &Lab) {
    if let Some(tool) = missing(&["ping"]) {
        return println!("skipped: {tool} isn't installed");
    }
    for address in [server::V4, server::V6] {
        // The hosts have found each other by then: a request that is lost later was lost by wharf.
        lab.bare(&["ping", "-n", "-c", "1", "-W", "5", address]).good();
    }
    for address in [server::V4, server::V6, "10.0.2.2"] {
        let answer = lab.run(&["-v"], &["ping", "-n", "-c", "2", "-i", "0.2", "-W", "3", address]);
        assert!(answer.good().contains(" 2 received"), "{address}: {}{}", answer.stdout, answer.stderr);
    }
    let lost = lab.run(&[], &["ping", "-n", "-c", "1", "-W", "1", unreachable::V4]);
    assert_ne!(lost.code(), 0);
    assert!(lost.stdout.contains("Unreachable"), "the router's word comes back: {}", lost.stdout);
}

/// A program that asks within its first millisecond: its kernel must take the answer in by then.
fn the_first_answer_is_heard(lab: &Lab) {
    if let Some(tool) = missing(&["ping"]) {
        return println!("skipped: {tool} isn't installed");
    }
    for address in [server::V4, server::V6] {
        for _ in 0..20 {
            lab.run(&[], &["ping", "-n", "-c", "1", "-W", "1", address]).good();
        }
    }
}

const NO_GROUP_MAY_PING: [&str; 3] = ["sh", "-c", "echo '1 0' >/proc/sys/net/ipv4/ping_group_range"];

fn ping_says_what_forbids_it(lab: &Lab) {
    if let Some(tool) = missing(&["ping"]) {
        return println!("skipped: {tool} isn't installed");
    }
    lab.world.run(Place::Host, &NO_GROUP_MAY_PING).good();
    for (address, word) in [(server::V4, "Packet filtered"), (server::V6, "Administratively prohibited")] {
        let answer = lab.run(&["-v"], &["ping", "-n", "-c", "2", "-i", "0.3", "-W", "2", address]);
        assert_ne!(answer.code(), 0, "{}", answer.stdout);
        assert!(answer.stdout.contains(word), "ping says so: {}", answer.stdout);
        let told = answer.stderr.lines().filter(|line| line.contains("net.ipv4.ping_group_range is \"1 0\""));
        assert_eq!(told.count(), 1, "once, with what would help: {}", answer.stderr);
    }
}

fn pings_over_raw_sockets_where_root_may(lab: &Lab) {
    if let Some(tool) = missing(&["ping", "tcpdump", "tshark"]) {
        return println!("skipped: {tool} isn't installed");
    }
    lab.world.run(Place::Host, &NO_GROUP_MAY_PING).good();
    let capture = lab.world.capture("icmp or icmp6");
    for address in [server::V4, server::V6] {
        let answer = lab.run(&[], &["ping", "-n", "-c", "2", "-i", "0.2", "-W", "3", "-s", "1001", address]);
        assert!(answer.good().contains(" 2 received"), "{address}: {}", answer.stdout);
    }
    // Over IPv4 wharf itself sums up what it sends raw.
    let sums = ["icmp.checksum.status", "icmpv6.checksum.status"];
    let seen = capture.ask("icmp.type == 8 or icmpv6.type == 128", &sums);
    assert_eq!(seen, ["1\t", "1\t", "\t1", "\t1"], "1 is good");
}

fn hop_limits_run_out_where_they_should(lab: &Lab) {
    let hops = |options: &[&str], address: &str| {
        let words = lab.peer("datagram.py", &["hops", address, "33434", "2"]);
        lab.run(options, &words).good().to_owned()
    };
    assert_eq!(hops(&[], far::V4), format!("10.0.2.2 {}", server::V4));
    let six = hops(&[], far::V6);
    let (first, second) = six.split_once(' ').expect("two hops");
    // The server answers from the address it likes best.
    assert!([server::V6, server::SECOND_V6].contains(&second), "the second hop is {second}");
    assert!(
        !first.starts_with("2001:db8:5:") && first.contains(':') && !first.contains("type"),
        "the gateway is {first}"
    );
}

fn too_large_is_said_with_the_path_mtu(lab: &Lab) {
    for address in [far::V4, far::V6] {
        let words = lab.peer("datagram.py", &["large", address, "9", "1400"]);
        let truth = lab.bare(&words);
        assert_eq!(truth.good(), "EMSGSIZE 1300", "without wharf, {address}");
        assert_eq!(lab.run(&[], &words).good(), "EMSGSIZE 1300", "{address}");
    }
}

fn a_port_scan_sees_the_truth(lab: &Lab) {
    if let Some(tool) = missing(&["nmap"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let _open = ["22", "80", "443", "993"].map(|port| lab.serve(Place::Server, &["peer", server::V4, port]));
    let drops = "table inet t { chain c { type filter hook input priority 0; tcp dport { 111, 500-520 } drop; tcp dport 700 reject; } }";
    let filtered = missing(&["nft"]).is_none() && lab.world.run(Place::Server, &["nft", drops]).code() == 0;
    let command = ["nmap", "-sT", "-Pn", "-n", "--reason", "-p", "1-1000", server::V4];
    let table = |output: &str| -> Vec<String> {
        let told = |line: &&str| line.contains("/tcp ") || line.starts_with("Not shown");
        output.lines().filter(told).map(str::to_owned).collect()
    };
    let truth = table(lab.bare(&command).good());
    let seen = table(lab.run(&[], &command).good());
    assert!(truth.iter().any(|line| line.contains("443/tcp")), "nmap found nothing: {truth:?}");
    assert!(!filtered || truth.iter().any(|line| line.contains("filtered")), "{truth:?}");
    assert_eq!(seen, truth);
}

fn one_family_alone(lab: &Lab) {
    let four = lab.run(&["--ipv4-only"], &["ip", "-6", "-o", "addr", "show", "scope", "global"]);
    assert_eq!(four.good(), "");
    let six = lab.run(&["--ipv6-only"], &["ip", "-4", "-o", "addr", "show", "scope", "global"]);
    assert_eq!(six.good(), "");
    let _listening = lab.serve(Place::Server, &["peer", "::", "80"]);
    for (only, address) in [("--ipv4-only", server::V4), ("--ipv6-only", server::V6)] {
        let answer = lab.run(&[only], &lab.peer("dial.py", &["errno", address, "80"]));
        assert_eq!(answer.good(), "connected", "{only}");
    }
}

fn knows_its_addresses_at_once(lab: &Lab) {
    let script = "ip -o addr; ip route; ip -6 route; cat /etc/resolv.conf";
    let seen = lab.run(&[], &["sh", "-c", script]);
    let seen = seen.good();
    for word in ["127.0.0.1/8", "10.0.2.100/24", "default via 10.0.2.2", "nameserver 10.0.2.3"] {
        assert!(seen.contains(word), "no {word} in {seen}");
    }
    let waits = |line: &str| line.contains("scope global") && line.contains("tentative");
    assert!(!seen.lines().any(waits), "no address waits for duplicate detection: {seen}");
    assert!(seen.lines().any(|line| line.contains("inet6 fd") && line.contains("/64")), "a ULA: {seen}");
    let options =
        ["--address", "172.29.1.9/16", "--gateway", "172.29.0.1", "--dns", "172.29.0.53", "--mtu", "1400"];
    let seen = lab.run(&options, &["sh", "-c", "ip -o addr; ip route; ip -o link; cat /etc/resolv.conf"]);
    let seen = seen.good();
    for word in ["172.29.1.9/16", "default via 172.29.0.1", "nameserver 172.29.0.53", "mtu 1400"] {
        assert!(seen.contains(word), "no {word} in {seen}");
    }
}

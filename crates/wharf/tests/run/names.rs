//! Names: the private name server answers as the host's resolver would.

use crate::lab::{Lab, Place, Proc, User, missing, server};

crate::tests! {
    [all] answers_over_udp_and_tcp knows_the_hosts_file;
    [tap_user packet_user] asks_again_over_tcp_when_truncated follows_a_changed_configuration;
    [tap_user] says_when_a_name_does_not_exist asks_a_server_over_ipv6;
    [tap_user packet_root] a_run_has_its_name;
}

fn name_server(lab: &Lab, address: &str, word: &str) -> Proc {
    let mut server = lab.world.start(Place::Server, User::Root, &lab.peer("dns.py", &[address, word]));
    server.line("ready");
    server
}

fn without_dig() -> bool {
    missing(&["dig"]).inspect(|tool| println!("skipped: {tool} isn't installed")).is_some()
}

const DIG: [&str; 3] = ["dig", "+time=3", "+tries=1"];

fn dig(lab: &Lab, words: &[&str]) -> String {
    lab.run(&[], &[&DIG, words].concat()).good().to_owned()
}

fn answers_over_udp_and_tcp(lab: &Lab) {
    if without_dig() {
        return;
    }
    let _server = name_server(lab, server::V4, "one");
    assert_eq!(dig(lab, &["+short", "a.test", "A"]), "192.0.2.10");
    assert_eq!(dig(lab, &["+short", "a.test", "AAAA"]), "2001:db8::10");
    assert_eq!(dig(lab, &["+short", "+tcp", "a.test", "A"]), "192.0.2.10");
    let found = lab.run(&[], &["getent", "ahostsv4", "a.test"]);
    assert!(found.good().starts_with("192.0.2.10"), "the C library's resolver: {}", found.stdout);
}

fn knows_the_hosts_file(lab: &Lab) {
    if without_dig() {
        return;
    }
    // No name server runs: the answer can only come from the host's file.
    assert_eq!(dig(lab, &["+short", "@10.0.2.3", "printer.lan", "A"]), "192.0.2.77");
}

fn asks_again_over_tcp_when_truncated(lab: &Lab) {
    if without_dig() {
        return;
    }
    let mut server = name_server(lab, server::V4, "one");
    assert_eq!(dig(lab, &["+short", "large.test", "TXT"]).lines().count(), 30);
    server.line("udp large.test");
    server.line("tcp large.test");
}

fn follows_a_changed_configuration(lab: &Lab) {
    if without_dig() {
        return;
    }
    let _one = name_server(lab, server::V4, "one");
    let _two = name_server(lab, server::SECOND_V4, "two");
    let ask = [&DIG[..], &["+short", "which.test", "TXT"]].concat().join(" ");
    let script = format!("echo first $({ask}); read go; echo second $({ask})");
    let mut run = lab.wharf(&[], &["sh", "-c", &script]);
    assert_eq!(run.line("first"), "\"one\"");
    lab.world.write("resolv.conf", &format!("nameserver {}\n", server::SECOND_V4));
    run.write("\n");
    assert_eq!(run.line("second"), "\"two\"");
}

fn says_when_a_name_does_not_exist(lab: &Lab) {
    if without_dig() {
        return;
    }
    let _server = name_server(lab, server::V4, "one");
    let answer = dig(lab, &["nothing.test", "A"]);
    assert!(answer.contains("status: NXDOMAIN"), "{answer}");
}

fn asks_a_server_over_ipv6(lab: &Lab) {
    if without_dig() {
        return;
    }
    lab.world.write("resolv.conf", &format!("nameserver {}\n", server::V6));
    let _server = name_server(lab, server::V6, "six");
    assert_eq!(dig(lab, &["+short", "which.test", "TXT"]), "\"six\"");
}

fn a_run_has_its_name(lab: &Lab) {
    let script = "getent ahostsv4 web.wharf.internal | head -1; getent ahostsv6 web.wharf.internal | head -1; \
                  ip -o -6 addr show scope global";
    let run = lab.run(&["--name", "web"], &["sh", "-c", script]);
    let lines: Vec<&str> = run.good().lines().collect();
    let [four, six, own] = lines[..] else { panic!("three lines: {}", run.stdout) };
    assert!(four.starts_with("10.0.2.100 "), "{four}");
    let six = six.split_whitespace().next().unwrap_or_default();
    assert!(own.contains(&format!(" {six}/64 ")), "{six} is {own}");
    let other = lab.run(&["--name", "web"], &["getent", "ahosts", "nobody.wharf.internal"]);
    assert_eq!((other.code(), other.stdout.as_str()), (2, ""), "another name is nobody's");
    for name in ["a b", "-web", "web.wharf.internal", ""] {
        assert_eq!(lab.run(&["--name", name], &["true"]).code(), 2, "\"{name}\" is no name");
    }
}

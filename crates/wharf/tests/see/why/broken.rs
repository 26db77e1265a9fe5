//! Twelve set-ups that are broken, and some more.

use std::process::Command;

use super::lab::{Said, lab, shell, wharf};

#[test]
fn nobody_listens_but_on_another_port() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    lab.serve(&a, "0.0.0.0", 28614, "");
    let url = "http://127.0.0.1:28613/";
    assert!(!lab.curl(&a, &[url]));
    let said = lab.why(&a, &[url]);
    said.names(&["nobody listens on tcp/127.0.0.1:28613", "listens on port 28614"]);
    lab.heals(&said, &a, &[url]);
}

#[test]
fn the_server_listens_on_another_address() {
    let Some(mut lab) = lab() else { return };
    let (a, own) = (lab.a.clone(), lab.address(1));
    lab.serve(&a, &own, 8080, "");
    let url = "http://127.0.0.1:8080/";
    assert!(!lab.curl(&a, &[url]));
    let said = lab.why(&a, &[url]);
    said.names(&["nobody takes tcp/127.0.0.1:8080", &format!("listens on {own}:8080 only")]);
    lab.heals(&said, &a, &[url]);
}

#[test]
fn a_server_on_loopback_is_started_where_it_can_be_reached() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "127.0.0.1", 8080, "");
    let url = format!("http://{}:8080/", lab.address(2));
    assert!(!lab.curl(&a, &[&url]));
    let said = lab.why(&a, &[&url]);
    said.names(&["listens on 127.0.0.1:8080 only, which is reached from network"]);
    lab.heals(&said, &a, &[&url]);
}

#[test]
fn the_server_takes_ipv6_only() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    lab.serve(&a, "::", 8080, "v6only");
    let url = "http://127.0.0.1:8080/";
    assert!(!lab.curl(&a, &[url]));
    let said = lab.why(&a, &[url]);
    said.names(&["for IPv6 only (IPV6_V6ONLY; net.ipv6.bindv6only is 0)"]);
    lab.heals(&said, &a, &[url]);
}

#[test]
fn the_backlog_is_full() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    let pid = lab.serve_with(&a, "0.0.0.0", 8080, 1, &[""]);
    shell(&format!("kill -STOP {pid}"));
    // More than it takes: two wait, and of the third the first packet is dropped.
    lab.start_script(
        &a,
        "import socket, time\nall = [socket.socket() for _ in range(3)]\nfor one in all:\n one.setblocking(False); one.connect_ex(('127.0.0.1', 8080))\ntime.sleep(15)",
    );
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !lab.run(&a, "ss -Hltn sport = :8080").contains("LISTEN 2 ") {
        assert!(std::time::Instant::now() < end, "the backlog does not fill");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let url = "http://127.0.0.1:8080/";
    assert!(!lab.curl(&a, &[url]));
    let said = lab.why(&a, &[url]);
    said.names(&["backlog", "is full: 2 connections wait at 0.0.0.0:8080 where 1 may", "it is stopped"]);
    lab.heals(&said, &a, &[url]);
}

#[test]
fn a_rule_drops_it() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    lab.rules(
        &b,
        "table inet filter { chain input { type filter hook input priority 0; policy accept; ip protocol icmp accept; tcp dport { 23, 8080-8090 } drop; } }",
    );
    let url = format!("http://{}:8080/", lab.address(2));
    assert!(!lab.curl(&a, &[&url]));
    let said = lab.why(&a, &[&url]);
    said.names(&["drops", "table inet filter, chain input, rule ", "tcp dport { 23, 8080-8090 } drop"]);
    lab.heals(&said, &a, &[&url]);
}

#[test]
fn a_policy_drops_it_and_the_answers() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    lab.rules(&b, "table inet filter { chain input { type filter hook input priority 0; policy drop; tcp dport 22 accept; } }");
    lab.rules(&a, "table ip f { chain in { type filter hook input priority 0; policy drop; } }");
    let url = format!("http://{}:8080/", lab.address(2));
    let first = lab.why(&a, &[&url]);
    first.names(&["table inet filter, chain input, policy drop"]);
    shell(first.remedy());
    let second = lab.why(&a, &[&url]);
    second.names(&["drops the answer of tcp/", "table ip f, chain in, policy drop"]);
    lab.heals(&second, &a, &[&url]);
}

#[test]
fn a_rule_rejects_it() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    lab.rules(
        &b,
        "table ip guard { chain web { ip saddr 10.0.0.0/8 reject with icmp type admin-prohibited } chain in { type filter hook input priority 0; tcp dport 8080 jump web; } }",
    );
    let url = format!("http://{}:8080/", lab.address(2));
    assert!(!lab.curl(&a, &[&url]));
    let said = lab.why(&a, &[&url]);
    said.names(&["rejects", "table ip guard, chain web, rule "]);
    assert!(said.json["steps"].to_string().contains("prohibited"), "{:#}", said.json);
    lab.heals(&said, &a, &[&url]);
}

#[test]
fn a_translation_leads_to_nobody() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    lab.serve(&a, "0.0.0.0", 8080, "");
    lab.rules(
        &a,
        "table ip nat { chain output { type nat hook output priority -100; tcp dport 8080 dnat to 127.0.0.1:9999; } }",
    );
    let url = "http://127.0.0.1:8080/";
    assert!(!lab.curl(&a, &[url]));
    let said = lab.why(&a, &[url]);
    said.names(&[
        "to 127.0.0.1:9999",
        "table ip nat, chain output, rule ",
        "nobody listens on tcp/127.0.0.1:9999",
    ]);
    lab.heals(&said, &a, &[url]);
}

#[test]
fn there_is_no_route() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.run(&b, "ip address add 192.0.2.7/32 dev lo");
    lab.serve(&b, "0.0.0.0", 8080, "");
    let url = "http://192.0.2.7:8080/";
    assert!(!lab.curl(&a, &[url]));
    let said = lab.why(&a, &[url]);
    said.names(&["has no route to 192.0.2.7"]);
    assert!(said.remedy().contains(&format!("ip route add 192.0.2.7 via {}", lab.address(2))), "{said:?}");
    lab.heals(&said, &a, &[url]);
}

#[test]
fn a_route_keeps_packets_from_it() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    let other = lab.address(2);
    lab.run(&a, &format!("ip route add prohibit {other}/32"));
    let url = format!("http://{other}:8080/");
    let said = lab.why(&a, &[&url]);
    said.names(&["a route of network", &format!("keeps packets from {other} (prohibit {other}/32)")]);
    lab.heals(&said, &a, &[&url]);
}

#[test]
fn the_other_end_of_the_wire_is_down() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    lab.run(&b, "ip link set w0 down");
    let url = format!("http://{}:8080/", lab.address(2));
    let said = lab.why(&a, &[&url]);
    // The kernel tells of the carrier a moment later; that no route leads back is told at once.
    said.names(&["network"]);
    assert!(said.remedy().ends_with("ip link set w0 up"), "{said:?}");
    lab.heals(&said, &a, &[&url]);
}

#[test]
fn no_route_leads_back() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.run(&a, "ip address add 198.51.100.9/32 dev lo");
    lab.serve(&b, "0.0.0.0", 8080, "");
    let url = format!("http://{}:8080/", lab.address(2));
    let source = ["--interface", "198.51.100.9", &url];
    assert!(!lab.curl(&a, &source));
    let said = lab.why(&a, &[&url, "--from", "198.51.100.9"]);
    said.names(&["has no route to 198.51.100.9"]);
    lab.heals(&said, &a, &source);
}

#[test]
fn the_reverse_path_filter_drops_it() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    shell(&format!("ip -n {a} link add w1 type veth peer name w1 netns {b}"));
    for (name, host) in [(&a, 1), (&b, 2)] {
        shell(&format!("ip -n {name} address add 172.31.9.{host}/24 dev w1 && ip -n {name} link set w1 up"));
        lab.run(name, "sysctl -qw net.ipv4.conf.w1.rp_filter=0");
    }
    lab.run(&b, "sysctl -qw net.ipv4.conf.w1.rp_filter=1");
    lab.serve(&b, "0.0.0.0", 8080, "");
    let (url, source) = ("http://172.31.9.2:8080/", lab.address(1));
    // The way there is the second wire, the way back would be the first.
    let words = ["--interface", &source, url];
    assert!(!lab.curl(&a, &words));
    let said = lab.why(&a, &[url, "--from", &source]);
    said.names(&["an answer would go by w0", "net.ipv4.conf.w1.rp_filter is 1"]);
    lab.heals(&said, &a, &words);
}

#[test]
fn the_server_is_in_another_namespace() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 18437, "");
    let url = "http://localhost:18437/";
    assert!(!lab.curl(&a, &[url]));
    let said = lab.why(&a, &[url]);
    said.names(&["nobody listens on tcp/", &format!("in network {b}")]);
    lab.heals(&said, &a, &[url]);
}

#[test]
fn time_wait_holds_the_port() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    // Who closes first waits, and that is the server here.
    lab.script(
        &a,
        "import socket\nserver = socket.socket(); server.bind(('127.0.0.1', 8080)); server.listen()\nclient = socket.create_connection(('127.0.0.1', 8080))\ntaken, _ = server.accept()\ntaken.close(); client.recv(1); client.close(); server.close()",
    );
    let said = lab.why(&a, &["--bind", "0.0.0.0:8080"]);
    said.names(&["is held by 1 closed connection in TIME-WAIT, which is gone in ", "SO_REUSEADDR"]);
    shell(said.remedy());
    lab.serve(&a, "0.0.0.0", 8080, "noreuse");
    assert!(lab.curl(&a, &["http://127.0.0.1:8080/"]));
}

#[test]
fn a_privileged_port_needs_a_right() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    let nobody = ["netns", "exec", &a, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut command = Command::new("ip");
    let out = command.args(nobody).args([wharf(), "why", "--json", "--bind", "0.0.0.0:80"]).output().unwrap();
    let json = serde_json::from_slice(&out.stdout).expect("it is JSON");
    let said = Said { code: out.status.code(), json };
    said.names(&["tcp/0.0.0.0:80 is privileged: ports below 1024 need CAP_NET_BIND_SERVICE"]);
    assert_eq!(said.json["verdict"], "denied");
    // Asked there, it is typed there.
    lab.run(&a, said.remedy());
    let server = "import http.server; http.server.test(port=80, bind='0.0.0.0')";
    let words =
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "python3", "-c", server];
    let words: Vec<&str> =
        words.iter().map(|word| if *word == "python3" { "/usr/bin/python3" } else { word }).collect();
    if !std::path::Path::new("/usr/bin/python3").exists() {
        // The Python of the test may be out of nobody's reach: the bind alone has to do.
        let mut command = Command::new("ip");
        let again =
            command.args(nobody).args([wharf(), "why", "--json", "--bind", "0.0.0.0:80"]).output().unwrap();
        return assert_eq!(again.status.code(), Some(0));
    }
    lab.start(&a, &words);
    lab.wait_for(&a, 80);
    assert!(lab.curl(&a, &["http://127.0.0.1:80/"]));
}

#[test]
fn who_holds_a_port_is_named_and_what_frees_it() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    let pid = lab.serve(&a, "127.0.0.1", 8080, "");
    let said = lab.why(&a, &["--bind", "0.0.0.0:8080"]);
    said.names(&[
        "tcp/0.0.0.0:8080 is taken: python",
        &format!("(pid {pid}, user root) listens on 127.0.0.1:8080"),
    ]);
    assert_eq!(said.remedy(), format!("kill {pid}"));
    shell(said.remedy());
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while lab.why(&a, &["--bind", "0.0.0.0:8080"]).code != Some(0) {
        assert!(std::time::Instant::now() < end);
    }
}

#[test]
fn no_port_is_left_to_ask_from() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    lab.serve_with(&a, "127.0.0.1", 8080, 128, &[""]);
    lab.run(&a, "sysctl -qw net.ipv4.ip_local_port_range='40000 40007'");
    lab.start_script(
        &a,
        "import socket, time\nall = []\nfor _ in range(8):\n all.append(socket.create_connection(('127.0.0.1', 8080)))\ntime.sleep(60)",
    );
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while lab.run(&a, "ss -Htn state established dport = :8080").lines().count() < 8 {
        assert!(std::time::Instant::now() < end, "the ports are not taken");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let said = lab.why(&a, &["tcp/127.0.0.1:8080"]);
    said.names(&["no port of 40000-40007 is left", "for a connection to 127.0.0.1:8080: 8 are open; python"]);
    shell(said.remedy());
}

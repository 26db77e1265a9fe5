//! Ten set-ups that are well: whatever stands in the way of other packets, these come through, and nothing is named.

use super::lab::{lab, shell};

/// Curl and wharf agree that it works.
macro_rules! both_reach {
    ($lab:expr, $place:expr, $url:expr) => {{
        assert!($lab.curl($place, &[$url]), "curl does not reach {}", $url);
        let said = $lab.why($place, &[$url]);
        said.is_well();
        said
    }};
}

#[test]
fn on_loopback_by_address_name_and_both_families() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    lab.serve(&a, "127.0.0.1", 8080, "");
    lab.serve(&a, "::1", 8081, "");
    lab.serve(&a, "::", 8082, "");
    both_reach!(lab, &a, "http://127.0.0.1:8080/");
    // The name has ::1 too, where nobody listens: the other address works.
    both_reach!(lab, &a, "http://localhost:8080/");
    both_reach!(lab, &a, "http://[::1]:8081/");
    // An IPv6 socket that takes IPv4.
    let said = both_reach!(lab, &a, "http://127.0.0.1:8082/");
    assert!(said.sentence().contains("HTTP/1.0 200 OK"), "{said:?}");
}

#[test]
fn over_a_wire() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    let url = format!("http://{}:8080/", lab.address(2));
    let said = both_reach!(lab, &a, &url);
    let steps = said.json["steps"].to_string();
    assert!(
        steps.contains("it comes in by w0") && steps.contains("listens on 0.0.0.0:8080"),
        "{:#}",
        said.json
    );
}

#[test]
fn through_rules_that_let_it_pass() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    let rules = "table inet filter {
        set friends { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } }
        map ports { type inet_service : verdict; elements = { 22 : drop, 8080 : accept } }
        chain allowed { ip saddr @friends tcp dport vmap @ports; }
        chain input { type filter hook input priority 0; policy drop; ct state established,related accept; iifname \"lo\" accept; ct state invalid drop; meta l4proto tcp jump allowed; counter log limit rate 5/second reject; }
        chain output { type filter hook output priority 0; policy drop; ct state established accept; } }";
    lab.rules(&b, rules);
    both_reach!(lab, &a, &format!("http://{}:8080/", lab.address(2)));
}

#[test]
fn by_a_port_that_is_translated() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    lab.rules(&b, "table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; } }");
    let said = both_reach!(lab, &a, &format!("http://{}:80/", lab.address(2)));
    assert!(said.json["steps"].to_string().contains("redirect to :8080"), "{:#}", said.json);
}

#[test]
fn through_a_router_that_translates_both_ways() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    // A third network behind `b`, as a container is behind its host.
    let c = format!("{b}c");
    shell(&format!("ip netns add {c} && ip -n {b} link add c0 type veth peer name c0 netns {c}"));
    shell(&format!(
        "ip -n {c} address add 172.30.0.2/24 dev c0; ip -n {c} link set c0 up; ip -n {c} link set lo up"
    ));
    shell(&format!("ip -n {b} address add 172.30.0.1/24 dev c0; ip -n {b} link set c0 up"));
    shell(&format!("ip -n {c} route add default via 172.30.0.1"));
    lab.run(&b, "sysctl -qw net.ipv4.ip_forward=1");
    lab.serve(&c, "0.0.0.0", 80, "");
    lab.rules(
        &b,
        "table ip nat { chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport 8080 dnat to 172.30.0.2:80; }
         chain post { type nat hook postrouting priority 100; oifname \"w0\" masquerade; } }
         table ip filter { chain input { type filter hook input priority 0; policy drop; } }",
    );
    let said = both_reach!(lab, &a, &format!("http://{}:8080/", lab.address(2)));
    let steps = said.json["steps"].to_string();
    assert!(steps.contains("so that INPUT's rules are not asked"), "{:#}", said.json);
    // And out again, from behind the router, as another address.
    lab.serve(&a, "0.0.0.0", 8081, "");
    let out = both_reach!(lab, &c, &format!("http://{}:8081/", lab.address(1)));
    assert!(out.json["steps"].to_string().contains("masquerade"), "{:#}", out.json);
    shell(&format!("ip netns pids {c} | xargs -r kill -9; ip netns delete {c}"));
}

#[test]
fn on_a_bridge() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    shell(&format!(
        "ip -n {b} link add br0 type bridge && ip -n {b} link set w0 master br0 && ip -n {b} link set br0 up"
    ));
    let own = lab.address(2);
    shell(&format!("ip -n {b} address del {own}/24 dev w0 && ip -n {b} address add {own}/24 dev br0"));
    lab.serve(&b, "0.0.0.0", 8080, "");
    both_reach!(lab, &a, &format!("http://{own}:8080/"));
}

#[test]
fn a_process_and_its_port() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    let pid = lab.serve(&a, "0.0.0.0", 8080, "");
    let said = lab.why(&a, &[&pid.to_string()]);
    said.is_well();
    assert!(said.sentence().contains("127.0.0.1:8080"), "{said:?}");
}

#[test]
fn datagrams_are_taken() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.start_script(&b, "import socket\none = socket.socket(type=socket.SOCK_DGRAM); one.bind(('0.0.0.0', 5300))\nwhile True: one.recv(99)");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while lab.run(&b, "ss -Hlun sport = :5300").is_empty() {
        assert!(std::time::Instant::now() < end);
    }
    let own = lab.address(2);
    lab.why(&a, &[&format!("udp/{own}:5300")]).is_well();
    let closed = lab.why(&a, &[&format!("udp/{own}:5301")]);
    closed.names(&["nobody listens on udp/"]);
}

#[test]
fn from_another_address_and_by_a_route_of_its_own() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.run(&a, "ip address add 192.0.2.1/32 dev lo");
    lab.run(
        &b,
        &format!("ip address add 192.0.2.2/32 dev lo; ip route add 192.0.2.1 via {}", lab.address(1)),
    );
    lab.run(&a, &format!("ip route add 192.0.2.2 via {}", lab.address(2)));
    lab.serve(&b, "192.0.2.2", 8080, "");
    let url = "http://192.0.2.2:8080/";
    assert!(lab.curl(&a, &["--interface", "192.0.2.1", url]));
    lab.why(&a, &[url, "--from", "192.0.2.1"]).is_well();
}

#[test]
fn a_free_port_can_be_bound() {
    let Some(lab) = lab() else { return };
    lab.why(&lab.a, &["--bind", "0.0.0.0:8080"]).is_well();
    lab.why(&lab.a, &["--bind", "[::1]:80"]).is_well();
    lab.why(&lab.a, &["--bind", "udp/127.0.0.1:53"]).is_well();
    // Somebody else's address is no address to bind.
    let said = lab.why(&lab.a, &["--bind", &format!("{}:80", lab.address(2))]);
    said.names(&["is no address of network"]);
}

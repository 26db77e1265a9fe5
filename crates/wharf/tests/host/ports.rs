//! Claims about ports, tried from the outside and by requests.

use serde_json::{Value, json};

use crate::lab::{Host, Network, end, until};

/// The whole table, a row at a time.
fn pages(host: &mut Host) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), json!(null));
    loop {
        let page = host.good(json!({"do": "table", "limit": 1, "after": after}));
        rows.extend(page["rows"].as_array().expect("rows").clone());
        after = page["next"].clone();
        if after.is_null() {
            return rows;
        }
    }
}

#[test]
fn a_scanner_sees_what_is_open() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tap", &[]);
    host.good(json!({"do": "serve", "port": 80, "as": "http"}));
    let socket = host.socket(json!({}));
    host.good(json!({"do": "bind", "socket": socket, "port": 81}));
    for address in [&["10.8.0.2"][..], &["-6", "fd00:8::2"]] {
        let told = network.run(&[&["nmap", "-n", "-Pn", "-p", "79-81"], address].concat());
        for line in ["79/tcp closed", "80/tcp open", "81/tcp closed"] {
            assert!(told.contains(line), "{line}\n{told}");
        }
    }
    for address in ["http://10.8.0.2/a", "http://[fd00:8::2]/a"] {
        let said = network.run(&["curl", "--silent", "--max-time", "10", address]);
        assert!(said.contains("you said GET /a HTTP/1.1"), "{said}");
    }
    // A connection that lives and two in TIME-WAIT stand behind the claims, on pages of one row too.
    let program = "import socket; s = socket.create_connection(('10.8.0.2', 80), 10); s.recv(1)";
    let talking = network.python(program);
    until("the connections are not in the table", || {
        let told = host.good(json!({"do": "statistics"}));
        (&told["flows"], &told["connections"]["time_wait"]) == (&json!(1), &json!(2))
    });
    let rows = pages(&mut host);
    assert_eq!(json!(rows), host.good(json!({"do": "table"}))["rows"]);
    let states: Vec<_> = rows.iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["listen", "bound", "established", "time_wait", "time_wait"]);
    end(talking);
    let statistics = host.good(json!({"do": "statistics"}));
    assert!(statistics["drops"]["no_listener"].as_u64().is_some_and(|count| count >= 4), "{statistics}");
}

#[test]
fn conflicting_claims_have_their_errors() {
    let Some(network) = Network::new() else { return };
    let mut host =
        Host::new(&network, "--tun", &["--uid", "1000", "--ports", "40000-40001", "--reserve", "40001"]);
    let first = host.socket(json!({}));
    host.good(json!({"do": "bind", "socket": first, "at": "10.8.0.2:8080"}));
    host.good(json!({"do": "listen", "socket": first, "backlog": 5}));
    let second = host.socket(json!({"family": "ipv6"}));
    let bind = |at: &str| json!({"do": "bind", "socket": second, "at": at});
    let refused = host.ask(bind("[::]:8080"));
    assert_eq!((&refused["error"], &refused["number"]), (&json!("EADDRINUSE"), &json!(98)));
    assert_eq!(
        refused["message"],
        json!(format!("bind [::]:8080: address in use by socket {first} (listening)"))
    );
    assert_eq!(host.error(bind("10.8.0.2:8080")), "EADDRINUSE");
    assert_eq!(host.error(bind("10.8.0.3:8080")), "EADDRNOTAVAIL");
    assert_eq!(host.error(bind("[::]:80")), "EACCES");
    host.good(json!({"do": "add_address", "address": "10.8.0.3/24"}));
    host.good(bind("10.8.0.3:8080"));
    assert_eq!(host.error(bind("10.8.0.3:8081")), "EINVAL");
    // Another user can't join, the same one can.
    let join = |host: &mut Host, uid: u64| {
        let socket = host.socket(json!({"uid": uid}));
        host.good(json!({"do": "set_option", "socket": socket, "name": "SO_REUSEPORT", "value": true}));
        host.ask(json!({"do": "bind", "socket": socket, "port": 9000}))
    };
    assert_eq!(join(&mut host, 1000).get("error"), None);
    assert_eq!(join(&mut host, 1001)["error"], json!("EADDRINUSE"));
    assert_eq!(join(&mut host, 1000).get("error"), None);
    // One port can be chosen, and then none is left; the reserved one can be bound all the same.
    let chosen = host.socket(json!({}));
    assert_eq!(host.good(json!({"do": "bind", "socket": chosen}))["local"]["port"], json!(40000));
    let none = host.socket(json!({}));
    assert_eq!(host.error(json!({"do": "bind", "socket": none})), "EADDRINUSE");
    assert_eq!(
        host.good(json!({"do": "bind", "socket": none, "port": 40001}))["local"]["port"],
        json!(40001)
    );
    // Everything stands in the table, also in pages of one row.
    let whole = host.good(json!({"do": "table"}));
    assert_eq!(whole["next"], json!(null));
    let rows = pages(&mut host);
    assert_eq!(json!(rows), whole["rows"]);
    let listening = rows.iter().find(|row| row["state"] == json!("listen")).expect("the listener");
    assert_eq!((&listening["local"]["text"], &listening["uid"]), (&json!("10.8.0.2:8080"), &json!(1000)));
}

#[test]
fn options_are_set_and_read() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tun", &["--setting", "congestion=reno"]);
    let socket = host.socket(json!({}));
    let option = |name: &str| json!({"do": "option", "socket": socket, "name": name});
    let set = |name: &str, value: Value| json!({"do": "set_option", "socket": socket, "name": name, "value": value});
    assert_eq!(host.good(option("TCP_CONGESTION"))["value"], json!("reno"));
    for (name, value) in [
        ("TCP_CONGESTION", json!("bbr")),
        ("SO_LINGER", json!(5)),
        ("SO_LINGER", json!(null)),
        ("SO_RCVTIMEO", json!(0.25)),
        ("TCP_NODELAY", json!(1)),
    ] {
        host.good(set(name, value.clone()));
        assert_eq!(host.good(option(name))["value"], value, "{name}");
    }
    assert_eq!(host.error(set("SO_TYPE", json!(1))), "ENOPROTOOPT");
    assert_eq!(host.error(set("SO_NONE", json!(1))), "bad_request");
    assert_eq!(host.error(set("TCP_CONGESTION", json!("fast"))), "bad_request");
    host.good(json!({"do": "setting", "name": "congestion", "value": "cubic"}));
    let later = host.socket(json!({}));
    let told = host.good(json!({"do": "option", "socket": later, "name": "TCP_CONGESTION"}));
    assert_eq!(told["value"], json!("cubic"));
}

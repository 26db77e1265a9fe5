//! A virtual clock: what takes minutes, in a moment.

use serde_json::json;

use crate::lab::{Host, Network, finished};

#[test]
fn time_wait_keeps_a_port_for_a_minute() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tun", &["--clock", "virtual"]);
    let listener = host.socket(json!({}));
    host.good(json!({"do": "bind", "socket": listener, "port": 7000}));
    host.good(json!({"do": "listen", "socket": listener}));
    let client = network.python(
        "
import socket
s = socket.create_connection(('10.8.0.2', 7000), 10)
assert s.recv(1) == b''
",
    );
    let socket = host.good(json!({"do": "accept", "socket": listener, "wait": true}))["socket"].clone();
    host.good(json!({"do": "close", "socket": socket}));
    host.good(json!({"do": "close", "socket": listener}));
    finished(client);
    let states = |host: &mut Host| {
        let rows = host.good(json!({"do": "table"}))["rows"].clone();
        rows.as_array()
            .expect("rows")
            .iter()
            .map(|row| row["state"].as_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    crate::lab::until("the connection is not in TIME-WAIT", || states(&mut host) == ["time_wait"]);
    let again = host.socket(json!({}));
    let bind = json!({"do": "bind", "socket": again, "port": 7000});
    host.good(json!({"do": "advance", "by_s": 59}));
    assert_eq!(host.error(bind.clone()), "EADDRINUSE");
    let now = host.good(json!({"do": "advance", "until_s": 61}));
    assert_eq!(now["now_s"], json!(61.0));
    host.good(bind);
    assert_eq!(states(&mut host), ["bound"]);
}

#[test]
fn a_syn_is_repeated_until_nobody_believes_in_it() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tun", &["--clock", "virtual", "--setting", "syn_retries=6"]);
    let out =
        |host: &mut Host| host.good(json!({"do": "statistics"}))["frames"]["out"].as_u64().expect("a number");
    let socket = host.socket(json!({}));
    let connect = host.begin(json!({"do": "connect", "socket": socket, "to": "10.8.0.99:80", "wait": true}));
    assert_eq!(out(&mut host), 1);
    // As Linux with tcp_syn_linear_timeouts = 4: a first time-out of one second (RFC 6298), which doubles from the sixth SYN on.
    for (index, at) in [1, 2, 3, 4, 5, 7, 11, 19, 35, 67].into_iter().enumerate() {
        host.good(json!({"do": "advance", "until_s": f64::from(at) - 0.001}));
        assert_eq!(out(&mut host), index as u64 + 1, "before {at} s");
        host.good(json!({"do": "advance", "until_s": f64::from(at) + 0.1}));
        assert_eq!(out(&mut host), index as u64 + 2, "at {at} s");
    }
    host.begin(json!({"do": "advance", "until_s": 132}));
    let mut answers = [host.line(), host.line()];
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!((&answers[0]["id"], &answers[0]["error"]), (&json!(connect), &json!("ETIMEDOUT")));
    assert_eq!(out(&mut host), 11);
}

#[test]
fn patience_goes_by_the_clock_of_the_host() {
    let Some(network) = Network::new() else { return };
    let mut host = Host::new(&network, "--tap", &["--clock", "virtual"]);
    let listener = host.socket(json!({}));
    host.good(json!({"do": "listen", "socket": listener}));
    let accept = host.begin(json!({"do": "accept", "socket": listener, "timeout_s": 3600}));
    let now = host.good(json!({"do": "now"}));
    assert_eq!((&now["now_s"], &now["clock"]), (&json!(0.0), &json!("virtual")));
    host.good(json!({"do": "advance", "by_s": 3599}));
    host.begin(json!({"do": "advance", "next": true}));
    let answers = [host.line(), host.line()];
    let accepted = answers.iter().find(|answer| answer["id"] == json!(accept)).expect("the answer");
    assert_eq!(accepted["error"], json!("EAGAIN"));
    drop(host);
    let mut real = Host::new(&network, "--tap", &[]);
    assert_eq!(real.error(json!({"do": "advance", "by_s": 1})), "bad_request");
}

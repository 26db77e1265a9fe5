//! Random selectors: wharf takes the rows that a filter over its own JSON takes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::SCRIPT;
use crate::scene::{Scene, can_play};

/// How many selectors are tried.
const SELECTORS: usize = 200;

/// Numbers that look random and are the same every time (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

type Filter = Box<dyn Fn(&Value) -> bool>;

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

fn port(row: &Value, side: &str) -> Option<u64> {
    row[side]["port"].as_u64()
}

fn address(row: &Value, side: &str) -> Option<IpAddr> {
    row[side]["address"].as_str()?.parse().ok()
}

fn owns(row: &Value, is_meant: impl Fn(&Value) -> bool) -> bool {
    row["owners"].as_array().is_some_and(|owners| owners.iter().any(is_meant))
}

/// Whether an address lies in 127.0.0.0/8 or the other networks that are drawn.
fn is_in(addr: IpAddr, network: &str) -> bool {
    match (addr, network) {
        (IpAddr::V4(addr), "127.0.0.0/8") => addr.octets()[0] == 127,
        (IpAddr::V4(addr), "127.0.0.2/31") => matches!(addr.octets(), [127, 0, 0, 2 | 3]),
        (IpAddr::V6(addr), "2001:db8::/32") => addr.segments()[..2] == [0x2001, 0xdb8],
        (IpAddr::V6(addr), "::1") => addr.is_loopback(),
        _ => false,
    }
}

fn condition(dice: &mut Dice, pids: &[u64]) -> (String, Filter) {
    let ports = [22, 53, 80, 4444, 5353, 5432, 7777, 8080, 40001, 40002, 40003, 50000_u64];
    let (one, other) = (dice.pick(&ports), dice.pick(&ports));
    let (low, high) = (one.min(other), one.max(other));
    let is_between = move |port: Option<u64>| port.is_some_and(|port| (low..=high).contains(&port));
    let network = dice.pick(&["127.0.0.0/8", "127.0.0.2/31", "2001:db8::/32", "::1"]);
    let pid = dice.pick(pids);
    match dice.roll(16) {
        0 => ("tcp".into(), Box::new(|row| text(row, "protocol") == "tcp")),
        1 => ("udp".into(), Box::new(|row| text(row, "protocol") == "udp")),
        2 => ("listening".into(), Box::new(|row| text(row, "role") == "listener")),
        3 => ("established".into(), Box::new(|row| text(row, "state") == "established")),
        4 => {
            let state = dice.pick(&["listen", "bound", "established", "time-wait"]);
            (format!("state {state}"), Box::new(move |row| text(row, "state") == state.replace('-', "_")))
        }
        5 => {
            let role = dice.pick(&["listener", "server", "client", "bound"]);
            (format!("role {role}"), Box::new(move |row| text(row, "role") == role))
        }
        6 => (format!("local port {low}-{high}"), Box::new(move |row| is_between(port(row, "local")))),
        7 => (format!("remote port {low}-{high}"), Box::new(move |row| is_between(port(row, "remote")))),
        8 => (
            format!("port {one},{other}"),
            Box::new(move |row| {
                ["local", "remote"].iter().any(|side| [Some(one), Some(other)].contains(&port(row, side)))
            }),
        ),
        9 => (
            format!("to {network}"),
            Box::new(move |row| address(row, "remote").is_some_and(|addr| is_in(addr, network))),
        ),
        10 => (
            format!("from {network}"),
            Box::new(move |row| address(row, "local").is_some_and(|addr| is_in(addr, network))),
        ),
        11 => (format!("pid {pid}"), Box::new(move |row| owns(row, |owner| owner["pid"] == pid))),
        12 => {
            let name = dice.pick(&["nginx", "master", "nobody"]);
            (format!("process {name}"), Box::new(move |row| owns(row, |owner| owner["command"] == name)))
        }
        13 => ("ipv6".into(), Box::new(|row| address(row, "local").is_some_and(|addr| addr.is_ipv6()))),
        14 => (
            format!("local port > {one}"),
            Box::new(move |row| port(row, "local").is_some_and(|port| port > one)),
        ),
        _ => ("connected".into(), Box::new(|row| !row["remote"].is_null())),
    }
}

fn selector(dice: &mut Dice, pids: &[u64], depth: usize) -> (String, Filter) {
    if depth == 0 {
        return condition(dice, pids);
    }
    let (text, filter) = selector(dice, pids, depth - 1);
    match dice.roll(4) {
        0 => (format!("not ( {text} )"), Box::new(move |row| !filter(row))),
        kind => {
            let (other_text, other) = selector(dice, pids, depth - 1);
            match kind {
                1 => (format!("( {text} ) ( {other_text} )"), Box::new(move |row| filter(row) && other(row))),
                2 => (format!("( {text} and {other_text} )"), Box::new(move |row| filter(row) && other(row))),
                _ => (format!("( {text} or {other_text} )"), Box::new(move |row| filter(row) || other(row))),
            }
        }
    }
}

#[test]
fn random_selectors_take_what_a_filter_takes() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let all = scene.wharf(&["list", "--in", "/proc/self/ns/net", "--json"]).json();
    let all = all.as_array().unwrap();
    let workers = scene.facts["workers"].as_array().unwrap().iter().filter_map(Value::as_u64);
    let pids: Vec<u64> = workers.chain([scene.pid(), 1]).collect();
    let cookies = |rows: &[Value], filter: &dyn Fn(&Value) -> bool| -> BTreeSet<u64> {
        rows.iter().filter(|row| filter(row)).map(|row| row["cookie"].as_u64().unwrap()).collect()
    };
    let mut dice = Dice(0x5eed_ddce_8600_0001);
    let mut sizes = BTreeSet::new();
    for number in 0..SELECTORS {
        let (text, filter) = selector(&mut dice, &pids, number % 4);
        let taken = scene.wharf(&["list", "--in", "/proc/self/ns/net", "--json", &text]).json();
        let taken = cookies(taken.as_array().unwrap(), &|_| true);
        assert_eq!(taken, cookies(all, &filter), "{text}");
        sizes.insert(taken.len());
    }
    // They were neither all empty nor all for everything.
    assert!(sizes.len() > 5, "{sizes:?}");
}

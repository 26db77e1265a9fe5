//! `wharf list`: rows are what programs made, selectors take what a filter takes, text is as it is reviewed.

mod selectors;
mod text;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::scene::{Scene, can_play, is_root};

/// Sockets of every kind that a person meets; three workers share the listeners of the first process.
const SCRIPT: &str = r#"
address('2001:db8:85a3::7348')
name('nginx')
web = tcp('0.0.0.0', 80); alt = tcp('::', 8080, 0); db = tcp('::1', 5432, 1)
workers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0: sys.stdin.read(); os._exit(0)
    workers.append(pid)
name('master')
dns = udp('127.0.0.1', 53); six = udp('::1', 5353); talk = udp('::1', 4444); talk.connect(('::1', 5353))
idle = socket.socket(); idle.bind(('127.0.0.1', 7777))
six_address = '2001:db8:85a3::7348'
ends = pair(web, '127.0.0.1', 40001, '127.0.0.1') + pair(web, '127.0.0.2', 40002, '127.0.0.3')
ends += pair(alt, six_address, 40003, six_address)
ready(workers=workers)
"#;

/// Protocol, local end, remote end, state, role and owners of a row.
fn key(row: &Value) -> String {
    let owners: BTreeSet<u64> =
        row["owners"].as_array().expect("a list").iter().filter_map(|owner| owner["pid"].as_u64()).collect();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!(
        "{} {} {} {} {} {owners:?}",
        text(&row["protocol"]),
        text(&row["local"]["text"]),
        text(&row["remote"]["text"]),
        text(&row["state"]),
        text(&row["role"]),
    )
}

fn keys(rows: &Value) -> BTreeSet<String> {
    rows.as_array().expect("an array").iter().map(key).collect()
}

#[test]
fn rows_are_what_the_programs_made() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let master = scene.pid();
    let workers: BTreeSet<u64> =
        scene.facts["workers"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    let all: BTreeSet<u64> = workers.iter().copied().chain([master]).collect();
    let alone = BTreeSet::from([master]);
    let mut expected = BTreeSet::from([
        format!("tcp 0.0.0.0:80 - listen listener {all:?}"),
        format!("tcp [::]:8080 - listen listener {all:?}"),
        format!("tcp [::1]:5432 - listen listener {all:?}"),
        format!("udp 127.0.0.1:53 - bound listener {alone:?}"),
        format!("udp [::1]:5353 - bound listener {alone:?}"),
        format!("udp [::1]:4444 [::1]:5353 established client {alone:?}"),
        format!("tcp 127.0.0.1:7777 - bound bound {alone:?}"),
    ]);
    for (client, server) in [
        ("127.0.0.1:40001", "127.0.0.1:80"),
        ("127.0.0.2:40002", "127.0.0.3:80"),
        ("[2001:db8:85a3::7348]:40003", "[2001:db8:85a3::7348]:8080"),
    ] {
        expected.insert(format!("tcp {client} {server} established client {alone:?}"));
        expected.insert(format!("tcp {server} {client} established server {alone:?}"));
    }
    let said = scene.wharf(&["list", "--in", "/proc/self/ns/net", "--json"]);
    assert_eq!(keys(&said.json()), expected);
    assert_eq!(keys(&scene.wharf(&["ls", "--in", "/proc/self/ns/net", "--json"]).json()), expected);
}

#[test]
fn a_row_has_every_field_that_is_promised() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let rows =
        scene.wharf(&["list", "--in", "/proc/self/ns/net", "--json", "tcp", "local", "port", "80"]).json();
    let rows = rows.as_array().unwrap();
    let listener = rows.iter().find(|row| row["state"] == "listen").expect("it listens");
    assert_eq!(
        listener["local"],
        json!({"address": "0.0.0.0", "zone": null, "port": 80, "text": "0.0.0.0:80"})
    );
    assert_eq!((&listener["remote"], &listener["service"]), (&Value::Null, &json!("http")));
    assert_eq!(listener["backlog"], json!({"used": 0, "limit": 128}));
    let owner = &listener["owners"].as_array().unwrap()[0];
    for field in ["pid", "command", "user", "uid", "unit", "container", "parent", "descriptor"] {
        assert!(owner.get(field).is_some(), "{field}: {owner}");
    }
    let connection = rows.iter().find(|row| row["state"] == "established").expect("it is connected");
    for field in ["ownerless", "network", "age_s", "user", "uid", "unit", "container", "inode", "v6_only"] {
        assert!(connection.get(field).is_some(), "{field}: {connection}");
    }
    let tcp = &connection["tcp"];
    assert_eq!((&tcp["sent_bytes"], &tcp["retransmissions"]), (&json!(0), &json!(0)), "{tcp}");
    assert!(tcp["rtt_s"].as_f64().is_some_and(|rtt| rtt < 5.0), "{tcp}");
    assert_eq!((&tcp["congestion"], listener["tcp"].is_null()), (&json!("open"), true));
}

#[test]
fn csv_and_columns_say_the_same_as_json() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let rows = scene.wharf(&["list", "--in", "/proc/self/ns/net", "--json"]).json();
    let rows = rows.as_array().unwrap();
    let said = scene.wharf(&["list", "--in", "/proc/self/ns/net", "--csv"]);
    let mut csv = csv::Reader::from_reader(said.good().as_bytes());
    let names: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    let place = |name: &str| names.iter().position(|known| known == name).expect("a column");
    let (local, inode, state) = (place("local"), place("inode"), place("state"));
    let told: BTreeSet<(String, String, String)> = csv
        .records()
        .map(|record| record.unwrap())
        .map(|record| {
            (record[inode].to_owned(), record[state].to_owned(), record[local].replace('*', "[::]"))
        })
        .collect();
    let expected = rows.iter().map(|row| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (row["inode"].to_string(), text(&row["state"]), text(&row["local"]["text"]))
    });
    assert_eq!(told, expected.collect());

    let said = scene.wharf(&[
        "list",
        "--in",
        "/proc/self/ns/net",
        "--csv",
        "--columns",
        "local-port,age",
        "--sort",
        "-local_port",
    ]);
    let mut ports: Vec<u64> = rows.iter().filter_map(|row| row["local"]["port"].as_u64()).collect();
    ports.sort_unstable_by(|one, other| other.cmp(one));
    let lines: Vec<&str> = said.good().lines().collect();
    assert_eq!(lines[0], "local_port,age_s");
    let told: Vec<u64> =
        lines[1..].iter().map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(told, ports);
}

#[test]
fn what_is_hidden_from_an_ordinary_user_is_named() {
    if !can_play() || !is_root() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let said = scene.wharf_as_nobody(&["list", "--in", "/proc/self/ns/net", "--json"]);
    let rows = said.json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 13);
    for row in rows {
        assert_eq!((&row["owners"], &row["uid"], &row["user"]), (&json!([]), &json!(0), &json!("root")));
        let why = row["ownerless"].as_str().unwrap();
        assert!(why.starts_with("hidden: ") && why.contains("CAP_SYS_PTRACE"), "{why}");
    }
    assert!(said.error.starts_with("wharf: not shown: "), "{}", said.error);
    assert!(said.error.contains("CAP_SYS_PTRACE"), "{}", said.error);
}

#[test]
fn watching_tells_what_is_new_and_what_is_gone() {
    if !can_play() {
        return;
    }
    let mut scene = Scene::play(
        "first = tcp('127.0.0.1', 81)\n\
         print(json.dumps({'pid': os.getpid()}), flush=True)\n\
         sys.stdin.readline()\nsecond = socket.socket(); second.bind(('127.0.0.1', 82)); print('bound', flush=True)\n\
         sys.stdin.readline()\nsecond.listen(); print('listens', flush=True)\n\
         sys.stdin.readline()\nsecond.close(); print('closed', flush=True)\n\
         sys.stdin.read()",
    );
    let mut command =
        scene.wharf_command(&["list", "--in", "/proc/self/ns/net", "--watch=50ms", "--json", "port 81,82"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().expect("nsenter was found before");
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> (String, u64, String) {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&line["change"]), line["row"]["local"]["port"].as_u64().unwrap(), text(&line["row"]["state"]))
    };
    let is = |change: &str, port, state: &str| (change.to_owned(), port, state.to_owned());
    assert_eq!(next(), is("present", 81, "listen"));
    for (step, expected) in [
        ("bound\n", is("new", 82, "bound")),
        ("listens\n", is("changed", 82, "listen")),
        ("closed\n", is("gone", 82, "listen")),
    ] {
        scene.tell("\n");
        assert_eq!(scene.line(), step);
        assert_eq!(next(), expected);
    }
    let pid = rustix::process::Pid::from_raw(watch.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn watching_ends_when_nobody_reads_any_more() {
    if !can_play() {
        return;
    }
    let scene = Scene::play("keep = tcp('127.0.0.1', 81); ready()");
    let mut command = scene.wharf_command(&["list", "--in", "/proc/self/ns/net", "--watch=60", "--json"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().expect("nsenter was found before");
    let mut out = watch.stdout.take().unwrap();
    let mut first = [0; 1];
    out.read_exact(&mut first).unwrap();
    drop(out);
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

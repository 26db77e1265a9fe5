//! What happens to endpoints, told as it happens, and kept: short-lived listeners are caught, and a record answers.

use crate::lab::{Finished, Lab, Place, Proc, User, python};
use serde_json::Value;
use std::time::Duration;

crate::tests! {
    [tap_root tap_user] short_listeners_are_caught;
    [tap_root tap_user] a_record_answers_who_it_was;
    [tap_root] a_connection_is_told_from_both_sides;
    [tap_root] sigkill_leaves_a_record_that_can_be_read;
    [tap_root tap_user] wrong_words_are_told;
    [tap_user] two_recorders_don_t_share_a_file signals_end_it_and_the_record_is_whole;
}

/// Opens so many listeners, one after the other, each for so long; then says their ports, and its own number before.
const LISTENERS: &str = "import os, socket, sys, time\n\
    print('pid', os.getpid(), flush=True)\n\
    sys.stdin.readline()\n\
    ports = []\n\
    for _ in range(int(sys.argv[1])):\n    \
        s = socket.socket()\n    \
        s.bind(('127.0.0.1', 0))\n    \
        s.listen()\n    \
        ports.append(str(s.getsockname()[1]))\n    \
        time.sleep(float(sys.argv[2]))\n    \
        s.close()\n    \
        time.sleep(0.01)\n\
    print('ports', ' '.join(ports), flush=True)\n";

/// Listens, says where, and stops when it is told to.
const SERVER: &str = "import os, socket, sys\n\
    s = socket.socket()\n\
    s.bind(('127.0.0.1', 0))\n\
    s.listen()\n\
    print('port', s.getsockname()[1], flush=True)\n\
    print('pid', os.getpid(), flush=True)\n\
    sys.stdin.readline()\n\
    s.close()\n\
    print('closed', flush=True)\n\
    sys.stdin.readline()\n";

/// A network of this test alone is watched: as root all of the machine would be.
fn network(lab: &Lab) -> String {
    lab.world.network(Place::Host)
}

/// Starts `wharf watch WORDS`, as soon as it watches.
fn watch(lab: &Lab, words: &[&str]) -> Proc {
    let (wharf, network) = (lab.world.wharf(), network(lab));
    let command = [&[wharf.as_str(), "watch", "--in", network.as_str()], words].concat();
    let mut watch = lab.world.start(Place::Host, lab.way.user, &command);
    watch.error_line("wharf: watching");
    watch
}

fn program(lab: &Lab, text: &str, words: &[&str]) -> Proc {
    let command = [&[python(), "-u", "-c", text], words].concat();
    lab.world.start(Place::Host, lab.way.user, &command)
}

fn who(lab: &Lab, port: &str, at: &str, record: &str) -> Finished {
    let (wharf, network) = (lab.world.wharf(), network(lab));
    let words = [wharf.as_str(), "who", port, "--at", at, "--record", record, "--json", "--in", &network];
    lab.world.start(Place::Host, lab.way.user, &words).finish()
}

fn events(end: &Finished) -> Vec<Value> {
    end.good().lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

fn end(mut watch: Proc) -> Finished {
    // What was read last is told before the signal is.
    std::thread::sleep(Duration::from_millis(300));
    assert!(watch.is_running());
    watch.signal("TERM");
    watch.finish()
}

fn short_listeners_are_caught(lab: &Lab) {
    let mut listeners = program(lab, LISTENERS, &["50", "0.05"]);
    let pid: u64 = listeners.line("pid ").trim().parse().expect("a number");
    let watch = watch(lab, &["--json", "tcp"]);
    listeners.write("\n");
    let ports = listeners.line("ports ");
    let events = events(&end(watch));
    let of = |port: &str, kind: &str| {
        let port: u64 = port.parse().expect("a number");
        let is_it = |event: &&Value| event["row"]["local"]["port"] == port && event["event"] == kind;
        events.iter().find(is_it).cloned()
    };
    let root = lab.way.user == User::Root && kernel_tells();
    for port in ports.split_whitespace() {
        let closed = of(port, "closed").unwrap_or_else(|| panic!("the end of {port} is told: {events:#?}"));
        let owners = closed["row"]["owners"].as_array().expect("an array").clone();
        // Never another's; to root always.
        assert!(owners.iter().all(|owner| owner["pid"] == pid), "{closed}");
        if root {
            let opened = of(port, "listening").unwrap_or_else(|| panic!("{port} is told: {events:#?}"));
            assert_eq!(
                (&opened["source"], &opened["row"]["owners"][0]["pid"]),
                (&"kernel".into(), &pid.into())
            );
            let lived = closed["lived_s"].as_f64().expect("a time");
            assert!((0.045..1.0).contains(&lived), "{closed}");
            assert_eq!(owners.len(), 1, "{closed}");
        }
    }
}

/// Whether the tracepoint can be had here.
fn kernel_tells() -> bool {
    let mounted = std::fs::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains("tracefs"));
    if !mounted {
        println!("skipped: no tracefs here, so listeners are sampled");
    }
    mounted
}

fn a_connection_is_told_from_both_sides(lab: &Lab) {
    if !kernel_tells() {
        return;
    }
    let watch = watch(lab, &["--json"]);
    let talk = "import socket\n\
        l = socket.socket()\n\
        l.bind(('127.0.0.1', 0))\n\
        l.listen()\n\
        c = socket.socket()\n\
        c.connect(l.getsockname())\n\
        s, _ = l.accept()\n\
        c.sendall(b'x' * 1000)\n\
        s.recv(1000, socket.MSG_WAITALL)\n\
        print('ends', l.getsockname()[1], c.getsockname()[1], flush=True)\n\
        c.close()\n\
        s.close()\n\
        l.close()\n";
    let mut program = program(lab, talk, &[]);
    let ports = program.line("ends ");
    let (port, from) = ports.trim().split_once(' ').expect("two ports");
    program.finish();
    let events = events(&end(watch));
    let told = |local: &str, kind: &str| {
        let local: u64 = local.parse().expect("a number");
        events.iter().find(|event| {
            event["row"]["local"]["port"] == local
                && event["event"] == kind
                && !event["row"]["remote"].is_null()
        })
    };
    let client = told(from, "connected").expect("the client's connection is told");
    assert_eq!(client["row"]["role"], "client");
    let closed = told(from, "closed").expect("its end is told");
    assert_eq!((&closed["sent_bytes"], &closed["number"]), (&1000.into(), &client["number"]));
    let server = told(port, "closed").expect("the server's end is told, however short it was");
    // The kernel counts the end of the stream as a byte.
    let received = server["received_bytes"].as_u64().expect("a number");
    assert!(server["row"]["role"] == "server" && (1_000..=1_001).contains(&received), "{server}");
}

fn a_record_answers_who_it_was(lab: &Lab) {
    let record = lab.world.path("record.db");
    let mut server = program(lab, SERVER, &[]);
    let port = server.line("port ").trim().to_owned();
    let server_pid: u64 = server.line("pid ").trim().parse().expect("a number");
    let watch = watch(lab, &["--record", &record]);
    std::thread::sleep(Duration::from_millis(500));
    let now =
        || lab.world.run(Place::Host, &["date", "-u", "+%Y-%m-%dT%H:%M:%S.%NZ"]).good().trim().to_owned();
    let held_at = now();
    std::thread::sleep(Duration::from_millis(1_000));
    server.write("\n");
    server.line("closed");
    std::thread::sleep(Duration::from_millis(300));
    let free_at = now();
    std::thread::sleep(Duration::from_millis(1_500));
    // Asked while it is recorded, and when it is complete.
    let is_told = |at: &str| {
        let then = who(lab, &port, at, &record);
        let answer: Value = serde_json::from_str(then.good()).expect("an object");
        let holder = &answer["holders"][0];
        assert_eq!(holder["row"]["state"], "listen", "{answer}");
        assert_eq!(holder["row"]["owners"][0]["pid"], server_pid, "{answer}");
        assert!(answer["recorded"] == true && !holder["closed"].is_null(), "{answer}");
        holder["closed"].as_str().expect("a time").to_owned()
    };
    let closed = is_told(&held_at);
    let end = end(watch);
    assert!(end.status.success(), "{end:?}");
    assert_eq!(is_told(&held_at), closed);
    let free = who(lab, &port, &free_at, &record);
    assert_eq!(free.status.code(), Some(1), "{free:?}");
    let before = who(lab, &port, "2001-01-01 10:31", &record);
    assert_eq!(before.status.code(), Some(2), "{before:?}");
    assert!(before.stderr.contains("nobody recorded it then (recorded from "), "{before:?}");
}

fn sigkill_leaves_a_record_that_can_be_read(lab: &Lab) {
    let record = lab.world.path("record.db");
    let watch = watch(lab, &["--record", &record]);
    let mut server = program(lab, SERVER, &[]);
    let port = server.line("port ").trim().to_owned();
    std::thread::sleep(Duration::from_millis(2_500));
    watch.signal("KILL");
    assert!(!watch.finish().status.success());
    let then = who(lab, &port, "1s ago", &record);
    let answer: Value = serde_json::from_str(then.good()).expect("an object");
    assert_eq!(answer["holders"][0]["closed"], Value::Null);
    assert_eq!(answer["recorded"], true);
    // The file is nobody's any more, and goes on.
    let again = self::watch(lab, &["--record", &record]);
    assert!(end(again).status.success());
    assert!(who(lab, &port, "now", &record).status.code().is_some());
}

fn two_recorders_don_t_share_a_file(lab: &Lab) {
    let record = lab.world.path("record.db");
    let first = watch(lab, &["--record", &record]);
    let wharf = lab.world.wharf();
    let second = lab.world.start(Place::Host, lab.way.user, &[&wharf, "watch", "--record", &record]).finish();
    assert_eq!(second.status.code(), Some(2));
    let expected =
        format!("wharf: another wharf records into {record:?} (name another file, or end that one)\n");
    assert_eq!(second.stderr, expected);
    assert!(end(first).status.success());
}

fn signals_end_it_and_the_record_is_whole(lab: &Lab) {
    for signal in ["INT", "TERM", "HUP"] {
        let record = lab.world.path(&format!("{signal}.db"));
        let mut watch = watch(lab, &["--record", &record]);
        assert!(watch.is_running());
        watch.signal(signal);
        let end = watch.finish();
        assert!(end.status.success(), "{signal}: {end:?}");
        assert!(!std::path::Path::new(&format!("{record}-wal")).exists(), "one file");
    }
    let begin = std::time::Instant::now();
    let timed = watch(lab, &["--for", "500ms"]).finish();
    assert!(timed.status.success() && begin.elapsed() < Duration::from_secs(20));
}

fn wrong_words_are_told(lab: &Lab) {
    let wharf = lab.world.wharf();
    let run = |words: &[&str]| {
        let end = lab.world.start(Place::Host, lab.way.user, &[&[wharf.as_str()], words].concat()).finish();
        assert_eq!(end.status.code(), Some(2), "{words:?}: {end:?}");
        end.stderr
    };
    assert!(run(&["watch", "listning"]).contains("\"listning\""));
    assert!(run(&["watch", "--every", "x"]).contains("--every \"x\": not a span of time"));
    assert!(run(&["who", "80", "--at", "tomorrow"]).contains("--at \"tomorrow\": not a time"));
    let missing = run(&["who", "80", "--at", "now", "--record", "/nowhere/record.db"]);
    assert!(missing.contains("open the record \"/nowhere/record.db\": No such file"), "{missing}");
    // The rest differs between users.
    if lab.way.user == User::Ordinary {
        let said =
            lab.world.start(Place::Host, lab.way.user, &[&wharf, "watch", "--for", "100ms"]).finish().stderr;
        return assert!(said.contains("listeners that were open for less than 20 ms"), "{said}");
    }
    let other = lab.world.path("text");
    lab.world.write(
        "text",
        "no record, but long enough to be looked at as the beginning of a database of some kind\n",
    );
    assert!(run(&["watch", "--record", &other]).contains("is no record of wharf"));
}

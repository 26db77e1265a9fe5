//! The flows of runs, and the runs that are there: what is told is what the kernels on both sides and the programs say.

mod hostile;
mod watch;

use crate::lab::{Finished, Lab, Place, Proc, User, host, missing, python, server};
use serde_json::Value;
use std::time::{Duration, Instant};

crate::tests! {
    [all] both_ends_are_told names_are_those_that_were_looked_up;
    [tap_user packet_root] clients_are_told_by_splice_and_by_frames datagrams_and_pings_are_told many_flows_are_told;
    [tap_user packet_root] flows_of_all_queues_are_told;
    [tap_user] what_is_allowed_is_told_by_its_rule states_are_those_of_the_program_s_kernel;
    [all] sigkill_leaves_nothing;
    [tap_user packet_root] a_run_is_found_by_name_and_number a_run_s_network_has_its_name;
}

/// Runs `wharf WORDS` on this host.
fn ask(lab: &Lab, words: &[&str]) -> Finished {
    ask_as(lab, lab.way.user, words)
}

fn ask_as(lab: &Lab, user: User, words: &[&str]) -> Finished {
    let wharf = lab.world.wharf();
    lab.world.start(Place::Host, user, &[&[wharf.as_str()], words].concat()).finish()
}

/// `wharf WORDS`, which prints JSON.
fn told(lab: &Lab, words: &[&str]) -> Vec<Value> {
    let end = ask(lab, words);
    serde_json::from_str::<Value>(end.good())
        .unwrap_or_else(|error| panic!("{error}: {}", end.stdout))
        .as_array()
        .expect("an array")
        .clone()
}

/// The flows of the run, of one protocol, as soon as there are so many.
fn flows(lab: &Lab, run: &str, protocol: &str, count: usize) -> Vec<Value> {
    let begin = Instant::now();
    loop {
        let mut all = told(lab, &["flows", "--json", run]);
        all.retain(|flow| flow["protocol"] == protocol);
        if all.len() == count {
            return all;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{count} flows of {protocol}, not {all:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

/// Connects to each address, sends and receives so many bytes, says its own ends, and stays until its input ends.
const TALK: &str = "import socket, sys\n\
    made = []\n\
    for target in sys.argv[3:]:\n    \
        address, port = target.rsplit(' ', 1)\n    \
        stream = socket.create_connection((address, int(port)), 10)\n    \
        stream.sendall(b'x' * int(sys.argv[1]))\n    \
        got = 0\n    \
        while got < int(sys.argv[2]): got += len(stream.recv(65536))\n    \
        print('end', stream.getsockname()[1], flush=True); made.append(stream)\n\
    print('ready', *[stream.getsockname()[1] for stream in made], flush=True); sys.stdin.read()";

/// A server that reads so many bytes of each who comes, says who came, and answers with so many.
const ANSWER: &str = "import socket, sys, threading\n\
    address, port, reads, answers = sys.argv[1], *map(int, sys.argv[2:5])\n\
    listener = socket.create_server((address, port), family=socket.AF_INET6 if ':' in address else socket.AF_INET, backlog=3000)\n\
    print('ready', flush=True)\n\
    def serve(stream):\n    \
        got = 0\n    \
        while got < reads: got += len(stream.recv(65536))\n    \
        stream.sendall(b'y' * answers); stream.recv(1)\n\
    while True:\n    \
        stream, peer = listener.accept(); print('peer', peer[0], peer[1], flush=True)\n    \
        threading.Thread(target=serve, args=(stream,), daemon=True).start()";

/// Starts the server on a host.
fn answer(lab: &Lab, place: Place, words: &[&str]) -> Proc {
    let mut server = lab.world.start(place, User::Root, &[&[python(), "-c", ANSWER], words].concat());
    server.line("ready");
    server
}

fn both_ends_are_told(lab: &Lab) {
    for (address, own, shown) in [
        (server::V4, host::TO_SERVER_V4, "198.51.100.2:80"),
        (server::V6, host::TO_SERVER_V6, "[2001:db8:5::2]:80"),
    ] {
        let mut server = answer(lab, Place::Server, &[address, "80", "300000", "700000"]);
        let target = format!("{address} 80");
        let mut run = lab.wharf(&["--name", "both"], &[python(), "-c", TALK, "300000", "700000", &target]);
        let port = run.line("end ");
        let [flow] = &flows(lab, "both", "tcp", 1)[..] else { panic!("one flow") };
        assert!(text(&flow["inside"]["local"]["text"]).ends_with(&format!(":{port}")), "{flow}");
        assert_eq!(flow["inside"]["remote"]["text"], shown);
        let outside = &flow["outside"];
        assert_eq!(outside["remote"]["text"], shown);
        let came = server.line("peer ");
        let from = format!("{} {}", text(&outside["local"]["address"]), outside["local"]["port"]);
        assert_eq!(from, came, "the server sees the host's socket");
        assert!(came.starts_with(own));
        assert_eq!((&flow["network"], &flow["direction"]), (&"both".into(), &"outward".into()));
        let owner = &flow["owner"];
        assert!(text(&owner["command"]).starts_with("python3"), "{flow}");
        let cmdline = std::fs::read_to_string(format!("/proc/{}/cmdline", owner["pid"]));
        assert!(cmdline.is_ok_and(|words| words.contains(&target)), "{owner}");
        assert_eq!((&flow["state"], &flow["path"]), (&"established".into(), &"frames".into()));
        assert_eq!((&flow["rule"], &flow["name"]), (&"default".into(), &Value::Null));
        assert_eq!((&flow["sent_bytes"], &flow["received_bytes"]), (&300_000.into(), &700_000.into()));
        for packets in ["sent_packets", "received_packets"] {
            let packets = flow[packets].as_u64().expect("a number");
            assert!((10..2000).contains(&packets), "{packets} packets for so many bytes");
        }
        let age = flow["age_s"].as_f64().expect("a number");
        assert!((0.0..30.0).contains(&age), "{age}");
        run.write("");
        assert_eq!(run.finish().code(), 0);
    }
}

fn names_are_those_that_were_looked_up(lab: &Lab) {
    let dns = lab.peer("dns.py", &[server::V4, "one"]);
    let mut names = lab.world.start(Place::Server, User::Root, &dns);
    names.line("ready");
    lab.world.write("hosts", "127.0.0.1 localhost\n198.51.100.3 files.lan files\n");
    let _first = answer(lab, Place::Server, &["0.0.0.0", "80", "1", "1"]);
    let words = [python(), "-c", TALK, "1", "1"];
    let targets = ["server.test 80", "alias.test 80", "server.test 80", "files.lan 80", "198.51.100.2 80"];
    let mut run = lab.wharf(&["--ipv4-only", "--name", "names"], &[&words[..], &targets].concat());
    let ports = run.line("ready ");
    let flows = flows(lab, "names", "tcp", 5);
    let from =
        |port: &str| flows.iter().find(|flow| flow["inside"]["local"]["port"].as_u64() == port.parse().ok());
    let flows: Vec<_> = ports.split(' ').map(|port| from(port).expect("each is told")).collect();
    let names: Vec<_> = flows.iter().map(|flow| text(&flow["name"])).collect();
    // Of the last one it is only known what was looked up last before it.
    assert_eq!(names, ["server.test", "alias.test", "server.test", "files.lan", "server.test"]);
    drop(run);
    let mut run =
        lab.wharf(&["--ipv4-only", "--name", "names"], &[&words[..], &["198.51.100.2 80"]].concat());
    run.line("ready");
    assert_eq!(self::flows(lab, "names", "tcp", 1)[0]["name"], Value::Null, "nobody has looked anything up");
}

fn clients_are_told_by_splice_and_by_frames(lab: &Lab) {
    let size = ["200000", "500000"];
    for (options, path, port) in [(&["--no-splice"][..], "frames", "45678"), (&[][..], "splice", "45679")] {
        let published = [options, &["--name", "served", "-p", "0.0.0.0:8080:80", "-p", "8081:81"]].concat();
        let mut run = lab.wharf(&published, &[python(), "-c", ANSWER, "0.0.0.0", "80", size[0], size[1]]);
        run.line("ready");
        let target = format!("{} 8080", host::TO_CLIENT_V4);
        // A port that is led past the link where that is wanted.
        let bound = format!("(address, int(port)), 10, ('', {port}))");
        let bound = TALK.replace("(address, int(port)), 10)", &bound);
        let words = [python(), "-c", &bound, size[0], size[1], &target];
        let mut client = lab.world.start(Place::Client, User::Root, &words);
        client.line("ready");
        let [flow] = &flows(lab, "served", "tcp", 1)[..] else { panic!("one flow") };
        assert_eq!(flow["path"], path, "{flow}");
        assert_eq!(flow["inside"]["local"]["text"], "10.0.2.100:80");
        assert_eq!(flow["inside"]["remote"]["text"], format!("203.0.113.2:{port}"));
        assert_eq!(flow["outside"]["local"]["text"], "203.0.113.1:8080");
        assert_eq!(flow["outside"]["remote"]["text"], format!("203.0.113.2:{port}"));
        assert_eq!((&flow["direction"], &flow["state"]), (&"inward".into(), &"established".into()));
        assert_eq!((&flow["rule"], &flow["name"]), (&"-p 0.0.0.0:8080:80/tcp".into(), &Value::Null));
        assert_eq!(
            (&flow["received_bytes"], &flow["sent_bytes"]),
            (&200_000.into(), &500_000.into()),
            "{path}"
        );
        assert!(
            flow["sent_packets"].as_u64() > Some(5) && flow["received_packets"].as_u64() > Some(2),
            "{flow}"
        );
        let ps = told(lab, &["ps", "--json", "served"]);
        let published: Vec<_> = ps[0]["published"].as_array().expect("an array").iter().collect();
        let inside: Vec<_> = published.iter().map(|port| port["inside_port"].as_u64()).collect();
        assert_eq!(inside, [Some(80), Some(81), Some(81)], "{published:?}");
        assert_eq!(ps[0]["flows"][&format!("tcp_{path}")], 1, "{}", ps[0]);
    }
}

const DATAGRAMS: &str = "import socket, sys\n\
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); own.bind(('', 5353)); own.settimeout(5)\n\
    for number in range(10): own.sendto(b'u' * 100, (sys.argv[1], 4000)); own.recv(999)\n\
    served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); served.bind(('', 53)); print('ready', flush=True)\n\
    for number in range(3):\n    \
        word, peer = served.recvfrom(999); served.sendto(word * 2, peer)\n\
    print('served', flush=True); sys.stdin.read()";

fn datagrams_and_pings_are_told(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["mirror", server::V4, "4000"]);
    let ping = format!("ping -n -c 3 -i 0.2 {} >&2; exec \"$@\"", server::V4);
    let command = ["sh", "-c", &ping, "sh", python(), "-c", DATAGRAMS, server::V4];
    let mut run = lab.wharf(&["--name", "talk", "-p", "0.0.0.0:5300:53/udp"], &command);
    run.line("ready");
    let client = "import socket\n\
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); own.bind(('', 45000)); own.settimeout(5)\n\
        for number in range(3): own.sendto(b'q' * 7, ('203.0.113.1', 5300)); print(len(own.recv(99)))";
    assert_eq!(lab.world.run(Place::Client, &[python(), "-c", client]).good(), "14\n14\n14");
    run.line("served");
    let flows = flows(lab, "talk", "udp", 2);
    let of =
        |direction: &str| flows.iter().find(|flow| flow["direction"] == direction).expect("one each way");
    let out = of("outward");
    assert_eq!(out["inside"]["local"]["text"], "10.0.2.100:5353");
    assert_eq!(out["inside"]["remote"]["text"], "198.51.100.2:4000");
    let counts = ["sent_bytes", "sent_packets", "received_bytes", "received_packets"];
    assert_eq!(counts.map(|name| out[name].as_u64()), [1000, 10, 1000, 10].map(Some), "{out}");
    assert_eq!(out["state"], "established");
    let inward = of("inward");
    assert_eq!(inward["inside"]["local"]["text"], "10.0.2.100:53");
    assert_eq!(inward["inside"]["remote"]["text"], "203.0.113.2:45000");
    assert_eq!(inward["outside"]["local"]["text"], "0.0.0.0:5300");
    assert_eq!(inward["rule"], "-p 0.0.0.0:5300:53/udp");
    assert_eq!(counts.map(|name| inward[name].as_u64()), [42, 3, 21, 3].map(Some), "{inward}");
    // Where the host gives no ICMP socket, there is no flow of it.
    let pings: Vec<Value> = told(lab, &["flows", "--json", "talk", "icmp"]);
    if let [ping] = &pings[..] {
        assert_eq!(ping["inside"]["remote"]["address"], server::V4);
        assert_eq!(counts.map(|name| ping[name].as_u64()), [192, 3, 192, 3].map(Some), "{ping}");
    } else {
        assert!(pings.is_empty());
        println!("skipped: the host gives this user no ICMP socket");
    }
}

fn many_flows_are_told(lab: &Lab) {
    const COUNT: usize = 2000;
    let _server = answer(lab, Place::Server, &[server::V4, "80", "3", "5"]);
    let many = TALK.replace("sys.argv[3:]", "sys.argv[3:] * 2000");
    let target = format!("{} 80", server::V4);
    let mut run = lab.wharf(&["--name", "many"], &[python(), "-c", &many, "3", "5", &target]);
    run.line("ready");
    let flows = flows(lab, "many", "tcp", COUNT);
    let ports: std::collections::BTreeSet<_> =
        flows.iter().map(|flow| flow["inside"]["local"]["port"].as_u64()).collect();
    assert_eq!(ports.len(), COUNT, "each is told once");
    for flow in &flows {
        assert_eq!((&flow["sent_bytes"], &flow["received_bytes"]), (&3.into(), &5.into()), "{flow}");
        assert_eq!(flow["state"], "established");
    }
    let text = ask(lab, &["flows", "many"]);
    assert_eq!(text.good().lines().count(), COUNT + 1, "a line each, and one of heads");
    assert!(!text.good().contains('…'), "nothing is cut where nobody looks");
}

fn flows_of_all_queues_are_told(lab: &Lab) {
    let _server = answer(lab, Place::Server, &[server::V4, "80", "30", "50"]);
    let many = TALK.replace("sys.argv[3:]", "sys.argv[3:] * 60");
    let target = format!("{} 80", server::V4);
    let words = [python(), "-c", &many, "30", "50", &target];
    let mut run = lab.wharf(&["--queues", "3", "-v", "--name", "queues"], &words);
    run.line("ready");
    for flow in flows(lab, "queues", "tcp", 60) {
        assert_eq!((&flow["sent_bytes"], &flow["received_bytes"]), (&30.into(), &50.into()), "{flow}");
    }
    let ps = told(lab, &["ps", "--json", "queues"]);
    assert_eq!((&ps[0]["link"]["queues"], &ps[0]["flows"]["tcp_frames"]), (&3.into(), &60.into()));
    assert_eq!(ps[0]["counters"]["connections_asked"], 60);
    // Who asks does not keep the run from its end.
    run.write("");
    let end = run.finish();
    assert_eq!(end.code(), 0);
    let asked = end.stderr.lines().filter(|line| line.contains("connections asked for"));
    assert!(asked.filter(|line| !line.contains(": 0 ")).count() > 1, "more than one queue: {}", end.stderr);
}

fn what_is_allowed_is_told_by_its_rule(lab: &Lab) {
    let _server = answer(lab, Place::Host, &["127.0.0.1", "5432", "1", "1"]);
    let options = ["--name", "rules", "--allow-host", "8000-8010", "--allow-host", "5432"];
    let mut run = lab.wharf(&options, &[python(), "-c", TALK, "1", "1", "host.wharf.internal 5432"]);
    run.line("ready");
    let [flow] = &flows(lab, "rules", "tcp", 1)[..] else { panic!("one flow") };
    assert_eq!(flow["rule"], "--allow-host 5432/tcp");
    assert_eq!(flow["name"], "host.wharf.internal");
    assert_eq!(flow["inside"]["remote"]["text"], "10.0.2.4:5432");
    assert_eq!(flow["outside"]["remote"]["text"], "127.0.0.1:5432");
    assert_eq!(told(lab, &["ps", "--json", "rules"])[0]["allow_host"][1], "5432/tcp");
}

/// Three connections: one that waits for a silent host, one that the program has half closed, one that its peer has.
const STATES: &str = "import socket, sys\n\
    silent = socket.socket(); silent.setblocking(False); silent.connect_ex(('198.18.0.2', 80))\n\
    near = socket.create_connection(('198.51.100.2', 80)); near.shutdown(socket.SHUT_WR)\n\
    far = socket.create_connection(('198.51.100.2', 81)); far.recv(1)\n\
    print('ready', flush=True); sys.stdin.read()";
const HALVES: &str = "import socket, time\n\
    one, two = socket.create_server(('198.51.100.2', 80)), socket.create_server(('198.51.100.2', 81)); print('ready', flush=True)\n\
    a, b = one.accept()[0], two.accept()[0]; b.shutdown(socket.SHUT_WR); time.sleep(60)";

fn states_are_those_of_the_program_s_kernel(lab: &Lab) {
    if missing(&["ss"]).is_some() {
        println!("skipped: ss isn't installed");
        return;
    }
    let mut server = lab.world.start(Place::Server, User::Root, &[python(), "-c", HALVES]);
    server.line("ready");
    let mut run = lab.wharf(&["--name", "states"], &[python(), "-c", STATES]);
    run.line("ready");
    std::thread::sleep(Duration::from_millis(300));
    let mut told: Vec<String> = flows(lab, "states", "tcp", 3)
        .iter()
        .map(|flow| format!("{} {}", text(&flow["state"]), text(&flow["inside"]["local"]["text"])))
        .collect();
    told.sort();
    let init = self::told(lab, &["ps", "--json", "states"])[0]["init_pid"].to_string();
    let ss = lab.world.run(Place::Host, &["nsenter", "-t", &init, "-n", "ss", "-Htn"]);
    let mut kernel: Vec<String> = ss
        .good()
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let state = match words[0] {
                "SYN-SENT" => "syn_sent",
                "FIN-WAIT-2" => "fin_wait_2",
                "CLOSE-WAIT" => "close_wait",
                other => other,
            };
            format!("{state} {}", words[3])
        })
        .collect();
    kernel.sort();
    assert_eq!(told, kernel);
    assert_eq!(told.len(), 3);
}

/// The control sockets of this world's host.
fn sockets(lab: &Lab) -> String {
    let end = lab.world.run(Place::Host, &["sh", "-c", "grep -o '@wharf/.*' /proc/net/unix || true"]);
    end.good().to_owned()
}

fn sigkill_leaves_nothing(lab: &Lab) {
    let mut run = lab.wharf(&["--name", "killed"], &["sh", "-c", "echo ready; sleep 60"]);
    run.line("ready");
    assert!(sockets(lab).ends_with("/killed"));
    assert_eq!(told(lab, &["ps", "--json"]).len(), 1);
    run.signal("KILL");
    run.finish();
    assert_eq!(sockets(lab), "");
    assert_eq!(told(lab, &["ps", "--json"]).len(), 0);
    let ended = ask(lab, &["flows", "killed"]);
    assert_eq!(ended.code(), 1);
    assert_eq!(ended.stderr.trim(), "wharf: no run \"killed\" (none is running)");
}

fn a_run_is_found_by_name_and_number(lab: &Lab) {
    let start = |options: &[&str]| {
        let mut run = lab.wharf(options, &["sh", "-c", "echo ready; sleep 60"]);
        run.line("ready");
        run
    };
    let (web, nameless) = (start(&["--name", "web", "-p", "0.0.0.0:8080:80"]), start(&[]));
    let name = format!("sh-{}", nameless.pid());
    let runs = told(lab, &["ps", "--json"]);
    let names: Vec<_> = runs.iter().map(|run| text(&run["name"])).collect();
    assert_eq!(names, ["web", &name]);
    let web_pid = web.pid().to_string();
    assert_eq!(told(lab, &["ps", "--json", &web_pid])[0]["name"], "web");
    assert_eq!(told(lab, &["ps", "--json", &name])[0]["wharf_pid"], nameless.pid());
    let init = runs[0]["init_pid"].to_string();
    let link = lab.world.run(Place::Host, &["stat", "-Lc", "%i", &format!("/proc/{init}/ns/net")]);
    assert_eq!(link.good(), runs[0]["network_inode"].to_string());
    assert_eq!(runs[0]["program_pid"].as_u64().map(|pid| pid > 0), Some(true));
    assert_eq!(runs[0]["addresses"]["ipv4"]["program"], "10.0.2.100/24");
    let text = ask(lab, &["ps"]);
    let lines: Vec<&str> = text.good().lines().collect();
    assert_eq!(lines.len(), 3, "{}", text.stdout);
    assert!(lines[0].starts_with("NAME") && lines[1].contains("0.0.0.0:8080->80"), "{}", text.stdout);
    let missing = ask(lab, &["flows", "--in", "wbe"]);
    assert_eq!(missing.code(), 1);
    assert_eq!(missing.stderr.trim(), format!("wharf: no run \"wbe\" (there are web, {name})"));
    let wrong = ask(lab, &["flows", "web", "prot", "80"]);
    assert_eq!((wrong.code(), wrong.stdout.as_str()), (2, ""), "{}", wrong.stderr);
    // One that is stopped is told, and holds up nobody.
    nameless.signal("STOP");
    let begin = Instant::now();
    let runs = told(lab, &["ps", "--json"]);
    assert!(begin.elapsed() < Duration::from_secs(10));
    let answers = |name: &str| runs.iter().find(|run| run["name"] == name).map(|run| run["answers"].clone());
    assert_eq!((answers("web"), answers(&name)), (Some(true.into()), Some(false.into())));
    nameless.signal("CONT");
}

fn a_run_s_network_has_its_name(lab: &Lab) {
    let mut run = lab.wharf(&["--name", "named"], &[python(), "-c", ANSWER, "0.0.0.0", "8000", "1", "1"]);
    run.line("ready");
    let mut rows = told(lab, &["list", "--json", "--in", "named", "listening"]);
    rows.retain(|row| row["local"]["port"] == 8000);
    let [row] = &rows[..] else { panic!("one listener: {rows:?}") };
    assert_eq!(row["network"], "named");
    assert!(text(&row["owners"][0]["command"]).starts_with("python3"), "{row}");
}

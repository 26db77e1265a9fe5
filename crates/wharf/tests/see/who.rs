//! `wharf who`: exactly those who hold a local port, and their end.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{Said, Scene, can_play, is_root};

/// A server at 8080 with two clients and a worker; a client of another's 8080; 2222 at an address that ends like a port.
const SCRIPT: &str = r#"
address('fd00::8080')
done, said = os.pipe()
other = os.fork()
if other == 0:
    name('other'); far = tcp('127.0.0.9', 8080); near = tcp('fd00::8080', 2222)
    client = pair(far, '127.0.0.8', 40001, '127.0.0.9'); far.close()
    os.write(said, b'x'); sys.stdin.read(); os._exit(0)
os.read(done, 1)
name('server')
web = tcp('127.0.0.1', 8080); also = udp('127.0.0.1', 5353); more = tcp('127.0.0.1', 9000)
worker = os.fork()
if worker == 0: more.close(); also.close(); sys.stdin.read(); os._exit(0)
ends = pair(web, '127.0.0.1', 40002, '127.0.0.1') + pair(web, '127.0.0.2', 40003, '127.0.0.1')
ready(worker=worker, other=other)
"#;

fn pids(processes: &Value) -> BTreeSet<u64> {
    processes.as_array().expect("a list").iter().filter_map(|process| process["pid"].as_u64()).collect()
}

fn texts(rows: &Value, side: &str) -> BTreeSet<String> {
    let text = |row: &Value| row[side]["text"].as_str().map(str::to_owned);
    rows.as_array().expect("a list").iter().filter_map(text).collect()
}

fn set<T: Ord + From<U>, U>(items: impl IntoIterator<Item = U>) -> BTreeSet<T> {
    items.into_iter().map(T::from).collect()
}

#[test]
fn exactly_who_holds_the_port_is_told() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let told = scene.wharf(&["who", "8080", "--json", "-v"]).json();
    let server = scene.pid();
    let worker = scene.facts["worker"].as_u64().unwrap();
    // A connection that was taken at 8080 by one who does not listen any more is told apart from it.
    assert_eq!(texts(&told["rows"], "local"), set(["127.0.0.1:8080"]));
    assert_eq!(pids(&told["processes"]), set([server, worker]));
    let process = &told["processes"][0];
    assert_eq!((&process["pid"], &process["command"]), (&json!(server), &json!("server")));
    assert_eq!(process["command_line"][1], "-c");
    assert_eq!(process["directory"], json!(scene.directory()));
    assert_eq!(texts(&process["other_ports"], "local"), set(["127.0.0.1:5353", "127.0.0.1:9000"]));
    assert!(process["age_s"].as_f64().is_some_and(|age| age < 600.0), "{process}");
    assert_eq!(process["parents"].as_array().unwrap().last().unwrap()["pid"], 1);
    assert_eq!(
        (&told["free"], &told["all_owners"], &told["time_wait"]),
        (&json!(false), &json!(true), &json!(0))
    );
    let exact = scene.wharf(&["who", "127.0.0.1:8080", "--json"]).json();
    assert_eq!(texts(&exact["connections"], "remote"), set(["127.0.0.1:40002", "127.0.0.2:40003"]));
}

#[test]
fn every_notation_asks_for_the_same() {
    if !can_play() {
        return;
    }
    let scene = Scene::play("keep = [tcp('::', 80, 0), udp('127.0.0.1', 80), tcp('::1', 81)]; ready()");
    let locals = |port: &str| texts(&scene.wharf(&["who", port, "--json"]).json()["rows"], "local");
    assert_eq!(locals("80"), set(["[::]:80", "127.0.0.1:80"]));
    for tcp in [
        "tcp/80",
        "80/tcp",
        "tcp/http",
        "http/tcp",
        "127.0.0.1:80/tcp",
        "[::1]:80",
        "*:80/tcp",
        "http://localhost/",
    ] {
        assert_eq!(locals(tcp), set(["[::]:80"]), "{tcp}");
    }
    for udp in ["udp/80", "127.0.0.1:80/udp", "localhost:80/udp"] {
        assert_eq!(locals(udp), set(["127.0.0.1:80"]), "{udp}");
    }
    for free in ["[::1]:80/udp", "127.0.0.1:81", "82", "udp/81"] {
        let said = scene.wharf(&["who", free]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            said.out.starts_with(free.split('/').next_back().unwrap_or(free))
                || said.out.contains(" is free")
        );
        assert_eq!(scene.wharf(&["who", free, "--json"]).out.matches("\"free\":true").count(), 1);
    }
}

#[test]
fn what_is_wrong_is_one_line() {
    if !can_play() {
        return;
    }
    let scene = Scene::play("ready()");
    for (words, part) in [
        (&["who", "0"][..], "\"0\": no socket has port 0"),
        (&["who", "99999"], "\"99999\""),
        (&["who", "nosuchservice"], "\"nosuchservice\""),
        (&["who", "example.org:80"], "\"example.org\": names are not looked up"),
        (&["who", "::1:8080"], "\"::1:8080\""),
        (&["who", "80", "--close", "everything"], "\"everything\""),
        (&["who", "80", "--stop", "--after", "soon"], "\"soon\""),
        (&["who", "80", "--after", "5s"], "--stop"),
        (&["who"], "PORT"),
    ] {
        let said = scene.wharf(words);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(said.error.starts_with("wharf: ") && said.error.contains(part), "{said:?}");
        assert_eq!(said.error.lines().count(), 1, "{said:?}");
    }
}

#[test]
fn connections_alone_are_told_apart_from_a_listener() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(
        "a = tcp('127.0.0.1', 80); ends = pair(a, '127.0.0.1', 40001, '127.0.0.1'); a.close()\n\
         b = tcp('127.0.0.1', 81); c, d = pair(b, '127.0.0.1', 40002, '127.0.0.1'); d.close(); c.close(); b.close()\n\
         ready()",
    );
    let said = scene.wharf(&["who", "80"]);
    assert!(said.good().starts_with("nobody listens on 80; 1 connection holds it\n\npython3 ("), "{said:?}");
    let said = scene.wharf(&["who", "81"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let left = "81 is free (TCP and UDP); 1 connection is left in TIME-WAIT, for a minute at most\n";
    assert_eq!(said.out, left);
    assert_eq!(scene.wharf(&["who", "tcp/82"]).out, "82/tcp is free\n");
}

#[test]
fn a_paragraph_tells_of_each_program() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(SCRIPT);
    let said = scene.wharf(&["who", "127.0.0.1:8080"]);
    let text = said.good();
    let lines: Vec<&str> = text.lines().collect();
    let first = "tcp 127.0.0.1:8080 listens; registered as http-alt; 0 of 128 wait to be accepted";
    assert_eq!((lines[0], lines[1]), (first, ""));
    assert!(lines[2].starts_with(&format!("server ({}), user ", scene.pid())), "{text}");
    for field in ["  command    ", "  directory  ", "  running    for ", "  parents    "] {
        assert_eq!(text.matches(field).count(), 1, "{field}: {text}");
    }
    assert!(text.contains(&format!("\n  workers    {}\n", scene.facts["worker"])), "{text}");
    assert!(text.contains("\n  also holds tcp 127.0.0.1:9000, udp 127.0.0.1:5353\n"), "{text}");
    assert!(
        text.contains("\n\n2 connections\nPROTO  LOCAL           REMOTE           STATE        OWNER\n"),
        "{text}"
    );
}

#[test]
fn who_is_hidden_is_named_as_far_as_the_kernel_tells() {
    if !can_play() || !is_root() {
        return;
    }
    let scene = Scene::play("keep = tcp('127.0.0.1', 80); ready()");
    let said = scene.wharf_as_nobody(&["who", "80"]);
    assert!(said.good().contains("hidden: the process is another user's"), "{said:?}");
    assert!(said.out.contains("; user root"), "{said:?}");
    assert!(said.error.starts_with("wharf: not shown: "), "{said:?}");
    let said = scene.wharf_as_nobody(&["who", "80", "--stop"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.error.starts_with("wharf: stop who holds 80: hidden: "), "{said:?}");
}

fn holds(scene: &Scene, port: &str) -> bool {
    scene.wharf(&["who", port]).code == Some(0)
}

#[test]
fn who_is_asked_to_stop_ends_and_who_does_not_is_killed() {
    if !can_play() {
        return;
    }
    let scene = Scene::play(
        "children = []\n\
         for port in (80, 81):\n    \
             child = os.fork()\n    \
             if child == 0:\n        \
                 name('polite' if port == 80 else 'deaf')\n        \
                 signal.signal(signal.SIGTERM, signal.SIG_DFL if port == 80 else signal.SIG_IGN)\n        \
                 keep = tcp('127.0.0.1', port); sys.stdin.read(); os._exit(0)\n    \
             children.append(child)\n\
         signal.signal(signal.SIGCHLD, signal.SIG_IGN); time.sleep(0.5); ready(children=children)",
    );
    let begin = Instant::now();
    while !(holds(&scene, "80") && holds(&scene, "81")) {
        assert!(begin.elapsed() < Duration::from_secs(20), "the children listen");
    }
    let child = |place: usize| scene.facts["children"][place].as_u64().unwrap();
    let said = scene.wharf(&["who", "80", "--stop"]);
    assert_eq!(said.good(), format!("polite ({}) has ended\n", child(0)));
    let said = scene.wharf(&["who", "81", "--stop", "--after", "200ms", "--json"]);
    assert_eq!(said.json(), json!([{"pid": child(1), "command": "deaf", "outcome": "killed"}]));
    for port in ["80", "81"] {
        assert!(!holds(&scene, port));
        let said = scene.wharf(&["who", port, "--stop"]);
        assert_eq!((said.code, said.out.contains("is free")), (Some(1), true), "{said:?}");
    }
}

#[test]
fn at_a_terminal_one_is_asked_first() {
    if !can_play() {
        return;
    }
    let scene = Scene::play("keep = tcp('127.0.0.1', 80); ready()");
    let said = scene.terminal(80, &["who", "80", "--stop"], "[y/N]", "n\n");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out.contains(&format!("End python3 ({}), so that 80 is free? [y/N]", scene.pid())),
        "{said:?}"
    );
    assert!(said.out.contains("nothing was done") && holds(&scene, "80"), "{said:?}");
    let said = scene.terminal(80, &["who", "80", "--stop"], "[y/N]", "y\n");
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_connection_is_closed_and_the_others_go_on() {
    if !can_play() {
        return;
    }
    let mut scene = Scene::play(
        "a = tcp('127.0.0.1', 80); ends = [pair(a, '127.0.0.1', port, '127.0.0.1') for port in (40001, 40002, 40003)]\n\
         def tell():\n    \
             said = []\n    \
             for client, server in ends:\n        \
                 try: client.send(b'x'); server.recv(1); said.append('works')\n        \
                 except OSError as error: said.append(type(error).__name__)\n    \
             print(*said, flush=True)\n\
         print(json.dumps({'pid': os.getpid()}), flush=True)\n\
         while sys.stdin.readline(): tell()",
    );
    let close = |scene: &Scene, flow: &str| scene.wharf(&["who", "80", "--close", flow]);
    let said = close(&scene, "127.0.0.1:40009");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    let said = close(&scene, "127.0.0.1:40002");
    if said.error.contains("CONFIG_INET_DIAG_DESTROY") {
        println!("skipped: the kernel can't close a socket of another");
        return;
    }
    assert_eq!(said.good(), "closed tcp 127.0.0.1:80, remote 127.0.0.1:40002\n");
    scene.tell("\n");
    assert_eq!(scene.line(), "works ConnectionResetError works\n");
    assert_eq!(close(&scene, "all").good().lines().count(), 2);
    scene.tell("\n");
    assert!(!scene.line().contains("works"));
    if is_root() {
        let nobody = |scene: &Scene| -> Said { scene.wharf_as_nobody(&["who", "80", "--close", "all"]) };
        assert_eq!(nobody(&scene).code, Some(1));
    }
}

#[test]
fn without_the_right_no_connection_is_closed() {
    if !can_play() || !is_root() {
        return;
    }
    let scene =
        Scene::play("a = tcp('127.0.0.1', 80); ends = pair(a, '127.0.0.1', 40001, '127.0.0.1'); ready()");
    let said = scene.wharf_as_nobody(&["who", "80", "--close", "all"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
    assert!(said.error.contains("needs CAP_NET_ADMIN"), "{said:?}");
}

#[test]
fn a_published_port_leads_to_its_run() {
    if !can_play() {
        return;
    }
    let scene = Scene::play("ready()");
    let serve =
        "import socket; s = socket.create_server(('0.0.0.0', 80)); print('ready', flush=True); s.accept()";
    let words = ["run", "--name", "shop", "-p", "18080:80", "--", "python3", "-c", serve];
    let mut run = scene.wharf_command(&words);
    let mut run =
        run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nsenter was found before");
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line != "ready\n" {
        let output = run.wait_with_output().unwrap();
        println!("skipped: no run here: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let told = scene.wharf(&["who", "tcp/18080", "--json"]).json();
    let said = scene.wharf(&["who", "127.0.0.1:18080"]);
    run.kill().unwrap();
    run.wait().unwrap();
    let leads = &told["publications"][0];
    assert_eq!((&leads["run"], &leads["inside_port"]), (&json!("shop"), &json!(80)), "{told}");
    assert_eq!(leads["inside_owners"][0]["command"], "python3", "{told}");
    assert!(said.good().contains("\n  published  port 80 of run shop, held there by python3 ("), "{said:?}");
}

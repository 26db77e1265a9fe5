//! The program's life: its streams, its end, its signals, its terminal; and what is left after it.

use crate::lab::{Lab, Place, Proc, host_pids_in, missing, pids_in_network};
use std::fs;
use std::time::{Duration, Instant};

crate::tests! {
    [all] ends_as_the_program_ends sigkill_of_wharf_leaves_nothing sigkill_of_the_program_leaves_nothing;
    [tap_user packet_root] keeps_streams_folder_and_environment passes_signals leaves_no_orphan the_terminal_is_kept;
    [tap_user packet_user] a_closed_terminal_ends_it without_a_command_it_is_a_shell;
    [tap_user packet_root] works_in_pipes_as_without_it a_daemon_does_not_hold_it;
    [tap_user packet_user packet_root] a_run_in_a_run_reaches_the_world;
    [tap_user tap_root] root_inside_is_asked_for;
}

/// How soon after the end everything must be gone.
const SECOND: Duration = Duration::from_secs(1);

fn ends_as_the_program_ends(lab: &Lab) {
    lab.world.write("data", "not a program\n");
    let data = lab.world.path("data");
    let cases: [(&[&str], i32); 6] = [
        (&["true"], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "kill -TERM $$"], 128 + 15),
        (&["sh", "-c", "kill -KILL $$"], 128 + 9),
        (&[&data], 126),
        (&["no-such-program-anywhere"], 127),
    ];
    for (command, code) in cases {
        let end = lab.run(&[], command);
        assert_eq!(end.code(), code, "{command:?} said {}", end.stderr);
        let complains = code == 126 || code == 127;
        assert_eq!(end.stderr.starts_with("wharf: "), complains, "{command:?} said {}", end.stderr);
    }
    let usage = lab.run(&["--no-such-option"], &["true"]);
    assert_eq!(usage.code(), 2, "{}", usage.stderr);
}

fn keeps_streams_folder_and_environment(lab: &Lab) {
    let mut cat = lab.wharf(&[], &["cat"]);
    cat.write("one\n");
    assert_eq!(cat.line("on"), "e", "the stream passes through as it comes");
    cat.write("two");
    assert_eq!(cat.finish().good(), "one\ntwo");
    let both = lab.run(&[], &["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((both.good(), both.stderr.as_str()), ("out", "err\n"));
    let script = "pwd; id -u; id -g; echo $WHARF_TEST_WORLD; ulimit -n; umask";
    assert_eq!(lab.run(&[], &["sh", "-c", script]).good(), lab.bare(&["sh", "-c", script]).good());
}

fn root_inside_is_asked_for(lab: &Lab) {
    assert_eq!(lab.run(&["--root"], &["id", "-u"]).good(), "0");
    let raw = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('raw')";
    assert_eq!(lab.run(&["--root"], &[crate::lab::python(), "-c", raw]).good(), "raw");
}

fn passes_signals(lab: &Lab) {
    let script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut run = lab.wharf(&[], &["sh", "-c", script]);
    run.line("ready");
    run.signal("TERM");
    run.line("got");
    assert_eq!(run.finish().code(), 7);
    let mut run = lab.wharf(&[], &["sh", "-c", "echo ready; exec sleep 100"]);
    run.line("ready");
    run.signal("INT");
    assert_eq!(run.finish().code(), 128 + 2);
}

/// A run that serves a published port and has children; with its pid inside, as the host sees it, and its network.
fn busy(lab: &Lab) -> (Proc, u32, String) {
    let serve = lab.peer("serve.py", &["echo", "0.0.0.0", "80"]).join(" ");
    let script = format!("sleep 1000 & readlink /proc/self/ns/net; {serve}");
    let mut run = lab.wharf(&["-p", "8080:80"], &["sh", "-c", &script]);
    let network = run.line("net:");
    run.line("ready");
    let inside = pids_in_network(&network);
    let program = inside.into_iter().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"sh\0") && *pid != run.pid()
    });
    (run, program.expect("the program is in its network"), network)
}

/// Waits until no process of the world's runs is left, none is in the run's network, and the port can be bound again.
fn assert_nothing_left(lab: &Lab, network: &str, since: Instant) {
    let own = format!("WHARF_TEST_WORLD={}", lab.world.tag());
    loop {
        let left: Vec<u32> = host_pids_in(&own).into_iter().chain(pids_in_network(network)).collect();
        if left.is_empty() {
            break;
        }
        let names: Vec<String> = left.iter().map(|pid| format!("{pid} {}", command_of(*pid))).collect();
        assert!(since.elapsed() < SECOND, "left after a second: {names:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let bind = "import socket\nfor family, address in (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'):\n    \
                s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((address, 8080)); s.listen()";
    lab.world.run(Place::Host, &[crate::lab::python(), "-c", bind]).good();
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    assert!(!mounts.contains(&format!("net:{network}")), "the network is kept by a mount: {mounts}");
    let find = "find /tmp /run /var/tmp /dev/shm -xdev -maxdepth 2 -iname '*wharf*' -newer \"$0\" -not -path '/tmp/wharf-test.*' -not -path '/tmp/wharf-bench.*' 2>/dev/null || true";
    let left = lab.world.run(Place::Host, &["sh", "-c", find, &lab.world.path("hosts")]);
    assert_eq!(left.good(), "", "files left");
}

fn command_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

fn sigkill_of_wharf_leaves_nothing(lab: &Lab) {
    let (run, _, network) = busy(lab);
    run.signal("KILL");
    let since = Instant::now();
    run.finish();
    assert_nothing_left(lab, &network, since);
}

fn sigkill_of_the_program_leaves_nothing(lab: &Lab) {
    let (run, program, network) = busy(lab);
    lab.world.run(Place::Host, &["kill", "-KILL", &program.to_string()]).good();
    let since = Instant::now();
    assert_eq!(run.finish().code(), 128 + 9);
    assert_nothing_left(lab, &network, since);
}

fn leaves_no_orphan(lab: &Lab) {
    let script =
        "readlink /proc/self/ns/net; (trap '' HUP TERM INT; exec setsid sleep 1000) >/dev/null 2>&1 & exit 4";
    let mut run = lab.wharf(&["-p", "8080:80"], &["sh", "-c", script]);
    let network = run.line("net:");
    let end = run.finish();
    let since = Instant::now();
    assert_eq!(end.code(), 4);
    assert_nothing_left(lab, &network, since);
}

fn on_terminal(lab: &Lab, keys: &str, options: &[&str], command: &[&str]) -> Proc {
    let words = lab.words(options, command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let terminal = lab.peer("terminal.py", &[keys]);
    lab.world.start(Place::Host, lab.way.user, &[&terminal[..], &words[..]].concat())
}

fn the_terminal_is_kept(lab: &Lab) {
    let script = "tty; stty size; echo ready; exec sleep 100";
    let end = on_terminal(lab, r"\x03", &[], &["sh", "-c", script]).finish();
    assert_eq!(end.code(), 128 + 2, "Ctrl-C ends the program: {}{}", end.stdout, end.stderr);
    assert!(end.stdout.contains("/dev/pts/"), "{}", end.stdout);
    let script = "echo ready; read line; echo \"got $line\"; exit 9";
    let end = on_terminal(lab, r"typed\r", &[], &["sh", "-c", script]).finish();
    assert_eq!(end.code(), 9, "{}{}", end.stdout, end.stderr);
    assert!(end.stdout.contains("got typed"), "{}", end.stdout);
}

fn a_closed_terminal_ends_it(lab: &Lab) {
    let script = "readlink /proc/self/ns/net >network; echo ready; exec sleep 1000";
    let end = on_terminal(lab, "HANGUP", &["-p", "8080:80"], &["sh", "-c", script]).finish();
    let since = Instant::now();
    assert!(end.stdout.contains("ready"), "{}{}", end.stdout, end.stderr);
    let network = fs::read_to_string(lab.world.path("network")).expect("the program wrote it");
    assert_nothing_left(lab, network.trim().trim_start_matches("net:"), since);
}

fn without_a_command_it_is_a_shell(lab: &Lab) {
    if let Some(tool) = missing(&["env"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let words = lab.words(&[], &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut shell =
        lab.world.start(Place::Host, lab.way.user, &[&["env", "SHELL=/bin/sh"], &words[..]].concat());
    shell.write("echo in $((40 + 2)); exit 5\n");
    shell.line("in 42");
    assert_eq!(shell.finish().code(), 5);
}

/// A shell's pipeline around `wharf run -- COMMAND`, or around COMMAND alone: the statuses of all its parts.
fn pipeline(lab: &Lab, before: &str, command: &str, after: &str) -> [String; 2] {
    let wharf = lab.words(&[], &[command]).join(" ");
    [wharf.as_str(), command].map(|middle| {
        let script = format!("{before} {middle} {after}; echo \"${{PIPESTATUS[@]}}\"");
        lab.bare(&["bash", "-c", &script]).good().to_owned()
    })
}

fn works_in_pipes_as_without_it(lab: &Lab) {
    let [seen, truth] = pipeline(lab, "", "yes", "| head -n 1");
    assert_eq!(truth, "y\n141 0");
    assert_eq!(seen, truth, "a closed standard output ends the program");
    let [seen, truth] = pipeline(lab, "head -c 1000000 /dev/zero |", "cat", "| wc -c");
    assert_eq!(truth, "1000000\n0 0 0");
    assert_eq!(seen, truth, "a pipe comes in whole and ends");
    let [seen, truth] = pipeline(lab, "", "cat", "</dev/null | wc -c");
    assert_eq!(seen, truth);
    let [seen, truth] = pipeline(lab, "", "true", "<&- >&- 2>&- ");
    assert_eq!(seen, truth, "without any standard stream");
}

fn a_daemon_does_not_hold_it(lab: &Lab) {
    // It has a session of its own, both standard streams, and the published port.
    let serve = lab.peer("serve.py", &["echo", "0.0.0.0", "80"]).join(" ");
    let script = format!(
        "readlink /proc/self/ns/net; (setsid sh -c '(trap \"\" HUP TERM; {serve}) &' &); sleep 0.5; exit 6"
    );
    let began = Instant::now();
    let mut run = lab.wharf(&["-p", "8080:80"], &["sh", "-c", &script]);
    let network = run.line("net:");
    run.line("ready");
    let end = run.finish();
    assert_eq!(end.code(), 6, "{}", end.stderr);
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert_nothing_left(lab, &network, Instant::now());
}

fn a_run_in_a_run_reaches_the_world(lab: &Lab) {
    let server = crate::lab::server::V4;
    let _page = lab.serve(Place::Server, &["late", server, "80"]);
    let dial = lab.peer("dial.py", &["late", server, "80"]);
    let wharf = lab.world.wharf();
    let inner = [&[wharf.as_str(), "run", "--address", "10.0.7.100/24", "--"], &dial[..]].concat();
    assert_eq!(lab.run(&[], &inner).good(), "got 3, and more");
    // What the outer run takes, the inner one can't have; it says so and what to take.
    let same = lab.run(&[], &[&wharf, "run", "--", "true"]);
    assert_eq!(same.code(), 125, "{}", same.stderr);
    assert!(same.stderr.contains("10.0.2.") && same.stderr.contains("--address"), "{}", same.stderr);
}

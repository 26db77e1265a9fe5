//! What a run costs, and what happens at the limits.

use crate::lab::{Lab, Place, Proc, User, missing, server};
use std::time::{Duration, Instant};

crate::tests! {
    [all] an_idle_run_is_small starts_in_a_few_milliseconds;
    [tap_user packet_user] an_idle_flow_costs_little at_the_limit_of_open_files_newcomers_are_reset;
    [tap_user packet_user] at_the_limit_connections_are_refused_and_others_go_on at_the_limit_every_protocol_says_so;
    [tap_user packet_user] the_limit_is_raised_for_wharf_alone;
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("wharf is still there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn an_idle_run_is_small(lab: &Lab) {
    let mut run = lab.wharf(&["-p", "8080:80"], &["sh", "-c", "echo ready; exec sleep 100"]);
    run.line("ready");
    std::thread::sleep(Duration::from_millis(200));
    let resident = resident_kib(run.pid());
    println!("resident when idle: {resident} KiB");
    assert!(resident < 15 * 1024, "{resident} KiB");
}

fn an_idle_flow_costs_little(lab: &Lab) {
    const FLOWS: u64 = 2000;
    let words = lab.peer("serve.py", &["nonce", "0.0.0.0", "80"]);
    let mut server = lab.world.start(Place::Server, User::Root, &words);
    server.line("ready");
    let command = lab.peer("dial.py", &["hold", server::V4, "80", "2000"]);
    let mut run = lab.wharf(&[], &command);
    run.line("begun");
    let before = resident_kib(run.pid());
    run.write("\n");
    run.line("held");
    std::thread::sleep(Duration::from_millis(500));
    let after = resident_kib(run.pid());
    let each = after.saturating_sub(before) as f64 / FLOWS as f64;
    println!("{before} KiB before, {after} KiB with {FLOWS} idle flows: {each:.2} KiB each");
    assert!(each < 1.0, "{each:.2} KiB an idle flow");
    run.finish().good();
}

fn at_the_limit_of_open_files_newcomers_are_reset(lab: &Lab) {
    let words = lab.words(&["-p", "127.0.0.1:8080:80"], &lab.peer("serve.py", &["nonce", "0.0.0.0", "80"]));
    let mut limited = vec!["sh", "-c", "ulimit -Sn 300; ulimit -Hn 300; exec \"$@\"", "sh"];
    limited.extend(words.iter().map(String::as_str));
    let mut run = lab.world.start(Place::Host, lab.way.user, &limited);
    run.line("ready");
    let dial = lab.peer("dial.py", &["limit", "127.0.0.1", "8080", "600"]);
    let answer = lab.world.run(Place::Host, &dial);
    println!("{}", answer.good());
    let (count, rest) = answer.good().split_once(' ').expect("a count and how it ended");
    let count: u32 = count.parse().expect("a number");
    assert!((50..300).contains(&count), "{} of 600 were served under a limit of 300 files", answer.good());
    assert!(
        rest == "ECONNRESET, earlier ones answer" || rest == "ECONNREFUSED, earlier ones answer",
        "{rest}"
    );
    assert!(run.is_running(), "wharf is still there");
}

/// What wharf says when it has no descriptor left.
const SHORT: &str = "wharf: no descriptor is left for new flows";

/// Starts a run with a limit of open files, of which the hard one can't be raised.
fn limited(lab: &Lab, limit: &str, command: &[&str]) -> Proc {
    let words = lab.words(&[], command);
    let limit = format!("ulimit -Sn {limit}; ulimit -Hn {limit}; exec \"$@\"");
    let around = ["sh", "-c", &limit, "sh"];
    let words: Vec<&str> = around.into_iter().chain(words.iter().map(String::as_str)).collect();
    lab.world.start(Place::Host, lab.way.user, &words)
}

/// The count of those that were served, which is about what a limit of 64 leaves; the rest says how the next one ended.
fn served(answer: &str) -> &str {
    let (count, rest) = answer.split_once(' ').expect("a count and how it ended");
    assert!((20..60).contains(&count.parse().expect("a number")), "{answer}");
    rest
}

fn at_the_limit_connections_are_refused_and_others_go_on(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["nonce", "::", "80"]);
    for address in [server::V4, server::V6] {
        let limit = lab.peer("dial.py", &["limit", address, "80", "60"]).join(" ");
        let again = lab.peer("dial.py", &["errno", address, "80"]).join(" ");
        let began = Instant::now();
        let run = limited(lab, "64", &["sh", "-c", &format!("{limit}; {limit}; {again}")]).finish();
        let lines: Vec<&str> = run.good().lines().collect();
        // Once more after all are closed: what was given back is there again.
        for answer in &lines[..2] {
            assert_eq!(served(answer), "ECONNREFUSED, earlier ones answer");
        }
        assert_eq!(lines[2], "connected", "when the others have ended");
        assert!(began.elapsed() < Duration::from_secs(5), "refused at once, not after {:?}", began.elapsed());
        assert_eq!(run.stderr.matches(SHORT).count(), 1, "said once: {}", run.stderr);
    }
}

fn at_the_limit_every_protocol_says_so(lab: &Lab) {
    if let Some(tool) = missing(&["ping", "getent"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let _server = lab.serve(Place::Server, &["datagrams", server::V4, "4000"]);
    let _stream = lab.serve(Place::Server, &["nonce", server::V4, "80"]);
    let words = lab.peer("dns.py", &[server::V4, "one"]);
    let mut names = lab.world.start(Place::Server, User::Root, &words);
    names.line("ready");
    let crowd = lab.peer("datagram.py", &["crowd", server::V4, "4000", "60"]).join(" ");
    let dial = lab.peer("dial.py", &["errno", server::V4, "80"]).join(" ");
    let late = lab.peer("datagram.py", &["refused", server::V4, "4000"]).join(" ");
    let ping = format!("ping -n -c 1 -W 5 {}", server::V4);
    let script = format!(
        "(sleep 2; {dial}; {late}; {ping} 2>&1 | grep -o 'Host Unreachable'; getent ahostsv4 a.test | head -n 1) & {crowd}; wait"
    );
    let mut run = limited(lab, "64", &["sh", "-c", &script]);
    run.write("");
    run.line("192.0.2.10");
    let run = run.finish();
    let lines: Vec<&str> = run.good().lines().collect();
    assert_eq!(served(lines[0]), "ECONNREFUSED, earlier ones answer");
    assert_eq!(lines[1..4], ["ECONNREFUSED", "ECONNREFUSED", "Host Unreachable"], "{lines:?}");
    assert_eq!(run.stderr.matches(SHORT).count(), 1, "said once: {}", run.stderr);
}

fn the_limit_is_raised_for_wharf_alone(lab: &Lab) {
    let words = lab.words(&[], &["sh", "-c", "ulimit -Sn; ulimit -Hn; echo ready; read line"]);
    let around = ["sh", "-c", "ulimit -Sn 100; ulimit -Hn 500; exec \"$@\"", "sh"];
    let words: Vec<&str> = around.into_iter().chain(words.iter().map(String::as_str)).collect();
    let mut run = lab.world.start(Place::Host, lab.way.user, &words);
    run.line("ready");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", run.pid())).expect("wharf is there");
    let own = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit");
    let own: Vec<&str> = own.split_whitespace().collect();
    assert_eq!(own[..2], ["500", "500"], "wharf's own");
    run.write("\n");
    assert_eq!(run.finish().good(), "100\n500\nready", "the program's");
}

fn starts_in_a_few_milliseconds(lab: &Lab) {
    let median = |once: &dyn Fn()| {
        let mut spans: Vec<Duration> = (0..11)
            .map(|_| {
                let began = Instant::now();
                once();
                began.elapsed()
            })
            .collect();
        spans.sort();
        spans[5]
    };
    let floor = median(&|| drop(lab.bare(&["unshare", "-Urn", "true"])));
    let wharf = median(&|| assert_eq!(lab.run(&[], &["true"]).code(), 0));
    let more = wharf.saturating_sub(floor);
    println!("wharf run -- true: {more:?} over unshare -Urn true ({floor:?})");
    assert!(more < Duration::from_millis(100), "{more:?} over unshare -Urn true");
}

//! What a run costs, and what happens at the limits.

use crate::lab::{Lab, Place, User, server};
use std::time::{Duration, Instant};

crate::tests! {
    [all] an_idle_run_is_small starts_in_a_few_milliseconds;
    [tap_user packet_user] an_idle_flow_costs_little at_the_limit_of_open_files_newcomers_are_reset;
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

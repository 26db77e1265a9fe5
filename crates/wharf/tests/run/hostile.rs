//! A program that is root in its network and sends what no honest stack sends.

use crate::lab::{Lab, Place, full, server};
use std::time::Duration;

crate::tests! {
    [all] a_flood_of_wrong_frames_harms_nobody;
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("wharf is still there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn a_flood_of_wrong_frames_harms_nobody(lab: &Lab) {
    let _server = lab.serve(Place::Server, &["bulk", "0.0.0.0", "5000"]);
    let (first, second) = if full() { ("250000", "750000") } else { ("30000", "70000") };
    let flood = |count: &str, seed: &str| lab.peer("hostile.py", &[count, seed, "10.0.2.2"]).join(" ");
    let traffic = lab.peer("dial.py", &["bulk", server::V4, "5000", "16777216", "16777216", "2"]).join(" ");
    let script = format!(
        "{}; echo half; read go; {} & {traffic}; wait; echo all; read go; {traffic}",
        flood(first, "1"),
        flood(second, "2")
    );
    let mut run = lab.wharf(&["--root"], &["sh", "-c", &script]);
    run.line("half");
    let before = resident_kib(run.pid());
    run.write("\n");
    assert_eq!(run.line("whole"), "", "traffic goes on beside the flood");
    run.line("all");
    let after = resident_kib(run.pid());
    println!("resident {before} KiB after {first} frames, {after} KiB after {second} more");
    assert!(after < before + 8 * 1024, "grew from {before} to {after} KiB");
    run.write("\n");
    let end = run.finish_within(Duration::from_secs(170));
    assert_eq!(end.good().matches("whole").count(), 2, "and after it: {}", end.stdout);
    assert_eq!(end.stdout.matches("sent").count(), 2, "{}", end.stdout);
    assert!(!end.stderr.contains("panic"), "{}", end.stderr);
}

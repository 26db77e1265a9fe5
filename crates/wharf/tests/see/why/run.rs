//! Runs: what their rules deny, and what they publish and nobody takes.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::{Said, lab, shell, wharf};

/// Asks in a namespace, where the runs of that namespace are known by name.
fn why(place: &str, words: &[&str]) -> Said {
    let mut command = Command::new("ip");
    let out = command.args(["netns", "exec", place, wharf(), "why", "--json"]).args(words).output();
    let out = out.expect("wharf runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    Said { code: out.status.code(), json }
}

/// Waits until a run answers to its name.
fn wait(place: &str, run: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    let is_there = || {
        let mut command = Command::new("ip");
        let out =
            command.args(["netns", "exec", place, wharf(), "ps", "--json"]).output().expect("wharf runs");
        String::from_utf8_lossy(&out.stdout).contains(&format!("\"name\":\"{run}\""))
    };
    while !is_there() {
        assert!(Instant::now() < end, "run {run} does not start");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_policy_of_a_run_denies_it() {
    let Some(mut lab) = lab() else { return };
    let (a, b) = (lab.a.clone(), lab.b.clone());
    lab.serve(&b, "0.0.0.0", 8080, "");
    lab.serve(&b, "0.0.0.0", 8081, "");
    let other = lab.address(2);
    lab.start(
        &a,
        &[wharf(), "run", "--name", "guarded", "--allow", &format!("{other}:8081"), "--", "sleep", "120"],
    );
    wait(&a, "guarded");
    let allowed = why(&a, &[&format!("http://{other}:8081/"), "--in", "guarded"]);
    allowed.is_well();
    assert!(allowed.json["steps"].to_string().contains("allowed by allow"), "{:#}", allowed.json);
    let url = format!("http://{other}:8080/");
    let said = why(&a, &[&url, "--in", "guarded"]);
    said.names(&["the policy of run guarded denies", ":8080 (default deny)"]);
    assert_eq!(said.json["verdict"], "denied");
    let name = why(&a, &["https://example.org", "--in", "guarded"]);
    name.names(&["the policy of run guarded denies example.org:443"]);
    // The command is called wharf where it is installed.
    let line = said.remedy().replace("wharf policy", &format!("ip netns exec {a} {} policy", wharf()));
    shell(&line);
    why(&a, &[&url, "--in", "guarded"]).is_well();
}

#[test]
fn a_published_port_that_nobody_takes_inside() {
    let Some(mut lab) = lab() else { return };
    let a = lab.a.clone();
    let words = ["run", "--name", "published", "-p", "8080:80", "--", "python3", "-m", "http.server", "81"];
    let words: Vec<&str> = std::iter::once(wharf()).chain(words).collect();
    lab.start(&a, &words);
    wait(&a, "published");
    let end = Instant::now() + Duration::from_secs(30);
    let said = loop {
        let said = why(&a, &["http://127.0.0.1:8080/"]);
        if said.sentence().contains("listens on port 81") || Instant::now() > end {
            break said;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    said.names(&["run published publishes ", ":8080 as its port 80", "listens on port 81"]);
    let line = said.remedy().replace("curl ", "curl -sS -m 5 -o /dev/null ");
    let done =
        Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).status().expect("there is a shell");
    assert!(done.success(), "{line}");
}

//! Policies as options, as a file, learned, tried, changed: and what happens where one can't be had.

use super::{allow, attack, zone};
use crate::lab::{Lab, Place, server};

crate::tests! {
    [tap_user] the_first_rule_decides a_denial_is_as_configured what_was_learned_suffices a_dry_run_denies_nothing
        other_rules_come_into_force_at_once what_can_t_be_read_opens_nothing the_hosts_loopback_is_opened_by_its_word
        published_ports_take_whom_they_are_for a_denial_is_told a_rule_may_be_a_programs
        a_flood_of_denials_is_counted;
    [packet_root] without_a_name_server_nothing_opens;
}

fn the_first_rule_decides(lab: &Lab) {
    let _zone = zone(lab);
    let to = |address: &'static str| ["tcp", address, "22"];
    let narrow = ["--deny", "198.51.100.3", "--allow", "198.51.100.0/24"];
    assert_eq!(attack(lab, &narrow, &to(server::SECOND_V4)), "EHOSTUNREACH");
    assert_eq!(attack(lab, &narrow, &to(server::V4)), "got heard 2");
    let wide = ["--allow", "198.51.100.0/24", "--deny", "198.51.100.3"];
    assert_eq!(attack(lab, &wide, &to(server::SECOND_V4)), "got heard 2");
    let denying = ["--deny", "198.51.100.3"];
    assert_eq!(attack(lab, &denying, &to(server::V4)), "got heard 2", "the rest is open behind a --deny");
    assert_eq!(
        attack(lab, &[&denying[..], &["--default", "deny"]].concat(), &to(server::V4)),
        "EHOSTUNREACH"
    );
}

fn a_denial_is_as_configured(lab: &Lab) {
    let _zone = zone(lab);
    for (how, tcp, udp) in [
        ("prohibited", "EHOSTUNREACH", "EHOSTUNREACH"),
        ("refused", "ECONNREFUSED", "ECONNREFUSED"),
        ("silent", "timeout", "timeout"),
    ] {
        let options = ["--denied", how, "--allow", "198.51.100.2"];
        assert_eq!(attack(lab, &options, &["tcp", server::SECOND_V4, "22"]), tcp, "{how}");
        assert_eq!(attack(lab, &options, &["udp", server::SECOND_V4, "5000"]), udp, "{how}");
    }
}

fn what_was_learned_suffices(lab: &Lab) {
    let _zone = zone(lab);
    let python = lab.peer("attack.py", &[]).join(" ");
    let work = format!(
        "{python} tls good.test 443 good.test; {python} http www.good.test www.good.test; {python} tcp alias.test 22; \
         {python} udp {} 5000",
        server::SECOND_V4
    );
    let work = ["sh", "-c", &work];
    let file = lab.world.path("learned.toml");
    let learned = lab.run(&["--learn", &file], &work);
    let first = learned.good().to_owned();
    assert_eq!(first.matches("got").count(), 4, "{first}");
    let policy = std::fs::read_to_string(&file).expect("the policy is written");
    for rule in ["good.test:443/tcp", "www.good.test:80/tcp", "alias.test:22/tcp", "198.51.100.3:5000/udp"] {
        assert!(policy.contains(&format!("allow = \"{rule}\"")), "{policy}");
    }
    assert_eq!(policy.matches("[[rule]]").count(), 4, "{policy}");
    assert_eq!(lab.run(&["--policy", &file], &work).good(), first, "{policy}");
    assert_eq!(attack(lab, &["--policy", &file], &["tcp", server::SECOND_V4, "22"]), "EHOSTUNREACH");
}

fn a_dry_run_denies_nothing(lab: &Lab) {
    let _zone = zone(lab);
    let run = lab
        .run(&["--dry-run", "--allow", "good.test:22"], &lab.peer("attack.py", &["tcp", "only.test", "22"]));
    assert_eq!(run.good(), "got heard 2");
    assert!(run.stderr.contains(" the look-up of only.test"), "{}", run.stderr);
    assert!(run.stderr.contains(" tcp to 198.51.100.3:22 (only.test)"), "{}", run.stderr);
}

fn other_rules_come_into_force_at_once(lab: &Lab) {
    let _zone = zone(lab);
    let script = format!(
        "import socket\na = socket.create_connection(('{}', 22)); b = socket.create_connection(('{}', 22))\nprint('up', flush=True)\n\
         input()\nfor s in (a, b):\n    s.settimeout(5)\n    try:\n        s.sendall(b'xx'); print('end', s.recv(100), flush=True)\n    \
         except OSError as error: print('end', error.errno, flush=True)\ninput()\n\
         try: print('end', bool(socket.create_connection(('{}', 22), 5)), flush=True)\nexcept OSError as error: print('end', error.errno)",
        server::V4,
        server::SECOND_V4,
        server::SECOND_V4
    );
    let options = [&["--name", "changing"][..], &allow(&["198.51.100.0/24"])].concat();
    let mut run = lab.wharf(&options, &[crate::lab::python(), "-u", "-c", &script]);
    run.line("up");
    let file = lab.world.path("other.toml");
    let wharf = lab.world.wharf();
    let policy = |words: &[&str]| {
        lab.world.start(Place::Host, lab.way.user, &[&[wharf.as_str(), "policy"], words].concat()).finish()
    };
    lab.world.write("other.toml", "[[rule]]\nallow = \"198.51.100.2:nonsense\"\n");
    let broken = policy(&["changing", &file]);
    assert_eq!(broken.code(), 2);
    assert!(
        broken.stderr.contains("other.toml:1") && broken.stderr.contains("nonsense"),
        "{}",
        broken.stderr
    );
    lab.world.write("other.toml", "[[rule]]\nallow = \"198.51.100.2:22\"\nreason = \"why\"\n");
    assert!(policy(&["changing", &file]).good().contains("why"));
    run.write("\n");
    assert_eq!(run.line("end"), "b'heard 2'", "what is allowed goes on");
    run.write("\n");
    let rest = run.finish();
    let ends: Vec<&str> = rest.stdout.lines().filter(|line| line.starts_with("end")).collect();
    assert_eq!(ends, ["end b'heard 2'", "end 104", "end 113"], "{}", rest.stderr);
}

fn what_can_t_be_read_opens_nothing(lab: &Lab) {
    let _zone = zone(lab);
    let missing = lab.world.path("missing.toml");
    lab.world.write("bad.toml", "[[rule]]\nallow = \"good.test:443\"\nallowed = true\n");
    let bad = lab.world.path("bad.toml");
    for (options, part) in [
        (vec!["--policy", missing.as_str()], "No such file"),
        (vec!["--policy", bad.as_str()], "bad.toml:"),
        (vec!["--allow", "good.test:70000"], "70000"),
        (vec!["--deny", "w*.test"], "* stands alone"),
        (vec!["--default", "maybe"], "maybe"),
    ] {
        let run = lab.run(&options, &["echo", "started"]);
        assert_eq!(run.code(), 2, "{options:?}: {}", run.stderr);
        assert!(run.stderr.contains(part) && run.stderr.lines().count() == 1, "{options:?}: {}", run.stderr);
        assert!(!run.stdout.contains("started"), "{options:?}");
    }
}

fn the_hosts_loopback_is_opened_by_its_word(lab: &Lab) {
    let _open = lab.serve(Place::Host, &["peer", "127.0.0.1", "9999"]);
    let to_host = lab.peer("dial.py", &["errno", "host.wharf.internal", "9999", "2"]);
    for (options, open) in [
        (allow(&["host:9999"]), true),
        (allow(&["host:9998"]), false),
        (allow(&["any"]), false),
        (["--default", "allow", "--deny", "lan"].to_vec(), false),
        ([&["--allow-host", "9999"][..], &allow(&["good.test"])].concat(), true),
    ] {
        let said = lab.run(&options, &to_host);
        assert_eq!(said.stdout.contains("connected"), open, "{options:?}: {}", said.stdout);
    }
}

fn published_ports_take_whom_they_are_for(lab: &Lab) {
    let client = |run: &mut crate::lab::Proc| {
        run.line("ready");
        lab.world.run(Place::Client, &lab.peer("dial.py", &["errno", "203.0.113.1", "8080", "2"])).stdout
    };
    let serve = lab.peer("serve.py", &["peer", "0.0.0.0", "80"]);
    let publish = ["-p", "0.0.0.0:8080:80"];
    let mut run = lab.wharf(&[&publish[..], &["--publish-from", "203.0.113.0/24"]].concat(), &serve);
    assert!(client(&mut run).contains("connected"));
    drop(run);
    let mut run = lab.wharf(&[&publish[..], &["--publish-from", "192.0.2.0/24", "-v"]].concat(), &serve);
    client(&mut run);
    run.error_line("wharf: refused client 203.0.113.2");
}

fn a_denial_is_told(lab: &Lab) {
    let _zone = zone(lab);
    let words = lab.peer("attack.py", &["tcp", server::SECOND_V4, "22"]);
    let run = lab.run(&["--allow", "good.test"], &words);
    let told = run.stderr.trim_end();
    assert!(
        told.starts_with("wharf: denied python")
            && told.contains(" tcp to 198.51.100.3:22: no rule allows it"),
        "{told}"
    );
    let run = lab.run(&["--json", "--deny", "198.51.100.3"], &words);
    let line = run.stderr.lines().find(|line| line.contains("denied")).expect("a line tells it");
    let told: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
    assert_eq!((told["event"].as_str(), told["rule"].as_str()), (Some("denied"), Some("deny 198.51.100.3")));
    assert_eq!(told["inside"]["remote"]["text"], "198.51.100.3:22");
    assert!(
        told["pid"].as_u64().is_some()
            && told["program"].as_str().is_some_and(|name| name.contains("python")),
        "{told}"
    );
    assert!(told["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24), "{told}");
}

fn without_a_name_server_nothing_opens(lab: &Lab) {
    // No name server answers; the servers themselves are there.
    let _server = lab.serve(Place::Server, &["peer", server::V4, "22"]);
    let rules = allow(&["good.test:22"]);
    assert!(attack(lab, &rules, &["look", "good.test"]).starts_with("noname"));
    assert_eq!(attack(lab, &rules, &["tcp", server::V4, "22"]), "EHOSTUNREACH");
}

fn a_rule_may_be_a_programs(lab: &Lab) {
    let _zone = zone(lab);
    if crate::lab::missing(&["busybox"]).is_some() {
        println!("skipped: busybox isn't installed");
        return;
    }
    let by_busybox = format!("echo x | busybox nc -w 2 {} 22", server::SECOND_V4);
    let by_busybox = ["sh", "-c", &by_busybox];
    let python = lab.peer("attack.py", &["tcp", server::SECOND_V4, "22"]);
    let for_busybox = ["--allow", "busybox:198.51.100.3:22"];
    assert!(lab.run(&for_busybox, &by_busybox).stdout.contains("heard 2"));
    assert_eq!(lab.run(&for_busybox, &python).good(), "EHOSTUNREACH");
    // A program stands for those that it starts.
    let script = format!("{}; true", python.join(" "));
    let started = ["busybox", "sh", "-c", &script];
    assert_eq!(lab.run(&for_busybox, &started).good(), "got heard 2");
}

fn a_flood_of_denials_is_counted(lab: &Lab) {
    let _zone = zone(lab);
    let script = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  for port in range(1, 401):\n    try: s.sendto(b'x', ('198.51.100.3', port))\n    except OSError: pass\n\
                  import time; time.sleep(1.5)\ns.sendto(b'x', ('198.51.100.3', 500))";
    let run = lab.run(&["--allow", "198.51.100.2"], &[crate::lab::python(), "-c", script]);
    let told = run.stderr.lines().filter(|line| line.contains("denied python")).count();
    let counted: u32 = run
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("wharf: denied ")?.strip_suffix(" more")?.parse::<u32>().ok())
        .sum();
    assert!(told <= 80 && counted >= 300, "{told} told, {counted} counted: {}", run.stderr);
}

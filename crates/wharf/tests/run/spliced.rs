//! Published TCP ports past the link: what goes so, what doesn't, and that nobody can tell.

use crate::lab::{Lab, Place, Proc, User, client, host, missing, pids_in_network, python};
use std::time::{Duration, Instant};

crate::tests! {
    [all] the_client_is_the_true_one_on_both_paths data_is_whole_both_ways;
    [all] ends_and_resets_pass_on_both_paths a_killed_wharf_leaves_nothing_open;
    [tap_user packet_user] a_loopback_of_its_own_is_served_to_the_hosts no_splice_is_the_link_alone;
    [tap_user packet_user] a_slow_reader_holds_the_sender_back two_thousand_at_once;
    [tap_user tap_root] a_program_may_take_the_way_away a_bad_line_is_not_gone_around a_port_that_may_be_wanted_stays_free;
    [tap_user packet_user] a_rush_changes_the_path_and_ports_come_again;
    [tap_user] urgent_data_is_in_its_place descriptors_run_out_gently what_is_json_says_the_path;
}

const PATHS: [(&str, &[&str]); 2] = [("splice", &[]), ("frames", &["--no-splice"])];

/// A run that serves port 80 on port 8080 of every address of this host, and tells what happens.
fn serving(lab: &Lab, options: &[&str], words: &[&str]) -> Proc {
    let published = ["-v", "-p", "0.0.0.0:8080:80", "-p", "[::]:8080:80"];
    let mut run = lab.wharf(&[&published[..], options].concat(), &lab.peer("serve.py", words));
    run.line("ready");
    run
}

fn dial(lab: &Lab, place: Place, words: &[&str]) -> String {
    lab.world.run(place, &lab.peer("dial.py", words)).good().to_owned()
}

/// Ends a run, and says by which paths its clients came, in order.
fn paths(run: Proc) -> Vec<String> {
    run.signal("TERM");
    let said = run.finish().stderr;
    let of_client = |line: &str| Some(line.strip_prefix("wharf: client ")?.rsplit(' ').next()?.to_owned());
    said.lines().filter_map(of_client).collect()
}

fn the_client_is_the_true_one_on_both_paths(lab: &Lab) {
    for (path, options) in PATHS {
        let run = serving(lab, options, &["peer", "::", "80"]);
        for (own, address) in [(client::V4, host::TO_CLIENT_V4), (client::V6, host::TO_CLIENT_V6)] {
            let script = "import socket, sys\n\
                          s = socket.create_connection((sys.argv[1], 8080)); print(s.getsockname()[1], s.makefile().read())";
            let answer = lab.world.run(Place::Client, &[python(), "-c", script, address]);
            let (port, seen) = answer.good().split_once(' ').expect("a port and what the server said");
            assert_eq!(seen, format!("{own} {port}"), "by {path}");
        }
        for (address, shown) in [("127.0.0.1", "10.0.2.2"), ("::1", "::2")] {
            let seen = dial(lab, Place::Host, &["peer", address, "8080"]);
            assert!(seen.split(' ').next().is_some_and(|seen| seen.ends_with(shown)), "{seen} by {path}");
        }
        assert_eq!(paths(run), [path; 4]);
    }
}

fn data_is_whole_both_ways(lab: &Lab) {
    let size = crate::lab::size_mib(48, 1024);
    let run = serving(lab, &[], &["bulk", "::", "80"]);
    for (place, address) in [(Place::Client, host::TO_CLIENT_V6), (Place::Host, "127.0.0.1")] {
        for flows in ["1", "7"] {
            assert_eq!(
                dial(lab, place, &["bulk", address, "8080", &size, &size, flows]),
                "whole",
                "{flows} flows"
            );
        }
        // Less than a pipe is worth, and nothing at all.
        assert_eq!(dial(lab, place, &["bulk", address, "8080", "65537", "0", "1"]), "whole");
    }
    let paths = paths(run);
    assert!(paths.len() == 18 && paths.iter().all(|path| path == "splice"), "{paths:?}");
}

fn ends_and_resets_pass_on_both_paths(lab: &Lab) {
    for (path, options) in PATHS {
        let ask = |mode: &str| dial(lab, Place::Client, &[mode, host::TO_CLIENT_V4, "8080"]);
        let run = serving(lab, options, &["late", "::", "80"]);
        assert_eq!(ask("late"), "got 3, and more", "{path}");
        assert_eq!(paths(run), [path]);
        let mut run = serving(lab, options, &["early", "::", "80"]);
        assert_eq!(ask("early"), "bye", "{path}");
        assert_eq!(run.line("read "), "1000", "{path}");
        drop(run);
        let run = serving(lab, options, &["reset", "::", "80"]);
        assert_eq!(ask("reset"), "ECONNRESET", "{path}");
        drop(run);
        let mut run = serving(lab, options, &["lines", "::", "80"]);
        ask("abort");
        assert_eq!(run.line("line "), "hello", "{path}");
        run.line("ECONNRESET");
    }
    closes_with_something_unread(lab);
    resets_after_data(lab);
}

/// Who closes without reading what came has reset the connection.
fn closes_with_something_unread(lab: &Lab) {
    let script = "import socket, time; s = socket.create_server(('', 80)); print('ready', flush=True)\n\
                  while True:\n    c, _ = s.accept(); time.sleep(0.3); c.close()";
    let mut run = lab.wharf(&["-v", "-p", "0.0.0.0:8080:80"], &[python(), "-u", "-c", script]);
    run.line("ready");
    assert_eq!(dial(lab, Place::Client, &["reset", host::TO_CLIENT_V4, "8080"]), "ECONNRESET");
    assert_eq!(paths(run), ["splice"]);
}

/// What was sent before a reset arrives before it, though there is no room for it at once.
fn resets_after_data(lab: &Lab) {
    let script = "import socket, struct, time\n\
                  s = socket.create_server(('', 80)); print('ready', flush=True); c, _ = s.accept(); c.recv(1)\n\
                  try:\n    c.settimeout(1); c.sendall(b'x' * (64 << 20))\nexcept OSError: pass\n\
                  c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close(); time.sleep(100)";
    let mut run = lab.wharf(&["-v", "-p", "0.0.0.0:8080:80"], &[python(), "-u", "-c", script]);
    run.line("ready");
    let reader = "import socket, sys, time\n\
                  s = socket.create_connection((sys.argv[1], 8080)); s.send(b'x'); time.sleep(2); n = 0\n\
                  try:\n    while (got := len(s.recv(1 << 20))): n += got\n    print('end', n)\n\
                  except ConnectionResetError: print('reset', n >= 1 << 19)";
    let answer = lab.world.run(Place::Client, &[python(), "-c", reader, host::TO_CLIENT_V4]);
    assert_eq!(answer.good(), "reset True");
    assert_eq!(paths(run), ["splice"]);
}

fn a_loopback_of_its_own_is_served_to_the_hosts(lab: &Lab) {
    for own in ["127.0.0.1", "::1"] {
        let run = serving(lab, &[], &["peer", own, "80"]);
        for address in ["127.0.0.1", "::1"] {
            let seen = dial(lab, Place::Host, &["peer", address, "8080"]);
            assert_eq!(seen.split(' ').next(), Some(own), "from {address}");
        }
        // To anybody else it is refused, as by any host.
        let seen = dial(lab, Place::Client, &["reset", host::TO_CLIENT_V4, "8080"]);
        assert_eq!(seen, "ECONNRESET", "{own}");
        assert_eq!(paths(run), ["splice", "splice", "frames"]);
        let run = serving(lab, &["--no-splice"], &["peer", own, "80"]);
        assert_eq!(dial(lab, Place::Host, &["reset", "127.0.0.1", "8080"]), "ECONNRESET");
        assert_eq!(paths(run), ["frames"]);
    }
}

fn no_splice_is_the_link_alone(lab: &Lab) {
    let network = "import subprocess; print(open('/proc/sys/net/ipv4/tcp_fwmark_accept').read().strip())";
    for (options, accept) in
        [(&["-p", "8080:80"][..], "1"), (&["-p", "8080:80", "--no-splice"], "0"), (&[], "0")]
    {
        assert_eq!(lab.run(options, &[python(), "-c", network]).good(), accept, "{options:?}");
    }
    let run = serving(lab, &["--no-splice"], &["bulk", "::", "80"]);
    assert_eq!(dial(lab, Place::Host, &["bulk", "127.0.0.1", "8080", "9000000", "9000000", "3"]), "whole");
    assert_eq!(paths(run), ["frames"; 3]);
}

fn a_slow_reader_holds_the_sender_back(lab: &Lab) {
    // The program says how much it could send while nobody read.
    let script = "import socket\n\
                  s = socket.create_server(('', 80)); print('ready', flush=True); c, _ = s.accept(); c.settimeout(0.7); n = 0\n\
                  try:\n    while True: n += c.send(bytes(65536))\nexcept TimeoutError: print('held', n < 48 << 20, flush=True)\n\
                  c.settimeout(20); c.recv(1); c.sendall(b'x' * (64 << 20)); c.close(); print('sent', n + (64 << 20), flush=True)";
    let mut run = lab.wharf(&["-v", "-p", "0.0.0.0:8080:80"], &[python(), "-u", "-c", script]);
    run.line("ready");
    let reader = "import socket, sys, time\n\
                  s = socket.create_connection((sys.argv[1], 8080)); time.sleep(1.5); s.send(b'x'); n = 0\n\
                  while (got := len(s.recv(1 << 20))): n += got\nprint(n)";
    let answer = lab.world.run(Place::Client, &[python(), "-c", reader, host::TO_CLIENT_V4]);
    assert_eq!(run.line("held "), "True");
    assert_eq!(answer.good(), run.line("sent "));
    assert_eq!(run.finish().stderr.matches("by splice").count(), 1);
}

fn two_thousand_at_once(lab: &Lab) {
    let mut run = serving(lab, &[], &["nonce", "::", "80"]);
    let words = lab.peer("dial.py", &["hold", host::TO_CLIENT_V4, "8080", "2000"]);
    let mut crowd = lab.world.start(Place::Client, User::Root, &words);
    crowd.line("begun");
    crowd.write("\n");
    assert_eq!(crowd.line("held "), "2000");
    // Others are served while these are there.
    let answer = dial(lab, Place::Host, &["limit", "127.0.0.1", "8080", "50"]);
    assert_eq!(answer, "50 none was turned away, earlier ones answer");
    assert!(run.is_running());
    crowd.finish().good();
    let paths = paths(run);
    let spliced = paths.iter().filter(|path| *path == "splice").count();
    // On a busy machine some wait too long for a socket, and go the other way.
    assert!(paths.len() == 2050 && spliced > 1000, "{spliced} of {} past the link", paths.len());
}

fn a_killed_wharf_leaves_nothing_open(lab: &Lab) {
    let script = format!(
        "readlink /proc/self/ns/net; exec {}",
        lab.peer("serve.py", &["nonce", "::", "80"]).join(" ")
    );
    for end in ["KILL", "TERM"] {
        let mut run = lab.wharf(&["-p", "0.0.0.0:8080:80"], &["sh", "-c", &script]);
        let network = run.line("net:");
        run.line("ready");
        let words = lab.peer("dial.py", &["hold", host::TO_CLIENT_V4, "8080", "100"]);
        let mut crowd = lab.world.start(Place::Client, User::Root, &words);
        crowd.line("begun");
        crowd.write("\n");
        assert_eq!(crowd.line("held "), "100");
        run.signal(end);
        let since = Instant::now();
        run.finish();
        while !pids_in_network(&network).is_empty() {
            assert!(since.elapsed() < Duration::from_secs(1), "processes are left after SIG{end}");
            std::thread::sleep(Duration::from_millis(10));
        }
        let open = lab.world.run(Place::Host, &["ss", "-Htn", "state", "established", "sport = :8080"]);
        assert_eq!(open.good(), "", "left by SIG{end}");
        drop(crowd);
    }
}

fn a_program_may_take_the_way_away(lab: &Lab) {
    if let Some(tool) = missing(&["ip"]) {
        return println!("skipped: {tool} isn't installed");
    }
    let serve = lab.peer("serve.py", &["nonce", "::", "80"]).join(" ");
    let script = format!("ip rule del pref 119; ip -6 rule del pref 119; exec {serve}");
    let mut run = lab.wharf(&["-v", "--root", "-p", "0.0.0.0:8080:80"], &["sh", "-c", &script]);
    run.line("ready");
    for _ in 0..2 {
        let answer = dial(lab, Place::Client, &["limit", host::TO_CLIENT_V4, "8080", "5"]);
        assert_eq!(answer, "5 none was turned away, earlier ones answer");
    }
    assert_eq!(paths(run), ["frames"; 10]);
}

fn a_bad_line_is_not_gone_around(lab: &Lab) {
    let run = serving(lab, &["--link", "delay=200ms"], &["peer", "::", "80"]);
    let began = Instant::now();
    dial(lab, Place::Client, &["peer", host::TO_CLIENT_V4, "8080"]);
    assert!(began.elapsed() > Duration::from_millis(400), "answered in {:?}", began.elapsed());
    assert_eq!(paths(run), ["frames"]);
}

fn a_port_that_may_be_wanted_stays_free(lab: &Lab) {
    // The client's port is one that the program serves later.
    let script = "import socket, sys\n\
                  a = socket.create_server(('', 80)); print('ready', flush=True); c, who = a.accept()\n\
                  s = socket.socket(); s.bind(('', who[1])); s.listen(); c.sendall(b'%d' % who[1]); c.close(); sys.stdin.read()";
    let mut run = lab.wharf(&["-v", "-p", "0.0.0.0:8080:80"], &[python(), "-u", "-c", script]);
    run.line("ready");
    let dial = "import socket, sys\n\
                s = socket.socket(); s.bind(('', 8081)); s.connect((sys.argv[1], 8080)); print(s.recv(9).decode())";
    assert_eq!(lab.world.run(Place::Client, &[python(), "-c", dial, host::TO_CLIENT_V4]).good(), "8081");
    assert_eq!(paths(run), ["frames"]);
}

fn urgent_data_is_in_its_place(lab: &Lab) {
    for (path, options) in PATHS {
        let run = serving(lab, options, &["urgent", "::", "80"]);
        assert_eq!(
            dial(lab, Place::Client, &["urgent", host::TO_CLIENT_V4, "8080"]),
            "12345 abcde",
            "{path}"
        );
        assert_eq!(paths(run), [path]);
    }
}

/// Many who come for little are led over the link, from the same ports that were spliced before.
fn a_rush_changes_the_path_and_ports_come_again(lab: &Lab) {
    let run = serving(lab, &[], &["peer", "0.0.0.0", "80"]);
    let script = "import socket, sys\n\
                  for turn in range(5):\n    for port in range(40000, 40060):\n        \
                      s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.settimeout(5)\n        \
                      s.bind(('', port)); s.connect((sys.argv[1], 8080)); seen = s.makefile().read().split()\n        \
                      assert seen == ['203.0.113.2', str(port)], seen; s.close()\n\
                  print('all')";
    assert_eq!(lab.world.run(Place::Client, &[python(), "-c", script, host::TO_CLIENT_V4]).good(), "all");
    let paths = paths(run);
    assert_eq!(paths.len(), 300);
    println!("{} of 300 past the link", paths.iter().filter(|path| *path == "splice").count());
}

fn descriptors_run_out_gently(lab: &Lab) {
    let serve = lab.peer("serve.py", &["nonce", "0.0.0.0", "80"]);
    let words = lab.words(&["-v", "-p", "0.0.0.0:8080:80"], &serve);
    let mut limited = vec!["sh", "-c", "ulimit -Sn 300; ulimit -Hn 300; exec \"$@\"", "sh"];
    limited.extend(words.iter().map(String::as_str));
    let mut run = lab.world.start(Place::Host, lab.way.user, &limited);
    run.line("ready");
    let answer = dial(lab, Place::Client, &["limit", host::TO_CLIENT_V4, "8080", "400"]);
    assert!(answer.ends_with("earlier ones answer") && answer.contains("ECONNRESET"), "{answer}");
    let paths = paths(run);
    // A fourth of what is left beside wharf's own goes past the link, with two each; the rest has one each.
    let spliced = paths.iter().filter(|path| *path == "splice").count();
    assert!((25..38).contains(&spliced), "{spliced} past the link: {answer}");
    assert!(paths.len() > 150, "{} were served", paths.len());
}

fn what_is_json_says_the_path(lab: &Lab) {
    for (path, options) in PATHS {
        let run = serving(lab, &[&["--json"], options].concat(), &["peer", "::", "80"]);
        dial(lab, Place::Client, &["peer", host::TO_CLIENT_V4, "8080"]);
        run.signal("TERM");
        let said = run.finish().stderr;
        let events = said.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
        let events: Vec<serde_json::Value> =
            events.filter(|event: &serde_json::Value| event["path"] == path).collect();
        let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap_or("")).collect();
        assert_eq!(names.first(), Some(&"client"), "{said}");
        assert!(path == "frames" || names.contains(&"finished"), "{said}");
        assert_eq!(events[0]["inside"]["local"]["text"], "10.0.2.100:80");
        assert_eq!(events[0]["inside"]["remote"]["address"], client::V4);
        assert_eq!(events[0]["outside"]["remote"]["text"], events[0]["inside"]["remote"]["text"]);
    }
}

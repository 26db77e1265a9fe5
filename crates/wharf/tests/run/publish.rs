//! Ports that the program serves, as the host and its clients reach them.

use crate::lab::{Lab, Place, Proc, User, World, client, host, missing};

crate::tests! {
    [all] serves_http_on_both_loopbacks shows_the_true_client passes_half_close_and_reset udp_shows_the_true_client;
    [tap_user packet_user] is_closed_to_others_by_default prints_the_port_it_chose;
    [tap_user packet_user] reaches_what_listens_in_the_other_family two_runs_serve_the_same_port every_port_can_be_bound;
    [tap_root packet_root] root_publishes_low_ports;
    [tap_user] takes_ranges_names_and_single_numbers survives_a_program_that_listens_late serves_two_families_of_datagrams;
}

/// A run that serves with `serve.py`, and has said that it listens.
fn serving(lab: &Lab, options: &[&str], words: &[&str]) -> Proc {
    let mut run = lab.wharf(options, &lab.peer("serve.py", words));
    run.line("ready");
    run
}

fn dial(lab: &Lab, place: Place, words: &[&str]) -> String {
    lab.world.run(place, &lab.peer("dial.py", words)).good().to_owned()
}

fn serves_http_on_both_loopbacks(lab: &Lab) {
    if let Some(tool) = missing(&["curl"]) {
        return println!("skipped: {tool} isn't installed");
    }
    lab.world.write("page", "a page of this test\n");
    let command = [crate::lab::python(), "-u", "-m", "http.server", "80"];
    let mut run = lab.wharf(&["-p", "8080:80"], &command);
    run.line("Serving HTTP");
    for url in ["http://127.0.0.1:8080/page", "http://[::1]:8080/page"] {
        let answer = lab.world.run(Place::Host, &["curl", "-sS", "-m", "10", url]);
        assert_eq!(answer.good(), "a page of this test", "{url}");
    }
}

fn shows_the_true_client(lab: &Lab) {
    let _run = serving(lab, &["-p", "0.0.0.0:8080:80", "-p", "[::]:8080:80"], &["peer", "::", "80"]);
    for (own, address) in [(client::V4, host::TO_CLIENT_V4), (client::V6, host::TO_CLIENT_V6)] {
        let seen = dial(lab, Place::Client, &["peer", address, "8080"]);
        assert_eq!(seen.split(' ').next(), Some(own), "the program saw {seen}");
    }
    let seen = dial(lab, Place::Host, &["peer", "127.0.0.1", "8080"]);
    let from = seen.split(' ').next().unwrap_or("");
    assert!(["10.0.2.2", "127.0.0.1"].contains(&from), "a client on the host's loopback appears as {seen}");
}

fn passes_half_close_and_reset(lab: &Lab) {
    // One run after the other, each on a port of its own: a listener that was left behind would be seen.
    let served = |port: &str, mode: &str| {
        serving(lab, &["-p", &format!("0.0.0.0:{port}:80")], &[mode, "0.0.0.0", "80"])
    };
    let ask = |port: &str, mode: &str| dial(lab, Place::Client, &[mode, host::TO_CLIENT_V4, port]);
    {
        let _run = served("8080", "late");
        assert_eq!(ask("8080", "late"), "got 3, and more");
    }
    {
        let mut run = served("8081", "early");
        assert_eq!(ask("8081", "early"), "bye");
        assert_eq!(run.line("read "), "1000");
    }
    {
        let _run = served("8082", "reset");
        assert_eq!(ask("8082", "reset"), "ECONNRESET");
    }
    let mut run = served("8083", "lines");
    ask("8083", "abort");
    assert_eq!(run.line("line "), "hello");
    run.line("ECONNRESET");
}

fn udp_shows_the_true_client(lab: &Lab) {
    let _run = serving(lab, &["-p", "0.0.0.0:5300:53/udp"], &["datagrams", "0.0.0.0", "53"]);
    let words = lab.peer("datagram.py", &["echo", host::TO_CLIENT_V4, "5300", "word"]);
    let answer = lab.world.run(Place::Client, &words);
    let answer = answer.good();
    assert!(
        answer.starts_with(&format!("{} ", client::V4)) && answer.ends_with(" word"),
        "answered: {answer}"
    );
}

fn serves_two_families_of_datagrams(lab: &Lab) {
    let _run = serving(lab, &["-p", "5300:53/udp"], &["datagrams", "::", "53"]);
    for address in ["127.0.0.1", "::1"] {
        let words = lab.peer("datagram.py", &["echo", address, "5300", "word"]);
        let answer = lab.world.run(Place::Host, &words);
        assert!(answer.good().ends_with(" word"), "{address} answered: {}", answer.good());
    }
}

fn is_closed_to_others_by_default(lab: &Lab) {
    let _run = serving(lab, &["-p", "8080:80"], &["peer", "::", "80"]);
    for address in [host::TO_CLIENT_V4, host::TO_CLIENT_V6] {
        assert!(World::is_host(address));
        assert_eq!(dial(lab, Place::Client, &["errno", address, "8080"]), "ECONNREFUSED");
    }
    for address in ["127.0.0.1", "::1"] {
        assert_eq!(dial(lab, Place::Host, &["errno", address, "8080"]), "connected");
    }
}

fn prints_the_port_it_chose(lab: &Lab) {
    let mut run = lab.wharf(&["-p", "127.0.0.1:0:80"], &lab.peer("serve.py", &["peer", "0.0.0.0", "80"]));
    let published = run.error_line("wharf: published tcp 127.0.0.1:");
    run.line("ready");
    let port = published.strip_suffix(" -> 80").expect("the line ends with the port inside");
    assert_ne!(port, "0");
    assert_eq!(dial(lab, Place::Host, &["errno", "127.0.0.1", port]), "connected");
}

fn takes_ranges_names_and_single_numbers(lab: &Lab) {
    let options = ["-p", "9000-9002:80-82", "-p", "http-alt:http", "-p", "8443", "-p", "[::1]:9443:443"];
    let servers = ["80", "81", "82", "8443", "443"].map(|port| {
        let words = lab.peer("serve.py", &["peer", "::", port]).join(" ");
        format!("{words} &")
    });
    let script = format!("{} wait", servers.join(" "));
    let mut run = lab.wharf(&options, &["sh", "-c", &script]);
    for _ in 0..servers.len() {
        run.line("ready");
    }
    for port in ["9000", "9001", "9002", "8080", "8443"] {
        let seen = until_connected(lab, "127.0.0.1", port);
        assert_eq!(seen, "connected", "127.0.0.1:{port}");
    }
    assert_eq!(until_connected(lab, "::1", "9443"), "connected");
    assert_eq!(dial(lab, Place::Host, &["errno", "127.0.0.1", "9443"]), "ECONNREFUSED");
}

/// Several servers say `ready` in one stream: the last may still be on its way to listening.
fn until_connected(lab: &Lab, address: &str, port: &str) -> String {
    let mut seen = String::new();
    for _ in 0..20 {
        let words = lab.peer("dial.py", &["peer", address, port]);
        let answer = lab.world.run(Place::Host, &words);
        if answer.code() == 0 && !answer.stdout.trim().is_empty() {
            return "connected".into();
        }
        seen = answer.stderr;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    seen
}

fn survives_a_program_that_listens_late(lab: &Lab) {
    let serve = lab.peer("serve.py", &["peer", "0.0.0.0", "80"]).join(" ");
    let script = format!("echo begun; read go; exec {serve}");
    let mut run = lab.wharf(&["-p", "8080:80"], &["sh", "-c", &script]);
    run.line("begun");
    // Nobody listens yet: the client must not be left with a connection that nobody serves.
    let words = lab.peer("dial.py", &["reset", "127.0.0.1", "8080"]);
    let answer = lab.world.start(Place::Host, User::Root, &words).finish();
    let refused = ["ECONNRESET", "ECONNREFUSED", "read 0"]
        .iter()
        .any(|end| (answer.stdout.clone() + &answer.stderr).contains(end));
    assert!(refused, "before the program listens a client saw: {}{}", answer.stdout, answer.stderr);
    run.write("\n");
    run.line("ready");
    assert!(dial(lab, Place::Host, &["peer", "127.0.0.1", "8080"]).contains(' '));
}

fn reaches_what_listens_in_the_other_family(lab: &Lab) {
    let served = ["-p", "8080:80", "-p", "0.0.0.0:8081:80", "-p", "[::]:8081:80"];
    {
        let _four = serving(lab, &served, &["peer", "0.0.0.0", "80"]);
        assert_eq!(dial(lab, Place::Host, &["peer", "::1", "8080"]).split(' ').next(), Some("10.0.2.2"));
        // A client of the other family is shown as the gateway, one of the same as itself.
        let seen = dial(lab, Place::Client, &["peer", host::TO_CLIENT_V6, "8081"]);
        assert_eq!(seen.split(' ').next(), Some("10.0.2.2"));
        let seen = dial(lab, Place::Client, &["peer", host::TO_CLIENT_V4, "8081"]);
        assert_eq!(seen.split(' ').next(), Some(client::V4));
    }
    // "::1" as the address would not do: only the program's own network comes in.
    let script = "import socket; s = socket.socket(socket.AF_INET6); s.setsockopt(41, 26, 1); s.bind(('::', 80)); s.listen(); \
                  print('ready')\nwhile True:\n    c, who = s.accept(); c.sendall((who[0] + '\\n').encode()); c.close()";
    let mut six = lab.wharf(&served, &[crate::lab::python(), "-u", "-c", script]);
    six.line("ready");
    let seen = dial(lab, Place::Host, &["peer", "127.0.0.1", "8080"]);
    assert!(seen.starts_with("fd") && seen.ends_with("::2"), "the gateway is shown: {seen}");
    assert_eq!(dial(lab, Place::Client, &["peer", host::TO_CLIENT_V6, "8081"]), client::V6);
}

fn two_runs_serve_the_same_port(lab: &Lab) {
    let mut first = serving(lab, &["-p", "8080:80"], &["lines", "::", "80"]);
    let mut second = serving(lab, &["-p", "8081:80"], &["lines", "::", "80"]);
    for (port, run) in [("8081", &mut second), ("8080", &mut first)] {
        dial(lab, Place::Host, &["abort", "127.0.0.1", port]);
        assert_eq!(run.line("line "), "hello", "port {port}");
    }
    // Each has heard of one client only.
    for run in [first, second] {
        run.signal("TERM");
        let end = run.finish();
        assert_eq!(end.stdout.matches("line hello").count(), 1, "{}", end.stdout);
    }
}

fn every_port_can_be_bound(lab: &Lab) {
    let script = "import socket\n\
                  for family in socket.AF_INET, socket.AF_INET6:\n    \
                      for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:\n        \
                          for port in range(1, 65536):\n            \
                              with socket.socket(family, kind) as s: s.bind(('', port))\n\
                  print('all')";
    assert_eq!(lab.run(&[], &[crate::lab::python(), "-c", script]).good(), "all");
    for inside in ["1", "65535"] {
        let option = format!("127.0.0.1:8080:{inside}");
        let _run = serving(lab, &["-p", &option], &["peer", "0.0.0.0", inside]);
        assert_eq!(dial(lab, Place::Host, &["errno", "127.0.0.1", "8080"]), "connected", "{inside} inside");
    }
}

fn root_publishes_low_ports(lab: &Lab) {
    let _run = serving(lab, &["-p", "80", "-p", "53/udp"], &["peer", "::", "80"]);
    for address in ["127.0.0.1", "::1"] {
        assert_eq!(dial(lab, Place::Host, &["errno", address, "80"]), "connected", "{address}");
    }
}

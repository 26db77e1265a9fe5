//! Where it can't work, the first line says why and what to do.

use crate::lab::{Device, Finished, Lab, Place, User};

crate::tests! {
    [tap_root tap_user packet_user] a_taken_port_names_its_owner;
    [tap_user packet_user] a_low_port_names_the_sysctl an_address_of_the_hosts_network_clashes;
    [tap_user] a_wrong_spec_is_quoted says_that_user_namespaces_are_off falls_back_without_tun;
}

#[track_caller]
fn assert_says(end: &Finished, code: i32, words: &[&str]) {
    assert_eq!(end.code(), code, "{}{}", end.stdout, end.stderr);
    assert!(end.stderr.starts_with("wharf: "), "{}", end.stderr);
    let first = end.stderr.lines().next().unwrap_or("");
    for word in words {
        assert!(first.contains(word), "no \"{word}\" in: {}", end.stderr);
    }
    assert!(!end.stderr.contains("panicked") && !end.stderr.contains("os error"), "{}", end.stderr);
}

fn a_taken_port_names_its_owner(lab: &Lab) {
    let name = if lab.way.user == User::Root { "root" } else { "nobody" };
    for (mode, option, protocol) in [("echo", "8080:80", "tcp"), ("datagrams", "8080:80/udp", "udp")] {
        let mut owner =
            lab.world.start(Place::Host, lab.way.user, &lab.peer("serve.py", &[mode, "127.0.0.1", "8080"]));
        owner.line("ready");
        let touched = lab.world.path("touched");
        let end = lab.run(&["-p", option], &["touch", &touched]);
        let pid = owner.pid().to_string();
        assert_says(&end, 125, &[protocol, "127.0.0.1:8080", &pid, "python3", name]);
        let first = end.stderr.lines().next().unwrap_or("");
        let numbers =
            first.split(|letter: char| !letter.is_ascii_digit()).filter_map(|word| word.parse().ok());
        let free = numbers.filter(|number: &u32| (1024..65536).contains(number) && *number != 8080);
        assert!(
            free.filter(|number| *number != owner.pid()).count() > 0,
            "a free port is suggested: {first}"
        );
        assert!(std::fs::metadata(&touched).is_err(), "the program must not have started");
    }
}

fn a_low_port_names_the_sysctl(lab: &Lab) {
    let end = lab.run(&["-p", "80:80"], &["true"]);
    assert_says(&end, 125, &[":80", "net.ipv4.ip_unprivileged_port_start", "1024"]);
    let open = "echo 80 >/proc/sys/net/ipv4/ip_unprivileged_port_start";
    lab.world.run(Place::Host, &["sh", "-c", open]).good();
    assert_eq!(lab.run(&["-p", "80:80"], &["true"]).code(), 0, "where the sysctl allows it, it works");
}

fn an_address_of_the_hosts_network_clashes(lab: &Lab) {
    let own = ["ip", "addr", "add", "10.0.2.5/24", "dev", "to-client"];
    lab.world.run(Place::Host, &own).good();
    assert_says(&lab.run(&[], &["true"]), 125, &["10.0.2.", "to-client", "--address"]);
    let other = lab.run(&["--address", "172.29.7.100/24"], &["true"]);
    assert_eq!(other.code(), 0, "{}", other.stderr);
}

fn a_wrong_spec_is_quoted(lab: &Lab) {
    let cases: [(&[&str], &str); 13] = [
        (&["-p", "99999:80"], "99999"),
        (&["-p", "8080:eighty"], "eighty"),
        (&["-p", "8080:80/sctp"], "/sctp"),
        (&["-p", "1.2.3:8080:80"], "1.2.3"),
        (&["-p", "[::1:8080:80"], "[::1:8080:80"),
        (&["-p", "9001-9000:80-81"], "9001-9000"),
        (&["-p", "9000-9001:80-82"], "9000-9001:80-82"),
        (&["--address", "10.0.2.300/24"], "10.0.2.300"),
        (&["--gateway", "gate"], "gate"),
        (&["--mtu", "17"], "17"),
        (&["--allow-host", "0x50"], "0x50"),
        (&["--link", "loss=200%"], "loss=200%"),
        (&["--link", "delay=20ms,lost=1%"], "lost=1%"),
    ];
    for (options, part) in cases {
        let end = lab.run(options, &["true"]);
        assert_eq!(end.code(), 2, "{options:?}: {}", end.stderr);
        let quoted =
            [format!("\"{part}\""), format!("'{part}'")].iter().any(|word| end.stderr.contains(word));
        assert!(quoted, "{options:?} does not quote {part}: {}", end.stderr);
    }
}

/// `wharf run` with a shell around it that first takes something away.
fn after(lab: &Lab, script: &str, options: &[&str]) -> Finished {
    let words = lab.words(options, &["echo", "ran"]);
    let script = format!("{script}; exec \"$@\"");
    let mut around = vec!["unshare", "--mount", "--user", "--map-root-user", "sh", "-ec", &script, "sh"];
    around.extend(words.iter().map(String::as_str));
    lab.world.start(Place::Host, lab.way.user, &around).finish()
}

fn says_that_user_namespaces_are_off(lab: &Lab) {
    let end = after(lab, "echo 0 >/proc/sys/user/max_user_namespaces", &[]);
    assert_says(&end, 125, &["user.max_user_namespaces"]);
}

fn falls_back_without_tun(lab: &Lab) {
    assert_eq!(lab.way.device, Device::Tap);
    let hide = "mount -t tmpfs none /dev/net";
    // Of two `--device` the last one counts.
    let asked = after(lab, hide, &[]);
    assert_says(&asked, 125, &["/dev/net/tun"]);
    let words = lab.words(&[], &["echo", "ran"]);
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !["--device", "tap"].contains(word)).collect();
    let script = format!("{hide}; exec \"$@\"");
    let around = ["unshare", "--mount", "--user", "--map-root-user", "sh", "-ec", &script, "sh"];
    let end = lab.world.start(Place::Host, lab.way.user, &[&around[..], &words[..]].concat()).finish();
    assert_eq!(end.good(), "ran");
}

//! Names are enforced, not just resolved.

use super::{allow, attack, zone};
use crate::lab::{Lab, server};

crate::tests! {
    [tap_user packet_root] a_name_is_reached_on_its_port_and_nothing_else;
    [tap_user] two_names_on_one_address wildcards chains_and_services what_is_hidden
        the_answer_changes_between_look_up_and_connect names_that_no_rule_allows_are_not_asked_for
        quic_shows_its_name a_name_does_not_open_what_is_closed;
}

fn a_name_is_reached_on_its_port_and_nothing_else(lab: &Lab) {
    let _zone = zone(lab);
    let rules = allow(&["good.test:80"]);
    assert_eq!(attack(lab, &rules, &["http", "good.test", "good.test"]), "got HTTP/1.1 200 OK");
    for words in [["tcp", "good.test", "22"], ["tcp", server::V4, "80"], ["udp", "good.test", "5000"]] {
        assert_eq!(attack(lab, &rules, &words), "EHOSTUNREACH", "{words:?}");
        let control = attack(lab, &[], &words);
        assert!(control.starts_with("got"), "{words:?} without rules: {control}");
    }
    assert_eq!(attack(lab, &rules, &["look", "evil.test"]), "noname\ndone");
    let six = allow(&["six.test:22"]);
    assert_eq!(attack(lab, &six, &["tcp", "six.test", "22"]), "got heard 2");
    assert_eq!(attack(lab, &six, &["tcp", server::V6, "22"]), "EACCES", "without a look-up");
    let zero = allow(&["zero.test:22"]);
    assert_eq!(attack(lab, &zero, &["tcp", "zero.test", "22"]), "got heard 2", "a TTL of 0");
}

fn two_names_on_one_address(lab: &Lab) {
    let mut zone = zone(lab);
    let rules = allow(&["good.test:443", "good.test:80"]);
    for (host, name, arrives) in [("good.test", "good.test", true), ("good.test", "evil.test", false)] {
        for pieces in ["1", "7"] {
            let said = attack(lab, &rules, &["tls", host, "443", name, pieces]);
            assert_eq!(said.starts_with("got heard"), arrives, "TLS to {name} in {pieces}: {said}");
        }
        let said = attack(lab, &rules, &["http", host, name]);
        assert_eq!(said.starts_with("got HTTP"), arrives, "HTTP to {name}: {said}");
    }
    // A second request of a connection is looked at as the first was.
    let said = attack(lab, &rules, &["pipeline", "good.test", "good.test", "evil.test"]);
    assert!(said == "ECONNRESET" || said.contains("heard 35 of"), "{said}");
    let both = attack(
        lab,
        &allow(&["good.test:80", "evil.test:80"]),
        &["pipeline", "good.test", "good.test", "good.test"],
    );
    assert!(both.contains("heard 70"), "{both}");
    // The same where the other name is what is denied, by its address too.
    let denying = ["--deny", "evil.test"];
    for host in ["good.test", server::V4] {
        let said = attack(lab, &denying, &["tls", host, "443", "evil.test"]);
        assert_eq!(said, "ECONNRESET", "by {host}");
    }
    assert!(attack(lab, &denying, &["tls", "good.test", "443", "good.test"]).starts_with("got heard"));
    assert!(attack(lab, &[], &["tls", "good.test", "443", "evil.test"]).starts_with("got heard"), "control");
    // What was denied has connected, and no byte of it arrived: the last that did is the control's.
    assert!(zone.line(&format!("bytes {} 443", server::V4)).parse::<u32>().is_ok_and(|bytes| bytes > 100));
}

fn wildcards(lab: &Lab) {
    let _zone = zone(lab);
    let rules = allow(&["*.good.test:22"]);
    for (name, arrives) in
        [("www.good.test", true), ("deep.www.good.test", true), ("good.test", false), ("notgood.test", false)]
    {
        let said = attack(lab, &rules, &["tcp", name, "22"]);
        assert_eq!(said == "got heard 2", arrives, "{name}: {said}");
        assert_eq!(attack(lab, &[], &["tcp", name, "22"]), "got heard 2", "{name} without rules");
    }
}

fn chains_and_services(lab: &Lab) {
    let _zone = zone(lab);
    let rules = allow(&["alias.test:80"]);
    assert!(attack(lab, &rules, &["http", "alias.test", "alias.test"]).starts_with("got HTTP"));
    // Whoever asks for the other name of an allowed one has asked for the allowed one.
    assert_eq!(attack(lab, &rules, &["look", "alias.test", "edge.test"]).lines().count(), 3);
    assert_eq!(attack(lab, &rules, &["look", "edge.test"]), "noname\ndone", "by itself");
    let rules = allow(&["svc.test:22"]);
    let script = format!("query 10.0.2.3 svc.test 65; look target.test; tcp {} 22", server::V4);
    let python = lab.peer("attack.py", &[]).join(" ");
    let script: Vec<String> = script.split(';').map(|words| format!("{python} {words}")).collect();
    let said = lab.run(&rules, &["sh", "-c", &script.join(";")]);
    let lines: Vec<&str> = said.good().lines().collect();
    assert_eq!(lines[0], "got rcode 0 answers 1 same True", "{lines:?}");
    assert_eq!(lines[1], "got 198.51.100.2", "the target of a service: {lines:?}");
    assert_eq!(lines[3], "got heard 2", "{lines:?}");
}

fn what_is_hidden(lab: &Lab) {
    let _zone = zone(lab);
    let rules = allow(&["good.test:443"]);
    assert_eq!(attack(lab, &rules, &["tls", "good.test", "443", "-"]), "ECONNRESET", "strict by default");
    let file = lab.world.path("lenient.toml");
    lab.world.write("lenient.toml", "[[rule]]\nallow = \"good.test:443\"\nhidden = \"lenient\"\n");
    let lenient = ["--policy", &file];
    assert!(attack(lab, &lenient, &["tls", "good.test", "443", "-"]).starts_with("got heard"));
    assert_eq!(attack(lab, &lenient, &["tls", "good.test", "443", "evil.test"]), "ECONNRESET");
    // Half a hello is none.
    let half = "\u{16}\u{3}\u{1}";
    assert_eq!(attack(lab, &rules, &["tcp", "good.test", "443", half]), "timeout", "it waits for the rest");
}

fn the_answer_changes_between_look_up_and_connect(lab: &Lab) {
    let _zone = zone(lab);
    // Both addresses were answers of the name, and each was valid when it was given.
    let said = attack(lab, &allow(&["flip.test:22"]), &["reconnect", "flip.test", "22"]);
    assert!(said.contains("looked up 198.51.100.2 198.51.100.3"), "{said}");
    assert_eq!(said.matches("got heard 2").count(), 2, "{said}");
    // An address that was no answer is none, however recently the name was asked for.
    let python = lab.peer("attack.py", &[]).join(" ");
    let script = format!("{python} look good.test; {python} tcp {} 22", server::SECOND_V4);
    let said = lab.run(&allow(&["good.test:22"]), &["sh", "-c", &script]);
    assert!(said.good().ends_with("EHOSTUNREACH"), "{}", said.stdout);
}

fn names_that_no_rule_allows_are_not_asked_for(lab: &Lab) {
    let mut zone = zone(lab);
    let rules = allow(&["*.good.test:443", "good.test:443", "198.51.100.0/24:80"]);
    let tunnel = "secret-word.evil.test";
    let said = attack(lab, &rules, &["query", "10.0.2.3", tunnel]);
    assert_eq!(said, "got rcode 3 answers 0 same True");
    let said = attack(lab, &rules, &["query", "10.0.2.3", "gOoD.tEsT"]);
    assert_eq!(said, "got rcode 0 answers 1 same True", "the answer has the spelling of the question");
    // A kind of record that nobody has carries nothing out.
    assert_eq!(
        attack(lab, &rules, &["query", "10.0.2.3", "good.test", "47806"]),
        "got rcode 4 answers 0 same True"
    );
    // The first query that comes is for the allowed name, in lower case: nothing else was asked before.
    assert_eq!(zone.line("query"), "good.test 1");
    let control = attack(lab, &[], &["query", "10.0.2.3", tunnel]);
    assert_eq!(control, "got rcode 3 answers 0 same True");
    zone.line(&format!("query {tunnel}"));
}

fn quic_shows_its_name(lab: &Lab) {
    let _zone = zone(lab);
    let rules = allow(&["good.test:443"]);
    let script = |name: &str| {
        let datagrams: Vec<String> = initial(name).iter().map(|bytes| hex(bytes)).collect();
        let python = lab.peer("attack.py", &[]).join(" ");
        format!("{python} look good.test; {python} udphex {} 443 {}", server::V4, datagrams.join(" "))
    };
    let ask = |options: &[&str], name: &str| {
        lab.run(options, &["sh", "-c", &script(name)]).good().lines().last().map(str::to_owned)
    };
    assert!(ask(&rules, "good.test").is_some_and(|said| said.starts_with("got 12")));
    assert_eq!(ask(&rules, "evil.test").as_deref(), Some("EHOSTUNREACH"));
    assert!(ask(&[], "evil.test").is_some_and(|said| said.starts_with("got 12")), "control");
}

/// The Initial packets of a client that asks for `name`: its hello in two datagrams.
fn initial(name: &str) -> Vec<Vec<u8>> {
    use wharf_wire::quic::{InitialRepr, Version};
    let hello = hello(name);
    let (first, second) = hello.split_at(hello.len() / 2);
    let dcid = [7; 8];
    let parts = [(0, first), (first.len(), second)];
    let seal = |(number, (at, part)): (u32, (usize, &[u8]))| {
        let repr = InitialRepr { version: Version::V1, dcid: &dcid, scid: &[9; 4], token: &[], number };
        repr.seal(&dcid, &InitialRepr::crypto_frame(at as u16, part))
    };
    (0..).zip(parts).map(seal).collect()
}

/// A ClientHello with a name and nothing else that matters (RFC 8446, section 4.1.2).
fn hello(name: &str) -> Vec<u8> {
    let with_len = |bytes: Vec<u8>| [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
    let entry = [&[0][..], &with_len(name.as_bytes().to_vec())].concat();
    let server_name = [&[0, 0][..], &with_len(with_len(entry))].concat();
    let versions = [0, 43, 0, 3, 2, 3, 4];
    let extensions = with_len([&server_name[..], &versions].concat());
    let body = [&[3, 3][..], &[1; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &extensions].concat();
    [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn a_name_does_not_open_what_is_closed(lab: &Lab) {
    let _zone = zone(lab);
    lab.world.run(crate::lab::Place::Host, &["ip", "addr", "add", "169.254.169.254/32", "dev", "lo"]).good();
    let _metadata = lab.serve(crate::lab::Place::Host, &["peer", "169.254.169.254", "22"]);
    let said = attack(lab, &allow(&["rebind.test:22"]), &["tcp", "rebind.test", "22"]);
    assert!(!said.contains("got"), "a name that leads to the metadata service: {said}");
    let named = attack(lab, &allow(&["169.254.169.254:22"]), &["tcp", "169.254.169.254", "22"]);
    assert_ne!(named, "EHOSTUNREACH", "it is open where it is named");
}

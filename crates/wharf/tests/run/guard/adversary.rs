//! An adversary inside, root in its own network: nothing of what it tries gets a frame to the forbidden host, and without the
//! rule the same arrives there.

use super::{allow, attack, frames_at, zone};
use crate::lab::{Lab, Place, missing, server};

crate::tests! {
    [tap_root packet_root] by_its_address by_raw_packets by_frames_of_its_own;
    [tap_root] by_other_forms_of_the_address by_fragments_that_hide_ports by_source_routes by_ping by_its_own_resolver
        by_another_program by_the_hosts_namespaces by_the_control_socket;
}

/// Only the one server is allowed.
const RULES: [&str; 2] = ["--allow", "198.51.100.2"];

/// The address of a program inside.
const OWN: &str = "10.0.2.100";

/// What is tried sends nothing to the forbidden host under the rules, and something without.
#[track_caller]
fn never_arrives(lab: &Lab, words: &[&str]) {
    let root = ["--root"];
    let (frames, said) = frames_at(lab, server::SECOND_V4, &[&root[..], &RULES].concat(), words);
    assert_eq!(frames, 0, "{words:?} under the rules: {said}");
    let (frames, said) = frames_at(lab, server::SECOND_V4, &root, words);
    assert!(frames > 0, "{words:?} without rules: {said}");
}

fn by_its_address(lab: &Lab) {
    let _zone = zone(lab);
    never_arrives(lab, &["tcp", server::SECOND_V4, "22"]);
    never_arrives(lab, &["udp", server::SECOND_V4, "5000"]);
    assert_eq!(attack(lab, &RULES, &["tcp", server::V4, "22"]), "got heard 2", "what is allowed arrives");
}

fn by_raw_packets(lab: &Lab) {
    let _zone = zone(lab);
    never_arrives(lab, &["rawtcp", OWN, server::SECOND_V4, "22"]);
}

fn by_frames_of_its_own(lab: &Lab) {
    let _zone = zone(lab);
    never_arrives(lab, &["frame", OWN, server::SECOND_V4, "5000"]);
    // Under another address than its own it is nobody.
    let (frames, _) =
        frames_at(lab, server::SECOND_V4, &["--root"], &["frame", "10.0.2.77", server::SECOND_V4, "5000"]);
    let (guarded, _) = frames_at(
        lab,
        server::SECOND_V4,
        &[&["--root"][..], &RULES].concat(),
        &["frame", "10.0.2.77", server::SECOND_V4, "5000"],
    );
    assert_eq!(guarded, 0, "and without rules {frames}");
}

fn by_other_forms_of_the_address(lab: &Lab) {
    let _zone = zone(lab);
    never_arrives(lab, &["sixtcp", "::ffff:198.51.100.3", "22"]);
    for form in ["2002:c633:6403::1", "64:ff9b::198.51.100.3", "::198.51.100.3"] {
        let capture = lab.world.capture("ip6 or host 198.51.100.3");
        let said = attack(lab, &[&["--root"][..], &RULES].concat(), &["sixtcp", form, "22"]);
        let frames = capture.ask("tcp or udp", &["frame.number"]);
        assert!(frames.is_empty() && !said.contains("got"), "{form}: {said}");
    }
}

fn by_fragments_that_hide_ports(lab: &Lab) {
    let _zone = zone(lab);
    let rules = ["--root", "--allow", "198.51.100.0/24:22", "--allow", "198.51.100.2"];
    let words = ["fragments", OWN, server::SECOND_V4, "5000"];
    let (frames, said) = frames_at(lab, server::SECOND_V4, &rules, &words);
    assert_eq!(frames, 0, "{said}");
    // Whole fragments arrive where the port is allowed: the last ones of the attack overlap, and no host takes them.
    let (frames, _) = frames_at(lab, server::SECOND_V4, &["--root"], &["udp", server::SECOND_V4, "5000"]);
    assert!(frames > 0, "control");
}

fn by_source_routes(lab: &Lab) {
    let _zone = zone(lab);
    let options = [&["--root"][..], &RULES].concat();
    let words = ["sourceroute", OWN, server::V4, server::SECOND_V4, "22"];
    let (frames, said) = frames_at(lab, server::SECOND_V4, &options, &words);
    assert_eq!(frames, 0, "{said}");
    let (frames, _) = frames_at(lab, server::V4, &options, &["rawtcp", OWN, server::V4, "22"]);
    assert!(frames > 0, "without the route it arrives at the allowed host");
}

fn by_ping(lab: &Lab) {
    let _zone = zone(lab);
    never_arrives(lab, &["ping", server::SECOND_V4]);
    // What is allowed by ports carries no ping.
    let (frames, _) =
        frames_at(lab, server::V4, &["--root", "--allow", "198.51.100.2:22"], &["ping", server::V4]);
    assert_eq!(frames, 0);
    let said = attack(lab, &["--root", "--allow", "198.51.100.2/icmp"], &["ping", server::V4]);
    assert_eq!(said, "got reply");
}

fn by_its_own_resolver(lab: &Lab) {
    let mut zone = zone(lab);
    let rules = allow(&["good.test:22"]);
    let said = attack(lab, &rules, &["query", server::V4, "carried-out.evil.test"]);
    assert_eq!(said, "EHOSTUNREACH", "a name server outside");
    assert_eq!(attack(lab, &rules, &["tcp", server::V4, "53"]), "EHOSTUNREACH", "DNS over TCP");
    assert_eq!(attack(lab, &rules, &["tcp", server::SECOND_V4, "443"]), "EHOSTUNREACH", "DNS over HTTPS");
    let said = attack(lab, &[], &["query", server::V4, "control.evil.test"]);
    assert!(said.starts_with("got rcode 3"), "{said}");
    assert_eq!(zone.line("query"), "control.evil.test 1", "nothing came before the control");
}

fn by_another_program(lab: &Lab) {
    let _zone = zone(lab);
    if missing(&["busybox"]).is_some() {
        println!("skipped: busybox isn't installed");
        return;
    }
    let script = format!("(setsid busybox nc -w 2 {} 22 </dev/null & wait) & wait", server::SECOND_V4);
    let capture = lab.world.capture(&format!("host {}", server::SECOND_V4));
    lab.run(&RULES, &["sh", "-c", &script]);
    assert_eq!(capture.ask("", &["frame.number"]).len(), 0, "a static program, two forks away");
    let capture = lab.world.capture(&format!("host {}", server::SECOND_V4));
    lab.run(&[], &["sh", "-c", &script]);
    assert!(!capture.ask("", &["frame.number"]).is_empty(), "control");
}

fn by_the_hosts_namespaces(lab: &Lab) {
    let _zone = zone(lab);
    assert_eq!(attack(lab, &[&["--root"][..], &RULES].concat(), &["enter"]), "no");
    assert_eq!(attack(lab, &RULES, &["enter"]), "no");
}

fn by_the_control_socket(lab: &Lab) {
    let _zone = zone(lab);
    assert_eq!(attack(lab, &["--root", "--allow", "198.51.100.2"], &["control"]), "no");
    // From outside, as the run's own user, it is there.
    let mut run = lab.wharf(&["--name", "seen", "--allow", "198.51.100.2"], &["sh", "-c", "echo up; read x"]);
    run.line("up");
    let said = lab.world.run(Place::Host, &lab.peer("attack.py", &["control"]));
    assert!(said.good().contains("\"ok\":true"), "{}", said.stdout);
}

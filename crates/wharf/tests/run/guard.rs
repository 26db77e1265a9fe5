//! The guard: who is allowed is reached, and nothing else gets a frame, whatever a program inside tries.
//!
//! Every denial has its control: the same without the rule arrives, so that a test can't pass because nothing works.

mod adversary;
mod names;
mod policy;

use crate::lab::{Lab, Place, Proc, User};

/// Starts the world's zone of names and servers.
fn zone(lab: &Lab) -> Proc {
    let mut zone = lab.world.start(Place::Server, User::Root, &lab.peer("zone.py", &[]));
    zone.line("ready");
    zone
}

/// Allows these targets, each with `--allow`.
fn allow<'a>(targets: &[&'a str]) -> Vec<&'a str> {
    targets.iter().flat_map(|target| ["--allow", target]).collect()
}

/// What an adversary inside brings about.
fn attack(lab: &Lab, options: &[&str], words: &[&str]) -> String {
    lab.run(options, &lab.peer("attack.py", words)).good().to_owned()
}

/// How many packets reach or leave `address` on the server's wire while an adversary inside tries something; what it prints.
fn frames_at(lab: &Lab, address: &str, options: &[&str], words: &[&str]) -> (usize, String) {
    let capture = lab.world.capture(&format!("ip and host {address}"));
    let said = attack(lab, options, words);
    (capture.ask("", &["frame.number"]).len(), said)
}

//! RFC 9293 to the letter: each MUST and MUST NOT of its appendix B has a test here with its number in the name, which fails
//! when the rule is broken. The rules speak of what can be seen on the wire and of what an application can ask for, so the
//! tests stand there: packets written by hand go in, what comes out is read by a library that is not ours, and the owner's
//! side is the public interface of the stack. Three numbers, 51 to 53, ask for source routes, which are refused on purpose: see
//! the module `ip`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../wire/mod.rs"]
mod wire;

mod acknowledging;
mod bench;
mod closing;
mod failing;
mod icmp;
mod ip;
mod opening;
mod options;
mod path;
mod sending;
mod urgent;
mod window;

/// Every number of the appendix has its test.
#[test]
fn every_must_has_a_test() {
    let sources = [
        include_str!("acknowledging.rs"),
        include_str!("closing.rs"),
        include_str!("failing.rs"),
        include_str!("icmp.rs"),
        include_str!("ip.rs"),
        include_str!("opening.rs"),
        include_str!("options.rs"),
        include_str!("sending.rs"),
        include_str!("urgent.rs"),
        include_str!("window.rs"),
    ];
    for number in 1..=69 {
        let name = format!("#[test]\nfn must_{number}_");
        assert!(sources.iter().any(|source| source.contains(&name)), "MUST-{number} has no test");
    }
}

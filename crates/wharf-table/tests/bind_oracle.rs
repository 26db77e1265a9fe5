//! Who may have a port: the table against the running kernel, errno for errno.
//!
//! Every case is two or three sockets that bind, listen, connect, or leave something behind on one port. The kernel does
//! it and the table does it, step by step, and every answer must be the same. The kernel's answers are asked for at test
//! time; none is written down here.
//!
//! The test runs itself again in a network namespace of its own (`unshare`), so that nothing else uses its ports and
//! leftovers go with it. Where that is not allowed it runs on the host's loopback, without the cases that need the
//! range of ephemeral ports for themselves. Cases of several users need root.

mod kernel;

use std::process::Command;

use kernel::cases::{self, Act, Case, Place, Step};
use kernel::{Lab, World};

const INSIDE: &str = "WHARF_BIND_ORACLE_INSIDE";
const NAME: &str = "claims_are_decided_as_the_kernel_decides_them";

/// Runs this test again in a new network namespace; `None` where there can't be one.
fn run_inside() -> Option<bool> {
    let program = std::env::current_exe().ok()?;
    let root = rustix::process::geteuid().is_root();
    let mut unshare = Command::new("unshare");
    unshare.args(if root { &["-n"][..] } else { &["-rn"][..] });
    let mut probe = Command::new("unshare");
    probe.args(if root {
        &["-n", "ip", "link", "set", "lo", "up"][..]
    } else {
        &["-rn", "ip", "link", "set", "lo", "up"][..]
    });
    if !probe.output().is_ok_and(|output| output.status.success()) {
        return None;
    }
    unshare.args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]).arg(program);
    unshare.args(["--exact", NAME, "--nocapture"]).env(INSIDE, if root { "root" } else { "user" });
    unshare.status().ok().map(|status| status.success())
}

#[test]
fn claims_are_decided_as_the_kernel_decides_them() {
    let world = match std::env::var(INSIDE).as_deref() {
        Ok("root") => World { own_network: true, users: true },
        Ok(_) => {
            println!("skipped: cases of several users, since this user can't become another");
            World { own_network: true, users: false }
        }
        Err(_) => match run_inside() {
            Some(passed) => {
                assert!(passed, "the cases in a network of their own failed");
                return;
            }
            None => {
                println!("skipped: a network of its own (unshare failed), and with it implicit binds");
                World { own_network: false, users: false }
            }
        },
    };
    let mut lab = Lab::new(world);
    let all = cases::all(world);
    let mut wrong = Vec::new();
    for (number, case) in all.iter().enumerate() {
        if let Err(difference) = lab.run(number, case) {
            wrong.push(format!("{case:?}\n    {difference}"));
        }
    }
    println!("{} cases, {} answers of the kernel, {} errors among them", all.len(), lab.asked, lab.refused);
    let shown: Vec<&str> = wrong.iter().take(25).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), all.len(), shown.join("\n"));
    assert!(all.len() >= 2000 && lab.refused > 500, "the cases say something");
}

#[test]
fn the_cases_cover_what_they_should() {
    let all = cases::all(World { own_network: true, users: true });
    let has = |wanted: &dyn Fn(&Step) -> bool| all.iter().any(|Case(steps)| steps.iter().skip(1).any(wanted));
    for place in Place::ALL {
        assert!(has(&|step| step.place == place), "{place:?}");
    }
    assert!(has(&|step| step.act == Act::Implicit) && has(&|step| step.act == Act::Zero));
    assert!(all.iter().any(|Case(steps)| steps.len() == 3));
}

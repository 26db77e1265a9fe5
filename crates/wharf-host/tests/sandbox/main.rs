//! The sandbox against the running kernel: as root and as an ordinary user, over a TAP and over a packet socket.
//!
//! A test program of its own, without the usual harness: a sandbox is made by a process with one thread. Called without
//! arguments it is the driver, which runs every case of [`cases`] in every setting that this machine allows; what can't
//! run is printed with its reason. The driver starts this program again as the `runner`, which makes the sandbox.

#![expect(clippy::unwrap_used, reason = "this is a test, which clippy can't see without the usual harness")]

mod cases;
mod runner;
mod setting;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == runner::WORD => runner::run(arguments),
        // Asked for a list by a test runner: there is none but the whole.
        Some(word) if word == "--list" => ExitCode::SUCCESS,
        _ => drive(),
    }
}

fn drive() -> ExitCode {
    let mut failed = 0;
    for setting in setting::all() {
        if let Err(reason) = setting.probe() {
            println!("sandbox {setting}: skipped: {reason}");
            continue;
        }
        for (name, case) in cases::ALL {
            match std::panic::catch_unwind(|| case(&setting)) {
                Ok(()) => println!("sandbox {setting}: {name} ... ok"),
                Err(_) => {
                    println!("sandbox {setting}: {name} ... FAILED");
                    failed += 1;
                }
            }
        }
    }
    setting::clean_up();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

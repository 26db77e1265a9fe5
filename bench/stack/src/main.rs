//! wharf-table and wharf-stack in figures, and the same of smoltcp where it has them: see `bench/stack.sh`.
//!
//! One program drives both stacks through the same trait ([`host::Host`]): two hosts of one kind on a link in memory, the
//! same frames, the same sizes of batches, the same losses. Everything but the time that code takes is virtual and follows
//! from seeds.

mod host;
mod measure;
mod memory;
mod pair;
mod report;
mod smol;
mod wharf;
mod wire;

use std::process::ExitCode;

use measure::{Effort, connections, flows, look_up, matrix, receive, round_trips, throughput};
use report::{Report, Section};
use serde_json::json;

type Run = fn(&mut Report, Effort);

const ALL: [(Section, Run); 7] = [
    (look_up::SECTION, look_up::run),
    (flows::SECTION, flows::run),
    (connections::SECTION, connections::run),
    (throughput::SECTION, throughput::run),
    (round_trips::SECTION, round_trips::run),
    (receive::SECTION, receive::run),
    (matrix::SECTION, matrix::run),
];

const HEADER: &str = "\
wharf-stack and smoltcp VERSION (std, medium-ethernet, proto-ipv4 and -ipv6, socket-tcp with CUBIC and Reno, segmentation-offload), each
against itself: two hosts on one link in memory, one thread, frames in batches of up to 64 through recycled memory.
The same for both: Ethernet, IPv4, MTU 1,500, buffers, Nagle off, CUBIC; TCP and IP checksums computed and verified, or those of
TCP left to the device with \"offloads\". As they come: wharf-stack has timestamps (12 bytes of each segment) and SACK.
In smoltcp's favour: a socket in TIME-WAIT is removed at once, its application looks only at the sockets that it knows to be
busy, and in the matrix the better of CUBIC and Reno counts. Each figure is the best of its rounds; \"ahead\" is above 1 where
wharf is better.";

/// The version that Cargo has chosen.
fn smoltcp_version() -> &'static str {
    let (_, behind) =
        include_str!("../Cargo.lock").split_once("name = \"smoltcp\"").expect("smoltcp is locked");
    behind.split('"').nth(1).expect("a locked package has a version")
}

/// What was typed.
struct Arguments {
    effort: Effort,
    json: Option<String>,
    only: Vec<String>,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments { effort: Effort::FULL, json: None, only: Vec::new() };
    let mut typed = std::env::args().skip(1);
    while let Some(argument) = typed.next() {
        let mut value = || typed.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => parsed.effort = Effort::QUICK,
            "--json" => parsed.json = Some(value()?),
            "--only" => parsed.only = value()?.split(',').map(str::to_owned).collect(),
            other => return Err(format!("\"{other}\" is none of --quick, --json FILE, --only NAME,NAME")),
        }
    }
    let known = |name: &String| ALL.iter().any(|(section, _)| section.name == name);
    match parsed.only.iter().find(|name| !known(name)) {
        None => Ok(parsed),
        Some(name) => {
            let names: Vec<&str> = ALL.iter().map(|(section, _)| section.name).collect();
            Err(format!("\"{name}\" is none of {}", names.join(", ")))
        }
    }
}

fn main() -> ExitCode {
    let Arguments { effort, json, only } = match arguments() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("stack: {wrong}");
            return ExitCode::from(2);
        }
    };
    println!("{}", HEADER.replace("VERSION", smoltcp_version()));
    let mut report = Report::default();
    for (section, run) in ALL {
        if only.is_empty() || only.iter().any(|name| name == section.name) {
            run(&mut report, effort);
        }
    }
    report.conclude();
    let Some(file) = json else { return ExitCode::SUCCESS };
    let text =
        report.json(json!({ "quick": effort.quick, "rounds": effort.rounds, "only": only, "smoltcp": smoltcp_version() })).to_string();
    match std::fs::write(&file, text + "\n") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stack: write \"{file}\": {error}");
            ExitCode::from(2)
        }
    }
}

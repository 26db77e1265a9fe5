//! `wharf free`: ports that can be had now, and having them.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use wharf_host::free::{Ephemeral, For, FreeError, Held, Registered, Together, Wanted, find, hold};
use wharf_host::pause::{Pause, Woken};
use wharf_table::notation::{Ports, parse_port, parse_ports};
use wharf_table::{Addr, Port, Protocol, registry};

use super::read::{address, one};
use crate::args::FreeArgs;
use crate::exit::{self, Failure};
use crate::services::LocalServices;

/// Too few are free.
const TOO_FEW: u8 = 1;
/// How long a holder sleeps before it looks again whether it shall end; signals wake it at once.
const SLEEP: Duration = Duration::from_secs(3600);

/// Prints free ports, one a line; with `--hold` keeps them or hands them to a program.
///
/// # Errors
/// [`Failure`]: 1 where too few are free, 2 for wrong usage; of a program that does not start 127, 126 or 125.
pub(crate) fn free(args: FreeArgs) -> Result<ExitCode, Failure> {
    if !args.command.is_empty() && !args.hold {
        return Err(Failure::usage(
            "a command is run with held ports only (write wharf free --hold -- COMMAND)",
        ));
    }
    if !args.command.is_empty() && args.json {
        return Err(Failure::usage("--json: with a command standard output is the command's (leave it out)"));
    }
    let wanted = read(&args)?;
    // Taken first: who is asked to end while ports are bound has nothing to undo, but ends as one who was asked.
    let pause = (args.hold && args.command.is_empty()).then(Pause::open).transpose();
    let pause = pause.map_err(|error| Failure::usage(format!("wait for signals: {error}")))?;
    let found = find(&wanted).map_err(|error| match error {
        FreeError::TooFew { .. } => Failure::new(TOO_FEW, error),
        error => Failure::usage(error),
    })?;
    if !args.command.is_empty() {
        let error = hold::become_program(found, &args.command);
        return Err(Failure::new(error.exit_code(), error));
    }
    // Printed while they are bound: what is read here is true.
    let code = exit::written(print(&found.held, &args))?;
    if let Some(pause) = pause {
        while pause.wait(SLEEP).map_err(|error| Failure::usage(format!("wait for signals: {error}")))?
            != Woken::Ended
        {}
    }
    drop(found);
    Ok(code)
}

fn read(args: &FreeArgs) -> Result<Wanted, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    let protocol = if args.udp { Protocol::Udp } else { Protocol::Tcp };
    let among = one("--range", args.range.as_deref(), |text| parse_ports(text, protocol, &services))?;
    Ok(Wanted {
        count: one("N", args.count.as_deref(), count)?.unwrap_or(1),
        near: one("--near", args.near.as_deref(), |text| parse_port(text, protocol, &services))?,
        among,
        protocols: match (args.tcp, args.udp) {
            (true, true) => For::Both,
            (false, true) => For::Udp,
            (_, false) => For::Tcp,
        },
        together: if args.consecutive { Together::Consecutive } else { Together::Apart },
        ephemeral: if args.ephemeral { Ephemeral::Taken } else { Ephemeral::Avoided },
        registered: if args.unassigned { Registered::Avoided } else { Registered::Taken },
        at: one("--on", args.on.as_deref(), address)?.map(Addr::from),
    })
}

fn count(text: &str) -> Result<u16, String> {
    let number = Ports::parse(text, |_| Err(wharf_table::notation::PortError::Missing));
    match number.ok().as_ref().map(Ports::ranges) {
        Some(&[(first, last)]) if first == last && first > 0 => Ok(first),
        _ => Err(format!("{text:?}: not a number of ports (write 1 to 65535; --range has ports)")),
    }
}

#[derive(Serialize)]
struct JsonFree {
    port: u16,
    protocols: Vec<&'static str>,
    registered: Option<&'static str>,
    held: bool,
}

fn print(held: &[Held], args: &FreeArgs) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        let rows: Vec<JsonFree> = held.iter().map(|it| json(it, args)).collect();
        serde_json::to_writer(&mut out, &rows)?;
        writeln!(out)?;
    } else {
        for it in held {
            writeln!(out, "{}", it.port)?;
        }
    }
    out.flush()
}

fn json(held: &Held, args: &FreeArgs) -> JsonFree {
    let protocol = if args.udp { Protocol::Udp } else { Protocol::Tcp };
    JsonFree {
        port: held.port,
        protocols: held.sockets.iter().map(|(kind, _)| kind.name()).collect(),
        registered: Port::new(held.port).and_then(|port| registry::name(port, protocol)),
        held: args.hold,
    }
}

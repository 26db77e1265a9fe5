//! `--stop` and `--close`: the end of those who hold a port.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use wharf_host::snapshot::Networks;
use wharf_host::who::end::Outcome;
use wharf_host::who::process::Process;
use wharf_host::who::{self, Answer};
use wharf_table::Protocol;
use wharf_table::notation::{Host, Location, Services};
use wharf_table::rows::{Ownerless, Row};

use super::{FREE, Form, Target, Telling};
use crate::exit::{self, Failure, USAGE};
use crate::render::json::{JsonRow, Shown};
use crate::render::measure::Span;
use crate::render::text::{EndText, push_safe};
use crate::render::{Registered, View};

/// Which connections are to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flows {
    /// All.
    All,
    /// Those with this remote end.
    With(Location),
}

/// Whether the user has agreed to what will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    /// By `--yes`.
    Given,
    /// Who sits at a terminal is asked.
    Asked,
}

impl Flows {
    /// Reads `all`, `10.0.0.7:51234`, or an address alone for every connection with it.
    pub(super) fn parse(text: &str, services: Services<'_>) -> Result<Flows, String> {
        if text == "all" {
            return Ok(Flows::All);
        }
        let location = Location::parse(text, Protocol::Tcp, services).map_err(|error| error.to_string())?;
        match location.host {
            Host::Addr(_) => Ok(Flows::With(location)),
            Host::Any | Host::Name(_) => {
                Err(format!("{text:?}: not a remote end (write 10.0.0.7:51234, 10.0.0.7 or all)"))
            }
        }
    }

    fn contains(&self, row: &Row) -> bool {
        match (self, row.remote) {
            (_, None) => false,
            (Flows::All, Some(_)) => true,
            (Flows::With(location), Some(remote)) => {
                location.host == Host::Addr(remote.addr)
                    && location.port.is_none_or(|port| port == remote.port)
                    && location.protocol.is_none_or(|protocol| row.transport.protocol() == Some(protocol))
            }
        }
    }
}

fn named(process: &Process) -> String {
    let mut name = String::new();
    push_safe(&mut name, process.owner.command.as_deref().unwrap_or("?"));
    format!("{name} ({})", process.owner.pid.unwrap_or_default())
}

/// Ends the processes that hold the port: 0 when it is free then.
///
/// # Errors
/// [`Failure`]: they must not be ended, or don't end, or others have taken the port.
pub(super) fn stop(
    target: &Target,
    answer: &Answer,
    patience: Duration,
    consent: Consent,
    telling: Telling,
) -> Result<ExitCode, Failure> {
    let processes = &answer.processes;
    refuse(target, answer)?;
    if consent == Consent::Asked && !ask(target, processes).map_err(Failure::usage)? {
        return Err(Failure::new(FREE, format_args!("stop who holds {target}: nothing was done")));
    }
    let outcomes = who::end::stop(processes, patience);
    let told = tell_stopped(processes, &outcomes, patience, telling);
    if told.is_err() {
        exit::written(told)?;
    }
    if let Some((process, error)) =
        processes.iter().zip(&outcomes).find_map(|(process, outcome)| match outcome {
            Outcome::Refused(error) => Some((process, error)),
            _ => None,
        })
    {
        return Err(Failure::usage(format_args!(
            "stop {}: {error} (it is another user's: needs CAP_KILL, or root)",
            named(process)
        )));
    }
    let now = who::ask(&target.question).map_err(Failure::usage)?;
    if now.is_free() {
        return Ok(ExitCode::SUCCESS);
    }
    let by: Vec<String> = now.processes.iter().map(named).collect();
    let unit = now.processes.iter().find_map(|process| process.owner.unit.as_deref());
    let what = unit.map_or_else(
        || "something starts it anew".to_owned(),
        |unit| format!("its unit starts it anew: systemctl stop {unit}"),
    );
    Err(Failure::usage(format_args!("stop who holds {target}: it is held by {} now ({what})", by.join(", "))))
}

/// What must not be stopped, or can't.
fn refuse(target: &Target, answer: &Answer) -> Result<(), Failure> {
    let wrong = |why: &str| Err(Failure::usage(format_args!("stop who holds {target}: {why}")));
    if answer.processes.is_empty() {
        let ownerless =
            answer.at(&answer.holders).chain(answer.at(&answer.connections)).find_map(|row| row.ownerless);
        return match ownerless {
            Some(why @ Ownerless::Hidden) => wrong(&why.to_string()),
            _ => {
                wrong("no process is known to hold it (it is the kernel's, or one outside of this container)")
            }
        };
    }
    for process in &answer.processes {
        match process.owner.pid {
            Some(1) => {
                return wrong(
                    "the first process holds it, and with it everything would end (stop the socket's unit: systemctl \
                     list-sockets)",
                );
            }
            Some(pid) if pid == std::process::id() => return wrong("this is wharf itself"),
            _ => {}
        }
    }
    Ok(())
}

/// Asks who sits at a terminal. Elsewhere the option itself is the answer.
fn ask(target: &Target, processes: &[Process]) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    let names: Vec<String> = processes.iter().map(named).collect();
    let mut error = io::stderr();
    write!(error, "End {}, so that {target} is free? [y/N] ", names.join(", "))?;
    error.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[derive(Serialize)]
struct JsonStopped<'a> {
    pid: Option<u32>,
    command: Option<&'a str>,
    outcome: &'static str,
}

fn tell_stopped(
    processes: &[Process],
    outcomes: &[Outcome],
    patience: Duration,
    telling: Telling,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if telling.form == Form::Json {
        let stopped = processes.iter().zip(outcomes).map(|(process, outcome)| JsonStopped {
            pid: process.owner.pid,
            command: process.owner.command.as_deref(),
            outcome: match outcome {
                Outcome::Ended => "ended",
                Outcome::Killed => "killed",
                Outcome::Gone => "gone",
                Outcome::Remains => "remains",
                Outcome::Refused(_) => "refused",
            },
        });
        serde_json::to_writer(&mut out, &stopped.collect::<Vec<_>>())?;
        return out.write_all(b"\n");
    }
    for (process, outcome) in processes.iter().zip(outcomes) {
        let name = named(process);
        match outcome {
            Outcome::Ended => writeln!(out, "{name} has ended")?,
            Outcome::Killed => writeln!(out, "{name} did not end within {} and was killed", Span(patience))?,
            Outcome::Gone => writeln!(out, "{name} had ended already")?,
            Outcome::Remains => writeln!(out, "{name} was killed, but is not gone: the kernel holds it")?,
            Outcome::Refused(_) => {}
        }
    }
    out.flush()
}

/// Closes connections of the port: 0, or 1 when there is none that is meant.
///
/// # Errors
/// [`Failure`]: the right is missing, or the kernel can't.
pub(super) fn close(
    target: &Target,
    answer: &Answer,
    flows: &Flows,
    telling: Telling,
) -> Result<ExitCode, Failure> {
    if target.question.networks != Networks::Here {
        return Err(Failure::usage(
            "--close: only connections of this network can be closed (leave out --in)",
        ));
    }
    let services = Registered::default();
    let view = View { rows: &answer.rows, services: &services };
    let mut closed: Vec<&Row> = Vec::new();
    let meant =
        answer.at(&answer.connections).chain(answer.at(&answer.over)).filter(|row| flows.contains(row));
    for row in meant {
        match who::end::close(row) {
            Ok(who::end::Closed::Ended) => closed.push(row),
            // It has ended by itself.
            Ok(who::end::Closed::NotThere) => {}
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::PermissionDenied => " (needs CAP_NET_ADMIN, or root)",
                    io::ErrorKind::Unsupported => " (needs a kernel with CONFIG_INET_DIAG_DESTROY)",
                    _ => "",
                };
                return Err(Failure::new(USAGE, format_args!("close {}: {error}{why}", ends(&view, row))));
            }
        }
    }
    if closed.is_empty() {
        let which = match flows {
            Flows::All => String::new(),
            Flows::With(location) => format!(" with {location}"),
        };
        return Err(Failure::new(
            FREE,
            format_args!("close at {target}: there is no connection{which} (wharf who {target} lists them)"),
        ));
    }
    let mut out = io::stdout().lock();
    let written = match telling.form {
        Form::Json => {
            let rows: Vec<JsonRow<'_>> = closed.iter().map(|row| JsonRow::new(view, row)).collect();
            serde_json::to_writer(&mut out, &rows)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
        }
        Form::Text => closed.iter().try_for_each(|row| writeln!(out, "closed {}", ends(&view, row))),
    };
    exit::written(written)
}

/// `tcp 127.0.0.1:8080, remote 10.0.0.7:51234`.
fn ends(view: &View<'_>, row: &Row) -> String {
    let text = |end| Shown(EndText { zone: view.zone(row.network, end), end }).0.to_string();
    let remote = row.remote.map(|end| format!(", remote {}", text(end))).unwrap_or_default();
    format!("{} {}{remote}", row.transport, text(row.local))
}

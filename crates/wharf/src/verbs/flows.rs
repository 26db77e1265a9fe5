//! `wharf flows`: the translation table of runs.

mod meant;
mod watch;

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use wharf_host::runs::{self, Flow, Run, RunsError};
use wharf_table::selector::Selector;

use super::read::{one, seconds};
use crate::args::FlowsArgs;
use crate::exit::{self, Failure};
use crate::render::flows::{self, Item, RunColumn};
use crate::render::page::Mark;
use crate::render::screen::{Fitting, Screen};
use crate::services::LocalServices;

/// What was typed, read.
struct Typed {
    /// Of these runs, by name or number; none for all.
    runs: Vec<String>,
    selector: Selector,
    form: Output,
    screen: Screen,
}

/// What the flows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
}

/// Not found.
pub(super) const NOT_FOUND: u8 = 1;

/// Shows flows: 0 however many there are.
///
/// # Errors
/// [`Failure`], 1: no such run; 2: wrong usage, or a run that can't be asked.
pub(crate) fn flows(args: FlowsArgs) -> Result<ExitCode, Failure> {
    let interval = one("--watch", args.watch.as_deref(), seconds)?;
    let typed = read(args)?;
    match interval {
        Some(interval) => watch::watch(&typed, interval.max(Duration::from_millis(20))),
        None => once(&typed),
    }
}

fn read(args: FlowsArgs) -> Result<Typed, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    // Without --in the first word is the run.
    let (runs, words) = match args.words.split_first() {
        Some((run, words)) if args.r#in.is_empty() => (vec![run.clone()], words),
        _ => (args.r#in, &args.words[..]),
    };
    let selector = Selector::parse_words(words, &services).map_err(Failure::usage)?;
    let fitting = if args.wide { Fitting::Whole } else { Fitting::Cut };
    Ok(Typed {
        runs,
        selector,
        form: if args.json { Output::Json } else { Output::Text },
        screen: Screen::of_stdout(args.color.unwrap_or_default(), fitting),
    })
}

/// The runs that are called so; all, when none is named.
///
/// # Errors
/// [`Failure`], 1: there is no such run.
pub(super) fn runs_called(names: &[String]) -> Result<Vec<Run>, Failure> {
    if names.is_empty() {
        return runs::list().map_err(Failure::usage);
    }
    let mut found: Vec<Run> = Vec::new();
    for name in names {
        let called = runs::find(name).map_err(failure)?;
        let new = called.into_iter().filter(|run| found.iter().all(|other| other.pid != run.pid));
        found.extend(new.collect::<Vec<_>>());
    }
    Ok(found)
}

fn failure(error: RunsError) -> Failure {
    match error {
        RunsError::NoRun { .. } => Failure::new(NOT_FOUND, error),
        error => Failure::usage(error),
    }
}

/// The flows that are meant, run after run, the oldest first; and whether there is more than one run.
fn take(typed: &Typed) -> Result<(Vec<Flow>, RunColumn), Failure> {
    let runs = runs_called(&typed.runs)?;
    let mut flows = runs::flows(&runs).map_err(failure)?;
    meant::retain(&typed.selector, &mut flows);
    // Ages of one run only grow, so that this is the order in which they came.
    flows.sort_by(|one, other| one.network.cmp(&other.network).then(other.age_s.total_cmp(&one.age_s)));
    let column = if runs.len() > 1 { RunColumn::Present } else { RunColumn::Absent };
    if runs.is_empty() && typed.form == Output::Text {
        note("no run of yours is there (wharf run starts one)");
    }
    Ok((flows, column))
}

fn once(typed: &Typed) -> Result<ExitCode, Failure> {
    let (found, runs) = take(typed)?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let taken = match typed.form {
        Output::Json => write_json(&mut out, &found).map(|()| None),
        Output::Text => {
            let items = found.iter().map(|flow| Item { flow, mark: Mark::None });
            flows::write(&mut out, typed.screen, runs, items).map(|taken| taken.sentence("--wide"))
        }
    };
    let hint = match taken.and_then(|hint| out.flush().map(|()| hint)) {
        Ok(hint) => hint,
        Err(error) => return exit::written(Err(error)),
    };
    hint.iter().for_each(|hint| note(hint));
    Ok(ExitCode::SUCCESS)
}

/// An array with a flow a line.
fn write_json(out: &mut impl io::Write, flows: &[Flow]) -> io::Result<()> {
    let mut before = "[";
    for flow in flows {
        writeln!(out, "{before}")?;
        serde_json::to_writer(&mut *out, flow)?;
        before = ",";
    }
    if flows.is_empty() { writeln!(out, "[]") } else { writeln!(out, "\n]") }
}

/// Says something beside what was asked for.
pub(super) fn note(what: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr(), "wharf: {what}");
}

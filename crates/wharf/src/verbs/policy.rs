//! `wharf policy`: the rules of a run, and other ones for it.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use wharf_host::run::config::PolicyFile;
use wharf_host::runs::{self, Change, Policy, RuleHits};

use super::flows::runs_called;
use super::note;
use crate::args::PolicyArgs;
use crate::exit::{self, Failure};
use crate::render::screen::{Fitting, Screen, Tone};
use crate::render::table::{self, Cells, Head, Shrink, Side};
use crate::render::text::push_safe;
use crate::services::LocalServices;

/// Shows the rules of a run, behind other ones that come into force if they are given.
///
/// # Errors
/// [`Failure`], 1: no such run; 2: wrong usage, or it can't be asked. The rules are the old ones then.
pub(crate) fn policy(args: PolicyArgs) -> Result<ExitCode, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    let file = args.file.as_deref().map(|path| PolicyFile::read(path, &services));
    let file = file.transpose().map_err(Failure::usage)?;
    let found = runs_called(std::slice::from_ref(&args.run))?;
    let run = match found.as_slice() {
        [one] => one,
        several => {
            let pids: Vec<String> = several.iter().map(|run| run.pid.to_string()).collect();
            let pids = pids.join(" or ");
            return Err(Failure::usage(format_args!(
                "{:?}: several runs have this name (write {pids})",
                args.run
            )));
        }
    };
    let change = file.as_ref().map_or(Change::Keep, Change::To);
    let policy = runs::policy(run, change).map_err(Failure::usage)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        let mut document = policy.document.clone();
        if let Some(fields) = document.as_object_mut() {
            // What only matters between the two that talk.
            ["ok", "id", "do"].iter().for_each(|field| drop(fields.remove(*field)));
            fields.insert("network".to_owned(), run.name.clone().into());
        }
        let written = serde_json::to_writer(&mut out, &document).map_err(io::Error::from);
        return exit::written(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()));
    }
    let fitting = if args.wide { Fitting::Whole } else { Fitting::Cut };
    let screen = Screen::of_stdout(args.color.unwrap_or_default(), fitting);
    let lines: Vec<RuleHits> =
        lines(&policy).into_iter().filter(|line| !args.hits || line.hits > 0).collect();
    match table::write(&mut out, screen, &Lines, lines.iter()).and_then(|taken| out.flush().map(|()| taken)) {
        Ok(taken) => taken.sentence("--wide").iter().for_each(|hint| note(hint)),
        Err(error) => return exit::written(Err(error)),
    }
    match policy.mode.as_str() {
        "dry_run" => note("nothing is denied (--dry-run): hits count what would have been decided"),
        "learn" => note("nothing is denied (--learn)"),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The rules, and the default as the last.
fn lines(policy: &Policy) -> Vec<RuleHits> {
    let default = RuleHits {
        rule: format!("{} everything else", policy.default),
        reason: String::new(),
        hits: policy.default_hits,
    };
    policy.rules.iter().cloned().chain([default]).collect()
}

const LEFT: Head = Head { title: "", side: Side::Left, shrink: Shrink::End(12), spare: 0 };

const HEADS: [Head; 3] = [
    Head { title: "HITS", side: Side::Right, shrink: Shrink::Never, spare: 0 },
    Head { title: "RULE", ..LEFT },
    Head { title: "REASON", spare: 1, ..LEFT },
];

struct Lines;

impl Cells for Lines {
    type Item<'a> = &'a RuleHits;

    fn heads(&self) -> &[Head] {
        &HEADS
    }

    fn cell(&self, line: &RuleHits, column: usize, out: &mut String) -> Tone {
        match column {
            0 => drop(write!(out, "{}", line.hits)),
            1 => push_safe(out, &line.rule),
            _ => push_safe(out, &line.reason),
        }
        Tone::Plain
    }
}

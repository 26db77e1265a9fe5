//! `wharf ps`: the runs that are there.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use wharf_host::runs::{Published, Run};

use super::flows::{note, runs_called};
use crate::args::PsArgs;
use crate::exit::{self, Failure};
use crate::render::measure::{Size, Span};
use crate::render::screen::{Fitting, Screen, Tone};
use crate::render::table::{self, Cells, Head, Shrink, Side};
use crate::render::text::push_safe;

/// Lists runs: 0 however many there are.
///
/// # Errors
/// [`Failure`], 1: no such run; 2: wrong usage, or they can't be found.
pub(crate) fn ps(args: PsArgs) -> Result<ExitCode, Failure> {
    let runs = runs_called(&args.runs)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        let all: Vec<Value> = runs.iter().map(document).collect();
        return exit::written(
            serde_json::to_writer(&mut out, &all)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
                .and_then(|()| out.flush()),
        );
    }
    let fitting = if args.wide { Fitting::Whole } else { Fitting::Cut };
    let screen = Screen::of_stdout(args.color.unwrap_or_default(), fitting);
    let taken = table::write(&mut out, screen, &Runs, runs.iter());
    match taken.and_then(|taken| out.flush().map(|()| taken)) {
        Ok(taken) => taken.sentence("--wide").iter().for_each(|hint| note(hint)),
        Err(error) => return exit::written(Err(error)),
    }
    if runs.is_empty() {
        note("no run of yours is there (wharf run starts one)");
    }
    Ok(ExitCode::SUCCESS)
}

/// What a run tells of itself, and before it what the kernel does.
fn document(run: &Run) -> Value {
    let known = json!({
        "name": run.name,
        "wharf_pid": run.pid,
        "uid": run.uid,
        "init_pid": run.init_pid(),
        "network_inode": run.network_inode(),
        "answers": run.status.is_some(),
    });
    let told = run.status.as_ref().and_then(|status| status.document.as_object()).cloned();
    let mut all = told.unwrap_or_default();
    // What only matters between the two that talk.
    all.remove("do");
    all.remove("id");
    all.extend(known.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

const LEFT: Head = Head { title: "", side: Side::Left, shrink: Shrink::Never, spare: 0 };
const RIGHT: Head = Head { side: Side::Right, ..LEFT };
const WORDS: Head = Head { shrink: Shrink::End(12), ..LEFT };

/// The columns, in the order of [`Runs::cell`].
const HEADS: [Head; 8] = [
    Head { title: "NAME", ..LEFT },
    Head { title: "PID", ..RIGHT },
    Head { title: "USER", spare: 1, ..RIGHT },
    Head { title: "AGE", ..RIGHT },
    Head { title: "PUBLISHED", ..WORDS },
    Head { title: "FLOWS", ..RIGHT },
    Head { title: "LINK", spare: 2, ..RIGHT },
    Head { title: "PROGRAM", ..WORDS },
];

struct Runs;

impl Cells for Runs {
    type Item<'a> = &'a Run;

    fn heads(&self) -> &[Head] {
        &HEADS
    }

    fn cell(&self, run: &Run, column: usize, out: &mut String) -> Tone {
        let mut plain = |text: &dyn std::fmt::Display| {
            let _ = write!(out, "{text}");
        };
        match (column, &run.status) {
            (0, _) => push_safe(out, &run.name),
            (1, _) => plain(&run.pid),
            (2, _) => plain(&run.uid),
            (3, Some(status)) => plain(&Span(Duration::try_from_secs_f64(status.age_s).unwrap_or_default())),
            (4, Some(status)) => push_safe(out, &published(&status.published)),
            (5, Some(status)) => plain(&status.flows),
            (6, Some(status)) => {
                status.link_bytes.iter().for_each(|(sent, received)| plain(&Size(sent + received)));
            }
            (7, Some(status)) => {
                // A whole program may be a word of its command line.
                let words = status.command.iter().flat_map(|word| word.split_whitespace());
                push_safe(out, &words.collect::<Vec<_>>().join(" "));
            }
            (7, None) => {
                out.push_str("does not answer (stopped?)");
                return Tone::Notable;
            }
            _ => {}
        }
        Tone::Plain
    }
}

/// `8080->80, 0.0.0.0:5300->53/udp`: an address is told where it is not loopback, and both loopbacks count once.
fn published(ports: &[Published]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for port in ports {
        let host = if port.local.ip().is_loopback() {
            port.local.port().to_string()
        } else {
            port.local.to_string()
        };
        let protocol = if port.protocol == "tcp" { String::new() } else { format!("/{}", port.protocol) };
        let text = format!("{host}->{}{protocol}", port.inside_port);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(", ")
}

//! `wharf who PORT --at TIME`: who held it then, out of a record.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;
use wharf_host::history::moment::{self, Wall, wall};
use wharf_host::history::{self, Answer, Covered, History, Life};
use wharf_host::snapshot::{self, Networks};
use wharf_host::who;
use wharf_table::rows::Rows;

use super::target::Target;
use super::{FREE, Form};
use crate::exit::{self, Failure};
use crate::render::json::{JsonRow, Shown};
use crate::render::measure::{Moment, Span};
use crate::render::text::{write_local, write_owners, write_remote};
use crate::render::{Registered, View};

/// So many connections are told.
const FEW: usize = 10;

/// Tells who held it at a time: 0, or 1 when it was free.
///
/// # Errors
/// [`Failure`], 2: no such time, no record, or nobody recorded then.
pub(super) fn tell(
    target: &Target,
    time: &str,
    record: Option<PathBuf>,
    form: Form,
) -> Result<ExitCode, Failure> {
    let at = moment::parse(time, SystemTime::now())
        .map_err(|error| Failure::usage(format_args!("--at {error}")))?;
    let path = record.map_or_else(history::usual_path, Ok).map_err(Failure::usage)?;
    let history = History::open(&path).map_err(Failure::usage)?;
    let port = target.question.port;
    let Answer { rows, lives, covered } = history.at(at, &(port..=port)).map_err(Failure::usage)?;
    let (rows, lives) = in_network(rows, lives, &target.question.networks);
    let answer = who::among(&target.question, rows);
    if answer.is_free()
        && let Covered::No { before, after } = covered
    {
        return Err(unknown(port, at, before, after));
    }
    let told = Told { answer: &answer, lives: &lives, port, at, covered };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match form {
        Form::Text => told.write_text(&mut out),
        Form::Json => told.write_json(&mut out),
    };
    exit::written(written.and_then(|()| out.flush()))?;
    Ok(ExitCode::from(if answer.is_free() { FREE } else { 0 }))
}

/// Nobody looked then.
fn unknown(port: u16, at: SystemTime, before: Option<SystemTime>, after: Option<SystemTime>) -> Failure {
    let around = match (before, after) {
        (Some(before), Some(after)) => {
            format!("recorded until {}, and from {} on", text(before), text(after))
        }
        (Some(before), None) => format!("recorded until {}", text(before)),
        (None, Some(after)) => format!("recorded from {} on", text(after)),
        (None, None) => "nothing is recorded".into(),
    };
    Failure::usage(format_args!("say who held {port} at {}: nobody recorded it then ({around})", text(at)))
}

/// The rows of the network that is meant.
fn in_network(mut rows: Rows, lives: Vec<Life>, networks: &Networks) -> (Rows, Vec<Life>) {
    let names = snapshot::names(networks);
    let is_meant: Vec<bool> = rows.networks.iter().map(|network| names.contains(&network.name)).collect();
    let meant = |network: usize| is_meant.get(network).copied().unwrap_or_default();
    let all = std::mem::take(&mut rows.rows);
    let kept = all.into_iter().zip(lives).filter(|(row, _)| meant(usize::from(row.network.0)));
    let (kept, lives): (Vec<_>, Vec<_>) = kept.unzip();
    rows.rows = kept;
    (rows, lives)
}

/// `2026-12-01 10:31:00`.
fn text(at: SystemTime) -> String {
    let Wall { date, clock } = wall(at);
    format!("{date} {}", clock.split('.').next().unwrap_or_default())
}

/// What is told.
struct Told<'a> {
    answer: &'a who::Answer,
    lives: &'a [Life],
    port: u16,
    at: SystemTime,
    covered: Covered,
}

#[derive(Serialize)]
struct JsonEarlier<'a> {
    port: u16,
    at: Shown<Moment>,
    recorded: bool,
    holders: Vec<JsonLife<'a>>,
    connections: Vec<JsonLife<'a>>,
}

#[derive(Serialize)]
struct JsonLife<'a> {
    since: Option<Shown<Moment>>,
    closed: Option<Shown<Moment>>,
    row: JsonRow<'a>,
}

impl Told<'_> {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let (port, at, answer) = (self.port, text(self.at), self.answer);
        if answer.is_free() {
            return writeln!(out, "{port} was free at {at}");
        }
        let what = if answer.holders.is_empty() { "connections of" } else { "who held" };
        writeln!(out, "{what} {port} at {at}")?;
        if self.covered != Covered::Yes {
            writeln!(out, "(nobody recorded it then: this is what was there later and is older)")?;
        }
        for &place in &answer.holders {
            self.write_line(out, place)?;
        }
        let count = answer.connections.len();
        if count > 0 && !answer.holders.is_empty() {
            writeln!(out, "connected then: {count}")?;
        }
        for &place in answer.connections.iter().take(FEW) {
            self.write_line(out, place)?;
        }
        if count > FEW {
            writeln!(out, "  and {} more (--json has all)", count - FEW)?;
        }
        Ok(())
    }

    fn write_line(&self, out: &mut impl Write, place: u32) -> io::Result<()> {
        let services = Registered::default();
        let view = View { rows: &self.answer.rows, services: &services };
        let place = place as usize;
        let (Some(row), Some(life)) = (self.answer.rows.rows.get(place), self.lives.get(place)) else {
            return Ok(());
        };
        let mut line = format!("  {:<5} ", row.transport);
        write_local(&mut line, &view, row);
        if row.remote.is_some() {
            line.push_str("  ");
            write_remote(&mut line, &view, row);
        }
        line.push_str("  ");
        write_owners(&mut line, &view, row);
        let line = line.trim_end();
        match life.closed {
            Some(closed) => {
                let lived = closed.duration_since(life.since).unwrap_or_default();
                writeln!(out, "{line}  from {} to {} ({})", text(life.since), text(closed), Span(lived))
            }
            None => writeln!(out, "{line}  since {}", text(life.since)),
        }
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let services = Registered::default();
        let view = View { rows: &self.answer.rows, services: &services };
        let all = |places: &[u32]| {
            let places = places.iter().filter_map(|&place| {
                let row = self.answer.rows.rows.get(place as usize)?;
                let life = self.lives.get(place as usize);
                let closed = life.and_then(|life| life.closed);
                Some(JsonLife {
                    since: life.map(|life| Shown(Moment(life.since))),
                    closed: closed.map(|closed| Shown(Moment(closed))),
                    row: JsonRow::new(view, row),
                })
            });
            places.collect()
        };
        let object = JsonEarlier {
            port: self.port,
            at: Shown(Moment(self.at)),
            recorded: self.covered == Covered::Yes,
            holders: all(&self.answer.holders),
            connections: all(&self.answer.connections),
        };
        serde_json::to_writer(&mut *out, &object)?;
        out.write_all(b"\n")
    }
}

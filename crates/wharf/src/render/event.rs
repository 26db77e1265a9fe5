//! Events: a line for people, an object for programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
use wharf_host::history::moment::{Wall, wall};
use wharf_host::watch::{Change, Event};
use wharf_table::rows::{Role, State};

use super::json::{JsonRow, Shown};
use super::measure::{Moment, Size, Span};
use super::text::{write_local, write_owners, write_remote};
use super::{Registered, View};

/// So wide are both ends together usually; longer ones move what follows.
const ENDS_WIDTH: usize = 44;

/// The day of the line before: a line tells the time of day, and a new day is told once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Day(Option<String>);

/// Writes an event as a line: `10:31:05.123 + tcp   listening 127.0.0.1:8080   python3 (812)`. What came has a `+`, what went a `-`
/// and how long it was there.
///
/// # Errors
/// The writer's.
pub(crate) fn write_text(
    out: &mut impl Write,
    event: &Event,
    services: &Registered,
    day: &mut Day,
) -> io::Result<()> {
    let Wall { date, clock } = wall(event.at);
    if day.0.as_ref() != Some(&date) {
        // The first one is today.
        if day.0.is_some() {
            writeln!(out, "{date}")?;
        }
        day.0 = Some(date);
    }
    let view = View { rows: event.rows(), services };
    let row = event.row();
    let mark = if event.change == Change::Closed { '-' } else { '+' };
    let mut line = format!("{clock} {mark} {:<5} {:<9} ", row.transport, event.change);
    let start = line.len();
    write_local(&mut line, &view, row);
    if row.remote.is_some() {
        // Who asked stands at the blunt end.
        line.push_str(if row.role == Role::Server { " < " } else { " > " });
        write_remote(&mut line, &view, row);
    }
    let width = line.len() - start;
    line.extend(std::iter::repeat_n(' ', ENDS_WIDTH.saturating_sub(width)));
    if let Some(network) = event.rows().network(row).filter(|network| network.name != "host") {
        let _ = write!(line, "  in {}", network.name);
    }
    let owner = line.len();
    line.push_str("  ");
    write_owners(&mut line, &view, row);
    if line.len() == owner + 2 {
        line.truncate(owner);
    }
    if event.change == Change::Closed {
        match event.lived() {
            Some(lived) => {
                let _ = write!(line, "  after {}", Span(lived));
            }
            None => line.push_str("  short-lived"),
        }
        if row.state == State::SynSent {
            line.push_str(", never connected");
        }
        if let Some((sent, received)) = event.bytes.filter(|bytes| *bytes != (0, 0)) {
            let _ = write!(line, ", {} out, {} in", Size(sent), Size(received));
        }
    }
    writeln!(out, "{}", line.trim_end())
}

#[derive(Serialize)]
struct JsonEvent<'a> {
    time: Shown<Moment>,
    event: &'static str,
    source: &'static str,
    number: u64,
    since: Option<Shown<Moment>>,
    lived_s: Option<f64>,
    sent_bytes: Option<u64>,
    received_bytes: Option<u64>,
    row: JsonRow<'a>,
}

/// Writes an event as an object in a line.
///
/// # Errors
/// The writer's.
pub(crate) fn write_json(out: &mut impl Write, event: &Event, services: &Registered) -> io::Result<()> {
    let view = View { rows: event.rows(), services };
    let object = JsonEvent {
        time: Shown(Moment(event.at)),
        event: event.change.name(),
        source: event.source.name(),
        number: event.number,
        since: event.since.map(|since| Shown(Moment(since))),
        lived_s: event.lived().map(|lived| lived.as_secs_f64()),
        sent_bytes: event.bytes.map(|(sent, _)| sent),
        received_bytes: event.bytes.map(|(_, received)| received),
        row: JsonRow::new(view, event.row()),
    };
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

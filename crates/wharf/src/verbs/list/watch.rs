//! `wharf list --watch`: the list again and again, with what has changed.
//!
//! On a terminal the page is drawn anew in its second screen, so that the first is as it was when wharf ends. Elsewhere what is
//! there at the start is told, and then each change by a line.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use wharf_host::pause::{Pause, Woken};
use wharf_host::snapshot;
use wharf_table::rows::Rows;

use super::changes::Look;
use super::{Item, Mark, Output, Registered, Typed, View, page, tell_hidden};
use crate::exit::{self, Failure};
use crate::render::column::{Column, Form};
use crate::render::json::{JsonRow, Shown};
use crate::render::live::Live;
use crate::render::measure::{Moment, Span};

/// Watches until a signal asks to end, or the reader is gone: 0.
///
/// # Errors
/// As for the list.
pub(super) fn watch(typed: &Typed, interval: Duration) -> Result<ExitCode, Failure> {
    let pause = Pause::open().map_err(waiting)?;
    let services = Registered::default();
    let first = Look::new(typed, &services, snapshot::take(&typed.ask).map_err(Failure::usage)?);
    if typed.form == Output::Text && typed.screen.width.is_some() {
        let live = match Live::open() {
            Ok(live) => live,
            Err(error) => return exit::written(Err(error)),
        };
        let rows = Terminal { typed, services: &services, interval, live }.run(&pause, first)?;
        tell_hidden(&rows);
        return Ok(ExitCode::SUCCESS);
    }
    tell_hidden(&first.rows);
    lines(typed, &services, &pause, interval, first)
}

/// The page of a terminal.
struct Terminal<'a> {
    typed: &'a Typed,
    services: &'a Registered,
    interval: Duration,
    live: Live,
}

impl Terminal<'_> {
    /// Draws until it is time to end; the terminal is the user's again then, whatever happened.
    fn run(self, pause: &Pause, first: Look) -> Result<Rows, Failure> {
        let mut before: Option<Look> = None;
        let mut now = first;
        loop {
            if let Err(error) = self.draw(before.as_ref(), &now) {
                return exit::written(Err(error)).map(|_| now.rows);
            }
            match pause.wait(self.interval).map_err(waiting)? {
                Woken::Ended => return Ok(now.rows),
                // The terminal has another size.
                Woken::Resized => continue,
                Woken::Elapsed | Woken::Typed => {}
            }
            let next = snapshot::take(&self.typed.ask).map_err(Failure::usage)?;
            let next = Look::new(self.typed, self.services, next);
            before = Some(std::mem::replace(&mut now, next));
        }
    }

    fn draw(&self, before: Option<&Look>, now: &Look) -> io::Result<()> {
        let (screen, height) = self.typed.screen.again();
        let mut page = page(self.typed, &now.rows);
        page.screen = screen;
        let view = View { rows: &now.rows, services: self.services };
        let mark = |row| before.map_or(Mark::None, |before| now.mark(before, row));
        let here = now.rows().map(|row| Item { view, row, mark: mark(row) });
        let gone = before.into_iter().flat_map(|before| {
            let view = View { rows: &before.rows, services: self.services };
            now.gone(before).map(move |row| Item { view, row, mark: Mark::Gone })
        });
        // What happened stands first, where it is seen however many rows there are.
        let is_marked = |item: &Item<'_>| item.mark != Mark::None;
        let items =
            gone.chain(here.clone().filter(is_marked)).chain(here.filter(move |item| !is_marked(item)));
        let mut text = Vec::new();
        page.write(&mut text, items)?;
        let clock = Moment(SystemTime::now()).clock();
        let head =
            format!("{clock} UTC, every {}: + new, ~ changed, - gone; Ctrl-C ends", Span(self.interval));
        self.live.draw(&head, &String::from_utf8_lossy(&text), height)
    }
}

/// What is there, then a line for each change.
fn lines(
    typed: &Typed,
    services: &Registered,
    pause: &Pause,
    interval: Duration,
    first: Look,
) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut now = first;
    let mut before: Option<Look> = None;
    loop {
        let told = tell(typed, services, &mut out, before.as_ref(), &now).and_then(|()| out.flush());
        if told.is_err() {
            return exit::written(told);
        }
        while let Woken::Resized = match pause.wait(interval).map_err(waiting)? {
            Woken::Ended => return Ok(ExitCode::SUCCESS),
            woken => woken,
        } {}
        let next = Look::new(typed, services, snapshot::take(&typed.ask).map_err(Failure::usage)?);
        before = Some(std::mem::replace(&mut now, next));
    }
}

/// A line for everything that has happened; at the first look, for everything that is there.
fn tell(
    typed: &Typed,
    services: &Registered,
    out: &mut impl Write,
    before: Option<&Look>,
    now: &Look,
) -> io::Result<()> {
    let time = Moment(SystemTime::now());
    if let Some(before) = before {
        let view = View { rows: &before.rows, services };
        for row in now.gone(before) {
            write_line(typed.form, out, time, Item { view, row, mark: Mark::Gone })?;
        }
    }
    let view = View { rows: &now.rows, services };
    for row in now.rows() {
        match before.map(|before| now.mark(before, row)) {
            Some(Mark::None) => {}
            mark => write_line(typed.form, out, time, Item { view, row, mark: mark.unwrap_or(Mark::None) })?,
        }
    }
    Ok(())
}

/// A line of JSON.
#[derive(Serialize)]
struct JsonChange<'a> {
    time: Shown<Moment>,
    change: &'static str,
    row: JsonRow<'a>,
}

fn write_line(form: Output, out: &mut impl Write, time: Moment, item: Item<'_>) -> io::Result<()> {
    let Item { view, row, mark } = item;
    if form == Output::Json {
        let change = match mark {
            Mark::None => "present",
            Mark::New => "new",
            Mark::Changed => "changed",
            Mark::Gone => "gone",
        };
        serde_json::to_writer(
            &mut *out,
            &JsonChange { time: Shown(time), change, row: JsonRow::new(view, row) },
        )?;
        return out.write_all(b"\n");
    }
    let mut line = format!("{time} {}", if mark == Mark::None { "=" } else { mark.letter() });
    for column in [Column::Protocol, Column::State, Column::Local, Column::Remote, Column::Owner] {
        let end = line.len();
        line.push(' ');
        column.write(Form::People, &view, row, &mut line);
        if line.len() == end + 1 {
            line.truncate(end);
        }
    }
    writeln!(out, "{line}")
}

fn waiting(error: io::Error) -> Failure {
    Failure::usage(format_args!("wait for signals: {error}"))
}

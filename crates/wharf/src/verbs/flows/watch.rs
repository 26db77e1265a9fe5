//! `wharf flows --watch`: the flows again and again, with what has changed. On a terminal the page is drawn anew; elsewhere
//! what is there at the start is told, and then each change by a line.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use wharf_host::pause::{Pause, Woken};
use wharf_host::runs::{End, Flow};
use wharf_host::when::rfc3339;

use super::{Output, Typed, take};
use crate::exit::{self, Failure};
use crate::render::flows::{self, Item, RunColumn};
use crate::render::live::Live;
use crate::render::measure::{Moment, Span};
use crate::render::page::Mark;

/// A look at the flows.
struct Look {
    flows: Vec<Flow>,
    runs: RunColumn,
    places: HashMap<Identity, usize>,
}

/// By what a flow is known again.
type Identity = (String, String, Option<End>, Option<End>);

fn identity(flow: &Flow) -> Identity {
    // A socket for datagrams may send to others.
    let remote = flow.inside.remote.filter(|_| flow.protocol == "tcp" || flow.direction == "inward");
    (flow.network.clone(), flow.protocol.clone(), flow.inside.local, remote)
}

impl Look {
    fn take(typed: &Typed) -> Result<Look, Failure> {
        let (flows, runs) = take(typed)?;
        let places = flows.iter().enumerate().map(|(place, flow)| (identity(flow), place)).collect();
        Ok(Look { flows, runs, places })
    }

    fn find(&self, flow: &Flow) -> Option<&Flow> {
        self.flows.get(*self.places.get(&identity(flow))?)
    }

    /// What happened to a flow of this look since the one before: that bytes moved is no change.
    fn mark(&self, before: &Look, flow: &Flow) -> Mark {
        match before.find(flow) {
            // Another that has the ends of one that is gone.
            Some(old) if flow.age_s < old.age_s => Mark::New,
            None => Mark::New,
            Some(old) if (&old.state, &old.owner, &old.path) == (&flow.state, &flow.owner, &flow.path) => {
                Mark::None
            }
            Some(_) => Mark::Changed,
        }
    }

    fn gone<'a>(&'a self, before: &'a Look) -> impl Iterator<Item = &'a Flow> + Clone {
        before.flows.iter().filter(|flow| self.find(flow).is_none())
    }
}

/// Watches until a signal asks to end, or the reader is gone: 0.
///
/// # Errors
/// As for the flows; a run that was named and has ended meanwhile ends the watch as well.
pub(super) fn watch(typed: &Typed, interval: Duration) -> Result<ExitCode, Failure> {
    let waiting = |error: io::Error| Failure::usage(format_args!("wait for signals: {error}"));
    let pause = Pause::open().map_err(waiting)?;
    let mut now = Look::take(typed)?;
    let live = match typed.screen.width.filter(|_| typed.form == Output::Text) {
        Some(_) => match Live::open() {
            Ok(live) => Some(live),
            Err(error) => return exit::written(Err(error)),
        },
        None => None,
    };
    let mut before: Option<Look> = None;
    loop {
        let told = match &live {
            Some(live) => draw(live, typed, interval, before.as_ref(), &now),
            None => tell(typed, before.as_ref(), &now),
        };
        if told.is_err() {
            drop(live);
            return exit::written(told);
        }
        match pause.wait(interval).map_err(waiting)? {
            Woken::Ended => return Ok(ExitCode::SUCCESS),
            // On another size the same is drawn again.
            Woken::Resized if live.is_some() => continue,
            Woken::Resized | Woken::Elapsed | Woken::Typed => {}
        }
        let next = Look::take(typed)?;
        before = Some(std::mem::replace(&mut now, next));
    }
}

fn draw(live: &Live, typed: &Typed, interval: Duration, before: Option<&Look>, now: &Look) -> io::Result<()> {
    let (screen, height) = typed.screen.again();
    let mark = |flow: &Flow| before.map_or(Mark::None, |before| now.mark(before, flow));
    let here = now.flows.iter().map(|flow| Item { flow, mark: mark(flow) });
    let gone = before.into_iter().flat_map(|before| now.gone(before));
    let gone = gone.map(|flow| Item { flow, mark: Mark::Gone });
    let is_marked = |item: &Item<'_>| item.mark != Mark::None;
    let items = gone.chain(here.clone().filter(is_marked)).chain(here.filter(move |item| !is_marked(item)));
    let mut text = Vec::new();
    flows::write(&mut text, screen, now.runs, items)?;
    let clock = Moment(SystemTime::now()).clock();
    let count = now.flows.len();
    let head = format!(
        "{clock} UTC, {count} flows, every {}: + new, ~ changed, - gone; Ctrl-C ends",
        Span(interval)
    );
    live.draw(&head, &String::from_utf8_lossy(&text), height)
}

/// A line of JSON.
#[derive(Serialize)]
struct Change<'a> {
    time: &'a str,
    change: &'static str,
    flow: &'a Flow,
}

/// A line for everything that has happened; at the first look, for everything that is there.
fn tell(typed: &Typed, before: Option<&Look>, now: &Look) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let time = rfc3339(SystemTime::now());
    let gone = before.into_iter().flat_map(|before| now.gone(before)).map(|flow| (flow, Mark::Gone));
    let mark = |flow: &Flow| before.map(|before| now.mark(before, flow));
    let here = now.flows.iter().filter_map(|flow| match mark(flow) {
        // Nothing has happened to it.
        Some(Mark::None) => None,
        mark => Some((flow, mark.unwrap_or(Mark::None))),
    });
    for (flow, mark) in gone.chain(here) {
        if typed.form == Output::Json {
            let change = match mark {
                Mark::None => "present",
                Mark::New => "new",
                Mark::Changed => "changed",
                Mark::Gone => "gone",
            };
            serde_json::to_writer(&mut out, &Change { time: &time, change, flow })?;
            out.write_all(b"\n")?;
        } else {
            let mut line = format!("{time} {} ", if mark == Mark::None { "=" } else { mark.letter() });
            flows::write_line(&mut line, flow);
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}

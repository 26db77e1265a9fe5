//! Who holds a port, as text: its sockets, a paragraph for each process, who is connected.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::SystemTime;

use wharf_host::who::process::{OriginKind, Process};
use wharf_host::who::{Answer, Publication};
use wharf_table::rows::{Ownerless, Role, Row, State};

use super::{Amount, Target, Telling};
use crate::render::View;
use crate::render::column::Column;
use crate::render::measure::{Moment, Span};
use crate::render::page::{Below, Columns, Item, Mark, NetworkColumn, Page};
use crate::render::screen::{Colour, Tone};
use crate::render::text::{push_safe, write_local};

/// So many connections, other ports and workers are told where all are too many for a screen.
const FEW: usize = 10;

/// Writes it, and gives back what is to be said of what a narrow terminal took.
pub(super) fn write(
    out: &mut impl Write,
    target: &Target,
    answer: &Answer,
    view: View<'_>,
    telling: Telling,
    now: SystemTime,
) -> io::Result<Option<String>> {
    if answer.is_free() {
        return out.write_all(free(target, answer).as_bytes()).map(|()| None);
    }
    let mut text = String::new();
    if answer.holders.is_empty() {
        let count = answer.connections.len();
        let _ = writeln!(
            text,
            "nobody listens on {target}; {}",
            counted(count, "connection holds it", "connections hold it")
        );
    }
    for row in answer.at(&answer.holders) {
        write_holder(&mut text, answer, &view, row, telling);
    }
    let mut told: Vec<&Process> = Vec::new();
    for process in &answer.processes {
        // Workers are told with whom they work for.
        if !told.iter().any(|main| is_worker(process, main)) {
            told.push(process);
            write_process(&mut text, answer, process, &view, telling, now);
        }
    }
    if !answer.connections.is_empty() {
        let count = counted(answer.connections.len(), "connection", "connections");
        let _ = writeln!(text, "\n{}", toned(telling, Tone::Head, &count));
    }
    out.write_all(text.as_bytes())?;
    let hint = connections(out, answer, view, telling)?;
    if !answer.over.is_empty() {
        writeln!(out, "{}", over(answer))?;
    }
    Ok(hint)
}

/// That it is free, and what is left of it.
fn free(target: &Target, answer: &Answer) -> String {
    let protocols = if target.protocol.is_none() { " (TCP and UDP)" } else { "" };
    match answer.over.is_empty() {
        true => format!("{target} is free{protocols}\n"),
        false => format!("{target} is free{protocols}; {}\n", over(answer)),
    }
}

/// What is left of connections that have ended.
fn over(answer: &Answer) -> String {
    let count = counted(answer.over.len(), "connection is", "connections are");
    format!("{count} left in TIME-WAIT, for a minute at most")
}

/// `1 connection`, `3 connections`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn toned(telling: Telling, tone: Tone, text: &str) -> String {
    match telling.screen.colour {
        Colour::On => format!("{}{text}{}", tone.start(), tone.end()),
        Colour::Off => text.to_owned(),
    }
}

/// A line for a socket that holds the port: `tcp 127.0.0.1:8080 listens; registered as http-alt; 2 of 128 wait to be accepted`.
fn write_holder(text: &mut String, answer: &Answer, view: &View<'_>, row: &Row, telling: Telling) {
    let mut end = String::new();
    write_local(&mut end, view, row);
    let _ = write!(text, "{} {}", row.transport, toned(telling, Tone::Head, &end));
    text.push_str(match (row.role, row.state) {
        (_, State::Listen) => " listens",
        (Role::Listener, _) => " takes datagrams from anybody",
        _ => " is bound, and does not listen",
    });
    if let Some(name) = view.service(row) {
        let _ = write!(text, "; registered as {name}");
    }
    if let Some(backlog) = row.backlog {
        let _ = write!(text, "; {} of {} wait to be accepted", backlog.used, backlog.limit);
    }
    if let Some(why) = row.ownerless {
        write_why(text, answer, row, why);
    }
    text.push('\n');
}

/// Why nobody is named, and what is known of whom nevertheless.
fn write_why(text: &mut String, answer: &Answer, row: &Row, why: Ownerless) {
    let _ = write!(text, "; {why}");
    if why != Ownerless::Hidden {
        return;
    }
    match (answer.rows.user(row), row.uid) {
        (Some(user), _) => {
            text.push_str("; user ");
            push_safe(text, user);
        }
        (None, Some(uid)) => {
            let _ = write!(text, "; uid {uid}");
        }
        (None, None) => {}
    }
    if let Some(group) = answer.rows.group(row) {
        for (what, name) in [("unit", &group.unit), ("container", &group.container)] {
            if let Some(name) = name {
                let _ = write!(text, "; {what} ");
                push_safe(text, name);
            }
        }
    }
}

/// Whether a process is told with another: it was started by that one, or both by one that is not told.
fn is_worker(process: &Process, main: &Process) -> bool {
    let (worker, main) = (&process.owner, &main.owner);
    worker.pid != main.pid
        && worker.command == main.command
        && worker.parent.is_some()
        && (worker.parent == main.pid || worker.parent == main.parent)
}

/// The paragraph of a process.
fn write_process(
    text: &mut String,
    answer: &Answer,
    process: &Process,
    view: &View<'_>,
    telling: Telling,
    now: SystemTime,
) {
    let owner = &process.owner;
    let mut name = String::new();
    push_safe(&mut name, owner.command.as_deref().unwrap_or("?"));
    let _ = write!(name, " ({})", owner.pid.unwrap_or_default());
    let _ = write!(text, "\n{}", toned(telling, Tone::Head, &name));
    match (&owner.user, owner.uid) {
        (Some(user), _) => {
            text.push_str(", user ");
            push_safe(text, user);
        }
        (None, Some(uid)) => {
            let _ = write!(text, ", uid {uid}");
        }
        (None, None) => {}
    }
    text.push('\n');
    let few = if telling.amount == Amount::All { usize::MAX } else { FEW };
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<11}{value}");
        }
    };
    field("command", &command_line(process));
    field("directory", &safe(&process.directory.as_ref().map_or("".into(), |path| path.to_string_lossy())));
    if let Some(age) = process.age {
        let at = now.checked_sub(age).map(|at| format!(", since {}", Moment(at).to_the_second()));
        field("running", &format!("for {}{}", Span(age), at.unwrap_or_default()));
    }
    field("started by", &started_by(process));
    let parents =
        process.ancestors.iter().map(|parent| format!("{} ({})", safe(&parent.command), parent.pid));
    let published = answer.publications.iter().filter(|of| Some(of.pid) == owner.pid);
    // One option opens a port on both loopback addresses.
    let mut published: Vec<String> = published.map(publication).collect();
    published.dedup();
    field("published", &listed(published.into_iter(), usize::MAX));
    field("parents", &listed(parents, usize::MAX));
    let workers = answer.processes.iter().filter(|other| is_worker(other, process));
    field("workers", &listed(workers.filter_map(|worker| worker.owner.pid).map(|pid| pid.to_string()), few));
    let others = View { rows: &answer.others, ..*view };
    let rows = process.others.iter().filter_map(|&place| answer.others.rows.get(place as usize));
    let port = |row: &Row| {
        let mut end = format!("{} ", row.transport);
        write_local(&mut end, &others, row);
        end
    };
    field("also holds", &listed(rows.map(port), few));
}

fn command_line(process: &Process) -> String {
    let quoted = |argument: &String| {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"'\"\\$`;&|<>()*?[]{}~#!".contains(&byte);
        // One argument alone is what a program wrote over its own command line.
        if process.arguments.len() == 1 || !argument.is_empty() && argument.bytes().all(is_plain) {
            safe(argument)
        } else {
            format!("'{}'", safe(argument).replace('\'', "'\\''"))
        }
    };
    process.arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn started_by(process: &Process) -> String {
    let origin = &process.origin;
    let what = match origin.kind {
        OriginKind::Container => "container",
        OriginKind::Unit => "systemd unit",
        OriginKind::Run => "a run of",
        OriginKind::Ssh => "an ssh session,",
        OriginKind::Cron => "a time table,",
        OriginKind::Multiplexer | OriginKind::Process => "",
        OriginKind::Shell => "a shell,",
        OriginKind::Unknown => return String::new(),
    };
    let mut said = what.to_owned();
    said.push_str(if what.is_empty() { "" } else { " " });
    push_safe(&mut said, &origin.name);
    if let Some(pid) = origin.pid {
        let _ = write!(said, " ({pid})");
    }
    said
}

/// `port 80 of run web, held there by python3 (93)`.
fn publication(of: &Publication) -> String {
    let mut said = format!("port {} of run {}", of.published.inside_port, safe(&of.run));
    let mut before = ", held there by ";
    for owner in &of.inside {
        said.push_str(before);
        push_safe(&mut said, owner.command.as_deref().unwrap_or("?"));
        let _ = write!(said, " ({})", owner.pid.unwrap_or_default());
        before = " and ";
    }
    said
}

fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    push_safe(&mut safe, text);
    safe
}

/// With commas between; what is more than `few` is counted.
fn listed(mut things: impl Iterator<Item = String>, few: usize) -> String {
    let mut said = things.by_ref().take(few).collect::<Vec<_>>().join(", ");
    match things.count() {
        0 => {}
        more => {
            let _ = write!(said, " and {more} more (-v)");
        }
    }
    said
}

/// The table of connections, or of the first of them.
fn connections(
    out: &mut impl Write,
    answer: &Answer,
    view: View<'_>,
    telling: Telling,
) -> io::Result<Option<String>> {
    let few = if telling.amount == Amount::All { usize::MAX } else { FEW };
    let columns =
        Columns::These(vec![Column::Protocol, Column::Local, Column::Remote, Column::State, Column::Owner]);
    let page =
        Page { screen: telling.screen, columns, below: Below::Nothing, networks: NetworkColumn::Absent };
    let rows = answer.at(&answer.connections).take(few);
    let taken = page.write(out, rows.map(|row| Item { view, row, mark: Mark::None }))?;
    if let more @ 1.. = answer.connections.len().saturating_sub(few) {
        writeln!(out, "and {more} more (-v)")?;
    }
    Ok(taken.sentence("--wide"))
}

//! One port: who holds it, and who talks at it.

use std::cmp::Reverse;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line as TextLine, Text};
use wharf_host::traffic::{Line, Port, Side as PortSide, Talker};
use wharf_table::rows::{Role, State};

use super::app::App;
use super::cells::{Side, cut, push};
use super::ports::{owner, rate};
use crate::render::measure::{Size, Span};
use crate::render::text::{push_safe, write_local, write_remote};

/// So many owners and listeners are told of, each.
const FEW: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let width = usize::from(area.width);
    let mut lines: Vec<TextLine<'_>> =
        about(app).into_iter().map(|line| TextLine::from(cut(&line, width))).collect();
    let page = usize::from(area.height).saturating_sub(lines.len() + 1);
    app.page = page.max(1);
    if let Some(line) = app.chosen() {
        let mut talkers: Vec<&Talker> =
            line.talkers.iter().filter(|talker| talker.row.remote.is_some()).collect();
        talkers.sort_by_key(|talker| {
            let moved = talker.rate.unwrap_or_default().total();
            (Reverse(moved), talker.row.state, talker.row.remote)
        });
        let top = app.talkers_top.min(talkers.len().saturating_sub(page));
        lines.push(TextLine::from(head(width)).style(Style::new().add_modifier(Modifier::BOLD)));
        let shown = talkers.iter().skip(top).take(page);
        lines.extend(shown.map(|talker| TextLine::from(text(talker, app, width))));
        app.talkers_top = top;
    }
    frame.render_widget(Text::from(lines), area);
}

/// The lines above the talkers.
fn about(app: &App) -> Vec<String> {
    let Some(port) = app.chosen_port() else { return Vec::new() };
    let mut lines = vec![title(port, app)];
    let Some(line) = app.chosen() else {
        lines.push("nothing is open here any more".into());
        return lines;
    };
    let owners = line.owners();
    let told = owners.iter().take(FEW).map(|person| {
        let mut text = owner(person);
        if let Some(user) = &person.user {
            text.push_str(", user ");
            push_safe(&mut text, user);
        }
        for word in [&person.unit, &person.container].into_iter().flatten() {
            text.push_str(", ");
            push_safe(&mut text, word);
        }
        text
    });
    lines.extend(told.map(|owner| format!("held by {owner}")));
    if owners.len() > FEW {
        lines.push(format!("     and {} more processes", owners.len() - FEW));
    }
    lines.extend(listeners(line, app));
    let (received, sent) = line.waiting;
    if received + sent > 0 {
        lines.push(format!("waiting {} to be read, {} to be sent", Size(received), Size(sent)));
    }
    lines
}

fn title(port: &Port, app: &App) -> String {
    let what = match port.side {
        PortSide::Here => "port",
        PortSide::There => "asked for: port",
    };
    let mut title = format!("{} {what} {}", port.transport, port.number);
    if let Some(service) = app.registered.name(port.transport, port.number) {
        title.push_str(&format!(", registered as {service}"));
    }
    if port.network != "host" {
        title.push_str(" in ");
        push_safe(&mut title, &port.network);
    }
    title
}

fn listeners(line: &Line, app: &App) -> Vec<String> {
    let all = line.talkers.iter().filter(|talker| talker.row.remote.is_none());
    let mut lines: Vec<String> = all
        .clone()
        .take(FEW)
        .map(|talker| {
            let mut text = if talker.row.role == Role::Bound { "bound to " } else { "open at " }.to_owned();
            write_local(&mut text, &app.view(), &talker.row);
            if let Some(backlog) = talker.row.backlog {
                text.push_str(&format!(", {} of {} wait to be accepted", backlog.used, backlog.limit));
            }
            text
        })
        .collect();
    let count = all.count();
    if count > FEW {
        lines.push(format!("     and {} more", count - FEW));
    }
    lines
}

/// The widths of the columns behind the ends, which have what is left.
const STATE: usize = 12;
const NUMBER: usize = 9;
const WIDE: usize = 100;

fn ends_width(width: usize) -> usize {
    let behind = STATE + 2 * NUMBER + 4 + if width >= WIDE { 2 * NUMBER + 20 + 3 } else { 0 };
    width.saturating_sub(behind).max(10)
}

fn head(width: usize) -> String {
    let mut line = String::new();
    push(&mut line, "TALKER", ends_width(width), Side::Left);
    push(&mut line, "STATE", STATE, Side::Left);
    push(&mut line, "IN/s", NUMBER, Side::Right);
    push(&mut line, "OUT/s", NUMBER, Side::Right);
    if width >= WIDE {
        push(&mut line, "RTT", NUMBER, Side::Right);
        push(&mut line, "WAITING", NUMBER, Side::Right);
        push(&mut line, "OWNER", 20, Side::Left);
    }
    line
}

fn text(talker: &Talker, app: &App, width: usize) -> String {
    let (row, room) = (&talker.row, ends_width(width));
    let mut ends = String::new();
    write_remote(&mut ends, &app.view(), row);
    // The local end says little where there is little room.
    let mut local = String::new();
    write_local(&mut local, &app.view(), row);
    if ends.len() + local.len() + 3 <= room {
        ends.push_str(if row.role == Role::Client { " < " } else { " > " });
        ends.push_str(&local);
    }
    let mut line = String::new();
    push(&mut line, &ends, room, Side::Left);
    push(&mut line, row.state.name(), STATE, Side::Left);
    push(&mut line, &rate(talker.rate.map(|rate| rate.received)), NUMBER, Side::Right);
    push(&mut line, &rate(talker.rate.map(|rate| rate.sent)), NUMBER, Side::Right);
    if width >= WIDE {
        let known = talker.detail.filter(|detail| detail.rtt_us > 0 && row.state != State::TimeWait);
        let rtt = known.map(|detail| Span(Duration::from_micros(detail.rtt_us.into())).to_string());
        push(&mut line, &rtt.unwrap_or_default(), NUMBER, Side::Right);
        let waiting = u64::from(row.receive_queue_bytes) + u64::from(row.send_queue_bytes);
        let waiting = if waiting == 0 { String::new() } else { Size(waiting).to_string() };
        push(&mut line, &waiting, NUMBER, Side::Right);
        push(&mut line, &talker.owners.first().map(owner).unwrap_or_default(), 20, Side::Left);
    }
    line
}

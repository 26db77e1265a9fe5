//! The table of ports.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as TextLine, Text};
use wharf_host::traffic::{Line, Rate, Side as PortSide};
use wharf_table::owner::Owner;

use super::app::App;
use super::cells::{Side, push};
use crate::render::measure::Size;
use crate::render::text::push_safe;

/// Where something came or went so shortly ago is marked.
const FRESH_S: u64 = 3;

/// A column: its title, its width, and how wide the page must be for it to be shown.
#[derive(Clone, Copy, Debug)]
struct Column {
    kind: Kind,
    title: &'static str,
    width: usize,
    from: usize,
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Network,
    Protocol,
    Port,
    Service,
    Owner,
    Connections,
    Hosts,
    In,
    Out,
    Waiting,
    Changes,
    Busiest,
}

const fn column(kind: Kind, title: &'static str, width: usize, from: usize, side: Side) -> Column {
    Column { kind, title, width, from, side }
}

/// In their order; the owner has what is left.
const COLUMNS: [Column; 12] = [
    column(Kind::Protocol, "PROTO", 5, 0, Side::Left),
    column(Kind::Port, "PORT", 6, 0, Side::Right),
    column(Kind::Service, "SERVICE", 9, 72, Side::Left),
    column(Kind::Owner, "OWNER", 0, 0, Side::Left),
    column(Kind::Network, "NETWORK", 12, 100, Side::Left),
    column(Kind::Connections, "CONN", 5, 34, Side::Right),
    column(Kind::Hosts, "HOSTS", 5, 78, Side::Right),
    column(Kind::In, "IN/s", 9, 44, Side::Right),
    column(Kind::Out, "OUT/s", 9, 54, Side::Right),
    column(Kind::Waiting, "WAITING", 9, 92, Side::Right),
    column(Kind::Changes, "+/-", 8, 64, Side::Right),
    column(Kind::Busiest, "BUSIEST", 26, 130, Side::Left),
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let width = usize::from(area.width);
    let page = usize::from(area.height).saturating_sub(1);
    let (count, cursor) = (app.board().lines.len(), app.cursor());
    // The cursor stays in sight, and no line is left empty that could be filled.
    app.page = page.max(1);
    app.top = app.top.min(count.saturating_sub(page)).min(cursor).max((cursor + 1).saturating_sub(app.page));
    let networks = app.board().lines.first().map(|line| &line.port.network);
    let is_one = app.board().lines.iter().all(|line| Some(&line.port.network) == networks);
    let columns: Vec<Column> = COLUMNS
        .into_iter()
        .filter(|column| column.from <= width && !(is_one && column.kind == Kind::Network))
        .collect();
    let fixed: usize = columns.iter().map(|column| column.width + 1).sum();
    let columns = columns.into_iter().map(|column| match column.kind {
        Kind::Owner => Column { width: width.saturating_sub(fixed).max(4), ..column },
        _ => column,
    });
    let columns: Vec<Column> = columns.collect();
    let mut head = String::new();
    columns.iter().for_each(|column| push(&mut head, column.title, column.width, column.side));
    let mut lines = vec![TextLine::from(head).style(Style::new().add_modifier(Modifier::BOLD))];
    for (place, line) in app.board().lines.iter().enumerate().skip(app.top).take(page) {
        let mut text = String::new();
        for column in &columns {
            push(&mut text, &cell(column.kind, line, app), column.width, column.side);
        }
        lines.push(TextLine::from(text).style(style(line, place == cursor)));
    }
    if count == 0 {
        lines.push(TextLine::from("nothing is open that is meant"));
    }
    frame.render_widget(Text::from(lines), area);
}

fn style(line: &Line, is_chosen: bool) -> Style {
    let is_fresh = line.changed.is_some_and(|changed| changed.elapsed().as_secs() < FRESH_S);
    let style = if is_fresh { Style::new().fg(Color::Green) } else { Style::new() };
    if is_chosen { style.add_modifier(Modifier::REVERSED) } else { style }
}

fn cell(kind: Kind, line: &Line, app: &App) -> String {
    let port = &line.port;
    let number = |number: u32| if number == 0 { String::new() } else { number.to_string() };
    match kind {
        Kind::Network => port.network.clone(),
        Kind::Protocol => port.transport.name().into(),
        Kind::Port => match port.side {
            PortSide::Here => port.number.to_string(),
            PortSide::There => format!(">{}", port.number),
        },
        Kind::Service => app.registered.name(port.transport, port.number).unwrap_or_default().into(),
        Kind::Owner => owners(&line.owners()),
        Kind::Connections => number(line.connections),
        Kind::Hosts => number(line.peers().len() as u32),
        Kind::In => rate(line.rate.map(|rate| rate.received)),
        Kind::Out => rate(line.rate.map(|rate| rate.sent)),
        Kind::Waiting => match line.waiting.0 + line.waiting.1 {
            0 => String::new(),
            bytes => Size(bytes).to_string(),
        },
        Kind::Changes => match (line.came, line.went) {
            (0, 0) => String::new(),
            (came, 0) => format!("+{came}"),
            (0, went) => format!("-{went}"),
            (came, went) => format!("+{came} -{went}"),
        },
        Kind::Busiest => line
            .peers()
            .first()
            .filter(|peer| peer.rate != Rate::default())
            .map_or_else(String::new, |peer| peer.addr.to_string()),
    }
}

/// Nothing where nothing is counted, or nothing moves.
pub(super) fn rate(bytes: Option<u64>) -> String {
    match bytes {
        None | Some(0) => String::new(),
        Some(bytes) => Size(bytes).to_string(),
    }
}

/// The first owner, and how many others there are.
pub(super) fn owners(owners: &[&Owner]) -> String {
    let Some(first) = owners.first() else { return String::new() };
    let mut text = owner(first);
    if owners.len() > 1 {
        text.push_str(&format!(" +{}", owners.len() - 1));
    }
    text
}

/// `nginx (812)`.
pub(super) fn owner(owner: &Owner) -> String {
    let mut text = String::new();
    push_safe(&mut text, owner.command.as_deref().unwrap_or("?"));
    if let Some(pid) = owner.pid {
        text.push_str(&format!(" ({pid})"));
    }
    text
}

//! The first line: what is shown, and how much of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use wharf_host::history::moment::wall;

use super::app::{App, Motion};
use super::cells::{Side, push};
use crate::render::measure::Size;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let board = app.board();
    let rate = board.rate();
    let motion = if app.motion == Motion::Paused { "  PAUSED" } else { "" };
    let clock = wall(app.at).clock;
    let right = format!("{} {motion}", clock.split('.').next().unwrap_or_default());
    let mut left = format!(
        "wharf top: {} ports, {} endpoints  in {}/s  out {}/s",
        board.lines.len(),
        board.len(),
        Size(rate.received),
        Size(rate.sent)
    );
    if !app.hidden.is_empty() {
        left.push_str("  some hidden (?)");
    }
    if !app.filter.is_empty() {
        left.push_str("  of: ");
        left.push_str(&app.filter);
    }
    let mut line = String::new();
    push(&mut line, &left, usize::from(area.width).saturating_sub(right.len() + 1), Side::Left);
    line.push_str(&right);
    let style = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Line::from(line).style(style), area);
}

//! The last line: the keys, what is typed, or what is to be said.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;

use super::app::{App, Showing};
use super::cells::cut;

const PORTS_KEYS: &str = "q quit  ? keys  / filter  s sort:";
const PORT_KEYS: &str = "q quit  Esc back  arrows move  Space pause";
const HELP_KEYS: &str = "any key goes back";

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let width = usize::from(area.width);
    if let Some(typed) = &app.typed {
        let said = app.said.as_ref().map(|said| format!("   {said}")).unwrap_or_default();
        // The end of what is typed stays in sight.
        let room = width.saturating_sub(2);
        let mut shown = typed.as_str();
        while shown.width() > room {
            shown = shown.get(shown.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
        }
        let text = cut(&format!("/{shown}{said}"), width);
        let style = if said.is_empty() { Style::new() } else { Style::new().fg(Color::Red) };
        frame.render_widget(Line::from(text).style(style), area);
        let column = u16::try_from(1 + shown.width()).unwrap_or(u16::MAX);
        frame.set_cursor_position(Position::new(area.x.saturating_add(column), area.y));
        return;
    }
    if let Some(said) = &app.said {
        let style = Style::new().fg(Color::Yellow);
        return frame.render_widget(Line::from(cut(said, width)).style(style), area);
    }
    let keys = match app.showing() {
        Showing::Ports => {
            format!("{PORTS_KEYS} {}  Enter details  Space pause", app.order.name())
        }
        Showing::Port => PORT_KEYS.into(),
        Showing::Help => HELP_KEYS.into(),
    };
    frame.render_widget(Line::from(cut(&keys, width)), area);
}

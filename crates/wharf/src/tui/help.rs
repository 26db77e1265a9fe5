//! The keys, all of them.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Paragraph, Wrap};

use super::app::App;

const KEYS: [(&str, &str); 12] = [
    ("Up Down k j", "move; also PgUp, PgDn, Home, End"),
    ("Enter", "who talks at this port; Esc goes back"),
    ("/", "filter by a selector: tcp listening, user www-data, to 10.0.0.0/8"),
    ("Esc", "no filter"),
    ("s", "sort by the next order"),
    ("t", "sort by traffic"),
    ("c", "sort by change: where something came or went last"),
    ("p", "sort by port"),
    ("n", "sort by connections"),
    ("Space", "pause, and go on"),
    ("q Ctrl-C", "quit"),
    ("", ""),
];

const NOTES: [&str; 5] = [
    "A port stands for all its endpoints: 80 is a port here, >443 one that programs",
    "here have asked for. CONN counts connections, HOSTS who is at their other end.",
    "Rates are those of TCP connections; the kernel counts none for UDP.",
    "+/- counts what came and went since the page was opened. Names of services are",
    "what is registered for a port, never what runs there.",
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let keys = KEYS.iter().map(|(key, what)| Line::from(format!("  {key:<12} {what}")));
    let notes = NOTES.iter().map(|note| Line::from(format!("  {note}")));
    let hidden = app.hidden.iter().map(|hidden| Line::from(format!("  not shown: {hidden}")));
    let text = Text::from(keys.chain(notes).chain(hidden).collect::<Vec<_>>());
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }), area);
}

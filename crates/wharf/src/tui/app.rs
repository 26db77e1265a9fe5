//! What is shown, and what a key does to it. No terminal here.

use std::time::SystemTime;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use wharf_host::traffic::{Board, Line, Order, Port};
use wharf_table::rows::Rows;
use wharf_table::selector::Selector;

use super::Config;
use super::sampler::Made;
use crate::render::{Registered, View};
use crate::services::LocalServices;

/// What a key leads to.
#[derive(Debug)]
pub(super) enum Next {
    Stay,
    Leave,
    /// Other rows are meant.
    Select(Selector),
}

/// What stands in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Showing {
    Ports,
    /// One port.
    Port,
    Help,
}

/// Whether new boards are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    Going,
    Paused,
}

/// Everything that is drawn.
pub(super) struct App {
    board: Board,
    /// The networks of the board, for those who write ends.
    names: Rows,
    pub(super) registered: Registered,
    services: LocalServices,
    pub(super) order: Order,
    pub(super) motion: Motion,
    showing: Showing,
    /// The port on which the cursor is: it stays there when lines move.
    chosen: Option<Port>,
    /// The first line that is shown, of ports and of a port's talkers.
    pub(super) top: usize,
    pub(super) talkers_top: usize,
    /// How many lines were shown when it was last drawn.
    pub(super) page: usize,
    pub(super) filter: String,
    /// The filter while it is typed.
    pub(super) typed: Option<String>,
    /// What is wrong with what was typed, or what else is to be said.
    pub(super) said: Option<String>,
    /// What could not be looked at.
    pub(super) hidden: Vec<String>,
    /// When the board was made.
    pub(super) at: SystemTime,
}

impl App {
    pub(super) fn new(config: &Config) -> App {
        App {
            board: Board::default(),
            names: Rows::default(),
            registered: Registered::default(),
            services: LocalServices::default(),
            order: config.order,
            motion: Motion::Going,
            showing: Showing::Ports,
            chosen: None,
            top: 0,
            talkers_top: 0,
            page: 1,
            filter: config.filter.clone(),
            typed: None,
            said: None,
            hidden: Vec::new(),
            at: SystemTime::now(),
        }
    }

    /// The selector of the filter, which was read before.
    pub(super) fn selector(&self) -> Selector {
        self.parse(&self.filter).unwrap_or_else(|_| Selector::all())
    }

    fn parse(&self, text: &str) -> Result<Selector, String> {
        let services = |name: &str, protocol| self.services.port(name, protocol);
        Selector::parse(text, &services).map_err(|error| error.to_string())
    }

    pub(super) const fn board(&self) -> &Board {
        &self.board
    }

    pub(super) const fn showing(&self) -> Showing {
        self.showing
    }

    /// For those who write rows.
    pub(super) const fn view(&self) -> View<'_> {
        View { rows: &self.names, services: &self.registered }
    }

    /// The line on which the cursor is, by its place.
    pub(super) fn cursor(&self) -> usize {
        let chosen = self.chosen.as_ref();
        chosen.and_then(|port| self.board.lines.iter().position(|line| line.port == *port)).unwrap_or(0)
    }

    /// The line on which the cursor is.
    pub(super) fn chosen(&self) -> Option<&Line> {
        let chosen = self.chosen.as_ref();
        chosen.and_then(|port| self.board.lines.iter().find(|line| line.port == *port))
    }

    /// The port on which the cursor is, whether anything is there now or not.
    pub(super) const fn chosen_port(&self) -> Option<&Port> {
        self.chosen.as_ref()
    }

    /// Shows a board, and says whether anything is to be drawn.
    pub(super) fn show(&mut self, made: Made) -> bool {
        if self.motion == Motion::Paused {
            return false;
        }
        self.names = Rows { networks: made.board.networks.clone(), ..Rows::default() };
        self.board = made.board;
        self.at = SystemTime::now();
        self.hidden = made.hidden;
        self.sort();
        true
    }

    fn sort(&mut self) {
        self.board.sort(self.order);
        if self.chosen.is_none() {
            self.chosen = self.board.lines.first().map(|line| line.port.clone());
        }
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'C')) {
            return Next::Leave;
        }
        if self.typed.is_some() {
            return self.edit(key.code, control);
        }
        self.said = None;
        match (self.showing, key.code) {
            (Showing::Help, _) => self.showing = Showing::Ports,
            (_, KeyCode::Char('q')) => return Next::Leave,
            (_, KeyCode::Char('?' | 'h') | KeyCode::F(1)) => self.showing = Showing::Help,
            (_, KeyCode::Char(' ')) => {
                self.motion = if self.motion == Motion::Paused { Motion::Going } else { Motion::Paused };
            }
            (Showing::Port, KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Left) => {
                self.showing = Showing::Ports;
            }
            (Showing::Ports, KeyCode::Enter | KeyCode::Right) if self.chosen().is_some() => {
                (self.showing, self.talkers_top) = (Showing::Port, 0);
            }
            (_, KeyCode::Char('/')) => {
                (self.showing, self.typed) = (Showing::Ports, Some(self.filter.clone()));
            }
            (Showing::Ports, KeyCode::Esc) if !self.filter.is_empty() => {
                self.filter.clear();
                return Next::Select(Selector::all());
            }
            (_, KeyCode::Char('s')) => self.sort_by(self.order.next()),
            (_, KeyCode::Char('t')) => self.sort_by(Order::Traffic),
            (_, KeyCode::Char('c')) => self.sort_by(Order::Change),
            (_, KeyCode::Char('p')) => self.sort_by(Order::Port),
            (_, KeyCode::Char('n')) => self.sort_by(Order::Connections),
            (_, code) => self.go(code),
        }
        Next::Stay
    }

    fn sort_by(&mut self, order: Order) {
        (self.order, self.showing) = (order, Showing::Ports);
        self.sort();
    }

    /// Moves the cursor, or the talkers of a port.
    fn go(&mut self, code: KeyCode) {
        let (place, last) = match self.showing {
            Showing::Ports => (self.cursor(), self.board.lines.len().saturating_sub(1)),
            _ => {
                let count = self.chosen().map_or(0, |line| line.talkers.len());
                (self.talkers_top, count.saturating_sub(self.page))
            }
        };
        let to = match code {
            KeyCode::Up | KeyCode::Char('k') => place.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => place + 1,
            KeyCode::PageUp => place.saturating_sub(self.page),
            KeyCode::PageDown => place + self.page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            _ => return,
        };
        let to = to.min(last);
        match self.showing {
            Showing::Ports => self.chosen = self.board.lines.get(to).map(|line| line.port.clone()),
            _ => self.talkers_top = to,
        }
    }

    /// A key while the filter is typed.
    fn edit(&mut self, code: KeyCode, control: bool) -> Next {
        let Some(typed) = &mut self.typed else { return Next::Stay };
        match code {
            KeyCode::Char('u') if control => typed.clear(),
            KeyCode::Char(letter) if !control => typed.push(letter),
            KeyCode::Backspace => drop(typed.pop()),
            KeyCode::Esc => (self.typed, self.said) = (None, None),
            KeyCode::Enter => {
                let text = typed.trim().to_owned();
                match self.parse(&text) {
                    Ok(selector) => {
                        (self.filter, self.typed, self.said) = (text, None, None);
                        (self.chosen, self.top) = (None, 0);
                        return Next::Select(selector);
                    }
                    // It stays to be mended.
                    Err(error) => self.said = Some(error),
                }
            }
            _ => {}
        }
        Next::Stay
    }
}

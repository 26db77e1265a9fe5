//! The page of `wharf top`: ports with their talkers.
//!
//! A thread takes samples and makes boards of them ([`sampler`]); this one waits for keys and draws. [`app`] is what there is to be
//! drawn and what a key does to it; each panel has a file. The terminal is set back however this ends: by a key, a signal, an
//! error or a panic.

mod app;
mod cells;
mod details;
mod footer;
mod header;
mod help;
mod ports;
mod sampler;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::{Constraint, Layout};
use thiserror::Error;
use wharf_host::pause::{Pause, Woken};
use wharf_host::snapshot::{Networks, SnapshotError};
use wharf_host::traffic::Order;

use self::app::{App, Next, Showing};
use self::sampler::{Sampling, Told};

/// So long a key waits at most to be heard while a board is waited for, and a board for a key.
const TURN: Duration = Duration::from_millis(50);

/// What is to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The selector, as it was typed.
    pub(crate) filter: String,
    /// How ports are sorted.
    pub(crate) order: Order,
    /// How often everything is looked at.
    pub(crate) every: Duration,
    /// Which networks.
    pub(crate) networks: Networks,
}

/// Why there is no page, or no more.
#[derive(Debug, Error)]
pub(crate) enum TopError {
    /// Nothing can be listed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The terminal, or a signal, can't be had.
    #[error("use the terminal: {0} (is TERM set, and standard input the terminal?)")]
    Terminal(#[from] io::Error),
}

/// Shows the page until it is left.
///
/// # Errors
/// [`TopError`]; the terminal is as it was.
pub(crate) fn run(config: Config) -> Result<(), TopError> {
    // Before any thread, so that none of them is interrupted.
    let pause = Pause::open()?;
    let mut app = App::new(&config);
    let sampling = Sampling::begin(&config, app.selector())?;
    // From here on a panic sets the terminal back before it is told.
    let mut terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
    let result = turn_until_left(&mut terminal, &pause, &mut app, &sampling);
    ratatui::restore();
    result
}

fn turn_until_left(
    terminal: &mut DefaultTerminal,
    pause: &Pause,
    app: &mut App,
    sampling: &Sampling,
) -> Result<(), TopError> {
    let mut is_stale = true;
    loop {
        if let Some(told) = sampling.latest() {
            match told {
                Told::Board(board) => is_stale |= app.show(*board),
                Told::Failed(error) => return Err(error.into()),
            }
        }
        if std::mem::take(&mut is_stale) {
            terminal.draw(|frame| draw(frame, app))?;
        }
        // The terminal is asked for keys only where there are some: once it is gone, asking would never end.
        match pause.wait_for_keys(TURN)? {
            Woken::Ended => return Ok(()),
            Woken::Resized => is_stale = true,
            Woken::Typed => {}
            Woken::Elapsed => continue,
        }
        while event::poll(Duration::ZERO)? {
            is_stale = true;
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                match app.press(key) {
                    Next::Stay => {}
                    Next::Leave => return Ok(()),
                    Next::Select(selector) => sampling.select(selector),
                }
            }
        }
    }
}

/// Draws everything.
fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let parts = [Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)];
    let [top, middle, bottom] = Layout::vertical(parts).areas(frame.area());
    header::draw(frame, top, app);
    match app.showing() {
        Showing::Ports => ports::draw(frame, middle, app),
        Showing::Port => details::draw(frame, middle, app),
        Showing::Help => help::draw(frame, middle, app),
    }
    footer::draw(frame, bottom, app);
}

//! Where text goes: a terminal with a width and colours, or something else that takes every letter as it is.

use std::io::{self, IsTerminal as _};

/// What standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Letters in a line of the terminal; `None` where nothing is ever cut.
    pub(crate) width: Option<usize>,
    /// Whether there are colours.
    pub(crate) colour: Colour,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColourChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// Whether long cells are cut on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitting {
    /// So that a row takes one line.
    Cut,
    /// Never: lines run on.
    Whole,
}

/// What is taken for the columns and lines of a terminal that doesn't tell them.
const USUAL_SIZE: (usize, usize) = (80, 24);

impl Screen {
    /// Standard output. Only a terminal is asked for its size.
    pub(crate) fn of_stdout(choice: ColourChoice, fitting: Fitting) -> Screen {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_coloured = match choice {
            ColourChoice::Always => true,
            ColourChoice::Never => false,
            ColourChoice::Auto => {
                is_terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let width = (is_terminal && fitting == Fitting::Cut).then(|| size().0);
        Screen { width, colour: if is_coloured { Colour::On } else { Colour::Off } }
    }

    /// The same terminal with the size that it has now, and its lines.
    pub(crate) fn again(self) -> (Screen, usize) {
        let (width, height) = size();
        (Screen { width: self.width.map(|_| width), ..self }, height)
    }
}

/// Columns and lines of the terminal that standard output is.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    let told = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    let (width, height) = told.unwrap_or_default();
    (if width > 0 { width } else { USUAL_SIZE.0 }, if height > 0 { height } else { USUAL_SIZE.1 })
}

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As everything else.
    #[default]
    Plain,
    /// A heading.
    Head,
    /// It is there and serves, or has just come.
    Good,
    /// It asks for attention.
    Notable,
    /// It has gone wrong, or is gone.
    Bad,
    /// It matters less.
    Faint,
}

impl Tone {
    /// What a terminal is told before the text (ECMA-48, SGR); the sixteen colours that every terminal lets its user choose.
    pub(crate) const fn start(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Head => "\x1b[1m",
            Tone::Good => "\x1b[32m",
            Tone::Notable => "\x1b[33m",
            Tone::Bad => "\x1b[31m",
            Tone::Faint => "\x1b[2m",
        }
    }

    /// And after it.
    pub(crate) const fn end(self) -> &'static str {
        match self {
            Tone::Plain => "",
            _ => "\x1b[0m",
        }
    }
}

//! A page of a terminal that is drawn again and again, in its second screen: the first is as it was when wharf ends.

use std::io::{self, BufWriter, Write};

/// To the second screen, without a cursor, and lines that are too long end at the edge.
const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const CLOSE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The second screen of a terminal. Dropping it gives the terminal back, whatever happened.
#[derive(Debug)]
pub(crate) struct Live(());

impl Live {
    /// Goes there.
    ///
    /// # Errors
    /// The terminal's.
    pub(crate) fn open() -> io::Result<Live> {
        let mut out = io::stdout().lock();
        out.write_all(OPEN.as_bytes()).and_then(|()| out.flush()).map(|()| Live(()))
    }

    /// Draws a line and a text below it on a screen of so many lines; what has no room is counted.
    ///
    /// # Errors
    /// The terminal's.
    pub(crate) fn draw(&self, head: &str, text: &str, height: usize) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        write!(out, "\x1b[H{head}\x1b[K\r\n")?;
        let (lines, room) = (text.lines().count(), height.saturating_sub(2));
        let shown = if lines > room { room.saturating_sub(1) } else { lines };
        for line in text.lines().take(shown) {
            write!(out, "{line}\x1b[K\r\n")?;
        }
        if lines > shown {
            write!(out, "and {} lines more (a selector picks fewer)\x1b[K\r\n", lines - shown)?;
        }
        write!(out, "\x1b[J")?;
        out.flush()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Nobody is left to tell when the terminal is gone.
        let _ = out.write_all(CLOSE.as_bytes()).and_then(|()| out.flush());
    }
}

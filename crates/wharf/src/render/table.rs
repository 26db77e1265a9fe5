//! Text tables: columns as wide as their widest cell, and no wider than the terminal.
//!
//! The cells are written twice, first to be measured and then to be seen: a table of half a million rows needs no memory
//! for them. Where a terminal is too narrow, columns that may be left out go first, then long cells are cut, and
//! the caller is told, who says so. Columns in which nothing stands are left out everywhere.
//!
//! Deliberately absent: frames and lines, which cost width, and wrapping in cells, which tears rows apart.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::screen::{Colour, Screen, Tone};

/// Between two columns.
const GAP: usize = 2;

/// The head of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its title.
    pub(crate) title: &'static str,
    /// Where its cells stand.
    pub(crate) side: Side,
    /// How its cells get shorter on a narrow terminal.
    pub(crate) shrink: Shrink,
    /// When it is left out on a narrow terminal: 1 goes first; 0 never.
    pub(crate) spare: u8,
}

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// How cells get shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shrink {
    /// They don't.
    Never,
    /// Their end goes; so much stays.
    End(usize),
    /// Their middle goes, so that the port of an endpoint stays; so much stays.
    Middle(usize),
}

/// What a table shows.
pub(crate) trait Cells {
    /// What a line stands for.
    type Item<'a>: Copy;

    /// The columns.
    fn heads(&self) -> &[Head];

    /// Writes the cell of a column, which is empty when it is called, and says how it is meant.
    fn cell(&self, item: Self::Item<'_>, column: usize, out: &mut String) -> Tone;

    /// Writes what stands below the line, indented; nothing where nothing is to be said.
    fn below(&self, _item: Self::Item<'_>, _out: &mut String) {}
}

/// What a narrow terminal took from a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Titles of columns that were left out.
    pub(crate) left_out: Vec<&'static str>,
    /// How many cells were cut.
    pub(crate) cut: usize,
}

impl Taken {
    /// Adds what was taken from another table of the same page.
    pub(crate) fn add(&mut self, other: Taken) {
        self.cut += other.cut;
        for title in other.left_out {
            if !self.left_out.contains(&title) {
                self.left_out.push(title);
            }
        }
    }

    /// What is said of it: which columns are missing, and how to see all; `None` where nothing was taken.
    pub(crate) fn sentence(&self, how: &str) -> Option<String> {
        let left_out = self.left_out.join(", ");
        match (self.left_out.is_empty(), self.cut) {
            (true, 0) => None,
            (true, _) => Some(format!("… marks what was cut to fit the terminal ({how} shows it whole)")),
            (false, 0) => Some(format!("{left_out}: left out to fit the terminal ({how} shows all)")),
            (false, _) => Some(format!(
                "{left_out}: left out, and … marks what was cut, to fit the terminal ({how} shows all)"
            )),
        }
    }
}

/// Writes a table with its heads. Nothing is written where there are no items.
///
/// # Errors
/// The writer's.
pub(crate) fn write<'a, C: Cells>(
    out: &mut impl Write,
    screen: Screen,
    cells: &C,
    items: impl Iterator<Item = C::Item<'a>> + Clone,
) -> io::Result<Taken> {
    let mut columns = measure(cells, items.clone());
    let mut taken = Taken::default();
    if let Some(width) = screen.width {
        fit(&mut columns, width, &mut taken);
    }
    if columns.is_empty() {
        return Ok(taken);
    }
    let mut pen = Pen { out, screen, cell: String::new(), line: String::new(), cut: 0 };
    pen.line(&columns, |column, cell| {
        cell.push_str(column.head.title);
        Tone::Head
    })?;
    for item in items {
        pen.line(&columns, |column, cell| cells.cell(item, column.index, cell))?;
        pen.below(|text| cells.below(item, text))?;
    }
    taken.cut = pen.cut;
    Ok(taken)
}

/// A column as it will be seen.
#[derive(Clone, Copy, Debug)]
struct Column {
    index: usize,
    head: Head,
    width: usize,
}

/// The columns in which something stands, as wide as it is.
fn measure<'a, C: Cells>(cells: &C, items: impl Iterator<Item = C::Item<'a>>) -> Vec<Column> {
    let heads = cells.heads();
    let mut widths = vec![0; heads.len()];
    let mut cell = String::new();
    for item in items {
        for (column, width) in widths.iter_mut().enumerate() {
            cell.clear();
            cells.cell(item, column, &mut cell);
            *width = (*width).max(width_of(&cell));
        }
    }
    let columns = heads.iter().zip(widths).enumerate().filter(|(_, (_, width))| *width > 0);
    let column = |(index, (head, width)): (usize, (&Head, usize))| Column {
        index,
        head: *head,
        width: width.max(width_of(head.title)),
    };
    columns.map(column).collect()
}

/// Makes the columns fit: those to spare are left out, then the widest get narrower.
fn fit(columns: &mut Vec<Column>, width: usize, taken: &mut Taken) {
    let total = |columns: &[Column]| {
        columns.iter().map(|column| column.width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while total(columns) > width {
        let spare = columns.iter().enumerate().filter(|(_, column)| column.head.spare > 0);
        let Some((place, _)) = spare.min_by_key(|(_, column)| column.head.spare) else { break };
        taken.left_out.push(columns.remove(place).head.title);
    }
    while total(columns) > width {
        let room = |column: &Column| match column.head.shrink {
            Shrink::Never => 0,
            Shrink::End(least) | Shrink::Middle(least) => column.width.saturating_sub(least),
        };
        let widest = columns.iter_mut().filter(|column| room(column) > 0).max_by_key(|column| column.width);
        let Some(widest) = widest else { break };
        widest.width -= 1;
    }
}

/// Writes lines.
struct Pen<'a, W> {
    out: &'a mut W,
    screen: Screen,
    cell: String,
    line: String,
    cut: usize,
}

impl<W: Write> Pen<'_, W> {
    fn line(
        &mut self,
        columns: &[Column],
        mut write: impl FnMut(&Column, &mut String) -> Tone,
    ) -> io::Result<()> {
        self.line.clear();
        let mut blanks = 0;
        for column in columns {
            self.cell.clear();
            let tone = write(column, &mut self.cell);
            let mut width = width_of(&self.cell);
            if width > column.width {
                cut(&mut self.cell, column.head.shrink, column.width);
                self.cut += 1;
                width = width_of(&self.cell);
            }
            let missing = column.width.saturating_sub(width);
            let (before, after) = match column.head.side {
                Side::Left => (0, missing),
                Side::Right => (missing, 0),
            };
            // Blanks are written when something follows: no line ends with them.
            blanks += before;
            if !self.cell.is_empty() {
                self.line.extend(std::iter::repeat_n(' ', blanks));
                blanks = 0;
                let is_coloured = self.screen.colour == Colour::On;
                self.line.push_str(if is_coloured { tone.start() } else { "" });
                self.line.push_str(&self.cell);
                self.line.push_str(if is_coloured { tone.end() } else { "" });
            }
            blanks += after + GAP;
        }
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())
    }

    /// What stands below a line, broken between words where the terminal ends.
    fn below(&mut self, write: impl FnOnce(&mut String)) -> io::Result<()> {
        const INDENT: &str = "      ";
        self.cell.clear();
        write(&mut self.cell);
        if self.cell.is_empty() {
            return Ok(());
        }
        let tone = if self.screen.colour == Colour::On { Tone::Faint } else { Tone::Plain };
        let width = self.screen.width.unwrap_or(usize::MAX);
        self.line.clear();
        let mut at = 0;
        for part in self.cell.split_inclusive(", ") {
            if at == 0 || at + part.trim_end().width() > width {
                self.line.push_str(if at == 0 { "" } else { "\n" });
                self.line.push_str(INDENT);
                at = INDENT.len();
            }
            self.line.push_str(part);
            at += part.width();
        }
        writeln!(self.out, "{}{}{}", tone.start(), self.line, tone.end())
    }
}

/// How many places of a terminal a text takes.
fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Makes a cell shorter and marks the place.
fn cut(cell: &mut String, shrink: Shrink, width: usize) {
    match shrink {
        Shrink::Never => {}
        Shrink::End(_) => {
            let kept = head_of(cell, width.saturating_sub(1)).len();
            cell.truncate(kept);
            cell.push('…');
        }
        Shrink::Middle(_) => {
            let room = width.saturating_sub(1);
            // `]:443`, at least.
            let port = cell.rfind(':').map_or(0, |at| cell.len() - at + 1);
            let tail = tail_of(cell, port.max(room / 2).min(room));
            let head = head_of(cell, room - width_of(tail));
            *cell = format!("{head}…{tail}");
        }
    }
}

/// The longest start of a text that takes no more than `width`.
fn head_of(text: &str, width: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, letter)| {
        taken += letter.width().unwrap_or(0);
        taken > width
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// The longest end of a text that takes no more than `width`.
fn tail_of(text: &str, width: usize) -> &str {
    let mut taken = 0;
    let start = text.char_indices().rev().find(|(_, letter)| {
        taken += letter.width().unwrap_or(0);
        taken > width
    });
    start.map_or(text, |(at, letter)| &text[at + letter.len_utf8()..])
}

#[cfg(test)]
mod tests;

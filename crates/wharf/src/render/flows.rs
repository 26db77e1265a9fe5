//! Flows of runs as a table.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use wharf_host::runs::{Ends, Flow};

use super::measure::{Size, Span};
use super::page::Mark;
use super::screen::{Screen, Tone};
use super::table::{self, Cells, Head, Shrink, Side, Taken};
use super::text::push_safe;

/// A flow in a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// The flow.
    pub(crate) flow: &'a Flow,
    /// What happened to it.
    pub(crate) mark: Mark,
}

const LEFT: Head = Head { title: "", side: Side::Left, shrink: Shrink::Never, spare: 0 };
const RIGHT: Head = Head { side: Side::Right, ..LEFT };
const END: Head = Head { shrink: Shrink::Middle(15), ..LEFT };
const WORDS: Head = Head { shrink: Shrink::End(10), ..LEFT };

/// The columns, in the order of [`Flows::cell`]. Without those to spare, the others have room in 80 letters.
const HEADS: [Head; 14] = [
    Head { title: "", ..LEFT },
    Head { title: "RUN", shrink: Shrink::End(8), ..LEFT },
    Head { title: "PROTO", ..LEFT },
    Head { title: "STATE", spare: 4, ..LEFT },
    Head { title: "INSIDE", shrink: Shrink::Middle(12), ..LEFT },
    Head { title: "", ..LEFT },
    Head { title: "FAR END", ..END },
    Head { title: "NAME", ..WORDS },
    Head { title: "OUTSIDE", spare: 2, ..END },
    Head { title: "BY", spare: 1, ..WORDS },
    Head { title: "SENT", ..RIGHT },
    Head { title: "RECEIVED", ..RIGHT },
    Head { title: "AGE", spare: 3, ..RIGHT },
    Head { title: "OWNER", spare: 5, ..WORDS },
];

/// Whether a column says of which run a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunColumn {
    /// There is only one.
    Absent,
    /// There are several.
    Present,
}

/// A table of flows.
struct Flows {
    runs: RunColumn,
}

impl Cells for Flows {
    type Item<'a> = Item<'a>;

    fn heads(&self) -> &[Head] {
        &HEADS
    }

    fn cell(&self, Item { flow, mark }: Item<'_>, column: usize, out: &mut String) -> Tone {
        let mut plain = |text: &dyn std::fmt::Display| {
            let _ = write!(out, "{text}");
        };
        match column {
            0 => {
                out.push_str(mark.letter());
                return mark.tone();
            }
            1 if self.runs == RunColumn::Present => push_safe(out, &flow.network),
            2 => push_safe(out, &flow.protocol),
            3 => push_safe(out, &flow.state),
            4 => flow.inside.local.iter().for_each(|end| plain(end)),
            5 => out.push_str(if flow.direction == "inward" { "<-" } else { "->" }),
            6 => flow.inside.remote.iter().for_each(|end| plain(end)),
            7 => push_safe(out, flow.name.as_deref().unwrap_or_default()),
            8 => write_outside(out, flow),
            9 => write_by(out, flow),
            10 => plain(&Size(flow.sent_bytes)),
            11 => plain(&Size(flow.received_bytes)),
            12 => plain(&Span(Duration::try_from_secs_f64(flow.age_s).unwrap_or_default())),
            13 => write_owner(out, flow),
            _ => {}
        }
        if column == 3 && flow.state == "syn_sent" { Tone::Notable } else { Tone::Plain }
    }
}

/// The host's own end, and the far one where it is another than the program sees.
fn write_outside(out: &mut String, flow: &Flow) {
    let Some(Ends { local, remote }) = flow.outside else { return };
    if let Some(local) = local {
        let _ = write!(out, "{local}");
    }
    if let Some(remote) = remote.filter(|_| remote != flow.inside.remote) {
        let _ = write!(out, " {} {remote}", if flow.direction == "inward" { "<-" } else { "->" });
    }
}

/// What let it through, and the way that it takes where that is not the usual one.
fn write_by(out: &mut String, flow: &Flow) {
    push_safe(out, flow.rule.as_deref().unwrap_or_default());
    if flow.path != "frames" {
        out.push_str(" (");
        push_safe(out, &flow.path);
        out.push(')');
    }
}

fn write_owner(out: &mut String, flow: &Flow) {
    let Some(owner) = &flow.owner else { return };
    push_safe(out, owner.command.as_deref().unwrap_or("?"));
    if let Some(pid) = owner.pid {
        let _ = write!(out, " ({pid})");
    }
}

/// Writes flows as a table.
///
/// # Errors
/// The writer's.
pub(crate) fn write<'a>(
    out: &mut impl Write,
    screen: Screen,
    runs: RunColumn,
    items: impl Iterator<Item = Item<'a>> + Clone,
) -> io::Result<Taken> {
    table::write(out, screen, &Flows { runs }, items)
}

/// Writes a flow in a line: what a log tells of it.
pub(crate) fn write_line(out: &mut String, flow: &Flow) {
    push_safe(out, &flow.network);
    // Protocol, state, and the two ends.
    for column in 2..7 {
        out.push(' ');
        Flows { runs: RunColumn::Absent }.cell(Item { flow, mark: Mark::None }, column, out);
    }
    if let Some(name) = &flow.name {
        out.push_str(" (");
        push_safe(out, name);
        out.push(')');
    }
    let _ = write!(out, " sent {} received {}", Size(flow.sent_bytes), Size(flow.received_bytes));
    if flow.owner.is_some() {
        out.push(' ');
        write_owner(out, flow);
    }
}

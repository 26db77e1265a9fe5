//! Pieces of text that a row consists of: ends, owners, and words from the system made safe to show.

use std::fmt::{self, Write as _};

use wharf_table::rows::{End, Ownerless, Row, State};
use wharf_table::{Addr, Owner};

use super::{View, Zone};

/// An end with its zone: `192.0.2.1:443`, `[fe80::1%eth0]:22`, `127.0.0.53%lo:53`; any port is `*`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndText<'a> {
    /// The zone's name.
    pub(crate) zone: Option<Zone<'a>>,
    /// The end.
    pub(crate) end: End,
}

impl fmt::Display for EndText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let End { addr, port, .. } = self.end;
        let is_v4 = addr.is_v4();
        if !is_v4 {
            f.write_char('[')?;
        }
        write!(f, "{addr}")?;
        if let Some(zone) = self.zone {
            write!(f, "%{zone}")?;
        }
        f.write_str(if is_v4 { ":" } else { "]:" })?;
        match port {
            0 => f.write_char('*'),
            port => write!(f, "{port}"),
        }
    }
}

impl fmt::Display for Zone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Named(name) => f.write_str(name),
            Zone::Number(number) => number.fmt(f),
        }
    }
}

/// Writes a row's local end. A socket that takes both families on every address is `*:80`, as `[::]:80` takes IPv6 only.
pub(crate) fn write_local(out: &mut String, view: &View<'_>, row: &Row) {
    let end = row.local;
    if end.addr == Addr::ANY_V6 && row.v6_only == Some(false) && end.zone == 0 {
        let _ = match end.port {
            0 => out.write_str("*:*"),
            port => write!(out, "*:{port}"),
        };
    } else {
        let _ = write!(out, "{}", EndText { zone: view.zone(row.network, end), end });
    }
}

/// Writes a row's remote end; nothing where it has none.
pub(crate) fn write_remote(out: &mut String, view: &View<'_>, row: &Row) {
    if let Some(end) = row.remote {
        let _ = write!(out, "{}", EndText { zone: view.zone(row.network, end), end });
    }
}

/// Writes who holds a row: `nginx (812)`, `nginx (812), +3 workers`, `sshd (71), bash (93)`; in parentheses why nobody does.
pub(crate) fn write_owners(out: &mut String, view: &View<'_>, row: &Row) {
    let Some(main) = main_owner(view, row) else { return write_ownerless(out, view, row) };
    write_crew(out, view, row, main);
    // Of others each command once, by the first process that runs it.
    let mut told = vec![main.command.as_deref()];
    for (owner, _) in view.rows.owners(row) {
        if !told.contains(&owner.command.as_deref()) {
            told.push(owner.command.as_deref());
            out.push_str(", ");
            write_crew(out, view, row, owner);
        }
    }
}

/// Writes an owner, and how many others run the same command.
fn write_crew(out: &mut String, view: &View<'_>, row: &Row, main: &Owner) {
    write_owner(out, main);
    let is_other = |owner: &Owner| owner.pid != main.pid && owner.command == main.command;
    match view.rows.owners(row).filter(|(owner, _)| is_other(owner)).count() {
        0 => {}
        1 => out.push_str(", +1 worker"),
        workers => {
            let _ = write!(out, ", +{workers} workers");
        }
    }
}

/// The owner that stands first: the parent of others, or the oldest by its number.
pub(crate) fn main_owner<'a>(view: &View<'a>, row: &Row) -> Option<&'a Owner> {
    view.rows.owners(row).map(|(owner, _)| owner).min_by_key(|owner| {
        let is_parent =
            view.rows.owners(row).any(|(other, _)| other.parent.is_some() && other.parent == owner.pid);
        (!is_parent, owner.pid)
    })
}

fn write_owner(out: &mut String, owner: &Owner) {
    push_safe(out, owner.command.as_deref().unwrap_or("?"));
    if let Some(pid) = owner.pid {
        let _ = write!(out, " ({pid})");
    }
}

fn write_ownerless(out: &mut String, view: &View<'_>, row: &Row) {
    match row.ownerless {
        Some(Ownerless::Hidden) => {
            // The kernel tells the user and the control group of a socket whose process it hides.
            let group = view.rows.group(row);
            let what = group.and_then(|group| group.unit.as_deref().or(group.container.as_deref()));
            out.push_str("(hidden");
            if let Some(what) = what {
                out.push_str(": ");
                push_safe(out, what);
            }
            out.push(')');
        }
        // The state says it.
        Some(Ownerless::TimeWait) if row.state == State::TimeWait => {}
        Some(Ownerless::TimeWait) => out.push_str("(time_wait)"),
        Some(Ownerless::Kernel) => out.push_str("(kernel)"),
        Some(Ownerless::Unaccepted) => out.push_str("(not accepted yet)"),
        Some(Ownerless::Unasked) | None => {}
    }
}

/// Adds a word of the system. A command may be called anything: what would steer a terminal is written as an escape.
pub(crate) fn push_safe(out: &mut String, word: &str) {
    for letter in word.chars() {
        if letter.is_control() || is_invisible(letter) {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
}

/// What turns the direction of writing or takes no room, and so can hide a part of a name.
const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

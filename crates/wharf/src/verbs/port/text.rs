//! What is known of ports as text: a paragraph for each where they are few, a table where they are many.

use std::fmt::Write as _;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;
use wharf_host::registry::Entry;
use wharf_table::registry::Status;

use super::ask::{Meant, Subject};
use super::told::{Sources, Told, class};
use crate::render::screen::{Colour, Screen, Tone};
use crate::services;

/// So many are told in full.
const FEW: usize = 3;
/// Where the text of a paragraph starts.
const INDENT: usize = 17;

/// Ports that follow each other and are told with the same words.
struct Run<'a> {
    last: u16,
    told: Told<'a>,
}

/// Writes all that is meant.
pub(super) fn write(
    out: &mut impl Write,
    sources: &Sources<'_>,
    meant: &Meant<'_>,
    screen: Screen,
) -> io::Result<()> {
    let runs = runs(sources, meant);
    let portless = meant.subjects.iter().filter_map(|subject| match subject {
        Subject::Portless(entry) => Some(*entry),
        Subject::Ports(..) => None,
    });
    let portless: Vec<Entry<'_>> = portless.collect();
    let mut text = String::new();
    let page = Page { screen, sources };
    if runs.len() + portless.len() <= FEW {
        for run in &runs {
            page.paragraph(&mut text, run);
        }
        for entry in &portless {
            page.portless(&mut text, entry);
        }
    } else {
        page.table(&mut text, &runs, &portless);
    }
    for note in &meant.notes {
        let _ = writeln!(text, "{note}");
    }
    page.foot(&mut text, &runs);
    out.write_all(text.as_bytes())
}

fn runs<'a>(sources: &'a Sources<'a>, meant: &Meant<'_>) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for subject in &meant.subjects {
        let Subject::Ports(ports, only) = subject else { continue };
        for port in ports.iter() {
            let told = sources.tell(port, *only);
            match runs.last_mut() {
                Some(run) if run.last.checked_add(1) == Some(port) && run.told.is_like(&told) => {
                    run.last = port;
                }
                _ => runs.push(Run { last: port, told }),
            }
        }
    }
    runs
}

impl Run<'_> {
    fn ports(&self) -> String {
        match self.told.port {
            first if first == self.last => first.to_string(),
            first => format!("{first}-{}", self.last),
        }
    }
}

/// Rows with the same name and words, which differ in nothing a table shows.
fn grouped<'a>(entries: &[Entry<'a>]) -> Vec<(Entry<'a>, String)> {
    let mut groups: Vec<(Entry<'a>, String)> = Vec::new();
    for entry in entries {
        let protocols = protocols(entry);
        match groups.iter_mut().find(|(it, _)| it.name == entry.name && it.description == entry.description) {
            Some((_, there)) => {
                let _ = write!(there, " {protocols}");
            }
            None => groups.push((*entry, protocols)),
        }
    }
    groups
}

fn protocols(entry: &Entry<'_>) -> String {
    entry.transports().collect::<Vec<_>>().join(" ")
}

/// A long note by its beginning, which says where the rest is.
fn shortened(note: &str) -> String {
    const MOST: usize = 240;
    match note.char_indices().nth(MOST) {
        None => note.to_owned(),
        Some((end, _)) => {
            let whole = note[..end].rfind(' ').unwrap_or(end);
            format!("{} ... (all of it with --json)", &note[..whole])
        }
    }
}

/// Where it is written.
struct Page<'a> {
    screen: Screen,
    sources: &'a Sources<'a>,
}

impl Page<'_> {
    fn toned(&self, tone: Tone, text: &str) -> String {
        match self.screen.colour {
            Colour::On => format!("{}{text}{}", tone.start(), tone.end()),
            Colour::Off => text.to_owned(),
        }
    }

    /// One port, or a run of ports, in full.
    fn paragraph(&self, text: &mut String, run: &Run<'_>) {
        let told = &run.told;
        let ports = if told.port == run.last { "port" } else { "ports" };
        let head = self.toned(Tone::Head, &run.ports());
        let _ = writeln!(text, "{head}  {} {ports}", class(told.port));
        let mut label = "registered as";
        for entry in &told.entries {
            self.entry(text, label, entry);
            label = "";
        }
        for status in [Status::Unassigned, Status::NotAssignable] {
            let those = told.without.iter().filter(|(_, it)| *it == status).map(|(protocol, _)| *protocol);
            let those: Vec<&str> = those.collect();
            let words = match status {
                Status::NotAssignable => "nothing, and never will be: dynamic ports are not assignable",
                _ => "nothing: unassigned",
            };
            if !those.is_empty() {
                self.lines(text, label, &format!("{words}  ({})", those.join(" ")));
                label = "";
            }
        }
        let mut label = "common use";
        for it in &told.common {
            self.lines(text, label, &format!("{}  ({})", it.text, it.protocols.replace(',', " ")));
            self.lines(text, "", &self.toned(Tone::Faint, it.source));
            label = "";
        }
        let mut label = "on this host";
        for line in told.differing() {
            let said =
                format!("{} calls it {}  ({}), and wins here", services::PATH, line.name, line.protocol);
            self.lines(text, label, &said);
            label = "";
        }
        self.lines(text, label, &self.ephemeral(told));
        text.push('\n');
    }

    fn ephemeral(&self, told: &Told<'_>) -> String {
        let (first, last) = self.sources.here.ephemeral;
        let is_kept = self.sources.here.reserved.contains(told.port);
        match (told.is_ephemeral, is_kept) {
            (true, _) => format!("ephemeral: the kernel may give it to any client ({first}-{last})"),
            (false, true) => "kept by net.ipv4.ip_local_reserved_ports: no client is given it".to_owned(),
            (false, false) => format!("not ephemeral: clients are given {first}-{last}"),
        }
    }

    /// A row of the registry: what it says, then what else it tells.
    fn entry(&self, text: &mut String, label: &str, entry: &Entry<'_>) {
        let protocols = match protocols(entry) {
            none if none.is_empty() => "any protocol".to_owned(),
            some => some,
        };
        let name = match entry.status() {
            Status::Assigned => self.toned(Tone::Good, entry.name),
            Status::Unassigned => "nothing: unassigned".to_owned(),
            _ => "reserved".to_owned(),
        };
        let is_said = ["reserved", "unassigned"].iter().any(|it| entry.description.eq_ignore_ascii_case(it));
        let says = if is_said { "" } else { entry.description };
        let colon = if says.is_empty() { "" } else { ": " };
        self.lines(text, label, &format!("{name}{colon}{says}  ({protocols})"));
        let mut more: Vec<String> = Vec::new();
        if !entry.references.is_empty() {
            more.push(entry.references.replace(',', ", "));
        }
        if !entry.registered.is_empty() {
            more.push(format!("registered {}", entry.registered));
        }
        if !entry.modified.is_empty() {
            more.push(format!("changed {}", entry.modified));
        }
        if !entry.service_code.is_empty() {
            more.push(format!("service code {}", entry.service_code));
        }
        if entry.is_used_unauthorized {
            more.push("unauthorised use is reported".to_owned());
        }
        if !more.is_empty() {
            self.faint(text, &more.join("; "));
        }
        if !entry.note.is_empty() {
            self.faint(text, &shortened(entry.note));
        }
    }

    /// A name that is registered without a port.
    fn portless(&self, text: &mut String, entry: &Entry<'_>) {
        let head = self.toned(Tone::Head, entry.name);
        let _ = writeln!(text, "{head}  a service name without a port");
        self.entry(text, "registered as", entry);
        text.push('\n');
    }

    fn faint(&self, text: &mut String, words: &str) {
        for line in wrapped(words, self.width(INDENT)) {
            let _ = writeln!(text, "{:INDENT$}{}", "", self.toned(Tone::Faint, &line));
        }
    }

    /// A label and words beside it, on as many lines as they need.
    fn lines(&self, text: &mut String, label: &str, words: &str) {
        let mut label = format!("  {label}");
        for line in wrapped(words, self.width(INDENT)) {
            let _ = writeln!(text, "{label:INDENT$}{line}");
            label.clear();
        }
    }

    /// How many letters have room behind an indent.
    fn width(&self, indent: usize) -> Option<usize> {
        self.screen.width.map(|width| width.saturating_sub(indent).max(20))
    }

    fn table(&self, text: &mut String, runs: &[Run<'_>], portless: &[Entry<'_>]) {
        let mut rows: Vec<[String; 4]> = Vec::new();
        for run in runs {
            let mut ports = run.ports();
            let here: Vec<String> =
                run.told.differing().map(|line| format!("{}/{}", line.name, line.protocol)).collect();
            let uses = run.told.common.iter().map(|it| it.text).collect::<Vec<_>>().join("; ");
            let mut uses = if uses.is_empty() { uses } else { format!("[used for: {uses}]") };
            if !here.is_empty() {
                let space = if uses.is_empty() { "" } else { " " };
                let _ = write!(uses, "{space}[{}: {}]", services::PATH, here.join(", "));
            }
            let known = run.told.entries.iter().filter(|entry| entry.status() != Status::Unassigned);
            let known: Vec<Entry<'_>> = known.copied().collect();
            if known.is_empty() {
                let never = run.told.without.iter().any(|&(_, status)| status == Status::NotAssignable);
                let name = if never { "(not assignable)" } else { "(unassigned)" };
                rows.push([ports, name.to_owned(), String::new(), uses]);
                continue;
            }
            let is_shown = |entry: &Entry<'_>| {
                !entry.name.is_empty() || !entry.description.eq_ignore_ascii_case("reserved")
            };
            let has_shown = known.iter().any(is_shown);
            for (entry, protocols) in
                grouped(&known).into_iter().filter(|(entry, _)| !has_shown || is_shown(entry))
            {
                let (name, mut says) = match entry.name {
                    "" => ("(reserved)", entry.description.replace("Reserved", "")),
                    name => (name, entry.description.to_owned()),
                };
                if !uses.is_empty() {
                    says = format!("{says} {}", std::mem::take(&mut uses));
                }
                rows.push([std::mem::take(&mut ports), name.to_owned(), protocols, says.trim().to_owned()]);
            }
        }
        for entry in portless {
            let (name, says) = (entry.name.to_owned(), entry.description.to_owned());
            rows.push(["no port".to_owned(), name, protocols(entry), says]);
        }
        self.rows(text, &rows);
    }

    fn rows(&self, text: &mut String, rows: &[[String; 4]]) {
        let widest = |column: usize, most: usize| {
            rows.iter().map(|row| row[column].width()).max().unwrap_or(0).min(most)
        };
        let (first, second, third) = (widest(0, 11), widest(1, 18), widest(2, 18));
        let indent = first + second + third + 6;
        for [ports, name, protocols, says] in rows {
            let ports = format!("{ports:>first$}");
            let _ = write!(text, "{}  ", self.toned(Tone::Head, &ports));
            let mut lines = wrapped(says, self.width(indent)).into_iter();
            let line = format!("{name:second$}  {protocols:third$}  {}", lines.next().unwrap_or_default());
            let _ = writeln!(text, "{}", line.trim_end());
            for line in lines {
                let _ = writeln!(text, "{:indent$}{line}", "");
            }
        }
        text.push('\n');
    }

    /// Where this comes from, and what it does not mean.
    fn foot(&self, text: &mut String, runs: &[Run<'_>]) {
        let date = self.sources.registry.date().unwrap_or("an unknown date");
        let mut words = format!("IANA's registry of {date}. What is registered need not be what runs there");
        if let [run] = runs
            && run.told.port == run.last
            && run.last != 0
        {
            let _ = write!(words, ": wharf who {} tells.", run.last);
        } else {
            words.push('.');
        }
        for line in wrapped(&words, self.screen.width) {
            let _ = writeln!(text, "{}", self.toned(Tone::Faint, &line));
        }
    }
}

/// The text in lines of `width` letters at most, where that can be: a longer word stands alone. Without a width one line.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        // What tells a terminal its colours takes no room.
        let room = |text: &str| text.width() - if text.contains('\x1b') { hidden(text) } else { 0 };
        if !line.is_empty() && room(&line) + 1 + room(word) > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        } else if !line.is_empty() || !lines.is_empty() && word.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// How many letters of a text are for the terminal only.
fn hidden(text: &str) -> usize {
    let mut total = 0;
    for part in text.split('\x1b').skip(1) {
        let end = part.find('m').map_or(part.len(), |end| end + 1);
        total += part[..end].width();
    }
    // The escape itself has a width of its own in this count.
    total + text.matches('\x1b').count() * "\x1b".width()
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", None), ["one two three"]);
        assert_eq!(wrapped("one two three", Some(7)), ["one two", "three"]);
        assert_eq!(wrapped("one two  three", Some(20)), ["one two  three"]);
        assert_eq!(wrapped("averylongword b", Some(5)), ["averylongword", "b"]);
        assert_eq!(wrapped("", Some(5)), [""]);
        assert_eq!(wrapped("\x1b[32mone\x1b[0m two three", Some(7)), ["\x1b[32mone\x1b[0m two", "three"]);
    }
}

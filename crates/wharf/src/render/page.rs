//! A list of rows as a page of text.
//!
//! A person at a terminal gets a table for each role, each with the columns that mean something there: who listens, which
//! connections were taken, which were made. Elsewhere, and where columns or an order are asked for, it is one table.

use std::fmt::Write as _;
use std::io::{self, Write};

use wharf_table::rows::{Role, Row};

use super::View;
use super::column::{Column, Form, title};
use super::measure::{Size, Span};
use super::screen::{Colour, Screen, Tone};
use super::table::{self, Cells, Head, Shrink, Side, Taken};
use super::text::push_safe;

/// How a list is shown.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Where.
    pub(crate) screen: Screen,
    /// In which columns.
    pub(crate) columns: Columns,
    /// What stands below each row.
    pub(crate) below: Below,
    /// Whether the network of a row is told.
    pub(crate) networks: NetworkColumn,
}

/// The columns of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// A table for each role, with its columns.
    Grouped,
    /// One table with the usual columns.
    Usual,
    /// One table with these.
    These(Vec<Column>),
}

/// What stands below a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Below {
    /// Nothing.
    Nothing,
    /// All that is known of it besides.
    Details,
}

/// Whether a column says in which network a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkColumn {
    /// There is only one.
    Absent,
    /// There are several.
    Present,
}

/// A row of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// What it belongs to.
    pub(crate) view: View<'a>,
    /// The row.
    pub(crate) row: &'a Row,
    /// What happened to it.
    pub(crate) mark: Mark,
}

/// What happened to a row since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing, or there was no look before.
    None,
    /// It is new.
    New,
    /// Its state or its owners are others.
    Changed,
    /// It is gone.
    Gone,
}

impl Mark {
    /// The letter in front of the row.
    pub(crate) const fn letter(self) -> &'static str {
        match self {
            Mark::None => "",
            Mark::New => "+",
            Mark::Changed => "~",
            Mark::Gone => "-",
        }
    }

    /// How the row is meant.
    pub(crate) const fn tone(self) -> Tone {
        match self {
            Mark::None => Tone::Plain,
            Mark::New => Tone::Good,
            Mark::Changed => Tone::Notable,
            Mark::Gone => Tone::Bad,
        }
    }
}

const ROLES: [Role; 4] = [Role::Listener, Role::Server, Role::Client, Role::Bound];

impl Page {
    /// Writes the list.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn write<'a>(
        &self,
        out: &mut impl Write,
        items: impl Iterator<Item = Item<'a>> + Clone,
    ) -> io::Result<Taken> {
        if self.columns != Columns::Grouped {
            return table::write(out, self.screen, &self.table(self.columns(None)), items);
        }
        let mut taken = Taken::default();
        let mut before = "";
        for role in ROLES {
            let group = items.clone().filter(move |item| item.row.role == role);
            let count = group.clone().count();
            if count == 0 {
                continue;
            }
            let tone = if self.screen.colour == Colour::On { Tone::Head } else { Tone::Plain };
            writeln!(out, "{before}{}{} ({count}){}", tone.start(), title(role), tone.end())?;
            taken.add(table::write(out, self.screen, &self.table(self.columns(Some(role))), group)?);
            before = "\n";
        }
        Ok(taken)
    }

    fn columns(&self, role: Option<Role>) -> Vec<Column> {
        use Column::{Container, Local, Network, Owner, Protocol, Remote, Role, Service, State, Unit, User};
        let usual: &[Column] = match (role, &self.columns) {
            (_, Columns::These(columns)) => return columns.clone(),
            (None, _) => &[Protocol, Role, State, Local, Remote, Service, User, Unit, Container, Owner],
            (Some(wharf_table::rows::Role::Listener | wharf_table::rows::Role::Bound), _) => {
                &[Protocol, Local, Service, User, Unit, Container, Owner]
            }
            (Some(_), _) => &[Protocol, Local, Remote, State, Service, User, Unit, Container, Owner],
        };
        let network = (self.networks == NetworkColumn::Present).then_some(Network);
        network.into_iter().chain(usual.iter().copied()).collect()
    }

    fn table(&self, columns: Vec<Column>) -> RowTable {
        let heads = columns.iter().map(|column| column.head());
        RowTable { heads: [MARK].into_iter().chain(heads).collect(), columns, below: self.below }
    }
}

const MARK: Head = Head { title: "", side: Side::Left, shrink: Shrink::Never, spare: 0 };

/// Rows as cells: a mark, then the columns.
struct RowTable {
    heads: Vec<Head>,
    columns: Vec<Column>,
    below: Below,
}

impl RowTable {
    fn column(&self, place: usize) -> Option<Column> {
        self.columns.get(place.checked_sub(1)?).copied()
    }
}

impl Cells for RowTable {
    type Item<'a> = Item<'a>;

    fn heads(&self) -> &[Head] {
        &self.heads
    }

    fn cell(&self, item: Item<'_>, place: usize, out: &mut String) -> Tone {
        match self.column(place) {
            None => {
                out.push_str(item.mark.letter());
                item.mark.tone()
            }
            Some(column) => {
                let tone = column.write(Form::People, &item.view, item.row, out);
                if item.mark == Mark::None { tone } else { item.mark.tone() }
            }
        }
    }

    fn below(&self, item: Item<'_>, out: &mut String) {
        if self.below == Below::Details {
            write_details(&item.view, item.row, out);
        }
    }
}

/// Writes all that a table has no room for: how long, how much, how fast, held by which descriptors.
fn write_details(view: &View<'_>, row: &Row, out: &mut String) {
    let mut parts = Parts(out);
    if let Some(age) = row.age() {
        parts.add(format_args!("for {}", Span(age)));
    }
    if let Some(backlog) = row.backlog {
        parts.add(format_args!("{} of {} wait to be accepted", backlog.used, backlog.limit));
    }
    if row.receive_queue_bytes > 0 {
        parts.add(format_args!("{} not read", Size(row.receive_queue_bytes.into())));
    }
    if row.send_queue_bytes > 0 {
        parts.add(format_args!("{} not acknowledged", Size(row.send_queue_bytes.into())));
    }
    if let Some(tcp) = view.rows.detail(row) {
        let micros = |us: u32| Span(std::time::Duration::from_micros(us.into()));
        parts.add(format_args!("sent {}", Size(tcp.sent_bytes)));
        parts.add(format_args!("received {}", Size(tcp.received_bytes)));
        if tcp.rtt_us > 0 {
            parts.add(format_args!("rtt {} +-{}", micros(tcp.rtt_us), micros(tcp.rtt_variation_us)));
        }
        match tcp.retransmissions {
            0 => {}
            again => parts.add(format_args!("{again} sent again ({})", Size(tcp.retransmitted_bytes))),
        }
        if tcp.lost > 0 {
            parts.add(format_args!("{} lost", tcp.lost));
        }
        let (algorithm, state) = (tcp.algorithm(), tcp.congestion);
        parts.add(format_args!(
            "{algorithm} {state}, window {} x {} B",
            tcp.congestion_window, tcp.segment_bytes
        ));
    }
    for (owner, link) in view.rows.owners(row) {
        let parts = &mut parts;
        parts.add(format_args!(""));
        push_safe(parts.0, owner.command.as_deref().unwrap_or("?"));
        let _ = write!(parts.0, " ({}) descriptor {}", owner.pid.unwrap_or_default(), link.descriptor);
    }
    if let Some(group) = view.rows.group(row).filter(|group| group.path != "/") {
        parts.add(format_args!("in "));
        push_safe(parts.0, &group.path);
    }
}

/// Parts with commas between them.
struct Parts<'a>(&'a mut String);

impl Parts<'_> {
    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        let _ = self.0.write_fmt(part);
    }
}

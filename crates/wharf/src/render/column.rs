//! The columns that rows have: their names, what stands in them, how rows are sorted by them.
//!
//! The names are those of JSON, and the unit at the end of one may be left out: `age` is `age_s`.

mod key;

use std::fmt::Write as _;

use wharf_table::rows::{Role, Row, State, TcpDetail};

pub(crate) use self::key::{Direction, usual_order};
use super::View;
use super::measure::{Size, Span};
use super::screen::Tone;
use super::table::{Head, Shrink, Side};
use super::text::{main_owner, push_safe, write_local, write_owners, write_remote};

/// For whom a cell is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A person: `1.2 KiB`, `3m 12s`.
    People,
    /// A program: `1250`, `192.000`.
    Data,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is told by its name in COLUMNS")]
pub(crate) enum Column {
    Network,
    Protocol,
    State,
    Role,
    Local,
    LocalAddress,
    LocalPort,
    Remote,
    RemoteAddress,
    RemotePort,
    Service,
    Owner,
    Pid,
    Command,
    User,
    Uid,
    Unit,
    Container,
    Ownerless,
    ReceiveQueue,
    SendQueue,
    BacklogUsed,
    BacklogLimit,
    Age,
    Sent,
    Received,
    Retransmitted,
    Retransmissions,
    Rtt,
    Congestion,
    CongestionControl,
    CongestionWindow,
    Inode,
}

const LEFT: Head = Head { title: "", side: Side::Left, shrink: Shrink::Never, spare: 0 };
const RIGHT: Head = Head { side: Side::Right, ..LEFT };
const END: Head = Head { shrink: Shrink::Middle(21), ..LEFT };
const WORDS: Head = Head { shrink: Shrink::End(12), ..LEFT };

/// Every column, its name, and its head without the title.
const COLUMNS: [(Column, &str, &str, Head); 33] = [
    (Column::Network, "network", "NETWORK", WORDS),
    (Column::Protocol, "protocol", "PROTO", LEFT),
    (Column::State, "state", "STATE", LEFT),
    (Column::Role, "role", "ROLE", LEFT),
    (Column::Local, "local", "LOCAL", END),
    (Column::LocalAddress, "local_address", "LOCAL ADDRESS", END),
    (Column::LocalPort, "local_port", "PORT", RIGHT),
    (Column::Remote, "remote", "REMOTE", END),
    (Column::RemoteAddress, "remote_address", "REMOTE ADDRESS", END),
    (Column::RemotePort, "remote_port", "REMOTE PORT", RIGHT),
    (Column::Service, "service", "SERVICE", Head { spare: 3, ..WORDS }),
    (Column::Owner, "owner", "OWNER", Head { shrink: Shrink::End(16), ..LEFT }),
    (Column::Pid, "pid", "PID", WORDS),
    (Column::Command, "command", "COMMAND", WORDS),
    (Column::User, "user", "USER", Head { spare: 2, ..WORDS }),
    (Column::Uid, "uid", "UID", RIGHT),
    (Column::Unit, "unit", "UNIT", Head { spare: 1, ..WORDS }),
    (Column::Container, "container", "CONTAINER", Head { spare: 1, ..WORDS }),
    (Column::Ownerless, "ownerless", "OWNERLESS", WORDS),
    (Column::ReceiveQueue, "receive_queue_bytes", "RECV-Q", RIGHT),
    (Column::SendQueue, "send_queue_bytes", "SEND-Q", RIGHT),
    (Column::BacklogUsed, "backlog_used", "WAITING", RIGHT),
    (Column::BacklogLimit, "backlog_limit", "BACKLOG", RIGHT),
    (Column::Age, "age_s", "AGE", RIGHT),
    (Column::Sent, "sent_bytes", "SENT", RIGHT),
    (Column::Received, "received_bytes", "RECEIVED", RIGHT),
    (Column::Retransmitted, "retransmitted_bytes", "SENT AGAIN", RIGHT),
    (Column::Retransmissions, "retransmissions", "RETRANS", RIGHT),
    (Column::Rtt, "rtt_s", "RTT", RIGHT),
    (Column::Congestion, "congestion", "CONGESTION", LEFT),
    (Column::CongestionControl, "congestion_control", "CONTROL", LEFT),
    (Column::CongestionWindow, "congestion_window", "WINDOW", RIGHT),
    (Column::Inode, "inode", "INODE", RIGHT),
];

impl Column {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Column> {
        COLUMNS.iter().map(|(column, ..)| *column)
    }

    /// The column with this name, or with this name and a unit.
    ///
    /// # Errors
    /// There is none; the text quotes what was typed and lists all names.
    pub(crate) fn named(name: &str) -> Result<Column, String> {
        let plain = name.replace('-', "_");
        let is_named = |column: &str| {
            column == plain || ["_s", "_bytes"].iter().any(|unit| column.strip_suffix(unit) == Some(&plain))
        };
        let found = COLUMNS.iter().find(|(_, column, ..)| is_named(column));
        found.map(|(column, ..)| *column).ok_or_else(|| {
            let names: Vec<&str> = COLUMNS.iter().map(|(_, name, ..)| *name).collect();
            format!("{name:?}: no such column (there are {})", names.join(", "))
        })
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.entry().1
    }

    /// Its head in a table.
    pub(crate) fn head(self) -> Head {
        let (_, _, title, head) = *self.entry();
        Head { title, ..head }
    }

    fn entry(self) -> &'static (Column, &'static str, &'static str, Head) {
        // The list has the order of the enum, as a test says.
        &COLUMNS[self as usize]
    }

    /// Whether the kernel must be asked for what it tells of a TCP connection.
    pub(crate) const fn needs_details(self) -> bool {
        use Column::*;
        matches!(
            self,
            Sent | Received
                | Retransmitted
                | Retransmissions
                | Rtt
                | Congestion
                | CongestionControl
                | CongestionWindow
        )
    }

    /// Whether the processes must be looked for.
    pub(crate) const fn needs_owners(self) -> bool {
        use Column::*;
        matches!(self, Owner | Pid | Command | Ownerless)
    }

    /// Writes what stands in it, nothing where that is unknown, and says how it is meant.
    pub(crate) fn write(self, form: Form, view: &View<'_>, row: &Row, out: &mut String) -> Tone {
        match self {
            Column::Protocol => out.push_str(row.transport.name()),
            Column::State => {
                out.push_str(row.state.name());
                return state_tone(row.state);
            }
            Column::Role => out.push_str(row.role.name()),
            Column::Local => write_local(out, view, row),
            Column::LocalAddress => write_shown(out, row.local.addr),
            Column::LocalPort => write_known(out, Some(row.local.port).filter(|&port| port != 0)),
            Column::Remote => write_remote(out, view, row),
            Column::RemoteAddress => write_known(out, row.remote.map(|end| end.addr)),
            Column::RemotePort => write_known(out, row.remote.map(|end| end.port).filter(|&port| port != 0)),
            Column::Service => out.push_str(view.service(row).unwrap_or_default()),
            Column::Owner => {
                write_owners(out, view, row);
                return if row.ownerless.is_some() { Tone::Faint } else { Tone::Plain };
            }
            Column::ReceiveQueue | Column::SendQueue => {
                let bytes =
                    if self == Column::SendQueue { row.send_queue_bytes } else { row.receive_queue_bytes };
                write_size(form, out, Some(bytes.into()));
                return if bytes > 0 { Tone::Notable } else { Tone::Plain };
            }
            Column::BacklogUsed => {
                write_known(out, row.backlog.map(|backlog| backlog.used));
                let is_full =
                    row.backlog.is_some_and(|backlog| backlog.used > 0 && backlog.used >= backlog.limit);
                return if is_full { Tone::Bad } else { Tone::Plain };
            }
            Column::BacklogLimit => write_known(out, row.backlog.map(|backlog| backlog.limit)),
            Column::Age => match (row.age(), form) {
                (Some(age), Form::People) => write_shown(out, Span(age)),
                (Some(age), Form::Data) => write_shown(out, age.as_secs_f64()),
                (None, _) => {}
            },
            Column::Inode => write_known(out, row.inode),
            Column::Uid => write_known(out, uid(view, row)),
            Column::Ownerless => write_known(out, row.ownerless),
            Column::Pid | Column::Command => self.write_each_owner(view, row, out),
            Column::Network | Column::User | Column::Unit | Column::Container => {
                push_safe(out, self.word(view, row).unwrap_or_default());
            }
            _ => return self.write_detail(form, view.rows.detail(row), out),
        }
        Tone::Plain
    }

    /// The word of the system that stands in it.
    fn word<'a>(self, view: &View<'a>, row: &Row) -> Option<&'a str> {
        let rows = view.rows;
        match self {
            Column::Network => rows.network(row).map(|network| network.name.as_str()),
            // Who holds it may be another than who made it, and says more.
            Column::User => {
                main_owner(view, row).map_or_else(|| rows.user(row), |owner| owner.user.as_deref())
            }
            Column::Unit => rows.group(row).and_then(|group| group.unit.as_deref()),
            Column::Container => rows.group(row).and_then(|group| group.container.as_deref()),
            _ => None,
        }
    }

    /// The owners' numbers, or their commands, each with a blank or a semicolon after it.
    fn write_each_owner(self, view: &View<'_>, row: &Row, out: &mut String) {
        for (place, (owner, _)) in view.rows.owners(row).enumerate() {
            match self {
                Column::Pid => {
                    out.push_str(if place > 0 { " " } else { "" });
                    write_known(out, owner.pid);
                }
                _ => {
                    out.push_str(if place > 0 { ";" } else { "" });
                    push_safe(out, owner.command.as_deref().unwrap_or_default());
                }
            }
        }
    }

    fn write_detail(self, form: Form, detail: Option<&TcpDetail>, out: &mut String) -> Tone {
        let Some(tcp) = detail else { return Tone::Plain };
        match self {
            Column::Sent => write_size(form, out, Some(tcp.sent_bytes)),
            Column::Received => write_size(form, out, Some(tcp.received_bytes)),
            Column::Retransmitted => write_size(form, out, Some(tcp.retransmitted_bytes)),
            Column::Retransmissions => write_shown(out, tcp.retransmissions),
            Column::Rtt => match form {
                Form::People => write_shown(out, Span(std::time::Duration::from_micros(tcp.rtt_us.into()))),
                Form::Data => write_shown(out, f64::from(tcp.rtt_us) / 1e6),
            },
            Column::Congestion => out.push_str(tcp.congestion.name()),
            Column::CongestionControl => push_safe(out, tcp.algorithm()),
            Column::CongestionWindow => write_shown(out, tcp.congestion_window),
            _ => {}
        }
        Tone::Plain
    }
}

/// The user who holds a row, or made it where the holder is hidden.
fn uid(view: &View<'_>, row: &Row) -> Option<u32> {
    main_owner(view, row).map_or(row.uid, |owner| owner.uid)
}

const fn state_tone(state: State) -> Tone {
    match state {
        State::Listen | State::Established => Tone::Good,
        State::TimeWait | State::Bound => Tone::Faint,
        _ => Tone::Notable,
    }
}

fn write_shown(out: &mut String, shown: impl std::fmt::Display) {
    let _ = write!(out, "{shown}");
}

fn write_known(out: &mut String, known: Option<impl std::fmt::Display>) {
    if let Some(known) = known {
        write_shown(out, known);
    }
}

fn write_size(form: Form, out: &mut String, bytes: Option<u64>) {
    match form {
        Form::People => write_known(out, bytes.map(Size)),
        Form::Data => write_known(out, bytes),
    }
}

/// How a role is called above the rows that play it.
pub(crate) const fn title(role: Role) -> &'static str {
    match role {
        Role::Listener => "Listening",
        Role::Server => "Connections taken",
        Role::Client => "Connections made",
        Role::Bound => "Bound, and nothing else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_order_of_the_enum_and_names_are_found() {
        for (place, (column, name, ..)) in COLUMNS.iter().enumerate() {
            assert_eq!(*column as usize, place, "{name}");
            assert_eq!(Column::named(name), Ok(*column));
            assert_eq!(column.name(), *name);
        }
        assert_eq!(Column::named("age"), Ok(Column::Age));
        assert_eq!(Column::named("send-queue"), Ok(Column::SendQueue));
        let wrong = Column::named("colour").expect_err("no such column");
        assert!(wrong.starts_with("\"colour\": no such column (there are network, protocol, "), "{wrong}");
    }
}

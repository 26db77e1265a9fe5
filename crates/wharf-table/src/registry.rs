//! The IANA registry of service names and port numbers (RFC 6335), embedded.
//!
//! The build turns the registry into a sorted text with two indices beside it (see `build.rs`), so that nothing is
//! parsed at start and a look-up touches a few pages. A name says what is registered, never what runs there.

pub mod common;

use core::cmp::Ordering;

use crate::port::Port;
use crate::tuple::Protocol;

/// When IANA last updated the registry that is embedded, as YYYY-MM-DD.
pub const REGISTRY_DATE: &str = env!("WHARF_REGISTRY_DATE");

/// The rows, one a line.
static TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/registry.txt"));
/// For each row with a port: start of its line, first port, highest last port up to it.
static PORTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ports.bin"));
/// For each row with a name, sorted by name: start of its line.
static NAMES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/names.bin"));

/// The port registered for a service name, in whatever case (RFC 6335, section 5.1): the lowest of
/// [`service_ports`]. O(log n).
pub fn service(name: &str, protocol: Protocol) -> Option<Port> {
    service_ports(name, protocol).min()
}

/// All ports registered for a service name, in no order. Few names have more than one: `http-alt` is 591, 8008 and
/// 8080. Of a range it is the first port.
pub fn service_ports(name: &str, protocol: Protocol) -> impl Iterator<Item = Port> {
    named(name).filter(move |record| record.is_for(protocol)).filter_map(|record| Port::new(record.ports?.0))
}

/// The service name registered for a port, first its current one. O(log n).
pub fn name(port: Port, protocol: Protocol) -> Option<&'static str> {
    let mut alias = None;
    for record in at(port.number()).filter(|record| record.is_for(protocol) && !record.name.is_empty()) {
        if !record.is_alias() {
            return Some(record.name);
        }
        alias = alias.or(Some(record.name));
    }
    alias
}

/// What the registry says of a port for a protocol (RFC 6335, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It is a service's.
    Assigned,
    /// It may be assigned to one that asks.
    Unassigned,
    /// It is kept, or known under no service name.
    Reserved,
    /// It is a Dynamic port, which never is anybody's.
    NotAssignable,
}

impl Status {
    /// That of a row with this name and description.
    pub fn of(name: &str, description: &str) -> Status {
        const FREE: [&str; 6] =
            ["unassigned", "(unassigned)", "de-registered", "removed", "de-commissioned", "decomissioned"];
        let starts =
            |word: &&str| description.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
        match name {
            "" if FREE.iter().any(starts) => Status::Unassigned,
            "" => Status::Reserved,
            _ => Status::Assigned,
        }
    }

    /// That of a port without a row.
    pub const fn without_row(port: u16) -> Status {
        if port >= 49152 { Status::NotAssignable } else { Status::Unassigned }
    }

    /// The stable name, as JSON prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Assigned => "assigned",
            Status::Unassigned => "unassigned",
            Status::Reserved => "reserved",
            Status::NotAssignable => "not_assignable",
        }
    }
}

/// One row of the registry. What the registry leaves empty is empty here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    protocols: u8,
    ports: Option<(u16, u16)>,
    name: &'static str,
    rest: &'static str,
}

impl Record {
    const TRANSPORTS: [&'static str; 4] = ["tcp", "udp", "sctp", "dccp"];

    /// Whether it stands for this protocol.
    pub const fn is_for(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.protocols & 1 != 0,
            Protocol::Udp => self.protocols & 2 != 0,
            Protocol::Icmp => false,
        }
    }

    /// The transport protocols that it stands for, among `tcp`, `udp`, `sctp` and `dccp`.
    pub fn transports(&self) -> impl Iterator<Item = &'static str> {
        let protocols = self.protocols;
        Record::TRANSPORTS
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| protocols >> bit & 1 != 0)
            .map(|(_, name)| name)
    }

    /// First and last port; `None` where only a name is registered.
    pub const fn ports(&self) -> Option<(u16, u16)> {
        self.ports
    }

    /// The service name; empty where the ports are reserved or unassigned.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What the registry says of the service, or `Reserved` or `Unassigned`.
    pub fn description(&self) -> &'static str {
        self.column(0)
    }

    /// What the registry says of its ports.
    pub fn status(&self) -> Status {
        Status::of(self.name, self.description())
    }

    /// The DCCP service code, in decimal.
    pub fn service_code(&self) -> &'static str {
        self.column(1)
    }

    /// The references, `rfc9110` say, with commas between them.
    pub fn references(&self) -> &'static str {
        self.column(2)
    }

    /// The date of registration, as far as it is known.
    pub fn registered(&self) -> &'static str {
        self.column(3)
    }

    /// The date of the last change.
    pub fn modified(&self) -> &'static str {
        self.column(4)
    }

    /// Whether unauthorised use is reported.
    pub fn is_used_unauthorized(&self) -> bool {
        self.column(5) == "U"
    }

    /// The assignment notes.
    pub fn note(&self) -> &'static str {
        self.column(6)
    }

    fn is_alias(&self) -> bool {
        self.note().starts_with("This entry is an alias to ")
    }

    fn column(&self, index: usize) -> &'static str {
        self.rest.split('\t').nth(index).unwrap_or_default()
    }

    /// The row whose line starts at `offset`.
    fn read(offset: u32) -> Record {
        let line = TEXT.get(offset as usize..).and_then(|text| text.lines().next()).unwrap_or_default();
        let mut columns = line.splitn(5, '\t');
        let mut column = || columns.next().unwrap_or_default();
        let protocols = u8::from_str_radix(column(), 16).unwrap_or_default();
        let (first, last) = (column().parse().ok(), column().parse().ok());
        Record { protocols, ports: first.zip(last), name: column(), rest: column() }
    }
}

/// Every row, sorted by first port; those without a port at the end.
pub fn records() -> impl Iterator<Item = Record> {
    let mut offset = 0;
    TEXT.split_inclusive('\n').map(move |line| {
        let record = Record::read(offset);
        offset += line.len() as u32;
        record
    })
}

/// The rows whose name or description together have each of these words, in whatever case of ASCII. O(length of the
/// registry), about a millisecond.
pub fn search<'a>(words: &'a [&'a str]) -> impl Iterator<Item = Record> + 'a {
    let mut offset = 0;
    let lines = TEXT.split_inclusive('\n').map(move |line| {
        let start = offset;
        offset += line.len() as u32;
        (start, line)
    });
    // Most lines have none of the words anywhere, and need not be taken apart.
    let candidates = lines.filter(|(_, line)| words.iter().all(|word| contains(line, word)));
    let records = candidates.map(|(start, _)| Record::read(start));
    records.filter(|record| {
        let has = |word: &&str| contains(record.name, word) || contains(record.description(), word);
        !record.name.is_empty() && words.iter().all(has)
    })
}

/// Whether `word` occurs in `text`, in whatever case of ASCII.
pub fn contains(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some((first, rest)) = word.split_first() else { return true };
    let Some(last) = text.len().checked_sub(word.len()) else { return false };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let starts = text[..=last].iter().enumerate().filter(|&(_, &byte)| byte == lower || byte == upper);
    starts.into_iter().any(|(at, _)| text[at + 1..at + word.len()].eq_ignore_ascii_case(rest))
}

/// The rows that hold this port, 0 to 65535, in the registry's order.
pub fn at(port: u16) -> impl Iterator<Item = Record> {
    let rows = PORTS.as_chunks::<8>().0;
    let end = rows.partition_point(|row| first_port(row) <= port);
    // Rows before the last one whose reach ends below the port can't hold it.
    let start = rows[..end].iter().rposition(|row| reach(row) < port).map_or(0, |last| last + 1);
    rows[start..end]
        .iter()
        .map(|&[a, b, c, d, ..]| Record::read(u32::from_le_bytes([a, b, c, d])))
        .filter(move |record| record.ports.is_some_and(|(_, last)| port <= last))
}

/// The rows with this service name, in whatever case, sorted by port.
pub fn named(name: &str) -> impl Iterator<Item = Record> {
    let rows = NAMES.as_chunks::<4>().0;
    let read = |row: &[u8; 4]| Record::read(u32::from_le_bytes(*row));
    let name_of = |row: &[u8; 4]| {
        let line = TEXT.get(u32::from_le_bytes(*row) as usize..).unwrap_or_default();
        line.split('\t').nth(3).unwrap_or_default()
    };
    let start = rows.partition_point(|row| compare(name_of(row), name) == Ordering::Less);
    rows[start..].iter().map(read).take_while(move |record| record.name.eq_ignore_ascii_case(name))
}

const fn first_port(row: &[u8; 8]) -> u16 {
    u16::from_le_bytes([row[4], row[5]])
}

const fn reach(row: &[u8; 8]) -> u16 {
    u16::from_le_bytes([row[6], row[7]])
}

/// The order of `names.bin`.
fn compare(a: &str, b: &str) -> Ordering {
    a.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(b.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;

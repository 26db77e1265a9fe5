//! The registry of ports as it is asked: the one that is built in, or a newer one from a file of IANA's.
//!
//! An [`Entry`] is a row of either. The built-in registry is searched where it lies; a file is read once, sorted and indexed in
//! the same way. Deliberately absent: fetching one. wharf asks nobody for it.

mod csv;
mod file;
mod xml;

use wharf_table::registry::{self, Record, Status};

pub use file::{FileError, ReadRegistry};

/// One row, whichever registry it comes from. What the registry leaves empty is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Bits of [`Entry::TRANSPORTS`].
    protocols: u8,
    /// First and last port; `None` where only a name is registered.
    pub ports: Option<(u16, u16)>,
    /// The service name.
    pub name: &'a str,
    /// What the registry says of it.
    pub description: &'a str,
    /// The DCCP service code, in decimal.
    pub service_code: &'a str,
    /// References with commas between them, `rfc9110` say.
    pub references: &'a str,
    /// When it was registered, as far as that is known.
    pub registered: &'a str,
    /// When it was last changed.
    pub modified: &'a str,
    /// Whether unauthorised use is reported.
    pub is_used_unauthorized: bool,
    /// The assignment notes.
    pub note: &'a str,
}

impl<'a> Entry<'a> {
    /// The same row for one protocol; `None` where it is for others. A row that tells no protocol is for each.
    #[must_use]
    pub fn of_protocol(&self, protocol: &str) -> Option<Entry<'a>> {
        let protocols = self.protocols & bits(std::iter::once(protocol));
        (self.protocols == 0 || protocols != 0).then_some(Entry { protocols, ..*self })
    }
}

impl Entry<'_> {
    /// The protocols that the registry knows.
    pub const TRANSPORTS: [&'static str; 4] = ["tcp", "udp", "sctp", "dccp"];

    /// The protocols that it stands for; none where the registry tells none.
    pub fn transports(&self) -> impl Iterator<Item = &'static str> + Clone {
        let protocols = self.protocols;
        Entry::TRANSPORTS
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| protocols >> bit & 1 != 0)
            .map(|(_, name)| name)
    }

    /// What the registry says of its ports.
    pub fn status(&self) -> Status {
        Status::of(self.name, self.description)
    }
}

impl From<Record> for Entry<'static> {
    fn from(record: Record) -> Entry<'static> {
        Entry {
            protocols: bits(record.transports()),
            ports: record.ports(),
            name: record.name(),
            description: record.description(),
            service_code: record.service_code(),
            references: record.references(),
            registered: record.registered(),
            modified: record.modified(),
            is_used_unauthorized: record.is_used_unauthorized(),
            note: record.note(),
        }
    }
}

/// The bits of protocols.
fn bits<'a>(transports: impl Iterator<Item = &'a str>) -> u8 {
    let bit = |name: &str| Entry::TRANSPORTS.iter().position(|it| *it == name).map_or(0, |bit| 1 << bit);
    transports.fold(0, |bits, name| bits | bit(name))
}

/// A registry.
#[derive(Clone, Debug, Default)]
pub enum Registry {
    /// The one that is built in.
    #[default]
    BuiltIn,
    /// One that was read from a file.
    Read(ReadRegistry),
}

impl Registry {
    /// When it was last updated, as YYYY-MM-DD; `None` where a file does not tell.
    pub fn date(&self) -> Option<&str> {
        match self {
            Registry::BuiltIn => Some(registry::REGISTRY_DATE),
            Registry::Read(read) => read.date(),
        }
    }

    /// The rows that hold a port, in the registry's order.
    pub fn at(&self, port: u16) -> Vec<Entry<'_>> {
        match self {
            Registry::BuiltIn => registry::at(port).map(Entry::from).collect(),
            Registry::Read(read) => read.at(port).collect(),
        }
    }

    /// The rows with this service name, in whatever case.
    pub fn named(&self, name: &str) -> Vec<Entry<'_>> {
        match self {
            Registry::BuiltIn => registry::named(name).map(Entry::from).collect(),
            Registry::Read(read) => read.entries().filter(|it| it.name.eq_ignore_ascii_case(name)).collect(),
        }
    }

    /// The rows whose name and description have each of these words somewhere, in whatever case.
    pub fn search(&self, words: &[&str]) -> Vec<Entry<'_>> {
        let has = |entry: &Entry<'_>, word: &&str| {
            registry::contains(entry.name, word) || registry::contains(entry.description, word)
        };
        match self {
            Registry::BuiltIn => registry::search(words).map(Entry::from).collect(),
            Registry::Read(read) => {
                let found =
                    |entry: &Entry<'_>| !entry.name.is_empty() && words.iter().all(|word| has(entry, word));
                read.entries().filter(found).collect()
            }
        }
    }

    /// Every row, sorted by first port; those without a port at the end.
    pub fn entries(&self) -> Box<dyn Iterator<Item = Entry<'_>> + '_> {
        match self {
            Registry::BuiltIn => Box::new(registry::records().map(Entry::from)),
            Registry::Read(read) => Box::new(read.entries()),
        }
    }
}

#[cfg(test)]
mod tests;

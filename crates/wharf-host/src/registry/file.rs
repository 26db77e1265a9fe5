//! A registry from a file: XML or CSV, as IANA publishes both.

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

use thiserror::Error;

use super::{Entry, csv, xml};

/// One row as a file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Row {
    /// Empty, or one protocol.
    pub(super) protocol: String,
    /// Empty, a port, or `FIRST-LAST`.
    pub(super) number: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) service_code: String,
    pub(super) references: String,
    pub(super) registered: String,
    pub(super) modified: String,
    pub(super) is_used_unauthorized: bool,
    pub(super) note: String,
}

/// A registry that was read from a file.
#[derive(Clone, Debug, Default)]
pub struct ReadRegistry {
    date: Option<String>,
    rows: Vec<Merged>,
    /// For each row with a port, the highest last port up to it.
    reach: Vec<u16>,
}

/// Rows that differ in the protocol only.
#[derive(Clone, Debug)]
struct Merged {
    protocols: u8,
    ports: Option<(u16, u16)>,
    row: Row,
}

/// Why a file is no registry.
#[derive(Debug, Error)]
pub enum FileError {
    /// It can't be read.
    #[error("read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's reason.
        error: io::Error,
    },
    /// It is no XML or CSV, or ends too early.
    #[error(
        "{path}, line {line}: {why} (write the service-names-port-numbers.xml or .csv that iana.org publishes)"
    )]
    Malformed {
        /// The file.
        path: String,
        /// Where.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// It is something else.
    #[error(
        "{path}: no registry of ports: {why} (write the service-names-port-numbers.xml or .csv that iana.org publishes)"
    )]
    Other {
        /// The file.
        path: String,
        /// What is missing.
        why: String,
    },
}

/// What a reader of one format found wrong.
#[derive(Debug)]
pub(super) enum Wrong {
    /// In this line.
    At(u64, String),
    /// In the whole.
    Whole(String),
}

impl ReadRegistry {
    /// Reads IANA's XML or CSV, told apart by its first letter.
    ///
    /// # Errors
    /// [`FileError`], with the file and the line.
    pub fn read(path: &Path) -> Result<ReadRegistry, FileError> {
        let shown = path.display().to_string();
        let unreadable = |error| FileError::Unreadable { path: shown.clone(), error };
        let bytes = fs::read(path).map_err(unreadable)?;
        ReadRegistry::parse(&bytes).map_err(|wrong| match wrong {
            Wrong::At(line, why) => FileError::Malformed { path: shown.clone(), line, why },
            Wrong::Whole(why) => FileError::Other { path: shown.clone(), why },
        })
    }

    /// Reads the contents of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<ReadRegistry, Wrong> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let is_xml = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
        let (date, rows) = if is_xml { xml::parse(text)? } else { (None, csv::parse(text)?) };
        if rows.is_empty() {
            return Err(Wrong::Whole("it has no records".into()));
        }
        ReadRegistry::new(date, rows)
    }

    fn new(date: Option<String>, rows: Vec<Row>) -> Result<ReadRegistry, Wrong> {
        // A CSV has no date of its own: that of its newest row is the least that can be said.
        let newest = || {
            let dates = rows.iter().flat_map(|row| [&row.registered, &row.modified]);
            dates.filter(|date| date.len() == 10).max().cloned()
        };
        let date = date.or_else(newest);
        let mut merged: Vec<Merged> = Vec::new();
        let mut places: HashMap<(bool, Row), usize> = HashMap::new();
        for row in rows {
            let ports = ports(&row.number)?;
            let protocols = super::bits(std::iter::once(row.protocol.as_str()));
            if protocols == 0 && !row.protocol.is_empty() {
                return Err(Wrong::Whole(format!("{:?} is no protocol of it", row.protocol)));
            }
            let key = (row.protocol.is_empty(), Row { protocol: String::new(), ..row });
            match places.get(&key) {
                Some(&at) => merged[at].protocols |= protocols,
                None => {
                    merged.push(Merged { protocols, ports, row: key.1.clone() });
                    places.insert(key, merged.len() - 1);
                }
            }
        }
        // Stable: within a port the registry's own order stays.
        merged.sort_by_key(|it| it.ports.map_or(u32::MAX, |(first, _)| u32::from(first)));
        let lasts = merged.iter().map_while(|it| it.ports.map(|(_, last)| last));
        let reach = lasts.scan(0, |reach, last| {
            *reach = last.max(*reach);
            Some(*reach)
        });
        let reach = reach.collect();
        Ok(ReadRegistry { date, rows: merged, reach })
    }

    pub(super) fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.rows.iter().map(Merged::entry)
    }

    pub(super) fn at(&self, port: u16) -> impl Iterator<Item = Entry<'_>> {
        let with_port = &self.rows[..self.reach.len()];
        let end = with_port.partition_point(|it| it.ports.is_some_and(|(first, _)| first <= port));
        // Rows before the last one whose reach ends below the port can't hold it.
        let start = self.reach[..end].iter().rposition(|&reach| reach < port).map_or(0, |last| last + 1);
        let holds = move |it: &&Merged| it.ports.is_some_and(|(_, last)| port <= last);
        with_port[start..end].iter().filter(holds).map(Merged::entry)
    }
}

impl Merged {
    fn entry(&self) -> Entry<'_> {
        let row = &self.row;
        Entry {
            protocols: self.protocols,
            ports: self.ports,
            name: &row.name,
            description: &row.description,
            service_code: &row.service_code,
            references: &row.references,
            registered: &row.registered,
            modified: &row.modified,
            is_used_unauthorized: row.is_used_unauthorized,
            note: &row.note,
        }
    }
}

/// `443`, `6000-6063` or nothing.
fn ports(text: &str) -> Result<Option<(u16, u16)>, Wrong> {
    if text.is_empty() {
        return Ok(None);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last => Ok(Some((first, last))),
        _ => Err(Wrong::Whole(format!("{text:?} is no port number"))),
    }
}

/// White space as one space each, none at the ends.
pub(super) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

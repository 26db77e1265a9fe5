//! Reading a record: who was there at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, Row as Line, params};
use wharf_table::owner::Owner;
use wharf_table::rows::{
    End, Group, Network, NetworkId, OwnerLink, OwnerSpan, ProcessId, Role, Row, Rows, State, Transport,
};
use wharf_table::{Addr, Endpoint};

use super::schema::{self, State as FileState};
use super::{HistoryError, database, micros, time};

/// So long a reader waits for the writer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A record that can be asked.
#[derive(Debug)]
pub struct History {
    database: Connection,
    path: PathBuf,
}

/// What was there at a time.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What was there, with its owners.
    pub rows: Rows,
    /// How long each of the rows was there, by its place.
    pub lives: Vec<Life>,
    /// Whether anybody looked.
    pub covered: Covered,
}

/// From when to when an endpoint was there, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Since when.
    pub since: SystemTime,
    /// Until when; `None` where it outlived the record.
    pub closed: Option<SystemTime>,
}

/// Whether it was recorded at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covered {
    /// It was: what the answer lacks was not there.
    #[default]
    Yes,
    /// It was not: the answer has what was known to exist later.
    No {
        /// The end of the last record before.
        before: Option<SystemTime>,
        /// The beginning of the next one.
        after: Option<SystemTime>,
    },
}

impl History {
    /// Opens a record. It may be written at the same time.
    ///
    /// # Errors
    /// There is none, or it is something else.
    pub fn open(path: &Path) -> Result<History, HistoryError> {
        // What can't be read is an error of the file, which the database would not say so well.
        File::open(path).map_err(|error| HistoryError::Open { path: path.to_owned(), error })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = |name: &Path, flags| -> Result<History, HistoryError> {
            let failed = database("read", path);
            let database = Connection::open_with_flags(name, flags).map_err(&failed)?;
            database.busy_timeout(PATIENCE).map_err(&failed)?;
            match schema::check(&database, path)? {
                FileState::Record => Ok(History { database, path: path.to_owned() }),
                FileState::Empty => Err(HistoryError::NoRecord { path: path.to_owned() }),
            }
        };
        open(path, flags).or_else(|error| match error {
            // A record whose writer was killed, in a directory that this user can't write to: what was committed before.
            HistoryError::Database { .. } => open(&unchanging(path), flags | OpenFlags::SQLITE_OPEN_URI),
            error => Err(error),
        })
    }

    /// What was there at `at`, with a local port among `ports`.
    ///
    /// # Errors
    /// The database's.
    pub fn at(&self, at: SystemTime, ports: &RangeInclusive<u16>) -> Result<Answer, HistoryError> {
        self.read(micros(at), ports).map_err(database("read", &self.path))
    }

    /// Until when it was recorded, or is.
    ///
    /// # Errors
    /// The database's.
    pub fn latest(&self) -> Result<Option<SystemTime>, HistoryError> {
        let read = |line: &Line<'_>| line.get::<_, Option<i64>>(0);
        let seen = self.database.query_row("SELECT max(seen_us) FROM watch", [], read);
        Ok(seen.map_err(database("read", &self.path))?.map(time))
    }

    fn read(&self, at: i64, ports: &RangeInclusive<u16>) -> rusqlite::Result<Answer> {
        // One state of the record for all that is asked.
        let transaction = self.database.unchecked_transaction()?;
        let mut answer = Answer { covered: self.covered(at)?, ..Answer::default() };
        let sql = "SELECT endpoint.*, watch.seen_us FROM endpoint JOIN watch ON watch.id = endpoint.watch \
            WHERE local_port BETWEEN ?2 AND ?3 AND since_us <= ?1 \
            AND ?1 < coalesce(closed_us, max(seen_us + 1, since_us + 1)) ORDER BY endpoint.id";
        let mut lines = self.database.prepare(sql)?;
        let mut lines = lines.query(params![at, ports.start(), ports.end()])?;
        let mut builder = Builder { at, networks: BTreeMap::new(), units: BTreeMap::new() };
        while let Some(line) = lines.next()? {
            let id = line.get("id")?;
            builder.add(line, &mut answer)?;
            self.owners(id, &mut answer.rows)?;
        }
        drop(lines);
        transaction.commit()?;
        Ok(answer)
    }

    fn covered(&self, at: i64) -> rusqlite::Result<Covered> {
        let ask = |sql| self.database.query_row(sql, [at], |line| line.get::<_, Option<i64>>(0));
        let covering = "SELECT count(*) FROM watch WHERE ?1 BETWEEN started_us AND seen_us";
        if ask(covering)?.unwrap_or_default() > 0 {
            return Ok(Covered::Yes);
        }
        Ok(Covered::No {
            before: ask("SELECT max(seen_us) FROM watch WHERE seen_us < ?1")?.map(time),
            after: ask("SELECT min(started_us) FROM watch WHERE started_us > ?1")?.map(time),
        })
    }

    /// Adds the owners of the last row.
    fn owners(&self, endpoint: i64, rows: &mut Rows) -> rusqlite::Result<()> {
        let sql = "SELECT pid, descriptor, command, user, uid, parent, unit, container FROM owner WHERE endpoint = ?1";
        let mut lines = self.database.prepare_cached(sql)?;
        let mut lines = lines.query([endpoint])?;
        let first = rows.links.len() as u32;
        while let Some(line) = lines.next()? {
            let owner = Owner {
                pid: line.get(0)?,
                command: line.get(2)?,
                user: line.get(3)?,
                uid: line.get(4)?,
                parent: line.get(5)?,
                unit: line.get(6)?,
                container: line.get(7)?,
            };
            let known = rows.processes.iter().position(|known| *known == owner);
            let place = known.unwrap_or(rows.processes.len());
            if known.is_none() {
                rows.processes.push(owner);
            }
            let descriptor = line.get::<_, Option<u32>>(1)?.unwrap_or_default();
            rows.links.push(OwnerLink { process: ProcessId(place as u32), descriptor });
        }
        let count = rows.links.len() as u32 - first;
        if let Some(row) = rows.rows.last_mut() {
            row.owners = OwnerSpan { first, count };
        }
        Ok(())
    }
}

/// The file's name with the promise that nobody changes it (sqlite.org/uri.html).
fn unchanging(path: &Path) -> PathBuf {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    PathBuf::from(uri + "?immutable=1")
}

/// Makes rows of lines.
struct Builder {
    at: i64,
    networks: BTreeMap<String, u16>,
    units: BTreeMap<(Option<String>, Option<String>), u64>,
}

impl Builder {
    fn add(&mut self, line: &Line<'_>, answer: &mut Answer) -> rusqlite::Result<()> {
        let rows = &mut answer.rows;
        let named = |names: &mut BTreeMap<String, u16>, rows: &mut Rows, name: String| {
            let next = names.len() as u16;
            *names.entry(name).or_insert_with_key(|name| {
                rows.networks.push(Network { name: name.clone(), ..Network::default() });
                next
            })
        };
        let network = named(&mut self.networks, rows, line.get("network")?);
        let mut end = |addr: String, zone: Option<String>, port: u16| {
            let addr: Addr = addr.parse::<std::net::IpAddr>().map_or(Addr::ANY_V6, Addr::from);
            let interfaces =
                rows.networks.get_mut(usize::from(network)).map(|network| &mut network.interfaces);
            // Interfaces have the numbers of this answer.
            let zone = zone.zip(interfaces).map_or(0, |(zone, interfaces)| {
                let known = interfaces.iter().find(|(_, name)| **name == zone).map(|(index, _)| *index);
                let index = known.unwrap_or(interfaces.len() as u32 + 1);
                interfaces.insert(index, zone);
                index
            });
            End { zone, ..End::new(Endpoint { addr, port }) }
        };
        let local = end(line.get("local_address")?, line.get("local_zone")?, line.get("local_port")?);
        let remote: Option<String> = line.get("remote_address")?;
        let (remote_zone, remote_port) =
            (line.get("remote_zone")?, line.get::<_, Option<u16>>("remote_port")?);
        let remote = remote.map(|addr| end(addr, remote_zone, remote_port.unwrap_or_default()));
        let word = |name| line.get::<_, String>(name);
        let mut row = Row::new(transport(&word("protocol")?), local, state(&word("state")?));
        (row.remote, row.network, row.role) = (remote, NetworkId(network), role(&word("role")?));
        row.uid = line.get("uid")?;
        row.cookie = line.get::<_, i64>("cookie")?.cast_unsigned();
        if let (Some(uid), Some(user)) = (row.uid, line.get("user")?) {
            rows.users.insert(uid, user);
        }
        let group: (Option<String>, Option<String>) = (line.get("unit")?, line.get("container")?);
        if group != (None, None) {
            let next = self.units.len() as u64 + 1;
            let number = *self.units.entry(group.clone()).or_insert(next);
            rows.groups.insert(number, Group { path: String::new(), unit: group.0, container: group.1 });
            row.cgroup = NonZeroU64::new(number);
        }
        let since: i64 = line.get("since_us")?;
        row.set_age(Some(Duration::from_micros(u64::try_from(self.at - since).unwrap_or_default())));
        rows.rows.push(row);
        answer
            .lives
            .push(Life { since: time(since), closed: line.get::<_, Option<i64>>("closed_us")?.map(time) });
        Ok(())
    }
}

// Words that a record has and this wharf does not know can come only of a damaged file.
fn transport(name: &str) -> Transport {
    Transport::ALL.into_iter().find(|known| known.name() == name).unwrap_or(Transport::Raw)
}

fn state(name: &str) -> State {
    State::ALL.into_iter().find(|known| known.name() == name).unwrap_or(State::Closed)
}

fn role(name: &str) -> Role {
    let all = [Role::Listener, Role::Server, Role::Client, Role::Bound];
    all.into_iter().find(|known| known.name() == name).unwrap_or(Role::Bound)
}

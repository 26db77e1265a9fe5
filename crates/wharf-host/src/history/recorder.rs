//! Writing a record.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, named_params, params};
use rustix::fs::{FlockOperation, flock};

use super::schema::{self, State};
use super::{HistoryError, database, micros};
use crate::watch::{Change, Event};

/// So long a writer waits for one who reads or cleans up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a record says of the watch that wrote it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Which endpoints were watched; `None` for all.
    pub selector: Option<String>,
    /// How often everything was looked at.
    pub every: Duration,
    /// The version of wharf.
    pub version: String,
}

/// Writes what happens into a record.
#[derive(Debug)]
pub struct Recorder {
    // The database goes before the lock: closing any descriptor of the file would let go of the database's own locks.
    database: Connection,
    _lock: File,
    path: PathBuf,
    watch: i64,
    /// The rows of endpoints that are there, with a fingerprint of the owners that were written.
    written: HashMap<u64, (i64, u64)>,
    is_open: bool,
}

impl Recorder {
    /// Begins to record into a file, which is made where it is missing, with its directory.
    ///
    /// # Errors
    /// The file can't be opened, is something else, or another wharf records into it.
    pub fn begin(path: &Path, about: &About, at: SystemTime) -> Result<Recorder, HistoryError> {
        let opened = |error| HistoryError::Open { path: path.to_owned(), error };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(opened)?;
        }
        // Who talked to whom is nobody else's business.
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let lock = lock.map_err(opened)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| HistoryError::Busy { path: path.to_owned() })?;
        let failed = database("write", path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).map_err(&failed)?;
        database.busy_timeout(PATIENCE).map_err(&failed)?;
        if schema::check(&database, path)? == State::Empty {
            schema::make(&database).map_err(&failed)?;
        }
        // Readers and the writer don't wait for each other. Where that can't be had (some network file systems) they do.
        let mode = |name: &str| database.pragma_update(None, "journal_mode", name);
        mode("wal").or_else(|_| mode("delete")).map_err(&failed)?;
        database.pragma_update(None, "synchronous", "normal").map_err(&failed)?;
        let watch = begin(&database, about, at).map_err(&failed)?;
        let path = path.to_owned();
        Ok(Recorder { database, _lock: lock, path, watch, written: HashMap::new(), is_open: false })
    }

    /// Writes an event. It is kept for sure with the next [`Recorder::commit`].
    ///
    /// # Errors
    /// The database's.
    pub fn write(&mut self, event: &Event) -> Result<(), HistoryError> {
        self.transact(|recorder| recorder.put(event))
    }

    /// Keeps what was written, and that all was seen until `at`.
    ///
    /// # Errors
    /// The database's.
    pub fn commit(&mut self, at: SystemTime) -> Result<(), HistoryError> {
        self.transact(|recorder| {
            let sql = "UPDATE watch SET seen_us = max(seen_us, ?1) WHERE id = ?2";
            recorder.database.prepare_cached(sql)?.execute(params![micros(at), recorder.watch])?;
            recorder.database.execute_batch("COMMIT")
        })?;
        self.is_open = false;
        Ok(())
    }

    /// Says that so many of the kernel's messages were lost.
    ///
    /// # Errors
    /// The database's.
    pub fn lost(&mut self, count: u64) -> Result<(), HistoryError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.transact(|recorder| {
            let sql = "UPDATE watch SET lost = lost + ?1 WHERE id = ?2";
            recorder.database.execute(sql, params![count, recorder.watch]).map(drop)
        })
    }

    /// Ends the record: one file that needs no other beside it, if nobody reads it just now.
    ///
    /// # Errors
    /// The database's.
    pub fn end(mut self, at: SystemTime) -> Result<(), HistoryError> {
        self.transact(|recorder| {
            let sql = "UPDATE watch SET ended = 1 WHERE id = ?1";
            recorder.database.execute(sql, params![recorder.watch]).map(drop)
        })?;
        self.commit(at)?;
        // A reader holds on to the other form; then the next recorder's end does it.
        let _ = self.database.busy_timeout(Duration::ZERO);
        let _ = self.database.pragma_update(None, "journal_mode", "delete");
        Ok(())
    }

    /// Does something within the open transaction.
    fn transact(
        &mut self,
        work: impl FnOnce(&mut Recorder) -> rusqlite::Result<()>,
    ) -> Result<(), HistoryError> {
        let result = if self.is_open { Ok(()) } else { self.database.execute_batch("BEGIN IMMEDIATE") };
        let result = result.and_then(|()| {
            self.is_open = true;
            work(self)
        });
        result.map_err(database("write", &self.path))
    }

    fn put(&mut self, event: &Event) -> rusqlite::Result<()> {
        match self.written.get(&event.number) {
            None => self.insert(event)?,
            Some(&(id, owners)) => {
                let sql = match event.change {
                    Change::Opened => {
                        "UPDATE endpoint SET opened_us = ?2, state = ?3, role = ?4 WHERE id = ?1"
                    }
                    Change::Listening => {
                        "UPDATE endpoint SET listening_us = ?2, state = ?3, role = ?4 WHERE id = ?1"
                    }
                    Change::Connected => {
                        "UPDATE endpoint SET connected_us = ?2, state = ?3, role = ?4 WHERE id = ?1"
                    }
                    Change::Closed => {
                        "UPDATE endpoint SET closed_us = ?2, state = ?3, role = ?4 WHERE id = ?1"
                    }
                };
                let row = event.row();
                let values = params![id, micros(event.at), row.state.name(), row.role.name()];
                self.database.prepare_cached(sql)?.execute(values)?;
                if fingerprint(event) != owners {
                    self.database.prepare_cached("DELETE FROM owner WHERE endpoint = ?1")?.execute([id])?;
                    self.owners(id, event)?;
                }
                if event.change == Change::Closed {
                    let sql = "UPDATE endpoint SET closed_source = ?2, sent_bytes = ?3, received_bytes = ?4 WHERE id = ?1";
                    let (sent, received) = bytes(event);
                    let values = params![id, event.source.name(), sent, received];
                    self.database.prepare_cached(sql)?.execute(values)?;
                }
            }
        }
        if event.change == Change::Closed {
            self.written.remove(&event.number);
        }
        Ok(())
    }

    fn insert(&mut self, event: &Event) -> rusqlite::Result<()> {
        const SQL: &str = "INSERT INTO endpoint (watch, protocol, local_address, local_zone, local_port, \
            remote_address, remote_zone, remote_port, network, role, state, uid, user, unit, container, cookie, since_us, \
            opened_us, listening_us, connected_us, closed_us, closed_source, sent_bytes, received_bytes) VALUES (:watch, \
            :protocol, :local_address, :local_zone, :local_port, :remote_address, :remote_zone, :remote_port, :network, :role, \
            :state, :uid, :user, :unit, :container, :cookie, :since, :opened, :listening, :connected, :closed, :source, :sent, \
            :received)";
        let (rows, row) = (event.rows(), event.row());
        let (network, group) = (rows.network(row), rows.group(row));
        let zone = |index: u32| {
            let named = network.and_then(|network| network.interfaces.get(&index).cloned());
            (index != 0).then(|| named.unwrap_or_else(|| index.to_string()))
        };
        let when = |change| (event.change == change).then(|| micros(event.at));
        let closed = when(Change::Closed);
        let (sent, received) = bytes(event);
        self.database.prepare_cached(SQL)?.execute(named_params! {
            ":watch": self.watch,
            ":protocol": row.transport.name(),
            ":local_address": row.local.addr.to_string(),
            ":local_zone": zone(row.local.zone),
            ":local_port": row.local.port,
            ":remote_address": row.remote.map(|end| end.addr.to_string()),
            ":remote_zone": row.remote.and_then(|end| zone(end.zone)),
            ":remote_port": row.remote.map(|end| end.port),
            ":network": network.map_or("", |network| network.name.as_str()),
            ":role": row.role.name(),
            ":state": row.state.name(),
            ":uid": row.uid,
            ":user": rows.user(row),
            ":unit": group.and_then(|group| group.unit.as_deref()),
            ":container": group.and_then(|group| group.container.as_deref()),
            ":cookie": row.cookie.cast_signed(),
            ":since": event.since.map(micros),
            ":opened": when(Change::Opened),
            ":listening": when(Change::Listening),
            ":connected": when(Change::Connected),
            ":closed": closed,
            ":source": closed.map(|_| event.source.name()),
            ":sent": sent,
            ":received": received,
        })?;
        self.owners(self.database.last_insert_rowid(), event)
    }

    fn owners(&mut self, id: i64, event: &Event) -> rusqlite::Result<()> {
        let sql = "INSERT INTO owner VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let mut insert = self.database.prepare_cached(sql)?;
        for (owner, link) in event.rows().owners(event.row()) {
            let (command, user) = (&owner.command, &owner.user);
            let (unit, container) = (&owner.unit, &owner.container);
            insert.execute(params![
                id,
                owner.pid,
                link.descriptor,
                command,
                user,
                owner.uid,
                owner.parent,
                unit,
                container
            ])?;
        }
        self.written.insert(event.number, (id, fingerprint(event)));
        Ok(())
    }
}

fn begin(database: &Connection, about: &About, at: SystemTime) -> rusqlite::Result<i64> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let every = i64::try_from(about.every.as_micros()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO watch (started_us, seen_us, host, version, selector, every_us) VALUES (?1, ?1, ?2, ?3, ?4, ?5)";
    database.execute(sql, params![micros(at), host, about.version, about.selector, every])?;
    Ok(database.last_insert_rowid())
}

/// What an endpoint sent and received.
fn bytes(event: &Event) -> (Option<i64>, Option<i64>) {
    let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (sent, received) = event.bytes.unzip();
    (sent.map(signed), received.map(signed))
}

/// Tells whether owners were written already.
fn fingerprint(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (owner, link) in event.rows().owners(event.row()) {
        (owner, link.descriptor).hash(&mut hasher);
    }
    hasher.finish()
}

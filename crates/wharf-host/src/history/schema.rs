//! The tables of a record. docs/history.md tells people of them; a change here changes the number.

use std::path::Path;

use rusqlite::Connection;

use super::{HistoryError, database};

/// Tells a record from other databases: `wrhf`.
const APPLICATION: i64 = 0x7772_6866;
/// The number of this form.
pub(super) const VERSION: i64 = 1;

/// Times are in microseconds since 1970 (UTC).
const TABLES: &str = "
CREATE TABLE watch (
    id INTEGER PRIMARY KEY,
    started_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    host TEXT,
    version TEXT NOT NULL,
    selector TEXT,
    every_us INTEGER NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY,
    watch INTEGER NOT NULL REFERENCES watch (id),
    protocol TEXT NOT NULL,
    local_address TEXT NOT NULL,
    local_zone TEXT,
    local_port INTEGER NOT NULL,
    remote_address TEXT,
    remote_zone TEXT,
    remote_port INTEGER,
    network TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    uid INTEGER,
    user TEXT,
    unit TEXT,
    container TEXT,
    cookie INTEGER NOT NULL,
    since_us INTEGER,
    opened_us INTEGER,
    listening_us INTEGER,
    connected_us INTEGER,
    closed_us INTEGER,
    closed_source TEXT,
    sent_bytes INTEGER,
    received_bytes INTEGER
);
CREATE TABLE owner (
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    pid INTEGER,
    descriptor INTEGER,
    command TEXT,
    user TEXT,
    uid INTEGER,
    parent INTEGER,
    unit TEXT,
    container TEXT
);
CREATE INDEX endpoint_port ON endpoint (local_port, since_us);
CREATE INDEX owner_endpoint ON owner (endpoint);
CREATE VIEW event AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', at_us / 1e6, 'unixepoch') AS at, at_us, event, endpoint FROM (
        SELECT opened_us AS at_us, 'opened' AS event, id AS endpoint FROM endpoint
        UNION ALL SELECT listening_us, 'listening', id FROM endpoint
        UNION ALL SELECT connected_us, 'connected', id FROM endpoint
        UNION ALL SELECT closed_us, 'closed', id FROM endpoint)
    WHERE at_us IS NOT NULL;
";

/// Whether this is a record of a form that is known; an empty database is none yet.
pub(super) fn check(database_: &Connection, path: &Path) -> Result<State, HistoryError> {
    let failed = database("read", path);
    let number = |name| database_.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = number("application_id").map_err(&failed)?;
    let version = number("user_version").map_err(&failed)?;
    match (application, version) {
        (APPLICATION, VERSION) => Ok(State::Record),
        (APPLICATION, found) if found > VERSION => {
            Err(HistoryError::Newer { path: path.to_owned(), found, known: VERSION })
        }
        (0, 0) if is_empty(database_).map_err(&failed)? => Ok(State::Empty),
        _ => Err(HistoryError::NoRecord { path: path.to_owned() }),
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Record,
    Empty,
}

fn is_empty(database: &Connection) -> rusqlite::Result<bool> {
    database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}

/// Makes the tables, all or none.
pub(super) fn make(database: &Connection) -> rusqlite::Result<()> {
    database.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))
}

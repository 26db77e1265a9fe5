//! History: what `wharf watch --record` writes, and who had a port at an earlier time.
//!
//! A record is one SQLite file, so that people can ask it what they like (docs/history.md has the tables). [`Recorder`] writes
//! it, a transaction a second; [`History`] reads it, also while it is being written. [`moment`] reads times as people type them.
//!
//! # Invariants
//! - Whoever is killed while recording loses what happened since the last commit, at most about a second, and nothing else.
//! - A record says from when to when it was kept, so that "nobody had it" and "nobody looked" are told apart.
//! - One records into a file at a time; anybody may read.

mod asked;
pub mod moment;
mod recorder;
mod schema;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

pub use asked::{Answer, Covered, History, Life};
pub use recorder::{About, Recorder};

/// Why a record can't be written or read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file can't be opened.
    #[error("open the record {path:?}: {error}{}", hint(.error))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something else is in the file.
    #[error("{path:?} is no record of wharf (name another file)")]
    NoRecord {
        /// The file.
        path: PathBuf,
    },
    /// A later wharf has written it.
    #[error("the record {path:?} has the form {found}, and this wharf knows {known} (use a newer wharf)")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The number of its form.
        found: i64,
        /// The number of the latest form that is known.
        known: i64,
    },
    /// Another wharf records into it.
    #[error("another wharf records into {path:?} (name another file, or end that one)")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The database failed.
    #[error("{what} the record {path:?}: {error}{}", full(.error))]
    Database {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The database's reason.
        error: rusqlite::Error,
    },
    /// There is no home in which a record would stand.
    #[error("no place for a record: neither XDG_STATE_HOME nor HOME is set (write --record FILE)")]
    NoHome,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (wharf watch --record makes one)",
        io::ErrorKind::PermissionDenied => " (a record belongs to the user who made it)",
        _ => "",
    }
}

fn full(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => " (make room, or name a file elsewhere)",
        _ => "",
    }
}

/// Where a record stands when no file is named: `$XDG_STATE_HOME/wharf/history.db`, or the same below `~/.local/state` (XDG Base
/// Directory Specification).
///
/// # Errors
/// [`HistoryError::NoHome`].
pub fn usual_path() -> Result<PathBuf, HistoryError> {
    // The specification says that a relative path is to be ignored.
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    Ok(state.ok_or(HistoryError::NoHome)?.join("wharf/history.db"))
}

/// Microseconds since 1970: how a record keeps times.
fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// The error of a database as one of its file.
fn database<'a>(what: &'static str, path: &'a Path) -> impl Fn(rusqlite::Error) -> HistoryError + use<'a> {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => HistoryError::NoRecord { path: path.to_owned() },
        _ => HistoryError::Database { what, path: path.to_owned(), error },
    }
}

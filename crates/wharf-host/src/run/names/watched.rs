//! A file that is read again when it has changed.
//!
//! Asking costs one `stat`, a microsecond beside a query, and a change counts from the next query on. A file that is replaced (renamed over, as most editors and resolvconf do) or
//! whose symbolic link leads elsewhere is another file, and read again; one that is missing reads as empty.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::run::descriptors::is_shortage;

/// The most bytes that are read of a file; block lists in `/etc/hosts` have a few million.
const FILE_MAX: u64 = 32 << 20;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    changed: (i64, i64),
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            file: (metadata.dev(), metadata.ino()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.size(),
        }
    }
}

/// A file and what it means.
#[derive(Debug)]
pub(super) struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> T,
    stamp: Option<Stamp>,
    value: T,
}

impl<T> Watched<T> {
    /// Watches `path`; nothing is read before the first [`Watched::refresh`].
    pub(super) fn new(path: PathBuf, parse: fn(&str) -> T) -> Watched<T> {
        Watched { path, parse, stamp: None, value: parse("") }
    }

    /// Reads the file if it has changed.
    pub(super) fn refresh(&mut self) {
        let stamp =
            fs::metadata(&self.path).ok().filter(Metadata::is_file).map(|metadata| Stamp::of(&metadata));
        if stamp == self.stamp {
            return;
        }
        let text = match stamp.map(|_| self.read()) {
            Some(Ok(text)) => text,
            // No descriptor is left: the file is the same as before until it can be read.
            Some(Err(error)) if is_shortage(&error) => return,
            Some(Err(_)) | None => String::new(),
        };
        self.stamp = stamp;
        self.value = (self.parse)(&text);
    }

    fn read(&self) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What the file said when it was last read.
    pub(super) const fn value(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_at_once_and_a_missing_file_is_empty() {
        let path = std::env::temp_dir().join(format!("wharf-watched-{}", std::process::id()));
        let mut watched = Watched::new(path.clone(), str::to_owned);
        let mut now = || {
            watched.refresh();
            watched.value().clone()
        };
        assert_eq!(now(), "");
        fs::write(&path, "one").unwrap();
        assert_eq!(now(), "one");
        let other = path.with_extension("new");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(now(), "two");
        fs::remove_file(&path).unwrap();
        assert_eq!(now(), "");
    }
}

//! What `-v` tells on standard error. Without it a run is silent.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;

use wharf_table::Tuple;

/// Where a run tells what happens.
pub(super) struct Log {
    verbose: bool,
    said: BTreeSet<&'static str>,
}

impl Log {
    pub(super) fn new(verbose: bool) -> Log {
        Log { verbose, said: BTreeSet::new() }
    }

    /// Tells a line that is made only when somebody listens.
    pub(super) fn line(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "wharf: {}", text());
        }
    }

    /// Tells a line the first time that `key` comes up.
    pub(super) fn once(&mut self, key: &'static str, text: impl FnOnce() -> String) {
        if self.verbose && self.said.insert(key) {
            self.line(text);
        }
    }

    /// Tells what happened to a flow.
    pub(super) fn flow(&self, what: &str, tuple: Tuple, outside: Option<SocketAddr>) {
        self.line(|| match outside {
            Some(outside) if outside != tuple.remote.socket_addr() => format!("{what} {tuple} (as {outside})"),
            _ => format!("{what} {tuple}"),
        });
    }
}

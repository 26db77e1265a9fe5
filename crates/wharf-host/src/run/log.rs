//! What `-v` tells on standard error. Without it a run says only what can't be found out otherwise.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;

use wharf_table::Tuple;

use super::config::{Style, Verbosity};

/// Where a run tells what happens.
pub(super) struct Log {
    verbosity: Verbosity,
    style: Style,
    said: BTreeSet<&'static str>,
}

impl Log {
    pub(super) fn new(verbosity: Verbosity, style: Style) -> Log {
        Log { verbosity, style, said: BTreeSet::new() }
    }

    /// Tells a line in any case.
    pub(super) fn always(&self, text: &str) {
        let line = match self.style {
            Style::Json if text.starts_with('{') => format!("{text}\n"),
            Style::Json => format!("{}\n", serde_json::json!({"event": "log", "text": text})),
            Style::Text => format!("wharf: {text}\n"),
        };
        // One write, so that lines of the program don't fall into it. Nobody is left to tell when standard error is gone.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Tells a line that is made only when somebody listens.
    pub(super) fn line(&self, text: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose {
            self.always(&text());
        }
    }

    /// Tells of something that could not be set up and that not every program needs.
    pub(super) fn warning(&self, text: &str) {
        self.line(|| format!("warning: {text}"));
    }

    /// Tells a line the first time that `key` comes up.
    pub(super) fn once(&mut self, key: &'static str, text: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose && self.said.insert(key) {
            self.always(&text());
        }
    }

    /// Tells what happened to a flow.
    pub(super) fn flow(&self, what: &str, tuple: Tuple, outside: Option<SocketAddr>) {
        self.line(|| match outside {
            Some(outside) if outside != tuple.remote.socket_addr() => {
                format!("{what} {tuple} (as {outside})")
            }
            _ => format!("{what} {tuple}"),
        });
    }
}

//! What may be missed, in sentences for people.

use std::io;
use std::time::Duration;

use wharf_table::rows::Rows;

use super::states::States;
use super::watcher::Config;

/// What may be missed.
#[derive(Clone, Debug)]
pub struct Limits {
    sentences: Vec<String>,
}

impl Limits {
    pub(super) fn new(config: &Config, states: &io::Result<States>) -> Limits {
        let (quick, every) = (text(config.quick), text(config.every));
        let sentences = match states {
            Ok(_) => vec![
                "TCP: the kernel tells of every listener and connection".into(),
                format!(
                    "UDP: every end is told by the kernel; who held what was open for less than {quick} is not known"
                ),
            ],
            Err(error) => vec![
                "every end is told by the kernel".into(),
                format!(
                    "since when and by whom is not known of listeners that were open for less than {quick} and of connections \
                     for less than {every} (the kernel tells root: {})",
                    reason(error)
                ),
            ],
        };
        Limits { sentences }
    }

    /// The kernel does not tell of ends.
    pub(super) fn ends_are_missed(&mut self) {
        let sentence =
            "this kernel does not tell of ends: what is open for less than a sample is missed".to_owned();
        if !self.sentences.contains(&sentence) {
            self.sentences.retain(|other| !other.starts_with("every end"));
            self.sentences.push(sentence);
        }
    }

    pub(super) fn hidden(&mut self, rows: &Rows) {
        self.sentences.extend(rows.hidden.iter().map(|what| format!("hidden: {what}")));
    }

    /// The sentences, without a stop.
    pub fn sentences(&self) -> &[String] {
        &self.sentences
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "needs CAP_PERFMON and tracefs".into(),
        io::ErrorKind::NotFound | io::ErrorKind::Unsupported => "this kernel has no tracepoint for it".into(),
        _ => error.to_string(),
    }
}

fn text(span: Duration) -> String {
    match span.as_millis() {
        millis if millis % 1000 == 0 => format!("{} s", millis / 1000),
        millis => format!("{millis} ms"),
    }
}

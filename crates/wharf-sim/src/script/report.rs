//! How a script ended.

use std::fmt;
use std::path::PathBuf;

use super::syntax::Position;

/// Why a script failed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The script.
    pub file: PathBuf,
    /// The event, or the place that makes no sense.
    pub position: Position,
    /// What was expected and what was seen.
    pub message: String,
    /// Whether only a time was wrong: on a busy machine that may be the machine's fault.
    pub cause: Cause,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The script itself makes no sense, or can't be run.
    Script,
    /// The host did something else.
    Behaviour,
    /// The host did the right thing at the wrong time.
    Time,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.position, self.message)
    }
}

impl std::error::Error for Failure {}

/// What a run that ended well has to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// What was left out or understood differently.
    pub notes: Vec<String>,
}

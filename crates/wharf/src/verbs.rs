//! The verbs, one file each: from what was typed to the work of `wharf_host`, and back to an exit code.

pub(crate) mod flows;
pub(crate) mod host;
pub(crate) mod list;
pub(crate) mod ps;
mod read;
pub(crate) mod run;
#[cfg(feature = "tui")]
pub(crate) mod top;
pub(crate) mod watch;

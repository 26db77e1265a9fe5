//! The verbs, one file each: from what was typed to the work of `wharf_host`, and back to an exit code.

pub(crate) mod flows;
pub(crate) mod free;
pub(crate) mod host;
pub(crate) mod list;
pub(crate) mod policy;
pub(crate) mod port;
pub(crate) mod ps;
mod read;
pub(crate) mod run;
pub(crate) mod who;

/// Says something beside the answer, on standard error.
fn note(what: &str) {
    use std::io::Write as _;
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "wharf: {what}");
}
#[cfg(feature = "tui")]
pub(crate) mod top;
pub(crate) mod watch;

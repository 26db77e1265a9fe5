//! The verbs, one file each: from what was typed to the work of `wharf_host`, and back to an exit code.

pub(crate) mod host;
pub(crate) mod port;
mod read;
pub(crate) mod run;

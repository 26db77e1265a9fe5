//! What wharf shows, as a person sees it: the real binary, the real kernel, real programs.
//!
//! Each module is one verb. The laboratory is that of the tests of `wharf run`.

#[path = "../run/lab/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each of the test programs uses a part of the laboratory")]
mod lab;

mod flows;
mod free;
mod list;
mod list_oracle;
mod port;
mod scene;
#[cfg(feature = "tui")]
mod top;
mod watch;
mod who;
mod why;

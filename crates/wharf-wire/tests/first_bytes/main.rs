//! Whom real clients ask for, and whether servers see the same: hellos and heads of programs that are installed, of rustls and of
//! quinn; and what OpenSSL, rustls, httparse and Python's server make of bytes that are nearly theirs.
//!
//! Whoever decides by a name is got round as soon as one server reads another name in the same bytes. So the rule for all that is
//! nearly a hello or a head: what a server takes, we refuse or read as it does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod clients;
mod quic;
mod samples;
mod servers;
mod splits;

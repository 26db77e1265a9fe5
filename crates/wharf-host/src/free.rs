//! Which ports can be had on this host.

pub mod here;

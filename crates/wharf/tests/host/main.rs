//! `wharf host` as a person sees it: the real binary on real interfaces, and on the other side the kernel, python, curl, ping
//! and nmap.
//!
//! Each module is one behaviour. What can't run here is skipped with a printed reason.

mod lab;

mod lifetime;
mod lines;
mod ports;
mod time;
mod transfers;

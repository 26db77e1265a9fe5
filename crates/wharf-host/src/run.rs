//! `wharf run`: a program in a network of its own.
//!
//! The parent stays in the host's network and carries packets; the program lives in namespaces behind a link. What is
//! typed becomes a [`config`], the config a sandbox ([`spawn`]) and a loop (`pump`), and the loop ends with the program.

mod addresses;
mod clock;
//pub mod config;
mod datagrams;
mod echo;
mod log;
pub mod names;
mod pump;
//pub mod publish;
mod resolver;
mod start;
pub mod spawn;
mod streams;
mod token;
mod wire;
pub mod trial;

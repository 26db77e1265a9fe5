//! `wharf why` against set-ups that are broken, each in one way, and against such that are well: it names what is wrong, and
//! after exactly what it says a real `curl` succeeds.
//!
//! Every test makes network namespaces of its own, and takes them away.

mod broken;
mod healthy;
mod lab;
mod probe;
mod run;

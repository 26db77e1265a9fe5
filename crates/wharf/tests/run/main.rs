//! `wharf run` as a person sees it: the real binary, the real kernel, real programs as peers.
//!
//! Each module is one behaviour, each test one story told over a device (TAP or AF_PACKET) and as a user (root or ordinary).
//! `WHARF_TEST_FULL=1` asks for the sizes of the specification, `WHARF_TEST_BINARY` for another binary than the one just built,
//! `WHARF_TEST_QUEUES` for so many queues of every link.

mod lab;

mod data;
mod draining;
mod errors;
mod frames;
mod guard;
mod hostile;
mod isolation;
mod lifetime;
mod limits;
mod line;
mod names;
mod outward;
mod publish;
mod queues;
mod spliced;
mod switches;
mod telling;
mod udp;

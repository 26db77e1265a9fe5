//! How ports are written.
mod port;

pub use port::PortSpec;

//! Ports, ranges and service names.

use crate::port::{Port, PortRange};
use crate::tuple::Protocol;

/// Ports of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortSpec {
    /// The protocol.
    pub protocol: Protocol,
    /// The ports.
    pub ports: PortRange,
}

impl PortSpec {
    /// Whether `port` of `protocol` is one of them.
    pub fn covers(&self, protocol: Protocol, port: Port) -> bool {
        self.protocol == protocol && self.ports.contains(port)
    }
}

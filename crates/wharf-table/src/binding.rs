//! The binding: a claim of a port, (protocol, address or any, port) -> application.

use core::fmt;

use crate::endpoint::Addr;
use crate::port::Port;
use crate::tuple::Protocol;

/// The number of a binding in its [`Table`](crate::table::Table); used again after the binding is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub(crate) u32);

impl BindingId {
    /// The number, dense from 0, for an array beside the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A claim of a port.
///
/// The address tells what is claimed: `None` is any address of both families (a dual-stack socket on `[::]`),
/// [`Addr::ANY_V4`] any IPv4 address, [`Addr::ANY_V6`] any IPv6 address only, everything else that one address.
#[derive(Clone, Debug)]
pub struct Binding {
    pub(crate) protocol: Protocol,
    pub(crate) address: Option<Addr>,
    pub(crate) port: Port,
    pub(crate) app: u32,
    /// Neighbours in the list of bindings with the same protocol, family and port on one address each.
    pub(crate) previous: Option<BindingId>,
    pub(crate) next: Option<BindingId>,
}

impl Binding {
    /// The protocol.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The address; `None` is any of both families.
    pub const fn address(&self) -> Option<Addr> {
        self.address
    }

    /// The port.
    pub const fn port(&self) -> Port {
        self.port
    }

    /// The token of the application's socket, as it was given to [`Table::bind`](crate::table::Table::bind).
    pub const fn app(&self) -> u32 {
        self.app
    }
}

impl fmt::Display for Binding {
    /// `tcp *:80`, `udp 127.0.0.1:53`, `tcp [::]:443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, "{} *:{}", self.protocol, self.port),
            Some(addr) if addr.is_v4() => write!(f, "{} {addr}:{}", self.protocol, self.port),
            Some(addr) => write!(f, "{} [{addr}]:{}", self.protocol, self.port),
        }
    }
}

/// Why a port could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// This binding holds the port on an address that the claim covers.
    InUse {
        /// The holder.
        by: BindingId,
    },
    /// No port was asked for, and none of the ephemeral range is free on this address.
    NoPortLeft,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BindError::InUse { .. } => "the port is in use",
            BindError::NoPortLeft => "no port of the ephemeral range is free on this address",
        })
    }
}

impl core::error::Error for BindError {}

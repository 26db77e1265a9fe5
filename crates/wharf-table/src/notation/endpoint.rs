//! Endpoints: an address and a port.

use alloc::string::{String, ToString};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::endpoint::{Addr, Endpoint};
use crate::notation::Services;
use crate::notation::port::{PortError, parse_number, parse_port};
use crate::tuple::Protocol;

/// What is wrong with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// No port follows the address.
    PortMissing {
        /// The whole text.
        text: String,
    },
    /// What stands before the port is no IPv4 address.
    NotV4 {
        /// The offending part.
        part: String,
    },
    /// What stands in the brackets is no IPv6 address.
    NotV6 {
        /// The offending part.
        part: String,
    },
    /// A bracket opens and does not close.
    Unclosed {
        /// The whole text.
        text: String,
    },
    /// An IPv6 address without brackets: where it ends can't be told.
    Bare {
        /// The whole text.
        text: String,
        /// What may have been meant.
        meant: String,
    },
    /// The port.
    Port(PortError),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointError::PortMissing { text } => {
                write!(f, "{text:?}: a port is missing (write 192.0.2.1:443 or [2001:db8::1]:443)")
            }
            EndpointError::NotV4 { part } => write!(f, "{part:?}: not an IPv4 address (write 192.0.2.1:443)"),
            EndpointError::NotV6 { part } => {
                write!(f, "{part:?}: not an IPv6 address (write [2001:db8::1]:443)")
            }
            EndpointError::Unclosed { text } => {
                write!(f, "{text:?}: a ] is missing (write [2001:db8::1]:443)")
            }
            EndpointError::Bare { text, meant } => {
                write!(f, "{text:?}: an IPv6 address before a port stands in brackets (write {meant})")
            }
            EndpointError::Port(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for EndpointError {}

impl From<PortError> for EndpointError {
    fn from(error: PortError) -> EndpointError {
        EndpointError::Port(error)
    }
}

/// Reads `192.0.2.1:443` or `[2001:db8::1]:443`; the port may be the name of a service of `protocol`.
///
/// # Errors
/// [`EndpointError`], with the offending part.
pub fn parse_endpoint(
    text: &str,
    protocol: Protocol,
    services: Services<'_>,
) -> Result<Endpoint, EndpointError> {
    let (addr, port) = split(text)?;
    Ok(Endpoint { addr, port: parse_port(port, protocol, services)? })
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads an endpoint whose port is a number.
    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let (addr, port) = split(text)?;
        Ok(Endpoint { addr, port: parse_number(port)? })
    }
}

fn split(text: &str) -> Result<(Addr, &str), EndpointError> {
    let missing = || EndpointError::PortMissing { text: text.to_string() };
    if let Some(inside) = text.strip_prefix('[') {
        let unclosed = || EndpointError::Unclosed { text: text.to_string() };
        let (addr, rest) = inside.split_once(']').ok_or_else(unclosed)?;
        let port = rest.strip_prefix(':').filter(|port| !port.is_empty()).ok_or_else(missing)?;
        let addr: Ipv6Addr = addr.parse().map_err(|_| EndpointError::NotV6 { part: addr.to_string() })?;
        return Ok((addr.into(), port));
    }
    let (addr, port) = text.rsplit_once(':').ok_or_else(missing)?;
    if let Some(meant) = bracketed(text) {
        return Err(EndpointError::Bare { text: text.to_string(), meant });
    }
    let addr: Ipv4Addr = addr.parse().map_err(|_| EndpointError::NotV4 { part: addr.to_string() })?;
    if port.is_empty() {
        return Err(missing());
    }
    Ok((addr.into(), port))
}

/// What may have been meant by an IPv6 address that stands without brackets, with or without a port.
fn bracketed(text: &str) -> Option<String> {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    match text.rsplit_once(':') {
        Some((addr, port)) if is_v6(addr) && !port.is_empty() => Some(alloc::format!("[{addr}]:{port}")),
        _ if is_v6(text) => Some(alloc::format!("[{text}]:443")),
        _ => None,
    }
}

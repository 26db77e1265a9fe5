//! Ports, ranges and service names.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::notation::{Ports, Services};
use crate::port::{Port, PortRange};
use crate::registry;
use crate::tuple::Protocol;

/// Ports of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortSpec {
    /// The protocol, TCP or UDP.
    pub protocol: Protocol,
    /// The ports.
    pub ports: PortRange,
}

impl PortSpec {
    /// Reads `PORT[-END][/tcp|/udp]` or `[tcp/|udp/]PORT[-END]`; without a protocol it is TCP.
    ///
    /// # Errors
    /// [`PortError`], with the offending part.
    pub fn parse(text: &str, services: Services<'_>) -> Result<PortSpec, PortError> {
        let (ports, protocol) = split_protocol(text)?;
        let (first, last) = parse_ends(ports, protocol, services)?;
        let ports = range(first, last).ok_or_else(|| PortError::Zero { part: ports.to_string() })?;
        Ok(PortSpec { protocol, ports })
    }

    /// Whether `port` of `protocol` is one of them.
    pub fn covers(&self, protocol: Protocol, port: Port) -> bool {
        self.protocol == protocol && self.ports.contains(port)
    }
}

impl fmt::Display for PortSpec {
    /// `8000-8010/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol)
    }
}

/// What is wrong with a port or a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortError {
    /// Nothing stands where a port must.
    Missing,
    /// `+80`, `-1`.
    Sign {
        /// The offending part.
        part: String,
    },
    /// `08080`.
    LeadingZero {
        /// The offending part.
        part: String,
    },
    /// `70000`.
    TooLarge {
        /// The offending part.
        part: String,
    },
    /// `8 0`, `80.`: neither a number nor a name.
    NotDecimal {
        /// The offending part.
        part: String,
    },
    /// No service has this name.
    UnknownService {
        /// The offending part.
        part: String,
        /// The protocol whose services were asked.
        protocol: Protocol,
    },
    /// No service of any protocol has this name.
    UnknownName {
        /// The offending part.
        part: String,
    },
    /// The registry has this name on several ports.
    Ambiguous {
        /// The offending part.
        part: String,
        /// The ports, in order.
        ports: Vec<Port>,
    },
    /// `80,,443`.
    EmptyPart {
        /// The whole list.
        text: String,
    },
    /// `8000-7000`.
    Backwards {
        /// The lower end, which stands last.
        first: u16,
        /// The upper end, which stands first.
        last: u16,
    },
    /// Port 0 where a port must be one.
    Zero {
        /// The offending part.
        part: String,
    },
    /// `/sctp`.
    UnknownProtocol {
        /// The offending part.
        part: String,
    },
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortError::Missing => {
                f.write_str("a port is missing (write a number from 1 to 65535 or a service name)")
            }
            PortError::Sign { part } => {
                let digits = part.trim_start_matches(['+', '-']);
                write!(f, "{part:?}: a port has no sign (write {digits})")
            }
            PortError::LeadingZero { part } => {
                let digits = match part.trim_start_matches('0') {
                    "" => "0",
                    digits => digits,
                };
                write!(f, "{part:?}: a port has no leading zeros (write {digits})")
            }
            PortError::TooLarge { part } => write!(f, "{part:?}: the highest port is 65535"),
            PortError::NotDecimal { part } => {
                write!(
                    f,
                    "{part:?}: not a port (write a decimal number like 8080, a range like 8000-8010 or a service name)"
                )
            }
            PortError::UnknownService { part, protocol } => {
                write!(f, "{part:?}: no {protocol} service has this name (write its port number)")
            }
            PortError::UnknownName { part } => {
                write!(f, "{part:?}: no service has this name (write its port number)")
            }
            PortError::Ambiguous { part, ports } => {
                write!(f, "{part:?}: the service has several ports (write ")?;
                for (index, port) in ports.iter().enumerate() {
                    let before = match index {
                        0 => "",
                        _ if index + 1 == ports.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{before}{port}")?;
                }
                f.write_str(")")
            }
            PortError::EmptyPart { text } => {
                write!(f, "{text:?}: a port is missing beside a comma (write a list like 80,443,8000-8999)")
            }
            PortError::Backwards { first, last } => {
                write!(f, "\"{last}-{first}\": a range runs upwards (write {first}-{last})")
            }
            PortError::Zero { part } => {
                write!(f, "{part:?}: port 0 can't be opened (write a number from 1 to 65535)")
            }
            PortError::UnknownProtocol { part } => {
                write!(f, "{part:?}: unknown protocol (write /tcp or /udp)")
            }
        }
    }
}

impl core::error::Error for PortError {}

/// Reads one port: a number, or the name of a service of `protocol`.
///
/// # Errors
/// [`PortError`], with the offending part.
pub fn parse_port(text: &str, protocol: Protocol, services: Services<'_>) -> Result<u16, PortError> {
    if !text.contains(|letter: char| letter.is_ascii_alphabetic()) {
        return parse_number(text);
    }
    if let Some(port) = services(text, protocol) {
        return Ok(port.number());
    }
    let mut ports: Vec<Port> = registry::service_ports(text, protocol).collect();
    ports.sort();
    ports.dedup();
    match ports[..] {
        [] => Err(PortError::UnknownService { part: text.to_string(), protocol }),
        [port] => Ok(port.number()),
        _ => Err(PortError::Ambiguous { part: text.to_string(), ports }),
    }
}

/// Reads a list of ports and ranges of `protocol`: `80,443,8000-8999,https`.
///
/// # Errors
/// [`PortError`], with the offending part.
pub fn parse_ports(text: &str, protocol: Protocol, services: Services<'_>) -> Result<Ports, PortError> {
    Ports::parse(text, |name| parse_port(name, protocol, services).map(Ports::single))
}

/// Reads a decimal number from 0 to 65535.
pub(super) fn parse_number(text: &str) -> Result<u16, PortError> {
    let part = || text.to_string();
    match text.as_bytes() {
        [] => Err(PortError::Missing),
        [b'+' | b'-', digits @ ..] if is_decimal(digits) => Err(PortError::Sign { part: part() }),
        digits if !is_decimal(digits) => Err(PortError::NotDecimal { part: part() }),
        [b'0', _, ..] => Err(PortError::LeadingZero { part: part() }),
        _ => text.parse().map_err(|_| PortError::TooLarge { part: part() }),
    }
}

/// Whether it is digits and nothing else.
pub(super) fn is_decimal(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Reads `PORT` or `PORT-END` into its two ends, 0 included.
pub(super) fn parse_ends(
    text: &str,
    protocol: Protocol,
    services: Services<'_>,
) -> Result<(u16, u16), PortError> {
    let is_range =
        |&(first, last): &(&str, &str)| is_decimal(first.as_bytes()) && is_decimal(last.as_bytes());
    match text.split_once('-').filter(is_range) {
        None => parse_port(text, protocol, services).map(|port| (port, port)),
        Some((first, last)) => match (parse_number(first)?, parse_number(last)?) {
            (first, last) if last < first => Err(PortError::Backwards { first: last, last: first }),
            ends => Ok(ends),
        },
    }
}

/// The range from `first` to `last`; `None` when it starts at 0.
pub(super) fn range(first: u16, last: u16) -> Option<PortRange> {
    PortRange::new(Port::new(first)?, Port::new(last)?)
}

/// Splits `/tcp` or `/udp` off, or `tcp/` or `udp/`; without it, it is TCP.
pub(super) fn split_protocol(text: &str) -> Result<(&str, Protocol), PortError> {
    match text.split_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some(("tcp", ports)) if !ports.contains('/') => Ok((ports, Protocol::Tcp)),
        Some(("udp", ports)) if !ports.contains('/') => Ok((ports, Protocol::Udp)),
        Some((ports, "tcp")) => Ok((ports, Protocol::Tcp)),
        Some((ports, "udp")) => Ok((ports, Protocol::Udp)),
        Some((ports, _)) => Err(PortError::UnknownProtocol { part: text[ports.len()..].to_string() }),
    }
}

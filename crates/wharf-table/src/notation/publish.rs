//! What is published: ports of the host that lead to ports inside a run.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::endpoint::Addr;
use crate::notation::Services;
use crate::notation::port::{PortError, parse_ends, range, split_protocol};
use crate::port::{Port, PortRange};
use crate::tuple::Protocol;

/// `[ADDRESS:]HOSTPORT[-END]:PORT[-END][/tcp|/udp]`, or `PORT[-END]` where both sides have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishSpec {
    protocol: Protocol,
    address: Option<Addr>,
    host: Option<PortRange>,
    inside: PortRange,
}

impl PublishSpec {
    /// The spec with these parts; `None` when the two ranges differ in length.
    pub fn new(
        protocol: Protocol,
        address: Option<Addr>,
        host: Option<PortRange>,
        inside: PortRange,
    ) -> Option<PublishSpec> {
        let fits = host.is_none_or(|host| host.count() == inside.count());
        fits.then_some(PublishSpec { protocol, address, host, inside })
    }

    /// Reads a spec. Service names may stand in place of numbers.
    ///
    /// # Errors
    /// [`PublishError`], with the offending part and the right form.
    pub fn parse(text: &str, services: Services<'_>) -> Result<PublishSpec, PublishError> {
        if text.is_empty() {
            return Err(PublishError::Empty);
        }
        let (ports, protocol) = split_protocol(text)?;
        let (address, host, inside) = split(ports)?;
        if host.is_empty() || inside.is_empty() {
            return Err(PublishError::PortMissing { text: ports.to_string() });
        }
        let ends = (parse_ends(host, protocol, services)?, parse_ends(inside, protocol, services)?);
        let zero = |part: &str| PublishError::Zero { part: part.to_string() };
        let (inside_first, inside_last) = ends.1;
        let inside = range(inside_first, inside_last).ok_or_else(|| zero(inside))?;
        let host = match ends.0 {
            (0, 0) => None,
            (first, last) => Some(range(first, last).ok_or_else(|| zero(host))?),
        };
        match host {
            Some(host) if host.count() != inside.count() => Err(PublishError::Unequal { host, inside }),
            _ => Ok(PublishSpec { protocol, address, host, inside }),
        }
    }

    /// TCP or UDP.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The host's address; `None` where none was written.
    pub const fn address(&self) -> Option<Addr> {
        self.address
    }

    /// The host's ports; `None` for port 0: a free one is to be chosen for each port inside.
    pub const fn host(&self) -> Option<PortRange> {
        self.host
    }

    /// The ports inside, as many as there are on the host's side.
    pub const fn inside(&self) -> PortRange {
        self.inside
    }

    /// Each port inside with the host's port that leads to it; `None` where a free one is to be chosen.
    pub fn pairs(&self) -> impl Iterator<Item = (Option<Port>, Port)> {
        let host = self.host;
        let shift = move |inside: Port, first: Port| {
            let host = host.map(|host| host.first().number() + (inside.number() - first.number()));
            (host.and_then(Port::new), inside)
        };
        let first = self.inside.first();
        self.inside.iter().map(move |inside| shift(inside, first))
    }
}

impl fmt::Display for PublishSpec {
    /// The canonical form, which reads back as the same spec: `127.0.0.1:8080:80/tcp`, `0:53/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(addr) if addr.is_v4() => write!(f, "{addr}:")?,
            Some(addr) => write!(f, "[{addr}]:")?,
            None => {}
        }
        match self.host {
            Some(host) => write!(f, "{host}")?,
            None => f.write_str("0")?,
        }
        write!(f, ":{}/{}", self.inside, self.protocol)
    }
}

/// What is wrong with a publish spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// Nothing was written.
    Empty,
    /// A colon with no port beside it.
    PortMissing {
        /// The spec without its protocol.
        text: String,
    },
    /// An address with one port only.
    HostPortMissing {
        /// The address as it was written.
        address: String,
        /// The one port.
        port: String,
    },
    /// What stands before the ports is no IPv4 address.
    NotV4 {
        /// The offending part.
        part: String,
    },
    /// What stands in the brackets is no IPv6 address.
    NotV6 {
        /// The offending part.
        part: String,
    },
    /// A bracket opens and does not close, or no colon follows it.
    Bracket {
        /// The offending part.
        part: String,
    },
    /// An IPv6 address without brackets.
    Bare {
        /// The spec without its protocol.
        text: String,
        /// What may have been meant.
        meant: String,
    },
    /// More than three parts.
    TooManyParts {
        /// The spec without its protocol.
        text: String,
    },
    /// Port 0 where a port must be one.
    Zero {
        /// The offending part.
        part: String,
    },
    /// The two ranges differ in length.
    Unequal {
        /// The host's side.
        host: PortRange,
        /// The inside.
        inside: PortRange,
    },
    /// A port, a range or the protocol.
    Port(PortError),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Empty => f.write_str("\"\": nothing to publish (write HOSTPORT:PORT, 8080:80 say)"),
            PublishError::PortMissing { text } => {
                write!(f, "{text:?}: a port is missing (write HOSTPORT:PORT, 8080:80 say)")
            }
            PublishError::HostPortMissing { address, port } => {
                write!(f, "\"{}:{}\": ", address.escape_debug(), port.escape_debug())?;
                let port = if port.is_empty() { "8080:80" } else { &alloc::format!("{port}:{port}") };
                write!(f, "an address is followed by two ports (write {address}:{port})")
            }
            PublishError::NotV4 { part } => {
                write!(
                    f,
                    "{part:?}: not an IPv4 address (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)"
                )
            }
            PublishError::NotV6 { part } => {
                write!(f, "{part:?}: not an IPv6 address (write [ADDRESS]:HOSTPORT:PORT, [::1]:8080:80 say)")
            }
            PublishError::Bracket { part } => {
                write!(f, "{part:?}: brackets hold an IPv6 address, and ports follow (write [::1]:8080:80)")
            }
            PublishError::Bare { text, meant } => {
                write!(f, "{text:?}: an IPv6 address before a port stands in brackets (write {meant})")
            }
            PublishError::TooManyParts { text } => {
                write!(f, "{text:?}: too many parts (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)")
            }
            PublishError::Zero { part } => {
                write!(f, "{part:?}: port 0 stands only for one host port that is to be chosen (write 0:80)")
            }
            PublishError::Unequal { host, inside } => {
                let (on_host, within) = (host.count(), inside.count());
                write!(
                    f,
                    "\"{host}:{inside}\": {on_host} against {within} ports, and both sides need as many"
                )?;
                let last = u32::from(host.first().number()) + u32::from(within) - 1;
                match u16::try_from(last) {
                    Ok(last) if last == host.first().number() => write!(f, " (write {last}:{inside})"),
                    Ok(last) => write!(f, " (write {}-{last}:{inside})", host.first()),
                    Err(_) => f.write_str(" (write 8000-8010:9000-9010)"),
                }
            }
            PublishError::Port(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PublishError {}

impl From<PortError> for PublishError {
    fn from(error: PortError) -> PublishError {
        PublishError::Port(error)
    }
}

/// Address, host's ports and ports inside, as they are written.
type Parts<'a> = (Option<Addr>, &'a str, &'a str);

fn split(text: &str) -> Result<Parts<'_>, PublishError> {
    if text.starts_with('[') {
        return split_bracketed(text);
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 2
        && let Some(meant) = bracketed(text)
    {
        return Err(PublishError::Bare { text: text.to_string(), meant });
    }
    match parts[..] {
        [ports] => Ok((None, ports, ports)),
        [address, port] if address.parse::<Ipv4Addr>().is_ok() => {
            Err(PublishError::HostPortMissing { address: address.to_string(), port: port.to_string() })
        }
        [host, inside] => Ok((None, host, inside)),
        [address, host, inside] => match address.parse::<Ipv4Addr>() {
            Ok(address) => Ok((Some(address.into()), host, inside)),
            Err(_) => Err(PublishError::NotV4 { part: address.to_string() }),
        },
        _ => Err(PublishError::TooManyParts { text: text.to_string() }),
    }
}

/// `[ADDRESS]:HOSTPORT:PORT`.
fn split_bracketed(text: &str) -> Result<Parts<'_>, PublishError> {
    let bracket = || PublishError::Bracket { part: text.to_string() };
    let (address, rest) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(bracket)?;
    let ports = rest.strip_prefix(':').ok_or_else(bracket)?;
    let Ok(addr) = address.parse::<Ipv6Addr>() else {
        return Err(PublishError::NotV6 { part: address.to_string() });
    };
    match ports.split_once(':') {
        None => Err(PublishError::HostPortMissing {
            address: alloc::format!("[{address}]"),
            port: ports.to_string(),
        }),
        Some((_, inside)) if inside.contains(':') => {
            Err(PublishError::TooManyParts { text: text.to_string() })
        }
        Some((host, inside)) => Ok((Some(addr.into()), host, inside)),
    }
}

/// What may have been meant by a spec whose IPv6 address stands without brackets.
fn bracketed(text: &str) -> Option<String> {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let (before, inside) = text.rsplit_once(':')?;
    match before.rsplit_once(':') {
        Some((addr, host)) if is_v6(addr) && !host.is_empty() && !inside.is_empty() => {
            Some(alloc::format!("[{addr}]:{host}:{inside}"))
        }
        _ if is_v6(before) && !inside.is_empty() => Some(alloc::format!("[{before}]:{inside}:{inside}")),
        _ if is_v6(text) => Some(alloc::format!("[{text}]:8080:80")),
        _ => None,
    }
}

//! What is wrong with one end.

use alloc::string::String;
use core::fmt;

use crate::notation::port::PortError;

/// What is wrong with one end. The offending part is quoted, and the right form shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocationError {
    /// Nothing was written.
    Empty,
    /// A colon, and no port behind it.
    PortMissing {
        /// The whole text.
        text: String,
    },
    /// A bracket opens and does not close.
    Unclosed {
        /// The whole text.
        text: String,
    },
    /// Something else than a zone and a port behind the bracket.
    Behind {
        /// The offending part.
        part: String,
        /// What stands in the brackets.
        address: String,
    },
    /// `%`, and no zone behind it.
    ZoneMissing {
        /// The offending part.
        part: String,
    },
    /// What stands behind `%` can't be an interface.
    Zone {
        /// The offending part.
        part: String,
    },
    /// No interface has this name.
    NoInterface {
        /// The offending part.
        part: String,
    },
    /// A zone behind the name of a host.
    ZoneOfName {
        /// The offending part.
        part: String,
    },
    /// An IPv6 address without brackets before a port.
    Bare {
        /// The whole text.
        text: String,
        /// What may have been meant.
        meant: String,
    },
    /// No IPv4 address.
    NotV4 {
        /// The offending part.
        part: String,
    },
    /// No IPv6 address.
    NotV6 {
        /// The offending part.
        part: String,
    },
    /// Neither an address nor the name of a host.
    NotAHost {
        /// The offending part.
        part: String,
    },
    /// A prefix length where one address is meant.
    Prefix {
        /// The offending part.
        part: String,
    },
    /// A URL without a host: `file:///etc/services`.
    HostMissing {
        /// The whole text.
        text: String,
    },
    /// A URL with several hosts.
    ManyHosts {
        /// The offending part.
        part: String,
    },
    /// A URL without a port, whose scheme has none by default.
    Scheme {
        /// The scheme.
        scheme: String,
        /// Host, and port if any.
        at: String,
        /// Whether it is known, and has none: a name server tells the port.
        is_known: bool,
    },
    /// The port.
    Port(PortError),
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORMS: &str = "write 192.0.2.1:443, [2001:db8::1]:443 or [fe80::1%eth0]:22";
        match self {
            LocationError::Empty => write!(f, "\"\": an address is missing ({FORMS})"),
            LocationError::PortMissing { text } => {
                write!(f, "{text:?}: a port is missing behind the colon ({FORMS})")
            }
            LocationError::Unclosed { text } => {
                write!(f, "{text:?}: a ] is missing (write [2001:db8::1]:443)")
            }
            LocationError::Behind { part, address } => {
                write!(
                    f,
                    "{part:?}: only a port follows the bracket (write [{}]:443)",
                    address.escape_debug()
                )
            }
            LocationError::ZoneMissing { part } => {
                write!(f, "{part:?}: an interface is missing behind % (write fe80::1%eth0)")
            }
            LocationError::Zone { part } => {
                write!(
                    f,
                    "{part:?}: not an interface (write its name or its number, fe80::1%eth0 or fe80::1%2)"
                )
            }
            LocationError::NoInterface { part } => {
                write!(f, "{part:?}: no such interface (write one that `ip link` lists)")
            }
            LocationError::ZoneOfName { part } => {
                write!(f, "{part:?}: only an address has a zone (write fe80::1%eth0)")
            }
            LocationError::Bare { text, meant } => {
                write!(
                    f,
                    "{text:?}: an IPv6 address before a port stands in brackets (write {})",
                    meant.escape_debug()
                )
            }
            LocationError::NotV4 { part } => write!(f, "{part:?}: not an IPv4 address (write 192.0.2.1:443)"),
            LocationError::NotV6 { part } => {
                write!(f, "{part:?}: not an IPv6 address (write [2001:db8::1]:443)")
            }
            LocationError::NotAHost { part } => {
                write!(f, "{part:?}: neither an address nor the name of a host ({FORMS})")
            }
            LocationError::Prefix { part } => {
                write!(f, "{part:?}: one address is meant here, not a network (write it without)")
            }
            LocationError::HostMissing { text } => {
                write!(f, "{text:?}: this URL names no host (write https://example.org)")
            }
            LocationError::ManyHosts { part } => {
                write!(f, "{part:?}: one host is meant here (write one of them)")
            }
            LocationError::Scheme { scheme, at, is_known } => {
                let why = if *is_known {
                    "its port is told by a name server"
                } else {
                    "no default port is known for it"
                };
                write!(
                    f,
                    "\"{}:\": {why} (write {}:443 with its port)",
                    scheme.escape_debug(),
                    at.escape_debug()
                )
            }
            LocationError::Port(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for LocationError {}

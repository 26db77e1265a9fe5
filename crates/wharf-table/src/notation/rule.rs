//! What a rule stands for: `[PROGRAM:]NAME|*.NAME|ADDRESS|CIDR|host|lan|any[:PORTS][/tcp|/udp|/icmp]`.
//!
//! PORTS are numbers, ranges and service names, separated by commas. An IPv6 address or network before ports stands in
//! brackets: `[2001:db8::/32]:443`.

use alloc::string::{String, ToString};
use core::fmt;

use crate::endpoint::Addr;
use crate::notation::{Cidr, CidrError, PortError, Ports, Services, parse_ports};
use crate::policy::{HostnameError, NamePattern, Peer, Target};
use crate::tuple::Protocol;

/// What is wrong with a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Nothing stands there.
    Empty,
    /// `example.org/sctp`.
    Protocol {
        /// The offending part.
        part: String,
    },
    /// A bracket opens and does not close, or closes too early.
    Bracket {
        /// The whole text.
        text: String,
    },
    /// An IPv6 address with something behind it, without brackets.
    Bare {
        /// The offending part.
        part: String,
    },
    /// The name.
    Name(HostnameError),
    /// The address or network.
    Network(CidrError),
    /// The ports.
    Port(PortError),
    /// Ports of what has none.
    IcmpPorts {
        /// The offending part.
        part: String,
    },
    /// `1.2.3`: neither an address nor a name.
    Number {
        /// The offending part.
        part: String,
    },
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetError::Empty => {
                f.write_str("a target is missing (write example.org:443, 10.0.0.0/8, host:5432, lan or any)")
            }
            TargetError::Protocol { part } => {
                write!(f, "{part:?}: unknown protocol (write /tcp, /udp or /icmp)")
            }
            TargetError::Bracket { text } => {
                write!(f, "{text:?}: brackets stand around an IPv6 address (write [2001:db8::1]:443)")
            }
            TargetError::Bare { part } => {
                write!(
                    f,
                    "{part:?}: an IPv6 address before ports stands in brackets (write [2001:db8::1]:443)"
                )
            }
            TargetError::Name(error) => error.fmt(f),
            TargetError::Network(error) => error.fmt(f),
            TargetError::Port(error) => error.fmt(f),
            TargetError::IcmpPorts { part } => write!(f, "{part:?}: ICMP has no ports (leave them out)"),
            TargetError::Number { part } => {
                write!(
                    f,
                    "{part:?}: neither an address nor a name (write 192.0.2.1, 192.0.2.0/24 or example.org)"
                )
            }
        }
    }
}

impl core::error::Error for TargetError {}

impl From<PortError> for TargetError {
    fn from(error: PortError) -> TargetError {
        TargetError::Port(error)
    }
}

impl Target {
    /// Reads a target. Service names are those of the protocol, of TCP where there is none.
    ///
    /// # Errors
    /// [`TargetError`], with the offending part.
    pub fn parse(text: &str, services: Services<'_>) -> Result<Target, TargetError> {
        let (rest, protocol) = split_protocol(text)?;
        let (before, ports) = split_ports(rest)?;
        let ports = match ports {
            Some(part) if protocol == Some(Protocol::Icmp) => {
                return Err(TargetError::IcmpPorts { part: part.into() });
            }
            Some(part) => read_ports(part, protocol.unwrap_or(Protocol::Tcp), services)?,
            None => Ports::NONE,
        };
        let (program, peer) = split_program(before)?;
        Ok(Target { program, peer: parse_peer(peer)?, ports, protocol })
    }
}

/// Splits `/tcp` off, and leaves the `/24` of a network.
fn split_protocol(text: &str) -> Result<(&str, Option<Protocol>), TargetError> {
    let Some((before, word)) = text.rsplit_once('/') else { return Ok((text, None)) };
    let protocol = match word {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        // The network of an address, with or without ports behind it.
        _ if word.starts_with(|letter: char| letter.is_ascii_digit()) => return Ok((text, None)),
        _ => return Err(TargetError::Protocol { part: alloc::format!("/{word}") }),
    };
    Ok((before, Some(protocol)))
}

/// Splits the ports off: what follows the last colon outside brackets, unless it is part of a bare IPv6 address or the peer
/// behind a program.
fn split_ports(text: &str) -> Result<(&str, Option<&str>), TargetError> {
    if text.is_empty() {
        return Err(TargetError::Empty);
    }
    if is_network(text) {
        return Ok((text, None));
    }
    if let Some(close) = text.rfind(']') {
        let (before, rest) = text.split_at(close + 1);
        return match rest.strip_prefix(':') {
            _ if rest.is_empty() => Ok((before, None)),
            Some(ports) => Ok((before, Some(ports))),
            None => Err(TargetError::Bracket { text: text.into() }),
        };
    }
    match text.rsplit_once(':') {
        Some((before, _)) if is_network(before) && before.contains(':') => {
            Err(TargetError::Bare { part: text.into() })
        }
        // `git:github.com` has no ports: what follows the colon is a peer by its looks.
        Some((before, after)) if !looks_like_peer(after) || before.contains(':') => Ok((before, Some(after))),
        _ => Ok((text, None)),
    }
}

fn is_network(text: &str) -> bool {
    text.parse::<Cidr>().is_ok() || text.parse::<core::net::IpAddr>().is_ok()
}

/// Whether a word behind a colon is somebody, rather than ports.
fn looks_like_peer(word: &str) -> bool {
    matches!(word, "host" | "lan" | "any") || word.contains('.') || word.starts_with('*')
}

fn split_program(text: &str) -> Result<(Option<String>, &str), TargetError> {
    if is_network(text) {
        return Ok((None, text));
    }
    let before_bracket = text.find('[').unwrap_or(text.len());
    match text[..before_bracket].split_once(':') {
        Some(("", _)) => Err(TargetError::Empty),
        Some((program, _)) => Ok((Some(program.to_string()), &text[program.len() + 1..])),
        None => Ok((None, text)),
    }
}

fn parse_peer(text: &str) -> Result<Peer, TargetError> {
    match text {
        "" => return Err(TargetError::Empty),
        "host" => return Ok(Peer::Host),
        "lan" => return Ok(Peer::Lan),
        "any" => return Ok(Peer::Any),
        _ => {}
    }
    let inner = match text.strip_prefix('[') {
        Some(rest) => {
            let inner = rest.strip_suffix(']').filter(|inner| inner.contains(':'));
            inner.ok_or_else(|| TargetError::Bracket { text: text.into() })?
        }
        None => text,
    };
    if let Ok(ip) = inner.parse::<core::net::IpAddr>() {
        let addr = Addr::from(ip);
        let whole = if addr.is_v4() { 32 } else { 128 };
        return Ok(Peer::Network(Cidr::new(addr, whole).expect("the whole address is a prefix of it")));
    }
    if inner.contains('/') || inner.contains(':') {
        return inner.parse().map(Peer::Network).map_err(TargetError::Network);
    }
    // A name whose last label is a number would be taken for an address by many programs (RFC 1123, section 2.1).
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TargetError::Number { part: text.into() });
    }
    NamePattern::parse(text).map(Peer::Name).map_err(TargetError::Name)
}

/// Ports that can be opened: 0 is none.
fn read_ports(text: &str, protocol: Protocol, services: Services<'_>) -> Result<Ports, TargetError> {
    let ports = parse_ports(text, protocol, services)?;
    if ports.contains(0) { Err(PortError::Zero { part: text.into() }.into()) } else { Ok(ports) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::no_services;

    fn parse(text: &str) -> Result<Target, TargetError> {
        Target::parse(text, &no_services)
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        for (text, program, peer, ports, protocol) in [
            ("example.org:443", None, "example.org", "443", None),
            ("Example.ORG", None, "example.org", "", None),
            ("*.example.net:https", None, "*.example.net", "443", None),
            (
                "example.org:80,443,8000-8080/tcp",
                None,
                "example.org",
                "80,443,8000-8080",
                Some(Protocol::Tcp),
            ),
            ("10.0.0.0/8", None, "10.0.0.0/8", "", None),
            ("10.0.0.0/8:53/udp", None, "10.0.0.0/8", "53", Some(Protocol::Udp)),
            ("192.0.2.1:22", None, "192.0.2.1", "22", None),
            ("192.0.2.1/icmp", None, "192.0.2.1", "", Some(Protocol::Icmp)),
            ("2001:db8::/32", None, "[2001:db8::/32]", "", None),
            ("2001:db8::1", None, "[2001:db8::1]", "", None),
            ("[2001:db8::/32]:443", None, "[2001:db8::/32]", "443", None),
            ("[2001:db8::1]:443/udp", None, "[2001:db8::1]", "443", Some(Protocol::Udp)),
            ("host:5432", None, "host", "5432", None),
            ("lan", None, "lan", "", None),
            ("any:443", None, "any", "443", None),
            ("localhost:80", None, "localhost", "80", None),
            ("git:github.com:22", Some("git"), "github.com", "22", None),
            ("git:github.com", Some("git"), "github.com", "", None),
            ("curl:any", Some("curl"), "any", "", None),
            ("curl:[2001:db8::1]:443", Some("curl"), "[2001:db8::1]", "443", None),
            ("curl:10.0.0.0/8:443/tcp", Some("curl"), "10.0.0.0/8", "443", Some(Protocol::Tcp)),
        ] {
            let target = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.program.as_deref(), program, "{text}");
            assert_eq!(target.peer.to_string(), peer, "{text}");
            let written = if target.ports.is_empty() { String::new() } else { target.ports.to_string() };
            assert_eq!(written, ports, "{text}");
            assert_eq!(target.protocol, protocol, "{text}");
            assert_eq!(parse(&target.to_string()).as_ref(), Ok(&target), "{text} as {target}");
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_and_what_to_write() {
        for (text, part) in [
            ("", "a target is missing"),
            (":443", "a target is missing"),
            ("example.org:", "a port is missing"),
            ("example.org:70000", "\"70000\": the highest port is 65535"),
            ("example.org:0", "port 0 can't be opened"),
            ("example.org:443/sctp", "\"/sctp\": unknown protocol"),
            ("example.org:443/icmp", "ICMP has no ports"),
            ("2001:db8::1:https", "stands in brackets"),
            ("[2001:db8::1", "brackets stand around"),
            ("[2001:db8::1]443", "brackets stand around"),
            ("[example.org]:443", "brackets stand around"),
            ("10.0.0.0/33", "33"),
            ("1.2.3", "neither an address nor a name"),
            ("w*.example.org", "* stands alone and first"),
            ("exa mple.org", "stands in no name"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

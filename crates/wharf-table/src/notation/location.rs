//! One end as people write it and paste it: an address or a name, with a zone, a port and a protocol where these are told.
//!
//! What is read: the plain forms (`192.0.2.1:443`, `[2001:db8::1]:443`, `[fe80::1%eth0]:22`, `*:80`, `example.org:443`), each
//! with `/tcp` or `/udp` behind; ss's `[fe80::1]%eth0:22` and `127.0.0.53%lo:53`; tcpdump's `1.2.3.4.443` and
//! `2001:db8::1.443`; and URLs, whose scheme gives the port that is not told. What is written is always the plain form, with
//! addresses as RFC 5952 has them. `::1:8080` is an address and no more: it is never read as `[::1]:8080`.

mod error;

use alloc::string::{String, ToString};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

pub use error::LocationError;

use crate::endpoint::{Addr, Endpoint};
use crate::notation::port::{PortError, parse_port};
use crate::notation::scheme;
use crate::notation::split::{Split, meant, split};
use crate::notation::{Services, Zone};
use crate::rows::End;
use crate::tuple::Protocol;

/// Which host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Any: `*`.
    Any,
    /// This address.
    Addr(Addr),
    /// The host with this name, which nobody has looked up.
    Name(String),
}

/// One end as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Which host.
    pub host: Host,
    /// Through which interface.
    pub zone: Option<Zone>,
    /// Which port; `None` for any.
    pub port: Option<u16>,
    /// Of which protocol, where that was told.
    pub protocol: Option<Protocol>,
}

impl Location {
    /// Reads any of the forms. The name of a service is one of the protocol that is told, else of `protocol`.
    ///
    /// # Errors
    /// [`LocationError`], with the offending part and the right form.
    pub fn parse(text: &str, protocol: Protocol, services: Services<'_>) -> Result<Location, LocationError> {
        if let Some((scheme, rest)) = text.split_once("://") {
            return parse_url(text, scheme, rest, protocol, services);
        }
        let (end, told) = match text.rsplit_once('/') {
            Some((end, "tcp")) => (end, Some(Protocol::Tcp)),
            Some((end, "udp")) => (end, Some(Protocol::Udp)),
            _ => (text, None),
        };
        let parts = split(end)?;
        if let Some(prefix) = parts.prefix {
            return Err(LocationError::Prefix { part: alloc::format!("/{prefix}") });
        }
        let (host, zone) = parse_host(&parts)?;
        let port = match parts.ports {
            None | Some("*") => None,
            Some(port) => Some(parse_port(port, told.unwrap_or(protocol), services)?),
        };
        Ok(Location { host, zone, port, protocol: told })
    }

    /// The end that this is, with the interface's index; `None` for a name.
    ///
    /// # Errors
    /// The zone's name where no interface has it.
    pub fn end(&self, interfaces: &dyn Fn(&str) -> Option<u32>) -> Result<Option<End>, LocationError> {
        let addr = match self.host {
            Host::Any => Addr::ANY_V6,
            Host::Addr(addr) => addr,
            Host::Name(_) => return Ok(None),
        };
        let zone = match &self.zone {
            None => 0,
            Some(zone) => {
                zone.index(interfaces).ok_or_else(|| LocationError::NoInterface { part: zone.to_string() })?
            }
        };
        Ok(Some(End { addr, zone, port: self.port.unwrap_or(0) }))
    }
}

impl From<Endpoint> for Location {
    fn from(at: Endpoint) -> Location {
        Location { host: Host::Addr(at.addr), zone: None, port: Some(at.port), protocol: None }
    }
}

impl fmt::Display for Location {
    /// The plain form, which reads back as the same: `[fe80::1%eth0]:22`, `*:80`, `192.0.2.1/udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_v6 = matches!(self.host, Host::Addr(addr) if !addr.is_v4());
        let is_bracketed = is_v6 && self.port.is_some();
        if is_bracketed {
            f.write_str("[")?;
        }
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Addr(addr) => addr.fmt(f)?,
            Host::Name(name) => f.write_str(name)?,
        }
        if let Some(zone) = &self.zone {
            write!(f, "%{zone}")?;
        }
        if is_bracketed {
            f.write_str("]")?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.protocol {
            Some(protocol) => write!(f, "/{protocol}"),
            None => Ok(()),
        }
    }
}

/// Address, name or `*`, and the zone.
fn parse_host(parts: &Split<'_>) -> Result<(Host, Option<Zone>), LocationError> {
    let text = parts.address;
    let zone = parts.zone.map(Zone::parse).transpose()?;
    let v6 = text.parse::<Ipv6Addr>().map(|addr| Host::Addr(addr.into()));
    let host = if parts.is_bracketed {
        v6.map_err(|_| LocationError::NotV6 { part: text.to_string() })?
    } else if let Ok(host) = v6 {
        host
    } else if matches!(text, "*" | "") {
        Host::Any
    } else if let Ok(addr) = text.parse::<Ipv4Addr>() {
        Host::Addr(addr.into())
    } else if text.contains(':') {
        return Err(LocationError::NotV6 { part: text.to_string() });
    } else if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(LocationError::NotV4 { part: text.to_string() });
    } else if is_host_name(text) {
        Host::Name(text.to_ascii_lowercase())
    } else {
        return Err(LocationError::NotAHost { part: text.to_string() });
    };
    match (&host, &zone) {
        (Host::Name(name), Some(zone)) => {
            Err(LocationError::ZoneOfName { part: alloc::format!("{name}%{zone}") })
        }
        _ => Ok((host, zone)),
    }
}

/// Whether it may be the name of a host (RFC 1123, section 2.1), with underscores for those of services.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 254 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}

/// `SCHEME://[USER@]HOST[:PORT][/...]` (RFC 3986, section 3).
fn parse_url(
    text: &str,
    scheme: &str,
    rest: &str,
    protocol: Protocol,
    services: Services<'_>,
) -> Result<Location, LocationError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let at = authority.rsplit_once('@').map_or(authority, |(_, at)| at);
    if at.is_empty() {
        return Err(LocationError::HostMissing { text: text.to_string() });
    }
    if at.contains(',') {
        return Err(LocationError::ManyHosts { part: at.to_string() });
    }
    // The sign before a zone is written as %25 there (RFC 6874).
    let plain = at.replace("%25", "%");
    // `http://example.org:/` is the scheme's port (RFC 3986, section 3.2.3).
    let is_empty_port = |before: &&str| before.ends_with(']') || !before.contains(':');
    let parts = split(plain.strip_suffix(':').filter(is_empty_port).unwrap_or(&plain))?;
    if let Some(prefix) = parts.prefix {
        return Err(LocationError::Prefix { part: alloc::format!("/{prefix}") });
    }
    let (host, zone) = parse_host(&parts)?;
    if matches!(host, Host::Addr(addr) if !addr.is_v4() && !parts.is_bracketed) {
        let meant = meant(&plain).unwrap_or_else(|| alloc::format!("[{plain}]"));
        return Err(LocationError::Bare { text: at.to_string(), meant });
    }
    let known = scheme::find(scheme);
    let told = known.and_then(|known| known.protocol);
    let port = match (parts.ports, known.and_then(|known| known.port)) {
        (Some(port), _) => parse_port(port, told.unwrap_or(protocol), services)?,
        (None, Some(port)) => port,
        (None, None) => {
            let is_known = known.is_some();
            return Err(LocationError::Scheme { scheme: scheme.to_string(), at: at.to_string(), is_known });
        }
    };
    Ok(Location { host, zone, port: Some(port), protocol: told })
}

impl From<PortError> for LocationError {
    fn from(error: PortError) -> LocationError {
        LocationError::Port(error)
    }
}

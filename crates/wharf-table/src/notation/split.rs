//! The parts of what is written for one end: address, zone, ports. What they mean is the caller's.
//!
//! An IPv6 address before a port stands in brackets (RFC 5952, section 6). The zone stands behind the address
//! (RFC 4007, section 11) or, as ss prints it, behind the bracket. tcpdump puts a dot before the port.

use alloc::format;
use alloc::string::{String, ToString};
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::notation::location::LocationError;

/// The parts, as they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Split<'a> {
    /// Address, name or `*`; empty where the text starts with a colon.
    pub(crate) address: &'a str,
    /// Behind a slash: the length of a prefix.
    pub(crate) prefix: Option<&'a str>,
    /// Behind `%`: an interface.
    pub(crate) zone: Option<&'a str>,
    /// Behind the last colon.
    pub(crate) ports: Option<&'a str>,
    /// Whether the address stood in brackets.
    pub(crate) is_bracketed: bool,
}

/// Takes a text apart: `192.0.2.1:443`, `[fe80::1%eth0]:22`, `[fe80::1]%eth0:22`, `fe80::1%eth0`, `*:80`,
/// `1.2.3.4.443`, `2001:db8::1.443`, `10.0.0.0/8:443`, `example.org:443`.
///
/// # Errors
/// A bracket or a port is missing, or where an IPv6 address ends can't be told.
pub(crate) fn split(text: &str) -> Result<Split<'_>, LocationError> {
    if text.is_empty() {
        return Err(LocationError::Empty);
    }
    if let Some(inside) = text.strip_prefix('[') {
        return bracketed(text, inside);
    }
    match text.bytes().filter(|&byte| byte == b':').count() {
        0 => match dotted_v4(text) {
            Some(parts) => Ok(parts),
            None => with_zone(text, None),
        },
        1 => one_colon(text),
        _ => bare_v6(text),
    }
}

fn bracketed<'a>(text: &'a str, inside: &'a str) -> Result<Split<'a>, LocationError> {
    let Some((inside, rest)) = inside.split_once(']') else {
        return Err(LocationError::Unclosed { text: text.to_string() });
    };
    let (behind, ports) = match rest.split_once(':') {
        Some((_, "")) => return Err(LocationError::PortMissing { text: text.to_string() }),
        Some((behind, ports)) => (behind, Some(ports)),
        None => (rest, None),
    };
    let mut parts = Split { is_bracketed: true, ..with_zone(inside, ports)? };
    // `[fe80::1]%eth0:22` and `[fd00::]/8:443`.
    if let Some(zone) = behind.strip_prefix('%').filter(|zone| !zone.is_empty() && parts.zone.is_none()) {
        parts.zone = Some(zone);
    } else if let Some(prefix) = behind.strip_prefix('/').filter(|_| parts.prefix.is_none()) {
        parts.prefix = Some(prefix);
    } else if !behind.is_empty() {
        return Err(LocationError::Behind { part: behind.to_string(), address: inside.to_string() });
    }
    Ok(parts)
}

/// `ADDRESS:PORTS`, or tcpdump's `1.2.3.4.443:`.
fn one_colon(text: &str) -> Result<Split<'_>, LocationError> {
    match text.split_once(':') {
        Some((before, "")) => {
            dotted_v4(before).ok_or_else(|| LocationError::PortMissing { text: text.to_string() })
        }
        Some((before, ports)) => with_zone(before, Some(ports)),
        None => with_zone(text, None),
    }
}

/// An IPv6 address without brackets has no port, but for tcpdump's, which stands behind a dot.
fn bare_v6(text: &str) -> Result<Split<'_>, LocationError> {
    let parts = with_zone(text, None)?;
    if parts.zone.is_some() || parts.address.parse::<Ipv6Addr>().is_ok() {
        return Ok(parts);
    }
    let line = text.strip_suffix(':').unwrap_or(text);
    if let Some((address, port)) = line.rsplit_once('.')
        && address.parse::<Ipv6Addr>().is_ok()
        && !port.is_empty()
    {
        return Ok(Split { address, ports: Some(port), ..Split::default() });
    }
    match meant(text) {
        Some(meant) => Err(LocationError::Bare { text: text.to_string(), meant }),
        None => Ok(parts),
    }
}

/// tcpdump's `1.2.3.4.443`.
fn dotted_v4(text: &str) -> Option<Split<'_>> {
    let (address, port) = text.rsplit_once('.')?;
    let is_one = address.parse::<Ipv4Addr>().is_ok() && !port.is_empty() && !port.contains('/');
    is_one.then(|| Split { address, ports: Some(port), ..Split::default() })
}

/// Zone and prefix behind an address: `fe80::1%eth0`, `10.0.0.0/8`, `fe80::%eth0/64`.
fn with_zone<'a>(text: &'a str, ports: Option<&'a str>) -> Result<Split<'a>, LocationError> {
    let (text, prefix) = match text.split_once('/') {
        Some((before, prefix)) => (before, Some(prefix)),
        None => (text, None),
    };
    let (address, zone) = match text.split_once('%') {
        Some((_, "")) => return Err(LocationError::ZoneMissing { part: text.to_string() }),
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    Ok(Split { address, prefix, zone, ports, is_bracketed: false })
}

/// What may have been meant by an IPv6 address that stands before a port without brackets.
pub(super) fn meant(text: &str) -> Option<String> {
    let (address, port) = text.rsplit_once(':')?;
    let is_v6 = address.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    (is_v6 && !port.is_empty()).then(|| format!("[{address}]:{port}"))
}

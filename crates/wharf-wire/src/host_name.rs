//! The names that clients show to servers: in a ClientHello (RFC 6066, section 3), and as the `uri-host` of HTTP (RFC 3986,
//! section 3.2.2).
//!
//! Narrower than [`crate::dns::Name`], where any byte may stand: who decides by a name must read it as every server will, so
//! only letters, digits, `-` and `_` make a label, and what some would take for an address is not a name. Case is folded and a
//! dot at the end is left out, because servers look at neither.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use wharf_table::Addr;

use crate::Malformed;
use crate::dns::Name;

/// Bytes of the longest name as text without the dot at its end (RFC 1035, section 2.3.4: 255 on the wire).
pub const MAX_HOST_NAME_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

/// A name of a host: one to 253 bytes of lower-case letters, digits, `-`, `_` and dots that part labels of one to 63 bytes;
/// the last label is no number. Internationalised names stand as on the wire, `xn--...`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// Reads a name of any case, with or without the dot at its end.
    ///
    /// # Errors
    /// [`Malformed::Name`] for anything else, `127.1` and `0x7f000001` included: there are servers and resolvers to which these
    /// are addresses.
    pub fn parse(bytes: &[u8]) -> Result<HostName, Malformed> {
        let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
        if bytes.len() > MAX_HOST_NAME_LEN {
            return Err(Malformed::Name);
        }
        let mut text = String::with_capacity(bytes.len());
        for label in bytes.split(|&byte| byte == b'.') {
            if label.is_empty() || label.len() > MAX_LABEL_LEN {
                return Err(Malformed::Name);
            }
            if !text.is_empty() {
                text.push('.');
            }
            for &byte in label {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                        text.push(char::from(byte.to_ascii_lowercase()));
                    }
                    _ => return Err(Malformed::Name),
                }
            }
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if is_number(last) { Err(Malformed::Name) } else { Ok(HostName(text.into())) }
    }

    /// The name in lower case, without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as a name of DNS.
    pub fn to_name(&self) -> Name {
        self.0.parse().expect("labels of one to 63 bytes, 253 in all, are a name of DNS")
    }
}

/// Whether `label` is decimal, or hexadecimal behind `0x`: as the last one it makes an address of the whole (the "ends in a
/// number" of WHATWG's URL standard).
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => label.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whom a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// By name.
    Name(HostName),
    /// By address: no name is shown, and none is hidden.
    Addr(Addr),
}

impl Host {
    /// Reads the `host_name` of a ClientHello. Addresses must not stand there (RFC 6066, section 3), but some clients put them.
    ///
    /// # Errors
    /// [`Malformed::Name`] for what is neither.
    pub fn parse_server_name(bytes: &[u8]) -> Result<Host, Malformed> {
        let addr = core::str::from_utf8(bytes).ok().and_then(|text| {
            let v4 = text.parse::<Ipv4Addr>().map(|addr| Addr::v4(addr.octets()));
            v4.or_else(|_| text.parse::<Ipv6Addr>().map(|addr| Addr::v6(addr.octets()))).ok()
        });
        addr.map_or_else(|| HostName::parse(bytes).map(Host::Name), |addr| Ok(Host::Addr(addr)))
    }

    /// Reads `uri-host [ ":" port ]` (RFC 9110, section 7.2), the port as a number if there is one.
    ///
    /// # Errors
    /// [`Malformed::Name`] for user information, percent-encoding, scopes, and whatever else some server could read another
    /// way; [`Malformed::Length`] for a port that is none.
    pub fn parse_authority(bytes: &[u8]) -> Result<(Host, Option<u16>), Malformed> {
        let text = core::str::from_utf8(bytes).map_err(|_| Malformed::Name)?;
        let (host, port) = if let Some(literal) = text.strip_prefix('[') {
            let (addr, rest) = literal.split_once(']').ok_or(Malformed::Name)?;
            let addr: Ipv6Addr = addr.parse().map_err(|_| Malformed::Name)?;
            (Host::Addr(Addr::v6(addr.octets())), rest)
        } else {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let host = match host.parse::<Ipv4Addr>() {
                Ok(addr) => Host::Addr(Addr::v4(addr.octets())),
                Err(_) => Host::Name(HostName::parse(host.as_bytes())?),
            };
            (host, port)
        };
        match port.strip_prefix(':') {
            None if port.is_empty() => Ok((host, None)),
            None => Err(Malformed::Name),
            // The port may be left out behind its colon (RFC 3986, section 3.2.3).
            Some("") => Ok((host, None)),
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map(|port| (host, Some(port))).map_err(|_| Malformed::Length)
            }
            Some(_) => Err(Malformed::Length),
        }
    }

    /// The name, unless it is an address.
    pub fn name(&self) -> Option<&HostName> {
        match self {
            Host::Name(name) => Some(name),
            Host::Addr(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => name.fmt(f),
            Host::Addr(addr) => addr.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn case_and_the_last_dot_make_no_difference() {
        for text in ["Example.ORG", "example.org.", "EXAMPLE.org"] {
            assert_eq!(HostName::parse(text.as_bytes()).unwrap().as_str(), "example.org");
        }
        let name = HostName::parse(b"xn--Bcher-kva.example").unwrap();
        assert_eq!(name.to_string(), "xn--bcher-kva.example");
        assert_eq!(name.to_name(), "XN--bcher-kva.example".parse().unwrap());
        assert_eq!(HostName::parse(b"_dmarc.-a-.0x.g0").unwrap().as_str(), "_dmarc.-a-.0x.g0");
    }

    #[test]
    fn what_some_read_another_way_is_no_name() {
        let long = [b'a'; 64];
        let longer: Vec<u8> = b"abc.".repeat(64);
        let wrong: [&[u8]; 19] = [
            b"",
            b".",
            b"..",
            b"a..b",
            b".a",
            b"a..",
            b"a b",
            b"a\0b",
            b"*.a",
            b"b\xc3\xbccher.example",
            b"a@b",
            b"a:1",
            b"a/b",
            b"a%2e",
            b"127.1",
            b"1",
            b"0x7f000001",
            &long,
            &longer,
        ];
        for name in wrong {
            assert_eq!(HostName::parse(name), Err(Malformed::Name), "{}", name.escape_ascii());
        }
        assert_eq!(HostName::parse(&longer[..longer.len() - 4]).unwrap().as_str().len(), 251);
    }

    #[test]
    fn server_names_may_be_addresses() {
        assert_eq!(Host::parse_server_name(b"192.0.2.1"), Ok(Host::Addr(Addr::v4([192, 0, 2, 1]))));
        assert_eq!(Host::parse_server_name(b"::1").unwrap().to_string(), "::1");
        assert_eq!(Host::parse_server_name(b"[::1]"), Err(Malformed::Name));
        assert_eq!(Host::parse_server_name(b"192.0.2.256"), Err(Malformed::Name));
    }

    #[test]
    fn authorities() {
        let read =
            |text: &str| Host::parse_authority(text.as_bytes()).map(|(host, port)| (host.to_string(), port));
        let is = |host: &str, port| Ok((host.to_string(), port));
        assert_eq!(read("Example.org"), is("example.org", None));
        assert_eq!(read("example.org:8080"), is("example.org", Some(8080)));
        assert_eq!(read("example.org.:"), is("example.org", None));
        assert_eq!(read("192.0.2.1:80"), is("192.0.2.1", Some(80)));
        assert_eq!(read("[2001:DB8::1]:443"), is("2001:db8::1", Some(443)));
        for text in [
            "",
            ":80",
            "a@b",
            "user:pw@b",
            "[fe80::1%25eth0]",
            "[::1]x",
            "a%41",
            "a b",
            "[::1",
            "::1",
            "a:b:1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in ["a:65536", "a:+1", "a:-1", "a:1 "] {
            assert_eq!(read(text), Err(Malformed::Length), "{text}");
        }
    }
}

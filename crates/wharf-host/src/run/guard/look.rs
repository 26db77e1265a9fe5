//! What the first bytes of a flow show of the name that is meant, in the words of the rules.

use wharf_table::policy::Hostname;
use wharf_wire::host_name::Host;
use wharf_wire::shown::{self, Protocol, Shown};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) enum Look {
    /// More bytes are needed to tell.
    NeedMore,
    /// This name.
    Name(Hostname),
    /// This name, by a request of HTTP behind which others may come.
    Request(Hostname),
    /// A protocol that would show a name, and hides it, or shows an address in its place, or can be read in two ways.
    Hidden,
    /// A protocol that shows no name.
    Nothing,
}

/// Looks at all that a TCP client has sent so far.
pub(in crate::run) fn look(bytes: &[u8]) -> Look {
    shown::first_bytes(bytes).into()
}

impl From<Shown> for Look {
    fn from(shown: Shown) -> Look {
        match shown {
            Shown::NeedMore => Look::NeedMore,
            // A server that takes the same bytes for a proxy's would go by the same name.
            Shown::Name { host, protocol, .. } => match (name_of(&host), protocol) {
                (Some(name), Protocol::Http) => Look::Request(name),
                (Some(name), _) => Look::Name(name),
                (None, _) => Look::Hidden,
            },
            Shown::Hidden { .. } | Shown::Malformed { .. } => Look::Hidden,
            Shown::Silent(_) | Shown::Later => Look::Nothing,
        }
    }
}

/// The name of a host, as rules have it.
pub(in crate::run) fn name_of(host: &Host) -> Option<Hostname> {
    host.name().and_then(|name| Hostname::parse(name.as_str()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_an_address_and_neither() {
        let name = |text| Look::Request(Hostname::parse(text).unwrap());
        assert_eq!(look(b""), Look::NeedMore);
        assert_eq!(look(b"GET / HTTP/1.1\r\nHost: Good.TEST:80\r\n\r\n"), name("good.test"));
        assert_eq!(look(b"GET http://evil.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n"), Look::Hidden);
        assert_eq!(look(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"), name("evil.test"));
        assert_eq!(look(b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"), Look::Hidden);
        assert_eq!(look(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"), Look::Hidden);
        assert_eq!(look(b"SSH-2.0-x\r\n"), Look::Nothing);
        assert_eq!(look(b"\x16\x03\x01"), Look::NeedMore);
    }
}

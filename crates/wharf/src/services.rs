//! The host's own names of services: `/etc/services` (services(5)). They come before the registry's.

use std::cell::OnceCell;
use std::fs;

use wharf_table::{Port, Protocol};

/// The file, read when the first name is asked for.
#[derive(Debug, Default)]
pub(crate) struct LocalServices {
    text: OnceCell<String>,
}

impl LocalServices {
    /// The port of a service: the first line with its name, or with the name as an alias.
    pub(crate) fn port(&self, name: &str, protocol: Protocol) -> Option<Port> {
        find(
            self.text.get_or_init(|| fs::read_to_string("/etc/services").unwrap_or_default()),
            name,
            protocol,
        )
    }
}

fn find(text: &str, name: &str, protocol: Protocol) -> Option<Port> {
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let (service, at) = (words.next()?, words.next()?);
        let (port, of) = at.split_once('/')?;
        let named = service == name || words.any(|alias| alias == name);
        (named && of == protocol.to_string()).then(|| Port::new(port.parse().ok()?))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_by_protocol() {
        let text = "# services\nhttp\t80/tcp\twww # WorldWideWeb\nhttp-alt\t8080/tcp webcache\ndomain 53/udp\nbad x/tcp\n";
        let port = |name, protocol| find(text, name, protocol).map(Port::number);
        assert_eq!(port("http", Protocol::Tcp), Some(80));
        assert_eq!(port("webcache", Protocol::Tcp), Some(8080));
        assert_eq!(port("domain", Protocol::Udp), Some(53));
        assert_eq!(port("domain", Protocol::Tcp), None);
        assert_eq!(port("WorldWideWeb", Protocol::Tcp), None);
        assert_eq!(port("bad", Protocol::Tcp), None);
    }
}

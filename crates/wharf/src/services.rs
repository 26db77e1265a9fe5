//! The host's own names of services: `/etc/services` (services(5)). They come before the registry's.

use std::cell::OnceCell;
use std::fs;

use wharf_table::{Port, Protocol};

/// Where the host keeps them.
pub(crate) const PATH: &str = "/etc/services";

/// The file, read when the first name is asked for.
#[derive(Debug, Default)]
pub(crate) struct LocalServices {
    text: OnceCell<String>,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalService<'a> {
    /// The service's name.
    pub(crate) name: &'a str,
    /// Its port.
    pub(crate) port: u16,
    /// Its protocol, `tcp` say.
    pub(crate) protocol: &'a str,
    /// Other names that are good for it.
    pub(crate) aliases: Vec<&'a str>,
}

impl LocalServices {
    fn text(&self) -> &str {
        self.text.get_or_init(|| fs::read_to_string(PATH).unwrap_or_default())
    }

    /// The port of a service: the first line with its name, or with the name as an alias.
    pub(crate) fn port(&self, name: &str, protocol: Protocol) -> Option<Port> {
        find(self.text(), name, protocol)
    }

    /// Every line that names a service.
    pub(crate) fn all(&self) -> impl Iterator<Item = LocalService<'_>> {
        lines(self.text())
    }
}

fn lines(text: &str) -> impl Iterator<Item = LocalService<'_>> {
    text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let (name, at) = (words.next()?, words.next()?);
        let (port, protocol) = at.split_once('/')?;
        Some(LocalService { name, port: port.parse().ok()?, protocol, aliases: words.collect() })
    })
}

fn find(text: &str, name: &str, protocol: Protocol) -> Option<Port> {
    let protocol = protocol.to_string();
    let is_it = |line: &LocalService<'_>| line.protocol == protocol && line.is_called(name);
    lines(text).find(is_it).and_then(|line| Port::new(line.port))
}

impl LocalService<'_> {
    /// Whether this is its name or an alias of it.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
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

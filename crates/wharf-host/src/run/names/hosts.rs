//! `/etc/hosts` (hosts(5)): names that the host knows by itself.

use std::collections::HashMap;
use std::net::IpAddr;

use wharf_table::Addr;
use wharf_wire::dns::Name;

/// The file's lines, by name and by address.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    by_name: HashMap<Name, Vec<Addr>>,
    by_addr: HashMap<Addr, Name>,
}

impl Hosts {
    /// Reads the file's text. A line that can't be read is skipped, as every resolver does; so is a link-local address with
    /// a zone, which means nothing in another network.
    pub(super) fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(addr) = words.next().and_then(|word| word.parse::<IpAddr>().ok()).map(Addr::from) else {
                continue;
            };
            for name in words.filter_map(|word| word.parse::<Name>().ok()) {
                // Of the names of an address the first one is its true one (hosts(5)).
                hosts.by_addr.entry(addr).or_insert_with(|| name.clone());
                let addrs = hosts.by_name.entry(name).or_default();
                if !addrs.contains(&addr) {
                    addrs.push(addr);
                }
            }
        }
        hosts
    }

    /// The addresses of a name, in the order of the file; `None` when the file does not have the name.
    pub(super) fn addrs(&self, name: &Name) -> Option<&[Addr]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// The name of an address.
    pub(super) fn name(&self, addr: Addr) -> Option<&Name> {
        self.by_addr.get(&addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "127.0.0.1\tlocalhost\n::1 localhost ip6-localhost # loopback\n#192.0.2.9 hidden\n\
        192.0.2.1 Printer.example printer\n192.0.2.1 again\n2001:db8::1 printer.example\n\
        fe80::1%eth0 zoned\nnonsense here\n192.0.2.5\n0.0.0.0 ads.example a..b\n";

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn addrs(text: &str) -> Option<Vec<String>> {
        Hosts::parse(TEXT).addrs(&name(text)).map(|addrs| addrs.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_have_the_addresses_of_all_their_lines() {
        assert_eq!(addrs("localhost").unwrap(), ["127.0.0.1", "::1"]);
        assert_eq!(addrs("PRINTER.example.").unwrap(), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(addrs("printer").unwrap(), ["192.0.2.1"]);
        assert_eq!(addrs("ads.example").unwrap(), ["0.0.0.0"]);
        for unknown in ["hidden", "zoned", "here", "nonsense", "#"] {
            assert_eq!(addrs(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_address_has_its_first_name() {
        let hosts = Hosts::parse(TEXT);
        assert_eq!(hosts.name(Addr::v4([192, 0, 2, 1])), Some(&name("printer.example")));
        assert_eq!(hosts.name(Addr::v4([192, 0, 2, 5])), None);
    }
}

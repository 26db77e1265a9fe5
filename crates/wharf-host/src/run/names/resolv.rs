//! `/etc/resolv.conf` (resolv.conf(5)): which name servers the host asks, and how.
//!
//! As glibc reads it: keywords begin their line, of the name servers the first three count, of several `search` lines the
//! last. Of the options, those count here that say how servers are asked. `search` and `ndots` are the client's business,
//! so they are only handed on; `edns0` too, as what a client says in its own OPT record goes to the server unchanged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice};
use wharf_wire::dns;

/// Of the name servers, so many count (`MAXNS`).
const SERVERS_MAX: usize = 3;
/// The caps that glibc puts on its options (`RES_MAXRETRANS`, `RES_MAXRETRY`).
const TIMEOUT_MAX_S: u64 = 30;
const ATTEMPTS_MAX: u32 = 5;
/// How often every server is asked where nothing is said (`RES_DFLRETRY`).
const ATTEMPTS: u32 = 2;
/// How long an answer is waited for where nothing is said. glibc says 5, which is also how long the client waits that asked
/// us: when one server is silent, the next has to be asked before the client gives up.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How the host resolves names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The name servers, in order. Where the file names none, the one on the host itself (resolv.conf(5), `nameserver`).
    pub servers: Vec<SocketAddr>,
    /// The domains that clients try to complete a name with.
    pub search: Vec<String>,
    /// The options that only clients heed, as they are written.
    pub client_options: Vec<String>,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// How often every server is asked.
    pub attempts: u32,
    /// In which order they are asked.
    pub order: Order,
    /// Over what they are asked first.
    pub carrier: Carrier,
}

/// In which order the name servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they are written.
    AsWritten,
    /// Each query begins with another one (`rotate`).
    Rotated,
}

/// What carries a query first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram; TCP where the answer does not fit.
    Datagram,
    /// TCP only (`use-vc`).
    Stream,
}

impl ResolvConf {
    /// Reads the file's text. Lines that mean nothing to us are skipped, as every resolver does.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            client_options: Vec::new(),
            timeout: TIMEOUT,
            attempts: ATTEMPTS,
            order: Order::AsWritten,
            carrier: Carrier::Datagram,
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next().filter(|_| !line.starts_with([' ', '\t'])) {
                Some("nameserver") if conf.servers.len() < SERVERS_MAX => {
                    conf.servers.extend(words.next().and_then(parse_server));
                }
                Some("search") => conf.search = words.map(str::to_owned).collect(),
                Some("domain") => conf.search = words.take(1).map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| conf.apply(option)),
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            conf.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), dns::PORT));
        }
        conf
    }

    fn apply(&mut self, option: &str) {
        match option.split_once(':').unwrap_or((option, "")) {
            ("timeout", seconds) => {
                if let Ok(seconds) = seconds.parse::<u64>() {
                    self.timeout = Duration::from_secs(seconds.clamp(1, TIMEOUT_MAX_S));
                }
            }
            ("attempts", times) => {
                if let Ok(times) = times.parse::<u32>() {
                    self.attempts = times.clamp(1, ATTEMPTS_MAX);
                }
            }
            ("rotate", _) => self.order = Order::Rotated,
            ("use-vc" | "usevc", _) => self.carrier = Carrier::Stream,
            _ => self.client_options.push(option.to_owned()),
        }
    }

    /// The file for a client that asks `servers` instead: its search list and its own options stay as they are here.
    pub fn for_client(&self, servers: &[IpAddr]) -> String {
        let mut text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        if !self.search.is_empty() {
            text += &format!("search {}\n", self.search.join(" "));
        }
        if !self.client_options.is_empty() {
            text += &format!("options {}\n", self.client_options.join(" "));
        }
        text
    }
}

/// `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`.
fn parse_server(text: &str) -> Option<SocketAddr> {
    match text.split_once('%') {
        None => Some(SocketAddr::new(text.parse().ok()?, dns::PORT)),
        Some((address, zone)) => {
            let address: Ipv6Addr = address.parse().ok()?;
            let zone = zone.parse().ok().or_else(|| interface_index(zone))?;
            Some(SocketAddrV6::new(address, dns::PORT, 0, zone).into())
        }
    }
}

fn interface_index(name: &str) -> Option<u32> {
    let any =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    netdevice::name_to_index(any, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Vec<String> {
        ResolvConf::parse(text).servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn name_servers_of_both_families_and_zones() {
        let text = "# comment\n; another\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 # behind\nnameserver fe80::1%lo\n";
        assert_eq!(servers(text), ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%1]:53"]);
        assert_eq!(servers("nameserver fe80::1%7\n"), ["[fe80::1%7]:53"]);
        assert_eq!(servers("nameserver 1.1.1.1\n".repeat(5).as_str()).len(), 3);
    }

    #[test]
    fn without_a_name_server_it_is_the_host_itself() {
        let texts = [
            "",
            " nameserver 192.0.2.1\n",
            "nameserver example\n",
            "nameserver fe80::1%no-such-link\n",
            "nameserver",
        ];
        for text in texts {
            assert_eq!(servers(text), ["127.0.0.1:53"], "{text:?}");
        }
    }

    #[test]
    fn options_say_how_to_ask() {
        let conf = ResolvConf::parse("options timeout:3 attempts:4 rotate\noptions use-vc edns0 ndots:2\n");
        assert_eq!((conf.timeout, conf.attempts), (Duration::from_secs(3), 4));
        assert_eq!((conf.order, conf.carrier), (Order::Rotated, Carrier::Stream));
        assert_eq!(conf.client_options, ["edns0", "ndots:2"]);
        let conf = ResolvConf::parse("options timeout:900 attempts:0 timeout:x\n");
        assert_eq!((conf.timeout, conf.attempts), (Duration::from_secs(30), 1));
        assert_eq!((conf.order, conf.carrier), (Order::AsWritten, Carrier::Datagram));
    }

    #[test]
    fn a_client_keeps_its_search_list() {
        let conf = ResolvConf::parse(
            "domain old.example\nsearch a.example b.example\nnameserver 9.9.9.9\noptions ndots:2 rotate\n",
        );
        let text = conf.for_client(&["10.0.2.3".parse().unwrap(), "fd00::3".parse().unwrap()]);
        assert_eq!(
            text,
            "nameserver 10.0.2.3\nnameserver fd00::3\nsearch a.example b.example\noptions ndots:2\n"
        );
        assert_eq!(ResolvConf::parse("").for_client(&[]), "");
    }
}

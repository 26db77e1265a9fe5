//! The local port that is meant, in whatever notation.

use std::fmt;

use wharf_host::snapshot::{Networks, Search};
use wharf_host::who::{At, Question};
use wharf_table::Protocol;
use wharf_table::notation::{Host, Location, Services, parse_port};
use wharf_table::rows::Transport;
use wharf_table::selector::Transports;

/// A local port as it was typed.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What is asked of it.
    pub(super) question: Question,
    /// Its protocol, where one was told.
    pub(super) protocol: Option<Protocol>,
}

impl Target {
    /// Reads `8080`, `udp/53`, `53/udp`, `http`, `127.0.0.1:8080`, `[fe80::1%eth0]:22`, `http://localhost/` and what else is pasted.
    pub(super) fn parse(
        text: &str,
        network: Option<String>,
        search: Search,
        services: Services<'_>,
    ) -> Result<Target, String> {
        let is_end = text.contains([':', '.', '[', '*']);
        let (at, port, protocol) = if is_end { end(text, services)? } else { plain(text, services)? };
        if port == 0 {
            return Err("\"0\": no socket has port 0 (write a number from 1 to 65535)".into());
        }
        let transports = match protocol {
            Some(Protocol::Tcp) => Transports::of(&[Transport::Tcp, Transport::Mptcp]),
            Some(Protocol::Udp) => Transports::of(&[Transport::Udp, Transport::UdpLite]),
            // Raw sockets and pings have numbers that are no ports.
            _ => Transports::of(&[Transport::Raw, Transport::Icmp]).complement(),
        };
        let networks = network.map_or(Networks::Here, |name| Networks::Named(vec![name]));
        Ok(Target { question: Question { port, transports, at, networks, search }, protocol })
    }
}

/// A port alone, with or without its protocol.
fn plain(text: &str, services: Services<'_>) -> Result<(At, u16, Option<Protocol>), String> {
    const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    let named = PROTOCOLS.iter().find_map(|&(name, protocol)| {
        let before = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
        let after = text.strip_suffix(name).and_then(|rest| rest.strip_suffix('/'));
        before.or(after).map(|port| (port, protocol))
    });
    let port = match named {
        Some((port, protocol)) => parse_port(port, protocol, services),
        // A service that only UDP has is meant there.
        None => parse_port(text, Protocol::Tcp, services)
            .or_else(|error| parse_port(text, Protocol::Udp, services).map_err(|_| error)),
    };
    let port = port.map_err(|error| error.to_string())?;
    Ok((At::Any, port, named.map(|(_, protocol)| protocol)))
}

/// An address with a port.
fn end(text: &str, services: Services<'_>) -> Result<(At, u16, Option<Protocol>), String> {
    let location = Location::parse(text, Protocol::Tcp, services).map_err(|error| error.to_string())?;
    let at = match location.host {
        Host::Any => At::Any,
        Host::Addr(addr) => At::Addr(addr, location.zone),
        Host::Name(name) if name.trim_end_matches('.') == "localhost" => At::Loopback,
        Host::Name(name) => {
            return Err(format!(
                "{name:?}: names are not looked up (write the local address, or the port alone)"
            ));
        }
    };
    let Some(port) = location.port else {
        return Err(format!("{text:?}: a port is missing (write 8080, udp/53 or 127.0.0.1:8080)"));
    };
    Ok((at, port, location.protocol))
}

impl fmt::Display for Target {
    /// `8080`, `8080/tcp`, `[::1]:8080/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.question.port;
        match &self.question.at {
            At::Any => write!(f, "{port}")?,
            At::Loopback => write!(f, "localhost:{port}")?,
            At::Addr(addr, zone) => {
                let (host, zone) = (Host::Addr(*addr), zone.clone());
                write!(f, "{}", Location { host, zone, port: Some(port), protocol: None })?;
            }
        }
        self.protocol.map_or(Ok(()), |protocol| write!(f, "/{protocol}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_table::notation::no_services;

    fn read(text: &str) -> Result<String, String> {
        Target::parse(text, None, Search::Kin, &no_services).map(|target| target.to_string())
    }

    #[test]
    fn every_notation_of_a_local_port_is_read() {
        for (typed, meant) in [
            ("8080", "8080"),
            ("tcp/443", "443/tcp"),
            ("53/udp", "53/udp"),
            ("udp/domain", "53/udp"),
            ("postgresql", "5432"),
            ("tftp", "69"),
            ("[::1]:8080", "[::1]:8080"),
            ("127.0.0.1:8080/udp", "127.0.0.1:8080/udp"),
            ("[fe80::1]%eth0:22", "[fe80::1%eth0]:22"),
            ("*:80", "80"),
            ("localhost:80", "localhost:80"),
        ] {
            assert_eq!(read(typed).as_deref(), Ok(meant), "{typed}");
        }
        for (typed, said) in [
            ("", "a port is missing"),
            ("0", "\"0\": no socket has port 0"),
            ("65536", "\"65536\""),
            ("8080-8090", "\"8080-8090\""),
            ("::1:8080", "a port is missing"),
            ("example.org:80", "\"example.org\": names are not looked up"),
            ("127.0.0.1", "a port is missing"),
        ] {
            let error = read(typed).expect_err(typed);
            assert!(error.contains(said), "{typed}: {error}");
        }
    }
}

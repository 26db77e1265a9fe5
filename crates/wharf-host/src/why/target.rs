//! What is to be reached, as it was typed: an endpoint or a URL.

use std::net::{IpAddr, SocketAddr};

use wharf_table::notation::{Host, Location};
use wharf_table::{Addr, Protocol};

use super::ground::Ground;
use super::listener::quoted;
use super::probe::Manner;
use super::{Effect, Fault};

/// Schemes whose connections begin with TLS.
const TLS: [&str; 18] = [
    "amqps",
    "ftps",
    "hkps",
    "https",
    "imaps",
    "ipps",
    "ircs",
    "ldaps",
    "mqtts",
    "nntps",
    "pop3s",
    "pops",
    "rediss",
    "sips",
    "smtps",
    "submissions",
    "valkeys",
    "wss",
];
/// Schemes that speak HTTP.
const HTTP: [&str; 4] = ["http", "https", "ws", "wss"];

/// What is to be reached.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) protocol: Protocol,
    pub(super) location: Location,
    pub(super) port: u16,
    /// The address to ask from.
    pub(super) from: Option<IpAddr>,
    /// Of a URL, its scheme and what stands behind its authority.
    url: Option<(String, String)>,
}

impl Target {
    /// What was typed, and what it was read as. `None` without a port.
    pub fn new(text: &str, location: Location, from: Option<IpAddr>) -> Option<Target> {
        let url = text.split_once("://").map(|(scheme, rest)| {
            let path = rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or("/");
            (scheme.to_ascii_lowercase(), path.to_owned())
        });
        let protocol = location.protocol.unwrap_or(Protocol::Tcp);
        let port = location.port.filter(|&port| port != 0)?;
        Some(Target { protocol, location, port, from, url })
    }

    /// One endpoint.
    pub(super) fn endpoint(protocol: Protocol, at: SocketAddr) -> Target {
        let location =
            Location { host: Host::Addr(at.ip().into()), zone: None, port: Some(at.port()), protocol: None };
        Target { protocol, location, port: at.port(), from: None, url: None }
    }

    pub(super) fn scheme(&self) -> Option<&str> {
        self.url.as_ref().map(|(scheme, _)| scheme.as_str())
    }

    pub(super) fn wants_tls(&self) -> bool {
        self.scheme().is_some_and(|scheme| TLS.contains(&scheme))
    }

    pub(super) fn wants_http(&self) -> bool {
        self.scheme().is_some_and(|scheme| HTTP.contains(&scheme))
    }

    /// As it is called in sentences.
    pub(super) fn called(&self) -> String {
        match &self.url {
            Some((scheme, path)) => format!("{scheme}://{}{}", self.authority(), path.trim_end_matches('/')),
            None => format!("{}/{}", self.protocol, Location { protocol: None, ..self.location.clone() }),
        }
    }

    /// Host and port, as a request names them.
    fn authority(&self) -> String {
        Location { protocol: None, port: Some(self.port), ..self.location.clone() }.to_string()
    }

    /// The name that a certificate has to have.
    fn server_name(&self) -> String {
        match &self.location.host {
            Host::Name(name) => name.trim_end_matches('.').to_owned(),
            Host::Addr(address) => address.to_string(),
            Host::Any => "localhost".to_owned(),
        }
    }

    /// What is said when the connection stands.
    pub(super) fn manner(&self) -> Manner {
        match &self.url {
            _ if self.wants_tls() => Manner::Tls { name: self.server_name() },
            Some((_, path)) if self.wants_http() => {
                let path = path.split('#').next().unwrap_or("/");
                let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
                Manner::Http { host: self.authority(), path }
            }
            _ => Manner::Listen,
        }
    }

    /// The command that asks for the same at another endpoint.
    pub(super) fn command_for(&self, at: SocketAddr) -> Option<String> {
        let (scheme, path) = self.url.as_ref().filter(|_| matches!(self.scheme(), Some("http" | "https")))?;
        // The certificate is for the name, wherever it is shown.
        if scheme == "https" && matches!(self.location.host, Host::Name(_)) {
            let connect = format!("{}:{at}", self.authority());
            let url = format!("https://{}{path}", self.authority());
            return Some(format!("curl --connect-to {} {}", quoted(&connect), quoted(&url)));
        }
        Some(format!("curl {}", quoted(&format!("{scheme}://{at}{path}"))))
    }

    /// The command that asks with another scheme.
    pub(super) fn command_with(&self, scheme: &str) -> Option<String> {
        let (_, path) = self.url.as_ref()?;
        let scheme = if self.scheme().is_some_and(|own| own.starts_with("ws")) { "http" } else { scheme };
        Some(format!("curl {}", quoted(&format!("{scheme}://{}{path}", self.authority()))))
    }

    /// The command that asks for the same by a name of the certificate.
    pub(super) fn command_by_name(&self, name: &str, to: SocketAddr) -> Option<String> {
        let (_, path) = self.url.as_ref().filter(|_| self.wants_http())?;
        let plain = name.replacen("*.", "www.", 1);
        let address = if to.is_ipv6() { format!("[{}]", to.ip()) } else { to.ip().to_string() };
        let resolve = format!("{plain}:{}:{address}", self.port);
        let url = format!("https://{plain}:{}{path}", self.port);
        Some(format!("curl --resolve {} {}", quoted(&resolve), quoted(&url)))
    }

    /// That it is elsewhere.
    pub(super) fn instead(&self, ground: &Ground, at: SocketAddr, sentence: String, effect: Effect) -> Fault {
        let remedy = self.command_for(at).map(|command| ground.start().command(&command));
        Fault { effect, sentence, remedy, instead: Some(at.to_string()) }
    }

    /// Whether its address is told, and which.
    pub(super) fn address(&self) -> Option<Addr> {
        match self.location.host {
            Host::Addr(address) => Some(address),
            Host::Any | Host::Name(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_table::notation::no_services;

    fn target(text: &str) -> Target {
        let location = Location::parse(text, Protocol::Tcp, &no_services).unwrap();
        Target::new(text, location, None).unwrap()
    }

    #[test]
    fn a_url_is_asked_for_elsewhere_with_its_path() {
        let plain = target("http://localhost:8080/a?b=1");
        let at = "10.0.0.1:8000".parse().unwrap();
        assert_eq!(plain.command_for(at).unwrap(), "curl 'http://10.0.0.1:8000/a?b=1'");
        assert_eq!(plain.called(), "http://localhost:8080/a?b=1");
        assert_eq!(plain.command_with("https").unwrap(), "curl 'https://localhost:8080/a?b=1'");
        let v6 = "[::1]:8080".parse().unwrap();
        assert_eq!(target("http://localhost").command_for(v6).unwrap(), "curl 'http://[::1]:8080/'");
        let tls = target("https://example.org");
        assert!(tls.wants_tls() && tls.wants_http());
        assert_eq!(
            tls.command_for(at).unwrap(),
            "curl --connect-to example.org:443:10.0.0.1:8000 https://example.org:443/"
        );
        assert_eq!(target("localhost:22").command_for(at), None);
        assert_eq!(target("localhost:22").called(), "tcp/localhost:22");
    }
}

//! How ports are written: one grammar for options, files and interfaces.
//!
//! - a port: decimal, 0 to 65535, without sign, space or leading zero; or the name of a service;
//! - a range: `8000-8010`, both ends included, upwards;
//! - a list of both ([`Ports`]): `80,443,8000-8999`;
//! - ports of a protocol ([`PortSpec`]): `443`, `8000-8010/udp`, `domain/udp`, `tcp/443`;
//! - an endpoint: `192.0.2.1:443`, `[2001:db8::1]:443`;
//! - one end as people write and paste it ([`Location`]): with a zone, without a port, from ss or tcpdump, a URL;
//! - an address with its network ([`Cidr`]): `10.0.2.100/24`, `fd00::1/64`;
//! - what a rule stands for ([`Target`](crate::policy::Target)): `example.org:443`, `*.example.net`, `10.0.0.0/8`, `host:5432`;
//! - what is published ([`PublishSpec`]): `[ADDRESS:]HOSTPORT[-END]:PORT[-END][/tcp|/udp]`.
//!
//! What holds a letter is a service name, everything else a number (RFC 6335, section 5.1, asks a name to hold one). An
//! IPv6 address before a port stands in brackets (RFC 5952, section 6): `::1:8080` is never read as `[::1]:8080`. Every
//! error quotes the offending part and shows the right form.

mod cidr;
mod endpoint;
mod location;
mod port;
mod ports;
mod publish;
mod rule;
pub mod scheme;
pub(crate) mod split;
mod zone;

pub use cidr::{Cidr, CidrError};
pub use endpoint::{EndpointError, parse_endpoint};
pub use location::{Host, Location, LocationError};
pub use port::{PortError, PortSpec, parse_port, parse_ports};
pub use ports::Ports;
pub use publish::{PublishError, PublishSpec};
pub use rule::TargetError;
pub use zone::Zone;

use crate::port::Port;
use crate::tuple::Protocol;

/// The caller's own service names, `/etc/services` say. They are asked before the registry.
pub type Services<'a> = &'a dyn Fn(&str, Protocol) -> Option<Port>;

/// For callers who have no service names of their own.
pub fn no_services(_name: &str, _protocol: Protocol) -> Option<Port> {
    None
}

#[cfg(test)]
mod tests;

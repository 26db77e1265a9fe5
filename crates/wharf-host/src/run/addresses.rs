//! Whose address means what: between the program's network and the host's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wharf_stack::stack::GatewayAddresses;
use wharf_table::{Addr, Endpoint, Port};

/// The addresses of a run, and how they translate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) v4: Option<GatewayAddresses>,
    pub(super) v6: Option<GatewayAddresses>,
}

impl Addresses {
    fn of_family(&self, v4: bool) -> Option<GatewayAddresses> {
        if v4 { self.v4 } else { self.v6 }
    }

    /// Whether an address is the gateway's or the name server's: nobody outside has it.
    pub(super) fn is_gateway(&self, addr: Addr) -> bool {
        self.of_family(addr.is_v4()).is_some_and(|of| addr == of.gateway || addr == of.dns)
    }

    /// Whether an address stands for the host's loopback.
    pub(super) fn stands_for_host(&self, addr: Addr) -> bool {
        self.of_family(addr.is_v4()).is_some_and(|of| of.host == addr)
    }

    /// Where the host goes for a destination of the program: what stands for the host's loopback becomes loopback.
    pub(super) fn outside(&self, destination: Endpoint) -> SocketAddr {
        let stands_for_host = |of: Option<GatewayAddresses>| of.is_some_and(|of| of.host == destination.addr);
        let ip = if stands_for_host(self.v4) {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else if stands_for_host(self.v6) {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        } else {
            destination.addr.ip()
        };
        SocketAddr::new(ip, destination.port)
    }

    /// The source that the program sees for a peer that it has reached out to: the host's loopback is the address that stands
    /// for it.
    pub(super) fn inside(&self, peer: SocketAddr) -> Option<Endpoint> {
        let addr = Addr::from(unmapped(peer.ip()));
        let of = self.of_family(addr.is_v4())?;
        let shown = if addr.is_loopback() { of.host } else { addr };
        Some(Endpoint::new(shown, peer.port()))
    }

    /// The program's endpoint behind a published port, and the client as the program sees it, in the client's family or, for
    /// `Family::Other`, in the other one.
    pub(super) fn published(
        &self,
        client: SocketAddr,
        port: u16,
        family: Family,
    ) -> Option<(Endpoint, Endpoint)> {
        let addr = Addr::from(unmapped(client.ip()));
        let v4 = addr.is_v4() == (family == Family::Same);
        let of = self.of_family(v4)?;
        let keeps_address = family == Family::Same && self.is_presentable(addr);
        let source = if keeps_address { addr } else { of.gateway };
        Some((Endpoint::new(source, client.port()), Endpoint::new(of.program.addr(), port)))
    }

    /// The `n`th way of a client to the program past the link, `None` when there are no more: as [`Addresses::published`] in its own
    /// family, then in the other one. A client on the host's own loopback reaches the program's loopback as well.
    pub(super) fn past_link(&self, client: SocketAddr, port: u16, n: u8) -> Option<(Endpoint, Endpoint)> {
        let families = [Family::Same, Family::Other].into_iter();
        let on_loopback = unmapped(client.ip()).is_loopback();
        let mut ways = families.flat_map(|family| {
            let way = self.published(client, port, family);
            let loopback = way.filter(|_| on_loopback).map(|(source, target)| {
                let addr = loopback_like(target.addr);
                (Endpoint::new(addr, source.port), Endpoint::new(addr, port))
            });
            [way, loopback].into_iter().flatten()
        });
        ways.nth(usize::from(n))
    }

    /// The program's endpoint that a published UDP port serves: in the family of the host's side, or in the other one where the
    /// run has no network of this.
    pub(super) fn served(&self, v4: bool, inside: Port) -> Endpoint {
        let of =
            self.of_family(v4).or(self.of_family(!v4)).expect("a run has a network of one family at least");
        Endpoint::new(of.program.addr(), inside.number())
    }

    /// Whether the program can be shown this address as a peer: one that its own network would not take for something else.
    fn is_presentable(&self, addr: Addr) -> bool {
        let on_link = self.of_family(addr.is_v4()).is_some_and(|of| of.program.contains(addr));
        !addr.is_loopback() && !addr.is_link_local() && !addr.is_unspecified() && !on_link
    }
}

/// In which family a client of a published port is shown to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Its own.
    Same,
    /// The other one, for a program that listens only there.
    Other,
}

/// The loopback address of the same family.
fn loopback_like(addr: Addr) -> Addr {
    if addr.is_v4() { Addr::v4([127, 0, 0, 1]) } else { IpAddr::V6(Ipv6Addr::LOCALHOST).into() }
}

/// A mapped IPv4 address as IPv4.
fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use wharf_table::notation::Cidr;

    use super::*;

    fn addresses() -> Addresses {
        let v4 = GatewayAddresses {
            program: Cidr::new(Addr::v4([10, 0, 2, 100]), 24).expect("a prefix length of 24"),
            gateway: Addr::v4([10, 0, 2, 2]),
            dns: Addr::v4([10, 0, 2, 3]),
            host: Addr::v4([10, 0, 2, 4]),
        };
        Addresses { v4: Some(v4), v6: None }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("a socket address")
    }

    #[test]
    fn the_host_stands_for_its_loopback() {
        let host = Endpoint::from(at("10.0.2.4:80"));
        assert_eq!(addresses().outside(host), at("127.0.0.1:80"));
        assert_eq!(addresses().inside(at("127.0.0.1:80")), Some(host));
        assert_eq!(addresses().outside(Endpoint::from(at("192.0.2.1:80"))), at("192.0.2.1:80"));
    }

    #[test]
    fn a_client_keeps_its_address_where_that_means_something_inside() {
        let shown = |client| addresses().published(at(client), 80, Family::Same).map(|(source, _)| source);
        assert_eq!(shown("198.51.100.7:5000"), Some(at("198.51.100.7:5000").into()));
        assert_eq!(shown("127.0.0.1:5000"), Some(at("10.0.2.2:5000").into()));
        assert_eq!(shown("10.0.2.77:5000"), Some(at("10.0.2.2:5000").into()));
        assert_eq!(shown("[::ffff:198.51.100.7]:5000"), Some(at("198.51.100.7:5000").into()));
        assert_eq!(shown("[2001:db8::1]:5000"), None);
        let past_link = |client: &str, n| addresses().past_link(at(client), 80, n);
        assert_eq!(
            past_link("198.51.100.7:5000", 0),
            addresses().published(at("198.51.100.7:5000"), 80, Family::Same)
        );
        assert_eq!(past_link("198.51.100.7:5000", 1), None);
        assert_eq!(
            past_link("127.0.0.1:5000", 1),
            Some((at("127.0.0.1:5000").into(), at("127.0.0.1:80").into()))
        );
        assert_eq!(past_link("127.0.0.1:5000", 2), None);
        assert_eq!(
            past_link("[::1]:5000", 0),
            Some((at("10.0.2.2:5000").into(), at("10.0.2.100:80").into()))
        );
        let other = addresses().published(at("[2001:db8::1]:5000"), 80, Family::Other);
        assert_eq!(other, Some((at("10.0.2.2:5000").into(), at("10.0.2.100:80").into())));
    }
}

//! The grammar as tables: what reads as what, and what every mistake is told.

use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;
use crate::endpoint::{Addr, Endpoint};
use crate::port::PortRange;

mod location;

/// As an `/etc/services` might have it: a name of its own, and one that differs from the registry.
fn local(name: &str, protocol: Protocol) -> Option<Port> {
    match (name, protocol) {
        ("intranet", Protocol::Tcp) => Port::new(8765),
        ("http-alt", _) => Port::new(8081),
        _ => None,
    }
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

#[test]
fn ports() {
    for number in 0..=u16::MAX {
        assert_eq!(parse_port(&number.to_string(), Protocol::Tcp, &no_services), Ok(number));
    }
    let names = [
        ("http", 80),
        ("HTTPS", 443),
        ("intranet", 8765),
        ("http-alt", 8081),
        ("914c-g", 211),
        ("3com-tsmux", 106),
    ];
    for (name, number) in names {
        assert_eq!(parse_port(name, Protocol::Tcp, &local), Ok(number), "{name}");
    }
    let several = parse_port("http-alt", Protocol::Tcp, &no_services).unwrap_err();
    assert_eq!(several.to_string(), "\"http-alt\": the service has several ports (write 591, 8008 or 8080)");
}

#[test]
fn bad_ports() {
    let table = [
        ("", "a port is missing (write a number from 1 to 65535 or a service name)"),
        ("+80", "\"+80\": a port has no sign (write 80)"),
        ("-80", "\"-80\": a port has no sign (write 80)"),
        ("08080", "\"08080\": a port has no leading zeros (write 8080)"),
        ("00", "\"00\": a port has no leading zeros (write 0)"),
        ("65536", "\"65536\": the highest port is 65535"),
        ("99999999999999999999", "\"99999999999999999999\": the highest port is 65535"),
        (
            " 80",
            "\" 80\": not a port (write a decimal number like 8080, a range like 8000-8010 or a service name)",
        ),
        (
            "8\u{660}",
            "\"8\u{660}\": not a port (write a decimal number like 8080, a range like 8000-8010 or a service name)",
        ),
        ("0x50", "\"0x50\": no tcp service has this name (write its port number)"),
        ("htpt", "\"htpt\": no tcp service has this name (write its port number)"),
        ("a\u{1b}[2J", "\"a\\u{1b}[2J\": no tcp service has this name (write its port number)"),
    ];
    for (text, message) in table {
        let error = parse_port(text, Protocol::Tcp, &local).unwrap_err();
        assert_eq!(error.to_string(), message, "{text:?}");
    }
}

#[test]
fn port_specs() {
    let table = [
        ("443", "443/tcp"),
        ("8000-8010/udp", "8000-8010/udp"),
        ("domain/udp", "53/udp"),
        ("tcp/443", "443/tcp"),
        ("udp/8000-8010", "8000-8010/udp"),
        ("http-alt", "8081/tcp"),
        ("1-65535", "1-65535/tcp"),
        ("80-80", "80/tcp"),
    ];
    for (text, canonical) in table {
        let spec = PortSpec::parse(text, &local).unwrap();
        assert_eq!(spec.to_string(), canonical);
        assert_eq!(PortSpec::parse(canonical, &no_services), Ok(spec));
    }
    let spec = PortSpec::parse("8000-8010/udp", &local).unwrap();
    assert!(spec.covers(Protocol::Udp, port(8010)));
    assert!(!spec.covers(Protocol::Udp, port(8011)));
    assert!(!spec.covers(Protocol::Tcp, port(8010)));
    let bad = [
        ("0", "\"0\": port 0 can't be opened (write a number from 1 to 65535)"),
        ("0-10", "\"0-10\": port 0 can't be opened (write a number from 1 to 65535)"),
        ("8000-7000", "\"8000-7000\": a range runs upwards (write 7000-8000)"),
        ("80/sctp", "\"/sctp\": unknown protocol (write /tcp or /udp)"),
        ("80/", "\"/\": unknown protocol (write /tcp or /udp)"),
        ("80/tcp/udp", "\"/tcp/udp\": unknown protocol (write /tcp or /udp)"),
        ("8000-08010", "\"08010\": a port has no leading zeros (write 8010)"),
        (
            "8000-",
            "\"8000-\": not a port (write a decimal number like 8080, a range like 8000-8010 or a service name)",
        ),
        ("intranet/udp", "\"intranet\": no udp service has this name (write its port number)"),
        ("/tcp", "a port is missing (write a number from 1 to 65535 or a service name)"),
    ];
    for (text, message) in bad {
        assert_eq!(PortSpec::parse(text, &local).unwrap_err().to_string(), message, "{text:?}");
    }
}

#[test]
fn endpoints() {
    for text in ["192.0.2.1:443", "[2001:db8::1]:443", "[::]:0", "0.0.0.0:65535", "[::1]:80"] {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        assert_eq!(text.parse::<Endpoint>().unwrap().socket_addr(), text.parse().unwrap());
    }
    let named = parse_endpoint("192.0.2.1:intranet", Protocol::Tcp, &local).unwrap();
    assert_eq!(named, Endpoint::new(Addr::v4([192, 0, 2, 1]), 8765));
    let bad = [
        ("", "\"\": a port is missing (write 192.0.2.1:443 or [2001:db8::1]:443)"),
        ("192.0.2.1", "\"192.0.2.1\": a port is missing (write 192.0.2.1:443 or [2001:db8::1]:443)"),
        ("192.0.2.1:", "\"192.0.2.1:\": a port is missing (write 192.0.2.1:443 or [2001:db8::1]:443)"),
        ("[::1]", "\"[::1]\": a port is missing (write 192.0.2.1:443 or [2001:db8::1]:443)"),
        ("[::1]80", "\"[::1]80\": a port is missing (write 192.0.2.1:443 or [2001:db8::1]:443)"),
        ("[::1:80", "\"[::1:80\": a ] is missing (write [2001:db8::1]:443)"),
        ("[1.2.3.4]:80", "\"1.2.3.4\": not an IPv6 address (write [2001:db8::1]:443)"),
        ("::1:8080", "\"::1:8080\": an IPv6 address before a port stands in brackets (write [::1]:8080)"),
        (
            "1:2:3:4:5:6:7:8",
            "\"1:2:3:4:5:6:7:8\": an IPv6 address before a port stands in brackets (write [1:2:3:4:5:6:7:8]:443)",
        ),
        ("1.2.3:80", "\"1.2.3\": not an IPv4 address (write 192.0.2.1:443)"),
        ("01.2.3.4:80", "\"01.2.3.4\": not an IPv4 address (write 192.0.2.1:443)"),
        ("1.2.3.4:080", "\"080\": a port has no leading zeros (write 80)"),
    ];
    for (text, message) in bad {
        assert_eq!(text.parse::<Endpoint>().unwrap_err().to_string(), message, "{text:?}");
    }
}

#[test]
fn publish_specs() {
    let table = [
        ("80", "80:80/tcp"),
        ("8080:80", "8080:80/tcp"),
        ("8080:80/tcp", "8080:80/tcp"),
        ("53:5353/udp", "53:5353/udp"),
        ("udp/53:5353", "53:5353/udp"),
        ("0:80", "0:80/tcp"),
        ("0:8000-8010", "0:8000-8010/tcp"),
        ("8000-8010", "8000-8010:8000-8010/tcp"),
        ("8000-8010:9000-9010", "8000-8010:9000-9010/tcp"),
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
        ("0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp"),
        ("[::]:8080:80", "[::]:8080:80/tcp"),
        ("[::1]:8443:443", "[::1]:8443:443/tcp"),
        ("[2001:DB8:0::1]:0:443", "[2001:db8::1]:0:443/tcp"),
        ("http:http", "80:80/tcp"),
        ("http-alt:http", "8081:80/tcp"),
        ("domain/udp", "53:53/udp"),
        ("127.0.0.1:https:8443", "127.0.0.1:443:8443/tcp"),
        ("1:65535", "1:65535/tcp"),
        ("80-80:81", "80:81/tcp"),
    ];
    for (text, canonical) in table {
        let spec = PublishSpec::parse(text, &local).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(spec.to_string(), canonical);
        assert_eq!(PublishSpec::parse(canonical, &no_services), Ok(spec));
    }
}

#[test]
fn the_parts_of_a_publish_spec() {
    let spec = PublishSpec::parse("[::1]:8000-8002:9000-9002/udp", &no_services).unwrap();
    assert_eq!(spec.protocol(), Protocol::Udp);
    assert_eq!(spec.address(), Some(Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])));
    assert_eq!(spec.host(), PortRange::new(port(8000), port(8002)));
    assert_eq!(spec.inside(), PortRange::new(port(9000), port(9002)).unwrap());
    assert!(
        spec.pairs().eq([(8000, 9000), (8001, 9001), (8002, 9002)].map(|(a, b)| (Some(port(a)), port(b))))
    );
    let chosen = PublishSpec::parse("0:80-81", &no_services).unwrap();
    assert_eq!((chosen.address(), chosen.host()), (None, None));
    assert!(chosen.pairs().eq([(None, port(80)), (None, port(81))]));
}

#[test]
fn bad_publish_specs() {
    let table = [
        ("", "\"\": nothing to publish (write HOSTPORT:PORT, 8080:80 say)"),
        ("80:", "\"80:\": a port is missing (write HOSTPORT:PORT, 8080:80 say)"),
        (":80", "\":80\": a port is missing (write HOSTPORT:PORT, 8080:80 say)"),
        ("/tcp", "\"\": a port is missing (write HOSTPORT:PORT, 8080:80 say)"),
        ("127.0.0.1::80", "\"127.0.0.1::80\": a port is missing (write HOSTPORT:PORT, 8080:80 say)"),
        ("127.0.0.1:80", "\"127.0.0.1:80\": an address is followed by two ports (write 127.0.0.1:80:80)"),
        ("127.0.0.1:", "\"127.0.0.1:\": an address is followed by two ports (write 127.0.0.1:8080:80)"),
        ("[::1]:443", "\"[::1]:443\": an address is followed by two ports (write [::1]:443:443)"),
        (
            "::1:8080:80",
            "\"::1:8080:80\": an IPv6 address before a port stands in brackets (write [::1]:8080:80)",
        ),
        (
            ":::8080:80",
            "\":::8080:80\": an IPv6 address before a port stands in brackets (write [::]:8080:80)",
        ),
        ("::1", "\"::1\": an IPv6 address before a port stands in brackets (write [::1]:8080:80)"),
        (
            "fe80::1:80",
            "\"fe80::1:80\": an IPv6 address before a port stands in brackets (write [fe80::1]:80:80)",
        ),
        (
            "localhost:8080:80",
            "\"localhost\": not an IPv4 address (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)",
        ),
        ("*:8080:80", "\"*\": not an IPv4 address (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)"),
        (
            "127.1:8080:80",
            "\"127.1\": not an IPv4 address (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)",
        ),
        (
            "[localhost]:1:2",
            "\"localhost\": not an IPv6 address (write [ADDRESS]:HOSTPORT:PORT, [::1]:8080:80 say)",
        ),
        (
            "[127.0.0.1]:1:2",
            "\"127.0.0.1\": not an IPv6 address (write [ADDRESS]:HOSTPORT:PORT, [::1]:8080:80 say)",
        ),
        (
            "[::1:80:80",
            "\"[::1:80:80\": brackets hold an IPv6 address, and ports follow (write [::1]:8080:80)",
        ),
        (
            "[::1]80:80",
            "\"[::1]80:80\": brackets hold an IPv6 address, and ports follow (write [::1]:8080:80)",
        ),
        ("a:b:c:d", "\"a:b:c:d\": too many parts (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)"),
        (
            "[::1]:1:2:3",
            "\"[::1]:1:2:3\": too many parts (write ADDRESS:HOSTPORT:PORT, 127.0.0.1:8080:80 say)",
        ),
        ("08080:80", "\"08080\": a port has no leading zeros (write 8080)"),
        ("+80:80", "\"+80\": a port has no sign (write 80)"),
        ("70000:80", "\"70000\": the highest port is 65535"),
        (
            "8080:80 ",
            "\"80 \": not a port (write a decimal number like 8080, a range like 8000-8010 or a service name)",
        ),
        ("8000-7000", "\"8000-7000\": a range runs upwards (write 7000-8000)"),
        (
            "8000-8010:9000-9005",
            "\"8000-8010:9000-9005\": 11 against 6 ports, and both sides need as many (write 8000-8005:9000-9005)",
        ),
        ("8000-8010:80", "\"8000-8010:80\": 11 against 1 ports, and both sides need as many (write 8000:80)"),
        (
            "65535:1-2",
            "\"65535:1-2\": 1 against 2 ports, and both sides need as many (write 8000-8010:9000-9010)",
        ),
        ("80:0", "\"0\": port 0 stands only for one host port that is to be chosen (write 0:80)"),
        ("0", "\"0\": port 0 stands only for one host port that is to be chosen (write 0:80)"),
        ("0-1:80-81", "\"0-1\": port 0 stands only for one host port that is to be chosen (write 0:80)"),
        ("80:80/sctp", "\"/sctp\": unknown protocol (write /tcp or /udp)"),
        ("80/TCP", "\"/TCP\": unknown protocol (write /tcp or /udp)"),
        ("80:80/icmp", "\"/icmp\": unknown protocol (write /tcp or /udp)"),
        ("htpt:80", "\"htpt\": no tcp service has this name (write its port number)"),
        ("8080:intranet/udp", "\"intranet\": no udp service has this name (write its port number)"),
    ];
    for (text, message) in table {
        match PublishSpec::parse(text, &local) {
            Ok(spec) => panic!("{text:?} reads as {spec}"),
            Err(error) => assert_eq!(error.to_string(), message, "{text:?}"),
        }
    }
}

#[test]
fn networks() {
    let cidr = |text: &str| text.parse::<Cidr>().unwrap_or_else(|error| panic!("{text}: {error}"));
    let addr = |text: &str| Addr::from(text.parse::<core::net::IpAddr>().unwrap());
    let (v4, v6) = (cidr("10.0.2.100/24"), cidr("fd00::1/64"));
    assert_eq!((v4.to_string(), v6.to_string()), ("10.0.2.100/24".into(), "fd00::1/64".into()));
    assert_eq!((v4.network(), v6.network()), (addr("10.0.2.0"), addr("fd00::")));
    assert_eq!((v4.broadcast(), v6.broadcast()), (Some(addr("10.0.2.255")), None));
    assert_eq!((v4.mask(), v6.mask()), (Some(addr("255.255.255.0")), None));
    assert!(
        v4.contains(addr("10.0.2.255")) && !v4.contains(addr("10.0.3.0")) && !v4.contains(addr("fd00::2"))
    );
    assert!(
        v6.contains(addr("fd00::ffff:0:0:1"))
            && !v6.contains(addr("fd00:0:0:1::"))
            && !v6.contains(addr("10.0.2.1"))
    );
    assert_eq!((v4.nth_host(2), v6.nth_host(3)), (Some(addr("10.0.2.2")), Some(addr("fd00::3"))));
    assert_eq!(
        (v4.nth_host(0), v4.nth_host(255), v4.nth_host(256), v6.nth_host(0)),
        (None, None, None, None)
    );
    assert_eq!(cidr("10.0.0.6/31").nth_host(1), Some(addr("10.0.0.7")));
    assert_eq!(cidr("10.0.0.6/32").nth_host(0), Some(addr("10.0.0.6")));
    assert_eq!(cidr("10.0.0.6/32").nth_host(1), None);
    assert_eq!(cidr("10.0.0.6/32").broadcast(), None);
    assert!(cidr("0.0.0.0/0").contains(addr("255.255.255.255")) && !cidr("0.0.0.0/0").contains(addr("::")));
    assert!(!cidr("::/0").contains(addr("1.2.3.4")), "families stay apart");
    assert_eq!(cidr("::1/128").nth_host(0), Some(addr("::1")));
    assert_eq!(Cidr::new(addr("1.2.3.4"), 33), None);
}

#[test]
fn bad_networks() {
    let table = [
        ("10.0.2.100", "\"10.0.2.100\": a prefix length is missing (write 10.0.2.100/24 or fd00::1/64)"),
        ("10.0.2/24", "\"10.0.2\": not an address (write 10.0.2.100/24 or fd00::1/64)"),
        ("/24", "\"\": not an address (write 10.0.2.100/24 or fd00::1/64)"),
        ("10.0.2.1/33", "\"/33\": not a prefix length (write /0 to /32)"),
        ("10.0.2.1/", "\"/\": not a prefix length (write /0 to /32)"),
        ("10.0.2.1/024", "\"/024\": not a prefix length (write /0 to /32)"),
        ("10.0.2.1/280", "\"/280\": not a prefix length (write /0 to /32)"),
        ("fd00::1/129", "\"/129\": not a prefix length (write /0 to /128)"),
        ("fd00::1/64/1", "\"/64/1\": not a prefix length (write /0 to /128)"),
    ];
    for (text, message) in table {
        assert_eq!(text.parse::<Cidr>().unwrap_err().to_string(), message, "{text:?}");
    }
}

prop_compose! {
    fn any_range()(first in 1..=u16::MAX, more in 0..=40u16) -> PortRange {
        PortRange::new(port(first), port(first.saturating_add(more))).unwrap()
    }
}

fn any_addr() -> impl Strategy<Value = Addr> {
    prop_oneof![any::<[u8; 4]>().prop_map(Addr::v4), any::<[u8; 16]>().prop_map(Addr::v6)]
}

prop_compose! {
    fn any_publish()(
        inside in any_range(),
        first in prop::option::of(1..=u16::MAX),
        address in prop::option::of(any_addr()),
        udp in any::<bool>(),
    ) -> PublishSpec {
        let host = first.map(|first| {
            let first = first.min(u16::MAX - (inside.count() - 1));
            PortRange::new(port(first), port(first + (inside.count() - 1))).unwrap()
        });
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        PublishSpec::new(protocol, address, host, inside).unwrap()
    }
}

proptest! {
    #[test]
    fn the_canonical_form_of_a_publish_spec_reads_back(spec in any_publish()) {
        prop_assert_eq!(PublishSpec::parse(&spec.to_string(), &no_services), Ok(spec));
    }

    #[test]
    fn the_canonical_form_of_a_network_reads_back(addr in any_addr(), prefix in 0..=128u8, n: u64) {
        let prefix = if addr.is_v4() { prefix % 33 } else { prefix };
        let cidr = Cidr::new(addr, prefix).unwrap();
        prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
        prop_assert!(cidr.contains(cidr.network()) && cidr.contains(addr));
        prop_assert!(cidr.nth_host(n).is_none_or(|host| cidr.contains(host)));
    }

    #[test]
    fn an_endpoint_reads_as_the_standard_library_reads_it(text in "[0-9a-f:.\\[\\]]{0,24}") {
        let ours = text.parse::<Endpoint>().map(Endpoint::socket_addr);
        match text.parse::<core::net::SocketAddr>() {
            // The standard library takes leading zeros of a port.
            Ok(theirs) if ours.is_ok() => prop_assert_eq!(ours, Ok(Endpoint::from(theirs).socket_addr())),
            Ok(_) => prop_assert!(text.contains(":0")),
            Err(_) => prop_assert!(ours.is_err()),
        }
    }

    #[test]
    fn every_text_reads_or_is_told_why_not(text in "[-0-9a-z:./\\[\\]+ ]{0,24}|.{0,12}") {
        let said = [
            PublishSpec::parse(&text, &local).map_err(|error| error.to_string()).err(),
            PortSpec::parse(&text, &local).map_err(|error| error.to_string()).err(),
            text.parse::<Cidr>().map_err(|error| error.to_string()).err(),
            text.parse::<Endpoint>().map_err(|error| error.to_string()).err(),
        ];
        for message in said.iter().flatten() {
            prop_assert!(message.contains("(write ") || message.contains("the highest port"), "{}", message);
        }
        if let Ok(spec) = PublishSpec::parse(&text, &local) {
            let canonical: String = format!("{spec}");
            prop_assert_eq!(PublishSpec::parse(&canonical, &no_services), Ok(spec));
        }
    }

    #[test]
    fn a_suggestion_for_a_bare_address_is_readable(addr: [u8; 16], host in 1..=u16::MAX, inside in 1..=u16::MAX) {
        let bare = format!("{}:{host}:{inside}", core::net::Ipv6Addr::from(addr));
        if let Err(PublishError::Bare { meant, .. }) = PublishSpec::parse(&bare, &no_services) {
            prop_assert!(PublishSpec::parse(&meant, &no_services).is_ok(), "{}", meant);
        } else {
            prop_assert!(false, "{} was read", bare);
        }
    }
}

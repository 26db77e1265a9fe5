//! One end as it is written and pasted.

use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::{any_addr, local};
use crate::notation::scheme::SCHEMES;
use crate::notation::{Host, Location, Ports, Zone, parse_ports};
use crate::registry;
use crate::tuple::Protocol;
use crate::{Addr, Endpoint};

fn read(text: &str) -> Result<Location, String> {
    Location::parse(text, Protocol::Tcp, &local).map_err(|error| error.to_string())
}

#[test]
fn ends() {
    let table = [
        // Plain.
        ("192.0.2.1:443", "192.0.2.1:443"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:53/udp", "192.0.2.1:53/udp"),
        ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("[fe80::1%eth0]:22", "[fe80::1%eth0]:22"),
        ("[fe80::1%2]:22/tcp", "[fe80::1%2]:22/tcp"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
        ("example.org:https", "example.org:443"),
        ("Example.ORG", "example.org"),
        ("localhost:intranet", "localhost:8765"),
        ("_sip._udp.example.org.:5060/udp", "_sip._udp.example.org.:5060/udp"),
        // An address, and no more.
        ("::1:8080", "::1:8080"),
        // From ss.
        ("[fe80::1]%eth0:22", "[fe80::1%eth0]:22"),
        ("127.0.0.53%lo:53", "127.0.0.53%lo:53"),
        ("*%eth0:68", "*%eth0:68"),
        ("*:80", "*:80"),
        (":80", "*:80"),
        ("*:*", "*"),
        ("0.0.0.0:*", "0.0.0.0"),
        ("[::]:*", "::"),
        ("*:http", "*:80"),
        // From tcpdump.
        ("1.2.3.4.443", "1.2.3.4:443"),
        ("1.2.3.4.443:", "1.2.3.4:443"),
        ("1.2.3.4.https", "1.2.3.4:443"),
        ("2001:db8::1.443", "[2001:db8::1]:443"),
        ("2001:db8::1.443:", "[2001:db8::1]:443"),
        ("::ffff:1.2.3.4.443", "1.2.3.4:443"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0.100", "fe80::1%eth0.100"),
        // URLs.
        ("https://example.org", "example.org:443/tcp"),
        ("https://ann:secret@example.org:8443/a:b/c?d=e:1#f", "example.org:8443/tcp"),
        ("HTTP://[2001:db8::1]/", "[2001:db8::1]:80/tcp"),
        ("http://[fe80::1%25eth0]:8080/x", "[fe80::1%eth0]:8080/tcp"),
        ("http://192.0.2.1?q", "192.0.2.1:80/tcp"),
        ("wss://example.org:/x", "example.org:443/tcp"),
        ("git+ssh://git@example.org/repository", "example.org:22/tcp"),
        ("postgresql+psycopg2://u:p@db/name", "db:5432/tcp"),
        ("jdbc:mysql://db/name", "db:3306/tcp"),
        ("dns://192.0.2.53", "192.0.2.53:53"),
        ("coap://[::1]", "[::1]:5683/udp"),
        ("udp://192.0.2.1:514", "192.0.2.1:514/udp"),
        ("spam://example.org:1234/", "example.org:1234"),
        ("rediss://:secret@cache", "cache:6379/tcp"),
    ];
    for (text, canonical) in table {
        let location = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(location.to_string(), canonical, "{text}");
        assert_eq!(read(canonical), Ok(location), "{canonical}");
    }
}

#[test]
fn the_parts_of_an_end() {
    let location = read("[fe80::1]%eth0:22/udp").unwrap();
    let addr = Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(location.host, Host::Addr(addr));
    assert_eq!(location.zone, Some(Zone::Name("eth0".into())));
    assert_eq!((location.port, location.protocol), (Some(22), Some(Protocol::Udp)));
    let interfaces = |name: &str| (name == "eth0").then_some(7);
    let end = location.end(&interfaces).unwrap().unwrap();
    assert_eq!((end.addr, end.zone, end.port), (addr, 7, 22));
    assert_eq!(read("[fe80::1%9]:22").unwrap().end(&interfaces).unwrap().unwrap().zone, 9);
    let error = read("fe80::1%eth1").unwrap().end(&interfaces).unwrap_err();
    assert_eq!(error.to_string(), "\"eth1\": no such interface (write one that `ip link` lists)");
    assert_eq!(read("example.org").unwrap().end(&interfaces), Ok(None));
}

#[test]
fn bad_ends() {
    let forms = "write 192.0.2.1:443, [2001:db8::1]:443 or [fe80::1%eth0]:22";
    let table = [
        ("", format!("\"\": an address is missing ({forms})")),
        ("192.0.2.1:", format!("\"192.0.2.1:\": a port is missing behind the colon ({forms})")),
        ("[::1]:", format!("\"[::1]:\": a port is missing behind the colon ({forms})")),
        ("[::1:80", "\"[::1:80\": a ] is missing (write [2001:db8::1]:443)".into()),
        ("[::1]80", "\"80\": only a port follows the bracket (write [::1]:443)".into()),
        ("[::1%a]%b:80", "\"%b\": only a port follows the bracket (write [::1%a]:443)".into()),
        ("[1.2.3.4]:80", "\"1.2.3.4\": not an IPv6 address (write [2001:db8::1]:443)".into()),
        ("[]:80", "\"\": not an IPv6 address (write [2001:db8::1]:443)".into()),
        ("1.2.3:80", "\"1.2.3\": not an IPv4 address (write 192.0.2.1:443)".into()),
        ("01.2.3.4:80", "\"01.2.3.4\": not an IPv4 address (write 192.0.2.1:443)".into()),
        ("1.2.3.4.5.6", "\"1.2.3.4.5.6\": not an IPv4 address (write 192.0.2.1:443)".into()),
        ("1.2.3.4:080", "\"080\": a port has no leading zeros (write 80)".into()),
        ("1.2.3.4.70000", "\"70000\": the highest port is 65535".into()),
        ("1.2.3.4:+80", "\"+80\": a port has no sign (write 80)".into()),
        ("1.2.3.4:htpt", "\"htpt\": no tcp service has this name (write its port number)".into()),
        (
            ":::80",
            "\":::80\": an IPv6 address before a port stands in brackets (write [::]:80)".into(),
        ),
        (
            "::1:https",
            "\"::1:https\": an IPv6 address before a port stands in brackets (write [::1]:https)".into(),
        ),
        (
            "1:2:3:4:5:6:7:8:443",
            "\"1:2:3:4:5:6:7:8:443\": an IPv6 address before a port stands in brackets (write [1:2:3:4:5:6:7:8]:443)".into(),
        ),
        ("12:34:56", "\"12:34:56\": not an IPv6 address (write [2001:db8::1]:443)".into()),
        ("fe80::1%", "\"fe80::1%\": an interface is missing behind % (write fe80::1%eth0)".into()),
        (
            "fe80::1%0",
            "\"0\": not an interface (write its name or its number, fe80::1%eth0 or fe80::1%2)".into(),
        ),
        (
            "fe80::1%averyverylongname",
            "\"averyverylongname\": not an interface (write its name or its number, fe80::1%eth0 or fe80::1%2)".into(),
        ),
        ("example.org%eth0", "\"example.org%eth0\": only an address has a zone (write fe80::1%eth0)".into()),
        ("10.0.0.0/8", "\"/8\": one address is meant here, not a network (write it without)".into()),
        ("-x:80", format!("\"-x\": neither an address nor the name of a host ({forms})")),
        ("a b:80", format!("\"a b\": neither an address nor the name of a host ({forms})")),
        ("file:///etc/services", "\"file:///etc/services\": this URL names no host (write https://example.org)".into()),
        ("mongodb://a:1,b:2/x", "\"a:1,b:2\": one host is meant here (write one of them)".into()),
        (
            "spam://example.org",
            "\"spam:\": no default port is known for it (write example.org:443 with its port)".into(),
        ),
        (
            "mongodb+srv://example.org/x",
            "\"mongodb+srv:\": its port is told by a name server (write example.org:443 with its port)".into(),
        ),
        (
            "http://::1:8080/",
            "\"::1:8080\": an IPv6 address before a port stands in brackets (write [::1]:8080)".into(),
        ),
        (
            "http://2001:db8::/",
            "\"2001:db8::\": an IPv6 address before a port stands in brackets (write [2001:db8::])".into(),
        ),
        ("http://example.org:0x50/", "\"0x50\": no tcp service has this name (write its port number)".into()),
    ];
    for (text, message) in table {
        assert_eq!(read(text).map(|location| location.to_string()), Err(message), "{text:?}");
    }
}

#[test]
fn schemes_agree_with_the_registry() {
    // These names are registered for something else than what their URLs mean: `sftp` is not SSH's, `irc` has 194.
    const DIFFER: [&str; 6] = ["cifs", "irc", "iscsi", "neo4j", "scp", "sftp"];
    let (mut same, mut differ) = (0, std::vec::Vec::new());
    for scheme in SCHEMES {
        let Some(port) = scheme.port else { continue };
        let protocol = scheme.protocol.unwrap_or(Protocol::Tcp);
        let mut ports = registry::service_ports(scheme.name, protocol).peekable();
        if ports.peek().is_none() {
            continue;
        }
        if ports.any(|it| it.number() == port) { same += 1 } else { differ.push(scheme.name) }
    }
    assert_eq!((same, differ.as_slice()), (49, &DIFFER[..]));
    assert!(SCHEMES.windows(2).all(|pair| pair[0].name < pair[1].name));
}

#[test]
fn lists() {
    let table = [
        ("443", "443"),
        ("80,443", "80,443"),
        ("443,80,80-90,91", "80-91,443"),
        ("https,8000-8010,http", "80,443,8000-8010"),
        ("0-65535", "0-65535"),
        ("intranet,0", "0,8765"),
    ];
    for (text, canonical) in table {
        let ports = parse_ports(text, Protocol::Tcp, &local).unwrap();
        assert_eq!(ports.to_string(), canonical);
        assert_eq!(parse_ports(canonical, Protocol::Tcp, &local), Ok(ports));
    }
    let bad = [
        ("", "a port is missing (write a number from 1 to 65535 or a service name)"),
        ("80,", "\"80,\": a port is missing beside a comma (write a list like 80,443,8000-8999)"),
        (
            "80, 443",
            "\" 443\": not a port (write a decimal number like 8080, a range like 8000-8010 or a service name)",
        ),
        ("80,90-85", "\"90-85\": a range runs upwards (write 85-90)"),
        ("80,htpt", "\"htpt\": no tcp service has this name (write its port number)"),
    ];
    for (text, message) in bad {
        assert_eq!(parse_ports(text, Protocol::Tcp, &local).unwrap_err().to_string(), message, "{text:?}");
    }
}

fn any_zone() -> impl Strategy<Value = Zone> {
    prop_oneof![(1..=u32::MAX).prop_map(Zone::Index), "[a-z][a-z0-9.-]{0,14}".prop_map(Zone::Name)]
}

fn any_location() -> impl Strategy<Value = Location> {
    let addr = (any_addr(), prop::option::of(any_zone())).prop_map(|(addr, zone)| (Host::Addr(addr), zone));
    let host = prop_oneof![
        4 => addr,
        1 => prop::option::of(any_zone()).prop_map(|zone| (Host::Any, zone)),
        1 => "[a-z][a-z0-9]{0,8}(\\.[a-z]([a-z0-9-]{0,8}[a-z0-9])?){0,3}".prop_map(|name| (Host::Name(name), None)),
    ];
    let protocol = prop::option::of(prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]);
    (host, any::<Option<u16>>(), protocol).prop_map(|((host, zone), port, protocol)| Location {
        host,
        zone,
        port,
        protocol,
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(location in any_location()) {
        prop_assert_eq!(read(&location.to_string()), Ok(location));
    }

    #[test]
    fn what_ss_and_tcpdump_print_is_the_same_end(addr in any_addr(), port: u16, zone in prop::option::of(any_zone())) {
        let plain = Location { zone: zone.clone(), ..Location::from(Endpoint { addr, port }) };
        let behind = zone.as_ref().map_or(String::new(), |zone| format!("%{zone}"));
        let ss = if addr.is_v4() { format!("{addr}{behind}:{port}") } else { format!("[{addr}]{behind}:{port}") };
        prop_assert_eq!(read(&ss), Ok(plain.clone()));
        if zone.is_none() {
            let url = format!("spam://ann:p@{}/x:y", Endpoint { addr, port });
            for text in [format!("{addr}.{port}"), format!("{addr}.{port}:"), url] {
                prop_assert_eq!(read(&text), Ok(plain.clone()), "{}", text);
            }
        }
    }

    #[test]
    fn an_address_without_brackets_never_loses_its_end_to_a_port(addr: [u8; 16], port: u16) {
        let addr = core::net::Ipv6Addr::from(addr);
        for text in [format!("{addr}:{port}"), format!("{addr}:{port:x}")] {
            if let Ok(location) = read(&text) {
                prop_assert_eq!(location.port, None, "{}", text);
                prop_assert_eq!(location.host, Host::Addr(Addr::from(text.parse::<core::net::Ipv6Addr>().unwrap())));
            }
        }
    }

    #[test]
    fn every_text_is_an_end_or_is_told_why_not(text in "([0-9a-f]{0,4}[:.%/\\[\\]*@-]){0,8}[a-z0-9]{0,6}|https?://[-a-z:@/\\[\\]]{0,12}|.{0,12}") {
        match read(&text) {
            Err(error) => prop_assert!(error.contains("(write ") || error.contains("the highest port"), "{}", error),
            Ok(location) => prop_assert_eq!(read(&location.to_string()), Ok(location)),
        }
    }

    #[test]
    fn ports_are_a_set(ranges in prop::collection::vec((0..300_u16, 0..20_u16), 0..12), others in prop::collection::vec(0..320_u16, 0..20)) {
        use std::collections::BTreeSet;
        let ranges: std::vec::Vec<_> = ranges.into_iter().map(|(first, more)| (first, first + more)).collect();
        let model: BTreeSet<u16> = ranges.iter().flat_map(|&(first, last)| first..=last).collect();
        let other_model: BTreeSet<u16> = others.iter().copied().collect();
        let ports: Ports = ranges.into_iter().collect();
        let other: Ports = others.iter().map(|&port| (port, port)).collect();
        prop_assert!(ports.iter().eq(model.iter().copied()));
        prop_assert_eq!(ports.count() as usize, model.len());
        prop_assert!(ports.union(&other).iter().eq(model.union(&other_model).copied()));
        prop_assert!(ports.intersection(&other).iter().eq(model.intersection(&other_model).copied()));
        let rest = ports.complement();
        prop_assert!((0..=u16::MAX).all(|port| rest.contains(port) != ports.contains(port)));
        prop_assert!((0..=u16::MAX).all(|port| ports.contains(port) == model.contains(&port)));
        if !ports.is_empty() {
            prop_assert_eq!(parse_ports(&ports.to_string(), Protocol::Tcp, &local), Ok(ports));
        }
    }
}

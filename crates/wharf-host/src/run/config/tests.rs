//! Lowering: what is filled in, what is refused, and in which words.

use wharf_table::notation::no_services;

use super::*;

/// As a little-endian kernel writes it.
#[cfg(target_endian = "little")]
const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
    tun0\t00000080\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
    eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
    eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FEFFFF\t0\t0\t0\n\
    lost\t0000A8C0\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
#[cfg(target_endian = "little")]
const ROUTES_V6: &str = "fd00000000aa00000000000000000000 40 00000000000000000000000000000000 00 \
    00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
    00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
    fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n";

fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn lower(typed: Typed) -> Result<Lowered, String> {
    typed.lower(&HostNetwork::default(), 0x0102_0304_0500_0000).map_err(|error| error.to_string())
}

fn show(of: Option<GatewayAddresses>) -> String {
    of.map_or("none".to_owned(), |of| format!("{} {} {} {}", of.program, of.gateway, of.dns, of.host))
}

#[test]
fn nothing_typed_means_the_defaults() {
    let lowered = lower(Typed::default()).unwrap();
    assert_eq!(show(lowered.v4), "10.0.2.100/24 10.0.2.2 10.0.2.3 10.0.2.4");
    let v6 = "fd01:203:405::100/64 fd01:203:405::2 fd01:203:405::3 fd01:203:405::4";
    assert_eq!(show(lowered.v6), v6);
    assert_eq!((lowered.mtu, lowered.root, lowered.device), (1500, RootMap::Keep, LinkChoice::Auto));
    assert_eq!(lowered.buffer, 1 << 20);
    assert_eq!(lowered.command.len(), 1, "a shell");
}

#[test]
fn a_buffer_has_bounds() {
    let buffer =
        |bytes| lower(Typed { buffer: Some(bytes), ..Typed::default() }).map(|lowered| lowered.buffer);
    assert_eq!((buffer(256 << 10), buffer(64 << 20)), (Ok(256 << 10), Ok(64 << 20)));
    let wrong = |size: &str| Err(format!("--buffer \"{size}\": not a buffer of a flow (write 256K to 64M)"));
    let table = [
        (0, "0"),
        (4095, "4095"),
        (255 << 10, "255K"),
        (65 << 20, "65M"),
        (u64::MAX, "18446744073709551615"),
    ];
    for (bytes, size) in table {
        assert_eq!(buffer(bytes), wrong(size));
    }
}

#[test]
fn addresses_make_room_for_each_other() {
    let table = [
        ("192.168.7.3/24", vec![], vec![], "192.168.7.3/24 192.168.7.2 192.168.7.4 192.168.7.5"),
        ("192.168.7.9/29", vec![], vec![], "192.168.7.9/29 192.168.7.10 192.168.7.11 192.168.7.12"),
        (
            "192.168.7.14/29",
            vec!["192.168.7.13"],
            vec!["192.168.7.10"],
            "192.168.7.14/29 192.168.7.13 192.168.7.10 192.168.7.12",
        ),
        ("10.0.2.100/24", vec!["10.0.2.1"], vec!["10.0.2.2"], "10.0.2.100/24 10.0.2.1 10.0.2.2 10.0.2.4"),
        ("172.16.0.1/12", vec![], vec![], "172.16.0.1/12 172.16.0.2 172.16.0.3 172.16.0.4"),
    ];
    for (address, gateways, dns, expected) in table {
        let typed = Typed {
            addresses: cidrs(&[address]),
            gateways: ips(&gateways),
            dns: ips(&dns),
            ..Typed::default()
        };
        assert_eq!(show(lower(typed).unwrap().v4), expected);
    }
    let typed =
        Typed { addresses: cidrs(&["2001:db8::7/64"]), families: Families::V6Only, ..Typed::default() };
    let lowered = lower(typed).unwrap();
    assert_eq!(show(lowered.v6), "2001:db8::7/64 2001:db8::2 2001:db8::3 2001:db8::4");
    assert_eq!(show(lowered.v4), "none");
}

#[test]
fn contradictions_are_named() {
    let table = [
        (
            Typed { gateways: ips(&["192.168.0.1"]), ..Typed::default() },
            "--gateway \"192.168.0.1\": lies outside the program's network 10.0.2.0/24 (choose one inside, or give --address as well)",
        ),
        (
            Typed { dns: ips(&["10.0.2.100"]), ..Typed::default() },
            "--dns \"10.0.2.100\": the program has this address (choose another one)",
        ),
        (
            Typed { gateways: ips(&["10.0.2.255"]), ..Typed::default() },
            "--gateway \"10.0.2.255\": no host can have this address in 10.0.2.0/24 (choose another one)",
        ),
        (
            Typed { addresses: cidrs(&["10.9.0.0/16"]), ..Typed::default() },
            "--address \"10.9.0.0\": no host can have this address in 10.9.0.0/16 (choose another one)",
        ),
        (
            Typed { addresses: cidrs(&["127.0.0.5/8"]), ..Typed::default() },
            "--address \"127.0.0.5\": no host can have this address in 127.0.0.0/8 (choose another one)",
        ),
        (
            Typed { addresses: cidrs(&["10.9.0.1/30"]), ..Typed::default() },
            "--address \"10.9.0.1/30\": the network is too small for program, gateway, name server and host (write /29 or shorter)",
        ),
        (
            Typed { addresses: cidrs(&["fd00::1/128"]), ..Typed::default() },
            "--address \"fd00::1/128\": the network is too small for program, gateway, name server and host (write /125 or shorter)",
        ),
        (
            Typed { addresses: cidrs(&["10.9.0.1/24", "10.8.0.1/24"]), ..Typed::default() },
            "--address \"10.8.0.1\": given twice for IPv4 (give one for each family)",
        ),
        (
            Typed { dns: ips(&["fd00::3"]), families: Families::V4Only, ..Typed::default() },
            "--dns \"fd00::3\": the run has no IPv6 (leave out --ipv4-only)",
        ),
        (
            Typed { mtu: Some(17), ..Typed::default() },
            "--mtu \"17\": not an MTU of this link (write 1280 to 65520, or from 576 with --ipv4-only)",
        ),
        (
            Typed { mtu: Some(575), families: Families::V4Only, ..Typed::default() },
            "--mtu \"575\": not an MTU of this link (write 576 to 65520)",
        ),
        (
            Typed { mtu: Some(65_536), ..Typed::default() },
            "--mtu \"65536\": not an MTU of this link (write 1280 to 65520, or from 576 with --ipv4-only)",
        ),
        (
            Typed { name: Some("a b".into()), ..Typed::default() },
            "--name \"a b\": not a name for a run (letters, digits and hyphens, 63 at most; not host, gateway or dns)",
        ),
        (
            Typed { name: Some("Host".into()), ..Typed::default() },
            "--name \"Host\": not a name for a run (letters, digits and hyphens, 63 at most; not host, gateway or dns)",
        ),
    ];
    for (typed, expected) in table {
        assert_eq!(lower(typed).unwrap_err(), expected);
    }
    for mtu in [576, 1500, 65_520] {
        let typed = Typed { mtu: Some(mtu), families: Families::V4Only, ..Typed::default() };
        assert_eq!(u32::from(lower(typed).unwrap().mtu), mtu);
    }
}

#[test]
#[cfg(target_endian = "little")]
fn a_network_of_the_host_is_left_alone() {
    let host = HostNetwork::parse(ROUTES, ROUTES_V6);
    let clash = |addresses: &[&str]| {
        let typed = Typed { addresses: cidrs(addresses), ..Typed::default() };
        typed.lower(&host, 0).err().map(|error| (error.exit_code(), error.to_string()))
    };
    let says = |text: &str| Some((125, text.to_owned()));
    // 10.0.2.0/23 is on eth1 as well, so that the next free network is 10.0.4.0.
    let expected = "address 10.0.2.100/24: overlaps 10.0.2.0/24 on eth0 of this host (take another network: --address 10.0.4.100/24)";
    assert_eq!(clash(&[]), says(expected));
    assert_eq!(clash(&["192.168.7.100/24"]), None, "a route that refuses is none");
    assert_eq!(clash(&["172.16.0.5/12"]), None);
    let v6 = "address fd00:0:aa:0:1::1/64: overlaps fd00:0:aa::/64 on eth0 of this host (leave --address out: a network of its own is chosen then)";
    assert_eq!(clash(&["172.16.0.5/12", "fd00:0:aa:0:1::1/64"]), says(v6));
    let wide = "address 10.1.2.3/8: overlaps 10.0.2.0/24 on eth0 of this host (take another network: --address 10.0.4.100/24)";
    assert_eq!(clash(&["10.1.2.3/8"]), says(wide));
}

#[test]
fn names_and_resolv_conf_follow_the_addresses() {
    let typed = Typed { name: Some("web".into()), families: Families::V4Only, ..Typed::default() };
    let lowered = lower(typed).unwrap();
    let names: Vec<String> =
        lowered.names(0).names.iter().map(|(name, addrs)| format!("{name} {addrs:?}")).collect();
    assert_eq!(
        names,
        [
            "host.wharf.internal [10.0.2.4]",
            "gateway.wharf.internal [10.0.2.2]",
            "dns.wharf.internal [10.0.2.3]",
            "web.wharf.internal [10.0.2.100]"
        ]
    );
    assert!(lowered.resolv_conf().starts_with("nameserver 10.0.2.3\n"));
}

#[test]
fn what_was_asked_for_is_kept() {
    let publish = vec![PublishSpec::parse("8080:80", &no_services).unwrap()];
    let allow_host = vec![PortSpec::parse("5432", &no_services).unwrap()];
    let typed = Typed {
        publish: publish.clone(),
        allow_host: allow_host.clone(),
        link: Some(Impairment::default()),
        root: Some(RootMap::Root),
        device: Some(LinkChoice::Packet),
        offload: Some(Offload::None),
        command: vec!["curl".into(), "-v".into()],
        ..Typed::default()
    };
    let lowered = lower(typed).unwrap();
    assert_eq!((lowered.publish, lowered.allow_host), (publish, allow_host));
    assert!(lowered.link.is_none(), "a link with which nothing is wrong is a good one");
    assert_eq!((lowered.root, lowered.device), (RootMap::Root, LinkChoice::Packet));
    assert_eq!(lowered.command, ["curl", "-v"]);
}

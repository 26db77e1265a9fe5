//! The language as tables, and against a model that knows rows only as plain facts.

use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::nearest::nearest;
use crate::notation::no_services;
use crate::port::Port;
use crate::rows::{End, Network, OwnerLink, OwnerSpan, ProcessId, Role, State, Transport};
use crate::tuple::Protocol;
use crate::{Endpoint, Owner};

mod model;

fn local(name: &str, protocol: Protocol) -> Option<Port> {
    (name == "intranet" && protocol == Protocol::Tcp).then(|| Port::new(8765)).flatten()
}

fn parse(text: &str) -> Selector {
    Selector::parse(text, &local).unwrap_or_else(|error| panic!("{error}"))
}

fn end(text: &str) -> End {
    End::new(text.parse::<Endpoint>().unwrap())
}

/// nginx listens on every address and has a client on loopback; root's resolver has a UDP socket on 127.0.0.53; a
/// connection in TIME-WAIT; curl asks a server of 10.0.0.0/8.
fn host() -> Rows {
    let owner = |pid, command: &str, user: &str, uid, unit: Option<&str>| Owner {
        pid: Some(pid),
        command: Some(command.into()),
        user: Some(user.into()),
        uid: Some(uid),
        unit: unit.map(Into::into),
        ..Owner::default()
    };
    let mut rows = Rows {
        processes: Vec::from([
            owner(812, "nginx", "www-data", 33, Some("nginx.service")),
            owner(53, "systemd-resolve", "root", 0, None),
            owner(4000, "curl", "ann", 1000, None),
        ]),
        networks: Vec::from([Network {
            name: "host".into(),
            interfaces: [(1, "lo".into()), (2, "eth0".into())].into(),
            ..Network::default()
        }]),
        ..Rows::default()
    };
    let mut add = |transport, at: &str, to: Option<&str>, state, role, process: Option<u32>| {
        let mut row = Row::new(transport, end(at), state);
        row.remote = to.map(end);
        row.role = role;
        if let Some(process) = process {
            let first = u32::try_from(rows.links.len()).unwrap();
            rows.links.push(OwnerLink { process: ProcessId(process), descriptor: 3 });
            row.owners = OwnerSpan { first, count: 1 };
        }
        rows.rows.push(row);
    };
    add(Transport::Tcp, "[::]:80", None, State::Listen, Role::Listener, Some(0));
    add(Transport::Tcp, "127.0.0.1:80", Some("127.0.0.1:40000"), State::Established, Role::Server, Some(0));
    add(Transport::Udp, "127.0.0.53:53", None, State::Bound, Role::Listener, Some(1));
    add(Transport::Tcp, "127.0.0.1:80", Some("127.0.0.1:40001"), State::TimeWait, Role::Server, None);
    add(Transport::Tcp, "10.1.2.3:50000", Some("10.9.9.9:443"), State::Established, Role::Client, Some(2));
    add(Transport::Udp, "[fe80::1]:5353", None, State::Bound, Role::Listener, Some(1));
    rows.rows[5].local.zone = 2;
    rows.rows[4].set_age(Some(core::time::Duration::from_secs(90)));
    rows.rows[4].send_queue_bytes = 7;
    rows.rows[0].v6_only = Some(false);
    rows
}

/// The places of the rows that a selector takes.
fn taken(text: &str) -> Vec<usize> {
    let (rows, selector) = (host(), parse(text));
    rows.rows.iter().enumerate().filter(|(_, row)| selector.matches(&rows, row)).map(|(at, _)| at).collect()
}

#[test]
fn what_selectors_take() {
    let table: &[(&str, &[usize])] = &[
        ("", &[0, 1, 2, 3, 4, 5]),
        ("all", &[0, 1, 2, 3, 4, 5]),
        ("tcp", &[0, 1, 3, 4]),
        ("TCP and Listening", &[0]),
        ("udp listening", &[2, 5]),
        ("tcp listening port 80-90", &[0]),
        ("port 80", &[0, 1, 3]),
        ("80,443", &[0, 1, 3, 4]),
        (":443", &[4]),
        ("https", &[4]),
        ("port 53/udp", &[2]),
        ("udp/53", &[2]),
        ("port 53/tcp", &[]),
        ("dport = :https or sport = :domain", &[2, 4]),
        ("sport != :80", &[2, 4, 5]),
        ("dport != 443", &[0, 1, 2, 3, 5]),
        ("local port above 1023", &[4, 5]),
        ("sport>=50000", &[4]),
        ("port lt 81 not port 53", &[0, 1, 3]),
        ("remote port 40000-40001", &[1, 3]),
        ("to 10.0.0.0/8", &[4]),
        ("to 10.0.0.0/8:443,80", &[4]),
        ("to 10.0.0.0/8:444", &[]),
        ("to *:443", &[4]),
        ("dst :443", &[4]),
        ("to port 443", &[4]),
        ("from 127.0.0.0/8", &[1, 2, 3]),
        ("local 10.1.2.3:50000", &[4]),
        ("10.9.9.9", &[4]),
        ("address 10.0.0.0/8 established", &[4]),
        ("local fe80::1%eth0", &[5]),
        ("local [fe80::1%2]:5353", &[5]),
        ("local fe80::1%lo", &[]),
        ("fe80::/10", &[5]),
        ("local [fe80::1]%eth0:5353", &[5]),
        ("local [fe80::]/64:5353", &[5]),
        ("local 127.0.0.53%lo:53", &[]),
        ("10.9.9.9.443", &[4]),
        ("to https://ann@10.9.9.9/path", &[4]),
        ("fe80::1.5353", &[5]),
        ("on 10.1.2.3", &[0, 4]),
        ("on 127.0.0.1", &[0, 1, 3]),
        ("on 127.0.0.1:80 listening", &[0]),
        ("loopback", &[1, 2, 3]),
        ("exposed", &[0, 5]),
        ("ipv6", &[0, 5]),
        ("interface eth0", &[5]),
        ("dev 2", &[5]),
        ("user www-data", &[0, 1]),
        ("user 0", &[2, 5]),
        ("not user root", &[0, 1, 3, 4]),
        ("process nginx", &[0, 1]),
        ("process n*x", &[0, 1]),
        ("process systemd-resolved", &[2, 5]),
        ("process \"curl\"", &[4]),
        ("pid 812,4000", &[0, 1, 4]),
        ("unit nginx", &[0, 1]),
        ("unit nginx.service", &[0, 1]),
        ("owned tcp", &[0, 1, 4]),
        ("ownerless", &[3]),
        ("in host role server", &[1, 3]),
        ("in other", &[]),
        ("state established", &[1, 4]),
        ("state TIME_WAIT,listen", &[0, 3]),
        ("state connected", &[1, 3, 4]),
        ("state bucket", &[3]),
        ("tcp state big", &[0, 1, 4]),
        ("connected exclude time-wait", &[1, 4]),
        ("time-wait", &[3]),
        ("service http", &[0, 1, 3]),
        ("service https", &[4]),
        ("older than 1m", &[4]),
        ("younger 1h30m", &[4]),
        ("older than 90s", &[]),
        ("queued", &[4]),
        ("udp or port 443", &[2, 4, 5]),
        ("tcp port 80 or udp port 53", &[0, 1, 2, 3]),
        ("tcp ( port 443 or listening )", &[0, 4]),
        ("tcp and (port 443|listening)", &[0, 4]),
        ("not tcp listening", &[2, 5]),
        ("not (tcp listening)", &[1, 2, 3, 4, 5]),
        ("not not tcp", &[0, 1, 3, 4]),
        ("! udp && ! port 443", &[0, 1, 3]),
        ("port intranet", &[]),
    ];
    for (text, expected) in table {
        let text = if *text == "https" { "port https" } else { text };
        assert_eq!(taken(text), *expected, "{text}");
    }
}

#[test]
fn what_is_wrong_with_selectors() {
    let table = [
        ("litening", "\"litening\": no such word (write listening)"),
        ("tcp prot 80", "\"prot\", word 2 of \"tcp prot 80\": no such word (write port)"),
        ("tcp (estab", "\"(\", word 2 of \"tcp (estab\": the parenthesis stays open (write a ) behind)"),
        (
            "xyzzy",
            "\"xyzzy\": no such word (write words like tcp, listening, port 443, user NAME; docs/selectors.md has all)",
        ),
        ("https", "\"https\": the name of a service stands behind a word (write port https)"),
        (
            "port",
            "\"port\": something must follow (write port 443, port 80,443, port 8000-8999 or port https)",
        ),
        (
            "port and tcp",
            "\"port\", word 1 of \"port and tcp\": something must follow (write port 443, port 80,443, port 8000-8999 or port https)",
        ),
        ("port 080", "\"080\", word 2 of \"port 080\": a port has no leading zeros (write 80)"),
        (
            "port 80,,443",
            "\"80,,443\", word 2 of \"port 80,,443\": a port is missing beside a comma (write a list like 80,443,8000-8999)",
        ),
        ("port 90-80", "\"90-80\", word 2 of \"port 90-80\": a range runs upwards (write 80-90)"),
        ("port htpt", "\"htpt\", word 2 of \"port htpt\": no service has this name (write its port number)"),
        (
            "port > 80-90",
            "\"80-90\", word 3 of \"port > 80-90\": only one port can be compared with (write one, 1024 say)",
        ),
        (
            "port 80/quic",
            "\"80/quic\", word 2 of \"port 80/quic\": \"/quic\": no such protocol (write 80/tcp)",
        ),
        (
            "state establishd",
            "\"establishd\", word 2 of \"state establishd\": no such state (write established)",
        ),
        (
            "state estab,fin-wait",
            "\"estab,fin-wait\", word 2 of \"state estab,fin-wait\": \"fin-wait\": no such state (write fin-wait-1)",
        ),
        (
            "role master",
            "\"master\", word 2 of \"role master\": no such role (write listener, server, client or bound)",
        ),
        (
            "to 10.0.0",
            "\"10.0.0\", word 2 of \"to 10.0.0\": not an address (write 10.0.0.1, 10.0.0.0/8, fd00::1 or fd00::/8)",
        ),
        (
            "to 10.0.0.0/33",
            "\"10.0.0.0/33\", word 2 of \"to 10.0.0.0/33\": \"/33\": not a prefix length (write /0 to /32)",
        ),
        (
            "to 10.0.0.1:",
            "\"10.0.0.1:\", word 2 of \"to 10.0.0.1:\": a port is missing behind the colon (write 192.0.2.1:443, [2001:db8::1]:443 or [fe80::1%eth0]:22)",
        ),
        (
            "to [::1]443",
            "\"[::1]443\", word 2 of \"to [::1]443\": \"443\": only a port follows the bracket (write [::1]:443)",
        ),
        (
            "pid nginx",
            "\"nginx\", word 2 of \"pid nginx\": not the number of a process (write pid 812, or process and its name)",
        ),
        ("older than 5", "\"5\", word 3 of \"older than 5\": a time needs its unit (write 5s or 5m)"),
        (
            "older than 5y",
            "\"5y\", word 3 of \"older than 5y\": not a time (write 500ms, 30s, 5m, 2h, 1d or 1h30m)",
        ),
        (
            "older than 99999999999999999999d",
            "\"99999999999999999999d\", word 3 of \"older than 99999999999999999999d\": not a time (write 500ms, 30s, 5m, 2h, 1d or 1h30m)",
        ),
        (
            "tcp or",
            "\"or\", word 2 of \"tcp or\": a condition is missing beside it (write tcp or udp, not loopback)",
        ),
        (
            "or tcp",
            "\"or\", word 1 of \"or tcp\": a condition is missing beside it (write tcp or udp, not loopback)",
        ),
        (
            "tcp not",
            "\"not\", word 2 of \"tcp not\": a condition is missing beside it (write tcp or udp, not loopback)",
        ),
        (
            "tcp and or udp",
            "\"and\", word 2 of \"tcp and or udp\": a condition is missing beside it (write tcp or udp, not loopback)",
        ),
        (
            "tcp )",
            "\")\", word 2 of \"tcp )\": no parenthesis is open here (write it without, or a ( before)",
        ),
        (
            "tcp ()",
            "\")\", word 2 of \"tcp ()\": nothing stands in the parentheses (write a condition there)",
        ),
        ("(", "\"(\": the parenthesis stays open (write a ) behind)"),
        (
            "process \"my app",
            "\"\\\"my app\", word 2 of \"process \\\"my app\": the quotation stays open (write a \" behind)",
        ),
        (
            "process \"\"",
            "\"\\\"\\\"\", word 2 of \"process \\\"\\\"\": a name is never empty (write process nginx)",
        ),
        (
            "= 80",
            "\"=\", word 1 of \"= 80\": no such word (write words like tcp, listening, port 443, user NAME; docs/selectors.md has all)",
        ),
    ];
    for (text, message) in table {
        match Selector::parse(text, &local) {
            Ok(_) => panic!("{text:?} was read"),
            Err(error) => assert_eq!(error.to_string(), message, "{text:?}"),
        }
    }
    let deep = "(".repeat(100_000);
    let error = Selector::parse(&deep, &local).unwrap_err();
    assert_eq!(error.word(), 1);
    let nots = "not ".repeat(100_001) + "tcp";
    assert_eq!(taken(&nots), [2, 5]);
}

#[test]
fn what_a_kernel_may_filter() {
    let narrow = |text: &str| parse(text).narrow();
    assert!(narrow("").is_everything() && narrow("user root").is_everything());
    let listening_tcp = narrow("tcp state listening local port 80,443");
    assert!(listening_tcp.transports.iter().eq([Transport::Tcp]));
    assert!(listening_tcp.states.iter().eq([State::Listen]));
    assert_eq!(listening_tcp.local_ports.to_string(), "80,443");
    let either = narrow("tcp sport 80 or udp sport 53 user root");
    assert!(either.transports.iter().eq([Transport::Tcp, Transport::Udp]));
    assert_eq!(either.local_ports.to_string(), "53,80");
    assert!(narrow("port 80").local_ports.is_all(), "it may be the remote one");
    assert_eq!(
        narrow("not (sport 80 or sport 443) sport < 1000").local_ports.to_string(),
        "0-79,81-442,444-999"
    );
    assert!(narrow("not (udp user root)").is_everything());
    assert!(narrow("not udp not user root").transports.complement().iter().eq([Transport::Udp]));
    assert!(narrow("exposed").states.iter().eq([State::Listen, State::Bound]));
    assert_eq!(narrow("on 127.0.0.1:80").local_ports.to_string(), "80");
    assert!(parse("tcp owned").asks_owners() && !parse("tcp listening").asks_owners());
    assert!(parse("not in host").asks_networks() && !parse("tcp").asks_networks());
}

#[test]
fn every_word_of_the_table_is_read_and_its_example_is_one() {
    for word in words::JOINING.iter().chain(words::CONDITIONS.iter().flat_map(|(_, words)| words.iter())) {
        parse(word.example);
        assert!(
            word.forms.iter().any(|form| {
                let first = form.split(' ').next().unwrap();
                word.example.split(' ').any(|it| it == first)
            }),
            "{word:?} is not in its example"
        );
    }
    for (_, group) in words::CONDITIONS {
        for word in *group {
            for form in word.forms {
                // A comparison stands behind a word for a port.
                let begins =
                    form.starts_with(|c: char| c.is_ascii_alphabetic()) && !["above", "below"].contains(form);
                let text = match word.value.split([',', '|', '[']).next().unwrap() {
                    "" if word.value.is_empty() => form.to_string(),
                    "" => std::format!("{form} 5m"),
                    "NAME" if word.forms.contains(&"state") || word.forms.contains(&"exclude") => {
                        std::format!("{form} listen")
                    }
                    "NAME" if word.forms == ["service"] => std::format!("{form} http"),
                    "ADDRESS" => std::format!("{form} 10.0.0.1:80"),
                    "listener" => std::format!("{form} listener"),
                    _ => std::format!("{form} 80"),
                };
                parse(&if begins { text } else { std::format!("port {text}") });
            }
        }
    }
}

#[test]
fn words_that_were_perhaps_meant() {
    for word in words::all().filter(|word| word.len() > 4) {
        let missing_one: String =
            word.chars().enumerate().filter(|&(at, _)| at != 2).map(|(_, c)| c).collect();
        let meant = nearest(&missing_one, words::all());
        assert!(meant.is_some(), "{missing_one}");
    }
    assert_eq!(nearest("lsitening", words::all()), Some("listening"));
    assert_eq!(nearest("conatiner", words::all()), Some("container"));
    assert_eq!(nearest("", words::all()), None);
    assert_eq!(nearest(&"a".repeat(10_000), words::all()), None);
    assert!(Selector::parse("tcp", &no_services).is_ok());
}

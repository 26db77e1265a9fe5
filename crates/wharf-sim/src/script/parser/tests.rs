use super::super::packet::{Body, TcpOption, flag};
use super::super::syntax::{Quote, Rest, Tos};
use super::*;

fn event(text: &str) -> Event {
    let script = parse(text, IpVersion::V4).unwrap_or_else(|error| panic!("{text}: {error}"));
    script.events.into_iter().next().unwrap()
}

fn inbound(text: &str) -> super::super::syntax::PacketLine {
    match event(&format!("0 < {text}")).action {
        Action::Inbound(line) => line,
        other => panic!("{other:?}"),
    }
}

fn error_of(text: &str) -> String {
    parse(text, IpVersion::V4).unwrap_err().to_string()
}

#[test]
fn times_of_every_kind() {
    let packet = "> . 1:1(0) ack 1";
    for (text, when) in [
        ("0", When::Absolute(0)),
        ("0.25", When::Absolute(250_000)),
        ("+.1", When::Relative(100_000)),
        ("+2", When::Relative(2_000_000)),
        ("*", When::Any),
        ("1~2.5", When::AbsoluteRange(1_000_000, 2_500_000)),
        ("+.05~+.070001", When::RelativeRange(50_000, 70_001)),
    ] {
        assert_eq!(event(&format!("{text} {packet}")).when, when, "{text}");
    }
}

#[test]
fn a_segment_with_everything() {
    let line = inbound(
        "[ect0] 1000 > 80 FP. 1:6(5) ack 7 win 8 urg 9 <mss 1460,sackOK,nop,wscale 7,TS val 1 ecr 2> \"hello\"",
    );
    let Body::Tcp(segment) = &line.packet.body else { panic!() };
    assert_eq!(segment.flags, flag::FIN | flag::PSH | flag::ACK);
    assert_eq!((segment.seq, segment.ack, segment.window, segment.urgent), (1, 7, 8, 9));
    assert_eq!((line.tos, line.ports), (Tos::Ecn(2), Some((1000, 80))));
    assert_eq!(segment.payload.bytes, b"hello");
    let options = [
        TcpOption::Mss(1460),
        TcpOption::SackPermitted,
        TcpOption::Nop,
        TcpOption::WindowScale(7),
        TcpOption::Timestamps(1, 2),
    ];
    assert_eq!(segment.options, options);
}

#[test]
fn flags_stand_together() {
    let flags = |text: &str| match inbound(&format!("{text} 0:0(0)")).packet.body {
        Body::Tcp(segment) => segment.flags,
        other => panic!("{other:?}"),
    };
    assert_eq!(flags("-"), 0);
    assert_eq!(flags("SEW"), flag::SYN | flag::ECE | flag::CWR);
    assert_eq!(flags("SEWA"), flag::SYN | flag::ECE | flag::CWR | flag::AE);
    assert_eq!(flags("R."), flag::RST | flag::ACK);
    assert_eq!(flags("P.5"), flag::PSH | flag::ACK | flag::AE | flag::ECE);
}

#[test]
fn sack_blocks_and_raw_options() {
    let line = inbound(". 1:1(0) ack 1 win 9 <nop,nop,sack 1001:2001 3001:4001>");
    let blocks = TcpOption::Sack(vec![(1001, 2001), (3001, 4001)]);
    assert_eq!(line.packet.segment().unwrap().options[2], blocks);
    let line = inbound("S 0:0(0) win 9 <hex 0300ff,FO,FO a1b2>");
    let options = [
        TcpOption::Raw(vec![3, 0, 255]),
        TcpOption::FastOpen(Vec::new()),
        TcpOption::FastOpen(vec![0xa1, 0xb2]),
    ];
    assert_eq!(line.packet.segment().unwrap().options, options);
}

#[test]
fn a_data_offset_that_lies_reaches_the_wire() {
    let mut packet = inbound("P. 1:3(2) ack 1 win 9 offset 4 \"no\"").packet;
    (packet.source, packet.destination) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    assert_eq!(super::super::packet::emit(&packet)[32] >> 4, 4);
    assert!(error_of("0 > . 1:1(0) ack 1 offset 4").contains("`offset`"));
}

#[test]
fn icmp_and_udp() {
    let line = inbound("icmp unreachable frag_needed mtu 1200 [1:1001(1000)]");
    let Body::Icmp(icmp) = &line.packet.body else { panic!() };
    assert_eq!((icmp.kind, icmp.code, icmp.word), (3, 4, 1200));
    assert_eq!(line.quote, Some(Quote::Tcp { seq: 1, length: 1000 }));
    let line = inbound("icmp type_11 code_1 [udp (8)]");
    let Body::Icmp(icmp) = &line.packet.body else { panic!() };
    assert_eq!((icmp.kind, icmp.code, line.quote), (11, 1, Some(Quote::Udp { length: 8 })));
    let line = inbound("udp 53 > 1000 (4) \"abcd\"");
    let Body::Udp(datagram) = &line.packet.body else { panic!() };
    assert_eq!((line.ports, &datagram.payload.bytes[..]), (Some((53, 1000)), &b"abcd"[..]));
}

#[test]
fn names_of_icmp_depend_on_the_version() {
    let text = "0 < icmp packet_too_big mtu 1280 [1:1(0)]";
    assert!(parse(text, IpVersion::V4).is_err());
    assert!(parse(text, IpVersion::V6).is_ok());
    assert!(parse(&format!("--ip_version=ipv6\n{text}"), IpVersion::V4).is_ok());
}

#[test]
fn calls_and_their_results() {
    let Action::Call(line) = event("+0...0.2 read(4, \"ab\"..., 10) = -1 EAGAIN (Try again)").action else {
        panic!()
    };
    assert_eq!(
        (line.ends, line.name.as_str(), line.errno.as_deref()),
        (Some(200_000), "read", Some("EAGAIN"))
    );
    assert_eq!(line.arguments[1], Expression::Text(b"ab".to_vec(), Rest::Anything));
    assert_eq!(line.result, Expression::Number(-1));
    let Action::Call(line) = event("0 poll([{fd=4, events=POLLIN|POLLOUT, revents=0}], 1, 0) = 0").action
    else {
        panic!()
    };
    assert_eq!(line.arguments[0].to_string(), "[{fd=4, events=POLLIN|POLLOUT, revents=0}]");
    let text = "0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 5}], msg_flags=MSG_TRUNC}, 0) = 5";
    let Action::Call(line) = event(text).action else { panic!() };
    assert_eq!(line.arguments[1].field("msg_name"), Some(&Expression::Any));
    let text = "0 bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr(\"192.0.2.1\")}, ...) = 0";
    let Action::Call(line) = event(text).action else { panic!() };
    assert_eq!(line.arguments[1].field("sin_port"), Some(&Expression::Number(80)));
}

#[test]
fn options_definitions_commands_and_code() {
    let text = "--tolerance_usecs=9 --define=CC=\"reno\"\n`true`\n0 f(CC) = 0\n+0 `sysctl x`\n\
                +0 %{ assert x == 1 }%\n`end`";
    let script = parse(text, IpVersion::V4).unwrap();
    assert_eq!(script.options[0], ("tolerance_usecs".to_owned(), Some("9".to_owned())));
    assert_eq!((script.setup.len(), script.cleanup.len(), script.events.len()), (1, 1, 3));
    let Action::Call(line) = &script.events[0].action else { panic!() };
    assert_eq!(line.arguments[0], Expression::Text(b"reno".to_vec(), Rest::Nothing));
}

#[test]
fn comments_that_count() {
    let script = parse("// kernel: no, because it differs\n/* stack: no */ 0 `x`", IpVersion::V4).unwrap();
    assert_eq!(script.not_for_kernel.as_deref(), Some("because it differs"));
    assert_eq!(script.not_for_stack, None);
}

#[test]
fn errors_say_where_and_what() {
    assert_eq!(error_of("0 < S 0:1(0) win 5"), "1:9: 0 and 0 bytes do not end at 1");
    assert_eq!(error_of("\n+0 ? x"), "2:4: expected `<`, `>`, a system call, a command or code, found `?`");
    assert_eq!(
        error_of("* < S 0:0(0)"),
        "1:1: only a packet that comes out can have any time or a range of times"
    );
    for wrong in [
        "0 read(4",
        "0 < X 0:0(0)",
        "0 < S 0:0(0) win 65536",
        "0 < S 0:0(0) <mss>",
        "0 < S 0:0(0) <...>",
        "0 > S 0:0(0) <hex 123>",
        "0 < icmp nonsense",
        "0 \"text",
        "0 `command",
        "/* never",
        "2~1 > . 1:1(0)",
        "0 < P. 1:3(2) \"abc\"",
    ] {
        assert!(parse(wrong, IpVersion::V4).is_err(), "{wrong}");
    }
}

use std::string::ToString;
use std::vec;
use std::vec::Vec;

use wharf_table::Addr;

use super::*;
use crate::Malformed;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn query(kind: RecordType, udp_payload_len: Option<u16>) -> Vec<u8> {
    let query = QueryRepr { id: 0x1234, name: name("Example.org"), kind, udp_payload_len };
    let mut message = vec![0xee; query.len()];
    query.emit(&mut message);
    message
}

/// The message of RFC 1035, section 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92.
fn names_of_rfc_1035() -> Vec<u8> {
    let mut message = vec![0; 93];
    message[20..32].copy_from_slice(b"\x01F\x03ISI\x04ARPA\0");
    message[40..46].copy_from_slice(b"\x03FOO\xc0\x14");
    message[64..66].copy_from_slice(b"\xc0\x1a");
    message
}

#[test]
fn compressed_names_are_read_as_in_rfc_1035() {
    let message = names_of_rfc_1035();
    for (at, text, end) in
        [(20, "F.ISI.ARPA", 32), (40, "FOO.F.ISI.ARPA", 46), (64, "ARPA", 66), (92, ".", 93)]
    {
        let (parsed, stop) = NameRef::parse(&message, at).unwrap();
        assert_eq!((parsed.to_string().as_str(), stop), (text, end));
        assert_eq!(parsed, name(&text.to_lowercase()), "case does not count");
        assert_eq!(parsed.to_name().wire().len(), if text == "." { 1 } else { text.len() + 2 });
    }
}

#[test]
fn names_that_loop_or_run_out_are_malformed() {
    for (bytes, at) in [
        (&b"\xc0\x00"[..], 0),
        (b"\x01a\xc0\x00", 0),
        (b"\x01a\xc0\x02", 0),
        (b"\xc0\x02\xc0\x00", 0),
        (b"\xc0\x02\xc0\x00", 2),
        (b"\x01a\xc0\x04\x00", 0),
        (b"\x01a", 0),
        (b"\x02a\0", 0),
        (b"\xc0", 0),
        (b"\x41a\0", 0),
        (b"\x80\0", 0),
        (b"", 0),
        (b"\0", 1),
    ] {
        assert_eq!(NameRef::parse(bytes, at).err(), Some(Malformed::Name), "{bytes:?} at {at}");
    }
    // 255 bytes are a name, 256 are none, compressed or not.
    let labels = |count: usize, last: usize| {
        let mut wire = [&[63][..], &[b'x'; 63]].concat().repeat(count);
        wire.push(last as u8);
        wire.extend(vec![b'y'; last]);
        wire.push(0);
        wire
    };
    assert!(NameRef::parse(&labels(3, 61), 0).is_ok());
    assert!(NameRef::parse(&labels(3, 62), 0).is_err());
    let mut compressed = labels(3, 60);
    let at = compressed.len();
    compressed.extend(b"\x01z\xc0\x00");
    assert!(NameRef::parse(&compressed, at).is_err());
}

#[test]
fn names_are_written_as_they_are_read() {
    for text in ["example.org", "a", ".", "_dmarc.x-y.example", r"dot\.ted.example", r"nul\000.\200\\"] {
        assert_eq!(name(text).to_string(), text);
        if text != "." {
            let absolute = [text, "."].concat();
            assert_eq!(name(&absolute), name(text));
        }
    }
    let long = ["x".repeat(64), ["a."; 127].concat() + "b", "y".repeat(63)];
    for text in ["", "..", "a..b", ".a", r"a\", r"a\25", r"a\256", &long[0], &long[1]] {
        assert_eq!(text.parse::<Name>(), Err(Malformed::Name), "{text:?}");
    }
    assert!(long[2].parse::<Name>().is_ok());
}

#[test]
fn names_know_their_zones() {
    assert!(name("www.Example.org").is_in(&name("example.ORG")));
    assert!(name("example.org").is_in(&name("example.org")));
    assert!(name("example.org").is_in(&Name::root()));
    assert!(!name("example.org").is_in(&name("www.example.org")));
    assert!(!name("badexample.org").is_in(&name("example.org")));
    assert!(name("b.example") > name("A.example") && name("B.example") > name("a.example"));
}

#[test]
fn addresses_have_reverse_names() {
    let v4 = Addr::v4([192, 0, 2, 17]);
    assert_eq!(Name::reverse(v4).to_string(), "17.2.0.192.in-addr.arpa");
    // RFC 3596, section 2.5.
    let v6: core::net::Ipv6Addr = "4321:0:1:2:3:4:567:89ab".parse().unwrap();
    let text = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa";
    assert_eq!(Name::reverse(v6.into()).to_string(), text);
    for addr in [v4, v6.into()] {
        assert_eq!(Name::reverse(addr).reverse_addr(), Some(addr));
    }
    assert_eq!(name(&text.to_uppercase()).reverse_addr(), Some(v6.into()));
    for text in
        ["2.0.192.in-addr.arpa", "256.2.0.192.in-addr.arpa", "1.2.0.192.in-addr.org", "a.ip6.arpa", "arpa"]
    {
        assert_eq!(name(text).reverse_addr(), None, "{text}");
    }
}

#[test]
fn a_query_is_read_as_it_was_written() {
    let message = query(RecordType::AAAA, Some(4096));
    let parsed = Message::parse(&message).unwrap();
    assert_eq!(
        (parsed.header().id, parsed.header().response, parsed.header().recursion_desired),
        (0x1234, false, true)
    );
    let question = parsed.question().unwrap();
    assert_eq!(question.name, name("EXAMPLE.org"));
    assert_eq!((question.kind, question.class), (RecordType::AAAA, RecordClass::IN));
    let edns = Edns { udp_payload_len: 4096, extended_rcode: 0, version: 0, dnssec_ok: false };
    assert_eq!(parsed.edns(), Some(edns));
    assert_eq!(parsed.udp_limit(), 4096);
    assert_eq!(Message::parse(&query(RecordType::A, None)).unwrap().udp_limit(), 512);
    assert_eq!(Message::parse(&query(RecordType::A, Some(100))).unwrap().udp_limit(), 512);
}

#[test]
fn answers_are_read_as_they_were_written() {
    let message = query(RecordType::ANY, Some(1232));
    let mut response = ResponseRepr::to(&Message::parse(&message).unwrap(), Rcode::NO_ERROR);
    let (v4, v6) = (Addr::v4([192, 0, 2, 1]), Addr::v6([0x20; 16]));
    response.push(60, AnswerData::Cname(name("www.example.net")));
    response.answers.push(Answer {
        name: Some(name("www.example.net")),
        ttl_s: 5,
        data: AnswerData::Addr(v4),
    });
    response.push(0, AnswerData::Addr(v6));
    response.push(7, AnswerData::Ptr(name("ptr.example")));
    let mut buf = [0xee; 512];
    let len = response.emit(&mut buf);
    let parsed = Message::parse(&buf[..len]).unwrap();
    assert!(parsed.header().response && parsed.header().recursion_available && !parsed.header().truncated);
    assert_eq!(parsed.header().id, 0x1234);
    assert_eq!(
        parsed.question().unwrap().name.to_string(),
        "Example.org",
        "the case of the question is kept"
    );
    let answers: Vec<Record<'_>> = parsed.answers().collect();
    assert_eq!(answers.iter().map(|answer| answer.ttl_s).collect::<Vec<_>>(), [60, 5, 0, 7]);
    assert!(answers[0].name == name("example.org") && answers[1].name == name("www.example.net"));
    assert!(matches!(answers[0].data, RecordData::Cname(to) if to == name("www.example.net")));
    assert_eq!((answers[1].data, answers[2].data), (RecordData::A(v4), RecordData::Aaaa(v6)));
    assert!(matches!(answers[3].data, RecordData::Ptr(to) if to == name("ptr.example")));
    assert_eq!((parsed.records().count(), parsed.udp_limit()), (5, 1232), "with the OPT record");
}

#[test]
fn what_does_not_fit_is_truncated_whole() {
    let message = query(RecordType::A, Some(1232));
    let mut response = ResponseRepr::to(&Message::parse(&message).unwrap(), Rcode::NO_ERROR);
    let one = |i: u8| AnswerData::Addr(Addr::v4([192, 0, 2, i]));
    // 12 of header, 17 of question, 11 of OPT, 16 for each answer: 29 fit into 512 bytes.
    (0..29).for_each(|i| response.push(60, one(i)));
    let mut buf = [0; 600];
    assert_eq!(response.emit(&mut buf[..512]), 40 + 29 * 16);
    assert!(!Message::parse(&buf).unwrap().header().truncated);
    response.push(60, one(29));
    let len = response.emit(&mut buf[..512]);
    let parsed = Message::parse(&buf[..len]).unwrap();
    assert!(parsed.header().truncated);
    assert_eq!((len, parsed.answers().count(), parsed.edns().is_some()), (40, 0, true));
    assert_eq!(response.emit(&mut buf), 40 + 30 * 16, "over TCP it fits");
}

#[test]
fn failures_are_said_without_answers() {
    let message = query(RecordType::A, None);
    let parsed = Message::parse(&message).unwrap();
    for rcode in [Rcode::NAME_ERROR, Rcode::SERVER_FAILURE, Rcode::REFUSED] {
        let mut buf = [0; 512];
        let len = ResponseRepr::to(&parsed, rcode).emit(&mut buf);
        let response = Message::parse(&buf[..len]).unwrap();
        assert_eq!((response.header().rcode, len), (rcode, message.len()));
        assert_eq!(response.question(), parsed.question());
        assert_eq!((response.records().count(), response.edns()), (0, None));
    }
    let mut buf = [0; 512];
    let len = ResponseRepr::to_header(parsed.header(), Rcode::FORMAT_ERROR).emit(&mut buf);
    assert_eq!(buf[..len], [0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn malformed_messages_are_refused_whole() {
    let whole = query(RecordType::A, Some(1232));
    for len in 0..whole.len() {
        assert!(Message::parse(&whole[..len]).is_err(), "{len} bytes");
    }
    let mut twice = whole.clone();
    twice[11] = 2;
    twice.extend_from_slice(&whole[whole.len() - 11..]);
    assert_eq!(Message::parse(&twice).err(), Some(Malformed::Option), "two OPT records");
    let mut short_address = query(RecordType::A, None);
    short_address[7] = 1;
    short_address.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    assert_eq!(Message::parse(&short_address).err(), Some(Malformed::Length));
}

//! DNS against simple-dns.

use proptest::prelude::*;
use simple_dns::rdata::{A, AAAA, CNAME, OPT, PTR, RData, TXT};
use simple_dns::{CLASS, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};
use wharf_table::Addr;
use wharf_wire::dns::{
    AnswerData, Message, Name, NameRef, QueryRepr, Rcode, RecordData, RecordType, ResponseRepr, Section,
};

fn host_name() -> impl Strategy<Value = String> {
    "[a-zA-Z]([a-z0-9-]{0,20}[a-z0-9])?(\\._?[a-z][a-z0-9]{0,9}){0,6}"
}

#[derive(Clone, Debug)]
enum Data {
    V4([u8; 4]),
    V6([u8; 16]),
    Cname(String),
    Ptr(String),
    Txt,
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(Data::V4),
        any::<[u8; 16]>().prop_map(Data::V6),
        host_name().prop_map(Data::Cname),
        host_name().prop_map(Data::Ptr),
        Just(Data::Txt),
    ]
}

/// A response as simple-dns writes it, names compressed.
fn their_response(id: u16, name: &str, answers: &[(String, u32, Data)], udp_payload_len: u16) -> Vec<u8> {
    let their_name =
        |text: &str| simple_dns::Name::new(text).expect("simple-dns takes host names").into_owned();
    let mut packet = Packet::new_reply(id);
    packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
    *packet.rcode_mut() = RCODE::NoError;
    packet.questions.push(Question::new(
        their_name(name),
        QTYPE::TYPE(TYPE::A),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    for (owner, ttl_s, data) in answers {
        let data = match data {
            Data::V4(octets) => RData::A(A { address: u32::from_be_bytes(*octets) }),
            Data::V6(octets) => RData::AAAA(AAAA { address: u128::from_be_bytes(*octets) }),
            Data::Cname(to) => RData::CNAME(CNAME(their_name(to))),
            Data::Ptr(to) => RData::PTR(PTR(their_name(to))),
            Data::Txt => RData::TXT(TXT::new().with_string("v=spf1 -all").expect("a short text")),
        };
        packet.answers.push(ResourceRecord::new(their_name(owner), CLASS::IN, *ttl_s, data));
    }
    *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: udp_payload_len, version: 0 });
    packet.build_bytes_vec_compressed().expect("simple-dns writes what it was given")
}

fn labels_of(name: &simple_dns::Name<'_>) -> Vec<Vec<u8>> {
    name.as_bytes().map(<[u8]>::to_vec).collect()
}

fn our_labels(name: NameRef<'_>) -> Vec<Vec<u8>> {
    name.labels().map(<[u8]>::to_vec).collect()
}

proptest! {
    #[test]
    fn responses_of_others_are_read(
        id: u16,
        name in host_name(),
        answers in prop::collection::vec((host_name(), 0..0x7fff_ffffu32, data()), 0..8),
        udp_payload_len in 512..=4096u16,
    ) {
        let bytes = their_response(id, &name, &answers, udp_payload_len);
        let message = Message::parse(&bytes).unwrap();
        prop_assert!(message.header().response && message.header().recursion_available);
        prop_assert_eq!((message.header().id, message.udp_limit()), (id, usize::from(udp_payload_len)));
        prop_assert_eq!(message.question().unwrap().name.to_string(), name);
        prop_assert_eq!(message.answers().count(), answers.len());
        for (record, (owner, ttl_s, data)) in message.answers().zip(&answers) {
            prop_assert_eq!((record.name.to_string(), record.ttl_s), (owner.clone(), *ttl_s));
            match (record.data, data) {
                (RecordData::A(addr), Data::V4(octets)) => prop_assert_eq!(addr, Addr::v4(*octets)),
                (RecordData::Aaaa(addr), Data::V6(octets)) => prop_assert_eq!(addr, Addr::v6(*octets)),
                (RecordData::Cname(to), Data::Cname(text)) | (RecordData::Ptr(to), Data::Ptr(text)) => {
                    prop_assert_eq!(to.to_string(), text.clone());
                    prop_assert_eq!(to, text.parse::<Name>().unwrap());
                }
                (RecordData::Other(bytes), Data::Txt) => prop_assert_eq!(bytes, &b"\x0bv=spf1 -all"[..]),
                other => panic!("{other:?}"),
            }
        }
        let additional: Vec<_> = message.records().filter(|record| record.section == Section::Additional).collect();
        prop_assert_eq!(additional.len(), 1);
    }

    /// Where both read a mutated message, they read the same.
    #[test]
    fn mutated_messages_are_read_alike(
        name in host_name(),
        answers in prop::collection::vec((host_name(), 0..9u32, data()), 1..5),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in 0..3usize,
    ) {
        let mut bytes = their_response(7, &name, &answers, 1232);
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut);
        let (Ok(ours), Ok(theirs)) = (Message::parse(&bytes), Packet::parse(&bytes)) else { return Ok(()) };
        prop_assert_eq!(ours.header().id, theirs.id());
        prop_assert_eq!(ours.header().truncated, theirs.has_flags(PacketFlag::TRUNCATION));
        prop_assert_eq!(ours.questions().count(), theirs.questions.len());
        for (ours, theirs) in ours.questions().zip(&theirs.questions) {
            prop_assert_eq!(our_labels(ours.name), labels_of(&theirs.qname));
        }
        let of = |section| ours.records().filter(move |record| record.section == section);
        prop_assert_eq!(of(Section::Answer).count(), theirs.answers.len());
        for (ours, theirs) in of(Section::Answer).zip(&theirs.answers) {
            prop_assert_eq!(our_labels(ours.name), labels_of(&theirs.name));
            match &theirs.rdata {
                RData::A(a) if ours.class.0 == 1 => {
                    prop_assert_eq!(ours.data, RecordData::A(Addr::v4(a.address.to_be_bytes())));
                }
                RData::AAAA(a) if ours.class.0 == 1 => {
                    prop_assert_eq!(ours.data, RecordData::Aaaa(Addr::v6(a.address.to_be_bytes())));
                }
                RData::CNAME(to) => {
                    let RecordData::Cname(ours) = ours.data else { panic!("{ours:?}") };
                    prop_assert_eq!(our_labels(ours), labels_of(&to.0));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn our_messages_are_read_by_others(
        id: u16,
        name in host_name(),
        udp_payload_len in prop::option::of(512..=4096u16),
        answers in prop::collection::vec((0..1000u32, data()), 0..40),
        rcode in 0..6u8,
    ) {
        let query = QueryRepr { id, name: name.parse().unwrap(), kind: RecordType::AAAA, udp_payload_len };
        let mut bytes = vec![0xee; query.len()];
        query.emit(&mut bytes);
        let theirs = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(theirs.id(), id);
        prop_assert!(theirs.has_flags(PacketFlag::RECURSION_DESIRED) && !theirs.has_flags(PacketFlag::RESPONSE));
        prop_assert_eq!(theirs.questions[0].qname.to_string(), name.clone());
        prop_assert_eq!(theirs.questions[0].qtype, QTYPE::TYPE(TYPE::AAAA));
        prop_assert_eq!(theirs.opt().map(|opt| opt.udp_packet_size), udp_payload_len);

        let mut response = ResponseRepr::to(&Message::parse(&bytes).unwrap(), Rcode(rcode));
        for (ttl_s, data) in &answers {
            let data = match data {
                Data::V4(octets) => AnswerData::Addr(Addr::v4(*octets)),
                Data::V6(octets) => AnswerData::Addr(Addr::v6(*octets)),
                Data::Cname(to) => AnswerData::Cname(to.parse().unwrap()),
                Data::Ptr(to) => AnswerData::Ptr(to.parse().unwrap()),
                Data::Txt => continue,
            };
            response.push(*ttl_s, data);
        }
        let mut buf = [0xee; 700];
        let len = response.emit(&mut buf);
        let theirs = Packet::parse(&buf[..len]).unwrap();
        prop_assert!(theirs.has_flags(PacketFlag::RESPONSE));
        prop_assert_eq!(theirs.rcode(), RCODE::from(u16::from(rcode)));
        prop_assert_eq!(theirs.opt().is_some(), udp_payload_len.is_some());
        if theirs.has_flags(PacketFlag::TRUNCATION) {
            prop_assert!(theirs.answers.is_empty());
            let mut large = vec![0; 65_535];
            prop_assert!(response.emit(&mut large) > 700, "it was truncated for a reason");
        } else {
            prop_assert_eq!(theirs.answers.len(), response.answers.len());
            for (theirs, ours) in theirs.answers.iter().zip(&response.answers) {
                prop_assert_eq!((theirs.name.to_string(), theirs.ttl), (name.clone(), ours.ttl_s));
                match (&theirs.rdata, &ours.data) {
                    (RData::A(a), AnswerData::Addr(addr)) => prop_assert_eq!(Addr::v4(a.address.to_be_bytes()), *addr),
                    (RData::AAAA(a), AnswerData::Addr(addr)) => prop_assert_eq!(Addr::v6(a.address.to_be_bytes()), *addr),
                    (RData::CNAME(to), AnswerData::Cname(name)) => prop_assert_eq!(to.0.to_string(), name.to_string()),
                    (RData::PTR(to), AnswerData::Ptr(name)) => prop_assert_eq!(to.0.to_string(), name.to_string()),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

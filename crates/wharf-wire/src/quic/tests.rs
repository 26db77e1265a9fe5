mod two_keys;

use super::*;
use crate::tls::Hello;
use std::string::{String, ToString};
use std::vec;

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The identifier of the examples, RFC 9001 and 9369, appendix A.
const DCID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
/// The CRYPTO frame of appendix A.2 of both.
const FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c0000041301130201\
0000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e0005000501000000\
00003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e04030503\
06030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08011001048000753009011\
00f088394c8f03e51570806048000ffff";

fn repr(version: Version, dcid: &[u8], number: u32) -> InitialRepr<'_> {
    InitialRepr { version, dcid, scid: &[], token: &[], number }
}

/// The body of a hello that asks for `name`, `len` bytes long with its padding.
fn hello_for(name: &str, len: usize) -> Vec<u8> {
    let name_len = name.len() as u16;
    let mut extensions = vec![0, 0];
    for more in [5, 3] {
        extensions.extend((name_len + more).to_be_bytes());
    }
    extensions.push(0);
    extensions.extend(name_len.to_be_bytes());
    extensions.extend_from_slice(name.as_bytes());
    let padding = len - (2 + 32 + 1 + 4 + 2 + 2) - extensions.len() - 4;
    extensions.extend([0, 21]);
    extensions.extend((padding as u16).to_be_bytes());
    extensions.resize(extensions.len() + padding, 0);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    assert_eq!(body.len(), len);
    body
}

/// The handshake message of [`hello_for`].
fn message(name: &str, len: usize) -> Vec<u8> {
    let body = hello_for(name, len);
    let [_, header @ ..] = (len as u32).to_be_bytes();
    [&[1], &header[..], &body].concat()
}

/// A datagram that shows `name` as a whole.
fn datagram(name: &str, dcid: &[u8], number: u32) -> Vec<u8> {
    repr(Version::V1, dcid, number).seal(dcid, &InitialRepr::crypto_frame(0, &message(name, 300)))
}

fn name(quic: Quic<'_>) -> String {
    match quic {
        Quic::Hello(Hello { server_name: Some(host), .. }) => host.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_keys_of_the_examples() {
    let v1 = keys::Secrets::of_client(Version::V1, &DCID);
    assert_eq!(v1.key.to_vec(), hex("1f369613dd76d5467730efcbe3b1a22d"));
    assert_eq!(v1.iv.to_vec(), hex("fa044b2f42a3fd3b46fb255c"));
    assert_eq!(v1.hp.to_vec(), hex("9f50449e04a0e810283a1e9933adedd2"));
    let v2 = keys::Secrets::of_client(Version::V2, &DCID);
    assert_eq!(v2.key.to_vec(), hex("8b1a0bc121284290a29e0971b5cd045d"));
    assert_eq!(v2.iv.to_vec(), hex("91f73e2351d8fa91660e909f"));
    assert_eq!(v2.hp.to_vec(), hex("45b95e15235d6f45a6b19cbcb0294ba9"));
}

/// Of the example packets stand here the first 32 bytes and the tag, which is that of all bytes before it.
#[test]
fn the_packets_of_the_examples() {
    let v1 = (
        "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
        "e221af44860018ab0856972e194cd934",
    );
    let v2 = (
        "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
        "a18b2faa745b6fe189cf772a9f84cbfc",
    );
    for (version, (front, tag)) in [(Version::V1, v1), (Version::V2, v2)] {
        let packet = repr(version, &DCID, 2).seal(&DCID, &hex(FRAME));
        assert_eq!(packet.len(), 1200);
        assert_eq!(packet[..32], hex(front));
        assert_eq!(packet[1184..], hex(tag));
        let mut reader = InitialReader::new();
        let Quic::Hello(hello) = reader.push(&packet) else { panic!("a hello") };
        assert_eq!(hello.server_name.unwrap().to_string(), "example.com");
        assert!(hello.alpn.protocols().eq([b"alpn"]));
    }
}

#[test]
fn a_hello_in_pieces_that_overtake_each_other() {
    let message = message("Pieces.example", 1800);
    let frame = |from: usize, to: usize| InitialRepr::crypto_frame(from as u16, &message[from..to]);
    let ack = [3, 0x40, 9, 0, 1, 1, 2, 2, 1, 1, 1];
    let second = [&frame(1000, 1804)[..], &[1, 0, 0]].concat();
    let first = [&ack[..], &frame(500, 1100), &frame(0, 3), &[0], &frame(3, 300)].concat();
    let mut reader = InitialReader::new();
    assert_eq!(reader.push(&repr(Version::V1, &DCID, 1).seal(&DCID, &second)), Quic::NeedMore);
    assert_eq!(reader.push(&repr(Version::V1, &DCID, 0).seal(&DCID, &first)), Quic::NeedMore);
    let third = repr(Version::V1, &DCID, 0x1_0000).seal(&DCID, &frame(250, 560));
    assert_eq!(name(reader.push(&third)), "pieces.example");
}

#[test]
fn other_bytes_for_the_same_place() {
    let mut reader = InitialReader::new();
    assert_eq!(name(reader.push(&datagram("good.test", &DCID, 0))), "good.test");
    // Late, as a retransmission, and by the identifier that the server gave.
    assert_eq!(reader.push(&datagram("evil.test", &DCID, 1)), Quic::Malformed(Malformed::Overlap));
    let frame = InitialRepr::crypto_frame(0, &message("evil.test", 300));
    let given = repr(Version::V1, &[9; 5], 2).seal(&DCID, &frame);
    assert_eq!(reader.push(&given), Quic::Malformed(Malformed::Overlap));
    assert_eq!(name(reader.push(&datagram("good.test", &DCID, 3))), "good.test");
}

#[test]
fn each_connection_of_a_flow_is_judged() {
    let mut reader = InitialReader::new();
    for round in 0..20_u8 {
        let first = [&[round][..], &DCID].concat();
        assert_eq!(name(reader.push(&datagram("good.test", &first, 0))), "good.test");
        let other = [&[round, 1][..], &DCID].concat();
        assert_eq!(name(reader.push(&datagram("evil.test", &other, 0))), "evil.test");
        assert_eq!(name(reader.push(&datagram("good.test", &first, 1))), "good.test");
    }
    // What was forgotten begins anew, and its rest is read by nobody.
    let first = [&[0][..], &DCID].concat();
    assert_eq!(name(reader.push(&datagram("other.test", &first, 0))), "other.test");
    let rest = repr(Version::V1, &[7; 8], 9).seal(&[&[1][..], &DCID].concat(), &[1]);
    assert_eq!(reader.push(&rest), Quic::Malformed(Malformed::Sealed));
}

#[test]
fn after_a_retry_the_keys_are_others() {
    let mut reader = InitialReader::new();
    assert_eq!(name(reader.push(&datagram("a.test", &DCID, 0))), "a.test");
    let given = [5; 4];
    let frame = InitialRepr::crypto_frame(0, &message("a.test", 300));
    let again =
        InitialRepr { token: b"token", scid: b"me", ..repr(Version::V1, &given, 1) }.seal(&given, &frame);
    assert_eq!(name(reader.push(&again)), "a.test");
}

#[test]
fn a_version_both_agreed_on() {
    let mut reader = InitialReader::new();
    assert_eq!(name(reader.push(&datagram("a.test", &DCID, 0))), "a.test");
    let other = repr(Version::V2, &[1; 8], 1).seal(&DCID, &[1]);
    assert_eq!(name(reader.push(&other)), "a.test");
    assert_eq!(reader.connections.len(), 1);
}

#[test]
fn more_connections_than_anyone_needs() {
    let mut reader = InitialReader::new();
    let half = InitialRepr::crypto_frame(0, &message("a.test", 300)[..100]);
    for at in 0..4 {
        let dcid = [at; 8];
        assert_eq!(reader.push(&repr(Version::V1, &dcid, 0).seal(&dcid, &half)), Quic::NeedMore);
    }
    let fifth = repr(Version::V1, &DCID, 0).seal(&DCID, &half);
    assert_eq!(reader.push(&fifth), Quic::Malformed(Malformed::Crowded));
}

#[test]
fn packets_in_one_datagram() {
    let initial = datagram("a.test", &DCID, 0);
    let handshake = [&[0xe0, 0, 0, 0, 1, 8][..], &DCID, &[0, 0x40, 100], &[1; 100]].concat();
    let zero_rtt = [&[0xd0, 0, 0, 0, 1, 8][..], &DCID, &[0, 0x40, 100], &[1; 100]].concat();
    let short = [&[0x40][..], &DCID, &[0; 60]].concat();
    let mut reader = InitialReader::new();
    assert_eq!(reader.push(&zero_rtt), Quic::NeedMore);
    assert_eq!(reader.push(&short), Quic::NotQuic);
    let whole = [&initial[..], &zero_rtt, &handshake, &short].concat();
    assert_eq!(name(reader.push(&whole)), "a.test");
    let whole = [&zero_rtt[..], &initial].concat();
    assert_eq!(name(reader.push(&whole)), "a.test");
    for later in [&zero_rtt, &handshake, &short] {
        assert_eq!(reader.push(later), Quic::Later);
    }
    let two = [initial.clone(), datagram("a.test", &[3; 8], 0)].concat();
    assert_eq!(reader.push(&two), Quic::Malformed(Malformed::Crowded));
    let two = [initial.clone(), repr(Version::V1, &[3; 8], 2).seal(&DCID, &[1])].concat();
    assert_eq!(reader.push(&two), Quic::Malformed(Malformed::Crowded));
}

#[test]
fn datagrams_that_a_server_drops() {
    let frame = InitialRepr::crypto_frame(0, &message("a.test", 300));
    let good = repr(Version::V1, &DCID, 0).seal(&DCID, &frame);
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let mut reader = InitialReader::new();
        let answer = reader.push(&changed);
        assert!(!matches!(answer, Quic::Hello(_)), "{at}: {answer:?}");
    }
    for cut in 0..good.len() {
        assert!(!matches!(InitialReader::new().push(&good[..cut]), Quic::Hello(_)), "{cut}");
    }
    let short = &good[..1199];
    let mut reader = InitialReader::new();
    assert_eq!(reader.push(short), Quic::Malformed(Malformed::Length));
}

#[test]
fn small_datagrams_hold_no_hello() {
    // As `seal` but with the length of what is there: the padding is cut off before sealing.
    let frames = InitialRepr::crypto_frame(0, &message("a.test", 300));
    let mut packet = vec![0xc3, 0, 0, 0, 1, 8];
    packet.extend(DCID);
    packet.extend([0, 0]);
    packet.extend((0x4000 | (4 + frames.len() + 16) as u16).to_be_bytes());
    packet.extend([0; 4]);
    let header_len = packet.len();
    packet.extend(frames);
    Keys::of_client(Version::V1, &DCID).seal(&mut packet, header_len, 0);
    let mut reader = InitialReader::new();
    assert_eq!(reader.push(&packet), Quic::Malformed(Malformed::TooShort));
    // The control: padded behind the packet, a server takes it.
    packet.resize(1200, 0);
    assert_eq!(name(reader.push(&packet)), "a.test");
}

#[test]
fn frames_that_must_not_be_there() {
    let read = |frames: &[u8]| {
        let mut reader = InitialReader::new();
        let answer = reader.push(&repr(Version::V1, &DCID, 0).seal(&DCID, frames));
        match answer {
            Quic::Malformed(why) => Err(why),
            _ => Ok(()),
        }
    };
    for kind in [4, 5, 7, 8, 0x0f, 0x10, 0x18, 0x1d, 0x1e, 0x30] {
        assert_eq!(read(&[kind, 0, 0, 0]), Err(Malformed::Frame), "{kind}");
    }
    assert_eq!(read(&[0x1c, 0, 6, 2, b'n', b'o']), Ok(()));
    assert_eq!(read(&[2, 0, 0, 0, 0]), Ok(()));
    assert_eq!(read(&[2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Err(Malformed::Length));
    assert_eq!(read(&[6, 0, 0x7f, 0xff, 1]), Err(Malformed::Length));
    assert_eq!(read(&[6, 0, 1, 2]), Err(Malformed::Operation));
    assert_eq!(read(&[6, 0, 4, 1, 1, 0, 0]), Err(Malformed::TooLong));
    assert_eq!(read(&[6, 0x80, 0, 0x40, 4, 1, 1]), Err(Malformed::TooLong));
    assert_eq!(read(&[6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1]), Err(Malformed::TooLong));
}

#[test]
fn what_is_not_quic() {
    for bytes in [
        &b""[..],
        b"\0",
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0",
        b"\x80\0\0",
        b"\xc0\0\0\0\0\0\0",
        b"\x90\x60\x12\x34\0\0",
    ] {
        assert_eq!(InitialReader::new().push(bytes), Quic::NotQuic, "{}", bytes.escape_ascii());
    }
    let with_version = |version: [u8; 4]| {
        let mut datagram = datagram("a.test", &DCID, 0);
        datagram[1..5].copy_from_slice(&version);
        datagram
    };
    let mut reader = InitialReader::new();
    assert_eq!(reader.push(&with_version([0xff, 0, 0, 29])), Quic::Unknown(0xff00_001d));
    assert_eq!(reader.push(&with_version([0x1a, 0x2a, 0x3a, 0x4a])), Quic::Unknown(0x1a2a_3a4a));
    assert_eq!(name(reader.push(&datagram("a.test", &DCID, 0))), "a.test");
    assert_eq!(reader.push(&with_version([0xff, 0, 0, 29])), Quic::Unknown(0xff00_001d));
    // Version Negotiation and Retry are for servers to send.
    assert_eq!(reader.push(&with_version([0; 4])), Quic::Malformed(Malformed::Operation));
    let mut retry = datagram("a.test", &DCID, 0);
    retry[0] = 0xf0;
    assert_eq!(reader.push(&retry), Quic::Malformed(Malformed::Operation));
}

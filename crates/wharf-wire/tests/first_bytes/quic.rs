//! What quinn sends first, and hellos in any number of pieces.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};
use wharf_wire::Malformed;
use wharf_wire::quic::{InitialReader, InitialRepr, Quic, Version};
use wharf_wire::shown::{Protocol, Shown};

use crate::samples::{config, hello, name};

/// The first datagrams of quinn to `server`.
fn datagrams(server: &str, alpn: &[&str]) -> Vec<Vec<u8>> {
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config(alpn)).unwrap()));
    let now = Instant::now();
    let (_, mut connection) =
        endpoint.connect(now, config, "192.0.2.1:443".parse().unwrap(), server).unwrap();
    let mut sent = Vec::new();
    let mut buf = Vec::new();
    while connection.poll_transmit(now, 1, &mut buf).is_some() {
        sent.push(std::mem::take(&mut buf));
    }
    sent
}

#[test]
fn quinn_in_one_datagram() {
    let sent = datagrams("Quinn.Example", &["h3"]);
    let mut reader = InitialReader::new();
    let Quic::Hello(hello) = reader.push(&sent[0]) else { panic!("a hello") };
    assert!(hello.alpn.protocols().eq([b"h3"]));
    let shown = Shown::from(reader.push(&sent[0]));
    assert!(matches!(shown, Shown::Name { protocol: Protocol::Quic, .. }));
    assert_eq!(name(&shown).unwrap(), "quinn.example");
}

#[test]
fn quinn_in_several_datagrams() {
    let many: Vec<String> = (0..220).map(|at| format!("protocol-{at:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let sent = datagrams("quinn.example", &many);
    assert!(sent.len() >= 3, "{}", sent.len());
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut reader = InitialReader::new();
        assert_eq!(reader.push(&sent[order[0]]), Quic::NeedMore);
        assert_eq!(reader.push(&sent[order[1]]), Quic::NeedMore);
        let Quic::Hello(hello) = reader.push(&sent[order[2]]) else { panic!("a hello") };
        assert!(hello.alpn.protocols().eq(many.iter().map(|name| name.as_bytes())));
        assert_eq!(name(&Shown::from(reader.push(&sent[0]))).unwrap(), "quinn.example");
    }
}

/// A cut of the message: where a frame begins, how long it is at most, and in which of the datagrams it goes.
type Piece = (usize, usize, usize);

proptest! {
    #[test]
    fn pieces_in_any_order(pieces in prop::collection::vec((0..3000_usize, 1..600_usize, 0..5_usize), 0..20), v2: bool,
        order in Just([0, 1, 2, 3, 4]).prop_shuffle()) {
        let protocols: Vec<String> = (0..80).map(|at| format!("protocol-{at:03}")).collect();
        let protocols: Vec<&str> = protocols.iter().map(String::as_str).collect();
        let message = hello("pieces.example", &protocols)[5..].to_vec();
        let version = if v2 { Version::V2 } else { Version::V1 };
        // Whatever the pieces leave out, in order at the end.
        let cover: Vec<Piece> = (0..message.len()).step_by(301).enumerate().map(|(at, from)| (from, 301, at % 5)).collect();
        let mut frames = vec![Vec::new(); 5];
        for (from, len, to) in [pieces, cover].concat() {
            let from = from % message.len();
            let data = &message[from..(from + len).min(message.len())];
            frames[to].extend(InitialRepr::crypto_frame(from as u16, data));
        }
        let mut reader = InitialReader::new();
        let mut last = Shown::NeedMore;
        for (number, at) in order.into_iter().enumerate() {
            let repr = InitialRepr { version, dcid: b"12345678", scid: b"abc", token: b"", number: number as u32 * 3 };
            let shown = Shown::from(reader.push(&repr.seal(b"12345678", &frames[at])));
            prop_assert!(last == Shown::NeedMore || last == shown);
            last = shown;
        }
        prop_assert_eq!(name(&last).unwrap(), "pieces.example");
    }

    #[test]
    fn changed_datagrams(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), first: bool) {
        let mut bytes = datagrams("quinn.example", &["h3"]).swap_remove(0);
        let mut reader = InitialReader::new();
        if first {
            reader.push(&bytes);
        }
        let original = bytes.clone();
        for (at, value) in changes {
            let at = if value % 2 == 0 { at.index(bytes.len()) } else { at.index(60) };
            bytes[at] = value;
        }
        let same = bytes == original;
        match reader.push(&bytes) {
            Quic::Hello(_) => prop_assert!(same),
            Quic::Malformed(why) => prop_assert!(why != Malformed::Overlap),
            _ => {}
        }
    }

    #[test]
    fn any_frames(frames in prop::collection::vec(prop_oneof![0..7u8, any::<u8>()], 0..300), more in prop::collection::vec(any::<u8>(), 0..60)) {
        let repr = InitialRepr { version: Version::V1, dcid: b"12345678", scid: b"", token: b"", number: 0 };
        let mut reader = InitialReader::new();
        reader.push(&repr.seal(b"12345678", &frames));
        reader.push(&[&[0xc0, 0, 0, 0, 1][..], &more].concat());
        reader.push(&more);
    }
}

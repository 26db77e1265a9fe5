//! In how many pieces bytes come makes no difference, nothing panics, and no name is shown that isn't there.

use proptest::prelude::*;
use wharf_wire::shown::{FirstBytes, Shown, first_bytes};

use crate::samples::{name, streams};

#[test]
fn two_pieces_are_as_good_as_one() {
    for (what, bytes) in streams() {
        let whole = first_bytes(&bytes);
        assert!(!matches!(whole, Shown::NeedMore | Shown::Malformed { .. }), "{what}: {whole:?}");
        for at in 0..=bytes.len() {
            let mut reader = FirstBytes::new();
            let front = reader.push(&bytes[..at]);
            // Once something is said, it stays.
            assert!(front == Shown::NeedMore || front == whole, "{what}, {at}: {front:?}");
            assert_eq!(reader.push(&bytes[at..]), whole, "{what}, {at}");
        }
    }
}

#[test]
fn byte_by_byte() {
    for (what, bytes) in streams() {
        let mut reader = FirstBytes::new();
        let shown: Vec<Shown> = bytes.iter().map(|byte| reader.push(&[*byte])).collect();
        assert_eq!(*shown.last().unwrap(), first_bytes(&bytes), "{what}");
        let first = shown.iter().position(|shown| *shown != Shown::NeedMore).unwrap();
        assert!(shown[first..].iter().all(|later| *later == shown[first]), "{what}");
        assert_eq!(first_bytes(&bytes[..=first]), shown[first], "{what}");
    }
}

/// One change of the bytes at a place.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let pieces = prop::sample::select(vec![
        b"\r\n".to_vec(),
        b"\n".to_vec(),
        b" ".to_vec(),
        b"\r".to_vec(),
        b"\nHost: evil.example\r\n".to_vec(),
        b" HTTP/1.1\r\nHost:evil.example\r\n\r\n".to_vec(),
        b"http://evil.example/".to_vec(),
        b"evil.example@".to_vec(),
        b"\0".to_vec(),
        b"\0\0\0\x0f\0\x0d\0\0\x0aevil.tests".to_vec(),
    ]);
    let value = prop_oneof![any::<u8>(), 0..4u8, Just(0xff), Just(b'\n'), Just(b' '), Just(b':')];
    prop_oneof![
        4 => (any::<prop::sample::Index>(), value).prop_map(|(at, value)| Change::Set(at, value)),
        2 => (any::<prop::sample::Index>(), pieces).prop_map(|(at, piece)| Change::Insert(at, piece)),
        1 => (any::<prop::sample::Index>(), 1..40_usize).prop_map(|(at, len)| Change::Remove(at, len)),
        1 => (any::<prop::sample::Index>(), 1..40_usize).prop_map(|(at, len)| Change::Double(at, len)),
    ]
}

pub(crate) fn apply(bytes: &mut Vec<u8>, change: Change) {
    match change {
        Change::Set(at, value) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        Change::Set(..) => {}
        Change::Insert(at, piece) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, piece);
        }
        Change::Remove(at, len) => {
            let at = at.index(bytes.len() + 1);
            bytes.drain(at..(at + len).min(bytes.len()));
        }
        Change::Double(at, len) => {
            let at = at.index(bytes.len() + 1);
            let twice = bytes[at..(at + len).min(bytes.len())].to_vec();
            bytes.splice(at..at, twice);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]
    #[test]
    fn changed_bytes(which in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..4),
        cuts: [prop::sample::Index; 3]) {
        thread_local!(static STREAMS: Vec<(String, Vec<u8>)> = streams());
        let (what, mut bytes) = STREAMS.with(|streams| which.get(streams).clone());
        changes.into_iter().for_each(|change| apply(&mut bytes, change));
        let whole = first_bytes(&bytes);
        if let Some(name) = name(&whole) && what != "hello in small records" {
            let text = bytes.to_ascii_lowercase();
            prop_assert!(text.windows(name.len()).any(|part| part == name.as_bytes()), "{name}");
        }
        let mut cuts = cuts.map(|cut| cut.index(bytes.len() + 1));
        cuts.sort();
        let mut reader = FirstBytes::new();
        for part in [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..cuts[2]]] {
            let shown = reader.push(part);
            prop_assert!(shown == Shown::NeedMore || shown == whole);
        }
        prop_assert_eq!(reader.push(&bytes[cuts[2]..]), whole);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(22), Just(3), 0..3u8], 0..200)) {
        first_bytes(&bytes);
        first_bytes(&[&[22, 3, 1, 0, 200, 1, 0, 0, 150, 3, 3][..], &bytes].concat());
        first_bytes(&[&b"GET / HTTP/1.1\r\nHost"[..], &bytes].concat());
    }
}

use std::format;
use std::vec::Vec;

use super::*;

/// A SYN with the options that Linux sends, in its order (MSS 1460, window scale 7), its checksum zero.
const LINUX_SYN: [u8; 40] = [
    0xb2, 0x3c, 0x01, 0xbb, 0x1d, 0x2c, 0x3b, 0x4a, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02, 0xfa, 0xf0, 0x00,
    0x00, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0x0d, 0xc1, 0x33, 0x7a, 0x00, 0x00,
    0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
];

fn syn() -> TcpRepr {
    TcpRepr {
        src_port: 45_628,
        dst_port: 443,
        seq: 0x1d2c_3b4a,
        ack: 0,
        flags: TcpFlags::SYN,
        window: 64_240,
        urgent: 0,
        options: TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some((0x0dc1_337a, 0)),
            ..TcpOptions::default()
        },
    }
}

fn emitted(repr: &TcpRepr) -> Vec<u8> {
    let mut header = std::vec![0xee; repr.header_len()];
    repr.emit(&mut header);
    header
}

fn sack(blocks: &[(u32, u32)]) -> SackBlocks {
    let mut sack = SackBlocks::EMPTY;
    assert!(blocks.iter().all(|&(left, right)| sack.push(left, right)));
    sack
}

/// The options of an ACK that carries `bytes` there.
fn options_of(bytes: &[u8], flags: TcpFlags) -> TcpOptions {
    let mut segment = emitted(&TcpRepr { options: TcpOptions::default(), flags, ..syn() });
    segment.extend_from_slice(bytes);
    segment.resize(20 + bytes.len().next_multiple_of(4), 0);
    segment[12] = (segment.len() as u8 / 4) << 4;
    TcpRepr::parse(&segment).unwrap().0.options
}

#[test]
fn the_words_of_a_usual_header_are_its_bytes() {
    assert_eq!(syn().usual(), None);
    let timestamps = Some((0x0102_0304, 0xf5f6_f7f8));
    let options = TcpOptions { timestamps, ..TcpOptions::default() };
    let repr =
        TcpRepr { ack: 0x8182_8384, urgent: 0x1415, flags: TcpFlags::ACK | TcpFlags::FIN, options, ..syn() };
    let words = repr.usual().expect("it has nothing but timestamps");
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(bytes, emitted(&repr));
}

#[test]
fn a_syn_of_linux_is_read_and_written() {
    assert_eq!(TcpRepr::parse(&LINUX_SYN).unwrap(), (syn(), &[][..]));
    assert_eq!(emitted(&syn()), LINUX_SYN);
}

#[test]
fn options_of_an_ack_stand_in_the_order_of_linux() {
    let options =
        TcpOptions { timestamps: Some((1, 2)), sack: sack(&[(0x10, 0x20)]), ..TcpOptions::default() };
    let ack = TcpRepr { flags: TcpFlags::ACK, options, ..syn() };
    let expected = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 10, 0, 0, 0, 0x10, 0, 0, 0, 0x20];
    let header = emitted(&ack);
    assert_eq!(header[20..], expected);
    assert_eq!(TcpRepr::parse(&header).unwrap().0, ack);
}

#[test]
fn sack_permitted_stands_alone_where_there_are_no_timestamps() {
    let options = TcpOptions { timestamps: None, window_scale: None, ..syn().options };
    let header = emitted(&TcpRepr { options, ..syn() });
    assert_eq!(header[20..], [2, 4, 5, 0xb4, 1, 1, 4, 2]);
    assert_eq!(TcpRepr::parse(&header).unwrap().0.options, options);
}

#[test]
fn as_many_sack_blocks_are_sent_as_fit() {
    let blocks = [(1, 2), (3, 4), (5, 6), (7, 8)];
    let full = TcpOptions { sack: sack(&blocks), ..TcpOptions::default() };
    assert_eq!(full.len(), 36);
    let beside_timestamps = TcpOptions { timestamps: Some((9, 9)), ..full };
    assert_eq!(beside_timestamps.len(), 40);
    let ack = TcpRepr { flags: TcpFlags::ACK, options: beside_timestamps, ..syn() };
    let parsed = TcpRepr::parse(&emitted(&ack)).unwrap().0;
    assert_eq!(parsed.options.sack.as_slice(), &blocks[..3]);
    assert!(!sack(&blocks).push(9, 10), "a fifth block finds no room");
}

#[test]
fn malformed_options_end_the_options() {
    let ack = TcpFlags::ACK;
    let timestamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let heard = Some((1, 2));
    assert_eq!(options_of(&timestamps, ack).timestamps, heard);
    for broken in [&[254, 0][..], &[254, 1], &[254, 41], &[0]] {
        let before = [&timestamps[..], broken].concat();
        assert_eq!(options_of(&before, ack).timestamps, heard, "{broken:?} behind");
        let behind = [broken, &timestamps[..]].concat();
        assert_eq!(options_of(&behind, ack).timestamps, None, "{broken:?} before");
    }
    for skipped in [&[254, 2][..], &[254, 3, 9], &[8, 3, 9], &[5, 2], &[5, 3, 0], &[1], &[2, 4, 1, 1]] {
        let behind = [skipped, &timestamps[..]].concat();
        assert_eq!(options_of(&behind, ack), TcpOptions { timestamps: heard, ..TcpOptions::default() });
    }
    assert_eq!(options_of(&[1, 1, 1, 8], ack), TcpOptions::default(), "a kind without a length");
}

#[test]
fn options_of_a_syn_count_on_a_syn_only() {
    let options = [2, 4, 5, 0xb4, 3, 3, 15, 4, 2];
    assert_eq!(options_of(&options, TcpFlags::ACK), TcpOptions::default());
    let on_syn = options_of(&options, TcpFlags::SYN | TcpFlags::ACK);
    assert_eq!(on_syn.window_scale, Some(14), "15 is read as 14");
    assert_eq!((on_syn.mss, on_syn.sack_permitted), (Some(1460), true));
    assert_eq!(options_of(&[2, 4, 0, 0], TcpFlags::SYN).mss, None, "a segment of nothing is no limit");
}

#[test]
fn a_user_timeout_is_seconds_or_minutes_and_never_nothing() {
    let heard = |a, b| options_of(&[28, 4, a, b], TcpFlags::ACK).user_timeout;
    assert_eq!((heard(0, 30), heard(0x80, 2), heard(0xff, 0xff)), (Some(30), Some(120), Some(60 * 32_767)));
    assert_eq!((heard(0, 0), heard(0x80, 0)), (None, None), "0 is reserved");
    for (seconds, field) in
        [(1, [0, 1]), (32_767, [0x7f, 0xff]), (36_000, [0x82, 0x58]), (u32::MAX, [0xff, 0xff])]
    {
        let options = TcpOptions { user_timeout: Some(seconds), ..TcpOptions::default() };
        let mut bytes = [0; 4];
        options.emit(&mut bytes);
        assert_eq!((options.len(), bytes), (4, [28, 4, field[0], field[1]]), "{seconds}");
    }
}

#[test]
fn the_data_offset_is_checked() {
    let mut segment = LINUX_SYN;
    assert_eq!(TcpRepr::parse(&segment[..19]), Err(Malformed::TooShort));
    assert_eq!(TcpRepr::parse(&segment[..39]), Err(Malformed::HeaderLength));
    for (offset, fault) in [(0, true), (4, true), (5, false), (9, false), (11, true), (15, true)] {
        segment[12] = offset << 4;
        let parsed = TcpRepr::parse(&segment);
        assert_eq!(parsed.err(), fault.then_some(Malformed::HeaderLength), "offset {offset}");
        if let Ok((_, payload)) = parsed {
            assert_eq!(payload.len(), 40 - usize::from(offset) * 4);
        }
    }
}

#[test]
fn checksums_are_found_right_and_wrong() {
    for (src, dst) in
        [(Addr::v4([10, 0, 2, 100]), Addr::v4([192, 0, 2, 1])), (Addr::v6([0xfd; 16]), Addr::v6([9; 16]))]
    {
        let mut segment = [&LINUX_SYN[..], b"odd"].concat();
        fill_checksum(src, dst, &mut segment);
        assert_eq!(verify_checksum(src, dst, &segment), Ok(()));
        segment[42] ^= 0x10;
        assert_eq!(verify_checksum(src, dst, &segment), Err(Malformed::Checksum));
    }
}

#[test]
fn flags_are_sets() {
    let flags = TcpFlags::SYN | TcpFlags::ACK;
    assert!(flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::SYN | TcpFlags::FIN));
    assert!(flags.intersects(TcpFlags::SYN | TcpFlags::FIN) && !flags.intersects(TcpFlags::RST));
    assert_eq!(flags.bits(), 0x12);
    assert_eq!(format!("{flags:?} {:?}", TcpFlags::NONE), "SYN|ACK -");
}

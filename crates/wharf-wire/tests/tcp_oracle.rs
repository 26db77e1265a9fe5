//! TCP against etherparse and smoltcp.

use etherparse::{TcpOptionElement, TcpSlice};
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, TcpPacket, TcpRepr as TheirRepr};
use wharf_table::Addr;
use wharf_wire::tcp::{self, SackBlocks, TcpFlags, TcpOptions, TcpRepr};

const SRC: Addr = Addr::v6([0xfd; 16]);
const DST: Addr = Addr::v6([0x20; 16]);

fn options() -> impl Strategy<Value = TcpOptions> {
    let syn = (prop::option::of(1..=u16::MAX), prop::option::of(0..=14u8), any::<bool>());
    let sack = prop::collection::vec(any::<(u32, u32)>(), 0..=3);
    (any::<bool>(), syn, any::<Option<(u32, u32)>>(), sack).prop_map(
        |(is_syn, (mss, window_scale, sack_permitted), timestamps, blocks)| {
            let mut sack = SackBlocks::EMPTY;
            if is_syn {
                return TcpOptions {
                    mss,
                    window_scale,
                    sack_permitted,
                    timestamps,
                    sack,
                    user_timeout: None,
                };
            }
            for (left, right) in blocks {
                sack.push(left, right);
            }
            TcpOptions { timestamps, sack, ..TcpOptions::default() }
        },
    )
}

fn repr() -> impl Strategy<Value = TcpRepr> {
    (any::<(u16, u16, u32, u32)>(), any::<u8>(), any::<(u16, u16)>(), options()).prop_map(
        |((src_port, dst_port, seq, ack), bits, (window, urgent), options)| {
            let on_syn = options.mss.is_some() || options.window_scale.is_some() || options.sack_permitted;
            let flags = TcpFlags::from_bits(bits) | if on_syn { TcpFlags::SYN } else { TcpFlags::NONE };
            TcpRepr { src_port, dst_port, seq, ack, flags, window, urgent, options }
        },
    )
}

fn segment(repr: &TcpRepr, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0xee; repr.header_len()];
    repr.emit(&mut segment);
    segment.extend_from_slice(payload);
    tcp::fill_checksum(SRC, DST, &mut segment);
    segment
}

/// The options as etherparse reads them, up to the first that it finds malformed.
fn their_options(slice: &TcpSlice<'_>) -> (TcpOptions, bool) {
    let mut options = TcpOptions::default();
    for element in slice.options_iterator() {
        match element {
            Ok(TcpOptionElement::MaximumSegmentSize(mss)) if slice.syn() => {
                options.mss = if mss == 0 { options.mss } else { Some(mss) };
            }
            Ok(TcpOptionElement::WindowScale(shift)) if slice.syn() => {
                options.window_scale = Some(shift.min(14))
            }
            Ok(TcpOptionElement::SelectiveAcknowledgementPermitted) if slice.syn() => {
                options.sack_permitted = true
            }
            Ok(TcpOptionElement::SelectiveAcknowledgement(first, rest)) => {
                options.sack = SackBlocks::EMPTY;
                for (left, right) in [Some(first)].into_iter().chain(rest).flatten() {
                    options.sack.push(left, right);
                }
            }
            Ok(TcpOptionElement::Timestamp(value, echo)) => options.timestamps = Some((value, echo)),
            Ok(_) => {}
            Err(_) => return (options, false),
        }
    }
    (options, true)
}

proptest! {
    #[test]
    fn segments_are_written_as_others_read_them(repr in repr(), payload in prop::collection::vec(any::<u8>(), 0..99)) {
        let segment = segment(&repr, &payload);
        prop_assert_eq!(TcpRepr::parse(&segment), Ok((repr, &payload[..])));
        prop_assert_eq!(tcp::verify_checksum(SRC, DST, &segment), Ok(()));

        let theirs = TcpSlice::from_slice(&segment).unwrap();
        prop_assert_eq!((theirs.source_port(), theirs.destination_port()), (repr.src_port, repr.dst_port));
        prop_assert_eq!((theirs.sequence_number(), theirs.acknowledgment_number()), (repr.seq, repr.ack));
        prop_assert_eq!((theirs.window_size(), theirs.urgent_pointer()), (repr.window, repr.urgent));
        prop_assert_eq!(theirs.header_slice()[13], repr.flags.bits());
        prop_assert_eq!(theirs.fin(), repr.flags.contains(TcpFlags::FIN));
        prop_assert_eq!(theirs.cwr(), repr.flags.contains(TcpFlags::CWR));
        prop_assert_eq!(theirs.payload(), &payload[..]);
        prop_assert_eq!(their_options(&theirs), (repr.options, true));

        let (src, dst) = (IpAddress::from(SRC.ip()), IpAddress::from(DST.ip()));
        let packet = TcpPacket::new_checked(&segment[..]).unwrap();
        prop_assert!(packet.verify_checksum(&src, &dst));
        if let Ok(theirs) = TheirRepr::parse(&packet, &src, &dst, &ChecksumCapabilities::default()) {
            prop_assert_eq!((theirs.max_seg_size, theirs.window_scale), (repr.options.mss, repr.options.window_scale));
            prop_assert_eq!(theirs.sack_permitted, repr.options.sack_permitted);
            let timestamps = theirs.timestamp.map(|stamp| (stamp.tsval, stamp.tsecr));
            prop_assert_eq!(timestamps, repr.options.timestamps);
            let blocks: Vec<(u32, u32)> = theirs.sack_ranges.into_iter().flatten().collect();
            prop_assert_eq!(&blocks[..], repr.options.sack.as_slice());
        }
    }

    #[test]
    fn mutated_segments_are_judged_as_others_do(
        repr in repr(),
        flips in prop::collection::vec((0..60usize, any::<u8>()), 1..6),
        cut in 0..30usize,
    ) {
        let mut segment = segment(&repr, b"payload");
        for (at, byte) in flips {
            let at = at % segment.len();
            segment[at] = byte;
        }
        segment.truncate(segment.len() - cut.min(segment.len()));
        let ours = TcpRepr::parse(&segment);
        let Ok(theirs) = TcpSlice::from_slice(&segment) else {
            prop_assert!(ours.is_err());
            return Ok(());
        };
        let (ours, payload) = ours.unwrap();
        prop_assert_eq!(payload, theirs.payload());
        prop_assert_eq!((ours.seq, ours.window), (theirs.sequence_number(), theirs.window_size()));
        // Etherparse stops at unknown and wrong options, where Linux and we go on: then only what it read is a truth.
        if let (options, true) = their_options(&theirs) {
            prop_assert_eq!(ours.options, options);
        }
    }
}

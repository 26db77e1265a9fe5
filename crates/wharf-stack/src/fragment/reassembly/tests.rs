use std::vec;

use proptest::prelude::*;
use wharf_wire::ipv6::extension;
use wharf_wire::protocol;

use super::super::{Outgoing, cut};
use super::*;

const NOW: Instant = Instant::from_millis(1_000);

fn outgoing(v4: bool, identification: u32) -> Outgoing {
    let (src, dst) = if v4 {
        (Addr::v4([10, 0, 2, 100]), Addr::v4([192, 0, 2, 1]))
    } else {
        (Addr::v6([0xfd; 16]), Addr::v6([0x20; 16]))
    };
    Outgoing { src, dst, protocol: protocol::UDP, hop_limit: 64, traffic_class: 0, identification }
}

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// Gives a packet to the reassembler as ingress does.
fn handle(reassembler: &mut Reassembler, now: Instant, packet: &[u8]) -> Result<Option<Whole>, DropReason> {
    if packet[0] >> 4 == 4 {
        let (ip, options, payload) = Ipv4Repr::parse(packet).unwrap();
        return reassembler.handle_v4(now, &ip, &packet[..20 + options.len()], payload);
    }
    let (ip, body) = Ipv6Repr::parse(packet).unwrap();
    let upper = extension::walk(&ip, body).unwrap();
    reassembler.handle_v6(now, &ip, &upper.fragment.unwrap(), packet, upper.payload)
}

/// An IPv4 fragment made by hand.
fn fragment(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv4Repr {
        src: Addr::v4([10, 0, 2, 100]),
        dst: Addr::v4([192, 0, 2, 1]),
        protocol: protocol::UDP,
        hop_limit: 64,
        dscp_ecn: 0,
        identification: 7,
        dont_fragment: false,
        more_fragments: more,
        fragment_offset: offset,
        payload_len: payload.len(),
    };
    let mut packet = vec![0; 20];
    ip.emit(&mut packet);
    packet.extend_from_slice(payload);
    packet
}

#[test]
fn an_overlap_spoils_the_datagram_and_what_comes_later() {
    let mut reassembler = Reassembler::new();
    assert_eq!(handle(&mut reassembler, NOW, &fragment(0, true, &[1; 16])), Ok(None));
    let overlap = fragment(8, true, &[1; 16]);
    assert_eq!(handle(&mut reassembler, NOW, &overlap), Err(DropReason::FragmentInvalid));
    let rest = fragment(16, false, &[1; 16]);
    assert_eq!(handle(&mut reassembler, NOW, &rest), Err(DropReason::FragmentInvalid));
    assert_eq!(reassembler.bytes(), OVERHEAD);
    // Its identification may be used again once the time is over, and nobody is told of it.
    let later = NOW + LIFETIME_V4;
    assert_eq!(reassembler.poll_timeout(), Some(later));
    assert_eq!(reassembler.handle_timeout(later), []);
    assert_eq!((reassembler.bytes(), reassembler.poll_timeout()), (0, None));
    assert_eq!(handle(&mut reassembler, later, &rest), Ok(None));
}

#[test]
fn the_same_again_is_no_overlap_but_other_bytes_are() {
    let mut reassembler = Reassembler::new();
    let first = fragment(0, true, &[1; 16]);
    assert_eq!(handle(&mut reassembler, NOW, &first), Ok(None));
    assert_eq!(handle(&mut reassembler, NOW, &first), Err(DropReason::Duplicate));
    let whole = handle(&mut reassembler, NOW, &fragment(16, false, &[2; 3])).unwrap().unwrap();
    assert_eq!(whole.payload().len(), 19);
    assert_eq!(handle(&mut reassembler, NOW, &first), Ok(None));
    let forged = fragment(0, true, &[3; 16]);
    assert_eq!(handle(&mut reassembler, NOW, &forged), Err(DropReason::FragmentInvalid));
}

#[test]
fn an_end_that_moves_is_no_end() {
    for (first, second) in [
        (fragment(16, false, &[1; 8]), fragment(24, true, &[1; 8])),
        (fragment(16, false, &[1; 8]), fragment(8, false, &[1; 8])),
        (fragment(32, true, &[1; 8]), fragment(8, false, &[1; 8])),
    ] {
        let mut reassembler = Reassembler::new();
        assert_eq!(handle(&mut reassembler, NOW, &first), Ok(None));
        assert_eq!(handle(&mut reassembler, NOW, &second), Err(DropReason::FragmentInvalid));
    }
}

#[test]
fn a_fragment_that_is_wrong_by_itself_is_not_kept() {
    let mut reassembler = Reassembler::new();
    for wrong in [
        fragment(0, true, &[1; 15]),
        fragment(0, true, &[]),
        fragment(65_528, false, &[1; 8]),
        fragment(65_512, false, &[1; 4]),
    ] {
        assert_eq!(handle(&mut reassembler, NOW, &wrong), Err(DropReason::FragmentInvalid));
    }
    assert!(reassembler.is_empty());
    assert_eq!(handle(&mut reassembler, NOW, &fragment(65_512, false, &[1; 3])), Ok(None));
}

#[test]
fn time_runs_out_and_the_first_fragment_is_quoted() {
    let mut reassembler = Reassembler::new();
    let packets: Vec<_> = cut(&outgoing(false, 9), &message(3_000), 1_280).unwrap().collect();
    handle(&mut reassembler, NOW, &packets[0]).unwrap();
    handle(&mut reassembler, NOW + Duration::from_secs(20), &packets[1]).unwrap();
    handle(&mut reassembler, NOW, &fragment(8, true, &[1; 8])).unwrap();
    let v4 = reassembler.handle_timeout(NOW + LIFETIME_V4);
    assert_eq!((v4.len(), &v4[0].quote), (1, &None));
    let v6 = reassembler.handle_timeout(NOW + LIFETIME_V6);
    let quote = v6[0].quote.as_deref().unwrap();
    assert_eq!((v6.len(), quote), (1, &packets[0][..]));
    assert_eq!(reassembler.poll_timeout(), None);
}

#[test]
fn memory_is_bounded_and_a_flood_pushes_out_only_itself() {
    let mut reassembler = Reassembler::new();
    let honest: Vec<_> = cut(&outgoing(true, 1), &message(4_000), 1_500).unwrap().collect();
    handle(&mut reassembler, NOW, &honest[0]).unwrap();
    for identification in 0..1_000 {
        let flood = Outgoing { src: Addr::v4([10, 0, 2, 66]), ..outgoing(true, identification) };
        // The last piece of a large datagram takes the most room.
        let last = cut(&flood, &message(65_000), 1_500).unwrap().last().unwrap();
        assert_eq!(handle(&mut reassembler, NOW, &last), Ok(None));
        assert!(reassembler.bytes() <= BYTES_MAX && reassembler.len() <= DATAGRAMS_MAX);
    }
    let whole = honest[1..].iter().filter_map(|packet| handle(&mut reassembler, NOW, packet).unwrap()).last();
    assert_eq!(whole.unwrap().payload(), message(4_000));
}

#[test]
fn congestion_marks_survive() {
    assert_eq!(joined_ecn(0b0001), Some(0b00));
    assert_eq!(joined_ecn(0b0100), Some(0b10));
    assert_eq!(joined_ecn(0b0010), Some(0b01));
    assert_eq!(joined_ecn(0b1100), Some(0b11));
    assert_eq!(joined_ecn(0b1001), None);
}

#[test]
fn a_message_beyond_a_datagram_is_not_cut() {
    assert!(cut(&outgoing(true, 0), &message(65_515), 1_500).is_ok());
    assert_eq!(cut(&outgoing(true, 0), &message(65_516), 1_500).err(), Some(DropReason::TooBig));
    assert_eq!(cut(&outgoing(false, 0), &message(65_536), 1_500).err(), Some(DropReason::TooBig));
    assert_eq!(cut(&outgoing(true, 0), &message(100), 27).err(), Some(DropReason::TooBig));
}

proptest! {
    /// Any datagram, cut to any link, shuffled and with repetitions, comes out as it went in.
    #[test]
    fn what_is_cut_is_put_together(
        v4: bool,
        len in 1..65_000_usize,
        mtu in 68..9_000_usize,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let sent = message(len);
        let packets: Vec<_> = cut(&outgoing(v4, 77), &sent, mtu).unwrap().collect();
        prop_assert!(packets.iter().all(|packet| packet.len() <= mtu));
        if packets.len() < 2 {
            return Ok(());
        }
        let mut reassembler = Reassembler::new();
        let mut pending: Vec<usize> = (0..packets.len()).collect();
        let mut whole = None;
        for index in order.iter().map(|index| index.index(packets.len())) {
            if whole.is_none() {
                whole = handle(&mut reassembler, NOW, &packets[index]).unwrap_or(None);
                pending.retain(|&other| other != index);
            }
        }
        if whole.is_none() {
            for &index in pending.iter().rev() {
                whole = handle(&mut reassembler, NOW, &packets[index]).unwrap();
            }
        }
        let whole = whole.expect("every fragment has arrived");
        prop_assert_eq!(whole.payload(), &sent[..]);
        prop_assert_eq!(whole.protocol(), protocol::UDP);
        prop_assert_eq!((reassembler.bytes(), reassembler.len()), (0, 0));
    }

    /// Arbitrary fragments: bounded, and what is delivered is what a map of bytes says.
    #[test]
    fn arbitrary_fragments_do_no_harm(
        script in prop::collection::vec((0..40_u16, any::<bool>(), 1..48_usize, 0..2_u8), 1..60),
    ) {
        let mut reassembler = Reassembler::new();
        for (unit, more, len, byte) in script {
            let payload = vec![byte; len];
            if let Ok(Some(whole)) = handle(&mut reassembler, NOW, &fragment(unit * 8, more, &payload)) {
                prop_assert!(whole.payload().len() <= 40 * 8 + 48);
            }
            let held: usize = reassembler.partials.iter().map(|one| OVERHEAD + one.bytes.capacity()).sum();
            prop_assert_eq!(held, reassembler.bytes());
        }
    }
}

//! Explicit congestion notification, rule by rule (RFC 3168, section 6.1).

use std::vec::Vec;

use wharf_wire::tcp::TcpFlags;

use super::bench::*;
use crate::tcp::*;

const ECE: TcpFlags = TcpFlags::ECE;
const CWR: TcpFlags = TcpFlags::CWR;

fn settings(ecn: EcnMode) -> Settings {
    Settings { ecn, ..plain() }
}

/// Established from our side, both doing ECN.
fn agreed() -> Bench {
    let mut bench = Bench::connecting(&settings(EcnMode::Active));
    bench.sent();
    let mut syn = ack(0, 1).flags(SYN | ACK | ECE);
    syn.options.mss = Some(MSS);
    syn.options.sack_permitted = true;
    bench.take(syn).expect("a good SYN-ACK");
    bench.sent();
    assert!(bench.conn.info(bench.now).options.ecn);
    bench
}

/// Section 6.1.1: an ECN-setup SYN has ECE and CWR, an ECN-setup SYN-ACK ECE alone. Neither is ECT.
#[test]
fn the_handshake_agrees_only_when_both_ask() {
    for (mode, asked, answered, agreed) in [
        (EcnMode::Active, true, ECE, true),
        (EcnMode::Active, true, NONE, false),
        (EcnMode::Active, true, ECE | CWR, false),
        (EcnMode::Active, true, CWR, false),
        (EcnMode::Passive, false, ECE, false),
        (EcnMode::Off, false, ECE, false),
    ] {
        let mut bench = Bench::connecting(&settings(mode));
        let syn = bench.one();
        assert_eq!(syn.header.flags, if asked { SYN | ECE | CWR } else { SYN }, "{mode:?}");
        assert_eq!(syn.ecn, Ecn::NotCapable);
        bench.take(ack(0, 1).flags(SYN | ACK | answered)).expect("good");
        assert_eq!(bench.conn.info(bench.now).options.ecn, agreed, "{mode:?} {answered:?}");
    }
}

#[test]
fn who_is_asked_answers() {
    for (mode, asked, answered) in [
        (EcnMode::Passive, ECE | CWR, true),
        (EcnMode::Active, ECE | CWR, true),
        (EcnMode::Off, ECE | CWR, false),
        (EcnMode::Passive, ECE, false),
        (EcnMode::Passive, CWR, false),
        (EcnMode::Passive, NONE, false),
    ] {
        let mut bench = Bench::incoming(&settings(mode), ack(0, 0).flags(SYN | asked));
        bench.conn.accept();
        let reply = bench.one();
        assert_eq!(
            reply.header.flags,
            if answered { SYN | ACK | ECE } else { SYN | ACK },
            "{mode:?} {asked:?}"
        );
        assert_eq!(reply.ecn, Ecn::NotCapable);
        assert_eq!(bench.conn.info(bench.now).options.ecn, answered);
    }
}

/// Section 6.1.1.1; the kernel too asks once.
#[test]
fn a_syn_that_is_repeated_asks_no_more() {
    let mut bench = Bench::connecting(&settings(EcnMode::Active));
    assert_eq!(bench.one().header.flags, SYN | ECE | CWR);
    for _ in 0..3 {
        bench.expire();
        assert_eq!(bench.one().header.flags, SYN);
    }
    bench.take(ack(0, 1).flags(SYN | ACK | ECE)).expect("good");
    assert!(!bench.conn.info(bench.now).options.ecn, "what was not asked is not agreed");
}

/// Sections 6.1.4 to 6.1.6: pure acknowledgments, retransmissions and probes are not ECT, new data is.
#[test]
fn only_new_data_may_be_marked() {
    let mut bench = agreed();
    bench.send(&[0; 3_000]);
    assert!(bench.sent().iter().all(|sent| sent.ecn == Ecn::Capable));
    bench.take(ack(1, 1).data(&[0; 2_000])).expect("good");
    let reply = bench.one();
    assert_eq!((reply.payload.len(), reply.ecn), (0, Ecn::NotCapable));
    while bench.conn.info(bench.now).retransmits == 0 {
        bench.expire();
    }
    let again: Vec<_> = bench.sent().into_iter().filter(|sent| sent.seq() == 1).collect();
    assert!(!again.is_empty() && again.iter().all(|sent| sent.ecn == Ecn::NotCapable));
    bench.take(ack(2_001, 3_001).window(0)).expect("good");
    bench.sent();
    bench.send(&[0; 100]);
    bench.sent();
    bench.expire();
    let probe = bench.one();
    assert_eq!((probe.payload.len(), probe.ecn), (0, Ecn::NotCapable));
    let mut bench = agreed();
    bench.conn.shutdown();
    assert_eq!(bench.one().ecn, Ecn::NotCapable, "a FIN alone is no data");
}

/// Section 6.1.3: every acknowledgment says ECE from the mark on until data says CWR; a mark on that data begins anew.
#[test]
fn a_mark_is_echoed_until_the_sender_has_heard() {
    let mut bench = agreed();
    bench.take_with(ack(1, 1).data(&[0; 100]), Ecn::Experienced).expect("good");
    assert_eq!(bench.one().header.flags, ACK | ECE, "at once");
    bench.take_with(ack(101, 1).data(&[0; 2_000]), Ecn::Capable).expect("good");
    assert_eq!(bench.one().header.flags, ACK | ECE);
    bench.send(b"x");
    assert!(bench.one().header.flags.contains(ECE), "data says it as well");
    bench.take_with(ack(2_101, 1).data(&[0; 100]).flags(ACK | CWR), Ecn::Capable).expect("good");
    assert_eq!(bench.one().header.flags, ACK, "at once");
    bench.take_with(ack(2_201, 1).data(&[0; 100]).flags(ACK | CWR), Ecn::Experienced).expect("good");
    assert_eq!(bench.one().header.flags, ACK | ECE);
    assert!(bench.conn.info(bench.now).options.ecn_seen);
}

#[test]
fn a_mark_on_what_was_there_before_or_without_agreement_says_nothing() {
    let mut bench = agreed();
    bench.take(ack(1, 1).data(&[0; 100])).expect("good");
    bench.sent();
    let _ = bench.take_with(ack(1, 1).data(&[0; 100]), Ecn::Experienced);
    assert!(bench.sent().iter().all(|sent| !sent.header.flags.contains(ECE)));
    let mut bench = Bench::plain();
    bench.take_with(ack(1, 1).data(&[0; 2_000]), Ecn::Experienced).expect("good");
    assert_eq!(bench.one().header.flags, ACK);
}

/// Section 6.1.2: the window falls once a round trip, and the next new data says CWR, once.
#[test]
fn the_window_falls_once_a_round_trip() {
    let mut bench = agreed();
    bench.send(&[0; 60_000]);
    assert_eq!(bench.sent().len(), 10);
    bench.take(ack(1, 1_001).flags(ACK | ECE)).expect("good");
    let info = bench.conn.info(bench.now);
    assert_eq!((info.ca_state, info.snd_ssthresh), (CaState::Cwr, 7));
    let mut sent = bench.sent();
    for acked in 2..=9 {
        bench.take(ack(1, acked * 1_000 + 1).flags(ACK | ECE)).expect("good");
        sent.extend(bench.sent());
    }
    assert_eq!(bench.conn.info(bench.now).snd_ssthresh, 7, "the same round trip");
    let said = sent.iter().filter(|sent| sent.header.flags.contains(CWR)).count();
    assert_eq!(said, 1);
    assert!(sent[0].header.flags.contains(CWR) && sent[0].ecn == Ecn::Capable);
    bench.take(ack(1, 10_001)).expect("the round trip is over");
    let info = bench.conn.info(bench.now);
    assert_eq!((info.ca_state, info.snd_cwnd), (CaState::Open, 7));
    bench.sent();
    bench.take(ack(1, 11_001).flags(ACK | ECE)).expect("another mark");
    assert!(bench.conn.info(bench.now).snd_ssthresh < 7);
    assert!(bench.conn.info(bench.now).delivered_ce >= 9);
}

/// Section 6.1.2: a loss says CWR as well, and one in the round trip of a mark does not let the window fall again.
#[test]
fn losses_and_marks_of_one_round_trip_count_once() {
    let mut bench = agreed();
    bench.send(&[0; 60_000]);
    bench.sent();
    bench.take(ack(1, 1_001).flags(ACK | ECE)).expect("good");
    let mut sent = bench.sent();
    bench.take(ack(1, 1_001).blocks(&[(2_001, 8_001)]).flags(ACK | ECE)).expect("good");
    sent.extend(bench.sent());
    assert!(sent.iter().any(|sent| sent.seq() == 1_001), "it goes again");
    assert_eq!(bench.conn.info(bench.now).snd_ssthresh, 7);
    assert!(sent.iter().filter(|sent| sent.seq() == 1_001).all(|sent| !sent.header.flags.contains(CWR)));
    assert_eq!(sent.iter().filter(|sent| sent.header.flags.contains(CWR)).count(), 1);
}

/// A device that cuts a segment says CWR on the first only.
#[test]
fn a_large_segment_is_marked_as_such() {
    let mut bench = Bench::incoming(
        &Settings { max_segment: MAX_OFFLOAD_SEGMENT, ..settings(EcnMode::Passive) },
        ack(0, 0).flags(SYN | ECE | CWR),
    );
    bench.conn.accept();
    bench.sent();
    bench.take(ack(1, 1)).expect("good");
    bench.send(&[0; 60_000]);
    let first = bench.sent();
    assert!(first[0].gso_size.is_some() && first[0].ecn == Ecn::Capable);
    bench.take(ack(1, 3_001).flags(ACK | ECE)).expect("good");
    let sent = bench.sent();
    assert!(sent[0].header.flags.contains(CWR), "{sent:?}");
}

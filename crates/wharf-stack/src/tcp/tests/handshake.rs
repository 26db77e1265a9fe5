//! Opening: actively, passively, at once, and not at all.

use wharf_table::DropReason;
use wharf_wire::tcp::TcpOptions;

use super::bench::*;
use super::pair::{GOOD, Pair};
use crate::tcp::*;

fn everything() -> TcpOptions {
    TcpOptions {
        mss: Some(MSS),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((100, 0)),
        ..TcpOptions::default()
    }
}

#[test]
fn a_syn_offers_everything_and_its_window_is_not_scaled() {
    let mut bench = Bench::connecting(&Settings { mss: 1460, ..Settings::default() });
    let syn = bench.one();
    assert_eq!(syn.shape(), (0, 0, SYN));
    assert_eq!((syn.header.ack, syn.header.window), (0, 65_535));
    let options = syn.header.options;
    assert_eq!((options.mss, options.window_scale, options.sack_permitted), (Some(1460), Some(5), true));
    assert_eq!(options.timestamps, Some((5_000, 0)));
}

#[test]
fn a_syn_ack_offers_what_was_offered() {
    for bits in 0..8 {
        let offered = TcpOptions {
            window_scale: (bits & 1 == 0).then_some(7),
            sack_permitted: bits & 2 == 0,
            timestamps: (bits & 4 == 0).then_some((100, 0)),
            ..everything()
        };
        let syn = In { options: offered, ..ack(0, 0) }.flags(SYN);
        let mut bench = Bench::incoming(&Settings::default(), syn);
        bench.conn.accept();
        let answer = bench.one();
        assert_eq!((answer.shape(), answer.ack()), ((0, 0, SYN | ACK), 1));
        let options = answer.header.options;
        assert_eq!(options.window_scale.is_some(), bits & 1 == 0);
        assert_eq!(options.sack_permitted, bits & 2 == 0);
        assert_eq!(options.timestamps, (bits & 4 == 0).then_some((5_000, 100)));
    }
}

#[test]
fn nothing_is_said_before_the_owner_accepts() {
    let syn = ack(0, 0).flags(SYN);
    let mut bench = Bench::incoming(&plain(), syn);
    bench.silent();
    assert_eq!(bench.take(syn), Err(DropReason::Duplicate));
    assert_eq!(bench.take(ack(1, 1)), Err(DropReason::StateMismatch));
    bench.silent();
    assert_eq!(bench.conn.poll_timeout(), None);
    bench.conn.accept();
    assert_eq!(bench.shapes(), [(0, 0, SYN | ACK)]);
    bench.take(ack(1, 1)).expect("the ACK of the SYN");
    assert_eq!(bench.conn.state(), State::Established);
    assert_eq!(bench.conn.take_events(), Events::CONNECTED);
}

#[test]
fn a_refused_connection_answers_as_a_closed_port_does() {
    let mut bench = Bench::incoming(&plain(), ack(0, 0).flags(SYN));
    bench.conn.abort();
    let reset = bench.one();
    assert_eq!((reset.header.seq, reset.ack(), reset.header.flags), (0, 1, RST | ACK));
    assert!(bench.conn.is_closed());
    bench.silent();
}

#[test]
fn a_peer_may_give_up_before_it_is_accepted() {
    let mut bench = Bench::incoming(&plain(), ack(0, 0).flags(SYN));
    bench.take(ack(1, 0).flags(RST)).expect("a RST at the next number");
    assert!(bench.conn.is_closed());
    bench.conn.accept();
    bench.silent();
}

#[test]
fn a_repeated_syn_is_answered_with_the_same_syn_ack() {
    let mut bench = Bench::in_state(State::SynReceived);
    assert_eq!(bench.take(ack(0, 0).flags(SYN)), Err(DropReason::Duplicate));
    assert_eq!(bench.shapes(), [(0, 0, SYN | ACK)]);
}

#[test]
fn data_and_fin_may_come_with_the_ack_of_the_syn() {
    let mut bench = Bench::in_state(State::SynReceived);
    bench.take(ack(1, 1).flags(FIN | ACK).data(b"all of it")).expect("good");
    assert_eq!(bench.received(), b"all of it");
    assert_eq!(bench.conn.state(), State::CloseWait);
    assert_eq!(bench.conn.take_events(), Events::CONNECTED | Events::READABLE | Events::PEER_FINISHED);
    assert_eq!(bench.one().ack(), 11);
}

/// As Linux does: it is not acknowledged, so it comes again.
#[test]
fn data_that_comes_with_the_syn_ack_is_left_to_come_again() {
    let mut bench = Bench::connecting(&plain());
    bench.sent();
    let early = ack(0, 1).flags(SYN | ACK).data(b"early");
    assert_eq!(bench.take(early), Err(DropReason::StateMismatch));
    assert_eq!((bench.received().len(), bench.one().ack()), (0, 1));
    bench.take(ack(1, 1).data(b"early")).expect("good");
    assert_eq!((bench.received().as_slice(), bench.one().ack()), (b"early".as_slice(), 6));
}

/// In SYN-SENT (RFC 9293, section 3.10.7.3): what comes, what is answered, what becomes of it.
#[test]
fn syn_sent_believes_only_what_acknowledges_its_syn() {
    type Case = (In<'static>, Result<(), DropReason>, Option<(u32, TcpFlagsOf)>, State);
    type TcpFlagsOf = wharf_wire::tcp::TcpFlags;
    let cases: [Case; 9] = [
        (ack(0, 1).flags(SYN | ACK), Ok(()), Some((1, ACK)), State::Established),
        (ack(0, 1).flags(RST | ACK), Ok(()), None, State::Closed),
        (ack(0, 0).flags(RST), Err(DropReason::StateMismatch), None, State::SynSent),
        (ack(0, 0).flags(RST | ACK), Err(DropReason::AckInvalid), None, State::SynSent),
        (ack(0, 0).flags(SYN | ACK), Err(DropReason::AckInvalid), Some((0, RST)), State::SynSent),
        (ack(0, 2).flags(SYN | ACK), Err(DropReason::AckInvalid), Some((2, RST)), State::SynSent),
        (ack(7, 900), Err(DropReason::AckInvalid), Some((900, RST)), State::SynSent),
        (ack(7, 1), Err(DropReason::StateMismatch), None, State::SynSent),
        (ack(0, 0).flags(NONE), Err(DropReason::StateMismatch), None, State::SynSent),
    ];
    for (segment, result, answer, state) in cases {
        let mut bench = Bench::connecting(&plain());
        bench.sent();
        assert_eq!(bench.take(segment), result, "{segment:?}");
        let sent = bench.sent();
        let got = sent.first().map(|sent| (sent.seq(), sent.header.flags));
        assert_eq!((got, bench.conn.state()), (answer, state), "{segment:?}");
    }
}

#[test]
fn a_refused_syn_says_so() {
    let mut bench = Bench::connecting(&plain());
    bench.sent();
    bench.take(ack(0, 1).flags(RST | ACK)).expect("good");
    assert_eq!((bench.conn.take_events(), bench.conn.closed_by()), (Events::CLOSED, CloseReason::Refused));
    bench.silent();
}

#[test]
fn in_syn_received_a_wrong_ack_is_reset_and_the_right_one_still_counts() {
    let mut bench = Bench::in_state(State::SynReceived);
    assert_eq!(bench.take(ack(1, 77)), Err(DropReason::AckInvalid));
    let reset = bench.one();
    assert_eq!((reset.seq(), reset.header.flags), (77, RST));
    assert_eq!(bench.conn.state(), State::SynReceived);
    bench.take(ack(1, 1)).expect("good");
    assert_eq!(bench.conn.state(), State::Established);
}

#[test]
fn both_may_open_at_once() {
    let now = Instant::from_millis(1);
    for timestamps in [false, true] {
        let settings = Settings { timestamps, ..Settings::default() };
        let a = Connection::connect(&settings, tuple(), SeqNum::new(5), now);
        let b = Connection::connect(&settings, tuple().reversed(), SeqNum::new(u32::MAX), now);
        let mut pair = Pair::of(a, b, GOOD, 1).with_data(200_000, 300_000);
        pair.deliver_all(ms(5_000));
    }
}

#[test]
fn a_silent_peer_is_given_up_after_eleven_more_syns_the_first_of_them_a_second_apart() {
    let mut bench = Bench::connecting(&plain());
    let mut waits = std::vec::Vec::new();
    while !bench.conn.is_closed() {
        assert!(bench.sent().len() <= 1);
        waits.push(bench.expire().as_secs());
    }
    assert_eq!(waits, [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64, 120]);
    assert_eq!(bench.conn.closed_by(), CloseReason::TimedOut);
}

#[test]
fn icmp_ends_an_attempt_but_not_a_connection() {
    for state in [State::SynSent, State::SynReceived] {
        let mut bench = Bench::in_state(state);
        bench.conn.handle_soft_error(Unreachable::Host);
        assert_eq!(bench.conn.closed_by(), CloseReason::Unreachable(Unreachable::Host));
        assert!(bench.conn.is_closed());
    }
    let mut bench = Bench::plain();
    bench.conn.handle_hard_error(Unreachable::Port);
    assert_eq!(bench.conn.state(), State::Established);
    bench.send(b"x");
    while !bench.conn.is_closed() {
        bench.sent();
        bench.expire();
    }
    assert_eq!(bench.conn.closed_by(), CloseReason::Unreachable(Unreachable::Port));
}

#[test]
fn after_a_lost_syn_the_window_is_one_segment() {
    let mut bench = Bench::connecting(&plain());
    bench.sent();
    bench.expire();
    bench.sent();
    let options = TcpOptions { mss: Some(MSS), ..TcpOptions::default() };
    bench.take(In { options, ..ack(0, 1) }.flags(SYN | ACK)).expect("good");
    bench.sent();
    bench.send(&[0; 5_000]);
    assert_eq!(bench.shapes(), [(1, 1_000, ACK)]);
}

#[test]
fn data_and_shutdown_before_the_handshake_follow_it() {
    let mut bench = Bench::connecting(&plain());
    bench.send(b"early");
    bench.conn.shutdown();
    assert_eq!(bench.shapes(), [(0, 0, SYN)]);
    bench.take(ack(0, 1).flags(SYN | ACK)).expect("good");
    assert_eq!(bench.shapes(), [(1, 5, ACK | FIN)]);
    assert_eq!(bench.conn.state(), State::FinWait1);
}

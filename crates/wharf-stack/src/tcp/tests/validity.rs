//! Which segments are believed: the window's edges, PAWS, RST, SYN and ACK out of place (RFC 9293, section 3.10.7.4; RFC
//! 7323, section 5; RFC 5961).

use wharf_table::DropReason;

use super::bench::*;
use crate::tcp::*;

const SYNCHRONIZED: [State; 8] = [
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
    State::Established,
];

/// The next number that a connection of [`Bench::in_state`] expects, and what it has sent.
fn numbers(state: State) -> (u32, u32) {
    match state {
        State::Established => (1, 1),
        State::FinWait1 | State::FinWait2 => (1, 2),
        State::CloseWait => (2, 1),
        _ => (2, 2),
    }
}

/// The receive window of [`plain`].
const WINDOW: u32 = 65_535;

#[test]
fn a_reset_counts_at_the_next_number_only() {
    for state in SYNCHRONIZED {
        let (rcv, snd) = numbers(state);
        let edge = rcv + WINDOW - if rcv == 2 { 1 } else { 0 };
        let cases = [
            (rcv, Ok(()), 0, State::Closed),
            (rcv + 1, Err(DropReason::Challenged), 1, state),
            (edge - 1, Err(DropReason::Challenged), 1, state),
            (edge + 2, Err(DropReason::OutOfWindow), 0, state),
            (rcv.wrapping_sub(1), Err(DropReason::OutOfWindow), 0, state),
        ];
        for (seq, mut result, mut answers, mut after) in cases {
            if state == State::TimeWait && result != Err(DropReason::OutOfWindow) {
                // RFC 1337, section 3, fix F1.
                (result, answers, after) = (Err(DropReason::StateMismatch), 0, state);
            }
            let mut bench = Bench::in_state(state);
            assert_eq!(bench.take(ack(seq, snd).flags(RST)), result, "{state} {seq}");
            assert_eq!((bench.sent().len(), bench.conn.state()), (answers, after), "{state} {seq}");
        }
    }
}

#[test]
fn a_reset_says_whose_it_was() {
    for (state, reason) in
        [(State::Established, CloseReason::ResetByPeer), (State::FinWait2, CloseReason::ResetByPeer)]
    {
        let mut bench = Bench::in_state(state);
        let (rcv, snd) = numbers(state);
        bench.take(ack(rcv, snd).flags(RST)).expect("good");
        assert_eq!(bench.conn.closed_by(), reason, "{state}");
    }
}

#[test]
fn a_syn_is_never_believed_once_synchronized() {
    for state in SYNCHRONIZED {
        for flags in [SYN, SYN | ACK] {
            let (rcv, snd) = numbers(state);
            let mut bench = Bench::in_state(state);
            assert_eq!(bench.take(ack(rcv, snd).flags(flags)), Err(DropReason::Challenged), "{state}");
            let challenge = bench.one();
            assert_eq!(
                (challenge.header.flags, challenge.ack(), challenge.seq()),
                (ACK, rcv, snd),
                "{state}"
            );
            assert_eq!(bench.conn.state(), state);
        }
    }
}

#[test]
fn an_ack_of_what_was_never_sent_is_challenged_and_its_data_dropped() {
    for state in SYNCHRONIZED {
        let (rcv, snd) = numbers(state);
        for wrong in [snd + 1, snd.wrapping_sub(70_000)] {
            let mut bench = Bench::in_state(state);
            let segment = ack(rcv, wrong).data(b"x");
            assert_eq!(bench.take(segment), Err(DropReason::AckInvalid), "{state} {wrong}");
            assert_eq!(bench.one().ack(), rcv);
            assert!(bench.received().is_empty());
        }
    }
}

#[test]
fn a_segment_without_ack_is_dropped() {
    for state in SYNCHRONIZED {
        let (rcv, _) = numbers(state);
        let mut bench = Bench::in_state(state);
        assert_eq!(bench.take(ack(rcv, 0).flags(NONE).data(b"x")), Err(DropReason::AckMissing));
        bench.silent();
        assert!(bench.received().is_empty());
    }
}

#[test]
fn challenges_are_rationed() {
    let mut bench = Bench::plain();
    let mut answers = 0;
    for _ in 0..50 {
        assert_eq!(bench.take(ack(100, 1).flags(RST)), Err(DropReason::Challenged));
        answers += bench.sent().len();
    }
    assert!((8..16).contains(&answers), "{answers}");
    bench.wait(ms(5_000));
    assert_eq!(bench.take(ack(100, 1).flags(RST)), Err(DropReason::Challenged));
    assert_eq!(bench.sent().len(), 1);
}

/// Where a segment lies, in front of, across and behind the window, and what is taken of it.
#[test]
fn only_what_lies_in_the_window_is_taken() {
    let long = [7_u8; 2_000];
    type Case = (u32, usize, Result<(), DropReason>, usize, u32);
    let cases: [Case; 9] = [
        // sequence number, length, result, bytes in order then, acknowledgment then
        (1, 500, Ok(()), 500, 501),
        (1u32.wrapping_sub(500), 500, Err(DropReason::Duplicate), 0, 1),
        (1u32.wrapping_sub(500), 501, Ok(()), 1, 2),
        (1u32.wrapping_sub(500), 2_000, Ok(()), 1_500, 1_501),
        (2, 100, Ok(()), 0, 1),
        (1 + WINDOW - 10, 1_000, Ok(()), 0, 1),
        (1 + WINDOW, 1, Err(DropReason::OutOfWindow), 0, 1),
        (1 + WINDOW + 5_000, 1_000, Err(DropReason::OutOfWindow), 0, 1),
        (1u32.wrapping_sub(5_000), 1_000, Err(DropReason::Duplicate), 0, 1),
    ];
    for (seq, len, result, bytes, acknowledged) in cases {
        let mut bench = Bench::plain();
        assert_eq!(bench.take(ack(seq, 1).data(&long[..len])), result, "{seq} {len}");
        assert_eq!(bench.received().len(), bytes, "{seq} {len}");
        bench.wait(ms(40));
        assert_eq!(bench.one().ack(), acknowledged, "{seq} {len}");
    }
}

#[test]
fn an_empty_segment_may_stand_at_the_right_edge() {
    let mut bench = Bench::plain();
    bench.send(b"x");
    bench.sent();
    bench.take(ack(1 + WINDOW, 2)).expect("what a peer sends that has filled the window behind a loss");
    assert_eq!(bench.conn.unacknowledged_len(), 0);
    assert_eq!(bench.take(ack(2 + WINDOW, 2)), Err(DropReason::OutOfWindow));
}

#[test]
fn a_closed_window_still_takes_ack_and_fin() {
    let mut bench = Bench::plain();
    let text = [1; 1_000];
    for at in 0..66 {
        let _ = bench.take(ack(1 + at * 1_000, 1).data(&text));
    }
    assert_eq!(bench.received().len(), WINDOW as usize);
    assert_eq!(bench.sent().last().map(|last| last.header.window), Some(0));
    bench.send(b"x");
    bench.sent();
    let probe = ack(1 + WINDOW, 2).data(b"p");
    assert_eq!(bench.take(probe), Err(DropReason::OutOfWindow));
    assert_eq!(bench.one().ack(), 1 + WINDOW, "a probe is answered");
    assert_eq!(bench.conn.unacknowledged_len(), 0, "and its ACK counts");
    bench.take(ack(1 + WINDOW, 2).flags(FIN | ACK)).expect("nothing is missing before it");
    assert_eq!(bench.conn.state(), State::CloseWait);
}

fn with_timestamps() -> Bench {
    Bench::established(&Settings { timestamps: true, ..plain() })
}

#[test]
fn a_timestamp_from_the_past_is_rejected() {
    let mut bench = with_timestamps();
    bench.take(ack(1, 1).data(b"one").timestamps(2_000, 5_000)).expect("newer");
    bench.wait(ms(40));
    assert_eq!(bench.one().header.options.timestamps, Some((5_040, 2_000)));
    let old = ack(4, 1).data(b"two").timestamps(1_999, 5_000);
    assert_eq!(bench.take(old), Err(DropReason::PawsRejected));
    assert_eq!(bench.one().ack(), 4);
    bench.take(ack(4, 1).data(b"two").timestamps(2_000, 5_000)).expect("as new");
    bench.take(ack(7, 1).flags(RST).timestamps(1, 1)).expect("a RST is not asked");
    assert!(bench.conn.is_closed());
}

#[test]
fn timestamps_wrap_and_grow_old() {
    let mut bench = with_timestamps();
    let near_wrap = 1_000 + 0x7fff_ffff;
    bench.take(ack(1, 1).data(b"a").timestamps(near_wrap, 5_000)).expect("newer");
    bench.wait(ms(40));
    bench.sent();
    bench.take(ack(2, 1).data(b"b").timestamps(near_wrap.wrapping_add(0x7fff_ffff), 5_000)).expect("newer");
    bench.wait(ms(40));
    bench.sent();
    assert_eq!(bench.take(ack(3, 1).data(b"c").timestamps(900, 5_000)), Err(DropReason::PawsRejected));
    bench.wait(core::time::Duration::from_secs(25 * 86_400));
    bench.take(ack(3, 1).data(b"c").timestamps(900, 5_000)).expect("what is 24 days old proves nothing");
}

#[test]
fn a_timestamp_beyond_a_gap_is_not_echoed() {
    let mut bench = with_timestamps();
    bench.take(ack(11, 1).data(b"later").timestamps(3_000, 5_000)).expect("in the window");
    assert_eq!(bench.one().header.options.timestamps, Some((5_000, 1_000)));
    bench.take(ack(1, 1).data(b"0123456789").timestamps(2_500, 5_000)).expect("fills the gap");
    assert_eq!(bench.one().header.options.timestamps, Some((5_000, 2_500)));
}

#[test]
fn a_forged_window_of_an_old_segment_changes_nothing() {
    let mut bench = Bench::plain();
    bench.send(&[0; 3_000]);
    bench.sent();
    bench.take(ack(1, 2_001).window(5_000)).expect("good");
    bench.take(ack(1, 1_001).window(0)).expect("late, and harmless");
    bench.send(&[0; 1_000]);
    assert_eq!(bench.shapes(), [(3_001, 1_000, ACK)]);
}

#[test]
fn in_time_wait_a_newer_syn_may_begin_anew() {
    use wharf_wire::tcp::{TcpOptions, TcpRepr};
    let syn = |seq: u32, flags| TcpRepr {
        src_port: 80,
        dst_port: 4_000,
        seq: IRS.wrapping_add(seq),
        ack: 0,
        flags,
        window: 1,
        urgent: 0,
        options: TcpOptions::default(),
    };
    let bench = Bench::in_state(State::TimeWait);
    assert!(bench.conn.may_be_reopened_by(&syn(3, SYN)));
    assert!(!bench.conn.may_be_reopened_by(&syn(2, SYN)));
    assert!(!bench.conn.may_be_reopened_by(&syn(3, SYN | ACK)));
    assert!(!Bench::in_state(State::Established).conn.may_be_reopened_by(&syn(3, SYN)));
}

#[test]
fn urgent_data_is_data() {
    let mut bench = Bench::plain();
    bench.take(ack(1, 1).flags(ACK | URG).data(b"now!")).expect("good");
    assert_eq!(bench.received(), b"now!");
}

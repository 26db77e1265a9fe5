use super::super::sack::Delivered;
use super::super::seq::Range;
use super::*;
use wharf_wire::tcp::SackBlocks;

fn seq(value: u32) -> SeqNum {
    SeqNum::new(value)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Ten segments of 100 bytes from 0 on, sent one each millisecond.
fn ten() -> Scoreboard {
    let mut board = Scoreboard::new(Range::new(seq(0), seq(100)), at(0));
    (1..10).for_each(|i| board.on_sent(seq(100 + i * 100), at(i.into()), Duration::ZERO));
    board
}

fn report(board: &mut Scoreboard, now: u64, left: u32, right: u32) {
    let mut blocks = SackBlocks::EMPTY;
    blocks.push(left, right);
    let hearing = Hearing { now: at(now), min_rtt: 10_000, echo_until: None, recover: seq(0) };
    board.on_blocks(&blocks, &hearing, &mut Delivered::default());
}

/// RFC 8985, section 6.2, step 5.
#[test]
fn what_left_before_what_arrived_is_lost_after_the_window() {
    let mut board = ten();
    report(&mut board, 23, 300, 400);
    // It took 20 ms; what left at 0, 1, 2 had 23, 22, 21.
    assert_eq!(board.find_losses(at(23), ms(0)), Some(Findings { lost: 300, wait: None }));
    assert_eq!(board.find_losses(at(24), ms(0)), None, "nothing has arrived since");
    assert_eq!(board.next_lost(), Some(Range::new(seq(0), seq(100))));
    assert_eq!(board.lost(), 300);
}

#[test]
fn within_the_window_it_is_waited_for() {
    let mut board = ten();
    report(&mut board, 23, 300, 400);
    let found = board.find_losses(at(23), ms(5)).expect("something arrived");
    assert_eq!(found, Findings { lost: 0, wait: Some(ms(5)) });
    assert_eq!(board.detect(at(25), ms(5)), Findings { lost: 100, wait: Some(ms(3)) });
    assert_eq!(board.detect(at(28), ms(5)), Findings { lost: 200, wait: None });
}

/// RFC 8985, section 3: a lost retransmission is found like any other.
#[test]
fn what_went_again_in_vain_is_lost_again() {
    let mut board = ten();
    report(&mut board, 29, 100, 1_000);
    assert_eq!(board.detect(at(29), ms(0)).lost, 100);
    board.on_resent(Range::new(seq(0), seq(100)), at(29), Duration::ZERO);
    board.on_sent(seq(1_100), at(30), Duration::ZERO);
    assert_eq!(board.detect(at(40), ms(0)).lost, 0);
    report(&mut board, 50, 1_000, 1_100);
    assert_eq!(board.detect(at(50), ms(0)).lost, 100);
}

/// RFC 8985, section 6.2, step 2: an acknowledgment that comes sooner than any round trip is the original's.
#[test]
fn the_original_of_what_went_again_says_nothing_of_the_time() {
    let mut board = ten();
    report(&mut board, 24, 400, 500);
    board.detect(at(24), ms(0));
    board.on_resent(Range::new(seq(0), seq(400)), at(24), Duration::ZERO);
    report(&mut board, 25, 100, 200);
    assert_eq!(board.detect(at(25), ms(0)).lost, 0, "what left after 4 ms is not overtaken by it");
    report(&mut board, 44, 200, 300);
    assert_eq!(board.detect(at(44), ms(0)).lost, 100 + 500, "this one was the retransmission");
}

/// RFC 8985, section 6.3.
#[test]
fn a_time_out_spares_what_has_only_just_left() {
    let mut board = ten();
    report(&mut board, 29, 900, 1_000);
    board.on_sent(seq(1_200), at(210), Duration::ZERO);
    board.mark_timed_out(at(220));
    assert_eq!((board.lost(), board.pipe()), (900, 200));
}

/// RFC 8985, section 6.2.4.
#[test]
fn the_window_grows_once_a_round_trip_and_stays_for_sixteen_recoveries() {
    let mut reordering = Reordering::new();
    assert_eq!(reordering.window(20_000, 40_000), ms(5));
    for _ in 0..3 {
        reordering.widen();
    }
    assert_eq!(reordering.window(20_000, 40_000), ms(20));
    (0..200).for_each(|_| reordering.widen());
    assert_eq!(reordering.window(20_000, 40_000), ms(40), "no more than the smoothed round trip");
    (0..15).for_each(|_| reordering.on_recovered());
    assert_eq!(reordering.window(20_000, 40_000), ms(40));
    reordering.on_recovered();
    assert_eq!(reordering.window(20_000, 40_000), ms(5));
    let mut board = ten();
    assert!(board.on_dsack(seq(0), seq(1_000)));
    assert!(!board.on_dsack(seq(900), seq(2_000)));
    assert!(board.on_dsack(seq(1_000), seq(2_000)));
}

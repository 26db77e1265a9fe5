use super::*;
use alloc::vec::Vec;

fn seq(value: u32) -> SeqNum {
    SeqNum::new(value)
}

fn range(left: u32, right: u32) -> Range {
    Range::new(seq(left), seq(right))
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn hearing(now: Instant) -> Hearing {
    Hearing { now, min_rtt: 0, echo_until: None, recover: seq(0) }
}

fn blocks(of: &[(u32, u32)]) -> SackBlocks {
    let mut blocks = SackBlocks::EMPTY;
    assert!(of.iter().all(|&(left, right)| blocks.push(left, right)));
    blocks
}

fn report(board: &mut Scoreboard, of: &[(u32, u32)]) -> u32 {
    board.on_blocks(&blocks(of), &hearing(at(100)), &mut Delivered::default())
}

/// 1000..3000 is on its way, in pieces of 100 that left a millisecond apart.
fn board() -> Scoreboard {
    let mut board = Scoreboard::new(range(1_000, 1_100), at(0));
    for (piece, time) in (1_200..=3_000).step_by(100).zip(1..) {
        board.on_sent(seq(piece), at(time), Duration::ZERO);
    }
    board
}

#[test]
fn what_leaves_at_once_is_one_piece() {
    let mut board = Scoreboard::new(range(0, 10), at(5));
    (2..50).for_each(|end| board.on_sent(seq(end * 10), at(5), Duration::ZERO));
    assert_eq!(board.pieces.len(), 1);
    board.on_sent(seq(500), at(6), Duration::ZERO);
    assert_eq!((board.pieces.len(), board.pipe()), (2, 500));
}

#[test]
fn many_times_are_told_less_exactly() {
    let mut board = Scoreboard::new(range(0, 1), at(0));
    let srtt = Duration::from_millis(3_200);
    for time in 1..100_000_u64 {
        board.on_sent(seq(time as u32 + 1), at(time), srtt);
    }
    assert!(board.pieces.len() <= PIECES_MAX, "{}", board.pieces.len());
}

#[test]
fn reports_that_lie_are_not_believed() {
    let mut board = board();
    let far = 1 << 31;
    for lie in [
        (far - 9, far + 1_500),
        (900, 950),
        (1_000, 1_100),
        (2_900, 3_001),
        (5_000, 6_000),
        (1_500, 1_400),
        (1_500, 1_500),
    ] {
        assert_eq!(report(&mut board, &[lie]), 0, "{lie:?}");
    }
    assert_eq!(board.pipe(), 2_000);
    assert_eq!(report(&mut board, &[(1_450, 1_550), (1_100, 1_101)]), 101);
    assert_eq!(report(&mut board, &[(1_450, 1_550), (1_100, 1_101)]), 0, "told before");
}

#[test]
fn a_hostile_peer_can_t_make_the_board_grow_without_end() {
    let mut board = Scoreboard::new(range(0, 1_000_000), at(0));
    for left in (1..1_000_000).step_by(2) {
        report(&mut board, &[(left, left + 1)]);
    }
    assert!(board.pieces.len() <= PIECES_MAX + 2);
}

#[test]
fn one_acknowledgment_does_not_overtake_itself() {
    let mut board = board();
    let mut delivered = Delivered::default();
    board.on_blocks(&blocks(&[(2_000, 2_100), (1_500, 1_600)]), &hearing(at(100)), &mut delivered);
    assert!(!delivered.reordered);
    board.on_blocks(&blocks(&[(1_700, 1_800)]), &hearing(at(100)), &mut delivered);
    assert!(delivered.reordered);
    assert_eq!((delivered.bytes, delivered.reported), (300, Some((at(5), at(7)))));
}

/// Against a model that keeps what is known of each byte.
#[test]
fn pieces_are_bytes() {
    let base = u32::MAX - 900;
    let mut random = 99_u64;
    let mut below = |end: u32| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u32 % end
    };
    for _ in 0..300 {
        let mut board = Scoreboard::new(Range::new(seq(base), seq(base.wrapping_add(50))), at(0));
        let mut model: Vec<Fate> = alloc::vec![Fate::OnItsWay; 50];
        let mut una = 0_usize;
        for time in 1..60 {
            let len = model.len() as u32;
            let place = |offset: u32| seq(base.wrapping_add(offset));
            let from = una as u32 + below((len - una as u32).max(1));
            let to = (from + 1 + below(40)).min(len);
            match below(6) {
                0 => {
                    let more = 1 + below(40);
                    model.resize(model.len() + more as usize, Fate::OnItsWay);
                    board.on_sent(place(len + more), at(time), Duration::ZERO);
                }
                1 if from < to && from as usize > una => {
                    let new =
                        model[from as usize..to as usize].iter().filter(|&&f| f != Fate::Reported).count();
                    model[from as usize..to as usize].fill(Fate::Reported);
                    let block = (base.wrapping_add(from), base.wrapping_add(to));
                    assert_eq!(report(&mut board, &[block]), new as u32);
                }
                2 if below(3) == 0 => {
                    board.on_acked(place(to), &hearing(at(time)), &mut Delivered::default());
                    una = to as usize;
                }
                3 => {
                    board.mark_head_lost(to - una as u32);
                    model[una..to as usize]
                        .iter_mut()
                        .filter(|f| **f == Fate::OnItsWay)
                        .for_each(|f| *f = Fate::Lost);
                }
                4 => {
                    if let Some(lost) = board.next_lost() {
                        let left = lost.left.since(seq(base)) as usize;
                        assert_eq!(model[una..].iter().position(|&f| f == Fate::Lost), Some(left - una));
                        let len = 1 + below(lost.len());
                        board.on_resent(Range::new(lost.left, lost.left + len), at(time), Duration::ZERO);
                        model[left..left + len as usize].fill(Fate::OnItsWay);
                    } else {
                        assert!(!model[una..].contains(&Fate::Lost));
                    }
                }
                _ => {
                    let now = at(time + u64::from(below(20)));
                    board.detect(now, Duration::ZERO);
                    // What it finds is read back, and only what was on its way may be lost by it.
                    let mut left = una;
                    for piece in &board.pieces {
                        let right = piece.end.since(seq(base)) as usize;
                        for fate in &mut model[left..right] {
                            assert!(
                                *fate == piece.fate || *fate == Fate::OnItsWay && piece.fate == Fate::Lost
                            );
                            *fate = piece.fate;
                        }
                        left = right;
                    }
                }
            }
            let count = |fate| model[una..].iter().filter(|&&f| f == fate).count() as u32;
            assert_eq!(board.pipe(), count(Fate::OnItsWay));
            assert_eq!((board.lost(), board.reported()), (count(Fate::Lost), count(Fate::Reported)));
            let known: Vec<Fate> = board
                .pieces
                .iter()
                .scan(una, |left, piece| {
                    let right = piece.end.since(seq(base)) as usize;
                    Some((core::mem::replace(left, right), right, piece.fate))
                })
                .flat_map(|(left, right, fate)| core::iter::repeat_n(fate, right - left))
                .collect();
            assert_eq!(known, model[una..]);
        }
    }
}

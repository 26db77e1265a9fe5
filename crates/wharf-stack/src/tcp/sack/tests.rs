use super::*;

const MSS: u32 = 100;

fn seq(value: u32) -> SeqNum {
    SeqNum::new(value)
}

fn range(left: u32, right: u32) -> Range {
    Range::new(seq(left), seq(right))
}

fn blocks(of: &[(u32, u32)]) -> SackBlocks {
    let mut blocks = SackBlocks::EMPTY;
    assert!(of.iter().all(|&(left, right)| blocks.push(left, right)));
    blocks
}

/// 1000..3000 is on its way.
fn board(reported: &[(u32, u32)]) -> Scoreboard {
    let mut board = Scoreboard::new(seq(1000));
    for &block in reported {
        board.on_blocks(&blocks(&[block]), seq(1000), seq(3000));
    }
    board
}

#[test]
fn three_segments_above_make_a_hole_lost() {
    let mut two = board(&[(1100, 1300)]);
    assert!(!two.find_losses(MSS));
    assert!(!two.has_losses(seq(1000)));
    let mut three = board(&[(1100, 1400)]);
    assert!(three.find_losses(MSS));
    assert_eq!(three.next_lost(), Some(range(1000, 1100)));
}

#[test]
fn three_islands_make_what_lies_below_them_lost_and_no_more() {
    let mut board = board(&[(1100, 1150), (1300, 1350), (1500, 1550), (1700, 1750)]);
    board.find_losses(MSS);
    assert_eq!(board.next_lost(), Some(range(1000, 1100)));
    board.on_resent(range(1000, 1100), seq(3000));
    assert_eq!(board.next_lost(), Some(range(1150, 1300)));
    board.on_resent(range(1150, 1200), seq(3000));
    assert_eq!(board.next_lost(), Some(range(1200, 1300)));
    board.on_resent(range(1200, 1300), seq(3000));
    assert_eq!(board.next_lost(), None, "1350..1500 has two islands above it");
}

#[test]
fn the_pipe_counts_what_is_on_its_way() {
    let mut board = board(&[(1500, 2000)]);
    assert_eq!(board.pipe(seq(1000), seq(3000)), 1500);
    board.find_losses(MSS);
    assert_eq!(board.pipe(seq(1000), seq(3000)), 1000);
    board.on_resent(range(1000, 1200), seq(3000));
    assert_eq!(board.pipe(seq(1000), seq(3000)), 1200);
    board.on_blocks(&blocks(&[(1100, 1200)]), seq(1000), seq(3000));
    assert_eq!(board.pipe(seq(1000), seq(3000)), 1100);
    board.on_acked(seq(1500));
    assert_eq!(board.pipe(seq(1500), seq(3000)), 1000);
}

#[test]
fn blocks_that_make_no_sense_are_not_believed() {
    let odd = [(500, 700), (1000, 1100), (2900, 3001), (1400, 1300), (3000, 4000)];
    let mut board = Scoreboard::new(seq(1000));
    for block in odd {
        assert_eq!(board.on_blocks(&blocks(&[block]), seq(1000), seq(3000)), 0, "{block:?}");
    }
    assert!(!board.has_reports());
}

#[test]
fn a_resent_segment_is_lost_again_when_later_data_arrives() {
    let mut board = board(&[(1100, 3000)]);
    board.find_losses(MSS);
    board.on_resent(range(1000, 1100), seq(3000));
    board.on_blocks(&blocks(&[(3000, 3200)]), seq(1000), seq(3500));
    assert!(!board.find_losses(MSS));
    assert_eq!(board.next_lost(), None);
    board.on_blocks(&blocks(&[(3200, 3300)]), seq(1000), seq(3500));
    assert!(board.find_losses(MSS));
    assert_eq!(board.next_lost(), Some(range(1000, 1100)));
}

#[test]
fn after_a_timeout_all_that_was_not_reported_goes_again() {
    let mut board = board(&[(1200, 1300)]);
    board.on_resent(range(1000, 1100), seq(3000));
    board.mark_all_lost(seq(1000), seq(3000));
    assert_eq!(board.pipe(seq(1000), seq(3000)), 0);
    assert_eq!(board.next_lost(), Some(range(1000, 1200)));
    board.on_resent(range(1000, 1200), seq(3000));
    assert_eq!(board.next_lost(), Some(range(1300, 3000)));
}

#[test]
fn memory_is_bounded() {
    let mut board = Scoreboard::new(seq(0));
    for island in 0..2_000 {
        board.on_blocks(&blocks(&[(island * 4 + 1, island * 4 + 2)]), seq(0), seq(1 << 20));
    }
    assert_eq!(board.sacked.as_slice().len(), RANGES_MAX);
    board.mark_all_lost(seq(0), seq(1 << 20));
    while let Some(next) = board.next_lost() {
        board.on_resent(next, seq(1 << 20));
    }
    assert!(board.resent.len() <= RANGES_MAX + 2);
}

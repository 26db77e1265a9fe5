use std::vec;

use wharf_table::notation::Cidr;

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const PEER: Addr = Addr::v4([10, 0, 0, 9]);
const ROUTER: Addr = Addr::v4([10, 0, 0, 1]);
const OUTSIDE: Addr = Addr::v4([192, 0, 2, 1]);

fn host() -> HostRole {
    HostRole {
        addresses: vec![Cidr::new(Addr::v4([10, 0, 0, 2]), 24).unwrap()],
        gateway_v4: Some(ROUTER),
        gateway_v6: None,
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(100_000 + seconds * 1_000)
}

fn frame(byte: u8) -> Vec<u8> {
    vec![byte; 20]
}

#[test]
fn frames_wait_for_the_answer_and_go_to_it() {
    let mut neighbors = Neighbors::new();
    assert_eq!(neighbors.resolve(&host(), OUTSIDE), None);
    assert_eq!(neighbors.hold(&host(), OUTSIDE, frame(7)), Ok(()));
    assert_eq!(neighbors.poll_solicit(), Some(Solicit { target: ROUTER, last_known: None }));
    assert_eq!(neighbors.poll_solicit(), None);
    neighbors.learn(at(0), ROUTER, MAC, Evidence::Answer);
    let sent = neighbors.poll_frame().unwrap();
    assert_eq!((&sent[..6], &sent[6..]), (&MAC[..], &[7; 14][..]));
    assert_eq!(neighbors.resolve(&host(), OUTSIDE), Some(MAC));
}

#[test]
fn the_oldest_frame_makes_room() {
    let mut neighbors = Neighbors::new();
    for byte in 0..3 {
        assert_eq!(neighbors.hold(&host(), PEER, frame(byte)), Ok(()));
    }
    assert_eq!(neighbors.hold(&host(), PEER, frame(3)), Err(DropReason::NeighborUnresolved));
    neighbors.learn(at(0), PEER, MAC, Evidence::Answer);
    let sent: Vec<u8> = core::iter::from_fn(|| neighbors.poll_frame()).map(|frame| frame[6]).collect();
    assert_eq!(sent, [1, 2, 3]);
}

#[test]
fn three_questions_a_second_apart_then_it_fails() {
    let mut neighbors = Neighbors::new();
    neighbors.hold(&host(), PEER, frame(7)).unwrap();
    assert!(neighbors.poll_timeout().unwrap() <= at(0));
    neighbors.handle_timeout(at(0));
    for second in 1..=2 {
        assert!(neighbors.poll_solicit().is_some() && neighbors.poll_solicit().is_none());
        assert_eq!(neighbors.poll_timeout(), Some(at(second)));
        neighbors.handle_timeout(at(second));
    }
    assert!(neighbors.poll_solicit().is_some() && neighbors.poll_failed().is_none());
    neighbors.handle_timeout(at(3));
    assert_eq!(neighbors.poll_failed(), Some((PEER, frame(7))));
    assert!(neighbors.is_empty() && neighbors.poll_timeout().is_none() && neighbors.poll_solicit().is_none());
}

#[test]
fn an_old_answer_is_used_and_then_asked_for_again() {
    let mut neighbors = Neighbors::new();
    neighbors.resolve(&host(), PEER);
    neighbors.learn(at(0), PEER, MAC, Evidence::Answer);
    neighbors.handle_timeout(at(0));
    assert_eq!(neighbors.poll_timeout(), Some(at(30)));
    neighbors.handle_timeout(at(30));
    assert_eq!(neighbors.poll_timeout(), None);
    assert_eq!(neighbors.resolve(&host(), PEER), Some(MAC));
    neighbors.handle_timeout(at(40));
    assert_eq!((neighbors.poll_timeout(), neighbors.poll_solicit()), (Some(at(45)), None));
    neighbors.handle_timeout(at(45));
    assert_eq!(neighbors.poll_solicit(), Some(Solicit { target: PEER, last_known: Some(MAC) }));
    assert_eq!(neighbors.resolve(&host(), PEER), Some(MAC));
    neighbors.learn(at(46), PEER, MAC, Evidence::Answer);
    assert_eq!(neighbors.poll_timeout(), Some(at(76)));
}

#[test]
fn a_question_introduces_and_an_announcement_only_corrects() {
    let mut neighbors = Neighbors::new();
    neighbors.learn(at(0), PEER, MAC, Evidence::Announcement);
    neighbors.learn(at(0), PEER, MAC, Evidence::Answer);
    assert!(neighbors.is_empty());
    neighbors.learn(at(0), PEER, MAC, Evidence::Question);
    assert_eq!((neighbors.resolve(&host(), PEER), neighbors.poll_solicit()), (Some(MAC), None));
    let other = [2, 0, 0, 0, 0, 8];
    neighbors.learn(at(0), PEER, other, Evidence::Announcement);
    assert_eq!(neighbors.resolve(&host(), PEER), Some(other));
    neighbors.learn(at(0), PEER, [0xff; 6], Evidence::Answer);
    assert_eq!(neighbors.resolve(&host(), PEER), Some(other));
}

#[test]
fn groups_need_no_question_and_strangers_have_no_route() {
    let mut neighbors = Neighbors::new();
    let broadcast = Addr::v4([10, 0, 0, 255]);
    assert_eq!(neighbors.resolve(&host(), broadcast), Some([0xff; 6]));
    assert_eq!(neighbors.resolve(&host(), Addr::v4([224, 0, 0, 251])), Some([1, 0, 0x5e, 0, 0, 251]));
    let v6 = Addr::v6([0x20; 16]);
    assert_eq!(neighbors.resolve(&host(), v6), None);
    assert_eq!(neighbors.hold(&host(), v6, frame(0)), Err(DropReason::NoRoute));
    assert!(neighbors.is_empty());
}

#[test]
fn the_cache_is_bounded() {
    let mut neighbors = Neighbors::new();
    let wide = HostRole { addresses: vec![Cidr::new(Addr::v4([10, 0, 0, 2]), 8).unwrap()], ..host() };
    for n in 0..5_000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        neighbors.resolve(&wide, Addr::v4([10, 1 + b, c, d]));
        assert!(neighbors.len() <= NEIGHBORS_MAX && neighbors.solicits.len() <= NEIGHBORS_MAX);
    }
}

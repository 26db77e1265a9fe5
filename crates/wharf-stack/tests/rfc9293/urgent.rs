//! Urgent data (RFC 9293, section 3.8.5).

use wharf_stack::tcp::Events;

use crate::bench::*;

fn mark(host: &Host, talk: &Talk) -> Option<usize> {
    host.stack.connection(talk.id).urgent_mark()
}

#[test]
fn must_30_the_urgent_pointer_is_understood_and_sent() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(1, 1).data(b"interrupt").urgent(9));
    assert_eq!((mark(&host, &talk), host.received(&talk)), (Some(9), b"interrupt".to_vec()));
    assert_eq!(host.stack.send_urgent(host.now, talk.id, b"stop"), 4);
    let sent = host.sent();
    assert!(sent[0].flags & URG != 0 && sent[0].urgent == 4 && sent[0].payload == b"stop");
    // Once it is acknowledged nothing is urgent any more.
    host.take(talk.segment(10, 5));
    assert!(host.send(&talk, b"calm").iter().all(|segment| segment.flags & URG == 0 && segment.urgent == 0));
}

#[test]
fn must_31_urgent_data_may_have_any_length() {
    let mut host = host(|settings| settings.nagle = true);
    let talk = host.opened();
    // 100,000 bytes: farther than the field reaches.
    assert_eq!(host.stack.send_urgent(host.now, talk.id, &vec![1; 100_000]), 100_000);
    let (mut sent, mut end) = (host.sent(), 1);
    while end < 100_001 {
        for segment in &sent {
            let seq = talk.numbers(segment).0;
            let left = 100_001 - seq;
            assert!(segment.flags & URG != 0 || left == 0);
            assert_eq!(u32::from(segment.urgent), left.min(65_535), "at {seq}");
            end = end.max(seq + segment.payload.len() as u32);
        }
        host.now += ms(1);
        sent = host.take(talk.segment(1, end));
    }
    // The peer's: told before any of it comes, and read in pieces.
    host.take(talk.segment(1, end).urgent(60_000));
    assert_eq!(mark(&host, &talk), Some(60_000));
    for at in 0..60 {
        host.take(talk.segment(1 + 1_000 * at, end).data(&[2; 1_000]));
        host.read(&talk, 1_000);
        let left = 59_000 - 1_000 * at as usize;
        assert_eq!(mark(&host, &talk), (left > 0).then_some(left));
    }
}

#[test]
fn must_32_the_owner_is_told_when_the_mark_moves() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(1, 1).data(b"x"));
    assert!(!host.news().contains(Events::URGENT));
    host.take(talk.segment(2, 1).urgent(10));
    assert!(host.news().contains(Events::URGENT), "also when nothing of it has come");
    host.take(talk.segment(2, 1).data(b"y").urgent(10));
    assert!(!host.news().contains(Events::URGENT), "the same mark is no news");
    host.take(talk.segment(3, 1).urgent(20));
    assert!(host.news().contains(Events::URGENT));
    host.take(talk.segment(3, 1).urgent(5));
    assert_eq!(
        (mark(&host, &talk), host.news().contains(Events::URGENT)),
        (Some(22), false),
        "it never goes back"
    );
}

#[test]
fn must_33_the_owner_can_learn_how_much_is_urgent() {
    let mut host = host(|_| {});
    let talk = host.opened();
    assert_eq!(mark(&host, &talk), None);
    host.take(talk.segment(1, 1).data(b"0123456789").urgent(7));
    for left in (1..=7).rev() {
        assert_eq!(mark(&host, &talk), Some(left));
        host.read(&talk, 1);
    }
    assert_eq!((mark(&host, &talk), host.received(&talk)), (None, b"789".to_vec()));
}

#[test]
fn must_62_the_pointer_is_the_first_octet_that_is_not_urgent() {
    let mut host = host(|settings| settings.nagle = false);
    let talk = host.opened();
    host.send(&talk, b"ab");
    host.stack.send_urgent(host.now, talk.id, b"cd");
    let sent = host.sent();
    let [urgent] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(
        (talk.numbers(urgent).0, urgent.urgent),
        (3, 2),
        "the pointer counts from the segment's number"
    );
    // As a receiver: of "abcd" with pointer 2, "ab" is urgent.
    host.take(talk.segment(1, 5).data(b"abcd").urgent(2));
    host.read(&talk, 1);
    assert_eq!(mark(&host, &talk), Some(1), "b is the last urgent one");
    host.read(&talk, 1);
    assert_eq!(mark(&host, &talk), None);
}

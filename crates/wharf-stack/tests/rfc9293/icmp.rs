//! ICMP messages (RFC 9293, section 3.9.2.2; RFC 5461; RFC 5927).

use wharf_stack::stack::Event;
use wharf_stack::tcp::{CloseReason, Events, Unreachable};

use crate::bench::*;

/// A connection with data on its way; its last segment.
fn sending(host: &mut Host) -> (Talk, Segment) {
    let talk = host.opened();
    let sent = host.send(&talk, &[1; 3_000]);
    host.news();
    (talk, sent[2].clone())
}

#[test]
fn must_47_soft_errors_are_reported() {
    let mut host = host(|_| {});
    let (talk, sent) = sending(&mut host);
    assert_eq!(host.stack.connection(talk.id).soft_error(), None);
    host.take_packets(&[icmp(3, 1, 0, &sent)]);
    assert!(host.news().contains(Events::SOFT_ERROR));
    assert_eq!(host.stack.connection(talk.id).soft_error(), Some(Unreachable::Host));
    // It is the reason, if it does not pass.
    host.wait(secs(3_600));
    assert!(host.events.contains(&Event::Closed(talk.id, CloseReason::Unreachable(Unreachable::Host))));
}

#[test]
fn must_54_tcp_acts_on_icmp() {
    let mut host = silent_host(1_500, |_| {});
    host.stack.connect(host.now, at(HOST[0], 0), at(PEER[0], 7)).unwrap();
    let syn = host.sent().remove(0);
    host.take_packets(&[icmp(3, 3, 0, &syn)]);
    let closed =
        host.events.iter().any(|event| matches!(event, Event::Closed(_, CloseReason::Unreachable(_))));
    assert!(closed, "an attempt ends with a hard error (SHLD-26)");
}

#[test]
fn must_55_source_quench_is_dropped_without_a_word() {
    let mut host = host(|_| {});
    let (talk, sent) = sending(&mut host);
    assert!(host.take_packets(&[icmp(4, 0, 0, &sent)]).is_empty());
    assert!(!host.news().contains(Events::SOFT_ERROR));
    // Not even the window shrinks: ten segments of 1,000 bytes as before.
    let sent = host.send(&talk, &[2; 60_000]);
    assert_eq!(sent.len(), 7);
}

#[test]
fn must_56_soft_errors_end_no_connection() {
    let soft = [(3, 0), (3, 1), (3, 5), (11, 0), (11, 1), (12, 0)];
    for (kind, code) in soft {
        let mut host = host(|_| {});
        let (talk, sent) = sending(&mut host);
        for _ in 0..10 {
            host.take_packets(&[icmp(kind, code, 0, &sent)]);
        }
        assert_eq!(host.stack.state(talk.id).name(), "established", "{kind}/{code}");
        host.take(talk.segment(1, 3_001).data(b"alive"));
        assert_eq!(host.received(&talk), b"alive");
    }
}

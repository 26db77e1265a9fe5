//! The ends of connections (RFC 9293, section 3.6).

use wharf_stack::stack::Event;
use wharf_stack::tcp::CloseReason;

use crate::bench::*;

#[test]
fn must_12_the_owner_hears_of_a_reset() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(1, 1).data(b"last words"));
    host.take(talk.segment(11, 1).flags(RST));
    let told = Event::Closed(talk.id, CloseReason::ResetByPeer);
    assert!(host.events.contains(&told), "{:?}", host.events);
    // A normal close tells something else.
    let mut host = crate::bench::host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(1, 1).flags(FIN | ACK));
    host.stack.shutdown(host.now, talk.id);
    host.sent();
    host.take(talk.segment(2, 2));
    assert!(host.events.contains(&Event::Closed(talk.id, CloseReason::Finished)));
}

/// A connection that the host has finished first, and the peer too; released by its owner.
fn finished() -> (Host, Talk) {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.stack.shutdown(host.now, talk.id);
    assert!(host.sent()[0].is(FIN | ACK));
    host.take(talk.segment(1, 2));
    let last = host.take(talk.segment(1, 2).flags(FIN | ACK));
    assert!(last[0].is(ACK) && talk.numbers(&last[0]) == (2, 2));
    host.stack.release(host.now, talk.id);
    host.sent();
    (host, talk)
}

#[test]
fn must_13_time_wait_lasts_two_msl() {
    // 60 s, as Linux: an MSL of 30 s.
    for (waited, remembered) in [(secs(1), true), (secs(59), true), (secs(61), false)] {
        let (mut host, talk) = finished();
        host.wait(waited);
        // The peer's FIN again: its acknowledgment was lost.
        let answer = host.take(talk.segment(1, 2).flags(FIN | ACK)).remove(0);
        if remembered {
            assert!(answer.is(ACK) && talk.numbers(&answer) == (2, 2), "{waited:?}: {answer:?}");
            // That starts the wait anew.
            host.wait(secs(59));
            assert!(host.take(talk.segment(1, 2).flags(FIN | ACK)).remove(0).is(ACK));
        } else {
            assert!(answer.flags & RST != 0, "{waited:?}: {answer:?}");
        }
    }
}

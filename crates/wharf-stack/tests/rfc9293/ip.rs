//! What TCP says to IP and hears from it (RFC 9293, section 3.9.2).

use wharf_stack::tcp::Change;

use crate::bench::*;

#[test]
fn must_48_the_owner_names_the_differentiated_service() {
    for family in [0, 1] {
        let mut host = host(|settings| settings.dscp = 46);
        let talk = host.opened_with(family, &MSS_1000);
        assert_eq!(talk.syn_ack.class >> 2, 46);
        let sent = host.send(&talk, b"data");
        assert_eq!(sent[0].class >> 2, 46, "passed unchanged (SHLD-22)");
        host.stack.change(host.now, talk.id, Change::Dscp(8));
        host.take(talk.segment(1, 5));
        assert_eq!(host.send(&talk, b"more")[0].class >> 2, 8, "and it may change (SHLD-21)");
    }
}

#[test]
fn must_49_the_owner_names_the_time_to_live() {
    for family in [0, 1] {
        let mut host = host(|_| {});
        let talk = host.opened_with(family, &MSS_1000);
        assert_eq!(talk.syn_ack.hop_limit, 64);
        host.stack.change(host.now, talk.id, Change::HopLimit(255));
        assert_eq!(host.send(&talk, b"data")[0].hop_limit, 255);
        let mut far = crate::bench::host(|settings| settings.hop_limit = 7);
        let talk = far.opened_with(family, &MSS_1000);
        assert_eq!((talk.syn_ack.hop_limit, far.send(&talk, b"data")[0].hop_limit), (7, 7));
    }
}

#[test]
fn must_50_ip_options_that_tcp_does_not_know_are_ignored() {
    // Router alert, stream identifier, an experiment, a record of the route, timestamps.
    let options: [&[u8]; 5] = [
        &[148, 4, 0, 0],
        &[136, 4, 1, 2],
        &[94, 8, 1, 2, 3, 4, 5, 6],
        &[7, 7, 4, 0, 0, 0, 0, 1],
        &[68, 8, 5, 0, 0, 0, 0, 0],
    ];
    let mut host = host(|_| {});
    let talk = host.opened();
    let mut at = 1;
    for options in options {
        host.take(Segment { ip_options: options.to_vec(), ..talk.segment(at, 1).data(b"text") });
        at += 4;
        assert_eq!(host.received(&talk).len() as u32, at - 1, "{options:?}");
    }
    let sent = host.send(&talk, b"answer");
    assert!(sent.iter().all(|segment| segment.ip_options.is_empty()));
}

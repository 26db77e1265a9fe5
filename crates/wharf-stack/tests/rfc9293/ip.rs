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

/// A loose and a strict source route, complete and not (RFC 791, section 3.1).
const SOURCE_ROUTES: [&[u8]; 4] = [
    &[131, 7, 8, 10, 0, 2, 99, 0],
    &[137, 7, 8, 10, 0, 2, 99, 0],
    &[131, 7, 4, 10, 0, 2, 99, 0],
    &[137, 7, 4, 10, 0, 2, 99, 0],
];

// Source routes are the one service of the appendix that is refused on purpose: they lead round every rule, and are to be
// dropped (RFC 7126, sections 4.3 and 4.4, BCP 186, which is newer than the rules' origin, RFC 1122). So there is none to
// be specified, and what these rules are about, where answers go, is kept: never along a route that came with a packet.

#[test]
fn must_51_no_route_is_specified_since_none_is_used() {
    let mut host = silent_host(1_500, |_| {});
    host.stack.connect(host.now, at(HOST[0], 0), at(PEER[0], 7)).unwrap();
    let syn = host.sent().remove(0);
    assert!(syn.ip_options.is_empty() && syn.dst == PEER[0]);
}

#[test]
fn must_52_a_received_route_overrides_nothing() {
    for route in SOURCE_ROUTES {
        let mut host = host(|_| {});
        let talk = host.opened();
        let routed = Segment { ip_options: route.to_vec(), ..talk.segment(1, 1).data(b"forged") };
        assert!(host.take(routed).is_empty() && host.received(&talk).is_empty());
        let sent = host.send(&talk, b"answer");
        assert!(sent[0].ip_options.is_empty() && sent[0].dst == PEER[0]);
    }
}

#[test]
fn must_53_a_connection_never_opens_over_a_route() {
    for route in SOURCE_ROUTES {
        let mut host = host(|_| {});
        let syn = Segment { seq: IRS, ip_options: route.to_vec(), ..blank(0, 5_000).flags(SYN) };
        assert!(
            host.take(syn).is_empty() && host.stack.connection_count() == 0,
            "so there is no way back to be saved"
        );
    }
}

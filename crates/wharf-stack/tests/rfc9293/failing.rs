//! Connections that fail, and keepalive (RFC 9293, sections 3.8.3 and 3.8.4).

use std::time::Duration;

use wharf_sim::{Lab, Setup};
use wharf_stack::stack::Event;
use wharf_stack::tcp::{Change, CloseReason, Events, Keepalive, Settings};

use crate::bench::*;

const HOUR: Duration = secs(3_600);

/// How long the owner waits to hear that it is over; the segments sent meanwhile.
fn until_closed(host: &mut Host, most: Duration) -> (Option<Duration>, Vec<Segment>) {
    let (start, mut all) = (host.now, Vec::new());
    while host.now.since(start) < most {
        all.extend(host.wait(secs(1)).into_iter().map(|(_, segment)| segment));
        if host.events.iter().any(|event| matches!(event, Event::Closed(_, CloseReason::TimedOut))) {
            return (Some(host.now.since(start)), all);
        }
    }
    (None, all)
}

#[test]
fn must_20_first_the_way_is_doubted_then_the_connection_is_closed() {
    // R2: at least 100 s (SHLD-11), and the default lasts longer.
    let mut host = host(|_| {});
    let talk = host.opened();
    host.send(&talk, b"hello?");
    let (took, sent) = until_closed(&mut host, HOUR);
    assert!(took.is_some_and(|took| took > secs(100)), "{took:?}");
    assert!(sent.len() >= 8);
    // R1: the neighbour is asked whether it is there, although it answered a moment ago.
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=1ms"));
    lab.listen(server, 80);
    let target = lab.v4(server);
    let (near, _) = lab.establish(client, server, target, 80);
    let questions = |lab: &Lab| {
        let arp = lab.capture(client).frames().filter(|(_, frame)| frame[12..14] == [8, 6]);
        arp.filter(|(_, frame)| frame[6..12] == lab.hardware(client) && frame[21] == 1).count()
    };
    let before = questions(&lab);
    lab.impair(server, "loss=100%");
    lab.send(near, b"hello?");
    lab.run_for(ms(1_000));
    assert_eq!(questions(&lab), before, "not at the first sign");
    lab.run_for(secs(3));
    assert!(questions(&lab) > before);
}

#[test]
fn must_21_the_owner_chooses_how_long() {
    let wait = |settings: fn(&mut Settings), change: Option<Change>| {
        let mut host = host(settings);
        let talk = host.opened();
        if let Some(change) = change {
            host.stack.change(host.now, talk.id, change);
        }
        host.send(&talk, b"hello?");
        until_closed(&mut host, HOUR).0
    };
    let short = wait(|settings| settings.max_retries = 3, None).unwrap();
    assert!(short < secs(10), "{short:?}");
    let changed = wait(|_| {}, Some(Change::MaxRetries(3)));
    assert_eq!(changed, Some(short));
    // As a time.
    let timed = wait(|settings| settings.user_timeout = Some(secs(20)), None).unwrap();
    assert!(timed >= secs(20) && timed <= secs(21), "{timed:?}");
    assert_eq!(wait(|_| {}, Some(Change::UserTimeout(Some(secs(20))))), Some(timed));
    let patient = wait(|settings| settings.user_timeout = Some(2 * HOUR), None);
    assert_eq!(patient, None, "also a longer one");
}

#[test]
fn must_22_the_same_holds_for_syn() {
    let mut host = silent_host(1_500, |settings| settings.syn_retries = 4);
    host.stack.connect(host.now, at(HOST[0], 0), at(PEER[0], 7)).unwrap();
    assert_eq!(host.sent().len(), 1);
    let (took, sent) = until_closed(&mut host, HOUR);
    assert_eq!(took, Some(secs(4 + 1 + 2 + 4 + 8 + 16)), "four of a second come first");
    assert!(sent.len() == 8 && sent.iter().all(|segment| segment.is(SYN)));
    // And for the SYN-ACK.
    let mut host = crate::bench::host(|settings| settings.syn_retries = 2);
    host.take(Segment { seq: IRS, ..blank(0, 5_000).flags(SYN) });
    let answers = host.wait(secs(600));
    assert!(!answers.is_empty() && answers.iter().all(|(_, segment)| segment.is(SYN | ACK)));
    assert_eq!(host.stack.connection_count(), 0);
}

#[test]
fn must_23_a_syn_is_sent_for_three_minutes_at_least() {
    let mut host = silent_host(1_500, |_| {});
    host.stack.connect(host.now, at(HOST[0], 0), at(PEER[0], 7)).unwrap();
    assert_eq!(host.sent().len(), 1);
    let (took, _) = until_closed(&mut host, HOUR);
    assert!(took.is_some_and(|took| took >= secs(180)), "{took:?}");
}

const ASKED: Keepalive = Keepalive { idle: secs(100), interval: secs(10), probes: 5 };

#[test]
fn must_24_keepalive_can_be_asked_for() {
    let mut host = host(|_| {});
    let talk = host.opened();
    assert!(host.wait(HOUR).is_empty());
    host.stack.change(host.now, talk.id, Change::Keepalive(Some(ASKED)));
    assert!(!host.wait(secs(101)).is_empty());
    // And called off.
    host.take(talk.segment(1, 1));
    host.stack.change(host.now, talk.id, Change::Keepalive(None));
    assert!(host.wait(HOUR).is_empty());
    assert_eq!(host.stack.state(talk.id).name(), "established");
}

#[test]
fn must_25_it_is_off_by_default() {
    let mut host = host(|_| {});
    host.opened();
    assert!(host.wait(24 * HOUR).is_empty());
}

#[test]
fn must_26_only_who_was_silent_is_asked() {
    let mut host = host(|settings| settings.keepalive = Some(ASKED));
    let talk = host.opened();
    for at in 0..5 {
        assert!(host.wait(secs(99)).is_empty());
        host.take(talk.segment(1 + at, 1).data(b"x"));
        host.wait(ms(500));
    }
    assert!(host.wait(secs(98)).is_empty());
    let probe = host.wait(secs(3));
    assert_eq!(talk.numbers(&probe[0].1).0, 0, "a segment that must be answered");
}

#[test]
fn must_27_the_interval_is_chosen() {
    for idle in [secs(10), secs(7_200), secs(32_000)] {
        let mut host = host(|settings| settings.keepalive = Some(Keepalive { idle, ..ASKED }));
        host.opened();
        let first = host.wait(idle + secs(1)).first().map(|(at, _)| *at);
        assert_eq!(first, Some(idle));
    }
}

#[test]
fn must_28_its_default_is_two_hours_at_least() {
    assert!(Keepalive::default().idle >= 2 * HOUR);
    let mut host = host(|settings| settings.keepalive = Some(Keepalive::default()));
    host.opened();
    assert!(host.wait(2 * HOUR - secs(1)).is_empty());
    assert!(!host.wait(secs(2)).is_empty());
}

#[test]
fn must_29_a_lost_answer_is_not_the_end() {
    let mut host = host(|settings| settings.keepalive = Some(ASKED));
    let talk = host.opened();
    for _ in 0..20 {
        let probes = host.wait(secs(100 + 35));
        assert!(probes.len() == 4 && host.stack.state(talk.id).name() == "established");
        host.take(talk.segment(1, 1));
    }
    host.wait(secs(1_000));
    assert_eq!(host.stack.state(talk.id).name(), "closed", "but silence is");
}

#[test]
fn shld_9_the_owner_hears_of_trouble_before_the_end() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.send(&talk, b"hello?");
    host.news();
    host.wait(ms(500));
    assert!(!host.news().contains(Events::SOFT_ERROR));
    host.wait(secs(5));
    assert!(host.news().contains(Events::SOFT_ERROR));
    assert_eq!(host.stack.state(talk.id).name(), "established");
}

//! Sending data (RFC 9293, sections 3.7.4, 3.8.1, 3.8.2 and 3.9.1.2).

use std::time::Duration;

use wharf_stack::tcp::{Change, Settings};

use crate::bench::*;

#[test]
fn must_17_nagle_can_be_switched_off() {
    let pieces = |host: &mut Host, talk: &Talk| {
        let sent: Vec<usize> = (0..5).map(|_| host.send(talk, b"key").len()).collect();
        sent
    };
    let mut waits = host(|_| {});
    let talk = waits.opened();
    assert_eq!(pieces(&mut waits, &talk), [1, 0, 0, 0, 0], "on by default (SHLD-7)");
    // While the connection lives; what was held back leaves.
    waits.stack.change(waits.now, talk.id, Change::Nagle(false));
    assert_eq!(waits.sent().len(), 1);
    assert_eq!(pieces(&mut waits, &talk), [1; 5]);
    let mut never = host(|settings| settings.nagle = false);
    let talk = never.opened();
    assert_eq!(pieces(&mut never, &talk), [1; 5]);
}

/// How long until something leaves; it must be this data.
fn first_resent(host: &mut Host) -> Duration {
    let resent = host.wait(secs(30));
    let data = resent.iter().find(|(_, segment)| !segment.payload.is_empty());
    data.expect("it goes again").0
}

fn without_probes(settings: &mut Settings) {
    (settings.timestamps, settings.sack) = (false, false);
}

#[test]
fn must_18_a_retransmitted_segment_is_not_timed() {
    let mut host = host(without_probes);
    let talk = host.opened();
    // Round trips of 10 ms.
    let mut at = 1;
    for _ in 0..20 {
        host.send(&talk, &[1; 1_000]);
        at += 1_000;
        host.wait(ms(10));
        host.take(talk.segment(1, at));
    }
    // One is lost, for seconds; then it, or its copy, is acknowledged.
    host.send(&talk, &[2; 1_000]);
    let resent = host.wait(secs(3));
    assert!(resent.len() >= 3);
    at += 1_000;
    host.take(talk.segment(1, at));
    // A segment that is sent once ends the back-off (RFC 6298, section 5); what took seconds has left no trace.
    host.send(&talk, &[3; 1_000]);
    at += 1_000;
    host.wait(ms(10));
    host.take(talk.segment(1, at));
    host.send(&talk, &[4; 1_000]);
    let timeout = first_resent(&mut host);
    assert!(timeout < ms(400), "{timeout:?}");
}

#[test]
fn must_19_backoff_slow_start_and_congestion_avoidance() {
    let mut host = host(without_probes);
    let talk = host.opened();
    assert_eq!(host.send(&talk, &vec![1; 600_000]).len(), 10, "the initial window");
    // Nothing comes back: one segment, ever more seldom.
    let resent = host.wait(secs(12));
    let times: Vec<Duration> =
        resent.iter().filter(|(_, segment)| talk.numbers(segment).0 == 1).map(|(at, _)| *at).collect();
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() >= 4, "{gaps:?}");
    assert!(
        gaps.windows(2).all(|pair| pair[1] >= pair[0] * 19 / 10 && pair[1] <= pair[0] * 21 / 10),
        "{gaps:?}"
    );
    // The first arrives, the rest of the first ten was lost, and from now on everything arrives, in round trips of 100 ms:
    // how far each brings it. A peer acknowledges what it has in order.
    let mut acknowledged = 1_001;
    let mut held = std::collections::BTreeSet::new();
    let mut rounds = Vec::new();
    let mut sent = host.take(talk.segment(1, acknowledged));
    for _ in 0..16 {
        rounds.push(sent.len());
        host.wait(ms(100));
        let arrived: Vec<(u32, u32)> =
            sent.iter().map(|one| (talk.numbers(one).0, one.payload.len() as u32)).collect();
        sent = Vec::new();
        for range in arrived {
            held.insert(range);
            while let Some(&(at, len)) =
                held.iter().find(|&&(at, len)| at <= acknowledged && acknowledged < at + len)
            {
                acknowledged = at + len;
            }
            sent.extend(host.take(talk.segment(1, acknowledged)));
        }
    }
    assert!(rounds[0] <= 2, "slow start begins anew: {rounds:?}");
    let peak = rounds.iter().position(|&count| count >= 4).expect("it grows");
    assert!(
        rounds[..=peak].windows(2).all(|pair| pair[1] <= 2 * pair[0] + 1),
        "by doubling at most: {rounds:?}"
    );
    assert!(peak <= 4, "and by doubling indeed: {rounds:?}");
    // Above half of what was on its way it is by about one segment a round trip.
    let steady = &rounds[peak + 2..];
    assert!(steady.windows(2).all(|pair| pair[1] <= pair[0] + 2), "{rounds:?}");
    assert!(*steady.last().unwrap() < 32, "{rounds:?}");
}

#[test]
fn must_60_data_that_nobody_pushed_leaves() {
    let mut host = host(|_| {});
    let talk = host.opened();
    // There is no push in the interface, so nothing waits for one.
    assert_eq!(host.send(&talk, b"one byte more").len(), 1);
    assert!(host.send(&talk, b"small").is_empty(), "Nagle");
    let sent = host.take(talk.segment(1, 14));
    assert_eq!(sent[0].payload, b"small", "but not for ever");
}

#[test]
fn must_61_the_last_segment_is_pushed() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let sent = host.send(&talk, &[1; 4_500]);
    let pushed: Vec<bool> = sent.iter().map(|segment| segment.flags & PSH != 0).collect();
    assert_eq!(sent.len(), 5);
    assert!(pushed[4], "when all that is queued has left: {pushed:?}");
    host.take(talk.segment(1, 4_501));
    assert!(host.send(&talk, b"x")[0].flags & PSH != 0);
}

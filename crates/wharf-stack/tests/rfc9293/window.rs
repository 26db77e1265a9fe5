//! Windows (RFC 9293, section 3.8.6).

use wharf_stack::tcp::Events;

use crate::bench::*;

/// Sends `len` bytes and acknowledges each segment as it comes; the most that was on its way at once.
fn pour(host: &mut Host, talk: &Talk, len: usize, window: u16) -> u32 {
    let mut sent = host.send(talk, &vec![7; len]);
    let (mut most, mut acknowledged) = (0, 1);
    while acknowledged < 1 + len as u32 {
        let flight: usize = sent.iter().map(|segment| segment.payload.len()).sum();
        most = most.max(flight as u32);
        acknowledged += flight as u32;
        assert!(flight > 0, "it stalls at {acknowledged}");
        host.now += ms(1);
        sent = host.take(talk.segment(1, acknowledged).window(window));
    }
    most
}

#[test]
fn must_1_a_window_is_unsigned() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let most = pour(&mut host, &talk, 400_000, 65_535);
    assert!(most > 0x8000 && most <= 65_535, "{most}");
}

#[test]
fn must_34_a_window_that_shrinks_is_borne() {
    let mut host = host(|_| {});
    let talk = host.opened();
    let sent = host.send(&talk, &[1; 20_000]);
    assert_eq!(sent.len(), 10);
    // The right edge moves from 60,001 to 3,001, before what is on its way.
    let sent = host.take(talk.segment(1, 2_001).window(1_000));
    assert!(sent.is_empty(), "no new data goes into a window that is none (SHLD-15)");
    // What is lost goes again, within the window (SHLD-16); the connection lives on.
    let resent = host.wait(secs(10));
    assert!(!resent.is_empty());
    assert!(
        resent.iter().all(|(_, segment)| talk.numbers(segment).0 + segment.payload.len() as u32 <= 3_001)
    );
    let mut acknowledged = 10_001;
    let mut sent = host.take(talk.segment(1, acknowledged).window(60_000));
    while acknowledged < 20_001 {
        let ends = sent.iter().map(|segment| talk.numbers(segment).0 + segment.payload.len() as u32);
        acknowledged = ends.max().expect("it goes on");
        sent = host.take(talk.segment(1, acknowledged));
    }
}

/// A connection whose peer takes nothing any more, with data that waits.
fn blocked(host: &mut Host) -> Talk {
    let talk = host.opened();
    host.send(&talk, &[1; 1_000]);
    host.take(talk.segment(1, 1_001).window(0));
    assert!(host.send(&talk, &[2; 5_000]).is_empty());
    talk
}

#[test]
fn must_35_a_closed_window_is_probed() {
    let mut host = host(|_| {});
    let talk = blocked(&mut host);
    let probes = host.wait(secs(2));
    let (_, probe) = &probes[0];
    // It must be answered by whoever gets it: it lies before the window, or at its edge.
    assert!(talk.numbers(probe).0 == 1_000 || talk.numbers(probe).0 == 1_001 && !probe.payload.is_empty());
    // The answer opens the window.
    let sent = host.take(talk.segment(1, 1_001).window(5_000));
    assert_eq!(sent.iter().map(|segment| segment.payload.len()).sum::<usize>(), 5_000);
}

#[test]
fn must_36_it_is_probed_again_and_again() {
    let mut host = host(|_| {});
    let talk = blocked(&mut host);
    let mut times = vec![ms(0)];
    for (at, _) in host.wait(secs(60)) {
        times.push(at);
    }
    assert!(times.len() > 6, "{times:?}");
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The first after a retransmission time-out (SHLD-29), then ever more seldom (SHLD-30).
    assert!(gaps[0] >= ms(200) && gaps[0] <= secs(1), "{gaps:?}");
    assert!(gaps.windows(2).all(|pair| pair[1] >= 2 * pair[0] - ms(5) && pair[1] <= 2 * pair[0] + ms(5)));
    assert_eq!(host.stack.state(talk.id).name(), "established");
}

#[test]
fn must_37_it_may_stay_closed_for_ever() {
    let mut host = host(|_| {});
    let talk = blocked(&mut host);
    for _ in 0..40 {
        assert!(!host.wait(secs(240)).is_empty(), "a probe every two minutes at least");
        host.take(talk.segment(1, 1_001).window(0));
    }
    assert_eq!(host.stack.state(talk.id).name(), "established");
    assert!(!host.take(talk.segment(1, 1_001).window(60_000)).is_empty());
}

#[test]
fn must_38_a_sender_avoids_the_silly_window() {
    let mut host = host(|settings| settings.nagle = false);
    let talk = host.opened();
    host.send(&talk, &[1; 1_000]);
    host.take(talk.segment(1, 1_001).window(100));
    assert!(host.send(&talk, &[2; 5_000]).is_empty(), "a tenth of a segment is not worth one");
    // Unless nothing better comes: then the override time-out lets it go.
    let sent = host.wait(secs(1));
    assert!(!sent.is_empty() && sent.iter().all(|(_, segment)| segment.payload.len() <= 100));
}

#[test]
fn must_39_a_receiver_avoids_the_silly_window() {
    let mut host = host(|settings| settings.receive_buffer = 10_000);
    let talk = host.opened();
    for at in 0..10 {
        host.take(talk.segment(1 + 1_000 * at, 1).data(&[1; 1_000]));
    }
    let probe = |host: &mut Host| host.take(talk.segment(10_000, 1).data(&[1])).remove(0).window;
    assert_eq!((host.received(&talk).len(), probe(&mut host)), (10_000, 0));
    for _ in 0..9 {
        assert!(host.read(&talk, 100).is_empty());
        assert_eq!(probe(&mut host), 0, "a window below a segment is not told");
    }
    let update = host.read(&talk, 4_100);
    assert_eq!(update.last().map(|segment| segment.window), Some(5_000));
}

#[test]
fn must_66_rst_and_urg_count_at_a_closed_window() {
    let full = |host: &mut Host| {
        let talk = host.opened();
        for at in 0..10 {
            host.take(talk.segment(1 + 1_000 * at, 1).data(&[1; 1_000]));
        }
        let told = host.take(talk.segment(10_001, 1).data(&[9]));
        assert_eq!(told[0].window, 0);
        host.news();
        talk
    };
    let mut urgent = host(|settings| settings.receive_buffer = 10_000);
    let talk = full(&mut urgent);
    urgent.take(talk.segment(10_001, 1).data(b"!").urgent(1));
    assert!(urgent.news().contains(Events::URGENT));
    assert_eq!(urgent.stack.connection(talk.id).urgent_mark(), Some(10_001));
    let mut reset = host(|settings| settings.receive_buffer = 10_000);
    let talk = full(&mut reset);
    reset.take(talk.segment(10_001, 1).flags(RST));
    assert_eq!(reset.stack.state(talk.id).name(), "closed");
}

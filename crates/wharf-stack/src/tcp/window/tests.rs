use super::*;

fn demand() -> Demand {
    Demand {
        unsent: 10_000,
        peer: 60_000,
        congestion: 14_600,
        segment: 1_000,
        most: 1_000,
        max_wnd: 60_000,
        small_waits: false,
    }
}

#[test]
fn a_sender_sends_what_all_windows_allow() {
    let cases = [
        (demand(), Sendable::Bytes(1_000)),
        (Demand { most: 64_000, ..demand() }, Sendable::Bytes(10_000)),
        (Demand { most: 64_000, peer: 2_500, ..demand() }, Sendable::Bytes(2_000)),
        (Demand { most: 64_000, congestion: 2_500, ..demand() }, Sendable::Bytes(2_000)),
        (Demand { congestion: 999, ..demand() }, Sendable::CongestionWindow),
        (Demand { peer: 0, ..demand() }, Sendable::PeerWindow),
        (Demand { unsent: 300, ..demand() }, Sendable::Bytes(300)),
    ];
    for (demand, wanted) in cases {
        assert_eq!(sendable(demand), wanted, "{demand:?}");
    }
}

#[test]
fn a_silly_window_is_not_filled() {
    let small = Demand { peer: 400, ..demand() };
    assert_eq!(sendable(small), Sendable::PeerWindow);
    assert_eq!(
        sendable(Demand { max_wnd: 800, ..small }),
        Sendable::Bytes(400),
        "half of all that it ever takes"
    );
    assert_eq!(sendable(Demand { unsent: 400, ..small }), Sendable::Bytes(400), "all that there is");
}

#[test]
fn nagle_holds_the_last_small_segment_only() {
    let waits = Demand { small_waits: true, most: 64_000, ..demand() };
    assert_eq!(sendable(Demand { unsent: 300, ..waits }), Sendable::Nagle);
    assert_eq!(sendable(Demand { unsent: 2_300, ..waits }), Sendable::Bytes(2_000));
    assert_eq!(sendable(Demand { unsent: 2_000, ..waits }), Sendable::Bytes(2_000));
}

#[test]
fn an_old_segment_does_not_change_the_send_window() {
    let mut window = SendWindow::new(SeqNum::new(100));
    window.set(SeqNum::new(50), SeqNum::new(101), 1_000);
    window.scale = 2;
    assert!(!window.update(SeqNum::new(49), SeqNum::new(200), 9));
    assert!(!window.update(SeqNum::new(50), SeqNum::new(100), 9));
    assert!(window.update(SeqNum::new(50), SeqNum::new(101), 9));
    assert_eq!((window.snd_wnd, window.max_wnd), (36, 1_000));
}

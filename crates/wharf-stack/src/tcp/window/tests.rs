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

fn receiver(cap: u32) -> ReceiveWindow {
    let mut window = ReceiveWindow::new(cap);
    window.open(SeqNum::new(u32::MAX - 10));
    window
}

#[test]
fn the_shift_is_the_least_that_holds_the_buffer() {
    for (cap, scale) in [(65_535, 0), (65_536, 1), (1 << 20, 5), (1 << 28, 13)] {
        assert_eq!(ReceiveWindow::new(cap).scale, scale, "{cap}");
    }
}

#[test]
fn the_edge_never_moves_back_and_moves_in_steps() {
    let mut window = receiver(1 << 20);
    let first = u32::from(window.field(0, 1460)) << window.scale;
    assert_eq!(first, 65_536);
    let edge = window.edge();
    window.rcv_nxt += 60_000;
    assert_eq!(u32::from(window.field(60_000, 1460)) << window.scale, 5_536);
    assert_eq!(window.edge(), edge);
    window.on_read(1_000, 59_000);
    assert!(!window.update_is_due(59_000, 1460), "1000 bytes are less than a segment");
    window.field(59_000, 1460);
    assert_eq!(window.edge(), edge);
    window.on_read(59_000, 0);
    assert!(window.update_is_due(0, 1460));
    assert_eq!(u32::from(window.field(0, 1460)) << window.scale, 65_536);
}

#[test]
fn single_bytes_never_outgrow_the_buffer() {
    let mut window = receiver(1 << 20);
    window.field(0, 1460);
    let mut held = 0;
    while window.rcv_nxt.before(window.edge()) {
        window.rcv_nxt += 1;
        held += 1;
        window.field(held, 1460);
        assert!(held <= 65_536);
    }
    assert_eq!((held, window.field(held, 1460)), (65_536, 0));
}

#[test]
fn a_buffer_that_is_read_grows_to_its_cap() {
    let mut window = receiver(300_000);
    for _ in 0..100 {
        window.rcv_nxt += 32_000;
        window.on_read(32_000, 0);
        window.field(0, 1460);
    }
    assert_eq!(window.buffer, 300_000);
    let mut unread = receiver(300_000);
    for _ in 0..100 {
        unread.on_read(32_000, 60_000);
    }
    assert_eq!(unread.buffer, RECEIVE_START);
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

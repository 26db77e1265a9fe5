use super::*;

const MSS: u16 = 1_460;
const ISS: u32 = u32::MAX - 10;

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

fn fixed(bytes: u32) -> Settings {
    Settings { receive_buffer: bytes, ..Settings::default() }
}

/// What tcp_rmem of Linux says, in window: half of 131,072 and 6 MiB.
fn like_linux() -> Settings {
    Settings { receive_buffer: 65_536, receive_buffer_max: 3 << 20, ..Settings::default() }
}

fn receiver(settings: &Settings) -> ReceiveWindow {
    let mut window = ReceiveWindow::new(settings);
    window.open(SeqNum::new(ISS));
    window.syn_field();
    window.on_established(MSS, at(0));
    window
}

/// What the peer is told, in bytes, when everything is acknowledged each time.
fn told(window: &mut ReceiveWindow, held: u32) -> u32 {
    let acked = window.rcv_nxt;
    u32::from(window.field(held, MSS, acked)) << window.scale
}

#[test]
fn a_syn_says_what_that_of_linux_says() {
    // (tcp_rmem's second and third number, window, scale): what kernels with these settings send at an MSS of 1460.
    let cases = [
        ((131_072, 6_291_456), 64_240, 7),
        ((131_072, 33_554_432), 64_240, 10),
        ((65_536, 6_291_456), 32_120, 7),
        ((1_048_576, 6_291_456), 65_535, 7),
        ((8_192, 6_291_456), 2_920, 7),
    ];
    for ((initial, most), wanted, scale) in cases {
        let settings =
            Settings { receive_buffer: initial / 2, receive_buffer_max: most / 2, ..Settings::default() };
        let mut window = ReceiveWindow::new(&settings);
        assert_eq!((u32::from(window.syn_field()), window.scale), (wanted, scale), "{initial} {most}");
    }
}

#[test]
fn a_clamp_bounds_window_and_scale_from_the_start() {
    let clamped = Settings { window_clamp: 20_000, ..like_linux() };
    let mut window = ReceiveWindow::new(&clamped);
    assert_eq!((window.syn_field(), window.scale), (20_000 - 20_000 % MSS, 0));
}

#[test]
fn a_size_that_is_fixed_leaves_the_scale_as_it_is() {
    let set = Settings {
        receive_buffer: 30_000,
        receive_buffer_max: 0,
        receive_scale_for: 3 << 20,
        ..like_linux()
    };
    let mut window = ReceiveWindow::new(&set);
    assert_eq!((window.syn_field(), window.scale), (29_200, 7));
}

#[test]
fn the_shift_of_one_size_is_the_least_that_holds_it() {
    for (cap, scale) in [(65_535, 0), (65_536, 1), (1 << 20, 5), (1 << 28, 13)] {
        assert_eq!(ReceiveWindow::new(&fixed(cap)).scale, scale, "{cap}");
    }
}

#[test]
fn what_the_syn_has_promised_is_rounded_up_and_never_taken_back() {
    let mut window = receiver(&like_linux());
    assert_eq!(window.threshold(), 65_536 - 1_460, "one segment is kept in reserve");
    assert_eq!(told(&mut window, 0), 502 << 7, "64,240 in units of 128");
    let edge = window.edge();
    window.rcv_nxt += 64_200;
    told(&mut window, 64_200);
    assert!(!window.edge().before(edge) && window.edge().since(edge) <= 128);
}

#[test]
fn the_edge_moves_by_steps_that_are_worth_it() {
    let mut window = receiver(&fixed(1 << 16));
    told(&mut window, 0);
    let edge = window.edge();
    window.rcv_nxt += 65_000;
    told(&mut window, 65_000);
    assert!(window.edge().since(edge) <= 2);
    let edge = window.edge();
    let acked = window.rcv_nxt;
    assert!(!window.update_is_due(64_000, MSS, acked), "1000 bytes are less than a segment");
    told(&mut window, 64_000);
    assert!(window.edge().since(edge) <= 2);
    assert!(window.update_is_due(0, MSS, acked));
    assert_eq!(told(&mut window, 0), 65_536);
}

#[test]
fn a_window_that_could_only_be_small_is_closed() {
    let mut window = receiver(&fixed(100_000));
    while window.rcv_nxt.before(window.edge()) {
        window.rcv_nxt = window.edge();
        let held = window.rcv_nxt.since(SeqNum::new(ISS) + 1);
        told(&mut window, held);
        window.on_arrived(20_000, held, MSS, MSS);
    }
    let held = window.rcv_nxt.since(SeqNum::new(ISS) + 1);
    assert!(held <= 100_002);
    for (left, wanted) in [(99_000, 0), (94_000, 0), (93_000, 7_000), (60_000, 40_000)] {
        let mut window = window.clone();
        assert_eq!(told(&mut window, left), wanted, "a sixteenth of the buffer is the least");
    }
}

#[test]
fn single_bytes_never_outgrow_the_buffer() {
    for settings in [fixed(1 << 20), like_linux()] {
        let mut window = receiver(&settings);
        told(&mut window, 0);
        let mut held = 0;
        while window.rcv_nxt.before(window.edge()) {
            window.rcv_nxt += 1;
            held += 1;
            told(&mut window, held);
            assert!(held <= window.buffer + window.unit());
        }
        assert_eq!(told(&mut window, held), 0);
    }
}

/// A peer that sends a window in each round trip of 100 ms, and an owner that reads it.
fn round_trips(window: &mut ReceiveWindow, rounds: u64, reads: bool) -> u32 {
    let mut held = 0;
    for round in 1..=rounds {
        let came = window.edge().since(window.rcv_nxt);
        window.rcv_nxt += came;
        held += came;
        window.on_arrived(came, held, MSS, MSS);
        if reads {
            held = 0;
            window.on_read(held, MSS, 100_000, 0, at(round * 100_000));
        }
        told(window, held);
    }
    window.buffer
}

#[test]
fn a_buffer_that_is_read_grows_with_the_round_trips_up_to_its_most() {
    let mut window = receiver(&like_linux());
    told(&mut window, 0);
    let after_one = round_trips(&mut window, 1, true);
    assert!(after_one > 2 * 64_000, "twice what was read, and more as long as that grows: {after_one}");
    assert_eq!(round_trips(&mut window, 8, true), 3 << 20);
    assert!(window.threshold() <= 3 << 20 && window.space(MSS) > 1 << 20);
    let mut unread = receiver(&like_linux());
    told(&mut unread, 0);
    assert_eq!(round_trips(&mut unread, 9, false), 65_536, "nobody reads");
}

#[test]
fn a_slow_sender_makes_no_buffer_grow() {
    let mut window = receiver(&like_linux());
    told(&mut window, 0);
    for round in 1..100_u64 {
        window.rcv_nxt += 10_000;
        window.on_arrived(10_000, 0, MSS, MSS);
        window.on_read(0, MSS, 100_000, 0, at(round * 100_000));
        told(&mut window, 0);
    }
    assert_eq!(window.buffer, 65_536);
}

#[test]
fn a_size_that_an_owner_sets_stays() {
    let mut window = receiver(&like_linux());
    window.fix(200_000);
    told(&mut window, 0);
    assert_eq!(round_trips(&mut window, 9, true), 200_000);
    assert!(told(&mut window, 0) <= 200_064);
    window.clamp_to(50_000);
    let edge = window.edge();
    told(&mut window, 0);
    assert!(!window.edge().before(edge), "what was promised is taken");
    window.rcv_nxt = edge;
    assert!(told(&mut window, 0) <= 50_048);
}

use super::*;

const MSS: u32 = 1_000;
const RTT: Duration = Duration::from_millis(100);

/// Of one segment.
fn ack(millis: u64) -> Ack {
    Ack {
        acked: MSS,
        mss: MSS,
        burst: MSS,
        now: Instant::from_millis(millis),
        srtt: RTT,
        snd_una: SeqNum::new(0),
        snd_nxt: SeqNum::new(0),
    }
}

fn after_loss(kind: CongestionKind, window: u32) -> Congestion {
    let mut congestion = Congestion::new(kind, MSS);
    congestion.set_window(window);
    congestion.on_loss(window, MSS);
    congestion.on_recovered();
    congestion
}

/// Acknowledges whole windows for `rounds` round trips.
fn run(congestion: &mut Congestion, rounds: u64) {
    for round in 0..rounds {
        let window = congestion.window();
        for _ in 0..window / MSS {
            congestion.on_ack(&ack(round * 100));
        }
    }
}

#[test]
fn the_initial_window_is_ten_segments_or_14600_bytes() {
    for (mss, wanted) in [(536, 5_360), (1_000, 10_000), (1_460, 14_600), (9_000, 18_000), (4_000, 14_600)] {
        assert_eq!(Congestion::new(CongestionKind::Cubic, mss).window(), wanted, "{mss}");
    }
}

#[test]
fn slow_start_doubles_each_round_trip() {
    let mut congestion = Congestion::new(CongestionKind::Cubic, MSS);
    run(&mut congestion, 3);
    assert_eq!(congestion.window(), 80_000);
}

#[test]
fn newreno_halves_and_grows_by_a_segment_a_round_trip() {
    let mut congestion = after_loss(CongestionKind::NewReno, 100_000);
    assert_eq!((congestion.window(), congestion.ssthresh()), (50_000, 50_000));
    run(&mut congestion, 10);
    assert_eq!(congestion.window(), 60_000);
}

#[test]
fn cubic_falls_to_seven_tenths_and_comes_back_to_the_peak() {
    let mut congestion = after_loss(CongestionKind::Cubic, 1_000_000);
    assert_eq!(congestion.window(), 700_000);
    // K = cbrt(300 / 0.4) = 9.09 s.
    run(&mut congestion, 91);
    assert!((985_000..1_015_000).contains(&congestion.window()), "{}", congestion.window());
    run(&mut congestion, 1);
    assert!(congestion.window() < 1_030_000);
}

#[test]
fn on_a_short_path_cubic_is_not_slower_than_reno() {
    let mut cubic = after_loss(CongestionKind::Cubic, 20_000);
    run(&mut cubic, 30);
    // 14 segments, 9/17 a round trip until 20, one a round trip beyond.
    assert!((36_000..=60_000).contains(&cubic.window()), "{}", cubic.window());
}

#[test]
fn a_timeout_starts_again_from_one_segment() {
    let mut congestion = after_loss(CongestionKind::Cubic, 100_000);
    congestion.on_loss(40_000, MSS);
    congestion.on_timeout(MSS);
    assert_eq!((congestion.window(), congestion.ssthresh()), (MSS, 28_000));
}

#[test]
fn a_loss_that_was_none_is_undone() {
    let mut congestion = Congestion::new(CongestionKind::Cubic, MSS);
    congestion.set_window(50_000);
    let before = congestion.on_loss(50_000, MSS);
    congestion.on_timeout(MSS);
    congestion.undo(before);
    assert_eq!((congestion.window(), congestion.ssthresh()), (50_000, u32::MAX));
}

#[test]
fn an_idle_connection_starts_with_the_initial_window() {
    let mut congestion = after_loss(CongestionKind::Cubic, 1_000_000);
    congestion.on_idle(Duration::from_secs(5), RTT, MSS);
    assert_eq!(congestion.window(), 10_000);
}

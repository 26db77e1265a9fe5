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
    congestion.on_idle(5_000_000, RTT.as_micros() as u64, MSS);
    assert_eq!(congestion.window(), 10_000);
}

/// A loss at `w_max` segments, then `seconds` of a full window a round trip: the window in segments by the formulas of
/// RFC 9438 in floating point, acknowledgment by acknowledgment.
fn cubic_of_the_rfc(w_max: f64, rtt: f64, rounds: u64) -> f64 {
    let (c, beta) = (0.4, 0.7);
    let mut cwnd = w_max * beta;
    // Equation 2; section 4.3: W_est begins at the window, alpha = 3 (1 - beta) / (1 + beta), then 1.
    let k = ((w_max - cwnd) / c).cbrt();
    let alpha = 3.0 * (1.0 - beta) / (1.0 + beta);
    let mut w_est = cwnd;
    let (mut round, mut left) = (0, cwnd);
    while round < rounds {
        let t = round as f64 * rtt;
        w_est += if w_est >= w_max { 1.0 } else { alpha } / cwnd;
        let w_cubic = |t: f64| c * (t - k).powi(3) + w_max;
        if w_cubic(t) < w_est {
            cwnd = cwnd.max(w_est);
        } else {
            let target = w_cubic(t + rtt).clamp(cwnd, 1.5 * cwnd);
            cwnd += (target - cwnd) / cwnd;
        }
        left -= 1.0;
        if left < 1.0 {
            (round, left) = (round + 1, cwnd);
        }
    }
    cwnd
}

#[test]
fn cubic_follows_the_formulas_of_rfc_9438() {
    for (w_max, rtt, seconds) in [
        (100_u32, 100_u64, 2_u64),
        (100, 100, 6),
        (1_000, 100, 5),
        (1_000, 100, 12),
        (20, 10, 1),
        (400, 20, 3),
        (400, 20, 9),
        (50, 200, 10),
    ] {
        let mut congestion = after_loss(CongestionKind::Cubic, w_max * MSS);
        let mut millis = 0;
        while millis < seconds * 1_000 {
            for _ in 0..congestion.window() / MSS {
                congestion.on_ack(&Ack { srtt: Duration::from_millis(rtt), ..ack(millis) });
            }
            millis += rtt;
        }
        let wanted = cubic_of_the_rfc(w_max.into(), rtt as f64 / 1e3, seconds * 1_000 / rtt);
        let got = f64::from(congestion.window()) / f64::from(MSS);
        assert!(
            (got / wanted - 1.0).abs() < 0.03,
            "{w_max} segments, {rtt} ms, {seconds} s: {got} for {wanted}"
        );
    }
}

/// RFC 9438, section 4.8: after a time-out the curve begins anew with K = 0 where slow start ends.
#[test]
fn after_a_timeout_the_curve_begins_where_slow_start_ends() {
    let mut congestion = after_loss(CongestionKind::Cubic, 100_000);
    congestion.set_window(100_000);
    congestion.on_loss(100_000, MSS);
    congestion.on_timeout(MSS);
    let ssthresh = congestion.ssthresh();
    let mut millis = 0;
    while congestion.window() < ssthresh {
        congestion.on_ack(&ack(millis));
        millis += 1;
    }
    for round in 0..10 {
        for _ in 0..congestion.window() / MSS {
            congestion.on_ack(&ack(millis + round * 100));
        }
    }
    // Convex from the start: 0.4 segments after a second, or Reno's 9/17 a round trip if that is more.
    let grown = congestion.window() - ssthresh;
    assert!((4_000..7_000).contains(&grown), "{grown}");
}

/// RFC 9438, section 5.8: time in which the window was not used does not count.
#[test]
fn unused_time_is_no_time() {
    let grow = |pause: u64| {
        let mut congestion = after_loss(CongestionKind::Cubic, 1_000_000);
        let mut shift = 0;
        for round in 0..60 {
            if round == 20 {
                congestion.on_unused(Instant::from_millis(2_000));
                shift = pause;
            }
            for _ in 0..congestion.window() / MSS {
                congestion.on_ack(&ack(round * 100 + shift));
            }
        }
        congestion.window()
    };
    assert_eq!(grow(0), grow(60_000));
}

/// RFC 9438, section 4.9: a loss that was none leaves the curve as it was.
#[test]
fn an_undone_loss_leaves_the_curve() {
    let run_on = |spurious: bool| {
        let mut congestion = after_loss(CongestionKind::Cubic, 1_000_000);
        for round in 0..40 {
            if spurious && round == 20 {
                let before = congestion.on_loss(congestion.window(), MSS);
                congestion.undo(before);
            }
            for _ in 0..congestion.window() / MSS {
                congestion.on_ack(&ack(round * 100));
            }
        }
        congestion.window()
    };
    assert_eq!(run_on(true), run_on(false));
}

/// RFC 2861, section 3: half for each time-out that nothing was sent, and the way back is known.
#[test]
fn an_idle_window_is_halved_for_each_timeout() {
    for (idle, window) in
        [(99, 160_000), (100, 80_000), (250, 40_000), (399, 20_000), (400, 10_000), (60_000, 10_000)]
    {
        let mut congestion = Congestion::new(CongestionKind::NewReno, MSS);
        congestion.set_window(160_000);
        congestion.on_loss(200_000, MSS);
        congestion.on_idle(1_000 * idle, RTT.as_micros() as u64, MSS);
        assert_eq!(congestion.window(), window, "{idle} ms");
        assert_eq!(congestion.ssthresh(), if idle < 100 { 100_000 } else { 120_000 });
    }
}

#[test]
fn the_names_are_those_of_linux() {
    for (kind, name) in
        [(CongestionKind::Cubic, "cubic"), (CongestionKind::NewReno, "reno"), (CongestionKind::Bbr, "bbr")]
    {
        assert_eq!((kind.name(), CongestionKind::from_name(name)), (name, Some(kind)));
    }
    assert_eq!(CongestionKind::from_name("vegas"), None);
}

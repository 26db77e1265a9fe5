//! CUBIC (RFC 9438), in integers: time in milliseconds, windows in bytes.

use core::time::Duration;

use wharf_table::Instant;

use super::hystart::HyStart;
use super::{Ack, CongestionControl, Window};

/// beta_cubic = 0.7 (RFC 9438, section 4.6).
const BETA: (u64, u64) = (7, 10);
/// alpha_cubic = 3 (1 - beta) / (1 + beta) (RFC 9438, section 4.3).
const ALPHA: (u64, u64) = (9, 17);
/// The curve is followed no further than this from its middle: beyond it the window is at its most anyway.
const SPAN_MAX_MS: i64 = 1 << 20;

/// CUBIC: the first slow start looks for its end (RFC 9438, section 4.10), what follows goes by the curve.
#[derive(Clone, Debug)]
pub(super) enum Cubic {
    Start(HyStart),
    Avoid(Curve),
}

impl Cubic {
    pub(super) const fn new() -> Cubic {
        Cubic::Start(HyStart::new())
    }

    /// A round trip of so many microseconds was measured.
    #[inline]
    pub(super) fn on_round_trip(&mut self, micros: u64) {
        if let Cubic::Start(hystart) = self {
            hystart.on_round_trip(micros);
        }
    }

    /// The first slow start is over.
    fn curve(&mut self) -> &mut Curve {
        if let Cubic::Start(_) = self {
            *self = Cubic::Avoid(Curve::new());
        }
        match self {
            Cubic::Avoid(curve) => curve,
            Cubic::Start(_) => unreachable!("it was replaced just now"),
        }
    }
}

impl CongestionControl for Cubic {
    fn on_ack(&mut self, window: &mut Window, ack: &Ack) {
        let rest = match self {
            Cubic::Start(hystart) if window.cwnd < window.ssthresh => hystart.on_ack(window, ack),
            _ => window.slow_start(ack.acked),
        };
        if rest > 0 && window.cwnd >= window.ssthresh {
            window.cwnd = self.curve().on_ack(window.cwnd, &Ack { acked: rest, ..*ack });
        }
    }

    fn on_loss(&mut self, cwnd: u32, flight: u32) -> u32 {
        self.curve().on_loss(cwnd, flight)
    }

    fn on_timeout(&mut self) {
        self.curve().on_timeout();
    }

    fn on_idle(&mut self, idle: Duration) {
        if let Cubic::Avoid(curve) = self {
            curve.on_idle(idle);
        }
    }

    fn on_unused(&mut self, now: Instant) {
        if let Cubic::Avoid(curve) = self {
            curve.on_unused(now);
        }
    }
}

/// The cubic function of the time since the last loss, and Reno's window for comparison.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// The window before the last loss, less when losses follow one another (RFC 9438, section 4.7); 0 before the first.
    w_max: u32,
    /// The window before the last loss.
    cwnd_prior: u32,
    /// What Reno's window would be (RFC 9438, section 4.3).
    w_est: u32,
    /// When this period of growth began; NEVER when it has not.
    epoch: Instant,
    /// Since when the window is not used; NEVER while it is.
    unused: Instant,
    /// When the curve reaches `w_max`, in milliseconds after `epoch`.
    k_ms: u32,
    /// Growth of the window and of `w_est` that has not made a byte yet, times `cwnd`.
    remainder: u32,
    remainder_est: u32,
}

impl Curve {
    const fn new() -> Curve {
        Curve {
            w_max: 0,
            cwnd_prior: 0,
            w_est: 0,
            epoch: Instant::NEVER,
            unused: Instant::NEVER,
            k_ms: 0,
            remainder: 0,
            remainder_est: 0,
        }
    }

    /// `ssthresh` after a loss (RFC 9438, sections 4.6 and 4.7).
    fn on_loss(&mut self, cwnd: u32, flight: u32) -> u32 {
        let (num, den) = BETA;
        // Fast convergence: who loses again below the last peak makes room for others.
        self.w_max =
            if cwnd < self.w_max { (u64::from(cwnd) * (den + num) / (2 * den)) as u32 } else { cwnd };
        self.cwnd_prior = cwnd;
        self.epoch = Instant::NEVER;
        (u64::from(flight) * num / den) as u32
    }

    /// The peak is forgotten: the curve begins with K = 0 where slow start ends (RFC 9438, section 4.8).
    fn on_timeout(&mut self) {
        (self.w_max, self.epoch) = (0, Instant::NEVER);
    }

    /// Time in which nothing was sent is cut out (RFC 9438, section 5.8).
    fn on_idle(&mut self, idle: Duration) {
        if self.unused == Instant::NEVER {
            self.epoch += idle;
        }
    }

    /// So is time in which the window was not full.
    fn on_unused(&mut self, now: Instant) {
        self.unused = self.unused.min(now);
    }

    /// The window after `acked` more bytes (RFC 9438, section 4.2).
    fn on_ack(&mut self, cwnd: u32, ack: &Ack) -> u32 {
        let &Ack { acked, mss, now, srtt, .. } = ack;
        if self.unused != Instant::NEVER {
            self.epoch += now.since(self.unused);
            self.unused = Instant::NEVER;
        }
        if self.epoch == Instant::NEVER {
            self.begin(cwnd, mss, now);
        }
        self.grow_reno(cwnd, acked, mss);
        let elapsed = i64::try_from(now.since(self.epoch).as_millis()).unwrap_or(SPAN_MAX_MS);
        if self.window_at(elapsed, mss) < u64::from(self.w_est) {
            return cwnd.max(self.w_est);
        }
        let ahead = elapsed.saturating_add(i64::try_from(srtt.as_millis()).unwrap_or(SPAN_MAX_MS));
        let cwnd64 = u64::from(cwnd.max(1));
        let target = self.window_at(ahead, mss).clamp(cwnd64, cwnd64 + cwnd64 / 2);
        let growth = (target - cwnd64) * u64::from(acked) + u64::from(self.remainder);
        self.remainder = (growth % cwnd64) as u32;
        cwnd.saturating_add((growth / cwnd64).min(u64::from(acked)) as u32)
    }

    /// The first acknowledgment after a loss, or the first at all.
    fn begin(&mut self, cwnd: u32, mss: u32, now: Instant) {
        self.epoch = now;
        (self.w_est, self.remainder, self.remainder_est) = (cwnd, 0, 0);
        if cwnd < self.w_max {
            // K = cbrt((w_max - cwnd) / C) s with windows in segments and C = 0.4: in ms, cbrt(segments * 2.5e9).
            let distance = u128::from(self.w_max - cwnd) * 2_500_000_000 / u128::from(mss.max(1));
            self.k_ms = cube_root(u64::try_from(distance).unwrap_or(u64::MAX));
        } else {
            (self.k_ms, self.w_max) = (0, cwnd);
        }
    }

    /// W_cubic(t) = C (t - K)^3 + w_max, in bytes.
    fn window_at(&self, elapsed_ms: i64, mss: u32) -> u64 {
        let span = elapsed_ms.saturating_sub(i64::from(self.k_ms)).clamp(-SPAN_MAX_MS, SPAN_MAX_MS);
        // span^3 fits 60 bits. C = 0.4 and 1e9 ms^3 in a s^3.
        let bytes = i128::from(span * span * span) * i128::from(mss) * 4 / 10_000_000_000;
        u64::try_from(i128::from(self.w_max) + bytes).unwrap_or(0)
    }

    /// W_est grows by alpha segments a round trip, by one once it is where the loss was (RFC 9438, section 4.3).
    fn grow_reno(&mut self, cwnd: u32, acked: u32, mss: u32) {
        let (num, den) = if self.w_est >= self.cwnd_prior { (1, 1) } else { ALPHA };
        let cwnd = u64::from(cwnd.max(1));
        let growth = u64::from(acked) * u64::from(mss) * num / den + u64::from(self.remainder_est);
        self.remainder_est = (growth % cwnd) as u32;
        self.w_est = self.w_est.saturating_add((growth / cwnd) as u32);
    }
}

/// The cube root, rounded down: one bit of it after the other, from the highest.
fn cube_root(value: u64) -> u32 {
    let mut root = 0_u64;
    for bit in (0..22).rev() {
        let candidate = root | 1 << bit;
        if u128::from(candidate) * u128::from(candidate) * u128::from(candidate) <= u128::from(value) {
            root = candidate;
        }
    }
    root as u32
}

crate::tcp::park::packed!(enum Cubic { 0 = Start(hystart), 1 = Avoid(curve) });
crate::tcp::park::packed!(struct Curve {
    w_max, cwnd_prior, w_est, epoch, unused, k_ms, remainder, remainder_est,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cube_roots_are_rounded_down() {
        for root in [0_u64, 1, 2, 3, 10, 1_000, 30_000, 2_642_244] {
            assert_eq!(u64::from(cube_root(root * root * root)), root);
            assert_eq!(u64::from(cube_root((root + 1).pow(3).saturating_sub(1))), root);
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }

    /// Against the formulas of the RFC in floating point: after a loss at 100 segments the curve passes 70 segments at
    /// once, its plateau after K = cbrt(30 / 0.4) = 4.217 s, and 0.4 segments more a second later.
    #[test]
    fn the_curve_is_that_of_the_rfc() {
        let mss = 1_000;
        let mut cubic = Curve::new();
        let ssthresh = cubic.on_loss(100_000, 100_000);
        assert_eq!(ssthresh, 70_000);
        cubic.begin(ssthresh, mss, Instant::ZERO);
        let k = (30.0_f64 / 0.4).cbrt();
        assert_eq!(cubic.k_ms, (k * 1_000.0) as u32);
        for ms in [0, 500, 1_000, 4_217, 5_217, 10_000] {
            let wanted = (0.4 * (f64::from(ms) / 1_000.0 - k).powi(3) + 100.0) * f64::from(mss);
            let got = cubic.window_at(i64::from(ms), mss) as f64;
            assert!((got - wanted).abs() < 40.0, "{ms} ms: {got} for {wanted}");
        }
    }

    #[test]
    fn losses_below_the_last_peak_give_way() {
        let mut cubic = Curve::new();
        cubic.on_loss(100_000, 100_000);
        cubic.on_loss(80_000, 80_000);
        assert_eq!(cubic.w_max, 68_000);
    }
}

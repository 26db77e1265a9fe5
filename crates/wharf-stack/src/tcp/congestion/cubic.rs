//! CUBIC (RFC 9438), in integers: time in milliseconds, windows in bytes.

use core::time::Duration;

use wharf_table::Instant;

/// beta_cubic = 0.7 (section 4.6).
const BETA: (u64, u64) = (7, 10);
/// alpha_cubic = 3 (1 - beta) / (1 + beta) (section 4.3).
const ALPHA: (u64, u64) = (9, 17);
/// The curve is followed no further than this from its middle: beyond it the window is at its most anyway.
const SPAN_MAX_MS: i64 = 1 << 20;

/// The cubic function of the time since the last loss, and Reno's window for comparison.
#[derive(Clone, Debug)]
pub(super) struct Cubic {
    /// The window before the last loss, less when losses follow one another (section 4.7); 0 before the first.
    w_max: u32,
    /// The window before the last loss.
    cwnd_prior: u32,
    /// What Reno's window would be (section 4.3).
    w_est: u32,
    /// When this period of growth began; NEVER when it has not.
    epoch: Instant,
    /// When the curve reaches `w_max`, in milliseconds after `epoch`.
    k_ms: u32,
    /// Growth of the window and of `w_est` that has not made a byte yet, times `cwnd`.
    remainder: u32,
    remainder_est: u32,
}

impl Cubic {
    pub(super) const fn new() -> Cubic {
        Cubic {
            w_max: 0,
            cwnd_prior: 0,
            w_est: 0,
            epoch: Instant::NEVER,
            k_ms: 0,
            remainder: 0,
            remainder_est: 0,
        }
    }

    /// `ssthresh` after a loss (sections 4.6 and 4.7).
    pub(super) fn on_loss(&mut self, cwnd: u32, flight: u32, _mss: u32) -> u32 {
        let (num, den) = BETA;
        // Fast convergence: who loses again below the last peak makes room for others.
        self.w_max =
            if cwnd < self.w_max { (u64::from(cwnd) * (den + num) / (2 * den)) as u32 } else { cwnd };
        self.cwnd_prior = cwnd;
        self.epoch = Instant::NEVER;
        (u64::from(flight) * num / den) as u32
    }

    /// Time in which nothing was sent is cut out.
    pub(super) fn on_idle(&mut self, idle: Duration) {
        self.epoch += idle;
    }

    /// The window after `acked` more bytes (section 4.2).
    pub(super) fn on_ack(&mut self, cwnd: u32, acked: u32, mss: u32, now: Instant, srtt: Duration) -> u32 {
        if self.epoch == Instant::NEVER {
            self.begin(cwnd, mss, now);
        }
        self.grow_reno(cwnd, acked, mss);
        let elapsed = i64::try_from(now.since(self.epoch).as_millis()).unwrap_or(SPAN_MAX_MS);
        if self.curve(elapsed, mss) < u64::from(self.w_est) {
            return cwnd.max(self.w_est);
        }
        let ahead = elapsed.saturating_add(i64::try_from(srtt.as_millis()).unwrap_or(SPAN_MAX_MS));
        let cwnd64 = u64::from(cwnd.max(1));
        let target = self.curve(ahead, mss).clamp(cwnd64, cwnd64 + cwnd64 / 2);
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
    fn curve(&self, elapsed_ms: i64, mss: u32) -> u64 {
        let span = elapsed_ms.saturating_sub(i64::from(self.k_ms)).clamp(-SPAN_MAX_MS, SPAN_MAX_MS);
        // span^3 fits 60 bits. C = 0.4 and 1e9 ms^3 in a s^3.
        let bytes = i128::from(span * span * span) * i128::from(mss) * 4 / 10_000_000_000;
        u64::try_from(i128::from(self.w_max) + bytes).unwrap_or(0)
    }

    /// W_est grows by alpha segments a round trip, by one once it is where the loss was (section 4.3).
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

crate::tcp::park::packed!(struct Cubic { w_max, cwnd_prior, w_est, epoch, k_ms, remainder, remainder_est });

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
        let mut cubic = Cubic::new();
        let ssthresh = cubic.on_loss(100_000, 100_000, mss);
        assert_eq!(ssthresh, 70_000);
        cubic.begin(ssthresh, mss, Instant::ZERO);
        let k = (30.0_f64 / 0.4).cbrt();
        assert_eq!(cubic.k_ms, (k * 1_000.0) as u32);
        for ms in [0, 500, 1_000, 4_217, 5_217, 10_000] {
            let wanted = (0.4 * (f64::from(ms) / 1_000.0 - k).powi(3) + 100.0) * f64::from(mss);
            let got = cubic.curve(i64::from(ms), mss) as f64;
            assert!((got - wanted).abs() < 40.0, "{ms} ms: {got} for {wanted}");
        }
    }

    #[test]
    fn losses_below_the_last_peak_give_way() {
        let mut cubic = Cubic::new();
        cubic.on_loss(100_000, 100_000, 1_000);
        cubic.on_loss(80_000, 80_000, 1_000);
        assert_eq!(cubic.w_max, 68_000);
    }
}

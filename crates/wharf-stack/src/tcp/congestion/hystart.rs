//! HyStart++ (RFC 9406): slow start ends before the queue of the bottleneck overflows, when round trips grow.
//!
//! Only the first slow start of a connection needs it, later ones know `ssthresh` (section 4.3).

use super::{Ack, Window};
use crate::tcp::seq::SeqNum;

/// By how much a round trip has to grow, in microseconds (section 4.3).
const MIN_RTT_THRESH: u32 = 4_000;
const MAX_RTT_THRESH: u32 = 16_000;
const MIN_RTT_DIVISOR: u32 = 8;
/// Measurements of a round that are needed to believe it.
const N_RTT_SAMPLE: u8 = 8;
/// Conservative slow start grows by this part.
const CSS_GROWTH_DIVISOR: u32 = 4;
/// Rounds of conservative slow start before it is over.
const CSS_ROUNDS: u8 = 5;
/// Segments by which one acknowledgment lets the window grow at most, since nothing is paced.
const L: u32 = 8;

/// Where a slow start stands.
#[derive(Clone, Debug)]
pub(super) struct HyStart {
    /// Where the round ends: what it was sent up to when it began.
    window_end: SeqNum,
    /// The least round trips of the last round and of this one, in microseconds; all ones without.
    last_min: u32,
    current_min: u32,
    /// The least round trip that led into conservative slow start; all ones in the usual one.
    baseline: u32,
    samples: u8,
    /// Rounds of conservative slow start so far.
    css_rounds: u8,
    started: bool,
}

impl HyStart {
    pub(super) const fn new() -> HyStart {
        HyStart {
            window_end: SeqNum::new(0),
            last_min: u32::MAX,
            current_min: u32::MAX,
            baseline: u32::MAX,
            samples: 0,
            css_rounds: 0,
            started: false,
        }
    }

    /// A round trip of so many microseconds was measured.
    #[inline]
    pub(super) fn on_round_trip(&mut self, micros: u64) {
        let micros = u32::try_from(micros).unwrap_or(u32::MAX - 1);
        self.current_min = self.current_min.min(micros);
        self.samples = self.samples.saturating_add(1);
    }

    const fn is_conservative(&self) -> bool {
        self.baseline != u32::MAX
    }

    /// The window grows (section 4.2). What of the acknowledged bytes is left once slow start is over.
    pub(super) fn on_ack(&mut self, window: &mut Window, ack: &Ack) -> u32 {
        if !self.started {
            (self.started, self.window_end) = (true, ack.snd_nxt);
        }
        let counted = ack.acked.min(L.saturating_mul(ack.burst.max(ack.mss)));
        let divisor = if self.is_conservative() { CSS_GROWTH_DIVISOR } else { 1 };
        let left = window.slow_start(counted / divisor);
        self.compare();
        if !ack.snd_una.before(self.window_end) && self.end_round(ack.snd_nxt) {
            window.ssthresh = window.cwnd;
        }
        left
    }

    /// Whether round trips have grown, or shrunk again.
    fn compare(&mut self) {
        if self.samples < N_RTT_SAMPLE {
            return;
        }
        if self.is_conservative() {
            if self.current_min < self.baseline {
                // What looked like a queue was none.
                (self.baseline, self.css_rounds) = (u32::MAX, 0);
            }
            return;
        }
        if self.last_min == u32::MAX || self.current_min == u32::MAX {
            return;
        }
        let thresh = (self.last_min / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
        if self.current_min >= self.last_min.saturating_add(thresh) {
            (self.baseline, self.css_rounds) = (self.current_min, 0);
        }
    }

    /// A round is over, the next one ends at `window_end`; whether slow start is over too.
    fn end_round(&mut self, window_end: SeqNum) -> bool {
        self.window_end = window_end;
        (self.last_min, self.current_min, self.samples) = (self.current_min, u32::MAX, 0);
        self.css_rounds += u8::from(self.is_conservative());
        self.css_rounds >= CSS_ROUNDS
    }
}

crate::tcp::park::packed!(struct HyStart {
    window_end, last_min, current_min, baseline, samples, css_rounds, started,
});

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use wharf_table::Instant;

    use super::*;

    const MSS: u32 = 1_000;

    /// A sender of which every segment is acknowledged by itself, with the round trip of its round.
    struct Sender {
        hystart: HyStart,
        window: Window,
        una: u32,
        nxt: u32,
    }

    impl Sender {
        fn new() -> Sender {
            let window = Window { cwnd: 10 * MSS, ssthresh: u32::MAX };
            Sender { hystart: HyStart::new(), window, una: 0, nxt: 10 * MSS }
        }

        /// A round of this round trip; how many segments it acknowledged, and by how many bytes the window has grown.
        fn round(&mut self, millis: u64) -> [u32; 2] {
            if !self.hystart.started {
                (self.hystart.started, self.hystart.window_end) = (true, SeqNum::new(self.nxt));
            }
            let (una, before, end) = (self.una, self.window.cwnd, self.hystart.window_end);
            while self.hystart.window_end == end && self.window.ssthresh == u32::MAX {
                self.una += MSS;
                self.hystart.on_round_trip(1_000 * millis);
                let ack = Ack {
                    acked: MSS,
                    mss: MSS,
                    burst: MSS,
                    now: Instant::ZERO,
                    srtt: Duration::from_millis(millis),
                    snd_una: SeqNum::new(self.una),
                    snd_nxt: SeqNum::new(self.nxt),
                };
                self.hystart.on_ack(&mut self.window, &ack);
                self.nxt = self.una + self.window.cwnd;
            }
            [(self.una - una) / MSS, self.window.cwnd - before]
        }
    }

    #[test]
    fn steady_round_trips_double_the_window() {
        let mut sender = Sender::new();
        for _ in 0..5 {
            let [acks, grown] = sender.round(20);
            assert_eq!(grown, acks * MSS);
        }
        assert!(sender.window.cwnd > 250 * MSS);
    }

    /// Section 4.2: RttThresh is an eighth of the round trip, between 4 and 16 ms.
    #[test]
    fn growth_beyond_the_threshold_is_what_makes_it_conservative() {
        for (last, current, conservative) in [
            (20, 23, false),
            (20, 24, true),
            (8, 11, false),
            (8, 12, true),
            (64, 71, false),
            (64, 72, true),
            (400, 415, false),
            (400, 416, true),
        ] {
            let mut sender = Sender::new();
            sender.round(last);
            sender.round(current);
            assert_eq!(sender.hystart.is_conservative(), conservative, "{last} to {current}");
        }
    }

    #[test]
    fn conservative_slow_start_grows_by_a_quarter_for_five_rounds() {
        let mut sender = Sender::new();
        sender.round(20);
        // Eight acknowledgments are believed, the other twelve of the round count a quarter.
        let [acks, grown] = sender.round(30);
        assert_eq!(grown, 8 * MSS + (acks - 8) * MSS / 4);
        let mut rounds = 1;
        while sender.window.ssthresh == u32::MAX {
            let [acks, grown] = sender.round(30);
            assert_eq!(grown, acks * MSS / 4);
            rounds += 1;
        }
        assert_eq!(rounds, 5);
        assert_eq!(sender.window.ssthresh, sender.window.cwnd);
    }

    #[test]
    fn shorter_round_trips_bring_slow_start_back() {
        let mut sender = Sender::new();
        sender.round(20);
        sender.round(30);
        assert!(sender.hystart.is_conservative());
        sender.round(25);
        assert!(!sender.hystart.is_conservative());
        let [acks, grown] = sender.round(25);
        assert_eq!(grown, acks * MSS);
    }

    #[test]
    fn fewer_than_eight_measurements_prove_nothing() {
        let mut hystart = HyStart::new();
        (hystart.last_min, hystart.started) = (20_000, true);
        for _ in 0..7 {
            hystart.on_round_trip(90_000);
            hystart.compare();
            assert!(!hystart.is_conservative());
        }
        hystart.on_round_trip(90_000);
        hystart.compare();
        assert!(hystart.is_conservative());
    }

    #[test]
    fn one_acknowledgment_counts_eight_segments_at_most() {
        let mut sender = Sender::new();
        let ack = Ack {
            acked: 100 * MSS,
            mss: MSS,
            burst: MSS,
            now: Instant::ZERO,
            srtt: Duration::from_millis(1),
            snd_una: SeqNum::new(0),
            snd_nxt: SeqNum::new(10_000),
        };
        sender.hystart.on_ack(&mut sender.window, &ack);
        assert_eq!(sender.window.cwnd, 18 * MSS);
        sender.hystart.on_ack(&mut sender.window, &Ack { burst: 20 * MSS, ..ack });
        assert_eq!(sender.window.cwnd, 118 * MSS);
    }
}

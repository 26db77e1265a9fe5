//! Pacing: segments leave at a rate rather than in bursts, when the owner or the congestion control asks for it.
//!
//! [`segment_out`](super::segment_out) asks before data leaves, and the time of the next departure is one of the
//! connection's time-outs. Because timers have a resolution of a millisecond, what leaves at once is a millisecond's worth
//! (a quantum of draft-ietf-ccwg-bbr, section 4.6.3), and a departure that was late does not delay those behind it.
//!
//! Invariant: acknowledgments, SYN, RST and probes are never held back.

use alloc::boxed::Box;
use core::time::Duration;

use wharf_table::Instant;

use super::congestion::Path;
use super::delivery::Deliveries;
use super::sack::Delivered;
use super::{CongestionKind, Connection, Settings};

/// How late a departure may be without the next ones being late as well: a tick of the timers, and the time that a batch of
/// input takes.
const CREDIT: Duration = Duration::from_millis(2);
/// Of how long a time the bytes may leave at once.
const QUANTUM: u64 = 1_000;
/// The most that leaves at once (draft-ietf-ccwg-bbr, section 4.6.3).
const QUANTUM_MAX: u64 = 64 * 1024;
const MICROS_A_SECOND: u64 = 1_000_000;

/// No limit.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// When segments may leave.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    /// The owner's limit, in bytes a second.
    max_rate: u64,
    /// The rate kept to, in bytes a second.
    rate: u64,
    /// The next segment may leave then.
    next: Instant,
    /// Something waits for that.
    holds: bool,
    deliveries: Deliveries,
}

impl Pacer {
    fn new(max_rate: u64, now: Instant) -> Pacer {
        Pacer { max_rate, rate: max_rate, next: now, holds: false, deliveries: Deliveries::new(now) }
    }

    /// Whether a segment may leave now; what waits is told of by [`Pacer::due`].
    fn lets_go(&mut self, now: Instant) -> bool {
        self.holds = self.next > now;
        !self.holds
    }

    fn on_sent(&mut self, len: u32, now: Instant) {
        let micros = (u64::from(len) * MICROS_A_SECOND).div_ceil(self.rate.max(1));
        self.next = self.next.max(now - CREDIT) + Duration::from_micros(micros);
    }

    fn due(&self) -> Option<Instant> {
        self.holds.then_some(self.next)
    }

    /// The most bytes that leave at once.
    fn quantum(&self) -> u32 {
        (self.rate.saturating_mul(QUANTUM) / MICROS_A_SECOND).min(QUANTUM_MAX) as u32
    }
}

super::park::packed!(struct Pacer { max_rate, rate, next, holds, deliveries });

impl Connection {
    /// Limits the rate at which data leaves, in bytes a second.
    pub(super) fn set_max_pacing_rate(&mut self, now: Instant, rate: u64) {
        match &mut self.pacer {
            Some(pacer) => pacer.max_rate = rate,
            None if rate == UNLIMITED => return,
            None => self.pacer = Some(Box::new(Pacer::new(rate, now))),
        }
        self.dirty = true;
        self.update_pacing();
    }

    /// The pacer of a connection with these settings, if it needs one.
    pub(super) fn pacer_of(settings: &Settings, now: Instant) -> Option<Box<Pacer>> {
        let paces = settings.max_pacing_rate != UNLIMITED || settings.congestion == CongestionKind::Bbr;
        paces.then(|| Box::new(Pacer::new(settings.max_pacing_rate, now)))
    }

    /// Another algorithm takes the congestion window over.
    pub(super) fn set_congestion(&mut self, kind: CongestionKind, now: Instant) {
        self.congestion.set_kind(kind);
        if kind == CongestionKind::Bbr {
            self.pacer.get_or_insert_with(|| Box::new(Pacer::new(UNLIMITED, now)));
        }
        self.dirty = true;
        self.update_pacing();
    }

    /// The owner's limit, in bytes a second.
    pub(super) fn max_pacing_rate(&self) -> u64 {
        self.pacer.as_ref().map_or(UNLIMITED, |pacer| pacer.max_rate)
    }

    /// The rate of segments, in bytes a second. Who goes by losses would leave twice a window a round trip in the first half
    /// of slow start and 1.2 later, as in Linux.
    pub(super) fn pacing_rate(&self) -> u64 {
        if let Some(model) = self.congestion.model() {
            let rate = model.pacing_rate(self.congestion.window(), self.rtt.srtt());
            return rate.min(self.max_pacing_rate());
        }
        let wanted = self.rtt.srtt().map_or(UNLIMITED, |srtt| {
            let (window, ssthresh) = (self.congestion.window(), self.congestion.ssthresh());
            let percent = if window < ssthresh / 2 { 200 } else { 120 };
            let window = u64::from(window.max(self.snd.flight()));
            let micros = u64::try_from(srtt.as_micros()).unwrap_or(u64::MAX).max(1);
            window * percent * (MICROS_A_SECOND / 100) / micros
        });
        wanted.min(self.max_pacing_rate())
    }

    /// The rate may have changed.
    pub(super) fn update_pacing(&mut self) {
        if self.pacer.is_none() {
            return;
        }
        // Without a model only the owner's limit is kept to: a window leaves as it may.
        let rate = match self.congestion.model() {
            Some(_) => self.pacing_rate().max(1),
            None => self.max_pacing_rate().max(1),
        };
        if let Some(pacer) = &mut self.pacer {
            pacer.rate = rate;
        }
    }

    /// Whether data may leave now.
    pub(super) fn is_let_go(&mut self, now: Instant) -> bool {
        self.pacer.as_mut().is_none_or(|pacer| pacer.lets_go(now))
    }

    /// Data leaves, and is on its way already as everything else is.
    pub(super) fn pace(&mut self, len: u32, now: Instant) {
        if self.pacer.is_none() {
            return;
        }
        let in_flight = self.pipe();
        let delivered = self.tally.bytes_delivered;
        if let Some(pacer) = &mut self.pacer {
            pacer.on_sent(len, now);
            pacer.deliveries.on_sent(now, in_flight.saturating_sub(len), in_flight, delivered);
        }
    }

    /// The application has no more to send, though the window would let it.
    pub(super) fn pause_deliveries(&mut self) {
        let (in_flight, delivered) = (self.pipe(), self.tally.bytes_delivered);
        if let Some(pacer) = &mut self.pacer {
            pacer.deliveries.on_app_limited(delivered, in_flight);
        }
    }

    /// An acknowledgment has come: the model hears of what it delivered and what was found lost with it.
    pub(super) fn update_model(&mut self, now: Instant, delivered: &Delivered) {
        let (Some(model), Some(pacer)) = (self.congestion.model(), &mut self.pacer) else { return };
        let lost = self.board.as_mut().map_or(0, |board| board.take_newly_lost());
        pacer.deliveries.on_lost(lost);
        let left = |times: Option<(Instant, Instant)>| times.map(|(_, last)| last);
        let at = left(delivered.acked).max(left(delivered.reported));
        let oldest = self.board.as_ref().and_then(|board| board.oldest()).unwrap_or(self.last_sent);
        let total = self.tally.bytes_delivered;
        let sample = pacer.deliveries.on_delivered(now, at, oldest, total, model.min_rtt());
        let path = Path {
            now,
            delivered: total,
            newly_delivered: delivered.bytes,
            newly_lost: lost,
            in_flight: self.pipe(),
            rtt: at.map(|at| now.since(at)),
            mss: self.mss.into(),
            is_cwnd_limited: self.usage.was_full(),
        };
        self.congestion.on_sample(&sample, &path);
    }

    /// When data that is held back may leave.
    pub(super) fn pacing_due(&self) -> Option<Instant> {
        self.pacer.as_ref().and_then(|pacer| pacer.due())
    }

    /// The most bytes that leave at once.
    pub(super) fn quantum(&self) -> u32 {
        self.pacer.as_ref().map_or(u32::MAX, |pacer| pacer.quantum())
    }

    /// Time has come to this; whether something was held back until now.
    pub(super) fn release_paced(&mut self, now: Instant) -> bool {
        let due = self.pacing_due().is_some_and(|at| at <= now);
        if due && let Some(pacer) = &mut self.pacer {
            pacer.holds = false;
        }
        due
    }
}

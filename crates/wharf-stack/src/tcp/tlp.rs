//! The loss of the last segments of a flight, of which no acknowledgment tells, is probed for before the retransmission
//! timer runs out (tail loss probe, RFC 8985, section 7).
//!
//! After two round trips without an acknowledgment one segment leaves: new data if there is some, else the last segment
//! again. What comes back lets [`rack`](super::rack) find what is lost. Where the probe itself mended the loss, the window
//! falls all the same (section 7.4).

use wharf_table::Instant;

use super::Connection;
use super::recovery::{Delivery, Phase};
use super::rto::MIN_VARIATION;
use super::segment_out::SegmentOut;
use super::seq::Range;
use super::state::State;
use super::timers::{Awaits, Timer};

/// What is added for a peer that delays the acknowledgment of a single segment (TLP.max_ack_delay, RFC 8985, section 7.2), in
/// microseconds like what follows.
const MAX_ACK_DELAY: u64 = MIN_VARIATION as u64;
/// And for clocks of a few milliseconds, as in Linux (TCP_TIMEOUT_MIN).
const GRANULARITY: u64 = 2_000;
/// How long to wait before a round trip was measured.
const UNMEASURED: u64 = 1_000_000;

/// How it stands with a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Probe {
    /// None has left, or it was answered.
    #[default]
    None,
    /// Due now.
    Due,
    /// New data has left, which ends at `probe_end`.
    New,
    /// The last segment has left again (TLP.is_retrans), which ends at `probe_end`.
    Again,
}

super::park::packed!(enum Probe { 0 = None, 1 = Due, 2 = New, 3 = Again });

impl Connection {
    /// Something was acknowledged, or new data has left: the timer runs for a probe where one may be sent, or else for the
    /// time-out.
    pub(super) fn await_probe_or_acknowledgment(&mut self, now: Instant) {
        match self.probe_timeout(self.segment_size()) {
            Some(timeout) => {
                self.await_until(Awaits::Probe, now.plus_micros(timeout.min(self.rtt.rto_micros())));
            }
            None => self.await_acknowledgment(now),
        }
    }

    /// New data has left.
    pub(super) fn await_probe_after_sending(&mut self, now: Instant) {
        self.await_probe_after(now, self.segment_size());
    }

    /// The same, where a full segment has so many bytes.
    #[inline]
    pub(super) fn await_probe_after(&mut self, now: Instant, segment: u32) {
        if let Some(timeout) = self.probe_timeout(segment) {
            let left = self.board.as_ref().and_then(|board| board.oldest()).unwrap_or(now);
            let expiry = left.plus_micros(self.rtt.rto_micros()).max(now.plus_micros(1_000));
            self.await_until(Awaits::Probe, now.plus_micros(timeout).min(expiry));
        }
    }

    /// PTO (section 7.2), in microseconds; `None` while a recovery runs, without SACK, where the owner wants no probes, or while a probe has not been answered.
    #[inline]
    fn probe_timeout(&self, segment: u32) -> Option<u64> {
        let calm = self.phase().is_none_or(|phase| matches!(phase, Phase::Reduced | Phase::Settled));
        if !self.sack
            || !self.limits.tail_loss_probe
            || !calm
            || self.probe != Probe::None
            || !self.state.is_synchronized()
        {
            return None;
        }
        let Some(srtt) = self.rtt.srtt_micros() else { return Some(UNMEASURED) };
        let single = self.snd.flight() <= segment;
        Some(2 * srtt + if single { MAX_ACK_DELAY } else { GRANULARITY })
    }

    /// PTO ran out (section 7.3).
    pub(super) fn on_probe_timer(&mut self, now: Instant) {
        if self.probe == Probe::None && self.state != State::SynReceived {
            self.probe = Probe::Due;
        }
        self.timers.stop(Timer::Retransmit);
        self.await_acknowledgment(now);
    }

    /// Sends the probe: new data whatever the congestion window, or the last segment again.
    pub(super) fn on_tail_probe_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        if self.probe != Probe::Due {
            return false;
        }
        self.probe = Probe::None;
        if self.snd.flight() == 0 {
            return false;
        }
        let segment = self.segment_size();
        let fits = self.data_end().since(self.snd.snd_nxt).min(self.snd.usable()).min(segment);
        let fits = self.within_record(self.snd.snd_nxt, fits);
        if fits > 0 {
            self.new_segment(now, fits, out);
            self.probe = Probe::New;
        } else {
            let (left, right) = (self.snd.snd_una, self.snd.snd_nxt);
            let board = self.board();
            let begins = board.left_of(board.pieces.len().saturating_sub(1)).latest(left);
            let tail = right.since(begins) % segment;
            let len = if tail == 0 { segment.min(right.since(begins)) } else { tail };
            let range = Range::new(self.last_record_begin(right - len, right), right);
            self.probe = Probe::Again;
            self.resend(now, range, out);
        }
        self.probe_end = self.snd.snd_nxt;
        self.timers.stop(Timer::Retransmit);
        self.await_acknowledgment(now);
        true
    }

    /// What an acknowledgment says of the probe (section 7.4.2).
    pub(super) fn on_probe_answer(&mut self, delivery: &Delivery) {
        if !matches!(self.probe, Probe::New | Probe::Again) {
            return self.on_dsack(delivery);
        }
        let (end, snd_una) = (self.probe_end, self.snd.snd_una);
        let twice = delivery.twice.is_some_and(|range| range.right == end);
        if !twice {
            self.on_dsack(delivery);
        }
        if snd_una.before(end) {
            return;
        }
        if self.probe == Probe::New || twice || delivery.is_bare {
            // New data arrived, or the original did as well as the probe.
            self.probe = Probe::None;
        } else if snd_una.after(end) {
            self.probe = Probe::None;
            self.on_loss_mended_by_probe();
        }
    }

    /// The probe has taken the place of a segment that was lost.
    fn on_loss_mended_by_probe(&mut self) {
        if !matches!(self.phase(), Some(Phase::Fast | Phase::Timeout | Phase::Reduced)) {
            let flight = self.congestion.window();
            self.congestion.on_loss(flight, self.mss.into());
            self.congestion.on_recovered();
        }
    }

    /// Something that went again had arrived before. Where things do come out of order, that was too early (section 6.2.4).
    fn on_dsack(&mut self, delivery: &Delivery) {
        let (snd_una, snd_nxt) = (self.snd.snd_una, self.snd.snd_nxt);
        if delivery.twice.is_some()
            && self.reordering.seen
            && self.board.as_mut().is_some_and(|board| board.on_dsack(snd_una, snd_nxt))
        {
            self.reordering.widen();
        }
    }

    /// The retransmission timer was sooner.
    pub(super) fn forget_probe(&mut self) {
        self.probe = Probe::None;
    }
}

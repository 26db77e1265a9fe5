//! Where a connection is counted, and how much of its congestion window it uses.
//!
//! On a packet's way beside [`segment_in`](super::segment_in) and [`segment_out`](super::segment_out), which call once a
//! segment; [`tally`](super::tally) keeps the numbers.

use wharf_table::Instant;

use super::Connection;
use super::congestion::{Ack, Flight};
use super::segment_in::Ecn;
use super::segment_out::SegmentOut;
use super::seq::SeqNum;
use super::state::State;
use super::tally::Waiting;

impl Connection {
    /// A segment has come with so much payload; a large one stands for many.
    pub(super) fn count_arrival(&mut self, now: Instant, len: u32) {
        let size = u32::from(self.limits.mss).max(1);
        let count = if len <= size { 1 } else { len.div_ceil(size) };
        self.tally.on_arrived(len, count, now);
    }

    /// A segment leaves.
    pub(super) fn count_departure(&mut self, segment: &SegmentOut) {
        self.tally.on_sent(segment.payload.1 as u32, segment.count());
    }

    /// An acknowledgment has come for all below `ack`, which tells of so many bytes that have arrived, and perhaps of a mark
    /// (CE) on one of their packets.
    pub(super) fn count_delivery(&mut self, now: Instant, ack: SeqNum, delivered: u32, mark: Ecn) {
        let tally = &mut self.tally;
        tally.bytes_delivered = tally.bytes_delivered.wrapping_add(delivered.into());
        if mark == Ecn::Experienced {
            tally.bytes_delivered_marked = tally.bytes_delivered_marked.wrapping_add(delivered);
        }
        tally.rate.on_delivered(ack, tally.bytes_delivered, now);
    }

    /// A round trip of so many microseconds was measured.
    pub(super) fn count_round_trip(&mut self, micros: u64, now: Instant) {
        self.tally.min_rtt.on_sample(u32::try_from(micros).unwrap_or(u32::MAX), now);
    }

    /// An acknowledgment has come, whatever it acknowledges.
    pub(super) fn count_ack(&mut self, now: Instant) {
        self.tally.ack_arrived = now;
    }

    /// What the congestion control is told of an acknowledgment that lets the window grow.
    pub(super) fn congestion_ack(&self, now: Instant, acked: u32) -> Ack {
        Ack {
            acked,
            mss: self.mss.into(),
            burst: u32::from(self.limits.max_segment)
                .max(u32::from(self.limits.train_min) * u32::from(self.mss)),
            now,
            srtt: self.rtt.srtt().unwrap_or_default(),
            snd_una: self.snd.snd_una,
            snd_nxt: self.snd.snd_nxt,
        }
    }

    /// Everything has left that may: notes what holds the rest back.
    pub(super) fn note_usage(&mut self, now: Instant) {
        if !self.state.is_synchronized() {
            return;
        }
        let unsent = self.data_end().since(self.snd.snd_nxt.earliest(self.data_end()));
        let waiting = if self.send_queue.is_empty() {
            Waiting::Nothing
        } else if unsent == 0 && self.send_blocked {
            Waiting::SendBuffer
        } else if unsent > self.snd.usable() && !self.window_filled {
            Waiting::PeerWindow
        } else {
            Waiting::Network
        };
        self.tally.busy.on_change(waiting, now);
        if unsent == 0 && !self.window_filled {
            self.tally.rate.on_app_limited();
            if self.pacer.is_some() {
                self.pause_deliveries();
            }
        }
        let (cwnd, ssthresh) = (self.congestion.window(), self.congestion.ssthresh());
        let is_full = self.window_filled || self.pipe() >= cwnd;
        let flight = Flight { snd_una: self.snd.snd_una, snd_nxt: self.snd.snd_nxt, cwnd, ssthresh, is_full };
        let rto = self.rtt.rto_micros();
        if let Some(used) = self.usage.on_settled(flight, now, rto)
            && self.limits.slow_start_after_idle
            && self.recovery.is_none()
            && self.state != State::TimeWait
            && !self.send_blocked
        {
            self.congestion.on_little_used(used, self.mss.into());
        }
    }
}

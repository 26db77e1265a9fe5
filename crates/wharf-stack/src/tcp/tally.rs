//! What a connection counts for [`TcpInfo`](super::TcpInfo): plain numbers, which decide nothing.
//!
//! Invariant: nothing here is needed to go on; who parks an idle connection may keep it elsewhere.

use core::time::Duration;

use wharf_table::Instant;

use super::seq::SeqNum;

/// Counts since the connection began.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) bytes_acked: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_resent: u64,
    pub(super) bytes_delivered: u64,
    pub(super) bytes_delivered_marked: u32,
    pub(super) segments_sent: u32,
    pub(super) segments_received: u32,
    pub(super) data_segments_sent: u32,
    pub(super) data_segments_received: u32,
    pub(super) segments_resent: u32,
    pub(super) duplicates_reported: u32,
    pub(super) reorderings_seen: u32,
    pub(super) segments_out_of_order: u32,
    pub(super) data_arrived: Instant,
    pub(super) ack_arrived: Instant,
    pub(super) min_rtt: MinRtt,
    pub(super) busy: Busy,
    pub(super) rate: RateSample,
    pub(super) round: ReceiverRound,
}

impl Tally {
    pub(super) const fn new(now: Instant) -> Tally {
        Tally {
            bytes_acked: 0,
            bytes_received: 0,
            bytes_sent: 0,
            bytes_resent: 0,
            bytes_delivered: 0,
            bytes_delivered_marked: 0,
            segments_sent: 0,
            segments_received: 0,
            data_segments_sent: 0,
            data_segments_received: 0,
            segments_resent: 0,
            duplicates_reported: 0,
            reorderings_seen: 0,
            segments_out_of_order: 0,
            data_arrived: now,
            ack_arrived: now,
            min_rtt: MinRtt::new(now),
            busy: Busy::new(now),
            rate: RateSample::new(now),
            round: ReceiverRound::new(now),
        }
    }

    /// A segment with `len` bytes of payload leaves as `count` segments on the wire.
    pub(super) fn on_sent(&mut self, len: u32, count: u32) {
        self.segments_sent = self.segments_sent.wrapping_add(count);
        if len > 0 {
            self.data_segments_sent = self.data_segments_sent.wrapping_add(count);
            self.bytes_sent = self.bytes_sent.wrapping_add(len.into());
        }
    }

    /// The same, and it left before.
    pub(super) fn on_resent(&mut self, len: u32, count: u32) {
        self.segments_resent = self.segments_resent.wrapping_add(count);
        self.bytes_resent = self.bytes_resent.wrapping_add(len.into());
    }

    /// `count` bytes more are in order.
    pub(super) fn on_in_order(&mut self, count: u32, rcv_nxt: SeqNum, edge: SeqNum, now: Instant) {
        self.bytes_received = self.bytes_received.wrapping_add(count.into());
        self.round.on_received(rcv_nxt, edge, now);
    }

    /// A segment has come that stands for `count`.
    pub(super) fn on_arrived(&mut self, len: u32, count: u32, now: Instant) {
        self.segments_received = self.segments_received.wrapping_add(count);
        if len > 0 {
            self.data_segments_received = self.data_segments_received.wrapping_add(count);
            self.data_arrived = now;
        }
    }
}

/// The least round trip of the last five minutes, as long as Linux' tcp_min_rtt_wlen says.
#[derive(Clone, Debug)]
pub(super) struct MinRtt {
    micros: u32,
    at: Instant,
}

/// An echo of our clock that is older makes no sense, in milliseconds.
const ECHO_MAX_MS: u32 = 1 << 20;
/// How long the least is believed.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(300);

impl MinRtt {
    /// Before the first sample.
    pub(super) const fn new(now: Instant) -> MinRtt {
        MinRtt { micros: u32::MAX, at: now }
    }

    pub(super) fn on_sample(&mut self, micros: u32, now: Instant) {
        if micros <= self.micros || now.since(self.at) > MIN_RTT_WINDOW {
            *self = MinRtt { micros: micros.max(1), at: now };
        }
    }

    /// In microseconds; all ones before the first sample.
    pub(super) const fn get(&self) -> u32 {
        self.micros
    }
}

/// What data waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Waiting {
    /// There is none.
    #[default]
    Nothing,
    /// To be sent and acknowledged.
    Network,
    /// For the peer's window.
    PeerWindow,
    /// For room in the send buffer: everything in it is on its way, and the owner has more.
    SendBuffer,
}

/// How long data has waited for what, in milliseconds as Linux counts it.
#[derive(Clone, Debug)]
pub(super) struct Busy {
    totals: [u32; 3],
    since: Instant,
    waiting: Waiting,
}

impl Busy {
    const fn new(now: Instant) -> Busy {
        Busy { totals: [0; 3], since: now, waiting: Waiting::Nothing }
    }

    pub(super) fn on_change(&mut self, waiting: Waiting, now: Instant) {
        if waiting == self.waiting {
            return;
        }
        if let Some(at) = place(self.waiting) {
            self.totals[at] = self.totals[at].saturating_add(millis(now.since(self.since)));
        }
        (self.waiting, self.since) = (waiting, now);
    }

    /// For the network, for the peer's window, for room in the send buffer; in microseconds.
    pub(super) fn totals(&self, now: Instant) -> [u64; 3] {
        let mut busy = self.clone();
        busy.on_change(Waiting::Nothing, now);
        busy.totals.map(|millis| u64::from(millis) * 1_000)
    }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

const fn place(waiting: Waiting) -> Option<usize> {
    match waiting {
        Waiting::Nothing => None,
        Waiting::Network => Some(0),
        Waiting::PeerWindow => Some(1),
        Waiting::SendBuffer => Some(2),
    }
}

/// How fast data is delivered: one segment a round trip is followed, and what was delivered from the last delivery before
/// it left until its own is divided by that time (draft-cheng-iccrg-delivery-rate-estimation, section 3.2, with one sample a
/// round).
#[derive(Clone, Debug)]
pub(super) struct RateSample {
    /// The last measurement: bytes, and the time that they took in microseconds.
    delivered: u32,
    interval: u32,
    was_app_limited: bool,
    is_running: bool,
    is_app_limited: bool,
    /// Where the followed segment ends.
    end: SeqNum,
    /// Bytes delivered when it left (they wrap), and when the last of them was.
    prior: u32,
    prior_at: Instant,
    /// When something was delivered last, or left while nothing was on its way.
    last: Instant,
}

impl RateSample {
    const fn new(now: Instant) -> RateSample {
        RateSample {
            delivered: 0,
            interval: 0,
            was_app_limited: false,
            is_running: false,
            is_app_limited: false,
            end: SeqNum::new(0),
            prior: 0,
            prior_at: now,
            last: now,
        }
    }

    /// New data up to `end` leaves while `flight` bytes were on their way already.
    pub(super) fn on_sent(&mut self, end: SeqNum, flight: u32, delivered: u64, now: Instant) {
        if flight == 0 {
            self.last = now;
        }
        if !self.is_running {
            (self.is_running, self.is_app_limited) = (true, false);
            (self.end, self.prior, self.prior_at) = (end, delivered as u32, self.last);
        }
    }

    /// The application has no more to send, and the window would let it.
    pub(super) fn on_app_limited(&mut self) {
        self.is_app_limited = true;
    }

    /// Something was delivered, everything below `ack` is acknowledged. A rate measured while the application held back
    /// counts only when it is higher, as in Linux.
    pub(super) fn on_delivered(&mut self, ack: SeqNum, delivered: u64, now: Instant) {
        self.last = now;
        if !self.is_running || ack.before(self.end) {
            return;
        }
        self.is_running = false;
        let bytes = (delivered as u32).wrapping_sub(self.prior);
        let interval = u32::try_from(now.micros_since(self.prior_at)).unwrap_or(u32::MAX).max(1);
        if !self.is_app_limited || !self.is_faster_than(bytes, interval) {
            (self.delivered, self.interval, self.was_app_limited) = (bytes, interval, self.is_app_limited);
        }
        // What is of no use any more takes no room where idle connections are kept.
        (self.end, self.prior, self.prior_at, self.is_app_limited) = (ack, 0, now, false);
    }

    /// Whether the last measurement was of a higher rate: without a division, which would be the dearest step of an
    /// acknowledgment.
    fn is_faster_than(&self, bytes: u32, interval: u32) -> bool {
        u64::from(self.delivered) * u64::from(interval) > u64::from(bytes) * u64::from(self.interval)
    }

    /// In bytes a second; 0 before the first measurement.
    pub(super) fn rate(&self) -> u64 {
        rate(self.delivered, self.interval)
    }

    pub(super) const fn was_app_limited(&self) -> bool {
        self.was_app_limited
    }
}

fn rate(bytes: u32, micros: u32) -> u64 {
    (u64::from(bytes) * 1_000_000).checked_div(micros.into()).unwrap_or(0)
}

/// The round trip as a receiver sees it: how long the peer takes to fill the window that it was told of, or to echo what it
/// was sent.
#[derive(Clone, Debug)]
pub(super) struct ReceiverRound {
    end: SeqNum,
    began: Instant,
    is_running: bool,
    /// Eight times the round trip, in microseconds.
    micros8: u32,
    /// The echo that came last; one is measured once.
    echo: u32,
}

impl ReceiverRound {
    const fn new(now: Instant) -> ReceiverRound {
        ReceiverRound { end: SeqNum::new(0), began: now, is_running: false, micros8: 0, echo: 0 }
    }

    /// `rcv_nxt` has moved; `edge` is what the peer was told.
    pub(super) fn on_received(&mut self, rcv_nxt: SeqNum, edge: SeqNum, now: Instant) {
        if self.is_running && rcv_nxt.before(self.end) {
            return;
        }
        if self.is_running {
            let round = u32::try_from(now.micros_since(self.began)).unwrap_or(u32::MAX);
            // A window takes a round trip at least, so the least is the truth.
            let round8 = round.saturating_mul(8).max(8);
            self.micros8 = if self.micros8 == 0 { round8 } else { self.micros8.min(round8) };
        }
        (self.end, self.began, self.is_running) = (edge, now, true);
    }

    /// A full segment echoes what left `age` milliseconds ago, while the owner has read everything or not.
    pub(super) fn on_echo(&mut self, echo: u32, age: u32, is_drained: bool) {
        if core::mem::replace(&mut self.echo, echo) == echo || age == 0 || age >= ECHO_MAX_MS {
            return;
        }
        let sample = age.saturating_mul(1_000);
        if self.micros8 == 0 || sample.saturating_mul(8) < self.micros8 {
            self.micros8 = sample.saturating_mul(8);
        } else if is_drained {
            // Where data waits, it may be the owner that is slow.
            self.micros8 = (self.micros8 - self.micros8 / 8).saturating_add(sample);
        }
    }

    /// In microseconds; 0 when it is not known.
    pub(super) const fn rtt(&self) -> u32 {
        self.micros8 / 8
    }
}

super::park::packed!(struct Tally {
    bytes_acked, bytes_received, bytes_sent, bytes_resent, bytes_delivered, bytes_delivered_marked, segments_sent,
    segments_received, data_segments_sent, data_segments_received, segments_resent, duplicates_reported,
    reorderings_seen, segments_out_of_order, data_arrived, ack_arrived, min_rtt, busy, rate, round,
});
super::park::packed!(struct MinRtt { micros, at });
super::park::packed!(enum Waiting { 0 = Nothing, 1 = Network, 2 = PeerWindow, 3 = SendBuffer });
super::park::packed!(struct Busy { totals, since, waiting });
super::park::packed!(struct RateSample {
    delivered, interval, was_app_limited, is_running, is_app_limited, end, prior, prior_at, last,
});
super::park::packed!(struct ReceiverRound { end, began, is_running, micros8, echo });

//! When received data is acknowledged (RFC 9293, section 3.8.6.3; RFC 5681, section 4.2), as Linux decides.
//!
//! A connection begins with quick acknowledgments, one for each segment, so that the peer's slow start is not held up. Then
//! more than a full segment is acknowledged at once, and less waits for company: for 40 ms, longer where segments come
//! seldom, up to 200 ms. Who answers soon after it was asked is *interactive*: its acknowledgments ride on its answers.
//!
//! Deliberately not here: what is acknowledged for another reason than data in order (a gap, a duplicate, a probe).

use core::time::Duration;

use wharf_table::Instant;
use wharf_wire::tcp::TcpFlags;

use super::segment_in::Arrival;
use super::segment_out::AckDue;
use super::timers::Timer;
use super::{Connection, Context};

/// The least and the most that an acknowledgment waits, in milliseconds (TCP_ATO_MIN and TCP_DELACK_MAX of Linux).
const ATO_MIN: u8 = 40;
const ATO_MAX: u8 = 200;
/// Quick acknowledgments in a row at most (TCP_MAX_QUICKACKS).
const QUICK_MAX: u32 = 16;
/// From so many bytes on, options counted, a segment may be a full one (TCP_MIN_MSS of Linux), and from so many on it is
/// even where it is the last of something (TCP_MSS_DEFAULT).
const SIZE_MIN: u16 = 88;
const SIZE_SURE: u16 = 536;
/// Bytes of the SACK option with its padding, and of a block.
const SACK_LEN: u16 = 4;
const BLOCK_LEN: u16 = 8;

/// What is known of how data comes.
#[derive(Clone, Debug, Default)]
pub(super) struct DelayedAck {
    /// Quick acknowledgments left.
    quick: u8,
    /// How long the next one waits, in milliseconds; 0 before the first data.
    ato: u8,
    /// Small segments that wait to be acknowledged; two are many.
    small: u8,
    /// Data is answered with data soon after it has come.
    interactive: bool,
    /// The size of the last segment that was no full one but may have been, in bytes.
    last_len: u16,
    /// When data came last, in milliseconds that wrap.
    arrived: u32,
}

super::park::packed!(struct DelayedAck { quick, ato, small, interactive, last_len, arrived });

impl DelayedAck {
    /// Data has come: follows the time between arrivals. `quick` tells how many quick acknowledgments a new start is worth.
    fn on_data(&mut self, now: Instant, rto: u64, quick: impl FnOnce() -> u8) {
        let now = now.millis() as u32;
        let gap = now.wrapping_sub(core::mem::replace(&mut self.arrived, now));
        if self.ato == 0 {
            (self.quick, self.ato) = (self.quick.max(quick()), ATO_MIN);
        } else if gap <= u32::from(ATO_MIN / 2) {
            self.ato = self.ato / 2 + ATO_MIN / 2;
        } else if gap < u32::from(self.ato) {
            self.ato = (self.ato / 2).saturating_add(gap as u8).min(ATO_MAX);
        } else if u64::from(gap) > rto / 1_000 {
            // After so long the peer begins anew with a small window.
            self.quick = self.quick.max(quick());
        }
    }

    /// Data leaves: whether it is an answer.
    pub(super) fn on_data_sent(&mut self, now: Instant) {
        let gap = (now.millis() as u32).wrapping_sub(self.arrived);
        self.interactive |= gap < u32::from(self.ato);
    }

    /// An acknowledgment leaves; whether it was waited for.
    pub(super) fn on_ack_sent(&mut self, due: AckDue) {
        self.small = 0;
        if due != AckDue::None && self.quick > 0 {
            self.quick -= 1;
            if self.quick == 0 {
                self.ato = ATO_MIN;
            }
        }
    }

    /// The timer ran out: nothing came that an acknowledgment could have gone with.
    fn on_missed(&mut self) {
        if core::mem::take(&mut self.interactive) {
            self.ato = ATO_MIN;
        } else {
            self.ato = self.ato.saturating_mul(2).min(ATO_MAX);
        }
    }

    /// After the quick acknowledgments of the beginning.
    #[cfg(test)]
    pub(super) fn settled(now: Instant) -> DelayedAck {
        DelayedAck { ato: ATO_MIN, arrived: now.millis() as u32, ..DelayedAck::default() }
    }

    const fn is_quick(&self) -> bool {
        self.quick > 0 && !self.interactive
    }

    /// How long an acknowledgment waits.
    fn delay(&self, srtt: Option<Duration>) -> Duration {
        let least = Duration::from_millis(ATO_MIN.into());
        let ato = Duration::from_millis(self.ato.max(ATO_MIN).into());
        // Where the round trip is short, waiting longer than it takes gains nothing.
        srtt.map_or(ato, |srtt| ato.min(srtt.max(least)))
    }

    /// In milliseconds, for who asks.
    pub(super) fn ato(&self) -> Duration {
        Duration::from_millis(self.ato.into())
    }
}

/// How many quick acknowledgments a new start is worth: half a window of them, at most sixteen.
fn quick_count(window: u32, rcv_mss: u16) -> u8 {
    let count = window / (2 * u32::from(rcv_mss).max(1));
    (if count == 0 { 2 } else { count.min(QUICK_MAX) }) as u8
}

impl Connection {
    /// `len` bytes have come in order, and are to be acknowledged: now when they are more than a segment or acknowledgments
    /// are quick, else after a while.
    pub(super) fn schedule_ack(&mut self, cx: &Context<'_>, arrival: &Arrival<'_>, len: u32) {
        let (window, rcv_mss) = (self.rcv.edge().since(self.rcv.rcv_nxt), self.rcv_mss);
        self.delayed_ack.on_data(cx.now, self.rtt.rto_micros(), || quick_count(window, rcv_mss));
        let is_large = len > u32::from(self.limits.mss);
        if len >= u32::from(self.rcv_mss) {
            let size = if is_large && !self.limits.segments_cost { self.rcv_mss } else { self.limits.mss };
            let size = len.min(size.into());
            if self.limits.segments_cost && len != u32::from(self.rcv_mss) {
                self.rcv.measure(len);
            }
            self.rcv_mss = size as u16;
            self.delayed_ack.last_len = 0;
        } else if !self.is_smaller_size(arrival, len as u16) {
            self.delayed_ack.small = (self.delayed_ack.small + 1).min(2);
        }
        let many = is_large || self.unacknowledged() > u32::from(self.rcv_mss);
        if many || self.delayed_ack.is_quick() || !self.limits.delayed_ack {
            self.owe_ack();
        } else if self.owed.ack != AckDue::Now {
            self.delay_ack(cx.now);
        }
    }

    /// Whether a segment of `len` bytes is the second of a new, smaller size that the peer sends from now on: then that is a full
    /// segment (tcp_measure_rcv_mss of Linux). Small ones count only when nothing says that they are the last of something.
    fn is_smaller_size(&mut self, arrival: &Arrival<'_>, len: u16) -> bool {
        let options = &arrival.header.options;
        let sack = match options.sack.len() as u16 {
            0 => 0,
            blocks => SACK_LEN + BLOCK_LEN * blocks,
        };
        let len = len + sack;
        let timestamps = if self.timestamps.enabled { super::segment_out::TIMESTAMPS_LEN as u16 } else { 0 };
        let ends = TcpFlags::PSH | TcpFlags::FIN | TcpFlags::URG;
        if len + timestamps < SIZE_MIN || len + timestamps < SIZE_SURE && arrival.flags.intersects(ends) {
            return false;
        }
        let again = core::mem::replace(&mut self.delayed_ack.last_len, len) == len;
        if again {
            self.rcv_mss = len;
        }
        again
    }

    /// Received and not acknowledged.
    fn unacknowledged(&self) -> u32 {
        self.rcv.rcv_nxt.since(self.timestamps.last_ack_sent)
    }

    fn delay_ack(&mut self, now: Instant) {
        let delay = self.delayed_ack.delay(self.rtt.srtt());
        if self.owed.ack == AckDue::None {
            self.owed.ack = AckDue::Delayed;
            self.timers.set(Timer::DelayedAck, now + delay);
        } else if self.timers.at(Timer::DelayedAck) <= now + delay / 4 {
            self.owe_ack();
        } else {
            let sooner = self.timers.at(Timer::DelayedAck).min(now + delay);
            self.timers.set(Timer::DelayedAck, sooner);
        }
    }

    /// The peer has sent something again: it should hear quickly how it stands.
    pub(super) fn acknowledge_quickly(&mut self) {
        let quick = quick_count(self.rcv.edge().since(self.rcv.rcv_nxt), self.rcv_mss);
        let delayed = &mut self.delayed_ack;
        (delayed.quick, delayed.interactive, delayed.ato) = (delayed.quick.max(quick), false, ATO_MIN);
    }

    /// An acknowledgment has waited long enough.
    pub(super) fn on_delayed_ack_timer(&mut self) {
        self.delayed_ack.on_missed();
        self.owe_ack();
    }

    /// The owner has read: an acknowledgment that waits may go, when it is for more than a segment, or when nothing is left
    /// to be read of small segments that nobody answers. Where the buffer holds a few segments only, the peer waits for each
    /// of them, and one is enough.
    pub(super) fn acknowledge_what_was_read(&mut self) {
        if self.owed.ack != AckDue::Delayed {
            return;
        }
        let DelayedAck { small, interactive, .. } = self.delayed_ack;
        let drained = self.receive_queue.is_empty() && (small >= 2 || small == 1 && !interactive);
        let enough = u32::from(self.rcv_mss) + u32::from(!self.rcv.is_tight(self.rcv_mss));
        if drained || self.unacknowledged() >= enough {
            self.owe_ack();
        }
    }

    /// Whether acknowledgments are quick from now on, as long as nothing else changes that (TCP_QUICKACK of Linux).
    pub(super) fn set_quick_ack(&mut self, quick: bool) {
        self.delayed_ack.interactive = !quick;
        if quick && self.owed.ack == AckDue::Delayed {
            self.owe_ack();
        }
    }
}

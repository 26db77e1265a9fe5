//! A connection in SYN-RECEIVED as a row of 28 bytes, and what becomes of it.
//!
//! Between SYN and ACK a listener keeps only what the SYN said and when it was answered. Whatever comes for the row is
//! judged by the [`Connection`] that the row stands for: it is made anew, takes the segment, and is kept only when the
//! handshake ends. So a row can't differ from what SYN-RECEIVED means elsewhere (RFC 9293, section 3.10.7.4).
//!
//! Not kept: options of the SYN that may as well come later (the user time-out of RFC 5482).

use wharf_table::request::RequestPayload;
use wharf_table::{Instant, Tuple};
use wharf_wire::tcp::{TcpFlags, TcpOptions, TcpRepr};

use super::seq::SeqNum;
use super::{Connection, Context, Settings};

/// No window scale was offered; larger ones are not legal (RFC 7323, section 2.3).
const NO_SCALE: u32 = 15;
const SACK: u32 = 1 << 4;
const TIMESTAMPS: u32 = 1 << 5;
/// Whether a segment size was named.
const MSS: u32 = 1 << 6;
/// Where the flags of the SYN stand that agree on ECN (ECE and CWR), and the count of repetitions.
const FLAGS_SHIFT: u32 = 8;
const RETRIES_SHIFT: u32 = 16;
/// Where our own window scale stands, and one: 0 where it is not known.
const OUR_SCALE_SHIFT: u32 = 24;

/// What is known of a connection whose SYN was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) iss: SeqNum,
    pub(crate) irs: SeqNum,
    /// What the SYN said that counts: window, ECE, CWR, and options.
    pub(crate) window: u16,
    pub(crate) ecn: TcpFlags,
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) timestamp: Option<u32>,
    /// How often the SYN-ACK was repeated.
    pub(crate) retries: u8,
    /// The shift of our windows that the SYN-ACK has told, whatever the listener's options say by now; `None` where it is
    /// not known.
    pub(crate) our_scale: Option<u8>,
    /// When the SYN-ACK left last, in units of 4 µs that wrap after hours.
    pub(crate) sent: u32,
    /// Tells this row from those that had its number before.
    pub(crate) stamp: u32,
}

/// When a SYN-ACK left, as a row keeps it.
pub(crate) const fn sent_at(now: Instant) -> u32 {
    (now.micros() / 4) as u32
}

impl Pending {
    /// What is to be known of `syn`.
    pub(crate) fn new(iss: SeqNum, syn: &TcpRepr) -> Pending {
        let ecn = TcpFlags::from_bits(syn.flags.bits() & (TcpFlags::ECE | TcpFlags::CWR).bits());
        Pending {
            iss,
            irs: SeqNum::new(syn.seq),
            window: syn.window,
            ecn,
            mss: syn.options.mss,
            scale: syn.options.window_scale,
            sack: syn.options.sack_permitted,
            timestamp: syn.options.timestamps.map(|(value, _)| value),
            retries: 0,
            our_scale: None,
            sent: 0,
            stamp: 0,
        }
    }

    pub(crate) fn to_row(self) -> RequestPayload {
        let mut marks = self.scale.map_or(NO_SCALE, |scale| u32::from(scale).min(NO_SCALE - 1));
        marks |= if self.sack { SACK } else { 0 };
        marks |= if self.timestamp.is_some() { TIMESTAMPS } else { 0 };
        marks |= if self.mss.is_some() { MSS } else { 0 };
        marks |= u32::from(self.ecn.bits()) << FLAGS_SHIFT | u32::from(self.retries) << RETRIES_SHIFT;
        marks |= self.our_scale.map_or(0, |scale| u32::from(scale) + 1) << OUR_SCALE_SHIFT;
        let sizes = u32::from(self.window) | u32::from(self.mss.unwrap_or(0)) << 16;
        let timestamp = self.timestamp.unwrap_or(0);
        [self.iss.value(), self.irs.value(), timestamp, sizes, marks, self.sent, self.stamp]
    }

    pub(crate) fn from_row(row: RequestPayload) -> Pending {
        let [iss, irs, timestamp, sizes, marks, sent, stamp] = row;
        let scale = marks & NO_SCALE;
        Pending {
            iss: SeqNum::new(iss),
            irs: SeqNum::new(irs),
            window: sizes as u16,
            ecn: TcpFlags::from_bits((marks >> FLAGS_SHIFT & 0xff) as _),
            mss: (marks & MSS != 0).then_some((sizes >> 16) as u16),
            scale: (scale != NO_SCALE).then_some(scale as u8),
            sack: marks & SACK != 0,
            timestamp: (marks & TIMESTAMPS != 0).then_some(timestamp),
            retries: (marks >> RETRIES_SHIFT) as u8,
            our_scale: (marks >> OUR_SCALE_SHIFT & 0xf).checked_sub(1).map(|scale| scale as u8),
            sent,
            stamp,
        }
    }

    /// When the SYN-ACK left last, as seen from a later moment that is less than hours away.
    pub(crate) fn sent_before(&self, later: Instant) -> Instant {
        let ago = sent_at(later).wrapping_sub(self.sent);
        Instant::from_micros(later.micros().saturating_sub(u64::from(ago) * 4))
    }

    fn syn(&self, tuple: Tuple) -> TcpRepr {
        TcpRepr {
            src_port: tuple.remote.port,
            dst_port: tuple.local.port,
            seq: self.irs.value(),
            ack: 0,
            flags: TcpFlags::SYN | self.ecn,
            window: self.window,
            urgent: 0,
            options: TcpOptions {
                mss: self.mss,
                window_scale: self.scale,
                sack_permitted: self.sack,
                timestamps: self.timestamp.map(|value| (value, 0)),
                ..TcpOptions::default()
            },
        }
    }
}

/// What is known of when the SYN-ACK left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It has not left yet.
    Never,
    /// Then: its acknowledgment tells the round trip.
    At(Instant),
    /// It left, nobody knows when.
    Sometime,
}

impl Connection {
    /// The connection in SYN-RECEIVED that a row stands for: accepted, its SYN-ACK sent (as [`Sent`] says).
    pub(crate) fn from_request(
        settings: &Settings,
        tuple: Tuple,
        pending: &Pending,
        sent: Sent,
        cx: &mut Context<'_>,
    ) -> Connection {
        let at = if let Sent::At(at) = sent { at } else { cx.now };
        let mut conn = Connection::incoming(settings, tuple, pending.iss, &pending.syn(tuple), at);
        if let Some(scale) = pending.our_scale.filter(|_| conn.scaling) {
            conn.rcv.keep_scale(scale);
        }
        conn.accept();
        conn.retries = pending.retries;
        if sent != Sent::Never {
            let mut then = Context { now: at, pool: &mut *cx.pool };
            let answer = conn.poll_segment(&mut then);
            debug_assert!(answer.is_some(), "an accepted connection answers");
            // The row keeps the time itself.
            conn.timers = super::Timers::new();
        }
        if sent == Sent::Sometime {
            conn.last_sent = Instant::NEVER;
        }
        conn
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_keeps_all_of_it(
            numbers: (u32, u32, u32, u32), sizes: (u16, Option<u16>), scale in prop::option::of(0..15_u8), sack: bool,
            timestamp: Option<u32>, retries: u8, ecn in 0..4_u8, our_scale in prop::option::of(0..15_u8),
        ) {
            let (iss, irs, sent, stamp) = numbers;
            let bits = [TcpFlags::ECE, TcpFlags::CWR];
            let mut flags = TcpFlags::from_bits(0);
            for (bit, flag) in bits.into_iter().enumerate() {
                if ecn >> bit & 1 == 1 {
                    flags |= flag;
                }
            }
            let pending = Pending {
                iss: SeqNum::new(iss), irs: SeqNum::new(irs), window: sizes.0, ecn: flags, mss: sizes.1, scale, sack,
                timestamp, retries, our_scale, sent, stamp,
            };
            prop_assert_eq!(Pending::from_row(pending.to_row()), pending);
        }
    }

    #[test]
    fn the_time_of_the_answer_is_kept_to_the_tick() {
        let tick = |micros: u64| Instant::from_micros(micros);
        for at in [0, 4, 1_000_000, u64::from(u32::MAX) * 4, 1 << 50] {
            let pending = Pending { sent: sent_at(tick(at)), ..Pending::from_row([0; 7]) };
            assert_eq!(pending.sent_before(tick(at + 63_000_000)), tick(at / 4 * 4));
        }
    }
}

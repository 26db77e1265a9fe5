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

use super::ecn::EcnState;
use super::segment_in::Timestamps;
use super::seq::SeqNum;
use super::settings::DSCP_MASK;
use super::user_timeout::UserTimeout;
use super::window::ReceiveWindow;
use super::{Connection, Ecn, Owed, SegmentOut, Settings, State};
use crate::egress::Fields;

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
    /// Then: its acknowledgment tells the round trip.
    At(Instant),
    /// It left, nobody knows when.
    Sometime,
}

impl Pending {
    /// The SYN-ACK of the connection that the row stands for, and the shift of our windows that it tells.
    pub(crate) fn syn_ack(&self, settings: &Settings, tuple: &Tuple, now: Instant) -> (SegmentOut, u8) {
        let mut timestamps = Timestamps::new(settings);
        match self.timestamp {
            Some(value) => timestamps.recent = value,
            None => timestamps.enabled = false,
        }
        let mut ecn = EcnState::new(settings.ecn);
        ecn.on_syn_arrived(State::SynReceived, TcpFlags::SYN | self.ecn);
        let scaling = settings.window_scale && self.scale.is_some();
        let mut rcv = ReceiveWindow::new(settings);
        if !scaling {
            rcv.without_scale();
        } else if let Some(scale) = self.our_scale {
            rcv.keep_scale(scale);
        }
        let header = TcpRepr {
            src_port: tuple.local.port,
            dst_port: tuple.remote.port,
            seq: self.iss.value(),
            ack: (self.irs + 1).value(),
            flags: TcpFlags::SYN | TcpFlags::ACK | ecn.syn_ack_flags(),
            window: rcv.syn_field(),
            urgent: 0,
            options: TcpOptions {
                mss: Some(settings.mss),
                window_scale: scaling.then_some(rcv.scale),
                sack_permitted: settings.sack && self.sack,
                timestamps: timestamps.option(now),
                user_timeout: UserTimeout::new(settings).advertised(),
                ..TcpOptions::default()
            },
        };
        (SegmentOut { header, payload: (0, 0), gso_size: None, ecn: Ecn::NotCapable }, rcv.scale)
    }
}

/// What these settings choose for the IP headers of a connection.
pub(crate) fn fields_of(settings: &Settings) -> Fields {
    Fields {
        hop_limit: settings.hop_limit.max(1),
        traffic_class: (settings.dscp & DSCP_MASK) << 2,
        dont_fragment: settings.path_discovery,
    }
}

impl Connection {
    /// The connection in SYN-RECEIVED that a row stands for: accepted, its SYN-ACK sent (as [`Sent`] says).
    #[inline]
    pub(crate) fn from_request(
        settings: &Settings,
        tuple: Tuple,
        pending: &Pending,
        sent: Sent,
        now: Instant,
    ) -> Connection {
        let at = if let Sent::At(at) = sent { at } else { now };
        let mut conn = Connection::incoming(settings, tuple, pending.iss, &pending.syn(tuple), at);
        if let Some(scale) = pending.our_scale.filter(|_| conn.scaling) {
            conn.rcv.keep_scale(scale);
        }
        conn.accepted = true;
        conn.retries = pending.retries;
        // What its SYN-ACK has changed in it; when that has to come again is the row's to know.
        conn.owed = Owed::default();
        conn.dirty = false;
        conn.snd.snd_nxt = conn.iss + 1;
        conn.rcv.syn_field();
        conn.tally.on_sent(0, 1);
        conn.last_sent = if sent == Sent::Sometime { Instant::NEVER } else { at };
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

    proptest! {
        /// Beside the connection in SYN-RECEIVED that would have been kept.
        #[test]
        fn a_row_says_and_becomes_what_a_connection_does(
            marks in 0..1_u32 << 24, sizes: (u16, u16), times: (u32, u32), buffer in 0..1_u32 << 24, ecn in 0..3_usize, retries in 0..9_u8,
        ) {
            let bit = |bit: u32| marks >> bit & 1 == 1;
            let settings = Settings {
                mss: 536 + sizes.0 % 1_000, link_mss: 1_460, receive_buffer: buffer,
                receive_buffer_max: if bit(0) { 6 << 20 } else { 0 },
                sack: bit(1), window_scale: bit(2), timestamps: bit(3), hop_limit: sizes.1 as u8, dscp: times.0 as u8,
                path_discovery: bit(4), ecn: [super::super::EcnMode::Off, super::super::EcnMode::Passive, super::super::EcnMode::Active][ecn],
                user_timeout_option: bit(5).then(super::super::UserTimeoutOption::default),
                path_mss: if bit(6) { 600 } else { 0 }, timestamp_offset: times.1,
                ..Settings::default()
            };
            let ends = |host: u8, port: u16| wharf_table::Endpoint::new(wharf_table::Addr::v4([10, 0, 0, host]), port);
            let tuple = Tuple { protocol: wharf_table::Protocol::Tcp, local: ends(1, 80), remote: ends(2, sizes.1) };
            let both = TcpFlags::ECE | TcpFlags::CWR;
            let mut pending = Pending {
                iss: SeqNum::new(times.1), irs: SeqNum::new(times.0), window: sizes.1, ecn: if bit(7) { both } else { TcpFlags::NONE },
                mss: bit(8).then_some(sizes.0), scale: bit(9).then_some(marks as u8 % 15), sack: bit(10), timestamp: bit(11).then_some(times.1),
                retries, our_scale: None, sent: 0, stamp: 0,
            };
            let now = Instant::from_millis(5_000_000);
            for _ in 0..2 {
                let mut pool = crate::buffer::ChunkPool::new(1 << 20);
                let mut cx = super::super::Context { now, pool: &mut pool };
                let mut conn = Connection::incoming(&settings, tuple, pending.iss, &pending.syn(tuple), now);
                if let Some(scale) = pending.our_scale.filter(|_| conn.scaling) {
                    conn.rcv.keep_scale(scale);
                }
                conn.accept();
                conn.retries = retries;
                let (segment, shift) = pending.syn_ack(&settings, &tuple, now);
                prop_assert_eq!(conn.poll_segment(&mut cx), Some(segment));
                prop_assert_eq!(conn.window_shift(), shift);
                let fields = Fields { hop_limit: conn.hop_limit(), traffic_class: conn.dscp() << 2, dont_fragment: conn.discovers_path() };
                prop_assert_eq!(fields_of(&settings), fields);
                // The row keeps the time itself.
                conn.timers = super::super::Timers::new();
                let again = Connection::from_request(&settings, tuple, &pending, Sent::At(now), now);
                prop_assert_eq!(alloc::format!("{again:?}"), alloc::format!("{conn:?}"));
                // The SYN-ACK that is repeated.
                pending.our_scale = Some(shift);
            }
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

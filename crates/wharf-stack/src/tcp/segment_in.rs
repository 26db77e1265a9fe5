//! A segment's way through a connection: one function for each numbered check of RFC 9293, section 3.10.7.4.
//!
//! Each check takes what the one before left of the segment, or ends its way with a [`DropReason`]; what has to be
//! answered is only noted in what is owed, so that a batch of segments is answered once.

mod acknowledgment;
mod handed;
mod handshake;
mod predicted;
mod text;

use wharf_table::{DropReason, Instant};
use wharf_wire::tcp::{TcpFlags, TcpRepr};

pub(crate) use self::handed::{HANDED_MIN, KEPT_MAX};
use super::seq::{Range, SeqNum};
use super::settings::Settings;
use super::state::{CloseReason, State};
use super::timers::Timer;
use super::{Connection, Context};

/// TS.Recent is believed this long (RFC 7323, section 5.5), in seconds: 24 days.
const RECENT_VALID: u32 = 24 * 86_400;
/// Challenge ACKs in this time, and how long it is, in milliseconds (RFC 5961, section 7): at least so many, and up to
/// [`CHALLENGES_JITTER`] more.
const CHALLENGES_MIN: u8 = 8;
const CHALLENGES_JITTER: u32 = 8;
const CHALLENGES_PER_MS: u32 = 5_000;

/// What the IP header says of congestion (RFC 3168, section 5). A connection that has not agreed on ECN ignores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// The sender does not do ECN.
    #[default]
    NotCapable,
    /// ECT(0) or ECT(1): it does.
    Capable,
    /// CE: a router on the way is congested.
    Experienced,
}

impl Ecn {
    /// The two bits of the IP header; who is capable says ECT(0).
    pub const fn bits(self) -> u8 {
        match self {
            Ecn::NotCapable => 0,
            Ecn::Capable => 2,
            Ecn::Experienced => 3,
        }
    }
}

impl Ecn {
    /// From the byte that holds DSCP and ECN: the type of service of IPv4, the traffic class of IPv6.
    pub const fn from_bits(byte: u8) -> Ecn {
        match byte & 3 {
            0 => Ecn::NotCapable,
            3 => Ecn::Experienced,
            _ => Ecn::Capable,
        }
    }
}

/// The clocks of both sides (RFC 7323, section 3).
#[derive(Clone, Debug)]
pub(super) struct Timestamps {
    /// Both sides do timestamps; while the handshake runs: we do.
    pub(super) enabled: bool,
    offset: u32,
    /// TS.Recent: what to echo, and what nothing may be older than.
    pub(super) recent: u32,
    /// When that came, in seconds.
    recent_at: u32,
    /// Last.ACK.sent: only a segment that begins at or before it moves TS.Recent.
    pub(super) last_ack_sent: SeqNum,
}

impl Timestamps {
    pub(super) const fn new(settings: &Settings) -> Timestamps {
        Timestamps {
            enabled: settings.timestamps,
            offset: settings.timestamp_offset,
            recent: 0,
            recent_at: 0,
            last_ack_sent: SeqNum::new(0),
        }
    }

    /// TSval: milliseconds.
    pub(super) const fn clock(&self, now: Instant) -> u32 {
        (now.millis() as u32).wrapping_add(self.offset)
    }

    pub(super) fn note(&mut self, value: u32, now: Instant) {
        self.recent = value;
        self.recent_at = seconds(now);
    }

    /// Whether a segment's timestamp is newer than what came last.
    pub(super) fn is_newer(&self, segment: &TcpRepr) -> bool {
        let value = segment.options.timestamps.map(|(value, _)| value);
        self.enabled && value.is_some_and(|value| SeqNum::new(value).after(SeqNum::new(self.recent)))
    }

    /// Whether a segment carries the option as it should, and no clock from the past.
    #[inline]
    fn expect(&self, option: Option<(u32, u32)>, now: Instant) -> bool {
        match option {
            Some((value, _)) => !self.enabled || !self.is_old(value, now),
            None => !self.enabled,
        }
    }

    /// PAWS: whether `value` is from the past (RFC 7323, section 5.3, R1).
    #[inline]
    fn is_old(&self, value: u32, now: Instant) -> bool {
        SeqNum::new(value).before(SeqNum::new(self.recent))
            && seconds(now).wrapping_sub(self.recent_at) < RECENT_VALID
    }
}

fn seconds(now: Instant) -> u32 {
    (now.millis() / 1_000) as u32
}

/// How many challenge ACKs have left lately. Each connection has a limit of its own, which differs from one to the next and
/// from time to time: a common one, or one that is known, would tell a third party whether another's segment was
/// challenged (Cao et al., "Off-Path TCP Exploits: Global Rate Limit Considered Dangerous", 2016).
#[derive(Clone, Debug, Default)]
pub(super) struct Challenges {
    /// In milliseconds, which wrap after 49 days; then a challenge may be one too few.
    since: u32,
    count: u8,
}

impl Challenges {
    /// `secret` is what no third party knows of the connection.
    fn allows(&mut self, now: Instant, secret: SeqNum) -> bool {
        let now = now.millis() as u32;
        if now.wrapping_sub(self.since) >= CHALLENGES_PER_MS {
            *self = Challenges { since: now, count: 0 };
        }
        let jitter = (secret.value() ^ self.since).wrapping_mul(0x9e37_79b1) >> 16;
        let allowed = self.count < CHALLENGES_MIN + (jitter % CHALLENGES_JITTER) as u8;
        self.count += u8::from(allowed);
        allowed
    }
}

/// What is left of a segment on its way through the checks.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) seq: SeqNum,
    ack: SeqNum,
    pub(super) flags: TcpFlags,
    pub(super) header: &'a TcpRepr,
    payload: &'a [u8],
    ecn: Ecn,
}

impl<'a> Arrival<'a> {
    fn new(header: &'a TcpRepr, payload: &'a [u8], ecn: Ecn) -> Arrival<'a> {
        let (seq, ack) = (SeqNum::new(header.seq), SeqNum::new(header.ack));
        Arrival { seq, ack, flags: header.flags, header, payload, ecn }
    }

    pub(super) const fn has(&self, flags: TcpFlags) -> bool {
        self.flags.contains(flags)
    }

    /// Sequence numbers that it takes (SEG.LEN).
    fn len(&self) -> u32 {
        let controls = u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN));
        self.payload.len() as u32 + controls
    }

    fn range(&self) -> Range {
        Range::new(self.seq, self.seq + self.len())
    }
}

impl Connection {
    /// A segment has arrived, its checksum right, with its payload, which may be many segments in one.
    ///
    /// # Errors
    /// Why it, or what matters of it, was not taken. What has to be answered is answered by [`Connection::poll_segment`].
    pub fn handle_segment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &TcpRepr,
        payload: &[u8],
        ecn: Ecn,
    ) -> Result<(), DropReason> {
        let arrival = Arrival::new(segment, payload, ecn);
        self.count_arrival(cx.now, payload.len() as u32);
        match self.state {
            State::Closed => Err(DropReason::NoConnection),
            State::SynSent => self.on_segment_in_syn_sent(cx, arrival),
            State::SynReceived => self.on_segment_in_syn_received(cx, arrival),
            _ if self.expects(cx.now, &arrival) => self.take_expected(cx, &arrival),
            _ => self.on_segment(cx, arrival),
        }
    }

    /// The checks in their order, for all states from SYN-RECEIVED on. The third, of security and precedence, is of the past.
    fn on_segment(&mut self, cx: &mut Context<'_>, mut arrival: Arrival<'_>) -> Result<(), DropReason> {
        self.check_timestamp(cx, &arrival)?;
        self.check_sequence(cx, &mut arrival)?;
        if self.is_closed() {
            return Ok(());
        }
        self.check_reset(cx, &arrival)?;
        if self.is_closed() {
            return Ok(());
        }
        self.check_syn(cx, &arrival)?;
        self.check_ack(cx, &arrival)?;
        if self.is_closed() {
            return Ok(());
        }
        self.note_timestamp(cx, &arrival);
        self.restart_keepalive(cx);
        self.hear_options(&arrival);
        self.check_urgent(&arrival);
        self.take_text(cx, &arrival)?;
        self.take_fin(cx, &arrival);
        Ok(())
    }

    /// Before the first check: PAWS (RFC 7323, section 5.3), and that the option has not gone (section 3.2).
    fn check_timestamp(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) -> Result<(), DropReason> {
        if !self.timestamps.enabled || arrival.has(TcpFlags::RST) {
            return Ok(());
        }
        let Some((value, _)) = arrival.header.options.timestamps else {
            let drops = self.limits.drops_missing_timestamps;
            return if drops { Err(DropReason::TimestampMissing) } else { Ok(()) };
        };
        if self.timestamps.is_old(value, cx.now) && !self.came_by_another_way(arrival, value) {
            self.answer_unacceptable(cx, arrival);
            return Err(DropReason::PawsRejected);
        }
        Ok(())
    }

    /// Whether an old segment is but a duplicate acknowledgment that another one has overtaken: in order, empty, with no other
    /// window, and not older than the retransmission time-out. To answer it would make loss of reordering (Linux:
    /// `tcp_disordered_ack`).
    fn came_by_another_way(&self, arrival: &Arrival<'_>, value: u32) -> bool {
        let age = self.timestamps.recent.wrapping_sub(value);
        arrival.flags == TcpFlags::ACK
            && arrival.payload.is_empty()
            && arrival.seq == self.rcv.rcv_nxt
            && arrival.ack == self.snd.snd_una
            && u32::from(arrival.header.window) << self.snd.scale == self.snd.snd_wnd
            && u128::from(age) <= self.rtt.rto().as_millis()
    }

    /// First: the sequence number (RFC 9293, section 3.10.7.4). An empty segment may stand at the right edge too: it is what
    /// a peer sends that has filled the window behind a loss. What lies beyond the edge is cut off.
    fn check_sequence(&mut self, cx: &mut Context<'_>, arrival: &mut Arrival<'_>) -> Result<(), DropReason> {
        let (rcv_nxt, edge) = (self.rcv.rcv_nxt, self.rcv.edge());
        let range = arrival.range();
        let acceptable = if range.is_empty() {
            !arrival.seq.before(rcv_nxt) && !arrival.seq.after(edge)
        } else {
            // At a closed window the segment at its edge is let through for its ACK, RST or FIN.
            range.right.after(rcv_nxt) && (arrival.seq.before(edge) || arrival.seq == rcv_nxt)
        };
        if !acceptable {
            if !arrival.has(TcpFlags::RST) {
                self.note_duplicate(range);
                self.answer_unacceptable(cx, arrival);
                if range.right == rcv_nxt && !range.is_empty() {
                    self.hear_repetition(cx, arrival);
                }
            }
            let old = !range.is_empty() && !range.right.after(rcv_nxt);
            return Err(if old { DropReason::Duplicate } else { DropReason::OutOfWindow });
        }
        Ok(())
    }

    /// The clock of a segment that is believed is the one to echo (RFC 7323, section 4.3, rule 2).
    fn note_timestamp(&mut self, cx: &Context<'_>, arrival: &Arrival<'_>) {
        if let Some((value, _)) = arrival.header.options.timestamps
            && self.timestamps.enabled
            && !arrival.seq.after(self.timestamps.last_ack_sent)
            && !self.timestamps.is_old(value, cx.now)
        {
            self.timestamps.note(value, cx.now);
        }
    }

    /// The segment that came last has come again: our answer was lost. Its text is known, but its timestamp and its
    /// acknowledgment may be news (Linux takes it as acceptable).
    fn hear_repetition(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) {
        let means_us =
            arrival.has(TcpFlags::ACK) && !arrival.has(TcpFlags::SYN) && self.state.is_synchronized();
        if !means_us || arrival.ack.after(self.snd.snd_nxt) || arrival.ack.before(self.snd.snd_una) {
            return;
        }
        self.note_timestamp(cx, arrival);
        if arrival.ack.after(self.snd.snd_una) {
            self.on_acknowledgment(cx, arrival);
            self.on_fin_acknowledged(cx);
        }
    }

    /// An unacceptable segment is answered with an acknowledgment: always when it brings data, which means that the peer has
    /// not heard the last one; else only so often, so that two confused peers don't talk for ever.
    fn answer_unacceptable(&mut self, cx: &Context<'_>, arrival: &Arrival<'_>) {
        if arrival.has(TcpFlags::FIN) && self.state == State::TimeWait {
            self.timers.set(Timer::Idle, cx.now + self.limits.time_wait());
        }
        if !arrival.payload.is_empty() || self.challenges.allows(cx.now, self.iss) {
            self.owe_ack();
        }
    }

    /// Second: RST. Only at exactly the next sequence number is it believed at once (RFC 5961, section 3.2), and never in
    /// TIME-WAIT, which protects the next connection from late segments (RFC 1337, section 3, fix F1).
    fn check_reset(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) -> Result<(), DropReason> {
        if !arrival.has(TcpFlags::RST) {
            return Ok(());
        }
        if self.state == State::TimeWait {
            return Err(DropReason::StateMismatch);
        }
        if arrival.seq != self.rcv.rcv_nxt {
            return self.challenge(cx);
        }
        self.end(match self.state {
            State::SynReceived if !self.passive => CloseReason::Refused,
            _ => CloseReason::ResetByPeer,
        });
        Ok(())
    }

    /// Fourth: SYN. In a synchronized state it is never believed (RFC 5961, section 4.2).
    fn check_syn(&mut self, cx: &mut Context<'_>, arrival: &Arrival<'_>) -> Result<(), DropReason> {
        if arrival.has(TcpFlags::SYN) { self.challenge(cx) } else { Ok(()) }
    }

    /// Asks the peer whether it meant it (RFC 5961, section 7).
    fn challenge(&mut self, cx: &Context<'_>) -> Result<(), DropReason> {
        if self.challenges.allows(cx.now, self.iss) {
            self.owe_ack();
        }
        Err(DropReason::Challenged)
    }
}

super::park::packed!(struct Timestamps { enabled, offset, recent, recent_at, last_ack_sent });
super::park::packed!(struct Challenges { since, count });

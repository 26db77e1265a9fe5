//! What a connection sends: the reasons to send, asked in order.
//!
//! A segment that leaves carries the newest acknowledgment and window, so one due is settled by whatever leaves first.
//! Only acknowledgments that answer data out of order are counted and each sent by itself, because a sender without
//! SACK counts them (RFC 5681, section 3.2).

mod lone;

use wharf_table::Instant;
use wharf_wire::tcp::{SackBlocks, TcpFlags, TcpOptions, TcpRepr};

use super::segment_in::{Ecn, Timestamps};
use super::seq::{Range, SeqNum};
use super::state::State;
use super::timers::Timer;
use super::tlp::Probe;
use super::window::{Demand, Sendable, sendable};
use super::{Connection, Context};
use crate::buffer::Slices;

/// Bytes of the timestamps option with its padding.
pub(super) const TIMESTAMPS_LEN: u32 = 12;
/// Bytes of the user time-out option.
const USER_TIMEOUT_LEN: u32 = 4;
/// SACK blocks that fit beside timestamps, and alone.
const BLOCKS_BESIDE_TIMESTAMPS: usize = 3;
/// Acknowledgments of data out of order that one batch of input can bring about.
const DUPLICATES_MAX: u8 = 64;

/// A segment that leaves. Its payload lies in the connection until the next call that changes it: see
/// [`Connection::payload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOut {
    /// The header.
    pub header: TcpRepr,
    /// Where the payload begins in the send queue, and how long it is, in bytes.
    pub payload: (usize, usize),
    /// Payload bytes of each segment that the device has to cut; `None` when it is one segment.
    pub gso_size: Option<u16>,
    /// What its IP header says of congestion.
    pub ecn: Ecn,
}

/// When an acknowledgment is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AckDue {
    /// Never: everything is acknowledged.
    #[default]
    None,
    /// When the timer runs out, or with the next segment.
    Delayed,
    /// Now.
    Now,
}

/// What is to be sent for reasons other than data.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owed {
    pub(super) ack: AckDue,
    /// Further acknowledgments, one for each arrival out of order.
    pub(super) duplicates: u8,
    /// The SYN or SYN-ACK.
    pub(super) syn: bool,
    /// The RST that ends the connection.
    pub(super) reset: bool,
    /// A RST with this sequence number, which leaves the connection as it is.
    pub(super) reset_reply: Option<SeqNum>,
    /// A probe of a closed window or of an idle peer.
    pub(super) probe: bool,
}

/// Whether there is a segment for this reason; it is put where the caller keeps it. To move a segment that was just put
/// together would cost as much as to make it.
type Reason = fn(&mut Connection, Instant, &mut SegmentOut) -> bool;

/// In this order.
const REASONS: [Reason; 9] = [
    Connection::on_reset_due,
    Connection::on_reset_reply_due,
    Connection::on_syn_due,
    Connection::on_duplicate_ack_due,
    Connection::on_probe_due,
    Connection::on_tail_probe_due,
    Connection::on_loss_due,
    Connection::on_data_due,
    Connection::on_ack_due,
];

impl Connection {
    /// The next segment that is to leave now; `None` when there is nothing to send until input, a command or a time-out.
    pub fn poll_segment(&mut self, cx: &mut Context<'_>) -> Option<SegmentOut> {
        let mut out = SegmentOut::EMPTY;
        self.poll_segment_into(cx, &mut out).then_some(out)
    }

    /// The same, into `out`; whether there is one.
    pub(crate) fn poll_segment_into(&mut self, cx: &mut Context<'_>, out: &mut SegmentOut) -> bool {
        if !self.dirty {
            return false;
        }
        let found = if self.has_only_data() {
            if self.send_lone(cx.now, out) {
                return true;
            }
            self.on_data_due(cx.now, out) || self.on_ack_due(cx.now, out)
        } else {
            REASONS.iter().any(|reason| reason(self, cx.now, out))
        };
        if found {
            self.count_departure(out);
        }
        if !found || self.has_said_all() {
            self.pause(cx.now);
        }
        found
    }

    /// Everything that may leave now has left.
    fn pause(&mut self, now: Instant) {
        self.dirty = false;
        if self.data_end() == self.snd.snd_nxt {
            self.window_filled = false;
        }
        self.tail.on_pause();
        self.watch_window(now);
        self.note_usage(now);
        self.note_unsent();
    }

    /// Whether none of the reasons can hold any more: nothing is queued that has not left, and nothing is owed.
    fn has_said_all(&self) -> bool {
        self.owed.ack != AckDue::Now
            && self.has_only_data()
            && self.data_end() == self.snd.snd_nxt
            && !self.fin_queued
    }

    /// Whether only the last two of the reasons can hold: nearly always.
    fn has_only_data(&self) -> bool {
        let Owed { ack: _, duplicates, syn, reset, reset_reply, probe } = &self.owed;
        let owes = *syn || *reset || *probe || *duplicates > 0 || reset_reply.is_some();
        !owes && self.recovery.is_none() && self.probe != Probe::Due
    }

    /// Whether something waits to be sent that an acknowledgment may let go.
    pub(super) fn waits_to_send(&self) -> bool {
        self.data_end() != self.snd.snd_nxt
            || self.fin_queued && !self.fin_is_sent()
            || self.recovery.is_some()
            || self.board.is_some()
            || self.probe != Probe::None
            || self.send_blocked
    }

    /// The payload of a segment that [`Connection::poll_segment`] has just given.
    pub fn payload(&self, segment: &SegmentOut) -> Slices<'_> {
        let (offset, len) = segment.payload;
        self.send_queue.slices(offset, len)
    }

    /// Whether [`Connection::poll_segment`] may have something to send.
    pub(crate) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether [`Connection::poll_segment`] or [`Connection::handle_timeout`] has something to do now.
    pub fn has_output(&self, now: Instant) -> bool {
        self.dirty || self.poll_timeout().is_some_and(|at| at <= now)
    }

    /// An acknowledgment is due now.
    pub(super) fn owe_ack(&mut self) {
        (self.owed.ack, self.dirty) = (AckDue::Now, true);
    }

    /// An acknowledgment of its own is due for data out of order. One that is due for data in order is not part of it.
    pub(super) fn owe_duplicate_ack(&mut self) {
        if self.owed.ack == AckDue::Delayed {
            self.owed.ack = AckDue::Now;
        }
        self.owed.duplicates = (self.owed.duplicates + 1).min(DUPLICATES_MAX);
        self.dirty = true;
    }

    /// Where the queued data ends; the FIN stands there.
    pub(super) fn data_end(&self) -> SeqNum {
        self.send_start + self.send_queue.len() as u32
    }

    pub(super) fn fin_is_sent(&self) -> bool {
        self.fin_queued && self.snd.snd_nxt.after(self.data_end())
    }

    pub(super) fn fin_is_acknowledged(&self) -> bool {
        self.fin_queued && self.snd.snd_una.after(self.data_end())
    }

    /// Payload bytes of a full segment as it would leave now.
    pub(super) fn segment_size(&self) -> u32 {
        let timestamps = if self.timestamps.enabled { TIMESTAMPS_LEN } else { 0 };
        let blocks = self.out_of_order.as_ref().map_or(0, |held| held.block_count(self.blocks_max()) as u32);
        let sack = if blocks > 0 { 4 + 8 * blocks } else { 0 };
        let news = self.rare.as_ref().is_some_and(|rare| rare.timeout.is_news);
        let timeout = if news { USER_TIMEOUT_LEN } else { 0 };
        let fits = u32::from(self.mss).saturating_sub(timestamps + sack + timeout);
        fits.min(self.snd.worth()).max(1)
    }

    /// The most payload of one [`SegmentOut`]: whole segments when the device cuts them.
    pub(super) fn payload_max(&self, segment: u32) -> u32 {
        let most = u32::from(self.limits.max_segment).min(self.quantum());
        // The urgent pointer of a segment that a device cuts would be wrong in all but the first.
        let whole = most <= u32::from(self.limits.link_mss) || self.urgent_end().is_some();
        if whole { segment } else { (most - most % segment).max(segment) }
    }

    fn blocks_max(&self) -> usize {
        match (self.sack, self.timestamps.enabled) {
            (false, _) => 0,
            (true, true) => BLOCKS_BESIDE_TIMESTAMPS,
            (true, false) => SackBlocks::MAX,
        }
    }
}

/// The reasons.
impl Connection {
    /// The connection is over, and the peer is to know.
    fn on_reset_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        if !core::mem::take(&mut self.owed.reset) {
            return false;
        }
        let refused = self.snd.snd_nxt == self.iss;
        let seq = if refused { SeqNum::new(0) } else { self.snd.snd_nxt };
        self.bare(seq, TcpFlags::RST | TcpFlags::ACK, out);
        if !refused {
            // RFC 7323, section 3.2: it should carry them.
            out.header.options.timestamps = self.timestamps.option(now);
        }
        true
    }

    /// The peer acknowledges what was never sent, before the connection is established (RFC 9293, section 3.10.7.3).
    fn on_reset_reply_due(&mut self, _: Instant, out: &mut SegmentOut) -> bool {
        let Some(seq) = self.owed.reset_reply.take() else { return false };
        self.bare(seq, TcpFlags::RST, out);
        out.header.ack = 0;
        true
    }

    /// SYN or SYN-ACK.
    fn on_syn_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        if !core::mem::take(&mut self.owed.syn) {
            return false;
        }
        let answers = match self.state {
            State::SynSent => false,
            State::SynReceived => true,
            _ => return false,
        };
        self.snd.snd_nxt = self.iss + 1;
        self.start_retransmit_timer(now);
        self.last_sent = now;
        let flags = match answers {
            true => TcpFlags::SYN | TcpFlags::ACK | self.ecn.syn_ack_flags(),
            false => TcpFlags::SYN | self.ecn.on_syn(self.retries),
        };
        self.bare(self.iss, flags, out);
        if !answers {
            out.header.ack = 0;
        } else {
            self.owed.ack = AckDue::None;
        }
        out.header.window = self.rcv.syn_field();
        out.header.options = self.syn_options(now, answers);
        true
    }

    /// One acknowledgment for each arrival out of order.
    fn on_duplicate_ack_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        if self.owed.duplicates == 0 || !self.state.is_synchronized() {
            return false;
        }
        if self.owed.ack != AckDue::Now {
            self.owed.duplicates -= 1;
        }
        self.acknowledgment(now, out);
        true
    }

    /// Asks a peer that takes nothing or says nothing: with what fits, or else with a segment before its window, which it has
    /// to answer (RFC 9293, sections 3.8.4 and 3.8.6.1; without data as in Linux).
    fn on_probe_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        if !core::mem::take(&mut self.owed.probe) || !self.state.is_synchronized() {
            return false;
        }
        let unsent = self.data_end().since(self.snd.snd_nxt);
        let fits = unsent.min(self.snd.usable()).min(self.segment_size());
        let fits = self.within_record(self.snd.snd_nxt, fits);
        if fits > 0 && self.snd.flight() == 0 {
            self.new_segment(now, fits, out);
            out.header.flags |= TcpFlags::PSH;
            return true;
        }
        self.acknowledgment(now, out);
        out.header.seq = (self.snd.snd_una - 1).value();
        true
    }

    /// Data that was never sent, and the FIN behind it.
    pub(super) fn on_data_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        if !self.state.is_synchronized() || self.state == State::TimeWait {
            return false;
        }
        let mut unsent = self.data_end().since(self.snd.snd_nxt);
        let fin_due = self.fin_queued && !self.fin_is_sent();
        if unsent == 0 {
            self.window_filled = false;
            let fits = fin_due && self.snd.usable() > 0;
            if fits {
                self.new_segment(now, 0, out);
            }
            return fits;
        }
        self.restart_after_idle(now);
        if self.rare.is_some() {
            self.raise_old_limit(now);
            unsent = self.within_record(self.snd.snd_nxt, unsent);
            if self.path_probe(now, unsent, out) {
                return true;
            }
        }
        let demand = self.demand(unsent, fin_due);
        let next = sendable(demand);
        // What holds the data back in the end is what the congestion window's growth depends on (RFC 5681, section 3.1).
        self.window_filled = next == Sendable::CongestionWindow;
        match next {
            Sendable::Bytes(len) if self.is_let_go(now) => {
                // What fills most of the peer's buffer is worth reading (Linux: forced_push).
                let pushes = self.ends_train(&demand, len) || len > demand.max_wnd / 2;
                self.new_segment(now, len, out);
                if pushes {
                    out.header.flags |= TcpFlags::PSH;
                }
                true
            }
            _ => false,
        }
    }

    /// An acknowledgment alone.
    fn on_ack_due(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        let may =
            self.state.is_synchronized() || self.state == State::SynReceived && self.snd.snd_nxt != self.iss;
        let due = self.owed.ack == AckDue::Now && may;
        if due {
            self.acknowledgment(now, out);
        }
        due
    }
}

/// The steps of the reasons.
impl Connection {
    fn demand(&self, unsent: u32, fin_due: bool) -> Demand {
        let segment = self.segment_size();
        Demand {
            unsent,
            peer: self.snd.usable(),
            congestion: self.congestion.window().saturating_sub(self.pipe()),
            segment,
            most: self.payload_max(segment),
            max_wnd: self.snd.max_wnd,
            // What more is queued behind is a record by itself.
            small_waits: !fin_due
                && self.snd.snd_nxt + unsent == self.data_end()
                && self.urgent_end().is_none()
                && !self.tail.is_pushed
                && (self.corked
                    || self.tail.waits
                    || self.limits.nagle && self.small_sent.after(self.snd.snd_una)),
        }
    }

    /// `len` bytes that were never sent, and the FIN when they are the last and the window takes it.
    pub(super) fn new_segment(&mut self, now: Instant, len: u32, out: &mut SegmentOut) {
        let left = self.snd.snd_nxt;
        let mut right = left + len;
        let segment = self.segment_size();
        if len < segment || !len.is_multiple_of(segment) {
            self.small_sent = right;
        }
        let fin = self.fin_queued && right == self.data_end() && self.snd.usable() > len;
        right += u32::from(fin);
        self.snd.snd_nxt = right;
        self.note_sent(Range::new(left, right), now);
        if self.snd.flight() == right.since(left) {
            // The persist timer ran until now.
            self.timers.stop(Timer::Retransmit);
            self.restart_user_timeout();
        }
        self.start_retransmit_timer(now);
        self.await_probe_after_sending(now);
        self.data_segment(now, Range::new(left, right), out);
        if len > 0 {
            let (flags, ecn) = self.ecn.on_new_data();
            out.header.flags |= flags;
            out.ecn = ecn;
            self.usage.on_sent();
            self.delayed_ack.on_data_sent(now);
            self.pace(len, now);
            self.tally.rate.on_sent(right, left.since(self.snd.snd_una), self.tally.bytes_delivered, now);
        }
    }

    /// The segment with these sequence numbers, of data and FIN.
    #[inline(always)]
    pub(super) fn data_segment(&mut self, now: Instant, range: Range, out: &mut SegmentOut) {
        let data_end = self.data_end();
        let len = range.right.earliest(data_end).since(range.left);
        let mut flags = TcpFlags::ACK;
        let ends_record = self.rare.is_some() && self.is_record_end(range.left + len);
        if len > 0 && (range.left + len == data_end && !self.tail.is_open || ends_record) {
            flags |= TcpFlags::PSH;
        }
        if self.fin_queued && range.right.after(data_end) {
            flags |= TcpFlags::FIN;
        }
        let segment = self.segment_size();
        self.note_full_segment(range, segment);
        self.header(now, range.left, flags, out);
        out.payload = (range.left.since(self.send_start) as usize, len as usize);
        out.gso_size = (len > segment).then_some(segment as u16);
    }

    fn acknowledgment(&mut self, now: Instant, out: &mut SegmentOut) {
        self.header(now, self.snd.snd_nxt, TcpFlags::ACK, out);
    }

    /// A segment without payload that says the newest of what was received. Nothing is left to be acknowledged then.
    #[inline(always)]
    fn header(&mut self, now: Instant, seq: SeqNum, flags: TcpFlags, out: &mut SegmentOut) {
        self.bare(seq, flags | self.ecn.echo_flags(), out);
        let (header, max) = (&mut out.header, self.blocks_max());
        header.window =
            self.rcv.field(self.receive_queue.len() as u32, self.rcv_mss, self.timestamps.last_ack_sent);
        header.options.timestamps = self.timestamps.option(now);
        if self.rare.is_some() {
            self.put_rare(header);
        }
        if let Some(held) = &mut self.out_of_order {
            header.options.sack = held.blocks(max);
            held.on_reported();
            if held.is_idle() {
                self.out_of_order = None;
            }
        }
        self.delayed_ack.on_ack_sent(core::mem::take(&mut self.owed.ack));
        self.timers.stop(Timer::DelayedAck);
        self.timestamps.last_ack_sent = self.rcv.rcv_nxt;
    }

    /// Marks and options that few connections have.
    #[cold]
    fn put_rare(&mut self, header: &mut TcpRepr) {
        self.mark_urgent(header);
        if let Some(rare) = &mut self.rare
            && core::mem::take(&mut rare.timeout.is_news)
        {
            header.options.user_timeout = rare.timeout.advertised();
        }
    }

    /// A segment without payload, window and options.
    #[inline(always)]
    fn bare(&self, seq: SeqNum, flags: TcpFlags, out: &mut SegmentOut) {
        let SegmentOut { header, payload, gso_size, ecn } = out;
        header.src_port = self.tuple.local.port;
        header.dst_port = self.tuple.remote.port;
        header.seq = seq.value();
        header.ack = self.rcv.rcv_nxt.value();
        header.flags = flags;
        (header.window, header.urgent) = (0, 0);
        header.options = TcpOptions::NONE;
        (*payload, *gso_size, *ecn) = ((0, 0), None, Ecn::NotCapable);
    }

    /// What we offer, in a SYN-ACK only what the peer has offered.
    fn syn_options(&self, now: Instant, answers: bool) -> TcpOptions {
        let scale = self.scaling.then_some(self.rcv.scale);
        TcpOptions {
            mss: Some(self.limits.mss),
            window_scale: scale,
            sack_permitted: self.sack,
            timestamps: if answers { self.timestamps.option(now) } else { self.timestamps.offer(now) },
            user_timeout: self.advertised_timeout(),
            sack: SackBlocks::EMPTY,
        }
    }

    fn start_retransmit_timer(&mut self, now: Instant) {
        if !self.timers.is_set(Timer::Retransmit) {
            self.await_acknowledgment(now);
            self.clamp_to_user_timeout();
        }
    }

    /// What was learnt of the path is old when nothing was sent for long (RFC 5681, section 4.1).
    fn restart_after_idle(&mut self, now: Instant) {
        if self.snd.flight() == 0 && now > self.last_sent {
            if self.limits.slow_start_after_idle {
                let idle = now.micros_since(self.last_sent);
                self.congestion.on_idle(idle, self.rtt.rto_micros(), self.mss.into());
            }
            self.last_sent = now;
        }
    }

    /// Starts the timer as persist timer when something waits and nothing is on its way that would bring an answer.
    fn watch_window(&mut self, now: Instant) {
        let waits = self.data_end().since(self.snd.snd_nxt) > 0 || self.fin_queued && !self.fin_is_sent();
        let stuck =
            waits && self.snd.flight() == 0 && self.state.is_synchronized() && self.pacing_due().is_none();
        if stuck {
            self.start_retransmit_timer(now);
        }
    }
}

impl SegmentOut {
    /// One that says nothing, to be filled.
    pub(crate) const EMPTY: SegmentOut =
        SegmentOut { header: TcpRepr::EMPTY, payload: (0, 0), gso_size: None, ecn: Ecn::NotCapable };

    /// How many segments the device makes of it.
    pub(crate) fn count(&self) -> u32 {
        self.gso_size.map_or(1, |size| self.payload.1.div_ceil(usize::from(size).max(1)) as u32)
    }
}

impl Timestamps {
    /// The option of a segment; `None` unless both sides do timestamps.
    pub(super) fn option(&self, now: Instant) -> Option<(u32, u32)> {
        self.enabled.then(|| (self.clock(now), self.recent))
    }

    /// The option of a SYN, which echoes nothing but for what a connection before it has heard.
    fn offer(&self, now: Instant) -> Option<(u32, u32)> {
        self.enabled.then(|| (self.clock(now), self.recent))
    }
}

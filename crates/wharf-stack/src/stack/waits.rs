//! TIME-WAIT, and FIN-WAIT-2 that nobody waits for, as rows of the port table.
//!
//! A connection that its owner has released needs no more than its numbers to answer late segments (RFC 9293, section
//! 3.6.1). Rows wait in the order of their end, 60 s unless the settings say otherwise; when there are as many as the stack
//! may hold connections, those that come are forgotten at once, as in Linux (`tcp_max_tw_buckets`).
//!
//! A RST does not end TIME-WAIT (RFC 1337, section 3, fix F1). A SYN that is newer does: by its timestamp (RFC 6191,
//! section 2) or by its number (RFC 9293, section 3.10.7.4, MAY-2). A connection in FIN-WAIT-2 without an owner is a row
//! as well, as in Linux (`tcp_fin_timeout`): data is answered with RST, the peer's FIN makes it TIME-WAIT.

use core::time::Duration;

use wharf_table::flow::FlowId;
use wharf_table::waiting::{Waiting, WaitingId, WaitingPayload};
use wharf_table::{DropReason, Instant, Tuple};
use wharf_wire::tcp::{TcpFlags, TcpOptions, TcpRepr};

use super::{Role, Stack};
use crate::egress::Fields;
use crate::tcp::leaving::{Leaving, Stage};
use crate::tcp::{Ecn, SegmentOut, SeqNum, State};

/// Bits of [`WaitingPayload::ts_offset`]: the window field, whether timestamps are in use, whether the FIN is still to come,
/// and when an acknowledgment was last given for nothing.
const WINDOW_MASK: u32 = 0xffff;
const TIMESTAMPS: u32 = 1 << 16;
const FIN_TO_COME: u32 = 1 << 17;
const ANSWERED_SHIFT: u32 = 18;
/// Acknowledgments of segments without data leave this far apart, in units of 128 ms (Linux: 500 ms).
const ANSWERS_APART: u32 = 4;
/// How far behind the old connection a new one begins, as in Linux.
const NEXT_ISS: u32 = 65_535 + 2;

/// How long a row is old before a connection of ours takes its tuple (Linux' `tcp_tw_reuse_delay`).
pub(super) const REUSE_DELAY: Duration = Duration::from_secs(1);

/// What a row says.
struct Late {
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    ts_recent: u32,
    marks: u32,
}

/// What a row stands for.
pub(crate) fn state_of(row: &Waiting) -> State {
    if row.payload.ts_offset & FIN_TO_COME == 0 { State::TimeWait } else { State::FinWait2 }
}

/// What a segment means to a row.
enum Outcome {
    /// Nothing.
    Nothing,
    /// It is answered with what the peer should have heard.
    Acknowledge,
    /// The same, and the time begins anew.
    Restart,
    /// It is answered with RST, and the row goes.
    Reset,
    /// The row goes.
    End,
    /// A new connection may begin.
    Reopen,
}

/// Time in units of 128 ms, 14 bits of it.
const fn tick(now: Instant) -> u32 {
    (now.millis() >> 7) as u32 & (u32::MAX >> ANSWERED_SHIFT)
}

impl Late {
    fn new(leaving: &Leaving) -> Late {
        let mut marks = u32::from(leaving.window);
        marks |= if leaving.timestamp.is_some() { TIMESTAMPS } else { 0 };
        marks |= if leaving.stage == Stage::FinWait2 { FIN_TO_COME } else { 0 };
        let (snd_nxt, rcv_nxt) = (leaving.snd_nxt, leaving.rcv_nxt);
        Late { snd_nxt, rcv_nxt, ts_recent: leaving.timestamp.unwrap_or(0), marks }
    }

    fn of(row: WaitingPayload) -> Late {
        let WaitingPayload { snd_nxt, rcv_nxt, ts_recent, ts_offset } = row;
        let (snd_nxt, rcv_nxt) = (SeqNum::new(snd_nxt), SeqNum::new(rcv_nxt));
        Late { snd_nxt, rcv_nxt, ts_recent, marks: ts_offset }
    }

    fn to_row(&self) -> WaitingPayload {
        let Late { snd_nxt, rcv_nxt, ts_recent, marks } = *self;
        WaitingPayload { snd_nxt: snd_nxt.value(), rcv_nxt: rcv_nxt.value(), ts_recent, ts_offset: marks }
    }

    const fn window(&self) -> u32 {
        self.marks & WINDOW_MASK
    }

    /// The segment's timestamp, where both sides use them.
    fn timestamp(&self, segment: &TcpRepr) -> Option<SeqNum> {
        let value = segment.options.timestamps.filter(|_| self.marks & TIMESTAMPS != 0)?.0;
        Some(SeqNum::new(value))
    }

    /// What a segment with `len` bytes means. The order is that of Linux (`tcp_timewait_state_process`).
    fn judge(&mut self, now: Instant, segment: &TcpRepr, len: usize) -> Outcome {
        let has = |flags| segment.flags.contains(flags);
        let seq = SeqNum::new(segment.seq);
        let end = seq + len as u32 + u32::from(has(TcpFlags::SYN)) + u32::from(has(TcpFlags::FIN));
        let recent = SeqNum::new(self.ts_recent);
        let timestamp = self.timestamp(segment);
        let is_old = timestamp.is_some_and(|value| value.before(recent)) && !has(TcpFlags::RST);
        if self.marks & FIN_TO_COME != 0 {
            return self.judge_before_fin(now, segment, (seq, end), is_old);
        }
        let is_syn = has(TcpFlags::SYN) && !segment.flags.intersects(TcpFlags::ACK | TcpFlags::RST);
        let is_newer = timestamp.is_some_and(|value| value.after(recent));
        if is_syn && !is_old && (seq.after(self.rcv_nxt) || is_newer) {
            return Outcome::Reopen;
        }
        if has(TcpFlags::RST) {
            return Outcome::Nothing;
        }
        if !is_old && seq == end && seq == self.rcv_nxt {
            return Outcome::Nothing;
        }
        // The peer has not heard that its FIN was received.
        if has(TcpFlags::FIN) && end == self.rcv_nxt {
            return Outcome::Restart;
        }
        self.answer_now_and_then(now, len)
    }

    /// The same while the peer's FIN is still to come.
    fn judge_before_fin(
        &mut self,
        now: Instant,
        segment: &TcpRepr,
        (seq, end): (SeqNum, SeqNum),
        is_old: bool,
    ) -> Outcome {
        let has = |flags| segment.flags.contains(flags);
        let edge = self.rcv_nxt + self.window();
        let is_inside = if seq == end {
            !seq.before(self.rcv_nxt) && !seq.after(edge)
        } else {
            end.after(self.rcv_nxt) && (seq.before(edge) || seq == self.rcv_nxt)
        };
        if is_old || !is_inside {
            let len = end.since(seq) as usize;
            return if has(TcpFlags::RST) { Outcome::Nothing } else { self.answer_now_and_then(now, len) };
        }
        if has(TcpFlags::RST) {
            let is_next = seq == self.rcv_nxt;
            return if is_next { Outcome::End } else { self.answer_now_and_then(now, 0) };
        }
        if has(TcpFlags::SYN) {
            return self.answer_now_and_then(now, 0);
        }
        if !has(TcpFlags::ACK) || seq == end {
            return Outcome::Nothing;
        }
        if !has(TcpFlags::FIN) || end != self.rcv_nxt + 1 {
            return Outcome::Reset;
        }
        self.rcv_nxt = end;
        self.marks &= !FIN_TO_COME;
        if let Some(value) = self.timestamp(segment) {
            self.ts_recent = value.value();
        }
        Outcome::Restart
    }

    /// Two sides that are confused must not answer each other for ever; who sends data is always answered.
    fn answer_now_and_then(&mut self, now: Instant, len: usize) -> Outcome {
        if len == 0 {
            let mask = u32::MAX >> ANSWERED_SHIFT;
            let since = tick(now).wrapping_sub(self.marks >> ANSWERED_SHIFT) & mask;
            if self.marks >> ANSWERED_SHIFT != 0 && since < ANSWERS_APART {
                return Outcome::Nothing;
            }
            self.marks = self.marks & !(mask << ANSWERED_SHIFT) | tick(now).max(1) << ANSWERED_SHIFT;
        }
        Outcome::Acknowledge
    }

    fn acknowledgment(&self, tuple: Tuple, clock: u32) -> TcpRepr {
        let stamped = self.marks & TIMESTAMPS != 0;
        TcpRepr {
            src_port: tuple.local.port,
            dst_port: tuple.remote.port,
            seq: self.snd_nxt.value(),
            ack: self.rcv_nxt.value(),
            flags: TcpFlags::ACK,
            window: self.window() as u16,
            urgent: 0,
            options: TcpOptions {
                timestamps: stamped.then_some((clock, self.ts_recent)),
                ..TcpOptions::default()
            },
        }
    }
}

/// Whether a connection of ours may begin with the tuple of a row in TIME-WAIT (RFC 6191, section 2; Linux' `tcp_tw_reuse`):
/// both sides use timestamps, and ours has gone on by `delay` since the last segment.
pub(super) fn may_begin_over(now: Instant, time_wait: Duration, delay: Duration, waiting: &Waiting) -> bool {
    let late = Late::of(waiting.payload);
    let is_last = late.marks & FIN_TO_COME == 0;
    is_last && late.marks & TIMESTAMPS != 0 && waiting.expires.since(now) + delay <= time_wait
}

impl Stack {
    /// Ends a row that [`may_begin_over`] allows to be used again; the number behind which the new connection begins, and the
    /// peer's clock as it was told last.
    pub(super) fn begin_over(&mut self, id: WaitingId) -> Option<(SeqNum, u32)> {
        let late = Late::of(self.table.close_waiting(id)?.payload);
        Some((late.snd_nxt + NEXT_ISS, late.ts_recent))
    }

    /// The flow of a connection that nobody holds and that only waits becomes a row.
    pub(super) fn leave_waiting(&mut self, now: Instant, flow: FlowId, leaving: &Leaving) {
        if self.table.waiting_count() as usize >= self.config.max_connections {
            self.table.close(flow);
            return;
        }
        self.table.to_waiting(flow, Late::new(leaving).to_row(), leaving.expires.max(now));
    }

    /// A segment for a row that waits. `Ok(Some)` hands it on: the row is gone, and a new connection begins behind the
    /// number.
    pub(super) fn on_segment_for_waiting(
        &mut self,
        now: Instant,
        id: WaitingId,
        segment: &TcpRepr,
        len: usize,
    ) -> Result<Option<SeqNum>, DropReason> {
        let Waiting { tuple, payload, .. } = self.table.waiting(id).ok_or(DropReason::NoConnection)?;
        let mut late = Late::of(payload);
        let outcome = match late.judge(now, segment, len) {
            // A SYN that nobody would take is but a segment that does not belong here.
            Outcome::Reopen if !self.takes_newcomers(&tuple) => Outcome::Acknowledge,
            outcome => outcome,
        };
        if let Some(row) = self.table.waiting_payload_mut(id) {
            *row = late.to_row();
        }
        match outcome {
            Outcome::Nothing => {}
            Outcome::Acknowledge | Outcome::Restart => {
                if matches!(outcome, Outcome::Restart) {
                    self.table.renew_waiting(id, now + self.config.tcp.time_wait);
                }
                let clock = (now.millis() as u32).wrapping_add(self.config.tcp.timestamp_offset);
                let header = late.acknowledgment(tuple, clock);
                let fields = Fields {
                    hop_limit: self.config.tcp.hop_limit.max(1),
                    traffic_class: (self.config.tcp.dscp & 0x3f) << 2,
                    ..Fields::default()
                };
                let segment = SegmentOut { header, payload: (0, 0), gso_size: None, ecn: Ecn::NotCapable };
                self.reply_segment(tuple, &segment, fields);
            }
            Outcome::Reset => {
                self.table.close_waiting(id);
                self.reply_reset(tuple, segment, len);
                return Err(DropReason::StateMismatch);
            }
            Outcome::End => {
                self.table.close_waiting(id);
            }
            Outcome::Reopen => {
                self.table.close_waiting(id);
                return Ok(Some(late.snd_nxt + NEXT_ISS));
            }
        }
        Ok(None)
    }

    fn takes_newcomers(&mut self, tuple: &Tuple) -> bool {
        let binding = self.table.find_binding(tuple);
        let listens = binding.is_some_and(|binding| self.listeners.listener(binding).is_some());
        listens || matches!(self.config.role, Role::Gateway(_))
    }

    /// Rows whose time has come go.
    pub(super) fn on_waiting_timeout(&mut self, now: Instant) {
        self.table.expire_waiting(now);
    }
}

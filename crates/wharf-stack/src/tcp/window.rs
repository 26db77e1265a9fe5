//! The two windows (RFC 9293, section 3.3.1 and 3.8.6; RFC 7323, section 2) and silly-window avoidance on both sides.
//!
//! Invariants: `snd_una` is never after `snd_nxt`; the right edge `rcv_adv` that the peer was promised never moves back;
//! nothing beyond it is taken.

use super::seq::SeqNum;

/// The receive window begins here, and grows as the owner reads.
const RECEIVE_START: u32 = 64 * 1024;
/// The largest window field.
const FIELD_MAX: u32 = 0xffff;
/// The largest shift (RFC 7323, section 2.3).
const SCALE_MAX: u8 = 14;

/// What we have sent and what the peer takes.
#[derive(Clone, Debug)]
pub(super) struct SendWindow {
    /// The oldest sequence number that the peer has not acknowledged.
    pub(super) snd_una: SeqNum,
    /// The next sequence number to be sent for the first time.
    pub(super) snd_nxt: SeqNum,
    /// What the peer takes from `snd_una` on, in bytes.
    pub(super) snd_wnd: u32,
    /// The sequence number of the segment that last updated `snd_wnd`.
    snd_wl1: SeqNum,
    /// The acknowledgment number of that segment.
    snd_wl2: SeqNum,
    /// The largest window that the peer ever offered.
    pub(super) max_wnd: u32,
    /// How far the peer's windows are to be shifted.
    pub(super) scale: u8,
}

impl SendWindow {
    pub(super) const fn new(iss: SeqNum) -> SendWindow {
        SendWindow {
            snd_una: iss,
            snd_nxt: iss,
            snd_wnd: 0,
            snd_wl1: iss,
            snd_wl2: iss,
            max_wnd: 0,
            scale: 0,
        }
    }

    /// Sequence numbers sent and not acknowledged.
    pub(super) const fn flight(&self) -> u32 {
        self.snd_nxt.since(self.snd_una)
    }

    /// How many more bytes the peer takes: 0 also when it has shrunk its window (RFC 9293, section 3.8.6, SHLD-15).
    pub(super) const fn usable(&self) -> u32 {
        self.snd_wnd.saturating_sub(self.flight())
    }

    /// The first window, whatever the numbers; a SYN's window is not scaled (RFC 7323, section 2.2).
    pub(super) fn set(&mut self, seq: SeqNum, ack: SeqNum, window: u32) {
        (self.snd_wl1, self.snd_wl2, self.snd_wnd) = (seq, ack, window);
        self.max_wnd = self.max_wnd.max(window);
    }

    /// Takes a window unless an older segment brings it (RFC 9293, section 3.10.7.4); whether it changed.
    pub(super) fn update(&mut self, seq: SeqNum, ack: SeqNum, field: u16) -> bool {
        let newer = self.snd_wl1.before(seq) || (self.snd_wl1 == seq && !ack.before(self.snd_wl2));
        if !newer {
            return false;
        }
        let before = self.snd_wnd;
        self.set(seq, ack, u32::from(field) << self.scale);
        self.snd_wnd != before
    }
}

/// What holds a sender back, or how much it may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sendable {
    /// So many bytes, never 0.
    Bytes(u32),
    /// The congestion window is full.
    CongestionWindow,
    /// The peer's window is full, or too small to be worth a segment.
    PeerWindow,
    /// A small segment waits for an earlier one (RFC 9293, section 3.7.4).
    Nagle,
}

/// What [`sendable`] decides upon, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Queued and never sent; not 0.
    pub(super) unsent: u32,
    /// What the peer still takes.
    pub(super) peer: u32,
    /// What the congestion window still lets go.
    pub(super) congestion: u32,
    /// A full segment.
    pub(super) segment: u32,
    /// The most at once; not less than a segment.
    pub(super) most: u32,
    /// The largest window that the peer ever offered.
    pub(super) max_wnd: u32,
    /// Whether a small segment has to wait.
    pub(super) small_waits: bool,
}

/// How much may be sent: full segments, or the last of what is queued, or what fills a window that is half of the
/// largest one (sender's silly-window avoidance, RFC 9293, section 3.8.6.2.1).
pub(super) fn sendable(demand: Demand) -> Sendable {
    let Demand { unsent, peer, congestion, segment, most, .. } = demand;
    let allowed = peer.min(congestion).min(most);
    if unsent <= allowed {
        let tail = unsent % segment;
        return match unsent - tail {
            _ if tail == 0 || !demand.small_waits => Sendable::Bytes(unsent),
            0 => Sendable::Nagle,
            full => Sendable::Bytes(full),
        };
    }
    match allowed - allowed % segment {
        0 if congestion < segment && congestion < peer => Sendable::CongestionWindow,
        0 if peer > 0 && peer >= demand.max_wnd / 2 => Sendable::Bytes(allowed),
        0 => Sendable::PeerWindow,
        full => Sendable::Bytes(full),
    }
}

/// What we have received and what we take.
#[derive(Clone, Debug)]
pub(super) struct ReceiveWindow {
    /// The next sequence number that we expect.
    pub(super) rcv_nxt: SeqNum,
    /// The right edge that the peer was promised.
    rcv_adv: SeqNum,
    /// Bytes that may wait to be read, now.
    buffer: u32,
    /// The most that `buffer` grows to.
    cap: u32,
    /// Read since `buffer` grew last.
    read: u32,
    /// How far our windows are shifted.
    pub(super) scale: u8,
}

impl ReceiveWindow {
    /// A window for up to `cap` bytes, before the peer's sequence number is known.
    pub(super) fn new(cap: u32) -> ReceiveWindow {
        let scale = (0..SCALE_MAX).find(|&scale| cap >> scale <= FIELD_MAX).unwrap_or(SCALE_MAX);
        let zero = SeqNum::new(0);
        let buffer = cap.min(RECEIVE_START);
        ReceiveWindow { rcv_nxt: zero, rcv_adv: zero, buffer, cap, read: 0, scale }
    }

    /// The peer's first sequence number is known.
    pub(super) fn open(&mut self, irs: SeqNum) {
        self.rcv_nxt = irs + 1;
        self.rcv_adv = self.rcv_nxt;
    }

    /// The peer does not scale: then neither do we.
    pub(super) fn without_scale(&mut self) {
        self.scale = 0;
        self.cap = self.cap.min(FIELD_MAX);
        self.buffer = self.buffer.min(FIELD_MAX);
    }

    /// The first sequence number that we don't take.
    pub(super) fn edge(&self) -> SeqNum {
        self.rcv_adv.latest(self.rcv_nxt)
    }

    /// The window field of a SYN, while `rcv_nxt` may not be known yet.
    pub(super) fn syn_field(&mut self) -> u16 {
        let window = self.buffer.min(FIELD_MAX);
        self.rcv_adv = self.rcv_adv.latest(self.rcv_nxt + window);
        window as u16
    }

    /// The window field of a segment that leaves now, while `held` bytes wait to be read. The edge moves only by a
    /// worthwhile step (receiver's silly-window avoidance, RFC 9293, section 3.8.6.2.2), and never back.
    pub(super) fn field(&mut self, held: u32, mss: u16) -> u16 {
        let free = self.free(held);
        if self.gain(free) >= self.worthwhile(mss) {
            self.rcv_adv = self.rcv_nxt + (free >> self.scale << self.scale);
        }
        let promised = self.rcv_adv.since(self.rcv_nxt);
        let rounded = promised.next_multiple_of(1 << self.scale);
        if rounded <= free {
            self.rcv_adv = self.rcv_adv.latest(self.rcv_nxt + rounded);
            return (rounded >> self.scale) as u16;
        }
        // Rounding up again and again would outgrow the buffer; what is promised is taken though the field says less.
        (promised >> self.scale).min(FIELD_MAX) as u16
    }

    /// The owner has read `count` bytes and `held` are left: a buffer that is emptied as fast as it is filled grows.
    pub(super) fn on_read(&mut self, count: u32, held: u32) {
        self.read = self.read.saturating_add(count);
        if self.read >= self.buffer && held <= self.buffer / 2 {
            self.buffer = self.buffer.saturating_mul(2).min(self.cap);
            self.read = 0;
        }
    }

    /// Whether the peer should hear at once that the window has opened: by a worthwhile step, and to twice what it knows.
    pub(super) fn update_is_due(&self, held: u32, mss: u16) -> bool {
        let free = self.free(held);
        self.gain(free) >= self.worthwhile(mss) && self.rcv_adv.since(self.rcv_nxt) <= free / 2
    }

    /// The buffer may grow to so many bytes. One that is larger shrinks; what was promised stays promised.
    pub(super) fn set_most(&mut self, bytes: u32) {
        let most = if self.scale == 0 { FIELD_MAX } else { FIELD_MAX << self.scale };
        self.cap = bytes.min(most);
        self.buffer = self.buffer.min(self.cap);
    }

    /// Bytes that may wait to be read, now.
    pub(super) const fn buffer(&self) -> u32 {
        self.buffer
    }

    fn free(&self, held: u32) -> u32 {
        self.buffer.saturating_sub(held).min(FIELD_MAX << self.scale)
    }

    fn gain(&self, free: u32) -> u32 {
        (self.rcv_nxt + free).since(self.rcv_adv)
    }

    fn worthwhile(&self, mss: u16) -> u32 {
        u32::from(mss).min(self.buffer / 2).max(1 << self.scale)
    }
}

super::park::packed!(struct SendWindow { snd_una, snd_nxt, snd_wl1, snd_wl2, snd_wnd, max_wnd, scale });
super::park::packed!(struct ReceiveWindow { rcv_nxt, rcv_adv, buffer, cap, read, scale });

#[cfg(test)]
mod tests;

//! The send window (RFC 9293, sections 3.3.1 and 3.8.6; RFC 7323, section 2) and silly-window avoidance of a sender; the
//! receive window is [`receive`].
//!
//! Invariant: `snd_una` is never after `snd_nxt`.

mod receive;

use super::seq::SeqNum;

pub(super) use receive::ReceiveWindow;

/// The largest window field.
const FIELD_MAX: u32 = 0xffff;
/// The largest shift (RFC 7323, section 2.3).
const SCALE_MAX: u8 = 14;

/// Windows up to this are filled by one segment (TCP_MSS_DEFAULT of Linux).
const SMALL_WINDOW: u32 = 536;

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

    /// The largest segment that is worth sending to who never offered more than `max_wnd`: half of that, so that segments
    /// come in pairs, which are acknowledged at once (Fs of RFC 9293, section 3.8.6.2.1; Linux: `tcp_bound_to_half_wnd`).
    pub(super) const fn worth(&self) -> u32 {
        match self.max_wnd {
            0 => u32::MAX,
            small if small <= SMALL_WINDOW => small,
            large => large / 2,
        }
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
        let tail = if unsent < segment { unsent } else { unsent % segment };
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

super::park::packed!(struct SendWindow { snd_una, snd_nxt, snd_wl1, snd_wl2, snd_wnd, max_wnd, scale });

#[cfg(test)]
mod tests;

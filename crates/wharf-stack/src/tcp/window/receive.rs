//! The receive window: how much the peer is told that we take, as Linux decides it (RFC 9293, section 3.8.6).
//!
//! Three bounds hold it: the *buffer*, which grows with what the owner reads in a round trip; the *threshold*, slow start of
//! the window, which grows with what comes; and the *clamp*, which an owner may set. The peer is told the least of them,
//! rounded up to what the scale can say (RFC 7323, section 2.3).
//!
//! Invariants: the right edge that the peer was promised never moves back (RFC 9293, section 3.8.6, SHLD-14); nothing
//! beyond it is taken; it is never further than the buffer and one unit of the scale from what was read.
//!
//! Bytes lie in chunks here and cost what they are. Where a size is Linux' (tcp_rmem), half of it is window, which is where
//! Linux begins; it then measures what segments cost it in memory, and where the settings say so that is reckoned here.

use wharf_table::Instant;

use super::{FIELD_MAX, SCALE_MAX};
use crate::tcp::Settings;
use crate::tcp::park::{Packed, Packer, Unpacker};
use crate::tcp::seq::SeqNum;
use crate::tcp::settings::bounded;

/// A window of one size begins here at most, and grows with what comes.
const RECEIVE_START: u32 = 64 * 1024;
/// Segments that are expected in the first round trip (TCP_INIT_CWND).
const FIRST_ROUND: u32 = 10;
/// Fewer segments are a tight window.
const TIGHT: u32 = 6;
/// Smaller segments let the window not grow.
const WORTH_GROWTH: u32 = 128;

/// What we have received and what we take.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct ReceiveWindow {
    /// The next sequence number that we expect.
    pub(in crate::tcp) rcv_nxt: SeqNum,
    /// The right edge that the peer was promised.
    rcv_adv: SeqNum,
    /// Bytes that may wait to be read, now.
    buffer: u32,
    /// The most that `buffer` grows to.
    most: u32,
    /// The most that is offered.
    clamp: u32,
    /// What is offered now, if there is so much room (rcv_ssthresh).
    threshold: u32,
    /// Read in the best round trip so far (rcvq_space.space); 0 before one was better than is expected of the first.
    copied: u32,
    /// Up to where was read when the round trip began, and when that was.
    round_read: SeqNum,
    round_began: Instant,
    /// How far our windows are shifted.
    pub(in crate::tcp) scale: u8,
    /// How much of the memory that segments cost is text, in 256ths (scaling_ratio of Linux); half where it is not measured.
    ratio: u8,
}

/// Half.
const RATIO: u8 = 128;
/// What Linux needs beside each segment: headers, room in front and `struct skb_shared_info`; and `struct sk_buff`.
const BESIDE_TEXT: u32 = 426;
const DESCRIPTOR: u32 = 256;
/// Larger segments lie in pages.
const PAGE: u32 = 4096;
/// The least clamp (SOCK_MIN_RCVBUF / 2).
const CLAMP_MIN: u32 = 1_152;

/// What a segment of `len` bytes costs Linux in memory (its truesize).
const fn cost(len: u32) -> u32 {
    let size = len + BESIDE_TEXT;
    DESCRIPTOR + if size <= PAGE { size.next_power_of_two() } else { size.next_multiple_of(PAGE) }
}

impl ReceiveWindow {
    /// The window of a connection with these settings, before the peer's sequence number is known (tcp_select_initial_window).
    pub(in crate::tcp) fn new(settings: &Settings) -> ReceiveWindow {
        let buffer = bounded(settings.receive_buffer);
        let most = settings.receive_buffer_max.max(buffer).min(bounded(u32::MAX));
        let widest = FIELD_MAX << SCALE_MAX;
        let clamp = if settings.window_clamp == 0 { widest } else { settings.window_clamp };
        let (scale, threshold) = match settings.receive_scale_for.max(settings.receive_buffer_max) {
            0 => (least_scale(buffer.min(clamp)), buffer.min(clamp).min(RECEIVE_START)),
            expected => {
                let space = buffer.min(clamp);
                let mss = u32::from(settings.mss).max(1);
                let whole = if space > mss { space - space % mss } else { space };
                (scale_for(expected.max(buffer), clamp), whole.min(FIELD_MAX))
            }
        };
        let zero = SeqNum::new(0);
        ReceiveWindow {
            rcv_nxt: zero,
            rcv_adv: zero,
            buffer,
            most,
            clamp: clamp.min(FIELD_MAX << scale),
            threshold,
            copied: 0,
            round_read: zero,
            round_began: Instant::ZERO,
            scale,
            ratio: RATIO,
        }
    }

    /// The peer's first sequence number is known.
    pub(in crate::tcp) fn open(&mut self, irs: SeqNum) {
        self.rcv_nxt = irs + 1;
        self.rcv_adv = self.rcv_nxt;
        self.round_read = self.rcv_nxt;
    }

    /// Our shift is this one: the peer was told so.
    pub(in crate::tcp) fn keep_scale(&mut self, scale: u8) {
        self.scale = scale.min(SCALE_MAX);
        self.clamp = self.clamp.min(FIELD_MAX << self.scale);
        self.threshold = self.threshold.min(self.clamp);
    }

    /// The peer does not scale: then neither do we.
    pub(in crate::tcp) fn without_scale(&mut self) {
        self.scale = 0;
        if !self.grows() {
            (self.buffer, self.most) = (self.buffer.min(FIELD_MAX), self.most.min(FIELD_MAX));
        }
        self.clamp = self.clamp.min(FIELD_MAX);
        self.threshold = self.threshold.min(FIELD_MAX);
    }

    /// Both sides have acknowledged each other's SYN: the buffer keeps a segment in reserve where it may grow
    /// (tcp_init_buffer_space).
    pub(in crate::tcp) fn on_established(&mut self, mss: u16, now: Instant) {
        let mss = u32::from(mss);
        self.clamp = self.clamp.min(self.buffer);
        if self.grows() && self.clamp > 2 * mss && self.clamp + mss > self.buffer {
            self.clamp = (2 * mss).max(self.buffer.saturating_sub(mss));
        }
        self.threshold = self.threshold.min(self.clamp);
        (self.round_read, self.round_began) = (self.rcv_nxt, now);
    }

    /// The first sequence number that we don't take.
    pub(in crate::tcp) fn edge(&self) -> SeqNum {
        self.rcv_adv.latest(self.rcv_nxt)
    }

    /// The window field of a SYN, while `rcv_nxt` may not be known yet.
    pub(in crate::tcp) fn syn_field(&mut self) -> u16 {
        let window = self.threshold.min(FIELD_MAX);
        self.rcv_adv = self.rcv_adv.latest(self.rcv_nxt + window);
        window as u16
    }

    /// The window field of a segment that leaves now, while `held` bytes wait to be read, in segments of `mss` bytes, and
    /// `acked` was acknowledged last (tcp_select_window).
    pub(in crate::tcp) fn field(&mut self, held: u32, mss: u16, acked: SeqNum) -> u16 {
        let promised = self.promised();
        let mut window = self.select(held, mss, acked);
        if window < promised {
            // "A receiver SHOULD NOT shrink the window": what can't be said exactly is rounded up, as long as there is room.
            window = promised.next_multiple_of(self.unit());
            if window + held > self.buffer.max(self.full()) + self.unit() {
                return (promised >> self.scale).min(FIELD_MAX) as u16;
            }
        }
        let field = (window >> self.scale).min(FIELD_MAX);
        self.rcv_adv = self.rcv_adv.latest(self.rcv_nxt + (field << self.scale));
        field as u16
    }

    /// Whether the peer should hear at once that the window has opened: to twice what it knows.
    pub(in crate::tcp) fn update_is_due(&self, held: u32, mss: u16, acked: SeqNum) -> bool {
        let promised = self.promised();
        promised <= self.clamp / 2 && {
            let window = self.select(held, mss, acked);
            window > 0 && window >= 2 * promised
        }
    }

    /// Segments of `len` bytes come: what they cost decides how much of them the buffer holds (tcp_measure_rcv_mss).
    pub(in crate::tcp) fn measure(&mut self, len: u32) {
        let ratio = ((len << 8) / cost(len)).clamp(1, u32::from(u8::MAX)) as u8;
        if core::mem::replace(&mut self.ratio, ratio) == ratio {
            return;
        }
        let clamp = self.full().max(CLAMP_MIN).min(FIELD_MAX << self.scale);
        self.threshold = match clamp < self.clamp {
            true => self.threshold.min(clamp),
            false => self.threshold.max(self.promised().min(clamp)),
        };
        self.clamp = clamp;
    }

    /// A segment of `len` bytes has come, of a peer that sends `peer_mss` and to whom we say `mss`: the window may grow with
    /// what the sender has shown (tcp_grow_window).
    pub(in crate::tcp) fn on_arrived(&mut self, len: u32, held: u32, peer_mss: u16, mss: u16) {
        let room = self.clamp.min(self.room(held)).saturating_sub(self.threshold);
        if len >= WORTH_GROWTH && room > 0 {
            let step = if len >= u32::from(peer_mss) { mss } else { peer_mss };
            self.threshold += room.min((2 * u32::from(step)).max(2 * len));
        }
    }

    /// The owner has read, and `held` bytes are left; a round trip takes `rtt` microseconds, 0 if that is not known. Once a
    /// round trip the buffer grows to twice what was read in it, and more while that itself grows (tcp_rcv_space_adjust).
    /// `beyond` bytes lie between what is in order and the last that came.
    pub(in crate::tcp) fn on_read(&mut self, held: u32, mss: u16, rtt: u32, beyond: u32, now: Instant) {
        if rtt == 0 || now.micros_since(self.round_began) < rtt.into() {
            return;
        }
        let read_to = self.rcv_nxt - held;
        let copied = read_to.since(self.round_read).saturating_sub(held);
        let before = self.space(mss);
        if copied > before {
            self.copied = copied;
            self.grow(before.max(1).into(), beyond);
        }
        (self.round_read, self.round_began) = (read_to, now);
    }

    fn grow(&mut self, before: u64, beyond: u32) {
        let copied = u64::from(self.copied);
        let window = 2 * copied;
        // A sender in slow start doubles what it sends, and this is always a round trip late.
        let wanted = window + 2 * (window * copied.saturating_sub(before) / before) + u64::from(beyond);
        let space = wanted * u64::from(RATIO) / u64::from(self.ratio.max(1));
        let space = u32::try_from(space).unwrap_or(u32::MAX).min(self.most);
        if self.grows() && space > self.buffer {
            self.buffer = space;
            self.clamp = self.full().min(FIELD_MAX << self.scale);
        }
    }

    /// The buffer has this size from now on. What was promised stays promised.
    pub(in crate::tcp) fn fix(&mut self, bytes: u32) {
        (self.buffer, self.most) = (bytes, bytes);
        self.clamp = self.clamp.max(bytes).min(FIELD_MAX << self.scale);
    }

    /// No more than this is offered (TCP_WINDOW_CLAMP of Linux).
    pub(in crate::tcp) fn clamp_to(&mut self, bytes: u32) {
        let known = self.promised().min(bytes);
        self.threshold =
            if bytes < self.clamp { self.threshold.min(bytes) } else { self.threshold.max(known) };
        self.clamp = bytes.min(FIELD_MAX << self.scale);
    }

    /// Whether the window is but a few segments of the peer, who can't fill the path while one of them waits for its
    /// acknowledgment.
    pub(in crate::tcp) fn is_tight(&self, peer_mss: u16) -> bool {
        self.clamp.min(self.buffer) < TIGHT * u32::from(peer_mss)
    }

    /// What is offered now, if there is so much room.
    pub(in crate::tcp) const fn threshold(&self) -> u32 {
        self.threshold
    }

    /// Read in the best round trip so far.
    pub(in crate::tcp) fn space(&self, mss: u16) -> u32 {
        if self.copied > 0 { self.copied } else { self.threshold.min(FIRST_ROUND * u32::from(mss)) }
    }

    /// What would be told if nothing had been promised (__tcp_select_window): a receiver avoids silly windows, which open by
    /// less than a segment (RFC 9293, section 3.8.6.2.2).
    fn select(&self, held: u32, mss: u16, acked: SeqNum) -> u32 {
        let buffer = self.full();
        let full = self.clamp.min(buffer);
        let mss = u32::from(mss).min(full).max(1);
        let mut free = self.room(held);
        if free < full / 2 {
            free -= free % self.unit();
            if free < buffer / 16 || free < mss {
                return 0;
            }
        }
        let free = free.min(self.threshold);
        if self.scale > 0 {
            return free.next_multiple_of(self.unit());
        }
        if free == full && full < TIGHT * mss {
            // Of so few segments the part of one counts, and nothing is silly about all that there is.
            return free;
        }
        // Without a scale the window stays a multiple of segments, and moves by no less.
        let told = self.rcv_adv.latest(acked).since(acked);
        if told + mss <= free || told > free {
            free - free % mss
        } else if mss == full && free > told + full / 2 {
            free
        } else {
            told
        }
    }

    /// What the peer knows that we take from here on.
    fn promised(&self) -> u32 {
        self.edge().since(self.rcv_nxt)
    }

    /// Bytes that the buffer holds.
    const fn full(&self) -> u32 {
        if self.ratio == RATIO {
            return self.buffer;
        }
        (self.buffer as u64 * self.ratio as u64 / RATIO as u64) as u32
    }

    const fn room(&self, held: u32) -> u32 {
        self.full().saturating_sub(held)
    }

    const fn unit(&self) -> u32 {
        1 << self.scale
    }

    const fn grows(&self) -> bool {
        self.most > self.buffer
    }
}

/// The shift for a window that may become so large, as Linux chooses it; half of Linux' sizes is window.
fn scale_for(expected: u32, clamp: u32) -> u8 {
    let space = expected.saturating_mul(2).min(clamp).max(1);
    space.ilog2().saturating_sub(15).min(SCALE_MAX.into()) as u8
}

/// The least shift that can say so much.
fn least_scale(buffer: u32) -> u8 {
    (0..SCALE_MAX).find(|&scale| buffer >> scale <= FIELD_MAX).unwrap_or(SCALE_MAX)
}

/// Most of the bounds are equal or close to each other while nothing happens.
impl Packed for ReceiveWindow {
    fn pack(&self, to: &mut Packer) {
        let ReceiveWindow { rcv_nxt, rcv_adv, buffer, most, clamp, threshold, copied, .. } = self;
        rcv_nxt.pack(to);
        rcv_adv.pack(to);
        (*rcv_nxt + *threshold).pack(to);
        buffer.pack(to);
        most.wrapping_sub(*buffer).pack(to);
        clamp.wrapping_sub(*buffer).pack(to);
        copied.pack(to);
        self.round_read.pack(to);
        self.round_began.pack(to);
        self.scale.pack(to);
        self.ratio.wrapping_sub(RATIO).pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let (rcv_nxt, rcv_adv) = (SeqNum::unpack(from), SeqNum::unpack(from));
        let threshold = SeqNum::unpack(from).since(rcv_nxt);
        let buffer = u32::unpack(from);
        ReceiveWindow {
            rcv_nxt,
            rcv_adv,
            threshold,
            buffer,
            most: u32::unpack(from).wrapping_add(buffer),
            clamp: u32::unpack(from).wrapping_add(buffer),
            copied: Packed::unpack(from),
            round_read: Packed::unpack(from),
            round_began: Packed::unpack(from),
            scale: Packed::unpack(from),
            ratio: u8::unpack(from).wrapping_add(RATIO),
        }
    }
}

#[cfg(test)]
mod tests;

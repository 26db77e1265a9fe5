//! The send buffer: how much an owner may queue, and when it hears that there is room again.
//!
//! A buffer that nobody has fixed grows with the congestion window: while one window is on its way the next one waits
//! behind it, as Linux has it (tcp_sndbuf_expand). Data that was queued and never sent may have a limit of its own, so that
//! what is written late leaves early (TCP_NOTSENT_LOWAT).
//!
//! Deliberately not here: what a byte costs in memory besides itself.

use super::Connection;
use super::state::Events;

/// Windows that the buffer holds.
const WINDOWS: u32 = 2;
/// Segments that a window has at least (TCP_INIT_CWND).
const WINDOW_MIN: u32 = 10;

impl Connection {
    /// The most bytes that wait to be acknowledged, now.
    pub(super) const fn send_buffer(&self) -> u32 {
        self.limits.send_buffer.saturating_add(self.send_grown)
    }

    /// The owner chooses the size.
    pub(super) fn fix_send_buffer(&mut self, bytes: u32) {
        (self.limits.send_buffer, self.limits.send_buffer_max, self.send_grown) = (bytes, 0, 0);
    }

    /// The congestion window may have grown.
    pub(super) fn expand_send_buffer(&mut self) {
        let most = self.limits.send_buffer_max;
        if most > self.send_buffer() {
            let window = self.congestion.window().max(WINDOW_MIN * u32::from(self.mss));
            let wanted = window.saturating_mul(WINDOWS).min(most);
            self.send_grown = self.send_grown.max(wanted.saturating_sub(self.limits.send_buffer));
        }
    }

    /// Room below the limit of what was never sent; whole segments.
    pub(super) fn room_below(&self, most: u32) -> usize {
        let free = (most as usize).saturating_sub(self.unsent_len());
        free.next_multiple_of(usize::from(self.mss).max(1))
    }

    /// Whether so little waits to be sent that the owner should hear of it: half of what may.
    pub fn wants_more(&self) -> bool {
        let most = self.limits.not_sent_low_water;
        most == 0 || self.unsent_len() < (most as usize).div_ceil(2)
    }

    /// Whether the owner may have to be told of room: it waits for some, or less than a quarter is left.
    #[inline]
    pub(super) fn is_room_watched(&self) -> bool {
        let buffer = self.send_buffer() as usize;
        self.send_blocked || self.drain_awaited || self.send_queue.len() > buffer - buffer / 4
    }

    /// Says that there is room again, once it is worth it: a quarter of the buffer, or when the owner was held back.
    pub(super) fn note_room(&mut self, before: usize) {
        if self.send_blocked && self.snd.flight() < self.congestion.window() {
            self.expand_send_buffer();
        }
        let threshold = self.send_buffer() as usize / 4;
        let room = self.send_room();
        let waited = before < threshold || self.send_blocked;
        if self.limits.not_sent_low_water == 0 && waited && room > before && room >= threshold {
            self.events |= Events::WRITABLE;
            self.send_blocked = false;
        }
        if self.drain_awaited && self.send_queue.is_empty() {
            self.events |= Events::WRITABLE;
            self.drain_awaited = false;
        }
    }

    /// Everything has left that may: an owner that was held back by a limit of what was never sent may go on.
    pub(super) fn note_unsent(&mut self) {
        if self.send_blocked && self.limits.not_sent_low_water > 0 && self.wants_more() {
            let free = (self.send_buffer() as usize).saturating_sub(self.send_queue.len());
            if free >= self.send_buffer() as usize / 4 {
                self.events |= Events::WRITABLE;
                self.send_blocked = false;
            }
        }
    }
}

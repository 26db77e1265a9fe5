//! Connections whose owners have more to send than there was memory for.
//!
//! A connection hears of room in its own buffer by itself. Room in the pool that all share comes from others, so who found
//! it empty is noted here, in order, and told when there is some again.

use alloc::collections::VecDeque;

use super::connections::ConnId;
use super::{Event, Stack};
use crate::tcp::Events;

/// Connections that found the pool empty, the longest waiting first. One that is gone meanwhile is passed over.
#[derive(Debug, Default)]
pub(super) struct Starved(VecDeque<u32>);

impl Stack {
    /// Notes a connection whose owner could send no more although its own buffer has room. Called when the pool was found
    /// empty only: whoever is told of room may ask again at once.
    pub(super) fn on_starved(&mut self, id: ConnId) {
        if self.pool.sendable() == 0 && self.mark_starving(id) {
            self.starved.0.push_back(id.index() as u32);
        }
    }

    /// Whether anybody waits for room.
    pub(super) fn has_starved(&self) -> bool {
        !self.starved.0.is_empty()
    }

    /// The next that is told of room, as long as there is some.
    pub(super) fn poll_starved(&mut self) -> Option<Event> {
        while self.has_starved() && self.pool.sendable() > 0 {
            let id = ConnId::from_number(self.starved.0.pop_front()?);
            if self.unmark_starving(id) {
                return Some(Event::Progress(id, Events::WRITABLE));
            }
        }
        None
    }
}

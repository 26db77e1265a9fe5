//! What the connections of a stack have to do, and when: the lists in which they stand.
//!
//! Whatever happens to a connection ends here, so this is on every segment's way and on that of every command: it looks at
//! what the connection says of itself, and at no list. What follows seldom, the end of a connection above all, is left to
//! the caller.
//!
//! Invariant: a connection stands in each list at most once (the number of one that is gone may stand there too), and in the
//! wheel no later than at its next time-out.

use alloc::collections::VecDeque;

use wharf_table::Instant;

use super::Role;
use super::loopback::is_looped;
use super::slots::Work;
use crate::tcp::Events;
use crate::timer::Wheel;

/// Room that an empty list keeps.
pub(super) const LIST_KEPT: usize = 4_096;

/// The lists.
pub(super) struct Agenda {
    /// Connections with events that nobody has polled.
    pub(super) ready: VecDeque<u32>,
    /// Connections with segments for the link.
    pub(super) output: VecDeque<u32>,
    /// Connections with segments for the host itself.
    pub(super) looped: VecDeque<u32>,
    /// When a connection is to be looked at again.
    pub(super) wheel: Wheel,
}

/// What happens to a connection once in its life, or seldom, has happened.
#[derive(Clone, Copy)]
pub(super) struct Seldom {
    pub(super) events: Events,
    pub(super) has_output: bool,
}

impl Agenda {
    pub(super) fn new(now: Instant) -> Agenda {
        Agenda {
            ready: VecDeque::new(),
            output: VecDeque::new(),
            looped: VecDeque::new(),
            wheel: Wheel::new(now),
        }
    }

    /// Gives back what a crowd that had something to send has left in the list, once that is empty.
    #[inline]
    pub(super) fn forget_room(&mut self) {
        if self.output.capacity() > LIST_KEPT && self.output.is_empty() {
            self.output.shrink_to(LIST_KEPT);
        }
    }

    /// Puts a connection into the lists where it belongs after something happened to it. Of what happens, much changes none.
    #[inline(always)]
    pub(super) fn enter(&mut self, now: Instant, key: u32, work: &mut Work, role: &Role) -> Option<Seldom> {
        let due = work.conn.due();
        if work.in_ready && work.held && due >= work.scheduled && !work.conn.is_special() {
            let leaves = work.conn.is_dirty() || due <= now;
            if work.in_output || !leaves {
                // It stands wherever it has to: another segment of a train.
                work.events |= work.conn.take_events();
                return None;
            }
        }
        let unheard = work.incoming | !work.events.is_empty();
        let asks = unheard | work.conn.has_news() | work.conn.is_dirty() | !work.held;
        if asks || due < work.scheduled || due <= now {
            return self.enter_lists(now, key, work, role);
        }
        None
    }

    fn enter_lists(&mut self, now: Instant, key: u32, work: &mut Work, role: &Role) -> Option<Seldom> {
        let events = work.conn.take_events();
        work.events |= events;
        let due = work.conn.due();
        let has_output = work.conn.is_dirty() || due <= now;
        if has_output && !work.in_output {
            work.in_output = true;
            let looped = is_looped(role, work.conn.remote());
            if looped { &mut self.looped } else { &mut self.output }.push_back(key);
        }
        if work.held {
            work.requeue_ready(key, &mut self.ready);
        }
        if due < work.scheduled {
            work.scheduled = due;
            self.wheel.schedule(key, due);
        }
        let is_seldom = work.conn.is_closed()
            || !work.held
            || work.conn.has_path_news()
            || events.contains(Events::SOFT_ERROR);
        is_seldom.then_some(Seldom { events, has_output })
    }
}

impl Work {
    /// Puts a connection into the list of those with events, where it has some that its owner may hear.
    #[inline]
    pub(super) fn requeue_ready(&mut self, key: u32, ready: &mut VecDeque<u32>) {
        if !self.in_ready && !self.unaccepted && (self.incoming || !self.events.is_empty()) {
            self.in_ready = true;
            ready.push_back(key);
        }
    }
}

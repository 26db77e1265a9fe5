//! Which path is the cheaper one for the next client of a port.
//!
//! A spliced flow costs two connections of the kernel, one over the link half of that, while bytes cost less when they are
//! spliced. So a port to which many come for little is served over the link, but for a few who are watched: when one
//! of them moves much, all are spliced again.
//!
//! Measured with one request and one answer of a few bytes a connection: 105 µs of all processors over the link, 140 µs spliced,
//! 62 µs without wharf.

use std::time::Duration;

use wharf_table::Instant;

/// So many flows in a row that ended within [`WINDOW`] and moved little are a rush.
const ROW: u32 = 32;
const WINDOW: Duration = Duration::from_millis(200);
/// Less than this is little, in bytes both ways together.
const LITTLE: u64 = 64 * 1024;
/// One of so many clients is watched while there is a rush.
const WATCHED: u32 = 32;

/// What is known of the clients of one port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rush {
    /// Flows in a row that moved little, and since when they are counted.
    row: u32,
    since: Instant,
    /// Clients since the rush began.
    clients: u32,
}

impl Rush {
    /// Nothing is known yet.
    pub(super) fn new(now: Instant) -> Rush {
        Rush { row: 0, since: now, clients: 0 }
    }

    /// Whether this client is one of many who come for little, and not one to be watched.
    pub(super) fn is_on(&mut self, now: Instant) -> bool {
        // The watched alone fill a window when the rush goes on.
        if self.row < ROW || now.since(self.since) > WINDOW {
            return false;
        }
        self.clients = self.clients.wrapping_add(1);
        !self.clients.is_multiple_of(WATCHED)
    }

    /// A spliced flow has ended that moved so many bytes.
    pub(super) fn on_end(&mut self, now: Instant, bytes: u64) {
        let goes_on = bytes < LITTLE && now.since(self.since) <= WINDOW;
        if !goes_on {
            self.row = 0;
        }
        if self.row == 0 {
            self.since = now;
        }
        if bytes < LITTLE {
            self.row += 1;
            if self.row >= ROW {
                self.since = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A port at which so many little ones have ended, one a millisecond.
    fn rushed(count: u64) -> Rush {
        let mut rush = Rush::new(after(0));
        (0..count).for_each(|millis| rush.on_end(after(millis), 100));
        rush
    }

    #[test]
    fn many_who_come_for_little_are_a_rush() {
        assert!(!rushed(31).is_on(after(31)));
        let mut rush = rushed(32);
        let spliced = (0..320).filter(|_| !rush.is_on(after(32))).count();
        assert_eq!(spliced, 10, "one of thirty-two is watched");
    }

    #[test]
    fn a_rush_ends_with_a_large_one_or_with_quiet() {
        let mut rush = rushed(40);
        rush.on_end(after(41), 1 << 20);
        assert!(!rush.is_on(after(41)));
        let mut rush = rushed(40);
        assert!(rush.is_on(after(100)));
        assert!(!rush.is_on(after(400)));
    }

    #[test]
    fn those_who_come_now_and_then_are_none() {
        let mut rush = Rush::new(after(0));
        for time in 0..100 {
            rush.on_end(after(time * 20), 100);
            assert!(!rush.is_on(after(time * 20)));
        }
    }
}

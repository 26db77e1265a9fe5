//! What the lanes of a run have in common: the limit on connections, which is that on descriptors.
//!
//! Each lane says once a turn how many it has, and takes what the others leave. So no lane waits for another, and a limit
//! can be passed by what the lanes open within the same turn, which the descriptors kept for wharf itself allow for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wharf_stack::stack::Stack;

/// Written by one lane; apart from the others' in a pair of cache lines, so that writing it costs them nothing.
#[repr(align(128))]
#[derive(Default)]
struct Count(AtomicUsize);

/// A lane's share of the run's connections.
pub(in super::super) struct Share {
    counts: Arc<[Count]>,
    own: usize,
    limit: usize,
    said: usize,
}

/// Shares of `limit` connections for so many lanes.
pub(super) fn split(limit: usize, lanes: usize) -> Vec<Share> {
    let counts: Arc<[Count]> = (0..lanes).map(|_| Count::default()).collect();
    (0..lanes).map(|own| Share { counts: Arc::clone(&counts), own, limit, said: 0 }).collect()
}

impl Share {
    /// At the beginning of a turn: lets a stack have no more than the others leave.
    pub(in super::super) fn take(&self, stack: &mut Stack) {
        stack.set_max_connections(self.left());
    }

    /// At its end: says how many it has.
    pub(in super::super) fn tell(&mut self, stack: &Stack) {
        self.say(stack.held_count());
    }

    // Nothing else is published with the numbers, so no order is asked for.

    fn say(&mut self, held: usize) {
        if held != self.said {
            self.counts[self.own].0.store(held, Ordering::Relaxed);
            self.said = held;
        }
    }

    fn left(&self) -> usize {
        let all = self.counts.iter().map(|count| count.0.load(Ordering::Relaxed)).sum::<usize>();
        self.limit.saturating_sub(all - self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_has_what_the_others_leave() {
        let mut shares = split(100, 3);
        let left = |shares: &[Share]| shares.iter().map(Share::left).collect::<Vec<_>>();
        assert_eq!(left(&shares), [100, 100, 100]);
        shares[0].say(40);
        shares[1].say(10);
        assert_eq!(left(&shares), [90, 60, 50]);
        // More than there are were taken within one turn: nobody gets another one.
        shares[1].say(70);
        assert_eq!(left(&shares), [30, 60, 0]);
        shares[0].say(0);
        assert_eq!(left(&shares), [30, 100, 30]);
    }
}

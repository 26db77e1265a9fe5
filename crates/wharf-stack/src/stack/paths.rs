//! What is known of paths that are smaller than the link, for connections that begin (RFC 8201, section 5.2).
//!
//! Learnt only from ICMP that a connection has believed, or about a datagram that was sent. Invariants: at most [`PATHS_MAX`] destinations, each for ten minutes
//! (RFC 1191, section 6.3); beyond, the one learnt longest ago is forgotten. All of it costs O(log n).

use alloc::collections::{BTreeMap, BTreeSet};

use wharf_table::{Addr, Instant};

use crate::tcp::PATH_LIMIT_LASTS;

/// Destinations that are remembered.
const PATHS_MAX: usize = 1_024;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Paths {
    known: BTreeMap<Addr, (u16, Instant)>,
    by_end: BTreeSet<(Instant, Addr)>,
}

impl Paths {
    /// A connection, or a datagram's socket, has believed that the path to `remote` takes segments of up to `mss` bytes.
    pub(super) fn learn(&mut self, now: Instant, remote: Addr, mss: u16) {
        self.forget(remote);
        if self.known.len() >= PATHS_MAX
            && let Some(&(_, oldest)) = self.by_end.first()
        {
            self.forget(oldest);
        }
        let end = now + PATH_LIMIT_LASTS;
        self.known.insert(remote, (mss, end));
        self.by_end.insert((end, remote));
    }

    /// The largest segment to `remote`; 0 when nothing is known.
    pub(super) fn mss(&self, remote: Addr) -> u16 {
        self.known.get(&remote).map_or(0, |&(mss, _)| mss)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.by_end.first().map(|&(end, _)| end)
    }

    /// Forgets what is old.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(end, remote)) = self.by_end.first()
            && end <= now
        {
            self.forget(remote);
        }
    }

    fn forget(&mut self, remote: Addr) {
        if let Some((_, end)) = self.known.remove(&remote) {
            self.by_end.remove(&(end, remote));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn addr(index: u16) -> Addr {
        let [a, b] = index.to_be_bytes();
        Addr::v4([10, 1, a, b])
    }

    #[test]
    fn what_is_old_is_forgotten_and_the_oldest_makes_room() {
        let mut paths = Paths::default();
        let start = Instant::from_millis(1_000);
        for index in 0..PATHS_MAX as u16 + 5 {
            paths.learn(start + Duration::from_millis(index.into()), addr(index), 1_000 + index);
        }
        assert_eq!((paths.known.len(), paths.by_end.len()), (PATHS_MAX, PATHS_MAX));
        assert_eq!((paths.mss(addr(4)), paths.mss(addr(5))), (0, 1_005));
        paths.learn(start + Duration::from_secs(300), addr(5), 700);
        assert_eq!(paths.mss(addr(5)), 700);
        let end = paths.poll_timeout().expect("something is known");
        assert_eq!(end, start + Duration::from_millis(6) + PATH_LIMIT_LASTS);
        paths.handle_timeout(start + Duration::from_secs(700));
        assert_eq!((paths.known.len(), paths.mss(addr(5))), (1, 700));
        paths.handle_timeout(start + Duration::from_secs(900));
        assert!(paths.known.is_empty() && paths.poll_timeout().is_none());
    }
}

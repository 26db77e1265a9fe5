//! The Identification of packets that may be cut into fragments, by the hash-based algorithm of RFC 7739, section 5.3.
//!
//! One counter for all would tell everybody who is sent anything how much everybody else is sent: whether a guess at
//! another's connection was answered (RFC 6274, section 3.5.2). So each pair of addresses starts at a place of its own and
//! counts with few others.
//!
//! Not here: packets that nobody may cut. They need none, and carry 0 (RFC 6864, section 4.1), as Linux' SYN-ACK and RST do.

use alloc::boxed::Box;

use wharf_table::hash::HashKey;
use wharf_table::{Addr, Endpoint, Protocol, Tuple};

/// Counters. As Linux has on small machines (`ip_idents`).
const COUNTERS: usize = 1_024;

pub(super) struct Identifications {
    key: HashKey,
    counters: Box<[u32; COUNTERS]>,
}

impl Identifications {
    /// `key` is random, and used for nothing else.
    pub(super) fn new(key: HashKey) -> Identifications {
        Identifications { key, counters: Box::new([0; COUNTERS]) }
    }

    /// The next one from `src` to `dst` for this protocol. IPv4 takes the lower half.
    pub(super) fn next(&mut self, src: Addr, dst: Addr, protocol: u8) -> u32 {
        self.next_of(src, dst, protocol, 1)
    }

    /// The first of the next `count`, for a packet that a device cuts into so many and numbers on from there.
    pub(super) fn next_of(&mut self, src: Addr, dst: Addr, protocol: u8, count: u32) -> u32 {
        // The number of the protocol stands where a port would.
        let remote = Endpoint::new(dst, u16::from(protocol));
        let of = Tuple { protocol: Protocol::Udp, local: Endpoint::new(src, 0), remote };
        let hash = self.key.hash_tuple(&of);
        let counter = &mut self.counters[hash as usize % COUNTERS];
        let first = counter.wrapping_add(1);
        *counter = counter.wrapping_add(count);
        first.wrapping_add((hash >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_counts_up_from_a_place_of_its_own() {
        let mut all = Identifications::new(HashKey::new([3; 16]));
        let own = Addr::v4([10, 0, 2, 1]);
        let peer = |last| Addr::v4([10, 0, 2, last]);
        let first = all.next(own, peer(2), 17);
        for other in 3..=50 {
            all.next(own, peer(other), 17);
        }
        assert_eq!(all.next(own, peer(2), 17), first.wrapping_add(1), "others do not show");
        let starts: alloc::collections::BTreeSet<u32> =
            (100..200).map(|last| all.next(own, peer(last), 17)).collect();
        assert_eq!(starts.len(), 100);
    }
}

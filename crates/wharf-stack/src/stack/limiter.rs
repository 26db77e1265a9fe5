//! How often the stack sends errors of its own: a rate for each receiver (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4).
//!
//! A rate that all receivers share would tell each of them how much is sent to the others, and so whether a guess sent in
//! another's name was answered; so would one whose size is known (Man et al., "DNS Cache Poisoning Attack Reloaded: Revolutions
//! with Side Channels", 2020). Receivers are told apart by a keyed hash, and what an error costs varies with the key.
//!
//! Invariants: a fixed number of rates; two receivers may have to share one, but nobody can choose with whom.

use alloc::boxed::Box;
use core::time::Duration;

use wharf_table::hash::HashKey;
use wharf_table::{Addr, Endpoint, Instant, Protocol, Tuple};

/// Rates.
const RATES: usize = 256;
/// Tokens of a rate that nothing was taken from: some 70 errors at once.
const BURST: u32 = 140;
/// Tokens a second.
const REFILL: u32 = 2_000;
/// What an error costs: 1 to this many tokens.
const COST_MAX: u64 = 3;

/// See the [module](self).
pub(super) struct Limiter {
    key: HashKey,
    rates: Box<[Rate; RATES]>,
}

#[derive(Clone, Copy)]
struct Rate {
    tokens: u32,
    /// How often it was asked: a count of all would be one more thing that receivers share.
    asked: u16,
    filled: Instant,
}

impl Limiter {
    pub(super) fn new(key: HashKey, now: Instant) -> Limiter {
        Limiter { key, rates: Box::new([Rate { tokens: BURST, asked: 0, filled: now }; RATES]) }
    }

    /// Whether another error may go to `receiver` now.
    pub(super) fn allows(&mut self, now: Instant, receiver: Addr) -> bool {
        let of = self.hash(receiver, 0) as usize % RATES;
        let asked = self.rates[of].asked.wrapping_add(1);
        self.rates[of].asked = asked;
        let cost = 1 + (self.hash(receiver, asked) % COST_MAX) as u32;
        self.rates[of].take(now, cost)
    }

    fn hash(&self, receiver: Addr, port: u16) -> u64 {
        let end = Endpoint::new(receiver, port);
        self.key.hash_tuple(&Tuple { protocol: Protocol::Icmp, local: end, remote: end })
    }
}

impl Rate {
    fn take(&mut self, now: Instant, cost: u32) -> bool {
        let gained = now.since(self.filled).as_micros() * u128::from(REFILL) / 1_000_000;
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(BURST);
            self.tokens = self.tokens.saturating_add(gained).min(BURST);
            self.filled += Duration::from_micros(u64::from(gained) * 1_000_000 / u64::from(REFILL));
            if self.tokens == BURST {
                self.filled = now;
            }
        }
        let allowed = self.tokens >= cost;
        if allowed {
            self.tokens -= cost;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn each_receiver_has_a_rate_of_its_own_that_nobody_can_tell() {
        let now = Instant::from_millis(1_000);
        let mut limiter = Limiter::new(HashKey::new([7; 16]), now);
        let mut bursts = BTreeSet::new();
        for last in 1..=20 {
            let receiver = Addr::v4([10, 0, 0, last]);
            let burst = (0..1_000).filter(|_| limiter.allows(now, receiver)).count();
            bursts.insert(burst);
            assert!(burst == 0 || (140 / 3..=140).contains(&burst), "{burst}");
        }
        assert!(bursts.len() > 5, "{bursts:?}");
        // A second later it may again.
        let later = now + Duration::from_secs(1);
        assert!(limiter.allows(later, Addr::v4([10, 0, 0, 1])));
    }
}

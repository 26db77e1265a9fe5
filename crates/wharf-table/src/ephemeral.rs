//! The order in which ephemeral ports are tried: the five algorithms of RFC 6056, section 3.3.
//!
//! They name candidates; the table tells which are free, and where so many are taken that candidates fail, it takes the
//! first free port at or behind the next candidate instead of trying on. That gives the same port as trying one after
//! the other (RFC 6056, section 3.3.1, the loop of every algorithm but the second).
//!
//! Randomness is a keyed hash of a counter; the key is an input.

use alloc::vec;
use alloc::vec::Vec;

use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::port::PortRange;
use crate::tuple::{Protocol, Tuple};

/// The counters of algorithm 4, `TABLE_LENGTH` of them: more tell less about other destinations.
const COUNTERS: usize = 1024;
/// `N` of algorithm 5: how far apart ports that follow each other are at most. 500 keeps ports apart from their reuse
/// while one can't be guessed from another (RFC 6056, section 3.3.5).
const TRADEOFF: u64 = 500;

/// How ephemeral ports are chosen (RFC 6056, section 3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EphemeralAlgorithm {
    /// Algorithm 1: from a random port upwards (RFC 6056, section 3.3.1).
    SimpleRandom,
    /// Algorithm 2: random ports until one is free (RFC 6056, section 3.3.2).
    AnotherRandom,
    /// Algorithm 3: upwards from where the destination's hash says, with one counter for all (RFC 6056, section 3.3.3).
    SimpleHash,
    /// Algorithm 4: the same with a counter for some destinations each, the default (RFC 6056, section 3.3.4).
    #[default]
    DoubleHash,
    /// Algorithm 5: each port a random distance behind the last (RFC 6056, section 3.3.5).
    RandomIncrements,
}

/// The state of the choice.
#[derive(Debug)]
pub(crate) struct Ephemeral {
    algorithm: EphemeralAlgorithm,
    offset_key: HashKey,
    counter_key: HashKey,
    random_key: HashKey,
    /// How many random numbers there have been.
    drawn: u64,
    /// `next_ephemeral` of algorithms 3 and 5.
    next: u64,
    /// Of algorithm 4; empty until it is used.
    counters: Vec<u32>,
}

/// The candidates of one choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates {
    offset: u64,
    counter: usize,
    range: PortRange,
}

impl Ephemeral {
    /// The state that follows from `key`, which must be random.
    pub(crate) fn new(key: HashKey) -> Ephemeral {
        let random_key = key.derive(3);
        Ephemeral {
            algorithm: EphemeralAlgorithm::default(),
            offset_key: key.derive(1),
            counter_key: key.derive(2),
            random_key,
            drawn: 0,
            next: key.derive(4).hash_word(0) >> 32,
            counters: Vec::new(),
        }
    }

    pub(crate) fn set_algorithm(&mut self, algorithm: EphemeralAlgorithm) {
        self.algorithm = algorithm;
    }

    fn random(&mut self) -> u64 {
        self.drawn += 1;
        self.random_key.hash_word(self.drawn)
    }

    /// Begins a choice for this destination.
    pub(crate) fn candidates(
        &mut self,
        protocol: Protocol,
        local: Addr,
        remote: Endpoint,
        range: PortRange,
    ) -> Candidates {
        let asked = Tuple { protocol, local: Endpoint { addr: local, port: 0 }, remote };
        let mut candidates = Candidates { offset: 0, counter: 0, range };
        match self.algorithm {
            EphemeralAlgorithm::SimpleRandom => candidates.offset = self.random() >> 1,
            EphemeralAlgorithm::AnotherRandom | EphemeralAlgorithm::RandomIncrements => {}
            EphemeralAlgorithm::SimpleHash => candidates.offset = self.offset_key.hash_tuple(&asked) >> 1,
            EphemeralAlgorithm::DoubleHash => {
                candidates.offset = self.offset_key.hash_tuple(&asked) >> 1;
                candidates.counter = self.counter_key.hash_tuple(&asked) as usize % COUNTERS;
                if self.counters.is_empty() {
                    self.counters = vec![0; COUNTERS];
                }
            }
        }
        candidates
    }

    /// The next candidate.
    pub(crate) fn next(&mut self, candidates: &mut Candidates) -> u16 {
        let count = u64::from(candidates.range.count());
        let step = match self.algorithm {
            EphemeralAlgorithm::SimpleRandom => {
                candidates.offset += 1;
                candidates.offset
            }
            EphemeralAlgorithm::AnotherRandom => self.random(),
            EphemeralAlgorithm::SimpleHash => {
                self.next += 1;
                candidates.offset % count + self.next
            }
            EphemeralAlgorithm::DoubleHash => {
                let counter = &mut self.counters[candidates.counter];
                let step = candidates.offset % count + u64::from(*counter);
                *counter = counter.wrapping_add(1);
                step
            }
            EphemeralAlgorithm::RandomIncrements => {
                self.next += self.random() % TRADEOFF + 1;
                self.next
            }
        };
        candidates.range.first().number() + (step % count) as u16
    }

    /// Notes that the table passed over `count` ports behind the last candidate that were taken.
    pub(crate) fn pass_over(&mut self, candidates: &Candidates, count: u16) {
        match self.algorithm {
            EphemeralAlgorithm::SimpleHash | EphemeralAlgorithm::RandomIncrements => {
                self.next += u64::from(count);
            }
            EphemeralAlgorithm::DoubleHash => {
                let counter = &mut self.counters[candidates.counter];
                *counter = counter.wrapping_add(u32::from(count));
            }
            EphemeralAlgorithm::SimpleRandom | EphemeralAlgorithm::AnotherRandom => {}
        }
    }
}

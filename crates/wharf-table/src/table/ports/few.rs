//! Ports whose owners are without options and on single addresses, counted in half a byte and some more where they are many.
//!
//! A host that opens connections owns a port for each, on one of its addresses, mostly alone or with a few others. Of such
//! owners the rules need to know only that there are some. So they stand here in blocks of neighbouring ports, and only
//! what has options, or shares a port with what has, has an entry of its own. A digit of a count that is nowhere needed
//! takes no memory.
//!
//! Invariant: no block is empty.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::address_hash;
use crate::endpoint::{Addr, Endpoint};
use crate::hash::HashKey;
use crate::tuple::Protocol;

/// The most owners of a port that stand here.
pub(super) const MOST: u32 = (1 << (BITS * DIGITS as u32)) - 1;
/// As many as come back from an entry of their own: fewer, so that a port does not go to and fro.
pub(super) const BACK: u32 = MOST / 2;
const BLOCK_BITS: u32 = 6;
/// Bits of a digit, and the digits of a count.
const BITS: u32 = 4;
const DIGITS: usize = 3;
const DIGIT: u32 = (1 << BITS) - 1;
const PER_WORD: u32 = u32::BITS / BITS;
const WORDS: usize = 1 << BLOCK_BITS >> 3;

/// A digit of the ports of an address that have all but the lowest bits in common.
#[derive(Debug)]
struct Block {
    addr: Addr,
    number: u16,
    protocol: Protocol,
    digit: u8,
    digits: [u32; WORDS],
}

impl Block {
    /// One whose digits are all zero.
    fn new(protocol: Protocol, at: Endpoint, digit: usize) -> Block {
        let (number, digit) = (at.port >> BLOCK_BITS, digit as u8);
        Block { addr: at.addr, number, protocol, digit, digits: [0; WORDS] }
    }

    fn is(&self, protocol: Protocol, at: Endpoint, digit: usize) -> bool {
        self.number == at.port >> BLOCK_BITS
            && usize::from(self.digit) == digit
            && self.addr == at.addr
            && self.protocol == protocol
    }

    fn digit(&self, port: u16) -> u32 {
        let (word, shift) = place(port);
        self.digits[word] >> shift & DIGIT
    }

    fn set(&mut self, port: u16, value: u32) {
        let (word, shift) = place(port);
        self.digits[word] = self.digits[word] & !(DIGIT << shift) | value << shift;
    }

    fn hash(&self, key: &HashKey) -> u64 {
        hash(key, self.protocol, self.addr, self.number, usize::from(self.digit))
    }
}

/// The word of a port's digit, and by how many bits it is shifted there.
fn place(port: u16) -> (usize, u32) {
    let within = u32::from(port) % (1 << BLOCK_BITS);
    ((within / PER_WORD) as usize, within % PER_WORD * BITS)
}

fn hash(key: &HashKey, protocol: Protocol, addr: Addr, number: u16, digit: usize) -> u64 {
    address_hash(key, protocol, Endpoint { addr, port: number | (digit as u16) << (16 - BLOCK_BITS) })
}

/// Counts by address and port.
#[derive(Debug)]
pub(super) struct Few {
    key: HashKey,
    blocks: HashTable<Block>,
    /// How many of the blocks are of each digit.
    of_digit: [u32; DIGITS],
}

impl Few {
    pub(super) fn new(key: HashKey) -> Few {
        Few { key, blocks: HashTable::new(), of_digit: [0; DIGITS] }
    }

    pub(super) fn count(&self, protocol: Protocol, at: Endpoint) -> u32 {
        let in_use = (0..DIGITS).filter(|&digit| self.of_digit[digit] > 0);
        in_use.fold(0, |count, digit| count | self.digit(protocol, at, digit) << (BITS * digit as u32))
    }

    fn digit(&self, protocol: Protocol, at: Endpoint, digit: usize) -> u32 {
        let hash = hash(&self.key, protocol, at.addr, at.port >> BLOCK_BITS, digit);
        self.blocks.find(hash, |it| it.is(protocol, at, digit)).map_or(0, |block| block.digit(at.port))
    }

    /// Adds one to a count, where that stays within [`MOST`], and for the first of all where `may_begin` says so. Whether it
    /// did.
    pub(super) fn add_one(
        &mut self,
        protocol: Protocol,
        at: Endpoint,
        may_begin: impl FnOnce() -> bool,
    ) -> bool {
        if self.of_digit[1..] == [0; DIGITS - 1] {
            // All counts are of one digit, which is looked for once.
            let (key, number) = (&self.key, at.port >> BLOCK_BITS);
            let hash = hash(key, protocol, at.addr, number, 0);
            let entry = self.blocks.entry(hash, |it| it.is(protocol, at, 0), |it| it.hash(key));
            let count = match &entry {
                Entry::Occupied(block) => block.get().digit(at.port),
                Entry::Vacant(_) => 0,
            };
            if count == 0 && !may_begin() {
                return false;
            }
            if count < DIGIT {
                let of_digit = &mut self.of_digit[0];
                let mut block = entry.or_insert_with(|| {
                    *of_digit += 1;
                    Block::new(protocol, at, 0)
                });
                block.get_mut().set(at.port, count + 1);
                return true;
            }
            self.change(protocol, at, count, count + 1);
            return true;
        }
        let count = self.count(protocol, at);
        let fits = count < MOST && (count > 0 || may_begin());
        if fits {
            self.change(protocol, at, count, count + 1);
        }
        fits
    }

    /// Takes one from a count that is not zero. What is left.
    pub(super) fn remove_one(&mut self, protocol: Protocol, at: Endpoint) -> u32 {
        if self.of_digit[1..] == [0; DIGITS - 1] {
            return self.change_digit(protocol, at, 0, |count| count.saturating_sub(1));
        }
        let count = self.count(protocol, at);
        let left = count.saturating_sub(1);
        self.change(protocol, at, count, left);
        left
    }

    /// Changes a count, which is at most [`MOST`], from one value to another.
    pub(super) fn change(&mut self, protocol: Protocol, at: Endpoint, before: u32, after: u32) {
        for digit in 0..DIGITS {
            let shift = BITS * digit as u32;
            let value = after >> shift & DIGIT;
            if value != before >> shift & DIGIT {
                self.set_digit(protocol, at, digit, value);
            }
        }
    }

    fn set_digit(&mut self, protocol: Protocol, at: Endpoint, digit: usize, value: u32) {
        let (key, number) = (&self.key, at.port >> BLOCK_BITS);
        let hash = hash(key, protocol, at.addr, number, digit);
        if value > 0 {
            let of_digit = &mut self.of_digit[digit];
            let fresh = || {
                *of_digit += 1;
                Block::new(protocol, at, digit)
            };
            let entry = self.blocks.entry(hash, |it| it.is(protocol, at, digit), |it| it.hash(key));
            return entry.or_insert_with(fresh).get_mut().set(at.port, value);
        }
        self.change_digit(protocol, at, digit, |_| 0);
    }

    /// Lets a digit become less; what it is then. 0 where there is none.
    fn change_digit(
        &mut self,
        protocol: Protocol,
        at: Endpoint,
        digit: usize,
        less: impl Fn(u32) -> u32,
    ) -> u32 {
        let key = &self.key;
        let hash = hash(key, protocol, at.addr, at.port >> BLOCK_BITS, digit);
        let Ok(mut block) = self.blocks.find_entry(hash, |it| it.is(protocol, at, digit)) else { return 0 };
        let value = less(block.get().digit(at.port));
        block.get_mut().set(at.port, value);
        if value > 0 || block.get().digits != [0; WORDS] {
            return value;
        }
        block.remove();
        self.of_digit[digit] -= 1;
        if self.blocks.is_empty() {
            self.blocks = HashTable::new();
        } else if self.blocks.capacity() > 8 * self.blocks.len() + 32 {
            self.blocks.shrink_to(2 * self.blocks.len(), |it| it.hash(key));
        }
        0
    }

    /// Takes a count away and tells what it was.
    pub(super) fn take(&mut self, protocol: Protocol, at: Endpoint) -> u32 {
        let count = self.count(protocol, at);
        self.change(protocol, at, count, 0);
        count
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((0..3_u8, 0..200_u16, 0..=MOST), 0..400)) {
            let (mut few, mut map) = (Few::new(HashKey::new([9; 16])), BTreeMap::new());
            let at = |host: u8, port: u16| Endpoint { addr: Addr::v4([10, 0, 0, host]), port };
            for (host, port, count) in steps {
                let before = map.insert((host, port), count).unwrap_or(0);
                few.change(Protocol::Tcp, at(host, port), before, count);
                if count > 0 && port % 3 == 0 {
                    prop_assert_eq!(few.remove_one(Protocol::Tcp, at(host, port)), count - 1);
                    prop_assert_eq!(few.add_one(Protocol::Tcp, at(host, port), || true), true);
                }
                prop_assert!(count > 0 || !few.add_one(Protocol::Tcp, at(host, port), || false));
                prop_assert!(count < MOST || !few.add_one(Protocol::Tcp, at(host, port), || true));
            }
            for (&(host, port), &count) in &map {
                prop_assert_eq!(few.count(Protocol::Tcp, at(host, port)), count);
                prop_assert_eq!(few.count(Protocol::Udp, at(host, port)), 0);
                prop_assert_eq!(few.take(Protocol::Tcp, at(host, port)), count);
            }
            prop_assert_eq!(few.blocks.allocation_size(), 0);
        }
    }
}

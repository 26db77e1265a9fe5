//! The keyed hash of the table: SipHash-1-3 (Aumasson and Bernstein, 2012) over a message of fixed length.
//!
//! A peer chooses half of every tuple, so the hash must not let a peer who does not know the key choose tuples that
//! collide. The key is an input: 128 bits from the caller's random source. The message of a tuple is local address,
//! remote address, local port, remote port (both little-endian), protocol: 13 bytes where both addresses are IPv4, in
//! four octets each, else 37. That is two or five words, one round each, and three rounds at the end, with no loop over
//! bytes. The length is part of the hash, so the two forms don't meet.

use crate::endpoint::Addr;
use crate::tuple::{Protocol, Tuple};

/// The key of a [`Table`](crate::table::Table) and of whatever else must not be guessed by a peer.
#[derive(Clone, Copy)]
pub struct HashKey {
    k0: u64,
    k1: u64,
}

impl HashKey {
    /// The key with these sixteen bytes. They must come from a random source that no peer can predict.
    pub const fn new(bytes: [u8; 16]) -> HashKey {
        let bits = u128::from_le_bytes(bytes);
        HashKey { k0: bits as u64, k1: (bits >> 64) as u64 }
    }

    /// Another key that follows from this one. Keys of different `purpose` tell nothing of each other.
    pub fn derive(&self, purpose: u32) -> HashKey {
        let word = |half: u64| self.hash_word(u64::from(purpose) << 1 | half);
        HashKey { k0: word(0), k1: word(1) }
    }

    /// The hash of a tuple: SipHash-1-3 of its 13 or 37 bytes.
    #[inline]
    pub fn hash_tuple(&self, tuple: &Tuple) -> u64 {
        let ports = u64::from(tuple.local.port) | u64::from(tuple.remote.port) << 16;
        let last = ports | protocol_byte(tuple.protocol) << 32;
        let mut state = State::new(self);
        match (tuple.local.addr.v4_octets(), tuple.remote.addr.v4_octets()) {
            (Some(local), Some(remote)) => {
                const LENGTH: u64 = 13;
                let [local, remote] = [local, remote].map(|octets| u64::from(u32::from_le_bytes(octets)));
                state.absorb(local | remote << 32);
                state.absorb(last | LENGTH << 56);
            }
            _ => {
                const LENGTH: u64 = 37;
                for word in [tuple.local.addr, tuple.remote.addr].map(words).as_flattened() {
                    state.absorb(*word);
                }
                state.absorb(last | LENGTH << 56);
            }
        }
        state.finish()
    }

    /// The hash of one word: SipHash-1-3 of its eight bytes, little-endian.
    #[inline]
    pub fn hash_word(&self, word: u64) -> u64 {
        const LENGTH: u64 = 8;
        let mut state = State::new(self);
        state.absorb(word);
        state.absorb(LENGTH << 56);
        state.finish()
    }
}

impl core::fmt::Debug for HashKey {
    /// Never prints the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashKey")
    }
}

const fn protocol_byte(protocol: Protocol) -> u64 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Icmp => 1,
    }
}

#[inline]
fn words(addr: Addr) -> [u64; 2] {
    let bits = u128::from_le_bytes(addr.octets());
    [bits as u64, (bits >> 64) as u64]
}

/// The four words of the hash's state.
struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn new(key: &HashKey) -> State {
        // "somepseudorandomlygeneratedbytes", section 2.1 of the paper.
        State {
            v0: key.k0 ^ 0x736f_6d65_7073_6575,
            v1: key.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: key.k0 ^ 0x6c79_6765_6e65_7261,
            v3: key.k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use core::hash::Hasher;
    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;
    use std::vec::Vec;

    fn reference(key: [u8; 16], message: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&key);
        hasher.write(message);
        hasher.finish()
    }

    /// The bytes, put together the slow way.
    fn message(tuple: &Tuple) -> Vec<u8> {
        let mut bytes = Vec::new();
        let addrs = [tuple.local.addr, tuple.remote.addr];
        let is_v4 = addrs.iter().all(|addr| addr.is_v4());
        for addr in addrs {
            bytes.extend(&addr.octets()[if is_v4 { 12 } else { 0 }..]);
        }
        bytes.extend(tuple.local.port.to_le_bytes());
        bytes.extend(tuple.remote.port.to_le_bytes());
        bytes.push(match tuple.protocol {
            Protocol::Icmp => 1,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        });
        bytes
    }

    proptest! {
        #[test]
        fn equals_a_siphash_of_others(
            key: [u8; 16], local: [u8; 16], remote: [u8; 16], ports: (u16, u16), which in 0..3usize, word: u64,
            v4: (bool, bool),
        ) {
            let addr = |octets: [u8; 16], v4| match octets {
                [a, b, c, d, ..] if v4 => Addr::v4([a, b, c, d]),
                _ => Addr::v6(octets),
            };
            let tuple = Tuple {
                protocol: [Protocol::Tcp, Protocol::Udp, Protocol::Icmp][which],
                local: Endpoint::new(addr(local, v4.0), ports.0),
                remote: Endpoint::new(addr(remote, v4.1), ports.1),
            };
            prop_assert_eq!(HashKey::new(key).hash_tuple(&tuple), reference(key, &message(&tuple)));
            prop_assert_eq!(HashKey::new(key).hash_word(word), reference(key, &word.to_le_bytes()));
        }
    }

    #[test]
    fn keys_for_different_purposes_differ() {
        let key = HashKey::new([7; 16]);
        let hashes = [key, key.derive(0), key.derive(1), key.derive(1).derive(1)].map(|key| key.hash_word(1));
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash));
        }
        assert_eq!(key.derive(1).hash_word(5), key.derive(1).hash_word(5));
        assert_eq!(std::format!("{key:?}"), "HashKey");
    }
}

//! Initial sequence numbers (RFC 9293, section 3.4.1; RFC 6528, section 3): `ISN = M + F(tuple, key)`.
//!
//! M is a clock that ticks every 4 µs, so that a later connection of the same tuple begins behind the earlier one; F is a
//! keyed hash, so that who sees the numbers of one tuple can't tell those of another.

use wharf_table::{HashKey, Instant, Tuple};

use super::seq::SeqNum;

/// The initial sequence number of a connection with this tuple that begins now. The key must be secret, and used for
/// nothing else.
pub fn initial_sequence_number(key: &HashKey, tuple: &Tuple, now: Instant) -> SeqNum {
    SeqNum::new((now.micros() / 4) as u32) + key.hash_tuple(tuple) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_table::{Addr, Endpoint, Protocol};

    #[test]
    fn numbers_of_one_tuple_advance_with_the_clock_and_others_tell_nothing() {
        let key = HashKey::new(*b"0123456789abcdef");
        let end = |last, port| Endpoint::new(Addr::v4([10, 0, 0, last]), port);
        let tuple = Tuple { protocol: Protocol::Tcp, local: end(1, 80), remote: end(2, 4000) };
        let other = Tuple { remote: end(2, 4001), ..tuple };
        let at = |tuple, micros| initial_sequence_number(&key, tuple, Instant::from_micros(micros));
        assert_eq!(at(&tuple, 4_000).since(at(&tuple, 0)), 1_000);
        assert_ne!(at(&tuple, 0), at(&other, 0));
        let other_key = HashKey::new(*b"0123456789abcdeg");
        assert_ne!(initial_sequence_number(&other_key, &tuple, Instant::ZERO), at(&tuple, 0));
    }
}

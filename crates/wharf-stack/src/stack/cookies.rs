//! SYN cookies (RFC 4987, section 3.6): a handshake that needs no memory, for when a listener has none left.
//!
//! The sequence number of the SYN-ACK says what has to be known later: `H1(tuple) + irs + (minute << 24) + ((H2(tuple, irs,
//! minute) + size) mod 2^24)`, as Linux builds it (`secure_tcp_syn_cookie`), with keyed hashes that nobody else can make.
//! The acknowledgment brings it back; it is believed for two minutes. Of the segment size one of eight is kept. Where the
//! peer sends timestamps, the low six bits of ours, which it echoes, carry its window scale and whether it does SACK and ECN
//! (`cookie_init_timestamp`); without them none of the three is agreed upon.
//!
//! Invariant: making and checking a cookie costs three hashes and keeps nothing.

use wharf_table::{HashKey, Instant, Tuple};
use wharf_wire::tcp::{TcpFlags, TcpRepr};

use crate::tcp::SeqNum;
use crate::tcp::request::Pending;

/// Sizes that a cookie can tell, the smallest first: what common links leave, and what the least of each family does.
const SIZES: [u16; 8] = [536, 1_220, 1_300, 1_380, 1_440, 1_460, 4_312, 8_960];
/// Bits below the minute.
const LOW_BITS: u32 = 24;
const LOW_MASK: u32 = (1 << LOW_BITS) - 1;
/// Minutes that a cookie is believed after its own.
const AGE_MAX: u32 = 2;
/// Bits of our timestamp that carry options: four of window scale, then SACK and ECN.
const OPTION_BITS: u32 = 6;
const OPTION_MASK: u32 = (1 << OPTION_BITS) - 1;
const NO_SCALE: u32 = 15;
const SACK: u32 = 1 << 4;
const ECN: u32 = 1 << 5;

/// Makes cookies and knows its own again.
pub(super) struct Cookies {
    of_tuple: HashKey,
    of_minute: HashKey,
}

impl Cookies {
    pub(super) fn new(key: &HashKey) -> Cookies {
        Cookies { of_tuple: key.derive(0x53_59), of_minute: key.derive(0x4e_43) }
    }

    /// The cookie for a SYN, and what is known of the SYN as far as the cookie keeps it.
    pub(super) fn make(&self, now: Instant, tuple: &Tuple, syn: &TcpRepr) -> Pending {
        let pending = Pending::new(SeqNum::default(), syn);
        let asked = pending.mss.unwrap_or(SIZES[0]);
        let index = SIZES.iter().rposition(|&size| size <= asked).unwrap_or(0);
        let (irs, minute) = (pending.irs.value(), minute(now));
        let low = self.low(tuple, irs, minute).wrapping_add(index as u32) & LOW_MASK;
        let cookie = self.base(tuple, irs).wrapping_add(minute << LOW_BITS).wrapping_add(low);
        let mut kept = Pending { iss: SeqNum::new(cookie), mss: Some(SIZES[index].min(asked)), ..pending };
        if kept.timestamp.is_none() {
            (kept.scale, kept.sack, kept.ecn) = (None, false, TcpFlags::from_bits(0));
        }
        kept
    }

    /// Our timestamp with what the peer offers in its low bits, never later than `clock`.
    pub(super) fn stamp(clock: u32, pending: &Pending) -> u32 {
        let mut options = pending.scale.map_or(NO_SCALE, |scale| u32::from(scale).min(NO_SCALE - 1));
        options |= if pending.sack { SACK } else { 0 };
        options |= if pending.ecn.contains(TcpFlags::ECE | TcpFlags::CWR) { ECN } else { 0 };
        let stamp = clock & !OPTION_MASK | options;
        if stamp.wrapping_sub(clock) as i32 > 0 { stamp.wrapping_sub(OPTION_MASK + 1) } else { stamp }
    }

    /// What the SYN said whose cookie `ack` acknowledges; `None` when it is none of ours, or too old.
    pub(super) fn check(&self, now: Instant, tuple: &Tuple, ack: &TcpRepr) -> Option<Pending> {
        let (cookie, irs) = (ack.ack.wrapping_sub(1), ack.seq.wrapping_sub(1));
        let rest = cookie.wrapping_sub(self.base(tuple, irs));
        let age = minute(now).wrapping_sub(rest >> LOW_BITS) & (u32::MAX >> LOW_BITS);
        if age > AGE_MAX {
            return None;
        }
        let made = minute(now).wrapping_sub(age);
        let index = rest.wrapping_sub(self.low(tuple, irs, made)) & LOW_MASK;
        let size = *SIZES.get(index as usize)?;
        let mut pending = Pending {
            mss: Some(size),
            ecn: TcpFlags::from_bits(0),
            scale: None,
            sack: false,
            ..Pending::new(SeqNum::new(cookie), ack)
        };
        pending.irs = SeqNum::new(irs);
        if let Some((value, echo)) = ack.options.timestamps {
            let scale = echo & NO_SCALE;
            pending.timestamp = Some(value);
            pending.scale = (scale != NO_SCALE).then_some(scale as u8);
            pending.sack = echo & SACK != 0;
            if echo & ECN != 0 {
                pending.ecn = TcpFlags::ECE | TcpFlags::CWR;
            }
        }
        Some(pending)
    }

    fn base(&self, tuple: &Tuple, irs: u32) -> u32 {
        (self.of_tuple.hash_tuple(tuple) as u32).wrapping_add(irs)
    }

    fn low(&self, tuple: &Tuple, irs: u32, minute: u32) -> u32 {
        let of = self.of_minute.hash_tuple(tuple) ^ (u64::from(minute) << 32 | u64::from(irs));
        self.of_minute.hash_word(of) as u32 & LOW_MASK
    }
}

/// The counter that limits a cookie's time.
const fn minute(now: Instant) -> u32 {
    (now.millis() / 60_000) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wharf_table::{Addr, Endpoint, Protocol};
    use wharf_wire::tcp::TcpOptions;

    use super::*;

    fn tuple(port: u16) -> Tuple {
        let end = |last, port| Endpoint::new(Addr::v4([10, 0, 0, last]), port);
        Tuple { protocol: Protocol::Tcp, local: end(1, 80), remote: end(2, port) }
    }

    fn segment(seq: u32, ack: u32, flags: TcpFlags, options: TcpOptions) -> TcpRepr {
        TcpRepr { src_port: 1, dst_port: 80, seq, ack, flags, window: 1_000, urgent: 0, options }
    }

    fn cookies() -> Cookies {
        Cookies::new(&HashKey::new(*b"0123456789abcdef"))
    }

    proptest! {
        #[test]
        fn what_a_cookie_keeps_comes_back(
            irs: u32, port in 1..u16::MAX, at in 0..u32::MAX, wait in 0..120_000_u64, mss: Option<u16>,
            scale in prop::option::of(0..15_u8), sack: bool, stamps: Option<(u32, u32)>,
        ) {
            let made = Instant::from_millis(u64::from(at));
            let options = TcpOptions {
                mss, window_scale: scale, sack_permitted: sack, timestamps: stamps.map(|(value, _)| (value, 0)),
                ..TcpOptions::default()
            };
            let kept = cookies().make(made, &tuple(port), &segment(irs, 0, TcpFlags::SYN, options));
            let clock = stamps.map_or(0, |(_, clock)| clock);
            let stamp = Cookies::stamp(clock, &kept);
            prop_assert!(clock.wrapping_sub(stamp) < 128);
            let timestamps = stamps.map(|(value, _)| (value.wrapping_add(1), stamp));
            let options = TcpOptions { timestamps, ..TcpOptions::default() };
            let ack = segment(irs.wrapping_add(1), kept.iss.value().wrapping_add(1), TcpFlags::ACK, options);
            let later = Instant::from_millis(u64::from(at) + wait);
            let back = cookies().check(later, &tuple(port), &ack);
            prop_assert!(back.is_some(), "a cookie is believed for two minutes");
            let back = back.unwrap();
            prop_assert_eq!((back.iss, back.irs), (kept.iss, kept.irs));
            prop_assert_eq!((back.scale, back.sack), (kept.scale, kept.sack));
            prop_assert_eq!((back.scale, back.sack), if stamps.is_some() { (scale, sack) } else { (None, false) });
            prop_assert!(back.mss >= kept.mss && back.mss.unwrap() <= mss.unwrap_or(536).max(536));
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_tuple_its_number_and_its_time_only() {
        let made = Instant::from_millis(1_000_000);
        let kept = cookies().make(made, &tuple(5), &segment(77, 0, TcpFlags::SYN, TcpOptions::default()));
        let ack = segment(78, kept.iss.value().wrapping_add(1), TcpFlags::ACK, TcpOptions::default());
        let is_believed = |millis, port, ack: &TcpRepr| {
            cookies().check(Instant::from_millis(millis), &tuple(port), ack).is_some()
        };
        assert!(is_believed(1_000_000, 5, &ack));
        assert!(!is_believed(1_000_000, 6, &ack));
        assert!(!is_believed(1_000_000 + 180_000, 5, &ack));
        assert!(!is_believed(1_000_000, 5, &TcpRepr { seq: 79, ..ack }));
        // 24 bits keep guesses out: of a million at most a few hit one of eight values.
        let lucky = (0..1_000_000_u32)
            .filter(|guess| is_believed(1_000_000, 5, &TcpRepr { ack: *guess * 4_001, ..ack }));
        assert!(lucky.count() <= 3);
    }
}

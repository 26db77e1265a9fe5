//! Values in as few bytes as they say anything: the form in which an idle connection waits.
//!
//! A zero takes a bit; other numbers are zigzag varints of seven bits a byte, so small ones of either sign take one byte. Sequence numbers and points in
//! time are differences to the nearest of the last four of their kind: of the dozen that an idle connection keeps, nearly
//! all are equal or close to another one. Truth values take a bit.
//!
//! Invariant: what was packed is read back by the same list of fields, in the same order. The list is written once, by
//! `packed!`, so the two can't differ.
//!
//! Deliberately not here: versions, lengths, checks. The bytes never leave the stack that wrote them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use wharf_table::Instant;

use crate::tcp::seq::SeqNum;

/// How many values of a kind are remembered as neighbours of the next: as many as two bits tell apart.
const NEIGHBORS: usize = 4;

/// The last values of one kind, the latest first.
#[derive(Debug)]
struct Neighbors([u64; NEIGHBORS]);

impl Neighbors {
    /// The nearest neighbour and the signed distance from it, in numbers of `bits` bits that wrap.
    fn nearest(&self, value: u64, bits: u32) -> (usize, u64) {
        let distance = |from: u64| zigzag(value.wrapping_sub(from), bits);
        let far = self.0.iter().map(|&from| distance(from)).enumerate();
        far.min_by_key(|&(_, distance)| distance).unwrap_or_default()
    }

    fn remember(&mut self, index: usize, value: u64) {
        self.0[..=index].rotate_right(1);
        self.0[0] = value;
    }
}

/// Small for numbers near 0 of either sign.
fn zigzag(value: u64, bits: u32) -> u64 {
    let value = (value << (64 - bits)) as i64 >> (64 - bits);
    (value << 1 ^ value >> 63) as u64
}

const fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

/// Writes values one behind the other.
#[derive(Debug)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
    /// Where the byte stands that takes the next truth value, and how many bits of it are taken.
    bits: (usize, u32),
    seqs: Neighbors,
    instants: Neighbors,
}

impl Packer {
    pub(crate) fn new() -> Packer {
        Packer {
            bytes: Vec::new(),
            bits: (0, 8),
            seqs: Neighbors([0; NEIGHBORS]),
            instants: Neighbors([Instant::NEVER.micros(), 0, 0, 0]),
        }
    }

    /// What was written, exactly as long as it is. The next begins anew in the same memory.
    pub(crate) fn take(&mut self) -> Box<[u8]> {
        let taken = Box::from(self.bytes.as_slice());
        let mut bytes = core::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Packer { bytes, ..Packer::new() };
        taken
    }

    fn varint(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn bit(&mut self, value: bool) {
        if self.bits.1 == 8 {
            self.bits = (self.bytes.len(), 0);
            self.bytes.push(0);
        }
        self.bytes[self.bits.0] |= u8::from(value) << self.bits.1;
        self.bits.1 += 1;
    }
}

/// Reads them back.
#[derive(Debug)]
pub(crate) struct Unpacker<'a> {
    bytes: &'a [u8],
    at: usize,
    bits: (usize, u32),
    seqs: Neighbors,
    instants: Neighbors,
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Unpacker<'a> {
        let Packer { bits, seqs, instants, .. } = Packer::new();
        Unpacker { bytes, at: 0, bits, seqs, instants }
    }

    /// Whether everything was read.
    pub(crate) fn is_finished(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte.expect("what is read was written by the same list")
    }

    fn varint(&mut self) -> u128 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn bit(&mut self) -> bool {
        if self.bits.1 == 8 {
            self.bits = (self.at, 0);
            self.at += 1;
        }
        let byte = self.bytes.get(self.bits.0).expect("what is read was written by the same list");
        let bit = byte >> self.bits.1 & 1 == 1;
        self.bits.1 += 1;
        bit
    }
}

/// A value that can wait in few bytes.
pub(crate) trait Packed: Sized {
    fn pack(&self, to: &mut Packer);
    fn unpack(from: &mut Unpacker<'_>) -> Self;
}

/// Implements [`Packed`] field by field, or variant by variant. The list has to be complete: a field or variant that is
/// missing does not compile, in either direction.
macro_rules! packed {
    (struct $type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::tcp::park::Packed for $type {
            fn pack(&self, to: &mut $crate::tcp::park::Packer) {
                let $type { $($field),* } = self;
                $($crate::tcp::park::Packed::pack($field, to);)*
            }

            fn unpack(from: &mut $crate::tcp::park::Unpacker<'_>) -> Self {
                $(let $field = $crate::tcp::park::Packed::unpack(from);)*
                $type { $($field),* }
            }
        }
    };
    (struct $type:ident (1)) => {
        impl $crate::tcp::park::Packed for $type {
            fn pack(&self, to: &mut $crate::tcp::park::Packer) {
                let $type(value) = self;
                $crate::tcp::park::Packed::pack(value, to);
            }

            fn unpack(from: &mut $crate::tcp::park::Unpacker<'_>) -> Self {
                $type($crate::tcp::park::Packed::unpack(from))
            }
        }
    };
    (enum $type:ident { $($number:literal = $variant:ident $(($inner:ident))?),* $(,)? }) => {
        impl $crate::tcp::park::Packed for $type {
            fn pack(&self, to: &mut $crate::tcp::park::Packer) {
                match self {
                    $($type::$variant $(($inner))? => {
                        $crate::tcp::park::Packed::pack(&($number as u8), to);
                        $($crate::tcp::park::Packed::pack($inner, to);)?
                    })*
                }
            }

            fn unpack(from: &mut $crate::tcp::park::Unpacker<'_>) -> Self {
                match <u8 as $crate::tcp::park::Packed>::unpack(from) {
                    $($number => $type::$variant $(({
                        let $inner = $crate::tcp::park::Packed::unpack(from);
                        $inner
                    }))?,)*
                    _ => unreachable!("what is read was written by the same list"),
                }
            }
        }
    };
}
pub(crate) use packed;

macro_rules! packed_number {
    ($($type:ty),*) => {$(
        impl Packed for $type {
            fn pack(&self, to: &mut Packer) {
                to.bit(*self != 0);
                if *self != 0 {
                    to.varint(zigzag(u64::from(*self), <$type>::BITS).into());
                }
            }

            fn unpack(from: &mut Unpacker<'_>) -> Self {
                if from.bit() { unzigzag(from.varint() as u64) as $type } else { 0 }
            }
        }
    )*};
}
packed_number!(u8, u16, u32, u64);

impl Packed for bool {
    fn pack(&self, to: &mut Packer) {
        to.bit(*self);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.bit()
    }
}

impl Packed for usize {
    fn pack(&self, to: &mut Packer) {
        (*self as u64).pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        u64::unpack(from) as usize
    }
}

impl Packed for SeqNum {
    fn pack(&self, to: &mut Packer) {
        let value = self.value().into();
        let (index, distance) = to.seqs.nearest(value, u32::BITS);
        to.seqs.remember(index, value);
        to.varint(u128::from(distance) << 2 | index as u128);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let packed = from.varint();
        let index = packed as usize % NEIGHBORS;
        let value = from.seqs.0[index].wrapping_add(unzigzag((packed >> 2) as u64)) as u32;
        from.seqs.remember(index, value.into());
        SeqNum::new(value)
    }
}

impl Packed for Instant {
    fn pack(&self, to: &mut Packer) {
        let (index, distance) = to.instants.nearest(self.micros(), u64::BITS);
        to.instants.remember(index, self.micros());
        to.varint(u128::from(distance) << 2 | index as u128);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let packed = from.varint();
        let index = packed as usize % NEIGHBORS;
        let value = from.instants.0[index].wrapping_add(unzigzag((packed >> 2) as u64));
        from.instants.remember(index, value);
        Instant::from_micros(value)
    }
}

impl Packed for Duration {
    fn pack(&self, to: &mut Packer) {
        to.varint(self.as_nanos());
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let nanos = from.varint();
        Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }
}

impl<T: Packed> Packed for Option<T> {
    fn pack(&self, to: &mut Packer) {
        to.bit(self.is_some());
        self.iter().for_each(|value| value.pack(to));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        from.bit().then(|| T::unpack(from))
    }
}

impl<T: Packed> Packed for Box<T> {
    fn pack(&self, to: &mut Packer) {
        T::pack(self, to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Box::new(T::unpack(from))
    }
}

impl<T: Packed, const N: usize> Packed for [T; N] {
    fn pack(&self, to: &mut Packer) {
        self.iter().for_each(|value| value.pack(to));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        core::array::from_fn(|_| T::unpack(from))
    }
}

impl<A: Packed, B: Packed> Packed for (A, B) {
    fn pack(&self, to: &mut Packer) {
        self.0.pack(to);
        self.1.pack(to);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Self {
        (A::unpack(from), B::unpack(from))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct All {
        byte: u8,
        short: u16,
        word: u32,
        long: u64,
        flags: [bool; 11],
        seqs: [SeqNum; 5],
        instants: [Instant; 5],
        span: Option<Duration>,
        boxed: Option<Box<u32>>,
        choice: Choice,
    }
    packed!(struct All { byte, short, word, long, flags, seqs, instants, span, boxed, choice });

    #[derive(Clone, Debug, PartialEq)]
    enum Choice {
        Nothing,
        Number(u32),
    }
    packed!(enum Choice { 0 = Nothing, 1 = Number(number) });

    fn instants() -> impl Strategy<Value = Instant> {
        prop_oneof![Just(Instant::NEVER), any::<u64>().prop_map(Instant::from_micros)]
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            numbers in any::<(u8, u16, u32, u64)>(), flags: [bool; 11], seqs in prop::array::uniform5(any::<u32>()),
            instants in prop::array::uniform5(instants()), span in any::<Option<Duration>>(), boxed: Option<u32>,
            choice: Option<u32>,
        ) {
            let (byte, short, word, long) = numbers;
            let seqs = seqs.map(SeqNum::new);
            let choice = choice.map_or(Choice::Nothing, Choice::Number);
            let boxed = boxed.map(Box::new);
            let all = All { byte, short, word, long, flags, seqs, instants, span, boxed, choice };
            let mut packer = Packer::new();
            for _ in 0..2 {
                all.pack(&mut packer);
                let bytes = packer.take();
                let mut unpacker = Unpacker::new(&bytes);
                prop_assert_eq!(&All::unpack(&mut unpacker), &all);
                prop_assert!(unpacker.is_finished());
            }
        }
    }

    #[test]
    fn neighbours_take_a_byte() {
        let mut packer = Packer::new();
        [1, 1, 3, 2].map(|step| SeqNum::new(0x7edc_ba98) + step).pack(&mut packer);
        assert_eq!(packer.take().len(), 5 + 3);
        [Instant::NEVER, Instant::NEVER].pack(&mut packer);
        (u32::MAX, 60_u32).pack(&mut packer);
        ([true; 4], [0_u64; 2]).pack(&mut packer);
        assert_eq!(packer.take().len(), 2 + 2 + 1);
    }
}

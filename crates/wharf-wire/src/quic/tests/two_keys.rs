//! A packet that opens with two keys: AES-GCM's tag is linear in each block of the ciphertext, so one block can be chosen so that
//! the tags under both keys are equal.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

use super::*;
use crate::quic::keys::Secrets;

/// Multiplies in the field of GCM (NIST SP 800-38D, section 6.3).
fn mul(x: u128, y: u128) -> u128 {
    let (mut product, mut shifted) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted = shifted >> 1 ^ if shifted & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

fn power(x: u128, exponent: u32) -> u128 {
    (1..exponent).fold(x, |power, _| mul(power, x))
}

/// `x` to the power of 2^128 - 2.
fn inverse(x: u128) -> u128 {
    let mut square = x;
    (1..128).fold(1 << 127, |product, _| {
        square = mul(square, square);
        mul(product, square)
    })
}

/// One side's view of a packet.
struct Side {
    secrets: Secrets,
    header: Vec<u8>,
    number: u32,
}

impl Side {
    fn block(&self, key: [u8; 16], block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        Aes128::new(&key.into()).encrypt_block(&mut block);
        block.into()
    }

    fn hash_key(&self) -> u128 {
        u128::from_be_bytes(self.block(self.secrets.key, [0; 16]))
    }

    /// The key stream: block 1 is for the tag, the data's begin at 2.
    fn stream(&self, counter: u32) -> [u8; 16] {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&self.secrets.iv);
        for (byte, number) in block[8..12].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= number;
        }
        block[12..].copy_from_slice(&counter.to_be_bytes());
        self.block(self.secrets.key, block)
    }

    fn tag(&self, sealed: &[u8]) -> u128 {
        let lens = (self.header.len() as u128 * 8) << 64 | (sealed.len() as u128 * 8);
        let blocks = self.header.chunks(16).chain(sealed.chunks(16)).map(|chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            u128::from_be_bytes(block)
        });
        let hash = blocks.chain([lens]).fold(0, |hash, block| mul(hash ^ block, self.hash_key()));
        hash ^ u128::from_be_bytes(self.stream(1))
    }

    fn mask(&self, sealed: &[u8]) -> [u8; 16] {
        self.block(self.secrets.hp, sealed[..16].try_into().unwrap())
    }
}

/// The block of the ciphertext that is chosen: within the padding at the end of a hello of 300 bytes.
const FREE: usize = 12;

/// A datagram to `server_dcid` that shows `evil.test` with the keys of that identifier, and opens with those of `ours` too.
fn with_two_keys(ours: &[u8], server_dcid: &[u8]) -> Vec<u8> {
    let open_header =
        [&[0xc3, 0, 0, 0, 1, server_dcid.len() as u8][..], server_dcid, &[0, 0, 0x44, 0x9e]].concat();
    let mut frames = InitialRepr::crypto_frame(0, &message("evil.test", 300));
    frames.resize(0x49e - 4 - 16, 0);
    for number in 0..64_u32 {
        let with = |secrets, first: u8, number: u32| {
            let mut header = [&open_header[..], &number.to_be_bytes()].concat();
            header[0] = first;
            Side { secrets, header, number }
        };
        let theirs = with(Secrets::of_client(Version::V1, server_dcid), 0xc3, number);
        let mut sealed = frames.clone();
        for (at, chunk) in sealed.chunks_mut(16).enumerate() {
            chunk.iter_mut().zip(theirs.stream(at as u32 + 2)).for_each(|(byte, stream)| *byte ^= stream);
        }
        // What header protection makes of it, and what that is under our keys.
        let our_secrets = Secrets::of_client(Version::V1, ours);
        let (mask, our_mask) = (theirs.mask(&sealed), with(our_secrets, 0, 0).mask(&sealed));
        let first = 0xc3 ^ (mask[0] ^ our_mask[0]) & 0x0f;
        let difference = u32::from_be_bytes([1, 2, 3, 4].map(|at| mask[at] ^ our_mask[at]));
        if first & 3 != 3 {
            continue;
        }
        let us = with(Secrets::of_client(Version::V1, ours), first, number ^ difference);

        sealed[FREE * 16..][..16].fill(0);
        let exponent = (sealed.len().div_ceil(16) - FREE + 1) as u32;
        let factor = |side: &Side| power(side.hash_key(), exponent);
        let free = mul(us.tag(&sealed) ^ theirs.tag(&sealed), inverse(factor(&us) ^ factor(&theirs)));
        sealed[FREE * 16..][..16].copy_from_slice(&free.to_be_bytes());
        assert_eq!(us.tag(&sealed), theirs.tag(&sealed));

        let mut packet = theirs.header.clone();
        let number_at = packet.len() - 4;
        packet[0] ^= mask[0] & 0x0f;
        packet[number_at..].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
        packet.extend(&sealed);
        packet.extend(us.tag(&sealed).to_be_bytes());
        return packet;
    }
    panic!("one number of four will do");
}

#[test]
fn a_packet_of_two_connections_is_nobodys() {
    let server_dcid = [3; 8];
    let packet = with_two_keys(&DCID, &server_dcid);
    // The control: alone, with either key, it opens.
    assert_eq!(name(InitialReader::new().push(&packet)), "evil.test");
    let mut renamed = InitialReader::new();
    renamed.push(&datagram("good.test", &DCID, 0));
    let mut rest = packet.as_slice();
    let Ok(Packet::Initial(initial)) = packet::take(&mut rest) else { panic!("an Initial packet") };
    assert!(renamed.connections[0].open(&initial).is_some());

    let mut reader = InitialReader::new();
    assert_eq!(name(reader.push(&datagram("good.test", &DCID, 0))), "good.test");
    assert_eq!(reader.push(&packet), Quic::Malformed(Malformed::Sealed));
}

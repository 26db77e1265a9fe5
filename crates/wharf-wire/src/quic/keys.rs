//! The keys of Initial packets, which whoever sees the first one knows (RFC 9001, section 5; RFC 9369, section 3.3).

use alloc::vec::Vec;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes_gcm::{AeadInOut, Aes128Gcm};
use hkdf::Hkdf;
use sha2::Sha256;

use super::Version;
use super::packet::Initial;

/// Bytes of the tag behind what is sealed.
pub(super) const TAG_LEN: usize = 16;
/// Bytes that header protection takes its mask from, and how far behind the packet number's first byte they begin, however
/// long that is (RFC 9001, section 5.4.2).
const SAMPLE_LEN: usize = 16;
const SAMPLE_AT: usize = 4;

/// What differs between the versions.
struct Labels {
    salt: [u8; 20],
    key: &'static [u8],
    iv: &'static [u8],
    hp: &'static [u8],
}

/// RFC 9001, sections 5.1 and 5.2.
const V1: Labels = Labels {
    salt: [
        0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
        0xbb, 0x7f, 0x0a,
    ],
    key: b"tls13 quic key",
    iv: b"tls13 quic iv",
    hp: b"tls13 quic hp",
};
/// RFC 9369, sections 3.3.1 and 3.3.2.
const V2: Labels = Labels {
    salt: [
        0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
        0xbd, 0x2e, 0xd9,
    ],
    key: b"tls13 quicv2 key",
    iv: b"tls13 quicv2 iv",
    hp: b"tls13 quicv2 hp",
};

/// The client's keys as bytes.
pub(super) struct Secrets {
    pub(super) key: [u8; 16],
    pub(super) iv: [u8; 12],
    pub(super) hp: [u8; 16],
}

impl Secrets {
    /// Those of the client that chose `dcid` for its first Initial packet.
    pub(super) fn of_client(version: Version, dcid: &[u8]) -> Secrets {
        let labels = match version {
            Version::V1 => V1,
            Version::V2 => V2,
        };
        let initial = Hkdf::<Sha256>::new(Some(&labels.salt), dcid);
        let client = Hkdf::<Sha256>::from_prk(&expand::<32>(&initial, b"tls13 client in"))
            .expect("32 bytes are as many as SHA-256 gives");
        Secrets {
            key: expand(&client, labels.key),
            iv: expand(&client, labels.iv),
            hp: expand(&client, labels.hp),
        }
    }
}

/// HKDF-Expand-Label without a context (RFC 8446, section 7.1); the label has its `tls13 ` already.
fn expand<const LEN: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> [u8; LEN] {
    let mut out = [0; LEN];
    let lens = ([0, LEN as u8, label.len() as u8], [0]);
    secret.expand_multi_info(&[&lens.0, label, &lens.1], &mut out).expect("at most 32 bytes are asked for");
    out
}

/// The client's keys, ready.
#[derive(Clone)]
pub(super) struct Keys {
    aead: Aes128Gcm,
    iv: [u8; 12],
    hp: Aes128,
}

impl Keys {
    /// Those of the client that chose `dcid` for its first Initial packet.
    pub(super) fn of_client(version: Version, dcid: &[u8]) -> Keys {
        let secrets = Secrets::of_client(version, dcid);
        Keys {
            aead: Aes128Gcm::new(&secrets.key.into()),
            iv: secrets.iv,
            hp: Aes128::new(&secrets.hp.into()),
        }
    }

    /// The packet number and the frames of a packet that was sealed with these keys; `None` for any other. `expected` is the
    /// number after the largest so far.
    pub(super) fn open(&self, packet: &Initial<'_>, expected: u64) -> Option<(u64, Vec<u8>)> {
        let sample = packet.sealed.get(SAMPLE_AT..SAMPLE_AT + SAMPLE_LEN)?;
        let mask = self.mask(sample.try_into().ok()?);
        let first = packet.header.first()? ^ mask[0] & 0x0f;
        let number_len = usize::from(first & 3) + 1;
        let (number, sealed) = packet.sealed.split_at_checked(number_len)?;
        let mut header = Vec::with_capacity(packet.header.len() + number_len);
        header.extend_from_slice(packet.header);
        header[0] = first;
        header.extend(number.iter().zip(&mask[1..]).map(|(byte, mask)| byte ^ mask));
        let sent =
            header[packet.header.len()..].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let number = whole_number(sent, number_len, expected);

        let (sealed, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_LEN)?)?;
        let mut frames = sealed.to_vec();
        let tag = <[u8; TAG_LEN]>::try_from(tag).ok()?;
        self.aead
            .decrypt_inout_detached(
                &self.nonce(number).into(),
                &header,
                frames.as_mut_slice().into(),
                &tag.into(),
            )
            .ok()?;
        Some((number, frames))
    }

    /// Seals `packet`, of which the first `header_len` bytes are the header with a number of four bytes at its end, `number`.
    pub(super) fn seal(&self, packet: &mut Vec<u8>, header_len: usize, number: u32) {
        let (header, frames) = packet.split_at_mut(header_len);
        let tag = self
            .aead
            .encrypt_inout_detached(&self.nonce(u64::from(number)).into(), header, frames.into())
            .expect("a packet is shorter than what AES-GCM takes");
        packet.extend_from_slice(&tag);
        let number_at = header_len - 4;
        let mut sample = [0; SAMPLE_LEN];
        sample.copy_from_slice(&packet[number_at + SAMPLE_AT..number_at + SAMPLE_AT + SAMPLE_LEN]);
        let mask = self.mask(sample);
        packet[0] ^= mask[0] & 0x0f;
        for (byte, mask) in packet[number_at..header_len].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
        }
    }

    /// RFC 9001, section 5.4.3.
    fn mask(&self, sample: [u8; SAMPLE_LEN]) -> [u8; SAMPLE_LEN] {
        let mut block = sample.into();
        self.hp.encrypt_block(&mut block);
        block.into()
    }

    /// RFC 9001, section 5.3.
    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys")
    }
}

/// The number nearest to `expected` that ends in the `len` bytes of `sent` (RFC 9000, appendix A.3).
fn whole_number(sent: u64, len: usize, expected: u64) -> u64 {
    let window = 1_u64 << (len * 8);
    let candidate = expected & !(window - 1) | sent;
    if candidate + window / 2 <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9000, appendix A.3, and those around its edges.
    #[test]
    fn numbers_that_were_cut() {
        assert_eq!(whole_number(0x9b32, 2, 0xa82f_30eb), 0xa82f_9b32);
        assert_eq!(whole_number(0, 1, 0), 0);
        assert_eq!(whole_number(0xff, 1, 0), 0xff);
        assert_eq!(whole_number(0xff, 1, 0x100), 0xff);
        assert_eq!(whole_number(0x01, 1, 0xff), 0x101);
        assert_eq!(whole_number(0xffff_ffff, 4, 5), 0xffff_ffff);
    }
}

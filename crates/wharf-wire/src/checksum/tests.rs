use std::vec::Vec;

use super::*;

/// RFC 1071, section 1, read literally: pairs of bytes, carries added back.
fn model(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[test]
fn the_example_of_rfc_1071() {
    // Section 3: the sum of these is ddf2.
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::new().with(&bytes).fold(), 0xddf2);
    assert_eq!(checksum(&bytes), !0xddf2);
}

#[test]
fn all_lengths_and_all_cuts_agree_with_the_model() {
    let bytes: Vec<u8> = (0..200u32).map(|i| (i * 151 + 7) as u8).collect();
    for len in 0..bytes.len() {
        let whole = &bytes[..len];
        assert_eq!(Sum::new().with(whole).fold(), model(whole), "{len} bytes");
        for cut in 0..len {
            let (a, b) = whole.split_at(cut);
            let (b, c) = b.split_at(b.len() / 3);
            assert_eq!(Sum::new().with(a).with(b).with(c).fold(), model(whole), "{len} bytes cut at {cut}");
        }
    }
}

#[test]
fn carries_are_not_lost() {
    for len in [2, 31, 32, 64, 1460, 65_535] {
        let bytes = std::vec![0xff; len];
        assert_eq!(Sum::new().with(&bytes).fold(), model(&bytes));
    }
}

#[test]
fn the_pseudo_header_is_what_the_rfc_draws() {
    let (src, dst) = (Addr::v4([192, 0, 2, 1]), Addr::v4([198, 51, 100, 7]));
    let drawn = [192, 0, 2, 1, 198, 51, 100, 7, 0, 6, 0x12, 0x34];
    assert_eq!(pseudo_header(src, dst, 6, 0x1234).fold(), model(&drawn));

    let (src, dst) = (Addr::v6([0x20; 16]), Addr::v6([0xfe; 16]));
    let drawn = [&[0x20; 16][..], &[0xfe; 16], &[0, 1, 0x12, 0x34], &[0, 0, 0, 58]].concat();
    assert_eq!(pseudo_header(src, dst, 58, 0x0001_1234).fold(), model(&drawn));
}

#[test]
fn the_example_of_rfc_1624() {
    // Section 4: a field goes from 5555 to 3285 under the checksum DD2F, and the right answer is 0000, for which UDP says ffff.
    assert_eq!(replaced(0xdd2f, &[0x55, 0x55], &[0x32, 0x85]), 0xffff);
}

#[test]
fn a_replaced_part_gives_the_checksum_of_the_new_whole() {
    let mut whole: Vec<u8> = (0..64u32).map(|i| (i * 97 + 3) as u8).collect();
    for round in 0..200u32 {
        let before = checksum(&whole);
        let at = (round as usize * 6) % 48;
        let old: Vec<u8> = whole[at..at + 12].to_vec();
        whole[at..at + 12]
            .iter_mut()
            .enumerate()
            .for_each(|(i, byte)| *byte = (round * 31 + i as u32 * 7) as u8);
        let after = match checksum(&whole) {
            0 => 0xffff,
            sum => sum,
        };
        assert_eq!(replaced(before, &old, &whole[at..at + 12]), after, "round {round}");
    }
}

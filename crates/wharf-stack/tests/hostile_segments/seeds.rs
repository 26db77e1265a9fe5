//! The same packets as seeds for the fuzz targets: small files, one for each case, that are what this says, or the test
//! fails; `UPDATE_SEEDS=1 cargo test -p wharf-stack --test hostile_segments` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use wharf_stack::stack::ConnId;

use super::CASES;
use crate::bench::*;

/// Packets of a case that become its seed: more teach a fuzzer nothing new.
const PACKETS_MAX: usize = 8;
/// The longest frame that the input of `handle_frame` can hold.
const FRAME_MAX: usize = 255;

/// A connection whose numbers are nobody's.
fn talk() -> Talk {
    Talk { family: 0, iss: 1_000, id: ConnId::from_number(0), syn_ack: blank(0, 5_000), port: 5_000 }
}

/// As `handle_frame` reads them: each behind its length and a byte that makes its checksums right.
fn frames(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut input = Vec::new();
    for packet in packets {
        let kind: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend_from_slice(&kind);
        frame.extend_from_slice(packet);
        frame.truncate(FRAME_MAX);
        input.extend_from_slice(&[frame.len() as u8, 0b111]);
        input.extend_from_slice(&frame);
    }
    input
}

/// Path and content of every seed.
fn seeds() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut all = Vec::new();
    for (name, packets) in CASES {
        let packets: Vec<Vec<u8>> = packets(&talk()).into_iter().take(PACKETS_MAX).collect();
        let Some(first) = packets.first() else { continue };
        all.push((root.join("handle_frame").join(name), frames(&packets)));
        let version = if first[0] >> 4 == 6 { "ipv6" } else { "ipv4" };
        all.push((root.join(version).join(name), first.clone()));
        if version == "ipv4" && first[9] == 6 && first.len() > 20 {
            all.push((root.join("tcp").join(name), first[20..].to_vec()));
        }
    }
    all
}

#[test]
fn the_seeds_of_the_fuzz_targets_are_current() {
    let update = std::env::var_os("UPDATE_SEEDS").is_some();
    for (path, expected) in seeds() {
        if update {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == expected, "{} is not what its case says: UPDATE_SEEDS=1", path.display());
    }
}

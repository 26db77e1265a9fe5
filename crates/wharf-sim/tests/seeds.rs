//! Every seed of the fuzz targets holds what its target says, and so does all that is nearly it: without a fuzzer, with
//! any compiler, whenever the tests run.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets use it as a library")]
mod properties;
#[path = "seeds/written.rs"]
mod written;

use std::fs;
use std::path::{Path, PathBuf};

use wharf_stack::random::Random;

/// Changed copies of each seed.
const CHANGED: u64 = 40;

fn seeds_of(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The seed with a few bytes that are others, fewer or more.
fn changed(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        match random.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next_u64() as u8),
            _ => {
                let value = [0, 1, 0x7f, 0x80, 0xc0, 0xff, random.next_u64() as u8][random.below(7) as usize];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
        }
    }
    bytes
}

#[test]
fn every_seed_and_what_is_nearly_it_holds() {
    let mut random = Random::new(3);
    for (target, property) in properties::PROPERTIES {
        let seeds = seeds_of(target);
        for (path, seed) in &seeds {
            // What a failure prints last is the seed's name.
            println!("{}", path.display());
            property(seed);
            (0..CHANGED).for_each(|_| property(&changed(&mut random, seed)));
        }
        println!("{target}: {} seeds", seeds.len());
    }
}

#[test]
fn every_target_has_seeds_and_every_folder_of_seeds_a_target() {
    for (target, _) in properties::PROPERTIES {
        assert!(!seeds_of(target).is_empty(), "fuzz/seeds/{target} is empty");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for folder in fs::read_dir(root.join("seeds")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(
            properties::PROPERTIES.iter().any(|(target, _)| *target == name),
            "nothing reads fuzz/seeds/{name}"
        );
    }
    let targets = fs::read_dir(root.join("fuzz_targets")).unwrap().count();
    assert_eq!(targets, properties::PROPERTIES.len());
}

//! Every script below `scripts/`: against our stack in virtual time, and against the kernel where one can be had.
//!
//! On the kernel scripts mostly wait, so they run many at a time. A script whose only fault is a time gets a few
//! more chances there, alone: the machine may have been busy, which a wrong stack is not. In virtual time there are none.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use wharf_sim::script::{
    Cause, Failure, IpVersion, KernelMaker, Maker, Script, StackMaker, kernel_available, parse, run_file,
};

/// How many scripts run side by side; nearly all of them sleep.
const SIDE_BY_SIDE: usize = 24;

/// How often a script runs alone that was late among others.
const CHANCES: usize = 3;

fn scripts() -> Vec<PathBuf> {
    fn below(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("the directory can be read") {
            let path = entry.expect("the directory can be read").path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "pkt") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts"), &mut found);
    found.sort();
    assert!(!found.is_empty(), "there are scripts");
    found
}

/// Runs the scripts side by side, and returns what failed.
fn run_all(files: Vec<PathBuf>, maker: &dyn Maker) -> Vec<Failure> {
    let waiting = Mutex::new(VecDeque::from(files));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(file) = { waiting.lock().expect("nobody panics").pop_front() } {
                    if let Err(failure) = run_file(&file, IpVersion::V4, maker) {
                        failures.lock().expect("nobody panics").push(failure);
                    }
                }
            });
        }
    });
    failures.into_inner().expect("nobody panics")
}

fn told(failures: &[Failure]) -> String {
    failures.iter().map(|failure| format!("\n{failure}\n")).collect()
}

/// The scripts for which `fits` holds.
fn scripts_that(fits: impl Fn(&Script) -> bool) -> Vec<PathBuf> {
    let mut files = scripts();
    files.retain(|file| {
        let text = std::fs::read_to_string(file).expect("the script can be read");
        fits(&parse(&text, IpVersion::V4).expect("the script makes sense"))
    });
    files
}

/// The scripts of which `missing.txt` says that our stack fails them.
fn missing() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let list = std::fs::read_to_string(root.join("missing.txt")).unwrap_or_default();
    let names = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    names.map(|(name, _)| root.join(name)).collect()
}

#[test]
fn our_stack_does_what_the_scripts_say() {
    let mut files = scripts_that(|script| script.not_for_stack.is_none());
    let missing = missing();
    files.retain(|file| !missing.contains(file));
    let failures = run_all(files, &StackMaker);
    assert!(failures.is_empty(), "{}", told(&failures));
}

/// What is said to be missing is missing: whoever adds it takes the line out of the list.
#[test]
fn what_is_missing_is_missing() {
    for file in missing() {
        let outcome = run_file(&file, IpVersion::V4, &StackMaker);
        assert!(outcome.is_err(), "{}: it passes: take it out of missing.txt", file.display());
    }
}

#[test]
fn every_script_says_what_it_tests() {
    for file in scripts() {
        let text = std::fs::read_to_string(&file).unwrap();
        let head: String = text.lines().take_while(|line| line.starts_with("//")).collect();
        assert!(head.contains("RFC ") || head.contains("Linux"), "{}: no source in its head", file.display());
        parse(&text, IpVersion::V4).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

#[test]
fn the_kernel_does_what_the_scripts_say() {
    if let Err(why) = kernel_available() {
        eprintln!("skipped: no network namespace with a TUN device can be had here: {why}");
        return;
    }
    let failures = run_all(scripts_that(|script| script.not_for_kernel.is_none()), &KernelMaker);
    let (late, wrong): (Vec<Failure>, Vec<Failure>) =
        failures.into_iter().partition(|failure| failure.cause == Cause::Time);
    let again: Vec<Failure> = late
        .into_iter()
        .filter_map(|failure| {
            let alone = || run_file(&failure.file, IpVersion::V4, &KernelMaker).err();
            let outcomes =
                (0..CHANCES).map(|_| std::thread::scope(|scope| scope.spawn(alone).join()).unwrap());
            // The last failure, unless one of them is none.
            outcomes.take_while(Option::is_some).collect::<Vec<_>>().into_iter().nth(CHANCES - 1).flatten()
        })
        .collect();
    assert!(wrong.is_empty() && again.is_empty(), "{}{}", told(&wrong), told(&again));
}

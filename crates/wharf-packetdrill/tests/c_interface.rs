//! A C program drives the library through its table, with the structures of the system's own headers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The shared library that was built with this test.
fn library() -> PathBuf {
    let name = format!("{}wharf_packetdrill{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let here = std::env::current_exe().unwrap();
    let folders = here.ancestors().skip(1).take(2).map(|folder| folder.join(&name));
    folders
        .into_iter()
        .find(|path| path.exists())
        .expect("cargo builds the library of a package for its tests")
}

#[test]
fn a_c_program_is_served_as_packetdrill_is() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver.c");
    let program = std::env::temp_dir().join(format!("wharf-packetdrill-driver-{}", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Werror", "-o"]).arg(&program).arg(&source).args(["-ldl", "-lpthread"]);

    let built = match compiler.output() {
        Ok(built) => built,
        Err(error) => return println!("skipped: no C compiler ({error})"),
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let started = Instant::now();
    let ran = Command::new(&program).arg(library()).output();
    std::fs::remove_file(&program).unwrap();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "held\n");
    // Minutes of the script's clock passed: they must not be ours.
    assert!(started.elapsed().as_secs() < 20);
}

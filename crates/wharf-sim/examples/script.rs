//! Runs scripts in packetdrill's format: `script [--kernel|--stack|--both] [--ip_version=ipv6] FILE...`.
//!
//! Prints one line a script and machine, and why it failed. Exit code 1 when one failed, 2 for wrong usage.

use std::path::PathBuf;
use std::process::ExitCode;

use wharf_sim::script::{IpVersion, KernelMaker, Maker, StackMaker, run_file};

fn main() -> ExitCode {
    let (mut makers, mut files) = (Vec::<Box<dyn Maker>>::new(), Vec::<PathBuf>::new());
    let mut version = IpVersion::V4;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--kernel" => makers.push(Box::new(KernelMaker)),
            "--stack" => makers.push(Box::new(StackMaker)),
            "--both" => makers = vec![Box::new(KernelMaker), Box::new(StackMaker)],
            other => match other.strip_prefix("--ip_version=").map(str::parse) {
                Some(Ok(wanted)) => version = wanted,
                Some(Err(why)) => return usage(&why),
                None if other.starts_with("--") => return usage(&format!("{other} is no option")),
                None => files.push(other.into()),
            },
        }
    }
    if files.is_empty() || makers.is_empty() {
        return usage("script [--kernel|--stack|--both] [--ip_version=VERSION] FILE...");
    }
    let mut failures = 0;
    for file in &files {
        for maker in &makers {
            // A kernel changes the namespace of its thread.
            let outcome =
                std::thread::scope(|scope| scope.spawn(|| run_file(file, version, &**maker)).join());
            match outcome {
                Ok(Ok(success)) => {
                    println!("{}: ok on {}", file.display(), maker.name());
                    success.notes.iter().for_each(|note| println!("    {note}"));
                }
                Ok(Err(failure)) => {
                    failures += 1;
                    println!(
                        "{}: failed on {}\n    {}",
                        file.display(),
                        maker.name(),
                        failure.to_string().replace('\n', "\n    ")
                    );
                }
                Err(_) => {
                    failures += 1;
                    println!("{}: panicked on {}", file.display(), maker.name());
                }
            }
        }
    }
    println!("{} scripts, {failures} failures", files.len());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::from(2)
}

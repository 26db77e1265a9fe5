//! How long a command takes from fork to exit.

use crate::client::number;
use std::io::Error;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs the command `count` times, one after the other, and prints the median in milliseconds.
pub(crate) fn time(count: &str, command: &[&str]) -> Result<(), Error> {
    let count: usize = number(count)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let began = Instant::now();
        let status = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(Error::other(format!("it ended with {status}")));
        }
        spans.push(began.elapsed().as_secs_f64() * 1e3);
    }
    spans.sort_by(f64::total_cmp);
    println!("{:.2}", spans[spans.len() / 2]);
    Ok(())
}

//! How fast this machine copies memory: the distance that a gateway's one copy in and one copy out have to it.

use crate::client::{number, repeat};
use std::hint::black_box;
use std::io::Error;

/// Copies `kib` KiB from one buffer to another, as often as `seconds` allow, and prints how much was copied, in Gbit/s.
pub(crate) fn copy(kib: &str, seconds: &str) -> Result<(), Error> {
    let length = number::<usize>(kib)?.max(1) * 1024;
    let (from, mut to) = (vec![1_u8; length], vec![0_u8; length]);
    let rate = repeat(number(seconds)?, || {
        black_box(&mut to).copy_from_slice(black_box(&from));
        Ok(length as u64)
    })?;
    println!("{:.1}", rate * 8.0 / 1e9);
    Ok(())
}

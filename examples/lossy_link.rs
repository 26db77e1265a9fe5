//! A lossy link in virtual time: how fast TCP is over it, and what it did to get there.
//!
//!     cargo run --release --example lossy_link -- delay=40ms,loss=1%,rate=20mbit
//!
//! The faults are those of `wharf run --link`: delay=, jitter=, loss=, reorder=, duplicate=, corrupt=, rate=, queue=. They
//! follow from a seed, so that each run prints the same; minutes on the link take a moment here.

use std::time::Duration;

use wharf_sim::{Lab, Setup};
use wharf_stack::link::Impairment;

/// Bytes to send, and for how long at most.
const SIZE: usize = 4 << 20;
const LIMIT: Duration = Duration::from_secs(600);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let faults = std::env::args().nth(1).unwrap_or_else(|| "delay=40ms,loss=1%,rate=20mbit".to_owned());
    let impairment = Impairment::parse(&faults)?;
    println!("{} MiB over {faults}, there and back\n", SIZE >> 20);
    println!("{:>6}{:>12}{:>12}{:>14}{:>16}", "seed", "buffers", "time", "Mbit/s", "frames lost");
    for buffers in [64 << 10, 1 << 20] {
        for seed in 1..=3 {
            let (mut lab, client, server) =
                Lab::pair(&Setup { impairment, ..Setup::default() }.buffers(buffers).seed(seed));
            lab.listen(server, 80);
            let address = lab.v4(server);
            let (near, far) = lab.establish(client, server, address, 80);
            let sent: Vec<u8> = (0..SIZE).map(|index| (index % 251) as u8).collect();
            lab.send(near, &sent);
            lab.finish(near);
            let span = lab.run_until(LIMIT, |lab| lab.stream(far).received().len() == SIZE);
            let span = span.map_err(|stuck| format!("{stuck:?}"))?;
            assert!(lab.stream(far).received() == sent, "what arrives is what was sent");
            println!(
                "{seed:>6}{:>8} KiB{:>10.2} s{:>14.2}{:>16}",
                buffers >> 10,
                span.as_secs_f64(),
                SIZE as f64 * 8.0 / span.as_secs_f64() / 1e6,
                lab.lost(client) + lab.lost(server),
            );
        }
    }
    Ok(())
}

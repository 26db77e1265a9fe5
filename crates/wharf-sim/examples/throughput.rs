//! Prints how fast one TCP connection is over links of many kinds, in virtual time: a report to look at, not a test.
//!
//! `cargo run --release -p wharf-sim --example throughput`

use std::time::Duration;

use wharf_sim::{Lab, Setup};

const LOSSES: [&str; 7] = ["0%", "0.1%", "1%", "2%", "5%", "10%", "20%"];
const DELAYS: [&str; 4] = ["100us", "1ms", "10ms", "50ms"];
const BUFFERS: [u32; 3] = [16 << 10, 256 << 10, 4 << 20];
/// Bytes of one transfer at most, and how long it may take in virtual time.
const SIZE: usize = 16 << 20;
const LIMIT: Duration = Duration::from_secs(60);

/// Mbit/s of one direction, as far as it gets within the limit, once the connection is up.
fn throughput(buffers: u32, delay: &str, faults: &str) -> f64 {
    let good = format!("delay={delay},rate=1gbit");
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired(&good).buffers(buffers));
    lab.listen(server, 80);
    let target = lab.v4(server);
    let (near, far) = lab.establish(client, server, target, 80);
    for station in [client, server] {
        lab.impair(station, &format!("{good},{faults}"));
    }
    let begin = lab.now();
    lab.send(near, &vec![0x5a; SIZE]);
    // Not having finished within the limit is a result, too.
    let _ = lab.run_until(LIMIT, |lab| lab.stream(far).received().len() == SIZE);
    let seconds = lab.now().since(begin).as_secs_f64();
    lab.stream(far).received().len() as f64 * 8.0 / seconds / 1e6
}

fn main() {
    println!("one direction, Mbit/s; delay is one way, loss is each way; rate 1 Gbit/s");
    for reorder in ["0%", "2%"] {
        for buffers in BUFFERS {
            println!("\nbuffers {} KiB, reordering {reorder}", buffers >> 10);
            print!("{:>8}", "delay");
            LOSSES.iter().for_each(|loss| print!("{loss:>10}"));
            println!();
            for delay in DELAYS {
                print!("{delay:>8}");
                for loss in LOSSES {
                    let faults = format!("loss={loss},reorder={reorder}");
                    print!("{:>10.2}", throughput(buffers, delay, &faults));
                }
                println!();
            }
        }
    }
}

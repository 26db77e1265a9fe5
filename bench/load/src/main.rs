//! The load generator of the benchmark: small requests, where iperf3 measures only bulk.
//!
//! `load serve` is the far end of all others. The first byte of a TCP connection says what it is for:
//! [`ECHO`] is answered byte for byte, [`CLOSE`] gets one byte and is closed by the server (so that the
//! time-wait stays with the server and the client's ports don't run out), [`HOLD`] gets one byte and is kept.
//! UDP datagrams are sent back. Everything blocks: one flow at a time waits for its answer, as a real
//! request would.

mod client;
mod memory;
mod server;
mod start;

use std::process::ExitCode;

/// First byte of a connection whose bytes are all sent back.
const ECHO: u8 = b'e';
/// First byte of a connection that the server answers with one byte and closes.
const CLOSE: u8 = b'c';
/// First byte of a connection that the server answers with one byte and keeps open.
const HOLD: u8 = b'h';

const USAGE: &str = "usage: load serve ADDR:PORT
       load rr tcp|udp ADDR:PORT SECONDS       one byte to and fro; prints round trips per second
       load connect ADDR:PORT SECONDS WORKERS  connect, one byte, close; prints connections per second
       load hold ADDR:PORT COUNT               open COUNT flows, print `held COUNT`, keep them until stdin ends
       load among ADDR:PORT COUNT ACTIVE SECONDS
                                               open COUNT flows, one byte to and fro on ACTIVE of them, all at once;
                                               prints round trips per second
       load copy KIB SECONDS                   copy KIB in memory again and again; prints Gbit/s
       load time COUNT COMMAND...              run COMMAND COUNT times; prints the median in milliseconds";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve", address] => server::serve(address),
        ["rr", "tcp", address, seconds] => client::tcp_round_trips(address, seconds),
        ["rr", "udp", address, seconds] => client::udp_round_trips(address, seconds),
        ["connect", address, seconds, workers] => client::connections(address, seconds, workers),
        ["hold", address, count] => client::hold(address, count),
        ["among", address, count, active, seconds] => {
            client::round_trips_among(address, count, active, seconds)
        }
        ["copy", kib, seconds] => memory::copy(kib, seconds),
        ["time", count, command @ ..] if !command.is_empty() => start::time(count, command),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("load {}: {why}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

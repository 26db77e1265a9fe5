//! The near end: round trips, connections and held flows, each for a given time or count.

use crate::{CLOSE, ECHO, HOLD};
use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// How long a lost datagram holds up the round trips before the next one is sent.
const LOST: Duration = Duration::from_millis(200);

/// One byte there and one back over one connection, as often as `seconds` allow.
pub(crate) fn tcp_round_trips(address: &str, seconds: &str) -> Result<(), Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut byte = [ECHO];
    let rate = repeat(number(seconds)?, || {
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        Ok(1)
    })?;
    println!("{rate:.0}");
    Ok(())
}

/// One datagram of one byte there and one back, as often as `seconds` allow; a lost one isn't counted.
pub(crate) fn udp_round_trips(address: &str, seconds: &str) -> Result<(), Error> {
    let far: SocketAddr = address.parse().map_err(Error::other)?;
    let socket = UdpSocket::bind(if far.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(far)?;
    socket.set_read_timeout(Some(LOST))?;
    let mut byte = [ECHO];
    let rate = repeat(number(seconds)?, || {
        socket.send(&byte)?;
        Ok(u64::from(socket.recv(&mut byte).is_ok()))
    })?;
    println!("{rate:.0}");
    Ok(())
}

/// Connections opened, used for one byte each way and closed by the far end, by `workers` threads at once.
pub(crate) fn connections(address: &str, seconds: &str, workers: &str) -> Result<(), Error> {
    let (seconds, workers): (f64, usize) = (number(seconds)?, number(workers)?);
    let threads: Vec<_> = (0..workers)
        .map(|_| {
            let address = address.to_owned();
            std::thread::spawn(move || repeat(seconds, || connect_once(&address, CLOSE).map(|_| 1)))
        })
        .collect();
    let mut rate = 0.0;
    for thread in threads {
        rate += thread.join().map_err(|_| Error::other("a worker panicked"))??;
    }
    println!("{rate:.0}");
    Ok(())
}

/// Opens `count` flows, says so, and keeps them until standard input ends.
pub(crate) fn hold(address: &str, count: &str) -> Result<(), Error> {
    let count: usize = number(count)?;
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        held.push(connect_once(address, HOLD)?);
    }
    println!("held {count}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Opens `count` flows, and sends a byte to and fro on `active` of them, spread evenly: one on each, then the answers of all.
pub(crate) fn round_trips_among(
    address: &str,
    count: &str,
    active: &str,
    seconds: &str,
) -> Result<(), Error> {
    let (count, active): (usize, usize) = (number(count)?, number(active)?);
    if active == 0 || active > count {
        return Err(Error::other(format!("{active} of {count} flows can't be active")));
    }
    let spacing = count / active;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for index in 0..count {
        if index % spacing == 0 && busy.len() < active {
            let stream = connect_once(address, ECHO)?;
            stream.set_nodelay(true)?;
            busy.push(stream);
        } else {
            idle.push(connect_once(address, HOLD)?);
        }
    }
    let mut byte = [ECHO];
    let rate = repeat(number(seconds)?, || {
        for stream in &mut busy {
            stream.write_all(&byte)?;
        }
        for stream in &mut busy {
            stream.read_exact(&mut byte)?;
        }
        Ok(busy.len() as u64)
    })?;
    println!("{rate:.0}");
    Ok(())
}

fn connect_once(address: &str, purpose: u8) -> Result<TcpStream, Error> {
    let mut stream = TcpStream::connect(address)?;
    let mut byte = [purpose];
    stream.write_all(&byte)?;
    stream.read_exact(&mut byte)?;
    if purpose == CLOSE {
        // The far end closes first: wait for it, so that this end goes straight to closed.
        stream.read_to_end(&mut Vec::new())?;
    }
    Ok(stream)
}

/// How often a second `once` succeeds, where it says how many it did.
pub(crate) fn repeat(seconds: f64, mut once: impl FnMut() -> Result<u64, Error>) -> Result<f64, Error> {
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed().as_secs_f64() < seconds {
        done += once()?;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

pub(crate) fn number<T: std::str::FromStr>(word: &str) -> Result<T, Error> {
    word.parse().map_err(|_| Error::other(format!("\"{word}\" is not a number")))
}

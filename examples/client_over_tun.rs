//! A client over a TUN: fetches a page from a server of the kernel, through a TCP of our own. As root (or in `unshare -Urn`):
//!
//!     ip tuntap add wt0 mode tun && ip address add 10.9.0.1/24 dev wt0 && ip link set wt0 up
//!     python3 -m http.server 8000 --bind 10.9.0.1 &
//!     cargo run --release --example client_over_tun -- wt0 10.9.0.2/24 10.9.0.1:8000 /

use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::time::Instant as Clock;

use wharf_stack::interface::{FrameIn, FrameSink, OffloadOut};
use wharf_stack::socket::{Domain, Errno, Host, HostConfig, Kind, ReceiveFlags, SendFlags, User};
use wharf_stack::stack::{Config, Medium};
use wharf_sys::tun::Tun;
use wharf_table::{DropReason, HashKey, Instant};

/// The device as the stack's link.
struct Link(Tun);

impl FrameSink for Link {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        let packet = [head, &payload.concat()].concat();
        self.0.write(&[IoSlice::new(&packet)]).map_err(|_| DropReason::LinkFull)
    }
}

/// A key that nobody can guess.
fn key() -> std::io::Result<HashKey> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(HashKey::new(bytes))
}

/// Sends what is due, waits until there is more to do, and does that.
fn turn(host: &mut Host, link: &mut Link, start: Clock) -> Result<Instant, Box<dyn Error>> {
    let time = || Instant::from_micros(start.elapsed().as_micros() as u64);
    host.poll_frames(time(), link);
    link.0.wait(host.poll_timeout().map(|due| due.since(time())))?;
    let mut packet = [0; 65_536];
    while let Some(length) = link.0.read(&mut packet)? {
        host.handle_frames(time(), &[FrameIn::plain(&packet[..length])]);
    }
    host.handle_timeout(time());
    Ok(time())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, address, server, path] = &arguments[..] else {
        return Err("give DEVICE ADDRESS/PREFIX SERVER:PORT PATH".into());
    };
    let mut link = Link(Tun::open(device)?);
    let config = Config::host(Medium::Ip, vec![address.parse()?], key()?, key()?);
    let start = Clock::now();
    let mut host = Host::new(HostConfig::new(config), Instant::ZERO);
    let socket = host.socket(User::ordinary(1_000), Domain::V4, Kind::Stream)?;
    assert_eq!(host.connect(Instant::ZERO, socket, server.parse()?), Err(Errno::InProgress));
    let request = format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n");
    let mut now = turn(&mut host, &mut link, start)?;
    while host.send(now, socket, request.as_bytes(), SendFlags::default()) == Err(Errno::Again) {
        now = turn(&mut host, &mut link, start)?;
    }
    let mut buffer = [0; 65_536];
    loop {
        match host.receive(now, socket, &mut buffer, ReceiveFlags::default()) {
            Err(Errno::Again) => now = turn(&mut host, &mut link, start)?,
            Ok(received) if received.count == 0 => break,
            received => std::io::stdout().write_all(&buffer[..received?.count])?,
        }
    }
    host.close(now, socket)?;
    host.poll_frames(now, &mut link);
    Ok(())
}

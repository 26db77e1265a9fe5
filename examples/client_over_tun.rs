//! A client over a TUN: fetches a page from a server of the kernel, through a TCP of our own. As root (or in `unshare -Urn`):
//!
//!     ip tuntap add wt0 mode tun && ip address add 10.9.0.1/24 dev wt0 && ip link set wt0 up
//!     python3 -m http.server 8000 --bind 10.9.0.1 &
//!     cargo run --release --example client_over_tun -- wt0 10.9.0.2/24 10.9.0.1:8000 /

use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant as Clock};

use wharf_stack::interface::{FrameIn, FrameSink, OffloadOut};
use wharf_stack::socket::{Domain, Errno, Host, HostConfig, Kind, ReceiveFlags, SendFlags, User};
use wharf_stack::stack::{Config, Medium};
use wharf_sys::epoll::{Interest, Poller};
use wharf_table::{DropReason, HashKey, Instant};

/// The device: one packet a write.
struct Tun(File);

impl FrameSink for Tun {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        self.0.write_all(&[head, &payload.concat()].concat()).map_err(|_| DropReason::LinkFull)
    }
}

/// A key that nobody can guess.
fn key() -> std::io::Result<HashKey> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(HashKey::new(bytes))
}

/// Takes what has come, sends what is due, and waits until there is more to do.
fn turn(host: &mut Host, tun: &mut Tun, poller: &mut Poller, start: Clock) -> Result<Instant, Box<dyn Error>> {
    let time = || Instant::from_micros(start.elapsed().as_micros() as u64);
    host.poll_frames(time(), tun);
    let due = host.poll_timeout().map(|due| due.since(time()));
    poller.wait(Some(due.unwrap_or(Duration::MAX).min(Duration::from_secs(1))))?;
    let mut packet = [0; 65_536];
    while let Ok(length) = tun.0.read(&mut packet) {
        host.handle_frames(time(), &[FrameIn::plain(&packet[..length])]);
    }
    host.handle_timeout(time());
    host.poll_frames(time(), tun);
    Ok(time())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, address, server, path] = &arguments[..] else {
        return Err("give DEVICE ADDRESS/PREFIX SERVER:PORT PATH".into());
    };
    let mut tun = Tun(File::from(wharf_sys::tap::open_tun(&CString::new(device.as_str())?, 0)?));
    let mut poller = Poller::new(1)?;
    poller.add(&tun.0, 0, Interest::Read)?;
    let config = Config::host(Medium::Ip, vec![address.parse()?], key()?, key()?);
    let start = Clock::now();
    let mut host = Host::new(HostConfig::new(config), Instant::ZERO);
    let socket = host.socket(User::ordinary(1_000), Domain::V4, Kind::Stream)?;
    assert_eq!(host.connect(Instant::ZERO, socket, server.parse()?), Err(Errno::InProgress));
    let mut request = Some(format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n"));
    let mut buffer = [0; 65_536];
    loop {
        let now = turn(&mut host, &mut tun, &mut poller, start)?;
        if let Some(text) = &request {
            match host.send(now, socket, text.as_bytes(), SendFlags::default()) {
                Err(Errno::Again) => continue,
                sent => assert_eq!(sent?, text.len(), "a new connection has room for a request"),
            }
            request = None;
        }
        match host.receive(now, socket, &mut buffer, ReceiveFlags::default()) {
            Err(Errno::Again) => {}
            Ok(received) if received.count == 0 => break,
            received => std::io::stdout().write_all(&buffer[..received?.count])?,
        }
    }
    let now = turn(&mut host, &mut tun, &mut poller, start)?;
    host.close(now, socket)?;
    turn(&mut host, &mut tun, &mut poller, start)?;
    Ok(())
}

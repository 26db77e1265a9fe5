//! A port scanner's target over a TUN: open, closed and filtered ports of a host of our own. As root (or in `unshare -Urn`):
//!
//!     ip tuntap add wt0 mode tun && ip address add 10.9.0.1/24 dev wt0 && ip link set wt0 up
//!     cargo run --release --example scan_target -- wt0 10.9.0.2/24 &
//!     nmap -Pn -n -sS -p 1-1100 10.9.0.2
//!
//! Ports 22, 80 and 443 are open and greet, 1000 to 1099 are filtered (nothing answers), all others are closed (RST).

use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, Read};
use std::time::Instant as Clock;

use wharf_stack::interface::{FrameIn, FrameSink, OffloadOut};
use wharf_stack::socket::{Domain, Host, HostConfig, Kind, SendFlags, SocketId, User};
use wharf_stack::stack::{Config, Medium};
use wharf_sys::tun::Tun;
use wharf_table::{Addr, DropReason, Endpoint, HashKey, Instant};
use wharf_wire::{ipv4::Ipv4Repr, protocol, tcp::TcpRepr};

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

/// The filter: a segment to one of its ports never reaches the host.
fn is_filtered(packet: &[u8]) -> bool {
    let Ok((ip, _, payload)) = Ipv4Repr::parse(packet) else { return false };
    let segment = (ip.protocol == protocol::TCP).then(|| TcpRepr::parse(payload).ok()).flatten();
    segment.is_some_and(|(segment, _)| (1_000..1_100).contains(&segment.dst_port))
}

fn listen(host: &mut Host, port: u16) -> Result<SocketId, Box<dyn Error>> {
    let listener = host.socket(User::ROOT, Domain::V4, Kind::Stream)?;
    host.bind(listener, Endpoint::new(Addr::ANY_V4, port))?;
    host.listen(Instant::ZERO, listener, 128)?;
    Ok(listener)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, address] = &arguments[..] else { return Err("give DEVICE ADDRESS/PREFIX".into()) };
    let mut link = Link(Tun::open(device)?);
    let config = Config::host(Medium::Ip, vec![address.parse()?], key()?, key()?);
    let mut host = Host::new(HostConfig::new(config), Instant::ZERO);
    let listeners = [22, 80, 443].map(|port| listen(&mut host, port));
    let (start, mut packet) = (Clock::now(), [0; 65_536]);
    loop {
        let now = Instant::from_micros(start.elapsed().as_micros() as u64);
        while let Some(length) = link.0.read(&mut packet)? {
            if !is_filtered(&packet[..length]) {
                host.handle_frames(now, &[FrameIn::plain(&packet[..length])]);
            }
        }
        host.handle_timeout(now);
        for &listener in listeners.iter().flatten() {
            while let Ok((socket, peer)) = host.accept(now, listener) {
                println!("{peer} -> {}", host.local(socket)?);
                // A peer that is gone already hears nothing.
                let _ = host.send(now, socket, b"220 wharf\r\n", SendFlags::default());
                host.close(now, socket)?;
            }
        }
        host.poll_frames(now, &mut link);
        link.0.wait(host.poll_timeout().map(|due| due.since(now)))?;
    }
}

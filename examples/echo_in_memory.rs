//! An echo server and its client, two hosts in one process: no device, no thread, no clock.
//!
//!     cargo run --release --example echo_in_memory
//!
//! Frames that leave one host are handed to the other; time is a number that this program chooses.

use std::error::Error;

use wharf_stack::interface::{FrameIn, FrameSink, OffloadOut};
use wharf_stack::socket::{Domain, Errno, Host, HostConfig, How, Kind, ReceiveFlags, SendFlags, User};
use wharf_stack::stack::{Config, Medium};
use wharf_table::{Addr, DropReason, Endpoint, HashKey, Instant};

/// Packets on their way to the other host.
#[derive(Default)]
struct Wire(Vec<Vec<u8>>);

impl FrameSink for Wire {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        self.0.push([head, &payload.concat()].concat());
        Ok(())
    }
}

/// A host on a link of bare IP packets. Real keys come from a random source; this story is the same each time.
fn host(address: &str, now: Instant) -> Result<Host, Box<dyn Error>> {
    let keys = [1, 2].map(|byte| HashKey::new([byte; 16]));
    let config = Config::host(Medium::Ip, vec![address.parse()?], keys[0], keys[1]);
    Ok(Host::new(HostConfig::new(config), now))
}

/// Carries packets to and fro until both hosts are silent.
fn carry(now: Instant, a: &mut Host, b: &mut Host) {
    let mut wire = Wire::default();
    while {
        a.poll_frames(now, &mut wire);
        wire.0.drain(..).for_each(|packet| b.handle_frames(now, &[FrameIn::plain(&packet)]));
        b.poll_frames(now, &mut wire);
        wire.0.drain(..).for_each(|packet| a.handle_frames(now, &[FrameIn::plain(&packet)]));
        a.has_frames() || b.has_frames()
    } {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let now = Instant::from_millis(1);
    let (mut client, mut server) = (host("10.0.0.1/24", now)?, host("10.0.0.2/24", now)?);
    let listener = server.socket(User::ROOT, Domain::V4, Kind::Stream)?;
    server.bind(listener, Endpoint::new(Addr::ANY_V4, 7))?;
    server.listen(now, listener, 16)?;

    let socket = client.socket(User::ordinary(1_000), Domain::V4, Kind::Stream)?;
    let started = client.connect(now, socket, "10.0.0.2:7".parse()?);
    assert_eq!(started, Err(Errno::InProgress), "the SYN has not left yet");
    carry(now, &mut client, &mut server);
    let (served, peer) = server.accept(now, listener)?;
    println!("{peer} has connected");

    let mut buffer = [0; 1_024];
    for line in ["What is a port?", "A claim: (protocol, address, port) -> owner."] {
        client.send(now, socket, line.as_bytes(), SendFlags::default())?;
        carry(now, &mut client, &mut server);
        let heard = server.receive(now, served, &mut buffer, ReceiveFlags::default())?.count;
        server.send(now, served, &buffer[..heard], SendFlags::default())?;
        carry(now, &mut client, &mut server);
        let echo = client.receive(now, socket, &mut buffer, ReceiveFlags::default())?.count;
        println!("echo: {}", String::from_utf8_lossy(&buffer[..echo]));
        assert_eq!(&buffer[..echo], line.as_bytes());
    }
    client.shutdown(now, socket, How::Write)?;
    carry(now, &mut client, &mut server);
    assert_eq!(
        server.receive(now, served, &mut buffer, ReceiveFlags::default())?.count,
        0,
        "the end of input"
    );
    println!("{peer} has finished");
    Ok(())
}

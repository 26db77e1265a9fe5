//! Two hosts and a wire between them, in memory and in virtual time.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test file uses its part.

use std::time::Duration;

use wharf_stack::interface::{Capabilities, FrameIn, FrameSink, OffloadOut};
use wharf_stack::socket::{Domain, Host, HostConfig, Kind, OptionName, OptionValue, ReceiveFlags};
use wharf_stack::socket::{Errno, Received, SendFlags, SocketId, User};
use wharf_stack::stack::{Config, HostRole, Medium, Role};
use wharf_stack::tcp::Settings;
use wharf_table::hash::HashKey;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Endpoint, Instant, PortRange};

/// The address of the first host, over IPv4.
pub const A: Addr = Addr::v4([10, 0, 0, 1]);
/// That of the second.
pub const B: Addr = Addr::v4([10, 0, 0, 2]);
/// The address of the first host, over IPv6.
pub const A6: Addr = Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// That of the second.
pub const B6: Addr = Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
pub const LOOPBACK: Addr = Addr::v4([127, 0, 0, 1]);

/// A host's configuration: its two addresses, and the medium.
pub fn config(index: u8, medium: Medium) -> HostConfig {
    let (v4, v6) = if index == 1 { (A, A6) } else { (B, B6) };
    let role = HostRole {
        addresses: vec![Cidr::new(v4, 24).unwrap(), Cidr::new(v6, 64).unwrap()],
        gateway_v4: None,
        gateway_v6: None,
    };
    HostConfig::new(Config {
        role: Role::Host(role),
        medium,
        hardware_address: [2, 0, 0, 0, 0, index],
        mtu: 1_500,
        capabilities: Capabilities::default(),
        tcp: Settings::default(),
        buffer_limit: 64 << 20,
        max_connections: 10_000,
        ephemeral_ports: PortRange::DYNAMIC,
        table_key: HashKey::new([index; 16]),
        isn_key: HashKey::new([index + 100; 16]),
    })
}

/// What leaves a host.
#[derive(Default)]
pub struct Frames(pub Vec<Vec<u8>>);

impl FrameSink for Frames {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        let mut frame = head.to_vec();
        payload.iter().for_each(|slice| frame.extend_from_slice(slice));
        self.0.push(frame);
        Ok(())
    }
}

/// Two hosts on a wire that delivers at once.
pub struct Pair {
    pub now: Instant,
    pub a: Host,
    pub b: Host,
    /// Frames pass.
    pub cut: bool,
    /// What has passed, from a and from b.
    pub passed: (Vec<Vec<u8>>, Vec<Vec<u8>>),
}

impl Pair {
    pub fn new(medium: Medium) -> Pair {
        Pair::of(config(1, medium), config(2, medium))
    }

    pub fn of(a: HostConfig, b: HostConfig) -> Pair {
        let now = Instant::from_millis(1_000);
        Pair { now, a: Host::new(a, now), b: Host::new(b, now), cut: false, passed: Default::default() }
    }

    /// Lets frames pass until there are none.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let (mut from_a, mut from_b) = (Frames::default(), Frames::default());
            self.a.poll_frames(self.now, &mut from_a);
            self.b.poll_frames(self.now, &mut from_b);
            if from_a.0.is_empty() && from_b.0.is_empty() {
                return;
            }
            if !self.cut {
                let frames: Vec<_> = from_a.0.iter().map(|frame| FrameIn::plain(frame)).collect();
                self.b.handle_frames(self.now, &frames);
                let frames: Vec<_> = from_b.0.iter().map(|frame| FrameIn::plain(frame)).collect();
                self.a.handle_frames(self.now, &frames);
            }
            self.passed.0.extend(from_a.0);
            self.passed.1.extend(from_b.0);
        }
        panic!("the hosts never stop talking");
    }

    /// Lets time pass, and what is due happen.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        loop {
            let due = [self.a.poll_timeout(), self.b.poll_timeout()].into_iter().flatten().min();
            let Some(due) = due.filter(|&due| due <= end) else { break };
            self.now = due.max(self.now);
            self.a.handle_timeout(self.now);
            self.b.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// A listener of `b` at this port.
    pub fn listener(&mut self, port: u16, backlog: i32) -> SocketId {
        let id = self.b.socket(User::ROOT, Domain::V4, Kind::Stream).unwrap();
        self.b.bind(id, Endpoint { addr: Addr::ANY_V4, port }).unwrap();
        self.b.listen(self.now, id, backlog).unwrap();
        id
    }

    /// A connection from `a` to a listener of `b`.
    pub fn connected(&mut self, listener: SocketId) -> (SocketId, SocketId) {
        let port = self.b.local(listener).unwrap().port;
        let client = self.a.socket(User::ROOT, Domain::V4, Kind::Stream).unwrap();
        assert_eq!(self.a.connect(self.now, client, Endpoint { addr: B, port }), Err(Errno::InProgress));
        self.settle();
        assert_eq!(self.a.connect(self.now, client, Endpoint { addr: B, port }), Ok(()));
        let (server, _) = self.b.accept(self.now, listener).unwrap();
        (client, server)
    }
}

/// Reads up to 64 KiB.
pub fn read(host: &mut Host, now: Instant, id: SocketId) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 65_536];
    let Received { count, .. } = host.receive(now, id, &mut buffer, ReceiveFlags::default())?;
    buffer.truncate(count);
    Ok(buffer)
}

/// Sends all of it.
pub fn write(host: &mut Host, now: Instant, id: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
    host.send(now, id, bytes, SendFlags::default())
}

/// SO_ERROR.
pub fn error(host: &mut Host, id: SocketId) -> Option<Errno> {
    match host.option(id, OptionName::Error) {
        Ok(OptionValue::Error(error)) => error,
        other => panic!("SO_ERROR is {other:?}"),
    }
}

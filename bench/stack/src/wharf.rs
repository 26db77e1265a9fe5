//! wharf-stack as a [`Host`].

use std::collections::VecDeque;
use std::time::Duration;

use arrayvec::ArrayVec;
use wharf_stack::interface::{Capabilities, ChecksumIn, FrameIn, FrameSink, OffloadOut};
use wharf_stack::stack::{Config, ConnId, DatagramIn, Event, Medium, Stack};
use wharf_stack::tcp::{CongestionKind, Settings, State};
use wharf_table::hash::HashKey;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Endpoint, Instant, Port};

use crate::host::{Congestion, Host, MTU, Offload, Setup, Side};
use crate::wire::{Link, RING};

/// A stack and the connections that its listeners have announced.
pub struct Wharf {
    stack: Stack,
    side: Side,
    accepted: VecDeque<ConnId>,
}

fn endpoint(side: Side, port: u16) -> Endpoint {
    Endpoint::new(Addr::v4(side.address()), port)
}

fn config(setup: &Setup, side: Side) -> Config {
    let address = Cidr::new(Addr::v4(side.address()), 24).expect("24 bits are a prefix of IPv4");
    let offload = setup.offload == Offload::Segments;
    let buffer = u32::try_from(setup.buffer).expect("a buffer is below 4 GiB");
    let [table_key, isn_key] = [0, 100].map(|purpose| HashKey::new([side.address()[3] + purpose; 16]));
    Config {
        hardware_address: side.hardware(),
        mtu: MTU as u16,
        capabilities: Capabilities { checksum: offload, tso: offload, uso: offload },
        tcp: Settings {
            send_buffer: buffer,
            receive_buffer: buffer,
            nagle: setup.nagle,
            congestion: match setup.congestion {
                Congestion::Cubic => CongestionKind::Cubic,
                Congestion::Reno => CongestionKind::NewReno,
            },
            time_wait: Duration::from_secs(60),
            ..Settings::default()
        },
        buffer_limit: 256 << 20,
        max_connections: setup.connections,
        ..Config::host(Medium::Ethernet, vec![address], table_key, isn_key)
    }
}

impl Host for Wharf {
    type Conn = ConnId;
    const LISTENS_ONCE: bool = true;

    fn new(setup: &Setup, side: Side, now: Instant) -> Wharf {
        Wharf { stack: Stack::new(config(setup, side), now), side, accepted: VecDeque::new() }
    }

    fn listen(&mut self, port: u16, _count: usize) {
        let listening = Port::new(port).expect("a listener has a port");
        self.stack.listen(None, listening, u32::from(port)).expect("the port is free");
    }

    fn connect(&mut self, now: Instant, source: u16, port: u16) -> ConnId {
        let (source, target) = (endpoint(self.side, source), endpoint(self.side.other(), port));
        self.stack.connect(now, source, target).expect("the tuple is free")
    }

    fn accepted(&mut self) -> Option<ConnId> {
        self.accepted.pop_front()
    }

    fn is_established(&self, conn: ConnId) -> bool {
        self.stack.state(conn) == State::Established
    }

    fn has_ended(&self, conn: ConnId) -> bool {
        let conn = self.stack.connection(conn);
        conn.peer_has_finished() && conn.received_len() == 0
    }

    fn send(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> usize {
        self.stack.send(now, conn, bytes)
    }

    fn receive(&mut self, now: Instant, conn: ConnId, into: &mut [u8]) -> usize {
        let mut count = 0;
        let (slices, _) = self.stack.received(conn);
        for slice in slices {
            let part = slice.len().min(into.len() - count);
            into[count..count + part].copy_from_slice(&slice[..part]);
            count += part;
        }
        if count > 0 {
            self.stack.consume(now, conn, count);
        }
        count
    }

    fn close(&mut self, now: Instant, conn: ConnId) {
        self.stack.release(now, conn);
    }

    fn count(&self) -> usize {
        self.stack.connection_count()
    }

    fn step(&mut self, now: Instant, link: &mut Link) {
        while !link.inbox.is_empty() {
            let count = link.inbox.len().min(RING);
            let mut batch = ArrayVec::<FrameIn<'_>, RING>::new();
            for frame in link.inbox.iter().take(count) {
                batch.push(FrameIn {
                    bytes: frame.bytes(),
                    checksum: if frame.checksum_left { ChecksumIn::Trusted } else { ChecksumIn::Unverified },
                    gso_size: frame.gso_size,
                });
            }
            self.stack.handle_frames(now, &batch, &mut |_: DatagramIn<'_>| {});
            drop(batch);
            link.inbox.drain(..count).for_each(|frame| link.pool.give(frame));
        }
        if self.stack.poll_timeout().is_some_and(|due| due <= now) {
            self.stack.handle_timeout(now);
        }
        while let Some(event) = self.stack.poll_event() {
            if let Event::Connected(conn) = event
                && self.stack.listener_of(conn).is_some()
            {
                self.accepted.push_back(conn);
            }
        }
        self.stack.poll_frames(now, &mut Sink(link));
    }

    fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.stack.has_frames() { Some(now) } else { self.stack.poll_timeout() }
    }
}

struct Sink<'a>(&'a mut Link);

impl FrameSink for Sink<'_> {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], offload: OffloadOut) -> Result<(), DropReason> {
        let len = head.len() + payload.iter().map(|slice| slice.len()).sum::<usize>();
        let mut frame = self.0.pool.take(len);
        let (front, mut rest) = frame.bytes_mut().split_at_mut(head.len());
        front.copy_from_slice(head);
        for slice in payload {
            let (part, behind) = rest.split_at_mut(slice.len());
            part.copy_from_slice(slice);
            rest = behind;
        }
        frame.checksum_left = offload.checksum.is_some();
        frame.gso_size = offload.gso.map_or(0, |(_, size)| size);
        self.0.outbox.push_back(frame);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.0.has_room()
    }
}

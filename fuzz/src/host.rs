//! Whatever segments, errors and calls come to a host, with whatever numbers, it neither panics nor grows nor spins; what
//! a program has seen never changes; and when all is closed and has had its time, nothing is left.
//!
//! The input is a list of operations of eight bytes: what, whose, and six that choose with what. Numbers of segments are given
//! from those that the host has sent last, because those that are nearly right go furthest.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_stack::interface::{ChecksumIn, FrameIn, FrameSink, OffloadOut};
use wharf_stack::socket::{
    Domain, Host, HostConfig, How, Kind, OptionName, OptionValue, ReceiveFlags, SendFlags, SocketId, User,
};
use wharf_stack::stack::{Config, Medium};
use wharf_table::hash::HashKey;
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, Endpoint, Instant};
use wharf_wire::icmpv4::Icmpv4Repr;
use wharf_wire::icmpv6::Icmpv6Repr;
use wharf_wire::ipv4::Ipv4Repr;
use wharf_wire::ipv6::Ipv6Repr;

const OWN: [Addr; 2] =
    [Addr::v4([10, 0, 2, 1]), Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])];
const PEER: [Addr; 2] =
    [Addr::v4([10, 0, 2, 2]), Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])];
const URG: u8 = 32;
const BUFFERS_MAX: usize = 1 << 20;
const CONNECTIONS_MAX: usize = 24;
const BACKLOG: i32 = 3;
const SOCKETS_MAX: usize = 24;
const OPERATIONS_MAX: usize = 400;
/// As much of what waits to be read as is looked at after each operation.
const SEEN_MAX: usize = 2_048;
/// Far more than any instant has to do.
const TURNS_MAX: usize = 20_000;

/// A peer's port and family.
type Whose = (u16, usize);

/// The numbers of the last segment that the host has sent somebody, and the port from which.
#[derive(Clone, Copy, Default)]
struct Numbers {
    own_port: u16,
    /// Behind its last byte.
    snd_nxt: u32,
    /// What it acknowledged.
    rcv_nxt: u32,
    timestamp: u32,
}

/// What leaves the host: only the numbers are of interest.
#[derive(Default)]
struct Seen {
    numbers: BTreeMap<Whose, Numbers>,
    last: Vec<u8>,
    frames: usize,
}

impl FrameSink for Seen {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        self.frames += 1;
        let mut packet = head.to_vec();
        payload.iter().for_each(|slice| packet.extend_from_slice(slice));
        assert!(packet.len() <= 1_500, "{} bytes leave", packet.len());
        let (family, at) = if packet[0] >> 4 == 4 { (0, 20) } else { (1, 40) };
        let protocol = if family == 0 { packet[9] } else { packet[6] };
        if protocol == 6 {
            let tcp = &packet[at..];
            let word = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
            let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
            let data_at = usize::from(tcp[12] >> 4) * 4;
            let len =
                (tcp.len() - data_at) as u32 + u32::from(tcp[13] & 2 != 0) + u32::from(tcp[13] & 1 != 0);
            let stamp = tcp[20..data_at].windows(6).find(|option| option[..2] == [8, 10]);
            let timestamp =
                stamp.map_or(0, |option| u32::from_be_bytes([option[2], option[3], option[4], option[5]]));
            let numbers = Numbers {
                own_port: port(0),
                snd_nxt: word(4).wrapping_add(len),
                rcv_nxt: word(8),
                timestamp,
            };
            self.numbers.insert((port(2), family), numbers);
            self.last = packet;
        }
        Ok(())
    }
}

struct World {
    host: Host,
    now: Instant,
    seen: Seen,
    sockets: Vec<SocketId>,
    /// What each socket's program could read when it was last looked at.
    readable: BTreeMap<SocketId, Vec<u8>>,
}

fn config(how: u8) -> HostConfig {
    let own = |addr, len| Cidr::new(addr, len).expect("a prefix fits");
    let addresses = vec![own(OWN[0], 24), own(OWN[1], 64)];
    let mut config = Config::host(Medium::Ip, addresses, HashKey::new([1; 16]), HashKey::new([2; 16]));
    config.buffer_limit = BUFFERS_MAX;
    config.max_connections = CONNECTIONS_MAX;
    config.tcp.timestamps = how & 1 == 0;
    config.tcp.sack = how & 2 == 0;
    config.tcp.window_scale = how & 4 == 0;
    HostConfig { max_sockets: SOCKETS_MAX, ..HostConfig::new(config) }
}

impl World {
    fn new(how: u8) -> World {
        let now = Instant::from_millis(1_000_000);
        let mut host = Host::new(config(how), now);
        let mut sockets = Vec::new();
        for (domain, any) in [(Domain::V4, Addr::ANY_V4), (Domain::V6, Addr::ANY_V6)] {
            let listener = host.socket(User::ROOT, domain, Kind::Stream).expect("there is room");
            if domain == Domain::V6 {
                host.set_option(now, listener, OptionName::V6Only, &OptionValue::Number(1))
                    .expect("it is new");
            }
            host.bind(listener, Endpoint { addr: any, port: 80 }).expect("nobody has it");
            host.listen(now, listener, BACKLOG).expect("it is bound");
            sockets.push(listener);
        }
        let datagrams = host.socket(User::ROOT, Domain::V4, Kind::Datagram).expect("there is room");
        host.bind(datagrams, Endpoint { addr: Addr::ANY_V4, port: 53 }).expect("nobody has it");
        sockets.push(datagrams);
        World { host, now, seen: Seen::default(), sockets, readable: BTreeMap::new() }
    }

    fn socket(&self, number: u8) -> SocketId {
        self.sockets[usize::from(number) % self.sockets.len()]
    }

    fn take(&mut self, packet: &[u8], gso_size: u16) {
        let frame = FrameIn { bytes: packet, checksum: ChecksumIn::Trusted, gso_size };
        self.host.handle_frames(self.now, &[frame]);
    }

    /// A segment with numbers near those of the host.
    fn segment(&mut self, whose: u8, how: [u8; 6]) {
        let [flags, seq, ack, window, len, options] = how;
        let (port, family) = (5_000 + u16::from(whose >> 1 & 3), usize::from(whose & 1));
        let numbers = self
            .seen
            .numbers
            .get(&(port, family))
            .copied()
            .unwrap_or(Numbers { own_port: 80, ..Numbers::default() });
        // A SYN to the listener, whatever this peer had last.
        let own_port = if whose & 0x80 == 0 { numbers.own_port } else { 80 };
        let mut tcp = Vec::new();
        tcp.extend_from_slice(&port.to_be_bytes());
        tcp.extend_from_slice(&own_port.to_be_bytes());
        tcp.extend_from_slice(&numbers.rcv_nxt.wrapping_add(near(seq)).to_be_bytes());
        tcp.extend_from_slice(&numbers.snd_nxt.wrapping_add(near(ack)).to_be_bytes());
        tcp.extend_from_slice(&[0, flags]);
        tcp.extend_from_slice(&(u16::from(window) << (window >> 5)).to_be_bytes());
        tcp.extend_from_slice(&[0, 0, 0, window & 3]);
        let mut listed = self.options(options, &numbers);
        listed.resize(listed.len().next_multiple_of(4).min(40), 1);
        tcp[12] = (5 + listed.len() as u8 / 4) << 4;
        tcp.extend_from_slice(&listed);
        // Its bytes differ from those of any other segment, so that what was overwritten would show.
        let data_len = if len & 0x80 == 0 { usize::from(len & 15) } else { usize::from(len & 0x7f) * 300 };
        tcp.extend((0..data_len).map(|at| (at as u8) ^ seq.rotate_left(3) ^ options));
        if flags & URG != 0 {
            // The urgent byte stands outside the stream, and another may become it: then the stream has changed.
            self.readable.clear();
        }
        let packet = packet(family, 6, &tcp);
        self.take(&packet, if len > 0xf0 { 1_400 } else { 0 });
    }

    fn options(&self, kind: u8, numbers: &Numbers) -> Vec<u8> {
        let stamps = |value: u32| {
            let mut option = vec![1, 1, 8, 10];
            option.extend_from_slice(&value.to_be_bytes());
            option.extend_from_slice(&numbers.timestamp.to_be_bytes());
            option
        };
        let now = (self.now.millis() as u32).wrapping_add(near(kind >> 3));
        match kind & 7 {
            0 => vec![2, 4, 5, 0xb4, 4, 2, 3, 3, kind >> 4],
            1 => [&[2, 4, 2, 0x18, 4, 2][..], &stamps(now), &[3, 3, 7]].concat(),
            2 | 3 => stamps(now),
            4 => {
                let left = numbers.snd_nxt.wrapping_add(near(kind));
                let right = left.wrapping_add(near(kind.rotate_left(4)));
                [&[1, 1, 5, 10][..], &left.to_be_bytes(), &right.to_be_bytes()].concat()
            }
            5 => vec![kind, kind >> 4, kind, 3],
            _ => Vec::new(),
        }
    }

    /// An ICMP error that quotes the last segment that has left, or nearly.
    fn error(&mut self, how: [u8; 6]) {
        let [kind, code, high, low, change, value] = how;
        let mut quote = self.seen.last.clone();
        quote.truncate(64);
        let Some(&first) = quote.first() else { return };
        if let Some(byte) = quote.get_mut(usize::from(change)) {
            *byte ^= value;
        }
        let mtu = u16::from_be_bytes([high, low]);
        let packet = if first >> 4 == 4 {
            let message = match kind % 4 {
                0 => Icmpv4Repr::FragmentationNeeded { mtu, quote: &quote },
                1 => Icmpv4Repr::TimeExceeded { code, quote: &quote },
                2 => Icmpv4Repr::ParameterProblem { code, pointer: low, quote: &quote },
                _ => Icmpv4Repr::DestinationUnreachable { code, quote: &quote },
            };
            let mut bytes = vec![0; message.len()];
            message.emit(&mut bytes);
            packet(0, 1, &bytes)
        } else {
            let message = match kind % 4 {
                0 => Icmpv6Repr::PacketTooBig { mtu: u32::from(mtu), quote: &quote },
                1 => Icmpv6Repr::TimeExceeded { code, quote: &quote },
                2 => Icmpv6Repr::ParameterProblem { code, pointer: u32::from(low), quote: &quote },
                _ => Icmpv6Repr::DestinationUnreachable { code, quote: &quote },
            };
            let mut bytes = vec![0; message.len()];
            message.emit(PEER[1], OWN[1], &mut bytes);
            packet(1, 58, &bytes)
        };
        self.take(&packet, 0);
    }

    /// A program calls.
    fn call(&mut self, whose: u8, how: [u8; 6]) {
        let [which, a, b, ..] = how;
        let (id, now) = (self.socket(whose), self.now);
        match which % 12 {
            0 | 1 => {
                if let Ok((child, _)) = self.host.accept(now, id) {
                    self.sockets.push(child);
                }
            }
            2 => {
                let family = usize::from(a & 1);
                let domain = [Domain::V4, Domain::V6][family];
                let kind = if a & 2 == 0 { Kind::Stream } else { Kind::Datagram };
                if let Ok(id) = self.host.socket(User::ROOT, domain, kind) {
                    self.sockets.push(id);
                    let port = 5_000 + u16::from(b & 3);
                    let _ = self.host.connect(now, id, Endpoint { addr: PEER[family], port });
                }
            }
            3 | 4 => {
                let data = vec![a; usize::from(b) << (a % 8)];
                let flags = SendFlags {
                    out_of_band: a & 0x40 != 0,
                    more: a & 0x20 != 0,
                    end_of_record: a & 0x10 != 0,
                    fast_open: false,
                };
                let _ = self.host.send(now, id, &data, flags);
            }
            5 | 6 => self.read(id, usize::from(a) << (b % 8), b & 0x80 != 0),
            7 => {
                let how = [How::Read, How::Write, How::Both][usize::from(a) % 3];
                let _ = self.host.shutdown(now, id, how);
            }
            8 => {
                let linger = OptionValue::Linger((a & 1 == 0).then_some(0));
                let _ = self.host.set_option(now, id, OptionName::Linger, &linger);
            }
            9 => {
                let name = OptionName::ALL[usize::from(a) % OptionName::ALL.len()];
                let _ = self.host.set_option(now, id, name, &OptionValue::Number(i32::from(b)));
                if name == OptionName::OobInline {
                    // The urgent byte belongs to the stream now, or no longer.
                    self.readable.remove(&id);
                }
                let _ = (self.host.option(id, name), self.host.info(now, id), self.host.unsent(now, id));
            }
            10 if self.sockets.len() > 3 && usize::from(whose) % self.sockets.len() >= 3 => {
                self.sockets.retain(|&other| other != id);
                self.readable.remove(&id);
                assert!(self.host.close(now, id).is_ok());
            }
            _ => {
                let _ = self.host.disconnect(now, id);
                self.readable.remove(&id);
            }
        }
    }

    /// Reads, and compares with what was there to be read.
    fn read(&mut self, id: SocketId, most: usize, urgent: bool) {
        let mut buffer = vec![0; most.min(1 << 14)];
        let flags = ReceiveFlags { out_of_band: urgent, ..ReceiveFlags::default() };
        let Ok(received) = self.host.receive(self.now, id, &mut buffer, flags) else { return };
        assert!(received.count <= buffer.len());
        let Some(readable) = self.readable.get_mut(&id).filter(|_| !urgent) else { return };
        let both = received.count.min(readable.len());
        assert_eq!(buffer[..both], readable[..both], "what was read is not what was there");
        readable.drain(..both);
    }

    /// What could be read can still be, and is the same.
    fn nothing_has_changed(&mut self) {
        let flags = ReceiveFlags { peek: true, ..ReceiveFlags::default() };
        for &id in &self.sockets {
            let mut buffer = vec![0; SEEN_MAX];
            let stream = self.host.option(id, OptionName::Type) == Ok(OptionValue::Number(1));
            match self.host.receive(self.now, id, &mut buffer, flags) {
                Ok(received) if stream && received.count > 0 => {
                    buffer.truncate(received.count);
                    if let Some(before) = self.readable.get(&id) {
                        assert!(buffer.starts_with(before), "what could be read has changed");
                    }
                    self.readable.insert(id, buffer);
                }
                _ => {
                    self.readable.remove(&id);
                }
            }
        }
    }

    /// Sends what there is to be sent, and lets programs hear what there is to hear.
    fn settle(&mut self) {
        for turn in 0.. {
            let before = self.seen.frames;
            self.host.poll_frames(self.now, &mut self.seen);
            if self.seen.frames == before {
                break;
            }
            assert!(turn < TURNS_MAX, "it never stops sending");
        }
        for turn in 0.. {
            let Some(id) = self.host.poll_ready() else { break };
            let _ = self.host.readiness(id);
            assert!(turn < TURNS_MAX, "something is always ready");
        }
        let stack = self.host.stack();
        assert!(stack.buffered_bytes() <= BUFFERS_MAX, "{} bytes", stack.buffered_bytes());
        assert!(stack.connection_count() <= CONNECTIONS_MAX);
        assert!(stack.table().waiting_count() <= OPERATIONS_MAX as u32);
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        for turn in 0.. {
            let Some(at) = self.host.poll_timeout().filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.host.handle_timeout(self.now);
            self.settle();
            assert!(turn < TURNS_MAX, "a time-out that is always due");
        }
        self.now = end;
    }

    /// All programs end, and all that is owed them is paid.
    fn end(mut self) {
        for id in std::mem::take(&mut self.sockets) {
            let _ = self.host.close(self.now, id);
            self.settle();
        }
        assert_eq!(self.host.socket_count(), 0);
        // Longer than fifteen retransmissions, any keepalive and TIME-WAIT.
        for _ in 0..48 {
            self.pass(Duration::from_secs(600));
        }
        let stack = self.host.stack();
        let table = stack.table();
        let left = [table.flow_count(), table.request_count(), table.waiting_count(), table.binding_count()];
        assert_eq!((left, stack.connection_count()), ([0; 4], 0), "something is left");
        assert_eq!(stack.buffered_bytes(), 0);
    }
}

/// A number near 0: most often it or one beside it.
fn near(choice: u8) -> u32 {
    let span = u32::from(choice >> 3);
    match choice & 7 {
        0..=2 => 0,
        3 => span,
        4 => span.wrapping_neg(),
        5 => span << 11,
        6 => (span << 11).wrapping_neg(),
        _ => span << 27,
    }
}

/// A packet of the peer.
fn packet(family: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = if family == 0 {
        let header = Ipv4Repr {
            src: PEER[0],
            dst: OWN[0],
            protocol,
            hop_limit: 64,
            dscp_ecn: 0,
            identification: 7,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: payload.len(),
        };
        let mut bytes = vec![0; header.header_len()];
        header.emit(&mut bytes);
        bytes
    } else {
        let header = Ipv6Repr {
            src: PEER[1],
            dst: OWN[1],
            next_header: protocol,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            payload_len: payload.len(),
        };
        let mut bytes = vec![0; header.header_len()];
        header.emit(&mut bytes);
        bytes
    };
    packet.extend_from_slice(payload);
    packet
}

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Some((&how, operations)) = bytes.split_first() else { return };
    let mut world = World::new(how);
    for operation in operations.chunks_exact(8).take(OPERATIONS_MAX) {
        let &[what, whose, a, b, c, d, e, f] = operation else { break };
        let how = [a, b, c, d, e, f];
        match what % 8 {
            0..=3 => world.segment(whose, how),
            4 | 5 => world.call(whose, how),
            6 => world.pass(Duration::from_micros(u64::from(whose) << (a % 24))),
            _ => world.error(how),
        }
        world.settle();
        world.nothing_has_changed();
    }
    world.end();
}

//! Many TCP clients that are none of ours: packets made and read by hand, byte by byte, with as little state as it takes to
//! hold up an end of a connection. For tests and measurements of a listener by somebody who does not share its mistakes.

#![allow(dead_code, unreachable_pub, reason = "each user takes what it needs")]

use wharf_stack::interface::{Capabilities, ChecksumIn, FrameIn, FrameSink, OffloadOut};
use wharf_stack::stack::{Config, DatagramIn, Event, HostRole, Medium, Role, Stack};
use wharf_stack::tcp::{Events, Settings};
use wharf_table::notation::Cidr;
use wharf_table::{Addr, DropReason, HashKey, Instant, PortRange};

/// Flags of a segment (RFC 9293, section 3.1).
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

pub const SERVER: [u8; 4] = [10, 0, 2, 1];
pub const PORT: u16 = 80;
const GATEWAY: [u8; 4] = [10, 0, 2, 2];
/// The window of the clients, and the shift that their SYNs offer.
pub const WINDOW: u16 = 0x4000;
pub const SHIFT: u8 = 7;
/// Source ports of each client address.
const PORTS: usize = 60_000;

/// A host with one address on a bare IP link, whose checksums it makes and verifies itself.
pub fn server(most: usize, settings: Settings) -> Stack {
    let addresses = vec![Cidr::new(Addr::v4(SERVER), 24).expect("the prefix fits")];
    let role = HostRole { addresses, gateway_v4: Some(Addr::v4(GATEWAY)), gateway_v6: None };
    let config = Config {
        role: Role::Host(role),
        medium: Medium::Ip,
        hardware_address: [2, 0, 0, 0, 0, 1],
        mtu: 1_500,
        capabilities: Capabilities::default(),
        tcp: settings,
        buffer_limit: 64 << 20,
        max_connections: most,
        ephemeral_ports: PortRange::DYNAMIC,
        table_key: HashKey::new([1; 16]),
        isn_key: HashKey::new([2; 16]),
    };
    Stack::new(config, Instant::from_millis(1))
}

/// What the server makes of a nonce.
pub fn answer(nonce: u64) -> u64 {
    nonce.rotate_left(13) ^ 0x5bd1_e995_9e37_79b9
}

/// Answers nonces, and closes what its peers have closed.
pub fn serve(stack: &mut Stack, now: Instant) {
    while let Some(event) = stack.poll_event() {
        match event {
            Event::Progress(id, events) => {
                let bytes: Vec<u8> = stack.received(id).0.flatten().copied().collect();
                for word in bytes.chunks_exact(8) {
                    let nonce = u64::from_be_bytes(word.try_into().expect("eight bytes"));
                    stack.consume(now, id, 8);
                    stack.send(now, id, &answer(nonce).to_be_bytes());
                }
                if events.contains(Events::PEER_FINISHED) {
                    stack.release(now, id);
                }
            }
            Event::Closed(id, _) => stack.release(now, id),
            _ => {}
        }
    }
}

/// A segment of a client, or for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment<'a> {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    /// Bytes of options, a multiple of four.
    pub options: &'a [u8],
    pub payload: &'a [u8],
}

/// The ones' complement sum of RFC 1071.
fn sum(mut sum: u32, bytes: &[u8]) -> u32 {
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u32::from(low));
    }
    sum
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

/// Packets on their way, one behind the other.
#[derive(Default)]
pub struct Packets {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packets {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes of memory.
    pub fn bytes_held(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// Writes a packet from a client to the server.
    pub fn push(&mut self, from: ([u8; 4], u16), segment: &Segment<'_>) {
        let start = self.bytes.len();
        let len = 20 + segment.options.len() + segment.payload.len();
        let mut ip = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        ip[2..4].copy_from_slice(&(20 + len as u16).to_be_bytes());
        ip[12..16].copy_from_slice(&from.0);
        ip[16..20].copy_from_slice(&SERVER);
        let checksum = !fold(sum(0, &ip));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        self.bytes.extend_from_slice(&ip);
        let offset = (20 + segment.options.len()) as u8 / 4;
        self.bytes.extend_from_slice(&from.1.to_be_bytes());
        self.bytes.extend_from_slice(&PORT.to_be_bytes());
        self.bytes.extend_from_slice(&segment.seq.to_be_bytes());
        self.bytes.extend_from_slice(&segment.ack.to_be_bytes());
        self.bytes.extend_from_slice(&[offset << 4, segment.flags]);
        self.bytes.extend_from_slice(&segment.window.to_be_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(segment.options);
        self.bytes.extend_from_slice(segment.payload);
        let pseudo = sum(6 + len as u32, &ip[12..20]);
        let checksum = !fold(sum(pseudo, &self.bytes[start + 20..]));
        self.bytes[start + 36..start + 38].copy_from_slice(&checksum.to_be_bytes());
        self.ends.push(self.bytes.len());
    }

    /// Gives them to the stack in batches.
    pub fn deliver(&self, stack: &mut Stack, now: Instant, batch: usize) {
        let frames: Vec<FrameIn<'_>> = self.iter().map(FrameIn::plain).collect();
        for frames in frames.chunks(batch) {
            stack.handle_frames(now, frames, &mut |_: DatagramIn<'_>| {});
        }
    }
}

impl FrameSink for Packets {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], _: OffloadOut) -> Result<(), DropReason> {
        self.bytes.extend_from_slice(head);
        payload.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
        self.ends.push(self.bytes.len());
        Ok(())
    }
}

/// Reads a packet of the server: to whom, and what.
pub fn read(packet: &[u8]) -> (([u8; 4], u16), Segment<'_>) {
    assert_eq!((packet[0], packet[9], &packet[12..16]), (0x45, 6, &SERVER[..]), "TCP from the server");
    assert_eq!(fold(sum(0, &packet[..20])), 0xffff, "the IP header's checksum");
    let segment = &packet[20..];
    let pseudo = sum(6 + segment.len() as u32, &packet[12..20]);
    assert_eq!(fold(sum(pseudo, segment)), 0xffff, "the segment's checksum");
    let word = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().expect("four bytes"));
    let short = |at: usize| u16::from_be_bytes(segment[at..at + 2].try_into().expect("two bytes"));
    let header = usize::from(segment[12] >> 4) * 4;
    let read = Segment {
        seq: word(4),
        ack: word(8),
        flags: segment[13],
        window: short(14),
        options: &segment[20..header],
        payload: &segment[header..],
    };
    let to = packet[16..20].try_into().expect("four bytes");
    ((to, short(2)), read)
}

/// The clock of the peer in a timestamp option behind two bytes of padding, or behind others.
pub fn timestamp(mut options: &[u8]) -> Option<u32> {
    while let [kind, rest @ ..] = options {
        options = match kind {
            0 => return None,
            1 => rest,
            8 => return Some(u32::from_be_bytes(rest.get(1..5)?.try_into().ok()?)),
            _ => options.get(usize::from(*rest.first()?)..)?,
        };
    }
    None
}

/// Options of a segment: our clock and an echo, behind padding.
pub fn stamped(clock: u32, echo: u32) -> [u8; 12] {
    let mut options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    options[4..8].copy_from_slice(&clock.to_be_bytes());
    options[8..12].copy_from_slice(&echo.to_be_bytes());
    options
}

/// Options of a SYN: MSS 1460, SACK, our clock, a window shift; as Linux writes them.
pub fn offered(clock: u32) -> [u8; 20] {
    let mut options = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, SHIFT];
    options[8..12].copy_from_slice(&clock.to_be_bytes());
    options
}

/// What a client has to remember.
#[derive(Clone, Copy, Default)]
struct Client {
    /// What it sends next, and expects next.
    snd_nxt: u32,
    rcv_nxt: u32,
    echo: u32,
}

/// Clients by number, each with its own address and port.
pub struct Crowd {
    clients: Vec<Client>,
    clock: u32,
    pub out: Packets,
    /// How many have had their handshake.
    pub established: usize,
    pub answers: usize,
    pub finished: usize,
}

impl Crowd {
    pub fn new(count: usize) -> Crowd {
        let clients = vec![Client::default(); count];
        Crowd { clients, clock: 1, out: Packets::default(), established: 0, answers: 0, finished: 0 }
    }

    fn endpoint(index: usize) -> ([u8; 4], u16) {
        let address = u32::from_be_bytes([198, 18, 0, 1]) + (index / PORTS) as u32;
        (address.to_be_bytes(), (1_024 + index % PORTS) as u16)
    }

    fn index((addr, port): ([u8; 4], u16)) -> usize {
        let host = u32::from_be_bytes(addr) - u32::from_be_bytes([198, 18, 0, 1]);
        host as usize * PORTS + usize::from(port) - 1_024
    }

    /// What the client with this number asks.
    fn nonce(index: usize) -> u64 {
        (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn send(&mut self, index: usize, flags: u8, payload: &[u8]) {
        let client = &mut self.clients[index];
        let options = stamped(self.clock, client.echo);
        let (seq, ack) = (client.snd_nxt, client.rcv_nxt);
        let segment = Segment { seq, ack, flags: flags | ACK, window: WINDOW, options: &options, payload };
        client.snd_nxt = seq.wrapping_add(payload.len() as u32 + u32::from(flags & FIN));
        self.out.push(Crowd::endpoint(index), &segment);
    }

    /// The SYN of a client.
    pub fn knock(&mut self, index: usize) {
        let iss = Crowd::nonce(index) as u32;
        self.clients[index].snd_nxt = iss.wrapping_add(1);
        let options = offered(self.clock);
        let syn = Segment { seq: iss, flags: SYN, window: u16::MAX, options: &options, ..Segment::default() };
        self.out.push(Crowd::endpoint(index), &syn);
    }

    pub fn ask(&mut self, index: usize) {
        self.send(index, PSH, &Crowd::nonce(index).to_be_bytes());
    }

    /// An acknowledgment of what was acknowledged already.
    pub fn ask_nothing(&mut self, index: usize) {
        self.send(index, 0, &[]);
    }

    pub fn finish(&mut self, index: usize) {
        self.send(index, FIN, &[]);
    }

    /// Takes what the server sends, and answers it.
    pub fn take(&mut self, packets: &Packets) {
        self.clock += 1;
        for packet in packets.iter() {
            let (to, segment) = read(packet);
            let index = Crowd::index(to);
            let client = &mut self.clients[index];
            assert_eq!(segment.flags & RST, 0, "client {index} is reset");
            assert_eq!(segment.ack, client.snd_nxt, "all is acknowledged of client {index}");
            client.echo = timestamp(segment.options).expect("the server agreed on timestamps");
            if segment.flags & SYN != 0 {
                client.rcv_nxt = segment.seq.wrapping_add(1);
                self.established += 1;
                self.send(index, 0, &[]);
                continue;
            }
            assert_eq!(segment.seq, client.rcv_nxt, "nothing is missing for client {index}");
            let (len, is_last) = (segment.payload.len() as u32, segment.flags & FIN != 0);
            client.rcv_nxt = client.rcv_nxt.wrapping_add(len + u32::from(is_last));
            if len > 0 {
                // One for each time it has asked.
                let due = answer(Crowd::nonce(index)).to_be_bytes();
                let words = segment.payload.chunks(8);
                assert!(words.clone().all(|word| word == due), "the answer for client {index}");
                self.answers += words.len();
            }
            self.finished += usize::from(is_last);
            if len > 0 || is_last {
                self.send(index, 0, &[]);
            }
        }
    }
}

/// Carries packets between the two until nothing moves. `run` runs what touches the stack.
pub fn settle(
    crowd: &mut Crowd,
    back: &mut Packets,
    now: Instant,
    batch: usize,
    mut run: impl FnMut(&mut dyn FnMut(&mut Stack)),
) {
    loop {
        run(&mut |stack| {
            crowd.out.deliver(stack, now, batch);
            serve(stack, now);
            back.clear();
            stack.poll_frames(now, back);
        });
        crowd.out.clear();
        crowd.take(back);
        if crowd.out.len() == 0 {
            return;
        }
    }
}

/// Frames that need no look at their checksum, for measurements.
pub fn trusted(packets: &Packets) -> Vec<FrameIn<'_>> {
    packets.iter().map(|bytes| FrameIn { bytes, checksum: ChecksumIn::Trusted, gso_size: 0 }).collect()
}

//! A gateway alone, and frames that a program makes by hand. Frames are built and read by `etherparse`, which knows nothing
//! of wharf: what it accepts is right on the wire.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::net::IpAddr;

use etherparse::{PacketBuilder, PacketBuilderStep, SlicedPacket, ip_number};
use wharf_sim::{Lab, Setup};
use wharf_stack::interface::{FrameIn, FrameSink, OffloadOut};
use wharf_stack::stack::{Config, DatagramIn, Gateway, Role, Stack};
use wharf_table::{Addr, DropReason, Endpoint, Instant};

pub(crate) const PROGRAM_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const GATEWAY_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The program, the gateway, its name server and what stands for the host, over each family.
pub(crate) const PROGRAM: [&str; 2] = ["10.0.2.1", "fd00::1"];
pub(crate) const GATEWAY: [&str; 2] = ["10.0.2.2", "fd00::2"];
pub(crate) const DNS: [&str; 2] = ["10.0.2.203", "fd00::cb"];
pub(crate) const HOST: [&str; 2] = ["10.0.2.204", "fd00::cc"];
pub(crate) const OUTSIDE: [&str; 2] = ["192.0.2.80", "2001:db8::80"];
pub(crate) const FAMILIES: [usize; 2] = [0, 1];

/// A datagram that came out of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) payload: Vec<u8>,
    pub(crate) gso_size: u16,
    pub(crate) hop_limit: u8,
    pub(crate) dont_fragment: bool,
}

/// A gateway's stack with a wire to it.
pub(crate) struct Link {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
    pub(crate) datagrams: Vec<Came>,
}

/// Frames as the device gets them.
#[derive(Default)]
pub(crate) struct Frames(pub(crate) Vec<(Vec<u8>, OffloadOut)>);

impl FrameSink for Frames {
    fn frame(&mut self, head: &[u8], payload: &[&[u8]], offload: OffloadOut) -> Result<(), DropReason> {
        let mut bytes = head.to_vec();
        payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
        self.0.push((bytes, offload));
        Ok(())
    }
}

impl Link {
    pub(crate) fn new() -> Link {
        Link::with(&Setup::default(), |_| {})
    }

    /// A gateway of this kind, after `change`.
    pub(crate) fn with(setup: &Setup, change: impl FnOnce(&mut Config)) -> Link {
        let (lab, _, gateway) = Lab::program_and_gateway(setup);
        let mut config = lab.stack(gateway).config().clone();
        change(&mut config);
        Link { stack: Stack::new(config, lab.now()), now: lab.now(), datagrams: Vec::new() }
    }

    pub(crate) fn gateway(config: &mut Config) -> &mut Gateway {
        match &mut config.role {
            Role::Gateway(gateway) => gateway,
            Role::Host(_) => panic!("the laboratory's gateway is one"),
        }
    }

    /// Gives frames to the stack, and what it answers at once back.
    pub(crate) fn take_all(&mut self, frames: &[FrameIn<'_>]) -> Vec<Vec<u8>> {
        let datagrams = &mut self.datagrams;
        self.stack.handle_frames(self.now, frames, &mut |datagram: DatagramIn<'_>| {
            datagrams.push(Came {
                source: datagram.source,
                destination: datagram.destination,
                payload: datagram.payload.to_vec(),
                gso_size: datagram.gso_size,
                hop_limit: datagram.hop_limit,
                dont_fragment: datagram.dont_fragment,
            });
        });
        self.sent()
    }

    pub(crate) fn take(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.take_all(&[FrameIn::plain(frame)])
    }

    /// The frames that the stack has to send.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Frames::default();
        self.stack.poll_frames(self.now, &mut frames);
        frames.0.into_iter().map(|(bytes, _)| bytes).collect()
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.stack.drops().of(reason)
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("the test writes addresses")
}

pub(crate) fn addr(text: &str) -> Addr {
    ip(text).into()
}

pub(crate) fn at(text: &str, port: u16) -> Endpoint {
    Endpoint::new(ip(text), port)
}

/// A packet of the program to the gateway's hardware address, up to its transport.
pub(crate) fn from_to(src: &str, dst: &str, hop_limit: u8) -> PacketBuilderStep<etherparse::IpHeaders> {
    let builder = PacketBuilder::ethernet2(PROGRAM_HARDWARE, GATEWAY_HARDWARE);
    match (ip(src), ip(dst)) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => builder.ipv4(src.octets(), dst.octets(), hop_limit),
        (IpAddr::V6(src), IpAddr::V6(dst)) => builder.ipv6(src.octets(), dst.octets(), hop_limit),
        _ => panic!("a packet has one family"),
    }
}

pub(crate) fn udp(src: &str, dst: &str, port: u16, payload: &[u8]) -> Vec<u8> {
    udp_with(src, dst, port, 64, payload)
}

pub(crate) fn udp_with(src: &str, dst: &str, port: u16, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    from_to(src, dst, hop_limit).udp(5_000, port).write(&mut frame, payload).expect("a vector takes all");
    frame
}

pub(crate) fn syn(src: &str, dst: &str, port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    from_to(src, dst, 64).tcp(5_000, port, 1_000, 65_535).syn().write(&mut frame, &[]).expect("taken");
    frame
}

/// An ICMP message of either family, from its type on; the checksum is filled in.
pub(crate) fn icmp(src: &str, dst: &str, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let number = if ip(src).is_ipv4() { ip_number::ICMP } else { ip_number::IPV6_ICMP };
    let mut frame = Vec::new();
    from_to(src, dst, hop_limit).write(&mut frame, number, message).expect("a vector takes all");
    wharf_sim::mend(&mut frame);
    frame
}

pub(crate) fn echo(src: &str, dst: &str, hop_limit: u8, data: &[u8]) -> Vec<u8> {
    let kind = if ip(src).is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 7];
    message.extend_from_slice(data);
    icmp(src, dst, hop_limit, &message)
}

/// What a frame says, read by somebody else: its addresses, its protocol, and its transport's bytes.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) to_hardware: [u8; 6],
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    pub(crate) payload: Vec<u8>,
}

/// The ones' complement sum of RFC 1071, folded.
pub(crate) fn sum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let words =
        bytes.chunks(2).map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u64::from(low)));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The pseudo-header of RFC 9293, section 3.1, and RFC 8200, section 8.1, of a packet with `len` bytes of transport.
pub(crate) fn pseudo_header(packet: &[u8], protocol: u8, len: usize) -> Vec<u8> {
    let addresses = if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] };
    let mut bytes = addresses.to_vec();
    bytes.extend_from_slice(&(len as u32).to_be_bytes());
    bytes.extend_from_slice(&u32::from(protocol).to_be_bytes());
    bytes
}

/// Reads a frame; checks every checksum in it, unless it is of a fragment's transport.
pub(crate) fn read(frame: &[u8]) -> Read {
    let read = read_unverified(frame);
    let packet = &frame[14..];
    let v4 = packet[0] >> 4 == 4;
    assert!(!v4 || sum(&[&packet[..20]]) == 0xffff, "IP header checksum");
    let fragment = v4 && packet[6..8] != [0x40, 0] && packet[6..8] != [0, 0] || !v4 && packet[6] == 44;
    let pseudo = match read.protocol {
        1 => Vec::new(),
        number => pseudo_header(packet, number, read.payload.len()),
    };
    assert!(fragment || sum(&[&pseudo, &read.payload]) == 0xffff, "transport checksum of {read:?}");
    read
}

/// Reads a frame whose checksums may be left to the device.
pub(crate) fn read_unverified(frame: &[u8]) -> Read {
    let packet = SlicedPacket::from_ethernet(frame).expect("etherparse can read it");
    let to_hardware = frame[..6].try_into().expect("six of fourteen");
    match packet.net {
        Some(etherparse::NetSlice::Ipv4(v4)) => Read {
            to_hardware,
            src: v4.header().source_addr().into(),
            dst: v4.header().destination_addr().into(),
            protocol: v4.payload().ip_number.0,
            hop_limit: v4.header().ttl(),
            payload: v4.payload().payload.to_vec(),
        },
        Some(etherparse::NetSlice::Ipv6(v6)) => Read {
            to_hardware,
            src: v6.header().source_addr().into(),
            dst: v6.header().destination_addr().into(),
            protocol: v6.payload().ip_number.0,
            hop_limit: v6.header().hop_limit(),
            payload: v6.payload().payload.to_vec(),
        },
        other => panic!("no IP packet: {other:?}"),
    }
}

/// The one ICMP message among `frames`: who sent it to whom, and its bytes from the type on.
pub(crate) fn one_icmp(frames: &[Vec<u8>]) -> (IpAddr, IpAddr, Vec<u8>) {
    let [frame] = frames else { panic!("{} frames", frames.len()) };
    let read = read(frame);
    assert!(read.protocol == 1 || read.protocol == 58, "protocol {}", read.protocol);
    assert_eq!(read.to_hardware, PROGRAM_HARDWARE);
    (read.src, read.dst, read.payload)
}

//! Packets to bytes, with lengths and checksums.

use std::net::IpAddr;

use super::{Body, Packet, Segment, TcpOption, protocol};

/// The packet as it goes over the wire.
pub fn emit(packet: &Packet) -> Vec<u8> {
    let (number, mut payload, checksum_at) = body(packet);
    if let Some(at) = checksum_at {
        let covered = match (packet.source, number) {
            (_, protocol::ICMP) => sum(0, &payload),
            _ => sum(pseudo(packet, number, payload.len()), &payload),
        };
        let mut checksum = finish(covered);
        // A UDP checksum of zero would say that there is none (RFC 768).
        if number == protocol::UDP && checksum == 0 {
            checksum = 0xffff;
        }
        payload[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
    let mut bytes = header(packet, number, payload.len());
    bytes.append(&mut payload);
    bytes
}

/// Protocol, bytes, and where the checksum stands in them.
fn body(packet: &Packet) -> (u8, Vec<u8>, Option<usize>) {
    match &packet.body {
        Body::Tcp(segment) => (protocol::TCP, tcp(segment), Some(16)),
        Body::Udp(datagram) => {
            let mut bytes = Vec::with_capacity(8 + datagram.payload.len());
            bytes.extend_from_slice(&datagram.source_port.to_be_bytes());
            bytes.extend_from_slice(&datagram.destination_port.to_be_bytes());
            bytes.extend_from_slice(&(8 + datagram.payload.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&datagram.payload.bytes);
            (protocol::UDP, bytes, Some(6))
        }
        Body::Icmp(icmp) => {
            let mut bytes = vec![icmp.kind, icmp.code, 0, 0];
            bytes.extend_from_slice(&icmp.word.to_be_bytes());
            bytes.extend_from_slice(&icmp.payload);
            let number = if packet.source.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
            (number, bytes, Some(2))
        }
        Body::Other { protocol, payload } => (*protocol, payload.clone(), None),
    }
}

fn header(packet: &Packet, number: u8, length: usize) -> Vec<u8> {
    match (packet.source, packet.destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let first = 6 << 28 | u32::from(packet.tos) << 20 | packet.flow_label & 0xf_ffff;
            let mut bytes = first.to_be_bytes().to_vec();
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
            bytes.extend_from_slice(&[number, packet.ttl]);
            bytes.extend_from_slice(&source.octets());
            bytes.extend_from_slice(&destination.octets());
            bytes
        }
        (source, destination) => {
            let mut bytes = vec![0x45, packet.tos];
            bytes.extend_from_slice(&(20 + length as u16).to_be_bytes());
            let fragment: u16 = if packet.dont_fragment { 0x4000 } else { 0 };
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&fragment.to_be_bytes());
            bytes.extend_from_slice(&[packet.ttl, number, 0, 0]);
            bytes.extend_from_slice(&octets(source));
            bytes.extend_from_slice(&octets(destination));
            let checksum = finish(sum(0, &bytes));
            bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
            bytes
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn tcp(segment: &Segment) -> Vec<u8> {
    let mut options = Vec::new();
    segment.options.iter().for_each(|option| put_option(option, &mut options));
    while !options.len().is_multiple_of(4) {
        options.push(0);
    }
    let offset = segment.data_offset.map_or((20 + options.len()) / 4, usize::from);
    let mut bytes = Vec::with_capacity(20 + options.len() + segment.payload.len());
    bytes.extend_from_slice(&segment.source_port.to_be_bytes());
    bytes.extend_from_slice(&segment.destination_port.to_be_bytes());
    bytes.extend_from_slice(&segment.seq.to_be_bytes());
    bytes.extend_from_slice(&segment.ack.to_be_bytes());
    bytes.extend_from_slice(&((offset as u16) << 12 | segment.flags).to_be_bytes());
    bytes.extend_from_slice(&segment.window.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&segment.urgent.to_be_bytes());
    bytes.extend_from_slice(&options);
    bytes.extend_from_slice(&segment.payload.bytes);
    bytes
}

fn put_option(option: &TcpOption, bytes: &mut Vec<u8>) {
    let mut put = |kind: u8, value: &[u8]| {
        bytes.extend_from_slice(&[kind, 2 + value.len() as u8]);
        bytes.extend_from_slice(value);
    };
    match option {
        TcpOption::End => bytes.push(0),
        TcpOption::Nop => bytes.push(1),
        TcpOption::Mss(mss) => put(2, &mss.to_be_bytes()),
        TcpOption::WindowScale(shift) => put(3, &[*shift]),
        TcpOption::SackPermitted => put(4, &[]),
        TcpOption::Sack(blocks) => {
            let value: Vec<u8> = blocks
                .iter()
                .flat_map(|(left, right)| [left.to_be_bytes(), right.to_be_bytes()])
                .flatten()
                .collect();
            put(5, &value);
        }
        TcpOption::Timestamps(value, echo) => {
            put(8, &[value.to_be_bytes(), echo.to_be_bytes()].concat());
        }
        TcpOption::FastOpen(cookie) => put(34, cookie),
        TcpOption::FastOpenExperimental(cookie) => put(254, &[&[0xf9, 0x89], &cookie[..]].concat()),
        TcpOption::Other(kind, value) => put(*kind, value),
        TcpOption::Raw(raw) => bytes.extend_from_slice(raw),
    }
}

/// What the checksum of a body covers beside it (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub(super) fn pseudo(packet: &Packet, number: u8, length: usize) -> u32 {
    let addresses = sum(sum(0, &octets(packet.source)), &octets(packet.destination));
    addresses + u32::from(number) + length as u32
}

/// Adds up words of 16 bits (RFC 1071), as plainly as can be.
pub(super) fn sum(start: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(start, |total, word| {
        let word = u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]);
        let total = total + u32::from(word);
        (total & 0xffff) + (total >> 16)
    })
}

pub(super) fn finish(mut total: u32) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

//! Bytes to packets. Everything that a correct sender must get right is looked at: lengths and checksums.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::emit::{finish, pseudo, sum};
use super::{Body, Datagram, Icmp, Packet, Payload, Segment, TcpOption, protocol};

/// What is wrong with a packet that came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Reads a packet.
///
/// # Errors
/// A length is wrong, or a checksum.
pub fn read(bytes: &[u8]) -> Result<Packet, Unreadable> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => ipv4(bytes),
        Some(6) => ipv6(bytes),
        Some(_) => Err(Unreadable("the IP version is neither 4 nor 6")),
        None => Err(Unreadable("the packet is empty")),
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn ipv4(bytes: &[u8]) -> Result<Packet, Unreadable> {
    let header = usize::from(bytes[0] & 15) * 4;
    if bytes.len() < 20 || header < 20 || bytes.len() < header {
        return Err(Unreadable("the IPv4 header is cut off"));
    }
    if usize::from(word(bytes, 2)) != bytes.len() {
        return Err(Unreadable("the IPv4 total length is not the packet's length"));
    }
    if finish(sum(0, &bytes[..header])) != 0 {
        return Err(Unreadable("the IPv4 header checksum is wrong"));
    }
    let address = |at: usize| IpAddr::V4(Ipv4Addr::from(long(bytes, at)));
    let mut packet = Packet::between_unknown(Body::Other { protocol: bytes[9], payload: Vec::new() });
    (packet.source, packet.destination) = (address(12), address(16));
    (packet.tos, packet.ttl) = (bytes[1], bytes[8]);
    let fragment = word(bytes, 6);
    packet.dont_fragment = fragment & 0x4000 != 0;
    let payload = &bytes[header..];
    if fragment & 0x3fff != 0 {
        packet.body = Body::Other { protocol: protocol::FRAGMENT, payload: payload.to_vec() };
        return Ok(packet);
    }
    packet.body = body(&packet, bytes[9], payload)?;
    Ok(packet)
}

fn ipv6(bytes: &[u8]) -> Result<Packet, Unreadable> {
    if bytes.len() < 40 {
        return Err(Unreadable("the IPv6 header is cut off"));
    }
    if usize::from(word(bytes, 4)) + 40 != bytes.len() {
        return Err(Unreadable("the IPv6 payload length is not the packet's length"));
    }
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&bytes[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    let first = long(bytes, 0);
    let mut packet = Packet::between_unknown(Body::Other { protocol: bytes[6], payload: Vec::new() });
    (packet.source, packet.destination) = (address(8), address(24));
    (packet.tos, packet.ttl) = ((first >> 20) as u8, bytes[7]);
    packet.flow_label = first & 0xf_ffff;
    packet.body = body(&packet, bytes[6], &bytes[40..])?;
    Ok(packet)
}

fn body(packet: &Packet, number: u8, bytes: &[u8]) -> Result<Body, Unreadable> {
    let covered = || finish(sum(pseudo(packet, number, bytes.len()), bytes)) == 0;
    match number {
        protocol::TCP => {
            let segment = tcp(bytes)?;
            if covered() { Ok(Body::Tcp(segment)) } else { Err(Unreadable("the TCP checksum is wrong")) }
        }
        protocol::UDP if bytes.len() >= 8 => {
            if usize::from(word(bytes, 4)) != bytes.len() {
                return Err(Unreadable("the UDP length is not the datagram's length"));
            }
            let absent = word(bytes, 6) == 0 && packet.source.is_ipv4();
            if !absent && !covered() {
                return Err(Unreadable("the UDP checksum is wrong"));
            }
            Ok(Body::Udp(Datagram {
                source_port: word(bytes, 0),
                destination_port: word(bytes, 2),
                payload: Payload { bytes: bytes[8..].to_vec(), said: true },
            }))
        }
        protocol::ICMP | protocol::ICMPV6 if bytes.len() >= 8 => {
            let right = if number == protocol::ICMP { finish(sum(0, bytes)) == 0 } else { covered() };
            if !right {
                return Err(Unreadable("the ICMP checksum is wrong"));
            }
            let payload = bytes[8..].to_vec();
            Ok(Body::Icmp(Icmp { kind: bytes[0], code: bytes[1], word: long(bytes, 4), payload }))
        }
        protocol::UDP | protocol::ICMP | protocol::ICMPV6 => Err(Unreadable("the header is cut off")),
        protocol => Ok(Body::Other { protocol, payload: bytes.to_vec() }),
    }
}

fn tcp(bytes: &[u8]) -> Result<Segment, Unreadable> {
    if bytes.len() < 20 {
        return Err(Unreadable("the TCP header is cut off"));
    }
    let header = usize::from(bytes[12] >> 4) * 4;
    if header < 20 || header > bytes.len() {
        return Err(Unreadable("the TCP data offset is wrong"));
    }
    let flags_and_offset = word(bytes, 12);
    if flags_and_offset & 0x0e00 != 0 {
        return Err(Unreadable("reserved bits of the TCP header are set"));
    }
    Ok(Segment {
        source_port: word(bytes, 0),
        destination_port: word(bytes, 2),
        seq: long(bytes, 4),
        ack: long(bytes, 8),
        flags: flags_and_offset & 0x1ff,
        window: word(bytes, 14),
        urgent: word(bytes, 18),
        data_offset: None,
        options: options(&bytes[20..header])?,
        payload: Payload { bytes: bytes[header..].to_vec(), said: true },
    })
}

fn options(mut bytes: &[u8]) -> Result<Vec<TcpOption>, Unreadable> {
    let mut options = Vec::new();
    loop {
        match *bytes {
            [] => return Ok(options),
            [0, ref rest @ ..] => {
                if rest.iter().any(|byte| *byte != 0) {
                    return Err(Unreadable("something follows the end of the TCP options"));
                }
                options.push(TcpOption::End);
                return Ok(options);
            }
            [1, ref rest @ ..] => {
                options.push(TcpOption::Nop);
                bytes = rest;
            }
            [kind, length, ..] if length >= 2 && usize::from(length) <= bytes.len() => {
                let (option, rest) = bytes.split_at(usize::from(length));
                options.push(option_of(kind, &option[2..]));
                bytes = rest;
            }
            _ => return Err(Unreadable("a TCP option has a wrong length")),
        }
    }
}

fn option_of(kind: u8, value: &[u8]) -> TcpOption {
    match (kind, value) {
        (2, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
        (3, &[shift]) => TcpOption::WindowScale(shift),
        (4, []) => TcpOption::SackPermitted,
        (5, blocks) if blocks.len().is_multiple_of(8) && !blocks.is_empty() => {
            TcpOption::Sack(blocks.chunks_exact(8).map(|block| (long(block, 0), long(block, 4))).collect())
        }
        (8, value) if value.len() == 8 => TcpOption::Timestamps(long(value, 0), long(value, 4)),
        (34, cookie) => TcpOption::FastOpen(cookie.to_vec()),
        (254, [0xf9, 0x89, cookie @ ..]) => TcpOption::FastOpenExperimental(cookie.to_vec()),
        (kind, value) => TcpOption::Other(kind, value.to_vec()),
    }
}

use super::*;

/// The SYN of a capture: the kernel's own bytes, its checksums included.
const SYN: &str = "4500003c1c4640004006b1e6ac100a63ac100a0cc8a600503a5dd31d00000000a002faf0\
                   00000000020405b40402080a00a1b2c30000000001030307";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_header_with_the_right_sum_is_read() {
    // RFC 1071's sum over the header of this well-known example is 0xb1e6; the segment's is filled in here.
    let mut syn = bytes(SYN);
    let mut packet = ipv4_header_only(&syn);
    assert_eq!(packet.source, IpAddr::from([172, 16, 10, 99]));
    let segment = Segment {
        source_port: 0xc8a6,
        destination_port: 80,
        seq: 0x3a5d_d31d,
        flags: flag::SYN,
        window: 0xfaf0,
        options: vec![
            TcpOption::Mss(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps(0x00a1_b2c3, 0),
            TcpOption::Nop,
            TcpOption::WindowScale(7),
        ],
        ..Segment::default()
    };
    packet.body = Body::Tcp(segment.clone());
    let emitted = emit(&packet);
    // All but identification, IP checksum and TCP checksum are the capture's.
    syn[36..38].copy_from_slice(&emitted[36..38]);
    (syn[4], syn[5]) = (0, 0);
    syn[10..12].copy_from_slice(&emitted[10..12]);
    assert_eq!(emitted, syn);
    let again = read(&emitted).unwrap();
    assert_eq!(again.segment().unwrap().options, segment.options);
    assert_eq!(again.segment().unwrap().timestamps(), Some((0x00a1_b2c3, 0)));
}

fn ipv4_header_only(bytes: &[u8]) -> Packet {
    let mut cut = bytes[..20].to_vec();
    let total = bytes.len() as u16;
    assert_eq!(&cut[2..4], &total.to_be_bytes());
    // The sum of the whole header, checksum included, is all ones (RFC 1071, section 1).
    let sum: u32 = cut.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    cut[9] = 253;
    let mut packet = Packet::between_unknown(Body::Other { protocol: 253, payload: Vec::new() });
    packet.source = IpAddr::from([cut[12], cut[13], cut[14], cut[15]]);
    packet.destination = IpAddr::from([cut[16], cut[17], cut[18], cut[19]]);
    (packet.ttl, packet.dont_fragment) = (cut[8], true);
    packet
}

fn some_packets() -> Vec<Packet> {
    let v4 = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
    let v6 =
        (IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2]));
    let payload = Payload { bytes: b"odd".to_vec(), said: true };
    let bodies = [
        Body::Tcp(Segment { flags: flag::ACK | flag::AE, payload: payload.clone(), ..Segment::default() }),
        Body::Udp(Datagram { source_port: 1, destination_port: 2, payload }),
        Body::Icmp(Icmp { kind: 3, code: 4, word: 1_200, payload: vec![1, 2, 3] }),
    ];
    let mut packets = Vec::new();
    for (source, destination) in [v4, v6] {
        for body in bodies.clone() {
            packets.push(Packet { source, destination, ..Packet::between_unknown(body) });
        }
    }
    packets
}

#[test]
fn what_is_emitted_reads_as_what_it_was() {
    for packet in some_packets() {
        assert_eq!(read(&emit(&packet)), Ok(packet));
    }
}

#[test]
fn a_bit_that_flips_is_noticed() {
    for packet in some_packets() {
        let right = emit(&packet);
        for at in 0..right.len() * 8 {
            let mut wrong = right.clone();
            wrong[at / 8] ^= 1 << (at % 8);
            // Traffic class, flow label and hop limit of IPv6 are under no checksum.
            let uncovered =
                packet.source.is_ipv6() && (4..32).contains(&at) || packet.source.is_ipv6() && at / 8 == 7;
            assert!(uncovered || read(&wrong) != Ok(packet.clone()), "bit {at} of {packet}");
        }
    }
}

#[test]
fn wrong_lengths_are_noticed() {
    for packet in some_packets() {
        let right = emit(&packet);
        for length in 0..right.len() {
            assert!(read(&right[..length]).is_err(), "{length} bytes of {packet}");
        }
    }
}

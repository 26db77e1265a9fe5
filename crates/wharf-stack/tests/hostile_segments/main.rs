//! What is hostile about IP, ICMP and TCP, case by case: each is a test of its name here, and a seed for the fuzz targets
//! (`fuzz/seeds`). No case panics, costs memory without bound, or changes what an honest connection delivers.
//!
//! | class | tests |
//! |---|---|
//! | wrong lengths at every layer, IHL, data offset | `ip_total_length_*`, `ihl_*`, `data_offset_*`, `ipv6_payload_length_beyond_the_packet` |
//! | options of length 0, 1, beyond the header | `option_*` |
//! | illegal window scale | `window_scale_beyond_fourteen` |
//! | duplicate and vanishing timestamps, old ones | `timestamps_twice`, `timestamps_that_vanish`; `behaviour/hostile_limits.rs`: `paws_*` |
//! | SACK blocks that lie | `sack_blocks_that_lie` |
//! | overlapping data | `overlapping_data_does_not_change_what_came_first`, seed of `host` |
//! | data after FIN, urgent pointers | `data_after_fin_is_not_delivered`, `urgent_pointers_of_all_sizes`, seeds of `host` |
//! | every state x window edge x kind of segment | `acceptability.rs` |
//! | late segments in TIME-WAIT | `behaviour/hostile_limits.rs`: `rfc_1337_*` |
//! | LAND, teardrop | `land`, `teardrop` |
//! | IPv6 fragments: atomic, overlapping, split headers | `atomic_fragment`, `overlapping_ipv6_fragments`, `split_header_chain` |
//! | extension-header loops | `extension_header_loop` |
//! | too-big below 68, below 1280 | `too_big_below_68`; `behaviour/hostile_limits.rs`: `too_big_*`; `behaviour/path_mtu.rs`; believed: `rfc9293/path.rs` |
//! | SYN floods | `listening.rs`: `a_flood_*`, `opening.rs`: `handshakes_that_nobody_finishes_*`, seeds of `host` |
//! | small segments, reassembly queue | `small_segments_with_gaps`; `behaviour/hostile_limits.rs`: `single_bytes_*`, `a_thousand_gappy_*`; `fragment/reassembly/tests.rs` |
//! | large segments of a device | `behaviour/hostile_limits.rs`: `sixty_four_kibibytes_*`, `flags_of_a_large_frame_*`, `a_large_frame_*`; out: `behaviour/offload.rs` |
//! | zero-window stalls, optimistic ACKs | `zero_window_stall`, `optimistic_acks`; `behaviour/hostile_limits.rs`: `acknowledgments_*` |
//! | challenge ACK and ICMP limits, Identification | `challenges_are_limited_for_each_connection_alone`; `behaviour/hostile_limits.rs`: `probes_of_one_flow_*`; `stack/limiter.rs` |
//! | DNS, DHCP, ICMP, NDP, ARP, UDP | `crates/wharf-wire/tests/hostile_messages` |
//! | any bytes at all | `behaviour/hostile_frames.rs`, `behaviour/forged.rs`, `fuzz/` |

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(dead_code, reason = "the bench has more than is needed here")]

#[path = "../rfc9293/bench.rs"]
mod bench;
mod seeds;
#[path = "../wire/mod.rs"]
mod wire;

use bench::*;

/// Packets that somebody makes who knows all numbers of a connection.
type Case = (&'static str, fn(&Talk) -> Vec<Vec<u8>>);

/// Defines a test for each case and the list of them.
macro_rules! cases {
    ($($name:ident => $packets:expr,)+) => {
        $(#[test]
        fn $name() {
            does_no_harm($packets);
        })+

        /// All of them.
        pub(crate) const CASES: &[Case] = &[$((stringify!($name), $packets)),+];
    };
}

/// A connection is there; then the packets come; then the peer goes on.
fn does_no_harm(packets: fn(&Talk) -> Vec<Vec<u8>>) {
    let mut host = host(|settings| settings.window_scale = true);
    let talk = host.opened_with(0, &[2, 4, 3, 0xe8, 4, 2, 1, 1]);
    host.send(&talk, &[7; 3_000]);
    for packet in packets(&talk) {
        let answers = host.take_packets(&[packet]);
        assert!(answers.len() <= 64, "{} answers to one packet", answers.len());
        assert!(host.stack.buffered_bytes() <= 1 << 20 && host.stack.connection_count() <= 4);
    }
    host.wait(ms(100));
    assert_eq!(host.stack.state(talk.id).name(), "established");
    host.take(talk.segment(1, 1).data(b"honest"));
    assert!(host.received(&talk).starts_with(b"honest"), "{:?}", host.received(&talk));
}

/// The packet of a segment with some bytes changed behind its back, and the IPv4 checksum made right again.
fn changed(segment: &Segment, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = segment.bytes();
    change(&mut packet);
    mended(packet)
}

fn mended(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
        let len = (usize::from(packet[0] & 15) * 4).clamp(12, packet.len());
        let right = !wire::sum(&[&packet[..len]]);
        packet[10..12].copy_from_slice(&right.to_be_bytes());
    }
    packet
}

fn text(talk: &Talk) -> Segment {
    talk.segment(1, 1).data(b"forged")
}

fn with_option(talk: &Talk, option: &[u8]) -> Vec<Vec<u8>> {
    let mut options = option.to_vec();
    options.resize(option.len().next_multiple_of(4), 1);
    let syn = Segment { seq: IRS, ..blank(0, 5_009).flags(SYN).options(&options) };
    vec![talk.segment(1, 1).options(&options).bytes(), syn.bytes()]
}

/// A fragment of an IPv4 datagram, at this offset in bytes.
fn fragment_v4(offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = blank(0, 5_000).bytes();
    packet.truncate(20);
    packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    packet.extend_from_slice(payload);
    mended(packet)
}

/// An IPv6 packet whose first header behind the fixed one is `next`.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = blank(1, 5_000).bytes();
    packet.truncate(40);
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet[6] = next;
    packet.extend_from_slice(payload);
    packet
}

fn fragment_v6(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let [high, low] = ((offset & !7) | u16::from(more)).to_be_bytes();
    ipv6(44, &[&[next, 0, high, low, 0, 0, 0, 9], payload].concat())
}

cases! {
    ip_total_length_beyond_the_packet => |talk| vec![changed(&text(talk), |packet| packet[2] = 0x7f)],
    ip_total_length_below_the_header => |talk| vec![changed(&text(talk), |packet| packet[2..4].fill(0))],
    ipv6_payload_length_beyond_the_packet => |_| vec![{
        let mut packet = blank(1, 5_000).bytes();
        packet[4..6].fill(0xff);
        packet
    }],
    ihl_below_five => |talk| (0..5).map(|ihl| changed(&text(talk), |packet| packet[0] = 0x40 | ihl)).collect(),
    ihl_beyond_the_packet => |talk| vec![changed(&text(talk), |packet| {
        packet.truncate(40);
        (packet[0], packet[3]) = (0x4f, 40);
    })],
    data_offset_below_five => |talk| (0..5).map(|at| changed(&text(talk), |packet| packet[32] = at << 4)).collect(),
    data_offset_beyond_the_segment => |talk| (7..16).map(|at| changed(&text(talk), |packet| packet[32] = at << 4)).collect(),
    option_of_length_zero => |talk| with_option(talk, &[253, 0, 1, 2]),
    option_of_length_one => |talk| with_option(talk, &[253, 1, 1, 2]),
    option_beyond_the_header => |talk| with_option(talk, &[8, 40, 1, 2]),
    window_scale_beyond_fourteen => |talk| [15, 32, 255].iter().flat_map(|&scale| with_option(talk, &[3, 3, scale])).collect(),
    timestamps_twice => |talk| with_option(talk, &[8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 8, 10, 0xff, 0, 0, 0, 0, 0, 0, 0]),
    sack_blocks_that_lie => |talk| {
        let at = |seq: u32| talk.iss.wrapping_add(seq).to_be_bytes();
        [(5_000, 9_000), (2_000, 1_000), (1, 1), (0x8000_0000, 0x8000_0001), (0, 4_000)]
            .iter()
            .map(|&(left, right)| {
                let option = [&[1, 1, 5, 10][..], &at(left), &at(right)].concat();
                talk.segment(1, 1).options(&option).bytes()
            })
            .collect()
    },
    urgent_pointers_of_all_sizes => |talk| {
        [0, 1, 0x7fff, 0xffff].iter().map(|&pointer| talk.segment(1, 1).urgent(pointer).bytes()).collect()
    },
    land => |_| vec![Segment { ports: (PORT, PORT), ..blank(0, 5_000).flags(SYN).between(HOST[0], HOST[0]) }.bytes()],
    teardrop => |_| vec![fragment_v4(0, true, &[1; 40]), fragment_v4(24, false, &[2; 4]), fragment_v4(16, true, &[3; 40])],
    fragments_beyond_65535 => |_| vec![fragment_v4(0, true, &[1; 8]), fragment_v4(0xfff8, false, &[2; 1_000])],
    atomic_fragment => |_| vec![fragment_v6(6, 0, false, &blank(1, 5_000).flags(SYN).bytes()[40..])],
    overlapping_ipv6_fragments => |_| vec![
        fragment_v6(6, 0, true, &[1; 64]),
        fragment_v6(6, 32, true, &[2; 64]),
        fragment_v6(6, 96, false, &[3; 8]),
    ],
    split_header_chain => |_| vec![fragment_v6(60, 0, true, &[6, 9, 1, 4, 0, 0, 0, 0])],
    extension_header_loop => |_| vec![ipv6(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(150)), ipv6(0, &[0, 0, 1, 4, 0, 0, 0, 0].repeat(150))],
    routing_header_of_type_0 => |_| vec![ipv6(43, &[6, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])],
    too_big_below_68 => |talk| {
        let ours = Segment { ports: (PORT, 5_000), seq: talk.iss.wrapping_add(1), ..blank(0, 0).between(HOST[0], PEER[0]) };
        (0..68).step_by(3).map(|mtu| icmp(3, 4, mtu, &ours)).collect()
    },
    icmp_that_quotes_an_error => |talk| {
        let inner = icmp(3, 3, 0, &text(talk));
        vec![icmp(3, 3, 0, &text(talk)), inner[20..].to_vec()].into_iter().filter(|packet| packet[0] == 0x45).collect()
    },
    small_segments_with_gaps => |talk| (0..5_000).map(|at| talk.segment(101 + 2 * at, 1).data(b"x").bytes()).collect(),
    zero_window_stall => |talk| (0..100).map(|_| talk.segment(1, 1).window(0).bytes()).collect(),
    optimistic_acks => |talk| [3_002, 10_000, 0x7fff_ffff, 0x8000_0001].iter().map(|&ack| talk.segment(1, ack).bytes()).collect(),
    resets_inside_the_window => |talk| (2..200).map(|seq| talk.segment(seq, 1).flags(RST).bytes()).collect(),
    syns_inside_the_window => |talk| (1..200).map(|seq| talk.segment(seq, 1).flags(SYN).bytes()).collect(),
}

#[test]
fn overlapping_data_does_not_change_what_came_first() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(11, 1).data(b"ABCDEFGHIJ"));
    for (seq, forged) in
        [(11, &b"0000000000"[..]), (6, b"xxxxx1111"), (16, b"2222222222"), (1, b"yyyyyyyyyyyyyyyyyyyyyyyyy")]
    {
        host.take(talk.segment(seq, 1).data(forged));
    }
    let received = host.received(&talk);
    assert_eq!(&received[..25], b"yyyyyxxxxxABCDEFGHIJ22222", "what came first stays");
    // What was delivered never changes.
    host.take(talk.segment(1, 1).data(&[b'z'; 60]));
    assert_eq!(host.received(&talk)[..25], received[..25]);
}

#[test]
fn data_after_fin_is_not_delivered() {
    let mut host = host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(1, 1).data(b"all").flags(FIN | ACK));
    host.take(talk.segment(5, 1).data(b"more"));
    host.take(talk.segment(4, 1).data(b"more"));
    assert_eq!(host.received(&talk), b"all");
    assert_eq!(host.stack.state(talk.id).name(), "close_wait");
    // A FIN that came early ends the stream where it stands, whatever lies behind it.
    let mut host = bench::host(|_| {});
    let talk = host.opened();
    host.take(talk.segment(4, 1).flags(FIN | ACK));
    host.take(talk.segment(1, 1).data(b"all"));
    assert_eq!(
        (host.received(&talk), host.stack.connection(talk.id).peer_has_finished()),
        (b"all".to_vec(), true)
    );
}

#[test]
fn timestamps_that_vanish() {
    let mut host = host(|settings| settings.timestamps = true);
    let offer = [2, 4, 3, 0xe8, 1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0];
    let answer = host.take(Segment { seq: IRS, ..blank(0, 5_000).flags(SYN).options(&offer) }).remove(0);
    let stamps = [&[1, 1, 8, 10, 0, 0, 0, 9][..], &answer.option(8).unwrap()[..4]].concat();
    let segment = |seq: u32| Segment {
        seq: IRS.wrapping_add(seq),
        ack: answer.seq.wrapping_add(1),
        ..blank(0, 5_000).options(&stamps)
    };
    host.take(segment(1));
    let Some(&wharf_stack::stack::Event::Connected(id)) = host.events.last() else { panic!("no connection") };
    assert!(host.take(segment(1).options(&[]).data(b"forged")).is_empty(), "dropped without a word");
    host.take(segment(1).data(b"honest"));
    let received: Vec<u8> = host.stack.received(id).0.flatten().copied().collect();
    assert_eq!(received, b"honest");
}

#[test]
fn challenges_are_limited_for_each_connection_alone() {
    let mut counts = Vec::new();
    {
        let mut host = host(|_| {});
        for port in 6_000..6_064 {
            let answer = host.take(Segment { seq: IRS, ..blank(0, port).flags(SYN) }).remove(0);
            let talk = Talk {
                iss: answer.seq,
                port,
                family: 0,
                id: wharf_stack::stack::ConnId::from_number(0),
                syn_ack: answer,
            };
            host.take(talk.segment(1, 1));
            counts.push((0..100).map(|_| host.take(talk.segment(100, 1).flags(RST)).len()).sum::<usize>());
        }
    }
    // What one connection has used up another still has, and how much that is nobody knows.
    assert!(counts.iter().all(|count| (8..16).contains(count)), "{counts:?}");
    let different: std::collections::BTreeSet<usize> = counts.into_iter().collect();
    assert!(different.len() > 4, "{different:?}");
}

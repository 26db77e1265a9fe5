//! A program that is root in its namespace may put any bytes on the link. Nothing it sends makes the stack panic or
//! grow, and the connections of others go on.

use std::time::Duration;

use proptest::prelude::*;
use wharf_sim::{Lab, Setup, Socket, StationId, mend};
use wharf_stack::interface::{ChecksumIn, FrameIn};
use wharf_stack::random::Random;
use wharf_stack::stack::{DatagramIn, Refusal};
use wharf_table::{Addr, Endpoint};

const OUTSIDE: Addr = Addr::v4([192, 0, 2, 80]);
const OUTSIDE_V6: Addr = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]);
const BUFFERS_MAX: usize = 4 << 20;
const CONNECTIONS_MAX: usize = 500;
const BATCH: usize = 32;

fn setup() -> Setup {
    Setup { buffer_limit: BUFFERS_MAX, max_connections: CONNECTIONS_MAX, ..Setup::default() }
        .impaired("delay=100us")
        .buffers(128 << 10)
}

/// Frames of every kind that a station sends, to a gateway or to another host.
fn corpus() -> Vec<Vec<u8>> {
    let (mut lab, program, gateway) = Lab::program_and_gateway(&setup().seed(99));
    let mut frames = Vec::new();
    for outside in [OUTSIDE, OUTSIDE_V6] {
        let near = lab.connect(program, outside, 80);
        lab.run_until(Duration::from_secs(1), |lab| lab.has_incoming(gateway)).unwrap();
        let far = lab.incoming(gateway).unwrap();
        lab.accept(far);
        converse(&mut lab, [program, gateway], [near, far], Endpoint::new(outside, 53));
    }
    frames.extend(sent_by(&lab, program));
    let (mut lab, client, server) = Lab::pair(&setup().seed(98));
    lab.listen(server, 80);
    for target in [lab.v4(server), lab.v6(server)] {
        let (near, far) = lab.establish(client, server, target, 80);
        converse(&mut lab, [client, server], [near, far], Endpoint::new(target, 53));
    }
    frames.extend(sent_by(&lab, client));
    frames.extend([echo(8), echo(13), dhcp(1), dhcp(3), router_solicitation()]);
    frames.iter_mut().for_each(|frame| mend(frame));
    frames
}

/// Data with losses, ends of all kinds, datagrams small and cut, a port that is closed.
fn converse(lab: &mut Lab, [from, to]: [StationId; 2], [near, far]: [Socket; 2], datagrams: Endpoint) {
    lab.send(near, &[7; 20_000]);
    lab.send(far, &[8; 20_000]);
    lab.impair(to, "delay=100us,loss=20%");
    lab.run_for(Duration::from_secs(2));
    lab.impair(to, "delay=100us");
    lab.finish(near);
    lab.run_for(Duration::from_secs(1));
    lab.abort(far);
    for len in [0, 100, 5_000] {
        lab.send_datagram(from, 5_000, datagrams, &vec![9; len]).unwrap();
    }
    let closed = if datagrams.addr.is_v4() { lab.v4(to) } else { lab.v6(to) };
    lab.connect(from, closed, 81);
    lab.run_for(Duration::from_secs(1));
}

fn sent_by(lab: &Lab, station: StationId) -> Vec<Vec<u8>> {
    let own = lab.hardware(station);
    let frames = lab.capture(station).frames().map(|(_, frame)| frame.to_vec());
    frames.filter(|frame| frame[6..12] == own).collect()
}

fn ethernet(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn ipv4(protocol: u8, dst: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let [high, low] = len.to_be_bytes();
    let mut packet = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 2, 1];
    packet.extend_from_slice(&dst);
    packet.extend_from_slice(payload);
    ethernet(0x0800, &packet)
}

fn echo(kind: u8) -> Vec<u8> {
    ipv4(1, [10, 0, 2, 2], &[kind, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
}

fn dhcp(message: u8) -> Vec<u8> {
    let mut datagram = vec![0; 8 + 240];
    datagram[..6].copy_from_slice(&[0, 68, 0, 67, 1, 0]);
    datagram[8..11].copy_from_slice(&[1, 1, 6]);
    datagram[36..42].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    datagram[244..248].copy_from_slice(&[99, 130, 83, 99]);
    datagram.extend_from_slice(&[53, 1, message, 55, 3, 1, 3, 6, 255]);
    let len = (datagram.len() as u16).to_be_bytes();
    datagram[4..6].copy_from_slice(&len);
    ipv4(17, [255; 4], &datagram)
}

fn router_solicitation() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 16, 58, 255];
    packet.extend_from_slice(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend_from_slice(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend_from_slice(&[133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1]);
    ethernet(0x86dd, &packet)
}

/// A frame that no honest program would send.
fn hostile(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    if random.below(10) == 0 {
        let mut frame = vec![0; random.below(200) as usize];
        random.fill(&mut frame);
        return frame;
    }
    let mut frame = corpus[random.below(corpus.len() as u64) as usize].clone();
    for _ in 0..random.below(6) {
        // Headers are where it hurts, so most faults go there.
        let reach = if random.below(4) == 0 { frame.len() } else { frame.len().min(80) };
        let at = random.below(reach as u64) as usize;
        match random.below(8) {
            0 => frame.truncate(at.max(14)),
            1 => frame.extend_from_slice(&vec![random.next_u64() as u8; at]),
            2 => frame[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5) as usize],
            3 => {
                let other = &corpus[random.below(corpus.len() as u64) as usize];
                frame.truncate(at);
                frame.extend_from_slice(&other[at.min(other.len())..]);
            }
            4 if frame.len() > at + 8 => random.fill(&mut frame[at..at + 8]),
            _ => frame[at] ^= 1 << random.below(8),
        }
        if frame.is_empty() {
            break;
        }
    }
    if random.below(4) > 0 {
        if let Some(hardware) = frame.first_chunk_mut::<6>() {
            *hardware = [2, 0, 0, 0, 0, 2];
        }
        mend(&mut frame);
    }
    frame
}

/// Sends `count` hostile frames to `target` beside an honest connection, and refuses whatever they open.
fn assault(lab: &mut Lab, target: StationId, sockets: [Socket; 2], random: &mut Random, count: usize) {
    let frames = corpus();
    assault_with(lab, target, sockets, random, count, |_| frames.clone());
}

/// The same with faults made of other frames; `renew` is asked for them now and then.
fn assault_with(
    lab: &mut Lab,
    target: StationId,
    sockets: [Socket; 2],
    random: &mut Random,
    count: usize,
    mut renew: impl FnMut(&mut Lab) -> Vec<Vec<u8>>,
) {
    let mut corpus = renew(lab);
    let mut sent = 0;
    for round in 0..count.div_ceil(BATCH) {
        let frames: Vec<Vec<u8>> = (0..BATCH).map(|_| hostile(random, &corpus)).collect();
        let batch: Vec<FrameIn<'_>> = frames
            .iter()
            .map(|bytes| {
                let trusted = random.below(2) == 0;
                let checksum = if trusted { ChecksumIn::Trusted } else { ChecksumIn::Unverified };
                let gso_size = if random.below(8) == 0 { random.next_u64() as u16 } else { 0 };
                FrameIn { bytes, checksum, gso_size }
            })
            .collect();
        let now = lab.now();
        lab.stack_mut(target).handle_frames(now, &batch, &mut |_: DatagramIn<'_>| {});
        if round % 100 == 99 {
            corpus = renew(lab);
        }
        if round % 4 == 0 {
            for socket in sockets {
                lab.send(socket, &(sent as u32).to_be_bytes().repeat(200));
            }
            sent += 1;
        }
        lab.run_for(Duration::from_micros(random.below(20_000)));
        while let Some(opened) = lab.incoming(target) {
            lab.refuse(opened, Refusal::Reset);
        }
        let stack = lab.stack(target);
        assert!(stack.buffered_bytes() <= BUFFERS_MAX && stack.connection_count() <= CONNECTIONS_MAX);
    }
    // On a shared link anybody may tell lies about his neighbours (RFC 3756): a host finds out when its probes fail, and TCP
    // sends again after that.
    lab.run_for(Duration::from_secs(300));
    let expected: Vec<u8> = (0..sent as u32).flat_map(|round| round.to_be_bytes().repeat(200)).collect();
    for socket in sockets {
        assert_eq!(lab.stream(socket).closed(), None);
        assert!(lab.stream(socket).received() == expected, "the honest connection has suffered");
    }
}

fn on_a_gateway(seed: u64, count: usize) {
    let (mut lab, program, gateway) = Lab::program_and_gateway(&setup().seed(seed));
    let near = lab.connect(program, OUTSIDE, 443);
    lab.run_until(Duration::from_secs(1), |lab| lab.has_incoming(gateway)).unwrap();
    let far = lab.incoming(gateway).unwrap();
    lab.accept(far);
    lab.bind_udp(gateway, 53);
    assault(&mut lab, gateway, [near, far], &mut Random::new(seed), count);
}

fn on_a_host(seed: u64, count: usize) {
    let (mut lab, client, server) = Lab::pair(&setup().seed(seed));
    for port in [80, 81, 443] {
        lab.listen(server, port);
    }
    lab.bind_udp(server, 53);
    let target = lab.v4(server);
    let (near, far) = lab.establish(client, server, target, 443);
    assault(&mut lab, server, [near, far], &mut Random::new(seed), count);
}

/// A program may spoil its own connection, whose numbers it knows, but no other.
#[test]
fn lies_about_a_connection_harm_that_one_alone() {
    let (mut lab, program, gateway) = Lab::program_and_gateway(&setup());
    let near = lab.connect(program, OUTSIDE, 443);
    lab.run_until(Duration::from_secs(1), |lab| lab.has_incoming(gateway)).unwrap();
    let far = lab.incoming(gateway).unwrap();
    lab.accept(far);
    let mut random = Random::new(5);
    assault_with(&mut lab, gateway, [near, far], &mut random, 100_000, |lab| {
        let victim = lab.connect(program, OUTSIDE, 80);
        lab.run_until(Duration::from_secs(20), |lab| lab.has_incoming(gateway)).unwrap();
        let other = lab.incoming(gateway).unwrap();
        lab.accept(other);
        lab.run_until(Duration::from_secs(20), |lab| lab.stream(victim).was_connected()).unwrap();
        lab.send(victim, &[1; 100_000]);
        lab.send(other, &[2; 400_000]);
        lab.impair(gateway, "delay=100us,loss=10%");
        let before = lab.capture(program).len();
        lab.run_for(Duration::from_millis(20));
        lab.impair(gateway, "delay=100us");
        let own = lab.hardware(program);
        let frames = lab.capture(program).frames().skip(before).map(|(_, frame)| frame.to_vec());
        frames.filter(|frame| frame[6..12] == own && frame[36..38] == 80_u16.to_be_bytes()).collect()
    });
}

#[test]
fn a_hundred_thousand_frames_do_a_gateway_no_harm() {
    on_a_gateway(1, 100_000);
}

#[test]
fn a_hundred_thousand_frames_do_a_host_no_harm() {
    on_a_host(2, 100_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_seed(seed: u64) {
        on_a_gateway(seed, 3_000);
        on_a_host(seed, 3_000);
    }
}

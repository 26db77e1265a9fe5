//! One who does not read holds the other back, and nobody else.

use std::time::Duration;

use wharf_sim::{Lab, Reading, Setup, Socket, StationId};

const SECOND: Duration = Duration::from_secs(1);

fn connected(setup: &Setup) -> (Lab, [StationId; 2], [Socket; 2]) {
    let (mut lab, client, server) = Lab::pair(setup);
    lab.listen(server, 80);
    let target = lab.v4(server);
    let (near, far) = lab.establish(client, server, target, 80);
    (lab, [client, server], [near, far])
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ i >> 8) as u8).collect()
}

#[test]
fn a_closed_window_holds_the_sender_and_reopens() {
    for text in ["delay=1ms", "delay=1ms,loss=20%"] {
        let setup = Setup::default().impaired(text).buffers(64 << 10);
        let (mut lab, [client, server], [near, far]) = connected(&setup);
        lab.read(far, Reading::Paused);
        let data = pattern(1 << 20);
        lab.send(near, &data);
        lab.run_for(120 * SECOND);
        // What was taken fits the two buffers, whatever bookkeeping they round by.
        let taken = lab.stream(near).sent();
        assert!((96 << 10..=160 << 10).contains(&taken), "{taken}");
        let held = lab.stack(client).buffered_bytes() + lab.stack(server).buffered_bytes();
        assert!(held <= 256 << 10, "{held}");
        // An hour of probes (RFC 9293, section 3.8.6.1) keeps it alive.
        lab.run_for(3_600 * SECOND);
        assert!(lab.stream(near).closed().is_none() && lab.stream(far).received().is_empty());
        lab.read(far, Reading::Eager);
        // The update that opens it may be lost; then a probe asks every two minutes, which may be lost as well.
        lab.run_until(1_200 * SECOND, |lab| lab.stream(far).received().len() == data.len()).unwrap();
        assert!(lab.stream(far).received() == data);
    }
}

#[test]
fn the_window_update_is_prompt() {
    let (mut lab, _, [near, far]) = connected(&Setup::default().impaired("delay=1ms").buffers(32 << 10));
    lab.read(far, Reading::Paused);
    let data = pattern(200 << 10);
    lab.send(near, &data);
    lab.run_for(30 * SECOND);
    lab.read(far, Reading::Eager);
    // Without one, the sender would find out with its next probe, many seconds later.
    let took = lab.run_until(60 * SECOND, |lab| lab.stream(far).received().len() == data.len()).unwrap();
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn a_lost_window_update_is_found_by_a_probe() {
    let (mut lab, [_, server], [near, far]) =
        connected(&Setup::default().impaired("delay=1ms").buffers(32 << 10));
    lab.read(far, Reading::Paused);
    let data = pattern(200 << 10);
    lab.send(near, &data);
    lab.run_for(SECOND);
    lab.impair(server, "loss=100%");
    lab.read(far, Reading::Eager);
    lab.run_for(Duration::from_millis(100));
    lab.impair(server, "delay=1ms");
    lab.run_until(60 * SECOND, |lab| lab.stream(far).received().len() == data.len()).unwrap();
    assert!(lab.stream(far).received() == data);
}

#[test]
fn a_reader_in_sips_gets_no_silly_segments() {
    let (mut lab, [client, _], [near, far]) =
        connected(&Setup::default().impaired("delay=1ms").buffers(16 << 10));
    lab.read(far, Reading::Paused);
    let data = pattern(64 << 10);
    lab.send(near, &data);
    lab.run_for(SECOND);
    let before = lab.capture(client).len();
    // A hundred bytes at a time: what leaves are still whole segments (RFC 9293, section 3.8.6.2).
    while lab.stream(far).received().len() < data.len() {
        lab.read(far, Reading::Sips(100));
        lab.read(far, Reading::Paused);
        lab.run_for(Duration::from_millis(5));
    }
    assert!(lab.stream(far).received() == data);
    let segments: Vec<usize> = lab
        .capture(client)
        .frames()
        .skip(before)
        .filter(|(_, frame)| frame[6..12] == lab.hardware(client))
        .map(|(_, frame)| frame.len() - 14 - 20 - 32)
        .filter(|&len| len > 0)
        .collect();
    let small = segments.iter().filter(|&&len| len < 1_000).count();
    assert!(small <= 3, "{small} of {} segments are small: {segments:?}", segments.len());
}

#[test]
fn a_slow_reader_stalls_nobody() {
    let setup = Setup::default().impaired("delay=1ms,rate=100mbit").buffers(64 << 10);
    let (mut lab, client, server) = Lab::pair(&setup);
    lab.listen(server, 80);
    let target = lab.v4(server);
    let pairs: Vec<_> = (0..10).map(|_| lab.establish(client, server, target, 80)).collect();
    let data = pattern(500 << 10);
    lab.read(pairs[0].1, Reading::Paused);
    for &(near, _) in &pairs {
        lab.send(near, &data);
    }
    let others = &pairs[1..];
    let done = |lab: &Lab| others.iter().all(|&(_, far)| lab.stream(far).received().len() == data.len());
    // Nine times 500 KiB are 0.37 s of this link.
    let took = lab.run_until(10 * SECOND, done).unwrap();
    assert!(took < 2 * SECOND, "{took:?}");
    assert!(lab.stream(pairs[0].1).received().is_empty());
}

#[test]
fn small_writes_are_gathered() {
    let (mut lab, [client, _], [near, far]) = connected(&Setup::default().impaired("delay=20ms"));
    let before = lab.capture(client).len();
    for byte in 0..100 {
        lab.send(near, &[byte]);
        lab.run_for(Duration::from_millis(1));
    }
    lab.run_until(SECOND, |lab| lab.stream(far).received().len() == 100).unwrap();
    // Nagle: one small segment on its way at a time (RFC 9293, section 3.7.4).
    let sent = lab.capture(client).len() - before;
    assert!(sent <= 14, "{sent} frames");
}

#[test]
fn no_delay_sends_at_once() {
    let mut setup = Setup::default().impaired("delay=20ms");
    setup.tcp.nagle = false;
    let (mut lab, _, [near, far]) = connected(&setup);
    lab.send(near, b"x");
    lab.run_for(Duration::from_millis(1));
    lab.send(near, b"y");
    let took = lab.run_until(SECOND, |lab| lab.stream(far).received() == b"xy").unwrap();
    assert!(took <= Duration::from_millis(21), "{took:?}");
}

#[test]
fn five_thousand_connections_each_get_their_own_answer() {
    let setup = Setup::default().impaired("delay=1ms,rate=1gbit,queue=100000").buffers(16 << 10);
    let (mut lab, client, server) = Lab::pair(&setup);
    lab.listen(server, 80);
    let target = lab.v4(server);
    // The neighbours get to know each other, and one reader is slow.
    let (slow, _) = lab.establish(client, server, target, 80);
    lab.read(slow, Reading::Paused);
    let sockets: Vec<Socket> = (0..5_000).map(|_| lab.connect(client, target, 80)).collect();
    for (nonce, &socket) in (0_u32..).zip(&sockets) {
        lab.send(socket, &nonce.to_be_bytes());
    }
    let mut echoed = Vec::new();
    while echoed.len() < sockets.len() {
        lab.run_until(10 * SECOND, |lab| lab.has_accepted(server)).unwrap();
        while let Some(far) = lab.accepted(server) {
            echoed.push(far);
        }
    }
    lab.run_until(10 * SECOND, |lab| echoed.iter().all(|&far| lab.stream(far).received().len() == 4))
        .unwrap();
    for &far in &echoed {
        let nonce = lab.stream(far).received().to_vec();
        lab.send(far, &nonce);
    }
    lab.run_until(10 * SECOND, |lab| sockets.iter().all(|&one| lab.stream(one).received().len() == 4))
        .unwrap();
    for (nonce, &socket) in (0_u32..).zip(&sockets) {
        assert_eq!(lab.stream(socket).received(), nonce.to_be_bytes());
    }
    // Idle, they hold no buffers.
    lab.run_for(SECOND);
    assert_eq!(lab.stack(client).buffered_bytes() + lab.stack(server).buffered_bytes(), 0);
}

#[test]
fn memory_too_small_for_all_serves_all_in_turn() {
    for text in ["delay=1ms", "delay=1ms,loss=3%,reorder=2%"] {
        let setup = Setup { buffer_limit: 512 << 10, ..Setup::default().impaired(text) };
        let (mut lab, client, server) = Lab::pair(&setup);
        lab.listen(server, 80);
        let target = lab.v4(server);
        let pairs: Vec<_> = (0..60).map(|_| lab.establish(client, server, target, 80)).collect();
        let data = pattern(100 << 10);
        for &(near, far) in &pairs {
            lab.send(near, &data);
            lab.send(far, &data);
        }
        let whole = |lab: &Lab, socket| lab.stream(socket).received().len() == data.len();
        let done = |lab: &Lab| pairs.iter().all(|&(near, far)| whole(lab, near) && whole(lab, far));
        let took = lab.run_until(300 * SECOND, done).unwrap();
        println!("{text}: {took:?}");
        for &(near, far) in &pairs {
            assert!(lab.stream(near).received() == data && lab.stream(far).received() == data);
        }
    }
}

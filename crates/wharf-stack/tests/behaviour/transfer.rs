//! Data arrives whole, whatever the link does to it.

use std::time::Duration;

use wharf_sim::{Lab, Setup, Socket};
use wharf_stack::random::Random;
use wharf_stack::tcp::{CloseReason, CongestionKind};
use wharf_table::Addr;

const MIB: usize = 1 << 20;

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Random::new(seed).fill(&mut bytes);
    bytes
}

/// Sends `there` and `back` at once over one connection, finishes both ways, and says how long that took.
fn exchange(setup: &Setup, there: usize, back: usize, limit: Duration) -> Duration {
    exchange_over(setup, there, back, limit, Lab::v4)
}

fn exchange_over(
    setup: &Setup,
    there: usize,
    back: usize,
    limit: Duration,
    address: fn(&Lab, wharf_sim::StationId) -> Addr,
) -> Duration {
    let (mut lab, client, server) = Lab::pair(setup);
    lab.listen(server, 80);
    let target = address(&lab, server);
    let (near, far) = lab.establish(client, server, target, 80);
    let (there, back) = (bytes(there, 1), bytes(back, 2));
    let begin = lab.now();
    for (socket, data) in [(near, &there), (far, &back)] {
        lab.send(socket, data);
        lab.finish(socket);
    }
    let ended = |lab: &Lab, socket: Socket| lab.stream(socket).reached_end();
    lab.run_until(limit, |lab| ended(lab, near) && ended(lab, far)).unwrap();
    let took = lab.now().since(begin);
    assert!(lab.stream(far).received() == there, "what arrived at the server is not what was sent");
    assert!(lab.stream(near).received() == back, "what arrived at the client is not what was sent");
    let both_closed = |lab: &Lab| [near, far].iter().all(|&socket| lab.stream(socket).closed().is_some());
    lab.run_until(Duration::from_secs(600), both_closed).unwrap();
    for socket in [near, far] {
        assert_eq!(lab.stream(socket).closed(), Some(CloseReason::Finished));
        lab.release(socket);
    }
    for station in [client, server] {
        assert_eq!(lab.stack(station).buffered_bytes(), 0);
        assert_eq!(lab.stack(station).connection_count(), 0);
    }
    took
}

/// Seconds that 1 MiB each way may take over a link of 10 ms delay, for each loss. A few times what the models of TCP say
/// (Mathis et al. 1997; Padhye et al. 1998), so that a stall of the retransmission timer shows.
const LOSSES: [(&str, u64); 6] =
    [("0%", 5), ("0.1%", 5), ("1%", 20), ("5%", 60), ("10%", 180), ("20%", 1_200)];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn over_a_good_link_at_its_speed() {
    let took = exchange(&Setup::default().impaired("delay=1ms"), 16 * MIB, 16 * MIB, seconds(10));
    assert!(took < seconds(1), "{took:?}");
}

#[test]
fn the_rate_of_the_link_is_used() {
    let took = exchange(&Setup::default().impaired("delay=5ms,rate=100mbit"), 16 * MIB, 0, seconds(10));
    assert!(took < Duration::from_millis(2_000), "16 MiB are 1.34 s of this link, it took {took:?}");
}

#[test]
fn through_loss() {
    for (loss, limit) in LOSSES {
        let text = format!("delay=10ms,loss={loss}");
        let took = exchange(&Setup::default().impaired(&text), MIB, MIB, seconds(limit));
        println!("loss {loss}: {took:?}");
    }
}

#[test]
fn sixteen_mebibytes_through_loss_and_reordering() {
    let text = "delay=2ms,jitter=1ms,loss=5%,reorder=3%,duplicate=1%,corrupt=0.5%";
    exchange(&Setup::default().impaired(text), 16 * MIB, 16 * MIB, seconds(300));
}

#[test]
fn through_reordering_without_much_harm() {
    let took = exchange(&Setup::default().impaired("delay=10ms,reorder=2%"), 4 * MIB, 0, seconds(60));
    println!("reordering: {took:?}");
}

#[test]
fn through_duplication_and_corruption() {
    for text in ["delay=3ms,duplicate=20%", "delay=3ms,corrupt=5%", "duplicate=100%"] {
        exchange(&Setup::default().impaired(text), 2 * MIB, 2 * MIB, seconds(120));
    }
}

#[test]
fn everything_at_once_whatever_the_seed() {
    let text = "delay=5ms,jitter=4ms,loss=8%,reorder=5%,duplicate=3%,corrupt=1%,rate=20mbit,queue=30";
    for seed in 1..=20 {
        let setup = Setup::default().impaired(text).seed(seed);
        exchange(&setup, 200_000, 200_000, seconds(300));
    }
}

#[test]
fn with_tiny_buffers_and_segments() {
    for (mtu, buffers) in [(576, 4_096), (1_280, 4_096), (1_500, 5_000), (9_000, 8_192), (65_520, 16_384)] {
        for loss in ["0%", "3%"] {
            let text = format!("delay=1ms,loss={loss}");
            let setup = Setup::default().impaired(&text).mtu(mtu).buffers(buffers);
            exchange(&setup, 300_000, 300_000, seconds(400));
        }
    }
}

#[test]
fn with_segments_as_large_as_the_link() {
    for mtu in [9_000, 65_520] {
        let setup = Setup::default().impaired("delay=1ms,loss=1%").mtu(mtu);
        exchange(&setup, 4 * MIB, 4 * MIB, seconds(120));
    }
}

#[test]
fn without_any_option() {
    let mut setup = Setup::default().impaired("delay=2ms,loss=2%,reorder=1%");
    setup.tcp.sack = false;
    exchange(&setup, MIB, MIB, seconds(200));
    setup.tcp.timestamps = false;
    exchange(&setup, MIB, MIB, seconds(200));
    setup.tcp.window_scale = false;
    exchange(&setup, MIB, MIB, seconds(200));
}

#[test]
fn with_newreno() {
    let mut setup = Setup::default().impaired("delay=5ms,loss=1%");
    setup.tcp.congestion = CongestionKind::NewReno;
    exchange(&setup, 2 * MIB, 2 * MIB, seconds(200));
}

#[test]
fn with_offloads_of_the_device() {
    let took = exchange(&Setup::default().offloads(), 16 * MIB, 16 * MIB, seconds(10));
    assert!(took < seconds(1), "{took:?}");
}

#[test]
fn over_ipv6() {
    let setup = Setup::default().impaired("delay=2ms,loss=2%,reorder=1%");
    exchange_over(&setup, 2 * MIB, 2 * MIB, seconds(120), Lab::v6);
    exchange_over(&setup.mtu(1_280), MIB, MIB, seconds(120), Lab::v6);
}

#[test]
fn a_hundred_connections_share_a_bad_link() {
    let setup = Setup::default().impaired("delay=5ms,loss=3%,reorder=2%,rate=100mbit");
    let (mut lab, client, server) = Lab::pair(&setup);
    lab.listen(server, 80);
    let target = lab.v4(server);
    let sockets: Vec<Socket> = (0..100).map(|_| lab.connect(client, target, 80)).collect();
    for (seed, &socket) in sockets.iter().enumerate() {
        lab.send(socket, &bytes(50_000, seed as u64));
        lab.finish(socket);
    }
    let mut far = Vec::new();
    for _ in &sockets {
        lab.run_until(seconds(120), |lab| lab.has_accepted(server)).unwrap();
        far.extend(lab.accepted(server));
    }
    lab.run_until(seconds(300), |lab| far.iter().all(|&socket| lab.stream(socket).reached_end())).unwrap();
    let mut sent: Vec<_> = (0..100).map(|seed| bytes(50_000, seed)).collect();
    let mut received: Vec<_> = far.iter().map(|&socket| lab.stream(socket).received().to_vec()).collect();
    sent.sort_unstable();
    received.sort_unstable();
    assert!(sent == received);
}

//! Data arrives whole, whatever the link does to it.

use std::time::Duration;

use wharf_sim::{Lab, Setup, Socket};
use wharf_stack::random::Random;
use wharf_stack::tcp::CloseReason;
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

#[test]
fn over_a_good_link() {
    let took = exchange(&Setup::default().impaired("delay=1ms"), 16 * MIB, 16 * MIB, Duration::from_secs(10));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

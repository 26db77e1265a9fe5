//! Nothing happens: keepalive (RFC 9293, section 3.8.4).

use core::time::Duration;

use super::bench::*;
use crate::tcp::*;

fn watched() -> Bench {
    let keepalive = Keepalive { idle: ms(10_000), interval: ms(1_000), probes: 3 };
    Bench::established(&Settings { keepalive: Some(keepalive), ..plain() })
}

#[test]
fn by_default_an_idle_connection_has_no_timer() {
    assert_eq!(Bench::plain().conn.poll_timeout(), None);
}

#[test]
fn an_idle_peer_is_asked_and_its_answer_counts() {
    let mut bench = watched();
    for _ in 0..10 {
        assert_eq!(bench.expire(), ms(10_000));
        assert_eq!(bench.one().shape(), (0, 0, ACK));
        bench.take(ack(1, 1)).expect("good");
        bench.silent();
    }
}

#[test]
fn an_idle_peer_that_is_gone_is_given_up() {
    let mut bench = watched();
    let mut waits = std::vec::Vec::new();
    while !bench.conn.is_closed() {
        waits.push(bench.expire());
        bench.sent();
    }
    assert_eq!(waits, [ms(10_000), ms(1_000), ms(1_000), ms(1_000)]);
    assert_eq!(bench.conn.closed_by(), CloseReason::TimedOut);
}

#[test]
fn while_data_is_on_its_way_nobody_is_asked() {
    let mut bench = watched();
    bench.send(b"x");
    bench.sent();
    let mut seen = Duration::ZERO;
    while seen < ms(30_000) {
        seen += bench.expire();
        assert!(bench.sent().iter().all(|sent| sent.shape() == (1, 1, ACK)));
    }
    assert_eq!(bench.conn.state(), State::Established);
}

#[test]
fn a_keepalive_of_the_peer_is_answered() {
    let mut bench = Bench::plain();
    let _ = bench.take(ack(0, 1));
    assert_eq!(bench.one().shape(), (1, 0, ACK));
    let _ = bench.take(ack(0, 1).data(b"?"));
    assert_eq!(bench.one().shape(), (1, 0, ACK));
    assert!(bench.received().is_empty());
}

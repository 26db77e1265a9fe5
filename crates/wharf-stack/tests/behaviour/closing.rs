//! How connections end: half, whole, by reset, by silence.

use std::time::Duration;

use wharf_sim::{Lab, Reading, Setup, Socket, StationId};
use wharf_stack::tcp::{CloseReason, Keepalive, State, Unreachable};

const SECOND: Duration = Duration::from_secs(1);

fn connected(setup: &Setup) -> (Lab, [StationId; 2], [Socket; 2]) {
    let (mut lab, client, server) = Lab::pair(setup);
    lab.listen(server, 80);
    let target = lab.v4(server);
    let (near, far) = lab.establish(client, server, target, 80);
    (lab, [client, server], [near, far])
}

fn good() -> Setup {
    Setup::default().impaired("delay=1ms")
}

fn state(lab: &Lab, station: StationId, socket: Socket) -> State {
    lab.stack(station).state(lab.conn(socket))
}

#[test]
fn a_half_closed_connection_still_carries_the_other_half() {
    let (mut lab, [client, server], [near, far]) = connected(&good());
    lab.send(near, b"a question");
    lab.finish(near);
    lab.run_until(SECOND, |lab| lab.stream(far).reached_end()).unwrap();
    assert_eq!(lab.stream(far).received(), b"a question");
    lab.run_for(SECOND);
    assert_eq!(state(&lab, client, near), State::FinWait2);
    assert_eq!(state(&lab, server, far), State::CloseWait);
    // Minutes later a long answer comes, and is taken.
    lab.run_for(300 * SECOND);
    let answer = vec![7; 3 << 20];
    lab.send(far, &answer);
    lab.finish(far);
    lab.run_until(10 * SECOND, |lab| lab.stream(near).reached_end()).unwrap();
    assert!(lab.stream(near).received() == answer);
    assert_eq!(state(&lab, client, near), State::TimeWait);
    lab.run_until(SECOND, |lab| lab.stream(far).closed() == Some(CloseReason::Finished)).unwrap();
    let took = lab.run_until(200 * SECOND, |lab| lab.stream(near).closed().is_some()).unwrap();
    assert!(took > 55 * SECOND && took < 65 * SECOND, "TIME-WAIT took {took:?}");
}

#[test]
fn both_may_close_at_once() {
    let (mut lab, stations, sockets) = connected(&good());
    sockets.iter().for_each(|&socket| lab.finish(socket));
    lab.run_for(SECOND);
    for (station, socket) in stations.into_iter().zip(sockets) {
        assert!(lab.stream(socket).reached_end());
        assert_eq!(state(&lab, station, socket), State::TimeWait);
    }
    lab.run_until(200 * SECOND, |lab| sockets.iter().all(|&one| lab.stream(one).closed().is_some())).unwrap();
}

#[test]
fn a_reset_ends_both_sides_at_once() {
    let (mut lab, [client, server], [near, far]) = connected(&good());
    lab.send(near, b"half a sent");
    lab.run_until(SECOND, |lab| !lab.stream(far).received().is_empty()).unwrap();
    lab.abort(near);
    lab.run_until(SECOND, |lab| lab.stream(far).closed().is_some()).unwrap();
    assert_eq!(lab.stream(far).closed(), Some(CloseReason::ResetByPeer));
    assert_eq!(lab.stream(near).closed(), Some(CloseReason::Aborted));
    lab.release(near);
    lab.release(far);
    assert_eq!((lab.stack(client).connection_count(), lab.stack(server).connection_count()), (0, 0));
}

#[test]
fn what_was_read_before_a_reset_is_kept() {
    let (mut lab, _, [near, far]) = connected(&good());
    lab.read(far, Reading::Paused);
    lab.send(near, b"the last words");
    lab.run_for(SECOND);
    lab.abort(near);
    lab.run_until(SECOND, |lab| lab.stream(far).closed().is_some()).unwrap();
    lab.read(far, Reading::Eager);
    assert_eq!(lab.stream(far).received(), b"the last words");
}

#[test]
fn data_for_one_who_has_left_is_answered_with_a_reset() {
    let (mut lab, _, [near, far]) = connected(&good());
    lab.release(far);
    lab.run_for(SECOND);
    assert!(lab.stream(near).reached_end());
    lab.send(near, b"are you there?");
    lab.run_until(SECOND, |lab| lab.stream(near).closed().is_some()).unwrap();
    assert_eq!(lab.stream(near).closed(), Some(CloseReason::ResetByPeer));
}

#[test]
fn what_was_sent_is_delivered_though_its_sender_has_left() {
    let (mut lab, [client, _], [near, far]) = connected(&Setup::default().impaired("delay=5ms,loss=5%"));
    let data: Vec<u8> = (0..500_000_u32).map(|i| i as u8).collect();
    lab.read(far, Reading::Paused);
    lab.send(near, &data);
    lab.run_until(10 * SECOND, |lab| lab.stream(near).sent() == data.len()).unwrap();
    lab.release(near);
    lab.read(far, Reading::Eager);
    lab.run_until(60 * SECOND, |lab| lab.stream(far).reached_end()).unwrap();
    assert!(lab.stream(far).received() == data);
    lab.finish(far);
    lab.run_for(200 * SECOND);
    assert_eq!(lab.stack(client).connection_count(), 0);
    assert_eq!(lab.stack(client).buffered_bytes(), 0);
}

#[test]
fn one_that_finished_and_left_does_not_wait_for_ever() {
    let (mut lab, [client, _], [near, _far]) = connected(&good());
    lab.release(near);
    // The far side never finishes: FIN-WAIT-2 of an orphan ends by itself.
    lab.run_for(200 * SECOND);
    assert_eq!(lab.stack(client).connection_count(), 0);
}

#[test]
fn a_peer_that_has_gone_is_given_up() {
    let (mut lab, [client, server], [near, _]) = connected(&good());
    lab.send(near, b"anyone?");
    lab.impair(client, "loss=100%");
    lab.impair(server, "loss=100%");
    lab.send(near, b"still?");
    let took = lab.run_until(3_600 * SECOND, |lab| lab.stream(near).closed().is_some()).unwrap();
    // Its neighbour has said why (RFC 1122, section 4.2.3.9; RFC 5461, section 4).
    assert_eq!(lab.stream(near).closed(), Some(CloseReason::Unreachable(Unreachable::Host)));
    // At least 100 s (RFC 9293, section 3.8.3), about a quarter of an hour as Linux has it.
    assert!(took > 600 * SECOND && took < 1_800 * SECOND, "{took:?}");
}

#[test]
fn keepalive_finds_out_that_nobody_is_there() {
    let mut setup = good();
    let (idle, interval) = (60 * SECOND, 10 * SECOND);
    setup.tcp.keepalive = Some(Keepalive { idle, interval, probes: 3 });
    let (mut lab, [client, server], [near, far]) = connected(&setup);
    lab.run_for(1_000 * SECOND);
    assert!([near, far].iter().all(|&socket| lab.stream(socket).closed().is_none()));
    lab.impair(client, "loss=100%");
    lab.impair(server, "loss=100%");
    let took = lab.run_until(200 * SECOND, |lab| lab.stream(near).closed().is_some()).unwrap();
    assert_eq!(lab.stream(near).closed(), Some(CloseReason::TimedOut));
    assert!(took > 30 * SECOND && took <= 91 * SECOND, "{took:?}");
}

#[test]
fn an_idle_connection_costs_nothing() {
    let (mut lab, [client, server], [near, _]) = connected(&good());
    lab.send(near, b"hello");
    // The neighbours may ask once more for each other.
    lab.run_for(100 * SECOND);
    let before = lab.capture(client).len();
    lab.run_for(10_000 * SECOND);
    assert_eq!(lab.capture(client).len(), before);
    assert_eq!(lab.stack(server).poll_timeout(), None);
    assert_eq!(lab.stack(client).buffered_bytes() + lab.stack(server).buffered_bytes(), 0);
}

//! How connections begin: accepted, refused, withheld, unanswered.

use std::time::Duration;

use wharf_sim::{Lab, Setup, StationId};
use wharf_stack::stack::Refusal;
use wharf_stack::tcp::{CloseReason, State, Unreachable};
use wharf_table::{Addr, DropReason, Endpoint};

const SECOND: Duration = Duration::from_secs(1);
/// An address that only a gateway answers for.
const OUTSIDE_V4: Addr = Addr::v4([192, 0, 2, 80]);
const OUTSIDE_V6: Addr = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]);

fn good() -> Setup {
    Setup::default().impaired("delay=1ms")
}

/// TCP segments with these flags (and no other of SYN, FIN, RST, ACK) that a station sent or got.
fn segments(lab: &Lab, station: StationId, flags: u8) -> usize {
    let of_tcp4 = |frame: &[u8]| frame.len() > 47 && frame[12..14] == [8, 0] && frame[23] == 6;
    lab.capture(station)
        .frames()
        .filter(|(_, frame)| of_tcp4(frame) && frame[14 + 20 + 13] & 0b1_0111 == flags)
        .count()
}

const SYN: u8 = 0b0010;
const SYN_ACK: u8 = 0b1_0010;

#[test]
fn a_closed_port_refuses_at_once() {
    let (mut lab, client, server) = Lab::pair(&good());
    for target in [lab.v4(server), lab.v6(server)] {
        let socket = lab.connect(client, target, 81);
        let took = lab.run_until(SECOND, |lab| lab.stream(socket).closed().is_some()).unwrap();
        assert_eq!(lab.stream(socket).closed(), Some(CloseReason::Refused));
        assert!(took < Duration::from_millis(10) && !lab.stream(socket).was_connected());
        lab.release(socket);
    }
    assert_eq!(lab.stack(server).drops().of(DropReason::NoListener), 2);
    assert_eq!((lab.stack(client).connection_count(), lab.stack(server).connection_count()), (0, 0));
}

#[test]
fn a_listener_names_itself_and_the_client() {
    let (mut lab, client, server) = Lab::pair(&good());
    lab.listen(server, 80);
    lab.listen(server, 81);
    let target = lab.v4(server);
    let source = Endpoint::new(lab.v4(client), 4_242);
    let near = lab.connect_from(client, source, Endpoint::new(target, 81));
    lab.run_until(SECOND, |lab| lab.has_accepted(server)).unwrap();
    let far = lab.accepted(server).unwrap();
    let conn = lab.conn(far);
    assert_eq!(lab.stack(server).listener_of(conn), Some(81));
    assert_eq!(lab.stack(server).tuple(conn).remote, source);
    lab.run_until(SECOND, |lab| lab.stream(near).was_connected()).unwrap();
}

#[test]
fn a_syn_to_the_outside_waits_for_the_owner() {
    for outside in [OUTSIDE_V4, OUTSIDE_V6] {
        let (mut lab, program, gateway) = Lab::program_and_gateway(&good());
        let near = lab.connect(program, outside, 443);
        lab.run_until(SECOND, |lab| lab.has_incoming(gateway)).unwrap();
        let far = lab.incoming(gateway).unwrap();
        assert_eq!(lab.stack(gateway).tuple(lab.conn(far)).local, Endpoint::new(outside, 443));
        // The host side takes its time: nothing is said inside, the program's SYNs come again.
        lab.run_for(5 * SECOND);
        assert!(!lab.stream(near).was_connected() && lab.stream(near).closed().is_none());
        assert_eq!(segments(&lab, program, SYN_ACK), 0);
        assert!(!lab.has_incoming(gateway), "a repeated SYN is no second connection");
        lab.accept(far);
        let took = lab.run_until(SECOND, |lab| lab.stream(near).was_connected()).unwrap();
        assert!(took < Duration::from_millis(10), "{took:?}");
        lab.send(near, b"hello");
        lab.send(far, b"welcome");
        lab.run_until(SECOND, |lab| lab.stream(far).received() == b"hello").unwrap();
        lab.run_until(SECOND, |lab| lab.stream(near).received() == b"welcome").unwrap();
    }
}

#[test]
fn a_refusal_is_told_as_the_owner_says() {
    let reset = (Refusal::Reset, Some(CloseReason::Refused));
    let silent = (Refusal::Silent, None);
    for outside in [OUTSIDE_V4, OUTSIDE_V6] {
        for (how, expected) in [reset, silent] {
            let (mut lab, program, gateway) = Lab::program_and_gateway(&good());
            let near = lab.connect(program, outside, 443);
            lab.run_until(SECOND, |lab| lab.has_incoming(gateway)).unwrap();
            let far = lab.incoming(gateway).unwrap();
            lab.refuse(far, how);
            lab.run_for(Duration::from_millis(100));
            assert_eq!(lab.stream(near).closed(), expected, "{how:?}");
            assert_eq!(lab.stack(gateway).connection_count(), 0);
        }
    }
}

#[test]
fn an_unreachable_host_is_told_by_icmp() {
    for outside in [OUTSIDE_V4, OUTSIDE_V6] {
        let (mut lab, program, gateway) = Lab::program_and_gateway(&good());
        let near = lab.connect(program, outside, 443);
        lab.run_until(SECOND, |lab| lab.has_incoming(gateway)).unwrap();
        let far = lab.incoming(gateway).unwrap();
        lab.refuse(far, Refusal::Unreachable(Unreachable::Host));
        lab.run_for(Duration::from_millis(100));
        // To a connection that never was, it is the end, as in Linux (RFC 5461, section 4.1).
        let expected = CloseReason::Unreachable(Unreachable::Host);
        assert_eq!(lab.stream(near).closed(), Some(expected));
    }
}

#[test]
fn a_silent_neighbor_is_given_up_before_the_last_syn() {
    let (mut lab, client, server) = Lab::pair(&good());
    lab.impair(server, "loss=100%");
    let target = lab.v4(server);
    let socket = lab.connect(client, target, 80);
    let closed = |lab: &Lab| lab.stream(socket).closed().is_some();
    // The neighbour does not answer either, which is known sooner.
    let took = lab.run_until(300 * SECOND, closed).unwrap();
    assert_eq!(lab.stream(socket).closed(), Some(CloseReason::Unreachable(Unreachable::Host)));
    // Three questions after the neighbour, a second each, as Linux asks (RFC 4861, section 10); not the 251 s of the SYNs.
    assert_eq!(took.as_secs(), 3);
}

#[test]
fn handshakes_survive_loss() {
    let (mut lab, client, server) = Lab::pair(&Setup::default().impaired("delay=5ms,loss=30%").seed(3));
    lab.listen(server, 80);
    let target = lab.v4(server);
    let sockets: Vec<_> = (0..50).map(|_| lab.connect(client, target, 80)).collect();
    let all_up = |lab: &Lab| sockets.iter().all(|&socket| lab.stream(socket).was_connected());
    lab.run_until(130 * SECOND, all_up).unwrap();
}

#[test]
fn both_sides_may_open_at_once() {
    let (mut lab, one, other) = Lab::pair(&good());
    let ends = [Endpoint::new(lab.v4(one), 1_000), Endpoint::new(lab.v4(other), 2_000)];
    let left = lab.connect_from(one, ends[0], ends[1]);
    let right = lab.connect_from(other, ends[1], ends[0]);
    let up = |lab: &Lab| [left, right].iter().all(|&socket| lab.stream(socket).was_connected());
    lab.run_until(10 * SECOND, up).unwrap();
    lab.send(left, b"from the left");
    lab.send(right, b"from the right");
    lab.run_until(SECOND, |lab| lab.stream(right).received() == b"from the left").unwrap();
    lab.run_until(SECOND, |lab| lab.stream(left).received() == b"from the right").unwrap();
}

#[test]
fn a_newcomer_beyond_the_limit_is_reset_and_the_others_go_on() {
    let mut lab = Lab::new();
    let client = lab.host(&good());
    let small = lab.host(&Setup { max_connections: 10, ..good() });
    lab.listen(small, 80);
    let target = lab.v4(small);
    let (first, far) = lab.establish(client, small, target, 80);
    let newcomers: Vec<_> = (0..12).map(|_| lab.connect(client, target, 80)).collect();
    lab.run_for(SECOND);
    let refused =
        newcomers.iter().filter(|&&socket| lab.stream(socket).closed() == Some(CloseReason::Refused));
    assert_eq!(refused.count(), 3);
    assert_eq!(lab.stack(small).connection_count(), 10);
    lab.send(first, b"still here");
    lab.run_until(SECOND, |lab| lab.stream(far).received() == b"still here").unwrap();
}

#[test]
fn the_syn_is_sent_once_a_second_then_slower() {
    let (mut lab, client, server) = Lab::pair(&good());
    lab.listen(server, 80);
    let target = lab.v4(server);
    // The neighbours know each other; then the way to the server breaks.
    lab.establish(client, server, target, 80);
    lab.impair(client, "loss=100%");
    let before = segments(&lab, client, SYN);
    lab.connect(client, target, 80);
    lab.run_for(Duration::from_millis(8_000));
    // At 0, 1, 2, 3, 4, 5 and 7 s: Linux doubles from the fifth repetition on (RFC 6298, section 5, would from the first).
    assert_eq!(segments(&lab, client, SYN) - before, 7);
}

#[test]
fn a_port_in_time_wait_takes_a_newer_syn() {
    let (mut lab, client, server) = Lab::pair(&good());
    lab.listen(server, 80);
    let (source, target) = (Endpoint::new(lab.v4(client), 5_000), Endpoint::new(lab.v4(server), 80));
    let near = lab.connect_from(client, source, target);
    lab.run_until(SECOND, |lab| lab.has_accepted(server)).unwrap();
    let far = lab.accepted(server).unwrap();
    // The server closes first, so it is the one that waits.
    lab.finish(far);
    lab.run_until(SECOND, |lab| lab.stream(near).reached_end()).unwrap();
    lab.finish(near);
    lab.run_until(SECOND, |lab| lab.stream(near).closed().is_some()).unwrap();
    let conn = lab.conn(far);
    assert_eq!(lab.stack(server).state(conn), State::TimeWait);
    lab.release(near);
    lab.release(far);
    let again = lab.connect_from(client, source, target);
    let took = lab.run_until(10 * SECOND, |lab| lab.stream(again).was_connected()).unwrap();
    assert!(took < Duration::from_millis(10), "{took:?}");
}

#[test]
fn handshakes_that_nobody_finishes_leave_nothing_behind() {
    let (mut lab, client, server) = Lab::pair(&good());
    lab.listen(server, 80);
    let target = lab.v4(server);
    lab.establish(client, server, target, 80);
    // The server's answers are lost, as are those to a flood of SYNs from forged addresses.
    lab.impair(server, "loss=100%");
    for _ in 0..100 {
        lab.connect(client, target, 80);
    }
    lab.run_for(SECOND);
    assert_eq!(lab.stack(server).connection_count(), 101);
    lab.run_for(300 * SECOND);
    assert_eq!(lab.stack(server).connection_count(), 1);
    assert!(!lab.has_accepted(server));
}

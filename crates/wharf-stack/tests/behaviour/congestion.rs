//! Congestion control on a bottleneck: who fills it, how long its queue gets, who shares it fairly, and what marks do.

use std::time::Duration;

use wharf_sim::{Lab, Setup, Socket};
use wharf_stack::tcp::{CaState, CongestionKind, EcnMode, TcpInfo};
use wharf_table::{Addr, Instant};

const RATE: f64 = 20e6;

fn setup(kind: CongestionKind) -> Setup {
    let mut setup = Setup::default().impaired("delay=10ms").buffers(4 << 20);
    setup.tcp.congestion = kind;
    setup
}

/// A client behind a bottleneck, as `text` says, and a server.
fn lab(setup: &Setup, text: &str) -> (Lab, Socket, Socket) {
    let (mut lab, client, server) = Lab::pair(setup);
    lab.listen(server, 80);
    let target = lab.v4(server);
    let (near, far) = lab.establish(client, server, target, 80);
    lab.impair(client, text);
    (lab, near, far)
}

fn info(lab: &Lab, socket: Socket) -> TcpInfo {
    lab.stack(socket.station()).connection(lab.conn(socket)).info(lab.now())
}

/// Bits a second that arrive within `span`.
fn goodput(lab: &mut Lab, far: Socket, span: Duration) -> f64 {
    let before = lab.stream(far).received().len();
    lab.run_for(span);
    (lab.stream(far).received().len() - before) as f64 * 8.0 / span.as_secs_f64()
}

#[test]
fn bbr_fills_the_bottleneck_and_keeps_its_queue_short() {
    for text in ["delay=10ms,rate=20mbit,queue=1000", "delay=10ms,rate=20mbit,queue=60"] {
        let (mut lab, near, far) = lab(&setup(CongestionKind::Bbr), text);
        lab.send(near, &vec![7; 60 << 20]);
        lab.run_for(Duration::from_secs(2));
        let got = goodput(&mut lab, far, Duration::from_secs(10));
        // Headers are 66 of 1514 bytes.
        assert!(got > 0.9 * RATE * 1448.0 / 1514.0, "{text}: {got}");
        let mut longest = 0;
        for _ in 0..200 {
            lab.run_for(Duration::from_millis(10));
            longest = longest.max(info(&lab, near).rtt);
        }
        assert!(longest < 50_000, "{text}: a round trip of 20 ms became {longest} us");
    }
}

#[test]
fn bbr_holds_its_rate_where_random_loss_would_stop_others() {
    let [bbr, cubic] = [CongestionKind::Bbr, CongestionKind::Cubic].map(|kind| {
        let (mut lab, near, far) = lab(&setup(kind), "delay=20ms,rate=50mbit,loss=0.5%");
        lab.send(near, &vec![7; 60 << 20]);
        lab.run_for(Duration::from_secs(3));
        goodput(&mut lab, far, Duration::from_secs(5))
    });
    assert!(bbr > 35e6 && cubic < bbr / 2.0, "{bbr} and {cubic}");
}

/// Two flows of one client through one bottleneck.
fn share(kind: CongestionKind) -> (f64, f64) {
    let setup = setup(kind);
    let (mut lab, client, server) = Lab::pair(&setup);
    lab.listen(server, 80);
    let target: Addr = lab.v4(server);
    let (near, far) = lab.establish(client, server, target, 80);
    lab.impair(client, "delay=10ms,rate=20mbit,queue=100");
    lab.send(near, &vec![7; 120 << 20]);
    lab.run_for(Duration::from_secs(3));
    let (late, late_far) = lab.establish(client, server, target, 80);
    lab.send(late, &vec![7; 120 << 20]);
    lab.run_for(Duration::from_secs(10));
    let before = [far, late_far].map(|far| lab.stream(far).received().len());
    lab.run_for(Duration::from_secs(20));
    let after = [far, late_far].map(|far| lab.stream(far).received().len());
    ((after[0] - before[0]) as f64 * 8.0 / 20.0, (after[1] - before[1]) as f64 * 8.0 / 20.0)
}

#[test]
fn two_flows_share_a_bottleneck() {
    for kind in CongestionKind::ALL {
        let (first, second) = share(kind);
        assert!(first + second > 0.85 * RATE, "{kind:?}: {first} and {second}");
        // Jain's index of two.
        let fairness = (first + second).powi(2) / (2.0 * (first.powi(2) + second.powi(2)));
        assert!(fairness > 0.8, "{kind:?}: {first} and {second}");
    }
}

#[test]
fn a_pacing_limit_is_kept() {
    for rate in [125_000_u64, 1_250_000] {
        let mut setup = setup(CongestionKind::Cubic);
        setup.tcp.max_pacing_rate = rate;
        let (mut lab, near, far) = lab(&setup, "delay=10ms");
        lab.send(near, &vec![7; 20 << 20]);
        lab.run_for(Duration::from_secs(1));
        let got = goodput(&mut lab, far, Duration::from_secs(4)) / 8.0;
        assert!((got / rate as f64 - 1.0).abs() < 0.03, "{got} of {rate}");
        assert_eq!(info(&lab, near).max_pacing_rate, rate);
    }
}

/// RFC 3168: marks take the place of losses.
#[test]
fn marks_hold_the_queue_down_without_a_loss() {
    for kind in CongestionKind::ALL {
        let mut setup = setup(kind);
        setup.tcp.ecn = EcnMode::Active;
        let (mut lab, near, far) = lab(&setup, "delay=10ms,rate=20mbit,queue=1000,mark=40");
        lab.send(near, &vec![7; 60 << 20]);
        lab.run_for(Duration::from_secs(3));
        let got = goodput(&mut lab, far, Duration::from_secs(10));
        let info = info(&lab, near);
        assert!(got > 0.85 * RATE, "{kind:?}: {got}");
        assert!(info.options.ecn && info.total_retrans == 0, "{kind:?}: {info:?}");
        if kind != CongestionKind::Bbr {
            assert!(info.delivered_ce > 0 && info.snd_ssthresh < 1_000, "{kind:?}: {info:?}");
        }
        assert!(info.rtt < 70_000, "{kind:?}: {info:?}");
    }
}

#[test]
fn without_agreement_nothing_is_marked() {
    for (client, server) in [
        (EcnMode::Passive, EcnMode::Passive),
        (EcnMode::Active, EcnMode::Off),
        (EcnMode::Off, EcnMode::Active),
    ] {
        let mut lab = Lab::new();
        let mut ends = [client, server].map(|mode| {
            let mut setup = setup(CongestionKind::Cubic);
            setup.tcp.ecn = mode;
            lab.host(&setup)
        });
        let [near, far] = &mut ends;
        lab.listen(*far, 80);
        let target = lab.v4(*far);
        let (near, far) = lab.establish(*near, *far, target, 80);
        lab.send(near, &[7; 100_000]);
        lab.run_for(Duration::from_secs(1));
        assert!(!info(&lab, near).options.ecn && !info(&lab, far).options.ecn_seen, "{client:?} {server:?}");
        assert_eq!(lab.stream(far).received().len(), 100_000);
    }
}

#[test]
fn what_a_connection_tells_of_itself_adds_up() {
    let (mut lab, near, far) = lab(&setup(CongestionKind::Cubic), "delay=10ms,rate=20mbit,queue=30");
    let begin: Instant = lab.now();
    lab.send(near, &vec![7; 5 << 20]);
    lab.run_until(Duration::from_secs(20), |lab| lab.stream(far).received().len() == 5 << 20).expect("done");
    let busy = lab.now().since(begin).as_micros() as u64;
    lab.run_for(Duration::from_secs(1));
    let (near, far) = (info(&lab, near), info(&lab, far));
    assert_eq!(near.bytes_acked, (5 << 20) + 1, "the SYN is one");
    assert_eq!(far.bytes_received, 5 << 20);
    assert_eq!(near.bytes_sent - near.bytes_retrans, 5 << 20);
    assert_eq!(near.segs_in, far.segs_out);
    assert!(near.total_retrans > 0 && near.data_segs_out >= far.data_segs_in);
    assert_eq!((near.unacked, near.notsent_bytes, near.ca_state), (0, 0, CaState::Open));
    assert!(near.min_rtt >= 20_000 && near.min_rtt < 23_000 && near.rtt >= near.min_rtt, "{near:?}");
    let share = near.delivery_rate as f64 * 8.0 / RATE;
    assert!((0.7..1.1).contains(&share), "{share}");
    let total = near.busy_time as f64;
    // The last acknowledgment may wait for 40 ms.
    assert!((0.0..60_000.0).contains(&(total - busy as f64)), "{total} of {busy}");
    assert!(near.last_data_sent > 900 && near.last_ack_recv > 900 && far.last_data_recv > 900);
}

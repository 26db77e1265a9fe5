use std::time::Duration;

use wharf_sys::netlink::destroyed::Destroyed;
use wharf_table::Endpoint;
use wharf_table::rows::{End, Network, OwnerLink, OwnerSpan, ProcessId, Role, Transport};

use super::news::Doer;
use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + seconds)
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn here() -> Network {
    Network { name: "host".into(), inode: 7, ..Network::default() }
}

/// A row by its cookie, ends and state, of the process 100 + cookie.
fn row(cookie: u64, local: &str, remote: Option<&str>, state: State) -> Row {
    let mut row = Row::new(Transport::Tcp, End::new(endpoint(local)), state);
    row.cookie = cookie;
    row.inode = std::num::NonZeroU64::new(cookie);
    row.remote = remote.map(|text| End::new(endpoint(text)));
    row
}

fn rows(of: &[Row]) -> Rows {
    let mut rows = Rows { networks: vec![here()], ..Rows::default() };
    for row in of {
        let mut row = *row;
        if row.inode.is_some() {
            row.owners = OwnerSpan { first: rows.links.len() as u32, count: 1 };
            rows.links.push(OwnerLink { process: ProcessId(rows.processes.len() as u32), descriptor: 3 });
            rows.processes.push(owner(100 + row.cookie as u32));
        }
        rows.rows.push(row);
    }
    rows
}

fn owner(pid: u32) -> Owner {
    Owner { pid: Some(pid), command: Some("server".into()), ..Owner::default() }
}

fn destroyed(cookie: u64, local: &str, remote: Option<&str>) -> Destroyed {
    Destroyed {
        transport: Transport::Tcp,
        local: End::new(endpoint(local)),
        remote: remote.map(|text| End::new(endpoint(text))),
        cookie,
        bytes: remote.map(|_| (10, 20)),
    }
}

fn passing(
    socket: u64,
    state: State,
    local: &str,
    remote: Option<&str>,
    when: u64,
    pid: Option<u32>,
) -> Passing {
    let doer = pid.map(|pid| Doer { owner: Arc::new(owner(pid)), network: Some(Arc::new(here())) });
    Passing { socket, state, local: endpoint(local), remote: remote.map(endpoint), at: at(when), doer }
}

/// What is told, with the first owner's pid and whole seconds of life.
type Told = (Change, Source, u16, Option<u32>, Option<u64>);

fn told(events: &mut Vec<Event>) -> Vec<Told> {
    let told = |event: Event| {
        let pid = event.owners().next().and_then(|owner| owner.pid);
        let lived = event.lived().map(|lived| lived.as_secs());
        (event.change, event.source, event.row().local.port, pid, lived)
    };
    events.drain(..).map(told).collect()
}

use super::super::event::Change::{Closed, Connected, Listening, Opened};
use super::super::event::Source::{Kernel, Sample};

const HTTP: &str = "127.0.0.1:80";
const PEER: Option<&str> = Some("127.0.0.1:40000");

#[test]
fn samples_tell_what_came_and_went() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    let listener = row(1, HTTP, None, State::Listen);
    ledger.sample(rows(&[listener]), at(0), &mut events);
    assert!(events.is_empty());
    assert_eq!(ledger.present().map(|event| event.row().local.port).collect::<Vec<_>>(), [80]);
    ledger.sample(rows(&[listener, row(2, HTTP, PEER, State::Established)]), at(1), &mut events);
    assert_eq!(told(&mut events), [(Connected, Sample, 80, Some(102), None)]);
    // Nothing changes, nothing is told.
    ledger.sample(rows(&[row(2, HTTP, PEER, State::CloseWait), listener]), at(2), &mut events);
    assert_eq!(told(&mut events), []);
    ledger.sample(rows(&[row(2, HTTP, PEER, State::TimeWait)]), at(3), &mut events);
    let mut both = told(&mut events);
    both.sort();
    assert_eq!(both, [(Closed, Sample, 80, Some(101), Some(3)), (Closed, Sample, 80, Some(102), Some(2))]);
    // TIME-WAIT goes without a word.
    ledger.sample(rows(&[]), at(60), &mut events);
    assert!(events.is_empty() && ledger.is_empty());
}

#[test]
fn a_bound_socket_begins_to_listen_and_a_client_is_connected() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    ledger.sample(rows(&[]), at(0), &mut events);
    let client = |state| row(2, "127.0.0.1:40000", Some(HTTP), state);
    ledger.sample(rows(&[row(1, HTTP, None, State::Bound), client(State::SynSent)]), at(1), &mut events);
    assert_eq!(
        told(&mut events),
        [(Opened, Sample, 80, Some(101), None), (Opened, Sample, 40000, Some(102), None)]
    );
    let numbers: Vec<_> = ledger.present().map(|event| event.number).collect();
    ledger.sample(rows(&[row(1, HTTP, None, State::Listen), client(State::Established)]), at(2), &mut events);
    assert!(events.iter().all(|event| numbers.contains(&event.number)));
    assert_eq!(
        told(&mut events),
        [(Listening, Sample, 80, Some(101), None), (Connected, Sample, 40000, Some(102), None)]
    );
}

#[test]
fn an_end_is_told_once_whoever_is_first() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    let connection = row(2, HTTP, PEER, State::Established);
    ledger.sample(rows(&[connection]), at(0), &mut events);
    ledger.ended(&here(), destroyed(2, HTTP, PEER), at(3), &mut events);
    assert_eq!(events[0].bytes, Some((10, 20)));
    assert_eq!(told(&mut events), [(Closed, Kernel, 80, Some(102), Some(3))]);
    // A sample that was begun before shows it still.
    ledger.sample(rows(&[connection]), at(2), &mut events);
    // What the kernel keeps of it is not a new one, however long.
    let mut kept = row(2, HTTP, PEER, State::FinWait2);
    kept.inode = None;
    for seconds in [4, 5, 6] {
        ledger.sample(rows(&[kept]), at(seconds), &mut events);
    }
    assert!(events.is_empty());
    // The other way round: the program has closed it, and the rest is sent before the socket ends.
    let mut leaving = row(3, HTTP, PEER, State::FinWait1);
    leaving.inode = None;
    ledger.sample(rows(&[row(3, HTTP, PEER, State::Established)]), at(7), &mut events);
    ledger.sample(rows(&[leaving]), at(8), &mut events);
    ledger.sample(rows(&[leaving]), at(9), &mut events);
    ledger.ended(&here(), destroyed(3, HTTP, PEER), at(10), &mut events);
    let told = told(&mut events);
    assert_eq!(told, [(Connected, Sample, 80, Some(103), None), (Closed, Sample, 80, Some(103), Some(1))]);
}

#[test]
fn what_lived_between_samples_is_told_when_it_ends() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    ledger.sample(rows(&[row(1, "0.0.0.0:80", None, State::Listen)]), at(0), &mut events);
    ledger.ended(&here(), destroyed(5, HTTP, PEER), at(1), &mut events);
    assert_eq!(events[0].row().role, Role::Server);
    // The listener's process, and nothing about how long.
    assert_eq!(told(&mut events), [(Closed, Kernel, 80, Some(101), None)]);
    ledger.ended(&here(), destroyed(6, "127.0.0.1:50000", Some(HTTP)), at(1), &mut events);
    assert_eq!(events[0].row().role, Role::Client);
    assert_eq!(told(&mut events), [(Closed, Kernel, 50000, None, None)]);
    // The end of what an older message told of already.
    ledger.ended(&here(), destroyed(6, "127.0.0.1:50000", Some(HTTP)), at(1), &mut events);
    assert!(events.is_empty());
}

#[test]
fn a_traced_listener_is_one_with_its_row_and_its_end() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    ledger.sample(rows(&[]), at(0), &mut events);
    ledger.passed(passing(0xff, State::Listen, HTTP, None, 1, Some(55)), &mut events);
    assert_eq!(told(&mut events), [(Listening, Kernel, 80, Some(55), None)]);
    ledger.sample(rows(&[row(1, HTTP, None, State::Listen)]), at(2), &mut events);
    assert_eq!(told(&mut events), []);
    // The sample's owners are the whole truth.
    ledger.ended(&here(), destroyed(1, HTTP, None), at(5), &mut events);
    assert_eq!(told(&mut events), [(Closed, Kernel, 80, Some(101), Some(4))]);
    // One that no sample shows.
    ledger.passed(passing(0xff, State::Listen, HTTP, None, 6, Some(56)), &mut events);
    ledger.ended(&here(), destroyed(9, HTTP, None), at(7), &mut events);
    assert_eq!(
        told(&mut events),
        [(Listening, Kernel, 80, Some(56), None), (Closed, Kernel, 80, Some(56), Some(1))]
    );
    // One whose end got lost is told by the next sample.
    ledger.passed(passing(0xee, State::Listen, HTTP, None, 8, Some(57)), &mut events);
    ledger.sample(rows(&[]), at(8), &mut events);
    assert_eq!(told(&mut events), [(Listening, Kernel, 80, Some(57), None)]);
    ledger.sample(rows(&[]), at(9), &mut events);
    assert_eq!(told(&mut events), [(Closed, Sample, 80, Some(57), Some(1))]);
    assert!(ledger.is_empty() && ledger.ports.is_empty() && ledger.traced.is_empty());
}

#[test]
fn a_listener_that_a_sample_showed_first_is_not_told_again() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    ledger.sample(rows(&[row(2, "127.0.0.1:81", None, State::Bound)]), at(0), &mut events);
    ledger.seen(rows(&[row(1, HTTP, None, State::Listen)]), at(1), &mut events);
    ledger.passed(passing(0xff, State::Listen, HTTP, None, 1, Some(101)), &mut events);
    ledger.sample(
        rows(&[row(1, HTTP, None, State::Listen), row(2, "127.0.0.1:81", None, State::Bound)]),
        at(2),
        &mut events,
    );
    assert_eq!(told(&mut events), [(Listening, Sample, 80, Some(101), None)]);
    // One that had its port before.
    ledger.passed(passing(0xee, State::Listen, "127.0.0.1:81", None, 3, Some(102)), &mut events);
    ledger.sample(
        rows(&[row(1, HTTP, None, State::Listen), row(2, "127.0.0.1:81", None, State::Listen)]),
        at(4),
        &mut events,
    );
    assert_eq!(told(&mut events), [(Listening, Kernel, 81, Some(102), None)]);
}

#[test]
fn connections_are_traced_from_both_sides() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    let client = ("127.0.0.1:40000", Some(HTTP));
    ledger.sample(rows(&[row(1, HTTP, None, State::Listen)]), at(0), &mut events);
    ledger.passed(passing(0xaa, State::SynSent, "127.0.0.1:0", Some(HTTP), 1, Some(60)), &mut events);
    ledger.passed(passing(0xaa, State::Established, client.0, client.1, 2, None), &mut events);
    assert_eq!(told(&mut events), [(Connected, Kernel, 40000, Some(60), None)]);
    ledger.passed(passing(0xbb, State::Established, HTTP, PEER, 2, None), &mut events);
    // The listener's side has no process yet: the sample tells, with the time of the tracepoint.
    let pair = [
        row(1, HTTP, None, State::Listen),
        row(2, client.0, client.1, State::Established),
        row(3, HTTP, PEER, State::Established),
    ];
    ledger.sample(rows(&pair), at(4), &mut events);
    assert_eq!(events[0].at, at(2));
    assert_eq!(told(&mut events), [(Connected, Kernel, 80, Some(103), None)]);
    for (cookie, local, remote) in [(2, client.0, client.1), (3, HTTP, PEER)] {
        ledger.ended(&here(), destroyed(cookie, local, remote), at(5), &mut events);
    }
    assert_eq!(
        told(&mut events),
        [(Closed, Kernel, 40000, Some(102), Some(4)), (Closed, Kernel, 80, Some(103), Some(3))]
    );
    // One that was refused: its end tells who asked.
    ledger.passed(passing(0xcc, State::SynSent, "127.0.0.1:0", Some(HTTP), 6, Some(61)), &mut events);
    ledger.passed(passing(0xcc, State::Closed, client.0, client.1, 7, None), &mut events);
    assert!(events.is_empty());
    // By then the kernel has forgotten whom it asked.
    ledger.ended(&here(), destroyed(8, "0.0.0.0:40000", None), at(7), &mut events);
    assert_eq!(events[0].row().state, State::SynSent);
    assert_eq!(told(&mut events), [(Closed, Kernel, 40000, Some(61), Some(1))]);
}

#[test]
fn sharers_of_a_port_are_told_apart_and_networks_too() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    ledger.sample(rows(&[]), at(0), &mut events);
    for socket in [1, 2] {
        ledger.passed(passing(socket, State::Listen, HTTP, None, 1, Some(50 + socket as u32)), &mut events);
    }
    let both = [row(11, HTTP, None, State::Listen), row(12, HTTP, None, State::Listen)];
    ledger.sample(rows(&both), at(2), &mut events);
    assert_eq!(events.len(), 2);
    let elsewhere = Network { name: "lab".into(), inode: 8, ..Network::default() };
    events.clear();
    ledger.ended(&elsewhere, destroyed(11, HTTP, None), at(3), &mut events);
    assert_eq!(ledger.len(), 2);
    assert_eq!(events[0].rows().networks[0].name, "lab");
}

#[test]
fn many_are_compared_quickly() {
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    let many: Vec<_> = (0..50_000u64)
        .map(|cookie| {
            let local = Endpoint::new(std::net::Ipv4Addr::from(0x0a00_0000 + cookie as u32), 80);
            let mut row = row(cookie + 1, HTTP, PEER, State::Established);
            row.local = End::new(local);
            row
        })
        .collect();
    ledger.sample(rows(&many), at(0), &mut events);
    let mut now = rows(&many);
    now.rows.remove(7);
    ledger.sample(now, at(1), &mut events);
    assert_eq!(told(&mut events), [(Closed, Sample, 80, Some(108), Some(1))]);
}

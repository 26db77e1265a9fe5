use wharf_table::rows::{DetailId, End, Network, OwnerLink, OwnerSpan, ProcessId, TcpDetail, Transport};

use super::*;

/// A row by its cookie, role and ends; with the bytes that it sent and received.
struct Given {
    cookie: u64,
    role: Role,
    local: &'static str,
    remote: Option<&'static str>,
    bytes: (u64, u64),
}

const LISTENER: Given =
    Given { cookie: 1, role: Role::Listener, local: "0.0.0.0:80", remote: None, bytes: (0, 0) };

fn served(cookie: u64, remote: &'static str, bytes: (u64, u64)) -> Given {
    Given { cookie, role: Role::Server, local: "192.0.2.1:80", remote: Some(remote), bytes }
}

fn rows(all: &[Given]) -> Rows {
    let mut rows = Rows::default();
    rows.networks.push(Network { name: "host".into(), inode: 7, ..Network::default() });
    for command in ["nginx", "curl"] {
        let pid = Some(100 + rows.processes.len() as u32);
        rows.processes.push(Owner { pid, command: Some(command.into()), ..Owner::default() });
    }
    for given in all {
        let state = if given.role == Role::Listener { State::Listen } else { State::Established };
        let end = |text: &str| End::new(text.parse().unwrap());
        let mut row = Row::new(Transport::Tcp, end(given.local), state);
        (row.cookie, row.role, row.remote) = (given.cookie, given.role, given.remote.map(end));
        row.owners = OwnerSpan { first: rows.links.len() as u32, count: 1 };
        let process = ProcessId(u32::from(given.role == Role::Client));
        rows.links.push(OwnerLink { process, descriptor: 3 });
        if given.remote.is_some() {
            row.detail = DetailId::from_index(rows.details.len());
            let (sent_bytes, received_bytes) = given.bytes;
            rows.details.push(TcpDetail { sent_bytes, received_bytes, ..TcpDetail::default() });
        }
        rows.rows.push(row);
    }
    rows
}

fn ports(board: &Board) -> Vec<(Side, u16, u32)> {
    board.lines.iter().map(|line| (line.port.side, line.port.number, line.connections)).collect()
}

#[test]
fn rows_are_grouped_by_the_port_that_means_something() {
    let client = Given {
        cookie: 4,
        role: Role::Client,
        local: "192.0.2.1:40000",
        remote: Some("198.51.100.7:443"),
        bytes: (1, 1),
    };
    let sample = rows(&[
        LISTENER,
        served(2, "198.51.100.1:5000", (0, 0)),
        served(3, "198.51.100.1:5001", (0, 0)),
        client,
    ]);
    let mut board = Tally::new().take(&sample, &Selector::all(), Instant::now());
    board.sort(Order::Port);
    assert_eq!(ports(&board), [(Side::Here, 80, 2), (Side::There, 443, 1)]);
    assert_eq!((board.len(), board.lines[0].listeners), (4, 1));
    // The first sample has no rates.
    assert_eq!(board.lines[0].rate, None);
    let commands: Vec<_> = board.lines[1].owners().iter().map(|owner| owner.command.as_deref()).collect();
    assert_eq!(commands, [Some("curl")]);
    assert_eq!(board.lines[0].peers().len(), 1);
}

#[test]
fn rates_are_bytes_between_samples() {
    let (mut tally, start) = (Tally::new(), Instant::now());
    let two = start + Duration::from_secs(2);
    tally.take(&rows(&[LISTENER, served(2, "198.51.100.1:5000", (1_000, 100))]), &Selector::all(), start);
    let sample = rows(&[
        LISTENER,
        served(2, "198.51.100.1:5000", (5_000, 300)),
        served(3, "198.51.100.2:5000", (400, 0)),
    ]);
    let board = tally.take(&sample, &Selector::all(), two);
    let line = &board.lines[0];
    assert_eq!(line.rate, Some(Rate { sent: 2_200, received: 100 }));
    assert_eq!((line.came, line.went, line.changed), (1, 0, Some(two)));
    let peers: Vec<_> = line.peers().iter().map(|peer| (peer.addr.to_string(), peer.rate.sent)).collect();
    assert_eq!(peers, [("198.51.100.1".into(), 2_000), ("198.51.100.2".into(), 200)]);
    // One has gone; of a counter that went back nothing is made.
    let sample = rows(&[LISTENER, served(2, "198.51.100.1:5000", (10, 10))]);
    let board = tally.take(&sample, &Selector::all(), two + Duration::from_secs(1));
    let line = &board.lines[0];
    assert_eq!((line.rate, line.came, line.went), (Some(Rate::default()), 1, 1));
}

#[test]
fn owners_stay_while_nobody_looks_for_them() {
    let (mut tally, now) = (Tally::new(), Instant::now());
    let by_nginx = Selector::parse("process nginx", &|_, _| None).unwrap();
    tally.take(&rows(&[LISTENER]), &by_nginx, now);
    let mut sample = rows(&[LISTENER]);
    sample.links.clear();
    sample.rows[0].owners = OwnerSpan::default();
    let board = tally.take(&sample, &by_nginx, now + Duration::from_secs(1));
    assert_eq!(board.lines[0].owners()[0].pid, Some(100));
    let by_others = Selector::parse("not process nginx", &|_, _| None).unwrap();
    let board = tally.take(&sample, &by_others, now + Duration::from_secs(2));
    assert!(board.is_empty());
}

#[test]
fn orders() {
    let (mut tally, now) = (Tally::new(), Instant::now());
    let other = |bytes| Given { local: "192.0.2.1:22", ..served(9, "198.51.100.9:6000", bytes) };
    let two = || (served(2, "198.51.100.1:5000", (0, 0)), served(3, "198.51.100.1:5001", (0, 0)));
    let (first, second) = two();
    tally.take(&rows(&[LISTENER, first, second, other((0, 0))]), &Selector::all(), now);
    let (first, second) = two();
    let mut board = tally.take(
        &rows(&[LISTENER, first, second, other((10, 0))]),
        &Selector::all(),
        now + Duration::from_secs(1),
    );
    let first_by = |board: &mut Board, order| {
        board.sort(order);
        board.lines[0].port.number
    };
    assert_eq!(first_by(&mut board, Order::Traffic), 22);
    assert_eq!(first_by(&mut board, Order::Connections), 80);
    assert_eq!(first_by(&mut board, Order::Port), 22);
    let (first, _) = two();
    let mut board =
        tally.take(&rows(&[LISTENER, first, other((10, 0))]), &Selector::all(), now + Duration::from_secs(2));
    assert_eq!(first_by(&mut board, Order::Change), 80);
    let all: Vec<_> =
        std::iter::successors(Some(Order::Traffic), |order| Some(order.next())).take(5).collect();
    assert_eq!(all, [&Order::ALL[..], &[Order::Traffic]].concat());
}

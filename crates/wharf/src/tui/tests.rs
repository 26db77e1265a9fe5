use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use wharf_host::traffic::Tally;
use wharf_table::Owner;
use wharf_table::rows::{
    Backlog, DetailId, End, Network, OwnerLink, OwnerSpan, ProcessId, Role, Row, Rows, State, TcpDetail,
    Transport,
};

use super::app::Motion;
use super::sampler::Made;
use super::*;

/// A listener of nginx with two clients, a client of curl, and a name server: the second sample has moved bytes.
fn sample(sent: u64) -> Rows {
    let mut rows = Rows::default();
    rows.networks.push(Network { name: "host".into(), inode: 7, ..Network::default() });
    for (pid, command) in [(812, "nginx"), (813, "nginx"), (9001, "curl"), (53, "named")] {
        let owner = Owner {
            pid: Some(pid),
            command: Some(command.into()),
            user: Some("www".into()),
            ..Owner::default()
        };
        rows.processes.push(owner);
    }
    let end = |text: &str| End::new(text.parse().expect("an endpoint"));
    let given = [
        (Transport::Tcp, Role::Listener, State::Listen, "0.0.0.0:8080", None, 0),
        (Transport::Tcp, Role::Server, State::Established, "192.0.2.1:8080", Some("198.51.100.7:50000"), 0),
        (Transport::Tcp, Role::Server, State::Established, "192.0.2.1:8080", Some("[2001:db8::7]:50001"), 0),
        (Transport::Tcp, Role::Client, State::Established, "192.0.2.1:40000", Some("203.0.113.5:443"), 2),
        (Transport::Udp, Role::Listener, State::Bound, "127.0.0.1:53", None, 3),
    ];
    for (place, (transport, role, state, local, remote, process)) in given.into_iter().enumerate() {
        let mut row = Row::new(transport, end(local), state);
        (row.role, row.remote, row.cookie) = (role, remote.map(end), place as u64 + 1);
        row.owners = OwnerSpan { first: rows.links.len() as u32, count: 1 };
        rows.links.push(OwnerLink { process: ProcessId(process), descriptor: 3 });
        if state == State::Listen {
            row.backlog = Some(Backlog { used: 1, limit: 511 });
        }
        if remote.is_some() {
            row.detail = DetailId::from_index(rows.details.len());
            let (sent_bytes, received_bytes) = (sent / (place as u64), sent / 100);
            rows.details.push(TcpDetail {
                sent_bytes,
                received_bytes,
                rtt_us: 1_200,
                ..TcpDetail::default()
            });
        }
        rows.rows.push(row);
    }
    rows
}

fn app() -> App {
    let config = Config {
        filter: String::new(),
        order: Order::Traffic,
        every: Duration::from_secs(1),
        networks: Networks::Here,
    };
    let (mut app, mut tally, now) = (App::new(&config), Tally::new(), Instant::now());
    for (rows, seconds) in [(sample(0), 0), (sample(4_096_000), 1)] {
        let board = tally.take(&rows, &app.selector(), now + Duration::from_secs(seconds));
        app.show(Made { board, hidden: Vec::new() });
    }
    app
}

/// The page as text. The time of day stands at the end of the first line and is left out.
fn page(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory is a terminal");
    terminal.draw(|frame| draw(frame, app)).expect("memory is a terminal");
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    let mut lines: Vec<String> = (0..height).map(line).collect();
    let kept = lines[0].chars().count().saturating_sub("10:31:00".len());
    lines[0] = lines[0].chars().take(kept).collect::<String>().trim_end().to_owned();
    lines
}

fn press(app: &mut App, code: KeyCode) -> Next {
    app.press(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn ports_at_80_columns() {
    let lines = page(&mut app(), 80, 8);
    let expected = "\
wharf top: 3 ports, 5 endpoints  in 120 KiB/s  out 4.6 MiB/s
PROTO   PORT SERVICE   OWNER            CONN HOSTS      IN/s     OUT/s      +/-
tcp     8080 http-alt  nginx (812)         2     2  80.0 KiB   5.9 MiB
tcp     >443 https     curl (9001)         1     1  40.0 KiB   1.3 MiB
udp       53 domain    named (53)


q quit  ? keys  / filter  s sort: traffic  Enter details  Space pause";
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(lines[1..], expected[1..]);
    assert!(lines[0].starts_with("wharf top: 3 ports, 5 endpoints  in "), "{}", lines[0]);
}

#[test]
fn a_narrow_page_has_what_matters() {
    let lines = page(&mut app(), 40, 5);
    assert_eq!(lines[1], "PROTO   PORT OWNER                 CONN");
    assert_eq!(lines[2], "tcp     8080 nginx (812)              2");
    // Nothing is so small that it could not be drawn.
    for (width, height) in [(1, 1), (3, 2), (10, 3), (200, 1), (80, 2)] {
        page(&mut app(), width, height);
    }
}

#[test]
fn one_port_shows_who_talks() {
    let mut app = app();
    assert!(matches!(press(&mut app, KeyCode::Enter), Next::Stay));
    let lines = page(&mut app, 80, 10);
    assert_eq!(lines[1], "tcp port 8080, registered as http-alt");
    assert_eq!(lines[2], "held by nginx (812), user www");
    assert_eq!(lines[3], "open at 0.0.0.0:8080, 1 of 511 wait to be accepted");
    assert_eq!(lines[4], "TALKER                                         STATE             IN/s     OUT/s");
    assert_eq!(lines[5], "198.51.100.7:50000 > 192.0.2.1:8080            established   40.0 KiB   3.9 MiB");
    assert!(lines[6].starts_with("[2001:db8::7]:50001 > 192.0.2.1:8080"), "{}", lines[6]);
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.showing(), Showing::Ports);
}

#[test]
fn keys_do_what_they_say() {
    let mut app = app();
    assert_eq!(app.cursor(), 0);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Char('p'));
    // The cursor stays on its port.
    assert_eq!(app.chosen_port().map(|port| port.number), Some(443));
    press(&mut app, KeyCode::End);
    press(&mut app, KeyCode::Down);
    assert_eq!(app.cursor(), 2);
    press(&mut app, KeyCode::Char(' '));
    assert_eq!(app.motion, Motion::Paused);
    assert!(!app.show(Made { board: Default::default(), hidden: Vec::new() }));
    press(&mut app, KeyCode::Char('/'));
    "tcp listning".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    assert!(matches!(press(&mut app, KeyCode::Enter), Next::Stay));
    assert!(page(&mut app, 80, 5)[4].starts_with("/tcp listning   \"listning\""));
    (0..12).for_each(|_| drop(press(&mut app, KeyCode::Backspace)));
    "q".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    press(&mut app, KeyCode::Backspace);
    "udp".chars().for_each(|letter| drop(press(&mut app, KeyCode::Char(letter))));
    assert!(matches!(press(&mut app, KeyCode::Enter), Next::Select(_)));
    assert_eq!(app.filter, "udp");
    assert!(matches!(press(&mut app, KeyCode::Esc), Next::Select(_)));
    assert!(matches!(press(&mut app, KeyCode::Char('q')), Next::Leave));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut app, KeyCode::Char('/'));
    assert!(matches!(app.press(control_c), Next::Leave));
}

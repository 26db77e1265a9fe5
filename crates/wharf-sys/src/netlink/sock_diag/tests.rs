use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::MetadataExt;

use wharf_table::rows::State;

use super::*;

const EVERYTHING: &[(u16, u16)] = &[(0, u16::MAX)];

/// What the tests look at, out of the bytes.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    local: SocketAddr,
    remote: Option<SocketAddr>,
    zone: u32,
    state: u8,
    inode: u32,
    cookie: u64,
    queues: (u32, u32),
    uid: u32,
    v6_only: Option<bool>,
    cgroup: Option<u64>,
    time_wait_left_ms: Option<u32>,
    detail: Option<wharf_table::rows::TcpDetail>,
}

fn seen(socket: Socket<'_>) -> Seen {
    let extras = socket.extras();
    Seen {
        local: socket.local().endpoint().socket_addr(),
        remote: socket.remote().map(|end| end.endpoint().socket_addr()),
        zone: socket.local().zone,
        state: socket.state(),
        inode: socket.inode(),
        cookie: socket.cookie(),
        queues: (socket.receive_queue(), socket.send_queue()),
        uid: socket.uid(),
        v6_only: extras.v6_only,
        cgroup: extras.cgroup,
        time_wait_left_ms: socket.time_wait_left_ms(),
        detail: extras.info.map(|info| info.detail(extras.algorithm)),
    }
}

fn list(kind: Kind, ports: &[(u16, u16)]) -> Vec<Seen> {
    let query = Query { kind, states: u32::MAX, extra: Extra::Tcp, local_ports: ports };
    let mut all = Vec::new();
    Diag::open().unwrap().list(&query, |socket| all.push(seen(socket))).unwrap();
    all
}

fn at(kind: Kind, at: SocketAddr) -> Seen {
    let mut found: Vec<_> = list(kind, &[(at.port(), at.port())]);
    found.retain(|seen| seen.local == at);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn inode(socket: &impl AsRawFd) -> u32 {
    std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino() as u32
}

#[test]
fn a_listener_has_a_backlog_and_its_connections_have_figures() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let _waits = TcpStream::connect(address).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();

    let mut here = list(Kind::Tcp, &[(address.port(), address.port())]);
    here.sort_by_key(|seen| (seen.state != 10, seen.inode == 0));
    let [listening, connected, waiting] = &here[..] else { panic!("{here:?}") };
    assert_eq!((listening.inode, listening.remote), (inode(&listener), None));
    assert_eq!(listening.queues.0, 1);
    assert!(listening.queues.1 >= 128);
    assert_eq!((connected.state, connected.inode), (1, inode(&server)));
    assert_eq!(connected.remote, Some(client.local_addr().unwrap()));
    assert_eq!(connected.queues.0, 1, "one byte was not read");
    // Nobody has accepted it, so no program has it.
    assert_eq!((waiting.state, waiting.inode), (1, 0));

    let client_seen = at(Kind::Tcp, client.local_addr().unwrap());
    let detail = client_seen.detail.unwrap();
    assert_eq!((detail.sent_bytes, detail.acknowledged_bytes, detail.received_bytes), (5, 5, 0));
    assert!(detail.rtt_us > 0 && detail.congestion_window > 0 && detail.segment_bytes > 500);
    assert!(!detail.algorithm().is_empty());
    assert_eq!(client_seen.uid, rustix::process::geteuid().as_raw());
    assert!(client_seen.cookie != 0);
}

#[test]
fn a_socket_that_only_has_a_port_is_told_where_the_kernel_can() {
    // SAFETY: the call takes integers, and the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)) };
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let bound = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    let found = list(Kind::Tcp, &[(bound.port(), bound.port())]);
    let Some(seen) = found.first() else {
        return println!("skipped: this kernel does not list bound sockets");
    };
    assert_eq!((tcp_state(seen.state), seen.inode), (Some(State::Bound), inode(&socket)));
}

#[test]
fn a_connection_that_its_program_has_left_is_in_time_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let address = client.local_addr().unwrap();
    drop(client);
    // The end of the stream is there, so the server's end comes second.
    (&server).read_to_end(&mut Vec::new()).unwrap();
    drop(server);
    let seen = (0..100)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            Some(at(Kind::Tcp, address)).filter(|seen| tcp_state(seen.state) == Some(State::TimeWait))
        })
        .unwrap();
    assert_eq!(seen.inode, 0);
    let left = seen.time_wait_left_ms.unwrap();
    assert!((50_000..=60_000).contains(&left), "{left}");
}

#[test]
fn datagram_sockets_of_both_families() {
    let four = UdpSocket::bind("127.0.0.1:0").unwrap();
    let seen = at(Kind::Udp, four.local_addr().unwrap());
    assert_eq!((seen.state, seen.inode, seen.remote), (7, inode(&four), None));
    four.send_to(b"hello", four.local_addr().unwrap()).unwrap();
    assert!(at(Kind::Udp, four.local_addr().unwrap()).queues.0 >= 5);
    let Ok(six) = UdpSocket::bind("[::1]:0") else { return println!("skipped: no IPv6") };
    six.connect("[::1]:9").unwrap();
    let seen = at(Kind::Udp, six.local_addr().unwrap());
    assert_eq!((seen.state, seen.remote), (1, Some("[::1]:9".parse().unwrap())));
}

#[test]
fn an_ipv6_listener_says_whether_it_takes_ipv4() {
    let Ok(both) = TcpListener::bind("[::]:0") else { return println!("skipped: no IPv6") };
    assert_eq!(at(Kind::Tcp, both.local_addr().unwrap()).v6_only, Some(false));
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(at(Kind::Tcp, four.local_addr().unwrap()).v6_only, None);
}

#[test]
fn the_kernel_leaves_out_other_ports() {
    let sockets: Vec<_> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
    let wanted = [(ports[1], ports[1]), (ports[4], ports[4])];
    let mut found: Vec<_> = list(Kind::Tcp, &wanted).iter().map(|seen| seen.local.port()).collect();
    found.sort_unstable();
    let mut expected = [ports[1], ports[4]];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(list(Kind::Tcp, EVERYTHING).len() >= 8);
    assert!(list(Kind::Tcp, &[]).is_empty());
    let query = Query {
        kind: Kind::Tcp,
        states: state_bits(State::Established),
        extra: Extra::None,
        local_ports: &wanted,
    };
    Diag::open().unwrap().list(&query, |socket| panic!("{socket:?}")).unwrap();
}

#[test]
fn one_socket_is_found_by_its_ends() {
    let mut diag = Diag::open().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let end = |at: SocketAddr| End::new(at.into());
    let mut wanted = Wanted {
        kind: Kind::Tcp,
        local: end(client.local_addr().unwrap()),
        remote: Some(end(client.peer_addr().unwrap())),
        cookie: ANY_COOKIE,
    };
    let number =
        |diag: &mut Diag, wanted: &Wanted| diag.find(wanted, Extra::None, |found| found.inode()).unwrap();
    assert_eq!(number(&mut diag, &wanted), Some(inode(&client)));
    wanted.local = end(listener.local_addr().unwrap());
    wanted.remote = None;
    assert_eq!(number(&mut diag, &wanted), Some(inode(&listener)));
    wanted.local.port = 1;
    assert_eq!(number(&mut diag, &wanted), None);

    let one = UdpSocket::bind("127.0.0.1:0").unwrap();
    let two = UdpSocket::bind("127.0.0.1:0").unwrap();
    one.connect(two.local_addr().unwrap()).unwrap();
    wanted = Wanted {
        kind: Kind::Udp,
        local: end(one.local_addr().unwrap()),
        remote: one.peer_addr().ok().map(end),
        ..wanted
    };
    assert_eq!(number(&mut diag, &wanted), Some(inode(&one)));
    wanted = Wanted { local: end(two.local_addr().unwrap()), remote: None, ..wanted };
    assert_eq!(number(&mut diag, &wanted), Some(inode(&two)));
}

#[test]
fn one_socket_is_ended_and_no_other() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let mut diag = Diag::open().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let end = |at: SocketAddr| End::new(at.into());
    let wanted = Wanted {
        kind: Kind::Tcp,
        local: end(client.local_addr().unwrap()),
        remote: Some(end(client.peer_addr().unwrap())),
        cookie: at(Kind::Tcp, client.local_addr().unwrap()).cookie,
    };
    // Another socket with these ends would have another cookie.
    let other = Wanted { cookie: wanted.cookie ^ 1, ..wanted };
    assert_eq!(diag.destroy(&other).unwrap(), Destroyed::NotThere);
    match diag.destroy(&wanted) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return println!("skipped: {error}"),
        ended => assert_eq!(ended.unwrap(), Destroyed::Ended),
    }
    let error = client.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNABORTED));
    assert_eq!(diag.destroy(&wanted).unwrap(), Destroyed::NotThere);
}

#[test]
fn a_protocol_that_is_not_there_has_no_sockets() {
    for kind in [Kind::Mptcp, Kind::UdpLite, Kind::Sctp, Kind::Dccp, Kind::Raw] {
        let query = Query { kind, states: u32::MAX, extra: Extra::None, local_ports: EVERYTHING };
        let mut count = 0;
        let listing = Diag::open().unwrap().list(&query, |_| count += 1).unwrap();
        println!("{kind:?}: {listing:?}, {count}");
    }
}

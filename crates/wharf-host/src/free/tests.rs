//! Free ports against sockets that are there.

use std::net::{TcpListener, UdpSocket};

use super::*;

/// Ports that a test can play with: a range that is not ephemeral, by the process, so that tests meet rarely.
fn ground() -> u16 {
    12_000 + (std::process::id() % 500) as u16 * 20
}

fn wanted(first: u16, count: u16) -> Wanted {
    let among = Some(Ports::range(first, first + 9));
    Wanted { count, among, ephemeral: Ephemeral::Taken, ..Wanted::default() }
}

#[test]
fn sockets_of_any_address_are_in_the_way() {
    let first = ground();
    let free =
        |wanted: &Wanted| find(wanted).map(|found| found.held.iter().map(|it| it.port).collect::<Vec<_>>());
    let Ok(before) = free(&wanted(first, 10)) else {
        eprintln!("skipped: others use ports of {first}-{}", first + 9);
        return;
    };
    assert_eq!(before.len(), 10);
    let _tcp = TcpListener::bind(("127.0.0.1", first + 2)).unwrap();
    let _udp = UdpSocket::bind(("127.0.0.1", first + 3)).unwrap();
    let others =
        |except: &[u16]| (first..first + 10).filter(|port| !except.contains(port)).collect::<Vec<_>>();
    assert_eq!(free(&wanted(first, 9)).unwrap(), others(&[first + 2]));
    let udp = Wanted { protocols: For::Udp, ..wanted(first, 9) };
    assert_eq!(free(&udp).unwrap(), others(&[first + 3]));
    let both = Wanted { protocols: For::Both, ..wanted(first, 8) };
    assert_eq!(free(&both).unwrap(), others(&[first + 2, first + 3]));
    let row = Wanted { together: Together::Consecutive, ..wanted(first, 7) };
    assert_eq!(free(&row).unwrap(), others(&[first, first + 1, first + 2]));
    let near = Wanted { near: Some(first + 2), ..wanted(first, 1) };
    assert_eq!(free(&near).unwrap(), [first + 3]);
    let error = free(&wanted(first, 10)).unwrap_err().to_string();
    let expected =
        format!("find 10 free ports among {first}-{}: 1 in use (write a wider --range)", first + 9);
    assert_eq!(error, expected);
}

#[test]
fn what_is_held_is_nobody_elses() {
    let held = find(&Wanted { count: 3, protocols: For::Both, ..Wanted::default() }).unwrap().held;
    assert_eq!(held.len(), 3);
    let (low, high) = here::ephemeral_range();
    for it in &held {
        assert!(it.port >= 1024 && !(low..=high).contains(&it.port));
        assert_eq!(TcpListener::bind(("127.0.0.1", it.port)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(UdpSocket::bind(("0.0.0.0", it.port)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
    let port = held[0].port;
    drop(held);
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[test]
fn what_is_registered_can_be_avoided() {
    let among = Some([(8000, 8014), (8080, 8080)].into_iter().collect());
    let wanted = Wanted { count: 1, among, registered: Registered::Avoided, ..Wanted::default() };
    let port = find(&wanted).unwrap().held[0].port;
    assert!((8011..=8014).contains(&port), "{port}");
    assert!(is_registered(8004, For::Udp), "it is reserved");
    assert!(!is_registered(60_000, For::Both));
    let (low, high) = here::ephemeral_range();
    let error =
        find(&Wanted { count: 1, among: Some(Ports::range(low, high)), ..Wanted::default() }).unwrap_err();
    assert!(error.to_string().contains("given to clients"), "{error}");
}

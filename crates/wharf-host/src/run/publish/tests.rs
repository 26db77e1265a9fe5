//! Claims against the running kernel.

use std::net::{TcpListener, TcpStream, UdpSocket};

use wharf_table::notation::no_services;

use super::*;

fn spec(text: &str) -> PublishSpec {
    PublishSpec::parse(text, &no_services).unwrap()
}

fn claim_text(texts: &[&str]) -> Result<Vec<Published>, ClaimError> {
    claim(&texts.iter().map(|text| spec(text)).collect::<Vec<_>>(), Families::Both)
}

/// The first of `count` ports that are free on both loopbacks, for TCP and UDP.
fn free(count: u16) -> u16 {
    let is_free = |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("::1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
    };
    // A place of its own for each test, as they run at the same time.
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let first = 21_000 + (std::process::id() % 7) as u16 * 1000 + step * 20;
        if (first..first + count + 2).all(is_free) {
            return first;
        }
    }
}

fn has_v6() -> bool {
    UdpSocket::bind("[::1]:0").is_ok()
}

#[test]
fn a_free_port_is_the_same_on_both_loopbacks() {
    let claimed = claim_text(&["0:80", "0:53/udp"]).unwrap();
    assert_eq!(claimed.len(), if has_v6() { 4 } else { 2 });
    for pair in claimed.chunks(if has_v6() { 2 } else { 1 }) {
        assert!(
            pair.iter().all(|one| one.local.port() == pair[0].local.port() && one.choice == Choice::Found)
        );
        assert!(pair.iter().all(|one| one.local.ip().is_loopback()));
    }
    TcpStream::connect(claimed[0].local).expect("a client may come at once");
    let text = claimed[0].to_string();
    assert_eq!(text, format!("tcp 127.0.0.1:{} -> 80", claimed[0].local.port()));
    assert!(claimed[0].to_json().contains("\"inside_port\":80"));
}

#[test]
fn ranges_and_families() {
    let port = free(3);
    let claimed = claim(&[spec(&format!("{port}-{}:80-82", port + 2))], Families::V4Only).unwrap();
    let rows: Vec<String> = claimed.iter().map(ToString::to_string).collect();
    let expected: Vec<String> = (0..3).map(|n| format!("tcp 127.0.0.1:{} -> {}", port + n, 80 + n)).collect();
    assert_eq!(rows, expected);
    let refused = claim(&[spec("[::1]:8443:443")], Families::V4Only).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "publish [::1]:8443:443/tcp: the run has no IPv6 (leave out --ipv4-only)"
    );
}

#[test]
fn both_families_of_any_address_stand_side_by_side() {
    if !has_v6() {
        println!("skipped: this host has no IPv6");
        return;
    }
    let port = free(1);
    let claimed = claim_text(&[&format!("0.0.0.0:{port}:80"), &format!("[::]:{port}:80")]).unwrap();
    assert_eq!(claimed.len(), 2);
}

#[test]
fn a_taken_port_names_its_owner_and_a_free_one() {
    let port = free(3);
    let me = std::process::id();
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let _tcp = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = claim_text(&[&format!("{port}:80")]).unwrap_err().to_string();
    let begin =
        format!("publish tcp 127.0.0.1:{port}: the port is taken by {} (pid {me}, user ", name.trim());
    assert!(error.starts_with(&begin), "{error}");
    assert!(error.ends_with(&format!("(free: -p {}:80/tcp)", port + 1)), "{error}");
    let _udp = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    let error = claim_text(&[&format!("127.0.0.1:{port}:53/udp")]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("publish udp 127.0.0.1:{port}: ")), "{error}");
    assert!(error.ends_with(&format!("(free: -p 127.0.0.1:{}:53/udp)", port + 1)), "{error}");
    if has_v6() {
        let _second = TcpListener::bind(("::1", port + 1)).unwrap();
        let error = claim_text(&[&format!("{}:80", port + 1)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("publish tcp [::1]:{}: ", port + 1)), "{error}");
    }
}

#[test]
fn a_failed_claim_leaves_nothing_behind() {
    let port = free(2);
    let taken = TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
    claim_text(&[&format!("{port}:80"), &format!("{}:81", port + 1)]).unwrap_err();
    drop(taken);
    let claimed = claim_text(&[&format!("{port}:80"), &format!("{}:81", port + 1)]).unwrap();
    assert!(claimed.iter().all(|one| one.choice == Choice::Written));
}

#[test]
fn a_port_published_twice_is_told_so() {
    let port = free(1);
    let error = claim_text(&[&format!("{port}:80"), &format!("0.0.0.0:{port}:81")]).unwrap_err().to_string();
    let expected = format!(
        "publish tcp 0.0.0.0:{port}: published before, for port 80 (give each port of the host once)"
    );
    assert_eq!(error, expected);
    claim_text(&[&format!("{port}:80"), &format!("{port}:80/udp")]).expect("two protocols are two ports");
}

#[test]
fn an_address_of_another_host_is_told_so() {
    let error = claim_text(&["192.0.2.77:8080:80"]).unwrap_err().to_string();
    assert!(error.starts_with("publish tcp 192.0.2.77:8080: this host has no such address"), "{error}");
}

#[test]
fn a_privileged_port_names_the_sysctl() {
    let at = "127.0.0.1:80".parse().unwrap();
    let error = ClaimError::Privileged { spec: spec("80:8000"), at, start: 1024 };
    assert_eq!(
        error.to_string(),
        "publish tcp 127.0.0.1:80: permission denied (net.ipv4.ip_unprivileged_port_start is 1024: take a port from \
         there up, -p 8080:8000/tcp say, or lower it to 80 with sysctl as root)"
    );
    if limits::unprivileged_port_start() > 80 && !rustix::process::geteuid().is_root() {
        assert!(matches!(
            claim_text(&["80:80"]),
            Err(ClaimError::Privileged { .. } | ClaimError::InUse { .. })
        ));
    }
}

#[test]
fn other_refusals_are_in_plain_words() {
    let at = "127.0.0.1:80".parse().unwrap();
    let error = ClaimError::System { protocol: Protocol::Tcp, at, error: Errno::MFILE.into() };
    assert_eq!(error.to_string(), "publish tcp 127.0.0.1:80: too many open files");
}

//! Who holds a port: the socket from the kernel's list, its process from `/proc/PID/fd`.
//!
//! The cost is a pass over the descriptors of processes until the owner is found, so this is for the moment when a port is taken,
//! not for a list. Sockets in other network namespaces don't appear; processes of others are hidden from an ordinary user, and
//! then only the user is known.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use wharf_table::owner::Owner;
use wharf_table::rows::State;
use wharf_table::{Port, Protocol};

use super::descriptors::Walk;
use super::read_trimmed;
use crate::netlink::sock_diag::{Diag, Extra, Kind, Query, state_bits};

/// A socket that keeps others from binding a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it is bound to.
    pub local: SocketAddr,
    /// Its process, as far as it can be seen.
    pub owner: Owner,
}

/// A socket with the port that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    uid: u32,
    inode: u32,
}

/// The socket that holds `port` on `address`, or on an address that conflicts with it: any, or, where `address` is
/// any, each. `None` when there is none that this process can see.
pub fn holder(protocol: Protocol, address: IpAddr, port: Port) -> Option<Holder> {
    let kind = match protocol {
        Protocol::Tcp => Kind::Tcp,
        Protocol::Udp => Kind::Udp,
        Protocol::Icmp => return None,
    };
    let mut diag = Diag::open().ok()?;
    // A TCP connection holds its port only against those who don't share; a listener always does.
    let resting = state_bits(State::Listen) | state_bits(State::Bound);
    let row =
        [resting, u32::MAX].into_iter().find_map(|states| first(&mut diag, kind, states, address, port))?;
    Some(Holder { local: row.local, owner: owner_of(&row) })
}

/// The first socket in one of these states that conflicts.
fn first(diag: &mut Diag, kind: Kind, states: u32, address: IpAddr, port: Port) -> Option<Row> {
    let only = [(port.number(), port.number())];
    let query = Query { kind, states, extra: Extra::None, local_ports: &only };
    let mut found = None;
    let listed = diag.list(&query, |socket| {
        let local = socket.local().endpoint().socket_addr();
        let takes = if socket.extras().v6_only == Some(true) { Takes::Ipv6Only } else { Takes::Both };
        if found.is_none() && conflicts(local.ip(), takes, address) {
            found = Some(Row { local, uid: socket.uid(), inode: socket.inode() });
        }
    });
    listed.ok().and(found)
}

/// Which families a socket on `::` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Both,
    Ipv6Only,
}

/// Whether sockets on these addresses can't share a port. `::` stands for IPv4 as well, unless the socket said no.
fn conflicts(held: IpAddr, takes: Takes, wanted: IpAddr) -> bool {
    let (held, wanted) = (held.to_canonical(), wanted.to_canonical());
    let same_family = held.is_ipv4() == wanted.is_ipv4();
    held == wanted
        || held.is_unspecified() && (same_family || held.is_ipv6() && takes == Takes::Both)
        || wanted.is_unspecified() && (same_family || wanted.is_ipv6())
}

fn owner_of(row: &Row) -> Owner {
    let pid = (row.inode != 0).then(|| process_with(row.inode)).flatten();
    Owner {
        pid,
        command: pid.and_then(|pid| read_trimmed(format!("/proc/{pid}/comm"))),
        user: user_name(row.uid),
        uid: Some(row.uid),
        ..Owner::default()
    }
}

/// The first process that has the socket with this number open.
fn process_with(inode: u32) -> Option<u32> {
    let mut walk = Walk::open()?;
    walk.processes().into_iter().find(|&pid| {
        let mut found = false;
        // One that has ended or is hidden is not it.
        let _ = walk.sockets(pid, |_, number| found |= number == inode);
        found
    })
}

/// The name of a user in `/etc/passwd`.
pub fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The user of a process.
pub fn user_of(pid: u32) -> Option<u32> {
    Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv6Addr, TcpListener, UdpSocket};

    #[test]
    fn a_listener_of_ours_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let port = Port::new(at.port()).unwrap();
        let found = holder(Protocol::Tcp, at.ip(), port).unwrap();
        assert_eq!(found.local, at);
        assert_eq!(found.owner.pid, Some(std::process::id()));
        assert_eq!(found.owner.uid, user_of(std::process::id()));
        assert!(holder(Protocol::Tcp, "0.0.0.0".parse().unwrap(), port).is_some());
        assert!(holder(Protocol::Tcp, "127.0.0.2".parse().unwrap(), port).is_none());
    }

    #[test]
    fn a_socket_on_any_ipv6_address_holds_ipv4_too() {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let port = Port::new(socket.local_addr().unwrap().port()).unwrap();
        let found = holder(Protocol::Udp, "127.0.0.1".parse().unwrap(), port).unwrap();
        assert_eq!(found.local.ip(), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    }

    #[test]
    fn a_socket_that_takes_ipv6_only_leaves_ipv4_free() {
        let (any, four): (IpAddr, IpAddr) = ("::".parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert!(conflicts(any, Takes::Both, four) && !conflicts(any, Takes::Ipv6Only, four));
        assert!(conflicts(four, Takes::Both, any) && conflicts(any, Takes::Ipv6Only, "::1".parse().unwrap()));
    }
}

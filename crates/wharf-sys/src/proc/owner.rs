//! Who holds a port: the socket from `/proc/net`, its process from `/proc/PID/fd`.
//!
//! The cost is one pass over the descriptors of all processes, so this is for the moment when a port is taken, not
//! for a list. Sockets in other network namespaces don't appear; processes of others are hidden from an ordinary
//! user, and then only the user is known.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wharf_table::owner::Owner;
use wharf_table::{Port, Protocol};

use super::read_trimmed;

/// A socket that keeps others from binding a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it is bound to.
    pub local: SocketAddr,
    /// Its process, as far as it can be seen.
    pub owner: Owner,
}

/// A row of `/proc/net/tcp` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    listening: bool,
    uid: u32,
    inode: u64,
}

/// The socket that holds `port` on `address`, or on an address that conflicts with it: any, or, where `address` is
/// any, each. `None` when there is none that this process can see.
pub fn holder(protocol: Protocol, address: IpAddr, port: Port) -> Option<Holder> {
    let tables = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Icmp => return None,
    };
    let rows = tables.into_iter().flat_map(|table| rows(&fs::read_to_string(table).unwrap_or_default()));
    let holds = |row: &Row| row.local.port() == port.number() && conflicts(row.local.ip(), address);
    // A TCP connection holds its port only against those who don't share; a listener always does.
    let row = rows.filter(holds).max_by_key(|row| row.listening)?;
    Some(Holder { local: row.local, owner: owner_of(&row) })
}

/// Whether sockets on these addresses can't share a port. `::` stands for IPv4 as well, unless the socket said no.
fn conflicts(held: IpAddr, wanted: IpAddr) -> bool {
    let (held, wanted) = (held.to_canonical(), wanted.to_canonical());
    let same_family = held.is_ipv4() == wanted.is_ipv4();
    held == wanted
        || held.is_unspecified() && (same_family || held.is_ipv6())
        || wanted.is_unspecified() && (same_family || wanted.is_ipv6())
}

fn rows(text: &str) -> Vec<Row> {
    text.lines().skip(1).filter_map(parse_row).collect()
}

fn parse_row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace().skip(1);
    let local = parse_endpoint(words.next()?)?;
    let state = words.nth(1)?;
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Row { local, listening: state == "0A", uid, inode })
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's byte order, the port as a number.
fn parse_endpoint(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let part =
        |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(part(0)?)),
        32 => {
            let octets = [part(0)?, part(1)?, part(2)?, part(3)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
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

/// The first process that has the socket with this inode open.
fn process_with(inode: u64) -> Option<u32> {
    let link = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors
            .flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(&link)))
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
    use std::net::{TcpListener, UdpSocket};

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
    fn rows_of_both_families_are_read() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 4711 1 x 100\n";
        let row = rows(text).pop().unwrap();
        assert_eq!(row.local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((row.listening, row.uid, row.inode), (true, 1001, 4711));
        let six = parse_endpoint("00000000000000000000000001000000:0016").unwrap();
        assert_eq!(six, "[::1]:22".parse().unwrap());
    }
}

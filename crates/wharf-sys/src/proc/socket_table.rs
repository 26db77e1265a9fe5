//! The tables of sockets in `/proc/net` (proc_pid_net(5)), for protocols that the kernel lists nowhere else: ping sockets, and raw
//! ones where it was built without `CONFIG_INET_RAW_DIAG`.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use wharf_table::rows::End;
use wharf_table::{Addr, Endpoint};

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Raw IPv4 sockets.
    Raw,
    /// Raw IPv6 sockets.
    Raw6,
    /// ICMP echo sockets.
    Icmp,
    /// ICMPv6 echo sockets.
    Icmp6,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 4] = [Table::Raw, Table::Raw6, Table::Icmp, Table::Icmp6];

    /// Its file, for the network of the thread that opens it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Table::Raw => "/proc/thread-self/net/raw",
            Table::Raw6 => "/proc/thread-self/net/raw6",
            Table::Icmp => "/proc/thread-self/net/icmp",
            Table::Icmp6 => "/proc/thread-self/net/icmp6",
        }
    }
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The local end. The port is the IP protocol of a raw socket, the identifier of an echo socket.
    pub local: End,
    /// The remote end of one that is connected.
    pub remote: Option<End>,
    /// The state by its number: 1 connected, 7 not.
    pub state: u8,
    /// Bytes that were written and not sent.
    pub send_queue: u32,
    /// Bytes that wait to be read.
    pub receive_queue: u32,
    /// Its user.
    pub uid: u32,
    /// Its number among the files.
    pub inode: u32,
}

/// Reads a table through a file that was opened in its network.
pub(crate) fn read(file: &OwnedFd) -> Vec<Entry> {
    let mut text = String::new();
    let Ok(mut file) = file.try_clone().map(File::from) else { return Vec::new() };
    if file.rewind().and_then(|()| file.read_to_string(&mut text)).is_err() {
        return Vec::new();
    }
    text.lines().skip(1).filter_map(parse).collect()
}

/// `  1: 0100007F:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000  0 4711 2 ffff 0`
fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace().skip(1);
    let local = parse_end(words.next()?)?;
    let remote = parse_end(words.next()?)?;
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let (sent, received) = words.next()?.split_once(':')?;
    let queue = |text| u32::from_str_radix(text, 16).ok();
    let uid = words.nth(2)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    let connected = remote.port != 0 || !remote.addr.is_unspecified();
    Some(Entry {
        local,
        remote: connected.then_some(remote),
        state,
        send_queue: queue(sent)?,
        receive_queue: queue(received)?,
        uid,
        inode,
    })
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's byte order, the port as a number.
fn parse_end(word: &str) -> Option<End> {
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
    Some(End::new(Endpoint { addr: Addr::from(ip), port }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_families_are_read() {
        let line = "  58: 0100007F:003A 00000000:0000 07 00000002:00000001 00:00000000 00000000  1001        0 4711 2 x 0";
        let row = parse(line).unwrap();
        assert_eq!(row.local.endpoint().socket_addr(), "127.0.0.1:58".parse().unwrap());
        assert_eq!((row.state, row.remote, row.uid, row.inode), (7, None, 1001, 4711));
        assert_eq!((row.send_queue, row.receive_queue), (2, 1));
        let six = parse_end("00000000000000000000000001000000:0016").unwrap();
        assert_eq!(six.endpoint().socket_addr(), "[::1]:22".parse().unwrap());
        assert_eq!(parse("  58: 0100007F:003A"), None);
        assert_eq!(parse_end("0100007F0:1"), None);
    }
}

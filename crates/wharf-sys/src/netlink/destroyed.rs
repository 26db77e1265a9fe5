//! Sockets that end, as the kernel tells them: the destroy groups of sock_diag (`SKNLGRP_INET_TCP_DESTROY` and its like).
//!
//! The kernel tells of every TCP and UDP socket of one network namespace that ends, however short it lived, to whoever asks:
//! no right is needed. A TCP connection ends here when its program is done with it and nothing is under way any more; what
//! stays in TIME-WAIT is not this socket. Who held it the kernel no longer knows by then.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use wharf_table::rows::{End, Transport};
use wharf_table::{Addr, Endpoint};

use crate::call::{check, set_option};
use crate::netlink::sock_diag::Diag;

/// `SKNLGRP_INET_TCP_DESTROY`, `_INET_UDP_`, `_INET6_TCP_`, `_INET6_UDP_`.
const GROUPS: [c_int; 4] = [1, 2, 3, 4];
/// What may wait to be read; as much as the kernel allows, where that is less.
const ROOM_BYTES: c_int = 8 << 20;
/// Bytes of `nlmsghdr`, and of `inet_diag_msg`.
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_PROTOCOL: u16 = 10;
/// Where `tcpi_bytes_received`, `tcpi_bytes_sent` and `tcpi_bytes_retrans` stand in `tcp_info`.
const BYTES_RECEIVED: usize = 128;
const BYTES_SENT: usize = 200;
const BYTES_SENT_AGAIN: usize = 208;

/// A socket that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// TCP or UDP.
    pub transport: Transport,
    /// Its local end.
    pub local: End,
    /// Its remote end, of a connection.
    pub remote: Option<End>,
    /// Its cookie, as in the rows of the same network.
    pub cookie: u64,
    /// Bytes that a TCP connection sent, those sent again not counted, and received. Where the peer's end of the stream came, the
    /// kernel counts it as one more.
    pub bytes: Option<(u64, u64)>,
}

/// Hears of the sockets of a network namespace that end.
#[derive(Debug)]
pub struct Destructions {
    socket: OwnedFd,
    room: Vec<u8>,
}

impl Destructions {
    /// Begins to listen, in the network in which `diag` was opened.
    ///
    /// # Errors
    /// The kernel has no such groups (`CONFIG_INET_DIAG`), or a sandbox forbids it.
    pub fn listen(diag: Diag) -> io::Result<Destructions> {
        let socket = diag.into_socket();
        rustix::io::ioctl_fionbio(&socket, true)?;
        // The first is for those who may go beyond the limit.
        set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &ROOM_BYTES)
            .or_else(|_| set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &ROOM_BYTES))?;
        // Without a number of its own the kernel would take it for itself, and tell it nothing.
        bind(socket.as_fd())?;
        for group in GROUPS {
            set_option(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)?;
        }
        Ok(Destructions { socket, room: vec![0; 64 * 1024] })
    }

    /// Hands out what came since the last time. Never blocks.
    ///
    /// # Errors
    /// `ENOBUFS`: some were not told, as more came than was read. The next call goes on with what is there.
    pub fn read(&mut self, mut each: impl FnMut(Destroyed)) -> io::Result<()> {
        loop {
            let length = match rustix::net::recv(&self.socket, &mut self.room[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut rest = self.room.get(..length).unwrap_or_default();
            while let Some((kind, body, next)) = split_message(rest) {
                if kind == SOCK_DIAG_BY_FAMILY {
                    destroyed(body).into_iter().for_each(&mut each);
                }
                rest = next;
            }
        }
    }
}

impl AsFd for Destructions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Gives the socket a number of the kernel's choice.
fn bind(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the address is plain integers, for which zero is valid.
    let mut any: libc::sockaddr_nl = unsafe { mem::zeroed() };
    any.nl_family = libc::AF_NETLINK as u16;
    let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: pointer and size describe the address, which the kernel only reads.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const any).cast(), size) })?;
    Ok(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(array(bytes, 0)?) as usize;
    let body = bytes.get(HEADER_BYTES..length)?;
    Some((
        u16::from_ne_bytes(array(bytes, 4)?),
        body,
        bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

/// Reads an `inet_diag_msg` and its attributes. A socket that never had a port is none.
fn destroyed(body: &[u8]) -> Option<Destroyed> {
    let family = c_int::from(*body.first()?);
    let zone = u32::from_ne_bytes(array(body, 40)?);
    let end = |port_at: usize, address_at: usize| {
        let port = u16::from_be_bytes(array(body, port_at)?);
        let addr = match family {
            libc::AF_INET => Addr::v4(array(body, address_at)?),
            libc::AF_INET6 => Addr::v6(array(body, address_at)?),
            _ => return None,
        };
        Some(End { zone, ..End::new(Endpoint { addr, port }) })
    };
    let (local, remote) = (end(4, 8)?, end(6, 24)?);
    let cookie = u64::from(u32::from_ne_bytes(array(body, 44)?))
        | u64::from(u32::from_ne_bytes(array(body, 48)?)) << 32;
    let (mut transport, mut bytes) = (None, None);
    let mut rest = body.get(MESSAGE_BYTES..)?;
    while let (Some(length), Some(kind)) = (array(rest, 0), array(rest, 2)) {
        let length = usize::from(u16::from_ne_bytes(length));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes(kind) {
            INET_DIAG_PROTOCOL => transport = transport_of(*value.first()?),
            INET_DIAG_INFO => bytes = counts(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let remote = (remote.port != 0).then_some(remote);
    // Of a listener the kernel counts nothing.
    let bytes = bytes.filter(|_| remote.is_some());
    (local.port != 0).then_some(Destroyed { transport: transport?, local, remote, cookie, bytes })
}

fn transport_of(protocol: u8) -> Option<Transport> {
    match c_int::from(protocol) {
        libc::IPPROTO_TCP => Some(Transport::Tcp),
        libc::IPPROTO_UDP => Some(Transport::Udp),
        _ => None,
    }
}

/// Sent and received bytes of a `tcp_info`; older kernels have a shorter one.
fn counts(info: &[u8]) -> Option<(u64, u64)> {
    let field = |at| array(info, at).map(u64::from_ne_bytes);
    let sent = field(BYTES_SENT)?.saturating_sub(field(BYTES_SENT_AGAIN)?);
    Some((sent, field(BYTES_RECEIVED)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

    fn told(from: &mut Destructions, local: SocketAddr) -> Vec<Destroyed> {
        let mut found = Vec::new();
        // Other tests' sockets are told as well; a socket's memory may be given back a moment after it was closed.
        for _ in 0..100 {
            from.read(|one| {
                if one.local.endpoint().socket_addr() == local {
                    found.push(one);
                }
            })
            .unwrap();
            if !found.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        found
    }

    #[test]
    fn sockets_that_end_are_told() {
        let Ok(mut ended) = Diag::open().and_then(Destructions::listen) else {
            return println!("skipped: no destroy groups here");
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(at).unwrap();
        let from = client.local_addr().unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        drop(listener);
        let listener = told(&mut ended, at)[0];
        drop(client);
        let client = told(&mut ended, from)[0];
        assert_eq!(client.remote.unwrap().endpoint().socket_addr(), at);
        assert_eq!((client.transport, client.bytes), (Transport::Tcp, Some((5, 0))));
        assert!(client.cookie != 0);
        assert_eq!((listener.remote, listener.bytes), (None, None));
    }

    #[test]
    fn datagram_sockets_are_told_in_both_families() {
        let Ok(mut ended) = Diag::open().and_then(Destructions::listen) else {
            return println!("skipped: no destroy groups here");
        };
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        for at in ["127.0.0.1:0".parse().unwrap(), any] {
            let Ok(socket) = UdpSocket::bind(at) else { continue };
            let at = socket.local_addr().unwrap();
            drop(socket);
            let told = told(&mut ended, at);
            assert_eq!((told[0].transport, told[0].remote, told[0].bytes), (Transport::Udp, None, None));
        }
    }

    #[test]
    fn a_short_message_is_none() {
        assert_eq!(destroyed(&[2; 71]), None);
        assert!(split_message(&[0xff; 20]).is_none());
        assert!(split_message(&[4, 0, 0, 0, 20, 0]).is_none());
    }
}

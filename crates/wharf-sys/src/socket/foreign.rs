//! TCP sockets that speak for somebody else: bound to an address that is not of their network.
//!
//! What such a socket sends carries a mark, by which the network that made it can lead the answers back to it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libc::c_int;

use super::{Family, by_family};
use crate::call::{check, set_option};

/// `linux/in.h`; since Linux 6.3.
const IP_LOCAL_PORT_RANGE: c_int = 51;

/// A TCP socket of this network namespace that may be bound to any address, whose packets carry `mark`, and that sends small
/// segments at once. `congestion` is the congestion control it uses where the kernel has it.
///
/// # Errors
/// As [`super::tcp`], or `EPERM` without CAP_NET_ADMIN over the namespace.
pub fn foreign(family: Family, mark: u32, congestion: &str) -> io::Result<OwnedFd> {
    let socket = super::tcp(family)?;
    let fd = socket.as_fd();
    by_family(fd, family, libc::IP_TRANSPARENT, libc::IPV6_TRANSPARENT, 1)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_MARK, &mark.cast_signed())?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1)?;
    // A port is chosen when it connects, so that it need be free for the pair of addresses only.
    set_option(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, &1)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1)?;
    // Another one is slower here, no more.
    let _ = rustix::net::sockopt::set_tcp_congestion(&socket, congestion);
    Ok(socket)
}

/// Lets a socket that is bound to no port take this one only when it connects (`IP_LOCAL_PORT_RANGE`). A port outside of
/// `net.ipv4.ip_local_port_range` means nothing to the kernel.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.3.
pub fn set_only_port(socket: impl AsFd, port: u16) -> io::Result<()> {
    let port = u32::from(port);
    set_option(socket.as_fd(), libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, &(port << 16 | port).cast_signed())
}

/// How many bytes of a TCP socket, its FIN among them, the peer has not acknowledged yet.
///
/// # Errors
/// It is no TCP socket.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<usize> {
    let mut count = MaybeUninit::<c_int>::zeroed();
    // SAFETY: the kernel writes one integer to the pointer, which is valid.
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, count.as_mut_ptr()) })?;
    // SAFETY: it was zeroed, which is a value.
    Ok(usize::try_from(unsafe { count.assume_init() }).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_was_not_acknowledged_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&client).unwrap(), 0);
        client.set_nonblocking(true).unwrap();
        while client.write(&[0; 65536]).is_ok() {}
        assert!(unacknowledged(&client).unwrap() > 0);
        client.shutdown(std::net::Shutdown::Write).unwrap();
        server.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(unacknowledged(&client).unwrap(), 0);
    }
}

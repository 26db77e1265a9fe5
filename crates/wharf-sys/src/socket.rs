//! Host sockets: the options and control messages that the standard library has no words for.
//!
//! Last step of a packet's way out and first of its way in. Every socket made here is non-blocking.

mod address;
pub mod bare;
mod control_message;
pub mod datagram;
pub mod error_queue;
pub mod foreign;
pub mod unix;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use crate::call::{self, check, set_option};
use address::CAddress;
pub use datagram::{DatagramBuffers, Outgoing, PacketInfo, Received};
pub use error_queue::{ErrorOrigin, QueuedError};

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6 only: a socket of this family never carries IPv4.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    const fn domain(self) -> c_int {
        match self {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        }
    }
}

/// Whether an option is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Switch {
    const fn value(self) -> c_int {
        match self {
            Switch::On => 1,
            Switch::Off => 0,
        }
    }
}

fn open(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: the call takes integers only.
    let fd =
        check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // A raw socket of IPv6 is for nothing else, and refuses the option.
    if domain == libc::AF_INET6 && kind != libc::SOCK_RAW {
        set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1)?;
    }
    Ok(fd)
}

/// A TCP socket, which gives urgent data in its place among the rest (RFC 6093, section 6) rather than apart.
///
/// # Errors
/// No descriptor is left, or the host has no such family.
pub fn tcp(family: Family) -> io::Result<OwnedFd> {
    let fd = open(family.domain(), libc::SOCK_STREAM, 0)?;
    set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_OOBINLINE, &1)?;
    Ok(fd)
}

/// A UDP socket.
///
/// # Errors
/// As [`tcp`].
pub fn udp(family: Family) -> io::Result<OwnedFd> {
    open(family.domain(), libc::SOCK_DGRAM, 0)
}

/// How a socket for echo requests came about; it decides what is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingKind {
    /// A ping socket: the kernel sets the identifier and hands over replies to it only, without IP header.
    Datagram,
    /// A raw socket: every ICMP message that arrives, with the IP header before it over IPv4.
    Raw,
}

/// A socket for ICMP echo: a ping socket where `net.ipv4.ping_group_range` allows it, else a raw one.
///
/// # Errors
/// `EACCES` or `EPERM`: neither is allowed.
pub fn ping(family: Family) -> io::Result<(OwnedFd, PingKind)> {
    let protocol = match family {
        Family::V4 => libc::IPPROTO_ICMP,
        Family::V6 => libc::IPPROTO_ICMPV6,
    };
    if let Ok(fd) = open(family.domain(), libc::SOCK_DGRAM, protocol) {
        return Ok((fd, PingKind::Datagram));
    }
    open(family.domain(), libc::SOCK_RAW, protocol).map(|fd| (fd, PingKind::Raw))
}

/// Binds a socket.
///
/// # Errors
/// The address is taken, not one of the host's, or its port needs rights.
pub fn bind(socket: impl AsFd, address: SocketAddr) -> io::Result<()> {
    let (address, size) = CAddress::new(address);
    // SAFETY: the pointer and the size describe `address`, which the kernel only reads.
    check(unsafe { libc::bind(socket.as_fd().as_raw_fd(), address.pointer(), size) })?;
    Ok(())
}

/// Starts to listen. The kernel cuts `backlog` to `net.core.somaxconn`.
///
/// # Errors
/// Another socket listens on the same address.
pub fn listen(socket: impl AsFd, backlog: i32) -> io::Result<()> {
    Ok(rustix::net::listen(socket, backlog)?)
}

/// How far a connection came at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    /// It is made.
    Done,
    /// It is under way: the socket becomes writable, and [`take_error`] then says how it ended.
    UnderWay,
}

/// Connects a socket; for UDP this sets the only peer.
///
/// # Errors
/// What the host knows at once: no route, refused on loopback, no port left.
pub fn connect(socket: impl AsFd, address: SocketAddr) -> io::Result<Connecting> {
    let (address, size) = CAddress::new(address);
    // SAFETY: the pointer and the size describe `address`, which the kernel only reads.
    match check(unsafe { libc::connect(socket.as_fd().as_raw_fd(), address.pointer(), size) }) {
        Ok(_) => Ok(Connecting::Done),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(Connecting::UnderWay),
        Err(error) => Err(error),
    }
}

/// Takes the next connection of a listener: the socket and its peer. `None` when none waits.
///
/// # Errors
/// `EMFILE` and `ENFILE`: no descriptor is left, and the connection still waits.
pub fn accept(listener: impl AsFd) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
    let listener = listener.as_fd();
    loop {
        let (mut address, mut size) = CAddress::room();
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the pointers are to room for any address and to its size, to which the kernel keeps.
        let fd = unsafe { libc::accept4(listener.as_raw_fd(), address.pointer_mut(), &raw mut size, flags) };
        match check(fd) {
            Ok(fd) => {
                // SAFETY: the descriptor is new and nobody else's.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                let Some(peer) = address.read(size) else { continue };
                return Ok(Some((fd, peer)));
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(None),
                // The connection was gone before it was taken (accept(2), "Error handling").
                Some(
                    libc::EINTR | libc::ECONNABORTED | libc::EPROTO | libc::ENETDOWN | libc::EHOSTUNREACH,
                ) => {}
                _ => return Err(error),
            },
        }
    }
}

/// The address a socket is bound to.
///
/// # Errors
/// It is no IP socket.
pub fn local_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    let (mut address, mut size) = CAddress::room();
    // SAFETY: the pointers are to room for any address and to its size, to which the kernel keeps.
    check(unsafe { libc::getsockname(socket.as_fd().as_raw_fd(), address.pointer_mut(), &raw mut size) })?;
    address.read(size).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Takes the error that waits on a socket, the end of a connection attempt say. `None` when there is none.
pub fn take_error(socket: impl AsFd) -> Option<io::Error> {
    match call::option::<c_int>(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR) {
        Ok(0) => None,
        Ok(number) => Some(call::error(number)),
        Err(error) => Some(error),
    }
}

/// How much of what was written to a TCP socket its peer has acknowledged, in bytes: what a slow peer's progress is seen by
/// while the socket takes nothing.
///
/// # Errors
/// It is no TCP socket, or the kernel is older than 4.1.
pub fn acknowledged_bytes(socket: impl AsFd) -> io::Result<u64> {
    /// Where `tcpi_bytes_acked` stands in `struct tcp_info`, in words of eight bytes: behind a word of flags, 24 integers of
    /// four bytes, and two of eight (linux/tcp.h).
    const BYTES_ACKED: usize = 15;
    let info = call::option::<[u64; BYTES_ACKED + 1]>(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_INFO)?;
    Ok(info[BYTES_ACKED])
}

/// What the kernel knows at a glance of a TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The state, by the kernel's number (`TCP_ESTABLISHED` is 1).
    pub state: u8,
    /// Segments that were sent.
    pub segments_sent: u32,
    /// Segments that came.
    pub segments_received: u32,
}

/// State and segments of a TCP socket (RFC 4898).
///
/// # Errors
/// It is no TCP socket, or the kernel is older than 4.2.
pub fn glance(socket: impl AsFd) -> io::Result<Glance> {
    /// Where `tcpi_segs_out` and `tcpi_segs_in` stand in `struct tcp_info`, in words of eight bytes: in one, behind a word of flags,
    /// 24 integers of four bytes, and four of eight (linux/tcp.h).
    const SEGMENTS: usize = 17;
    let info = call::option::<[u64; SEGMENTS + 1]>(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_INFO)?;
    let [state, ..] = info[0].to_ne_bytes();
    let [a, b, c, d, e, f, g, h] = info[SEGMENTS].to_ne_bytes();
    let (sent, received) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
    Ok(Glance { state, segments_sent: sent, segments_received: received })
}

/// Makes the close of a TCP socket a RST: what is not sent is thrown away.
///
/// # Errors
/// It is no socket.
pub fn reset_on_close(socket: impl AsFd) -> io::Result<()> {
    let now = libc::linger { l_onoff: 1, l_linger: 0 };
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &now)
}

/// Sends small segments at once, or not (`TCP_NODELAY`).
///
/// # Errors
/// It is no TCP socket.
pub fn set_no_delay(socket: impl AsFd, switch: Switch) -> io::Result<()> {
    set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, &switch.value())
}

/// Lets a listener take a port whose old connections are in TIME-WAIT (`SO_REUSEADDR`).
///
/// # Errors
/// It is no socket.
pub fn set_reuse_address(socket: impl AsFd, switch: Switch) -> io::Result<()> {
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, &switch.value())
}

/// Asks for buffers of about this many bytes each way; the kernel keeps to its limits.
///
/// # Errors
/// It is no socket.
pub fn set_buffers(socket: impl AsFd, receive: i32, send: i32) -> io::Result<()> {
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &receive)?;
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, &send)
}

/// Tells with each datagram which of the host's addresses it came to (`IP_PKTINFO`, `IPV6_RECVPKTINFO`).
///
/// # Errors
/// It is no socket of this family.
pub fn set_packet_info(socket: impl AsFd, family: Family) -> io::Result<()> {
    by_family(socket.as_fd(), family, libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO, 1)
}

/// Sends with this hop limit.
///
/// # Errors
/// It is no socket of this family, or the limit is 0.
pub fn set_hop_limit(socket: impl AsFd, family: Family, limit: u8) -> io::Result<()> {
    by_family(socket.as_fd(), family, libc::IP_TTL, libc::IPV6_UNICAST_HOPS, limit.into())
}

/// Never fragments what is sent, and sets the Don't Fragment bit: a datagram beyond the path's MTU is an error
/// (`EMSGSIZE`, and the MTU in the error queue).
///
/// # Errors
/// It is no socket of this family.
pub fn set_dont_fragment(socket: impl AsFd, family: Family, switch: Switch) -> io::Result<()> {
    let value = match switch {
        Switch::On => libc::IP_PMTUDISC_DO,
        Switch::Off => libc::IP_PMTUDISC_DONT,
    };
    by_family(socket.as_fd(), family, libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER, value)
}

/// From the kernel's asm-generic/socket.h; libc does not name it here.
pub(super) const SO_RXQ_OVFL: c_int = 40;

/// Has each datagram that arrives say how many were dropped at this socket until then because its buffer was full
/// (`SO_RXQ_OVFL` in socket(7)).
///
/// # Errors
/// It is no socket.
pub fn count_overflow(socket: impl AsFd) -> io::Result<()> {
    set_option(socket.as_fd(), libc::SOL_SOCKET, SO_RXQ_OVFL, &1)
}

/// Reads many datagrams of one sender as one, with the size of each (`UDP_GRO`).
///
/// # Errors
/// Kernels before 5.0 know no such thing.
pub fn set_udp_gro(socket: impl AsFd) -> io::Result<()> {
    set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, &1)
}

fn by_family(socket: BorrowedFd<'_>, family: Family, v4: c_int, v6: c_int, value: c_int) -> io::Result<()> {
    match family {
        Family::V4 => set_option(socket, libc::IPPROTO_IP, v4, &value),
        Family::V6 => set_option(socket, libc::IPPROTO_IPV6, v6, &value),
    }
}

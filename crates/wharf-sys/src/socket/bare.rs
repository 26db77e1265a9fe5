//! Socket calls with every argument that the kernel takes: for those who try the kernel out rather than use it.
//!
//! Nothing is set, retried or translated here. Only what would let the kernel write where nobody may is refused.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, msghdr, socklen_t};

use super::address::CAddress;
use super::control_message::parts;
use crate::call::{check, check_size, error};

/// `socket`.
///
/// # Errors
/// The kernel's.
pub fn socket(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: the call takes integers only.
    let fd = check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `accept4`, and the peer's address.
///
/// # Errors
/// The kernel's.
pub fn accept(listener: impl AsFd, flags: c_int) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (mut address, mut size) = CAddress::room();
    let flags = flags | libc::SOCK_CLOEXEC;
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the pointers are to room for any address and to its size, to which the kernel keeps.
    let fd = check(unsafe { libc::accept4(fd, address.pointer_mut(), &raw mut size, flags) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, address.read(size)))
}

/// `connect` to an address, or to none (`AF_UNSPEC`), which dissolves what there was.
///
/// # Errors
/// The kernel's, `EINPROGRESS` among them.
pub fn connect(socket: impl AsFd, address: Option<SocketAddr>) -> io::Result<()> {
    // All zeros is an address of the family AF_UNSPEC.
    let (address, size) = address.map_or_else(CAddress::room, CAddress::new);
    // SAFETY: the pointer and the size describe `address`, which the kernel only reads.
    check(unsafe { libc::connect(socket.as_fd().as_raw_fd(), address.pointer(), size) })?;
    Ok(())
}

/// `getpeername`.
///
/// # Errors
/// The kernel's.
pub fn peer_address(socket: impl AsFd) -> io::Result<Option<SocketAddr>> {
    let (mut address, mut size) = CAddress::room();
    // SAFETY: the pointers are to room for any address and to its size, to which the kernel keeps.
    check(unsafe { libc::getpeername(socket.as_fd().as_raw_fd(), address.pointer_mut(), &raw mut size) })?;
    Ok(address.read(size))
}

/// Whether an option's value can hold addresses of memory, into which the kernel would write or from which it would
/// read. Those are filters, packet filter tables (64 and above of the IP levels) and zero-copy reception.
fn holds_pointers(level: c_int, name: c_int) -> bool {
    const TCP_ZEROCOPY_RECEIVE: c_int = 35;
    const FIRST_OF_NETFILTER: c_int = 64;
    const IPV6_MINHOPCOUNT: c_int = 73;
    match level {
        libc::SOL_SOCKET => {
            matches!(name, libc::SO_ATTACH_FILTER | libc::SO_ATTACH_REUSEPORT_CBPF | libc::SO_ATTACH_BPF)
        }
        libc::IPPROTO_TCP => name == TCP_ZEROCOPY_RECEIVE,
        libc::IPPROTO_IP => name >= FIRST_OF_NETFILTER,
        libc::IPPROTO_IPV6 => {
            let plain = [libc::IPV6_TCLASS, libc::IPV6_RECVTCLASS, IPV6_MINHOPCOUNT];
            name >= FIRST_OF_NETFILTER && !plain.contains(&name)
        }
        libc::IPPROTO_UDP => false,
        _ => true,
    }
}

/// `setsockopt`.
///
/// # Errors
/// The kernel's; `ENOPROTOOPT` for an option whose value would hold pointers.
pub fn set_option(socket: impl AsFd, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    if holds_pointers(level, name) {
        return Err(error(libc::ENOPROTOOPT));
    }
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the pointer and the size describe `value`, which the kernel only reads; no option that passed the test
    // above has it follow pointers in there.
    check(unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), value.len() as socklen_t) })?;
    Ok(())
}

/// `getsockopt`: the value's bytes, at most `room`.
///
/// # Errors
/// As [`set_option`].
pub fn option(socket: impl AsFd, level: c_int, name: c_int, room: usize) -> io::Result<Vec<u8>> {
    if holds_pointers(level, name) {
        return Err(error(libc::ENOPROTOOPT));
    }
    let mut value = vec![0; room];
    let mut size = room as socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: pointer and size describe `value`, the kernel writes no more than `size` bytes, and follows no pointers in
    // there (the test above).
    check(unsafe { libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &raw mut size) })?;
    value.truncate(size as usize);
    Ok(value)
}

/// `ioctl` of a request that reads or writes one number, and what the number is then.
///
/// # Errors
/// The kernel's; `EINVAL` for other requests.
pub fn number(socket: impl AsFd, request: u64, value: c_int) -> io::Result<c_int> {
    const SIOCOUTQNSD: u64 = 0x894b;
    const SIOCATMARK: u64 = 0x8905;
    let known = [libc::FIONREAD, libc::TIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, libc::FIONBIO];
    if !known.contains(&request) {
        return Err(error(libc::EINVAL));
    }
    let mut value = value;
    // SAFETY: each of these requests reads or writes one integer, to which the pointer leads.
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), request, &raw mut value) })?;
    Ok(value)
}

/// A control message: level, type, data.
pub type ControlMessage = (c_int, c_int, Vec<u8>);

/// Room for control messages, aligned as they must be.
fn control_room(bytes: usize) -> Vec<u64> {
    vec![0; bytes.div_ceil(8)]
}

/// `sendmsg`.
///
/// # Errors
/// The kernel's.
pub fn send(
    socket: impl AsFd,
    data: &[IoSlice<'_>],
    to: Option<SocketAddr>,
    control: &[ControlMessage],
    flags: c_int,
) -> io::Result<usize> {
    let address = to.map(CAddress::new);
    let mut room = written(control);
    // SAFETY: the message is pointers and integers, for which zero is valid.
    let mut message: msghdr = unsafe { mem::zeroed() };
    if let Some((address, size)) = &address {
        message.msg_name = address.pointer().cast_mut().cast();
        message.msg_namelen = *size;
    }
    message.msg_iov = data.as_ptr().cast_mut().cast();
    message.msg_iovlen = data.len() as _;
    if !room.is_empty() {
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = (room.len() * 8) as _;
    }
    // SAFETY: `IoSlice` has the layout of `iovec`; address, data and control messages outlive the call, in which the
    // kernel only reads them.
    check_size(unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, flags) })
}

/// Control messages one behind the other, as the kernel reads them.
fn written(control: &[ControlMessage]) -> Vec<u64> {
    let mut bytes: Vec<u8> = Vec::new();
    for (level, kind, data) in control {
        // SAFETY: it only computes.
        let length = unsafe { libc::CMSG_LEN(data.len() as u32) } as usize;
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&level.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

/// What `recvmsg` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// How many bytes came.
    pub length: usize,
    /// From whom, where the socket tells.
    pub address: Option<SocketAddr>,
    /// The message's flags.
    pub flags: c_int,
    /// What came beside the data.
    pub control: Vec<ControlMessage>,
}

/// `recvmsg`, with so much room for control messages.
///
/// # Errors
/// The kernel's.
pub fn receive(
    socket: impl AsFd,
    data: &mut [IoSliceMut<'_>],
    room: usize,
    flags: c_int,
) -> io::Result<Message> {
    let (mut address, size) = CAddress::room();
    let mut control = control_room(room);
    // SAFETY: the message is pointers and integers, for which zero is valid.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_name = address.pointer_mut().cast();
    message.msg_namelen = size;
    message.msg_iov = data.as_mut_ptr().cast();
    message.msg_iovlen = data.len() as _;
    if room > 0 {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = room as _;
    }
    let fd: BorrowedFd<'_> = socket.as_fd();
    // SAFETY: `IoSliceMut` has the layout of `iovec`; the message describes room that outlives the call.
    let length = check_size(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) })?;
    let parts = parts(&message).map(|part| (part.level, part.kind, part.data.to_vec()));
    let control = if room > 0 { parts.collect() } else { Vec::new() };
    Ok(Message { length, address: address.read(message.msg_namelen), flags: message.msg_flags, control })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_comes_with_its_sender_and_its_hop_limit() {
        let one = socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let other = socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        super::super::bind(&one, any).unwrap();
        super::super::bind(&other, any).unwrap();
        set_option(&one, libc::IPPROTO_IP, libc::IP_RECVTTL, &1i32.to_ne_bytes()).unwrap();
        let (to, from) =
            (super::super::local_address(&one).unwrap(), super::super::local_address(&other).unwrap());
        let ttl = [(libc::IPPROTO_IP, libc::IP_TTL, 7i32.to_ne_bytes().to_vec())];
        assert_eq!(send(&other, &[IoSlice::new(b"hello")], Some(to), &ttl, 0).unwrap(), 5);
        let mut buffer = [0; 3];
        let message = receive(&one, &mut [IoSliceMut::new(&mut buffer)], 64, 0).unwrap();
        assert_eq!((message.length, message.address), (3, Some(from)));
        assert_eq!(message.flags, libc::MSG_TRUNC);
        assert_eq!(message.control, ttl);
    }

    #[test]
    fn what_holds_pointers_is_refused() {
        let one = socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        let error = set_option(&one, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &[0; 16]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT));
        assert!(option(&one, libc::IPPROTO_TCP, 35, 64).is_err());
        assert_eq!(option(&one, libc::IPPROTO_TCP, libc::TCP_NODELAY, 4).unwrap(), 0i32.to_ne_bytes());
    }

    #[test]
    fn only_known_numbers_are_asked_for() {
        let one = socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        assert_eq!(number(&one, libc::FIONREAD, 0).unwrap(), 0);
        assert_eq!(number(&one, libc::TIOCGWINSZ, 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}

//! ICMP errors about what a socket sent, as the kernel queues them (`IP_RECVERR` in ip(7), `IPV6_RECVERR` in ipv6(7)).

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use libc::sock_extended_err;

use super::address::CAddress;
use super::control_message::{Control, parts};
use super::{Family, by_family};
use crate::call::check_size;

/// Who found the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorOrigin {
    /// This host.
    Local,
    /// An ICMP message.
    Icmp4,
    /// An ICMPv6 message.
    Icmp6,
}

/// An error about something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedError {
    /// The error number that a call would have returned.
    pub number: i32,
    /// Who found it.
    pub origin: ErrorOrigin,
    /// The ICMP type.
    pub icmp_type: u8,
    /// The ICMP code.
    pub icmp_code: u8,
    /// For "too big": the MTU.
    pub info: u32,
    /// Where the ICMP message came from.
    pub offender: Option<IpAddr>,
    /// Where the datagram was going.
    pub destination: Option<SocketAddr>,
    /// Bytes of its payload that came back, at the front of the room given.
    pub payload_bytes: usize,
}

/// Starts to queue errors. Without this an unconnected UDP socket never hears of them.
///
/// # Errors
/// It is no socket of this family.
pub fn enable(socket: impl AsFd, family: Family) -> io::Result<()> {
    by_family(socket.as_fd(), family, libc::IP_RECVERR, libc::IPV6_RECVERR, 1)
}

/// Takes the next error off the queue; the payload that came back with it is written to `payload`. `None` when the
/// queue is empty.
///
/// # Errors
/// It is no socket.
pub fn take(socket: impl AsFd, payload: &mut [u8]) -> io::Result<Option<QueuedError>> {
    let (mut address, size) = CAddress::room();
    let mut control = Control::new();
    let mut slice = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    loop {
        // SAFETY: `msghdr` is plain integers and pointers, for which zero is valid.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_name = address.pointer_mut().cast();
        message.msg_namelen = size;
        message.msg_iov = &raw mut slice;
        message.msg_iovlen = 1;
        control.lend(&mut message);
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: the message describes address, payload and control room, all of which outlive the call.
        let got = check_size(unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags) });
        let length = match got {
            Ok(length) => length,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                io::ErrorKind::Interrupted => continue,
                _ => return Err(error),
            },
        };
        let destination = address.read(message.msg_namelen);
        if let Some(error) = parts(&message).find_map(|part| describe(&part)) {
            return Ok(Some(QueuedError { destination, payload_bytes: length, ..error }));
        }
    }
}

fn describe(part: &super::control_message::Part<'_>) -> Option<QueuedError> {
    match (part.level, part.kind) {
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {}
        _ => return None,
    }
    let error: sock_extended_err = part.value()?;
    let origin = match error.ee_origin {
        libc::SO_EE_ORIGIN_LOCAL => ErrorOrigin::Local,
        libc::SO_EE_ORIGIN_ICMP => ErrorOrigin::Icmp4,
        libc::SO_EE_ORIGIN_ICMP6 => ErrorOrigin::Icmp6,
        _ => return None,
    };
    let offender = part.data.get(size_of::<sock_extended_err>()..).and_then(read_address);
    Some(QueuedError {
        number: error.ee_errno as i32,
        origin,
        icmp_type: error.ee_type,
        icmp_code: error.ee_code,
        info: error.ee_info,
        offender,
        destination: None,
        payload_bytes: 0,
    })
}

/// The address in a `sockaddr` that stands in a control message, with no promise of alignment.
fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    let family = u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]);
    let octets = |at: usize, count: usize| bytes.get(at..at + count);
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::from(<[u8; 4]>::try_from(octets(4, 4)?).ok()?)),
        libc::AF_INET6 => Some(IpAddr::from(<[u8; 16]>::try_from(octets(8, 16)?).ok()?).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn refused(loopback: &str, family: Family) -> QueuedError {
        let closed = {
            let taken = UdpSocket::bind((loopback, 0)).unwrap();
            taken.local_addr().unwrap()
        };
        let socket = UdpSocket::bind((loopback, 0)).unwrap();
        enable(&socket, family).unwrap();
        socket.send_to(b"anyone there?", closed).unwrap();
        let mut payload = [0; 64];
        let error = loop {
            if let Some(error) = take(&socket, &mut payload).unwrap() {
                break error;
            }
        };
        assert_eq!(&payload[..error.payload_bytes], b"anyone there?");
        assert_eq!(error.destination, Some(closed));
        assert_eq!(error.offender, Some(closed.ip()));
        assert_eq!(error.number, libc::ECONNREFUSED);
        error
    }

    #[test]
    fn a_closed_port_is_reported_over_both_families() {
        let four = refused("127.0.0.1", Family::V4);
        assert_eq!((four.origin, four.icmp_type, four.icmp_code), (ErrorOrigin::Icmp4, 3, 3));
        let six = refused("::1", Family::V6);
        assert_eq!((six.origin, six.icmp_type, six.icmp_code), (ErrorOrigin::Icmp6, 1, 4));
    }
}

//! The error queue of a datagram socket (IP_RECVERR, ip(7)): what ICMP said, with the datagram that it is about.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use wharf_table::{Addr, Endpoint};

use super::entry::{Body, Socket};
use super::errno::Errno;
use super::{Host, SocketId};
use crate::stack::DatagramError;

/// Errors that may wait at a time.
const WAITING_MAX: usize = 64;

/// Who reports an error (ee_origin of ip(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorOrigin {
    /// The host itself.
    Local = 1,
    /// ICMP.
    Icmp = 2,
    /// ICMPv6.
    Icmp6 = 3,
}

/// An error from the error queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedError {
    /// What it means.
    pub errno: Errno,
    /// Who reports it.
    pub origin: ErrorOrigin,
    /// The ICMP type.
    pub kind: u8,
    /// The ICMP code.
    pub code: u8,
    /// The MTU that was named, in bytes, or 0.
    pub info: u32,
    /// The address that reported it.
    pub offender: Addr,
    /// Where the datagram was going.
    pub destination: Endpoint,
    /// As much of the datagram as is known.
    pub payload: Box<[u8]>,
}

/// Errors that nobody has read.
#[derive(Debug, Default)]
pub(super) struct ErrorQueue(VecDeque<QueuedError>);

impl ErrorQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, errno: Errno, error: &DatagramError<'_>) {
        if self.0.len() == WAITING_MAX {
            return;
        }
        let v4 = error.offender.is_v4();
        self.0.push_back(QueuedError {
            errno,
            origin: if v4 { ErrorOrigin::Icmp } else { ErrorOrigin::Icmp6 },
            kind: error.kind,
            code: error.code,
            info: error.mtu,
            offender: error.offender,
            destination: error.destination,
            payload: error.payload.into(),
        });
    }
}

impl Host {
    /// The oldest error of the error queue (MSG_ERRQUEUE). When it was the last, no error waits any more.
    ///
    /// # Errors
    /// [`Errno::Again`] when there is none.
    pub fn receive_error(&mut self, id: SocketId) -> Result<QueuedError, Errno> {
        let Socket { body, .. } = self.entry_mut(id)?;
        let Body::Datagram(datagrams) = body else { return Err(Errno::Again) };
        let error = datagrams.errors.0.pop_front().ok_or(Errno::Again)?;
        datagrams.error = datagrams.errors.0.front().map(|next| next.errno);
        Ok(error)
    }
}

impl Errno {
    /// What an ICMP message means for a socket, and whether it is a hard error, as Linux has it (`icmp_err_convert`,
    /// `icmpv6_err_convert`). `discover` is IP_MTU_DISCOVER of the socket. `None` for what says nothing.
    pub(super) const fn of_icmp(v4: bool, kind: u8, code: u8, discover: u8) -> Option<(Errno, bool)> {
        if v4 { icmpv4(kind, code, discover) } else { icmpv6(kind, code, discover) }
    }
}

/// RFC 792; RFC 1122, section 3.2.2.1; RFC 1812, section 5.2.7.1.
const fn icmpv4(kind: u8, code: u8, discover: u8) -> Option<(Errno, bool)> {
    Some(match (kind, code) {
        (3, 0) => (Errno::NetworkUnreachable, false),
        (3, 1) => (Errno::HostUnreachable, false),
        (3, 2) => (Errno::NoProtocolOption, true),
        (3, 3) => (Errno::ConnectionRefused, true),
        (3, 4) if discover == 0 => return None,
        (3, 4) => (Errno::MessageSize, true),
        (3, 5) => (Errno::NotSupported, false),
        (3, 6) => (Errno::NetworkUnreachable, true),
        (3, 7) => (Errno::HostDown, true),
        (3, 8) => (Errno::NoNetwork, true),
        (3, 9) => (Errno::NetworkUnreachable, true),
        (3, 11) => (Errno::NetworkUnreachable, false),
        (3, 12) => (Errno::HostUnreachable, false),
        (3, 10 | 13..=15) => (Errno::HostUnreachable, true),
        (3, _) | (11, _) => (Errno::HostUnreachable, false),
        (12, _) => (Errno::Protocol, true),
        _ => return None,
    })
}

/// RFC 4443, sections 3.1 to 3.4.
const fn icmpv6(kind: u8, code: u8, discover: u8) -> Option<(Errno, bool)> {
    Some(match (kind, code) {
        (1, 0) => (Errno::NetworkUnreachable, false),
        (1, 1 | 5 | 6) => (Errno::Access, true),
        (1, 4) => (Errno::ConnectionRefused, true),
        (1, _) | (3, _) => (Errno::HostUnreachable, false),
        (2, _) if discover == 0 => return None,
        (2, _) => (Errno::MessageSize, true),
        (4, _) => (Errno::Protocol, true),
        _ => return None,
    })
}

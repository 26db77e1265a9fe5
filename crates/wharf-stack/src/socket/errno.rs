//! What a system call on a socket says when it fails, by the names and numbers of Linux.

use core::fmt;

use crate::tcp::{CloseReason, Unreachable};

macro_rules! errnos {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal $number:literal,)+) => {
        /// Why a call on a socket failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Errno { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Errno {
            /// Every one of them.
            pub const ALL: &'static [Errno] = &[$(Errno::$name,)+];

            /// The name that programs know: `EADDRINUSE`.
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$name => $text,)+ }
            }
        }
    };
}

errnos! {
    /// No such error queue entry, or nothing to be found.
    NoEntry = "ENOENT" 2,
    /// There is no such socket.
    BadDescriptor = "EBADF" 9,
    /// It would block: nothing is there yet, or no room is left.
    Again = "EAGAIN" 11,
    /// No memory is left for it.
    NoMemory = "ENOMEM" 12,
    /// The user may not: a privileged port, or a broadcast without the option.
    Access = "EACCES" 13,
    /// The arguments make no sense here.
    Invalid = "EINVAL" 22,
    /// Too many sockets are open.
    TooManyOpen = "ENFILE" 23,
    /// Nobody will read what is sent: the direction is closed.
    BrokenPipe = "EPIPE" 32,
    /// The number is out of its range.
    Domain = "EDOM" 33,
    /// The protocol was violated, as ICMP says.
    Protocol = "EPROTO" 71,
    /// A datagram needs a destination.
    DestinationRequired = "EDESTADDRREQ" 89,
    /// The datagram is larger than can be sent.
    MessageSize = "EMSGSIZE" 90,
    /// There is no such option, or the protocol is unreachable.
    NoProtocolOption = "ENOPROTOOPT" 92,
    /// A socket of this kind has no such call.
    NotSupported = "EOPNOTSUPP" 95,
    /// The address is of a family that the socket does not speak.
    FamilyNotSupported = "EAFNOSUPPORT" 97,
    /// The port is taken.
    AddressInUse = "EADDRINUSE" 98,
    /// The address is none of the host's, or no port is left for this destination.
    AddressNotAvailable = "EADDRNOTAVAIL" 99,
    /// No route leads there.
    NetworkUnreachable = "ENETUNREACH" 101,
    /// The connection was ended before it was established or accepted.
    ConnectionAborted = "ECONNABORTED" 103,
    /// The peer reset the connection.
    ConnectionReset = "ECONNRESET" 104,
    /// No buffer is left.
    NoBuffers = "ENOBUFS" 105,
    /// It is connected already.
    IsConnected = "EISCONN" 106,
    /// It is not connected.
    NotConnected = "ENOTCONN" 107,
    /// Nothing came back for too long.
    TimedOut = "ETIMEDOUT" 110,
    /// Nobody listens there.
    ConnectionRefused = "ECONNREFUSED" 111,
    /// The host is down, as ICMP says.
    HostDown = "EHOSTDOWN" 112,
    /// The host does not answer, or a router says so.
    HostUnreachable = "EHOSTUNREACH" 113,
    /// A connection attempt is under way already.
    Already = "EALREADY" 114,
    /// The connection attempt has begun.
    InProgress = "EINPROGRESS" 115,
    /// The machine is not on the network, as ICMP says.
    NoNetwork = "ENONET" 64,
}

impl Errno {
    /// The number on Linux, x86-64 and aarch64 alike.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// What a program hears when its connection is over for this reason; `None` when all went well.
    pub(super) const fn of_close(reason: CloseReason, v4: bool) -> Option<Errno> {
        match reason {
            CloseReason::Finished => None,
            CloseReason::ResetByPeer | CloseReason::Aborted => Some(Errno::ConnectionReset),
            CloseReason::Refused => Some(Errno::ConnectionRefused),
            CloseReason::TimedOut => Some(Errno::TimedOut),
            CloseReason::Unreachable(why) => Some(Errno::of_unreachable(why, v4)),
        }
    }

    /// The same for an ICMP error, or one of ICMPv6.
    pub(super) const fn of_unreachable(why: Unreachable, v4: bool) -> Errno {
        match why {
            Unreachable::Prohibited if !v4 => Errno::Access,
            Unreachable::Network => Errno::NetworkUnreachable,
            Unreachable::Host | Unreachable::HopLimit | Unreachable::Prohibited => Errno::HostUnreachable,
            Unreachable::Port => Errno::ConnectionRefused,
            Unreachable::Protocol => Errno::NoProtocolOption,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl core::error::Error for Errno {}

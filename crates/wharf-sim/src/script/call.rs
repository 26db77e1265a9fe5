//! System calls and their answers, in numbers: what the runner and a [machine](super::machine) say to each other.
//!
//! Addresses, options and control messages have Linux' numbers; a machine that is no Linux translates.

use std::fmt;
use std::net::SocketAddr;

use super::constants;

/// A descriptor of the machine, not of the script.
pub type Fd = i32;

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `socket`.
    Socket {
        /// `AF_INET` or `AF_INET6`.
        domain: i32,
        /// `SOCK_STREAM` and the like, perhaps with flags.
        kind: i32,
        /// The protocol or 0.
        protocol: i32,
    },
    /// `bind`.
    Bind(Fd, SocketAddr),
    /// `listen`.
    Listen(Fd, i32),
    /// `accept` and `accept4`.
    Accept(Fd, i32),
    /// `connect`; without an address it dissolves (`AF_UNSPEC`).
    Connect(Fd, Option<SocketAddr>),
    /// `getsockname`.
    LocalName(Fd),
    /// `getpeername`.
    PeerName(Fd),
    /// Everything that reads.
    Receive {
        /// From where.
        fd: Fd,
        /// How long each buffer is.
        room: Vec<usize>,
        /// `MSG_PEEK` and the like.
        flags: i32,
        /// How many bytes of control messages fit.
        control_room: usize,
        /// Which call it is.
        through: Through,
    },
    /// Everything that writes.
    Send {
        /// To where.
        fd: Fd,
        /// The buffers.
        data: Vec<Vec<u8>>,
        /// `MSG_MORE` and the like.
        flags: i32,
        /// The receiver.
        to: Option<SocketAddr>,
        /// Level, type and bytes.
        control: Vec<ControlMessage>,
        /// Which call it is.
        through: Through,
    },
    /// `fcntl`.
    Fcntl(Fd, i32, i64),
    /// `ioctl` with a number to be read or written.
    Ioctl(Fd, u64, i64),
    /// `close`.
    Close(Fd),
    /// `shutdown`.
    Shutdown(Fd, i32),
    /// `getsockopt`.
    GetOption {
        /// Of which socket.
        fd: Fd,
        /// `SOL_TCP` and the like.
        level: i32,
        /// Which option.
        name: i32,
        /// How many bytes fit.
        room: usize,
    },
    /// `setsockopt`.
    SetOption {
        /// Of which socket.
        fd: Fd,
        /// `SOL_TCP` and the like.
        level: i32,
        /// Which option.
        name: i32,
        /// As the kernel reads it.
        value: Vec<u8>,
    },
    /// `poll`: descriptors with what is waited for, and milliseconds.
    Poll(Vec<(Fd, i16)>, i32),
    /// `epoll_create`.
    EpollCreate,
    /// `epoll_ctl`.
    EpollControl {
        /// The set.
        set: Fd,
        /// `EPOLL_CTL_ADD` and the like.
        operation: i32,
        /// Which descriptor.
        fd: Fd,
        /// What is waited for.
        events: u32,
        /// What comes back with it.
        data: u64,
    },
    /// `epoll_wait`: the set, how many events fit, and milliseconds.
    EpollWait(Fd, usize, i32),
    /// `pipe`.
    Pipe,
    /// `splice`.
    Splice {
        /// From where.
        from: Fd,
        /// To where.
        to: Fd,
        /// How many bytes.
        length: usize,
        /// `SPLICE_F_NONBLOCK` and the like.
        flags: u32,
    },
}

/// Which of the calls that do nearly the same it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// `read`, `readv`, `write`, `writev`: files' calls.
    File,
    /// `recv`, `recvfrom`, `send`, `sendto`.
    Socket,
    /// `recvmsg`, `sendmsg`.
    Message,
}

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlMessage {
    /// `SOL_IP` and the like.
    pub level: i32,
    /// Which of that level.
    pub kind: i32,
    /// What it says.
    pub data: Vec<u8>,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it returned, or the error's number.
    pub result: Result<i64, Errno>,
    /// Bytes read; the value of an option; nothing else.
    pub data: Vec<u8>,
    /// The peer that `accept` tells, or the sender of a datagram.
    pub address: Option<SocketAddr>,
    /// What `recvmsg` left in its flags.
    pub flags: i32,
    /// Control messages.
    pub control: Vec<ControlMessage>,
    /// What `poll` found for each descriptor.
    pub found: Vec<i16>,
    /// What `epoll_wait` found: events and data.
    pub events: Vec<(u32, u64)>,
    /// The two ends of a pipe.
    pub ends: Option<(Fd, Fd)>,
    /// The number that `ioctl` left.
    pub number: i64,
}

impl Answer {
    /// A call that returned this number and nothing else.
    pub fn returned(result: i64) -> Answer {
        Answer { result: Ok(result), ..Answer::default() }
    }

    /// A call that failed.
    pub fn failed(errno: Errno) -> Answer {
        Answer { result: Err(errno), ..Answer::default() }
    }
}

impl Default for Answer {
    fn default() -> Answer {
        Answer {
            result: Ok(0),
            data: Vec::new(),
            address: None,
            flags: 0,
            control: Vec::new(),
            found: Vec::new(),
            events: Vec::new(),
            ends: None,
            number: 0,
        }
    }
}

/// The number of an error, as Linux has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match constants::errno_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

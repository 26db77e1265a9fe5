//! What a row is: its transport, its state, its role. The words are those of text and JSON.

use core::fmt;

use crate::tuple::Protocol;

/// The kind of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// Multipath TCP (RFC 8684): the connection, whose subflows are TCP rows of their own.
    Mptcp,
    /// UDP.
    Udp,
    /// UDP-Lite (RFC 3828).
    UdpLite,
    /// SCTP (RFC 9260).
    Sctp,
    /// DCCP (RFC 4340).
    Dccp,
    /// A raw socket, whose port is the IP protocol number.
    Raw,
    /// An ICMP echo socket, whose port is the identifier.
    Icmp,
}

impl Transport {
    /// All of them.
    pub const ALL: [Transport; 8] = [
        Transport::Tcp,
        Transport::Mptcp,
        Transport::Udp,
        Transport::UdpLite,
        Transport::Sctp,
        Transport::Dccp,
        Transport::Raw,
        Transport::Icmp,
    ];

    /// The stable name, as text and JSON print it.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Mptcp => "mptcp",
            Transport::Udp => "udp",
            Transport::UdpLite => "udplite",
            Transport::Sctp => "sctp",
            Transport::Dccp => "dccp",
            Transport::Raw => "raw",
            Transport::Icmp => "icmp",
        }
    }

    /// The protocol whose registered names and table this transport shares; `None` where it has neither here.
    pub const fn protocol(self) -> Option<Protocol> {
        match self {
            Transport::Tcp | Transport::Mptcp => Some(Protocol::Tcp),
            Transport::Udp | Transport::UdpLite => Some(Protocol::Udp),
            Transport::Icmp => Some(Protocol::Icmp),
            Transport::Sctp | Transport::Dccp | Transport::Raw => None,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The state of a row: those of RFC 9293, section 3.3.2, and `bound` for a socket that has a port and neither listens
/// nor is connected. A UDP socket is bound, or established when it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// LISTEN.
    Listen,
    /// SYN-SENT.
    SynSent,
    /// SYN-RECEIVED.
    SynReceived,
    /// ESTABLISHED.
    Established,
    /// FIN-WAIT-1.
    FinWait1,
    /// FIN-WAIT-2.
    FinWait2,
    /// CLOSE-WAIT.
    CloseWait,
    /// CLOSING.
    Closing,
    /// LAST-ACK.
    LastAck,
    /// TIME-WAIT.
    TimeWait,
    /// CLOSED, and not yet gone.
    Closed,
    /// It has a port, and neither listens nor is connected.
    Bound,
}

impl State {
    /// All of them, in the order of a connection's life.
    pub const ALL: [State; 12] = [
        State::Listen,
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
        State::TimeWait,
        State::Closed,
        State::Bound,
    ];

    /// The stable name, as text and JSON print it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Listen => "listen",
            State::SynSent => "syn_sent",
            State::SynReceived => "syn_received",
            State::Established => "established",
            State::FinWait1 => "fin_wait_1",
            State::FinWait2 => "fin_wait_2",
            State::CloseWait => "close_wait",
            State::Closing => "closing",
            State::LastAck => "last_ack",
            State::TimeWait => "time_wait",
            State::Closed => "closed",
            State::Bound => "bound",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which part a row plays, told by the listener of its port and not by the port's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It takes connections, or datagrams from anybody.
    Listener,
    /// The end of a connection that a listener here took.
    Server,
    /// The end that asked.
    Client,
    /// It has a port and does nothing with it.
    Bound,
}

impl Role {
    /// The stable name, as text and JSON print it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Listener => "listener",
            Role::Server => "server",
            Role::Client => "client",
            Role::Bound => "bound",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

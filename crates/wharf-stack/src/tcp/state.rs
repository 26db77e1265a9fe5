//! The states of a connection, what its owner hears of it, and why it ended.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// The states of RFC 9293, section 3.3.2, without LISTEN: a listener is a binding, not a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A SYN was sent, nothing has come back.
    SynSent,
    /// A SYN has come; its SYN-ACK waits to be sent or to be acknowledged.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We have finished; the peer has not acknowledged that.
    FinWait1,
    /// We have finished and the peer knows; it may still send.
    FinWait2,
    /// The peer has finished; we may still send.
    CloseWait,
    /// Both have finished at once; ours is not acknowledged.
    Closing,
    /// The peer finished first, then we did; ours is not acknowledged.
    LastAck,
    /// Both have finished and know; old segments are waited out.
    TimeWait,
    /// Over. At most one RST is still to be sent.
    Closed,
}

impl State {
    /// The name as the interface prints it.
    pub const fn name(self) -> &'static str {
        match self {
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
        }
    }

    /// Whether the peer may still send data: it has not sent FIN.
    pub const fn may_receive(self) -> bool {
        matches!(self, State::Established | State::FinWait1 | State::FinWait2)
    }

    /// Whether the owner may queue data, now or for when the connection is established.
    pub const fn may_send(self) -> bool {
        matches!(self, State::SynSent | State::SynReceived | State::Established | State::CloseWait)
    }

    /// Whether both sides have agreed on sequence numbers.
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, State::SynSent | State::SynReceived | State::Closed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a destination could not be reached, as ICMP said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route.
    Network,
    /// The host does not answer its neighbours.
    Host,
    /// Nobody has bound the port.
    Port,
    /// The host does not speak the protocol.
    Protocol,
    /// Communication administratively prohibited.
    Prohibited,
    /// The hop limit ran out on the way.
    HopLimit,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both sides finished and everything was acknowledged.
    Finished,
    /// The peer sent RST on an established connection.
    ResetByPeer,
    /// The peer answered the SYN with RST.
    Refused,
    /// Nothing came back for too long (RFC 9293, section 3.8.3; RFC 1122, section 4.2.3.6).
    TimedOut,
    /// Nothing came back, and ICMP had said why.
    Unreachable(Unreachable),
    /// The owner aborted it, or data came after the owner had closed it.
    Aborted,
}

impl CloseReason {
    /// The stable name, snake_case, as JSON and logs print it.
    pub const fn name(self) -> &'static str {
        match self {
            CloseReason::Finished => "finished",
            CloseReason::ResetByPeer => "reset_by_peer",
            CloseReason::Refused => "refused",
            CloseReason::TimedOut => "timed_out",
            CloseReason::Unreachable(_) => "unreachable",
            CloseReason::Aborted => "aborted",
        }
    }
}

/// What has happened to a connection since its owner asked last: a set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Events(u8);

impl Events {
    /// The connection is established.
    pub const CONNECTED: Events = Events(1);
    /// Data has come.
    pub const READABLE: Events = Events(2);
    /// There is room to send again.
    pub const WRITABLE: Events = Events(4);
    /// The peer has finished: no data will follow what has been received.
    pub const PEER_FINISHED: Events = Events(8);
    /// The connection is over.
    pub const CLOSED: Events = Events(16);
    /// The peer has urgent data: its end has moved on, see
    /// [`Connection::urgent_mark`](super::Connection::urgent_mark) (RFC 9293, section 3.8.5, MUST-32).
    pub const URGENT: Events = Events(32);
    /// Something is wrong that may pass: ICMP says so, or nothing is acknowledged any more (RFC 9293, section 3.9.1.8,
    /// MUST-47).
    pub const SOFT_ERROR: Events = Events(64);

    /// The empty set.
    pub const fn empty() -> Events {
        Events(0)
    }

    /// Whether nothing has happened.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `events` are in the set.
    pub const fn contains(self, events: Events) -> bool {
        self.0 & events.0 == events.0
    }

    /// Takes `events` out of the set.
    pub const fn remove(&mut self, events: Events) {
        self.0 &= !events.0;
    }
}

impl BitOr for Events {
    type Output = Events;
    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Events) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Events, &str); 7] = [
            (Events::CONNECTED, "CONNECTED"),
            (Events::READABLE, "READABLE"),
            (Events::WRITABLE, "WRITABLE"),
            (Events::PEER_FINISHED, "PEER_FINISHED"),
            (Events::CLOSED, "CLOSED"),
            (Events::URGENT, "URGENT"),
            (Events::SOFT_ERROR, "SOFT_ERROR"),
        ];
        let mut separator = "";
        for (_, name) in NAMES.iter().filter(|(event, _)| self.contains(*event)) {
            write!(f, "{separator}{name}")?;
            separator = "|";
        }
        if self.is_empty() { f.write_str("-") } else { Ok(()) }
    }
}

super::park::packed!(enum State {
    0 = SynSent, 1 = SynReceived, 2 = Established, 3 = FinWait1, 4 = FinWait2, 5 = CloseWait, 6 = Closing, 7 = LastAck,
    8 = TimeWait, 9 = Closed,
});
super::park::packed!(enum Unreachable {
    0 = Network, 1 = Host, 2 = Port, 3 = Protocol, 4 = Prohibited, 5 = HopLimit,
});

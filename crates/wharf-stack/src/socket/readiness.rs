//! What poll(2) says of a socket, by the rules of Linux' `tcp_poll` and `datagram_poll`.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use super::entry::{Body, Stream};
use super::errno::Errno;
use super::options::{OptionName, Options};
use super::{Host, SocketId};
use crate::tcp::State;

/// A set of poll(2) events, by Linux' bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Readiness(u16);

impl Readiness {
    /// Something can be read, accepted, or the end can.
    pub const IN: Readiness = Readiness(0x001);
    /// Urgent data has come.
    pub const PRI: Readiness = Readiness(0x002);
    /// Something can be sent.
    pub const OUT: Readiness = Readiness(0x004);
    /// An error waits.
    pub const ERR: Readiness = Readiness(0x008);
    /// Both directions have ended, or there is no connection.
    pub const HUP: Readiness = Readiness(0x010);
    /// The peer has finished, or reading was shut down.
    pub const RDHUP: Readiness = Readiness(0x2000);

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some of `other` are in it.
    pub const fn intersects(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    fn add_if(&mut self, condition: bool, other: Readiness) {
        if condition {
            *self |= other;
        }
    }
}

impl BitOr for Readiness {
    type Output = Readiness;
    fn bitor(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Readiness) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Readiness, &str); 6] = [
            (Readiness::IN, "IN"),
            (Readiness::PRI, "PRI"),
            (Readiness::OUT, "OUT"),
            (Readiness::ERR, "ERR"),
            (Readiness::HUP, "HUP"),
            (Readiness::RDHUP, "RDHUP"),
        ];
        let mut separator = "";
        for (_, name) in NAMES.iter().filter(|(bit, _)| self.contains(*bit)) {
            write!(f, "{separator}{name}")?;
            separator = "|";
        }
        if self.0 == 0 { f.write_str("-") } else { Ok(()) }
    }
}

impl Host {
    /// What poll(2) would say of a socket now.
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`].
    pub fn readiness(&self, id: SocketId) -> Result<Readiness, Errno> {
        let socket = self.entry(id)?;
        let mut ready = Readiness::default();
        match &socket.body {
            Body::Idle(idle) => {
                ready |= Readiness::OUT | Readiness::HUP;
                ready.add_if(idle.marks.read_shut, Readiness::IN | Readiness::RDHUP);
                ready.add_if(idle.error.is_some(), Readiness::ERR);
            }
            Body::Listener(listener) => ready.add_if(listener.is_ready(), Readiness::IN),
            Body::Stream(stream) => {
                ready = self.stream_readiness(stream, &socket.options);
                ready.add_if(self.has_zero_copy(id), Readiness::ERR);
            }
            Body::Datagram(datagrams) => {
                let marks = datagrams.marks;
                ready.add_if(datagrams.error.is_some() || !datagrams.errors.is_empty(), Readiness::ERR);
                ready.add_if(marks.read_shut, Readiness::IN | Readiness::RDHUP);
                ready.add_if(marks.read_shut && marks.write_shut, Readiness::HUP);
                ready.add_if(datagrams.is_readable(), Readiness::IN);
                ready.add_if(datagrams.is_writable(&socket.options), Readiness::OUT);
            }
        }
        Ok(ready)
    }

    fn stream_readiness(&self, stream: &Stream, options: &Options) -> Readiness {
        let mut ready = Readiness::default();
        let conn = self.stack.connection(stream.conn());
        let marks = stream.marks;
        let read_over = marks.peer_finished || marks.read_shut || marks.over;
        let write_over = marks.write_shut || marks.over;
        ready.add_if(read_over && write_over, Readiness::HUP);
        ready.add_if(read_over, Readiness::IN | Readiness::RDHUP);
        ready.add_if(stream.error.is_some(), Readiness::ERR);
        if matches!(conn.state(), State::SynSent | State::SynReceived) {
            return ready;
        }
        let (room, queued) = (conn.send_room(), conn.unacknowledged_len());
        // A quarter of the buffer, when the connection says that there is room again.
        let writable = room > 0 && room >= (room + queued) / 4 && self.stack.has_memory();
        ready.add_if(write_over || writable && conn.wants_more(), Readiness::OUT);
        let urgent = conn.urgent_mark().is_some_and(|mark| mark <= conn.received_len());
        ready.add_if(urgent && !marks.urgent_read && !options.has(OptionName::OobInline), Readiness::PRI);
        ready.add_if(conn.received_len() >= options.receive_low_water.max(1) as usize, Readiness::IN);
        ready
    }
}

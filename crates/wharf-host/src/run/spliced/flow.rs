//! A flow between a client's socket and one in the program's network.

use std::net::SocketAddr;

use wharf_sys::socket::{self, foreign};
use wharf_table::Instant;

use super::super::descriptors::Descriptor;
use super::half::{Half, Side, Tools, Turn};
use super::streams;

/// A client who came to a published port.
#[derive(Debug)]
pub(in crate::run) struct Client {
    pub(in crate::run) socket: std::os::fd::OwnedFd,
    /// Who it is, as the host sees it.
    pub(in crate::run) peer: SocketAddr,
    /// The program's port.
    pub(in crate::run) inside: u16,
}

/// Whether the program is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Running,
    Over,
}

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for a socket in the program's network.
    Waiting,
    /// The program was asked.
    Connecting,
    /// Both ends are connected.
    Open,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing more can be moved now.
    Done,
    /// More can be moved, when others have had their turn.
    Again,
    /// One end has reset, and the other has not acknowledged all that came before.
    Unacknowledged,
    /// Both directions have ended.
    Finished,
    /// One end has reset, and the other is to be.
    Reset,
}

/// One flow.
pub(super) struct Flow {
    pub(super) client: Side,
    /// The end in the program's network; none while it waits for one.
    pub(super) inside: Option<Side>,
    /// From the client to the program, and back.
    up: Half,
    down: Half,
    pub(super) peer: SocketAddr,
    pub(super) port: u16,
    /// Which of the ways to the program it takes, or tries.
    pub(super) way: u8,
    pub(super) phase: Phase,
    /// Tells it from others that had the same place.
    pub(super) serial: u32,
    /// Waits in the list of work.
    pub(super) queued: bool,
    /// Waits in the list of those that reset when what came before has arrived.
    pub(super) resetting: bool,
    /// The poller knows the client's socket.
    pub(super) registered: bool,
    /// When the client came.
    pub(super) opened: Instant,
    /// How far it had come when it was last looked at, once the program has ended.
    pub(super) mark: Option<((u64, u64), Instant)>,
    /// The right to its two descriptors.
    _descriptors: [Descriptor; 2],
}

impl Flow {
    pub(super) fn new(now: Instant, client: Client, serial: u32, descriptors: [Descriptor; 2]) -> Flow {
        Flow {
            client: Side::new(client.socket),
            inside: None,
            up: Half::new(),
            down: Half::new(),
            peer: client.peer,
            port: client.inside,
            way: 0,
            phase: Phase::Connecting,
            serial,
            queued: false,
            resetting: false,
            registered: false,
            opened: now,
            mark: None,
            _descriptors: descriptors,
        }
    }

    /// The client again, when the flow goes another way.
    pub(super) fn into_client(self) -> Client {
        Client { socket: self.client.socket, peer: self.peer, inside: self.port }
    }

    /// Moves what can be moved in both directions, then ends and resets.
    pub(super) fn turn(&mut self, tools: &mut Tools, program: Program) -> Verdict {
        let Flow { client, inside: Some(inside), up, down, .. } = self else { return Verdict::Done };
        let broken = [client.broken, inside.broken];
        let there = up.run(client, inside, tools);
        let back = down.run(inside, client, tools);
        pass_end(up, inside, down.finished);
        pass_end(down, client, up.finished);
        if up.finished && down.finished {
            return Verdict::Finished;
        }
        if program == Program::Over && down.finished && !client.broken {
            return if left(client) == 0 { Verdict::Finished } else { Verdict::Unacknowledged };
        }
        for (side, half, back) in [(&mut *client, &*up, &*down), (&mut *inside, &*down, &*up)] {
            // Who has finished is closed as a whole only when it was told the other's end, or has reset.
            side.broken |= side.hung_up && half.ended && !back.finished;
            side.reset |= side.broken && half.ended;
        }
        if client.reset && inside.reset {
            return Verdict::Reset;
        }
        for (gone, half, other) in [(&*client, &*up, &*inside), (&*inside, &*down, &*client)] {
            if gone.reset && half.is_empty() {
                return if left(other) == 0 { Verdict::Reset } else { Verdict::Unacknowledged };
            }
        }
        // What a broken end has sent before is read in its turn.
        let again = there == Turn::Again || back == Turn::Again || broken != [client.broken, inside.broken];
        if again { Verdict::Again } else { Verdict::Done }
    }

    /// How many bytes have moved in both directions.
    pub(super) fn moved(&self) -> u64 {
        self.up.moved + self.down.moved
    }

    /// How many bytes have come from the client, and from the program.
    pub(super) fn moved_each_way(&self) -> (u64, u64) {
        (self.up.moved, self.down.moved)
    }

    /// What grows as long as the client takes something.
    pub(super) fn progress(&self) -> (u64, u64) {
        (socket::acknowledged_bytes(&self.client.socket).unwrap_or(0), self.moved())
    }

    /// Makes the close of both ends a RST.
    pub(super) fn reset(&self) {
        streams::reset(&self.client.socket);
        self.inside.iter().for_each(|inside| streams::reset(&inside.socket));
    }

    /// Gives back what is held.
    pub(super) fn give_up(&mut self, tools: &mut Tools) {
        self.up.give_up(tools);
        self.down.give_up(tools);
    }
}

/// How many bytes the peer of a socket has not acknowledged; none that count when it takes no more.
fn left(side: &Side) -> usize {
    if side.broken { 0 } else { foreign::unacknowledged(&side.socket).unwrap_or(0) }
}

/// Passes an end of input on, once all before it is gone; when the other direction has ended already, the close that follows
/// does that.
fn pass_end(half: &mut Half, to: &mut Side, other_finished: bool) {
    if half.ended && !half.finished && half.is_empty() {
        half.finished = true;
        if !other_finished && !to.broken {
            to.finish();
        }
    }
}

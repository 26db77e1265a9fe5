//! What is left of a connection that nobody holds and that only waits: TIME-WAIT, and FIN-WAIT-2 without an owner.

use wharf_table::Instant;

use super::Connection;
use super::seq::SeqNum;
use super::state::State;
use super::timers::Timer;

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The peer's FIN (Linux' `tcp_fin_timeout`).
    FinWait2,
    /// The end of old segments.
    TimeWait,
}

/// What it needs to answer late segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    pub(crate) stage: Stage,
    pub(crate) snd_nxt: SeqNum,
    pub(crate) rcv_nxt: SeqNum,
    /// The window field of its last segments.
    pub(crate) window: u16,
    /// TS.Recent, where timestamps are in use.
    pub(crate) timestamp: Option<u32>,
    pub(crate) expires: Instant,
}

impl Connection {
    /// What is left of the connection when it does nothing but wait for its end, and has nothing to send. For one that its
    /// owner has released.
    pub(crate) fn leaving(&self) -> Option<Leaving> {
        let stage = match self.state {
            State::TimeWait => Stage::TimeWait,
            State::FinWait2 if self.detached => Stage::FinWait2,
            _ => return None,
        };
        if self.dirty || !self.receive_queue.is_empty() || !self.timers.is_set(Timer::Idle) {
            return None;
        }
        let promised = self.rcv.edge().since(self.rcv.rcv_nxt) >> self.rcv.scale;
        Some(Leaving {
            stage,
            snd_nxt: self.snd.snd_nxt,
            rcv_nxt: self.rcv.rcv_nxt,
            window: u16::try_from(promised).unwrap_or(u16::MAX),
            timestamp: self.timestamps.enabled.then_some(self.timestamps.recent),
            expires: self.timers.at(Timer::Idle),
        })
    }
}

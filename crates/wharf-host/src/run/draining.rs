//! A run's end: what the program sent before it ended is delivered.
//!
//! When the program has ended, its kernel still holds what was sent and not yet acknowledged, as do the stack and the sockets
//! of the host. Init keeps the network until wharf is done with it, so the loop goes on as before, but for what is new:
//! published ports are closed at once, and connections that are not made yet are given up. It ends when everything stands in
//! the host's kernel, which delivers by itself. Who takes nothing for [some seconds](super::streams) is reset.
//!
//! Invariant: no peer sees the end of a stream that is not whole.

use std::io;
use std::time::Duration;

use wharf_table::Instant;

use super::pump::Pump;
use super::spawn::ProgramExit;
use super::start;

/// How often the streams are looked at, whether they make progress.
const LOOK: Duration = Duration::from_millis(250);
/// How long the link is looked at for datagrams that the program's kernel had not handed over when the program ended, where it
/// has sent some this shortly before. They need no more than that their sender's processor has its turn.
const STRAY: Duration = Duration::from_millis(5);
const SHORTLY: Duration = Duration::from_millis(100);

/// What is known from the program's end on.
#[derive(Clone, Copy)]
pub(super) struct Draining {
    exit: ProgramExit,
    /// Until when the loop goes on in any case.
    least: Instant,
    next_look: Instant,
    pace: Pace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As long as there is progress.
    Patient,
    /// Somebody does not want to wait, or the network is gone.
    AtOnce,
}

impl Pump {
    /// The program's process, or init, has something to say.
    ///
    /// # Errors
    /// None that anybody can do anything about.
    pub(super) fn on_program(&mut self, now: Instant) -> io::Result<()> {
        let Some(exit) = self.sandbox.poll_status() else { return Ok(()) };
        if let Some(draining) = &mut self.draining {
            // Init is gone before its time, and the network with it.
            draining.pace = Pace::AtOnce;
            return Ok(());
        }
        self.listeners.clear();
        self.waiting.clear();
        // Signals until now were for the program.
        while self.signals.read()?.is_some() {}
        self.lane.streams.begin_draining(now, &mut self.lane.stack);
        self.spliced.begin_draining(now);
        // What the program sent last stands in the link.
        self.lane.link_has_more = true;
        let stray = if self.datagrams.has_sent_since(now, SHORTLY) { STRAY } else { Duration::ZERO };
        let pace = if self.sandbox.has_network() { Pace::Patient } else { Pace::AtOnce };
        self.draining = Some(Draining { exit, least: now + stray, next_look: now + LOOK, pace });
        Ok(())
    }

    /// Whether the program has ended.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// A signal came for a program that has ended: one that ends programs ends the wait.
    pub(super) fn on_late_signal(&mut self, number: i32) {
        if let Some(draining) = &mut self.draining
            && start::ENDING.contains(&number)
        {
            draining.pace = Pace::AtOnce;
        }
    }

    /// When [`Pump::poll_drained`] has to look again.
    pub(super) fn draining_timeout(&self) -> Option<Instant> {
        let Draining { least, next_look, .. } = self.draining?;
        Some(if self.lane.streams.is_empty() && self.spliced.is_empty() { least } else { next_look })
    }

    /// How the program ended, when it has and everything is delivered or given up.
    pub(super) fn poll_drained(&mut self, now: Instant) -> Option<ProgramExit> {
        let draining = self.draining.as_mut()?;
        let pace = draining.pace;
        if pace == Pace::Patient && now >= draining.next_look {
            draining.next_look = now + LOOK;
            self.lane.streams.look_for_progress(now, &mut self.lane.stack);
            self.spliced.look_for_progress(now);
        }
        let Draining { exit, least, .. } = *draining;
        let is_under_way = self.lane.link_has_more || self.lane.wire.holds_frames_of_the_program();
        let is_left = !self.lane.streams.is_empty() || !self.spliced.is_empty();
        if pace == Pace::Patient && (is_under_way || is_left || now < least) {
            return None;
        }
        self.lane.streams.give_all_up(now, &mut self.lane.stack);
        self.spliced.give_all_up();
        Some(exit)
    }
}

//! A run's end: what the program sent before it ended is delivered.
//!
//! When the program has ended, its kernel still holds what was sent and not yet acknowledged, as do the stack and the sockets
//! of the host. Init keeps the network until wharf is done with it, so the loop goes on as before, but for what is new: published
//! ports are closed at once (those of UDP when the program's last datagrams have left by them), and connections that are not made
//! yet are given up. It ends when everything stands in the host's kernel, which delivers by itself. Who takes nothing for
//! [some seconds](super::streams) is reset.
//!
//! Invariant: no peer sees the end of a stream that is not whole.

use std::io;
use std::time::Duration;

use wharf_table::Instant;

use super::lane::Lane;
use super::lanes::Lanes;
use super::pump::Pump;
use super::spawn::ProgramExit;
use super::start;

/// How often the streams are looked at, whether they make progress.
const LOOK: Duration = Duration::from_millis(250);
/// How long the link is looked at for datagrams that the program's kernel had not handed over when the program ended, where it
/// has sent some this shortly before. They need no more than that their sender's processor has its turn.
const STRAY: Duration = Duration::from_millis(5);
const SHORTLY: Duration = Duration::from_millis(100);

/// A lane's part in the end of a run.
pub(super) struct Draining {
    next_look: Instant,
}

impl Draining {
    /// The program has ended. What it sent last stands in the link.
    pub(super) fn begin(now: Instant, lane: &mut Lane) -> Draining {
        lane.streams.begin_draining(now, &mut lane.stack);
        lane.link_has_more = true;
        Draining { next_look: now + LOOK }
    }

    /// When the streams are looked at next, whether they make progress.
    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Whether everything is delivered or given up.
    pub(super) fn is_over(&mut self, now: Instant, lane: &mut Lane) -> bool {
        if now >= self.next_look {
            self.next_look = now + LOOK;
            lane.streams.look_for_progress(now, &mut lane.stack);
        }
        !lane.is_sending() && lane.streams.is_empty()
    }
}

/// What is known of a run from the program's end on.
pub(super) struct Ending {
    exit: ProgramExit,
    draining: Draining,
    /// Until when the loop goes on in any case.
    least: Instant,
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
        if let Some(ending) = &mut self.ending {
            // Init is gone before its time, and the network with it.
            ending.pace = Pace::AtOnce;
            return Ok(());
        }
        self.listeners.clear();
        self.waiting.clear();
        // Signals until now were for the program.
        while self.signals.read()?.is_some() {}
        if let Some(others) = &self.others {
            others.begin_draining();
        }
        let draining = Draining::begin(now, &mut self.lane);
        self.spliced.begin_draining(now);
        let stray = if self.datagrams.has_sent_since(now, SHORTLY) { STRAY } else { Duration::ZERO };
        let pace = if self.sandbox.has_network() { Pace::Patient } else { Pace::AtOnce };
        self.ending = Some(Ending { exit, draining, least: now + stray, pace });
        Ok(())
    }

    /// Whether the program has ended.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// A signal came for a program that has ended: one that ends programs ends the wait.
    pub(super) fn on_late_signal(&mut self, number: i32) {
        if let Some(ending) = &mut self.ending
            && start::ENDING.contains(&number)
        {
            ending.pace = Pace::AtOnce;
        }
    }

    /// When [`Pump::poll_ended`] has to look again.
    pub(super) fn ending_timeout(&self) -> Option<Instant> {
        let Ending { least, draining, .. } = self.ending.as_ref()?;
        let is_over = !self.lane.is_sending()
            && self.lane.streams.is_empty()
            && self.spliced.is_empty()
            && self.are_others_drained();
        Some(if is_over { *least } else { draining.next_look() })
    }

    /// How the program ended, when it has and everything is delivered or given up.
    pub(super) fn poll_ended(&mut self, now: Instant) -> Option<ProgramExit> {
        let others_are_drained = self.are_others_drained();
        let Ending { exit, draining, least, pace } = self.ending.as_mut()?;
        let exit = *exit;
        if now >= draining.next_look() {
            self.spliced.look_for_progress(now);
        }
        let is_over = draining.is_over(now, &mut self.lane) && self.spliced.is_empty();
        let is_sending = self.lane.is_sending() || now < *least;
        if !is_sending && others_are_drained {
            self.datagrams.close_published();
        }
        if *pace == Pace::Patient && (is_sending || !is_over || !others_are_drained) {
            return None;
        }
        self.lane.streams.give_all_up(now, &mut self.lane.stack);
        self.spliced.give_all_up();
        Some(exit)
    }

    fn are_others_drained(&self) -> bool {
        self.others.as_ref().is_none_or(Lanes::are_drained)
    }
}

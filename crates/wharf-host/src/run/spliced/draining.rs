//! The last of the spliced flows: what the program sent before it ended is delivered, and who takes nothing is reset.
//!
//! The program's kernel ends its connections by itself, so every flow comes to its end here. One is over when the client's
//! kernel has all of it, since a close with something unread throws away what was not delivered.

use std::time::Duration;

use wharf_table::Instant;

use super::flow::{Phase, Program};
use super::{Spliced, streams};

/// How long a flow may make no progress.
const PATIENCE: Duration = Duration::from_secs(5);

impl Spliced {
    /// The program has ended: those that it was not connected by end at once.
    pub(in super::super) fn begin_draining(&mut self, now: Instant) {
        self.program = Program::Over;
        let keys: Vec<u32> = self.flows.iter().map(|(key, _)| key as u32).collect();
        for key in keys {
            match self.flows.get(key as usize).map(|flow| flow.phase) {
                Some(Phase::Open) => self.queue(key),
                _ => self.give_up(key),
            }
        }
        self.returned.drain(..).for_each(|client| streams::reset(&client.socket));
        self.look_for_progress(now);
    }

    /// Resets the flows that have made no progress for [`PATIENCE`]. To be called now and then.
    pub(in super::super) fn look_for_progress(&mut self, now: Instant) {
        let is_stuck = |flow: &mut super::Flow| {
            let progress = flow.progress();
            match &mut flow.mark {
                Some((mark, since)) if *mark == progress => now.since(*since) >= PATIENCE,
                mark => {
                    *mark = Some((progress, now));
                    false
                }
            }
        };
        let stuck = self.flows.iter_mut().filter_map(|(key, flow)| is_stuck(flow).then_some(key as u32));
        let stuck: Vec<u32> = stuck.collect();
        stuck.into_iter().for_each(|key| self.give_up(key));
    }

    /// Resets every flow that is left.
    pub(in super::super) fn give_all_up(&mut self) {
        self.flows.drain().for_each(|flow| flow.reset());
    }

    fn give_up(&mut self, key: u32) {
        if let Some(mut flow) = self.flows.try_remove(key as usize) {
            flow.give_up(&mut self.tools);
            flow.reset();
        }
    }
}

impl Drop for Spliced {
    /// Whatever ends a run: a flow that is left has not delivered all.
    fn drop(&mut self) {
        self.give_all_up();
    }
}

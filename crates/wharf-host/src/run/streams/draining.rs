//! The last of the streams: what the program sent before it ended is delivered, and who takes nothing is reset.
//!
//! A stream is over here as soon as the host's kernel has all that the program sent and its FIN: the kernel delivers by itself
//! then. Whatever comes for the program is handed to its kernel as before, which refuses it with a RST as any host does whose
//! program is gone.
//!
//! Invariant: a stream that is not over ends with a RST, never with a FIN.

use std::collections::HashMap;
use std::time::Duration;

use wharf_stack::stack::{ConnId, Refusal, Stack};
use wharf_sys::socket;
use wharf_table::Instant;

use super::{Phase, Streams, reset};

/// How long a stream may make no progress.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far a stream had come, and since when.
#[derive(Clone, Copy)]
struct Mark {
    /// What the host's peer has acknowledged, what the host's socket has not taken yet, and what the program's kernel has not
    /// acknowledged, in bytes.
    progress: (u64, usize, usize),
    since: Instant,
}

/// How far the streams had come when they were last looked at, from the program's end on.
#[derive(Default)]
pub(super) struct Draining {
    marks: HashMap<ConnId, Mark>,
}

impl Streams {
    /// The program has ended. Those that it was not connected by end at once; the others have [`PATIENCE`] from now on.
    pub(in super::super) fn begin_draining(&mut self, now: Instant, stack: &mut Stack) {
        self.draining = Some(Box::default());
        for id in self.ids() {
            match self.get_mut(id).map(|stream| stream.phase) {
                Some(Phase::Connecting) => {
                    self.remove(id);
                    stack.refuse(now, id, Refusal::Silent);
                }
                Some(Phase::Publishing) => self.give_up(now, id, stack),
                _ => self.queue(id),
            }
        }
        self.look_for_progress(now, stack);
    }

    /// Whether no stream is left.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Resets the streams that have made no progress for [`PATIENCE`]. To be called now and then.
    pub(in super::super) fn look_for_progress(&mut self, now: Instant, stack: &mut Stack) {
        let Some(mut draining) = self.draining.take() else { return };
        let ids = self.ids();
        draining.marks.retain(|id, _| self.get_mut(*id).is_some());
        for id in ids {
            let progress = self.progress(id, stack);
            let mark = draining.marks.entry(id).or_insert(Mark { progress, since: now });
            if mark.progress != progress {
                *mark = Mark { progress, since: now };
            } else if now.since(mark.since) >= PATIENCE {
                draining.marks.remove(&id);
                self.give_up(now, id, stack);
            }
        }
        self.draining = Some(draining);
    }

    /// Resets every stream that is left.
    pub(in super::super) fn give_all_up(&mut self, now: Instant, stack: &mut Stack) {
        for id in self.ids() {
            self.give_up(now, id, stack);
        }
    }

    fn give_up(&mut self, now: Instant, id: ConnId, stack: &mut Stack) {
        if let Some(stream) = self.remove(id) {
            reset(&stream.socket);
        }
        stack.abort(now, id);
        stack.release(now, id);
    }

    fn ids(&self) -> Vec<ConnId> {
        let numbered = (0..).zip(&self.streams);
        numbered
            .filter(|(_, stream)| stream.is_some())
            .map(|(number, _)| ConnId::from_number(number))
            .collect()
    }

    fn progress(&self, id: ConnId, stack: &Stack) -> (u64, usize, usize) {
        let stream = self.streams.get(id.index()).and_then(Option::as_ref);
        // A kernel that can't say is taken for one whose peer has got nothing.
        let acked = stream.and_then(|stream| socket::acknowledged_bytes(&stream.socket).ok()).unwrap_or(0);
        let conn = stack.connection(id);
        (acked, conn.received_len(), conn.unacknowledged_len())
    }
}

impl Drop for Streams {
    /// Whatever ends a run: a stream that is left has not delivered all.
    fn drop(&mut self) {
        self.streams.iter().flatten().for_each(|stream| reset(&stream.socket));
    }
}

//! What is measured, one file for each kind.

pub mod connections;
pub mod flows;
pub mod look_up;
pub mod matrix;
pub mod receive;
pub mod round_trips;
pub mod throughput;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each figure is taken; the best one counts, since all that disturbs makes it worse.
    pub rounds: u32,
    /// The least time that a round of something fast takes.
    pub round: Duration,
    /// Whether this is a short run.
    pub quick: bool,
}

impl Effort {
    /// Some minutes.
    pub const FULL: Effort = Effort { rounds: 8, round: Duration::from_millis(250), quick: false };
    /// Well below a minute.
    pub const QUICK: Effort = Effort { rounds: 2, round: Duration::from_millis(100), quick: true };

    /// The least of both figures over all rounds, which take turns.
    pub fn least(self, mut wharf: impl FnMut() -> f64, mut smoltcp: impl FnMut() -> f64) -> (f64, f64) {
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..self.rounds {
            best = (best.0.min(wharf()), best.1.min(smoltcp()));
        }
        best
    }

    /// The seconds of the processor that one of `run` takes: it is repeated until a round is full. `run` says how many it did.
    pub fn seconds_each(self, mut run: impl FnMut() -> usize) -> f64 {
        let (start, mut count) = (processor_time(), 0);
        while processor_time() - start < self.round {
            count += run();
        }
        (processor_time() - start).as_secs_f64() / count as f64
    }
}

/// How long this thread has run: what others do on the same machine does not count.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

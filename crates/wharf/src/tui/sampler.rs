//! The thread that takes samples and makes boards of them.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use wharf_host::snapshot::{Ask, Details, SnapshotError};
use wharf_host::traffic::{Board, Tally};
use wharf_host::watch::Sampler;
use wharf_table::selector::Selector;

use super::{Config, TopError};

/// What the thread tells.
pub(super) enum Told {
    /// A new board.
    Board(Box<Made>),
    /// There will be no more.
    Failed(SnapshotError),
}

/// A board, and what belongs to it.
pub(super) struct Made {
    pub(super) board: Board,
    /// What could not be looked at.
    pub(super) hidden: Vec<String>,
}

/// The running thread, which ends when this is dropped.
pub(super) struct Sampling {
    told: Receiver<Told>,
    select: Sender<Selector>,
}

impl Sampling {
    /// Begins with a first board, so that what can't be listed is told before the terminal is used.
    pub(super) fn begin(config: &Config, selector: Selector) -> Result<Sampling, TopError> {
        let ask = Ask { networks: config.networks.clone(), details: Details::Asked, ..Ask::default() };
        let (mut sampler, mut tally) = (Sampler::new(ask), Tally::new());
        let first = take(&mut sampler, &mut tally, &selector)?;
        let ((tell, told), (select, selected)) = (mpsc::channel(), mpsc::channel());
        // Nobody listens yet, and the other end is here.
        let _ = tell.send(Told::Board(Box::new(first)));
        let every = config.every;
        let run = move || {
            let mut selector = selector;
            loop {
                match selected.recv_timeout(every) {
                    Ok(other) => selector = other,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let news = take(&mut sampler, &mut tally, &selector).map(Box::new);
                if tell.send(news.map_or_else(Told::Failed, Told::Board)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("wharf-top".into()).spawn(run)?;
        Ok(Sampling { told, select })
    }

    /// The latest that was told, if anything was.
    pub(super) fn latest(&self) -> Option<Told> {
        self.told.try_iter().last()
    }

    /// From now on other rows are meant.
    pub(super) fn select(&self, selector: Selector) {
        // A thread that has ended has told why.
        let _ = self.select.send(selector);
    }
}

fn take(sampler: &mut Sampler, tally: &mut Tally, selector: &Selector) -> Result<Made, SnapshotError> {
    let mut rows = sampler.next_sample()?;
    let board = tally.take(&rows, selector, Instant::now());
    Ok(Made { board, hidden: std::mem::take(&mut rows.hidden) })
}

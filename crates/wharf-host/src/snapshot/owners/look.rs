//! Looking through the descriptors of all processes.
//!
//! This begins while the kernel still lists its sockets. What was looked at before the list was whole can lack sockets that were
//! opened in between, so if rows are left without an owner, those processes are looked at again, and new ones as well.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use wharf_sys::proc::descriptors::{Unread, Walk};
use wharf_table::rows::{Row, Rows};

use super::{Hit, Index, Part, join};
use crate::snapshot::processes;

/// More threads than this wait for each other in the kernel.
const MOST_THREADS: usize = 8;
/// A thread is worth its start for so many processes.
const MANY_PROCESSES: usize = 32;

/// A socket that a process has, found before it was known whether a row wants it.
#[derive(Clone, Copy, Debug)]
struct Held {
    inode: u32,
    pid: u32,
    descriptor: u32,
}

/// A look at all processes, shared by the threads that take part.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    users: &'a BTreeMap<u32, String>,
    pids: Vec<u32>,
    /// The place in `pids` of the process that is next.
    next: AtomicUsize,
    /// The rows, when they are listed.
    index: OnceLock<Index>,
}

impl<'a> Look<'a> {
    /// Prepares to look at the processes that there are now.
    pub(crate) fn new(users: &'a BTreeMap<u32, String>) -> Look<'a> {
        let pids = wharf_sys::proc::descriptors::processes();
        Look { users, pids, next: AtomicUsize::new(0), index: OnceLock::new() }
    }

    /// Lets `list` fill the rows while others already look, and gives the rows their owners.
    ///
    /// # Errors
    /// Those of `list`.
    pub(crate) fn around<E>(
        &self,
        rows: &mut Rows,
        list: impl FnOnce(&mut Rows) -> Result<(), E>,
    ) -> Result<(), E> {
        let (listed, early, mut parts) = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..self.helpers()).map(|_| scope.spawn(|| self.run())).collect();
            let listed = list(rows);
            let early = self.next.load(Ordering::Relaxed).min(self.pids.len());
            let wanted: &[Row] = if listed.is_ok() { &rows.rows } else { &[] };
            if self.index.get_or_init(|| Index::of(wanted)).is_empty() {
                self.next.store(self.pids.len(), Ordering::Relaxed);
            }
            let mut parts = vec![self.run()];
            parts.extend(helpers.into_iter().filter_map(|helper| helper.join().ok()));
            (listed, early, parts)
        });
        listed?;
        let index = self.index.get_or_init(Index::default);
        parts.extend(self.again(early, &parts, index));
        join(parts, index, rows);
        Ok(())
    }

    fn helpers(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        cores.min(1 + self.pids.len() / MANY_PROCESSES) - 1
    }

    /// What each thread does: takes the next process, until there is none.
    fn run(&self) -> Part {
        let Some(mut walk) = Walk::open() else { return Part::default() };
        let mut hidden = 0;
        let mut early = Vec::new();
        let mut hits = Vec::new();
        while let Some(&pid) = self.pids.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let looked = match self.index.get() {
                None => walk.sockets(pid, |descriptor, inode| early.push(Held { inode, pid, descriptor })),
                Some(index) => find(index, pid, &mut walk, &mut hits),
            };
            hidden += usize::from(looked == Err(Unread::Hidden));
        }
        let index = self.index.wait();
        let known = early.into_iter().filter_map(|Held { inode, pid, descriptor }| {
            Some(Hit { row: index.row(inode)?, process: pid, descriptor })
        });
        let known: Vec<Hit> = known.collect();
        self.part([known, hits], hidden)
    }

    /// What was found, with what is known of the processes, whose numbers stand in the hits.
    fn part(&self, found: [Vec<Hit>; 2], hidden: usize) -> Part {
        let mut part = Part { hidden, ..Part::default() };
        let mut last = None;
        for mut hits in found {
            for hit in &mut hits {
                if last != Some(hit.process) {
                    last = Some(hit.process);
                    part.processes.push(processes::owner(hit.process, self.users));
                }
                hit.process = part.processes.len() as u32 - 1;
            }
            // Without a copy of the one that is long.
            if part.hits.is_empty() { part.hits = hits } else { part.hits.append(&mut hits) }
        }
        part
    }

    /// Looks once more at the first `early` processes, and at new ones, for sockets that nobody was seen to have.
    fn again(&self, early: usize, parts: &[Part], index: &Index) -> Option<Part> {
        let missing = index.without(parts.iter().flat_map(|part| &part.hits).map(|hit| hit.row));
        if missing.is_empty() {
            return None;
        }
        let known: BTreeSet<u32> = self.pids.iter().copied().collect();
        let new = wharf_sys::proc::descriptors::processes().into_iter().filter(|pid| !known.contains(pid));
        let mut walk = Walk::open()?;
        let mut hits = Vec::new();
        for pid in self.pids.iter().take(early).copied().chain(new) {
            // Those that are hidden are counted already.
            let _ = find(&missing, pid, &mut walk, &mut hits);
        }
        Some(self.part([hits, Vec::new()], 0))
    }
}

fn find(index: &Index, pid: u32, walk: &mut Walk, hits: &mut Vec<Hit>) -> Result<(), Unread> {
    walk.sockets(pid, |descriptor, inode| {
        hits.extend(index.row(inode).map(|row| Hit { row, process: pid, descriptor }));
    })
}

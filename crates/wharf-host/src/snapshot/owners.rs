//! Who holds which row: the descriptors of all processes, looked through by several threads.
//!
//! The sockets are listed before, so a row without an owner is one that no program had when its process was looked at: what is
//! opened meanwhile is in no row.

mod index;
mod search;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use wharf_sys::proc::descriptors::{Unread, Walk};
use wharf_table::owner::Owner;
use wharf_table::rows::{OwnerLink, OwnerSpan, Ownerless, ProcessId, Rows};

use crate::snapshot::processes;
use index::Index;

pub use search::{Search, Searched, find_owners};

/// More threads than this wait for each other in the kernel.
const MOST_THREADS: usize = 8;
/// Rows from which on a second thread is worth its start.
const MANY_PROCESSES: usize = 32;

/// A descriptor of a row's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    row: u32,
    /// Its place in [`Part::processes`].
    process: u32,
    descriptor: u32,
}

/// What one thread found.
#[derive(Debug, Default)]
struct Part {
    processes: Vec<Owner>,
    hits: Vec<Hit>,
    /// How many processes are hidden.
    hidden: usize,
}

/// Gives every row its owners, or the reason why it has none.
pub(super) fn fill(rows: &mut Rows) {
    let index = Index::of(&rows.rows);
    let parts = if index.is_empty() { vec![Part::default()] } else { look_everywhere(&index, &rows.users) };
    let hidden = parts.iter().map(|part| part.hidden).sum::<usize>();
    join(parts, &index, rows);
    let why = if hidden > 0 || !is_whole_host() { Ownerless::Hidden } else { Ownerless::Kernel };
    for row in &mut rows.rows {
        match row.ownerless {
            None | Some(Ownerless::Unasked) => row.ownerless = (row.owners.count == 0).then_some(why),
            Some(_) => {}
        }
    }
    say_what_is_hidden(hidden, &mut rows.hidden);
}

/// Says that nobody asked.
pub(super) fn unasked(rows: &mut Rows) {
    for row in &mut rows.rows {
        row.ownerless.get_or_insert(Ownerless::Unasked);
    }
}

fn look_everywhere(index: &Index, users: &BTreeMap<u32, String>) -> Vec<Part> {
    let Some(mut walk) = Walk::open() else { return Vec::new() };
    let pids = walk.processes();
    let next = AtomicUsize::new(0);
    let look = |mut walk: Walk| {
        let mut part = Part::default();
        while let Some(&pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            part.look_at(pid, &mut walk, index, users);
        }
        part
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let helpers = cores.min(1 + pids.len() / MANY_PROCESSES) - 1;
    std::thread::scope(|scope| {
        let helpers: Vec<_> =
            (0..helpers).filter_map(|_| Walk::open()).map(|walk| scope.spawn(|| look(walk))).collect();
        let mut parts = vec![look(walk)];
        parts.extend(helpers.into_iter().filter_map(|helper| helper.join().ok()));
        parts
    })
}

impl Part {
    /// Looks at all descriptors of a process.
    fn look_at(&mut self, pid: u32, walk: &mut Walk, index: &Index, users: &BTreeMap<u32, String>) {
        let before = self.hits.len();
        let process = self.processes.len() as u32;
        let hits = &mut self.hits;
        let looked = walk.sockets(pid, |descriptor, inode| {
            hits.extend(index.row(inode).map(|row| Hit { row, process, descriptor }));
        });
        if looked == Err(Unread::Hidden) {
            self.hidden += 1;
        }
        if self.hits.len() > before {
            self.processes.push(processes::owner(pid, users));
        }
    }
}

/// Puts processes and links of all threads together, processes in the order of their numbers.
fn join(parts: Vec<Part>, index: &Index, rows: &mut Rows) {
    let first = rows.processes.len();
    let mut order: Vec<(u32, usize, usize)> = Vec::new();
    for (part, found) in parts.iter().enumerate() {
        let pids = found.processes.iter().enumerate();
        order.extend(pids.map(|(place, owner)| (owner.pid.unwrap_or_default(), part, place)));
    }
    order.sort_unstable();
    let mut ids: Vec<Vec<u32>> = parts.iter().map(|part| vec![0; part.processes.len()]).collect();
    for (at, &(_, part, place)) in order.iter().enumerate() {
        if let Some(id) = ids.get_mut(part).and_then(|ids| ids.get_mut(place)) {
            *id = (first + at) as u32;
        }
    }
    let (mut processes, mut hits): (Vec<_>, Vec<_>) =
        parts.into_iter().map(|part| (part.processes, part.hits)).unzip();
    for &(_, part, place) in &order {
        rows.processes.extend(processes.get_mut(part).and_then(|of| of.get_mut(place)).map(std::mem::take));
    }
    for (hits, ids) in hits.iter_mut().zip(&ids) {
        for hit in hits {
            hit.process = ids.get(hit.process as usize).copied().unwrap_or_default();
        }
    }
    link(&hits, rows);
    index.share_owners(&mut rows.rows);
}

/// Writes the links of all hits, those of a row side by side, and a process once in each.
fn link(hits: &[Vec<Hit>], rows: &mut Rows) {
    for hit in hits.iter().flatten() {
        if let Some(row) = rows.rows.get_mut(hit.row as usize) {
            row.owners.count += 1;
        }
    }
    let mut next = rows.links.len() as u32;
    for row in rows.rows.iter_mut().filter(|row| row.owners.count > 0) {
        // The count grows again as links are written.
        let count = std::mem::take(&mut row.owners.count);
        row.owners.first = next;
        next += count;
    }
    let nobody = OwnerLink { process: ProcessId(u32::MAX), descriptor: 0 };
    rows.links.resize(next as usize, nobody);
    for hit in hits.iter().flatten() {
        let Some(row) = rows.rows.get_mut(hit.row as usize) else { continue };
        if let Some(slot) = rows.links.get_mut((row.owners.first + row.owners.count) as usize) {
            *slot = OwnerLink { process: ProcessId(hit.process), descriptor: hit.descriptor };
            row.owners.count += 1;
        }
    }
    for row in rows.rows.iter_mut().filter(|row| row.owners.count > 1) {
        row.owners.count = each_process_once(&mut rows.links, row.owners);
    }
}

/// Sorts the links of a row and keeps one of each process, that of the lowest descriptor. Says how many are left.
fn each_process_once(links: &mut [OwnerLink], span: OwnerSpan) -> u32 {
    let of_row = links.get_mut(span.first as usize..(span.first + span.count) as usize).unwrap_or_default();
    of_row.sort_unstable();
    let mut kept = 0;
    for at in 0..of_row.len() {
        let same = kept > 0
            && of_row.get(kept - 1).map(|link| link.process) == of_row.get(at).map(|link| link.process);
        if !same {
            of_row.swap(kept, at);
            kept += 1;
        }
    }
    kept as u32
}

fn say_what_is_hidden(processes: usize, hidden: &mut Vec<String>) {
    if processes > 0 {
        hidden.push(format!(
            "what {processes} processes of other users hold is hidden (needs CAP_SYS_PTRACE, or root)"
        ));
    }
    if !is_whole_host() {
        hidden.push("only processes of this process namespace are seen, not those of the whole host".into());
    }
}

/// Whether `/proc` shows every process of the host: this is the first process namespace, whose number is always the same.
fn is_whole_host() -> bool {
    /// `PROC_PID_INIT_INO`.
    const FIRST: u64 = 0xEFFF_FFFC;
    let own = std::fs::metadata("/proc/self/ns/pid").map(|file| std::os::unix::fs::MetadataExt::ino(&file));
    own.is_ok_and(|number| number == FIRST)
}
